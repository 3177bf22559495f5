package llm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// A ggufFile is a model in the format of GGUF, version 3: facts about the model
// by their names, and then its tensors. Everything is little-endian.
//
// Source: github.com/ggml-org/ggml, docs/gguf.md.
type ggufFile struct {
	facts            bytes.Buffer
	tensors          bytes.Buffer // their descriptions
	data             bytes.Buffer
	nFacts, nTensors uint64
}

// ggufAlignment is what the offsets of tensors are multiples of. As wide as all
// tensors here are, they need no padding among themselves.
const ggufAlignment = 32

// set adds a fact. Its value is of one of the types below.
func (f *ggufFile) set(name string, value any) {
	put(&f.facts, name)
	switch v := value.(type) {
	case []int32:
		putArray(&f.facts, v)
	case []float32:
		putArray(&f.facts, v)
	case []string:
		putArray(&f.facts, v)
	default:
		put(&f.facts, ggufType(value), value)
	}
	f.nFacts++
}

func putArray[T any](b *bytes.Buffer, values []T) {
	var zero T
	const array uint32 = 9
	put(b, array, ggufType(zero), uint64(len(values)))
	for _, v := range values {
		put(b, v)
	}
}

// ggufType returns the number of a value's type.
func ggufType(value any) uint32 {
	switch value.(type) {
	case uint32:
		return 4
	case int32:
		return 5
	case float32:
		return 6
	case bool:
		return 7
	case string:
		return 8
	}
	panic(fmt.Sprintf("%T has no GGUF type here", value))
}

// put appends values of fixed size, and strings with their lengths before them.
func put(b *bytes.Buffer, values ...any) {
	for _, value := range values {
		if s, ok := value.(string); ok {
			put(b, uint64(len(s)))
			b.WriteString(s)
			continue
		}
		if err := binary.Write(b, binary.LittleEndian, value); err != nil {
			panic(err) // the value has no fixed size
		}
	}
}

// add adds a tensor of one row, or of as many as there are numbers for.
func (f *ggufFile) add(name string, numbers []float32, width int) {
	put(&f.tensors, name)
	if rows := len(numbers) / width; rows == 1 {
		put(&f.tensors, uint32(1), uint64(width))
	} else {
		put(&f.tensors, uint32(2), uint64(width), uint64(rows))
	}
	const float uint32 = 0
	put(&f.tensors, float, uint64(f.data.Len()))
	put(&f.data, numbers)
	f.nTensors++
}

// WriteTo writes the file.
func (f *ggufFile) WriteTo(w io.Writer) (int64, error) {
	var head bytes.Buffer
	head.WriteString("GGUF")
	put(&head, uint32(3), f.nTensors, f.nFacts)
	head.Write(f.facts.Bytes())
	head.Write(f.tensors.Bytes())
	head.Write(make([]byte, -head.Len()&(ggufAlignment-1)))
	head.Write(f.data.Bytes())
	return head.WriteTo(w)
}
