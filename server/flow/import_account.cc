#include "server/flow/import_account.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/errors.h"
#include "core/flow/answer.h"
#include "core/flow/auth_url.h"
#include "core/flow/id_token.h"
#include "core/flow/network_error.h"
#include "core/flow/token_request.h"
#include "server/flow/connection.h"
#include "server/flow/grant_client.h"
#include "server/flow/import_rules.h"
#include "server/flow/insist.h"
#include "server/flow/needs_reconnect.h"
#include "server/flow/read_person.h"
#include "server/flow/refresh_rules.h"
#include "server/flow/refresh_time.h"
#include "server/observe/log.h"
#include "storage/import_store.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using catalog::v1::Profile;
using record::v1::SocialAccount;

// What must be left when a refresh is sent: a call takes ten seconds at the most, and one that is
// cut off is lost with its tokens.
constexpr absl::Duration kMinTimeToRefresh = absl::Seconds(11);
// And before the first request of any.
constexpr absl::Duration kMinTimeToBegin = absl::Seconds(2);

absl::Status NoTimeLeft() {
  return MakeError(absl::StatusCode::kDeadlineExceeded, "DEADLINE_EXCEEDED",
                   "There was no time left for this one: import it again, with fewer others");
}

absl::Status ImportInProgress() {
  return MakeRetryableError(absl::StatusCode::kAborted, "IMPORT_IN_PROGRESS",
                            "The same refresh token is being imported by another call; try again",
                            absl::Seconds(5));
}

absl::Status Precondition(absl::string_view reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason, message);
}

absl::Status VariantLeftCatalog(const record::v1::SocialNetworkSettings& settings) {
  return Precondition(
      "CONFIGURATION_OUTDATED",
      absl::StrCat("The configuration ", settings.id(), " is for a variant of ", settings.network(),
                   " that authurl's catalog no longer has; update it"));
}

// Not an answer of the network's, but our own patience.
absl::Status WithoutOurPatience(const absl::Status& error, const Network& network) {
  if (!absl::IsDeadlineExceeded(error) && !absl::IsCancelled(error)) return error;
  return MakeError(absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE",
                   absl::StrCat(network.display_name(), " did not answer in time; try again"));
}

TokenSet CopyOf(const TokenSet& tokens) {
  TokenSet copy;
  copy.access_token = tokens.access_token;
  copy.refresh_token = tokens.refresh_token;
  copy.id_token = tokens.id_token;
  copy.access_token_expires_at = tokens.access_token_expires_at;
  copy.refresh_token_expires_at = tokens.refresh_token_expires_at;
  copy.scopes = tokens.scopes;
  copy.subject = tokens.subject;
  copy.kept = tokens.kept;
  return copy;
}

// One of them. It lives as long as anything of it is under way; each step is on a thread of the
// pool.
class AccountImport final : public std::enable_shared_from_this<AccountImport> {
 public:
  using Done = absl::AnyInvocable<void(ImportOutcome)>;

  AccountImport(const FlowTools& tools, GrantRefresher& refresher, std::string org_id,
                AccountToImport account, std::shared_ptr<const CallContext> context, Done done)
      : tools_(tools),
        refresher_(refresher),
        org_id_(std::move(org_id)),
        account_(std::move(account)),
        context_(std::move(context)),
        storing_context_(context_->deadline() + kStoring, context_->request_id()),
        done_(std::move(done)) {}

  // One after the other.

  void Start() {
    if (TimeLeft() < kMinTimeToBegin) return Finish(NoTimeLeft());
    SocialNetworkStore& configurations = tools_.store.social_networks();
    const auto settings = configurations.Find(*context_, org_id_, account_.network,
                                              account_.instance, account_.configuration);
    if (!settings.ok()) return Finish(settings.status());
    client_.settings = **settings;
    client_.network = tools_.catalog.FindVariant(account_.network, client_.settings.variant());
    if (client_.network == nullptr) return Finish(VariantLeftCatalog(client_.settings));
    if (absl::Status fits = CheckImportFits(given(), account_.network_unique_ids, network());
        !fits.ok())
      return Finish(fits);
    absl::StatusOr<std::string> secret = configurations.GetClientSecret(
        *context_, org_id_, client_.settings.id(), client_.settings.version());
    if (!secret.ok()) return Finish(secret.status());
    client_.client_secret = *std::move(secret);
    if (absl::Status status = client_.ShowSecret(tools_.clock()); !status.ok()) {
      return Finish(status);
    }
    // Some networks say only beside new tokens whose they are, or not even then: for these no
    // refresh token is used.
    const bool needs_answer = !ProfileTellsWhose(network());
    if (needs_answer && !(MayRefresh() && RefreshTellsWhose(network()))) return OnNotCheckable();
    if (!HasGoodToken() || needs_answer) return ClaimRefresh();
    ReadOwner();
  }

