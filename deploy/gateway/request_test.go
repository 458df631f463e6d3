package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"authurl/deploy/gateway/gen/authurlv1"
)

func decoded(t *testing.T, body string, request proto.Message) string {
	t.Helper()
	err := envelope{}.Unmarshal([]byte(body), request)
	if err == nil {
		return ""
	}
	return strings.TrimPrefix(err.Error(), shownAsDetails)
}

func TestBodiesThatAreTaken(t *testing.T) {
	for body, want := range map[string]string{
		`{}`:                                     `{}`,
		` {"tenant_id" : "a"} `:                  `{"tenantId":"a"}`,
		`{"tenantId":"a"}`:                       `{"tenantId":"a"}`,
		`{"tenant_id":""}`:                       `{"tenantId":""}`,
		`{"scopes":["a","b"]}`:                   `{"scopes":["a","b"]}`,
		`{"scopes":[]}`:                          `{}`,
		`{"force_account_selection":true}`:       `{"forceAccountSelection":true}`,
		`{"configuration":"brand_b"}`:            `{"configuration":"brand_b"}`,
		`{"configuration":""}`:                   `{"configuration":""}`,
		`{"login_hint":"<é\u0041\ud83d\ude00>"}`: `{"loginHint":"<éA😀>"}`,
	} {
		var got, expected authurlv1.GetAuthUrlRequest
		if faults := decoded(t, body, &got); faults != "" {
			t.Errorf("%s: %s", body, faults)
		}
		if err := protojson.Unmarshal([]byte(want), &expected); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(&got, &expected) {
			t.Errorf("%s: got %v", body, &got)
		}
	}
}

func TestMapsEnumsAndMasks(t *testing.T) {
	var create authurlv1.CreateSocialNetworkRequest
	if faults := decoded(t, `{"extra_params":{"a.b":"1","_errors":"2"}}`, &create); faults != "" || create.ExtraParams["a.b"] != "1" {
		t.Errorf("%s %v", faults, &create)
	}
	for _, request := range []interface {
		proto.Message
		GetVariant() string
	}{&authurlv1.CreateSocialNetworkRequest{}, &authurlv1.UpdateSocialNetworkRequest{}} {
		if faults := decoded(t, `{"variant":"page"}`, request); faults != "" || request.GetVariant() != "page" {
			t.Errorf("%s %v", faults, request)
		}
	}
	for _, spelling := range []string{"is_default", "isDefault"} {
		for _, request := range []interface {
			proto.Message
			GetName() string
			GetIsDefault() bool
		}{&authurlv1.CreateSocialNetworkRequest{}, &authurlv1.UpdateSocialNetworkRequest{}} {
			faults := decoded(t, `{"name":"brand_b","`+spelling+`":true}`, request)
			if faults != "" || request.GetName() != "brand_b" || !request.GetIsDefault() {
				t.Errorf("%s %v", faults, request)
			}
		}
	}
	var unset authurlv1.UpdateSocialNetworkRequest
	if faults := decoded(t, `{"name":"","isDefault":false}`, &unset); faults != "" || unset.Name == nil || unset.IsDefault == nil {
		t.Errorf("%s %v", faults, &unset)
	}
	var key authurlv1.CreateApiKeyRequest
	if faults := decoded(t, `{"role":"ROLE_MINT"}`, &key); faults != "" || key.Role != authurlv1.Role_ROLE_MINT {
		t.Errorf("%s %v", faults, &key)
	}
	var update authurlv1.UpdateSocialNetworkRequest
	faults := decoded(t, `{"update_mask":"clientKey,scopes,isDefault,name,nonsense"}`, &update)
	if got := strings.Join(update.GetUpdateMask().GetPaths(), " "); faults != "" || got != "client_key scopes is_default name nonsense" {
		t.Errorf("%s %s", faults, got)
	}
}

