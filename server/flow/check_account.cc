#include "server/flow/check_account.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/errors.h"
#include "core/flow/answer.h"
#include "core/flow/network_error.h"
#include "core/flow/profile.h"
#include "server/flow/grant_client.h"
#include "server/flow/needs_reconnect.h"
#include "storage/account_store.h"

namespace authurl {
namespace {

using catalog::v1::Accounts;
using catalog::v1::Network;
using record::v1::SocialAccount;

// Whether the network, or our own settings, refused what nobody but the organisation can mend.
bool IsRefusal(absl::string_view reason) {
  return reason == "CLIENT_REJECTED" || reason == "NETWORK_REFUSED" || reason == "NOT_AN_ACCOUNT" ||
         reason == "CLIENT_SECRET_UNUSABLE";
}

// Without the scope for it the profile is refused. Where nobody knows the scopes it is asked for.
bool MayShowProfile(const Network& network, const UsableAccount& usable) {
  const auto& needed = network.profile().needs_any_scope();
  const auto& told = usable.grant->tokens.scopes;
  const auto& kept = usable.account.account.granted_scopes();
  const std::vector<std::string> granted =
      told.has_value() ? *told : std::vector<std::string>(kept.begin(), kept.end());
  if (needed.empty() || (!told.has_value() && granted.empty())) return true;
  return std::any_of(needed.begin(), needed.end(), [&](const std::string& scope) {
    return std::find(granted.begin(), granted.end(), scope) != granted.end();
  });
}

// A refresh may have told of other scopes than the consent: those that are gone are missing.
void KeepScopes(const TokenSet& tokens, SocialAccount& account) {
  if (!tokens.scopes) return;
  std::vector<std::string> known(account.granted_scopes().begin(), account.granted_scopes().end());
  known.insert(known.end(), account.missing_scopes().begin(), account.missing_scopes().end());
  account.mutable_granted_scopes()->Assign(tokens.scopes->begin(), tokens.scopes->end());
  account.clear_missing_scopes();
  for (std::string& scope : known) {
    const bool is_granted =
        std::find(tokens.scopes->begin(), tokens.scopes->end(), scope) != tokens.scopes->end();
    if (!is_granted) account.add_missing_scopes(std::move(scope));
  }
}

// The check of one account. It lives as long as a step of it is under way.
class AccountCheck final : public std::enable_shared_from_this<AccountCheck> {
 public:
  AccountCheck(const FlowTools& tools, GrantRefresher& refresher, absl::string_view org_id,
               absl::string_view account_id, const CallContext& context, AccountChecker::Done done)
      : tools_(tools),
        refresher_(refresher),
        org_id_(org_id),
        account_id_(account_id),
        context_(context),
        done_(std::move(done)) {}

  // One after the other, on a thread of the pool.

  void GetToken(const WantedToken& wanted) {
    refresher_.GetToken(org_id_, account_id_, wanted, context_,
                        [self = shared_from_this()](absl::StatusOr<UsableAccount> usable) {
                          self->OnToken(std::move(usable));
                        });
  }
  void OnToken(absl::StatusOr<UsableAccount> usable) {
    if (!usable.ok()) return OnError(usable.status());
    usable_.emplace(*std::move(usable));
    const record::v1::Grant& grant = usable_->grant->grant;
    network_ = tools_.catalog.FindVariant(grant.network(), grant.variant());
    if (network_ == nullptr || !AsksForProfile(*network_) || !MayShowProfile(*network_, *usable_)) {
      return AnswerAsStored();
    }
    absl::StatusOr<GrantClient> client = LoadGrantClient(tools_, context_, *network_, grant);
    // The token is good all the same, as long as it lasts.
    if (absl::IsNotFound(client.status())) return AnswerAsStored();
    if (!client.ok()) return OnError(client.status());
    client_.emplace(*std::move(client));
    if (absl::Status status = client_->ShowSecret(tools_.clock()); !status.ok()) {
      return OnError(status);
    }
    Ask();
  }

  void Ask() {
    const TokenSet& tokens = usable_->grant->tokens;
    FlowValues values = ValuesOf(tokens);
    values.Set("access_token", usable_->access_token());
    absl::StatusOr<HttpRequest> request = BuildProfileRequest(*network_, client_->Shown(), values);
    if (!request.ok()) return OnError(request.status());
    tools_.http.Send(
        *std::move(request), client_->Target(), context_,
        [self = shared_from_this()](absl::StatusOr<HttpAnswer> answer) {
          self->tools_.pool.Run([self, got = std::move(answer)] { self->OnAnswer(got); });
        });
  }
  void OnAnswer(const absl::StatusOr<HttpAnswer>& answer) {
    if (!answer.ok()) return OnError(answer.status());
    const TokenSet& tokens = usable_->grant->tokens;
    const Answer kept = Answer::OfParameters(tokens.kept);
    std::vector<absl::string_view> secrets = SecretsOf(*client_, tokens);
    secrets.push_back(usable_->access_token());
    const absl::StatusOr<ProfileData> profile =
        ParseProfile(*network_, answer->response(), {.kept = &kept}, tokens.subject, secrets);
    if (profile.ok()) return OnProfile(*profile);
    const std::string reason = ReasonOf(profile.status());
    if (reason == kAccessTokenDead) return OnDeadToken();
    // It knows the token.
    if (reason == "SCOPE_MISSING") return Confirm(nullptr);
    OnError(profile.status());
  }

