#include "server/outbound/resolver.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

// More would only be tried one after the other.
constexpr size_t kMaxAddresses = 8;

std::string TextOf(const addrinfo& info) {
  std::array<char, INET6_ADDRSTRLEN> text = {};
  const void* address = nullptr;
  if (info.ai_family == AF_INET) {
    address = &reinterpret_cast<const sockaddr_in*>(info.ai_addr)->sin_addr;
  } else if (info.ai_family == AF_INET6) {
    address = &reinterpret_cast<const sockaddr_in6*>(info.ai_addr)->sin6_addr;
  }
  if (address == nullptr ||
      inet_ntop(info.ai_family, address, text.data(), socklen_t{text.size()}) == nullptr) {
    return "";
  }
  return text.data();
}

}  // namespace

absl::StatusOr<HostAddresses> LookUpHost(const std::string& host) {
  // RFC 6761 section 6.3: without asking anybody.
  if (host == "localhost" || absl::EndsWith(host, ".localhost")) {
    return HostAddresses{"127.0.0.1", "::1"};
  }
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error == EAI_NONAME || error == EAI_NODATA)
    return absl::NotFoundError("there is no such name");
  if (error != 0) return absl::UnavailableError(gai_strerror(error));
  HostAddresses addresses;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    std::string text = TextOf(*info);
    if (!text.empty() && addresses.size() < kMaxAddresses) addresses.push_back(std::move(text));
  }
  freeaddrinfo(found);
  if (addresses.empty()) return absl::NotFoundError("the name has no address");
  return addresses;
}

// What the threads share. It lives as long as the last of them.
class Resolver::State final {
 public:
  State(const Options& options, Lookup lookup) : options_(options), lookup_(std::move(lookup)) {}

  void Resolve(const std::string& host, absl::string_view org_id, absl::Time deadline,
               Callback callback);
  size_t waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting_;
  }
  // The work of one thread.
  void Work();
  // A thread was started, or could not be.
  void AddThreads(int count);
  // Returns once every thread has ended or hangs in a look-up.
  void Stop();

 private:
  using Result = absl::StatusOr<HostAddresses>;
  struct Waiter {
    std::string org_id;
    absl::Time deadline;
    Callback callback;
  };
  struct Remembered {
    Result result;
    absl::Time until;
  };

  struct Job {
    std::string host;
    std::string org_id;  // Whose share it takes.
  };

  // All of these REQUIRE the lock.
  // Takes the first name out of the queue that is waited for by somebody whose share has room.
  // Those that nobody waits for any more are taken out as well, and their waiters moved into
  // `gone`, to be destroyed without the lock.
  std::optional<Job> NextJob(absl::Time now, std::vector<Waiter>& gone);
  bool HasRoom(const std::string& org_id) const;
  std::optional<Result> Recall(const std::string& host, absl::Time now);
  void Remember(const std::string& host, const Result& result, absl::Time now);
  // Moves those that nobody waits for any more into `gone`, to be destroyed without the lock.
  void TakeExpired(absl::Time now, std::vector<Waiter>& gone);

  const Options options_;
  const Lookup lookup_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable thread_ended_;
  // All guarded by mutex_.
  std::deque<std::string> queue_;  // Each has an entry in waiters_.
  absl::flat_hash_map<std::string, std::vector<Waiter>> waiters_;
  size_t waiting_ = 0;
  absl::flat_hash_map<std::string, Remembered> remembered_;
  bool stopping_ = false;
  int threads_ = 0;
  int threads_in_lookup_ = 0;
  absl::flat_hash_map<std::string, int> lookups_of_;  // By organisation: those under way.
};

void Resolver::State::Resolve(const std::string& host, absl::string_view org_id,
                              absl::Time deadline, Callback callback) {
  const absl::Time now = options_.clock();
  std::optional<Result> result;
  std::vector<Waiter> gone;
  {
    const std::lock_guard lock(mutex_);
    result = Recall(host, now);
    if (!result.has_value()) {
      if (waiting_ >= options_.max_waiting) TakeExpired(now, gone);
      if (waiting_ >= options_.max_waiting || threads_ == 0) {
        result = absl::ResourceExhaustedError("too many names are being looked up");
      } else {
        std::vector<Waiter>& waiters = waiters_[host];
        // One whose waiters are all gone may still be looked up.
        if (waiters.empty() && std::find(queue_.begin(), queue_.end(), host) == queue_.end()) {
          queue_.push_back(host);
        }
        waiters.push_back({std::string(org_id), deadline, std::exchange(callback, nullptr)});
        ++waiting_;
      }
    }
  }
  if (!result.has_value()) {
    wake_.notify_one();
    return;
  }
  callback(*result);
}

bool Resolver::State::HasRoom(const std::string& org_id) const {
  if (org_id.empty()) return true;
  const auto found = lookups_of_.find(org_id);
  return found == lookups_of_.end() || found->second < options_.threads_per_organization;
}

