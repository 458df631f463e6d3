#include "storage/credential_store.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "storage/client_secrets.h"
#include "storage/key_ring_check.h"
#include "storage/store_errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::ApiKey;
using record::v1::Organization;
using record::v1::SocialNetworkSettings;

// What stands for a reference in the database.
std::string DigestOf(absl::string_view reference) { return HexEncode(AsChars(Sha256(reference))); }

// In place of a name: the default one of a network and instance. No name has this character.
constexpr absl::string_view kDefaultConfiguration = "*";

// What requests find records by.
RecordId<Stored<Organization>> OrganizationId(absl::string_view org_id) {
  return RecordId<Stored<Organization>>(org_id);
}

RecordId<Stored<ApiKey>> ApiKeyId(absl::string_view key_id) {
  return RecordId<Stored<ApiKey>>(key_id);
}

RecordId<Stored<SocialNetworkSettings>> ConfigurationId(absl::string_view org_id,
                                                        absl::string_view network,
                                                        absl::string_view instance,
                                                        absl::string_view configuration) {
  using Id = RecordId<Stored<SocialNetworkSettings>>;
  if (IsSocialNetworkId(configuration)) return Id(org_id, "", "", configuration);
  return Id(org_id, network, instance,
            configuration.empty() ? kDefaultConfiguration : configuration);
}

// All that requests may find a configuration by.
std::array<RecordKey, 3> KeysOf(const Row& row) {
  const std::string& network = row.text(SocialNetworkColumn::kNetwork);
  const std::string& instance = row.text(SocialNetworkColumn::kInstance);
  const std::string& name = row.text(SocialNetworkColumn::kName);
  return {ConfigurationId(row.org_id, network, instance, ""),
          ConfigurationId(row.org_id, network, instance, name),
          ConfigurationId(row.org_id, "", "", row.id)};
}

// The record alone, of what memory has.
template <typename Record>
std::shared_ptr<const Record> RecordOf(const StoredPtr<Record>& stored) {
  return std::shared_ptr<const Record>(stored, &stored->record);
}

// `status` with its NOT_FOUND or ALREADY_EXISTS, which say nothing to a caller, replaced by the
// given error.
absl::Status Explain(const absl::Status& status, absl::StatusCode code,
                     const absl::Status& explained) {
  return status.code() == code ? explained : status;
}

// A rank below that of the configuration that is the default now.
int64_t RankBefore(const Row& first) {
  return first.integer(SocialNetworkColumn::kDefaultRank) - 1;
}

LookupValues ByRank(absl::string_view org_id, absl::string_view network,
                    absl::string_view instance) {
  return {.lookup = SocialNetworkLookup::kByRank,
          .org_id = std::string(org_id),
          .values = {std::string(network), std::string(instance)}};
}

size_t HashOfNetwork(absl::string_view org_id, absl::string_view network,
                     absl::string_view instance) {
  return absl::HashOf(org_id, network, instance);
}

}  // namespace

CredentialStore::CredentialStore(std::unique_ptr<Backend> backend, const Sealer& sealer,
                                 RandomSource random, size_t cache_bytes, Quotas quotas)
    : random_(std::move(random)),
      sealer_(sealer),
      records_(std::move(backend), sealer, random_, cache_bytes),
      configurations_(kSocialNetworks, quotas.configurations),
      api_keys_(kApiKeys, quotas.api_keys),
      resealer_(records_.backend(), sealer, records_.sealer(), random_, StoreTables()) {}

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

absl::StatusOr<int> CredentialStore::PurgeOrganizations(const CallContext& context, int limit) {
  // So many at a time, each with its share: neither a large one nor one that can't be purged holds
  // up all others.
  constexpr int kAtATime = 16;
  const auto due =
      records_.backend().ListDue(context, kOrganizations, kNeverDue, std::min(kAtATime, limit));
  if (!due.ok()) return due.status();
  int purged = 0;
  absl::Status first_error;
  for (const Row& organization : *due) {
    const auto share = std::max(limit / static_cast<int>(due->size()), 1);
    const absl::StatusOr<int> step = PurgeOrganization(context, organization.id, share);
    if (step.ok()) purged += *step;
    first_error.Update(step.status());
  }
  if (purged == 0 && !first_error.ok()) return first_error;
  return purged;
}

