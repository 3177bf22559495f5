package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/parley-chat/parley"
)

// submit keeps a submission unless its ID is there, and answers with the one
// that has it. Numbers are given in the step that keeps them, so that none
// appears behind the back of who has read a higher one.
var submit = redis.NewScript(`
local last, ids, kept, all, ofForm = unpack(KEYS)
local id, data = unpack(ARGV)
local seq = redis.call('HGET', ids, id)
if not seq then
	seq = string.format('%.0f', redis.call('INCR', last))
	redis.call('HSET', ids, id, seq)
	redis.call('HSET', kept, seq, data)
	redis.call('ZADD', all, seq, seq)
	redis.call('ZADD', ofForm, seq, seq)
end
return {seq, redis.call('HGET', kept, seq)}
`)

// ofForm names the key with the numbers of a form's submissions, or of all.
func (s *Store) ofForm(form string) string { return s.global("submissions:" + form) }

// Submit implements [parley.SubmissionStore].
func (s *Store) Submit(ctx context.Context, submission parley.Submission) (parley.Submission, error) {
	if err := s.enter(ctx); err != nil {
		return parley.Submission{}, err
	}
	defer s.leave()
	values, err := json.Marshal(submission.Values)
	if err != nil {
		return parley.Submission{}, s.wrap("encode a submission", err)
	}
	data := fmt.Sprintf("%d %d %d %s%s%s", micros(submission.Time), len(submission.ID), len(submission.Form), submission.ID, submission.Form, values)
	keys := []string{s.global("submission"), s.global("submission-ids"), s.global("submission-data"), s.ofForm(""), s.ofForm(submission.Form)}
	answer, err := stringsOf(s.run(ctx, submit, keys, submission.ID, data))
	if err != nil {
		return parley.Submission{}, s.wrap("keep a submission", err)
	}
	kept, err := toSubmission(answer[0], answer[1])
	return kept, s.wrap("keep a submission", err)
}

// submissions answers with the number and the data of those behind a number.
var submissions = redis.NewScript(`
local numbers, kept = unpack(KEYS)
local out = {}
for _, seq in ipairs(redis.call('ZRANGEBYSCORE', numbers, '(' .. ARGV[1], '+inf', 'LIMIT', 0, ARGV[2])) do
	out[#out + 1] = seq
	out[#out + 1] = redis.call('HGET', kept, seq)
end
return out
`)

// Submissions implements [parley.SubmissionStore].
func (s *Store) Submissions(ctx context.Context, form string, after int64, limit int) ([]parley.Submission, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	var found []parley.Submission
	for len(found) < limit && ctx.Err() == nil {
		n := min(pageLength, limit-len(found))
		answer, err := stringsOf(s.run(ctx, submissions, []string{s.ofForm(form), s.global("submission-data")}, after, n))
		if err != nil {
			return nil, s.wrap("read submissions", err)
		}
		for i := 0; i < len(answer); i += 2 {
			submission, err := toSubmission(answer[i], answer[i+1])
			if err != nil {
				return nil, s.wrap("read submissions", err)
			}
			found, after = append(found, submission), submission.Seq
		}
		if len(answer) < 2*n {
			break
		}
	}
	return found, ctx.Err()
}

// toSubmission reads what is kept of a submission.
func toSubmission(seq, data string) (parley.Submission, error) {
	var submission parley.Submission
	var number, at, id, form int
	parts := strings.SplitN(data, " ", 4)
	if len(parts) < 4 {
		return submission, fmt.Errorf("submission %s cannot be read", seq)
	}
	rest := parts[3]
	if err := scan([]string{seq, parts[0], parts[1], parts[2]}, &number, &at, &id, &form); err != nil || id+form > len(rest) {
		return submission, fmt.Errorf("submission %s cannot be read", seq)
	}
	submission = parley.Submission{Seq: int64(number), ID: rest[:id], Form: rest[id : id+form], Time: fromMicros(int64(at))}
	if err := json.Unmarshal([]byte(rest[id+form:]), &submission.Values); err != nil {
		return submission, fmt.Errorf("submission %s has values that cannot be read: %w", seq, err)
	}
	return submission, nil
}
