package bot

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/unicode/rangetable"
)

// words returns the folded words of s in a row, with a space before and after
// each: " opening hours ". A phrase stands in a text as whole words when its
// words are a part of the text's words.
//
// A word is a run of letters and digits, with their marks. A symbol (👍, +, €)
// is a word of its own. So is each letter of a script that is written without
// spaces: where words end cannot be seen there, so a keyword is found anywhere.
func words(s string) string {
	folded := fold(s)
	b := append(make([]byte, 0, len(folded)+2), ' ')
	alone := false // the last word takes no more letters
	for _, r := range folded {
		switch {
		case unicode.IsMark(r): // goes with the letter before it
		case unicode.IsSymbol(r), unicode.Is(unspaced, r):
			b, alone = endWord(b), true
		case unicode.IsLetter(r), unicode.IsNumber(r):
			if alone {
				b, alone = endWord(b), false
			}
		default:
			b = endWord(b)
			continue
		}
		b = utf8.AppendRune(b, r)
	}
	return string(endWord(b))
}

func endWord(b []byte) []byte {
	if b[len(b)-1] == ' ' {
		return b
	}
	return append(b, ' ')
}

// unspaced are the scripts that put no space between words.
var unspaced = rangetable.Merge(unicode.Han, unicode.Hiragana, unicode.Katakana,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)

// fold makes texts equal that differ only in case, accents and other ways of
// writing the same letters: "Ünïcode" and "unicode", "STRASSE" and "straße".
// It is compatibility decomposition, full case folding (the Unicode Standard,
// sections 3.11 and 3.13), and the loss of accents.
func fold(s string) string {
	if isASCII(s) {
		return strings.ToLower(s)
	}
	s = strings.Map(dropAccent, norm.NFKD.String(s))
	s = cases.Fold().String(s)
	return norm.NFC.String(barred.Replace(s))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// barred are letters whose accent is a part of them, which decomposition leaves
// alone. The dotless ı counts as an i, so that Turkish words match in capitals,
// where I is the capital of ı in Turkish and of i elsewhere.
var barred = strings.NewReplacer(
	"ı", "i", "ø", "o", "ł", "l", "đ", "d", "ħ", "h", "ŧ", "t", "æ", "ae", "œ", "oe",
)

// dropAccent drops accents and characters that nobody sees.
func dropAccent(r rune) rune {
	if r < 0x80 {
		return r
	}
	if isAccent(r) || unicode.Is(unicode.Cf, r) {
		return -1
	}
	return r
}

// isAccent reports whether r is a mark that people leave out when they are in a
// hurry: the accents that many scripts share, and the points of Hebrew and
// Arabic. Other marks are as good as letters: without its vowel signs a Thai or
// Hindi word is another word, and so is a Japanese one without its voicing.
func isAccent(r rune) bool {
	const voiced, semiVoiced = '\u3099', '\u309A'
	return unicode.In(r, unicode.Mn, unicode.Me) && r != voiced && r != semiVoiced &&
		unicode.In(r, unicode.Inherited, unicode.Hebrew, unicode.Arabic)
}
