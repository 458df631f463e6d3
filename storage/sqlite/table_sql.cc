#include "storage/sqlite/table_sql.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace authurl {
namespace {

using Names = std::vector<std::string>;

Names ColumnNames(const Table& table, absl::Span<const size_t> columns) {
  Names names;
  for (const size_t column : columns) names.push_back(table.columns[column].name);
  return names;
}

bool IsPerOrganization(const Table& table) { return table.ids == Table::Ids::kPerOrganization; }

std::string KeyColumns(const Table& table) {
  return IsPerOrganization(table) ? "org_id, id" : "id";
}

std::string KeyCondition(const Table& table) {
  return IsPerOrganization(table) ? "org_id = ? AND id = ?" : "id = ?";
}

std::string KeyByte(const Table& table) {
  return absl::StrCat("substr(", table.parts[0].name, ", 2, 1)");
}

// Where ids are unique in one organisation only, all that are due can be gone through.
std::string DueOrder(const Table& table) {
  const std::string due = table.columns[*table.due].name;
  return IsPerOrganization(table) ? absl::StrCat(due, ", org_id, id") : due;
}

bool IsNumber(const Table& table, const Column& column) {
  return table.number && &column == &table.columns[*table.number];
}

// In an INSERT, whose first parameter is the organisation.
std::string NextNumber(const Table& table) {
  const char* const number = table.columns[*table.number].name;
  return absl::StrCat("max(coalesce((SELECT max(", number, ") + 1 FROM ", table.name,
                      " WHERE org_id = ?1), ?), coalesce((SELECT CAST(value AS INTEGER) FROM meta"
                      " WHERE name = '",
                      LeastNumberName(table), "'), 0))");
}

// Tables of short rows have no rowid.
std::string Position(const Table& table) { return table.short_rows ? "0" : "rowid"; }

std::string Select(const Table& table, size_t parts) {
  Names names = {"org_id", "generation", "id", "version"};
  for (const Column& column : table.columns) names.push_back(column.name);
  for (size_t i = 0; i < parts; ++i) names.push_back(table.parts[i].name);
  names.push_back(Position(table));
  return absl::StrCat("SELECT ", absl::StrJoin(names, ", "), " FROM ", table.name);
}

Names ForEachNumberOfParts(const Table& table, absl::string_view rest) {
  Names statements;
  for (size_t parts = 0; parts <= table.parts.size(); ++parts) {
    statements.push_back(absl::StrCat(Select(table, parts), rest));
  }
  return statements;
}

// Each value of `expression` once: every step of the recursion seeks the next one in an index, so
// that the rows in between are not read.
std::string DistinctValues(const Table& table, absl::string_view expression,
                           absl::string_view condition) {
  const std::string least = absl::StrCat("SELECT min(", expression, ") FROM ", table.name);
  return absl::StrCat("WITH RECURSIVE found (value) AS (", least, " WHERE ", condition,
                      " UNION ALL SELECT (", least, " WHERE ", condition, " AND ", expression,
                      " > value) FROM found WHERE value IS NOT NULL)"
                      " SELECT value FROM found WHERE value IS NOT NULL");
}

TableSql::OfLookup LookupSql(const Table& table, const Lookup& lookup) {
  const Names columns = ColumnNames(table, lookup.columns);
  std::string where = " WHERE org_id = ?";
  for (const std::string& column : columns) absl::StrAppend(&where, " AND ", column, " = ?");
  TableSql::OfLookup sql;
  sql.count = absl::StrCat("SELECT count(*) FROM (SELECT 1 FROM ", table.name, where, " LIMIT ?)");
  sql.values = DistinctValues(table, columns[0], "org_id = ?");
  if (lookup.kind == Lookup::Kind::kIndexed) {
    sql.list = ForEachNumberOfParts(table, absl::StrCat(where, " AND id > ? ORDER BY id LIMIT ?"));
  }
  if (!lookup.order) {
    sql.find = ForEachNumberOfParts(table, absl::StrCat(where, " ORDER BY id LIMIT 1"));
    return sql;
  }
  const std::string order = table.columns[*lookup.order].name;
  sql.find = ForEachNumberOfParts(table, absl::StrCat(where, " ORDER BY ", order, ", id LIMIT 1"));
  sql.highest = absl::StrCat("SELECT max(", order, ") FROM ", table.name, where);
  sql.count_within =
      absl::StrCat("SELECT count(*), count(*) FILTER (WHERE value BETWEEN ? AND ?) FROM (SELECT ",
                   order, " AS value FROM ", table.name, where, " LIMIT ?)");
  return sql;
}

}  // namespace

std::string LeastNumberName(const Table& table) {
  return absl::StrCat("least_number_of_", table.name);
}

