// year_network.h: a network of the catalog as the truth of it is: which grants live, with which
// tokens, and how long. It lives by the entry's refresh: lifetimes, rotation, what a second use of
// a refresh token does, how soon it takes another refresh.
//
// Where an entry says that a new refresh token comes at times, one comes for sure once half of the
// old one's life is over, and by chance before; the old one's life goes on as it was. An answer
// tells how long the refresh token lives where the entry has a place for it, and only then.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/flow/token_response.h"
#include "tests/core/flow/vectors.h"

namespace authurl::testing {

using Dice = std::mt19937;

struct YearOptions {
  double lost_answers = 0.01;  // Of all requests.
  double outages_per_year = 6;
  absl::Duration shortest_outage = absl::Hours(1);
  absl::Duration longest_outage = absl::Hours(72);
};

// What a request comes to.
struct YearAnswer {
  // kUnsent: no connection came about. kLost: nobody knows whether it arrived.
  enum class Kind { kAnswered, kUnsent, kLost };
  Kind kind = Kind::kAnswered;
  int status = 0;
  std::string body;
};

// One person's grant. Times are the network's.
struct YearGrant {
  absl::Time consented_at;
  absl::Time refreshed_at;  // Or consented.
  bool was_refreshed = false;
  int refreshes = 0;
  std::string access_token;
  absl::Time access_end = absl::InfiniteFuture();
  std::string refresh_token;  // The newest; empty where there is none.
  // When the newest, and those before it, are dead.
  absl::Time refresh_end = absl::InfiniteFuture();
  std::map<std::string, absl::Time> older;  // Those that are good beside it, and their ends.
  absl::Time idle_end = absl::InfiniteFuture();

  // Its last refresh may not be known to who asked for it.
  bool is_unconfirmed = false;
  std::optional<std::string> ended;  // Why.
  // The newest tokens never reached us, and no others work.
  bool is_lost = false;
  // An answer was lost, and a second use of its refresh token would end it: so it must be given up.
  bool may_be_given_up = false;
};

class YearNetwork final {
 public:
  // `vector` outlives it.
  YearNetwork(const Vector& vector, const YearOptions& options, absl::Time from, Dice dice);
  YearNetwork(const YearNetwork&) = delete;
  YearNetwork& operator=(const YearNetwork&) = delete;

  const VectorFlow& flow() const { return flow_; }
  const catalog::v1::Network& network() const { return flow_.network(); }
  const std::string& name() const { return name_; }

  // A person consents: the grant's number, and the tokens that are handed out.
  std::pair<size_t, TokenSet> Consent(absl::Time now);
  // Whether a request, which begins with its URL, is a refresh; others get an empty answer.
  bool IsRefresh(absl::string_view request) const;
  // A refresh that was sent, with dice of its own. `clock_is_wrong`: whoever sent it has another
  // time, and may come too early.
  YearAnswer Ask(absl::string_view request, absl::Time now, bool clock_is_wrong, Dice& dice);
  // The grant that a request is about.
  std::optional<size_t> GrantOf(absl::string_view request) const;

  // Brings what is told of the grant up to date.
  const YearGrant& Look(size_t grant, absl::Time now);
  YearGrant& at(size_t grant) { return grants_.at(grant); }
  size_t size() const { return grants_.size(); }
  bool HasOutage(absl::Time now) const;
  // Whether only the person can prolong it.
  bool EndsWithConsent() const { return refresh().lifetime_from_consent(); }
  bool ReuseEndsGrant() const;

  // What must never happen, in words.
  const std::vector<std::string>& violations() const { return violations_; }
  struct Counts {
    int64_t requests = 0, refreshed = 0, lost = 0, in_outages = 0, false_refusals = 0, refused = 0;
    int outages = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Outage {
    absl::Time from;
    absl::Time until;
  };

  const catalog::v1::Refresh& refresh() const { return network().refresh(); }
  bool HasRefreshToken() const;
  absl::Duration AccessLife() const;
  void GiveAccessToken(size_t index, absl::Time now);
  void GiveRefreshToken(size_t index, absl::Time now);
  YearAnswer AskInOutage(Dice& dice);
  YearAnswer Refuse();
  YearAnswer Success(const YearGrant& grant, bool with_refresh_token, absl::Time now);

  const VectorFlow flow_;
  const std::string name_;
  std::string refresh_url_;  // Without its query.
  const YearOptions options_;
  std::vector<Outage> outages_;
  std::vector<YearGrant> grants_;
  std::vector<std::string> violations_;
  Counts counts_;
};

}  // namespace authurl::testing
