#include "tests/support/local_network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "core/crypto/crypto.h"
#include "core/form.h"
#include "tests/support/eventually.h"

namespace authurl::testing {
namespace {

constexpr char kCatalogEntries[] = R"(
networks {
  id: "local_people"
  display_name: "Local people"
  status: STATUS_LIVE
  authorization_endpoint: "HERE/authorize"
  scopes { defaults: "posts" }
  pkce { mode: MODE_REQUIRED }
  exchange {
    request { url: "HERE/token" client_auth: CLIENT_AUTH_SECRET_POST }
    evidence: EVIDENCE_LIVE
  }
  refresh {
    rotation: ROTATION_ALWAYS
    single_use: true
    evidence: EVIDENCE_LIVE
  }
  profile {
    request { url: "HERE/me" }
    id: "/id"
    username: "/name"
    evidence: EVIDENCE_LIVE
  }
  revocation {
    request { url: "HERE/revoke" }
    ends: ENDS_GRANT
    evidence: EVIDENCE_LIVE
  }
  documentation: "https://network.example/docs"
  checked_on: "2026-11-27"
}
networks {
  id: "local_pages"
  display_name: "Local pages"
  status: STATUS_LIVE
  authorization_endpoint: "HERE/authorize"
  scopes { defaults: "posts" }
  pkce { mode: MODE_REQUIRED }
  exchange {
    request { url: "HERE/token" client_auth: CLIENT_AUTH_SECRET_POST }
    evidence: EVIDENCE_LIVE
  }
  profile {
    request { url: "HERE/me" }
    id: "/id"
    username: "/name"
    evidence: EVIDENCE_LIVE
  }
  accounts {
    when: WHEN_CONNECTING
    what: "pages"
    request { url: "HERE/pages" }
    list: "/data"
    id: "/id"
    username: "/name"
    access_token: "/token"
    evidence: EVIDENCE_LIVE
  }
  revocation {
    request { url: "HERE/revoke" }
    ends: ENDS_GRANT
    evidence: EVIDENCE_LIVE
  }
  documentation: "https://network.example/docs"
  checked_on: "2026-11-27"
}
)";

constexpr size_t kMaxLocalFields = 32;

std::string FieldOf(const FormFields& fields, absl::string_view name) {
  for (const auto& [field, value] : fields) {
    if (field == name) return value;
  }
  return "";
}

std::string LocalAnswer(int status, const std::string& type, const std::string& body) {
  return absl::StrCat("HTTP/1.1 ", status, " Local\r\nContent-Type: ", type,
                      "\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
}
// No text in it has anything to escape.
std::string LocalJson(int status, const std::string& body) {
  return LocalAnswer(status, "application/json", body);
}
std::string LocalError(int status, absl::string_view error, absl::string_view text) {
  return LocalJson(
      status, absl::StrCat(R"({"error":")", error, R"(","error_description":")", text, R"("})"));
}

}  // namespace

struct LocalNetwork::Request {
  explicit Request(absl::string_view text) {
    const size_t end = text.find("\r\n\r\n");
    for (const absl::string_view line : absl::StrSplit(text.substr(0, end), "\r\n")) {
      if (first.empty()) first = std::string(line);
      if (!absl::StartsWithIgnoreCase(line, "Authorization: Bearer ")) continue;
      token = std::string(line.substr(line.rfind(' ') + 1));
    }
    fields = ParseForm(text.substr(end + 4), kMaxLocalFields).value_or(FormFields());
  }
  std::string Get(absl::string_view name) const { return FieldOf(fields, name); }
  std::optional<Step> step() const {
    if (absl::StartsWith(first, "GET /me ")) return Step::kProfile;
    if (absl::StartsWith(first, "GET /pages ")) return Step::kPages;
    if (absl::StartsWith(first, "POST /revoke ")) return Step::kRevocation;
    if (!absl::StartsWith(first, "POST /token ")) return std::nullopt;
    if (Get("grant_type") == "authorization_code") return Step::kExchange;
    if (Get("grant_type") == "refresh_token") return Step::kRefresh;
    return std::nullopt;
  }
  // Every value in it.
  std::string Quoted() const {
    std::vector<std::string> values;
    if (!token.empty()) values.push_back(token);
    for (const auto& [name, value] : fields) values.push_back(value);
    return absl::StrJoin(values, " ");
  }

