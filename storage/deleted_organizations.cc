#include "storage/deleted_organizations.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/crypto/crypto.h"
#include "storage/backend.h"
#include "storage/client_secrets.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::Organization;
using record::v1::SocialNetworkSettings;

// So many at a time, each with its share: neither a large one nor one that can't be purged holds up
// all others.
constexpr int kOrganizationsAtATime = 16;
// Of so many, those that come behind the one that was served last.
constexpr int kOrganizationsLookedAt = 1000;

absl::Status NothingThere() { return absl::NotFoundError("no such grant of a deleted one"); }

bool IsOvertaken(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsAborted(status);
}

}  // namespace

absl::StatusOr<DeletedOrganizations::Purged> DeletedOrganizations::Purge(const CallContext& context,
                                                                         absl::Time now,
                                                                         Limit limit) {
  absl::StatusOr<std::vector<Row>> due =
      records_.backend().ListDue(context, kOrganizations, kNeverDue, kOrganizationsLookedAt);
  if (!due.ok()) return due.status();
  if (due->empty()) return Purged{};
  const int served =
      std::min({kOrganizationsAtATime, std::max(limit.records, 1), static_cast<int>(due->size())});
  const Limit share = {.records = std::max(limit.records / served, 1),
                       .grants = std::max(limit.grants / served, 1)};
  std::sort(due->begin(), due->end(), [](const Row& a, const Row& b) { return a.id < b.id; });
  std::string last;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    last = served_last_;
  }
  const auto first =
      std::upper_bound(due->begin(), due->end(), last,
                       [](const std::string& id, const Row& row) { return id < row.id; });
  std::rotate(due->begin(), first, due->end());
  Purged purged;
  absl::Status first_error;
  for (int i = 0; i < served; ++i) {
    const std::string& org_id = (*due)[static_cast<size_t>(i)].id;
    absl::StatusOr<Purged> step = PurgeOne(context, org_id, now, share);
    last = org_id;
    first_error.Update(step.status());
    if (!step.ok()) continue;
    purged.removed += step->removed;
    purged.unrevoked += step->unrevoked;
    std::move(step->to_revoke.begin(), step->to_revoke.end(), std::back_inserter(purged.to_revoke));
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    served_last_ = std::move(last);
  }
  if (purged.removed == 0 && purged.to_revoke.empty() && !first_error.ok()) return first_error;
  return purged;
}

absl::StatusOr<DeletedOrganizations::Purged> DeletedOrganizations::PurgeOne(
    const CallContext& context, absl::string_view org_id, absl::Time now, Limit limit) {
  absl::Time deleted_at;
  const absl::StatusOr<Row> row = FetchDeleted(context, org_id, deleted_at);
  if (absl::IsNotFound(row.status())) return Purged{};
  if (!row.ok()) return row.status();
  const bool is_over = now >= deleted_at + kTimeToRevoke;
  const auto max_rows = static_cast<size_t>(std::max(limit.records, 1));
  Batch batch;
  Purged purged;
  bool is_all = true;
  const auto list = [&](const Table& table) -> absl::StatusOr<RowPage> {
    const auto room = static_cast<int>(max_rows - batch.size());
    return records_.backend().List(context, table, org_id, "", {.rows = room}, 0);
  };
  // Puts what is left of a table into the batch.
  const auto remove = [&](const Table& table) -> absl::Status {
    const absl::StatusOr<RowPage> page = list(table);
    if (!page.ok()) return page.status();
    for (const Row& its : page->rows) batch.emplace_back(Delete{&table, its.org_id, its.id});
    if (&table == &kGrants) purged.unrevoked += static_cast<int>(page->rows.size());
    is_all = page->next.empty() && batch.size() < max_rows;
    return absl::OkStatus();
  };
  for (const Table* table : StoreTables().subspan(1)) {
    if (table == &kGrants || table == &kSocialNetworks) continue;
    if (absl::Status status = remove(*table); !status.ok()) return status;
    if (!is_all) break;
  }
  if (is_all && !is_over) {
    const absl::StatusOr<RowPage> page = records_.backend().List(
        context, kGrants, org_id, "", {.rows = std::max(limit.grants, 1)}, 0);
    if (!page.ok()) return page.status();
    for (const Row& its : page->rows) purged.to_revoke.push_back({its.org_id, its.id});
    is_all = purged.to_revoke.empty();
  }
  // The organisation itself goes last: until then its id is not free. Nothing can be added to it.
  for (const Table* table : {&kGrants, &kSocialNetworks}) {
    if (!is_all) break;
    if (absl::Status status = remove(*table); !status.ok()) return status;
  }
  if (is_all) batch.emplace_back(Delete{&kOrganizations, row->org_id, row->id, row->version});
  if (batch.empty()) return purged;
  // None of it is found any more, in memory or not.
  const CommitResult result = records_.Commit(context, batch, {});
  // Somebody else was faster.
  if (IsOvertaken(result.status)) return Purged{};
  if (!result.status.ok()) return result.status;
  removed_.fetch_add(batch.size(), std::memory_order_relaxed);
  purged.removed = static_cast<int>(batch.size());
  return purged;
}