func TestAnEmptyListOrObjectEmptiesTheField(t *testing.T) {
	for body, want := range map[string]string{
		`{"scopes":[]}`:                        "scopes",
		`{"extraParams":{}}`:                   "extra_params",
		`{"name":"n","scopes":[]}`:             "name scopes",
		`{"scopes":["a"],"variables":{}}`:      "scopes variables",
		`{"update_mask":"","scopes":[]}`:       "scopes",
		`{"update_mask":"name","scopes":[]}`:   "name",
		`{"name":"","scopes":["a"]}`:           "",
		`{}`:                                   "",
		`{"extra_params":{"a":""},"name":"n"}`: "",
	} {
		var update authurlv1.UpdateSocialNetworkRequest
		faults := decoded(t, body, &update)
		if got := strings.Join(update.GetUpdateMask().GetPaths(), " "); faults != "" || got != want {
			t.Errorf("%s: %s %s", body, faults, got)
		}
	}
	for body, want := range map[string]string{
		`{"event_types":[]}`:                           "event_types",
		`{"eventTypes":[],"enabled":false}`:            "event_types enabled",
		`{"update_mask":"description"}`:                "description",
		`{"updateMask":"description","eventTypes":[]}`: "description",
		`{"description":"","enabled":true}`:            "",
		`{"event_types":["account.connected"]}`:        "",
	} {
		var update authurlv1.UpdateWebhookRequest
		faults := decoded(t, body, &update)
		if got := strings.Join(update.GetUpdateMask().GetPaths(), " "); faults != "" || got != want {
			t.Errorf("%s: %s %s", body, faults, got)
		}
	}
}

