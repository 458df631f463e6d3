"""Calls the gateway with the client that openapi-generator makes of openapi.yaml for Python."""

import os

import openapi_client
from openapi_client import AuthUrlRequest, AuthorizationURLsApi, BatchAuthUrlsRequest, CreateSocialNetwork
from openapi_client import SocialAccountListReply, SocialAccountsApi, SocialNetworksApi
from openapi_client.exceptions import BadRequestException, UnauthorizedException


def client(key: str) -> openapi_client.ApiClient:
    return openapi_client.ApiClient(openapi_client.Configuration(host=os.environ["AUTHURL_URL"], access_token=key))


api = client(os.environ["AUTHURL_API_KEY"])
urls = AuthorizationURLsApi(api)
assert len(urls.list_networks(_request_timeout=20.0).data) > 40

name = "openapi_generator_python"
wanted = CreateSocialNetwork(
    network="linkedin",
    name=name,
    client_key="1234",
    client_secret="s3cret",
    default_redirect_uri="https://app.example.com/cb",
)
created = SocialNetworksApi(api).create_social_network(wanted, _request_timeout=20.0)
assert created.data.name == name, created

minted = urls.get_auth_url("linkedin", auth_url_request=AuthUrlRequest(configuration=name), _request_timeout=20.0)
assert minted.data.auth_url.startswith("https://www.linkedin.com/"), minted

faulty = AuthUrlRequest(configuration=name, redirect_uri="http://app.example.com/cb", scopes=["openid", "a,b"])
try:
    raise AssertionError(urls.get_auth_url("linkedin", auth_url_request=faulty, _request_timeout=20.0))
except BadRequestException as refused:
    # The generator's Python knows members of any name as "anything".
    details = refused.data.details.additional_properties
    assert len(details["redirect_uri"]["_errors"]) == 1, details
    assert len(details["scopes"]["1"]["_errors"]) == 1, details

batch = BatchAuthUrlsRequest(networks=["linkedin", "nonsense"], configuration=name)
url, error = urls.batch_get_auth_urls(batch_auth_urls_request=batch, _request_timeout=20.0).data
assert url.success and url.auth_url and not error.success and error.details, (url, error)

accounts = SocialAccountsApi(api).list_social_accounts(_request_timeout=20.0)
assert accounts.total == 0 and accounts.data == [], accounts

try:
    raise AssertionError(AuthorizationURLsApi(client(os.environ["AUTHURL_WRONG_KEY"])).list_networks(_request_timeout=20.0))
except UnauthorizedException as refused:
    assert refused.data.code == "API_KEY_INVALID", refused

example = SocialAccountListReply.from_json(os.environ["AUTHURL_EXAMPLE"])
assert example.data[0].tenant_id == example.data[0].additional_properties["tenantId"] == "customer_42", example
