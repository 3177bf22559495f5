package parley

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ContactFormID is the id of the form that every Chat has, posted to
// /contact-form.
const ContactFormID = "contact"

// ContactForm returns the form that every Chat has: a name, an e-mail address
// and a message, all required.
func ContactForm() Form {
	return Form{
		Title:       "Contact us",
		Description: "Leave a message and we will write back.",
		SubmitLabel: "Send",
		Fields: []Field{
			{ID: "name", Type: "text", Label: "Your name", Required: true},
			{ID: "email", Type: "email", Label: "E-mail address", Required: true},
			{ID: "message", Type: "textarea", Label: "How can we help?", Required: true},
		},
	}
}

// FormPath returns the path to which the form with an id is posted.
func FormPath(id string) string {
	if id == ContactFormID {
		return "/contact-form"
	}
	return "/forms/" + id
}

// Values are what a visitor filled into a form, by field id: a string, a bool
// for a single checkbox, or a []string for a group of them.
type Values map[string]any

// UnmarshalJSON decodes lists as []string.
func (v *Values) UnmarshalJSON(data []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*v = make(Values, len(raw))
	for id, value := range raw {
		var list []string
		if json.Unmarshal(value, &list) == nil && list != nil {
			(*v)[id] = list
			continue
		}
		var single any
		if err := json.Unmarshal(value, &single); err != nil {
			return err
		}
		(*v)[id] = single
	}
	return nil
}

// formEndpoint takes the submissions of one form.
type formEndpoint struct {
	id       string
	fields   []Field
	patterns map[string]*regexp.Regexp // by field id
}

var formID = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)

// newFormEndpoints checks the forms and adds the contact form.
func newFormEndpoints(forms map[string]Form) (map[string]*formEndpoint, error) {
	endpoints := map[string]*formEndpoint{}
	var ps Problems
	add := func(id string, form Form) {
		endpoint, err := newFormEndpoint(id, form)
		ps.AddAll(id, err)
		endpoints[id] = endpoint
	}
	add(ContactFormID, ContactForm())
	for id, form := range forms {
		switch {
		case id == ContactFormID:
			ps.Add(id, "is built in; choose another id")
		case !formID.MatchString(id):
			ps.Add(id, "cannot be part of a path; write small letters, digits, - and _, at most 64")
		default:
			add(id, form)
		}
	}
	slices.SortStableFunc(ps, func(a, b Problem) int { return strings.Compare(a.Path, b.Path) })
	return endpoints, ps.Err()
}

func newFormEndpoint(id string, form Form) (*formEndpoint, error) {
	var ps Problems
	ps.AddAll("", form.Validate())
	e := &formEndpoint{id: id, fields: form.Fields, patterns: map[string]*regexp.Regexp{}}
	for i, f := range form.Fields {
		if f.Validation == nil || f.Validation.Pattern == "" {
			continue
		}
		pattern, err := regexp.Compile(f.Validation.Pattern)
		if err != nil {
			ps.Add(fmt.Sprintf("fields[%d].validation.pattern", i), "%v; write RE2 syntax, which has no look-around and no back-references", err)
			continue
		}
		e.patterns[f.ID] = pattern
	}
	return e, ps.Err()
}

func (c *Chat) serveForm(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if id == "" {
		id = ContactFormID
	}
	endpoint, ok := c.forms[id]
	if !ok {
		WriteError(w, errNotFound)
		return
	}
	object, err := readObject(w, r, maxFormBody)
	if err != nil {
		WriteError(w, err)
		return
	}
	values, problems := endpoint.check(object)
	if len(problems) > 0 {
		byField := map[string]string{}
		for _, p := range problems {
			byField[p.Path] = p.Reason
		}
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": problems[0].Reason, "errors": byField})
		return
	}
	if c.lanes.isDraining() {
		writeFormError(w, unavailable(errors.New("shutting down")))
		return
	}
	submission := Submission{ID: c.submissionID(r, id), Form: id, Values: values, Time: time.Now()}
	// A visitor who leaves now still has sent the form.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeTimeout)
	defer cancel()
	stored, err := c.store.Submit(ctx, submission)
	if err != nil {
		writeFormError(w, c.storeFailed("keep a submission", "", err))
		return
	}
	if !reflect.DeepEqual(stored.Values, values) {
		WriteError(w, errKeyReused)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"success": true,
		"message": "Thank you! We received your message and will respond soon.",
	})
}

