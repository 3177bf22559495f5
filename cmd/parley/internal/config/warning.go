package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/parley-chat/parley"
)

// A Risk is a setting whose value relaxes something, or gives something away.
type Risk struct {
	Setting     string // "SESSION_BINDING=off"
	Origin      string // "parley.yaml:3:18"
	Consequence string // what follows from it
}

// Risks returns every setting whose value relaxes something.
func (c *Config) Risks() []Risk {
	var risks []Risk
	for _, s := range declared {
		if s.consequence == "" {
			continue
		}
		value := c.value(s)
		if slices.Contains(strings.Split(value, ","), s.risk) {
			risks = append(risks, Risk{s.Env + "=" + value, c.Origin(s.Name), s.consequence})
		}
	}
	for _, s := range c.Services {
		if risk, ok := c.eavesdropping(s); ok {
			risks = append(risks, risk)
		}
	}
	return risks
}

// warn adds warnings about a script that works.
func (l *loader) warn(s *script) {
	for id, form := range s.Forms {
		l.warnContent(s, "forms."+id, &form)
		if form.SubmitURL != "" {
			l.warning(s, "forms."+id+".submitUrl", "counts for nothing: the form is posted to %s; leave it out", parley.FormPath(id))
		}
	}
	for _, r := range s.Rules {
		for _, reply := range r.all() {
			l.warnContent(s, reply.path, reply.Content)
		}
	}
	for _, reply := range s.Default {
		l.warnContent(s, reply.path, reply.Content)
	}
	if l.config.Rules != nil && len(s.Rules) <= 1000 { // the work grows with the square
		l.warnHidden(s)
	}
}

func (l *loader) warning(s *script, path, reason string, args ...any) {
	n, path := s.doc.locate(path)
	l.config.Warnings = append(l.config.Warnings, s.doc.problem(n, path, fmt.Sprintf(reason, args...)))
}

// warnContent warns about content that is larger than the wire contract advises,
// and about a form that goes nowhere.
func (l *loader) warnContent(s *script, path string, c parley.Content) {
	count, most, what := 0, 0, ""
	switch c := c.(type) {
	case *parley.Form:
		count, most, what = len(c.Fields), 20, "fields"
		if c.SubmitURL == "" && !strings.HasPrefix(path, "forms.") {
			l.warning(s, path, "shows a form without a submitUrl, which is sent nowhere; declare the form under forms and write form: with its id")
		}
	case *parley.Cards:
		count, most, what = len(c.Cards), 10, "cards"
	case *parley.Articles:
		count, most, what = len(*c), 5, "articles"
	case *parley.QuickReplies:
		count, most, what = len(c.Responses), 5, "quick replies"
	}
	if count > most {
		l.warning(s, path, "has %d %s; more than %d are hard to take in", count, what, most)
	}
}

// warnHidden warns about rules that never answer, because earlier ones answer
// all that they are for.
func (l *loader) warnHidden(s *script) {
	patterns := map[string]int{}
	for i, r := range s.Rules {
		if first, ok := patterns[r.Pattern]; ok && r.Pattern != "" && r.Value == "" {
			l.warning(s, fmt.Sprintf("rules[%d].pattern", i), "never answers, because %s comes first", s.nameOf(first))
		}
		if len(r.Any) == 0 && len(r.All) == 0 && r.Pattern != "" {
			patterns[r.Pattern] = i
		}
		if hiding := l.hiding(s, i); len(hiding) > 0 {
			l.warning(s, fmt.Sprintf("rules[%d]", i), "never answers, because %s comes first", strings.Join(hiding, ", "))
		}
	}
}

// hiding returns the names of the rules that together answer every prompt that
// a rule is for, or nothing where it has prompts of its own.
func (l *loader) hiding(s *script, i int) []string {
	r := s.Rules[i]
	hiding := map[string]bool{}
	hidden := func(said string, whole bool) bool {
		first, _, ok := l.config.Rules.Match(&parley.Turn{Prompt: said})
		if !ok || first >= i {
			return false
		}
		e := s.Rules[first]
		if !whole && (len(e.All) > 0 || e.Pattern != "" || r.Part && !e.Part || e.Value != "") {
			return false // it may answer this and not all that contains it
		}
		hiding[s.nameOf(first)] = true
		return true
	}
	part := func(keyword string) bool { return hidden(keyword, false) }
	hasKeywords := len(r.Any)+len(r.All) > 0
	switch {
	case !hasKeywords && r.Pattern != "":
		return nil
	case hasKeywords && !slices.ContainsFunc(r.All, part) && (len(r.Any) == 0 || !all(r.Any, part)):
		return nil
	case r.Value != "" && !hidden(r.Value, true):
		return nil
	}
	return slices.Sorted(maps.Keys(hiding))
}

func all(list []string, ok func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !ok(s) })
}
