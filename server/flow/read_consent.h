// read_consent.h: what a person's consent gives: from the code that came back to the tokens, to who
// connected, and to the accounts that can be connected.
//
//   exchange → second exchange → ID token → profile → accounts (read_person.h)
//
// Each step's request is built and its answer read by core/flow, as the network's entry has it;
// here they are sent, in order. Nothing is stored.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/flow/account_choices.h"
#include "core/flow/authorization_response.h"
#include "core/flow/profile.h"
#include "core/flow/token_response.h"
#include "server/outbound/http_client.h"
#include "server/system/clock.h"

namespace authurl {

// A code, with all that is needed to use it. Wiped at its end.
struct CodeToExchange {
  // Of the catalog, which outlives the flow.
  const catalog::v1::Network* network = nullptr;
  // The configuration, with the client key and secret of the version that the state was minted
  // under; the secret is empty for a public client.
  record::v1::SocialNetworkSettings settings;
  std::string client_secret;
  // What came back.
  AuthorizationResponse response;
  // Of the authorization request. Verifier and nonce are empty where none was sent.
  std::string redirect_uri;
  std::vector<std::string> scopes;
  std::string code_verifier;
  std::string id_token_nonce;

  CodeToExchange() = default;
  CodeToExchange(CodeToExchange&&) = default;
  CodeToExchange& operator=(CodeToExchange&&) = delete;
  CodeToExchange(const CodeToExchange&) = delete;
  CodeToExchange& operator=(const CodeToExchange&) = delete;
  ~CodeToExchange();
};

struct Consent {
  TokenSet tokens;
  // Who consented.
  ProfileData person;
  // What is connected, where that is not the person: each once, at least one.
  std::vector<AccountChoice> accounts;
  // The person has more of them.
  bool has_more_accounts = false;
};

struct ConsentResult {
  // Or the first error: those of core/flow, of the HTTP client and of read_person.h.
  absl::StatusOr<Consent> consent;
  // What was granted before a later step failed. It is of no use: to be revoked.
  std::optional<TokenSet> unused;
};

// Sends the code, once, and whatever follows. `done` is called once, on any thread; until then
// `http`, `context` and `clock` must stay.
void ReadConsent(HttpClient& http, CodeToExchange code, const CallContext& context,
                 const Clock& clock, absl::AnyInvocable<void(ConsentResult)> done);

}  // namespace authurl
