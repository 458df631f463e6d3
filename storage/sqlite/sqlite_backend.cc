#include "storage/sqlite/sqlite_backend.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"
#include "storage/sqlite/database_file.h"
#include "storage/sqlite/group_commit.h"
#include "storage/sqlite/reader_pool.h"
#include "storage/sqlite/sqlite_connection.h"
#include "storage/sqlite/table_sql.h"

namespace authurl {
namespace {

// Reads are short and mostly served from memory: more connections than threads that read gain
// nothing.
constexpr int kReaders = 8;

// About a request of the largest size, sealed.
constexpr size_t kLargestWrite = size_t{64} << 10;

using SqlRow = SqliteConnection::Row;
using SqlValue = SqliteConnection::Value;
using SqlValues = absl::InlinedVector<SqlValue, 12>;
using Text = SqliteConnection::Text;
using Blob = SqliteConnection::Blob;

int64_t StoredVersion(uint64_t version) { return static_cast<int64_t>(version); }

// Negative means none to SQLite.
int64_t AtLeastNone(int64_t limit) { return std::max<int64_t>(limit, 0); }

SqlValue ToSql(const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  return Text{std::get<std::string>(value)};
}

SqlValues KeyOf(const Table& table, absl::string_view org_id, absl::string_view id) {
  if (table.ids == Table::Ids::kPerOrganization) return {Text{org_id}, Text{id}};
  return {Text{id}};
}

SqlValues ValuesOf(const LookupValues& key) {
  SqlValues values = {Text{key.org_id}};
  for (const Value& value : key.values) values.push_back(ToSql(value));
  return values;
}

void AppendContent(const Row& row, SqlValues& values) {
  for (const Value& value : row.columns) values.push_back(ToSql(value));
  for (const std::string& part : row.parts) values.push_back(Blob{part});
}

// Of what TableSql selects.
Row ToRow(const Table& table, size_t parts, const SqlRow& read) {
  Row row{.org_id = read.Bytes(0),
          .generation = read.Integer(1),
          .id = read.Bytes(2),
          .version = static_cast<uint64_t>(read.Integer(3)),
          .columns = {},
          .parts = {}};
  int position = 4;
  row.columns.reserve(table.columns.size());
  for (const Column& column : table.columns) {
    if (column.type == ColumnType::kInteger) {
      row.columns.emplace_back(read.Integer(position++));
    } else {
      row.columns.emplace_back(read.Bytes(position++));
    }
  }
  row.parts.reserve(parts);
  for (size_t i = 0; i < parts; ++i) row.parts.push_back(read.Bytes(position++));
  return row;
}

int RowidColumn(const Table& table, size_t parts) {
  return static_cast<int>(4 + table.columns.size() + parts);
}

size_t SizeOf(const Row& row) {
  size_t size = sizeof(Row) + row.org_id.size() + row.id.size();
  for (const Value& value : row.columns) {
    const auto* text = std::get_if<std::string>(&value);
    size += sizeof(Value) + (text == nullptr ? 0 : text->size());
  }
  for (const std::string& part : row.parts) size += sizeof(std::string) + part.size();
  return size;
}

absl::Status NoSuchRow() { return absl::NotFoundError("no such row"); }

absl::Status CheckVersion(SqliteConnection& db, const TableSql& sql, const SqlValues& key,
                          uint64_t expected) {
  std::optional<int64_t> version;
  const absl::Status status =
      db.Run(sql.version.c_str(), key, [&](const SqlRow& row) { version = row.Integer(0); });
  if (!status.ok()) return status;
  if (!version) return NoSuchRow();
  return *version == StoredVersion(expected) ? absl::OkStatus()
                                             : absl::AbortedError("another version");
}

// What only frees room, or must fit where there is none.
Room RoomOf(const Batch& batch) {
  const auto adds = [](const auto& part) {
    const auto* insert = std::get_if<Insert>(&part);
    if (insert != nullptr) return !insert->must_fit;
    const auto* update = std::get_if<Update>(&part);
    return update != nullptr && !update->must_fit;
  };
  return std::any_of(batch.begin(), batch.end(), adds) ? Room::kOrdinary : Room::kReserve;
}

class SqliteBackend final : public Backend {
 public:
  SqliteBackend(std::unique_ptr<DatabaseFile> file, std::unique_ptr<SqliteConnection> writer,
                std::vector<std::unique_ptr<SqliteConnection>> readers,
                absl::Span<const Table* const> tables)
      : file_(std::move(file)),
        reserve_(file_->real_path()),
        writes_(*file_, reserve_, std::move(writer)),
        readers_(std::move(readers)) {
    for (const Table* table : tables) sql_.emplace(table, std::make_unique<TableSql>(*table));
  }

