#include "server/flow/refresh_grant.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/api_key.h"
#include "core/errors.h"
#include "core/flow/token_request.h"
#include "server/flow/connection.h"
#include "server/flow/grant_client.h"
#include "server/flow/insist.h"
#include "server/flow/list_accounts.h"
#include "server/flow/needs_reconnect.h"
#include "server/flow/refresh_rules.h"
#include "server/flow/refresh_time.h"
#include "server/flow/revoke_grant.h"
#include "server/observe/log.h"
#include "storage/store_errors.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using record::v1::Grant;

// What must be left of a lease when a refresh is sent: a call takes ten seconds at the most, and
// what came of it has to be stored.
constexpr absl::Duration kMinLease = absl::Seconds(15);
// The second time where the answer to the first was lost.
constexpr int kMaxSent = 2;

absl::Status RefreshInProgress() {
  return MakeRetryableError(absl::StatusCode::kAborted, "REFRESH_IN_PROGRESS",
                            "The tokens of the account are being refreshed, or were replaced just "
                            "now; try again",
                            absl::Seconds(1));
}

absl::Status NetworkLeftCatalog(absl::string_view network) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "CONFIGURATION_OUTDATED",
      absl::StrCat("The access token has ended and can't be refreshed: authurl's catalog has no ",
                   "network ", network, " any more; put it back into --networks_file"));
}

// Whether the organisation's configuration is to blame.
bool IsTrouble(const absl::Status& error) {
  const std::string reason = ReasonOf(error);
  return reason == kClientRejected || reason == kClientSecretUnusable;
}

// Whether a refresh failed for something that is not our own: time, database or lease.
bool IsOfNetworkOrClient(const absl::Status& error) {
  const std::string reason = ReasonOf(error);
  return !reason.empty() && reason != "REFRESH_IN_PROGRESS" && reason != "STORAGE_UNAVAILABLE" &&
         !absl::IsCancelled(error) && !absl::IsDeadlineExceeded(error);
}

// Whether what it had trouble with is another by now.
bool IsMended(const Grant& grant, const record::v1::SocialNetworkSettings& settings) {
  return !grant.trouble().empty() && grant.trouble_version() != settings.version();
}

// Whether the accounts that are chosen from a list come with tokens of their own.
bool GivesOwnTokens(const Network& network) {
  return network.accounts().when() == catalog::v1::Accounts::WHEN_CONNECTING &&
         !network.accounts().access_token().empty();
}

}  // namespace

absl::string_view UsableAccount::access_token() const {
  return account.access_token.empty() ? grant->tokens.access_token : account.access_token;
}

std::optional<absl::Time> UsableAccount::expires_at() const {
  if (!account.access_token.empty()) return std::nullopt;
  return grant->tokens.access_token_expires_at;
}

// One who asks for a token, or for a refresh of a grant that is due.
struct GrantRefresher::Call {
  Call(absl::string_view of_org_id, absl::string_view of_account_id, const WantedToken& wants,
       const CallContext& its_context, Done to_tell)
      : org_id(of_org_id),
        account_id(of_account_id),
        wanted(wants),
        context(its_context),
        done(std::move(to_tell)) {}
  Call(absl::string_view of_org_id, absl::string_view of_grant_id, const CallContext& its_context,
       DueDone to_tell)
      : org_id(of_org_id),
        wanted({}),
        context(its_context),
        due_done(std::move(to_tell)),
        grant_id(of_grant_id) {}

  bool is_due() const { return due_done != nullptr; }
  void Answer(std::shared_ptr<const OpenedGrant> with, int sent = 0) {
    if (is_due()) return due_done(absl::OkStatus(), sent);
    done(UsableAccount{std::move(account), std::move(with)});
  }
  void Fail(const absl::Status& error, int sent = 0) {
    if (is_due()) return due_done(error, sent);
    done(error);
  }

  const std::string org_id;
  const std::string account_id;
  const WantedToken wanted;
  const CallContext& context;
  Done done;         // Of one who asks for a token,
  DueDone due_done;  // and of the other.

  // As they were found.
  std::string grant_id;
  AccountWithToken account;
  std::shared_ptr<const OpenedGrant> grant;
  const Network* network = nullptr;
};

