#include "storage/record_store.h"

#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "storage/tables.h"

namespace authurl {

using record::v1::Organization;

absl::Status TooManyAttempts() {
  return StorageUnavailable("the record was changed again and again during an update");
}

absl::Status AnotherRow(const Table& table) {
  return absl::InternalError(
      absl::StrCat("the database answered with another row of ", table.name,
                   " than the one asked for: it was damaged; restore it from a backup"));
}

absl::StatusOr<StoredPtr<Organization>> RecordStore::GetOrganization(const CallContext& context,
                                                                     absl::string_view org_id) {
  return Read<Organization>(context, RecordId<Stored<Organization>>(org_id),
                            [&] { return LoadOrganization(context, org_id); });
}

absl::StatusOr<Stored<Organization>> RecordStore::LoadOrganization(const CallContext& context,
                                                                   absl::string_view org_id) {
  const absl::StatusOr<Row> row = Fetch(context, kOrganizations, org_id, org_id, 1);
  if (!row.ok()) return row.status();
  absl::StatusOr<Stored<Organization>> organization = Open<Organization>(*row);
  if (organization.ok() && IsGone(organization->record)) {
    return absl::NotFoundError("it is being deleted");
  }
  return organization;
}

absl::Status RecordStore::CheckOwner(const CallContext& context, absl::string_view org_id,
                                     int64_t generation) {
  if (org_id.empty()) return absl::OkStatus();
  const auto organization = GetOrganization(context, org_id);
  if (!organization.ok()) return organization.status();
  if ((*organization)->generation == generation) return absl::OkStatus();
  return absl::NotFoundError("of an organisation that is gone");
}

absl::Status RecordStore::CheckOwnerOfListed(const CallContext& context, const Table& table,
                                             const Row& row, KnownOwner& known) {
  if (row.org_id.empty() || table.ids == Table::Ids::kOrganization) return absl::OkStatus();
  if (known.org_id != row.org_id) {
    known.org_id = row.org_id;
    const auto in_memory = OrganizationInMemory(row.org_id);
    if (in_memory && *in_memory != nullptr) {
      known.generation = (*in_memory)->generation;
    } else {
      const absl::StatusOr<Stored<Organization>> stored = LoadOrganization(context, row.org_id);
      known.generation =
          stored.ok() ? absl::StatusOr<int64_t>(stored->generation) : stored.status();
    }
  }
  if (!known.generation.ok()) return known.generation.status();
  if (*known.generation == row.generation) return absl::OkStatus();
  return absl::NotFoundError("of an organisation that is gone");
}

std::optional<bool> RecordStore::HasOwnerInMemory(absl::string_view org_id, int64_t generation) {
  if (org_id.empty()) return true;
  const auto organization = OrganizationInMemory(org_id);
  if (!organization) return std::nullopt;
  return *organization != nullptr && (*organization)->generation == generation;
}

absl::StatusOr<Row> RecordStore::Fetch(const CallContext& context, const Table& table,
                                       absl::string_view org_id, absl::string_view id,
                                       size_t parts) {
  absl::StatusOr<Row> row = backend_->Get(context, table, org_id, id, parts);
  if (!row.ok()) return row;
  const bool same_organization = table.ids != Table::Ids::kPerOrganization || row->org_id == org_id;
  if (row->id != id || !same_organization) return AnotherRow(table);
  return row;
}

CommitResult RecordStore::Commit(const CallContext& context, const Batch& batch,
                                 absl::Span<const RecordKey> changed) {
  return cache_.RunWrite(changed, [&] { return backend_->Commit(context, batch); });
}

absl::StatusOr<CommitResult> RecordStore::CommitFor(
    const CallContext& context, absl::string_view org_id,
    absl::FunctionRef<Batch(int64_t generation)> make, absl::Span<const RecordKey> changed) {
  if (org_id.empty()) return Commit(context, make(0), changed);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const auto organization = GetOrganization(context, org_id);
    if (!organization.ok()) return organization.status();
    Batch batch = make((*organization)->generation);
    batch.insert(batch.begin(), ExpectVersion{&kOrganizations, std::string(org_id),
                                              std::string(org_id), (*organization)->version});
    CommitResult result = Commit(context, batch, changed);
    const bool organization_changed =
        (absl::IsNotFound(result.status) || absl::IsAborted(result.status)) && result.refused == 0;
    if (!organization_changed) return result;
    // Deleted, maybe made again since: what memory has of it is old.
    cache_.Invalidate(RecordId<Stored<Organization>>(org_id));
  }
  return TooManyAttempts();
}

}  // namespace authurl