  absl::StatusOr<std::optional<std::string>> GetMeta(absl::string_view name) override {
    std::optional<std::string> value;
    const absl::Status status = Read(CallContext::Background(), [&](SqliteConnection& db) {
      return db.Run("SELECT value FROM meta WHERE name = ?1", {Text{name}},
                    [&](const SqlRow& row) { value = row.Bytes(0); });
    });
    if (!status.ok()) return status;
    return value;
  }

  absl::Status PutMeta(absl::string_view name, absl::string_view value) override {
    return writes_.Write(CallContext::Background(), [&](SqliteConnection& db) {
      return db.Run(
          "INSERT INTO meta (name, value) VALUES (?1, ?2)"
          " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
          {Text{name}, Blob{value}});
    });
  }

  absl::StatusOr<Row> Get(const CallContext& context, const Table& table, absl::string_view org_id,
                          absl::string_view id, size_t parts) override {
    return ReadOne(context, table, SqlOf(table).get[parts], KeyOf(table, org_id, id), parts);
  }

  absl::StatusOr<Row> Find(const CallContext& context, const Table& table, const LookupValues& key,
                           size_t parts) override {
    return ReadOne(context, table, SqlOf(table).lookups[key.lookup].find[parts], ValuesOf(key),
                   parts);
  }

  absl::StatusOr<int64_t> FindHighest(const CallContext& context, const Table& table,
                                      const LookupValues& key) override {
    std::optional<int64_t> highest;
    const absl::Status status = Read(context, [&](SqliteConnection& db) {
      return db.Run(SqlOf(table).lookups[key.lookup].highest.c_str(), ValuesOf(key),
                    [&](const SqlRow& row) {
                      if (!row.IsNull(0)) highest = row.Integer(0);
                    });
    });
    if (!status.ok()) return status;
    if (!highest) return NoSuchRow();
    return *highest;
  }

  absl::StatusOr<RowPage> List(const CallContext& context, const Table& table,
                               std::optional<absl::string_view> org_id, absl::string_view after,
                               PageLimit limit, size_t parts) override {
    const TableSql& sql = SqlOf(table);
    SqlValues values;
    if (org_id) values.push_back(Text{*org_id});
    values.push_back(Text{after});
    const std::string& statement = (org_id ? sql.list_of_organization : sql.list_all)[parts];
    absl::StatusOr<RowPage> page = ReadPage(context, table, statement, values, limit, parts);
    // A position among all rows means nothing here: the next page begins after the last id.
    if (page.ok() && !page->next.empty()) page->next = page->rows.back().id;
    return page;
  }

  absl::StatusOr<RowPage> ListFound(const CallContext& context, const Table& table,
                                    const LookupValues& key, absl::string_view after,
                                    PageLimit limit, size_t parts) override {
    const TableSql& sql = SqlOf(table);
    SqlValues values = ValuesOf(key);
    values.push_back(Text{after});
    const std::string& statement =
        (key.lookup == kWholeOrganization ? sql.list_of_organization
                                          : sql.lookups[key.lookup].list)[parts];
    absl::StatusOr<RowPage> page = ReadPage(context, table, statement, values, limit, parts);
    if (page.ok() && !page->next.empty()) page->next = page->rows.back().id;
    return page;
  }

  absl::StatusOr<int64_t> Count(const CallContext& context, const Table& table,
                                const LookupValues& key, int64_t at_most) override {
    SqlValues values = ValuesOf(key);
    values.emplace_back(AtLeastNone(at_most));
    int64_t count = 0;
    const absl::Status status = Read(context, [&](SqliteConnection& db) {
      return db.Run(CountOf(table, key.lookup).c_str(), values,
                    [&](const SqlRow& row) { count = row.Integer(0); });
    });
    if (!status.ok()) return status;
    return count;
  }

  absl::StatusOr<std::vector<Row>> ListDue(const CallContext& context, const Table& table,
                                           int64_t before, int limit) override {
    std::vector<Row> rows;
    const absl::Status status = Read(context, [&](SqliteConnection& db) {
      return db.Run(SqlOf(table).list_due.c_str(), {before, AtLeastNone(limit)},
                    [&](const SqlRow& row) { rows.push_back(ToRow(table, 0, row)); });
    });
    if (!status.ok()) return status;
    return rows;
  }