// One refresh of a grant. It lives as long as a step of it is under way, each on a thread of the
// pool.
class GrantRefresher::Flight final : public std::enable_shared_from_this<Flight> {
 public:
  Flight(GrantRefresher& owner, GrantKey key, const Call& first)
      : owner_(owner),
        tools_(owner.tools_),
        key_(std::move(key)),
        account_id_(first.account_id),
        is_due_(first.is_due()),
        network_(*first.network),
        wanted_(first.wanted),
        found_(first.grant),
        context_(first.context),
        storing_context_(first.context.deadline() + kStoring, first.context.request_id()),
        holder_(NewId("rf_", tools_.random)) {}

  // One after the other.

  void Start() {
    absl::StatusOr<GrantClient> client = LoadGrantClient(tools_, context_, network_, found_->grant);
    if (absl::IsNotFound(client.status())) return OnClientGone();
    if (!client.ok()) return End(client.status());
    client_.emplace(*std::move(client));
    no_secret_ = client_->ShowSecret(tools_.clock());
    // Of one that is due it has to be said when it is again; of any, once, that it has trouble.
    if (!no_secret_.ok() && !is_due_ && found_->grant.trouble() == ReasonOf(no_secret_)) {
      return End(no_secret_);
    }
    TakeLease();
  }
  // The token is of use as long as it lasts.
  void OnClientGone() {
    if (TokenHasEnded(found_->grant, wanted_, tools_.clock())) return Die(kConfigurationGone);
    if (!is_due_) return End(found_);
    TakeLease();
  }

  void TakeLease() {
    absl::StatusOr<GrantStore::Lease> lease =
        grants().TakeLease(context_, org_id(), grant_id(), holder_, tools_.clock());
    // Its last account was removed; whoever asks again is told which.
    if (absl::IsNotFound(lease.status())) return End(RefreshInProgress());
    if (!lease.ok()) return End(lease.status());
    if (!lease->is_taken) return End(RefreshInProgress());
    leased_ = std::make_shared<const OpenedGrant>(std::move(lease->opened));
    if (is_due_ ? LeaveIfNotDue() : LeaveIfDeadOrRefreshed()) return;
    if (!no_secret_.ok()) return GiveUp(no_secret_);
    // Where a second use ends the whole grant, none is risked.
    if (EndsByReuse(network_.refresh()) && WasAbandoned()) return Die(kRefreshAnswerLost);
    Send();
  }
  // Each ends the refresh, and returns true, where nothing is to be sent.
  bool LeaveIfNotDue() {
    const Grant& grant = leased_->grant;
    const absl::Time now = tools_.clock();
    std::optional<absl::Time> due_at = DueAtOf(grant);
    // Else others were faster, or found it dead.
    if (IsDue(&network_, grant, now) || (client_ && IsMended(grant, client_->settings))) {
      if (!client_) {
        // At its end somebody has to find it dead.
        due_at = leased_->tokens.access_token_expires_at;
      } else if (!CanRefresh(network_, leased_->tokens)) {
        due_at = std::nullopt;
      } else if (FirstRefresh(network_.refresh(), grant) <= now || !no_secret_.ok()) {
        return false;
      } else {
        due_at = FirstRefresh(network_.refresh(), grant);
      }
    }
    EndLease(due_at);
    End(leased_);
    return true;
  }
  bool LeaveIfDeadOrRefreshed() {
    // Others may have found it dead since it was looked at. What is dead is not sent again.
    const absl::StatusOr<record::v1::SocialAccount> account =
        tools_.store.accounts().Get(context_, org_id(), account_id_);
    if (!account.ok() && !absl::IsNotFound(account.status())) {
      GiveUp(account.status());
      return true;
    }
    if (account.ok() && account->status() == record::v1::ACCOUNT_STATUS_NEEDS_RECONNECT) {
      EndLease(DueAtOf(leased_->grant));
      End(NeedsReconnect(WhyReconnect(tools_.catalog, network_.id(), account->status_reason())));
      return true;
    }
    // Or they have refreshed it, or the person connected anew.
    const TokenState state = StateOf(&network_, leased_->grant, wanted_, tools_.clock());
    if (state == TokenState::kToRefresh) return false;
    EndLease(DueAtOf(leased_->grant));
    state == TokenState::kGood ? End(leased_) : End(RefreshInProgress());
    return true;
  }
  // Whether somebody had the lease and never ended it, who may have sent the refresh token.
  bool WasAbandoned() const {
    const Grant& before = found_->grant;
    return !before.lease_holder().empty() && !IsLeased(before, tools_.clock()) &&
           before.generation() == leased_->grant.generation();
  }

