// open_response.h: what came back to a redirect URI, opened: the checks before a state is spent.
//
//   parse → open the state → came to its redirect URI → of its network, issuer → session binding
//
// Nothing is written, and nothing sent.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/crypto/sealer.h"
#include "core/flow/auth_state.h"
#include "core/flow/authorization_response.h"
#include "server/flow/flow_tools.h"

namespace authurl {

// What somebody hands over, as it was received.
struct ReceivedResponse {
  // The whole URL, or its query, or the body of a form post.
  std::string text;
  // Where it came, if `text` does not say it.
  std::string redirect_uri;
  std::optional<std::string> session_binding;
  // Who hands it over. Nothing: the hosted callback, which has no API key. There the state tells
  // the organisation; it must have been made for that very callback, and the binding is not looked
  // at.
  std::optional<std::string> org_id;
  // Of the API key.
  record::v1::Role role = record::v1::ROLE_UNSPECIFIED;

  bool is_hosted() const { return !org_id.has_value(); }
};

// Everything that is known of the flow now.
struct OpenedResponse {
  AuthorizationResponse response;
  OpenedState opened;
  // The state has expired. All that may be done with it is to ask how its flow ended.
  bool has_expired = false;
  // What whoever brings the response again must repeat (FlowStore::Spend).
  record::v1::Flow flow;
  std::string flow_id;  // For callers.

  // All from here on as far as the checks got, and of one that has expired maybe nothing. The
  // network outlives the flow.
  const catalog::v1::Network* network = nullptr;
  // With what the request chose in place of the configuration's own.
  record::v1::SocialNetworkSettings settings;
  // Those that were asked for.
  std::vector<std::string> scopes;

  // Secrets of the flow: derived from the state when they are needed. Empty where the network was
  // sent none.
  std::string CodeVerifier(const Sealer& sealer) const;
  std::string IdTokenNonce(const Sealer& sealer) const;
};

// Safe to use from many threads at once. May wait for the database.
class ResponseOpener final {
 public:
  // `sealer` must outlive this.
  ResponseOpener(const FlowTools& tools, const Sealer& sealer) : tools_(tools), sealer_(sealer) {}

  // Errors, in the order of the checks: RESPONSE_INVALID, STATE_INVALID, INVALID_PAYLOAD where
  // `redirect_uri` must be said, CONFIGURATION_OUTDATED, ISSUER_MISMATCH, SESSION_BINDING_MISMATCH.
  // Where the state opens, `opened` is filled as far as it got, so that whoever has to send a
  // browser somewhere can.
  absl::Status Open(const CallContext& context, const ReceivedResponse& received,
                    OpenedResponse& opened) const;

 private:
  absl::StatusOr<OpenedState> OpenState(const CallContext& context,
                                        const ReceivedResponse& received,
                                        const AuthorizationResponse& response,
                                        bool& has_expired) const;
  absl::Status FindConfiguration(const CallContext& context, OpenedResponse& opened) const;

  const FlowTools tools_;
  const Sealer& sealer_;
};

}  // namespace authurl
