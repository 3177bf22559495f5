package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parse returns the value that text, or a list of texts, stands for. What is
// wrong with it is a reason, and what could be written instead; neither
// contains a secret.
func (s Setting) parse(texts []string) (value reflect.Value, reason, instead string) {
	text := strings.Join(texts, ",")
	var v any
	switch s.typ {
	case reflect.TypeFor[int]():
		v, reason = parseInt(text)
	case reflect.TypeFor[*float64]():
		v, reason = parseFloat(text)
	case reflect.TypeFor[bool]():
		v, reason = parseBool(text)
	case reflect.TypeFor[time.Duration]():
		v, reason, instead = parseDuration(text)
	case reflect.TypeFor[[]string]():
		v = parseList(texts)
	case reflect.TypeFor[Secret]():
		v = Secret{text}
	case reflect.TypeFor[DatabaseURL]():
		v = DatabaseURL(strings.TrimSpace(text))
	case reflect.TypeFor[Headers]():
		v, reason = parseHeaders(text)
	default:
		v = text
	}
	if reason == "" {
		reason, instead = s.checkRange(v)
	}
	if reason != "" && instead == "" {
		instead = s.suggestion()
	}
	return reflect.ValueOf(v), reason, instead
}

// checkRange holds a value against min, max and oneof.
func (s Setting) checkRange(v any) (reason, instead string) {
	if len(s.Choices) > 0 && !slices.Contains(s.Choices, fmt.Sprint(v)) {
		choice := Suggest(fmt.Sprint(v), s.Choices)
		return fmt.Sprintf("%q is not one of %s", v, strings.Join(s.Choices, ", ")), choice
	}
	if s.Min != "" && number(v) < s.bound(s.Min) {
		return fmt.Sprintf("%s is too small: at least %s", Format(v), s.Min), s.Min
	}
	if s.Max != "" && number(v) > s.bound(s.Max) {
		return fmt.Sprintf("%s is too large: at most %s", Format(v), s.Max), s.Max
	}
	return "", ""
}

// bound parses a limit of the declaration.
func (s Setting) bound(text string) float64 {
	if s.typ == reflect.TypeFor[time.Duration]() {
		d, _, _ := parseDuration(text)
		return float64(d)
	}
	n, _ := parseFloat(text)
	return *n
}

func number(v any) float64 {
	switch v := v.(type) {
	case time.Duration:
		return float64(v)
	case *float64:
		return *v
	}
	return float64(v.(int))
}

func parseInt(text string) (n int, reason string) {
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		return 0, fmt.Sprintf("%q is not a whole number", text)
	}
	return n, ""
}

// parseFloat returns a pointer, because no value and 0 are two things.
func parseFloat(text string) (f *float64, reason string) {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(n) {
		return nil, fmt.Sprintf("%q is not a number", text)
	}
	return &n, ""
}

func parseBool(text string) (b bool, reason string) {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "true", "yes", "on", "1":
		return true, ""
	case "false", "no", "off", "0":
		return false, ""
	}
	return false, fmt.Sprintf("%q is neither true nor false", text)
}

// parseDuration is [time.ParseDuration] with days: "30d", "1d12h".
func parseDuration(text string) (d time.Duration, reason, instead string) {
	text = strings.TrimSpace(text)
	if _, err := strconv.Atoi(text); err == nil {
		return 0, fmt.Sprintf("%q has no unit", text), text + "s"
	}
	days, rest, hasDays := strings.Cut(text, "d")
	if !hasDays {
		days, rest = "0", text
	}
	n, err := strconv.ParseInt(days, 10, 64)
	if err == nil && (n < 0 || n > math.MaxInt64/int64(24*time.Hour)) {
		return 0, fmt.Sprintf("%q is out of range", text), ""
	}
	d = time.Duration(n) * 24 * time.Hour
	if err == nil && (rest != "" || !hasDays) {
		var more time.Duration
		more, err = time.ParseDuration(rest)
		d += more
	}
	if err != nil {
		return 0, fmt.Sprintf("%q is not a duration such as 90s, 15m, 1h or 30d", text), ""
	}
	return d, "", ""
}

// parseList takes lists with commas apart and leaves out what is empty.
func parseList(texts []string) []string {
	var list []string
	for _, text := range texts {
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
	}
	return list
}

// Format returns a value as one could write it.
func Format(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return formatDuration(v)
	case []string:
		return strings.Join(v, ",")
	case *float64:
		if v == nil {
			return ""
		}
		return fmt.Sprint(*v)
	}
	return fmt.Sprint(v)
}

// formatDuration writes a duration without the units that are zero.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
