#include "server/flow/complete_auth.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/crypto/crypto.h"
#include "core/errors.h"
#include "core/flow/session_token.h"
#include "server/flow/connection.h"
#include "server/flow/read_consent.h"
#include "server/flow/refresh_time.h"
#include "server/flow/revoke_grant.h"
#include "server/observe/log.h"
#include "storage/store_errors.h"

namespace authurl {
namespace {

using record::v1::Flow;
using record::v1::SocialAccount;

// What is done when the time for the whole work may be over: the last commit, because asking the
// person again is worse than being late, and a revocation.
constexpr absl::Duration kStoringTime = absl::Seconds(8);
// Consents that wait for room, at most; each may have 500 accounts.
constexpr size_t kMaxKept = 256;
constexpr absl::Duration kKeepingPause = absl::Seconds(1);
// Then there is no room, or the disk hangs.
constexpr int kMaxFailedInARow = 3;
// Of one state: a person who reloads the page.
constexpr TokenBuckets::Limit kHostedState = {.per_second = 0.2, .capacity = 5};

// What the store may do later, though it can't now.
bool MayBeStoredLater(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

absl::Status TooManyFlows(int limit) {
  return MakeRetryableError(absl::StatusCode::kResourceExhausted, "OVERLOADED",
                            absl::StrCat("The server has ", limit,
                                         " flows under way, which is as many as it may; try again"),
                            absl::Seconds(1));
}

absl::Status KeptForLater() {
  return MakeRetryableError(
      absl::StatusCode::kUnavailable, "STORAGE_UNAVAILABLE",
      "The person's consent is there, and can't be stored now. It is kept, and stored once the "
      "database takes it: ask GetAuthFlow, or send the same response again",
      absl::Seconds(5));
}

// The error as it was answered before.
absl::Status ErrorOf(const Flow::Failed& failed) {
  const auto code = static_cast<absl::StatusCode>(failed.code());
  if (failed.reason().empty()) return absl::Status(code, failed.message());
  return MakeError(code, failed.reason(), failed.message());
}

std::string ReturnUriOf(const state::v1::AuthState& state,
                        const record::v1::SocialNetworkSettings& settings) {
  if (!state.is_hosted() || settings.id().empty()) return "";
  const auto& allowed = settings.allowed_return_uris();
  const bool is_allowed =
      std::find(allowed.begin(), allowed.end(), state.return_uri()) != allowed.end();
  if (!state.return_uri().empty() && is_allowed) return state.return_uri();
  return settings.default_return_uri();
}

// Not an answer of the network's, but our own patience.
absl::Status WithoutItsEnd(const absl::Status& error, const std::string& network) {
  if (!absl::IsDeadlineExceeded(error) && !absl::IsCancelled(error)) return error;
  return MakeError(
      absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE",
      absl::StrCat(network, " did not answer in time, and may have taken the code: begin again"));
}

void LogOutcomeNotStored(const CallContext& context, const OpenedResponse& opened,
                         const absl::Status& why) {
  Log(LogLevel::kWarning, "flow_outcome_not_stored",
      {{"request_id", context.request_id()},
       {"org_id", opened.opened.state.org_id()},
       {"network", opened.opened.state.network()},
       {"cause", CauseOf(why)}});
}

std::string ReasonToCount(const absl::Status& status) {
  std::string reason = ReasonOf(status);
  return reason.empty() ? "INTERNAL" : reason;
}

}  // namespace

// One response on its way. It lives as long as anything of it is under way.
class AuthCompleter::Completing final : public std::enable_shared_from_this<Completing> {
 public:
  Completing(AuthCompleter& completer, ReceivedResponse received,
             std::shared_ptr<const CallContext> context, std::function<bool()> is_wanted, Done done)
      : completer_(completer),
        tools_(completer.tools_),
        received_(std::move(received)),
        context_(std::move(context)),
        is_wanted_(std::move(is_wanted)),
        done_(std::move(done)) {}
  ~Completing() {
    Wipe(received_.text);
    Wipe(result_.session_token);
    Wipe(client_secret_);
    // Done comes first otherwise.
    if (done_) Finish(absl::InternalError("a flow was left without an end"));
    completer_.under_way_.fetch_sub(1, std::memory_order_release);
  }
  Completing(const Completing&) = delete;
  Completing& operator=(const Completing&) = delete;

