// Calls the gateway with the client that oapi-codegen makes of openapi.yaml (package client beside this one).
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"check/client"
)

func with(key string) *client.ClientWithResponses {
	c, err := client.NewClientWithResponses(os.Getenv("AUTHURL_URL"), client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+key)
		return nil
	}))
	expect(err == nil, err)
	return c
}

func expect(good bool, got any) {
	if !good {
		log.Output(2, fmt.Sprintf("got %+v", got))
		os.Exit(1)
	}
}

func main() {
	log.SetFlags(log.Lshortfile)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	api := with(os.Getenv("AUTHURL_API_KEY"))

	networks, err := api.ListNetworksWithResponse(ctx, nil)
	expect(err == nil && networks.JSON200 != nil && len(networks.JSON200.Data) > 40, err)

	name, redirectURI := "oapi_codegen", "https://app.example.com/cb"
	created, err := api.CreateSocialNetworkWithResponse(ctx, nil, client.CreateSocialNetwork{
		Network: "linkedin", Name: &name, ClientKey: "1234", ClientSecret: &name, DefaultRedirectUri: &redirectURI})
	expect(err == nil && created.JSON200 != nil && created.JSON200.Data.Name == name, created)

	minted, err := api.GetAuthUrlWithResponse(ctx, "linkedin", nil, client.AuthUrlRequest{Configuration: &name})
	expect(err == nil && minted.JSON200 != nil && strings.HasPrefix(minted.JSON200.Data.AuthUrl, "https://www.linkedin.com/"), minted)

	wrongURI := "http://app.example.com/cb"
	refused, err := api.GetAuthUrlWithResponse(ctx, "linkedin", nil, client.AuthUrlRequest{
		Configuration: &name, RedirectUri: &wrongURI, Scopes: &client.Scopes{"openid", "a,b"}})
	expect(err == nil && refused.JSON400 != nil, refused)
	details := refused.JSON400.Details.AdditionalProperties
	expect(len(*details["redirect_uri"].UnderscoreErrors) == 1, details)
	expect(len(*details["scopes"].AdditionalProperties["1"].UnderscoreErrors) == 1, details)

	accounts, err := api.ListSocialAccountsWithResponse(ctx, nil)
	expect(err == nil && accounts.JSON200 != nil && *accounts.JSON200.Total == 0 && len(accounts.JSON200.Data) == 0, accounts)

	unknown, err := with(os.Getenv("AUTHURL_WRONG_KEY")).ListNetworksWithResponse(ctx, nil)
	expect(err == nil && unknown.JSON401 != nil && unknown.JSON401.Code == "API_KEY_INVALID", unknown)

	var example client.SocialAccountListReply
	err = json.Unmarshal([]byte(os.Getenv("AUTHURL_EXAMPLE")), &example)
	expect(err == nil && example.Data[0].TenantId == "customer_42" && example.Data[0].AdditionalProperties["tenantId"] == "customer_42", err)
}
