#include "storage/credential_store.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "storage/client_secrets.h"
#include "storage/key_ring_check.h"
#include "storage/store_errors.h"

namespace authurl {
namespace {

using record::v1::ApiKey;
using record::v1::Organization;
using record::v1::SocialNetworkSettings;

// Only other processes and the sealing anew can make an update start over, and each time they got
// on.
constexpr int kMaxAttempts = 16;

// What stands for a reference in the database.
std::string DigestOf(absl::string_view reference) {
  return std::string(AsChars(Sha256(reference)));
}

// In place of a name: the default one of a network and instance. No name has this character.
constexpr absl::string_view kDefaultConfiguration = "*";

// What a request finds a configuration by.
RecordId<SocialNetworkSettings> IdOf(absl::string_view org_id, absl::string_view network,
                                     absl::string_view instance, absl::string_view configuration) {
  if (IsSocialNetworkId(configuration)) return {.id = org_id, .configuration = configuration};
  return {org_id, network, instance, configuration.empty() ? kDefaultConfiguration : configuration};
}

// `status` with its NOT_FOUND or ALREADY_EXISTS, which say nothing to a caller, replaced by the
// given error.
absl::Status Explain(const absl::Status& status, absl::StatusCode code,
                     const absl::Status& explained) {
  return status.code() == code ? explained : status;
}

// A rank below that of the configuration that is the default now.
int64_t RankBefore(const SocialNetworkRow& first) { return first.default_rank - 1; }

absl::Status TooManyAttempts() {
  return StorageUnavailable("the record was changed again and again during an update");
}

// A damaged index leads to a row that is sound in itself but not the one asked for.
absl::Status AnotherRow(absl::string_view table) {
  return absl::InternalError(
      absl::StrCat("the database answered with another row of ", table,
                   " than the one asked for: it was damaged; restore it from a backup"));
}

// The row of the key, with the errors that are meant for callers.
absl::StatusOr<ApiKeyRow> FetchApiKey(Backend& backend, absl::string_view key_id) {
  absl::StatusOr<ApiKeyRow> row = backend.GetApiKey(key_id);
  if (!row.ok()) {
    return Explain(row.status(), absl::StatusCode::kNotFound, ApiKeyNotFound(key_id));
  }
  if (row->key_id != key_id) return AnotherRow("api_keys");
  return row;
}

// What the backend answered when asked for a configuration by its id, checked likewise.
absl::StatusOr<SocialNetworkRow> Checked(absl::StatusOr<SocialNetworkRow> row,
                                         absl::string_view org_id, absl::string_view id) {
  if (!row.ok()) {
    return Explain(row.status(), absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
  }
  if (row->org_id != org_id || row->id != id) return AnotherRow("social_networks");
  return row;
}

template <typename Rows, typename OpenRow>
auto OpenAll(const Rows& rows, OpenRow open)
    -> absl::StatusOr<std::vector<typename decltype(open(rows->front()))::value_type>> {
  if (!rows.ok()) return rows.status();
  std::vector<typename decltype(open(rows->front()))::value_type> records;
  records.reserve(rows->size());
  for (const auto& row : *rows) {
    auto record = open(row);
    if (!record.ok()) return record.status();
    records.push_back(*std::move(record));
  }
  return records;
}

template <typename T>
absl::StatusOr<std::shared_ptr<const T>> Shared(absl::StatusOr<T> record) {
  if (!record.ok()) return record.status();
  return std::make_shared<const T>(*std::move(record));
}

template <typename T, typename NotFound>
absl::StatusOr<std::shared_ptr<const T>> OrNotFound(std::shared_ptr<const T> found,
                                                    NotFound not_found) {
  if (found == nullptr) return not_found();
  return found;
}

// What the cache keeps.
template <typename T, typename NotFound>
InMemory<T> FindInMemory(RecordCache& cache, const RecordId<T>& id, NotFound not_found) {
  std::optional<std::shared_ptr<const T>> found = cache.Find(id);
  if (!found.has_value()) return std::nullopt;
  return OrNotFound(*std::move(found), not_found);
}

// A read through the cache.
template <typename T, typename LoadRecord, typename NotFound>
absl::StatusOr<std::shared_ptr<const T>> Read(RecordCache& cache, const RecordId<T>& id,
                                              LoadRecord load, NotFound not_found) {
  if (InMemory<T> found = FindInMemory(cache, id, not_found)) return *std::move(found);
  absl::StatusOr<std::shared_ptr<const T>> loaded = cache.Load(id, load);
  if (!loaded.ok()) return loaded.status();
  return OrNotFound(*std::move(loaded), not_found);
}

// What was found by its id may be of another network.
template <typename NotFound>
absl::StatusOr<std::shared_ptr<const SocialNetworkSettings>> OfNetwork(
    absl::StatusOr<std::shared_ptr<const SocialNetworkSettings>> found, absl::string_view network,
    absl::string_view instance, NotFound not_found) {
  if (found.ok() && ((*found)->network() != network || (*found)->instance() != instance)) {
    return not_found();
  }
  return found;
}

}  // namespace

CredentialStore::CredentialStore(std::unique_ptr<Backend> backend, const Sealer& sealer,
                                 RandomSource random, size_t cache_bytes)
    : backend_(std::move(backend)),
      random_(std::move(random)),
      records_(sealer, random_),
      resealer_(*backend_, sealer, records_, random_),
      cache_(cache_bytes) {}

absl::StatusOr<std::unique_ptr<CredentialStore>> CredentialStore::Open(
    std::unique_ptr<Backend> backend, const Sealer& sealer, RandomSource random,
    size_t cache_bytes) {
  const absl::Status status = CheckKeyRing(*backend, sealer, random);
  if (!status.ok()) return status;
  return std::unique_ptr<CredentialStore>(
      new CredentialStore(std::move(backend), sealer, std::move(random), cache_bytes));
}

std::mutex& CredentialStore::RankLock(absl::string_view org_id, absl::string_view network,
                                      absl::string_view instance) {
  return rank_locks_[absl::HashOf(org_id, network, instance) % rank_locks_.size()];
}

std::mutex& CredentialStore::UpdateLock(absl::string_view scope, absl::string_view id) {
  return update_locks_[absl::HashOf(scope, id) % update_locks_.size()];
}

// Every write below invalidates what it may have changed, whatever its status: one that failed may
// have had an effect all the same, and one that found a record there, or gone, must not be followed
// by a read that says otherwise.

absl::Status CredentialStore::CreateOrganization(const Organization& organization) {
  const absl::Status status = backend_->InsertOrganization(records_.Seal(organization));
  cache_.Invalidate(RecordId<Organization>{organization.org_id()});
  return Explain(status, absl::StatusCode::kAlreadyExists,
                 OrganizationExists(organization.org_id()));
}

absl::StatusOr<std::shared_ptr<const Organization>> CredentialStore::GetOrganization(
    absl::string_view org_id) {
  return Read(
      cache_, RecordId<Organization>{org_id}, [&] { return LoadOrganization(org_id); },
      [&] { return OrganizationNotFound(org_id); });
}

InMemory<Organization> CredentialStore::FindOrganizationInMemory(absl::string_view org_id) {
  return FindInMemory(cache_, RecordId<Organization>{org_id},
                      [&] { return OrganizationNotFound(org_id); });
}

absl::StatusOr<std::shared_ptr<const Organization>> CredentialStore::LoadOrganization(
    absl::string_view org_id) {
  const absl::StatusOr<OrganizationRow> row = backend_->GetOrganization(org_id);
  if (absl::IsNotFound(row.status())) return nullptr;
  if (!row.ok()) return row.status();
  if (row->org_id != org_id) return AnotherRow("organizations");
  return Shared(records_.Open(*row));
}

absl::StatusOr<std::vector<Organization>> CredentialStore::ListOrganizations(
    absl::string_view after, int limit) {
  return OpenAll(backend_->ListOrganizations(after, limit),
                 [this](const OrganizationRow& row) { return records_.Open(row); });
}

absl::Status CredentialStore::DeleteOrganization(absl::string_view org_id) {
  const absl::Status status = backend_->DeleteOrganization(org_id);
  cache_.InvalidateIf([&](const RecordCache::Key& key, const google::protobuf::Message* record) {
    if (key.kind != RecordKind::kApiKey) return key.id == org_id;
    // A key that is known to be absent is absent still.
    return record != nullptr && static_cast<const ApiKey&>(*record).org_id() == org_id;
  });
  return Explain(status, absl::StatusCode::kNotFound, OrganizationNotFound(org_id));
}

absl::Status CredentialStore::CreateApiKey(const ApiKey& key) {
  const absl::Status status = backend_->InsertApiKey(records_.Seal(key, 1));
  cache_.Invalidate(RecordId<ApiKey>{key.key_id()});
  if (absl::IsAlreadyExists(status)) return ApiKeyExists(key.key_id());
  return Explain(status, absl::StatusCode::kNotFound, OrganizationNotFound(key.org_id()));
}

absl::StatusOr<std::shared_ptr<const ApiKey>> CredentialStore::GetApiKey(absl::string_view key_id) {
  return Read(
      cache_, RecordId<ApiKey>{key_id}, [&] { return LoadApiKey(key_id); },
      [&] { return ApiKeyNotFound(key_id); });
}

InMemory<ApiKey> CredentialStore::FindApiKeyInMemory(absl::string_view key_id) {
  return FindInMemory(cache_, RecordId<ApiKey>{key_id}, [&] { return ApiKeyNotFound(key_id); });
}

absl::StatusOr<std::shared_ptr<const ApiKey>> CredentialStore::LoadApiKey(
    absl::string_view key_id) {
  const absl::StatusOr<ApiKeyRow> row = FetchApiKey(*backend_, key_id);
  if (absl::IsNotFound(row.status())) return nullptr;
  if (!row.ok()) return row.status();
  return Shared(records_.Open(*row));
}

absl::StatusOr<std::vector<ApiKey>> CredentialStore::ListApiKeys(
    std::optional<absl::string_view> org_id, absl::string_view after, int limit) {
  return OpenAll(backend_->ListApiKeys(org_id, after, limit),
                 [&](const ApiKeyRow& row) -> absl::StatusOr<ApiKey> {
                   if (org_id && row.org_id != *org_id) return AnotherRow("api_keys");
                   return records_.Open(row);
                 });
}

absl::StatusOr<ApiKey> CredentialStore::RevokeApiKey(absl::string_view key_id,
                                                     std::optional<absl::string_view> org_id,
                                                     absl::Time now) {
  const std::lock_guard lock(UpdateLock("", key_id));
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<ApiKeyRow> row = FetchApiKey(*backend_, key_id);
    if (!row.ok()) return row.status();
    if (org_id && row->org_id != *org_id) return ApiKeyNotFound(key_id);
    absl::StatusOr<ApiKey> key = records_.Open(*row);
    if (!key.ok() || key->revoked_at_ms() != 0) return key;
    key->set_revoked_at_ms(absl::ToUnixMillis(now));
    const absl::Status status =
        backend_->UpdateApiKey(records_.Seal(*key, row->version + 1), row->version);
    cache_.Invalidate(RecordId<ApiKey>{key_id});
    if (status.ok()) return key;
    if (absl::IsAborted(status)) continue;
    return Explain(status, absl::StatusCode::kNotFound, ApiKeyNotFound(key_id));
  }
  return TooManyAttempts();
}

absl::StatusOr<bool> CredentialStore::CreateSocialNetwork(SocialNetworkSettings settings,
                                                          absl::string_view client_secret,
                                                          bool make_default) {
  std::unique_lock lock(RankLock(settings.org_id(), settings.network(), settings.instance()),
                        std::defer_lock);
  if (make_default) lock.lock();
  // Ranks follow the order of creation. Most are the first of their network, or the newest: only
  // where the clock went back must the others be looked at.
  settings.set_default_rank(settings.created_at_ms());
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    if (make_default || attempt > 0) {
      const absl::StatusOr<int64_t> rank = RankOfNew(settings, make_default);
      if (!rank.ok()) return rank.status();
      settings.set_default_rank(*rank);
    }
    const SocialNetworkRow row = records_.Seal(settings, ClientSecrets(client_secret));
    const absl::StatusOr<int> others = backend_->InsertSocialNetwork(
        row, make_default ? Backend::Place::kFirst : Backend::Place::kLast);
    Invalidate(row);
    if (others.ok()) return make_default || *others == 0;
    if (absl::IsAborted(others.status())) continue;
    if (absl::IsAlreadyExists(others.status())) {
      return SocialNetworkExists(settings.network(), settings.instance(), settings.name());
    }
    if (absl::IsResourceExhausted(others.status())) {
      return TooManyOfNetwork(settings.network(), settings.instance(), kMaxNamesOfNetwork);
    }
    return Explain(others.status(), absl::StatusCode::kNotFound,
                   OrganizationNotFound(settings.org_id()));
  }
  return TooManyAttempts();
}

