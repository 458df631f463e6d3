#include "tests/support/simulated_network.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/support/eventually.h"

namespace authurl::testing {

SimulatedNetwork::SimulatedNetwork(const Vector& vector, Options options)
    : flow_(vector),
      options_(std::move(options)),
      title_(vector.title),
      settings_(flow_.settings()),
      client_secret_(flow_.client().secret),
      answers_(flow_),
      token_endpoint_(flow_, settings_, answers_, grants_, options_.clock),
      api_(flow_, answers_, grants_) {
  settings_.set_variant(flow_.json().value("variant", ""));
  if (!options_.client_key.empty()) settings_.set_client_key(options_.client_key);
  if (!options_.instance.empty()) settings_.set_instance(options_.instance);
  if (!options_.client_secret.empty()) client_secret_ = options_.client_secret;
  for (const NetworkStep step :
       {NetworkStep::kExchange, NetworkStep::kLongLived, NetworkStep::kProfile,
        NetworkStep::kParents, NetworkStep::kAccounts, NetworkStep::kRefresh,
        NetworkStep::kRevocation}) {
    const Json* const json = JsonOfStep(flow_, step);
    if (json == nullptr || !json->contains("request")) continue;
    shapes_.push_back(MakeRequestShape(flow_, step, settings_.instance()));
  }
}

absl::StatusOr<PersonReturned> SimulatedNetwork::Consent(absl::string_view auth_url,
                                                         ConsentOptions how) {
  absl::StatusOr<AuthUrlAsked> asked = ReadAuthUrl(flow_, settings_, auth_url);
  if (!asked.ok()) return asked.status();
  std::string code;
  {
    const std::lock_guard lock(mutex_);
    code = grants_.Add(*asked);
  }
  return ReturnWithCode(flow_, settings_, *asked, code, how.packed);
}

absl::StatusOr<PersonReturned> SimulatedNetwork::Deny(absl::string_view auth_url,
                                                      absl::string_view error) {
  absl::StatusOr<AuthUrlAsked> asked = ReadAuthUrl(flow_, settings_, auth_url);
  if (!asked.ok()) return asked.status();
  return ReturnWithError(flow_, settings_, *asked, error);
}

SimulatedNetwork::GivenTokens SimulatedNetwork::GiveTokens() {
  const std::lock_guard lock(mutex_);
  const size_t grant = *grants_.FindCode(grants_.Add({}));
  grants_.at(grant).code_was_used = true;
  GivenTokens given = {
      .access_token = grants_.AddToken("at", {.grant = grant}),
      .refresh_token = grants_.AddToken("rt", {.grant = grant, .is_refresh_token = true})};
  grants_.at(grant).refresh_token = given.refresh_token;
  return given;
}

void SimulatedNetwork::EndGrants() {
  const std::lock_guard lock(mutex_);
  grants_.EndAll();
}

void SimulatedNetwork::SetFault(NetworkStep step, NetworkFault fault, int times) {
  const std::lock_guard lock(mutex_);
  faults_[step] = {fault, times};
}

bool SimulatedNetwork::Has(NetworkStep step, NetworkFault fault) const {
  const std::string list = ListOfFault(step, fault);
  return !list.empty() && HasVectorError(flow_, step, list);
}

void SimulatedNetwork::Release() {
  const std::lock_guard lock(mutex_);
  ++releases_;
  changed_.notify_all();
}

void SimulatedNetwork::UseAnswer(NetworkStep step, size_t index) {
  const std::lock_guard lock(mutex_);
  answers_.Choose(step, index);
}

void SimulatedNetwork::SetPages(int pages, int accounts_per_page) {
  const std::lock_guard lock(mutex_);
  api_.SetPages(pages, accounts_per_page);
}

int SimulatedNetwork::requests(NetworkStep step) const {
  const std::lock_guard lock(mutex_);
  const auto found = requests_.find(step);
  return found == requests_.end() ? 0 : found->second;
}

std::vector<SimulatedNetwork::Received> SimulatedNetwork::received() const {
  const std::lock_guard lock(mutex_);
  return received_;
}

std::vector<std::string> SimulatedNetwork::complaints() const {
  const std::lock_guard lock(mutex_);
  return complaints_;
}

bool SimulatedNetwork::WaitForRequests(NetworkStep step, int count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, absl::ToChronoMilliseconds(kPatience), [&] {
    const auto found = requests_.find(step);
    return found != requests_.end() && found->second >= count;
  });
}

bool SimulatedNetwork::Takes(absl::string_view token) const {
  const std::lock_guard lock(mutex_);
  const SimulatedToken* const found = grants_.FindToken(token);
  return found != nullptr && grants_.IsGood(*found);
}

int SimulatedNetwork::Claims(const ServedRequest& request) const {
  const std::lock_guard lock(mutex_);
  const RecognizedRequest what = Recognize(request);
  if (what.shape == nullptr) return 0;
  if (!what.fault.empty()) return 1;
  const bool is_known = grants_.FindCode(what.Value("code")).has_value() ||
                        grants_.FindToken(what.Value("access_token")) != nullptr ||
                        grants_.FindToken(what.Value("refresh_token")) != nullptr;
  return is_known ? 3 : 2;
}

