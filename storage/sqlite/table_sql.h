// table_sql.h: SQL made of a table's description.
#pragma once

#include <string>
#include <vector>

#include "storage/table.h"

namespace authurl {

// What makes the table: CREATE statements, each ended by ";\n".
std::string CreateTableSql(const Table& table);

// The name in the table "meta" of the least number that a new row of a numbered table may have, in
// decimal digits.
std::string LeastNumberName(const Table& table);

// The statements over one table. Their parameters come in the order in which they are named here;
// "key" is the id, behind its organisation where ids are unique in one only. A statement that reads
// rows exists once for each number of parts: its columns are org_id, generation, id, version, the
// table's columns, those parts and, last, the rowid or 0.
struct TableSql {
  explicit TableSql(const Table& table);

  // Of one of the table's lookups. Parameters: org_id, the values.
  struct OfLookup {
    std::vector<std::string> find;
    std::vector<std::string> list;  // Besides: after, limit. Empty where it is not indexed.
    std::string highest;            // Empty where it has no order column.
    // How many rows, at most the last parameter. `count_within`: also how many of them have a value
    // from the first parameter to the second in the order column; these two come before all others.
    std::string count, count_within;
    // Parameters: org_id twice. The rows are values of the first column.
    std::string values;
  };

  std::vector<std::string> get;                   // key
  std::vector<std::string> list_all;              // after, limit
  std::vector<std::string> list_of_organization;  // org_id, after, limit
  std::string list_due;                           // before, limit
  std::string list_due_after;                     // due, org_id, id, before, limit
  std::string count_due;                          // from, to
  std::vector<std::string> list_numbered;         // org_id, after, limit
  std::string highest_number;                     // org_id; null where there is none
  std::string list_under_key;                     // key byte, from, limit
  std::string keys_in_use;
  std::string insert;   // org_id, generation, id, version, columns, parts
  std::string update;   // version, columns, parts, key, expected version
  std::string remove;   // key
  std::string version;  // key
  std::string count;    // org_id, limit
  std::vector<OfLookup> lookups;
};

}  // namespace authurl
