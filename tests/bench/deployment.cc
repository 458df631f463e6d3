#include "tests/bench/deployment.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/api_key.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/sealer.h"
#include "core/errors.h"
#include "storage/client_secrets.h"
#include "storage/credential_store.h"
#include "storage/record_sealer.h"
#include "storage/sqlite/sqlite_backend.h"
#include "storage/sqlite/sqlite_connection.h"
#include "tests/bench/example_call.h"
#include "tests/bench/random_numbers.h"
#include "tests/support/no_limit.h"

namespace authurl::bench {
namespace {

namespace fs = std::filesystem;
using Text = SqliteConnection::Text;
using Blob = SqliteConnection::Blob;

constexpr int64_t kCreatedAtMs = 1'795'435'200'000;
constexpr char kClientSecret[] = "c2VjcmV0LW9mLWFuLWFwcC1vZi00NS1jaGFyYWN0ZXJzLg";
constexpr int64_t kOrganizationsPerTransaction = 20'000;
// Upper bounds, to see whether the disk has room.
constexpr int64_t kBytesPerOrganization = 1500;
constexpr int64_t kBytesPerConfiguration = 1000;

// Distinct streams for keys and ids of the same organisation.
RandomSource SourceOf(uint64_t stream, uint64_t index) {
  auto random = std::make_shared<SplitMix>(stream * 0x2545f4914f6cdd1d + index);
  return [random](std::span<uint8_t> out) { random->Fill(out); };
}

absl::Status WriteFile(const std::string& path, absl::string_view content) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  // The server refuses secrets that others can read.
  std::error_code error;
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write, error);
  out << content << std::flush;
  if (!out.good() || error) return absl::UnavailableError(absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

record::v1::ApiKey KeyRecord(absl::string_view text, record::v1::Role role,
                             const std::string& org_id) {
  const ParsedApiKey parsed = ParseApiKey(text).value();
  record::v1::ApiKey key;
  key.set_key_id(parsed.key_id);
  key.set_org_id(org_id);
  key.set_role(role);
  key.set_display_name("benchmark");
  key.set_digest(parsed.digest);
  key.set_created_at_ms(kCreatedAtMs);
  return key;
}

// Writes rows as the server would, but many to a transaction and with nothing flushed until the
// end.
class BulkWriter final {
 public:
  BulkWriter(SqliteConnection& db, const RecordSealer& records) : db_(db), records_(records) {}

  absl::Status Write(uint64_t organization, int networks) {
    const std::string org_id = OrganizationId(organization);
    absl::Status status = WriteOrganization(org_id);
    status.Update(WriteKey(MintKey(organization), org_id));
    for (int network = 0; network < networks && status.ok(); ++network) {
      status = WriteConfiguration(ExampleSettings(org_id, ConfigurationId(organization, network),
                                                  kNetworks[static_cast<size_t>(network)]));
    }
    return status;
  }

 private:
  absl::Status WriteOrganization(const std::string& org_id) {
    record::v1::Organization organization;
    organization.set_org_id(org_id);
    organization.set_display_name("A company with a name, Inc.");
    organization.set_created_at_ms(kCreatedAtMs);
    const OrganizationRow row = records_.Seal(organization);
    return db_.Run("INSERT INTO organizations (org_id, sealed) VALUES (?1, ?2)",
                   {Text{row.org_id}, Blob{row.sealed}});
  }

  absl::Status WriteKey(const std::string& text, const std::string& org_id) {
    const ApiKeyRow row = records_.Seal(KeyRecord(text, record::v1::ROLE_MINT, org_id), 1);
    return db_.Run(
        "INSERT INTO api_keys (key_id, org_id, version, sealed) VALUES (?1, ?2, ?3, ?4)",
        {Text{row.key_id}, Text{row.org_id}, static_cast<int64_t>(row.version), Blob{row.sealed}});
  }

  absl::Status WriteConfiguration(const record::v1::SocialNetworkSettings& settings) {
    const SocialNetworkRow row = records_.Seal(settings, ClientSecrets(kClientSecret));
    return db_.Run(
        "INSERT INTO social_networks"
        " (id, org_id, network, instance, name, default_rank, version, settings, secret)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        {Text{row.id}, Text{row.org_id}, Text{row.network}, Text{row.instance}, Text{row.name},
         row.default_rank, static_cast<int64_t>(row.version), Blob{row.settings},
         Blob{row.secret}});
  }

  SqliteConnection& db_;
  const RecordSealer& records_;
};

absl::Status PrepareForBulk(SqliteConnection& db) {
  for (const char* sql :
       {"PRAGMA journal_mode=MEMORY", "PRAGMA synchronous=OFF", "PRAGMA foreign_keys=OFF",
        "PRAGMA cache_size=-1048576", "PRAGMA locking_mode=EXCLUSIVE"}) {
    if (absl::Status status = db.Run(sql); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status WriteAll(SqliteConnection& db, const RecordSealer& records, DeploymentSize size) {
  BulkWriter writer(db, records);
  const absl::Time begin = absl::Now();
  for (int64_t next = 0; next < size.organizations;) {
    const int64_t end = std::min(next + kOrganizationsPerTransaction, size.organizations);
    absl::Status status = db.Begin();
    for (; next < end && status.ok(); ++next) {
      status = writer.Write(static_cast<uint64_t>(next), size.networks_each);
    }
    if (status.ok()) status = db.Commit();
    if (!status.ok()) return status;
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    absl::FPrintF(stderr, "\r%d of %d organisations, %.0f configurations/s ", next,
                  size.organizations, static_cast<double>(next * size.networks_each) / seconds);
  }
  absl::FPrintF(stderr, "\n");
  return absl::OkStatus();
}

}  // namespace

std::string OrganizationId(uint64_t organization) {
  return absl::StrFormat("organization-%08d", organization);
}

std::string MintKey(uint64_t organization) { return NewApiKey(SourceOf(1, organization)); }

std::string ConfigurationId(uint64_t organization, int network) {
  return NewId("sn_",
               SourceOf(2, organization * kNetworks.size() + static_cast<uint64_t>(network)));
}

std::string Deployment::database() const { return absl::StrCat(folder_, "/authurl.sqlite3"); }
std::string Deployment::key_ring_file() const { return absl::StrCat(folder_, "/key_ring"); }
std::string Deployment::FileThatMarksItDone() const {
  return absl::StrCat(folder_, "/of_", size_.organizations, "_organizations_with_",
                      size_.networks_each, "_networks");
}

double Deployment::bytes_per_configuration() const {
  std::error_code error;
  return static_cast<double>(fs::file_size(database(), error)) /
         static_cast<double>(std::max<int64_t>(1, size_.configurations()));
}

absl::StatusOr<Deployment> Deployment::Make(const std::string& folder, DeploymentSize size) {
  if (absl::Status status = InitCrypto(); !status.ok()) return status;
  std::error_code error;
  fs::create_directories(folder, error);
  Deployment deployment(folder, size);
  if (fs::exists(deployment.FileThatMarksItDone())) {
    deployment.service_key_ = ReadFile(deployment.FileThatMarksItDone());
    return deployment;
  }
  if (!fs::is_empty(folder, error) || error) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder, " must be an empty folder, or one with such a deployment"));
  }
  const int64_t needed =
      size.organizations * kBytesPerOrganization + size.configurations() * kBytesPerConfiguration;
  if (static_cast<int64_t>(fs::space(folder, error).available) < needed || error) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder, " has no room for ", needed >> 20, " MiB"));
  }
  if (absl::Status status = deployment.Fill(); !status.ok()) return status;
  if (absl::Status status = deployment.Check(); !status.ok()) return status;
  return deployment;
}

