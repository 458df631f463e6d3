// Calls the gateway with the client that openapi-generator makes of openapi.yaml for Go (the module in ../client).
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	client "check/client"
)

func with(key string) *client.APIClient {
	settings := client.NewConfiguration()
	settings.Servers[0].URL = os.Getenv("AUTHURL_URL")
	settings.AddDefaultHeader("Authorization", "Bearer "+key)
	return client.NewAPIClient(settings)
}

func expect(good bool, got any) {
	if !good {
		log.Output(2, fmt.Sprintf("got %+v", got))
		os.Exit(1)
	}
}

// modelOf is what a refused call was answered with.
func modelOf[T any](err error) T {
	var refused *client.GenericOpenAPIError
	expect(errors.As(err, &refused), err)
	model, typed := refused.Model().(T)
	expect(typed, fmt.Sprintf("%T %s", refused.Model(), refused.Body()))
	return model
}

func main() {
	log.SetFlags(log.Lshortfile)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	api := with(os.Getenv("AUTHURL_API_KEY"))

	networks, _, err := api.AuthorizationURLsAPI.ListNetworks(ctx).Execute()
	expect(err == nil && len(networks.Data) > 40, err)

	wanted := client.NewCreateSocialNetwork("linkedin", "1234")
	wanted.SetName("openapi_generator_go")
	wanted.SetClientSecret("s3cret")
	wanted.SetDefaultRedirectUri("https://app.example.com/cb")
	created, _, err := api.SocialNetworksAPI.CreateSocialNetwork(ctx).CreateSocialNetwork(*wanted).Execute()
	expect(err == nil && created.Data.Name == "openapi_generator_go", err)

	request := client.NewAuthUrlRequest()
	request.SetConfiguration(created.Data.Name)
	minted, _, err := api.AuthorizationURLsAPI.GetAuthUrl(ctx, "linkedin").AuthUrlRequest(*request).Execute()
	expect(err == nil && strings.HasPrefix(minted.Data.AuthUrl, "https://www.linkedin.com/"), err)

	request.SetRedirectUri("http://app.example.com/cb")
	request.SetScopes([]string{"openid", "a,b"})
	_, response, err := api.AuthorizationURLsAPI.GetAuthUrl(ctx, "linkedin").AuthUrlRequest(*request).Execute()
	expect(response.StatusCode == http.StatusBadRequest, response.Status)
	// The generator's Go knows members of any name as "anything".
	details := modelOf[client.InvalidPayload](err).Details.AdditionalProperties
	expect(len(details) == 2 && len(details["redirect_uri"].(map[string]any)["_errors"].([]any)) == 1, details)

	batch := client.NewBatchAuthUrlsRequest()
	batch.SetNetworks([]string{"linkedin", "nonsense"})
	batch.SetConfiguration(created.Data.Name)
	results, _, err := api.AuthorizationURLsAPI.BatchGetAuthUrls(ctx).BatchAuthUrlsRequest(*batch).Execute()
	expect(err == nil && results.Data[0].GetAuthUrl() != "" && len(results.Data[1].Details.AdditionalProperties) == 1, err)

	accounts, _, err := api.SocialAccountsAPI.ListSocialAccounts(ctx).Execute()
	expect(err == nil && *accounts.Total.Get() == 0 && len(accounts.Data) == 0, err)

	_, _, err = with(os.Getenv("AUTHURL_WRONG_KEY")).AuthorizationURLsAPI.ListNetworks(ctx).Execute()
	expect(modelOf[client.Error](err).Code == "API_KEY_INVALID", err)

	var example client.SocialAccountListReply
	err = json.Unmarshal([]byte(os.Getenv("AUTHURL_EXAMPLE")), &example)
	expect(err == nil && example.Data[0].TenantId == "customer_42" && example.Data[0].AdditionalProperties["tenantId"] == "customer_42", err)
}