  std::string first;  // Its first line.
  std::string token;  // Of the Authorization header.
  FormFields fields;
};

LocalNetwork::LocalNetwork()
    : server_(nobody_, [this](HostileServer::Peer& peer) { return Serve(peer); },
              {.kind = HostileServer::Kind::kPlain}) {
  EXPECT_TRUE(InitCrypto().ok());
  const std::lock_guard lock(mutex_);
  client_secret_ = Fresh("secret");
}

LocalNetwork::~LocalNetwork() {
  const std::lock_guard lock(mutex_);
  is_stopping_ = true;
  changed_.notify_all();
}

std::string LocalNetwork::Entries() const {
  return absl::StrReplaceAll(kCatalogEntries,
                             {{"HERE", absl::StrCat("http://", server_.address())}});
}

LocalNetwork::Consented LocalNetwork::Consent(absl::string_view auth_url) {
  const size_t query = auth_url.find('?');
  EXPECT_NE(query, auth_url.npos) << auth_url;
  if (query == auth_url.npos) return {};
  const FormFields asked =
      ParseForm(auth_url.substr(query + 1), kMaxLocalFields).value_or(FormFields());
  EXPECT_TRUE(absl::StartsWith(auth_url, absl::StrCat("http://", server_.address(), "/authorize?")))
      << auth_url;
  EXPECT_EQ(FieldOf(asked, "client_id"), kClientKey);
  EXPECT_EQ(FieldOf(asked, "code_challenge_method"), "S256");
  const std::lock_guard lock(mutex_);
  Person& person = people_.emplace_back();
  person.id = absl::StrCat("person-", people_.size());
  person.code = Fresh("code");
  person.challenge = FieldOf(asked, "code_challenge");
  person.redirect_uri = FieldOf(asked, "redirect_uri");
  codes_.emplace(person.code, people_.size() - 1);
  std::string url = absl::StrCat(person.redirect_uri, "?");
  AppendFormField("code", person.code, url);
  AppendFormField("state", FieldOf(asked, "state"), url);
  return {.person = person.id, .code = person.code, .url = std::move(url)};
}

void LocalNetwork::Hang(Step step) {
  const std::lock_guard lock(mutex_);
  hanging_.insert(step);
}

void LocalNetwork::Release() {
  const std::lock_guard lock(mutex_);
  hanging_.clear();
  ++releases_;
  changed_.notify_all();
}

void LocalNetwork::RefuseQuoting(Step step, int status, std::string error, int times) {
  const std::lock_guard lock(mutex_);
  refusals_[step] = {.status = status, .error = std::move(error), .times = times};
}

int LocalNetwork::requests(Step step) const {
  const std::lock_guard lock(mutex_);
  const auto found = requests_.find(step);
  return found == requests_.end() ? 0 : found->second;
}

int LocalNetwork::sent(const std::string& code) const {
  const std::lock_guard lock(mutex_);
  const auto found = sent_.find(code);
  return found == sent_.end() ? 0 : found->second;
}

bool LocalNetwork::WaitForRequests(Step step, int count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, absl::ToChronoMilliseconds(kPatience), [&] {
    const auto found = requests_.find(step);
    return found != requests_.end() && found->second >= count;
  });
}

std::string LocalNetwork::AccessTokenOf(const std::string& person) const {
  const std::lock_guard lock(mutex_);
  for (const Person& each : people_) {
    if (each.id == person) return each.access_token;
  }
  return "";
}

std::vector<std::string> LocalNetwork::secrets() const {
  const std::lock_guard lock(mutex_);
  return secrets_;
}

std::vector<std::string> LocalNetwork::complaints() const {
  const std::lock_guard lock(mutex_);
  return complaints_;
}

bool LocalNetwork::Serve(HostileServer::Peer& peer) {
  const Request request(peer.request());
  std::string answer;
  {
    std::unique_lock lock(mutex_);
    const std::optional<Step> step = request.step();
    if (!step) {
      complaints_.push_back(absl::StrCat("nothing is at ", request.first));
      answer = LocalJson(404, "{}");
    } else {
      answer = Answer(*step, request);
      ++requests_[*step];
      changed_.notify_all();
      const int releases = releases_;
      if (hanging_.contains(*step)) {
        changed_.wait(lock, [&] { return is_stopping_ || releases_ != releases; });
      }
    }
  }
  return peer.Send(answer);
}