absl::StatusOr<int> CredentialStore::PurgeOrganization(const CallContext& context,
                                                       absl::string_view org_id, int limit) {
  // What is sealed says whether it was deleted: a column alone may be damaged.
  const absl::StatusOr<Row> row = records_.Fetch(context, kOrganizations, org_id, org_id, 1);
  if (absl::IsNotFound(row.status())) return 0;
  if (!row.ok()) return row.status();
  const absl::StatusOr<Stored<Organization>> organization = records_.Open<Organization>(*row);
  if (!organization.ok()) return organization.status();
  if (organization->record.deleted_at_ms() == 0) return 0;
  const auto max_rows = static_cast<size_t>(std::max(limit, 1));
  Batch batch;
  bool is_all = true;
  for (const Table* table : StoreTables().subspan(1)) {
    const auto room = static_cast<int>(max_rows - batch.size());
    const absl::StatusOr<RowPage> page =
        records_.backend().List(context, *table, org_id, "", {.rows = room}, 0);
    if (!page.ok()) return page.status();
    for (const Row& its : page->rows) batch.emplace_back(Delete{table, its.org_id, its.id});
    if (!page->next.empty() || batch.size() >= max_rows) is_all = false;
    if (!is_all) break;
  }
  // The organisation itself goes last: until then its id is not free. Nothing can be added to it.
  if (is_all) {
    batch.emplace_back(Delete{&kOrganizations, row->org_id, row->id, row->version});
  }
  // None of it is found any more, in memory or not.
  const CommitResult result = records_.Commit(context, batch, {});
  // Somebody else was faster.
  if (absl::IsNotFound(result.status) || absl::IsAborted(result.status)) return 0;
  if (!result.status.ok()) return result.status;
  purged_records_.fetch_add(batch.size(), std::memory_order_relaxed);
  return static_cast<int>(batch.size());
}

absl::Status CredentialStore::CreateApiKey(const CallContext& context, const ApiKey& key) {
  std::optional<ExpectAtMost> quota;
  if (!key.org_id().empty()) quota = api_keys_.ForOneMore(key.org_id());
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

absl::StatusOr<bool> CredentialStore::CreateSocialNetwork(const CallContext& context,
                                                          SocialNetworkSettings settings,
                                                          absl::string_view client_secret,
                                                          bool make_default) {
  const std::string& org_id = settings.org_id();
  RecordLocks::Lease lock;
  if (make_default) {
    lock =
        rank_locks_.Take(context, HashOfNetwork(org_id, settings.network(), settings.instance()));
    if (lock == nullptr) return context.WhyEnded();
  }
  // Ranks follow the order of creation. Most are the first of their network, or the newest: only
  // where the clock went back must the others be looked at.
  settings.set_default_rank(settings.created_at_ms());
  const std::optional<ExpectAtMost> quota = configurations_.ForOneMore(org_id);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    if (attempt > 0 && lock == nullptr) {
      // Those who collided take turns, else only one of them gets on each time.
      lock =
          rank_locks_.Take(context, HashOfNetwork(org_id, settings.network(), settings.instance()));
      if (lock == nullptr) return context.WhyEnded();
    }
    if (make_default || attempt > 0) {
      const absl::StatusOr<int64_t> rank = RankOfNew(context, settings, make_default);
      if (!rank.ok()) return rank.status();
      settings.set_default_rank(*rank);
    }
    const ClientSecrets secrets(client_secret);
    const LookupValues by_rank = ByRank(org_id, settings.network(), settings.instance());
    const int64_t rank = settings.default_rank();
    const Row named = Kept<SocialNetworkSettings>::RowOf(settings);
    const absl::StatusOr<CommitResult> result = records_.CommitFor(
        context, org_id,
        [&](int64_t generation) {
          ExpectAtMost::Within none_in_its_place{.rows = 0};
          (make_default ? none_in_its_place.to : none_in_its_place.from) = rank;
          Batch batch = {
              ExpectAtMost{&kSocialNetworks, by_rank, kMaxNamesOfNetwork - 1, none_in_its_place}};
          if (quota) batch.emplace_back(*quota);
          batch.emplace_back(
              Insert{&kSocialNetworks, records_.sealer().Seal(settings, generation, secrets)});
          return batch;
        },
        KeysOf(named));
    if (!result.ok()) {
      return Explain(result.status(), absl::StatusCode::kNotFound, OrganizationNotFound(org_id));
    }
    const std::vector<CommitResult::Count>& counts = result->counts;
    if (result->status.ok()) {
      if (quota) configurations_.Counted(org_id, counts[1].rows);
      return make_default || counts[0].rows == 0;
    }
    if (absl::IsAlreadyExists(result->status)) {
      return SocialNetworkExists(settings.network(), settings.instance(), settings.name());
    }
    if (!absl::IsResourceExhausted(result->status)) return result->status;
    if (counts.size() == 2) return TooManyConfigurations(org_id, configurations_.limit());
    if (counts[0].rows >= kMaxNamesOfNetwork) {
      return TooManyOfNetwork(settings.network(), settings.instance(), kMaxNamesOfNetwork);
    }
  }
  return TooManyAttempts();
}

