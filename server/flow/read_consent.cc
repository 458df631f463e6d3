#include "server/flow/read_consent.h"

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"
#include "core/errors.h"
#include "core/flow/client_secret.h"
#include "core/flow/id_token.h"
#include "core/flow/network_error.h"
#include "core/flow/request_builder.h"
#include "core/flow/token_request.h"
#include "server/flow/grant_client.h"

namespace authurl {
namespace {

using catalog::v1::Accounts;
using catalog::v1::Network;

// The steps of one consent. It lives as long as a request of it is under way.
class ConsentReader final : public std::enable_shared_from_this<ConsentReader> {
 public:
  ConsentReader(HttpClient& http, CodeToExchange code, const CallContext& context,
                const Clock& clock, absl::AnyInvocable<void(ConsentResult)> done)
      : http_(http),
        context_(context),
        clock_(clock),
        code_(std::move(code)),
        network_(*code_.network),
        callback_(Answer::OfParameters(code_.response.parameters)),
        done_(std::move(done)) {}
  ~ConsentReader() { Wipe(shown_secret_); }

  void Start() { Exchange(); }

 private:
  using Step = void (ConsentReader::*)(const HttpResponse& response);

  // One after the other: each begins a step, whose answer its On… takes.

  void Exchange() {
    absl::StatusOr<std::string> secret =
        ClientSecretToShow(network_, code_.settings, code_.client_secret, clock_());
    if (!secret.ok()) return Fail(secret.status());
    shown_secret_ = *std::move(secret);
    FlowValues values;
    values.Set("code", code_.response.Get("code"));
    values.Set("redirect_uri", code_.redirect_uri);
    values.Set("state", code_.response.Get("state"));
    values.Set("code_verifier", code_.code_verifier);
    for (const std::string& name : network_.callback().kept()) {
      values.Set(absl::StrCat("kept.", name), code_.response.Get(name));
    }
    Send(BuildExchange(network_, client(), values), &ConsentReader::OnExchanged);
  }
  void OnExchanged(const HttpResponse& response) {
    absl::StatusOr<TokenResponse> first = ParseExchange(network_, response, clock_(), secrets());
    if (!first.ok()) return Fail(first.status());
    token_.emplace(*std::move(first));
    for (const std::string& name : network_.callback().kept()) {
      const absl::string_view value = code_.response.Get(name);
      if (!value.empty()) tokens().kept.emplace(name, value);
    }
    Remember();
    if (!network_.has_long_lived()) return ReadIdToken();
    FlowValues values;
    values.Set("access_token", tokens().access_token);
    Send(BuildLongLived(network_, client(), values), &ConsentReader::OnLongLived);
  }
  void OnLongLived(const HttpResponse& response) {
    absl::StatusOr<TokenResponse> both =
        ParseLongLived(network_, *std::move(token_), response, clock_(), secrets());
    if (!both.ok()) return Fail(both.status());
    token_.emplace(*std::move(both));
    Remember();
    ReadIdToken();
  }

  // What a revocation needs, should a later step fail.
  void Remember() {
    TokenSet granted;
    granted.access_token = tokens().access_token;
    granted.refresh_token = tokens().refresh_token;
    granted.id_token = tokens().id_token;
    granted.kept = tokens().kept;
    granted_ = std::move(granted);
  }

  void ReadIdToken() {
    kept_ = Answer::OfParameters(tokens().kept);
    if (network_.has_open_id() && !tokens().id_token.empty()) {
      absl::StatusOr<Answer> claims =
          CheckIdToken(network_, code_.settings, tokens().id_token, code_.id_token_nonce, clock_());
      if (!claims.ok()) return Fail(claims.status());
      claims_.emplace(*std::move(claims));
    } else if (!code_.id_token_nonce.empty() && Granted("openid")) {
      // Without it nobody can tell whether the code belongs to this flow (OpenID Connect Core
      // section 3.1.2.1).
      return Fail(AnswerInvalid(network_, "has no ID token though openid was granted"));
    }
    ReadPerson();
  }

