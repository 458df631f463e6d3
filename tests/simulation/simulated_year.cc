// simulated_year.cc: a year of the background refresher (README.md). Exits with 1, and says why, if
// an account died that its network would have kept, if a refresh token was used twice where that
// ends a grant, or if a network was asked faster than it is to be.
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/sealer.h"
#include "server/flow/needs_reconnect.h"
#include "server/flow/refresh_time.h"
#include "storage/credential_store.h"
#include "storage/digest_id.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/simulation/refresher_child.h"
#include "tests/simulation/wire.h"
#include "tests/simulation/year_network.h"
#include "tests/support/no_limit.h"
#include "tests/support/temp_dir.h"

ABSL_FLAG(int, grants, 1000, "Grants, shared by all networks that have a refresh");
ABSL_FLAG(int, kills, 100, "About how often the refresher is killed");
ABSL_FLAG(uint32_t, seed, 1, "Of all dice: the networks', the world's, the refresher's");
ABSL_FLAG(double, rate, 5, "Requests a second that the background may make to one network");
ABSL_FLAG(int, child_fd, -1, "For the program itself");
ABSL_FLAG(std::string, child_database, "", "For the program itself");
ABSL_FLAG(std::string, child_key_ring, "", "For the program itself");

namespace authurl::testing {
namespace {

constexpr absl::Time kYearBegins = absl::FromUnixSeconds(1'800'000'000);
constexpr absl::Duration kYear = absl::Hours(365 * 24);
// All consents are on the first day.
constexpr absl::Duration kConsents = absl::Hours(24);
// One account in three is used, about every ten days.
constexpr double kUsedPart = 0.33;
constexpr double kDaysBetweenUses = 10;
// The server stands still once, as when a machine is replaced.
constexpr absl::Duration kStops = absl::Hours(24 * 120);
constexpr absl::Duration kIsStopped = absl::Hours(24 * 5);
// Once its clock is ahead for a while, and then put right.
constexpr absl::Duration kClockGoesWrong = absl::Hours(24 * 200);
constexpr absl::Duration kClockIsWrong = absl::Hours(2);
constexpr absl::Duration kClockError = absl::Hours(24 * 40);

struct Connection {
  std::string account_id;
  std::string grant_id;
};

struct World {
  std::vector<std::unique_ptr<YearNetwork>> networks;
  std::vector<std::vector<Connection>> connections;  // By network and grant.

  static std::string OrgOf(size_t network) { return absl::StrCat("org-", network); }
  static size_t NetworkOf(const std::string& org_id) { return std::stoul(org_id.substr(4)); }
};

// Requests to a network in the last second.
class RateCheck final {
 public:
  // Returns how many there are now.
  size_t Count(absl::Time now) {
    while (!times_.empty() && times_.front() <= now - absl::Seconds(1)) times_.pop_front();
    times_.push_back(now);
    return times_.size();
  }

 private:
  std::deque<absl::Time> times_;
};

void FailNow(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << "FAILED: " << status << "\n";
  std::exit(1);
}

void AddNetworks(World& world, Dice& dice) {
  std::set<std::string> seen;
  for (const Vector& vector : AllVectors()) {
    const VectorFlow flow(vector);
    if (!flow.network().has_refresh() || !seen.insert(vector.name).second) continue;
    world.networks.push_back(
        std::make_unique<YearNetwork>(vector, YearOptions(), kYearBegins, Dice(dice())));
  }
  world.connections.resize(world.networks.size());
}

void AddConfiguration(CredentialStore& store, const World& world, size_t index) {
  record::v1::Organization organization;
  organization.set_org_id(World::OrgOf(index));
  FailNow(store.CreateOrganization(kNoLimit, organization));
  record::v1::SocialNetworkSettings settings = world.networks[index]->flow().settings();
  settings.set_id("sn_1");
  settings.set_org_id(organization.org_id());
  settings.set_version(1);
  settings.set_variant(world.networks[index]->flow().json().value("variant", ""));
  FailNow(store.social_networks()
              .Create(kNoLimit, settings, world.networks[index]->flow().client().secret)
              .status());
}

// A person consents, as AuthCompleter stores it.
void Connect(CredentialStore& store, World& world, size_t index, absl::Time now,
             const RandomSource& random) {
  YearNetwork& network = *world.networks[index];
  const record::v1::SocialNetworkSettings& settings = network.flow().settings();
  const std::string org_id = World::OrgOf(index);
  const auto [number, tokens] = network.Consent(now);
  record::v1::Flow flow;
  flow.set_id(DigestId(absl::StrCat("flow ", index, " ", number)));
  flow.set_org_id(org_id);
  flow.set_network(settings.network());
  flow.set_social_network_id("sn_1");
  flow.set_social_network_version(1);
  flow.set_state_expires_at_ms(absl::ToUnixMillis(now + absl::Minutes(20)));
  FailNow(store.flows().Spend(kNoLimit, flow, now).status());
  record::v1::Grant grant;
  grant.set_org_id(org_id);
  grant.set_social_network_id("sn_1");
  grant.set_social_network_version(1);
  grant.set_network(settings.network());
  grant.set_instance(settings.instance());
  grant.set_variant(network.flow().json().value("variant", ""));
  grant.set_client_id(settings.client_key());
  grant.set_subject(tokens.subject);
  record::v1::SocialAccount account;
  account.set_social_network_id("sn_1");
  account.set_network(settings.network());
  account.set_instance(settings.instance());
  account.set_variant(grant.variant());
  account.set_account_type(record::v1::ACCOUNT_TYPE_PERSONAL);
  account.set_network_unique_id(tokens.subject);
  const auto due_at = NextRefresh(network.network(), tokens, now, random);
  const auto connected = store.flows().Complete(
      kNoLimit, org_id, flow.id(), {.grant = grant, .tokens = tokens, .due_at = due_at},
      {{account, ""}}, now);
  FailNow(connected.status());
  world.connections[index].push_back({connected->accounts.at(0).id(), connected->grant_id});
}

struct Totals {
  int64_t steps = 0;
  int64_t kills_before = 0, kills_unanswered = 0, kills_after = 0;
  std::vector<absl::Time> killed_at;
  std::vector<size_t> most_in_a_second;  // By network, without the second ones of a lost answer.
  std::vector<std::string> too_fast;
};

// The refresher's process.
class Child final {
 public:
  Child(const std::string& database, const std::string& key_ring, uint32_t seed, double rate) {
    std::array<int, 2> ends = {};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      FailNow(absl::ErrnoToStatus(errno, "socketpair"));
    }
    pid_ = fork();
    if (pid_ == 0) {
      const int fd = dup(ends[1]);  // Without SOCK_CLOEXEC.
      const std::vector<std::string> arguments = {"simulated_year",
                                                  absl::StrCat("--child_fd=", fd),
                                                  absl::StrCat("--child_database=", database),
                                                  absl::StrCat("--child_key_ring=", key_ring),
                                                  absl::StrCat("--seed=", seed),
                                                  absl::StrCat("--rate=", rate)};
      std::vector<char*> argv;
      for (const std::string& argument : arguments) {
        argv.push_back(const_cast<char*>(argument.c_str()));
      }
      argv.push_back(nullptr);
      execv("/proc/self/exe", argv.data());
      _exit(1);
    }
    close(ends[1]);
    wire_ = std::make_unique<Wire>(ends[0]);
  }
  ~Child() {
    wire_.reset();
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  Wire& wire() { return *wire_; }
  void Kill() {
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, -1), nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
  std::unique_ptr<Wire> wire_;
};

class Year final {
 public:
  Year(World& world, Dice& dice, std::string database, std::string key_ring,
       std::function<std::unique_ptr<CredentialStore>()> open)
      : world_(world),
        dice_(dice),
        open_(std::move(open)),
        database_(std::move(database)),
        key_ring_(std::move(key_ring)),
        rates_(world.networks.size()) {
    totals_.most_in_a_second.resize(world.networks.size());
    // About as many requests as there will be.
    kill_chance_ = absl::GetFlag(FLAGS_kills) / (15.0 * absl::GetFlag(FLAGS_grants));
    for (size_t network = 0; network < world.networks.size(); ++network) {
      for (size_t grant = 0; grant < world.connections[network].size(); ++grant) {
        if (std::bernoulli_distribution(kUsedPart)(dice_))
          PlanUse({kYearBegins + kConsents, network, grant});
      }
    }
  }

  Totals Run() {
    Restart();
    for (now_ = kYearBegins + kConsents; now_ < kYearBegins + kYear;) {
      const absl::Time idle_until = Step();
      now_ = std::max(std::min(idle_until, NextEvent()), now_ + absl::Milliseconds(1));
      if (now_ >= kYearBegins + kStops && now_ < kYearBegins + kStops + kIsStopped) {
        now_ = kYearBegins + kStops + kIsStopped;
        Restart();
      }
    }
    return std::move(totals_);
  }

 private:
  struct PlannedUse {
    absl::Time at;
    size_t network;
    size_t grant;
    bool operator<(const PlannedUse& other) const { return at > other.at; }
  };

  // Of a grant's request, the first, the second and so on: its own, so that what comes of it does
  // not depend on which of the refresher's threads asked first.
  Dice DiceOf(size_t network, std::optional<size_t> grant) {
    const size_t number = grant.value_or(world_.connections[network].size());
    std::seed_seq seed{size_t{absl::GetFlag(FLAGS_seed)}, network, number,
                       ++requests_[{network, number}]};
    return Dice(seed);
  }
  void Restart() {
    child_.reset();
    child_ = std::make_unique<Child>(database_, key_ring_, absl::GetFlag(FLAGS_seed),
                                     absl::GetFlag(FLAGS_rate));
  }
  void PlanUse(PlannedUse use) {
    std::exponential_distribution<double> days(1 / kDaysBetweenUses);
    use.at += days(dice_) * absl::Hours(24);
    uses_.push(use);
  }

  // By how much the refresher's clock is ahead.
  absl::Duration ClockError() const {
    const absl::Duration since = now_ - (kYearBegins + kClockGoesWrong);
    return since >= absl::ZeroDuration() && since < kClockIsWrong ? kClockError
                                                                  : absl::ZeroDuration();
  }
  Message Now() const {
    return {{"now", absl::ToUnixMillis(now_)},
            {"clock_error", absl::ToInt64Milliseconds(ClockError())},
            {"use", Message::array()}};
  }
  // When something happens that the refresher does not know beforehand.
  absl::Time NextEvent() const {
    absl::Time next = uses_.empty() ? absl::InfiniteFuture() : uses_.top().at;
    for (const absl::Duration at :
         {kClockGoesWrong, kClockGoesWrong + kClockIsWrong, kStops + kIsStopped}) {
      const absl::Time time = kYearBegins + at;
      if (time > now_) next = std::min(next, time);
    }
    return next;
  }

  // Has the refresher do what there is to do now. Returns until when it is idle.
  absl::Time Step() {
    ++totals_.steps;
    asked_.clear();
    used_.clear();
    Message command = Now();
    while (!uses_.empty() && uses_.top().at <= now_) {
      const PlannedUse use = uses_.top();
      uses_.pop();
      used_.insert({use.network, use.grant});
      command["use"].push_back(
          {World::OrgOf(use.network), world_.connections[use.network][use.grant].account_id});
      PlanUse(use);
    }
    child_->wire().Send(command);
    while (true) {
      const std::optional<Message> message = child_->wire().Receive();
      if (!message) FailNow(absl::InternalError("the refresher ended by itself"));
      if (message->contains("idle_until")) {
        answered_.clear();
        return absl::FromUnixMillis(message->at("idle_until").get<int64_t>());
      }
      if (Answer(*message)) continue;
      // Killed: the new one does the rest.
      totals_.killed_at.push_back(now_);
      Restart();
      child_->wire().Send(Now());
    }
  }

  // False where the refresher was killed meanwhile.
  bool Answer(const Message& ask) {
    const size_t index = World::NetworkOf(ask.at("org_id").get<std::string>());
    YearNetwork& network = *world_.networks[index];
    const std::string request = ask.at("request");
    if (!network.IsRefresh(request)) {
      // A list of pages, with their own tokens. Nobody has any.
      child_->wire().Send(
          {{"answer", ask.at("ask")}, {"kind", "answered"}, {"status", 200}, {"body", "{}"}});
      return true;
    }
    const std::optional<size_t> grant = network.GrantOf(request);
    CheckRate(index, grant);
    Dice dice = DiceOf(index, grant);
    const bool is_killed = std::bernoulli_distribution(kill_chance_)(dice);
    const int when = std::uniform_int_distribution<int>(0, 2)(dice);
    const int kill_after_us = std::uniform_int_distribution<int>(0, 5000)(dice);
    if (is_killed && when == 0) {
      ++totals_.kills_before;
      Kill();
      return false;
    }
    const YearAnswer answer =
        network.Ask(request, now_, ClockError() != absl::ZeroDuration(), dice);
    if (grant) answered_.emplace_back(&network, *grant);
    if (is_killed && when == 1) {
      ++totals_.kills_unanswered;
      Kill();
      return false;
    }
    static const std::map<YearAnswer::Kind, std::string> kKinds = {
        {YearAnswer::Kind::kAnswered, "answered"},
        {YearAnswer::Kind::kUnsent, "unsent"},
        {YearAnswer::Kind::kLost, "lost"}};
    child_->wire().Send({{"answer", ask.at("ask")},
                         {"kind", kKinds.at(answer.kind)},
                         {"status", answer.status},
                         {"body", answer.body}});
    if (!is_killed) return true;
    // Somewhere between the answer and the end of the commit.
    std::this_thread::sleep_for(std::chrono::microseconds(kill_after_us));
    ++totals_.kills_after;
    Kill();
    return false;
  }

  void Kill() {
    child_->Kill();
    // Of all that was answered since it last was idle, nobody knows what it has stored.
    for (const auto& [network, grant] : answered_) network->at(grant).is_unconfirmed = true;
    answered_.clear();
    // Nor, of what it had the lease of, what it had sent.
    const auto store = open_();
    for (size_t index = 0; index < world_.networks.size(); ++index) {
      YearNetwork& network = *world_.networks[index];
      if (!network.ReuseEndsGrant()) continue;
      for (size_t number = 0; number < world_.connections[index].size(); ++number) {
        const auto grant = store->grants().Get(kNoLimit, World::OrgOf(index),
                                               world_.connections[index][number].grant_id);
        FailNow(grant.status());
        if (!grant->lease_holder().empty()) network.at(number).may_be_given_up = true;
      }
    }
  }

  // What callers cause, and the second one where an answer was lost, are not of the rate.
  void CheckRate(size_t network, std::optional<size_t> grant) {
    if (!grant || used_.contains({network, *grant})) return;
    if (!asked_.insert({network, *grant}).second) return;
    const size_t count = rates_[network].Count(now_);
    totals_.most_in_a_second[network] = std::max(totals_.most_in_a_second[network], count);
    const auto restarts =
        std::count_if(totals_.killed_at.begin(), totals_.killed_at.end(),
                      [this](absl::Time killed) { return killed > now_ - absl::Seconds(1); });
    // Each new process begins afresh.
    if (static_cast<double>(count) <= absl::GetFlag(FLAGS_rate) + static_cast<double>(restarts)) {
      return;
    }
    totals_.too_fast.push_back(absl::StrCat(world_.networks[network]->name(), ": ", count,
                                            " requests within a second, at ",
                                            absl::FormatTime(now_, absl::UTCTimeZone())));
  }

  World& world_;
  Dice& dice_;                                            // Of the plans.
  std::map<std::pair<size_t, size_t>, size_t> requests_;  // By network and grant.
  const std::function<std::unique_ptr<CredentialStore>()> open_;
  std::vector<std::pair<YearNetwork*, size_t>> answered_;
  const std::string database_;
  const std::string key_ring_;
  double kill_chance_ = 0;
  std::priority_queue<PlannedUse> uses_;
  std::unique_ptr<Child> child_;
  absl::Time now_;
  std::set<std::pair<size_t, size_t>> asked_;  // In this step.
  std::set<std::pair<size_t, size_t>> used_;   // In this step, by callers.
  std::vector<RateCheck> rates_;
  Totals totals_;
};

// How the accounts and the networks' truth agree at the end.
struct Verdict {
  int alive = 0, ended_with_consent = 0, lost = 0, given_up = 0;
  std::vector<std::string> faults;
};

void Judge(CredentialStore& store, World& world, size_t index, size_t number, Verdict& verdict) {
  const absl::Time end = kYearBegins + kYear;
  YearNetwork& network = *world.networks[index];
  const YearGrant& truth = network.Look(number, end);
  const std::string org_id = World::OrgOf(index);
  const Connection& connection = world.connections[index][number];
  const auto account = store.accounts().Get(kNoLimit, org_id, connection.account_id);
  const auto opened = store.grants().GetWithTokens(kNoLimit, org_id, connection.grant_id);
  if (!account.ok() || !opened.ok()) {
    verdict.faults.push_back(absl::StrCat(network.name(), " ", number, ": can't be read"));
    return;
  }
  const bool is_active = account->status() == record::v1::ACCOUNT_STATUS_ACTIVE;
  const std::string& newest =
      truth.refresh_token.empty() ? truth.access_token : truth.refresh_token;
  const std::string& ours =
      truth.refresh_token.empty() ? opened->tokens.access_token : opened->tokens.refresh_token;
  const bool has_living =
      ours == newest || truth.older.contains(ours) || truth.refresh_token.empty();
  // Whoever can't know whether its refresh token was used has to give it up.
  if (!is_active && network.ReuseEndsGrant() && account->status_reason() == kRefreshAnswerLost &&
      truth.may_be_given_up) {
    ++verdict.given_up;
    return;
  }
  if (truth.ended) {
    if (network.EndsWithConsent()) {
      ++verdict.ended_with_consent;
    } else if (truth.is_lost || !has_living) {
      ++verdict.lost;
    } else {
      const record::v1::Grant& grant = opened->grant;
      verdict.faults.push_back(absl::StrCat(
          network.name(), " ", number, ": ", *truth.ended, "; the account is ",
          is_active ? "active" : account->status_reason(), " since ",
          absl::FormatTime(absl::FromUnixMillis(account->updated_at_ms()), absl::UTCTimeZone()),
          ", its grant was refreshed at ",
          absl::FormatTime(absl::FromUnixMillis(grant.updated_at_ms()), absl::UTCTimeZone()),
          " (by the network ", absl::FormatTime(truth.refreshed_at, absl::UTCTimeZone()),
          ") and is due at ",
          absl::FormatTime(absl::FromUnixMillis(grant.due_at_ms()), absl::UTCTimeZone())));
    }
    return;
  }
  // It lives, with tokens that never came.
  if (truth.is_lost || !has_living) {
    ++verdict.lost;
    return;
  }
  if (is_active) {
    ++verdict.alive;
    return;
  }
  verdict.faults.push_back(absl::StrCat(network.name(), " ", number, ": was given up (",
                                        account->status_reason(), ") though it lives"));
}

int RunYear() {
  FailNow(InitCrypto());
  const auto began = std::chrono::steady_clock::now();
  Dice dice(absl::GetFlag(FLAGS_seed));
  const TempDir folder;
  const std::string database = folder.File("year.db");
  const std::string key_ring = folder.Write("keys", NewKeyRingText(FillRandom));
  const KeyRing ring = KeyRing::Parse(ReadFile(key_ring)).value();
  const Sealer sealer(ring);
  const auto open_with = [&](const RandomSource& random) {
    auto backend = OpenSqliteBackend(database);
    FailNow(backend.status());
    auto store = CredentialStore::Open(*std::move(backend), sealer, random);
    FailNow(store.status());
    return *std::move(store);
  };
  const auto open = [&] { return open_with(FillRandom); };

  World world;
  AddNetworks(world, dice);
  const int grants = absl::GetFlag(FLAGS_grants);
  {
    // The accounts' ids too are the seed's, as what is due together is refreshed in their order.
    const RandomSource random = [&dice](std::span<uint8_t> bytes) {
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(dice());
    };
    const auto store = open_with(random);
    for (size_t i = 0; i < world.networks.size(); ++i) AddConfiguration(*store, world, i);
    for (int i = 0; i < grants; ++i) {
      const absl::Duration after = std::uniform_real_distribution<double>(0, 1)(dice) * kConsents;
      Connect(*store, world, i % world.networks.size(),
              kYearBegins + absl::Floor(after, absl::Milliseconds(1)), random);
    }
  }
  const Totals totals = Year(world, dice, database, key_ring, open).Run();

  Verdict verdict;
  const auto store = open();
  YearNetwork::Counts all;
  size_t most_in_a_second = 0;
  std::cout << "network                requests refreshed lost refused outages (requests, false "
               "refusals) most/s\n";
  for (size_t i = 0; i < world.networks.size(); ++i) {
    YearNetwork& network = *world.networks[i];
    for (size_t number = 0; number < network.size(); ++number) {
      Judge(*store, world, i, number, verdict);
    }
    const YearNetwork::Counts& counts = network.counts();
    std::cout << absl::StrCat(network.name(),
                              std::string(23 - std::min<size_t>(22, network.name().size()), ' '),
                              counts.requests, " ", counts.refreshed, " ", counts.lost, " ",
                              counts.refused, " ", counts.outages, " (", counts.in_outages, ", ",
                              counts.false_refusals, ") ", totals.most_in_a_second[i], "\n");
    for (const std::string& violation : network.violations()) verdict.faults.push_back(violation);
    all.requests += counts.requests;
    all.refreshed += counts.refreshed;
    all.lost += counts.lost;
    all.in_outages += counts.in_outages;
    all.false_refusals += counts.false_refusals;
    all.outages += counts.outages;
    most_in_a_second = std::max(most_in_a_second, totals.most_in_a_second[i]);
  }
  for (const std::string& fault : totals.too_fast) verdict.faults.push_back(fault);
  // A year in which nothing went wrong would show nothing.
  const int64_t kills = totals.kills_before + totals.kills_unanswered + totals.kills_after;
  if (all.refreshed < grants || all.lost == 0 || all.in_outages == 0 || all.false_refusals == 0 ||
      kills == 0 || verdict.alive < grants / 2) {
    verdict.faults.push_back("too little happened");
  }

  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began)
          .count();
  std::cout << absl::StrCat(
      grants, " grants of ", world.networks.size(), " networks and variants, seed ",
      absl::GetFlag(FLAGS_seed), ", ", totals.steps, " steps, ", seconds, " s\n", all.requests,
      " requests, ", all.refreshed, " refreshes, ", all.lost, " lost answers, ", all.outages,
      " outages with ", all.in_outages, " requests, ", all.false_refusals, " false refusals\n",
      kills, " kills: ", totals.kills_before, " before the network had the request, ",
      totals.kills_unanswered, " before its answer came, ", totals.kills_after,
      " before its answer was stored, or right after\n",
      "most requests to a network in a second: ", most_in_a_second, "\n", verdict.alive,
      " accounts live; ", verdict.ended_with_consent,
      " ended as long after the consent as their networks say, ", verdict.lost,
      " whose new tokens were lost on the way, ", verdict.given_up,
      " given up because a second use would have ended them\n");
  constexpr size_t kShown = 20;
  for (size_t i = 0; i < std::min(kShown, verdict.faults.size()); ++i) {
    std::cout << "FAILED: " << verdict.faults[i] << "\n";
  }
  if (verdict.faults.size() > kShown) std::cout << verdict.faults.size() << " faults in all\n";
  return verdict.faults.empty() ? 0 : 1;
}

}  // namespace
}  // namespace authurl::testing

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  if (absl::GetFlag(FLAGS_child_fd) < 0) return authurl::testing::RunYear();
  return authurl::testing::RunRefresherChild({.fd = absl::GetFlag(FLAGS_child_fd),
                                              .database = absl::GetFlag(FLAGS_child_database),
                                              .key_ring_file = absl::GetFlag(FLAGS_child_key_ring),
                                              .seed = absl::GetFlag(FLAGS_seed),
                                              .refreshes_per_second = absl::GetFlag(FLAGS_rate)});
}
