// flow_completion.h: the handlers of authurl.v1.SocialAccountService that end flows: what came back
// is completed or opened, how a flow stands is told, and what there is to choose is chosen.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/social_account_service.pb.h"
#include "core/crypto/sealer.h"
#include "server/flow/complete_auth.h"
#include "server/flow/flow_tools.h"
#include "server/serving/admission.h"
#include "server/serving/method.h"
#include "server/system/token_buckets.h"
#include "storage/credential_store.h"

namespace authurl {

// Safe to use from many threads at once. Everything it refers to must outlive it.
class FlowCompletion final {
 public:
  struct Options {
    // "https://host[:port][/path]" below which the gateway serves the hosted callback; empty for
    // none.
    std::string public_base_url;
  };

  FlowCompletion(const FlowTools& tools, const Sealer& sealer, AuthCompleter& completer,
                 Admission& admission, Options options);

  void CompleteAuth(const Caller& caller, const v1::CompleteAuthRequest& request,
                    ResponseCompletion<v1::CompleteAuthResponse> completion) const;
  void CompleteHostedAuth(const Caller& caller, const v1::CompleteHostedAuthRequest& request,
                          ResponseCompletion<v1::CompleteHostedAuthResponse> completion) const;
  absl::Status OpenAuthResponse(const Caller& caller, const v1::OpenAuthResponseRequest& request,
                                v1::OpenAuthResponseResponse& response) const;
  absl::Status GetAuthFlow(const Caller& caller, const v1::GetAuthFlowRequest& request,
                           v1::GetAuthFlowResponse& response) const;

  absl::Status GetPendingConnection(const Caller& caller,
                                    const v1::GetPendingConnectionRequest& request,
                                    v1::GetPendingConnectionResponse& response) const;
  absl::Status FinalizePendingConnection(const Caller& caller,
                                         const v1::FinalizePendingConnectionRequest& request,
                                         v1::FinalizePendingConnectionResponse& response) const;

  std::vector<Method> Methods() const;

 private:
  struct FoundFlow {
    absl::Time expires_at;  // Of its state.
    std::optional<record::v1::Flow> flow;
  };
  // INVALID_PAYLOAD where the id is none of the caller's organisation.
  absl::StatusOr<FoundFlow> FindFlow(const Caller& caller, absl::string_view flow_id) const;
  // The id of what is to be finalized. SESSION_NOT_FOUND.
  absl::StatusOr<std::string> FindPending(
      const Caller& caller, const v1::FinalizePendingConnectionRequest& request) const;

  const FlowTools tools_;
  const Sealer& sealer_;
  CredentialStore& store_;
  AuthCompleter& completer_;
  Admission& admission_;
  const Options options_;
  // Of those who have no API key.
  mutable TokenBuckets browsers_;  // By address.
};

}  // namespace authurl
