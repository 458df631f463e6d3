#include "tests/simulation/refresher_child.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <span>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/sealer.h"
#include "core/errors.h"
#include "server/flow/flow_metrics.h"
#include "server/flow/network_pace.h"
#include "server/flow/refresh_due.h"
#include "server/flow/refresh_grant.h"
#include "server/outbound/http_client.h"
#include "storage/credential_store.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/simulation/wire.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

constexpr size_t kJitterBytes = 2;

// Asks the parent. What it is told is passed on by whoever reads from the wire.
class WireClient final : public HttpClient {
 public:
  explicit WireClient(Wire& wire) : wire_(wire) {}

  void Send(HttpRequest request, CallTarget target, const CallContext&,
            Callback callback) override {
    Message ask = {{"org_id", target.org_id}};
    std::string text = request.url;
    for (const HttpHeader& header : request.headers) absl::StrAppend(&text, "\n", header.value);
    ask["request"] = absl::StrCat(text, "\n", request.body);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ask["ask"] = ++asked_;
      waiting_.emplace(asked_, std::move(callback));
    }
    wire_.Send(ask);
  }

  void OnAnswer(const Message& message) {
    std::optional<Callback> callback;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      callback = std::move(waiting_.extract(message.at("answer").get<int>()).mapped());
    }
    const std::string kind = message.at("kind");
    if (kind == "answered") {
      HttpAnswer answer;
      answer.status = message.at("status");
      answer.body = message.at("body").get<std::string>();
      return (*callback)(std::move(answer));
    }
    const absl::Status failure = MakeError(absl::StatusCode::kUnavailable, "NETWORK_UNAVAILABLE",
                                           "It can't be reached: no whole answer came");
    (*callback)(kind == "unsent" ? Unsent(failure) : failure);
  }

 private:
  Wire& wire_;
  std::mutex mutex_;
  int asked_ = 0;                    // Guarded by mutex_.
  std::map<int, Callback> waiting_;  // Guarded by mutex_.
};

// Counts what is under way, and is told of ends.
class Busy final {
 public:
  void Begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++users_;
  }
  void EndUse() {
    const std::lock_guard<std::mutex> lock(mutex_);
    --users_;
    ++ends_;
    changed_.notify_all();
  }
  void RefreshEnded() {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++ends_;
    changed_.notify_all();
  }
  bool HasUsers() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return users_ > 0;
  }
  uint64_t ends() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return ends_;
  }
  void WaitForEndAfter(uint64_t seen) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return ends_ != seen; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int users_ = 0;
  uint64_t ends_ = 0;
};

// The parent's commands, in their order; nothing once it has hung up.
class Commands final {
 public:
  void Push(std::optional<Message> command) {
    const std::lock_guard<std::mutex> lock(mutex_);
    commands_.push_back(std::move(command));
    changed_.notify_all();
  }
  std::optional<Message> Pop() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return !commands_.empty(); });
    std::optional<Message> command = std::move(commands_.front());
    commands_.pop_front();
    return command;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::optional<Message>> commands_;
};

void Use(GrantRefresher& refresher, Busy& busy, const Message& account) {
  busy.Begin();
  auto context = std::make_shared<const CallContext>(absl::Now() + absl::Minutes(2));
  const CallContext& work = *context;
  refresher.GetToken(account.at(0).get<std::string>(), account.at(1).get<std::string>(), {}, work,
                     [&busy, context = std::move(context)](const absl::StatusOr<UsableAccount>&) {
                       busy.EndUse();
                     });
}

// Until nothing is under way and nothing can be begun; returns how long.
absl::Duration WorkUntilIdle(DueRefreshes& refreshes, Busy& busy) {
  while (true) {
    const uint64_t ends = busy.ends();
    const bool was_busy = refreshes.under_way() > 0 || busy.HasUsers();
    const absl::Duration wait = refreshes.Step();
    const bool is_busy = refreshes.under_way() > 0 || busy.HasUsers();
    if (wait == absl::ZeroDuration()) continue;
    if (!was_busy && !is_busy) return wait;
    if (is_busy) busy.WaitForEndAfter(ends);
  }
}

}  // namespace

int RunRefresherChild(const ChildOptions& options) {
  if (!InitCrypto().ok()) return 1;
  Wire wire(options.fd);
  WireClient http(wire);
  Commands commands;
  std::thread reader([&] {
    while (std::optional<Message> message = wire.Receive()) {
      message->contains("answer") ? http.OnAnswer(*message) : commands.Push(std::move(*message));
    }
    commands.Push(std::nullopt);
  });

  const KeyRing ring = KeyRing::Parse(ReadFile(options.key_ring_file)).value();
  const Sealer sealer(ring);
  auto backend = OpenSqliteBackend(options.database);
  if (!backend.ok()) {
    std::cerr << backend.status() << "\n";
    std::_Exit(1);
  }
  const auto store = CredentialStore::Open(*std::move(backend), sealer, FillRandom).value();
  const NetworkCatalog catalog = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  std::atomic<int64_t> now_ms = 0;
  std::atomic<int64_t> clock_error_ms = 0;
  const Clock steady = [&] { return absl::FromUnixMillis(now_ms); };
  const Clock clock = [&] { return absl::FromUnixMillis(now_ms + clock_error_ms); };
  // The jitter is the seed's and the time's: it does not depend on which thread comes first. It is
  // two bytes; ids, which have more, must be different, and nothing else depends on them.
  const RandomSource random = [&](std::span<uint8_t> bytes) {
    FillRandom(bytes);
    const int64_t now = now_ms;
    std::seed_seq seed{int64_t{options.seed}, now >> 32, now & 0xffff'ffff};
    std::mt19937 dice(seed);
    for (size_t i = 0; i < std::min(kJitterBytes, bytes.size()); ++i) {
      bytes[i] = static_cast<uint8_t>(dice());
    }
  };
  FlowMetrics metrics;
  ThreadPool pool(8);
  Busy busy;
  const FlowTools tools = {http, *store, catalog, pool, clock, random, metrics};
  GrantRefresher refresher(tools, steady);
  NetworkPace pace({.per_second = options.refreshes_per_second}, steady);
  DueRefreshes refreshes(tools, refresher, pace,
                         {// Nobody else connects anything.
                          .longest_pause = absl::Hours(24),
                          .steady = steady,
                          .on_end = [&busy] { busy.RefreshEnded(); }});
  while (const std::optional<Message> command = commands.Pop()) {
    now_ms = command->at("now").get<int64_t>();
    clock_error_ms = command->at("clock_error").get<int64_t>();
    for (const Message& account : command->value("use", Message::array())) {
      Use(refresher, busy, account);
    }
    const absl::Duration wait = WorkUntilIdle(refreshes, busy);
    // A time that is no whole number of them begins with the next one.
    const int64_t wait_ms = absl::ToInt64Milliseconds(absl::Ceil(wait, absl::Milliseconds(1)));
    wire.Send({{"idle_until", now_ms + wait_ms}});
  }
  reader.join();
  pool.Stop();
  return 0;
}

}  // namespace authurl::testing
