#include "tests/simulation/year_network.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/flow/request_builder.h"
#include "core/flow/token_request.h"

namespace authurl::testing {
namespace {

using catalog::v1::Refresh;
using catalog::v1::TokenAnswer;

// "at.12.7." of the grant 12: it ends with a point, so that none is the beginning of another.
std::string TokenText(absl::string_view kind, size_t grant, int number) {
  return absl::StrCat(kind, ".", grant, ".", number, ".");
}

// The token of that kind in a request.
std::optional<std::string> FindToken(absl::string_view kind, absl::string_view request) {
  const std::string start = absl::StrCat(kind, ".");
  for (size_t at = request.find(start); at != absl::string_view::npos;
       at = request.find(start, at + 1)) {
    size_t end = at + start.size();
    int points = 1;
    while (end < request.size() && points < 3) {
      const char c = request[end++];
      if (c == '.') {
        ++points;
      } else if (c < '0' || c > '9') {
        break;
      }
    }
    if (points == 3) return std::string(request.substr(at, end - at));
  }
  return std::nullopt;
}

bool Chance(double probability, Dice& dice) {
  return std::bernoulli_distribution(probability)(dice);
}

void Put(Json& body, const google::protobuf::RepeatedPtrField<std::string>& selectors,
         const Json& value) {
  if (!selectors.empty()) body[Json::json_pointer(selectors[0])] = value;
}

}  // namespace

YearNetwork::YearNetwork(const Vector& vector, const YearOptions& options, absl::Time from,
                         Dice dice)
    : flow_(vector), name_(vector.name), options_(options) {
  const absl::Duration year = absl::Hours(365 * 24);
  // Of those that err while they have one there are few.
  const double outages_per_year = options.outages_per_year * (refresh().may_err() ? 2 : 1);
  std::exponential_distribution<double> between(outages_per_year);
  std::uniform_real_distribution<double> length(std::log(options.shortest_outage / absl::Hours(1)),
                                                std::log(options.longest_outage / absl::Hours(1)));
  for (absl::Time at = from + between(dice) * year; at < from + year;) {
    const absl::Time until = at + absl::Hours(std::exp(length(dice)));
    outages_.push_back({at, until});
    at = until + between(dice) * year;
  }
  counts_.outages = static_cast<int>(outages_.size());

  FlowValues values;
  values.Set("access_token", "at");
  values.Set("refresh_token", "rt");
  for (const auto& [kept, value] : flow_.Kept()) values.Set(absl::StrCat("kept.", kept), value);
  const absl::StatusOr<HttpRequest> request =
      BuildRefresh(network(), {.settings = flow_.settings(), .secret = "secret"}, values);
  refresh_url_ = request.value().url;
  refresh_url_.resize(std::min(refresh_url_.find('?'), refresh_url_.size()));
}

bool YearNetwork::IsRefresh(absl::string_view request) const {
  return absl::StartsWith(request, refresh_url_) &&
         (request.size() == refresh_url_.size() ||
          absl::StrContains("?\n", request.substr(refresh_url_.size(), 1)));
}

bool YearNetwork::HasRefreshToken() const {
  return refresh().rotation() != Refresh::ROTATION_NO_REFRESH_TOKEN;
}

bool YearNetwork::ReuseEndsGrant() const {
  return refresh().reuse_ends_grant() && refresh().rotation() == Refresh::ROTATION_ALWAYS;
}

absl::Duration YearNetwork::AccessLife() const {
  const uint32_t told = refresh().access_token_lifetime_s() != 0
                            ? refresh().access_token_lifetime_s()
                            : network().exchange().access_token_lifetime_s();
  return told == 0 ? absl::Hours(2) : absl::Seconds(told);
}

bool YearNetwork::HasOutage(absl::Time now) const {
  return std::any_of(outages_.begin(), outages_.end(), [now](const Outage& outage) {
    return outage.from <= now && now < outage.until;
  });
}

void YearNetwork::GiveAccessToken(size_t index, absl::Time now) {
  YearGrant& grant = grants_[index];
  grant.access_token = TokenText("at", index, grant.refreshes);
  grant.access_end = now + AccessLife();
}

void YearNetwork::GiveRefreshToken(size_t index, absl::Time now) {
  YearGrant& grant = grants_[index];
  if (!grant.refresh_token.empty() && !refresh().single_use() && !refresh().reuse_ends_grant()) {
    grant.older[grant.refresh_token] = grant.refresh_end;
  }
  grant.refresh_token = TokenText("rt", index, grant.refreshes);
  if (refresh().refresh_token_lifetime_s() == 0) return;
  const absl::Time from = EndsWithConsent() ? grant.consented_at : now;
  grant.refresh_end = from + absl::Seconds(refresh().refresh_token_lifetime_s());
}

std::pair<size_t, TokenSet> YearNetwork::Consent(absl::Time now) {
  const size_t index = grants_.size();
  YearGrant& grant = grants_.emplace_back();
  grant.consented_at = now;
  grant.refreshed_at = now;
  GiveAccessToken(index, now);
  if (HasRefreshToken()) GiveRefreshToken(index, now);
  if (refresh().idle_lifetime_s() != 0) {
    grant.idle_end = now + absl::Seconds(refresh().idle_lifetime_s());
  }
  TokenSet tokens;
  tokens.access_token = grant.access_token;
  tokens.access_token_expires_at = grant.access_end;
  tokens.refresh_token = grant.refresh_token;
  const TokenAnswer& answer = network().exchange().answer();
  const bool tells = !answer.refresh_expires_in().empty() || !answer.refresh_expires_at().empty();
  if (tells && grant.refresh_end != absl::InfiniteFuture()) {
    tokens.refresh_token_expires_at = grant.refresh_end;
  }
  tokens.subject = absl::StrCat("person ", index);
  for (const auto& [name, value] : flow_.Kept()) tokens.kept[name] = value;
  return {index, std::move(tokens)};
}

const YearGrant& YearNetwork::Look(size_t index, absl::Time now) {
  YearGrant& grant = grants_.at(index);
  if (grant.ended) return grant;
  if (!HasRefreshToken() && grant.access_end <= now) {
    grant.ended = "nobody prolonged its access token in time";
  } else if (HasRefreshToken() && grant.refresh_end <= now) {
    grant.ended = EndsWithConsent() ? "its time since the consent is over"
                                    : "nobody used its refresh token in time";
  } else if (grant.idle_end <= now) {
    grant.ended = "nobody used it in time";
  }
  return grant;
}

std::optional<size_t> YearNetwork::GrantOf(absl::string_view request) const {
  const auto token = FindToken(HasRefreshToken() ? "rt" : "at", request);
  size_t index = 0;
  if (!token || !absl::SimpleAtoi(token->substr(3, token->find('.', 3) - 3), &index) ||
      index >= grants_.size()) {
    return std::nullopt;
  }
  return index;
}

YearAnswer YearNetwork::AskInOutage(Dice& dice) {
  ++counts_.in_outages;
  if (refresh().may_err() && Chance(0.5, dice)) {
    ++counts_.false_refusals;
    return Refuse();
  }
  switch (std::uniform_int_distribution<int>(0, 2)(dice)) {
    case 0:
      return {.kind = YearAnswer::Kind::kUnsent, .status = 0, .body = ""};
    case 1:
      return {.kind = YearAnswer::Kind::kAnswered, .status = 503, .body = "<html>Sorry</html>"};
    default:
      ++counts_.lost;
      return {.kind = YearAnswer::Kind::kLost, .status = 0, .body = ""};
  }
}

YearAnswer YearNetwork::Refuse() {
  const Json& examples = ListOf(ObjectOf(flow_.json(), "refresh"), "refresh_dead");
  if (examples.empty()) return {.status = 400, .body = R"({"error":"invalid_grant"})"};
  const Json& body = examples[0].at("body");
  return {.status = examples[0].value("status", 200),
          .body = body.is_string() ? body.get<std::string>() : body.dump()};
}

YearAnswer YearNetwork::Success(const YearGrant& grant, bool with_refresh_token, absl::Time now) {
  const TokenAnswer& answer = refresh().answer();
  Json body = Json::object();
  Put(body, answer.access_token(), grant.access_token);
  Put(body, answer.expires_in(), absl::ToInt64Seconds(grant.access_end - now));
  if (with_refresh_token) {
    Put(body, answer.refresh_token(), grant.refresh_token);
    if (grant.refresh_end != absl::InfiniteFuture()) {
      Put(body, answer.refresh_expires_in(), absl::ToInt64Seconds(grant.refresh_end - now));
      Put(body, answer.refresh_expires_at(), absl::ToUnixSeconds(grant.refresh_end));
    }
  }
  return {.status = 200, .body = body.dump()};
}

YearAnswer YearNetwork::Ask(absl::string_view request, absl::Time now, bool clock_is_wrong,
                            Dice& dice) {
  ++counts_.requests;
  const std::optional<size_t> index = GrantOf(request);
  if (!index) {
    violations_.push_back(absl::StrCat(name_, ": a request without a token of ours"));
    return Refuse();
  }
  if (HasOutage(now)) {
    YearAnswer answer = AskInOutage(dice);
    if (answer.kind == YearAnswer::Kind::kLost && ReuseEndsGrant()) {
      grants_[*index].may_be_given_up = true;
    }
    return answer;
  }
  const bool is_lost = Chance(options_.lost_answers, dice);
  counts_.lost += is_lost ? 1 : 0;
  if (is_lost && ReuseEndsGrant()) grants_[*index].may_be_given_up = true;
  const YearAnswer lost = {.kind = YearAnswer::Kind::kLost, .status = 0, .body = ""};
  // Lost on the way there.
  if (is_lost && Chance(0.5, dice)) return lost;

  YearGrant& grant = grants_[*index];
  Look(*index, now);
  const std::string shown = *FindToken(HasRefreshToken() ? "rt" : "at", request);
  const std::string& newest = HasRefreshToken() ? grant.refresh_token : grant.access_token;
  const auto older = grant.older.find(shown);
  const bool is_older = older != grant.older.end() && now < older->second;
  if (!grant.ended && HasRefreshToken() && shown != newest && !is_older) {
    if (ReuseEndsGrant()) {
      grant.ended = "a refresh token was used twice";
      violations_.push_back(absl::StrCat(name_, ": a refresh token was used twice"));
    } else {
      // It was used, and what came of that is not known to who shows it.
      grant.is_lost = true;
    }
  }
  // An access token that is older but lives is as good.
  const bool is_good = !grant.ended && (!HasRefreshToken() || shown == newest || is_older);
  if (!is_good) {
    ++counts_.refused;
    return is_lost ? lost : Refuse();
  }
  const absl::Duration age = now - grant.refreshed_at;
  if (age < absl::Seconds(refresh().min_age_s()) ||
      (grant.was_refreshed && age < absl::Seconds(refresh().min_interval_s()))) {
    if (clock_is_wrong || grant.is_unconfirmed) return {.status = 429, .body = "{}"};
    violations_.push_back(absl::StrCat(name_, ": refreshed sooner than it takes a refresh"));
  }

  const bool is_half_over =
      grant.refresh_end - now < absl::Seconds(refresh().refresh_token_lifetime_s()) / 2;
  const bool rotates =
      refresh().rotation() == Refresh::ROTATION_ALWAYS ||
      (refresh().rotation() == Refresh::ROTATION_SOMETIMES && (is_half_over || Chance(0.3, dice)));
  ++grant.refreshes;
  ++counts_.refreshed;
  grant.refreshed_at = now;
  grant.was_refreshed = true;
  grant.is_unconfirmed = is_lost;
  GiveAccessToken(*index, now);
  if (rotates) {
    GiveRefreshToken(*index, now);
  } else if (refresh().rotation() == Refresh::ROTATION_NEVER && !EndsWithConsent() &&
             refresh().refresh_token_lifetime_s() != 0) {
    grant.refresh_end = now + absl::Seconds(refresh().refresh_token_lifetime_s());
  }
  if (refresh().idle_lifetime_s() != 0) {
    grant.idle_end = now + absl::Seconds(refresh().idle_lifetime_s());
  }
  return is_lost ? lost : Success(grant, rotates, now);
}

}  // namespace authurl::testing
