package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"authurl/deploy/gateway/gen/authurlv1"
)

// requestBody is the body of a request that was read already, and what its path says.
type requestBody struct {
	*bytes.Reader
	pathParams map[string]string
}

func (requestBody) Close() error { return nil }

// decodeBody reads the message of a request from JSON. Stricter than protojson: nothing is converted, ignored or taken
// twice, and every fault is told with its field.
func decodeBody(body io.Reader, request proto.Message) error {
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return io.EOF // For grpc-gateway the same as {}.
	}
	document, err := parseJSON(text)
	var tooLong fault
	switch {
	case errors.As(err, &tooLong):
		return faults{tooLong}
	case err != nil:
		return faults{{"", "The body " + err.Error()}}
	}
	var d decoder
	if known, ok := body.(requestBody); ok {
		for name := range known.pathParams {
			d.inPath = append(d.inPath, protoreflect.Name(name))
		}
	}
	d.message(request.ProtoReflect(), document, "")
	switch update := request.(type) {
	case *authurlv1.UpdateSocialNetworkRequest:
		update.UpdateMask = orMaskOfEmptied(update.GetUpdateMask(), update, document)
	case *authurlv1.UpdateWebhookRequest:
		update.UpdateMask = orMaskOfEmptied(update.GetUpdateMask(), update, document)
	}
	return d.err()
}

// orMaskOfEmptied is the mask that the body has, or else names every member of the body where one of them is [] or {}. In
// the message such a field is as one that was not given, and without a mask would stay as it is.
func orMaskOfEmptied(given *fieldmaskpb.FieldMask, update proto.Message, body jsonValue) *fieldmaskpb.FieldMask {
	if len(given.GetPaths()) > 0 {
		return given
	}
	var mask fieldmaskpb.FieldMask
	empties := false
	for _, member := range body.members {
		field := findField(update.ProtoReflect().Descriptor(), member.name)
		if field == nil || field.Message() != nil && !field.IsMap() {
			continue // A fault, or the mask itself.
		}
		mask.Paths = append(mask.Paths, string(field.Name()))
		empties = empties || (field.IsList() || field.IsMap()) && len(member.value.items)+len(member.value.members) == 0
	}
	if !empties {
		return nil
	}
	return &mask
}

type decoder struct {
	inPath []protoreflect.Name
	faultList
}

func (d *decoder) fault(path, format string, arguments ...any) {
	d.add(path, fmt.Sprintf(format, arguments...))
}

func (d *decoder) expect(kind string, value jsonValue, path string) bool {
	if value.kind != kind {
		d.fault(path, "Expected %s, received %s", kind, value.kind)
	}
	return value.kind == kind
}

func (d *decoder) message(message protoreflect.Message, value jsonValue, path string) {
	if !d.expect("object", value, path) {
		return
	}
	seen := map[protoreflect.Name]bool{}
	for _, member := range value.members {
		if d.full {
			return
		}
		field := findField(message.Descriptor(), member.name)
		if field == nil {
			d.fault(path, "Unknown field %s", quoted(member.name))
			continue
		}
		at := join(path, string(field.Name()))
		if path == "" && slices.Contains(d.inPath, field.Name()) {
			d.fault(at, "Is part of the URL's path: leave it out of the body")
			continue
		}
		if seen[field.Name()] {
			d.fault(at, "Is given more than once")
			continue
		}
		seen[field.Name()] = true
		d.field(message, field, member.value, at)
	}
}

func (d *decoder) field(message protoreflect.Message, field protoreflect.FieldDescriptor, value jsonValue, path string) {
	switch {
	case field.IsMap():
		d.mapField(message.Mutable(field).Map(), field.MapValue(), value, path)
	case field.IsList():
		if !d.expect("array", value, path) {
			return
		}
		list := message.Mutable(field).List()
		for i, item := range value.items {
			if d.full {
				return
			}
			if decoded, ok := d.single(list.NewElement, field, item, fmt.Sprintf("%s[%d]", path, i)); ok {
				list.Append(decoded)
			}
		}
	default:
		newValue := func() protoreflect.Value { return message.NewField(field) }
		if decoded, ok := d.single(newValue, field, value, path); ok {
			message.Set(field, decoded)
		}
	}
}

func (d *decoder) mapField(target protoreflect.Map, field protoreflect.FieldDescriptor, value jsonValue, path string) {
	if !d.expect("object", value, path) {
		return
	}
	for _, member := range value.members {
		if d.full {
			return
		}
		key := protoreflect.ValueOfString(member.name).MapKey()
		at := join(path, cut(member.name, maxNameShown))
		if target.Has(key) {
			d.fault(at, "Is given more than once")
		} else if decoded, ok := d.single(target.NewValue, field, member.value, at); ok {
			target.Set(key, decoded)
		}
	}
}

