package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

const maxDepth = 32

// jsonValue is a JSON document as it was written: the order of members and repeated names are kept, so that nothing is
// chosen silently.
type jsonValue struct {
	kind    string // object, array, string, number, boolean or null
	text    string // of a string or a number
	truth   bool
	items   []jsonValue
	members []jsonMember
}

type jsonMember struct {
	name  string
	value jsonValue
}

// parseJSON takes exactly one document (RFC 8259) in UTF-8 of at most 32 levels. The error is for the caller's eyes.
func parseJSON(text []byte) (jsonValue, error) {
	if !utf8.Valid(text) {
		return jsonValue{}, errors.New("is not valid JSON: it must be UTF-8")
	}
	var document json.RawMessage
	if err := json.Unmarshal(text, &document); err != nil {
		at := ""
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = fmt.Sprintf(" (at byte %d)", syntax.Offset)
		}
		return jsonValue{}, fmt.Errorf("is not valid JSON: %w%s", err, at)
	}
	if hasLoneSurrogate(document) {
		return jsonValue{}, errors.New(`is not valid JSON: half of a \ud800-\udfff pair stands alone`)
	}
	tokens := json.NewDecoder(bytes.NewReader(document))
	tokens.UseNumber()
	return parseValue(tokens, 1)
}

func parseValue(tokens *json.Decoder, depth int) (jsonValue, error) {
	token, err := tokens.Token()
	if err != nil {
		return jsonValue{}, fmt.Errorf("is not valid JSON: %w", err)
	}
	switch token := token.(type) {
	case string:
		return jsonValue{kind: "string", text: token}, nil
	case json.Number:
		return jsonValue{kind: "number", text: token.String()}, nil
	case bool:
		return jsonValue{kind: "boolean", truth: token}, nil
	case json.Delim:
		if depth > maxDepth {
			return jsonValue{}, fmt.Errorf("is nested deeper than %d levels", maxDepth)
		}
		if token == '[' {
			return parseArray(tokens, depth)
		}
		return parseObject(tokens, depth)
	}
	return jsonValue{kind: "null"}, nil
}

func parseArray(tokens *json.Decoder, depth int) (jsonValue, error) {
	array := jsonValue{kind: "array"}
	for tokens.More() {
		item, err := parseValue(tokens, depth+1)
		if err != nil {
			return array, err
		}
		array.items = append(array.items, item)
	}
	_, err := tokens.Token()
	return array, err
}

func parseObject(tokens *json.Decoder, depth int) (jsonValue, error) {
	object := jsonValue{kind: "object"}
	for tokens.More() {
		name, err := tokens.Token()
		if err != nil {
			return object, err
		}
		value, err := parseValue(tokens, depth+1)
		if err != nil {
			return object, err
		}
		object.members = append(object.members, jsonMember{name.(string), value})
	}
	_, err := tokens.Token()
	return object, err
}

// hasLoneSurrogate looks for what encoding/json would quietly turn into U+FFFD.
func hasLoneSurrogate(document []byte) bool {
	for i := 0; i < len(document); i++ {
		if document[i] != '\\' {
			continue
		}
		unit, escaped := escapedUnit(document[i:])
		i++
		if !escaped || unit < 0xd800 || unit > 0xdfff {
			continue
		}
		low, escaped := escapedUnit(document[i+5:])
		if unit >= 0xdc00 || !escaped || low < 0xdc00 || low > 0xdfff {
			return true
		}
		i += 10
	}
	return false
}

// escapedUnit reads a \uXXXX.
func escapedUnit(text []byte) (uint64, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return unit, err == nil
}

// appendJSONString is encoding/json's way without its escaping of <, > and &, which a URL is full of.
func appendJSONString(out []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			var buffer bytes.Buffer
			encoder := json.NewEncoder(&buffer)
			encoder.SetEscapeHTML(false)
			_ = encoder.Encode(text) // Text always encodes.
			return append(out, bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))...)
		}
	}
	out = append(out, '"')
	out = append(out, text...)
	return append(out, '"')
}
