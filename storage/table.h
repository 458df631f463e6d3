// table.h: tables described by data. A backend serves any table that is described like this, and
// none needs a line of code in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "core/crypto/key_ring.h"

namespace authurl {

// Every row has an organisation, the organisation's generation, an id and a version. All that is
// described here comes besides.

enum class ColumnType { kInteger, kText };

// What rows are found or ordered by. Never null.
struct Column {
  const char* name;
  ColumnType type;
};

// A way to find rows of one organisation by some of their columns.
struct Lookup {
  enum class Kind {
    kUnique,   // No two rows of an organisation have the same values: the one is found.
    kIndexed,  // Any number of rows may. They can be listed in the order of their ids.
    kPrefix,   // Any number may, where the columns are the first ones of another lookup, whose
               // index it shares. They can be counted, and the first be found, but not be listed.
  };

  const char* name;
  Kind kind;
  absl::Span<const size_t> columns;  // Positions in Table::columns.
  // Of several rows, the one with the lowest value in this integer column comes first; of those
  // with the same, and where it has none, the one with the lowest id.
  std::optional<size_t> order = {};
};

// Opaque bytes: what is sealed.
struct Part {
  const char* name;
  Purpose purpose;
};

struct Table {
  enum class Ids {
    kPerOrganization,  // Two organisations may have rows of the same id.
    kGlobal,           // An id is unique in the table; rows may belong to no organisation.
    kOrganization,     // The same, where the row is the organisation itself, and org_id its id.
  };
  const char* name;
  Ids ids;
  absl::Span<const Column> columns;
  absl::Span<const Lookup> lookups;
  // An integer column by which the rows of all organisations come due.
  std::optional<size_t> due = {};
  // An integer column that the database fills in when a row is inserted: one more than the highest
  // of the organisation's rows; where it has none, what the row has there; but no less than
  // Backend::RaiseNumbers() says. So the rows of an organisation are numbered in the order in which
  // they were committed, and without a gap but for one behind a RaiseNumbers(), as long as the last
  // one is not deleted. REQUIRES: ids that are unique in one organisation only.
  std::optional<size_t> number = {};
  // The first is what lists read. Those behind it are read only where they are asked for.
  absl::Span<const Part> parts;
  // Whether the first part names the key it is sealed under, in its second byte
  // (core/crypto/sealer.h), and rows are sealed anew under another key. Without: they are left to
  // come due.
  bool resealed = true;
  // Rows are short, and kept in the order of their ids. REQUIRES: ids that are unique in the table.
  bool short_rows = false;
};

using Value = std::variant<int64_t, std::string>;

// In a due column: not to come due.
inline constexpr int64_t kNeverDue = std::numeric_limits<int64_t>::max();

struct Row {
  std::string org_id;  // Empty: of no organisation.
  // Of the organisation: which of all that had the same id. Rows from before generations have 0.
  int64_t generation = 0;
  std::string id;
  uint64_t version = 1;
  std::vector<Value> columns;  // As many as the table has.
  // To be written: as many as the table has. Read: as many as were asked for.
  std::vector<std::string> parts;

  int64_t integer(size_t column) const { return std::get<int64_t>(columns[column]); }
  const std::string& text(size_t column) const { return std::get<std::string>(columns[column]); }
};

}  // namespace authurl