// single reads one value of the field's type. The types are those that requests have; a test makes sure of that.
func (d *decoder) single(newValue func() protoreflect.Value, field protoreflect.FieldDescriptor, value jsonValue, path string) (protoreflect.Value, bool) {
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(value.text), d.expect("string", value, path)
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(value.truth), d.expect("boolean", value, path)
	case protoreflect.Int32Kind:
		return d.integer(value, path)
	case protoreflect.EnumKind:
		return d.enum(field.Enum(), value, path)
	case protoreflect.MessageKind:
		message := newValue()
		switch target := message.Message().Interface().(type) {
		case *fieldmaskpb.FieldMask:
			d.fieldMask(target, field.ContainingMessage(), value, path)
		case *durationpb.Duration:
			d.duration(target, value, path)
		case *timestamppb.Timestamp:
			d.timestamp(target, value, path)
		default:
			d.message(message.Message(), value, path)
		}
		return message, true
	}
	d.fault(path, "Can't be set by JSON")
	return protoreflect.Value{}, false
}

func (d *decoder) integer(value jsonValue, path string) (protoreflect.Value, bool) {
	if !d.expect("number", value, path) {
		return protoreflect.Value{}, false
	}
	number, err := strconv.ParseInt(value.text, 10, 32)
	if err != nil {
		d.fault(path, "Expected a whole number from -2147483648 to 2147483647")
	}
	return protoreflect.ValueOfInt32(int32(number)), err == nil
}

// isTaken is false of roles whose keys belong to no organisation where the path is one's.
func (d *decoder) isTaken(value protoreflect.EnumValueDescriptor) bool {
	ofNone := value.FullName() == "authurl.v1.ROLE_ADMIN" || value.FullName() == "authurl.v1.ROLE_SERVICE"
	return !ofNone || !slices.Contains(d.inPath, "org_id")
}

func (d *decoder) enum(enum protoreflect.EnumDescriptor, value jsonValue, path string) (protoreflect.Value, bool) {
	if !d.expect("string", value, path) {
		return protoreflect.Value{}, false
	}
	var names []string
	// The first value of an enum only says that there is none.
	for i := 1; i < enum.Values().Len(); i++ {
		known := enum.Values().Get(i)
		if !d.isTaken(known) {
			continue
		}
		if string(known.Name()) == value.text {
			return protoreflect.ValueOfEnum(known.Number()), true
		}
		names = append(names, string(known.Name()))
	}
	d.fault(path, "Expected one of %s, received %s", strings.Join(names, ", "), quoted(value.text))
	return protoreflect.Value{}, false
}

// fieldMask reads "client_key,scopes", in either spelling of the names. Whether they can be changed the server knows.
func (d *decoder) fieldMask(mask *fieldmaskpb.FieldMask, of protoreflect.MessageDescriptor, value jsonValue, path string) {
	if !d.expect("string", value, path) || value.text == "" {
		return
	}
	// As text a mask may be half as long as the message that it becomes.
	if names := strings.Count(value.text, ",") + 1; names > of.Fields().Len() {
		d.fault(path, "Has %d names; there are only %d fields", names, of.Fields().Len())
		return
	}
	for name := range strings.SplitSeq(value.text, ",") {
		if field := findField(of, name); field != nil {
			name = string(field.Name())
		}
		mask.Paths = append(mask.Paths, cut(name, maxNameShown))
	}
}

// duration reads "900s", proto3 JSON's form.
func (d *decoder) duration(target *durationpb.Duration, value jsonValue, path string) {
	if !d.expect("string", value, path) {
		return
	}
	if err := protojson.Unmarshal(appendJSONString(nil, value.text), target); err != nil {
		d.fault(path, `Expected seconds such as "900s", received %s`, quoted(value.text))
	}
}

// timestamp reads "2026-11-23T12:00:00Z" (RFC 3339), proto3 JSON's form.
func (d *decoder) timestamp(target *timestamppb.Timestamp, value jsonValue, path string) {
	if !d.expect("string", value, path) {
		return
	}
	if err := protojson.Unmarshal(appendJSONString(nil, value.text), target); err != nil {
		d.fault(path, `Expected a time such as "2026-11-23T12:00:00Z", received %s`, quoted(value.text))
	}
}

// Names that fields have in Outstand's public API, for clients that were written for it, and in calls like theirs.
var otherNames = map[protoreflect.FullName]map[string]protoreflect.Name{
	"authurl.v1.ListSocialAccountsRequest":        {"limit": "page_size"},
	"authurl.v1.ExportSocialAccountsRequest":      {"limit": "page_size"},
	"authurl.v1.ListEventsRequest":                {"limit": "page_size"},
	"authurl.v1.FinalizePendingConnectionRequest": {"selectedPageIds": "choice_ids"},
}

// findField knows a field by its name and by its lowerCamelCase spelling.
func findField(message protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if other, found := otherNames[message.FullName()][name]; found {
		return message.Fields().ByName(other)
	}
	if field := message.Fields().ByName(protoreflect.Name(name)); field != nil {
		return field
	}
	return message.Fields().ByJSONName(name)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// How much of a name or word of the caller's a fault shows.
const maxNameShown = 64

// quoted shows what a caller sent.
func quoted(text string) string {
	return string(appendJSONString(nil, cut(strings.ToValidUTF8(text, "\ufffd"), maxNameShown)))
}