absl::StatusOr<int64_t> CredentialStore::RankOfNew(const CallContext& context,
                                                   const SocialNetworkSettings& settings,
                                                   bool make_default) {
  Backend& backend = records_.backend();
  const LookupValues by_rank = ByRank(settings.org_id(), settings.network(), settings.instance());
  if (make_default) {
    const absl::StatusOr<Row> first = backend.Find(context, kSocialNetworks, by_rank, 0);
    if (first.ok()) return RankBefore(*first);
    if (!absl::IsNotFound(first.status())) return first.status();
  }
  const absl::StatusOr<int64_t> last = backend.FindHighest(context, kSocialNetworks, by_rank);
  if (absl::IsNotFound(last.status())) return settings.created_at_ms();
  if (!last.ok()) return last.status();
  return std::max(settings.created_at_ms(), *last + 1);
}

absl::StatusOr<Row> CredentialStore::FetchSocialNetwork(const CallContext& context,
                                                        absl::string_view org_id,
                                                        absl::string_view id, size_t parts) {
  absl::StatusOr<Row> row = records_.Fetch(context, kSocialNetworks, org_id, id, parts);
  absl::Status status = row.status();
  if (status.ok()) status = records_.CheckOwner(context, row->org_id, row->generation);
  if (status.ok()) return row;
  return Explain(status, absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
}

absl::StatusOr<SocialNetworkSettings> CredentialStore::GetSocialNetwork(const CallContext& context,
                                                                        absl::string_view org_id,
                                                                        absl::string_view id) {
  const absl::StatusOr<Row> row = FetchSocialNetwork(context, org_id, id, 1);
  if (!row.ok()) return row.status();
  return records_.sealer().Open<SocialNetworkSettings>(*row);
}

CredentialStore::Found<SocialNetworkSettings> CredentialStore::FindSocialNetwork(
    const CallContext& context, absl::string_view org_id, absl::string_view network,
    absl::string_view instance, absl::string_view configuration) {
  const auto not_found = [&] { return NetworkNotConfigured(network, instance, configuration); };
  const auto id = ConfigurationId(org_id, network, instance, configuration);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const auto stored = records_.Read<SocialNetworkSettings>(context, id, [&] {
      return LoadSocialNetwork(context, org_id, network, instance, configuration);
    });
    if (absl::IsNotFound(stored.status())) return not_found();
    if (!stored.ok()) return stored.status();
    const auto organization = records_.GetOrganization(context, org_id);
    if (absl::IsNotFound(organization.status())) return not_found();
    if (!organization.ok()) return organization.status();
    if ((*stored)->generation != (*organization)->generation) {
      // Of an organisation that was deleted and made again.
      records_.cache().Invalidate(id);
      continue;
    }
    // By its id, it may be one of another network.
    const SocialNetworkSettings& settings = (*stored)->record;
    if (settings.network() != network || settings.instance() != instance) return not_found();
    return RecordOf(*stored);
  }
  return TooManyAttempts();
}

CredentialStore::InMemory<SocialNetworkSettings> CredentialStore::FindSocialNetworkInMemory(
    absl::string_view org_id, absl::string_view network, absl::string_view instance,
    absl::string_view configuration) {
  const auto stored =
      records_.cache().Find(ConfigurationId(org_id, network, instance, configuration));
  if (!stored) return std::nullopt;
  const auto not_found = [&] { return NetworkNotConfigured(network, instance, configuration); };
  if (*stored == nullptr) return not_found();
  if (records_.HasOwnerInMemory(org_id, (*stored)->generation) != true) return std::nullopt;
  const SocialNetworkSettings& settings = (*stored)->record;
  if (settings.network() != network || settings.instance() != instance) return not_found();
  return RecordOf(*stored);
}

