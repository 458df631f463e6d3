"""Calls the gateway with the client that openapi-python-client makes of openapi.yaml."""

import json
import os

from authurl_client import AuthenticatedClient
from authurl_client.api.authorization_ur_ls import get_auth_url, list_networks
from authurl_client.api.social_accounts import list_social_accounts
from authurl_client.api.social_networks import create_social_network
from authurl_client.models import AuthUrlRequest, CreateSocialNetwork, Error, InvalidPayload, SocialAccountListReply


def client(key: str) -> AuthenticatedClient:
    return AuthenticatedClient(base_url=os.environ["AUTHURL_URL"], token=key, timeout=20)


api = client(os.environ["AUTHURL_API_KEY"])
networks = list_networks.sync(client=api)
assert len(networks.data) > 40, networks

name = "openapi_python_client"
wanted = CreateSocialNetwork(
    network="linkedin",
    name=name,
    client_key="1234",
    client_secret="s3cret",
    default_redirect_uri="https://app.example.com/cb",
)
created = create_social_network.sync(client=api, body=wanted)
assert created.data.name == name, created

minted = get_auth_url.sync("linkedin", client=api, body=AuthUrlRequest(configuration=name))
assert minted.data.auth_url.startswith("https://www.linkedin.com/"), minted

faulty = AuthUrlRequest(configuration=name, redirect_uri="http://app.example.com/cb", scopes=["openid", "a,b"])
refused = get_auth_url.sync("linkedin", client=api, body=faulty)
assert isinstance(refused, InvalidPayload), refused
details = refused.details.additional_properties
assert len(details["redirect_uri"].field_errors) == 1, details
assert len(details["scopes"].additional_properties["1"].field_errors) == 1, details

accounts = list_social_accounts.sync(client=api)
assert accounts.total == 0 and accounts.data == [], accounts

unknown = list_networks.sync(client=client(os.environ["AUTHURL_WRONG_KEY"]))
assert isinstance(unknown, Error) and unknown.code == "API_KEY_INVALID", unknown

example = SocialAccountListReply.from_dict(json.loads(os.environ["AUTHURL_EXAMPLE"]))
assert example.data[0].tenant_id == example.data[0]["tenantId"] == "customer_42", example
