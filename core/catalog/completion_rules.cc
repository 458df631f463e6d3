#include "core/catalog/completion_rules.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/catalog/pattern.h"
#include "core/catalog/text_template.h"
#include "core/field_rules.h"

namespace authurl {
namespace {

using catalog::v1::Accounts;
using catalog::v1::Errors;
using catalog::v1::Network;
using catalog::v1::Request;
using catalog::v1::TokenAnswer;
using Selectors = google::protobuf::RepeatedPtrField<std::string>;

void SetDefault(Selectors& selectors, absl::string_view by_default) {
  if (selectors.empty()) *selectors.Add() = std::string(by_default);
}

void FillInAnswer(TokenAnswer& answer) {
  SetDefault(*answer.mutable_access_token(), "/access_token");
  SetDefault(*answer.mutable_refresh_token(), "/refresh_token");
  SetDefault(*answer.mutable_expires_in(), "/expires_in");
  SetDefault(*answer.mutable_scopes(), "/scope");
  SetDefault(*answer.mutable_id_token(), "/id_token");
  if (answer.scope_separators().empty()) answer.set_scope_separators(" ");
}

void FillInErrors(Errors& errors) {
  SetDefault(*errors.mutable_code(), "/error");
  SetDefault(*errors.mutable_text(), "/error_description");
}

void FillInRequest(Request::Method method, Request& request) {
  if (request.method() == Request::METHOD_UNSPECIFIED) request.set_method(method);
  if (request.encoding() == Request::ENCODING_UNSPECIFIED) {
    request.set_encoding(request.method() == Request::METHOD_POST ? Request::ENCODING_FORM
                                                                  : Request::ENCODING_QUERY);
  }
  if (request.client_auth() == Request::CLIENT_AUTH_UNSPECIFIED) {
    request.set_client_auth(Request::CLIENT_AUTH_ABSENT);
  }
  if (request.token_auth() == Request::TOKEN_AUTH_UNSPECIFIED) {
    request.set_token_auth(Request::TOKEN_AUTH_BEARER);
  }
}

void InheritClient(const Request& exchange, Request& request) {
  if (request.client_auth() == Request::CLIENT_AUTH_UNSPECIFIED) {
    request.set_client_auth(exchange.client_auth());
  }
  if (request.names().empty()) *request.mutable_names() = exchange.names();
}

void FillInTokenRequest(Request& request) {
  request.set_token_auth(Request::TOKEN_AUTH_ABSENT);
  FillInRequest(Request::METHOD_POST, request);
}

// A step reads as the exchange does where it does not say otherwise.
template <typename Step>
void FillInReading(const catalog::v1::Exchange& exchange, Step& step) {
  if (!step.has_answer()) *step.mutable_answer() = exchange.answer();
  if (!step.has_errors()) *step.mutable_errors() = exchange.errors();
  FillInAnswer(*step.mutable_answer());
  FillInErrors(*step.mutable_errors());
}

void FillInLongLived(const Network& network, catalog::v1::LongLived& step) {
  const catalog::v1::Exchange& exchange = network.exchange();
  InheritClient(exchange.request(), *step.mutable_request());
  FillInTokenRequest(*step.mutable_request());
  FillInReading(exchange, step);
}

void FillInRefresh(const Network& network, catalog::v1::Refresh& step) {
  const catalog::v1::Exchange& exchange = network.exchange();
  Request& request = *step.mutable_request();
  if (request.url().empty()) request.set_url(exchange.request().url());
  if (request.method() == Request::METHOD_UNSPECIFIED &&
      request.encoding() == Request::ENCODING_UNSPECIFIED) {
    request.set_method(exchange.request().method());
    request.set_encoding(exchange.request().encoding());
  }
  if (request.headers().empty()) *request.mutable_headers() = exchange.request().headers();
  InheritClient(exchange.request(), request);
  FillInTokenRequest(request);
  FillInReading(exchange, step);
}

void FillInRevocation(const Network& network, catalog::v1::Revocation& step) {
  Request& request = *step.mutable_request();
  if (!step.own_way()) {
    InheritClient(network.exchange().request(), request);
    if (request.token_auth() == Request::TOKEN_AUTH_UNSPECIFIED) {
      request.set_token_auth(Request::TOKEN_AUTH_ABSENT);
    }
  }
  FillInRequest(Request::METHOD_POST, request);
  if (!step.has_errors()) *step.mutable_errors() = network.exchange().errors();
  FillInErrors(*step.mutable_errors());
}

// The names that the templates of a step may use.
class Names final {
 public:
  Names(const Network& network, std::initializer_list<absl::string_view> of_step) {
    for (const absl::string_view name : {"client_id", "client_secret"}) names_.emplace(name);
    for (const absl::string_view name : of_step) names_.emplace(name);
    for (const auto& param : network.configuration_params()) {
      names_.insert(absl::StrCat("setting.", param.name()));
    }
    for (const std::string& name : network.callback().kept()) {
      names_.insert(absl::StrCat("kept.", name));
    }
    if (!names_.contains("code")) {
      for (const auto& kept : network.exchange().answer().kept()) {
        names_.insert(absl::StrCat("kept.", kept.name()));
      }
    }
    for (const auto& variable : network.variables()) in_urls_.insert(variable.name());
    in_urls_.emplace("instance");
  }

