// pipeline.h: the one pipeline that every rpc goes through.
//
//   admit → authenticate → authorise → rate limit → handle → map → send → count and log
//
// Counted and logged is what was sent.
//
// It takes calls from a frame (callback_frame.h) as plain values and knows nothing of gRPC's ways
// of serving. A call begins on the frame's thread, where nothing may wait, and goes to another lane
// (lanes.h) only for the step that needs it.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "server/observe/access_log.h"
#include "server/observe/metrics.h"
#include "server/serving/admission.h"
#include "server/serving/api_keys.h"
#include "server/serving/call_subject.h"
#include "server/serving/ending.h"
#include "server/serving/lanes.h"
#include "server/serving/method.h"
#include "server/serving/rate_limits.h"
#include "server/serving/reply.h"
#include "server/system/clock.h"
#include "storage/credential_store.h"

namespace authurl {

class Pipeline;

// What a caller sent. The views must stay good until the call is destroyed.
struct IncomingCall {
  const Metadata& metadata;
  absl::string_view request;
  absl::Time deadline = absl::InfiniteFuture();
  // Where it came from, for the log; empty where it is not known.
  std::string peer = {};
};

// One call on its way through the pipeline. The frame makes it, serves it, tells it when its caller
// has gone, and destroys it once the reply was sent: then it is counted and logged, by what was
// sent. It stays where it is made.
class Call final : private LaneTask, private Answerable {
 public:
  // Everything referred to must outlive the call.
  Call(Pipeline& pipeline, const Method& method, const IncomingCall& incoming, Reply& reply);
  // REQUIRES: the reply was sent, and no CallerIsGone() is under way.
  ~Call() override;

  // Serves the call; may return before it is done. To be called once.
  void Serve();
  // The caller went away, or the deadline passed, before the reply was sent, or on its way. What
  // has not begun never does. At most once, on any thread, after Serve() has begun.
  void CallerIsGone();

 private:
  friend class Pipeline;

  // Where a call stands in the pipeline's list.
  enum class Step { kAdmit, kAuthorise, kHandle, kWrite };

  const CallContext& context() const override { return context_; }
  void Run() override;
  void Drop() override;
  void End(Ending ending) override;
  void WhenCallerGoes(absl::AnyInvocable<void()> react) override;

  // The code that the caller has got; of one that has gone, why.
  grpc::StatusCode SentCode() const;
  void LogWhatWasSent(grpc::StatusCode code) const;

  Pipeline& pipeline_;
  const Method& method_;
  const IncomingCall incoming_;
  Reply& reply_;
  const absl::Time started_ = absl::Now();
  CallContext context_;

  // On the way. One thread at a time has the call.
  Step step_ = Step::kAdmit;
  Lane lane_ = Lane::kMemory;  // The last one that it was handed to.
  bool admitted_ = false;
  Credentials credentials_;  // With views of the metadata.
  std::string key_id_;       // For the log, also when the key is refused: who tried.
  Caller caller_;            // Once it is authorised.
  WriteFirst write_;

  // How it ended.
  absl::Duration duration_;
  grpc::StatusCode code_ = grpc::StatusCode::OK;
  std::string reason_;
  std::string faulty_fields_;
  std::string cause_;
  CallSubject subject_;
  absl::AnyInvocable<void()> when_sent_;

  std::mutex mutex_;
  bool caller_is_gone_ = false;           // Guarded by mutex_.
  absl::AnyInvocable<void()> when_gone_;  // Guarded by mutex_.
};

// Safe to use from many threads at once. Everything it refers to must outlive it.
class Pipeline final {
 public:
  // `sealer` opens tenant tokens, and `clock` says whether they have expired.
  Pipeline(CredentialStore& store, const Sealer& sealer, Lanes& lanes, Admission& admission,
           RateLimits& rate_limits, Metrics& metrics, Clock clock, RandomSource random,
           int max_metadata_bytes)
      : store_(store),
        sealer_(sealer),
        lanes_(lanes),
        admission_(admission),
        rate_limits_(rate_limits),
        metrics_(metrics),
        clock_(std::move(clock)),
        random_(std::move(random)),
        max_metadata_bytes_(static_cast<size_t>(max_metadata_bytes)) {}

 private:
  friend class Call;

  // What became of a call on a thread: it ends, or goes on in another lane.
  using Progress = std::variant<Ending, Lane>;

  // Takes the call as far as it gets in lane `here`, then ends it or hands it on.
  void Advance(Unanswered unanswered, Call& call, Lane here);
  Progress Proceed(Call& call, Lane here);
  absl::Status Admit(Call& call);
  absl::Status ReadTheCredentials(Call& call) const;
  std::optional<absl::Status> Authorise(Call& call, Lane here);
  static Progress Handle(Call& call, Lane here);
  void HandOver(Unanswered unanswered, Call& call, Lane lane);
  void StartOutbound(Unanswered unanswered, Call& call);

  CredentialStore& store_;
  const Sealer& sealer_;
  Lanes& lanes_;
  Admission& admission_;
  RateLimits& rate_limits_;
  Metrics& metrics_;
  const Clock clock_;
  const RandomSource random_;
  const size_t max_metadata_bytes_;
};

}  // namespace authurl