  // On a thread that may wait.
  void Begin() {
    absl::Status status = completer_.opener_.Open(*context_, received_, opened_);
    TellWhatIsKnown();
    if (!status.ok()) return Finish(std::move(status));
    if (opened_.has_expired) return TellWhatCameOfIt();
    if (absl::Status admitted = AdmitHosted(); !admitted.ok()) return Finish(std::move(admitted));

    // Before the state is spent: a secret that is gone is no reason to spend it.
    absl::StatusOr<std::string> secret = tools_.store.social_networks().GetClientSecret(
        *context_, state().org_id(), state().social_network_id(), state().social_network_version());
    if (absl::IsNotFound(secret.status())) {
      return Finish(MakeError(absl::StatusCode::kFailedPrecondition, "CONFIGURATION_OUTDATED",
                              "The client secret that this flow was begun with is gone: begin "
                              "again with a new URL"));
    }
    if (!secret.ok()) return Finish(secret.status());
    client_secret_ = *std::move(secret);
    if (!is_wanted_()) return Finish(absl::CancelledError("nobody waits for it"));

    absl::StatusOr<FlowStore::Spent> spent =
        tools_.store.flows().Spend(*context_, opened_.flow, tools_.clock());
    if (!spent.ok()) return Finish(spent.status());
    if (!spent->is_won) return Replay(spent->flow);

    status = CheckNetworkError(*opened_.network, opened_.response);
    if (!status.ok()) return Fail(status);
    ReadConsent(tools_.http, Code(), *context_, tools_.clock,
                [self = shared_from_this()](ConsentResult result) {
                  self->consent_.emplace(std::move(result));
                  self->tools_.pool.Run([self] { self->Store(); });
                });
  }

  // Tells whoever waits, once.
  void Finish(absl::Status status) {
    Count(status);
    if (!done_) return;
    result_.status = std::move(status);
    Done done = std::exchange(done_, nullptr);
    done(std::move(result_));
  }

  // Once more what could not be stored before. Whether that is settled now.
  bool StoreAgain() {
    const absl::Status status = TryToStore();
    if (MayBeStoredLater(status)) return false;
    if (!status.ok()) {
      Fail(status);
    } else {
      Count(status);
    }
    return true;
  }
  const std::string& flow_id() const { return opened_.flow.id(); }

 private:
  const state::v1::AuthState& state() const { return opened_.opened.state; }

  absl::Status AdmitHosted() {
    if (!received_.is_hosted()) return absl::OkStatus();
    // The same state again and again must not use up what the organisation's others have.
    absl::Duration retry_after =
        completer_.hosted_states_.TryTake(opened_.flow.id(), 1, tools_.clock());
    if (retry_after == absl::ZeroDuration()) {
      retry_after = completer_.hosted_flows_.TryTake(state().org_id(), 1, tools_.clock());
    }
    if (retry_after == absl::ZeroDuration()) return absl::OkStatus();
    return MakeRetryableError(absl::StatusCode::kResourceExhausted, "RATE_LIMITED",
                              "Too many responses come to the callback of this organisation; try "
                              "again",
                              retry_after);
  }

  // How it ended, as opposed to how an earlier call did, or that it goes on.
  void Count(const absl::Status& status) {
    const std::string reason = ReasonToCount(status);
    if (result_.is_replayed || reason == "COMPLETION_IN_PROGRESS") return;
    if (absl::IsCancelled(status)) return;  // Nothing was begun.
    const WayBack way = !received_.is_hosted()                   ? WayBack::kOwn
                        : state().session_binding_hash().empty() ? WayBack::kHostedUnbound
                                                                 : WayBack::kHosted;
    if (status.ok()) {
      tools_.metrics.FlowEnded(
          state().network(), way,
          result_.pending ? FlowOutcome::kNeedsChoice : FlowOutcome::kConnected);
    } else {
      tools_.metrics.FlowEnded(state().network(), way, FlowOutcome::kFailed, reason);
    }
  }