  absl::StatusOr<std::vector<Row>> ListDueAfter(const CallContext& context, const Table& table,
                                                const DuePosition& after, int64_t before,
                                                int limit) override {
    std::vector<Row> rows;
    const absl::Status status = Read(context, [&](SqliteConnection& db) {
      return db.Run(SqlOf(table).list_due_after.c_str(),
                    {after.due, Text{after.org_id}, Text{after.id}, before, AtLeastNone(limit)},
                    [&](const SqlRow& row) { rows.push_back(ToRow(table, 0, row)); });
    });
    if (!status.ok()) return status;
    return rows;
  }

  absl::StatusOr<int64_t> CountDue(const CallContext& context, const Table& table, int64_t from,
                                   int64_t to) override {
    int64_t count = 0;
    const absl::Status status = Read(context, [&](SqliteConnection& db) {
      return db.Run(SqlOf(table).count_due.c_str(), {from, to},
                    [&](const SqlRow& row) { count = row.Integer(0); });
    });
    if (!status.ok()) return status;
    return count;
  }

  absl::StatusOr<RowPage> ListNumbered(const CallContext& context, const Table& table,
                                       absl::string_view org_id, int64_t after, PageLimit limit,
                                       size_t parts) override {
    absl::StatusOr<RowPage> page = ReadPage(context, table, SqlOf(table).list_numbered[parts],
                                            {Text{org_id}, after}, limit, parts);
    if (page.ok() && !page->next.empty()) {
      page->next = absl::StrCat(page->rows.back().integer(*table.number));
    }
    return page;
  }

  absl::StatusOr<std::optional<int64_t>> HighestNumber(const CallContext& context,
                                                       const Table& table,
                                                       absl::string_view org_id) override {
    std::optional<int64_t> highest;
    const absl::Status status = Read(context, [&](SqliteConnection& db) {
      return db.Run(SqlOf(table).highest_number.c_str(), {Text{org_id}}, [&](const SqlRow& row) {
        if (!row.IsNull(0)) highest = row.Integer(0);
      });
    });
    if (!status.ok()) return status;
    return highest;
  }

  absl::Status RaiseNumbers(const Table& table, int64_t from) override {
    return writes_.Write(CallContext::Background(), [&](SqliteConnection& db) {
      const std::string name = LeastNumberName(table);
      const std::string value = absl::StrCat(from);
      return db.Run(
          "INSERT INTO meta (name, value) VALUES (?1, ?2)"
          " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
          " WHERE CAST(value AS INTEGER) < CAST(excluded.value AS INTEGER)",
          {Text{name}, Blob{value}});
    });
  }

  absl::StatusOr<std::vector<std::string>> ListValues(const CallContext& context,
                                                      const Table& table, size_t lookup,
                                                      absl::string_view org_id) override {
    std::vector<std::string> values;
    const absl::Status status = Read(context, [&](SqliteConnection& db) {
      return db.Run(SqlOf(table).lookups[lookup].values.c_str(), {Text{org_id}, Text{org_id}},
                    [&](const SqlRow& row) { values.push_back(row.Bytes(0)); });
    });
    if (!status.ok()) return status;
    return values;
  }

  absl::StatusOr<std::vector<uint8_t>> ListKeysInUse(const Table& table) override {
    std::vector<uint8_t> keys;
    const absl::Status status = Read(CallContext::Background(), [&](SqliteConnection& db) {
      return db.Run(SqlOf(table).keys_in_use.c_str(), {}, [&](const SqlRow& row) {
        const std::string key = row.Bytes(0);
        if (key.size() == 1) keys.push_back(static_cast<uint8_t>(key.front()));
      });
    });
    if (!status.ok()) return status;
    return keys;
  }

  // Positions are ids where these are the order of the table, else rowids, which stay the same
  // while a row lives.
  absl::StatusOr<RowPage> ListUnderKey(const Table& table, uint8_t key_id, absl::string_view from,
                                       PageLimit limit) override {
    const std::string key(1, static_cast<char>(key_id));
    SqlValues values = {Blob{key}};
    int64_t rowid = 0;
    if (table.short_rows) {
      values.push_back(Text{from});
    } else if (from.empty() || absl::SimpleAtoi(from, &rowid)) {
      values.push_back(rowid);
    } else {
      return absl::InternalError(
          absl::StrCat("a position in ", table.name, " that no page ended with"));
    }
    return ReadPage(CallContext::Background(), table, SqlOf(table).list_under_key, values, limit,
                    table.parts.size());
  }

