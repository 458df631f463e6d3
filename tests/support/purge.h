// purge.h: removes what deleted organisations left, as if the time to revoke their grants were
// over.
#pragma once

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/credential_store.h"
#include "tests/support/no_limit.h"

namespace authurl::testing {

// One step. Returns how many records it removed.
inline absl::StatusOr<int> PurgeOrganizations(CredentialStore& store, int records) {
  const auto purged =
      store.deleted_organizations().Purge(kNoLimit, absl::InfiniteFuture(), {.records = records});
  if (!purged.ok()) return purged.status();
  return purged->removed;
}

}  // namespace authurl::testing
