package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"authurl/deploy/gateway/gen/authurlv1"
)

// Replies that carry no resource say what was done.
var doneMessages = map[protoreflect.FullName]string{
	"authurl.v1.DeleteSocialNetworkResponse": "The social network was deleted",
	"authurl.v1.DeleteOrganizationResponse":  "The organisation was deleted",
	"authurl.v1.DeleteWebhookResponse":       "The webhook was deleted",
	"authurl.v1.ReplayEventsResponse":        "The events will be delivered again",
	"authurl.v1.RevokeApiKeyResponse":        "The API key was revoked",
}

// envelope is how grpc-gateway reads requests and writes replies.
type envelope struct{}

func (envelope) ContentType(any) string { return "application/json" }

func (envelope) NewDecoder(body io.Reader) runtime.Decoder {
	return runtime.DecoderFunc(func(target any) error {
		request, ok := target.(proto.Message)
		if !ok {
			return fmt.Errorf("%T is not a message", target)
		}
		return decodeBody(body, request)
	})
}

func (e envelope) Unmarshal(text []byte, target any) error {
	return e.NewDecoder(bytes.NewReader(text)).Decode(target)
}

func (e envelope) NewEncoder(out io.Writer) runtime.Encoder {
	return runtime.EncoderFunc(func(source any) error {
		text, err := e.Marshal(source)
		if err == nil {
			_, err = out.Write(text)
		}
		return err
	})
}

// Marshal makes the body of a reply:
//
//	{"success":true,"data":{…}}        a resource, unwrapped from the message around it
//	{"success":true,"data":[…],…}      a list; after it the other members that the reply has, which are
//	                                   "next_page_token":"…","unreadable_ids":[…] where it comes in pages
//	{"success":true,"message":"…"}     something was deleted, or will be done
//
// Members are named as in the protos; those of events as in the bodies of webhooks, so that one program reads both.
// accounts.go has those that are none of these.
func (envelope) Marshal(source any) ([]byte, error) {
	out := []byte(`{"success":true,`)
	if out, done, err := appendAccountsReply(out, source); done {
		return append(out, '}'), err
	}
	reply, ok := source.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is not a message", source)
	}
	message := reply.ProtoReflect()
	if done, ok := doneMessages[message.Descriptor().FullName()]; ok {
		out = append(out, `"message":`...)
		return append(appendJSONString(out, done), '}'), nil
	}
	out = append(out, `"data":`...)
	var err error
	if list := message.Descriptor().Fields().Get(0); list.IsList() && list.Message() != nil {
		out, err = appendList(out, message)
	} else {
		out = append(out, '{')
		out, err = appendUnwrapped(out, message)
		out = append(out, '}')
	}
	return append(out, '}'), err
}

// appendList writes the list that a reply begins with, and its other fields as members beside it.
func appendList(out []byte, message protoreflect.Message) ([]byte, error) {
	fields := message.Descriptor().Fields()
	out, err := appendField(out, message, fields.Get(0))
	for i := 1; i < fields.Len() && err == nil; i++ {
		out = append(appendJSONString(append(out, ','), memberName(fields.Get(i))), ':')
		out, err = appendField(out, message, fields.Get(i))
	}
	return out, err
}

// appendUnwrapped writes the members of a reply. Those of a resource in it stand beside its other fields.
func appendUnwrapped(out []byte, message protoreflect.Message) ([]byte, error) {
	fields := message.Descriptor().Fields()
	var err error
	for i := 0; i < fields.Len() && err == nil; i++ {
		field := fields.Get(i)
		if i > 0 {
			out = append(out, ',')
		}
		if isResource(field) {
			out, err = appendMembers(out, message.Get(field).Message())
			continue
		}
		out = append(appendJSONString(out, memberName(field)), ':')
		out, err = appendField(out, message, field)
	}
	return out, err
}

func memberName(field protoreflect.FieldDescriptor) string {
	if field.ParentFile() == authurlv1.File_authurl_v1_event_service_proto {
		return field.JSONName()
	}
	return string(field.Name())
}

func isResource(field protoreflect.FieldDescriptor) bool {
	return field.Cardinality() != protoreflect.Repeated && field.Message() != nil && field.Message().Parent().FullName() == "authurl.v1"
}