  void Check(const std::string& field, absl::string_view text, bool is_url,
             FieldViolations& faults) const {
    const auto parts = ParseTemplate(text);
    if (!parts.ok()) return faults.Add(field, parts.status().message());
    for (const TemplatePart& part : *parts) {
      const std::string name(part.text);
      if (!part.is_name || names_.contains(name) || (is_url && in_urls_.contains(name))) continue;
      faults.Add(field, absl::StrCat("has {", name, "}, which there is not in this step"));
    }
  }
  // The host decides who gets what is sent, so nothing of a flow may be in it.
  void CheckUrl(const std::string& field, absl::string_view url, FieldViolations& faults) const {
    Check(field, url, true, faults);
    absl::string_view rest = url;
    if (!absl::ConsumePrefix(&rest, "https://") && !absl::ConsumePrefix(&rest, "http://")) {
      return;  // endpoint.cc says so.
    }
    const auto parts = ParseTemplate(rest.substr(0, rest.find_first_of("/?")));
    if (!parts.ok()) return;
    for (const TemplatePart& part : *parts) {
      if (!part.is_name || in_urls_.contains(std::string(part.text))) continue;
      faults.Add(field, "must have no names in its host but variables and {instance}");
    }
  }

 private:
  std::set<std::string> names_;
  std::set<std::string> in_urls_;
};

bool IsFieldName(absl::string_view name) {
  return !name.empty() && name.size() <= 64 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || absl::StrContains("_.-[]", static_cast<char>(c));
         });
}

void CheckField(const std::string& field, const catalog::v1::Field& written, const Names& names,
                FieldViolations& faults) {
  if (!IsFieldName(written.name())) {
    faults.Add(field, absl::StrCat(Quoted(written.name()),
                                   " is not a valid name: 1 to 64 letters, digits, _, ., -, [, ]"));
  }
  CheckText(field + " value", written.value(), 1, kMaxTextBytes, faults);
  names.Check(absl::StrCat(field, " ", written.name()), written.value(), false, faults);
}

void CheckRequest(const std::string& field, const Request& request, const Names& names,
                  FieldViolations& faults) {
  if (request.url().empty()) faults.Add(field + ".url", "Required");
  names.CheckUrl(field + ".url", request.url(), faults);
  if (!Request::Method_IsValid(request.method())) {
    faults.Add(field + ".method", "must be one of the schema's values");
  }
  if (!Request::Encoding_IsValid(request.encoding())) {
    faults.Add(field + ".encoding", "must be one of the schema's values");
  }
  if (request.method() == Request::METHOD_GET && request.encoding() != Request::ENCODING_QUERY) {
    faults.Add(field + ".encoding", "must be ENCODING_QUERY with GET");
  }
  if (!Request::ClientAuth_IsValid(request.client_auth())) {
    faults.Add(field + ".client_auth", "must be one of the schema's values");
  }
  if (!Request::TokenAuth_IsValid(request.token_auth())) {
    faults.Add(field + ".token_auth", "must be one of the schema's values");
  }
  if ((request.client_auth() == Request::CLIENT_AUTH_SECRET_BASIC ||
       request.client_auth() == Request::CLIENT_AUTH_SECRET_BASIC_PLAIN) &&
      request.token_auth() == Request::TOKEN_AUTH_BEARER) {
    faults.Add(field, "must not show client and token in the one Authorization header");
  }
  for (const auto& param : request.params()) CheckField(field + ".params", param, names, faults);
  for (const auto& header : request.headers()) {
    CheckField(field + ".headers", header, names, faults);
  }
  for (const auto& renamed : request.names()) {
    if (!IsFieldName(renamed.from()) || !IsFieldName(renamed.to())) {
      faults.Add(field + ".names", "must have from and to, each a valid name");
    }
  }
}

