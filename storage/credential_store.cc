#include "storage/credential_store.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "storage/digest_id.h"
#include "storage/key_ring_check.h"
#include "storage/states_not_before.h"
#include "storage/store_errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::ApiKey;
using record::v1::Organization;

// What requests find records by.
RecordId<Stored<Organization>> OrganizationId(absl::string_view org_id) {
  return RecordId<Stored<Organization>>(org_id);
}

RecordId<Stored<ApiKey>> ApiKeyId(absl::string_view key_id) {
  return RecordId<Stored<ApiKey>>(key_id);
}

}  // namespace

CredentialStore::CredentialStore(std::unique_ptr<Backend> backend, const Sealer& sealer,
                                 RandomSource random, size_t cache_bytes, Quotas quotas)
    : random_(std::move(random)),
      sealer_(sealer),
      records_(std::move(backend), sealer, random_, cache_bytes),
      api_keys_(kApiKeys, quotas.api_keys),
      events_(records_, random_),
      connector_(records_, events_, random_, quotas.accounts),
      flows_(records_, connector_, quotas.unfinished_flows),
      pending_connections_(records_, connector_, quotas.pending_connections),
      grants_(records_, connector_),
      accounts_(records_, connector_),
      imports_(records_, connector_, quotas.accounts),
      social_networks_(records_, accounts_, quotas.configurations),
      webhooks_(records_, events_),
      deleted_organizations_(records_),
      resealer_(records_, sealer, random_, StoreTables()) {}

absl::StatusOr<std::unique_ptr<CredentialStore>> CredentialStore::Open(
    std::unique_ptr<Backend> backend, const Sealer& sealer, RandomSource random, size_t cache_bytes,
    Quotas quotas) {
  const absl::Status status = CheckKeyRing(*backend, sealer, random);
  if (!status.ok()) return status;
  return std::unique_ptr<CredentialStore>(
      new CredentialStore(std::move(backend), sealer, std::move(random), cache_bytes, quotas));
}

absl::Status CredentialStore::CreateOrganization(const CallContext& context,
                                                 const Organization& organization) {
  const std::string& org_id = organization.org_id();
  std::array<uint8_t, 8> bytes;
  random_(bytes);
  uint64_t generation = 0;
  for (const uint8_t byte : bytes) generation = generation << 8 | byte;
  // Positive, and not that of organisations from before generations. The versions begin there, so
  // that no two organisations of the same id ever have the same.
  generation = generation >> 2 | 1;
  const Batch batch = {
      Insert{&kOrganizations,
             records_.sealer().Seal(organization, static_cast<int64_t>(generation), generation)}};
  const CommitResult result = records_.Commit(context, batch, {OrganizationId(org_id)});
  if (!absl::IsAlreadyExists(result.status)) return result.status;
  const auto living = records_.GetOrganization(context, org_id);
  if (living.ok()) return OrganizationExists(org_id);
  return Explain(living.status(), absl::StatusCode::kNotFound, OrganizationBeingDeleted(org_id));
}

CredentialStore::Found<Organization> CredentialStore::GetOrganization(const CallContext& context,
                                                                      absl::string_view org_id) {
  const auto stored = records_.GetOrganization(context, org_id);
  if (!stored.ok()) {
    return Explain(stored.status(), absl::StatusCode::kNotFound, OrganizationNotFound(org_id));
  }
  return RecordOf(*stored);
}

