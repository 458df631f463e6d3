#include "storage/credential_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"
#include "storage/client_secrets.h"
#include "storage/key_ring_check.h"

namespace authurl {
namespace {

// Only other processes can make an update start over, and each time one of them got on.
constexpr int kMaxAttempts = 16;

absl::Status OrganizationNotFound(absl::string_view org_id) {
  return MakeError(absl::StatusCode::kNotFound, "ORGANIZATION_NOT_FOUND",
                   absl::StrCat("there is no organisation ", Quoted(org_id)));
}

absl::Status ApiKeyNotFound(absl::string_view key_id) {
  return MakeError(absl::StatusCode::kNotFound, "API_KEY_NOT_FOUND",
                   absl::StrCat("there is no API key ", Quoted(key_id)));
}

absl::Status SocialNetworkNotFound(absl::string_view id) {
  return MakeError(absl::StatusCode::kNotFound, "SOCIAL_NETWORK_NOT_FOUND",
                   absl::StrCat("there is no social network configuration ", Quoted(id)));
}

// Never quotes the reference: it is as good as the state itself.
absl::Status AuthStateNotFound() {
  return MakeError(absl::StatusCode::kNotFound, "AUTH_STATE_NOT_FOUND",
                   "the state is unknown or has expired; start the authorization again");
}

// What stands for a reference in the database.
std::string DigestOf(absl::string_view reference) {
  return std::string(AsChars(Sha256(reference)));
}

std::string NetworkAndInstance(absl::string_view network, absl::string_view instance) {
  if (instance.empty()) return std::string(network);
  return absl::StrCat(network, " (instance ", Quoted(instance), ")");
}

// `status` with its NOT_FOUND or ALREADY_EXISTS, which say nothing to a caller, replaced by the
// given error.
absl::Status Explain(const absl::Status& status, absl::StatusCode code,
                     const absl::Status& explained) {
  return status.code() == code ? explained : status;
}

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

}  // namespace

CredentialStore::CredentialStore(std::unique_ptr<Backend> backend, const Sealer& sealer,
                                 RandomSource random)
    : backend_(std::move(backend)),
      random_(std::move(random)),
      records_(sealer, random_),
      resealer_(*backend_, sealer, records_, random_) {}

absl::StatusOr<std::unique_ptr<CredentialStore>> CredentialStore::Open(
    std::unique_ptr<Backend> backend, const Sealer& sealer, RandomSource random) {
  const absl::Status status = CheckKeyRing(*backend, sealer, random);
  if (!status.ok()) return status;
  return std::unique_ptr<CredentialStore>(
      new CredentialStore(std::move(backend), sealer, std::move(random)));
}

absl::Status CredentialStore::CreateOrganization(const record::v1::Organization& organization) {
  return Explain(backend_->InsertOrganization(records_.Seal(organization)),
                 absl::StatusCode::kAlreadyExists,
                 MakeError(absl::StatusCode::kAlreadyExists, "ORGANIZATION_EXISTS",
                           absl::StrCat("the organisation ", Quoted(organization.org_id()),
                                        " exists; choose another org_id")));
}

absl::StatusOr<record::v1::Organization> CredentialStore::GetOrganization(
    absl::string_view org_id) {
  const absl::StatusOr<OrganizationRow> row = backend_->GetOrganization(org_id);
  if (!row.ok()) {
    return Explain(row.status(), absl::StatusCode::kNotFound, OrganizationNotFound(org_id));
  }
  if (row->org_id != org_id) return AnotherRow("organizations");
  return records_.Open(*row);
}

absl::StatusOr<std::vector<record::v1::Organization>> CredentialStore::ListOrganizations(
    absl::string_view after, int limit) {
  return OpenAll(backend_->ListOrganizations(after, limit),
                 [this](const OrganizationRow& row) { return records_.Open(row); });
}

absl::Status CredentialStore::DeleteOrganization(absl::string_view org_id) {
  return Explain(backend_->DeleteOrganization(org_id), absl::StatusCode::kNotFound,
                 OrganizationNotFound(org_id));
}

absl::Status CredentialStore::CreateApiKey(const record::v1::ApiKey& key) {
  const absl::Status status = backend_->InsertApiKey(records_.Seal(key, 1));
  if (absl::IsAlreadyExists(status)) {
    return MakeError(absl::StatusCode::kAlreadyExists, "API_KEY_EXISTS",
                     absl::StrCat("the API key ", Quoted(key.key_id()), " exists"));
  }
  return Explain(status, absl::StatusCode::kNotFound, OrganizationNotFound(key.org_id()));
}

absl::StatusOr<record::v1::ApiKey> CredentialStore::GetApiKey(absl::string_view key_id) {
  const absl::StatusOr<ApiKeyRow> row = FetchApiKey(*backend_, key_id);
  if (!row.ok()) return row.status();
  return records_.Open(*row);
}

absl::StatusOr<std::vector<record::v1::ApiKey>> CredentialStore::ListApiKeys(
    std::optional<absl::string_view> org_id, absl::string_view after, int limit) {
  return OpenAll(backend_->ListApiKeys(org_id, after, limit),
                 [&](const ApiKeyRow& row) -> absl::StatusOr<record::v1::ApiKey> {
                   if (org_id && row.org_id != *org_id) return AnotherRow("api_keys");
                   return records_.Open(row);
                 });
}

absl::StatusOr<record::v1::ApiKey> CredentialStore::RevokeApiKey(
    absl::string_view key_id, std::optional<absl::string_view> org_id, absl::Time now) {
  const std::lock_guard lock(updates_);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<ApiKeyRow> row = FetchApiKey(*backend_, key_id);
    if (!row.ok()) return row.status();
    if (org_id && row->org_id != *org_id) return ApiKeyNotFound(key_id);
    absl::StatusOr<record::v1::ApiKey> key = records_.Open(*row);
    if (!key.ok() || key->revoked_at_ms() != 0) return key;
    key->set_revoked_at_ms(absl::ToUnixMillis(now));
    const absl::Status status =
        backend_->UpdateApiKey(records_.Seal(*key, row->version + 1), row->version);
    if (status.ok()) return key;
    if (absl::IsAborted(status)) continue;
    return Explain(status, absl::StatusCode::kNotFound, ApiKeyNotFound(key_id));
  }
  return TooManyAttempts();
}

