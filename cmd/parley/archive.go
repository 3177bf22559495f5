package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parley-chat/parley"
)

// This page is the file that "parley export" writes and "parley import" reads:
// JSON Lines, each an object with one key that says what it is, and crc32, the
// checksum of what stands before it in the line.
//
//	{"parley_export":{"version":1,"store":"SQLite","time":"2026-11-23T15:00:00Z"},"crc32":"…"}
//	{"secret":{"name":"session","value":"…"},"crc32":"…"}
//	{"next":{"of":"turns","after":"","before":{"turns":0,"submissions":0,"secrets":1,"sum":"…"}},"crc32":"…"}
//	{"turn":{"session":"…","seq":1,"first":1,"key":"","prompt":"Hello","reply":{"output":"Hi"},"began":…,"ended":…},"crc32":"…"}
//	{"next":{"of":"submissions","after":"0","before":{…}},"crc32":"…"}
//	{"submission":{"id":"…","form":"contact","values":{"name":"Ada"},"time":…},"crc32":"…"}
//	{"end":{"turns":1,"submissions":1,"secrets":1,"sum":"…"},"crc32":"…"}
//
// The checksum of a line finds what was damaged; what stands before a mark and
// the end is counted in them, which finds what is missing.

// archiveVersion is the version of the format. The first line has the same form
// in all of them.
const archiveVersion = 1

// An entry is a line of the file: one of these.
type entry struct {
	Start      *heading         `json:"parley_export,omitempty"`
	Secret     *secretEntry     `json:"secret,omitempty"`
	Turn       *turnEntry       `json:"turn,omitempty"`
	Submission *submissionEntry `json:"submission,omitempty"`
	Next       *mark            `json:"next,omitempty"`
	End        *tally           `json:"end,omitempty"`
}

// A heading is the first line.
type heading struct {
	Version int       `json:"version"`
	Store   string    `json:"store"` // the kind, whose words the marks have
	Time    time.Time `json:"time"`
}

type secretEntry struct {
	Name  exact  `json:"name"`
	Value []byte `json:"value"`
}

// A turnEntry is a finished turn. Its times are in microseconds since 1970.
type turnEntry struct {
	Session exact         `json:"session"`
	Seq     int           `json:"seq"`
	First   int           `json:"first"`
	Key     exact         `json:"key"`
	Prompt  exact         `json:"prompt"`
	Reply   *parley.Reply `json:"reply"`
	Began   int64         `json:"began"`
	Ended   int64         `json:"ended"`
}

func newTurnEntry(r parley.Record) *turnEntry {
	return &turnEntry{exact(r.Session), r.Seq, r.First, exact(r.Key), exact(r.Prompt), r.Reply, r.Began.UnixMicro(), r.Ended.UnixMicro()}
}

func (t *turnEntry) record() parley.Record {
	return parley.Record{Session: string(t.Session), Seq: t.Seq, First: t.First, Key: string(t.Key), Prompt: string(t.Prompt), Reply: t.Reply,
		Began: time.UnixMicro(t.Began).UTC(), Ended: time.UnixMicro(t.Ended).UTC()}
}

// A submissionEntry is a submission without its number, which the next store
// gives it anew. Submissions stand in their order.
type submissionEntry struct {
	ID     exact         `json:"id"`
	Form   exact         `json:"form"`
	Values parley.Values `json:"values"`
	Time   int64         `json:"time"` // in microseconds since 1970
}

func newSubmissionEntry(s parley.Submission) *submissionEntry {
	return &submissionEntry{exact(s.ID), exact(s.Form), s.Values, s.Time.UnixMicro()}
}

func (s *submissionEntry) submission() parley.Submission {
	return parley.Submission{ID: string(s.ID), Form: string(s.Form), Values: s.Values, Time: time.UnixMicro(s.Time).UTC()}
}

// A mark says where to go on in a store. The zero one is the beginning.
type mark struct {
	Of     string `json:"of"`     // turns or submissions
	After  string `json:"after"`  // the store's own word for where in them
	Before tally  `json:"before"` // what stands before it in a file
}

const (
	ofTurns       = "turns"
	ofSubmissions = "submissions"
)

// exact is a string that JSON keeps byte for byte: one that is not UTF-8, and
// that JSON cannot have, is {"base64": "…"}.
type exact string

type inBase64 struct {
	Base64 []byte `json:"base64"`
}