absl::StatusOr<Organization> CredentialStore::UpdateOrganization(
    const CallContext& context, absl::string_view org_id,
    const std::function<absl::Status(Organization&)>& change) {
  const auto not_found = [&](const absl::Status& status) {
    return Explain(status, absl::StatusCode::kNotFound, OrganizationNotFound(org_id));
  };
  const RecordLocks::Lease lock = update_locks_.Take(context, absl::HashOf(org_id));
  if (lock == nullptr) return context.WhyEnded();
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<Row> row = records_.Fetch(context, kOrganizations, org_id, org_id, 1);
    if (!row.ok()) return not_found(row.status());
    const absl::StatusOr<Organization> old = records_.sealer().Open<Organization>(*row);
    if (!old.ok()) return old.status();
    if (old->deleted_at_ms() != 0) return OrganizationNotFound(org_id);
    Organization changed = *old;
    if (absl::Status status = change(changed); !status.ok()) return status;
    changed.set_org_id(old->org_id());
    changed.set_created_at_ms(old->created_at_ms());
    changed.set_deleted_at_ms(0);
    const Batch batch = {Update{&kOrganizations,
                                records_.sealer().Seal(changed, row->generation, row->version + 1),
                                row->version}};
    const CommitResult result = records_.Commit(context, batch, {OrganizationId(org_id)});
    if (result.status.ok()) return changed;
    if (!absl::IsAborted(result.status)) return not_found(result.status);
  }
  return TooManyAttempts();
}

CredentialStore::InMemory<Organization> CredentialStore::FindOrganizationInMemory(
    absl::string_view org_id) {
  const auto stored = records_.OrganizationInMemory(org_id);
  if (!stored) return std::nullopt;
  if (*stored == nullptr) return OrganizationNotFound(org_id);
  return RecordOf(*stored);
}

absl::StatusOr<Listed<Organization>> CredentialStore::ListOrganizations(const CallContext& context,
                                                                        absl::string_view after,
                                                                        PageLimit limit) {
  return records_.List<Organization>(context, std::nullopt, after, limit);
}

absl::Status CredentialStore::DeleteOrganization(const CallContext& context,
                                                 absl::string_view org_id, absl::Time now) {
  const auto not_found = [&](const absl::Status& status) {
    return Explain(status, absl::StatusCode::kNotFound, OrganizationNotFound(org_id));
  };
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<Row> row = records_.Fetch(context, kOrganizations, org_id, org_id, 1);
    if (!row.ok()) return not_found(row.status());
    // One whose record is damaged can be deleted, too.
    const absl::StatusOr<Stored<Organization>> stored = records_.Open<Organization>(*row);
    Organization organization;
    if (stored.ok()) organization = stored->record;
    if (organization.deleted_at_ms() != 0) return OrganizationNotFound(org_id);
    organization.set_org_id(row->org_id);
    organization.set_deleted_at_ms(absl::ToUnixMillis(now));
    const Batch batch = {Update{
        &kOrganizations, records_.sealer().Seal(organization, row->generation, row->version + 1),
        row->version, /*must_fit=*/true}};
    const CommitResult result = records_.Commit(context, batch, {OrganizationId(org_id)});
    if (!absl::IsAborted(result.status)) return not_found(result.status);
  }
  return TooManyAttempts();
}

absl::Status CredentialStore::CreateApiKey(const CallContext& context, const ApiKey& key) {
  std::optional<ExpectAtMost> quota;
  if (!key.org_id().empty()) quota = api_keys_.ForMore(key.org_id());
  const absl::StatusOr<CommitResult> result = records_.CommitFor(
      context, key.org_id(),
      [&](int64_t generation) {
        Batch batch;
        if (quota) batch.emplace_back(*quota);
        batch.emplace_back(Insert{&kApiKeys, records_.sealer().Seal(key, generation, 1)});
        return batch;
      },
      {ApiKeyId(key.key_id())});
  if (!result.ok()) {
    return Explain(result.status(), absl::StatusCode::kNotFound,
                   OrganizationNotFound(key.org_id()));
  }
  if (quota && result->status.ok()) api_keys_.Counted(key.org_id(), result->counts[0].rows);
  if (absl::IsResourceExhausted(result->status)) {
    return TooManyApiKeys(key.org_id(), api_keys_.limit());
  }
  return Explain(result->status, absl::StatusCode::kAlreadyExists, ApiKeyExists(key.key_id()));
}