  // So that it is sent once, whoever else imports it.
  void ClaimRefresh() {
    if (!MayRefresh()) {
      return Finish(Precondition(
          kAccessTokenExpired, WhyReconnect(tools_.catalog, network().id(), kAccessTokenExpired)));
    }
    if (TimeLeft() < kMinTimeToRefresh) return Finish(NoTimeLeft());
    const std::string id = ImportId(client_.settings.id(), given().refresh_token);
    // Its network let it stay as it was, so it may be sent again.
    if (std::find(import_ids_.begin(), import_ids_.end(), id) != import_ids_.end()) {
      return SendRefresh();
    }
    import_ids_.push_back(id);
    absl::StatusOr<ImportStore::Claim> claim =
        tools_.store.imports().ClaimRefresh(*context_, org_id_, client_.settings.id(), id,
                                            WorksOnce(network().refresh()), tools_.clock());
    if (!claim.ok()) return Finish(claim.status());
    switch (claim->standing) {
      case ImportStore::Standing::kClaimed:
        return SendRefresh();
      case ImportStore::Standing::kUnderWay:
        return Finish(ImportInProgress());
      case ImportStore::Standing::kLost:
        return OnAnswerLost();
      case ImportStore::Standing::kRefreshed:
        just_refreshed_ = true;
        account_.tokens = std::move(claim->tokens);
        return HasGoodToken() && IsToldWhose() ? ReadOwner() : ClaimRefresh();
      case ImportStore::Standing::kConnected:
        return UseGrant(claim->grant_id);
    }
  }

  void SendRefresh() {
    has_sent_ = true;
    absl::StatusOr<HttpRequest> request =
        BuildRefresh(network(), client_.Shown(), ValuesOf(given()));
    if (!request.ok()) return Release(request.status());
    tools_.http.Send(
        *std::move(request), client_.Target(), *context_,
        [self = shared_from_this()](absl::StatusOr<HttpAnswer> answer) {
          self->tools_.pool.Run([self, got = std::move(answer)] { self->OnRefreshAnswer(got); });
        });
  }
  void OnRefreshAnswer(const absl::StatusOr<HttpAnswer>& answer) {
    if (!answer.ok() && !IsUnsent(answer.status()) && WorksOnce(network().refresh())) {
      Count(RefreshOutcome::kDead, kRefreshAnswerLost);
      return OnAnswerLost();
    }
    if (!answer.ok()) {
      Count(RefreshOutcome::kFailed, ReasonOf(answer.status()));
      return Release(answer.status());
    }
    absl::StatusOr<TokenSet> tokens = ParseRefresh(network(), given(), answer->response(),
                                                   tools_.clock(), SecretsOf(client_, given()));
    if (!tokens.ok()) {
      const std::string reason = ReasonOf(tokens.status());
      Count(reason == kRefreshDead ? RefreshOutcome::kDead : RefreshOutcome::kFailed, reason);
      return Release(tokens.status());
    }
    Count(RefreshOutcome::kRefreshed);
    StoreRefreshed(*std::move(tokens));
  }
  void OnAnswerLost() {
    Finish(Precondition(kRefreshAnswerLost,
                        WhyReconnect(tools_.catalog, network().id(), kRefreshAnswerLost)));
  }
  // Nothing came of it, so it may be claimed anew. Should that fail, the claim ends by itself.
  void Release(const absl::Status& why) {
    tools_.store.imports().Release(storing_context_, org_id_, import_ids_.back()).IgnoreError();
    Finish(WithoutOurPatience(why, network()));
  }

  void StoreRefreshed(TokenSet tokens) {
    // One that came with the tokens is as good as the caller's word.
    has_new_id_token_ = tokens.id_token != given().id_token;
    just_refreshed_ = true;
    account_.tokens = std::move(tokens);
    const absl::StatusOr<bool> stored =
        Insist<bool>(storing_context_, [&]() -> absl::StatusOr<bool> {
          const absl::Status status = tools_.store.imports().StoreRefreshed(
              storing_context_, org_id_, import_ids_.back(), given(), tools_.clock());
          if (!status.ok()) return status;
          return true;
        });
    // They may yet be stored with their grant.
    not_stored_ = stored.status();
    ReadOwner();
  }