absl::Status CredentialStore::CreateSocialNetwork(const record::v1::SocialNetworkSettings& settings,
                                                  absl::string_view client_secret) {
  const absl::Status status =
      backend_->InsertSocialNetwork(records_.Seal(settings, ClientSecrets(client_secret)));
  if (absl::IsAlreadyExists(status)) {
    return MakeError(
        absl::StatusCode::kAlreadyExists, "SOCIAL_NETWORK_EXISTS",
        absl::StrCat(NetworkAndInstance(settings.network(), settings.instance()),
                     " is configured for this organisation; update that configuration instead"));
  }
  return Explain(status, absl::StatusCode::kNotFound, OrganizationNotFound(settings.org_id()));
}

absl::StatusOr<record::v1::SocialNetworkSettings> CredentialStore::GetSocialNetwork(
    absl::string_view org_id, absl::string_view id) {
  const absl::StatusOr<SocialNetworkRow> row =
      Checked(backend_->GetSocialNetwork(org_id, id), org_id, id);
  if (!row.ok()) return row.status();
  return records_.OpenSettings(*row);
}

absl::StatusOr<record::v1::SocialNetworkSettings> CredentialStore::FindSocialNetwork(
    absl::string_view org_id, absl::string_view network, absl::string_view instance) {
  const absl::StatusOr<SocialNetworkRow> row =
      backend_->FindSocialNetwork(org_id, network, instance);
  if (!row.ok()) {
    return Explain(
        row.status(), absl::StatusCode::kNotFound,
        MakeError(absl::StatusCode::kNotFound, "NETWORK_NOT_CONFIGURED",
                  absl::StrCat(NetworkAndInstance(network, instance),
                               " is not configured for this organisation; create a social "
                               "network configuration for it first")));
  }
  const bool same = row->org_id == org_id && row->network == network && row->instance == instance;
  if (!same) return AnotherRow("social_networks");
  return records_.OpenSettings(*row);
}

absl::StatusOr<std::vector<record::v1::SocialNetworkSettings>> CredentialStore::ListSocialNetworks(
    absl::string_view org_id, absl::string_view after, int limit) {
  return OpenAll(
      backend_->ListSocialNetworks(org_id, after, limit),
      [&](const SocialNetworkRow& row) -> absl::StatusOr<record::v1::SocialNetworkSettings> {
        if (row.org_id != org_id) return AnotherRow("social_networks");
        return records_.OpenSettings(row);
      });
}

absl::StatusOr<record::v1::SocialNetworkSettings> CredentialStore::UpdateSocialNetwork(
    absl::string_view org_id, absl::string_view id, absl::Time now,
    const std::function<absl::Status(record::v1::SocialNetworkSettings&)>& change,
    std::optional<absl::string_view> new_client_secret) {
  const std::lock_guard lock(updates_);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<SocialNetworkRow> row =
        Checked(backend_->GetSocialNetworkSecret(org_id, id), org_id, id);
    if (!row.ok()) return row.status();
    const absl::StatusOr<record::v1::SocialNetworkSettings> old = records_.OpenSettings(*row);
    if (!old.ok()) return old.status();
    absl::StatusOr<ClientSecrets> secrets = records_.OpenSecrets(*row);
    if (!secrets.ok()) return secrets.status();

    record::v1::SocialNetworkSettings settings = *old;
    if (absl::Status status = change(settings); !status.ok()) return status;
    settings.set_id(old->id());
    settings.set_org_id(old->org_id());
    settings.set_network(old->network());
    settings.set_instance(old->instance());
    settings.set_created_at_ms(old->created_at_ms());
    settings.set_updated_at_ms(absl::ToUnixMillis(now));
    settings.set_version(old->version() + 1);
    if (new_client_secret) secrets->Replace(*new_client_secret, old->version(), now);
    secrets->Expire(now);

    const absl::Status status =
        backend_->UpdateSocialNetwork(records_.Seal(settings, *secrets), row->version);
    if (status.ok()) return settings;
    if (absl::IsAborted(status)) continue;
    return Explain(status, absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
  }
  return TooManyAttempts();
}

absl::Status CredentialStore::DeleteSocialNetwork(absl::string_view org_id, absl::string_view id) {
  return Explain(backend_->DeleteSocialNetwork(org_id, id), absl::StatusCode::kNotFound,
                 SocialNetworkNotFound(id));
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
  if (!secret) {
    return MakeError(absl::StatusCode::kNotFound, "CLIENT_SECRET_NOT_FOUND",
                     absl::StrCat("the client_secret of version ", version,
                                  " of the social network configuration ", Quoted(id),
                                  " is not kept; start the authorization again"));
  }
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
  return backend_->DeleteExpiredAuthStates(absl::ToUnixMillis(now), limit);
}

absl::StatusOr<ResealStep> CredentialStore::ResealSome(int batch) { return resealer_.Some(batch); }

absl::Status CredentialStore::Probe() { return backend_->Probe(); }

absl::Status CredentialStore::ProbeReads() { return backend_->ProbeReads(); }

}  // namespace authurl
