#include "server/flow/revoke_grant.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/errors.h"
#include "core/flow/token_request.h"
#include "core/flow/token_response.h"
#include "server/observe/log.h"
#include "storage/grant_store.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using catalog::v1::Revocation;

// Without the network's words: those are for callers.
void LogUnrevoked(absl::string_view network, absl::string_view org_id, absl::string_view grant_id,
                  const absl::Status& status) {
  Log(LogLevel::kWarning, "revocation_failed",
      {{"network", network},
       {"org_id", org_id},
       {"grant", grant_id},
       {"reason", ReasonOf(status)},
       {"cause", CauseOf(status)}});
}

// A revocation that was asked for, with all that its answer is read with.
struct RevocationAsked {
  RevocationAsked(GrantClient of_client, TokenSet of_tokens,
                  absl::AnyInvocable<void(RevocationResult)> to_tell)
      : client(std::move(of_client)), tokens(std::move(of_tokens)), done(std::move(to_tell)) {}

  void End(const absl::Status& status) {
    if (status.ok()) return done(RevocationResult::kRevoked);
    LogUnrevoked(client.network->id(), client.settings.org_id(), "", status);
    done(RevocationResult::kFailed);
  }

  GrantClient client;
  const TokenSet tokens;
  absl::AnyInvocable<void(RevocationResult)> done;
};

// The revocation of one grant that is stored. It lives as long as a step of it is under way.
class StoredRevocation final : public std::enable_shared_from_this<StoredRevocation> {
 public:
  StoredRevocation(const FlowTools& tools, absl::string_view org_id, absl::string_view grant_id,
                   const CallContext& context, absl::AnyInvocable<void(RevocationResult)> done)
      : tools_(tools),
        org_id_(org_id),
        grant_id_(grant_id),
        context_(context),
        done_(std::move(done)) {}

  // One after the other, on a thread of the pool.

  void Load() {
    absl::StatusOr<OpenedGrant> opened =
        tools_.store.grants().GetWithTokens(context_, org_id_, grant_id_);
    // Gone: somebody else has done it.
    if (absl::IsNotFound(opened.status())) return done_(RevocationResult::kFailed);
    // One that does not open never will.
    if (!opened.ok()) return Fail(opened.status());
    const record::v1::Grant& grant = opened->grant;
    if (grant.disconnected_at_ms() == 0) return done_(RevocationResult::kStillInUse);
    const Network* const network = tools_.catalog.FindVariant(grant.network(), grant.variant());
    if (network == nullptr || !OffersRevocation(*network)) {
      return Delete(RevocationResult::kNotOffered);
    }
    absl::StatusOr<GrantClient> client = LoadGrantClient(tools_, context_, *network, grant);
    if (!client.ok()) return Fail(client.status());
    RevokeGrant(tools_.http, *std::move(client), std::move(opened->tokens), context_, tools_.clock,
                [self = shared_from_this()](RevocationResult result) {
                  self->tools_.pool.Run([self, result] { self->Delete(result); });
                });
  }

  void Fail(const absl::Status& status) {
    LogUnrevoked("", org_id_, grant_id_, status);
    if (IsForNow(status)) return done_(RevocationResult::kFailed);
    Delete(RevocationResult::kFailed);
  }

  void Delete(RevocationResult result) {
    const absl::Status status = tools_.store.grants().Delete(context_, org_id_, grant_id_);
    // A grant that is connected again has other tokens than those that were revoked.
    if (!status.ok() && !absl::IsFailedPrecondition(status)) {
      Log(LogLevel::kWarning, "revoked_grant_not_deleted",
          {{"org_id", org_id_}, {"grant", grant_id_}, {"cause", CauseOf(status)}});
    }
    done_(result);
  }

 private:
  const FlowTools tools_;
  const std::string org_id_;
  const std::string grant_id_;
  const CallContext& context_;
  absl::AnyInvocable<void(RevocationResult)> done_;
};

}  // namespace

bool IsForNow(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsCancelled(status) ||
         absl::IsDeadlineExceeded(status);
}

bool OffersRevocation(const Network& network) {
  return network.has_revocation() && network.revocation().ends() == Revocation::ENDS_GRANT;
}

void RevokeGrant(HttpClient& http, GrantClient client, TokenSet tokens, const CallContext& context,
                 const Clock& clock, absl::AnyInvocable<void(RevocationResult)> done) {
  if (!OffersRevocation(*client.network)) return done(RevocationResult::kNotOffered);
  const auto asked =
      std::make_shared<RevocationAsked>(std::move(client), std::move(tokens), std::move(done));
  absl::Status status = asked->client.ShowSecret(clock());
  if (!status.ok()) return asked->End(status);
  absl::StatusOr<HttpRequest> request =
      BuildRevocation(*asked->client.network, asked->client.Shown(), ValuesOf(asked->tokens));
  if (!request.ok()) return asked->End(request.status());
  http.Send(*std::move(request), asked->client.Target(), context,
            [asked](const absl::StatusOr<HttpAnswer>& answer) {
              if (!answer.ok()) return asked->End(answer.status());
              asked->End(ParseRevocation(*asked->client.network, answer->response(),
                                         SecretsOf(asked->client, asked->tokens)));
            });
}

void GrantRevoker::Revoke(absl::string_view org_id, absl::string_view grant_id,
                          const CallContext& context,
                          absl::AnyInvocable<void(RevocationResult)> done) const {
  const auto work =
      std::make_shared<StoredRevocation>(tools_, org_id, grant_id, context, std::move(done));
  tools_.pool.Run([work] { work->Load(); });
}

}  // namespace authurl