  // The refresh token is in a grant here, which has its own way of being refreshed.
  void UseGrant(const std::string& grant_id) {
    const auto accounts =
        tools_.store.grants().ListAccounts(*context_, org_id_, grant_id, "", {.rows = 1});
    if (!accounts.ok()) return Finish(accounts.status());
    // It is being disconnected just now, or does not open.
    if (accounts->records.empty()) return Finish(ImportInProgress());
    refresher_.GetToken(org_id_, accounts->records[0].id(), {}, *context_,
                        [self = shared_from_this()](absl::StatusOr<UsableAccount> usable) {
                          if (!usable.ok()) return self->Finish(usable.status());
                          self->grant_ = std::move(usable->grant);
                          self->ReadOwner();
                        });
  }

  void ReadOwner() {
    if (network().profile().source() == Profile::SOURCE_ID_TOKEN && has_new_id_token_ &&
        network().has_open_id()) {
      absl::StatusOr<Answer> claims = CheckIdToken(network(), client_.settings, tokens().id_token,
                                                   /*nonce=*/"", tools_.clock());
      if (!claims.ok()) return Finish(claims.status());
      claims_.emplace(*std::move(claims));
    }
    if (!IsToldWhose()) return OnNotCheckable();
    kept_ = Answer::OfParameters(tokens().kept);
    FlowValues values = ValuesOf(tokens());
    if (AsksByPerson(network()) && tokens().subject.empty()) {
      values.Set("subject", account_.network_unique_ids[0]);
    }
    ReadPerson(tools_.http,
               {.network = network(),
                .target = client_.Target(),
                .client = client_.Shown(),
                .values = std::move(values),
                .around = {.id_token = claims_.has_value() ? &*claims_ : nullptr, .kept = &kept_},
                .subject = tokens().subject,
                .scopes = tokens().scopes.has_value() ? &*tokens().scopes : nullptr,
                .secrets = SecretsOf(client_, tokens())},
               *context_, [self = shared_from_this()](absl::StatusOr<PersonWithAccounts> read) {
                 self->tools_.pool.Run(
                     [self, got = std::move(read)]() mutable { self->OnPerson(std::move(got)); });
               });
  }
  void OnNotCheckable() {
    const bool may_help = TakesRefreshTokens(network()) && RefreshTellsWhose(network()) &&
                          given().refresh_token.empty();
    Finish(
        Precondition("NOT_CHECKABLE",
                     absl::StrCat(network().display_name(),
                                  " tells whose an access token is together with the token only: ",
                                  may_help ? "import the refresh token, too, or let " : "let ",
                                  "the person connect here")));
  }
  void OnPerson(absl::StatusOr<PersonWithAccounts> read) {
    // A token may end sooner than it is known to.
    const bool may_help = !has_sent_ && grant_ == nullptr && MayRefresh();
    if (ReasonOf(read.status()) == kAccessTokenDead && may_help) return ClaimRefresh();
    if (!read.ok()) return Finish(WithoutOurPatience(read.status(), network()));
    if (absl::Status status = TakeNamed(*read); !status.ok()) return Finish(status);
    Store(*std::move(read));
  }
  // Leaves of the accounts those that are to be imported.
  absl::Status TakeNamed(PersonWithAccounts& read) const {
    const std::vector<std::string>& ids = account_.network_unique_ids;
    if (!ListsAccounts(network())) {
      if (ids.empty() || ids[0] == read.person.id) return absl::OkStatus();
      return Precondition("ACCOUNT_MISMATCH",
                          absl::StrCat(network().display_name(), " says that the tokens are of ",
                                       Quoted(read.person.id), " and not of ", Quoted(ids[0]),
                                       "; nothing was connected"));
    }
    const std::set<std::string> wanted(ids.begin(), ids.end());
    std::erase_if(read.accounts,
                  [&](const AccountChoice& choice) { return !wanted.contains(choice.profile.id); });
    if (read.accounts.size() == wanted.size()) return absl::OkStatus();
    std::set<std::string> missing = wanted;
    for (const AccountChoice& choice : read.accounts) missing.erase(choice.profile.id);
    return Precondition(
        "ACCOUNT_MISMATCH",
        absl::StrCat("The tokens do not reach ", missing.size(), " of the ", wanted.size(), " ",
                     network().accounts().what(), " of ", network().display_name(), ", of which ",
                     Quoted(*missing.begin()), " is one",
                     read.has_more_accounts ? ", or it is beyond the first 500 of a long list" : "",
                     "; nothing was connected"));
  }