// appendMembers writes every field, the empty ones too: "", [], {}, and null for a message that is not there. So a
// client finds each member in each reply.
func appendMembers(out []byte, message protoreflect.Message) ([]byte, error) {
	fields := message.Descriptor().Fields()
	var err error
	for i := 0; i < fields.Len() && err == nil; i++ {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(appendJSONString(out, memberName(fields.Get(i))), ':')
		out, err = appendField(out, message, fields.Get(i))
	}
	if err != nil {
		return out, err
	}
	return appendOtherNames(out, message.Interface())
}

func appendField(out []byte, message protoreflect.Message, field protoreflect.FieldDescriptor) ([]byte, error) {
	value := message.Get(field)
	var err error
	switch {
	case field.IsList():
		out = append(out, '[')
		for i := 0; i < value.List().Len() && err == nil; i++ {
			if i > 0 {
				out = append(out, ',')
			}
			out, err = appendValue(out, field, value.List().Get(i))
		}
		return append(out, ']'), err
	case field.IsMap():
		var keys []string
		for key := range value.Map().Range {
			keys = append(keys, key.String())
		}
		slices.Sort(keys)
		out = append(out, '{')
		for i, key := range keys {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendJSONString(out, key), ':')
			if out, err = appendValue(out, field.MapValue(), value.Map().Get(protoreflect.ValueOfString(key).MapKey())); err != nil {
				return out, err
			}
		}
		return append(out, '}'), nil
	case field.HasPresence() && !message.Has(field):
		return append(out, "null"...), nil
	}
	return appendValue(out, field, value)
}

// appendValue knows the types that replies have; a test makes sure of that.
func appendValue(out []byte, field protoreflect.FieldDescriptor, value protoreflect.Value) ([]byte, error) {
	switch field.Kind() {
	case protoreflect.StringKind:
		return appendJSONString(out, value.String()), nil
	case protoreflect.BoolKind:
		return strconv.AppendBool(out, value.Bool()), nil
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return strconv.AppendInt(out, value.Int(), 10), nil
	case protoreflect.Uint32Kind:
		return strconv.AppendUint(out, value.Uint(), 10), nil
	case protoreflect.EnumKind:
		if known := field.Enum().Values().ByNumber(value.Enum()); known != nil {
			return appendJSONString(out, string(known.Name())), nil
		}
		return strconv.AppendInt(out, int64(value.Enum()), 10), nil
	case protoreflect.MessageKind:
		if result, ok := value.Message().Interface().(*authurlv1.BatchGetAuthUrlsResponse_Result); ok {
			return appendBatchResult(out, result)
		}
		if field.Message().Parent().FullName() != "google.protobuf" {
			out, err := appendMembers(append(out, '{'), value.Message())
			return append(out, '}'), err
		}
		return appendWellKnown(out, value.Message().Interface())
	}
	return out, errors.New("no JSON form for " + string(field.FullName()))
}

// appendWellKnown writes timestamps and their like, which have a form of their own. protojson puts in spaces at random.
func appendWellKnown(out []byte, message proto.Message) ([]byte, error) {
	text, err := protojson.Marshal(message)
	if err != nil {
		return out, err
	}
	compact := bytes.NewBuffer(out)
	err = json.Compact(compact, text)
	return compact.Bytes(), err
}

// appendBatchResult writes what one network of a batch got: what the reply to the single call has in `data`, or what its
// error reply has. Both say which configuration was used; where none was found, its id and name are empty.
//
//	{"network":"x","social_network_id":"sn_…","configuration_name":"…","success":true,"auth_url":"…","expires_at":"…","flow_id":"…"}
//	{"network":"mastodon","instance":"mastodon.social","social_network_id":"","configuration_name":"","success":false,"error":"…","message":"…","code":"…"}
func appendBatchResult(out []byte, result *authurlv1.BatchGetAuthUrlsResponse_Result) ([]byte, error) {
	out = appendJSONString(append(out, `{"network":`...), result.GetNetwork())
	if result.GetInstance() != "" {
		out = appendJSONString(append(out, `,"instance":`...), result.GetInstance())
	}
	out = appendJSONString(append(out, `,"social_network_id":`...), result.GetSocialNetworkId())
	out = appendJSONString(append(out, `,"configuration_name":`...), result.GetConfigurationName())
	var err error
	if url := result.GetAuthUrl(); url != nil {
		out, err = appendMembers(append(out, `,"success":true,`...), url.ProtoReflect())
	} else {
		out = failureOf(status.ErrorProto(result.GetError())).appendMembers(append(out, ','))
	}
	return append(out, '}'), err
}