  void Send() {
    const absl::Time lease_end = absl::FromUnixMillis(leased_->grant.lease_until_ms());
    if (lease_end - tools_.clock() <= kMinLease) return GiveUp(RefreshInProgress());
    absl::StatusOr<HttpRequest> request =
        BuildRefresh(network_, client_->Shown(), ValuesOf(leased_->tokens));
    if (!request.ok()) return GiveUp(request.status());
    ++sent_;
    tools_.http.Send(
        *std::move(request), client_->Target(), context_,
        [self = shared_from_this()](absl::StatusOr<HttpAnswer> answer) {
          self->tools_.pool.Run([self, got = std::move(answer)] { self->OnAnswer(got); });
        });
  }
  void OnAnswer(const absl::StatusOr<HttpAnswer>& answer) {
    if (!answer.ok()) {
      return IsUnsent(answer.status()) ? GiveUp(answer.status()) : OnLost(answer.status());
    }
    absl::StatusOr<TokenSet> tokens =
        ParseRefresh(network_, leased_->tokens, answer->response(), tools_.clock(),
                     SecretsOf(*client_, leased_->tokens));
    if (tokens.ok()) return Store(*std::move(tokens));
    if (ReasonOf(tokens.status()) == kRefreshDead) return OnRefused(tokens.status());
    GiveUp(tokens.status());
  }
  void OnLost(const absl::Status& error) {
    if (EndsByReuse(network_.refresh())) return Die(kRefreshAnswerLost);
    // Should the first have come through, the second tells.
    if (sent_ < kMaxSent && context_.Check().ok()) return Send();
    GiveUp(error);
  }
  void OnRefused(const absl::Status& error) {
    const absl::Time now = tools_.clock();
    absl::Duration doubt;
    if (network_.refresh().may_err()) {
      doubt = owner_.doubts_.Refused(network_.id(), key_, leased_->grant.generation());
    }
    if (doubt == absl::ZeroDuration()) return Die(kRefreshDead, error.message());
    EndLease(now + doubt);
    End(AsDoubted(MakeRetryableError(
        absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE",
        absl::StrCat(network_.display_name(), " says that the refresh token is dead, as it has ",
                     "said of living ones before: it will be asked again"),
        kShortRefreshPause)));
  }

  void Store(TokenSet tokens) {
    const absl::Time now = tools_.clock();
    owner_.doubts_.NetworkWorks(network_.id());
    AssumeRefreshEnd(network_.refresh(), *leased_, now, tokens);
    const std::optional<absl::Time> due_at = NextRefresh(network_, tokens, now, tools_.random);
    absl::StatusOr<Grant> stored = Insist<Grant>(storing_context_, [&] {
      return grants().StoreRefreshed(storing_context_, org_id(), grant_id(), holder_, tokens,
                                     due_at, now);
    });
    // The person connected anew meanwhile, or the last account was removed.
    if (absl::IsAborted(stored.status()) || absl::IsNotFound(stored.status())) {
      RevokeIfDisconnected(std::move(tokens));
      return End(RefreshInProgress());
    }
    if (!stored.ok()) {
      Log(LogLevel::kError, "refreshed_tokens_lost",
          {{"network", network_.id()},
           {"org_id", org_id()},
           {"grant", grant_id()},
           {"cause", CauseOf(stored.status())}});
      return End(stored.status());
    }
    auto opened = std::make_shared<OpenedGrant>();
    opened->grant = *std::move(stored);
    opened->tokens = std::move(tokens);
    refreshed_ = std::move(opened);
    ReadOwnTokens();
  }

  // What was revoked when the last account was removed were the tokens from before. Best effort,
  // and nobody waits for it.
  void RevokeIfDisconnected(TokenSet tokens) {
    const absl::StatusOr<Grant> grant = grants().Get(storing_context_, org_id(), grant_id());
    const bool is_gone =
        grant.ok() ? grant->disconnected_at_ms() != 0 : absl::IsNotFound(grant.status());
    if (!is_gone || !OffersRevocation(network_)) return;
    auto context = std::make_shared<const CallContext>(absl::Now() + kStoring);
    const CallContext& work = *context;
    RevokeGrant(tools_.http, *std::move(client_), std::move(tokens), work, tools_.clock,
                [self = shared_from_this(), context = std::move(context)](RevocationResult) {});
  }

