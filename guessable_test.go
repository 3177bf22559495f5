package parley_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
)

// Ids that somebody may find by trying: what people type, what programs count
// up, and what looks random but is written in a document.
var guessableIDs = []string{
	"1", "42", "0001", "test", "demo", "guest", "visitor", "anonymous", "undefined", "null", "[object Object]",
	"user-session-123", "test-session", "session-1", "session_0001", "support-42", "user-42", "guest-17", "customer_000042",
	"alice", "bob.smith", "john_doe_1984", "John Doe", "MaximilianVonMustermann1984", "maria-del-carmen-garcia-fernandez",
	"Frau Dr. Müller-Lüdenscheidt 1957", "Anna-Katharina.Schneider.1990",
	"alice@example.com", "firstname.lastname42@example-company.com", "maximilian.mustermann@university.example.edu",
	"2026-11-23", "20261123", "2026-11-23T16:27:00Z", "2026-11-23T16:27:00.000+01:00", "20261123T162700Z-user-4711",
	"Mon, 23 Nov 2026 16:27:00 GMT", "Mon Nov 23 2026 16:27:00 GMT+0100 (CET)", "Support-2026-11-23-16-27-Room7",
	"1732377600", "1732377600000", "1732377600000000000", "session-1732377600000", "user-42-1732377600000",
	"session_1732377600000_k3j4h5g6x2", "session-m3u1k2xq-k3j4h5g6x2p", "chat_1732377600000_1732377612345",
	"+49 170 1234567", "+1 (202) 555-0143", "0049170123456789012345678", "tel:+1-202-555-0143;ext=1234",
	"192.168.178.42", "192.168.178.42-1732377600000", "2001:db8:85a3::8a2e:370:7334",
	"aaaaaaaaaaaaaaaaaaaaaaaaaa", "00000000000000000000000000", "12345678901234567890123456", "11111111112222222222333333",
	"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcabcabcabcabcabcabcabcabc123", "hunter2hunter2hunter2hunter2",
	"0123456789abcdef0123456789abcdef", "0000000000000000000000000000002a", "deadbeefdeadbeefdeadbeefdeadbeef",
	"ffffffffffffffffffffffffffffffff", "507f1f77bcf86cd799439011",
	"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
	"c232ab00-9414-11ec-b3c8-9f6bdeced846", // version 1: time and machine
	"1ec9414c-232a-6b00-b3c8-9f6bdeced846", // version 6
	"00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-00000000002a", "11111111-1111-4111-8111-111111111111",
	"12345678-1234-4234-8234-123456789012", "a1b2c3d4-e5f6-4a7b-8c9d-0e1f2a3b4c5d", "01234567-89ab-4cde-8f01-23456789abcd",
	"customer-support-conversation-12345678", "order-2026-000123-customer-4711", "ticket#48151623422342-acme-inc",
	"shop.example.com/user/123456/chat", "https://example.com/?user=42&chat=7", "room-42-floor-3-building-7-campus-2",
	"tenant1-user2-session3-window4-tab5", "user=42&company=acme&plan=premium", "user12345order67890session3",
	"employee00042department07chat", "CUSTOMER-2026-A-000042-SUPPORT", "CustomerSupportSessionNumber42",
	"the-quick-brown-fox-jumps-over-the-lazy-dog", "correct-horse-battery-staple-42", "passwordpassword1234567890",
	"4111 1111 1111 1111 1111 11", "DE89370400440532013000000000", "default-session-for-all-visitors",
}

func TestIDsThatOthersCanGuessAreGuessable(t *testing.T) {
	for _, id := range guessableIDs {
		if !parley.Guessable(id) {
			t.Errorf("%q must be bound to the client that began it, but counts as random", id)
		}
	}
}

const (
	letters   = "abcdefghijklmnopqrstuvwxyz"
	capitals  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	decimals  = "0123456789"
	crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// randomText returns n characters of an alphabet of up to 256.
func randomText(alphabet string, n int) string {
	text := make([]byte, 0, n)
	for len(text) < n {
		var b [1]byte
		rand.Read(b[:])
		if limit := 256 / len(alphabet) * len(alphabet); int(b[0]) < limit {
			text = append(text, alphabet[int(b[0])%len(alphabet)])
		}
	}
	return string(text)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func randomUUID(version byte) string {
	b := randomBytes(16)
	if version == 7 {
		ms := time.Now().UnixMilli()
		for i := range 6 {
			b[i] = byte(ms >> (40 - 8*i))
		}
	}
	b[6], b[8] = b[6]&0x0f|version<<4, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func randomULID() string {
	ms, stamp := time.Now().UnixMilli(), ""
	for range 10 {
		stamp = string(crockford[ms&31]) + stamp
		ms >>= 5
	}
	return stamp + randomText(crockford, 16)
}

func TestRandomIDsAreNotGuessable(t *testing.T) {
	const most = 0.025 // the rule aims below 0.02; the rest is for chance
	samples := 10_000
	if testing.Short() {
		samples = 2_000
	}
	for _, test := range []struct {
		name string
		next func() string
	}{
		{"UUID version 4", func() string { return randomUUID(4) }},
		{"UUID version 4 in capitals", func() string { return strings.ToUpper(randomUUID(4)) }},
		{"UUID version 4 behind a prefix", func() string { return "user-" + randomUUID(4) }},
		{"UUID version 7", func() string { return randomUUID(7) }},
		{"base64url of 16 bytes", func() string { return base64.RawURLEncoding.EncodeToString(randomBytes(16)) }},
		{"base64url of 32 bytes", func() string { return base64.RawURLEncoding.EncodeToString(randomBytes(32)) }},
		{"base64 of 16 bytes", func() string { return base64.StdEncoding.EncodeToString(randomBytes(16)) }},
		{"hex of 16 bytes", func() string { return hex.EncodeToString(randomBytes(16)) }},
		{"hex of 16 bytes behind a prefix", func() string { return "sess_" + hex.EncodeToString(randomBytes(16)) }},
		{"Nano ID of 24", func() string { return randomText(letters+capitals+decimals+"-_", 24) }},
		{"ULID", randomULID},
		{"base32 of 26", rand.Text},
		{"base32 of 26 in small letters", func() string { return strings.ToLower(rand.Text()) }},
		{"base36 of 25", func() string { return randomText(letters+decimals, 25) }},
		{"base62 of 22", func() string { return randomText(letters+capitals+decimals, 22) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			guessable := 0
			for range samples {
				if parley.Guessable(test.next()) {
					guessable++
				}
			}
			share := float64(guessable) / float64(samples)
			t.Logf("%.2f%% of %d count as guessable", 100*share, samples)
			if share > most {
				t.Errorf("%.2f%% of %d count as guessable; at most %.1f%% may", 100*share, samples, 100*most)
			}
		})
	}
}

func TestShortIDsAreGuessableHoweverRandom(t *testing.T) {
	for range 1_000 {
		if id := randomText(letters+capitals+decimals, 21); !parley.Guessable(id) {
			t.Fatalf("%q has 21 characters, which is too short to be honoured from anywhere", id)
		}
	}
}