  // For whoever has to send a browser on, whatever comes.
  void TellWhatIsKnown() {
    result_.org_id = state().org_id();
    result_.network = state().network();
    result_.flow_id = opened_.flow_id;
    result_.return_state = state().return_state();
    result_.return_uri = ReturnUriOf(state(), opened_.settings);
    result_.return_profile = opened_.settings.return_profile();
  }

  CodeToExchange Code() {
    CodeToExchange code;
    code.network = opened_.network;
    code.settings = opened_.settings;
    code.client_secret = client_secret_;
    code.redirect_uri = state().redirect_uri();
    code.scopes = opened_.scopes;
    code.code_verifier = opened_.CodeVerifier(completer_.sealer_);
    code.id_token_nonce = opened_.IdTokenNonce(completer_.sealer_);
    code.response = std::move(opened_.response);
    return code;
  }

  // What was asked for is there, or why not.
  void Store() {
    if (!consent_->consent.ok()) {
      return Fail(WithoutItsEnd(consent_->consent.status(), opened_.network->display_name()));
    }
    absl::Status status = TryToStore();
    if (status.ok()) return Finish(absl::OkStatus());
    if (!MayBeStoredLater(status)) return Fail(status);
    StoreLater(std::move(status));
  }

  // From Keep() on the keeper works with this, and counts how it ends: what is told now is taken
  // out before.
  void StoreLater(absl::Status why) {
    Done done = std::exchange(done_, nullptr);
    CompletedAuth told = std::exchange(result_, CompletedAuth());
    told.status = KeptForLater();
    if (!completer_.Keep(shared_from_this())) {
      Log(LogLevel::kError, "consents_lost",
          {{"consents", 1},
           {"network", state().network()},
           {"org_id", state().org_id()},
           {"cause", "the database did not take it, and as many as may wait for it already do"}});
      Count(why);
      RevokeWhatIsOfNoUse();
      told.status = std::move(why);
    }
    if (done) done(std::move(told));
  }

  absl::Status TryToStore() {
    const CallContext context(absl::Now() + kStoringTime, context_->request_id());
    CredentialStore& store = tools_.store;
    std::optional<SocialAccount> reconnected;
    if (!state().reconnect_account_id().empty()) {
      absl::StatusOr<SocialAccount> account =
          store.accounts().Get(context, state().org_id(), state().reconnect_account_id());
      if (!account.ok()) return account.status();
      reconnected = *std::move(account);
    }
    const Consent& consent = *consent_->consent;
    absl::StatusOr<Connection> connection =
        ConnectionOf(opened_, consent, reconnected ? &*reconnected : nullptr);
    if (!connection.ok()) return connection.status();
    const NewGrant grant = {
        .grant = connection->grant,
        .tokens = consent.tokens,
        .due_at = NextRefresh(*opened_.network, consent.tokens, tools_.clock(), tools_.random)};
    const std::string& flow_id = opened_.flow.id();
    if (connection->needs_choice) {
      const std::string token = SessionToken();
      const absl::Status offered = store.pending_connections().Offer(
          context, state().org_id(), flow_id, token, connection->pending, grant,
          connection->accounts, tools_.clock());
      return offered.ok() ? TellChoices(context, token) : offered;
    }
    absl::StatusOr<Connected> connected = store.flows().Complete(
        context, state().org_id(), flow_id, grant, connection->accounts, tools_.clock());
    if (!connected.ok()) return connected.status();
    Tell(std::move(connected->accounts));
    return absl::OkStatus();
  }

  // The flow has failed, and that is stored so that it is known. Where it can't be, its lease ends.
  void Fail(const absl::Status& error) {
    const CallContext context(absl::Now() + kStoringTime, context_->request_id());
    const absl::Status stored = tools_.store.flows().Fail(context, state().org_id(),
                                                          opened_.flow.id(), error, tools_.clock());
    if (!stored.ok()) LogOutcomeNotStored(*context_, opened_, stored);
    Finish(error);
    RevokeWhatIsOfNoUse();
  }