bool IsKeptName(absl::string_view name) {
  return !name.empty() && name.size() <= 32 &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return absl::ascii_islower(c) || c == '_'; });
}

void CheckSelectors(const std::string& field, const Selectors& selectors, FieldViolations& faults) {
  for (const std::string& selector : selectors) {
    const auto parts = ParseSelector(selector);
    if (!parts.ok()) faults.Add(field, parts.status().message());
  }
}

void CheckPointer(const std::string& field, const std::string& pointer, FieldViolations& faults) {
  if (pointer.empty()) return;
  const auto parts = ParseSelector(pointer);
  if (!parts.ok()) return faults.Add(field, parts.status().message());
  const SelectorPart& part = parts->front();
  if (parts->size() != 1 || !part.is_pointer || part.root != SelectorRoot::kAnswer ||
      part.filter != SelectorFilter::kNone) {
    faults.Add(field, "must be a pointer into the answer, without a filter");
  }
}

void CheckAnswer(const std::string& field, const TokenAnswer& answer, FieldViolations& faults) {
  CheckSelectors(field + ".access_token", answer.access_token(), faults);
  CheckSelectors(field + ".refresh_token", answer.refresh_token(), faults);
  CheckSelectors(field + ".expires_in", answer.expires_in(), faults);
  CheckSelectors(field + ".expires_at", answer.expires_at(), faults);
  CheckSelectors(field + ".refresh_expires_in", answer.refresh_expires_in(), faults);
  CheckSelectors(field + ".refresh_expires_at", answer.refresh_expires_at(), faults);
  for (const std::string& scopes : answer.scopes()) {
    CheckPointer(field + ".scopes", scopes, faults);
  }
  CheckSelectors(field + ".subject", answer.subject(), faults);
  CheckSelectors(field + ".id_token", answer.id_token(), faults);
  for (const auto& kept : answer.kept()) {
    if (!IsKeptName(kept.name())) {
      faults.Add(field + ".kept", absl::StrCat(Quoted(kept.name()),
                                               " is not a valid name: 1 to 32 characters of a-z "
                                               "and _"));
    }
    CheckSelectors(absl::StrCat(field, ".kept ", kept.name()), kept.from(), faults);
  }
}

void CheckErrors(const std::string& field, const Errors& errors, FieldViolations& faults) {
  CheckSelectors(field + ".code", errors.code(), faults);
  CheckSelectors(field + ".text", errors.text(), faults);
  for (const auto& rule : errors.rules()) {
    if (rule.codes().empty() && rule.text().empty() && rule.statuses().empty()) {
      faults.Add(field + ".rules", "must have a condition: codes, text or statuses");
    }
    if (!catalog::v1::Meaning_IsValid(rule.meaning()) ||
        rule.meaning() == catalog::v1::MEANING_UNSPECIFIED) {
      faults.Add(field + ".rules", "must have a meaning, one of the schema's values");
    }
    if (rule.text().empty()) continue;
    const absl::Status status = CheckPattern(absl::StrCat("(?i)", rule.text()));
    if (!status.ok()) faults.Add(field + ".rules text", status.message());
  }
}

void CheckEvidence(const std::string& field, catalog::v1::Evidence evidence,
                   FieldViolations& faults) {
  if (catalog::v1::Evidence_IsValid(evidence)) return;
  faults.Add(field + ".evidence", "must be one of the schema's values");
}