  void ReadPerson() {
    if (!AsksForProfile(network_) || !MayAskForProfile()) {
      return OnPerson(ReadProfile(network_, sources(), tokens().subject));
    }
    Send(BuildProfileRequest(network_, client(), LaterValues()), &ConsentReader::OnProfile);
  }
  void OnProfile(const HttpResponse& response) {
    OnPerson(ParseProfile(network_, response, sources(), tokens().subject, secrets()));
  }
  void OnPerson(absl::StatusOr<ProfileData> person) {
    if (!person.ok()) return Fail(person.status());
    consent_.person = *std::move(person);
    if (network_.accounts().when() != Accounts::WHEN_CONNECTING) return Succeed();
    if (!network_.accounts().has_parents()) return ReadAccounts();
    ReadParents();
  }

  void ReadParents() {
    if (!MayList()) return OnListed();
    SendForList(BuildParentsRequest(network_, client(), LaterValues(), Next()),
                &ConsentReader::OnParents);
  }
  void OnParents(const HttpResponse& response) {
    absl::StatusOr<ParentsPage> page = ParseParents(
        network_, asked_, response, Seen(network_.accounts().parents().paging()), secrets());
    if (!page.ok()) return Fail(page.status());
    for (ParentAccount& parent : page->parents) parents_.push_back(std::move(parent));
    next_ = std::move(page->next);
    if (next_.has_value()) return ReadParents();
    ReadAccountsOfNext();
  }
  // Of the next value of the next parent.
  void ReadAccountsOfNext() {
    if (parent_ < parents_.size() && parent_value_ >= parents_[parent_].values.size()) {
      ++parent_;
      parent_value_ = 0;
    }
    if (parent_ >= parents_.size()) return OnListed();
    ReadAccounts();
  }

  void ReadAccounts() {
    if (!MayList()) return OnListed();
    FlowValues values = LaterValues();
    if (!parents_.empty()) values.Set("parent", parents_[parent_].values[parent_value_]);
    SendForList(BuildAccountsRequest(network_, client(), values, Next()),
                &ConsentReader::OnAccounts);
  }
  void OnAccounts(const HttpResponse& response) {
    Sources around = sources();
    if (!parents_.empty()) around.parent = &parents_[parent_].element;
    absl::StatusOr<AccountsPage> page = ParseAccounts(
        network_, asked_, response, Seen(network_.accounts().paging()), around, secrets());
    if (!page.ok()) return Fail(page.status());
    for (AccountChoice& account : page->accounts) {
      // Somebody with two roles at a page has it twice.
      if (!ids_.insert(account.profile.id).second) continue;
      if (consent_.accounts.size() == kMaxConsentAccounts) {
        consent_.has_more_accounts = true;
        return OnListed();
      }
      consent_.accounts.push_back(std::move(account));
    }
    next_ = std::move(page->next);
    if (next_.has_value()) return ReadAccounts();
    if (parents_.empty()) return OnListed();
    ++parent_value_;
    ReadAccountsOfNext();
  }
  void OnListed() {
    if (!consent_.accounts.empty()) return Succeed();
    const Accounts& accounts = network_.accounts();
    Fail(MakeError(absl::StatusCode::kFailedPrecondition, "NO_ACCOUNT",
                   accounts.if_none().empty() ? absl::StrCat(network_.display_name(), " names no ",
                                                             accounts.what(), " of this person")
                                              : accounts.if_none()));
  }

  void Succeed() {
    consent_.tokens = std::move(tokens());
    done_({.consent = std::move(consent_), .unused = std::nullopt});
  }
  void Fail(absl::Status error) {
    ConsentResult result = {.consent = std::move(error), .unused = std::nullopt};
    if (!granted_.access_token.empty()) result.unused.emplace(std::move(granted_));
    done_(std::move(result));
  }