  // Nobody will ever use what was granted. Best effort, and nobody waits for it.
  void RevokeWhatIsOfNoUse() {
    if (!consent_ || !OffersRevocation(*opened_.network)) return;
    std::optional<TokenSet> tokens = std::move(consent_->unused);
    if (consent_->consent.ok()) tokens.emplace(std::move(consent_->consent->tokens));
    if (!tokens) return;
    GrantClient client;
    client.network = opened_.network;
    client.settings = opened_.settings;
    client.client_secret = client_secret_;
    auto context = std::make_shared<const CallContext>(absl::Now() + kStoringTime);
    const CallContext& work = *context;
    RevokeGrant(tools_.http, std::move(client), *std::move(tokens), work, tools_.clock,
                [self = shared_from_this(), context = std::move(context)](RevocationResult) {});
  }

  // Of one whose state has expired.
  void TellWhatCameOfIt() {
    const absl::StatusOr<std::optional<Flow>> flow =
        tools_.store.flows().Find(*context_, state().org_id(), opened_.flow.id());
    if (!flow.ok()) return Finish(flow.status());
    if (!flow->has_value()) return Finish(ExpiredState());
    Replay(**flow);
  }

  void Replay(const Flow& flow) {
    absl::Status status = CheckReplay(flow, opened_.flow, tools_.clock());
    if (ReasonOf(status) == "COMPLETION_UNKNOWN" && completer_.IsKept(flow.id())) {
      status = CompletionInProgress();
    }
    if (!status.ok()) return Finish(std::move(status));
    result_.is_replayed = true;
    if (flow.has_failed()) return Finish(ErrorOf(flow.failed()));
    if (flow.has_needs_choice()) {
      // What is in a browser's history gives nobody a session.
      if (received_.is_hosted()) return Finish(StateAlreadyUsed());
      return Finish(TellChoices(*context_, SessionToken()));
    }
    // Its code was handed to somebody (HandOut).
    if (flow.completed().grant_id().empty()) return Finish(StateAlreadyUsed());
    std::vector<SocialAccount> accounts;
    for (const std::string& id : flow.completed().account_ids()) {
      absl::StatusOr<SocialAccount> account =
          tools_.store.accounts().Get(*context_, state().org_id(), id);
      if (absl::IsNotFound(account.status())) continue;  // It was deleted since.
      if (!account.ok()) return Finish(account.status());
      accounts.push_back(*std::move(account));
    }
    Tell(std::move(accounts));
    Finish(absl::OkStatus());
  }

  std::string SessionToken() const {
    const OpenedState& opened = opened_.opened;
    return DeriveSessionToken(
        *completer_.sealer_.keys().Find(opened.key_id, Purpose::kSessionToken), opened.nonce);
  }

  absl::Status TellChoices(const CallContext& context, const std::string& token) {
    absl::StatusOr<record::v1::PendingConnection> pending =
        tools_.store.pending_connections().Get(context, PendingConnectionId(token), tools_.clock());
    if (!pending.ok()) return pending.status();
    result_.pending = *std::move(pending);
    result_.session_token = token;
    return absl::OkStatus();
  }

  void Tell(std::vector<SocialAccount> accounts) {
    std::sort(accounts.begin(), accounts.end(),
              [](const SocialAccount& a, const SocialAccount& b) { return a.id() < b.id(); });
    result_.accounts = std::move(accounts);
  }

  AuthCompleter& completer_;
  const FlowTools& tools_;
  ReceivedResponse received_;
  const std::shared_ptr<const CallContext> context_;
  const std::function<bool()> is_wanted_;
  Done done_;