  CommitResult Commit(const CallContext& context, const Batch& batch) override {
    CommitResult result;
    const absl::Status status = writes_.Write(
        context,
        [&](SqliteConnection& db) {
          result.counts.clear();
          for (size_t i = 0; i < batch.size(); ++i) {
            result.refused = i;
            const absl::Status done =
                std::visit([&](const auto& part) { return Do(db, part, result); }, batch[i]);
            if (!done.ok()) return done;
          }
          return absl::OkStatus();
        },
        RoomOf(batch));
    result.status = status;
    return result;
  }

  // A write of its own only while the last one had failed: that is how it is noticed that the disk
  // has room again. As large as writes are, or it might fit where they don't.
  absl::Status Probe() override {
    if (reserve_.in_use()) {
      if (const absl::Status status = writes_.CheckRoom(); !status.ok()) return status;
    }
    if (writes_.failed()) {
      static const std::string& as_large = *new std::string(kLargestWrite, '\0');
      if (const absl::Status status = PutMeta("write_probe", as_large); !status.ok()) return status;
    }
    return ProbeReads();
  }

  absl::Status ProbeReads() override {
    if (const absl::Status status = file_->CheckInPlace(); !status.ok()) return status;
    return Read(CallContext::Background(), [](SqliteConnection& db) {
      return db.Run("SELECT name FROM meta ORDER BY name LIMIT 1");
    });
  }

  BackendStats Stats() const override {
    const GroupCommit::Stats writes = writes_.stats();
    BackendStats stats{.commits = writes.commits,
                       .writes = writes.writes,
                       .largest_commit = writes.largest_group,
                       .waiting_writes = writes.waiting,
                       .reads = reads_.load(std::memory_order_relaxed)};
    const auto add = [&](const SqliteConnection& connection) {
      stats.errors += connection.errors();
      stats.busy += connection.busy();
    };
    add(writes_.connection());
    for (const auto& reader : readers_.connections()) add(*reader);
    return stats;
  }

 private:
  const TableSql& SqlOf(const Table& table) const { return *sql_.at(&table); }
  const std::string& CountOf(const Table& table, size_t lookup) const {
    const TableSql& sql = SqlOf(table);
    return lookup == kWholeOrganization ? sql.count : sql.lookups[lookup].count;
  }

  // Every read goes through here.
  absl::Status Read(const CallContext& context,
                    absl::FunctionRef<absl::Status(SqliteConnection&)> body) {
    if (const absl::Status status = context.Check(); !status.ok()) return status;
    if (const absl::Status status = file_->CheckInPlaceLately(); !status.ok()) return status;
    const ReaderPool::Lease reader = readers_.Take(context);
    if (reader == nullptr) return context.WhyEnded();
    reads_.fetch_add(1, std::memory_order_relaxed);
    return body(*reader);
  }

  absl::StatusOr<Row> ReadOne(const CallContext& context, const Table& table,
                              const std::string& statement, const SqlValues& values, size_t parts) {
    std::optional<Row> found;
    const absl::Status status = Read(context, [&](SqliteConnection& db) {
      return db.Run(statement.c_str(), values,
                    [&](const SqlRow& row) { found = ToRow(table, parts, row); });
    });
    if (!status.ok()) return status;
    if (!found) return NoSuchRow();
    return *std::move(found);
  }

  // The position of the last row is where the next page begins. The statement's last parameter,
  // its limit, is added here.
  absl::StatusOr<RowPage> ReadPage(const CallContext& context, const Table& table,
                                   const std::string& statement, SqlValues values,
                                   const PageLimit& limit, size_t parts) {
    RowPage page;
    if (limit.rows <= 0) return page;
    // One more tells whether there is a next page.
    values.push_back(int64_t{limit.rows} + 1);
    size_t bytes = 0;
    int64_t rowid = 0;
    bool is_cut = false;
    const absl::Status status = Read(context, [&](SqliteConnection& db) {
      return db.RunWhile(statement.c_str(), values, [&](const SqlRow& row) {
        is_cut = !page.rows.empty() &&
                 (bytes >= limit.bytes || page.rows.size() == static_cast<size_t>(limit.rows));
        if (is_cut) return false;
        page.rows.push_back(ToRow(table, parts, row));
        bytes += SizeOf(page.rows.back());
        rowid = row.Integer(RowidColumn(table, parts));
        return true;
      });
    });
    if (!status.ok()) return status;
    if (is_cut) page.next = table.short_rows ? page.rows.back().id : absl::StrCat(rowid);
    return page;
  }

  absl::Status Do(SqliteConnection& db, const Insert& part, CommitResult&) const {
    const Row& row = part.row;
    SqlValues values = {Text{row.org_id}, row.generation, Text{row.id}, StoredVersion(row.version)};
    AppendContent(row, values);
    return db.Run(SqlOf(*part.table).insert.c_str(), values);
  }

  absl::Status Do(SqliteConnection& db, const Update& part, CommitResult&) const {
    const TableSql& sql = SqlOf(*part.table);
    const SqlValues key = KeyOf(*part.table, part.row.org_id, part.row.id);
    SqlValues values = {StoredVersion(part.row.version)};
    AppendContent(part.row, values);
    values.insert(values.end(), key.begin(), key.end());
    values.emplace_back(StoredVersion(part.expected_version));
    const absl::Status status = db.Run(sql.update.c_str(), values);
    if (!status.ok() || db.changes() > 0) return status;
    const absl::Status why = CheckVersion(db, sql, key, part.expected_version);
    return why.ok() ? StorageUnavailable("an update changed nothing") : why;
  }

  absl::Status Do(SqliteConnection& db, const Delete& part, CommitResult&) const {
    const TableSql& sql = SqlOf(*part.table);
    const SqlValues key = KeyOf(*part.table, part.org_id, part.id);
    if (part.expected_version) {
      const absl::Status status = CheckVersion(db, sql, key, *part.expected_version);
      if (!status.ok()) return status;
    }
    return db.Run(sql.remove.c_str(), key);
  }

  absl::Status Do(SqliteConnection& db, const ExpectVersion& part, CommitResult&) const {
    return CheckVersion(db, SqlOf(*part.table), KeyOf(*part.table, part.org_id, part.id),
                        part.version);
  }

  absl::Status Do(SqliteConnection& db, const ExpectAtMost& part, CommitResult& result) const {
    const TableSql& sql = SqlOf(*part.table);
    const bool is_within = part.within && part.key.lookup != kWholeOrganization;
    const std::string& statement = is_within ? sql.lookups[part.key.lookup].count_within
                                             : CountOf(*part.table, part.key.lookup);
    const SqlValues key = ValuesOf(part.key);
    SqlValues values;
    if (part.within) values = {part.within->from, part.within->to};
    values.insert(values.end(), key.begin(), key.end());
    values.emplace_back(AtLeastNone(part.rows) + 1);
    CommitResult::Count count;
    const absl::Status status = db.Run(statement.c_str(), values, [&](const SqlRow& row) {
      count.rows = row.Integer(0);
      if (part.within) count.within = row.Integer(1);
    });
    if (!status.ok()) return status;
    result.counts.push_back(count);
    const bool fits =
        count.rows <= part.rows && (!part.within || count.within <= part.within->rows);
    return fits ? absl::OkStatus() : absl::ResourceExhaustedError("too many rows");
  }

  // Declared in the order in which they must be closed, reversed: readers, writer (its end is the
  // last checkpoint), and the file with its lock. The connections refer to the statements' texts.
  absl::flat_hash_map<const Table*, std::unique_ptr<TableSql>> sql_;
  const std::unique_ptr<DatabaseFile> file_;
  DiskReserve reserve_;
  GroupCommit writes_;
  ReaderPool readers_;
  std::atomic<uint64_t> reads_ = 0;
};

absl::Status CannotUse(const std::string& path, const absl::Status& status) {
  if (absl::IsFailedPrecondition(status)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database ", path, " was made by a newer authurl: ", status.message(),
                     "; it was left as it is; run that version or a newer one"));
  }
  return absl::UnavailableError(absl::StrCat(
      "cannot use the database ", path, ": ", CauseOf(status),
      "; check the disk and the permissions of its folder, or restore it from a backup"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backend>> OpenSqliteBackend(
    const std::string& path, const std::function<void(int from, int to)>& on_upgrade,
    absl::Span<const Table* const> tables) {
  absl::StatusOr<std::unique_ptr<DatabaseFile>> file = DatabaseFile::Open(path);
  if (!file.ok()) return file.status();
  using Role = SqliteConnection::Role;
  auto writer = SqliteConnection::Open((*file)->real_path(), Role::kWriter);
  if (!writer.ok()) return CannotUse(path, writer.status());
  absl::Status status = (*writer)->Prepare(on_upgrade, tables);
  if (status.ok()) status = (*file)->RememberLog();
  if (!status.ok()) return CannotUse(path, status);

  std::vector<std::unique_ptr<SqliteConnection>> readers;
  for (int i = 0; i < kReaders; ++i) {
    auto reader = SqliteConnection::Open((*file)->real_path(), Role::kReader);
    if (!reader.ok()) return CannotUse(path, reader.status());
    readers.push_back(*std::move(reader));
  }
  return std::make_unique<SqliteBackend>(*std::move(file), *std::move(writer), std::move(readers),
                                         tables);
}

}  // namespace authurl
