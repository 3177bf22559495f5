package parley

import (
	"iter"
	"strings"
)

// guessable reports whether a session id may be one that another could guess:
// all but UUIDs of random bits and ids that look like 22 random characters or
// more. A wrong yes costs a visitor who changes networks the thread; a wrong no
// could cost somebody's privacy, so doubt means yes.
//
// What people and programs make up consists of words, numbers, dates and
// repetition. So those count for nothing, and the characters that are left must
// be many: how many, is measured so that fewer than one in fifty of the usual
// random ids fail (the figures are in the tests).
func guessable(id string) bool {
	if len(id) < 22 || strings.ContainsAny(id, " @") {
		return true
	}
	if uuid := findRandomUUID(id); uuid != "" {
		id = strings.ReplaceAll(uuid, "-", "")
	}
	longest, joined := "", make([]byte, 0, maxSessionID)
	for piece := range alphanumeric(id) {
		if len(piece) > len(longest) {
			longest = piece
		}
		if len(piece) >= 4 {
			joined = append(joined, piece...)
		}
	}
	if used := uses(longest); len(longest) >= 22 && used&bothCases != bothCases {
		switch {
		case used&digit == 0:
			return true
		case used&notHex == 0:
			return len(longest) < 32 || irregular(longest) < 6
		}
		return irregular(longest) < 9
	}
	switch used := uses(id); {
	case used&bothCases != bothCases:
		return true
	case used&digit == 0:
		return irregular(joined) < 15
	}
	return irregular(joined) < 10
}

// findRandomUUID returns the first UUID in s of a version that is filled with
// random bits, 4 (RFC 9562, section 5.4) or 7 (section 5.7), or nothing.
func findRandomUUID(s string) string {
	const form = "xxxxxxxx-xxxx-Vxxx-Nxxx-xxxxxxxxxxxx"
	for ; len(s) >= len(form); s = s[1:] {
		i := 0
		for ; i < len(form); i++ {
			ok := false
			switch c := s[i]; form[i] {
			case '-':
				ok = c == '-'
			case 'V':
				ok = c == '4' || c == '7'
			case 'N':
				ok = strings.IndexByte("89abAB", c) >= 0
			default:
				ok = classOf(c)&(digit|small|capital) != 0 && classOf(c)&notHex == 0
			}
			if !ok {
				break
			}
		}
		if i == len(form) {
			return s[:i]
		}
	}
	return ""
}

// What characters can be.
const (
	digit = 1 << iota
	small
	capital
	notHex // a letter beyond f

	bothCases = small | capital
)

// classOf returns what an ASCII character is, and nothing for one that is
// neither letter nor digit.
func classOf(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return digit
	case 'a' <= c && c <= 'f':
		return small
	case 'A' <= c && c <= 'F':
		return capital
	case 'g' <= c && c <= 'z':
		return small | notHex
	case 'G' <= c && c <= 'Z':
		return capital | notHex
	}
	return 0
}

// uses returns everything that characters of s are.
func uses(s string) int {
	used := 0
	for i := range len(s) {
		used |= classOf(s[i])
	}
	return used
}

// alphanumeric yields the parts of s that are ASCII letters and digits only.
func alphanumeric(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		begin := 0
		for i := 0; i <= len(s); i++ {
			if i < len(s) && classOf(s[i]) != 0 {
				continue
			}
			if begin < i && !yield(s[begin:i]) {
				return
			}
			begin = i + 1
		}
	}
}

// irregular counts the characters of s, letters and digits, that belong to no
// word and no number of four digits or more. Text that counts or repeats itself
// has none.
func irregular[S string | []byte](s S) int {
	if repeats(s) {
		return 0
	}
	n := 0
	for begin := 0; begin < len(s); {
		end := begin + 1
		class := classOf(s[begin]) &^ notHex
		if class == capital && end < len(s) && classOf(s[end])&small != 0 {
			class = small // a capital and small letters are one word
		}
		for end < len(s) && classOf(s[end])&class != 0 {
			end++
		}
		if part := s[begin:end]; (class == digit && len(part) < 4) || (class != digit && !readable(part)) {
			n += len(part)
		}
		begin = end
	}
	return n
}

// repeats reports whether s counts or repeats itself, as "0001", "abcabc" and
// "a1b2c3" do: characters one or two apart then differ by few amounts.
func repeats[S string | []byte](s S) bool {
	for gap := 1; gap <= 2; gap++ {
		var seen [256]bool
		steps := 0
		for i := gap; i < len(s); i++ {
			if step := s[i] - s[i-gap]; !seen[step] {
				seen[step] = true
				steps++
			}
		}
		if 3*steps < len(s) {
			return true
		}
	}
	return false
}

// readable reports whether letters look like words: whether three in ten of
// their pairs are common ones. Of the pairs of random letters it is one in seven.
func readable[S string | []byte](letters S) bool {
	if len(letters) < 3 {
		return false
	}
	common := 0
	for i := 1; i < len(letters); i++ {
		if commonPairs[letters[i-1]&31][letters[i]&31] {
			common++
		}
	}
	return 10*common >= 3*(len(letters)-1)
}

// commonPairs are the hundred most common pairs of letters in English words, by
// the places of the letters in the alphabet.
var commonPairs = func() (set [32][32]bool) {
	const pairs = `in er re te es st ti at le en al ed on nt se ng an ar ra or
		de et it ea ta tr ac co li ri ne un ro lo ma me ca ec ll ce
		nd si pa ck pr ad oc pe as ns is ch ve io na ge nc ic ex fi
		he ts ct la el di rs to il im ap em ss bl ep rt ke ni mp ab
		th sc ou ee ha us po mi ol om ig no sp ut ly rr am ot id os`
	for _, pair := range strings.Fields(pairs) {
		set[pair[0]&31][pair[1]&31] = true
	}
	return set
}()