  void ReadOwnTokens() {
    if (!GivesOwnTokens(network_)) return End(refreshed_);
    kept_ = Answer::OfParameters(refreshed_->tokens.kept);
    FlowValues values = ValuesOf(refreshed_->tokens);
    values.Set("subject", refreshed_->grant.subject());
    ListAccounts(tools_.http,
                 {.network = network_,
                  .target = client_->Target(),
                  .client = client_->Shown(),
                  .values = std::move(values),
                  .around = {.kept = &kept_},
                  .secrets = SecretsOf(*client_, refreshed_->tokens)},
                 context_, [self = shared_from_this()](absl::StatusOr<ListedAccounts> listed) {
                   self->tools_.pool.Run([self, got = std::move(listed)] { self->OnListed(got); });
                 });
  }
  // Those that can't be read stay as they are until the next refresh: the grant's own is good.
  void OnListed(const absl::StatusOr<ListedAccounts>& listed) {
    const absl::Status status = listed.ok() ? RenewOwnTokens(listed->accounts) : listed.status();
    if (!status.ok()) {
      Log(LogLevel::kWarning, "own_tokens_not_renewed",
          {{"network", network_.id()},
           {"org_id", org_id()},
           {"grant", grant_id()},
           {"cause", CauseOf(status)}});
    }
    End(refreshed_);
  }
  absl::Status RenewOwnTokens(const std::vector<AccountChoice>& choices) {
    std::vector<NewAccount> accounts;
    accounts.reserve(choices.size());
    for (const AccountChoice& choice : choices) {
      NewAccount& account = accounts.emplace_back();
      account.account.set_account_type(ListedAccountType(network_));
      account.account.set_network_unique_id(choice.profile.id);
      account.access_token = choice.access_token;
    }
    return grants().RenewOwnTokens(storing_context_, org_id(), grant_id(),
                                   refreshed_->grant.generation(), accounts, tools_.clock());
  }

  // The grant is dead, with the tokens that it had. `why`: as WhyReconnect().
  void Die(absl::string_view reason, absl::string_view why = "") {
    const uint64_t generation = (leased_ ? leased_ : found_)->grant.generation();
    const absl::StatusOr<bool> is_dead = Insist<bool>(storing_context_, [&] {
      return grants().MarkDead(storing_context_, org_id(), grant_id(), generation, reason,
                               tools_.clock());
    });
    if (!is_dead.ok() && !absl::IsNotFound(is_dead.status())) return End(is_dead.status());
    if (!is_dead.ok() || !*is_dead) return End(RefreshInProgress());
    died_of_ = std::string(reason);
    Log(LogLevel::kInfo, "connection_dead",
        {{"network", network_.id()},
         {"org_id", org_id()},
         {"grant", grant_id()},
         {"reason", reason}});
    End(NeedsReconnect(why.empty() ? WhyReconnect(tools_.catalog, network_.id(), reason)
                                   : std::string(why)));
  }

  void GiveUp(const absl::Status& error) {
    const Grant& grant = leased_->grant;
    const absl::Time now = tools_.clock();
    if (IsOfNetworkOrClient(error) && HasEnded(network_, grant, now) &&
        owner_.doubts_.IsOver(key_, grant.generation())) {
      return Die(kRefreshExpired);
    }
    GrantStore::Failure failure;
    if (IsTrouble(error)) {
      failure.trouble = ReasonOf(error);
      failure.trouble_version = client_->settings.version();
    }
    const bool is_mended = client_ && IsMended(grant, client_->settings);
    failure.failures = is_mended ? 0 : grant.failures();
    failure.due_at = DueAfterFailure(network_, grant, error, failure.failures, now);
    // Those of callers may come in any number.
    if (is_due_ && absl::IsFailedPrecondition(error)) ++failure.failures;
    const absl::StatusOr<bool> is_news =
        grants().EndFailed(storing_context_, org_id(), grant_id(), holder_, failure, now);
    // Should that fail, the lease ends by itself, and the next failure tells.
    if (is_news.ok() && *is_news) {
      Log(LogLevel::kWarning, "connection_in_trouble",
          {{"network", network_.id()},
           {"org_id", org_id()},
           {"grant", grant_id()},
           {"social_network_id", grant.social_network_id()},
           {"reason", failure.trouble}});
    }
    End(error);
  }