absl::StatusOr<int64_t> CredentialStore::RankOfNew(const SocialNetworkSettings& settings,
                                                   bool make_default) {
  if (make_default) {
    const absl::StatusOr<SocialNetworkRow> first = backend_->FindSocialNetwork(
        settings.org_id(), settings.network(), settings.instance(), std::nullopt);
    if (first.ok()) return RankBefore(*first);
    if (!absl::IsNotFound(first.status())) return first.status();
  }
  const absl::StatusOr<int64_t> last =
      backend_->GetHighestDefaultRank(settings.org_id(), settings.network(), settings.instance());
  if (absl::IsNotFound(last.status())) return settings.created_at_ms();
  if (!last.ok()) return last.status();
  return std::max(settings.created_at_ms(), *last + 1);
}

void CredentialStore::Invalidate(const SocialNetworkRow& row) {
  for (const absl::string_view configuration :
       {kDefaultConfiguration, absl::string_view(row.name)}) {
    cache_.Invalidate(
        RecordId<SocialNetworkSettings>{row.org_id, row.network, row.instance, configuration});
  }
  cache_.Invalidate(RecordId<SocialNetworkSettings>{.id = row.org_id, .configuration = row.id});
}

absl::StatusOr<SocialNetworkSettings> CredentialStore::GetSocialNetwork(absl::string_view org_id,
                                                                        absl::string_view id) {
  const absl::StatusOr<SocialNetworkRow> row =
      Checked(backend_->GetSocialNetwork(org_id, id), org_id, id);
  if (!row.ok()) return row.status();
  return records_.OpenSettings(*row);
}