  void OnProfile(const ProfileData& profile) {
    // The profile is the person's, not that of what was chosen from a list.
    if (network_->accounts().when() == Accounts::WHEN_CONNECTING) return Confirm(nullptr);
    if (profile.id != usable_->account.account.network_unique_id()) {
      return OnError(AnswerInvalid(*network_, "is about another account than was connected"));
    }
    Confirm(&profile);
  }
  void Confirm(const ProfileData* profile) {
    const absl::Time now = tools_.clock();
    const auto keep = [&](SocialAccount& account) {
      account.set_checked_at_ms(absl::ToUnixMillis(now));
      account.set_confirmed_at_ms(absl::ToUnixMillis(now));
      KeepScopes(usable_->grant->tokens, account);
      if (profile == nullptr) return absl::OkStatus();
      account.set_username(profile->username);
      account.set_display_name(profile->display_name);
      account.set_avatar_url(profile->avatar_url);
      return absl::OkStatus();
    };
    Tell(tools_.store.accounts().Update(context_, org_id_, account_id_, keep, now));
  }

  // A token may end sooner than the network said, and one that is new be good.
  void OnDeadToken() {
    if (!usable_->account.access_token.empty()) return MarkOwnToken();
    const uint64_t generation = usable_->grant->grant.generation();
    if (refused_generation_ != 0) return MarkGrant(generation);
    refused_generation_ = generation;
    GetToken({.refused_generation = generation});
  }
  void MarkGrant(uint64_t generation) {
    const absl::StatusOr<bool> is_dead =
        tools_.store.grants().MarkDead(context_, org_id_, usable_->grant->grant.id(), generation,
                                       kAccessTokenDead, tools_.clock());
    if (!is_dead.ok() && !absl::IsNotFound(is_dead.status())) return done_(is_dead.status());
    AnswerAsStored();
  }
  // The account alone: the person's own token may be good.
  void MarkOwnToken() {
    const int64_t seen = usable_->account.account.updated_at_ms();
    const auto mark = [seen](SocialAccount& account) {
      // Changed meanwhile, maybe connected anew, with another token.
      if (account.updated_at_ms() != seen) return absl::AbortedError("changed meanwhile");
      account.set_status(record::v1::ACCOUNT_STATUS_NEEDS_RECONNECT);
      account.set_status_reason(std::string(kAccessTokenDead));
      return absl::OkStatus();
    };
    const auto marked =
        tools_.store.accounts().Update(context_, org_id_, account_id_, mark, tools_.clock());
    if (absl::IsAborted(marked.status())) return AnswerAsStored();
    Tell(marked);
  }

  void OnError(const absl::Status& error) {
    const std::string reason = ReasonOf(error);
    if (reason == "NEEDS_RECONNECT") return AnswerAsStored();
    if (IsRefusal(reason)) return AnswerAsStored(/*is_refused=*/true);
    if (reason == "NETWORK_ANSWER_INVALID") {
      return done_(
          MakeError(absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE", error.message()));
    }
    done_(error);
  }

 private:
  void AnswerAsStored(bool is_refused = false) {
    Tell(tools_.store.accounts().Get(context_, org_id_, account_id_), is_refused);
  }
  void Tell(absl::StatusOr<SocialAccount> account, bool is_refused = false) {
    if (!account.ok()) return done_(account.status());
    const bool is_healthy =
        !is_refused && account->status() != record::v1::ACCOUNT_STATUS_NEEDS_RECONNECT;
    done_(CheckedAccount{*std::move(account), is_healthy});
  }

  const FlowTools tools_;
  GrantRefresher& refresher_;
  const std::string org_id_;
  const std::string account_id_;
  const CallContext& context_;
  AccountChecker::Done done_;

  std::optional<UsableAccount> usable_;
  const Network* network_ = nullptr;
  std::optional<GrantClient> client_;
  // The token that the network refused first; 0: none yet.
  uint64_t refused_generation_ = 0;
};

}  // namespace

void AccountChecker::Check(absl::string_view org_id, absl::string_view account_id,
                           const CallContext& context, Done done) const {
  std::make_shared<AccountCheck>(tools_, refresher_, org_id, account_id, context, std::move(done))
      ->GetToken({});
}

}  // namespace authurl
