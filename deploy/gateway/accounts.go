package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"authurl/deploy/gateway/gen/authurlv1"
)

// Social accounts, for clients of this API and for those that were written for Outstand's, whose public documentation has
// other names for much of the same: both find theirs. No message could have both (tenant_id and tenantId are one name in
// JSON), so the others are added here.

// takeAccountID takes the filter `id` out of a list's query: the rpc has none.
func takeAccountID(next runtime.HandlerFunc) runtime.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request, pathParams map[string]string) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if routeOf(r) != "GET /v1/social-accounts" || err != nil || !query.Has("id") {
			next(w, r, pathParams)
			return
		}
		id := query.Get("id")
		switch {
		case len(query["id"]) > 1:
			invalid("id", "Is given more than once").write(w, r)
			return
		case id == "":
			invalid("id", "must not be empty; leave it out to have all").write(w, r)
			return
		case !utf8.ValidString(id):
			invalid("id", "Expected text in UTF-8, received "+quoted(id)).write(w, r)
			return
		case query.Has("page_token") || query.Has("pageToken"):
			invalid("page_token", "must be left out together with id").write(w, r)
			return
		}
		query.Del("id")
		exchangeOf(r.Context()).accountID = id
		r = r.Clone(r.Context())
		r.URL.RawQuery = query.Encode()
		next(w, r, pathParams)
	}
}

// refuseFilters makes the checks of the server's list, which is not asked where there is an id.
func refuseFilters(request *authurlv1.ListSocialAccountsRequest) error {
	var found faultList
	message := request.ProtoReflect()
	fields := message.Descriptor().Fields()
	for i := range fields.Len() {
		// Texts that can be there and be empty are filters.
		if field := fields.Get(i); field.Kind() == protoreflect.StringKind && message.Has(field) && message.Get(field).String() == "" {
			found.add(string(field.Name()), "must not be empty; leave it out to have all")
		}
	}
	if request.GetPageSize() < 0 {
		found.add("page_size", "must not be negative")
	}
	if request.GetOffset() < 0 || request.GetOffset() > 10_000 {
		found.add("offset", "must be 0 to 10000")
	}
	if err := found.err(); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}

// accountsClient calls the server as clients of the REST API mean it.
type accountsClient struct {
	authurlv1.SocialAccountServiceClient
}

func (c accountsClient) ListSocialAccounts(ctx context.Context, request *authurlv1.ListSocialAccountsRequest, options ...grpc.CallOption) (*authurlv1.ListSocialAccountsResponse, error) {
	e := exchangeOf(ctx)
	e.listed = request
	if e.accountID != "" {
		return c.findSocialAccount(ctx, e.accountID, request, options...)
	}
	// Names are sealed, and can't be counted.
	if request.GetPageToken() == "" && request.Username == nil {
		request.CountTotal = true
	}
	return c.SocialAccountServiceClient.ListSocialAccounts(ctx, request, options...)
}

// findSocialAccount makes a list of the account, or of none where it does not pass the other filters.
func (c accountsClient) findSocialAccount(ctx context.Context, id string, filter *authurlv1.ListSocialAccountsRequest, options ...grpc.CallOption) (*authurlv1.ListSocialAccountsResponse, error) {
	if err := refuseFilters(filter); err != nil {
		return nil, err
	}
	found, err := c.GetSocialAccount(ctx, &authurlv1.GetSocialAccountRequest{Id: id}, options...)
	// That the organization is not there is an error, as for any other list.
	if err != nil && failureOf(err).code != "SOCIAL_ACCOUNT_NOT_FOUND" {
		return nil, err
	}
	list := &authurlv1.ListSocialAccountsResponse{Total: new(int64)}
	if account := found.GetAccount(); account != nil && passes(account, filter) {
		*list.Total = 1
		if filter.GetOffset() == 0 {
			list.Accounts = append(list.Accounts, account)
		}
	}
	return list, nil
}

func passes(account *authurlv1.SocialAccount, filter *authurlv1.ListSocialAccountsRequest) bool {
	is := func(value string, wanted *string) bool { return wanted == nil || value == *wanted }
	return is(account.GetTenantId(), filter.TenantId) && is(account.GetNetwork(), filter.Network) &&
		is(account.GetNetworkUniqueId(), filter.NetworkUniqueId) && is(account.GetSocialNetworkId(), filter.SocialNetworkId) &&
		(filter.Username == nil || strings.EqualFold(account.GetUsername(), *filter.Username))
}

// listing is a page of social accounts, with what was asked for: a part of its reply.
type listing struct {
	*authurlv1.ListSocialAccountsResponse
	request *authurlv1.ListSocialAccountsRequest
}

func withListing(ctx context.Context, reply proto.Message) (any, error) {
	if page, ok := reply.(*authurlv1.ListSocialAccountsResponse); ok {
		return listing{page, exchangeOf(ctx).listed}, nil
	}
	return reply, nil
}

// limit is how many accounts the server gives at most, by the rules of its API.
func (l listing) limit() int32 {
	switch size := l.request.GetPageSize(); {
	case size == 0:
		return 100
	case size > 1000:
		return 1000
	default:
		return size
	}
}

// count is how many accounts pass the filters in all, where that is known.
func (l listing) count() (int64, bool) {
	if l.Total != nil {
		return l.GetTotal(), true
	}
	here, passedOver := int64(len(l.GetAccounts())), int64(l.request.GetOffset())
	isAll := l.GetNextPageToken() == "" && l.request.GetPageToken() == "" && (here > 0 || passedOver == 0)
	return passedOver + here, isAll
}