func (s exact) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(s)) {
		return encode(string(s))
	}
	return encode(inBase64{[]byte(s)})
}

func (s *exact) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte("{")) {
		var b inBase64
		err := json.Unmarshal(data, &b)
		*s = exact(b.Base64)
		return err
	}
	return json.Unmarshal(data, (*string)(s))
}

// encode is json.Marshal without the escapes that only matter inside HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// A tally says what a store or a file has: how much, and a sum of it that does
// not depend on the order.
type tally struct {
	Turns       int `json:"turns"`
	Submissions int `json:"submissions"`
	Secrets     int `json:"secrets"`
	Sum         sum `json:"sum"`
}

// add counts an entry. Of its times the milliseconds count, because there are
// stores that keep no more.
func (t *tally) add(e entry) error {
	switch {
	case e.Secret != nil:
		t.Secrets++
	case e.Turn != nil:
		turn := *e.Turn
		turn.Began, turn.Ended = wholeMillis(turn.Began), wholeMillis(turn.Ended)
		e.Turn = &turn
		t.Turns++
	case e.Submission != nil:
		submission := *e.Submission
		submission.Time = wholeMillis(submission.Time)
		e.Submission = &submission
		t.Submissions++
	default:
		return nil
	}
	data, err := encode(e)
	t.Sum.add(sha256.Sum256(data))
	return err
}

func wholeMillis(us int64) int64 { return 1000 * time.UnixMicro(us).UnixMilli() }

// String says how much there is.
func (t tally) String() string {
	return fmt.Sprintf("%s, %s, %s", counted(t.Turns, "turn"), counted(t.Submissions, "submission"), counted(t.Secrets, "secret"))
}

// count returns how many records there are.
func (t tally) count() int64 { return int64(t.Turns + t.Submissions + t.Secrets) }

// A sum adds up SHA-256 hashes, modulo 2^256.
type sum [sha256.Size]byte

func (s *sum) add(hash [sha256.Size]byte) {
	carry := 0
	for i := len(s) - 1; i >= 0; i-- {
		carry += int(s[i]) + int(hash[i])
		s[i] = byte(carry)
		carry >>= 8
	}
}

func (s sum) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

func (s *sum) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(s) {
		return errors.New("a sum has 64 hexadecimal digits")
	}
	_, err := hex.Decode(s[:], text)
	return err
}

// walk calls each with all that a store has, from a mark on, and with the
// marks to go on from. An error of each ends it.
func walk(ctx context.Context, store parley.Archive, from mark, each func(entry) error) error {
	if from.Of == "" {
		secrets, err := store.Secrets(ctx)
		if err != nil {
			return fmt.Errorf("read the secrets: %w", err)
		}
		for _, name := range slices.Sorted(maps.Keys(secrets)) {
			if err := each(entry{Secret: &secretEntry{exact(name), secrets[name]}}); err != nil {
				return err
			}
		}
		from = mark{Of: ofTurns}
		if err := each(entry{Next: &from}); err != nil {
			return err
		}
	}
	if from.Of == ofTurns {
		if err := walkTurns(ctx, store, from.After, each); err != nil {
			return err
		}
		from = mark{Of: ofSubmissions, After: "0"}
		if err := each(entry{Next: &from}); err != nil {
			return err
		}
	}
	return walkSubmissions(ctx, store, from.After, each)
}

// pageLength is how many turns or submissions are read at once.
const pageLength = 500

