package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

// submitted returns a store with submissions, one a minute.
func submitted(t *testing.T, all ...parley.Submission) parley.Store {
	t.Helper()
	store := parley.NewMemory()
	for i, s := range all {
		s.ID = fmt.Sprintf("id%d", i+1)
		s.Time = time.Date(2026, 11, 23, 16, i, 0, 0, time.FixedZone("somewhere", 3600))
		if _, err := store.Submit(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// survey is a configuration with a form beside the contact form.
var survey = &config.Config{Forms: map[string]parley.Form{"survey": {Fields: []parley.Field{
	{ID: "rating", Type: "radio", Label: "Rating"},
	{ID: "likes", Type: "checkbox", Label: "Likes"},
}}}}

func TestCSVHasAColumnForEachField(t *testing.T) {
	store := submitted(t,
		parley.Submission{Form: "contact", Values: parley.Values{"message": "Hi, \"you\"\nthere", "name": "Ada", "email": "ada@example.com"}},
		parley.Submission{Form: "survey", Values: parley.Values{"likes": []string{"a", "b"}, "rating": "good", "withdrawn": true}},
	)
	for form, want := range map[string]string{
		"": "seq,id,form,time,name,email,message,rating,likes,withdrawn\r\n" +
			"1,id1,contact,2026-11-23T15:00:00Z,Ada,ada@example.com,\"Hi, \"\"you\"\"\r\nthere\",,,\r\n" +
			"2,id2,survey,2026-11-23T15:01:00Z,,,,good,\"a, b\",true\r\n",
		"survey": "seq,id,form,time,rating,likes,withdrawn\r\n" +
			"2,id2,survey,2026-11-23T15:01:00Z,good,\"a, b\",true\r\n",
		"other": "seq,id,form,time\r\n",
	} {
		var got strings.Builder
		if err := writeCSV(t.Context(), &got, survey, store, form); err != nil {
			t.Fatal(err)
		}
		if got.String() != want {
			t.Errorf("the CSV of form %q is\n%q\nwant\n%q", form, got.String(), want)
		}
	}
}

func TestCSVIsNoFormula(t *testing.T) {
	for _, tc := range []struct{ value, want string }{
		{"=1+1", "'=1+1"},
		{"+4930123", "'+4930123"},
		{"-1", "'-1"},
		{"@SUM(A1)", "'@SUM(A1)"},
		{"\t=1", "'\t'=1"},
		{"\tx", "'\tx"},
		{"\rx", "'x"},
		{"  =1", "'  =1"},
		{"\u00a0\u3000=1", "'\u00a0\u3000=1"},
		{"\u200b\ufeff=1", "'\u200b\ufeff=1"},
		{"\x00=1", "'\x00=1"},
		{"＝1", "'＝1"}, {"＋1", "'＋1"}, {"－1", "'－1"}, {"＠x", "'＠x"},
		{"x;=1", "x;'=1"},
		{"x\n=1", "x\n'=1"},
		{"x\r\n =1", "x\r\n '=1"},
		{"a = b", "a = b"},
		{"ada@example.com", "ada@example.com"},
		{"1-2", "1-2"},
		{"", ""},
		{"'=1", "'=1"},
		{"ünï 漢字", "ünï 漢字"},
	} {
		store := submitted(t, parley.Submission{Form: "contact", Values: parley.Values{"message": tc.value, tc.value + "key": "x"}})
		var out strings.Builder
		if err := writeCSV(t.Context(), &out, survey, store, ""); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil {
			t.Fatalf("%q is not CSV: %v", out.String(), err)
		}
		// Readers of CSV make \n of \r\n.
		if got, want := rows[1][4], strings.ReplaceAll(tc.want, "\r\n", "\n"); got != want {
			t.Errorf("%q becomes %q; want %q", tc.value, got, want)
		}
		if got, want := rows[0][5], strings.ReplaceAll(tc.want, "\r\n", "\n")+"key"; got != want {
			t.Errorf("the heading %qkey becomes %q; want %q", tc.value, got, want)
		}
	}
}

func TestJSONHasEverythingAsSent(t *testing.T) {
	store := submitted(t,
		parley.Submission{Form: "contact", Values: parley.Values{"name": "=1+1\u2028\"<b>"}},
		parley.Submission{Form: "survey", Values: parley.Values{"likes": []string{"a"}, "agreed": true}},
	)
	var out strings.Builder
	if err := writeJSON(t.Context(), &out, survey, store, ""); err != nil {
		t.Fatal(err)
	}
	var got []parley.Submission
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatalf("%s is not JSON: %v", out.String(), err)
	}
	want, err := store.Submissions(t.Context(), "", 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if fmt.Sprint(got[i].Values) != fmt.Sprint(want[i].Values) || !got[i].Time.Equal(want[i].Time) || got[i].Seq != want[i].Seq {
			t.Errorf("submission %d is %+v; want %+v", i, got[i], want[i])
		}
	}
	out.Reset()
	if err := writeJSON(t.Context(), &out, survey, parley.NewMemory(), ""); err != nil || out.String() != "[]\n" {
		t.Errorf("no submissions become %q, %v; want []", out.String(), err)
	}
}

func TestExportReadsInParts(t *testing.T) {
	const many = 1201
	all := make([]parley.Submission, many)
	for i := range all {
		all[i] = parley.Submission{Form: "contact", Values: parley.Values{"name": fmt.Sprint("n", i+1)}}
	}
	store := submitted(t, all...)
	var out strings.Builder
	if err := writeCSV(t.Context(), &out, survey, store, "contact"); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
	if err != nil || len(rows) != many+1 {
		t.Fatalf("%d submissions become %d rows, %v; want a row for each and the headings", many, len(rows), err)
	}
	for i, row := range rows[1:] {
		if want := fmt.Sprint("n", i+1); row[4] != want {
			t.Fatalf("row %d has %q; want %q", i+1, row[4], want)
		}
	}
}

func TestListIsSafeForTerminals(t *testing.T) {
	s := parley.Submission{Form: "contact", Values: parley.Values{"message": "\x1b[2Jgone\u202e\nnew line", "name": strings.Repeat("x", 500)}}
	got := summary(s, []string{"name", "message"})
	for _, r := range got {
		if r < ' ' || r == '\u202e' || r == '\x7f' {
			t.Errorf("the summary %q has %q, which a terminal obeys", got, r)
		}
	}
	if !strings.HasPrefix(got, "name: xxx") || len(got) > 200 {
		t.Errorf("the summary is %q; want the name first, shortened", got)
	}
}