  void Store(PersonWithAccounts read) {
    const std::vector<std::string> scopes = AskedScopes();
    const AskedConsent asked = {.network = network(),
                                .settings = client_.settings,
                                .social_network_version = client_.settings.version(),
                                .tenant_id = account_.tenant_id,
                                .scopes = scopes};
    Consent consent;
    consent.tokens = CopyOf(tokens());
    consent.person = std::move(read.person);
    consent.accounts = std::move(read.accounts);
    const absl::Time now = tools_.clock();
    const NewGrant grant = {.grant = GrantOf(asked, consent.person),
                            .tokens = consent.tokens,
                            .due_at = NextRefresh(network(), consent.tokens, now, tools_.random)};
    const std::vector<NewAccount> accounts = AccountsOf(asked, consent);
    // So that nobody sends it again once the grant has.
    if (import_ids_.empty() && MayRefresh()) {
      import_ids_.push_back(ImportId(client_.settings.id(), given().refresh_token));
    }
    absl::StatusOr<Connected> connected = Insist<Connected>(storing_context_, [&] {
      return tools_.store.imports().Connect(storing_context_, org_id_, import_ids_, grant, accounts,
                                            just_refreshed_, now);
    });
    // Another import has sent the refresh token meanwhile: what it gave is what counts.
    const bool is_outdated =
        absl::IsFailedPrecondition(connected.status()) && ReasonOf(connected.status()).empty();
    if (is_outdated && !just_refreshed_) {
      import_ids_.clear();
      return ClaimRefresh();
    }
    if (!connected.ok()) return Finish(connected.status());
    std::vector<SocialAccount>& made = connected->accounts;
    std::sort(made.begin(), made.end(),
              [](const SocialAccount& a, const SocialAccount& b) { return a.id() < b.id(); });
    done_({.status = absl::OkStatus(), .accounts = std::move(made)});
  }

 private:
  const Network& network() const { return *client_.network; }
  // What was imported, or what a refresh of that gave.
  const TokenSet& given() const { return account_.tokens; }
  // The same, or the grant's that it has become.
  const TokenSet& tokens() const {
    const OpenedGrant* const grant = grant_.get();
    return grant == nullptr ? given() : grant->tokens;
  }

  bool HasGoodToken() const {
    const std::optional<absl::Time> end = given().access_token_expires_at;
    return !given().access_token.empty() && (!end || tools_.clock() < *end);
  }
  bool MayRefresh() const {
    return TakesRefreshTokens(network()) && !given().refresh_token.empty();
  }
  // By the network, be it once it is asked.
  bool IsToldWhose() const {
    return ProfileTellsWhose(network()) || !tokens().subject.empty() || claims_.has_value();
  }
  absl::Duration TimeLeft() const { return context_->deadline() - absl::Now(); }
  std::vector<std::string> AskedScopes() const {
    const ScopeList none_named;
    const ScopeList& scopes = ChooseScopes(network(), none_named, client_.settings);
    return {scopes.begin(), scopes.end()};
  }

  void Count(RefreshOutcome outcome, absl::string_view reason = "") {
    const bool is_internal = outcome == RefreshOutcome::kFailed && reason.empty();
    tools_.metrics.RefreshEnded(network().id(), RefreshCause::kCaller, outcome,
                                is_internal ? "INTERNAL" : reason);
  }
  void Tell(absl::string_view event, const absl::Status& why) const {
    Log(LogLevel::kError, event,
        {{"request_id", context_->request_id()},
         {"org_id", org_id_},
         {"network", account_.network},
         {"cause", CauseOf(why)}});
  }
  void Finish(absl::Status status) {
    const std::string reason = ReasonOf(status);
    if (reason.empty() && (absl::IsDeadlineExceeded(status) || absl::IsCancelled(status))) {
      status = NoTimeLeft();
    }
    if (!CauseOf(status).empty()) Tell("import_failed", status);
    if (!not_stored_.ok()) Tell("imported_tokens_lost", not_stored_);
    // What worked once was used, and what it gave is lost.
    const bool is_lost = !not_stored_.ok() && WorksOnce(network().refresh());
    const bool is_retriable = !is_lost && IsRetriableImport(reason, client_.network);
    done_({.status = std::move(status), .is_retriable = is_retriable, .accounts = {}});
  }

