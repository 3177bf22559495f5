package mongo

import (
	"fmt"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A text is a string that is kept byte for byte. BSON's strings are UTF-8, so
// one that is not is kept as binary data. Neither is ever an operator.
type text string

// MarshalBSONValue implements [bson.ValueMarshaler].
func (t text) MarshalBSONValue() (byte, []byte, error) {
	var value any = string(t)
	if !utf8.ValidString(string(t)) {
		value = bson.Binary{Data: []byte(t)}
	}
	kind, data, err := bson.MarshalValue(value)
	return byte(kind), data, err
}

// UnmarshalBSONValue implements [bson.ValueUnmarshaler].
func (t *text) UnmarshalBSONValue(kind byte, data []byte) error {
	value := bson.RawValue{Type: bson.Type(kind), Value: data}
	if s, ok := value.StringValueOK(); ok {
		*t = text(s)
		return nil
	}
	_, b, ok := value.BinaryOK()
	if !ok {
		return fmt.Errorf("a text of the BSON type %s", value.Type)
	}
	*t = text(b)
	return nil
}
