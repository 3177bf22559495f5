package parley

import (
	"fmt"
	"slices"
	"strings"
)

// A Form asks for values: content_type "form". As a [Content] it is shown to a
// visitor; given to [Config.Forms] it is also an endpoint that takes, checks
// and stores what visitors fill in. One to twenty fields.
type Form struct {
	Title       string  `json:"title,omitempty"`
	Description string  `json:"description,omitempty"`
	SubmitLabel string  `json:"submitLabel,omitempty"` // a client shows "Submit" where it is empty
	SubmitURL   string  `json:"submitUrl,omitempty"`   // http, https, or a path
	Fields      []Field `json:"fields"`
}

// A Field is one value of a form. ID, type and label are required.
type Field struct {
	ID          string      `json:"id"`
	Type        string      `json:"type"` // one of FieldTypes
	Label       string      `json:"label"`
	Placeholder string      `json:"placeholder,omitempty"`
	Required    bool        `json:"required,omitempty"`
	Options     []Option    `json:"options,omitempty"` // for select and radio; for checkbox it makes a list of boxes
	Validation  *Validation `json:"validation,omitempty"`
	MaxLength   int         `json:"maxLength,omitempty"` // in UTF-16 code units; 0 means 200, or 5000 in a textarea
}

// An Option is one choice of a select, radio or checkbox field.
type Option struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

// Validation is a rule for what a visitor types. The pattern is searched for,
// not matched in whole, as JavaScript's RegExp.test does: anchor it with ^ and $.
// For the endpoints of [Config.Forms] it must be RE2 syntax.
type Validation struct {
	Pattern string `json:"pattern,omitempty"`
	Message string `json:"message,omitempty"`
}

var fieldTypes = []string{"text", "email", "tel", "textarea", "select", "checkbox", "radio"}

// FieldTypes returns the types that a [Field] can have.
func FieldTypes() []string { return slices.Clone(fieldTypes) }

// ContentType returns "form".
func (f *Form) ContentType() string { return "form" }

// Validate reports every problem.
func (f *Form) Validate() error {
	var ps Problems
	if len(f.Fields) == 0 {
		ps.Add("fields", "needs at least one field")
	}
	if f.SubmitURL != "" {
		checkURI(&ps, "submitUrl", f.SubmitURL, "http", "https")
	}
	seen := map[string]bool{}
	for i, field := range f.Fields {
		path := fmt.Sprintf("fields[%d]", i)
		ps.AddAll(path, field.validate())
		if field.ID != "" && seen[field.ID] {
			ps.Add(path+".id", "%q is used twice", field.ID)
		}
		seen[field.ID] = true
	}
	return ps.Err()
}

func (f Field) validate() error {
	var ps Problems
	checkText(&ps, "id", f.ID)
	checkText(&ps, "label", f.Label)
	if !slices.Contains(fieldTypes, f.Type) {
		ps.Add("type", "%q is not a field type; use one of %s", f.Type, strings.Join(fieldTypes, ", "))
	}
	if len(f.Options) == 0 && (f.Type == "select" || f.Type == "radio") {
		ps.Add("options", "a %s field needs options to choose from", f.Type)
	}
	for i, o := range f.Options {
		checkText(&ps, fmt.Sprintf("options[%d].value", i), o.Value)
		checkText(&ps, fmt.Sprintf("options[%d].label", i), o.Label)
	}
	if f.MaxLength < 0 {
		ps.Add("maxLength", "%d is negative", f.MaxLength)
	}
	return ps.Err()
}

// PlainText returns the form's title and labels.
func (f *Form) PlainText() string {
	labels := make([]string, len(f.Fields))
	for i, field := range f.Fields {
		labels[i] = field.Label
	}
	title := f.Title
	if title == "" {
		title = "Form"
	}
	return fmt.Sprintf("[%s: %s]", title, strings.Join(labels, ", "))
}
