// sqlite_connection.h: one hardened connection to an SQLite file, with its statements kept
// prepared. SQLiteCpp's exceptions end here: everything that fails comes out as a status, in the
// codes of storage/backend.h.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/call_context.h"
#include "storage/table.h"

namespace authurl {

// For one thread at a time.
class SqliteConnection final {
 public:
  enum class Role {
    // Owns all writes and all checkpoints. Only one may exist for a file.
    kWriter,
    // Query-only; never checkpoints.
    kReader,
  };

  struct Text {
    absl::string_view value;
  };
  struct Blob {
    absl::string_view value;
  };
  using Value = std::variant<std::monostate, int64_t, Text, Blob>;  // monostate: NULL.

  // The current row of a query; columns are counted from 0.
  class Row final {
   public:
    explicit Row(const SQLite::Statement& statement) : statement_(statement) {}
    // Texts and blobs alike; empty for NULL.
    std::string Bytes(int column) const { return statement_.getColumn(column).getString(); }
    bool IsNull(int column) const { return statement_.isColumnNull(column); }
    int64_t Integer(int column) const { return statement_.getColumn(column).getInt64(); }

   private:
    const SQLite::Statement& statement_;
  };

  // Opens an existing file. A writer does not write yet.
  static absl::StatusOr<std::unique_ptr<SqliteConnection>> Open(const std::string& path, Role role);
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  // Brings the schema up to date and turns the write-ahead log on. FAILED_PRECONDITION, the
  // database untouched, when the schema is of a newer version. REQUIRES: a writer, before any other
  // use.
  // `on_upgrade`, `tables`: see OpenSqliteBackend().
  absl::Status Prepare(const std::function<void(int from, int to)>& on_upgrade = {},
                       absl::Span<const Table* const> tables = {});

  // Runs one statement: `values` are its parameters in order, `on_row` is called for every row.
  // `sql` must outlive the connection. Errors: ALREADY_EXISTS for a taken key, otherwise
  // StorageUnavailable.
  absl::Status Run(
      const char* sql, absl::Span<const Value> values = {},
      absl::FunctionRef<void(const Row&)> on_row = [](const Row&) {});
  // The same, until `on_row` returns false.
  absl::Status RunWhile(const char* sql, absl::Span<const Value> values,
                        absl::FunctionRef<bool(const Row&)> on_row);
  // From now on a statement stops once the context has ended, with its status. Null: none does.
  void set_context(const CallContext* context) { context_ = context; }
  // How many rows the last insert, update or delete changed.
  int changes() const { return db_.getChanges(); }
  // All since it was opened, whether committed or not.
  int64_t total_changes() const { return db_.getTotalChanges(); }

  // Whether a statement has failed since the last time this was asked because the disk is full.
  bool TakeDiskWasFull() { return std::exchange(disk_was_full_, false); }

  // A write transaction. After a Commit() that failed it may be open still: roll back.
  absl::Status Begin();
  absl::Status Commit();
  // Nothing to do where no transaction is open.
  void RollBack();
  bool is_in_transaction() const;

  // How often the database itself failed since this connection was opened, and how often of these
  // because something else had it locked. For any thread at any time.
  uint64_t errors() const { return errors_.load(std::memory_order_relaxed); }
  uint64_t busy() const { return busy_.load(std::memory_order_relaxed); }

 private:
  SqliteConnection(const std::string& path, Role role);
  SQLite::Statement& Prepared(const char* sql);
  // Makes the table if there is none of its name.
  absl::Status MakeTable(const Table& table);
  absl::Status SetJournalMode(const char* sql, absl::string_view mode);
  absl::Status Failed(const SQLite::Exception& error);

  SQLite::Database db_;
  const CallContext* context_ = nullptr;
  bool disk_was_full_ = false;
  std::unordered_map<const char*, SQLite::Statement> statements_;
  std::atomic<uint64_t> errors_ = 0;
  std::atomic<uint64_t> busy_ = 0;
};

}  // namespace authurl
