#include "storage/flow_store.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/crypto/sealer.h"
#include "core/errors.h"
#include "storage/digest_id.h"
#include "storage/store_errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::Flow;
using record::v1::SocialAccount;

bool HasOutcome(const Flow& flow) { return flow.outcome_case() != Flow::OUTCOME_NOT_SET; }

size_t SealedBytes(const Flow& flow) { return flow.ByteSizeLong() + kSealedOverhead; }

// At most so many bytes of a text, never a part of a character.
std::string CutText(absl::string_view text, size_t bytes) {
  if (text.size() <= bytes) return std::string(text);
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return std::string(text.substr(0, bytes));
}

}  // namespace

std::string FlowIdOf(const Nonce& nonce) { return DigestId(AsChars(nonce)); }

bool IsUnderWay(const Flow& flow, absl::Time now) {
  return !HasOutcome(flow) && absl::ToUnixMillis(now) < flow.lease_until_ms();
}

absl::Status CheckReplay(const Flow& flow, const Flow& again, absl::Time now) {
  const bool is_same =
      EqualInConstantTime(flow.code_digest(), again.code_digest()) &&
      EqualInConstantTime(flow.session_binding_hash(), again.session_binding_hash()) &&
      flow.role() == again.role() && flow.org_id() == again.org_id();
  if (!is_same) return StateAlreadyUsed();
  if (HasOutcome(flow)) return absl::OkStatus();
  return IsUnderWay(flow, now) ? CompletionInProgress() : CompletionUnknown();
}

Update FlowUpdate(const RecordStore& records, const Flow& flow, int64_t generation,
                  uint64_t version_before, bool is_marked_only) {
  return {&kFlows, records.sealer().Seal(flow, generation, version_before + 1), version_before,
          is_marked_only};
}

void SetFailure(Flow& flow, const absl::Status& error, absl::Time now) {
  Flow::Failed& failed = *flow.mutable_failed();
  failed.set_code(static_cast<int32_t>(error.code()));
  failed.set_reason(CutText(ReasonOf(error), 64));
  flow.set_ended_at_ms(absl::ToUnixMillis(now));
  flow.set_purge_at_ms(std::max(flow.state_expires_at_ms(), absl::ToUnixMillis(now)) +
                       absl::ToInt64Milliseconds(kFlowGrace));
  // The lengths around it take a few bytes more.
  constexpr size_t kAround = 16;
  const size_t taken = SealedBytes(flow) + kAround;
  const size_t room = taken < kMaxUnfinishedFlowBytes ? kMaxUnfinishedFlowBytes - taken : 0;
  failed.set_message(CutText(error.message(), room));
}

void SetCompleted(Flow& flow, const Connected& connected, absl::Time now) {
  Flow::Completed& completed = *flow.mutable_completed();
  completed.set_grant_id(connected.grant_id);
  for (const SocialAccount& account : connected.accounts) completed.add_account_ids(account.id());
  flow.set_ended_at_ms(absl::ToUnixMillis(now));
  flow.set_purge_at_ms(absl::ToUnixMillis(now + kCompletedFlowLifetime));
}

FlowStore::FlowStore(RecordStore& records, Connector& connector, int64_t max_unfinished)
    : records_(records),
      connector_(connector),
      unfinished_(kFlows, max_unfinished, FlowLookup::kUnfinished, {int64_t{1}}) {}