  void Send(absl::StatusOr<HttpRequest> request, Step then) {
    if (!request.ok()) return Fail(request.status());
    http_.Send(*std::move(request), TargetOf(network_, code_.settings.org_id()), context_,
               [self = shared_from_this(), then](absl::StatusOr<HttpAnswer> answer) {
                 if (!answer.ok()) return self->Fail(answer.status());
                 ((*self).*then)(answer->response());
               });
  }
  void SendForList(absl::StatusOr<HttpRequest> request, Step then) {
    if (request.ok()) {
      Wipe(asked_.url);
      asked_.url = request->url;
    }
    ++list_requests_;
    Send(std::move(request), then);
  }

  // Whether one more request for a list may be sent.
  bool MayList() {
    if (list_requests_ < kMaxListRequests) return true;
    consent_.has_more_accounts = true;
    return false;
  }
  const NextPage* Next() const { return next_.has_value() ? &*next_ : nullptr; }
  // How many elements the pages before had, where pages go on by number.
  size_t Seen(const Accounts::Paging& paging) const {
    size_t seen = 0;
    if (paging.offset_param().empty() || !next_.has_value()) return 0;
    return absl::SimpleAtoi(next_->cursor, &seen) ? seen : 0;
  }

  // Whether the person granted it, as far as is known.
  bool Granted(absl::string_view scope) const {
    const std::vector<std::string>& scopes =
        token_->tokens.scopes.has_value() ? *token_->tokens.scopes : code_.scopes;
    return std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
  }
  // Without the scope for it the profile is not asked for where the person is known anyway.
  bool MayAskForProfile() const {
    const auto& needed = network_.profile().needs_any_scope();
    return needed.empty() || token_->tokens.subject.empty() ||
           std::any_of(needed.begin(), needed.end(),
                       [this](const std::string& scope) { return Granted(scope); });
  }

  TokenSet& tokens() { return token_->tokens; }
  OAuthClient client() const { return {.settings = code_.settings, .secret = shown_secret_}; }
  Sources sources() const {
    return {.token = &token_->answer,
            .id_token = claims_.has_value() ? &*claims_ : nullptr,
            .callback = &callback_,
            .kept = &kept_};
  }
  FlowValues LaterValues() {
    FlowValues values = ValuesOf(tokens());
    values.Set("redirect_uri", code_.redirect_uri);
    if (tokens().subject.empty()) values.Set("subject", consent_.person.id);
    return values;
  }
  // What no error may quote.
  std::vector<absl::string_view> secrets() const {
    std::vector<absl::string_view> all = {code_.response.Get("code"),
                                          code_.response.Get("state"),
                                          code_.code_verifier,
                                          code_.client_secret,
                                          shown_secret_,
                                          code_.id_token_nonce};
    // Not those of token_, which a step may be taking apart.
    all.insert(all.end(), {granted_.access_token, granted_.refresh_token, granted_.id_token});
    return all;
  }

  HttpClient& http_;
  const CallContext& context_;
  const Clock& clock_;
  const CodeToExchange code_;
  const Network& network_;
  const Answer callback_;
  absl::AnyInvocable<void(ConsentResult)> done_;

  std::string shown_secret_;
  std::optional<TokenResponse> token_;
  TokenSet granted_;
  std::optional<Answer> claims_;
  Answer kept_;
  Consent consent_;

  // Of the lists.
  HttpRequest asked_;  // Its URL alone.
  int list_requests_ = 0;
  std::optional<NextPage> next_;
  std::vector<ParentAccount> parents_;
  size_t parent_ = 0;
  size_t parent_value_ = 0;
  std::set<std::string> ids_;
};

}  // namespace

CodeToExchange::~CodeToExchange() {
  Wipe(client_secret);
  Wipe(code_verifier);
  Wipe(id_token_nonce);
}

void ReadConsent(HttpClient& http, CodeToExchange code, const CallContext& context,
                 const Clock& clock, absl::AnyInvocable<void(ConsentResult)> done) {
  std::make_shared<ConsentReader>(http, std::move(code), context, clock, std::move(done))->Start();
}

}  // namespace authurl