absl::StatusOr<std::shared_ptr<const SocialNetworkSettings>> CredentialStore::FindSocialNetwork(
    absl::string_view org_id, absl::string_view network, absl::string_view instance,
    absl::string_view configuration) {
  const auto not_found = [&] { return NetworkNotConfigured(network, instance, configuration); };
  return OfNetwork(
      Read(
          cache_, IdOf(org_id, network, instance, configuration),
          [&] { return LoadSocialNetwork(org_id, network, instance, configuration); }, not_found),
      network, instance, not_found);
}

InMemory<SocialNetworkSettings> CredentialStore::FindSocialNetworkInMemory(
    absl::string_view org_id, absl::string_view network, absl::string_view instance,
    absl::string_view configuration) {
  const auto not_found = [&] { return NetworkNotConfigured(network, instance, configuration); };
  InMemory<SocialNetworkSettings> found =
      FindInMemory(cache_, IdOf(org_id, network, instance, configuration), not_found);
  if (!found.has_value()) return std::nullopt;
  return OfNetwork(*std::move(found), network, instance, not_found);
}

absl::StatusOr<std::shared_ptr<const SocialNetworkSettings>> CredentialStore::LoadSocialNetwork(
    absl::string_view org_id, absl::string_view network, absl::string_view instance,
    absl::string_view configuration) {
  if (IsSocialNetworkId(configuration)) return LoadSocialNetworkById(org_id, configuration);
  const std::optional<absl::string_view> name =
      configuration.empty() ? std::nullopt : std::optional(configuration);
  const absl::StatusOr<SocialNetworkRow> row =
      backend_->FindSocialNetwork(org_id, network, instance, name);
  if (absl::IsNotFound(row.status())) return nullptr;
  if (!row.ok()) return row.status();
  const bool same = row->org_id == org_id && row->network == network && row->instance == instance &&
                    (!name || row->name == *name);
  if (!same) return AnotherRow("social_networks");
  return Shared(records_.OpenSettings(*row));
}