absl::StatusOr<Stored<SocialNetworkSettings>> CredentialStore::LoadSocialNetwork(
    const CallContext& context, absl::string_view org_id, absl::string_view network,
    absl::string_view instance, absl::string_view configuration) {
  if (IsSocialNetworkId(configuration)) {
    const absl::StatusOr<Row> row =
        records_.Fetch(context, kSocialNetworks, org_id, configuration, 1);
    if (!row.ok()) return row.status();
    return records_.Open<SocialNetworkSettings>(*row);
  }
  LookupValues key = ByRank(org_id, network, instance);
  if (!configuration.empty()) {
    key.lookup = SocialNetworkLookup::kByName;
    key.values.emplace_back(std::string(configuration));
  }
  const absl::StatusOr<Row> row = records_.backend().Find(context, kSocialNetworks, key, 1);
  if (!row.ok()) return row.status();
  const bool same = row->org_id == org_id &&
                    std::equal(key.values.begin(), key.values.end(), row->columns.begin());
  if (!same) return AnotherRow(kSocialNetworks);
  return records_.Open<SocialNetworkSettings>(*row);
}

absl::StatusOr<std::string> CredentialStore::GetDefaultSocialNetworkId(const CallContext& context,
                                                                       absl::string_view org_id,
                                                                       absl::string_view network,
                                                                       absl::string_view instance) {
  absl::StatusOr<Row> row =
      records_.backend().Find(context, kSocialNetworks, ByRank(org_id, network, instance), 0);
  if (absl::IsNotFound(row.status())) return "";
  if (!row.ok()) return row.status();
  return std::move(row->id);
}

absl::StatusOr<Listed<SocialNetworkSettings>> CredentialStore::ListSocialNetworks(
    const CallContext& context, absl::string_view org_id, absl::string_view after,
    PageLimit limit) {
  return records_.List<SocialNetworkSettings>(context, org_id, after, limit);
}

absl::StatusOr<std::vector<std::string>> CredentialStore::ListConfiguredNetworks(
    const CallContext& context, absl::string_view org_id) {
  return records_.backend().ListValues(context, kSocialNetworks, SocialNetworkLookup::kByName,
                                       org_id);
}