  const FlowTools& tools_;
  GrantRefresher& refresher_;
  const std::string org_id_;
  AccountToImport account_;
  const std::shared_ptr<const CallContext> context_;
  // What came of a refresh is stored though the time for it is over.
  const CallContext storing_context_;
  Done done_;

  GrantClient client_;
  // The refresh tokens that were claimed, the last one last.
  std::vector<std::string> import_ids_;
  bool has_sent_ = false;        // One of them.
  bool just_refreshed_ = false;  // By this import, or one before that connected nothing.
  absl::Status not_stored_;      // Why what the last refresh gave is in memory only.
  bool has_new_id_token_ = false;
  std::shared_ptr<const OpenedGrant> grant_;
  std::optional<Answer> claims_;
  Answer kept_;
};

// All of one call. It lives as long as anything of it is under way.
class ImportOfMany final : public std::enable_shared_from_this<ImportOfMany> {
 public:
  ImportOfMany(const FlowTools& tools, GrantRefresher& refresher, const std::string& org_id,
               std::vector<AccountToImport> accounts, std::shared_ptr<const CallContext> context,
               std::function<bool()> is_wanted, AccountImporter::Done done)
      : tools_(tools),
        refresher_(refresher),
        org_id_(org_id),
        accounts_(std::move(accounts)),
        context_(std::move(context)),
        is_wanted_(std::move(is_wanted)),
        done_(std::move(done)),
        outcomes_(accounts_.size()),
        left_(accounts_.size()) {
    // Those of one consent after each other: the first one's refresh is the others', too.
    std::map<std::string, size_t> chain_of;
    for (size_t i = 0; i < accounts_.size(); ++i) {
      const TokenSet& tokens = accounts_[i].tokens;
      std::string key =
          absl::StrCat(accounts_[i].network, " ", accounts_[i].instance, " ",
                       tokens.refresh_token.empty() ? absl::StrCat("at ", i)
                                                    : ImportId("", tokens.refresh_token));
      const auto [found, is_new] = chain_of.emplace(std::move(key), chains_.size());
      if (is_new) chains_.emplace_back();
      chains_[found->second].push_back(i);
    }
  }

  void Start() {
    const int lines = std::min(AccountImporter::kAtOnce, static_cast<int>(chains_.size()));
    for (int i = 0; i < lines; ++i) TakeChain();
  }

 private:
  void TakeChain() {
    const size_t chain = next_chain_.fetch_add(1, std::memory_order_relaxed);
    if (chain < chains_.size()) Run(chain, 0);
  }
  void Run(size_t chain, size_t position) {
    if (position == chains_[chain].size()) return TakeChain();
    tools_.pool.Run([self = shared_from_this(), chain, position] {
      const size_t index = self->chains_[chain][position];
      const auto on_done = [self, chain, position, index](ImportOutcome outcome) {
        self->outcomes_[index] = std::move(outcome);
        // Before it may be the last one: then nothing of this is used any more.
        self->Run(chain, position + 1);
        if (self->left_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
          self->done_(std::move(self->outcomes_));
        }
      };
      if (!self->is_wanted_()) return on_done({.status = NoTimeLeft(), .accounts = {}});
      std::make_shared<AccountImport>(self->tools_, self->refresher_, self->org_id_,
                                      std::move(self->accounts_[index]), self->context_, on_done)
          ->Start();
    });
  }

  const FlowTools tools_;
  GrantRefresher& refresher_;
  const std::string org_id_;
  std::vector<AccountToImport> accounts_;
  const std::shared_ptr<const CallContext> context_;
  const std::function<bool()> is_wanted_;
  AccountImporter::Done done_;
  std::vector<std::vector<size_t>> chains_;
  std::atomic<size_t> next_chain_ = 0;
  std::vector<ImportOutcome> outcomes_;
  std::atomic<size_t> left_;
};

}  // namespace

void AccountImporter::Import(const std::string& org_id, std::vector<AccountToImport> accounts,
                             std::shared_ptr<const CallContext> context,
                             std::function<bool()> is_wanted, Done done) const {
  if (accounts.empty()) return done({});
  std::make_shared<ImportOfMany>(tools_, refresher_, org_id, std::move(accounts),
                                 std::move(context), std::move(is_wanted), std::move(done))
      ->Start();
}

}  // namespace authurl
