package main

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// queryParser fills a request from query parameters, in either spelling of their names. As strict as decodeBody.
type queryParser struct{}

func (queryParser) Parse(request proto.Message, query url.Values, inPath *utilities.DoubleArray) error {
	message := request.ProtoReflect()
	var found faultList
	seen := map[protoreflect.Name]bool{}
	// In the order of their names, for a reply that is always the same.
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		field := findField(message.Descriptor(), name)
		if field == nil || inPath.HasCommonPrefix([]string{string(field.Name())}) {
			found.add("", "Unknown query parameter "+quoted(name))
			continue
		}
		if seen[field.Name()] || len(query[name]) > 1 {
			found.add(string(field.Name()), "Is given more than once")
			continue
		}
		seen[field.Name()] = true
		if text := query.Get(name); !setFromText(message, field, text) {
			found.add(string(field.Name()), "Expected "+expectedText(field)+", received "+quoted(text))
		}
	}
	return found.err()
}

// setFromText knows the types that fields of lists have; a test makes sure of that.
func setFromText(message protoreflect.Message, field protoreflect.FieldDescriptor, text string) bool {
	if field.IsList() {
		// Separated by commas: no value of such a field has one.
		list := message.Mutable(field).List()
		for each := range strings.SplitSeq(text, ",") {
			list.Append(protoreflect.ValueOfString(each))
		}
		return utf8.ValidString(text)
	}
	switch field.Kind() {
	case protoreflect.MessageKind:
		wait, ok := message.Mutable(field).Message().Interface().(*durationpb.Duration)
		return ok && secondsShape.MatchString(text) &&
			protojson.Unmarshal([]byte(`"`+strings.TrimSuffix(text, "s")+`s"`), wait) == nil
	case protoreflect.StringKind:
		message.Set(field, protoreflect.ValueOfString(text))
		return utf8.ValidString(text)
	case protoreflect.Int32Kind:
		number, err := strconv.ParseInt(text, 10, 32)
		message.Set(field, protoreflect.ValueOfInt32(int32(number)))
		return err == nil
	case protoreflect.BoolKind:
		message.Set(field, protoreflect.ValueOfBool(text == "true"))
		return text == "true" || text == "false"
	case protoreflect.EnumKind:
		value := field.Enum().Values().ByName(protoreflect.Name(text))
		if value == nil {
			return false
		}
		message.Set(field, protoreflect.ValueOfEnum(value.Number()))
		return true
	}
	return false
}

// As in bodies, or without the unit.
var secondsShape = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?s?$`)

func expectedText(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return "seconds such as 15 or 15s"
	case protoreflect.Int32Kind:
		return "a whole number from -2147483648 to 2147483647"
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		names := make([]string, values.Len())
		for i := range names {
			names[i] = string(values.Get(i).Name())
		}
		return strings.Join(names, " or ")
	}
	return "text in UTF-8"
}

// Of the calls without a body, those whose query grpc-gateway reads: the others have no field that it could set.
var routesWithQuery = map[string]bool{
	"GET /v1/social-networks":                   true,
	"DELETE /v1/social-networks/{id=*}":         true,
	"GET /v1/social-accounts":                   true,
	"GET /v1/social-accounts:export":            true,
	"DELETE /v1/social-accounts":                true,
	"GET /v1/organizations":                     true,
	"GET /v1/organizations/{org_id=*}/api-keys": true,
	"GET /v1/api-keys":                          true,
	"DELETE /v1/api-keys/{key_id=*}":            true,
	"GET /v1/events":                            true,
}

// refuseQuery finds what would be ignored without a word.
func refuseQuery(r *http.Request) *failure {
	if r.URL.RawQuery == "" || routesWithQuery[routeOf(r)] {
		return nil
	}
	refusal := invalid("", "There are no query parameters here")
	return &refusal
}
