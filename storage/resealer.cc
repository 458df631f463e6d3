#include "storage/resealer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/key_ring_check.h"

namespace authurl {
namespace {

// Rows in memory at a time.
constexpr int kPage = 100;

}  // namespace

absl::StatusOr<ResealStep> Resealer::Next(int batch) {
  const std::lock_guard lock(mutex_);
  int budget = std::max(batch, 1);
  while (!done_ && budget > 0) {
    if (!pass_) {
      if (const absl::Status status = BeginPass(); !status.ok()) return status;
      continue;
    }
    const absl::StatusOr<int> looked_at = ResealPage(std::min(budget, kPage));
    if (!looked_at.ok()) {
      pass_.reset();
      return looked_at.status();
    }
    budget -= *looked_at;
    if (!pass_->tasks.empty()) continue;
    // The next pass finds what is left, if anything is.
    const absl::Status damage = DamageOf(*std::exchange(pass_, std::nullopt));
    if (!damage.ok()) return damage;
    if (const absl::Status status = BeginPass(); !status.ok()) return status;
    break;
  }
  return ResealStep{.resealed = std::exchange(resealed_, 0),
                    .done = done_,
                    .newly_done = std::exchange(newly_done_, false)};
}

absl::StatusOr<std::vector<Resealer::Task>> Resealer::FindTasks() {
  std::vector<Task> tasks;
  for (const Table* table : tables_) {
    if (!table->resealed) continue;
    const absl::StatusOr<std::vector<uint8_t>> keys = records_.backend().ListKeysInUse(*table);
    if (!keys.ok()) return keys.status();
    for (const uint8_t key : *keys) {
      if (key != sealer_.keys().primary_id()) tasks.push_back({table, key});
    }
  }
  // The last one is done first.
  std::reverse(tasks.begin(), tasks.end());
  return tasks;
}

absl::Status Resealer::BeginPass() {
  absl::StatusOr<std::vector<Task>> tasks = FindTasks();
  if (!tasks.ok()) return tasks.status();
  if (!tasks->empty()) {
    pass_ = Pass{.tasks = *std::move(tasks)};
    return absl::OkStatus();
  }
  // This process seals under the first key only, so it stays like that.
  const absl::StatusOr<bool> known = OnlyFirstKeyInUse(records_.backend(), sealer_);
  if (!known.ok()) return known.status();
  if (!*known) {
    const absl::Status status = RecordOnlyFirstKeyInUse(records_.backend(), sealer_, random_);
    if (!status.ok()) return status;
    newly_done_ = true;
  }
  done_ = true;
  return absl::OkStatus();
}

absl::StatusOr<int> Resealer::ResealPage(int limit) {
  const Task task = pass_->tasks.back();
  const absl::StatusOr<RowPage> page =
      records_.backend().ListUnderKey(*task.table, task.key, pass_->from, {.rows = limit});
  if (!page.ok()) return page.status();
  for (const Row& row : page->rows) {
    absl::Status status = Reseal(*task.table, row);
    // Gone, or changed by somebody else and so under the first key.
    if (absl::IsNotFound(status) || absl::IsAborted(status)) continue;
    if (absl::IsInternal(status)) {
      if (pass_->damaged++ == 0) pass_->damage = std::move(status);
      continue;
    }
    if (!status.ok()) return status;
    ++resealed_;
  }
  pass_->from = page->next;
  if (page->next.empty()) pass_->tasks.pop_back();
  return static_cast<int>(page->rows.size());
}

absl::Status Resealer::Reseal(const Table& table, const Row& row) {
  Row resealed = row;
  for (size_t part = 0; part < table.parts.size(); ++part) {
    absl::StatusOr<std::string> plaintext = records_.sealer().OpenPart(table, part, row);
    if (!plaintext.ok()) return plaintext.status();
    records_.sealer().SealPart(table, part, *plaintext, resealed);
    Wipe(*plaintext);
  }
  // The version stays: what is in the row does.
  const Batch batch = {Update{&table, std::move(resealed), row.version}};
  return records_.Commit(CallContext::Background(), batch, {}).status;
}

absl::Status Resealer::DamageOf(const Pass& pass) const {
  if (pass.damaged == 0) return absl::OkStatus();
  const bool has_other_keys = sealer_.keys().size() > 1;
  return absl::InternalError(absl::StrCat(
      pass.damaged, pass.damaged == 1 ? " record does" : " records do",
      " not open and can't be sealed under key ", sealer_.keys().primary_id(),
      has_other_keys ? ": keep the other keys in the ring; for example, " : "; for example, ",
      pass.damage.message()));
}

}  // namespace authurl
