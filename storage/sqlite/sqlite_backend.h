// sqlite_backend.h: Backend on one SQLite file.
//
// One process owns the file: opening takes an exclusive lock (flock) that a second process, or a
// second backend in this one, is refused. One connection owns all writes and all checkpoints; reads
// go through a few query-only connections. (SQLite before 3.51.3 can corrupt a database in WAL mode
// when two connections write or checkpoint at once.)
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "storage/backend.h"
#include "storage/tables.h"

namespace authurl {

// Opens the database at `path`, or makes it (mode 0600, its folder must exist), and brings its
// schema up to date. Errors, each with one sentence for the operator that names the path and says
// what to do:
// - FAILED_PRECONDITION: in use by another process; no SQLite file; not an authurl database; made
//   by a newer version
// - UNAVAILABLE: cannot be opened or written (permissions, read-only folder, full disk, damage)
// In every one of these cases the file keeps what it holds; where a step of the schema's update
// failed, the steps before it stay.
//
// `on_upgrade` is told before the schema of a database that is not new is brought from one version
// to another, which may take minutes: some migrations copy a table.
//
// `tables` are those that can be used; each must live longer than the backend. The store's own are
// made and changed by migrations; one that the database lacks is made as it is described.
absl::StatusOr<std::unique_ptr<Backend>> OpenSqliteBackend(
    const std::string& path, const std::function<void(int from, int to)>& on_upgrade = {},
    absl::Span<const Table* const> tables = StoreTables());

}  // namespace authurl