CredentialStore::Found<ApiKey> CredentialStore::GetApiKey(const CallContext& context,
                                                          absl::string_view key_id) {
  const auto not_found = [&](const absl::Status& status) {
    return Explain(status, absl::StatusCode::kNotFound, ApiKeyNotFound(key_id));
  };
  const auto stored =
      records_.Read<ApiKey>(context, ApiKeyId(key_id), [&]() -> absl::StatusOr<Stored<ApiKey>> {
        const absl::StatusOr<Row> row = records_.Fetch(context, kApiKeys, "", key_id, 1);
        if (!row.ok()) return row.status();
        return records_.Open<ApiKey>(*row);
      });
  if (!stored.ok()) return not_found(stored.status());
  const absl::Status owner =
      records_.CheckOwner(context, (*stored)->record.org_id(), (*stored)->generation);
  if (!owner.ok()) return not_found(owner);
  return RecordOf(*stored);
}

CredentialStore::InMemory<ApiKey> CredentialStore::FindApiKeyInMemory(absl::string_view key_id) {
  const auto stored = records_.cache().Find(ApiKeyId(key_id));
  if (!stored) return std::nullopt;
  if (*stored == nullptr) return ApiKeyNotFound(key_id);
  const std::optional<bool> lives =
      records_.HasOwnerInMemory((*stored)->record.org_id(), (*stored)->generation);
  if (!lives) return std::nullopt;
  if (!*lives) return ApiKeyNotFound(key_id);
  return RecordOf(*stored);
}

absl::StatusOr<Listed<ApiKey>> CredentialStore::ListApiKeys(const CallContext& context,
                                                            std::optional<absl::string_view> org_id,
                                                            absl::string_view after,
                                                            PageLimit limit) {
  return records_.List<ApiKey>(context, org_id, after, limit);
}

absl::StatusOr<bool> CredentialStore::HasApiKeys(const CallContext& context) {
  const absl::StatusOr<RowPage> page =
      records_.backend().List(context, kApiKeys, std::nullopt, "", {.rows = 1}, 0);
  if (!page.ok()) return page.status();
  return !page->rows.empty();
}

absl::StatusOr<ApiKey> CredentialStore::RevokeApiKey(const CallContext& context,
                                                     absl::string_view key_id,
                                                     std::optional<absl::string_view> org_id,
                                                     absl::Time now) {
  const auto not_found = [&](const absl::Status& status) {
    return Explain(status, absl::StatusCode::kNotFound, ApiKeyNotFound(key_id));
  };
  const RecordLocks::Lease lock = update_locks_.Take(context, absl::HashOf(key_id));
  if (lock == nullptr) return context.WhyEnded();
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<Row> row = records_.Fetch(context, kApiKeys, "", key_id, 1);
    if (!row.ok()) return not_found(row.status());
    if (org_id && row->org_id != *org_id) return ApiKeyNotFound(key_id);
    const absl::Status owner = records_.CheckOwner(context, row->org_id, row->generation);
    if (!owner.ok()) return not_found(owner);
    absl::StatusOr<ApiKey> key = records_.sealer().Open<ApiKey>(*row);
    if (absl::IsInternal(key.status())) {
      // One that does not open can be revoked, too: should it open again one day, it must not live.
      key.emplace();
      key->set_key_id(row->id);
      key->set_org_id(row->org_id);
    }
    if (!key.ok() || key->revoked_at_ms() != 0) return key;
    key->set_revoked_at_ms(absl::ToUnixMillis(now));
    const Batch batch = {Update{
        &kApiKeys, records_.sealer().Seal(*key, row->generation, row->version + 1), row->version,
        /*must_fit=*/true}};
    const CommitResult result = records_.Commit(context, batch, {ApiKeyId(key_id)});
    if (result.status.ok()) return key;
    if (!absl::IsAborted(result.status)) return not_found(result.status);
  }
  return TooManyAttempts();
}