// It is compared before anything of the flow is known but the claims of the ID token themselves.
void CheckIssuer(const Network& network, const std::string& field, absl::string_view issuer,
                 FieldViolations& faults) {
  const auto parts = ParseTemplate(issuer);
  if (!parts.ok()) return faults.Add(field, parts.status().message());
  for (const TemplatePart& part : *parts) {
    const auto is_variable = [&](const auto& variable) { return variable.name() == part.text; };
    const bool is_known =
        !part.is_name || part.text == "instance" ||
        (field == "open_id.issuer" && absl::StartsWith(part.text, "claim.")) ||
        std::any_of(network.variables().begin(), network.variables().end(), is_variable);
    if (!is_known) {
      faults.Add(field, absl::StrCat("has {", part.text, "}, which there is not in an issuer"));
    }
  }
}

void CheckCallback(const Network& network, FieldViolations& faults) {
  const catalog::v1::Callback& callback = network.callback();
  for (const std::string& name : callback.kept()) {
    if (!IsFieldName(name)) faults.Add("callback.kept", "must be valid names of parameters");
  }
  CheckIssuer(network, "callback.issuer", callback.issuer(), faults);
  if (callback.issuer_required() && callback.issuer().empty()) {
    faults.Add("callback.issuer", "Required where issuer_required is set");
  }
  CheckEvidence("callback", callback.evidence(), faults);
}

void CheckTokenSteps(const Network& network, FieldViolations& faults) {
  if (network.has_exchange()) {
    const auto& step = network.exchange();
    CheckRequest("exchange.request", step.request(),
                 Names(network, {"code", "code_verifier", "state", "redirect_uri"}), faults);
    if (step.request().client_auth() == Request::CLIENT_AUTH_UNSPECIFIED) {
      faults.Add("exchange.request.client_auth", "must be set to one of the schema's values");
    }
    CheckAnswer("exchange.answer", step.answer(), faults);
    CheckErrors("exchange.errors", step.errors(), faults);
    CheckEvidence("exchange", step.evidence(), faults);
  } else if (network.has_long_lived() || network.has_refresh() || network.has_profile()) {
    faults.Add("exchange", "Required where there are steps after it");
  }
  if (network.has_long_lived()) {
    const auto& step = network.long_lived();
    CheckRequest("long_lived.request", step.request(),
                 Names(network, {"access_token", "subject", "redirect_uri"}), faults);
    CheckAnswer("long_lived.answer", step.answer(), faults);
    CheckErrors("long_lived.errors", step.errors(), faults);
    CheckEvidence("long_lived", step.evidence(), faults);
  }
  if (network.has_refresh()) {
    const auto& step = network.refresh();
    CheckRequest("refresh.request", step.request(),
                 Names(network, {"access_token", "refresh_token", "subject", "redirect_uri"}),
                 faults);
    CheckAnswer("refresh.answer", step.answer(), faults);
    CheckErrors("refresh.errors", step.errors(), faults);
    CheckText("refresh.condition", step.condition(), 0, kMaxTextBytes, faults);
    CheckEvidence("refresh", step.evidence(), faults);
    if (!catalog::v1::Refresh::Rotation_IsValid(step.rotation()) ||
        step.rotation() == catalog::v1::Refresh::ROTATION_UNSPECIFIED) {
      faults.Add("refresh.rotation", "must be set to one of the schema's values");
    }
  }
}

void CheckProfile(const Network& network, FieldViolations& faults) {
  const catalog::v1::Profile& profile = network.profile();
  if (!catalog::v1::Profile::Source_IsValid(profile.source())) {
    faults.Add("profile.source", "must be one of the schema's values");
  }
  if (profile.source() == catalog::v1::Profile::SOURCE_REQUEST) {
    CheckRequest("profile.request", profile.request(), Names(network, {"access_token", "subject"}),
                 faults);
    CheckErrors("profile.errors", profile.errors(), faults);
  } else if (!profile.request().url().empty()) {
    faults.Add("profile.request", "must be left out unless the source is SOURCE_REQUEST");
  }
  if (profile.source() == catalog::v1::Profile::SOURCE_ID_TOKEN && !network.has_open_id()) {
    faults.Add("open_id", "Required where the profile is read from the ID token");
  }
  if (profile.id().empty() && network.exchange().answer().subject().empty()) {
    faults.Add("profile.id", "Required where exchange.answer has no subject");
  }
  CheckSelectors("profile.id", profile.id(), faults);
  CheckSelectors("profile.username", profile.username(), faults);
  CheckSelectors("profile.display_name", profile.display_name(), faults);
  CheckSelectors("profile.avatar_url", profile.avatar_url(), faults);
  for (const auto& rule : profile.not_an_account()) {
    CheckText("profile.not_an_account.why", rule.why(), 1, kMaxTextBytes, faults);
    CheckText("profile.not_an_account.equals", rule.equals(), 1, kMaxTextBytes, faults);
    const auto where = ParseSelector(rule.where());
    if (!where.ok()) faults.Add("profile.not_an_account.where", where.status().message());
  }
  CheckEvidence("profile", profile.evidence(), faults);
}