 private:
  GrantStore& grants() { return tools_.store.grants(); }
  const std::string& org_id() const { return key_.first; }
  const std::string& grant_id() const { return key_.second; }

  // Should that fail, the lease ends by itself.
  void EndLease(std::optional<absl::Time> due_at) {
    grants().EndLease(storing_context_, org_id(), grant_id(), holder_, due_at).IgnoreError();
  }
  void End(const Result& result) {
    if (sent_ > 0) Count(result.status());
    owner_.Land(key_, result, sent_);
  }
  void Count(const absl::Status& status) {
    FlowMetrics& metrics = tools_.metrics;
    const RefreshCause cause = is_due_ ? RefreshCause::kDue : RefreshCause::kCaller;
    if (status.ok()) return metrics.RefreshEnded(network_.id(), cause, RefreshOutcome::kRefreshed);
    if (!died_of_.empty()) {
      return metrics.RefreshEnded(network_.id(), cause, RefreshOutcome::kDead, died_of_);
    }
    const std::string reason = ReasonOf(status);
    metrics.RefreshEnded(network_.id(), cause, RefreshOutcome::kFailed,
                         reason.empty() ? "INTERNAL" : reason);
  }

  GrantRefresher& owner_;
  const FlowTools& tools_;
  const GrantKey key_;
  const std::string account_id_;  // One of its accounts, where one is asked for.
  const bool is_due_;             // Asked for because it is.
  const Network& network_;
  const WantedToken wanted_;
  const std::shared_ptr<const OpenedGrant> found_;
  const CallContext& context_;
  // What came of a refresh is stored though the time for it is over.
  const CallContext storing_context_;
  const std::string holder_;

  std::optional<GrantClient> client_;
  absl::Status no_secret_;  // Why it has none to show.
  std::shared_ptr<const OpenedGrant> leased_;
  int sent_ = 0;
  std::shared_ptr<const OpenedGrant> refreshed_;
  std::string died_of_;  // A status_reason; empty while it lives.
  Answer kept_;
};

GrantRefresher::GrantRefresher(const FlowTools& tools, Clock steady)
    : tools_(tools), doubts_(std::move(steady)) {}

GrantRefresher::~GrantRefresher() = default;

void GrantRefresher::GetToken(absl::string_view org_id, absl::string_view account_id,
                              const WantedToken& wanted, const CallContext& context, Done done) {
  auto call = std::make_unique<Call>(org_id, account_id, wanted, context, std::move(done));
  tools_.pool.Run([this, call = std::move(call)]() mutable { LookAt(std::move(call)); });
}

void GrantRefresher::LookAt(std::unique_ptr<Call> call) {
  absl::StatusOr<AccountWithToken> account =
      tools_.store.accounts().ReadWithToken(call->context, call->org_id, call->account_id);
  if (!account.ok()) return call->done(account.status());
  call->account = *std::move(account);
  const record::v1::SocialAccount& record = call->account.account;
  if (record.status() == record::v1::ACCOUNT_STATUS_NEEDS_RECONNECT) {
    return call->done(
        NeedsReconnect(WhyReconnect(tools_.catalog, record.network(), record.status_reason())));
  }
  absl::StatusOr<OpenedGrant> opened =
      tools_.store.grants().ReadWithTokens(call->context, call->org_id, record.grant_id());
  // The account was the last one, and was removed in between.
  if (absl::IsNotFound(opened.status()) ||
      (opened.ok() && opened->grant.disconnected_at_ms() != 0)) {
    return call->done(SocialAccountNotFound(call->account_id));
  }
  if (!opened.ok()) return call->done(opened.status());
  call->grant_id = record.grant_id();
  call->grant = std::make_shared<const OpenedGrant>(*std::move(opened));
  if (!call->account.access_token.empty()) return call->Answer(call->grant);
  const Grant& grant = call->grant->grant;
  call->network = tools_.catalog.FindVariant(grant.network(), grant.variant());
  const absl::Time now = tools_.clock();
  switch (StateOf(call->network, grant, call->wanted, now)) {
    case TokenState::kGood:
      return call->Answer(call->grant);
    case TokenState::kToRefresh:
      return Join(std::move(call));
    case TokenState::kToWait:
      return call->done(MakeRetryableError(
          absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE",
          absl::StrCat("The access token has ended, and ", call->network->display_name(),
                       " takes no refresh so soon after the one before"),
          FirstRefresh(call->network->refresh(), grant) - now));
    case TokenState::kEnded:
      return Bury(std::move(call));
  }
}