std::string CreateTableSql(const Table& table) {
  std::string sql = absl::StrCat(
      "CREATE TABLE ", table.name,
      " (\n  org_id TEXT NOT NULL,\n  generation INTEGER NOT NULL,\n  id TEXT NOT NULL,\n"
      "  version INTEGER NOT NULL,\n");
  for (const Column& column : table.columns) {
    absl::StrAppend(&sql, "  ", column.name,
                    column.type == ColumnType::kInteger ? " INTEGER" : " TEXT", " NOT NULL,\n");
  }
  for (const Part& part : table.parts) absl::StrAppend(&sql, "  ", part.name, " BLOB NOT NULL,\n");
  absl::StrAppend(&sql, "  PRIMARY KEY (", KeyColumns(table), ")\n) STRICT",
                  table.short_rows ? ", WITHOUT ROWID" : "", ";\n");
  const auto index = [&](absl::string_view kind, absl::string_view name,
                         absl::string_view columns) {
    absl::StrAppend(&sql, "CREATE ", kind, " ", table.name, "_", name, " ON ", table.name, " (",
                    columns, ");\n");
  };
  if (table.ids == Table::Ids::kGlobal) index("INDEX", "by_organization", "org_id, id");
  for (const Lookup& lookup : table.lookups) {
    if (lookup.kind == Lookup::Kind::kPrefix) continue;
    const bool is_unique = lookup.kind == Lookup::Kind::kUnique;
    // Those with the same values are listed by id.
    index(is_unique ? "UNIQUE INDEX" : "INDEX", lookup.name,
          absl::StrCat("org_id, ", absl::StrJoin(ColumnNames(table, lookup.columns), ", "),
                       is_unique ? "" : ", id"));
  }
  if (table.due) index("INDEX", "by_due", DueOrder(table));
  if (table.number) {
    index("UNIQUE INDEX", "by_number", absl::StrCat("org_id, ", table.columns[*table.number].name));
  }
  if (table.resealed) index("INDEX", "by_key", KeyByte(table));
  return sql;
}

TableSql::TableSql(const Table& table)
    : get(ForEachNumberOfParts(table, absl::StrCat(" WHERE ", KeyCondition(table)))),
      list_all(ForEachNumberOfParts(table, " WHERE id > ? ORDER BY id LIMIT ?")),
      list_of_organization(
          ForEachNumberOfParts(table, " WHERE org_id = ? AND id > ? ORDER BY id LIMIT ?")) {
  if (table.due) {
    const std::string due = table.columns[*table.due].name;
    list_due = absl::StrCat(Select(table, 0), " WHERE ", due, " < ? ORDER BY ", due, " LIMIT ?");
    count_due =
        absl::StrCat("SELECT count(*) FROM ", table.name, " WHERE ", due, " BETWEEN ? AND ?");
    if (IsPerOrganization(table)) {
      const std::string order = DueOrder(table);
      list_due_after = absl::StrCat(Select(table, 0), " WHERE (", order, ") > (?, ?, ?) AND ", due,
                                    " < ? ORDER BY ", order, " LIMIT ?");
    }
  }
  if (table.number) {
    const std::string number = table.columns[*table.number].name;
    list_numbered = ForEachNumberOfParts(table, absl::StrCat(" WHERE org_id = ? AND ", number,
                                                             " > ? ORDER BY ", number, " LIMIT ?"));
    highest_number =
        absl::StrCat("SELECT max(", number, ") FROM ", table.name, " WHERE org_id = ?");
  }
  if (table.resealed) {
    const std::string position = table.short_rows ? "id" : "rowid";
    list_under_key = absl::StrCat(Select(table, table.parts.size()), " WHERE ", KeyByte(table),
                                  " = ? AND ", position, " > ? ORDER BY ", position, " LIMIT ?");
    keys_in_use = DistinctValues(table, KeyByte(table), "TRUE");
  }
  Names names = {"org_id", "generation", "id", "version"};
  Names values(names.size(), "?");
  Names assignments = {"version = ?"};
  for (const Column& column : table.columns) {
    names.push_back(column.name);
    values.push_back(IsNumber(table, column) ? NextNumber(table) : "?");
    assignments.push_back(absl::StrCat(column.name, " = ?"));
  }
  for (const Part& part : table.parts) {
    names.push_back(part.name);
    values.emplace_back("?");
    assignments.push_back(absl::StrCat(part.name, " = ?"));
  }
  insert = absl::StrCat("INSERT INTO ", table.name, " (", absl::StrJoin(names, ", "), ") VALUES (",
                        absl::StrJoin(values, ", "), ")");
  update = absl::StrCat("UPDATE ", table.name, " SET ", absl::StrJoin(assignments, ", "), " WHERE ",
                        KeyCondition(table), " AND version = ?");
  remove = absl::StrCat("DELETE FROM ", table.name, " WHERE ", KeyCondition(table));
  version = absl::StrCat("SELECT version FROM ", table.name, " WHERE ", KeyCondition(table));
  count = absl::StrCat("SELECT count(*) FROM (SELECT 1 FROM ", table.name,
                       " WHERE org_id = ? LIMIT ?)");
  for (const Lookup& lookup : table.lookups) lookups.push_back(LookupSql(table, lookup));
}

}  // namespace authurl