absl::StatusOr<DeletedOrganizations::OpenedLeftGrant> DeletedOrganizations::OpenGrant(
    const CallContext& context, const GrantStore::OwnedGrant& grant) {
  absl::Time deleted_at;
  const absl::StatusOr<Row> organization = FetchDeleted(context, grant.org_id, deleted_at);
  if (!organization.ok()) return organization.status();
  const absl::StatusOr<Row> row =
      records_.Fetch(context, kGrants, grant.org_id, grant.grant_id, kGrants.parts.size());
  if (!row.ok()) return row.status();
  absl::StatusOr<OpenedGrant> opened = OpenGrantRow(records_.sealer(), *row);
  if (!opened.ok()) return opened.status();
  const absl::StatusOr<Row> configuration =
      records_.Fetch(context, kSocialNetworks, grant.org_id, opened->grant.social_network_id(),
                     kSocialNetworks.parts.size());
  if (!configuration.ok()) return configuration.status();
  absl::StatusOr<SocialNetworkSettings> settings =
      records_.sealer().Open<SocialNetworkSettings>(*configuration);
  if (!settings.ok()) return settings.status();
  if (row->org_id != organization->org_id || configuration->org_id != organization->org_id ||
      row->generation != organization->generation ||
      configuration->generation != organization->generation ||
      settings->client_key() != opened->grant.client_id()) {
    return NothingThere();
  }
  const absl::StatusOr<ClientSecrets> secrets = records_.sealer().OpenSecrets(*configuration);
  if (!secrets.ok()) return secrets.status();
  std::optional<std::string> secret = secrets->Find(configuration->version);
  if (!secret) return NothingThere();
  return OpenedLeftGrant{*std::move(opened), *std::move(settings), *std::move(secret)};
}

absl::Status DeletedOrganizations::RemoveGrant(const CallContext& context,
                                               const GrantStore::OwnedGrant& grant) {
  absl::Time deleted_at;
  const absl::StatusOr<Row> organization = FetchDeleted(context, grant.org_id, deleted_at);
  if (absl::IsNotFound(organization.status())) return absl::OkStatus();
  if (!organization.ok()) return organization.status();
  Batch batch;
  batch.emplace_back(ExpectVersion{&kOrganizations, organization->org_id, organization->id,
                                   organization->version});
  batch.emplace_back(Delete{&kGrants, grant.org_id, grant.grant_id});
  const absl::Status status = records_.Commit(context, batch, {}).status;
  // The organisation went meanwhile, and with it the grant.
  if (IsOvertaken(status)) return absl::OkStatus();
  if (status.ok()) removed_.fetch_add(1, std::memory_order_relaxed);
  return status;
}

absl::StatusOr<Row> DeletedOrganizations::FetchDeleted(const CallContext& context,
                                                       absl::string_view org_id,
                                                       absl::Time& deleted_at) {
  absl::StatusOr<Row> row = records_.Fetch(context, kOrganizations, org_id, org_id, 1);
  if (!row.ok()) return row;
  // What is sealed says whether it was deleted: a column alone may be damaged.
  const absl::StatusOr<Stored<Organization>> organization = records_.Open<Organization>(*row);
  if (!organization.ok()) return organization.status();
  if (organization->record.deleted_at_ms() == 0) return absl::NotFoundError("it was not deleted");
  deleted_at = absl::FromUnixMillis(organization->record.deleted_at_ms());
  return row;
}

}  // namespace authurl