absl::StatusOr<CredentialStore::UpdatedSocialNetwork> CredentialStore::UpdateSocialNetwork(
    const CallContext& context, absl::string_view org_id, absl::string_view id, absl::Time now,
    const std::function<absl::Status(SocialNetworkSettings&)>& change,
    std::optional<absl::string_view> new_client_secret, bool make_default) {
  const RecordLocks::Lease lock = update_locks_.Take(context, absl::HashOf(org_id, id));
  if (lock == nullptr) return context.WhyEnded();
  const size_t all_parts = kSocialNetworks.parts.size();
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<Row> row = FetchSocialNetwork(context, org_id, id, all_parts);
    if (!row.ok()) return row.status();
    const auto old = records_.sealer().Open<SocialNetworkSettings>(*row);
    if (!old.ok()) return old.status();
    absl::StatusOr<ClientSecrets> secrets = records_.sealer().OpenSecrets(*row);
    if (!secrets.ok()) return secrets.status();

    SocialNetworkSettings settings = *old;
    if (absl::Status status = change(settings); !status.ok()) return status;
    settings.set_id(old->id());
    settings.set_org_id(old->org_id());
    settings.set_network(old->network());
    settings.set_instance(old->instance());
    settings.set_created_at_ms(old->created_at_ms());
    settings.set_updated_at_ms(absl::ToUnixMillis(now));
    settings.set_version(old->version() + 1);
    settings.set_default_rank(old->default_rank());
    const LookupValues by_rank = ByRank(org_id, old->network(), old->instance());
    RecordLocks::Lease rank_lock;
    if (make_default) {
      rank_lock = rank_locks_.Take(context, HashOfNetwork(org_id, old->network(), old->instance()));
      if (rank_lock == nullptr) return context.WhyEnded();
    }
    const absl::StatusOr<Row> first = records_.backend().Find(context, kSocialNetworks, by_rank, 0);
    if (!first.ok()) {
      return Explain(first.status(), absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
    }
    const bool becomes_default = make_default && first->id != id;
    if (becomes_default) settings.set_default_rank(RankBefore(*first));
    if (new_client_secret) secrets->Replace(*new_client_secret, old->version(), now);
    secrets->Expire(now);

    Row changed = records_.sealer().Seal(settings, row->generation, *secrets);
    const auto keys_before = KeysOf(*row);
    const Row named = Kept<SocialNetworkSettings>::RowOf(settings);
    const auto keys_after = KeysOf(named);
    std::vector<RecordKey> keys(keys_before.begin(), keys_before.end());
    keys.insert(keys.end(), keys_after.begin(), keys_after.end());
    Batch batch;
    if (becomes_default) {
      const ExpectAtMost::Within none_before{.to = settings.default_rank(), .rows = 0};
      batch.emplace_back(ExpectAtMost{&kSocialNetworks, by_rank, kMaxNamesOfNetwork, none_before});
    }
    batch.emplace_back(Update{&kSocialNetworks, std::move(changed), row->version});
    const absl::Status status = records_.Commit(context, batch, keys).status;
    if (status.ok()) return UpdatedSocialNetwork{settings, make_default || first->id == id};
    // Another one became the default, or this was changed.
    if (absl::IsResourceExhausted(status) || absl::IsAborted(status)) continue;
    if (absl::IsAlreadyExists(status)) {
      return SocialNetworkExists(settings.network(), settings.instance(), settings.name());
    }
    return Explain(status, absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
  }
  return TooManyAttempts();
}

absl::Status CredentialStore::DeleteSocialNetwork(const CallContext& context,
                                                  absl::string_view org_id, absl::string_view id) {
  // Requests find it by its network and its name, so these must be known. They stay the same under
  // the lock, or the version is another one.
  const RecordLocks::Lease lock = update_locks_.Take(context, absl::HashOf(org_id, id));
  if (lock == nullptr) return context.WhyEnded();
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<Row> row = FetchSocialNetwork(context, org_id, id, 0);
    if (!row.ok()) return row.status();
    const Batch batch = {Delete{&kSocialNetworks, row->org_id, row->id, row->version}};
    const absl::Status status = records_.Commit(context, batch, KeysOf(*row)).status;
    if (absl::IsAborted(status)) continue;
    return Explain(status, absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
  }
  return TooManyAttempts();
}

absl::StatusOr<std::string> CredentialStore::GetClientSecret(const CallContext& context,
                                                             absl::string_view org_id,
                                                             absl::string_view id,
                                                             uint64_t version) {
  const absl::StatusOr<Row> row =
      FetchSocialNetwork(context, org_id, id, kSocialNetworks.parts.size());
  if (!row.ok()) return row.status();
  const absl::StatusOr<ClientSecrets> secrets = records_.sealer().OpenSecrets(*row);
  if (!secrets.ok()) return secrets.status();
  std::optional<std::string> secret;
  if (version >= 1 && version <= row->version) secret = secrets->Find(version);
  if (!secret) return ClientSecretNotFound(id, version);
  return *std::move(secret);
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
          batch.push_back(Insert{&kAuthStates,
                                 {.org_id = org_id,
                                  .generation = generation,
                                  .id = DigestOf(state.reference),
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
      records_.Fetch(context, kAuthStates, "", DigestOf(reference), kAuthStates.parts.size());
  absl::Status status = row.status();
  if (status.ok()) status = records_.CheckOwner(context, row->org_id, row->generation);
  if (!status.ok()) return Explain(status, absl::StatusCode::kNotFound, AuthStateNotFound());
  // Not checked further: what comes from another row does not open with this reference.
  return row->parts[0];
}

absl::StatusOr<int> CredentialStore::PurgeAuthStates(absl::Time now, int limit) {
  const CallContext& context = CallContext::Background();
  const absl::StatusOr<std::vector<Row>> expired =
      records_.backend().ListDue(context, kAuthStates, absl::ToUnixMillis(now), limit);
  if (!expired.ok()) return expired.status();
  if (expired->empty()) return 0;
  Batch batch;
  for (const Row& row : *expired) batch.emplace_back(Delete{&kAuthStates, row.org_id, row.id});
  const absl::Status status = records_.Commit(context, batch, {}).status;
  if (!status.ok()) return status;
  purged_auth_states_.fetch_add(batch.size(), std::memory_order_relaxed);
  return static_cast<int>(batch.size());
}

absl::StatusOr<ResealStep> CredentialStore::ResealNext(int batch) { return resealer_.Next(batch); }

absl::StatusOr<RollbackCheck::Found> CredentialStore::StartRollbackCheck(const std::string& file) {
  rollback_check_ = std::make_unique<RollbackCheck>(records_.backend(), sealer_, random_, file);
  const uint64_t writes = records_.backend().Stats().writes;
  absl::StatusOr<RollbackCheck::Found> found = rollback_check_->Start();
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
          .purged_records = purged_records_.load(std::memory_order_relaxed)};
}

}  // namespace authurl