func walkTurns(ctx context.Context, store parley.Archive, after string, each func(entry) error) error {
	for {
		records, next, err := store.Records(ctx, after, pageLength)
		if err != nil {
			return fmt.Errorf("read the turns: %w", err)
		}
		for _, r := range records {
			if err := each(entry{Turn: newTurnEntry(r)}); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		if len(records) > 0 {
			if err := each(entry{Next: &mark{Of: ofTurns, After: next}}); err != nil {
				return err
			}
		}
		after = next
	}
}

func walkSubmissions(ctx context.Context, store parley.Archive, after string, each func(entry) error) error {
	seq, err := strconv.ParseInt(after, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is no number of a submission", after)
	}
	for {
		page, err := store.Submissions(ctx, "", seq, pageLength)
		if err != nil {
			return fmt.Errorf("read the submissions: %w", err)
		}
		for _, s := range page {
			seq = s.Seq
			if err := each(entry{Submission: newSubmissionEntry(s)}); err != nil {
				return err
			}
		}
		if len(page) < pageLength {
			return nil
		}
		if err := each(entry{Next: &mark{Of: ofSubmissions, After: strconv.FormatInt(seq, 10)}}); err != nil {
			return err
		}
	}
}

// An archiveWriter writes the file.
type archiveWriter struct {
	w     *bufio.Writer
	tally tally
}

// write adds a line. What stands before a mark is handed to the file with it,
// so that an end of the process costs one page.
func (a *archiveWriter) write(e entry) error {
	if err := a.tally.add(e); err != nil {
		return err
	}
	if e.Next != nil {
		e.Next = &mark{e.Next.Of, e.Next.After, a.tally}
	}
	data, err := encode(e)
	if err != nil {
		return err
	}
	body := bytes.TrimSuffix(data, []byte("}"))
	a.w.Write(body)
	_, err = a.w.WriteString(checksum(body)) // which repeats an earlier error
	if e.Next != nil || e.End != nil {
		err = a.w.Flush()
	}
	return err
}

// checksum returns the end of a line.
func checksum(body []byte) string {
	return fmt.Sprintf(`,"crc32":"%08x"}`+"\n", crc32.ChecksumIEEE(body))
}

// An archiveReader reads the file and checks it.
type archiveReader struct {
	r      *bufio.Reader
	line   int   // the number of the line that was read last
	offset int64 // behind it
	start  heading
	tally  tally
	ended  bool
}

func newArchiveReader(r io.Reader) *archiveReader {
	return &archiveReader{r: bufio.NewReaderSize(r, 1<<16)}
}

// A torn is what is wrong with a file that was not written to its end: it can go
// on from a mark before.
type torn string

func (t torn) Error() string { return string(t) }

const beginning = `{"parley_export":`

// next returns the next line. Behind the last one it returns io.EOF, when all of
// the file is as it was written.
func (a *archiveReader) next() (entry, error) {
	if a.line == 0 {
		if head, err := a.r.Peek(len(beginning)); err != nil && err != io.EOF {
			return entry{}, err
		} else if len(head) > 0 && string(head) != beginning {
			return entry{}, errors.New("line 1 is not the beginning of an export; name a file that \"parley export\" wrote")
		}
	}
	line, err := a.r.ReadBytes('\n')
	switch {
	case err == io.EOF && len(line) == 0 && a.ended:
		return entry{}, io.EOF
	case err == io.EOF:
		return entry{}, torn(fmt.Sprintf("the file is cut off in line %d; copy it again, or have the export go on: parley export --resume --output FILE", a.line+1))
	case err != nil:
		return entry{}, err
	}
	a.line++
	if a.ended {
		return entry{}, fmt.Errorf("line %d stands behind the end of the export; copy the file again, or export again", a.line)
	}
	e, err := a.decode(line)
	if err != nil {
		return entry{}, err
	}
	a.offset += int64(len(line))
	a.ended = e.End != nil
	return e, a.tally.add(e)
}

// decode checks a line, and what it is.
func (a *archiveReader) decode(line []byte) (e entry, err error) {
	body := line[:max(0, len(line)-len(checksum(nil)))]
	if !strings.HasSuffix(string(line), checksum(body)) {
		return e, torn(fmt.Sprintf("line %d is damaged; copy the file again, or export again", a.line))
	}
	err = json.Unmarshal(append(bytes.Clone(body), '}'), &e)
	switch {
	case e.Start != nil && e.Start.Version > archiveVersion:
		return e, fmt.Errorf("line %d: the export has version %d, of a newer Parley, and this one knows version %d; import it with that Parley", a.line, e.Start.Version, archiveVersion)
	case err != nil:
		return e, fmt.Errorf("line %d cannot be read: %w", a.line, err)
	case (e.Start != nil) != (a.line == 1), e == entry{}, e.Turn != nil && e.Turn.Reply == nil:
		return e, fmt.Errorf("line %d is not what stands in an export; export again", a.line)
	case e.End != nil && *e.End != a.tally, e.Next != nil && e.Next.Before != a.tally:
		return e, fmt.Errorf("lines before line %d are missing or stand there twice; copy the file again, or export again", a.line)
	case e.Start != nil:
		a.start = *e.Start
	}
	return e, nil
}
