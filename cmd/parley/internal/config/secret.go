package config

import (
	"fmt"
	"io"
	"regexp"
)

// Secret is a value that is never shown: whatever prints it prints a
// placeholder. Its setting can also be read from a file, which NAME_FILE names,
// and its only flag names that file, because the flags of a program can be
// seen by everybody on the computer.
type Secret struct{ text string }

// Reveal returns the value itself, for the one place that needs it.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.text == "" }

// String returns a placeholder, or nothing where there is no value.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "[secret]"
}

// Format prints String for every verb.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText returns String, for JSON and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A DatabaseURL says where a store is. It may contain a password, which it does
// not print; as a string it has everything.
type DatabaseURL string

// String returns the URL without its password.
func (u DatabaseURL) String() string {
	text := passwords.ReplaceAllString(string(u), "$1[secret]$2")
	return parameters.ReplaceAllString(text, "$1[secret]")
}

// Where passwords are in a URL: before its last @, because not every driver wants
// them to be escaped, or in a parameter.
var (
	passwords  = regexp.MustCompile(`(://[^:/?#@]*:).*(@)`)
	parameters = regexp.MustCompile(`(?i)([?&][a-z_]*password=)[^&#]*`)
)

// Format prints String for every verb.
func (u DatabaseURL) Format(f fmt.State, _ rune) { io.WriteString(f, u.String()) }

// MarshalText returns String, for JSON and logs.
func (u DatabaseURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }
