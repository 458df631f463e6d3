#include "storage/sqlite/sqlite_connection.h"

#include <sqlite3.h>

#include <cerrno>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"
#include "storage/sqlite/migrations.h"
#include "storage/sqlite/table_sql.h"

namespace authurl {
namespace {

// How many of its own instructions SQLite runs between two looks at the context: some tenths of a
// millisecond.
constexpr int kInstructionsBetweenLooks = 10'000;

// Only strangers with a shell can make us wait: everyone else has a lock of ours to take first.
constexpr int kBusyTimeoutMs = 5000;

// The one place where SQLite's errors become ours. SQLite's messages hold names of tables and
// columns, never values.
absl::Status ToStatus(const SQLite::Exception& error) {
  switch (error.getExtendedErrorCode()) {
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_UNIQUE:
      return absl::AlreadyExistsError(error.what());
    default:
      return StorageUnavailable(
          absl::StrCat("SQLite error ", error.getExtendedErrorCode(), ": ", error.what()));
  }
}

// Makes a statement ready for its next use, and ends its read transaction.
class ScopedReset final {
 public:
  explicit ScopedReset(SQLite::Statement& statement) : statement_(statement) {}
  ~ScopedReset() { statement_.tryReset(); }
  ScopedReset(const ScopedReset&) = delete;
  ScopedReset& operator=(const ScopedReset&) = delete;

 private:
  SQLite::Statement& statement_;
};

// The values live longer than the statement's run, so blobs need no copy.
struct Binder {
  SQLite::Statement& statement;
  int index;

  void operator()(std::monostate) const { statement.bind(index); }
  void operator()(int64_t value) const { statement.bind(index, value); }
  void operator()(SqliteConnection::Text text) const {
    statement.bind(index, std::string(text.value));
  }
  void operator()(SqliteConnection::Blob blob) const {
    // A null pointer would mean NULL.
    const char* data = blob.value.empty() ? "" : blob.value.data();
    statement.bindNoCopy(index, data, static_cast<int>(blob.value.size()));
  }
};

void Configure(SQLite::Database& db, int option, int value) {
  db.check(sqlite3_db_config(db.getHandle(), option, value, nullptr));
}

}  // namespace

SqliteConnection::SqliteConnection(const std::string& path, Role role)
    : db_(path,
          (role == Role::kReader ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
              SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
          kBusyTimeoutMs) {
  Configure(db_, SQLITE_DBCONFIG_DEFENSIVE, 1);
  Configure(db_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0);
  Configure(db_, SQLITE_DBCONFIG_DQS_DML, 0);
  Configure(db_, SQLITE_DBCONFIG_DQS_DDL, 0);
  Configure(db_, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0);
  // The schema has none; one that somebody put there must not run.
  Configure(db_, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0);
  Configure(db_, SQLITE_DBCONFIG_ENABLE_VIEW, 0);
  // A writer may checkpoint once it knows that the schema is one of ours: Prepare().
  Configure(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1);
  db_.exec(
      "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;"
      "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;");
  // What it returns makes SQLite stop, or not.
  const auto stop = [](void* context) {
    const auto* current = *static_cast<const CallContext**>(context);
    return current != nullptr && !current->Check().ok() ? 1 : 0;
  };
  sqlite3_progress_handler(db_.getHandle(), kInstructionsBetweenLooks, stop, &context_);
  if (role == Role::kReader) {
    db_.exec("PRAGMA query_only=ON; PRAGMA wal_autocheckpoint=0;");
  } else {
    // In KiB. There is one writer, and everybody waits for it: let it have the inner pages of
    // large indexes at hand.
    db_.exec("PRAGMA cache_size=-16384;");
  }
}

absl::StatusOr<std::unique_ptr<SqliteConnection>> SqliteConnection::Open(const std::string& path,
                                                                         Role role) {
  try {
    return std::unique_ptr<SqliteConnection>(new SqliteConnection(path, role));
  } catch (const SQLite::Exception& error) {
    return ToStatus(error);
  }
}

absl::Status SqliteConnection::Prepare(const std::function<void(int from, int to)>& on_upgrade,
                                       absl::Span<const Table* const> tables) {
  const absl::StatusOr<int> version = SchemaVersion(db_.getHandle());
  if (!version.ok()) return version.status();
  if (*version > LatestSchemaVersion()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "its schema is version ", *version, " and this authurl knows ", LatestSchemaVersion()));
  }
  if (*version < LatestSchemaVersion()) {
    if (*version > 0 && on_upgrade) on_upgrade(*version, LatestSchemaVersion());
    // Outside the write-ahead log, so that the version in the file's header is never older than the
    // schema.
    absl::Status status = SetJournalMode("PRAGMA journal_mode=DELETE", "delete");
    if (status.ok()) status = Migrate(db_.getHandle(), Migrations());
    if (!status.ok()) return status;
  }
  try {
    Configure(db_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0);
  } catch (const SQLite::Exception& error) {
    return ToStatus(error);
  }
  if (const absl::Status status = SetJournalMode("PRAGMA journal_mode=WAL", "wal"); !status.ok()) {
    return status;
  }
  for (const Table* table : tables) {
    if (const absl::Status status = MakeTable(*table); !status.ok()) return status;
  }
  // Makes SQLite open the write-ahead log now.
  return Run("SELECT count(*) FROM sqlite_schema");
}