absl::StatusOr<std::shared_ptr<const SocialNetworkSettings>> CredentialStore::LoadSocialNetworkById(
    absl::string_view org_id, absl::string_view id) {
  absl::StatusOr<SocialNetworkSettings> settings = GetSocialNetwork(org_id, id);
  if (absl::IsNotFound(settings.status())) return nullptr;
  return Shared(std::move(settings));
}

absl::StatusOr<std::string> CredentialStore::GetDefaultSocialNetworkId(absl::string_view org_id,
                                                                       absl::string_view network,
                                                                       absl::string_view instance) {
  absl::StatusOr<SocialNetworkRow> row =
      backend_->FindSocialNetwork(org_id, network, instance, std::nullopt);
  if (absl::IsNotFound(row.status())) return "";
  if (!row.ok()) return row.status();
  return std::move(row->id);
}

absl::StatusOr<std::vector<SocialNetworkSettings>> CredentialStore::ListSocialNetworks(
    absl::string_view org_id, absl::string_view after, int limit) {
  return OpenAll(backend_->ListSocialNetworks(org_id, after, limit),
                 [&](const SocialNetworkRow& row) -> absl::StatusOr<SocialNetworkSettings> {
                   if (row.org_id != org_id) return AnotherRow("social_networks");
                   return records_.OpenSettings(row);
                 });
}