void GrantRefresher::RefreshDue(absl::string_view org_id, absl::string_view grant_id,
                                const CallContext& context, DueDone done) {
  auto call = std::make_unique<Call>(org_id, grant_id, context, std::move(done));
  tools_.pool.Run([this, call = std::move(call)]() mutable { LookAtDue(std::move(call)); });
}

void GrantRefresher::LookAtDue(std::unique_ptr<Call> call) {
  absl::StatusOr<OpenedGrant> opened =
      tools_.store.grants().GetWithTokens(call->context, call->org_id, call->grant_id);
  if (absl::IsNotFound(opened.status())) return call->Answer(nullptr);
  if (!opened.ok()) return call->Fail(opened.status());
  const Grant& grant = opened->grant;
  call->network = tools_.catalog.FindVariant(grant.network(), grant.variant());
  if (!IsDue(call->network, grant, tools_.clock()) && !IsToBeTriedAgain(call->context, grant)) {
    return call->Answer(nullptr);
  }
  if (call->network == nullptr) return call->Fail(NetworkLeftCatalog(grant.network()));
  call->grant = std::make_shared<const OpenedGrant>(*std::move(opened));
  Join(std::move(call));
}

bool GrantRefresher::IsToBeTriedAgain(const CallContext& context, const Grant& grant) const {
  if (grant.trouble().empty() || grant.disconnected_at_ms() != 0) return false;
  const auto settings =
      tools_.store.social_networks().Get(context, grant.org_id(), grant.social_network_id());
  return settings.ok() && IsMended(grant, *settings);
}

void GrantRefresher::Join(std::unique_ptr<Call> call) {
  const GrantKey key(call->org_id, call->grant_id);
  std::shared_ptr<Flight> flight;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::unique_ptr<Call>>& calls = waiting_[key];
    if (calls.empty()) flight = std::make_shared<Flight>(*this, key, *call);
    calls.push_back(std::move(call));
  }
  if (flight != nullptr) flight->Start();
}

void GrantRefresher::Land(const GrantKey& key, const Result& result, int sent) {
  // Before another refresh of it may begin.
  if (result.ok() && sent > 0) doubts_.Forget(key);
  std::vector<std::unique_ptr<Call>> calls;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    calls = std::move(waiting_.extract(key).mapped());
  }
  // The first one last: the refresh was made with its context.
  while (!calls.empty()) {
    const std::unique_ptr<Call> call = std::move(calls.back());
    calls.pop_back();
    const bool is_first = calls.empty();
    if (result.ok()) {
      // One that was no longer due was not refreshed for those who waited for it.
      const bool is_new = (*result)->grant.generation() != call->grant->grant.generation();
      const bool is_of_use = call->is_due() || is_new ||
                             !TokenHasEnded((*result)->grant, call->wanted, tools_.clock());
      is_of_use ? call->Answer(*result, is_first ? sent : 0) : call->Fail(RefreshInProgress());
    } else if (!is_first &&
               (absl::IsCancelled(result.status()) || absl::IsDeadlineExceeded(result.status()))) {
      // The time that is over is the first one's.
      call->Fail(RefreshInProgress());
    } else {
      call->Fail(result.status(), is_first ? sent : 0);
    }
  }
}

void GrantRefresher::Bury(std::unique_ptr<Call> call) {
  const Grant& grant = call->grant->grant;
  // An operator can put it back.
  if (call->network == nullptr) return call->done(NetworkLeftCatalog(grant.network()));
  const absl::string_view reason = call->wanted.refused_generation == grant.generation()
                                       ? kAccessTokenDead
                                       : kAccessTokenExpired;
  const absl::StatusOr<bool> is_dead = tools_.store.grants().MarkDead(
      call->context, call->org_id, grant.id(), grant.generation(), reason, tools_.clock());
  if (!is_dead.ok() && !absl::IsNotFound(is_dead.status())) return call->done(is_dead.status());
  if (!is_dead.ok() || !*is_dead) return call->done(RefreshInProgress());
  call->done(NeedsReconnect(WhyReconnect(tools_.catalog, grant.network(), reason)));
}

}  // namespace authurl
