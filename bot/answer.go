package bot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"regexp"
	"slices"

	"github.com/parley-chat/parley"
)

// Say returns a bot that has the same to say to every prompt, as the last of a
// chain does. Several replies take turns as those of a [Rule] do. The replies
// may hold {{prompt}} and {{base_url}}. The error is [parley.Problems], with
// paths such as "[0].output".
func Say(replies ...parley.Reply) (parley.Bot, error) {
	as, err := newAnswers(replies, placeholderNames(nil))
	if err != nil {
		return nil, err
	}
	return as, nil
}

// answers are replies that take turns.
type answers []answer

// newAnswers prepares replies that may hold the placeholders of the given names.
func newAnswers(replies []parley.Reply, names map[string]int) (answers, error) {
	var ps parley.Problems
	if len(replies) == 0 {
		ps.Add("", "needs at least one reply")
	}
	as := make(answers, len(replies))
	for i, reply := range replies {
		var err error
		as[i], err = newAnswer(reply, names)
		ps.AddAll(fmt.Sprintf("[%d]", i), err)
	}
	return as, ps.Err()
}

// Reply implements [parley.Bot].
func (as answers) Reply(_ context.Context, turn *parley.Turn, _ func(string)) (parley.Reply, error) {
	return as.reply(turn, nil), nil
}

// reply returns the reply for a turn, with the groups of a pattern, if any.
func (as answers) reply(turn *parley.Turn, pattern *regexp.Regexp) parley.Reply {
	session := fnv.New32a()
	session.Write([]byte(turn.Session))
	i := (uint64(session.Sum32()) + uint64(turn.Seq)) % uint64(len(as))
	if as[i].wire == nil {
		return as[i].reply
	}
	var groups []string
	if pattern != nil {
		groups = pattern.FindStringSubmatch(turn.Prompt)
	}
	return as[i].fill(func(i int) string {
		switch {
		case i == promptValue:
			return turn.Prompt
		case i == baseURLValue:
			return turn.BaseURL
		case i < len(groups):
			return groups[i]
		}
		return ""
	})
}

// An answer is a reply that has been checked.
type answer struct {
	reply parley.Reply // as it was written
	// wire is the decoded JSON of a reply that has placeholders, with a
	// *template for each string that holds one. The wire format has every string
	// of every kind of content, so none is left out.
	wire map[string]any
}

// newAnswer prepares a reply, and reports every problem that it could have,
// whatever its values.
func newAnswer(reply parley.Reply, names map[string]int) (answer, error) {
	data, err := reply.MarshalJSON()
	if err != nil {
		return answer{}, err
	}
	if !bytes.Contains(data, []byte("{{")) {
		return answer{reply: reply}, reply.Validate()
	}
	if err := json.Unmarshal(data, new(parley.Reply)); err != nil {
		return answer{}, err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber() // numbers go out as they were written
	var wire map[string]any
	if err := dec.Decode(&wire); err != nil {
		return answer{}, err
	}
	var ps parley.Problems
	for _, key := range slices.Sorted(maps.Keys(wire)) {
		as := uses[key]
		if _, unknown := reply.Content.(*parley.Other); unknown && key == "content_attributes" {
			as = fixed
		}
		wire[key], err = cut(wire[key], as, names)
		ps.AddAll(key, err)
	}
	a := answer{reply, wire}
	ps.AddAll("", a.fill(sample("x", "x", sampleBaseURL)).Validate())
	if len(ps) > 0 {
		return a, ps
	}
	return a, checkEmpty(a.fill(sample("x", "", "")))
}

// checkEmpty reports what is wrong with a reply because the groups that it
// names matched nothing.
func checkEmpty(reply parley.Reply) error {
	var ps parley.Problems
	ps.AddAll("", reply.Validate())
	for i := range ps {
		ps[i].Reason += " where its placeholders are empty; write something beside them"
	}
	return ps.Err()
}

// cut makes a template of each string below a node of the wire format that
// holds a placeholder.
func cut(node any, as use, names map[string]int) (any, error) {
	var ps parley.Problems
	switch n := node.(type) {
	case string:
		t, err := parseTemplate(n, as, names)
		if t != nil {
			node = t
		}
		ps.AddAll("", err)
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(n)) {
			below := uses[key]
			if as == fixed {
				below = fixed
			}
			child, err := cut(n[key], below, names)
			n[key] = child
			ps.AddAll(key, err)
		}
	case []any:
		for i := range n {
			child, err := cut(n[i], as, names)
			n[i] = child
			ps.AddAll(fmt.Sprintf("[%d]", i), err)
		}
	}
	return node, ps.Err()
}

// fill returns the reply with its values. It shares nothing with the answer.
func (a answer) fill(value values) parley.Reply {
	var reply parley.Reply
	data, err := json.Marshal(fillIn(a.wire, value))
	if err == nil {
		err = reply.UnmarshalJSON(data)
	}
	if err != nil { // values stand in strings only, and those came out of a reply
		panic(fmt.Sprintf("bot: fill in a reply: %v", err))
	}
	return reply
}

// fillIn returns a copy of a node of the wire format with its values.
func fillIn(node any, value values) any {
	switch n := node.(type) {
	case *template:
		return n.fill(value)
	case map[string]any:
		filled := make(map[string]any, len(n))
		for key, child := range n {
			filled[key] = fillIn(child, value)
		}
		return filled
	case []any:
		filled := make([]any, len(n))
		for i, child := range n {
			filled[i] = fillIn(child, value)
		}
		return filled
	}
	return node
}