absl::Status CredentialStore::PutAuthStates(const CallContext& context,
                                            absl::Span<const StoredAuthState> states) {
  if (states.empty()) return absl::OkStatus();
  const std::string& org_id = states[0].org_id;
  const absl::StatusOr<CommitResult> result = records_.CommitFor(
      context, org_id,
      [&](int64_t generation) {
        Batch batch;
        for (const StoredAuthState& state : states) {
          batch.emplace_back(Insert{&kAuthStates,
                                    {.org_id = org_id,
                                     .generation = generation,
                                     .id = DigestId(state.reference),
                                     .columns = {absl::ToUnixMillis(state.expires_at)},
                                     .parts = {state.sealed}}});
        }
        return batch;
      },
      {});
  if (!result.ok()) {
    return Explain(result.status(), absl::StatusCode::kNotFound, OrganizationNotFound(org_id));
  }
  if (absl::IsAlreadyExists(result->status)) {
    return absl::InternalError("the reference of an OAuth state was made twice: it is not random");
  }
  return result->status;
}

absl::StatusOr<std::string> CredentialStore::GetAuthState(const CallContext& context,
                                                          absl::string_view reference) {
  const absl::StatusOr<Row> row =
      records_.Fetch(context, kAuthStates, "", DigestId(reference), kAuthStates.parts.size());
  absl::Status status = row.status();
  if (status.ok()) status = records_.CheckOwner(context, row->org_id, row->generation);
  if (!status.ok()) return Explain(status, absl::StatusCode::kNotFound, AuthStateNotFound());
  // Not checked further: what comes from another row does not open with this reference.
  return row->parts[0];
}

absl::StatusOr<int> CredentialStore::PurgeAuthStates(absl::Time now, int limit) {
  const absl::StatusOr<int> purged = records_.DeleteDue(kAuthStates, now, limit);
  if (purged.ok()) {
    purged_auth_states_.fetch_add(static_cast<uint64_t>(*purged), std::memory_order_relaxed);
  }
  return purged;
}

absl::StatusOr<absl::Time> CredentialStore::GetStatesNotBefore() {
  return authurl::GetStatesNotBefore(records_.backend());
}

absl::Status CredentialStore::SetStatesNotBefore(absl::Time time) {
  return authurl::SetStatesNotBefore(records_.backend(), time);
}

absl::StatusOr<ResealStep> CredentialStore::ResealNext(int batch) { return resealer_.Next(batch); }

absl::StatusOr<RollbackCheck::Found> CredentialStore::StartRollbackCheck(const std::string& file,
                                                                         absl::Time now) {
  rollback_check_ = std::make_unique<RollbackCheck>(records_.backend(), sealer_, random_, file);
  const uint64_t writes = records_.backend().Stats().writes;
  absl::StatusOr<RollbackCheck::Found> found =
      rollback_check_->Start([&] { return events_.SkipLostNumbers(now); });
  if (!found.ok()) rollback_check_ = nullptr;
  writes_checked_ = writes + 1;
  return found;
}

absl::Status CredentialStore::AdvanceRollbackCheck() {
  // Counted before: what is written meanwhile may come behind the number, and needs the next one.
  const uint64_t writes = records_.backend().Stats().writes;
  if (rollback_check_ == nullptr || writes == writes_checked_) return absl::OkStatus();
  const absl::Status status = rollback_check_->Advance();
  // Its own write is one of them.
  if (status.ok()) writes_checked_ = writes + 1;
  return status;
}

absl::Status CredentialStore::Probe() { return records_.backend().Probe(); }

absl::Status CredentialStore::ProbeReads() { return records_.backend().ProbeReads(); }

CredentialStore::Stats CredentialStore::Snapshot() const {
  return {.cache = records_.cache().Snapshot(),
          .backend = records_.backend().Stats(),
          .purged_auth_states = purged_auth_states_.load(std::memory_order_relaxed),
          .purged_records = deleted_organizations_.removed()};
}

}  // namespace authurl