  OpenedResponse opened_;
  std::string client_secret_;
  std::optional<ConsentResult> consent_;
  CompletedAuth result_;
};

AuthCompleter::AuthCompleter(const FlowTools& tools, const Sealer& sealer, Options options)
    : tools_(tools),
      sealer_(sealer),
      opener_(tools, sealer),
      options_(options),
      hosted_flows_(options.hosted_flows),
      hosted_states_(kHostedState),
      keeper_([this] { StoreWhatIsKept(); }) {}

AuthCompleter::~AuthCompleter() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  keeper_.join();
}

void AuthCompleter::Complete(ReceivedResponse received, std::shared_ptr<const CallContext> context,
                             std::function<bool()> is_wanted, Done done) {
  const bool has_room = under_way_.fetch_add(1, std::memory_order_acq_rel) < options_.max_flows;
  // Gives its place back when it is gone.
  auto completing = std::make_shared<Completing>(*this, std::move(received), std::move(context),
                                                 std::move(is_wanted), std::move(done));
  if (!has_room) return completing->Finish(TooManyFlows(options_.max_flows));
  tools_.pool.Run([completing = std::move(completing)] { completing->Begin(); });
}

absl::Status AuthCompleter::HandOut(const CallContext& context, const ReceivedResponse& received,
                                    OpenedResponse& opened) {
  const absl::Status status = TryToHandOut(context, received, opened);
  const std::string& network = opened.opened.state.network();
  if (status.ok()) {
    tools_.metrics.FlowEnded(network, WayBack::kOwn, FlowOutcome::kHandedOut);
  } else {
    tools_.metrics.FlowEnded(network, WayBack::kOwn, FlowOutcome::kFailed, ReasonToCount(status));
  }
  return status;
}

absl::Status AuthCompleter::TryToHandOut(const CallContext& context,
                                         const ReceivedResponse& received, OpenedResponse& opened) {
  absl::Status status = opener_.Open(context, received, opened);
  if (!status.ok()) return status;
  if (opened.has_expired) return ExpiredState();
  const absl::StatusOr<FlowStore::Spent> spent =
      tools_.store.flows().Spend(context, opened.flow, tools_.clock());
  if (!spent.ok()) return spent.status();
  // Nobody is given a code twice.
  if (!spent->is_won) return StateAlreadyUsed();
  const std::string& org_id = opened.opened.state.org_id();
  status = CheckNetworkError(*opened.network, opened.response);
  if (status.ok()) {
    // The code is of no use to anybody else, whether that is stored or not.
    const absl::Status stored =
        tools_.store.flows().HandOut(context, org_id, opened.flow.id(), tools_.clock());
    if (!stored.ok()) LogOutcomeNotStored(context, opened, stored);
    return absl::OkStatus();
  }
  tools_.store.flows()
      .Fail(context, org_id, opened.flow.id(), status, tools_.clock())
      .IgnoreError();
  return status;
}

size_t AuthCompleter::kept() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return kept_.size();
}

bool AuthCompleter::IsKept(absl::string_view flow_id) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::any_of(kept_.begin(), kept_.end(),
                     [&](const auto& completing) { return completing->flow_id() == flow_id; });
}

bool AuthCompleter::Keep(std::shared_ptr<Completing> completing) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (kept_.size() >= kMaxKept) return false;
  kept_.push_back(std::move(completing));
  return true;
}

void AuthCompleter::StoreWhatIsKept() {
  std::unique_lock<std::mutex> lock(mutex_);
  bool is_last = false;
  while (!is_last) {
    wake_.wait_for(lock, absl::ToChronoMilliseconds(kKeepingPause), [this] { return stopping_; });
    is_last = stopping_;
    int failed = 0;
    const std::vector<std::shared_ptr<Completing>> waiting = kept_;
    for (const std::shared_ptr<Completing>& completing : waiting) {
      lock.unlock();
      const bool is_settled = completing->StoreAgain();
      lock.lock();
      std::erase(kept_, completing);
      if (is_settled) continue;
      // Behind the others, so that one that fails by itself holds up none of them.
      kept_.push_back(completing);
      if (++failed == kMaxFailedInARow) break;
    }
  }
  if (kept_.empty()) return;
  Log(LogLevel::kError, "consents_lost",
      {{"consents", static_cast<int64_t>(kept_.size())},
       {"cause", "the server stopped before the database took them"}});
}

}  // namespace authurl
