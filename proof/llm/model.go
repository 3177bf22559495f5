package llm

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// A Model is a language model that is small, real, and rather silly: all it
// knows is which word follows which in its sentences. It is a transformer of one
// block, whose weights are computed instead of trained:
//
//   - A token is embedded as a vector of zeros with a single one in its place.
//   - The block's weights are zeros, so that it adds nothing to that vector.
//   - In the output matrix, the column of a token holds how likely each other one
//     follows it, as a logarithm.
//
// What the model says thus depends on the last token only. One that is not in a
// sentence, such as whatever a prompt ends with, is followed by the beginning of
// a sentence.
type Model struct {
	Sentences []string
	// Endless lets another sentence follow each, and the answer never end by
	// itself.
	Endless bool
}

// The first tokens, as the LLaMA tokenizer has them: three of special meaning,
// and one for each byte, which spell what is not in the vocabulary.
const (
	unknown = iota
	begin
	end
	firstByte // of 256
)

// The types of tokens, by their numbers in GGUF.
const (
	typeNormal  int32 = 1
	typeUnknown int32 = 2
	typeControl int32 = 3
	typeByte    int32 = 6
)

const (
	headSize      = 64   // of attention; the width of the model is a multiple of it
	contextLength = 8192 // tokens
	never         = -50  // the logarithm of a probability that is as good as none
)

// WriteTo writes the model as a GGUF file.
func (m Model) WriteTo(w io.Writer) (int64, error) {
	v, ids := m.vocabulary()
	width := (len(v.words) + headSize - 1) / headSize * headSize

	var f ggufFile
	f.set("general.architecture", "llama")
	f.set("general.name", "parley-proof")
	f.set("llama.block_count", uint32(1))
	f.set("llama.context_length", uint32(contextLength))
	f.set("llama.embedding_length", uint32(width))
	f.set("llama.feed_forward_length", uint32(headSize))
	f.set("llama.attention.head_count", uint32(width/headSize))
	f.set("llama.attention.head_count_kv", uint32(width/headSize))
	f.set("llama.attention.layer_norm_rms_epsilon", float32(1e-9))
	f.set("llama.rope.dimension_count", uint32(headSize))
	f.set("llama.vocab_size", uint32(len(v.words)))
	f.set("tokenizer.ggml.model", "llama")
	f.set("tokenizer.ggml.tokens", v.words)
	f.set("tokenizer.ggml.token_type", v.types)
	f.set("tokenizer.ggml.scores", make([]float32, len(v.words)))
	f.set("tokenizer.ggml.unknown_token_id", uint32(unknown))
	f.set("tokenizer.ggml.bos_token_id", uint32(begin))
	f.set("tokenizer.ggml.eos_token_id", uint32(end))
	f.set("tokenizer.ggml.add_space_prefix", false)

	f.add("token_embd.weight", embedding(len(v.words), width), width)
	f.add("blk.0.attn_norm.weight", fill(width, 1), width)
	for _, name := range []string{"q", "k", "v", "output"} {
		f.add("blk.0.attn_"+name+".weight", make([]float32, width*width), width)
	}
	f.add("blk.0.ffn_norm.weight", fill(width, 1), width)
	f.add("blk.0.ffn_gate.weight", make([]float32, width*headSize), width)
	f.add("blk.0.ffn_up.weight", make([]float32, width*headSize), width)
	f.add("blk.0.ffn_down.weight", make([]float32, width*headSize), headSize)
	// The norm makes the vector's single one as large as the root of its length;
	// this makes it one again.
	f.add("output_norm.weight", fill(width, float32(1/math.Sqrt(float64(width)))), width)
	f.add("output.weight", m.output(ids, len(v.words), width), width)
	return f.WriteTo(w)
}

// A vocabulary is what the tokens stand for.
type vocabulary struct {
	words []string
	types []int32
}

func (v *vocabulary) add(word string, kind int32) int {
	v.words = append(v.words, word)
	v.types = append(v.types, kind)
	return len(v.words) - 1
}

// vocabulary returns all tokens, and the numbers of those that are words.
func (m Model) vocabulary() (v vocabulary, ids map[string]int) {
	v.add("<unk>", typeUnknown)
	v.add("<s>", typeControl)
	v.add("</s>", typeControl)
	for i := range 256 {
		v.add(fmt.Sprintf("<0x%02X>", i), typeByte)
	}
	ids = map[string]int{}
	for _, sentence := range m.Sentences {
		for _, word := range words(sentence) {
			if _, known := ids[word]; !known {
				ids[word] = v.add(word, typeNormal)
			}
		}
	}
	return v, ids
}

// words cuts a sentence into tokens. A space belongs to the word behind it, and
// is written as the tokenizer wants it.
func words(sentence string) []string {
	return strings.Split(strings.ReplaceAll(sentence, " ", " ▁"), " ")
}

// embedding gives each token a place of its own.
func embedding(tokens, width int) []float32 {
	matrix := make([]float32, tokens*width)
	for token := range tokens {
		matrix[token*width+token] = 1
	}
	return matrix
}

// output says how likely each token follows each: a row per token that follows,
// and in it a column per token that is followed.
func (m Model) output(ids map[string]int, tokens, width int) []float32 {
	matrix := fill(tokens*width, never)
	followers := m.followers(ids)
	for last := range tokens {
		next := followers[last]
		if next == nil {
			next = followers[begin]
		}
		total := 0
		for _, n := range next {
			total += n
		}
		for token, n := range next {
			matrix[token*width+last] = float32(math.Log(float64(n) / float64(total)))
		}
	}
	return matrix
}

// followers counts how often each token follows another.
func (m Model) followers(ids map[string]int) map[int]map[int]int {
	followers := map[int]map[int]int{}
	count := func(last, next int) {
		if followers[last] == nil {
			followers[last] = map[int]int{}
		}
		followers[last][next]++
	}
	after := end
	if m.Endless {
		after = firstByte + ' ' // which is not in a sentence
	}
	for _, sentence := range m.Sentences {
		last := begin
		for _, word := range words(sentence) {
			count(last, ids[word])
			last = ids[word]
		}
		count(last, after)
	}
	return followers
}

// fill returns n times the same number.
func fill(n int, value float32) []float32 {
	numbers := make([]float32, n)
	for i := range numbers {
		numbers[i] = value
	}
	return numbers
}
