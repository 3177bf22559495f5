// Package llm puts the bots that ask a model to the proof with a real model
// server: Ollama, which speaks the APIs of OpenAI and of Anthropic, and a model
// that is made on the spot. Nothing leaves the machine and nothing costs money.
package llm
