#include "server/flow/read_consent.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"
#include "core/flow/client_secret.h"
#include "core/flow/id_token.h"
#include "core/flow/network_error.h"
#include "core/flow/request_builder.h"
#include "core/flow/token_request.h"
#include "server/flow/grant_client.h"
#include "server/flow/read_person.h"

namespace authurl {
namespace {

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
    ReadOwner();
  }

  void ReadOwner() {
    FlowValues values = ValuesOf(tokens());
    values.Set("redirect_uri", code_.redirect_uri);
    ReadPerson(http_,
               {.network = network_,
                .target = target(),
                .client = client(),
                .values = std::move(values),
                .around = sources(),
                .subject = tokens().subject,
                .scopes = &Scopes(),
                .secrets = secrets()},
               context_, [self = shared_from_this()](absl::StatusOr<PersonWithAccounts> read) {
                 if (!read.ok()) return self->Fail(read.status());
                 self->Succeed(*std::move(read));
               });
  }

  void Succeed(PersonWithAccounts read) {
    Consent consent;
    consent.tokens = std::move(tokens());
    consent.person = std::move(read.person);
    consent.accounts = std::move(read.accounts);
    consent.has_more_accounts = read.has_more_accounts;
    done_({.consent = std::move(consent), .unused = std::nullopt});
  }
  void Fail(absl::Status error) {
    ConsentResult result = {.consent = std::move(error), .unused = std::nullopt};
    if (!granted_.access_token.empty()) result.unused.emplace(std::move(granted_));
    done_(std::move(result));
  }

  void Send(absl::StatusOr<HttpRequest> request, Step then) {
    if (!request.ok()) return Fail(request.status());
    http_.Send(*std::move(request), target(), context_,
               [self = shared_from_this(), then](absl::StatusOr<HttpAnswer> answer) {
                 if (!answer.ok()) return self->Fail(answer.status());
                 ((*self).*then)(answer->response());
               });
  }
  // What the person granted, as far as is known.
  const std::vector<std::string>& Scopes() const {
    return token_->tokens.scopes.has_value() ? *token_->tokens.scopes : code_.scopes;
  }
  bool Granted(absl::string_view scope) const {
    return std::find(Scopes().begin(), Scopes().end(), scope) != Scopes().end();
  }

  TokenSet& tokens() { return token_->tokens; }
  CallTarget target() const { return TargetOf(network_, code_.settings.org_id()); }
  OAuthClient client() const { return {.settings = code_.settings, .secret = shown_secret_}; }
  Sources sources() const {
    return {.token = &token_->answer,
            .id_token = claims_.has_value() ? &*claims_ : nullptr,
            .callback = &callback_,
            .kept = &kept_};
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
