#include "storage/sqlite/group_commit.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

#include "core/errors.h"
#include "storage/context_wait.h"

namespace authurl {

struct GroupCommit::Writer {
  Writer(const CallContext& the_context, Body the_body, Room the_room)
      : context(the_context), body(the_body), room(the_room) {}

  const CallContext& context;
  const Body body;
  const Room room;
  // Those of who leads until `done`.
  absl::Status status;
  bool wrote = false;  // Whether the body changed anything, though it may have failed then.

  // Guarded by the mutex.
  bool leads = false;
  bool is_led = false;  // No longer in the queue.
  bool done = false;
  std::condition_variable woken;
};

GroupCommit::GroupCommit(DatabaseFile& file, DiskReserve& reserve,
                         std::unique_ptr<SqliteConnection> connection)
    : file_(file), reserve_(reserve), connection_(std::move(connection)) {}

absl::Status GroupCommit::Write(const CallContext& context, Body body, Room room) {
  const auto writer = std::make_shared<Writer>(context, body, room);
  std::unique_lock lock(mutex_);
  queue_.push_back(writer);
  const auto my_turn = [&] { return writer->leads || writer->done; };
  if (led_ && !WaitFor(writer->woken, lock, context, my_turn)) {
    if (!writer->is_led) {
      std::erase(queue_, writer);
      return context.WhyEnded();
    }
    // What has begun is waited for.
    writer->woken.wait(lock, my_turn);
  }
  if (writer->done) return writer->status;

  led_ = true;
  const std::vector<std::shared_ptr<Writer>> group = TakeGroup();
  lock.unlock();
  Run(group);
  lock.lock();
  for (const auto& member : group) member->done = true;
  const std::shared_ptr<Writer> next = queue_.empty() ? nullptr : queue_.front();
  if (next != nullptr) next->leads = true;
  led_ = next != nullptr;
  lock.unlock();

  // The next leader first: the disk has nothing to do until it runs.
  if (next != nullptr) next->woken.notify_one();
  for (const auto& member : group) {
    if (member != writer) member->woken.notify_one();
  }
  return writer->status;
}

GroupCommit::Stats GroupCommit::stats() const {
  Stats stats{.commits = commits_.load(std::memory_order_relaxed),
              .writes = writes_.load(std::memory_order_relaxed),
              .largest_group = largest_group_.load(std::memory_order_relaxed)};
  const std::lock_guard lock(mutex_);
  stats.waiting = queue_.size();
  return stats;
}

std::vector<std::shared_ptr<GroupCommit::Writer>> GroupCommit::TakeGroup() {
  const auto end = queue_.begin() + static_cast<ptrdiff_t>(std::min(queue_.size(), kMaxGroup));
  std::vector<std::shared_ptr<Writer>> group(queue_.begin(), end);
  queue_.erase(queue_.begin(), end);
  for (const auto& writer : group) writer->is_led = true;
  return group;
}

void GroupCommit::Run(Group group) {
  if (reserve_.in_use()) {
    RunWithReserve(group);
  } else {
    for (Group rest = group; !rest.empty();) rest = rest.subspan(Transact(rest));
    if (connection_->TakeDiskWasFull()) {
      reserve_.Use();
      std::vector<std::shared_ptr<Writer>> lost;
      std::copy_if(group.begin(), group.end(), std::back_inserter(lost), HasFailed);
      RunWithReserve(lost);
    }
  }
  // One that found nothing to change has written nothing, and proves nothing.
  const auto wrote = [](const auto& writer) { return writer->status.ok() && writer->wrote; };
  if (std::any_of(group.begin(), group.end(), HasFailed)) {
    failed_ = true;
  } else if (std::any_of(group.begin(), group.end(), wrote)) {
    failed_ = false;
  }
}

bool GroupCommit::HasFailed(const std::shared_ptr<Writer>& writer) {
  return absl::IsUnavailable(writer->status);
}

void GroupCommit::RunWithReserve(Group group) {
  std::vector<std::shared_ptr<Writer>> let_through;
  for (const auto& writer : group) {
    if (writer->room == Room::kReserve) {
      let_through.push_back(writer);
    } else {
      writer->status = StorageUnavailable("the disk is full: only what frees room is written");
    }
  }
  for (Group rest = let_through; !rest.empty();) rest = rest.subspan(Transact(rest));
}

absl::Status GroupCommit::CheckRoom() {
  // Who leads may be about to use it, so this takes its turn.
  absl::Status status;
  const absl::Status led = Write(
      CallContext::Background(),
      [&](SqliteConnection&) {
        status = reserve_.TakeAgain();
        return absl::OkStatus();
      },
      Room::kReserve);
  return led.ok() ? status : led;
}

size_t GroupCommit::Transact(Group group) {
  absl::Status status = file_.CheckInPlace();
  if (status.ok()) status = connection_->Begin();
  size_t run = 0;
  bool with_savepoints = false;
  while (status.ok() && run < group.size()) {
    Writer& writer = *group[run++];
    if (with_savepoints) {
      status = RunWithSavepoint(writer);
      continue;
    }
    RunBody(writer);
    if (group.size() == 1) {
      status = writer.status;
    } else if (!LeftNothingHalfDone(writer)) {
      with_savepoints = true;
      run = 0;
      status = connection_->Begin();
    }
  }
  if (status.ok()) status = connection_->Commit();
  if (status.ok()) {
    CountCommit(group);
    return group.size();
  }
  connection_->RollBack();
  // The errors that writes returned go as well: they may speak of rows that are lost now.
  const Group lost = group.first(run == 0 ? group.size() : run);
  for (const auto& writer : lost) writer->status = status;
  return lost.size();
}

bool GroupCommit::LeftNothingHalfDone(const Writer& writer) const {
  // Without the transaction, what comes next would be committed at once.
  if (!connection_->is_in_transaction()) return false;
  return writer.status.ok() || (!writer.wrote && !absl::IsUnavailable(writer.status));
}

void GroupCommit::RunBody(Writer& writer) {
  const int64_t changes = connection_->total_changes();
  try {
    writer.status = writer.context.Check();
    if (writer.status.ok()) writer.status = writer.body(*connection_);
  } catch (const std::exception& error) {
    // It must not take with it the thread that everybody waits for.
    writer.status = StorageUnavailable(error.what());
  }
  writer.wrote = connection_->total_changes() != changes;
}

absl::Status GroupCommit::RunWithSavepoint(Writer& writer) {
  absl::Status status = connection_->Run("SAVEPOINT body");
  if (!status.ok()) return status;
  RunBody(writer);
  if (!writer.status.ok()) status = connection_->Run("ROLLBACK TO body");
  if (status.ok()) status = connection_->Run("RELEASE body");
  // After some errors SQLite has rolled back all, and no savepoint is left.
  if (!status.ok() && absl::IsUnavailable(writer.status)) return writer.status;
  return status;
}

void GroupCommit::CountCommit(Group group) {
  const auto succeeded = static_cast<uint64_t>(std::count_if(
      group.begin(), group.end(), [](const auto& writer) { return writer->status.ok(); }));
  commits_.fetch_add(1, std::memory_order_relaxed);
  writes_.fetch_add(succeeded, std::memory_order_relaxed);
  if (succeeded > largest_group_.load(std::memory_order_relaxed)) {
    largest_group_.store(succeeded, std::memory_order_relaxed);
  }
}

}  // namespace authurl
