// catalog_text.h: catalogs of made-up networks, in the text that core/catalog/network_catalog.h
// reads.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"

namespace authurl::testing {

// One entry that sets nearly every field.
inline constexpr char kFullEntry[] = R"pb(
  networks {
    id: "full"
    display_name: "Full"
    status: STATUS_LIVE
    status_note: ""
    authorization_endpoint: "https://full.example/{version}/authorize?lang=en"
    variables {
      name: "version"
      default_value: "v1.0"
      pattern: "v[0-9]\\.[0-9]"
      description: "The version of the interface, such as v1.0"
    }
    client_id_param: "client_key"
    client_key_label: "Key"
    response_type: "code"
    scopes { param: "scope" separator: "," defaults: "read" defaults: "write" }
    pkce { mode: MODE_SUPPORTED challenge_encoding: CHALLENGE_ENCODING_HEX }
    state { max_length: 500 }
    redirect_uri { http_localhost: true no_query: true max_length: 511 }
    fixed_params { name: "access_type" value: "offline" why: "Asks for a refresh token" }
    fixed_params { name: "prompt" value: "consent" why: "Asks every time" }
    account_selection_params {
      name: "prompt"
      value: "select_account"
      why: "Shows the account chooser"
    }
    configuration_params {
      name: "domain"
      pattern: "[a-z.]{1,64}"
      description: "The company's domain"
      default_value: "full.example"
    }
    configuration_params { name: "region" pattern: "[a-z]{2}" description: "Where the data are" }
    warnings { no_scope: "write" redirect_uri: "\\?" text: "Nothing can be written" }
    login_hint_param: "login_hint"
    fragment: "top"
    exchange {
      request {
        url: "https://api.full.example/{version}/token"
        client_auth: CLIENT_AUTH_SECRET_BASIC
        params { name: "audience" value: "all" }
      }
      answer { subject: "/user/id" }
      errors { rules { codes: "wrong_code" meaning: MEANING_GRANT_REJECTED } }
    }
    refresh { rotation: ROTATION_ALWAYS }
    profile {
      request { url: "https://api.full.example/me" }
      username: "/login"
    }
    accounts {
      when: WHEN_CONNECTING
      what: "pages"
      request { url: "https://api.full.example/pages" }
      list: "/data"
      id: "/id"
      paging { cursor: "/next" cursor_param: "after" }
    }
    revocation {
      request { url: "https://api.full.example/revoke" }
      ends: ENDS_GRANT
    }
    open_id { issuer: "https://full.example" }
    documentation: "https://full.example/docs"
    checked_on: "2026-11-23"
    variants {
      id: "desktop"
      display_name: "Full for desktops"
      description: "For apps without a server"
      changes {
        authorization_endpoint: "https://desktop.full.example/authorize"
        exchange {
          request { url: "https://api.full.example/token" client_auth: CLIENT_AUTH_NONE }
          answer { subject: "/user/id" }
        }
        scopes { separator: "," defaults: "desktop" }
        pkce { mode: MODE_REQUIRED }
        fragment: "bottom"
      }
    }
  }
)pb";

inline constexpr char kInstanceEntry[] = R"pb(
  networks {
    id: "fediverse"
    display_name: "Fediverse"
    status: STATUS_LIVE
    authorization_endpoint: "https://{instance}/oauth/authorize"
    pkce { mode: MODE_SUPPORTED }
    documentation: "https://docs.example/oauth"
    checked_on: "2026-11-23"
  }
)pb";

inline std::string FullEntryWith(const std::string& from, const std::string& to) {
  EXPECT_TRUE(absl::StrContains(kFullEntry, from)) << from;
  return absl::StrReplaceAll(kFullEntry, {{from, to}});
}

}  // namespace authurl::testing