bool SimulatedNetwork::RefusesConnection(absl::string_view host) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(shapes_.begin(), shapes_.end(), [&](const RequestShape& shape) {
    const auto planned = faults_.find(shape.step);
    return shape.host == host && planned != faults_.end() &&
           planned->second.fault == NetworkFault::kRefuseConnection;
  });
}

bool SimulatedNetwork::Pause() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, absl::ToChronoMilliseconds(options_.pause), [&] { return is_stopping_; });
  return !is_stopping_;
}

void SimulatedNetwork::Stop() {
  const std::lock_guard lock(mutex_);
  is_stopping_ = true;
  changed_.notify_all();
}

RecognizedRequest SimulatedNetwork::Recognize(const ServedRequest& request) const {
  RecognizedRequest nearest;
  std::map<NetworkStep, RecognizedRequest> whole;
  for (const RequestShape& shape : shapes_) {
    RecognizedRequest what;
    if (!shape.IsFor(request, what.values)) continue;
    what.shape = &shape;
    what.fault = shape.Compare(request, client_secret_, what.values, what.page);
    if (what.fault.empty()) {
      whole.emplace(shape.step, std::move(what));
    } else if (nearest.shape == nullptr || shape.HasGrantTypeOf(request)) {
      nearest = std::move(what);
    }
  }
  if (whole.empty()) return nearest;
  // The same request may be that of two steps: which one depends on the token.
  const SimulatedToken* const token =
      grants_.FindToken(whole.begin()->second.Value("access_token"));
  const auto at = [&](NetworkStep step) { return std::move(whole.at(step)); };
  if (whole.count(NetworkStep::kLongLived) > 0 && whole.count(NetworkStep::kRefresh) > 0) {
    const bool is_first = token != nullptr && token->is_short_lived;
    return at(is_first ? NetworkStep::kLongLived : NetworkStep::kRefresh);
  }
  if (whole.size() > 1 && whole.count(NetworkStep::kProfile) > 0) {
    const bool is_second = token != nullptr && grants_.at(token->grant).profile_was_asked;
    return at(is_second ? whole.rbegin()->first : NetworkStep::kProfile);
  }
  return at(whole.begin()->first);
}

ServedAnswer SimulatedNetwork::Answer(const ServedRequest& request) {
  std::unique_lock lock(mutex_);
  const RecognizedRequest what = Recognize(request);
  if (what.shape == nullptr) {
    const absl::string_view target = request.target;
    complaints_.push_back(absl::StrCat(title_, ": nothing is at ", request.method, " ",
                                       request.host, target.substr(0, target.find('?'))));
    return ServedOf(404, Json{{"error", "not_found"}});
  }
  const NetworkStep step = what.shape->step;
  received_.push_back({step, request});
  ++requests_[step];
  changed_.notify_all();
  if (!what.fault.empty()) return Complain(step, what.fault);
  const NetworkFault fault = TakeFault(step);
  if (fault == NetworkFault::kHang) {
    changed_.wait(lock,
                  [this, releases = releases_] { return is_stopping_ || releases_ > releases; });
  }
  if (ReplacesAnswer(step, fault)) return AnswerInPlace(flow_, step, what.shape->host, fault);
  ServedAnswer answer = Process(what, request);
  BreakAnswer(fault, answer);
  return answer;
}

NetworkFault SimulatedNetwork::TakeFault(NetworkStep step) {
  Planned& planned = faults_[step];
  if (planned.times == 0) return NetworkFault::kNone;
  if (planned.times > 0) --planned.times;
  return planned.fault;
}

ServedAnswer SimulatedNetwork::Process(const RecognizedRequest& what,
                                       const ServedRequest& request) {
  const NetworkStep step = what.shape->step;
  if (!ClientIsRight(what.values)) return VectorError(flow_, step, "client_rejected");
  switch (step) {
    case NetworkStep::kExchange:
      return token_endpoint_.Exchange(what);
    case NetworkStep::kLongLived:
      return token_endpoint_.LongLived(what);
    case NetworkStep::kRefresh:
      return token_endpoint_.Refresh(what);
    case NetworkStep::kProfile:
      return api_.Profile(what);
    case NetworkStep::kParents:
    case NetworkStep::kAccounts: {
      absl::StatusOr<ServedAnswer> list = api_.List(what, request);
      return list.ok() ? *std::move(list) : Complain(step, list.status().message());
    }
    case NetworkStep::kRevocation:
      return token_endpoint_.Revocation(what);
  }
  return ServedAnswer();
}

bool SimulatedNetwork::ClientIsRight(const FoundValues& values) const {
  const auto is = [&](const char* name, const std::string& expected) {
    const auto found = values.find(name);
    return found == values.end() || found->second == expected;
  };
  return is("client_id", settings_.client_key()) && is("client_secret", client_secret_);
}

ServedAnswer SimulatedNetwork::Complain(NetworkStep step, absl::string_view fault) {
  complaints_.push_back(absl::StrCat(title_, ", ", NameOfStep(step), ": the request ", fault));
  return VectorError(flow_, step, "refused");
}

}  // namespace authurl::testing