func TestBodiesThatAreRefusedNameTheField(t *testing.T) {
	for body, want := range map[string]string{
		`{"tenant_id":5}`:                   `{"tenant_id":{"_errors":["Expected string, received number"]}}`,
		`{"tenantId":null}`:                 `{"tenant_id":{"_errors":["Expected string, received null"]}}`,
		`{"scopes":"a"}`:                    `{"scopes":{"_errors":["Expected array, received string"]}}`,
		`{"scopes":["a",{},true]}`:          `{"scopes":{"1":{"_errors":["Expected string, received object"]},"2":{"_errors":["Expected string, received boolean"]}}}`,
		`{"force_account_selection":"no"}`:  `{"force_account_selection":{"_errors":["Expected boolean, received string"]}}`,
		`{"tenant_id":"a","tenant_id":"b"}`: `{"tenant_id":{"_errors":["Is given more than once"]}}`,
		`{"tenant_id":"a","tenantId":"b"}`:  `{"tenant_id":{"_errors":["Is given more than once"]}}`,
		`{"tenant":"a","tenant_id":5}`:      `{"_errors":["Unknown field \"tenant\""],"tenant_id":{"_errors":["Expected string, received number"]}}`,
		`[]`:                                `{"_errors":["Expected object, received array"]}`,
		`null`:                              `{"_errors":["Expected object, received null"]}`,
		`5`:                                 `{"_errors":["Expected object, received number"]}`,
	} {
		if got := decoded(t, body, &authurlv1.GetAuthUrlRequest{}); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	for body, want := range map[string]string{
		`{"extra_params":{"a":5}}`:             `{"extra_params":{"a":{"_errors":["Expected string, received number"]}}}`,
		`{"extra_params":{"_errors":5}}`:       `{"extra_params":{"_errors":["Expected string, received number"]}}`,
		`{"extra_params":{"a":"","a":""}}`:     `{"extra_params":{"a":{"_errors":["Is given more than once"]}}}`,
		`{"name":null,"is_default":"yes"}`:     `{"name":{"_errors":["Expected string, received null"]},"is_default":{"_errors":["Expected boolean, received string"]}}`,
		`{"isDefault":1}`:                      `{"is_default":{"_errors":["Expected boolean, received number"]}}`,
		`{"is_default":true,"isDefault":true}`: `{"is_default":{"_errors":["Is given more than once"]}}`,
		`{"configuration":"a"}`:                `{"_errors":["Unknown field \"configuration\""]}`,
	} {
		if got := decoded(t, body, &authurlv1.CreateSocialNetworkRequest{}); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	for body, want := range map[string]string{
		`{"networks":"x"}`:                     `{"networks":{"_errors":["Expected array, received string"]}}`,
		`{"networks":["x",null]}`:              `{"networks":{"1":{"_errors":["Expected string, received null"]}}}`,
		`{"networks":[],"network":"x"}`:        `{"_errors":["Unknown field \"network\""]}`,
		`{"networks":[],"networks":[]}`:        `{"networks":{"_errors":["Is given more than once"]}}`,
		`{"configuration":["a"]}`:              `{"configuration":{"_errors":["Expected string, received array"]}}`,
		`{"force_account_selection":1,"a":{}}`: `{"_errors":["Unknown field \"a\""],"force_account_selection":{"_errors":["Expected boolean, received number"]}}`,
	} {
		if got := decoded(t, body, &authurlv1.BatchGetAuthUrlsRequest{}); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
	for body, want := range map[string]string{
		`{"role":"ORG"}`:              `{"role":{"_errors":["Expected one of ROLE_ADMIN, ROLE_ORG, ROLE_MINT, ROLE_SERVICE, received \"ORG\""]}}`,
		`{"role":2}`:                  `{"role":{"_errors":["Expected string, received number"]}}`,
		`{"role":"ROLE_UNSPECIFIED"}`: `{"role":{"_errors":["Expected one of ROLE_ADMIN, ROLE_ORG, ROLE_MINT, ROLE_SERVICE, received \"ROLE_UNSPECIFIED\""]}}`,
	} {
		if got := decoded(t, body, &authurlv1.CreateApiKeyRequest{}); got != want {
			t.Errorf("%s\n got %s\nwant %s", body, got, want)
		}
	}
}

func TestWhatIsNoJSONIsAFaultOfTheWholeBody(t *testing.T) {
	for _, body := range []string{
		`{`, `{}{}`, `{} x`, `{"a":}`, `{'a':1}`, `{"tenant_id":"a",}`, `{"tenant_id":01}`, `nonsense`, "\ufeff{}", "{\"tenant_id\":\"\x01\"}",
		"{\"tenant_id\":\"\xff\"}", `{"tenant_id":"\ud800"}`, `{"tenant_id":"\ude00\ud83d"}`, `{"tenant_id":"\ud800\u0041"}`,
		strings.Repeat("[", 33) + strings.Repeat("]", 33), strings.Repeat(`{"a":`, 60000),
	} {
		got := decoded(t, body, &authurlv1.GetAuthUrlRequest{})
		if !strings.HasPrefix(got, `{"_errors":["The body is `) {
			t.Errorf("%.60q: %.200s", body, got)
		}
	}
}

// A caller's own words may end up in a reply, but can't blow it up.
func TestRepliesToHostileNamesStayBounded(t *testing.T) {
	got := decoded(t, `{"`+strings.Repeat("x", 60000)+`":1}`, &authurlv1.GetAuthUrlRequest{})
	if len(got) > 200 {
		t.Errorf("%d bytes", len(got))
	}
	got = decoded(t, `{"extra_params":{"`+strings.Repeat("a.", 30000)+`":1}}`, &authurlv1.CreateSocialNetworkRequest{})
	if strings.Count(got, "{") > 10 {
		t.Errorf("nested %d levels", strings.Count(got, "{"))
	}
}

// What 64 KiB can be filled with. Each costs little, and so does its reply.
func TestSixtyFourKilobytesOfFaultsAreCheap(t *testing.T) {
	many := func(piece, opening, closing string) string {
		return opening + strings.Repeat(piece+",", (maxBodyBytes-len(opening)-len(closing))/(len(piece)+1)-1) + piece + closing
	}
	var unknown strings.Builder
	for i := range 60 {
		fmt.Fprintf(&unknown, `,"u%d":1`, i)
	}
	for name, body := range map[string]string{
		"list":         many("1", `{"scopes":[`, `]}`),
		"empty lists":  many("[]", `{"scopes":[`, `]}`),
		"unknown":      many(`"a":1`, `{`, `}`),
		"few unknown":  `{"tenant_id":"a"` + unknown.String() + `}`,
		"map":          many(`"a":1`, `{"extra_params":{`, `}}`),
		"map of lists": many(`"a":[1,1,1,1]`, `{"extra_params":{`, `}}`),
		"nested":       many("["+strings.Repeat("[1],", 99)+"1]", `{"scopes":[`, `]}`),
		"long names":   `{"extra_params":{"` + strings.Repeat("a.", 15_000) + `":1,"` + strings.Repeat("b[", 15_000) + `":1}}`,
		"mask":         `{"update_mask":"` + strings.Repeat("a,", 32_000) + `a"}`,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := decoded(t, body, &authurlv1.UpdateSocialNetworkRequest{})
		runtime.ReadMemStats(&after)
		if got == "" || len(got) > 8<<10 {
			t.Errorf("%s: a reply of %d bytes", name, len(got))
		}
		if made := after.TotalAlloc - before.TotalAlloc; made > 1<<20 {
			t.Errorf("%s: %d bytes were allocated", name, made)
		}
	}
}

func TestFaultsBeyondAHandfulAreNotShown(t *testing.T) {
	items := func(n int) string { return `{"scopes":[` + strings.Repeat("1,", n-1) + "1]}" }
	const more = `"More faults are not shown; correct these first"`
	for n, want := range map[int]bool{maxFaults: false, maxFaults + 1: true} {
		got := decoded(t, items(n), &authurlv1.GetAuthUrlRequest{})
		if strings.Contains(got, more) != want || strings.Count(got, "Expected string") != maxFaults {
			t.Errorf("%d: %s", n, got)
		}
	}
	var long strings.Builder
	for i := range maxFaults {
		fmt.Fprintf(&long, `"%s%d":1,`, strings.Repeat(`\u0001`, 62), 10+i)
	}
	if got := decoded(t, "{"+long.String()+`"a":1}`, &authurlv1.GetAuthUrlRequest{}); !strings.Contains(got, more) || len(got) > 2*maxFaultBytes {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	for body, want := range map[string]string{
		`{"extra_params":{` + strings.Repeat(`"a":"",`, maxMembers) + `"b":""}}`: `{"extra_params":{"_errors":["must have at most 64 members; the largest objects of the API have fewer"]}}`,
		items(maxItems + 1):                          `{"scopes":{"_errors":["must have at most 640 entries; the longest lists of the API have fewer"]}}`,
		`{"scopes":["a",` + items(maxItems+1) + `]}`: `{"scopes":{"1":{"scopes":{"_errors":["must have at most 640 entries; the longest lists of the API have fewer"]}}}}`,
		`{"scopes":[` + strings.Repeat("["+strings.Repeat("1,", 99)+"1],", 12) + `1]}`: `{"_errors":["The body has more than 1024 values: send fewer"]}`,
	} {
		if got := decoded(t, body, &authurlv1.GetAuthUrlRequest{}); got != want {
			t.Errorf("%.60s: %s", body, got)
		}
	}
}

// The decoder, the query parser and the envelope know some types only. A field of another type must not be added to the
// API unnoticed.
func TestEveryFieldOfTheAPIHasATypeThatIsKnown(t *testing.T) {
	for _, file := range []protoreflect.FileDescriptor{
		authurlv1.File_authurl_v1_auth_url_service_proto,
		authurlv1.File_authurl_v1_organization_service_proto,
		authurlv1.File_authurl_v1_social_account_service_proto,
		authurlv1.File_authurl_v1_social_network_service_proto,
		authurlv1.File_authurl_v1_event_service_proto,
		authurlv1.File_authurl_v1_webhook_service_proto,
	} {
		expectKnownTypes(t, file.Messages())
	}
}

func expectKnownTypes(t *testing.T, messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		message := messages.Get(i)
		expectKnownTypes(t, message.Messages())
		for j := range message.Fields().Len() {
			field := message.Fields().Get(j)
			if isRequest := strings.HasSuffix(string(message.Name()), "Request"); !message.IsMapEntry() && !isKnownType(field, isRequest) {
				t.Errorf("%s: %s is not supported", field.FullName(), field.Kind())
			}
		}
	}
}

func isKnownType(field protoreflect.FieldDescriptor, ofRequest bool) bool {
	if field.IsMap() {
		return field.MapKey().Kind() == protoreflect.StringKind && isKnownType(field.MapValue(), ofRequest)
	}
	switch field.Kind() {
	case protoreflect.StringKind, protoreflect.BoolKind, protoreflect.Int32Kind, protoreflect.EnumKind:
		return true
	case protoreflect.Uint32Kind, protoreflect.Int64Kind:
		return !ofRequest
	case protoreflect.MessageKind:
		switch field.Message().ParentFile().Package() {
		case "authurl.v1":
			return true
		case "google.protobuf":
			return !ofRequest || slices.Contains([]protoreflect.Name{"FieldMask", "Duration", "Timestamp"}, field.Message().Name())
		}
		return field.FullName() == "authurl.v1.BatchGetAuthUrlsResponse.Result.error"
	}
	return false
}

func FuzzDecodeBody(f *testing.F) {
	for _, seed := range []string{`{}`, `{"tenant_id":"a","scopes":["b"]}`, `{"extra_params":{"a":"b"},"variables":{}}`, `{"name":"a","isDefault":true}`, `{"tenant_id":"\ud83d\ude00"}`, `[[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got authurlv1.CreateSocialNetworkRequest
		if err := (envelope{}).Unmarshal(body, &got); err != nil {
			return
		}
		// Whatever is taken, protojson takes too, and reads the same from it.
		var expected authurlv1.CreateSocialNetworkRequest
		if err := protojson.Unmarshal(body, &expected); err != nil {
			t.Fatalf("protojson refuses %q: %v", body, err)
		}
		if !proto.Equal(&got, &expected) {
			t.Fatalf("%q: %v, protojson reads %v", body, &got, &expected)
		}
	})
}