absl::StatusOr<FlowStore::Spent> FlowStore::Spend(const CallContext& context, Flow flow,
                                                  absl::Time now) {
  const std::string& org_id = flow.org_id();
  flow.clear_outcome();
  flow.clear_ended_at_ms();
  flow.set_spent_at_ms(absl::ToUnixMillis(now));
  flow.set_lease_until_ms(absl::ToUnixMillis(now + kFlowLease));
  const int64_t grace_ms = absl::ToInt64Milliseconds(kFlowGrace);
  // Never before the lease is over.
  flow.set_purge_at_ms(std::max(flow.state_expires_at_ms(), flow.lease_until_ms()) + grace_ms);
  if (SealedBytes(flow) > kMaxUnfinishedFlowBytes) {
    return absl::InternalError("a flow is larger than what was checked of its request allows");
  }
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    absl::Status not_written;
    bool is_full = unfinished_.WasJustFull(org_id, now);
    if (!is_full) {
      const std::optional<ExpectAtMost> quota = unfinished_.ForMore(org_id);
      const absl::StatusOr<CommitResult> result = records_.CommitFor(
          context, org_id,
          [&](int64_t generation) -> absl::StatusOr<Batch> {
            Batch batch;
            if (quota) batch.emplace_back(*quota);
            batch.emplace_back(Insert{&kFlows, records_.sealer().Seal(flow, generation, 1)});
            return batch;
          },
          {});
      if (!result.ok()) {
        return Explain(result.status(), absl::StatusCode::kNotFound, OrganizationNotFound(org_id));
      }
      if (quota && !result->counts.empty() && result->counts[0].rows < unfinished_.limit()) {
        unfinished_.Counted(org_id, result->counts[0].rows);
      }
      if (result->status.ok()) return Spent{.is_won = true, .flow = std::move(flow)};
      is_full = absl::IsResourceExhausted(result->status);
      if (is_full) unfinished_.FoundFull(org_id, now);
      // One that was spent before is told even where nothing can be written.
      if (absl::IsUnavailable(result->status)) not_written = result->status;
      if (!is_full && not_written.ok() && !absl::IsAlreadyExists(result->status)) {
        return result->status;
      }
    }
    const absl::StatusOr<Row> row = records_.Fetch(context, kFlows, "", flow.id(), 1);
    if (absl::IsNotFound(row.status())) {
      if (is_full) return TooManyUnfinishedFlows(unfinished_.limit());
      if (!not_written.ok()) return not_written;
      continue;  // It was purged since.
    }
    if (!row.ok()) return row.status();
    if (row->org_id != org_id) return StateAlreadyUsed();
    absl::StatusOr<Flow> there = records_.sealer().Open<Flow>(*row);
    if (!there.ok()) return there.status();
    return Spent{.is_won = false, .flow = *std::move(there)};
  }
  return TooManyAttempts();
}

absl::StatusOr<FlowStore::Opened> FlowStore::Open(const CallContext& context,
                                                  absl::string_view org_id,
                                                  absl::string_view flow_id) {
  const absl::StatusOr<Row> row = records_.FetchOwned(context, kFlows, org_id, flow_id, 1);
  if (!row.ok()) return row.status();
  absl::StatusOr<Flow> flow = records_.sealer().Open<Flow>(*row);
  if (!flow.ok()) return flow.status();
  return Opened{*std::move(flow), row->version};
}

absl::StatusOr<std::optional<Flow>> FlowStore::Find(const CallContext& context,
                                                    absl::string_view org_id,
                                                    absl::string_view flow_id) {
  absl::StatusOr<Opened> opened = Open(context, org_id, flow_id);
  if (absl::IsNotFound(opened.status())) return std::nullopt;
  if (!opened.ok()) return opened.status();
  return std::move(opened->flow);
}

absl::Status FlowStore::Fail(const CallContext& context, absl::string_view org_id,
                             absl::string_view flow_id, const absl::Status& error, absl::Time now) {
  return End(context, org_id, flow_id, now, [&](Flow& flow) { SetFailure(flow, error, now); });
}

absl::Status FlowStore::HandOut(const CallContext& context, absl::string_view org_id,
                                absl::string_view flow_id, absl::Time now) {
  return End(context, org_id, flow_id, now, [&](Flow& flow) { SetCompleted(flow, {}, now); });
}

absl::Status FlowStore::End(const CallContext& context, absl::string_view org_id,
                            absl::string_view flow_id, absl::Time now,
                            absl::FunctionRef<void(Flow&)> set_outcome) {
  return connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
    absl::StatusOr<Opened> opened = Open(context, org_id, flow_id);
    if (absl::IsNotFound(opened.status())) return CompletionUnknown();
    if (!opened.ok()) return opened.status();
    if (HasOutcome(opened->flow)) return absl::OkStatus();
    set_outcome(opened->flow);
    if (opened->flow.has_failed()) batch.TellOfFailure(opened->flow);
    batch.Add(FlowUpdate(records_, opened->flow, batch.generation(), opened->version,
                         /*is_marked_only=*/true));
    return absl::OkStatus();
  });
}

