#include "tests/bench/bare_curl.h"

#include <curl/curl.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/bench/measured_window.h"

namespace authurl::bench {
namespace {

using Clock = std::chrono::steady_clock;

enum class Phase { kWarmup, kMeasure, kOver };

constexpr char kTokenUrl[] = "https://api.x.com/2/oauth2/token";
constexpr char kProfileUrl[] =
    "https://api.x.com/2/users/me?user.fields=id,name,username,profile_image_url";
// All as long as those of the deployment's flows.
constexpr char kBasic[] =
    "Authorization: Basic "
    "UTB4SlJVNVVYMHRGV1Y5UFJsOUJUbDlCVUZBNk1UcGphUTpjMlZqY21WMExXOW1MV0Z1TF"
    "dGd2NDMXZaaTAwTlMxamFHRnlZV04wWlhKekxn";
constexpr char kExchange[] =
    "grant_type=authorization_code"
    "&code=000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000"
    "&redirect_uri=https%3A%2F%2Fpublisher.example.com%2Fconnect%2Fcallback"
    "&code_verifier=0123456789012345678901234567890123456789012";

struct CurlDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct EasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using CurlList = std::unique_ptr<curl_slist, CurlDeleter>;
using CurlEasy = std::unique_ptr<CURL, EasyDeleter>;

CurlList ListOf(const std::vector<std::string>& lines) {
  curl_slist* list = nullptr;
  for (const std::string& line : lines) list = curl_slist_append(list, line.c_str());
  return CurlList(list);
}

// The two requests, one after the other, again and again, by one handle.
class Flow final {
 public:
  Flow(const BareCurlOptions& options, const std::atomic<Phase>& phase)
      : phase_(phase),
        connect_to_(ListOf({absl::StrCat("::", options.address)})),
        exchange_headers_(ListOf({"Accept: application/json", kBasic,
                                  "Content-Type: application/x-www-form-urlencoded", "Expect:"})),
        easy_(curl_easy_init()) {
    CURL* const easy = easy_.get();
    curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_CONNECT_TO, connect_to_.get());
    curl_easy_setopt(easy, CURLOPT_CAINFO, options.ca_file.c_str());
    curl_easy_setopt(easy, CURLOPT_CAPATH, static_cast<const char*>(nullptr));
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_2TLS));
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "authurl/0.1.0");
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 10'000L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Flow::TakeBody);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  }
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;

  CURL* easy() const { return easy_.get(); }

  // Sets the handle up for the next request.
  void Prepare() {
    body_.clear();
    CURL* const easy = easy_.get();
    if (!token_.empty()) {
      profile_headers_ = ListOf(
          {"Accept: application/json", absl::StrCat("Authorization: Bearer ", token_), "Expect:"});
      curl_easy_setopt(easy, CURLOPT_URL, kProfileUrl);
      curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
      curl_easy_setopt(easy, CURLOPT_HTTPHEADER, profile_headers_.get());
      return;
    }
    begun_ = Clock::now();
    curl_easy_setopt(easy, CURLOPT_URL, kTokenUrl);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, kExchange);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(sizeof(kExchange) - 1));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange_headers_.get());
  }

  // The request has ended. Whether there is to be another.
  bool Take(CURLcode code) {
    long status = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || status != 200) {
      failure_ = absl::StrCat(curl_easy_strerror(code), ", status ", status);
      return false;
    }
    if (!token_.empty()) {
      token_.clear();
      if (phase_.load(std::memory_order_relaxed) == Phase::kMeasure) Record();
      return true;
    }
    constexpr absl::string_view kBefore = "\"access_token\":\"";
    const size_t found = body_.find(kBefore.data());
    if (found != std::string::npos) {
      const size_t begin = found + kBefore.size();
      token_ = body_.substr(begin, body_.find('"', begin) - begin);
    }
    if (token_.empty()) failure_ = "an exchange without a token";
    return failure_.empty();
  }

  const LatencyHistogram& latency() const { return latency_; }
  // Empty where there was none.
  const std::string& failure() const { return failure_; }

 private:
  static size_t TakeBody(const char* data, size_t size, size_t count, void* self) {
    static_cast<Flow*>(self)->body_.append(data, size * count);
    return size * count;
  }

  void Record() {
    const auto taken = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begun_);
    latency_.Record(static_cast<uint64_t>(taken.count()));
  }

  const std::atomic<Phase>& phase_;
  // The lists outlive the handle, which is declared behind them.
  const CurlList connect_to_;
  const CurlList exchange_headers_;
  CurlList profile_headers_;
  const CurlEasy easy_;
  std::string body_;
  std::string token_;  // Between exchange and profile.
  Clock::time_point begun_;
  LatencyHistogram latency_;
  std::string failure_;
};

using Flows = std::vector<std::unique_ptr<Flow>>;

void RunAlone(Flow& flow, const std::atomic<Phase>& phase) {
  while (phase.load(std::memory_order_relaxed) != Phase::kOver) {
    flow.Prepare();
    if (!flow.Take(curl_easy_perform(flow.easy()))) return;
  }
}

void RunTogether(const Flows& flows, const std::atomic<Phase>& phase) {
  CURLM* const multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, static_cast<long>(flows.size()));
  for (const auto& flow : flows) {
    flow->Prepare();
    curl_multi_add_handle(multi, flow->easy());
  }
  while (phase.load(std::memory_order_relaxed) != Phase::kOver) {
    int running = 0;
    curl_multi_perform(multi, &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      Flow* flow = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &flow);
      curl_multi_remove_handle(multi, flow->easy());  // The message is gone with it.
      if (!flow->Take(code)) continue;
      flow->Prepare();
      curl_multi_add_handle(multi, flow->easy());
    }
    curl_multi_poll(multi, nullptr, 0, /*timeout_ms=*/50, nullptr);
  }
  for (const auto& flow : flows) curl_multi_remove_handle(multi, flow->easy());
  curl_multi_cleanup(multi);
}

}  // namespace

absl::StatusOr<LoadResult> RunBareCurl(const BareCurlOptions& options) {
  signal(SIGPIPE, SIG_IGN);
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    return absl::InternalError("libcurl does not work on this machine");
  }
  std::atomic<Phase> phase = Phase::kWarmup;
  Flows flows;
  for (int i = 0; i < options.flows; ++i) flows.push_back(std::make_unique<Flow>(options, phase));
  LoadResult result;
  MeasuredWindow window(/*server=*/0, options.network, result);
  std::vector<std::thread> threads;
  if (options.frame == CurlFrame::kMulti) {
    threads.emplace_back([&] { RunTogether(flows, phase); });
  } else {
    for (const auto& flow : flows) {
      threads.emplace_back([&phase, raw = flow.get()] { RunAlone(*raw, phase); });
    }
  }
  std::this_thread::sleep_for(absl::ToChronoNanoseconds(options.warmup));
  window.Open();
  phase.store(Phase::kMeasure);
  std::this_thread::sleep_for(absl::ToChronoNanoseconds(options.duration));
  phase.store(Phase::kOver);
  window.Close();
  for (std::thread& thread : threads) thread.join();
  for (const auto& flow : flows) {
    if (!flow->failure().empty()) return absl::UnknownError(flow->failure());
    result.calls += flow->latency().count();
    result.latency.Merge(flow->latency());
  }
  if (result.calls == 0) return absl::UnknownError("no request ended in the measured time");
  return result;
}

}  // namespace authurl::bench