absl::Status SqliteConnection::MakeTable(const Table& table) {
  bool exists = false;
  const absl::Status status = Run("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1",
                                  {Text{table.name}}, [&](const Row&) { exists = true; });
  if (!status.ok() || exists) return status;
  try {
    db_.exec(absl::StrCat("BEGIN IMMEDIATE;", CreateTableSql(table), "COMMIT;"));
    return absl::OkStatus();
  } catch (const SQLite::Exception& error) {
    const absl::Status failed = Failed(error);
    RollBack();
    return failed;
  }
}

absl::Status SqliteConnection::SetJournalMode(const char* sql, absl::string_view mode) {
  std::string now;
  const absl::Status status = Run(sql, {}, [&](const Row& row) { now = row.Bytes(0); });
  if (!status.ok()) return status;
  if (now != mode) {
    return StorageUnavailable(absl::StrCat("the journal mode stayed ", now, ", not ", mode));
  }
  return absl::OkStatus();
}

SQLite::Statement& SqliteConnection::Prepared(const char* sql) {
  const auto known = statements_.find(sql);
  if (known != statements_.end()) return known->second;
  return statements_.emplace(sql, SQLite::Statement(db_, sql)).first->second;
}

absl::Status SqliteConnection::Run(const char* sql, absl::Span<const Value> values,
                                   absl::FunctionRef<void(const Row&)> on_row) {
  return RunWhile(sql, values, [&](const Row& row) {
    on_row(row);
    return true;
  });
}

absl::Status SqliteConnection::RunWhile(const char* sql, absl::Span<const Value> values,
                                        absl::FunctionRef<bool(const Row&)> on_row) {
  try {
    SQLite::Statement& statement = Prepared(sql);
    const ScopedReset reset(statement);
    int index = 0;
    for (const Value& value : values) std::visit(Binder{statement, ++index}, value);
    while (statement.executeStep()) {
      if (!on_row(Row(statement))) break;
    }
    return absl::OkStatus();
  } catch (const SQLite::Exception& error) {
    return Failed(error);
  }
}

absl::Status SqliteConnection::Failed(const SQLite::Exception& error) {
  const absl::Status status = ToStatus(error);
  if (!absl::IsUnavailable(status)) return status;
  // The lower byte of an extended code is its primary one.
  const int code = error.getErrorCode() & 0xFF;
  if (code == SQLITE_INTERRUPT && context_ != nullptr) return context_->WhyEnded();
  const int system_error = sqlite3_system_errno(db_.getHandle());
  // Not all that SQLite does on a disk that is full fails with its own word for it.
  if (code == SQLITE_FULL ||
      (code == SQLITE_IOERR && (system_error == ENOSPC || system_error == EDQUOT))) {
    disk_was_full_ = true;
  }
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED) busy_.fetch_add(1, std::memory_order_relaxed);
  errors_.fetch_add(1, std::memory_order_relaxed);
  return status;
}

absl::Status SqliteConnection::Begin() {
  // A rollback that failed earlier leaves its transaction open.
  RollBack();
  return Run("BEGIN IMMEDIATE");
}

absl::Status SqliteConnection::Commit() { return Run("COMMIT"); }

void SqliteConnection::RollBack() {
  if (is_in_transaction()) Run("ROLLBACK").IgnoreError();
}

bool SqliteConnection::is_in_transaction() const {
  return sqlite3_get_autocommit(db_.getHandle()) == 0;
}

}  // namespace authurl