void CheckPaging(const std::string& field, const Accounts::Paging& paging,
                 FieldViolations& faults) {
  CheckSelectors(field + ".next_url", paging.next_url(), faults);
  CheckSelectors(field + ".cursor", paging.cursor(), faults);
  if (paging.cursor().empty() != paging.cursor_param().empty()) {
    faults.Add(field, "must have cursor and cursor_param together");
  }
  const int ways = (paging.next_url().empty() ? 0 : 1) + (paging.cursor().empty() ? 0 : 1) +
                   (paging.offset_param().empty() ? 0 : 1);
  if (ways > 1) faults.Add(field, "must have one way at most");
}

void CheckAccounts(const Network& network, FieldViolations& faults) {
  const Accounts& accounts = network.accounts();
  if (!Accounts::When_IsValid(accounts.when()) || accounts.when() == Accounts::WHEN_UNSPECIFIED) {
    faults.Add("accounts.when", "must be set to one of the schema's values");
  }
  CheckText("accounts.what", accounts.what(), 1, kMaxTextBytes, faults);
  CheckText("accounts.if_none", accounts.if_none(), 0, kMaxTextBytes, faults);
  const Names names(network, {"access_token", "subject", "cursor"});
  const Names of_children(network, {"access_token", "subject", "cursor", "parent"});
  if (accounts.has_parents()) {
    const auto& parents = accounts.parents();
    CheckRequest("accounts.parents.request", parents.request(), names, faults);
    CheckPointer("accounts.parents.list", parents.list(), faults);
    if (parents.value().empty()) faults.Add("accounts.parents.value", "Required");
    for (const std::string& value : parents.value()) {
      CheckPointer("accounts.parents.value", value, faults);
    }
    if (parents.has_only()) {
      CheckPointer("accounts.parents.only.where", parents.only().where(), faults);
    }
    CheckPaging("accounts.parents.paging", parents.paging(), faults);
  }
  CheckRequest("accounts.request", accounts.request(), accounts.has_parents() ? of_children : names,
               faults);
  CheckPointer("accounts.list", accounts.list(), faults);
  for (const auto& only : accounts.only()) {
    CheckPointer("accounts.only.where", only.where(), faults);
  }
  if (accounts.id().empty()) faults.Add("accounts.id", "Required");
  CheckSelectors("accounts.id", accounts.id(), faults);
  CheckSelectors("accounts.username", accounts.username(), faults);
  CheckSelectors("accounts.display_name", accounts.display_name(), faults);
  CheckSelectors("accounts.avatar_url", accounts.avatar_url(), faults);
  CheckSelectors("accounts.access_token", accounts.access_token(), faults);
  CheckPaging("accounts.paging", accounts.paging(), faults);
  CheckErrors("accounts.errors", accounts.errors(), faults);
  CheckEvidence("accounts", accounts.evidence(), faults);
}

void CheckRevocation(const Network& network, FieldViolations& faults) {
  const catalog::v1::Revocation& revocation = network.revocation();
  CheckRequest("revocation.request", revocation.request(),
               Names(network, {"access_token", "refresh_token", "subject"}), faults);
  if (!catalog::v1::Revocation::Token_IsValid(revocation.token())) {
    faults.Add("revocation.token", "must be one of the schema's values");
  }
  if (!catalog::v1::Revocation::Ends_IsValid(revocation.ends()) ||
      revocation.ends() == catalog::v1::Revocation::ENDS_UNSPECIFIED) {
    faults.Add("revocation.ends", "must be set to one of the schema's values");
  }
  CheckSelectors("revocation.success", revocation.success(), faults);
  CheckErrors("revocation.errors", revocation.errors(), faults);
  CheckEvidence("revocation", revocation.evidence(), faults);
}

