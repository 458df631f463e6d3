// grant_client.h: the OAuth app that a grant was given to, as requests about the grant show it.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/flow/request_builder.h"
#include "core/flow/token_response.h"
#include "server/flow/flow_tools.h"
#include "server/outbound/http_client.h"

namespace authurl {

// Wiped at its end. For one thread at a time.
struct GrantClient {
  // Of the catalog, which outlives it.
  const catalog::v1::Network* network = nullptr;
  record::v1::SocialNetworkSettings settings;
  // As it is configured; empty for a public client.
  std::string client_secret;
  // As the network wants to see it: see ShowSecret().
  std::string shown_secret;

  GrantClient() = default;
  GrantClient(GrantClient&&) = default;
  GrantClient& operator=(GrantClient&&) = delete;
  GrantClient(const GrantClient&) = delete;
  GrantClient& operator=(const GrantClient&) = delete;
  ~GrantClient();

  // To be called before Shown(); what it makes is good for ten minutes at least. Errors:
  // core/flow/client_secret.h's.
  absl::Status ShowSecret(absl::Time now);
  // A view of this.
  OAuthClient Shown() const { return {.settings = settings, .secret = shown_secret}; }
  CallTarget Target() const;
};

// The client of a grant: its configuration with the secret that is configured now, because a
// network takes the new one once a secret was replaced, whichever the tokens were got with.
// NOT_FOUND, without reason, where the configuration is gone, or has another client key than the
// grant: no other client may show its tokens. Blocks on the database.
absl::StatusOr<GrantClient> LoadGrantClient(const FlowTools& tools, const CallContext& context,
                                            const catalog::v1::Network& network,
                                            const record::v1::Grant& grant);

// Whom a request about a grant goes to.
CallTarget TargetOf(const catalog::v1::Network& network, const std::string& org_id);
// The tokens as templates of requests name them.
FlowValues ValuesOf(const TokenSet& tokens);
// What no error may quote. Views of both.
std::vector<absl::string_view> SecretsOf(const GrantClient& client, const TokenSet& tokens);

}  // namespace authurl
