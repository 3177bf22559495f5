package providertest

// An event is a server-sent event. Its data is sent as JSON, but for a string.
type event struct {
	name string
	data any
}

// object is a JSON object.
type object = map[string]any

// A dialect is the wire format of one API.
type dialect interface {
	begin() []event
	delta(text string) event
	refuse(text string) []event
	end(o outcome) []event
	complain(kind, message string) event
	whole(o outcome) object
}

// newDialect returns the dialect of an API, in which a model speaks. It is nil
// where there is no such API.
func newDialect(api API, model string) dialect {
	switch api {
	case Chat:
		return chat{model}
	case Responses:
		return responses{model}
	case Messages:
		return messages{model}
	}
	return nil
}

// failure is the body of an error.
func failure(api API, kind, message string) object {
	if api == Messages {
		return object{"type": "error", "error": object{"type": kind, "message": message}, "request_id": "req_1"}
	}
	return object{"error": object{"message": message, "type": kind, "param": nil, "code": kind}}
}

// chat is Chat Completions.
type chat struct{ model string }

const created = 1790000000 // 2026-09-21

func (c chat) chunk(choices ...object) event {
	if choices == nil {
		choices = []object{}
	}
	return event{data: object{
		"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": created, "model": c.model,
		"service_tier": "default", "system_fingerprint": "fp_1", "choices": choices, "usage": nil, "obfuscation": "x",
	}}
}

func (c chat) piece(delta object, finish any) event {
	return c.chunk(object{"index": 0, "delta": delta, "logprobs": nil, "finish_reason": finish})
}

func (c chat) begin() []event {
	return []event{c.chunk(object{"index": 0, "delta": object{"role": "assistant", "content": "", "refusal": nil}, "logprobs": nil, "finish_reason": nil})}
}

func (c chat) delta(text string) event { return c.piece(object{"content": text}, nil) }

func (c chat) refuse(text string) []event { return []event{c.piece(object{"refusal": text}, nil)} }

func (c chat) end(o outcome) []event {
	usage := c.chunk()
	usage.data.(object)["usage"] = c.usage()
	return []event{c.piece(object{}, c.finish(o)), usage, {data: "[DONE]"}}
}

func (chat) complain(kind, message string) event {
	return event{data: failure(Chat, kind, message)}
}

func (chat) finish(o outcome) string {
	switch {
	case o.filtered:
		return "content_filter"
	case o.length:
		return "length"
	}
	return "stop"
}

func (chat) usage() object {
	return object{"prompt_tokens": InputTokens, "completion_tokens": OutputTokens, "total_tokens": InputTokens + OutputTokens,
		"prompt_tokens_details":     object{"cached_tokens": 0, "audio_tokens": 0},
		"completion_tokens_details": object{"reasoning_tokens": 0, "audio_tokens": 0}}
}

func (c chat) whole(o outcome) object {
	message := object{"role": "assistant", "content": o.text, "refusal": nil, "annotations": []any{}}
	if o.refusal != "" {
		message["content"], message["refusal"] = nil, o.refusal
	}
	return object{"id": "chatcmpl-1", "object": "chat.completion", "created": created, "model": c.model,
		"choices": []object{{"index": 0, "message": message, "logprobs": nil, "finish_reason": c.finish(o)}}, "usage": c.usage()}
}

// responses is Responses.
type responses struct{ model string }

func (r responses) response(status string, output []object) object {
	return object{"id": "resp_1", "object": "response", "created_at": created, "status": status, "error": nil,
		"incomplete_details": nil, "model": r.model, "output": output, "parallel_tool_calls": true, "store": false, "usage": nil}
}

func (responses) event(kind string, data object) event {
	data["type"], data["sequence_number"] = kind, 1
	return event{kind, data}
}

func (responses) item(status string, content ...object) object {
	if content == nil {
		content = []object{}
	}
	return object{"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": content}
}

func (responses) content(o outcome) object {
	if o.refusal != "" {
		return object{"type": "refusal", "refusal": o.refusal}
	}
	return object{"type": "output_text", "text": o.text, "annotations": []any{}, "logprobs": []any{}}
}