bool HasParam(const Network& network, absl::string_view name) {
  return std::any_of(network.configuration_params().begin(), network.configuration_params().end(),
                     [&](const auto& param) { return param.name() == name; });
}

void CheckSignedSecret(const Network& network, FieldViolations& faults) {
  const catalog::v1::SignedSecret& secret = network.signed_secret();
  CheckText("signed_secret.audience", secret.audience(), 1, kMaxTextBytes, faults);
  for (const std::string& name : {secret.issuer_param(), secret.key_id_param()}) {
    if (HasParam(network, name)) continue;
    faults.Add("signed_secret",
               absl::StrCat(Quoted(name), " must be one of the configuration_params"));
  }
  if (secret.max_lifetime_s() == 0) faults.Add("signed_secret.max_lifetime_s", "Required");
}

}  // namespace

void FillInCompletion(Network& network) {
  if (network.has_exchange()) {
    Request& request = *network.mutable_exchange()->mutable_request();
    const Request::ClientAuth auth = request.client_auth();
    FillInTokenRequest(request);
    // There is no default for it.
    request.set_client_auth(auth);
    FillInAnswer(*network.mutable_exchange()->mutable_answer());
    FillInErrors(*network.mutable_exchange()->mutable_errors());
  }
  if (network.has_long_lived()) FillInLongLived(network, *network.mutable_long_lived());
  if (network.has_refresh()) FillInRefresh(network, *network.mutable_refresh());
  if (network.has_profile()) {
    catalog::v1::Profile& profile = *network.mutable_profile();
    if (profile.source() == catalog::v1::Profile::SOURCE_UNSPECIFIED && profile.has_request()) {
      profile.set_source(catalog::v1::Profile::SOURCE_REQUEST);
    }
    if (profile.has_request()) FillInRequest(Request::METHOD_GET, *profile.mutable_request());
    FillInErrors(*profile.mutable_errors());
  }
  if (network.has_accounts()) {
    Accounts& accounts = *network.mutable_accounts();
    if (accounts.has_parents()) {
      FillInRequest(Request::METHOD_GET, *accounts.mutable_parents()->mutable_request());
    }
    FillInRequest(Request::METHOD_GET, *accounts.mutable_request());
    if (!accounts.has_errors() && network.has_profile()) {
      *accounts.mutable_errors() = network.profile().errors();
    }
    FillInErrors(*accounts.mutable_errors());
  }
  if (network.has_revocation()) FillInRevocation(network, *network.mutable_revocation());
}

void CheckCompletion(const Network& network, FieldViolations& faults) {
  CheckCallback(network, faults);
  CheckTokenSteps(network, faults);
  if (network.has_profile()) CheckProfile(network, faults);
  if (network.has_accounts()) CheckAccounts(network, faults);
  if (network.has_revocation()) CheckRevocation(network, faults);
  if (network.has_open_id()) {
    CheckText("open_id.issuer", network.open_id().issuer(), 1, kMaxTextBytes, faults);
    CheckIssuer(network, "open_id.issuer", network.open_id().issuer(), faults);
    CheckEvidence("open_id", network.open_id().evidence(), faults);
  }
  if (network.has_signed_secret()) CheckSignedSecret(network, faults);
}

void ForEachRequest(
    const Network& network,
    absl::FunctionRef<void(absl::string_view field, const Request& request)> visit) {
  const auto show = [&](absl::string_view field, const Request& request) {
    if (!request.url().empty()) visit(field, request);
  };
  show("exchange.request.url", network.exchange().request());
  show("long_lived.request.url", network.long_lived().request());
  show("refresh.request.url", network.refresh().request());
  show("profile.request.url", network.profile().request());
  show("accounts.parents.request.url", network.accounts().parents().request());
  show("accounts.request.url", network.accounts().request());
  show("revocation.request.url", network.revocation().request());
}

}  // namespace authurl
