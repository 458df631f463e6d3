#include "storage/record_store.h"

#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

// Whether a row is one that a lookup may find.
bool IsFoundBy(const Table& table, const LookupValues& key, const Row& row) {
  if (row.org_id != key.org_id) return false;
  for (size_t i = 0; i < key.values.size(); ++i) {
    if (row.columns[table.lookups[key.lookup].columns[i]] != key.values[i]) return false;
  }
  return true;
}

// Which row a part of a batch writes or deletes; nothing where it only expects.
struct RowId {
  const Table* table;
  absl::string_view org_id;
  absl::string_view id;
};
std::optional<RowId> RowWrittenBy(const Insert& part) {
  return RowId{part.table, part.row.org_id, part.row.id};
}
std::optional<RowId> RowWrittenBy(const Update& part) {
  return RowId{part.table, part.row.org_id, part.row.id};
}
std::optional<RowId> RowWrittenBy(const Delete& part) {
  return RowId{part.table, part.org_id, part.id};
}
std::optional<RowId> RowWrittenBy(const ExpectVersion&) { return std::nullopt; }
std::optional<RowId> RowWrittenBy(const ExpectAtMost&) { return std::nullopt; }

}  // namespace

using record::v1::Organization;

bool WasOvertaken(const absl::Status& refused) {
  return absl::IsAborted(refused) || absl::IsNotFound(refused) || absl::IsAlreadyExists(refused) ||
         absl::IsResourceExhausted(refused);
}

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

absl::StatusOr<Row> RecordStore::FetchOwned(const CallContext& context, const Table& table,
                                            absl::string_view org_id, absl::string_view id,
                                            size_t parts) {
  absl::StatusOr<Row> row = Fetch(context, table, org_id, id, parts);
  if (!row.ok()) return row;
  if (!org_id.empty() && row->org_id != org_id) {
    return absl::NotFoundError("of another organisation");
  }
  const absl::Status owner = CheckOwner(context, row->org_id, row->generation);
  if (!owner.ok()) return owner;
  return row;
}

absl::StatusOr<Row> RecordStore::Find(const CallContext& context, const Table& table,
                                      const LookupValues& key, size_t parts) {
  absl::StatusOr<Row> row = backend_->Find(context, table, key, parts);
  if (!row.ok()) return row;
  if (!IsFoundBy(table, key, *row)) return AnotherRow(table);
  const absl::Status owner = CheckOwner(context, row->org_id, row->generation);
  if (!owner.ok()) return owner;
  return row;
}

absl::StatusOr<RowPage> RecordStore::FetchFound(const CallContext& context, const Table& table,
                                                const LookupValues& key, absl::string_view after,
                                                PageLimit limit, size_t parts) {
  const auto organization = GetOrganization(context, key.org_id);
  if (absl::IsNotFound(organization.status())) return RowPage{};
  if (!organization.ok()) return organization.status();
  absl::StatusOr<RowPage> page = backend_->ListFound(context, table, key, after, limit, parts);
  if (!page.ok()) return page;
  for (const Row& row : page->rows) {
    if (!IsFoundBy(table, key, row)) return AnotherRow(table);
  }
  const int64_t generation = (*organization)->generation;
  std::erase_if(page->rows, [&](const Row& row) { return row.generation != generation; });
  return page;
}

absl::StatusOr<RowPage> RecordStore::FetchNumbered(const CallContext& context, const Table& table,
                                                   absl::string_view org_id, int64_t after,
                                                   PageLimit limit, size_t parts) {
  const auto organization = GetOrganization(context, org_id);
  if (absl::IsNotFound(organization.status())) return RowPage{};
  if (!organization.ok()) return organization.status();
  absl::StatusOr<RowPage> page =
      backend_->ListNumbered(context, table, org_id, after, limit, parts);
  if (!page.ok()) return page;
  int64_t last = after;
  for (const Row& row : page->rows) {
    if (row.org_id != org_id || row.integer(*table.number) <= last) return AnotherRow(table);
    last = row.integer(*table.number);
  }
  const int64_t generation = (*organization)->generation;
  std::erase_if(page->rows, [&](const Row& row) { return row.generation != generation; });
  return page;
}

CommitResult RecordStore::Commit(const CallContext& context, const Batch& batch,
                                 absl::Span<const RecordKey> changed) {
  std::vector<RecordKey> keys(changed.begin(), changed.end());
  AddKeysOf(batch, keys);
  return cache_.RunWrite(keys, [&] { return backend_->Commit(context, batch); });
}

void RecordStore::AddKeysOf(const Batch& batch, std::vector<RecordKey>& keys) {
  for (const Batch::value_type& part : batch) {
    std::visit(
        [&](const auto& each) {
          const std::optional<RowId> row = RowWrittenBy(each);
          if (!row) return;
          if (row->table == &kGrants) {
            keys.push_back(RecordId<StoredWithSecret<record::v1::Grant>>(row->org_id, row->id));
          } else if (row->table == &kSocialAccounts) {
            keys.push_back(
                RecordId<StoredWithSecret<record::v1::SocialAccount>>(row->org_id, row->id));
          }
        },
        part);
  }
}

absl::StatusOr<int> RecordStore::DeleteDue(const Table& table, absl::Time now, int limit) {
  const CallContext& context = CallContext::Background();
  const absl::StatusOr<std::vector<Row>> due =
      backend_->ListDue(context, table, absl::ToUnixMillis(now), limit);
  if (!due.ok()) return due.status();
  if (due->empty()) return 0;
  Batch batch;
  for (const Row& row : *due) batch.emplace_back(Delete{&table, row.org_id, row.id});
  const absl::Status status = Commit(context, batch, {}).status;
  if (!status.ok()) return status;
  return static_cast<int>(batch.size());
}

absl::StatusOr<CommitResult> RecordStore::CommitFor(const CallContext& context,
                                                    absl::string_view org_id, MakeBatch make,
                                                    absl::Span<const RecordKey> changed) {
  if (org_id.empty()) {
    const absl::StatusOr<Batch> batch = make(0);
    if (!batch.ok()) return batch.status();
    return Commit(context, *batch, changed);
  }
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const auto organization = GetOrganization(context, org_id);
    if (!organization.ok()) return organization.status();
    absl::StatusOr<Batch> batch = make((*organization)->generation);
    if (!batch.ok()) return batch.status();
    batch->insert(batch->begin(), ExpectVersion{&kOrganizations, std::string(org_id),
                                                std::string(org_id), (*organization)->version});
    CommitResult result = Commit(context, *batch, changed);
    const bool organization_changed =
        (absl::IsNotFound(result.status) || absl::IsAborted(result.status)) && result.refused == 0;
    if (!organization_changed) return result;
    // Deleted, maybe made again since: what memory has of it is old.
    cache_.Invalidate(RecordId<Stored<Organization>>(org_id));
  }
  return TooManyAttempts();
}

}  // namespace authurl
