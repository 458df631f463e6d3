// reader_pool.h: a fixed number of read connections, lent to one thread at a time.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/call_context.h"
#include "storage/context_wait.h"
#include "storage/sqlite/sqlite_connection.h"

namespace authurl {

class ReaderPool final {
  struct GiveBack {
    ReaderPool* pool = nullptr;
    void operator()(SqliteConnection* connection) const { pool->Return(connection); }
  };

 public:
  // A connection that goes back into the pool when the lease ends.
  using Lease = std::unique_ptr<SqliteConnection, GiveBack>;

  // REQUIRES: at least one connection.
  explicit ReaderPool(std::vector<std::unique_ptr<SqliteConnection>> connections)
      : connections_(std::move(connections)) {
    for (const auto& connection : connections_) free_.push_back(connection.get());
  }
  ReaderPool(const ReaderPool&) = delete;
  ReaderPool& operator=(const ReaderPool&) = delete;

  // Waits until a connection is free, or the context has ended: then there is none. What runs on
  // it stops when the context ends. Both must outlive the lease.
  Lease Take(const CallContext& context) {
    std::unique_lock lock(mutex_);
    if (!WaitFor(returned_, lock, context, [this] { return !free_.empty(); })) {
      return Lease(nullptr, GiveBack{this});
    }
    SqliteConnection* connection = free_.back();
    free_.pop_back();
    connection->set_context(&context);
    return Lease(connection, GiveBack{this});
  }

  const std::vector<std::unique_ptr<SqliteConnection>>& connections() const { return connections_; }

 private:
  void Return(SqliteConnection* connection) {
    connection->set_context(nullptr);
    {
      const std::lock_guard lock(mutex_);
      free_.push_back(connection);
    }
    returned_.notify_one();
  }

  const std::vector<std::unique_ptr<SqliteConnection>> connections_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<SqliteConnection*> free_;
};

}  // namespace authurl