std::string LocalNetwork::Answer(Step step, const Request& request) {
  std::string done;
  switch (step) {
    case Step::kExchange:
      done = Exchange(request);
      break;
    case Step::kRefresh:
      done = refusals_[step].times == 0 ? Refresh(request) : "";
      break;
    case Step::kRevocation:
      done = refusals_[step].times == 0 ? Revoke(request) : "";
      break;
    case Step::kProfile:
    case Step::kPages: {
      const Person* const person = FindPerson(&Person::access_token, request.token);
      if (person == nullptr) return LocalError(401, "invalid_token", "no such token");
      done = step == Step::kProfile ? Profile(*person) : Pages(*person);
      break;
    }
  }
  Refusal& refusal = refusals_[step];
  if (refusal.times == 0) return done;
  if (refusal.times > 0) --refusal.times;
  if (refusal.error.empty()) return LocalAnswer(refusal.status, "text/plain", request.Quoted());
  return LocalError(refusal.status, refusal.error, absl::StrCat("not with ", request.Quoted()));
}

std::string LocalNetwork::Exchange(const Request& request) {
  const std::string code = request.Get("code");
  const std::string verifier = request.Get("code_verifier");
  if (!verifier.empty()) secrets_.push_back(verifier);
  if (++sent_[code] > 1) return Complain("a code came again", "invalid_grant");
  const auto found = codes_.find(code);
  if (found == codes_.end()) return Complain("a code came that there is not", "invalid_grant");
  Person& person = people_[found->second];
  codes_.erase(found);
  if (!ClientIsRight(request)) return Complain("another client came", "invalid_client");
  if (request.Get("redirect_uri") != person.redirect_uri ||
      Base64UrlEncode(AsChars(Sha256(verifier))) != person.challenge) {
    return Complain("redirect URI or verifier is another one", "invalid_grant");
  }
  // Nobody ever learns of tokens that are refused.
  if (refusals_[Step::kExchange].times != 0) return "";
  return TokensFor(person);
}

std::string LocalNetwork::Refresh(const Request& request) {
  if (!ClientIsRight(request)) return Complain("another client came", "invalid_client");
  Person* const person = FindPerson(&Person::refresh_token, request.Get("refresh_token"));
  if (person == nullptr) return Complain("a refresh token is not good", "invalid_grant");
  return TokensFor(*person);
}

std::string LocalNetwork::Profile(const Person& person) const {
  return LocalJson(
      200, absl::StrCat(R"({"id":")", person.id, R"(","name":"name of )", person.id, R"("})"));
}

std::string LocalNetwork::Pages(const Person& person) {
  const auto page = [&](int number) {
    return absl::StrCat(R"({"id":"page-)", number, "-of-", person.id, R"(","name":"page )", number,
                        R"(","token":")", Fresh("page-token"), R"("})");
  };
  return LocalJson(200, absl::StrCat(R"({"data":[)", page(1), ",", page(2), "]}"));
}

std::string LocalNetwork::Revoke(const Request& request) {
  if (!ClientIsRight(request)) return Complain("another client came", "invalid_client");
  for (auto token : {&Person::refresh_token, &Person::access_token}) {
    Person* const person = FindPerson(token, request.Get("token"));
    if (person == nullptr) continue;
    person->access_token.clear();
    person->refresh_token.clear();
  }
  return LocalJson(200, "{}");
}

std::string LocalNetwork::TokensFor(Person& person) {
  person.access_token = Fresh("access-token");
  person.refresh_token = Fresh("refresh-token");
  return LocalJson(200, absl::StrCat(R"({"token_type":"Bearer","expires_in":3600,)",
                                     R"("scope":"posts","access_token":")", person.access_token,
                                     R"(","refresh_token":")", person.refresh_token, R"("})"));
}

bool LocalNetwork::ClientIsRight(const Request& request) const {
  return request.Get("client_id") == kClientKey && request.Get("client_secret") == client_secret_;
}

LocalNetwork::Person* LocalNetwork::FindPerson(std::string Person::*token,
                                               const std::string& text) {
  const auto found = std::find_if(people_.begin(), people_.end(),
                                  [&](const Person& each) { return each.*token == text; });
  return found == people_.end() || text.empty() ? nullptr : &*found;
}

std::string LocalNetwork::Complain(const std::string& complaint, const std::string& error) {
  complaints_.push_back(complaint);
  return LocalError(400, error, complaint);
}

std::string LocalNetwork::Fresh(absl::string_view kind) {
  secrets_.push_back(absl::StrCat("canary-", kind, "-", HexEncode(AsChars(NewNonce(FillRandom)))));
  return secrets_.back();
}

}  // namespace authurl::testing
