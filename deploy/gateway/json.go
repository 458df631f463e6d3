package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxDepth = 32
	// The longest list of any request has 500 entries (choice_ids), the largest object 32 (extra_params). Some room is
	// left for those who miscount: the server tells them better what is wrong.
	maxItems   = 640
	maxMembers = 64
	// The largest request has some 500.
	maxValues = 1024
)

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

// parseJSON takes exactly one document (RFC 8259) in UTF-8 of at most 32 levels. The error is for the caller's eyes. It
// is a fault where a list or an object is longer than any that a request has; what comes after it is not looked at.
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
	p := parser{Decoder: json.NewDecoder(bytes.NewReader(document)), left: maxValues}
	p.UseNumber()
	return p.value(1)
}

type parser struct {
	*json.Decoder
	// How many more values there may be.
	left int
}

func (p *parser) value(depth int) (jsonValue, error) {
	if p.left--; p.left < 0 {
		return jsonValue{}, fmt.Errorf("has more than %d values: send fewer", maxValues)
	}
	token, err := p.Token()
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
			return p.array(depth)
		}
		return p.object(depth)
	}
	return jsonValue{kind: "null"}, nil
}

func (p *parser) array(depth int) (jsonValue, error) {
	array := jsonValue{kind: "array"}
	for p.More() {
		if len(array.items) == maxItems {
			return array, fault{"", fmt.Sprintf("must have at most %d entries; the longest lists of the API have fewer", maxItems)}
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return array, within(fmt.Sprintf("[%d]", len(array.items)), err)
		}
		array.items = append(array.items, item)
	}
	_, err := p.Token()
	return array, err
}

func (p *parser) object(depth int) (jsonValue, error) {
	object := jsonValue{kind: "object"}
	for p.More() {
		if len(object.members) == maxMembers {
			return object, fault{"", fmt.Sprintf("must have at most %d members; the largest objects of the API have fewer", maxMembers)}
		}
		name, err := p.Token()
		if err != nil {
			return object, err
		}
		value, err := p.value(depth + 1)
		if err != nil {
			return object, within(name.(string), err)
		}
		object.members = append(object.members, jsonMember{name.(string), value})
	}
	_, err := p.Token()
	return object, err
}

// within says where in a document the fault is.
func within(name string, err error) error {
	var found fault
	if !errors.As(err, &found) {
		return err
	}
	if found.Field != "" && !strings.HasPrefix(found.Field, "[") {
		found.Field = "." + found.Field
	}
	found.Field = cut(name, maxNameShown) + found.Field
	return found
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
