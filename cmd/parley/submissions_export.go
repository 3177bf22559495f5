package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"github.com/parley-chat/parley"
	"github.com/parley-chat/parley/cmd/parley/internal/config"
)

// writeCSV writes submissions as CSV (RFC 4180): a line for each, with a column
// for each field that occurs. It reads them twice, first for the columns.
func writeCSV(ctx context.Context, w io.Writer, cfg *config.Config, store parley.SubmissionStore, form string) error {
	ids := map[string]bool{}
	last := int64(0)
	for s, err := range submissions(ctx, store, form) {
		if err != nil {
			return err
		}
		for id := range s.Values {
			ids[id] = true
		}
		last = s.Seq
	}
	fields := columns(fieldOrder(cfg, form), ids)
	table := csv.NewWriter(w)
	table.UseCRLF = true
	if err := table.Write(cells(append([]string{"seq", "id", "form", "time"}, fields...))); err != nil {
		return err
	}
	for s, err := range submissions(ctx, store, form) {
		if err != nil {
			return err
		}
		if s.Seq > last { // arrived since, perhaps with other fields
			break
		}
		row := []string{strconv.FormatInt(s.Seq, 10), s.ID, s.Form, s.Time.UTC().Format(time.RFC3339)}
		for _, id := range fields {
			value, ok := s.Values[id]
			if !ok {
				value = ""
			}
			row = append(row, text(value))
		}
		if err := table.Write(cells(row)); err != nil {
			return err
		}
	}
	table.Flush()
	return table.Error()
}

// A spreadsheet may take a cell for a formula by its first character that is
// neither white space nor invisible, full-width forms included. One that parts
// cells by a semicolon or a tab, as spreadsheets do in many countries, may see
// the beginning of a cell within one of ours.
var (
	formula       = regexp.MustCompile(`^([\p{Z}\p{C}]*[=+\-@＝＋－＠]|[\t\r])`)
	formulaWithin = regexp.MustCompile(`([;\t\r\n][\p{Z}\p{C}]*)([=+\-@＝＋－＠])`)
)

// cells makes the cells of a row harmless: a ' makes text of a formula.
func cells(row []string) []string {
	for i, cell := range row {
		cell = formulaWithin.ReplaceAllString(cell, "$1'$2")
		row[i] = formula.ReplaceAllString(cell, "'$1")
	}
	return row
}

// writeJSON writes submissions as a JSON array, one at a time.
func writeJSON(ctx context.Context, w io.Writer, _ *config.Config, store parley.SubmissionStore, form string) error {
	before := "[\n"
	for s, err := range submissions(ctx, store, form) {
		if err != nil {
			return err
		}
		data, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("submission %d: %w", s.Seq, err)
		}
		if _, err := fmt.Fprintf(w, "%s%s", before, data); err != nil {
			return err
		}
		before = ",\n"
	}
	if before == "[\n" {
		_, err := fmt.Fprintln(w, "[]")
		return err
	}
	_, err := fmt.Fprintln(w, "\n]")
	return err
}