// writeFormError answers a form that could not be kept.
func writeFormError(w http.ResponseWriter, err error) {
	e := asError(err)
	if e.Code == CodeUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, statusOf[e.Code], map[string]string{"error": apologyForm})
}

// submissionID returns the same id for the same Idempotency-Key of the same
// client, so that a form that is sent twice is kept once, and a new one for a
// request without a key.
func (c *Chat) submissionID(r *http.Request, form string) string {
	if key := idempotencyKeyOf(r); key != "" {
		return c.sessions.mac("form", clientOf(r), form, key)
	}
	return rand.Text()
}

// check holds what a visitor sent against the form. The problems are one a
// field, in the order in which the contract reports them: what is missing, then
// addresses that are none, then everything else, each in the form's order.
func (e *formEndpoint) check(object map[string]json.RawMessage) (Values, Problems) {
	values := Values{}
	var missing, badEmail, other Problems
	for _, f := range e.fields {
		value, given, ok := f.decode(object[f.ID])
		delete(object, f.ID)
		switch {
		case !ok:
			other.Add(f.ID, "%s has a value of the wrong type", f.ID)
		case !given && f.Required:
			missing.Add(f.ID, "%s is required", f.ID)
		case !given:
		default:
			values[f.ID] = value
			if reason := e.checkValue(f, value); reason == invalidEmail {
				badEmail.Add(f.ID, "%s", reason)
			} else if reason != "" {
				other.Add(f.ID, "%s", reason)
			}
		}
	}
	unknown := make([]string, 0, len(object))
	for id := range object {
		unknown = append(unknown, id)
	}
	slices.Sort(unknown)
	for _, id := range unknown {
		other.Add(id, "%s is not a field of this form", id)
	}
	return values, slices.Concat(missing, badEmail, other)
}

// decode returns a field's value. It is not given where it is absent, null,
// blank, false or an empty list, and not ok where it has a type that no such
// field can have.
func (f Field) decode(data json.RawMessage) (value any, given, ok bool) {
	if len(data) == 0 || string(data) == "null" {
		return nil, false, true
	}
	if f.Type != "checkbox" {
		text, ok := jsonString(data)
		return text, !isBlank(text), ok
	}
	if len(f.Options) == 0 {
		var checked bool
		err := json.Unmarshal(data, &checked)
		return checked, checked, err == nil
	}
	var chosen []string
	err := json.Unmarshal(data, &chosen)
	return chosen, len(chosen) > 0, err == nil
}

const invalidEmail = "Invalid email format"

// emailAddress is the contract's expression, with white space as JavaScript
// understands it.
var emailAddress = regexp.MustCompile(`^[^\s\v\p{Z}\x{FEFF}@]+@[^\s\v\p{Z}\x{FEFF}@]+\.[^\s\v\p{Z}\x{FEFF}@]+$`)

// checkValue returns what is wrong with a value that was given, or nothing.
func (e *formEndpoint) checkValue(f Field, value any) string {
	switch v := value.(type) {
	case []string:
		for _, chosen := range v {
			if !f.hasOption(chosen) {
				return f.ID + " has a value that is not one of its options"
			}
		}
	case string:
		pattern := e.patterns[f.ID]
		switch {
		case utf16Len(v) > f.maxLength():
			return fmt.Sprintf("%s is too long: at most %d characters", f.ID, f.maxLength())
		case f.Type == "email" && !emailAddress.MatchString(v):
			return invalidEmail
		case len(f.Options) > 0 && !f.hasOption(v):
			return f.ID + " has a value that is not one of its options"
		case pattern != nil && !pattern.MatchString(v) && f.Validation.Message != "":
			return f.Validation.Message
		case pattern != nil && !pattern.MatchString(v):
			return f.ID + " is not valid"
		}
	}
	return ""
}

func (f Field) hasOption(value string) bool {
	return slices.ContainsFunc(f.Options, func(o Option) bool { return o.Value == value })
}

func (f Field) maxLength() int {
	switch {
	case f.MaxLength > 0:
		return f.MaxLength
	case f.Type == "textarea":
		return 5000
	}
	return 200
}
