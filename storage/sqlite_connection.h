// sqlite_connection.h: one hardened connection to an SQLite file, with its statements kept
// prepared. SQLiteCpp's exceptions end here: everything that fails comes out as a status, in the
// codes of storage/backend.h.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

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
  absl::Status Prepare();

  // Runs one statement: `values` are its parameters in order, `on_row` is called for every row.
  // `sql` must be a literal. Errors: ALREADY_EXISTS for a taken key, NOT_FOUND for a missing
  // foreign key, otherwise StorageUnavailable.
  absl::Status Run(
      const char* sql, std::initializer_list<Value> values = {},
      absl::FunctionRef<void(const Row&)> on_row = [](const Row&) {});
  // How many rows the last insert, update or delete changed.
  int changes() const { return db_.getChanges(); }

  // Runs `body` in a write transaction, which is committed if it returns OK and rolled back
  // otherwise.
  absl::Status Transact(absl::FunctionRef<absl::Status(SqliteConnection&)> body);

 private:
  SqliteConnection(const std::string& path, Role role);
  SQLite::Statement& Prepared(const char* sql);
  absl::Status SetJournalMode(const char* sql, absl::string_view mode);
  void RollBack();

  SQLite::Database db_;
  std::unordered_map<const char*, SQLite::Statement> statements_;
};

}  // namespace authurl