absl::StatusOr<CredentialStore::UpdatedSocialNetwork> CredentialStore::UpdateSocialNetwork(
    absl::string_view org_id, absl::string_view id, absl::Time now,
    const std::function<absl::Status(SocialNetworkSettings&)>& change,
    std::optional<absl::string_view> new_client_secret, bool make_default) {
  const std::lock_guard lock(UpdateLock(org_id, id));
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<SocialNetworkRow> row =
        Checked(backend_->GetSocialNetworkSecret(org_id, id), org_id, id);
    if (!row.ok()) return row.status();
    const absl::StatusOr<SocialNetworkSettings> old = records_.OpenSettings(*row);
    if (!old.ok()) return old.status();
    absl::StatusOr<ClientSecrets> secrets = records_.OpenSecrets(*row);
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
    std::unique_lock rank_lock(RankLock(org_id, row->network, row->instance), std::defer_lock);
    if (make_default) rank_lock.lock();
    const absl::StatusOr<SocialNetworkRow> first =
        backend_->FindSocialNetwork(org_id, row->network, row->instance, std::nullopt);
    if (!first.ok()) {
      return Explain(first.status(), absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
    }
    if (make_default && first->id != id) settings.set_default_rank(RankBefore(*first));
    if (new_client_secret) secrets->Replace(*new_client_secret, old->version(), now);
    secrets->Expire(now);

    const SocialNetworkRow changed = records_.Seal(settings, *secrets);
    const absl::Status status = backend_->UpdateSocialNetwork(changed, row->version);
    Invalidate(*row);
    Invalidate(changed);
    if (status.ok()) return UpdatedSocialNetwork{settings, make_default || first->id == id};
    if (absl::IsAborted(status)) continue;
    if (absl::IsAlreadyExists(status)) {
      return SocialNetworkExists(settings.network(), settings.instance(), settings.name());
    }
    return Explain(status, absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
  }
  return TooManyAttempts();
}

absl::Status CredentialStore::DeleteSocialNetwork(absl::string_view org_id, absl::string_view id) {
  // Requests find it by its network and its name, so these must be known. They stay the same under
  // the lock.
  const std::lock_guard lock(UpdateLock(org_id, id));
  const absl::StatusOr<SocialNetworkRow> row =
      Checked(backend_->GetSocialNetwork(org_id, id), org_id, id);
  if (!row.ok()) return row.status();
  const absl::Status status = backend_->DeleteSocialNetwork(org_id, id);
  Invalidate(*row);
  return Explain(status, absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
}

absl::StatusOr<std::string> CredentialStore::GetClientSecret(absl::string_view org_id,
                                                             absl::string_view id,
                                                             uint64_t version) {
  const absl::StatusOr<SocialNetworkRow> row =
      Checked(backend_->GetSocialNetworkSecret(org_id, id), org_id, id);
  if (!row.ok()) return row.status();
  const absl::StatusOr<ClientSecrets> secrets = records_.OpenSecrets(*row);
  if (!secrets.ok()) return secrets.status();
  std::optional<std::string> secret;
  if (version >= 1 && version <= row->version) secret = secrets->Find(version);
  if (!secret) return ClientSecretNotFound(id, version);
  return *std::move(secret);
}

absl::Status CredentialStore::PutAuthState(const StoredAuthState& state) {
  const absl::Status status =
      backend_->InsertAuthState({.digest = DigestOf(state.reference),
                                 .org_id = state.org_id,
                                 .expires_at_ms = absl::ToUnixMillis(state.expires_at),
                                 .sealed = state.sealed});
  if (absl::IsAlreadyExists(status)) {
    return absl::InternalError("the reference of an OAuth state was made twice: it is not random");
  }
  return Explain(status, absl::StatusCode::kNotFound, OrganizationNotFound(state.org_id));
}

absl::StatusOr<std::string> CredentialStore::GetAuthState(absl::string_view reference) {
  // Not checked like other rows: what comes from another row does not open with this reference.
  absl::StatusOr<AuthStateRow> row = backend_->GetAuthState(DigestOf(reference));
  if (!row.ok()) return Explain(row.status(), absl::StatusCode::kNotFound, AuthStateNotFound());
  return std::move(row->sealed);
}

absl::StatusOr<int> CredentialStore::PurgeAuthStates(absl::Time now, int limit) {
  absl::StatusOr<int> purged = backend_->DeleteExpiredAuthStates(absl::ToUnixMillis(now), limit);
  if (purged.ok()) {
    purged_auth_states_.fetch_add(static_cast<uint64_t>(*purged), std::memory_order_relaxed);
  }
  return purged;
}

absl::StatusOr<ResealStep> CredentialStore::ResealNext(int batch) { return resealer_.Next(batch); }

absl::Status CredentialStore::Probe() { return backend_->Probe(); }

absl::Status CredentialStore::ProbeReads() { return backend_->ProbeReads(); }

CredentialStore::Stats CredentialStore::Snapshot() const {
  return {.cache = cache_.Snapshot(),
          .backend = backend_->Stats(),
          .purged_auth_states = purged_auth_states_.load(std::memory_order_relaxed)};
}

}  // namespace authurl