std::optional<Resolver::State::Job> Resolver::State::NextJob(absl::Time now,
                                                             std::vector<Waiter>& gone) {
  for (auto queued = queue_.begin(); queued != queue_.end();) {
    const auto waiters = waiters_.find(*queued);
    bool is_waited_for = false;
    if (waiters != waiters_.end()) {
      for (const Waiter& waiter : waiters->second) {
        if (waiter.deadline <= now) continue;
        is_waited_for = true;
        if (!HasRoom(waiter.org_id)) continue;
        Job job = {std::move(*queued), waiter.org_id};
        queue_.erase(queued);
        return job;
      }
    }
    if (is_waited_for) {
      ++queued;
      continue;
    }
    if (waiters != waiters_.end()) {
      waiting_ -= waiters->second.size();
      std::move(waiters->second.begin(), waiters->second.end(), std::back_inserter(gone));
      waiters_.erase(waiters);
    }
    queued = queue_.erase(queued);
  }
  return std::nullopt;
}

void Resolver::State::Work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    std::vector<Waiter> told;
    const std::optional<Job> job = NextJob(options_.clock(), told);
    if (!told.empty()) {
      lock.unlock();
      told.clear();
      lock.lock();
      if (!job.has_value()) continue;
      if (stopping_) break;
    }
    if (!job.has_value()) {
      wake_.wait(lock);
      continue;
    }
    ++threads_in_lookup_;
    ++lookups_of_[job->org_id];
    // Stop() counts threads that hang here as ended.
    thread_ended_.notify_all();
    lock.unlock();
    const Result result = lookup_(job->host);
    lock.lock();
    --threads_in_lookup_;
    if (const auto share = lookups_of_.find(job->org_id); --share->second == 0) {
      lookups_of_.erase(share);
    }
    if (stopping_) break;
    Remember(job->host, result, options_.clock());
    if (auto node = waiters_.extract(job->host)) told = std::move(node.mapped());
    waiting_ -= told.size();
    lock.unlock();
    for (Waiter& waiter : told) waiter.callback(result);
    told.clear();
    lock.lock();
  }
  --threads_;
  thread_ended_.notify_all();
}

void Resolver::State::AddThreads(int count) {
  const std::lock_guard lock(mutex_);
  threads_ += count;
}

void Resolver::State::Stop() {
  absl::flat_hash_map<std::string, std::vector<Waiter>> dropped;
  std::unique_lock lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
  thread_ended_.wait(lock, [this] { return threads_ == threads_in_lookup_; });
  dropped.swap(waiters_);
  queue_.clear();
  waiting_ = 0;
}

std::optional<Resolver::State::Result> Resolver::State::Recall(const std::string& host,
                                                               absl::Time now) {
  const auto found = remembered_.find(host);
  if (found == remembered_.end()) return std::nullopt;
  // Further away than ever: the clock was put back.
  if (found->second.until > now && found->second.until <= now + options_.remember_for) {
    return found->second.result;
  }
  remembered_.erase(found);
  return std::nullopt;
}

void Resolver::State::Remember(const std::string& host, const Result& result, absl::Time now) {
  if (!result.ok() && !absl::IsNotFound(result.status())) return;
  if (remembered_.size() >= options_.max_remembered) {
    absl::erase_if(remembered_, [now](const auto& entry) { return entry.second.until <= now; });
  }
  if (remembered_.size() >= options_.max_remembered) remembered_.erase(remembered_.begin());
  const absl::Time until =
      now + (result.ok() ? options_.remember_for : options_.remember_absence_for);
  remembered_.insert_or_assign(host, Remembered{result, until});
}

void Resolver::State::TakeExpired(absl::Time now, std::vector<Waiter>& gone) {
  for (auto& [host, waiters] : waiters_) {
    const auto expired =
        std::stable_partition(waiters.begin(), waiters.end(),
                              [now](const Waiter& waiter) { return waiter.deadline > now; });
    std::move(expired, waiters.end(), std::back_inserter(gone));
    waiting_ -= static_cast<size_t>(waiters.end() - expired);
    waiters.erase(expired, waiters.end());
  }
}

Resolver::Resolver(const Options& options, Lookup lookup)
    : state_(std::make_shared<State>(options, std::move(lookup))) {
  for (int i = 0; i < options.threads; ++i) {
    state_->AddThreads(1);
    try {
      std::thread([state = state_] { state->Work(); }).detach();
    } catch (const std::system_error&) {
      // With the threads there are.
      state_->AddThreads(-1);
      break;
    }
  }
}

Resolver::~Resolver() { state_->Stop(); }

void Resolver::Resolve(const std::string& host, absl::string_view org_id, absl::Time deadline,
                       Callback callback) {
  state_->Resolve(host, org_id, deadline, std::move(callback));
}

size_t Resolver::waiting() const { return state_->waiting(); }

}  // namespace authurl
