// rows.h: rows of the store's own tables, for tests of what is below the store.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/call_context.h"
#include "storage/backend.h"
#include "storage/tables.h"

namespace authurl::testing {

inline absl::Status InsertOrganization(Backend& backend, const std::string& org_id,
                                       const std::string& sealed = "sealed") {
  const Row row = {.org_id = org_id, .id = org_id, .columns = {kNeverDue}, .parts = {sealed}};
  return backend.Commit(CallContext::Background(), {Insert{&kOrganizations, row}}).status;
}

inline absl::StatusOr<Row> GetOrganization(Backend& backend, const std::string& org_id) {
  return backend.Get(CallContext::Background(), kOrganizations, org_id, org_id, 1);
}

}  // namespace authurl::testing