// appendAccountsReply writes those replies of SocialAccountService that are neither a resource nor a plain list, up to
// their last brace. It is false of all others.
//
//	{"success":true,"data":{"accounts":[…],"pending":null,…}}                       a flow was completed, or how one stands
//	{"success":true,"data":[…],"next_page_token":"…",…,"count":1,"limit":100,"offset":0}
//	{"success":true,"data":{"connectedAccounts":[…]},"connectedAccounts":[…]}       choices were connected
//	{"success":true,"message":"…","revocation":"REVOCATION_RESULT_REVOKED"}         an account was deleted
//	{"success":true,"message":"…","deleted":3}                                      a tenant's were
func appendAccountsReply(out []byte, source any) ([]byte, bool, error) {
	var err error
	switch reply := source.(type) {
	case listing:
		out, err = appendList(append(out, `"data":`...), reply.ProtoReflect())
		out = append(out, `,"count":`...)
		if count, known := reply.count(); known {
			out = strconv.AppendInt(out, count, 10)
		} else {
			out = append(out, "null"...)
		}
		out = strconv.AppendInt(append(out, `,"limit":`...), int64(reply.limit()), 10)
		out = strconv.AppendInt(append(out, `,"offset":`...), int64(reply.request.GetOffset()), 10)
	case *authurlv1.CompleteAuthResponse, *authurlv1.GetAuthFlowResponse:
		out, err = appendMembers(append(out, `"data":{`...), reply.(proto.Message).ProtoReflect())
		out = append(out, '}')
	case *authurlv1.FinalizePendingConnectionResponse:
		var accounts []byte
		accounts, err = appendList(nil, reply.ProtoReflect())
		// Outstand's documentation has them beside `success`, and its published components read them from `data`.
		out = append(append(append(out, `"data":{"connectedAccounts":`...), accounts...), '}')
		out = append(append(out, `,"connectedAccounts":`...), accounts...)
	case *authurlv1.DeleteSocialAccountResponse:
		done := "The social account was deleted"
		if reply.GetMessage() != "" {
			done += ". " + reply.GetMessage()
		}
		out = appendJSONString(append(out, `"message":`...), done)
		out = appendJSONString(append(out, `,"revocation":`...), reply.GetRevocation().String())
	case *authurlv1.DeleteSocialAccountsResponse:
		out = append(out, `"message":"The social accounts of the tenant were deleted","deleted":`...)
		out = strconv.AppendInt(out, reply.GetDeleted(), 10)
	default:
		return out, false, nil
	}
	return out, true, err
}

// appendOtherNames adds to the members of a message those that Outstand's API has in their place.
func appendOtherNames(out []byte, message proto.Message) ([]byte, error) {
	switch message := message.(type) {
	case *authurlv1.SocialAccount:
		out = appendJSONString(append(out, `,"orgId":`...), message.GetOrgId())
		out = appendJSONString(append(out, `,"nickname":`...), nameOf(message))
		out = appendJSONString(append(out, `,"profile_picture_url":`...), message.GetAvatarUrl())
		out = appendJSONString(append(out, `,"customer_social_network_id":`...), message.GetSocialNetworkId())
		out = appendJSONString(append(out, `,"accountType":`...), accountType(message.GetAccountType()))
		out = strconv.AppendInt(append(out, `,"isActive":`...), isActive(message), 10)
		out = appendJSONString(append(out, `,"tenantId":`...), message.GetTenantId())
		out = append(out, `,"createdAt":`...)
		if message.GetCreatedAt() == nil {
			return append(out, "null"...), nil
		}
		return appendWellKnown(out, message.GetCreatedAt())
	case *authurlv1.PendingConnection:
		out = append(out, `,"expiresAt":`...)
		if message.GetExpiresAt() == nil {
			out = append(out, "null"...)
		} else {
			out = strconv.AppendInt(out, message.GetExpiresAt().AsTime().UnixMilli(), 10)
		}
		out = append(out, `,"availablePages":[`...)
		for i, choice := range message.GetChoices() {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendJSONString(append(out, `{"id":`...), choice.GetId())
			out = appendJSONString(append(out, `,"type":`...), accountType(choice.GetAccountType()))
			out = appendJSONString(append(out, `,"name":`...), nameOf(choice))
			out = appendJSONString(append(out, `,"username":`...), choice.GetUsername())
			out = appendJSONString(append(out, `,"profilePictureUrl":`...), choice.GetAvatarUrl())
			out = append(out, '}')
		}
		out = append(out, ']')
	}
	return out, nil
}

// nameOf is what to call an account where there has to be something.
func nameOf(account interface {
	GetDisplayName() string
	GetUsername() string
}) string {
	if name := account.GetDisplayName(); name != "" {
		return name
	}
	return account.GetUsername()
}

func accountType(kind authurlv1.SocialAccount_AccountType) string {
	if kind == authurlv1.SocialAccount_ACCOUNT_TYPE_ORGANIZATION {
		return "organization"
	}
	return "personal"
}

func isActive(account *authurlv1.SocialAccount) int64 {
	if account.GetStatus() == authurlv1.SocialAccount_STATUS_ACTIVE {
		return 1
	}
	return 0
}