func (r responses) begin() []event {
	return []event{
		r.event("response.created", object{"response": r.response("in_progress", []object{})}),
		r.event("response.in_progress", object{"response": r.response("in_progress", []object{})}),
		r.event("response.output_item.added", object{"output_index": 0, "item": r.item("in_progress")}),
		r.event("response.content_part.added", object{"item_id": "msg_1", "output_index": 0, "content_index": 0, "part": r.content(outcome{})}),
	}
}

func (r responses) delta(text string) event {
	return r.event("response.output_text.delta", object{"item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text, "logprobs": []any{}})
}

func (r responses) refuse(text string) []event {
	return []event{
		r.event("response.refusal.delta", object{"item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": text}),
		r.event("response.refusal.done", object{"item_id": "msg_1", "output_index": 0, "content_index": 0, "refusal": text}),
	}
}

func (r responses) end(o outcome) []event {
	whole := r.whole(o)
	var events []event
	if o.refusal == "" {
		events = append(events, r.event("response.output_text.done", object{"item_id": "msg_1", "output_index": 0, "content_index": 0, "text": o.text, "logprobs": []any{}}))
	}
	return append(events,
		r.event("response.content_part.done", object{"item_id": "msg_1", "output_index": 0, "content_index": 0, "part": r.content(o)}),
		r.event("response.output_item.done", object{"output_index": 0, "item": r.item("completed", r.content(o))}),
		r.event("response."+whole["status"].(string), object{"response": whole}))
}

func (r responses) complain(kind, message string) event {
	return r.event("error", object{"code": kind, "message": message, "param": nil})
}

func (r responses) whole(o outcome) object {
	whole := r.response("completed", []object{r.item("completed", r.content(o))})
	switch {
	case o.filtered:
		whole["status"], whole["incomplete_details"] = "incomplete", object{"reason": "content_filter"}
	case o.length:
		whole["status"], whole["incomplete_details"] = "incomplete", object{"reason": "max_output_tokens"}
	}
	whole["usage"] = object{"input_tokens": InputTokens, "input_tokens_details": object{"cached_tokens": 0},
		"output_tokens": OutputTokens, "output_tokens_details": object{"reasoning_tokens": 0}, "total_tokens": InputTokens + OutputTokens}
	return whole
}

// messages is Anthropic's Messages.
type messages struct{ model string }

func (messages) event(kind string, data object) event {
	data["type"] = kind
	return event{kind, data}
}

func (m messages) message(content []object, stop any, usage object) object {
	return object{"id": "msg_1", "type": "message", "role": "assistant", "model": m.model, "content": content,
		"stop_reason": stop, "stop_sequence": nil, "usage": usage}
}

// usage is what was used up so far. Its counts are cumulative, and each takes
// the place of the one before.
func (messages) usage(input, output int) object {
	return object{"input_tokens": input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": output}
}

func (m messages) begin() []event {
	return []event{
		m.event("message_start", object{"message": m.message([]object{}, nil, m.usage(1, 1))}),
		m.event("content_block_start", object{"index": 0, "content_block": object{"type": "text", "text": ""}}),
		m.event("ping", object{}),
	}
}

func (m messages) delta(text string) event {
	return m.event("content_block_delta", object{"index": 0, "delta": object{"type": "text_delta", "text": text}})
}

// refuse sends nothing: a refusal is a stop reason without a text.
func (messages) refuse(string) []event { return nil }

func (m messages) end(o outcome) []event {
	return []event{
		m.event("content_block_stop", object{"index": 0}),
		m.event("message_delta", object{"delta": object{"stop_reason": m.stop(o), "stop_sequence": nil}, "usage": m.usage(InputTokens, OutputTokens)}),
		m.event("message_stop", object{}),
	}
}

func (m messages) complain(kind, message string) event {
	return m.event("error", failure(Messages, kind, message))
}

func (messages) stop(o outcome) string {
	switch {
	case o.filtered, o.refusal != "":
		return "refusal"
	case o.length:
		return "max_tokens"
	}
	return "end_turn"
}

func (m messages) whole(o outcome) object {
	content := []object{}
	if o.text != "" {
		content = append(content, object{"type": "text", "text": o.text, "citations": nil})
	}
	return m.message(content, m.stop(o), m.usage(InputTokens, OutputTokens))
}
