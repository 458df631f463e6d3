// flow_store.h: spent states, and what came of their flows. A part of the credential store
// (storage/credential_store.h), whose words on sealing, contexts and errors hold here.
//
// A flow is spent once, by one winner however many try at once, before its code is sent anywhere.
// The winner then has kFlowLease to bring it to its outcome: Complete() or Fail() here, or
// PendingConnectionStore::Offer(), each together with all that it leaves, in one commit. Of a flow
// without an outcome whose lease is over nobody knows what became of its code, unless the winner
// still has what came of it and stores that late.
//
// Outcomes of completed flows are kept for a day, all others until their state has expired and ten
// minutes longer. What is kept of one that is not completed takes at most kMaxUnfinishedFlowBytes,
// so that one bound on their number, per organisation, bounds the room that they take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/crypto/crypto.h"
#include "storage/backend.h"
#include "storage/connecting.h"
#include "storage/quota.h"
#include "storage/record_store.h"

namespace authurl {

// Twenty seconds of work, and what its last commit may take.
inline constexpr absl::Duration kFlowLease = absl::Seconds(30);
inline constexpr absl::Duration kCompletedFlowLifetime = absl::Hours(24);
// After the state, or the choice that the flow waits for, has expired.
inline constexpr absl::Duration kFlowGrace = absl::Minutes(10);
inline constexpr size_t kMaxUnfinishedFlowBytes = 1024;
inline constexpr int64_t kDefaultMaxUnfinishedFlows = 16'000;

// The id of the flow of a state. Whoever has it has not the nonce.
std::string FlowIdOf(const Nonce& nonce);

// Whether it has no outcome and may still come to one.
bool IsUnderWay(const record::v1::Flow& flow, absl::Time now);

// Whether whoever brings a spent state again may be told the outcome of its flow. OK: it has one,
// and `again` has the same code, binding and role. STATE_ALREADY_USED: it has not.
// COMPLETION_IN_PROGRESS: it is under way. COMPLETION_UNKNOWN: it has come to none.
absl::Status CheckReplay(const record::v1::Flow& flow, const record::v1::Flow& again,
                         absl::Time now);

// Safe to use from many threads at once.
class FlowStore final {
 public:
  struct Spent {
    // Whether this call spent it.
    bool is_won;
    // As it is now.
    record::v1::Flow flow;
  };

  // All must outlive this. `max_unfinished` 0: an organisation may have any number.
  FlowStore(RecordStore& records, Connector& connector, int64_t max_unfinished);

  // Spends the state of a flow, once. `flow` comes with id, organisation, configuration, the
  // state's expiry and what a replay must repeat; times are the store's. ORGANIZATION_NOT_FOUND;
  // RATE_LIMITED where the organisation has too many that are not completed, and STATE_ALREADY_USED
  // where the id is another organisation's: then nothing is spent.
  absl::StatusOr<Spent> Spend(const CallContext& context, record::v1::Flow flow, absl::Time now);
  // Nothing where its state was not spent, or that is long ago.
  absl::StatusOr<std::optional<record::v1::Flow>> Find(const CallContext& context,
                                                       absl::string_view org_id,
                                                       absl::string_view flow_id);

  // For the winner. Once it came to an outcome another call returns that of Complete(), or is OK.

  // Ends it with an error that was answered, whose message is cleaned, and cut here. Succeeds on a
  // full disk.
  absl::Status Fail(const CallContext& context, absl::string_view org_id, absl::string_view flow_id,
                    const absl::Status& error, absl::Time now);
  // Ends it with nothing connected: its code was handed to somebody who exchanges it.
  absl::Status HandOut(const CallContext& context, absl::string_view org_id,
                       absl::string_view flow_id, absl::Time now);
  // Stores the grant and its accounts, at least one, with the outcome: all or nothing.
  // Late, too: nobody but the winner has the consent. COMPLETION_UNKNOWN where the flow is gone;
  // STATE_ALREADY_USED where it came to another outcome; SOCIAL_NETWORK_NOT_FOUND,
  // CONFIGURATION_CHANGED, TOO_MANY_ACCOUNTS, ORGANIZATION_NOT_FOUND: then what was granted is to
  // be revoked, and the flow fails.
  absl::StatusOr<Connected> Complete(const CallContext& context, absl::string_view org_id,
                                     absl::string_view flow_id, const NewGrant& grant,
                                     absl::Span<const NewAccount> accounts, absl::Time now);

  // Removes at most `limit` flows that were kept long enough, in one small transaction. Returns how
  // many it did; fewer than `limit` once none is left.
  absl::StatusOr<int> Purge(absl::Time now, int limit);

 private:
  // A flow with its row.
  struct Opened {
    record::v1::Flow flow;
    uint64_t version;
  };
  absl::StatusOr<Opened> Open(const CallContext& context, absl::string_view org_id,
                              absl::string_view flow_id);
  // Removes one that came to no outcome, or whose choice was not made: nobody was told so far.
  absl::Status PurgeUnended(const CallContext& context, const Row& due, absl::Time now);
  // Gives it the outcome that it has not yet.
  absl::Status End(const CallContext& context, absl::string_view org_id, absl::string_view flow_id,
                   absl::Time now, absl::FunctionRef<void(record::v1::Flow&)> set_outcome);

  RecordStore& records_;
  Connector& connector_;
  Quota unfinished_;
};

// The part of a commit that brings a flow, read in a version, to the outcome that it has now.
// `is_marked_only`: it must fit where the disk is full.
Update FlowUpdate(const RecordStore& records, const record::v1::Flow& flow, int64_t generation,
                  uint64_t version_before, bool is_marked_only = false);
// Ends a flow with an error, its message cut so that it keeps to its bound.
void SetFailure(record::v1::Flow& flow, const absl::Status& error, absl::Time now);
void SetCompleted(record::v1::Flow& flow, const Connected& connected, absl::Time now);

}  // namespace authurl