absl::StatusOr<Connected> FlowStore::Complete(const CallContext& context, absl::string_view org_id,
                                              absl::string_view flow_id, const NewGrant& grant,
                                              absl::Span<const NewAccount> accounts,
                                              absl::Time now) {
  const RecordLocks::Lease lock = connector_.LockSubject(context, grant.grant);
  if (lock == nullptr) return context.WhyEnded();
  Connected connected;
  std::optional<Flow> completed_before;
  const absl::Status status =
      connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        absl::StatusOr<Opened> opened = Open(context, org_id, flow_id);
        if (absl::IsNotFound(opened.status())) return CompletionUnknown();
        if (!opened.ok()) return opened.status();
        Flow& flow = opened->flow;
        // By a commit of this very call, which did not hear of its end.
        if (flow.has_completed()) {
          completed_before = std::move(flow);
          return absl::OkStatus();
        }
        if (HasOutcome(flow)) return StateAlreadyUsed();
        batch.set_flow(flow);
        absl::Status prepared = batch.ExpectConfiguration(grant.grant);
        if (prepared.ok()) prepared = batch.PutGrant(grant);
        if (prepared.ok()) prepared = batch.PutAccounts(accounts, connector_.accounts());
        if (prepared.ok()) prepared = batch.RenewOthers(accounts);
        if (!prepared.ok()) return prepared;
        connected = batch.connected();
        SetCompleted(flow, connected, now);
        batch.Add(FlowUpdate(records_, flow, batch.generation(), opened->version));
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  if (!completed_before) return connected;
  const Flow::Completed& completed = completed_before->completed();
  const std::vector<std::string> ids(completed.account_ids().begin(),
                                     completed.account_ids().end());
  return FetchConnected(records_, context, org_id, completed.grant_id(), ids);
}

absl::StatusOr<int> FlowStore::Purge(absl::Time now, int limit) {
  const CallContext& context = CallContext::Background();
  const absl::StatusOr<std::vector<Row>> due =
      records_.backend().ListDue(context, kFlows, absl::ToUnixMillis(now), limit);
  if (!due.ok()) return due.status();
  if (due->empty()) return 0;
  Batch batch;
  for (const Row& row : *due) {
    if (row.text(FlowColumn::kInUse).empty()) {
      batch.emplace_back(Delete{&kFlows, row.org_id, row.id});
    } else if (absl::Status status = PurgeUnended(context, row, now); !status.ok()) {
      return status;
    }
  }
  if (batch.empty()) return static_cast<int>(due->size());
  const absl::Status status = records_.Commit(context, batch, {}).status;
  if (!status.ok()) return status;
  return static_cast<int>(due->size());
}

absl::Status FlowStore::PurgeUnended(const CallContext& context, const Row& due, absl::Time now) {
  const absl::Status status =
      connector_.Commit(context, due.org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        absl::StatusOr<Opened> opened = Open(context, due.org_id, due.id);
        // Another process was faster; or it is damaged, and tells nothing.
        if (absl::IsNotFound(opened.status())) return absl::OkStatus();
        if (!opened.ok()) {
          batch.Add(Delete{&kFlows, due.org_id, due.id});
          return absl::OkStatus();
        }
        if (!HasOutcome(opened->flow)) {
          SetFailure(opened->flow, CompletionUnknown(), now);
          batch.TellOfFailure(opened->flow);
        }
        batch.Add(Delete{&kFlows, due.org_id, due.id, opened->version});
        return absl::OkStatus();
      });
  if (!absl::IsNotFound(status)) return status;
  // Of an organisation that is being deleted: that takes all that is its own.
  return records_.Commit(context, {Delete{&kFlows, due.org_id, due.id}}, {}).status;
}

}  // namespace authurl