absl::Status Deployment::Fill() {
  const std::string key_ring_text = NewKeyRingText(FillRandom);
  if (absl::Status status = WriteFile(key_ring_file(), key_ring_text); !status.ok()) return status;
  const absl::StatusOr<KeyRing> keys = KeyRing::Parse(key_ring_text);
  if (!keys.ok()) return keys.status();
  const Sealer sealer(*keys);
  service_key_ = NewApiKey(FillRandom);
  {
    auto backend = OpenSqliteBackend(database());
    if (!backend.ok()) return backend.status();
    const auto store = CredentialStore::Open(*std::move(backend), sealer, FillRandom);
    if (!store.ok()) return store.status();
    const absl::Status status =
        (*store)->CreateApiKey(kNoLimit, KeyRecord(service_key_, record::v1::ROLE_SERVICE, ""));
    if (!status.ok()) return status;
  }
  {
    const auto db = SqliteConnection::Open(database(), SqliteConnection::Role::kWriter);
    if (!db.ok()) return db.status();
    absl::Status status = PrepareForBulk(**db);
    if (status.ok()) status = WriteAll(**db, RecordSealer(sealer, FillRandom), size_);
    if (!status.ok()) return absl::Status(status.code(), CauseOf(status));
  }
  return absl::OkStatus();
}

absl::Status Deployment::Check() const {
  const absl::StatusOr<KeyRing> keys = KeyRing::Parse(ReadFile(key_ring_file()));
  if (!keys.ok()) return keys.status();
  const Sealer sealer(*keys);
  auto backend = OpenSqliteBackend(database());
  if (!backend.ok()) return backend.status();
  const auto store = CredentialStore::Open(*std::move(backend), sealer, FillRandom);
  if (!store.ok()) return store.status();
  for (const int64_t organization :
       {int64_t{0}, size_.organizations / 2, size_.organizations - 1}) {
    const std::string org_id = OrganizationId(static_cast<uint64_t>(organization));
    const ParsedApiKey key = ParseApiKey(MintKey(static_cast<uint64_t>(organization))).value();
    absl::Status status = (*store)->GetOrganization(kNoLimit, org_id).status();
    status.Update((*store)->GetApiKey(kNoLimit, key.key_id).status());
    for (int network = 0; network < size_.networks_each; ++network) {
      const absl::string_view name = kNetworks[static_cast<size_t>(network)];
      status.Update((*store)->FindSocialNetwork(kNoLimit, org_id, name, "", "").status());
    }
    if (!status.ok()) return status;
  }
  return WriteFile(FileThatMarksItDone(), service_key_);
}

}  // namespace authurl::bench
