// revoke_grant.h: takes back at the network what a person consented to, once it is of no use: its
// last account was removed, or the flow that got it failed later on.
//
// Best effort: it is asked for once, and what is kept of the grant goes whatever the network says.
// Never done where it would end other connections of the same person.
#pragma once

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/call_context.h"
#include "core/flow/token_response.h"
#include "server/flow/flow_tools.h"
#include "server/flow/grant_client.h"
#include "server/outbound/http_client.h"
#include "server/system/clock.h"

namespace authurl {

enum class RevocationResult {
  // By this, or earlier.
  kRevoked,
  // It has accounts, or is to get some: nothing was done.
  kStillInUse,
  // The network has no way to do so, or doing so would end other connections of the person.
  kNotOffered,
  // The network could not be reached, or refused; or the client of the grant is gone. The log tells
  // which.
  kFailed,
};

// Whether the store may do later what it could not do now.
bool IsForNow(const absl::Status& status);

// Whether a grant can be revoked at the network without ending others.
bool OffersRevocation(const catalog::v1::Network& network);

// Revokes tokens that are in hand and stored nowhere. `client` needs no ShowSecret() before. `done`
// is called once, on any thread; until then `http`, `context` and the catalog must stay.
void RevokeGrant(HttpClient& http, GrantClient client, TokenSet tokens, const CallContext& context,
                 const Clock& clock, absl::AnyInvocable<void(RevocationResult)> done);

// Revokes grants that are stored and disconnected, and deletes them. Safe to use from many threads
// at once.
class GrantRevoker final {
 public:
  explicit GrantRevoker(const FlowTools& tools) : tools_(tools) {}

  // The grant is deleted though the network can't be reached. It stays where it is connected, also
  // where it became so meanwhile, and where the store can't be reached: then it is still due
  // (GrantStore::ListDue). kFailed where there is none. `done` is called once, on a thread of the
  // pool; until then `context` must stay.
  void Revoke(absl::string_view org_id, absl::string_view grant_id, const CallContext& context,
              absl::AnyInvocable<void(RevocationResult)> done) const;

 private:
  const FlowTools tools_;
};

}  // namespace authurl
