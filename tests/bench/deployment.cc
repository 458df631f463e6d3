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
#include "core/call_context.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/sealer.h"
#include "core/errors.h"
#include "core/flow/token_response.h"
#include "storage/client_secrets.h"
#include "storage/credential_store.h"
#include "storage/record_sealer.h"
#include "storage/sealed_tokens.h"
#include "storage/sqlite/sqlite_backend.h"
#include "storage/tables.h"
#include "tests/bench/example_call.h"
#include "tests/bench/random_numbers.h"

namespace authurl::bench {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kCreatedAtMs = 1'795'435'200'000;
constexpr char kClientSecret[] = "c2VjcmV0LW9mLWFuLWFwcC1vZi00NS1jaGFyYWN0ZXJzLg";
constexpr int64_t kTokensEndAtMs = kCreatedAtMs + int64_t{20} * 365 * 24 * 3'600'000;
constexpr int64_t kOrganizationsPerTransaction = 2'000;
constexpr int64_t kOrganizationsWithAccountsPerTransaction = 20;
// Upper bounds, to see whether the disk has room.
constexpr int64_t kBytesPerOrganization = 1500;
constexpr int64_t kBytesPerConfiguration = 1000;
constexpr int64_t kBytesPerAccount = 8000;

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

// A text as tokens are, of so many characters.
std::string TokenText(uint64_t stream, uint64_t index, size_t characters) {
  std::string text = NewApiKey(SourceOf(stream, index));
  while (text.size() < characters) text += text;
  return text.substr(0, characters);
}

// About as large as Google's: with an id_token, the largest that are common.
TokenSet ExampleTokens(uint64_t index) {
  TokenSet tokens;
  tokens.access_token = TokenText(5, index, 220);
  tokens.refresh_token = TokenText(6, index, 103);
  tokens.id_token = TokenText(7, index, 1'000);
  tokens.access_token_expires_at = absl::FromUnixMillis(kTokensEndAtMs);
  tokens.scopes = {"openid", "https://www.googleapis.com/auth/userinfo.profile",
                   "https://www.googleapis.com/auth/youtube.upload",
                   "https://www.googleapis.com/auth/youtube.readonly"};
  return tokens;
}

// Makes rows as the server would, for many to a transaction.
class BulkWriter final {
 public:
  explicit BulkWriter(const RecordSealer& records) : records_(records) {}

  void Add(uint64_t organization, const DeploymentSize& size) {
    const std::string org_id = OrganizationId(organization);
    record::v1::Organization record;
    record.set_org_id(org_id);
    record.set_display_name("A company with a name, Inc.");
    record.set_created_at_ms(kCreatedAtMs);
    batch_.push_back(Insert{&kOrganizations, records_.Seal(record, kGeneration, 1)});
    const auto key = KeyRecord(MintKey(organization), record::v1::ROLE_MINT, org_id);
    batch_.push_back(Insert{&kApiKeys, records_.Seal(key, kGeneration, 1)});
    for (int network = 0; network < size.networks_each; ++network) {
      const auto settings = ExampleSettings(org_id, ConfigurationId(organization, network),
                                            kNetworks[static_cast<size_t>(network)]);
      batch_.push_back(Insert{&kSocialNetworks,
                              records_.Seal(settings, kGeneration, ClientSecrets(kClientSecret))});
    }
    if (size.accounts_each == 0) return;
    auto reader = KeyRecord(ReaderKey(organization), record::v1::ROLE_ORG, org_id);
    reader.set_read_tokens(true);
    batch_.push_back(Insert{&kApiKeys, records_.Seal(reader, kGeneration, 1)});
    for (int account = 0; account < size.accounts_each; ++account) {
      AddAccount(organization, account, size);
    }
  }

  absl::Status Commit(Backend& backend) {
    const absl::Status status = backend.Commit(CallContext::Background(), batch_).status;
    batch_.clear();
    return status;
  }

 private:
  static constexpr int64_t kGeneration = 1;

  void AddAccount(uint64_t organization, int number, const DeploymentSize& size) {
    const int network = number % size.networks_each;
    const uint64_t index =
        organization * static_cast<uint64_t>(size.accounts_each) + static_cast<uint64_t>(number);
    const TokenSet tokens = ExampleTokens(index);
    record::v1::Grant grant;
    grant.set_id(NewId("gr_", SourceOf(8, index)));
    grant.set_org_id(OrganizationId(organization));
    grant.set_social_network_id(ConfigurationId(organization, network));
    grant.set_social_network_version(1);
    grant.set_network(std::string(kNetworks[static_cast<size_t>(network)]));
    grant.set_client_id("Q0xJRU5UX0tFWV9PRl9BTl9BUFA6MTpjaQ");
    grant.set_subject(absl::StrCat(100'000'000'000'000 + index));
    grant.set_generation(1);
    grant.set_consents(1);
    grant.set_created_at_ms(kCreatedAtMs);
    grant.set_updated_at_ms(kCreatedAtMs);
    grant.set_due_at_ms(kNeverDue);
    DescribeTokens(tokens, grant);
    record::v1::SocialAccount account;
    account.set_id(AccountId(organization, number));
    account.set_org_id(grant.org_id());
    account.set_social_network_id(grant.social_network_id());
    account.set_network(grant.network());
    account.set_tenant_id("customer_42");
    account.set_account_type(record::v1::ACCOUNT_TYPE_PERSONAL);
    account.set_network_unique_id(grant.subject());
    account.set_username(absl::StrCat("somebody_", index));
    account.set_display_name("Somebody with a Name");
    account.set_avatar_url(absl::StrCat("https://cdn.example.com/profile_images/", index, ".jpg"));
    account.set_grant_id(grant.id());
    account.set_status(record::v1::ACCOUNT_STATUS_ACTIVE);
    *account.mutable_granted_scopes() = grant.scopes();
    account.set_created_at_ms(kCreatedAtMs);
    account.set_updated_at_ms(kCreatedAtMs);
    batch_.push_back(
        Insert{&kGrants, records_.Seal(grant, kGeneration, 1, SerializeTokens(tokens))});
    batch_.push_back(
        Insert{&kSocialAccounts, records_.Seal(account, kGeneration, 1, SerializeOwnToken(""))});
  }

  const RecordSealer& records_;
  Batch batch_;
};

absl::Status WriteAll(Backend& backend, const RecordSealer& records, DeploymentSize size) {
  BulkWriter writer(records);
  const absl::Time begin = absl::Now();
  const int64_t at_a_time = size.accounts_each == 0 ? kOrganizationsPerTransaction
                                                    : kOrganizationsWithAccountsPerTransaction;
  for (int64_t next = 0; next < size.organizations;) {
    const int64_t end = std::min(next + at_a_time, size.organizations);
    for (; next < end; ++next) writer.Add(static_cast<uint64_t>(next), size);
    if (absl::Status status = writer.Commit(backend); !status.ok()) return status;
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

std::string ReaderKey(uint64_t organization) { return NewApiKey(SourceOf(3, organization)); }

std::string AccountId(uint64_t organization, int account) {
  constexpr uint64_t kMost = 1'000'000;  // Of one organisation.
  return NewId("sa_", SourceOf(4, organization * kMost + static_cast<uint64_t>(account)));
}

std::string Deployment::database() const { return absl::StrCat(folder_, "/authurl.sqlite3"); }
std::string Deployment::key_ring_file() const { return absl::StrCat(folder_, "/key_ring"); }
std::string Deployment::FileThatMarksItDone() const {
  const std::string accounts =
      size_.accounts_each == 0 ? "" : absl::StrCat("_and_", size_.accounts_each, "_accounts");
  return absl::StrCat(folder_, "/of_", size_.organizations, "_organizations_with_",
                      size_.networks_each, "_networks", accounts);
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
  const int64_t needed = size.organizations * kBytesPerOrganization +
                         size.configurations() * kBytesPerConfiguration +
                         size.organizations * size.accounts_each * kBytesPerAccount;
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
    const absl::Status status = (*store)->CreateApiKey(
        CallContext::Background(), KeyRecord(service_key_, record::v1::ROLE_SERVICE, ""));
    if (!status.ok()) return status;
  }
  const auto backend = OpenSqliteBackend(database());
  if (!backend.ok()) return backend.status();
  const absl::Status status = WriteAll(**backend, RecordSealer(sealer, FillRandom), size_);
  if (!status.ok()) return absl::Status(status.code(), CauseOf(status));
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
    absl::Status status = (*store)->GetOrganization(CallContext::Background(), org_id).status();
    status.Update((*store)->GetApiKey(CallContext::Background(), key.key_id).status());
    for (int network = 0; network < size_.networks_each; ++network) {
      const absl::string_view name = kNetworks[static_cast<size_t>(network)];
      status.Update((*store)
                        ->social_networks()
                        .Find(CallContext::Background(), org_id, name, "", "")
                        .status());
    }
    for (int account = 0; account < size_.accounts_each; ++account) {
      const std::string id = AccountId(static_cast<uint64_t>(organization), account);
      status.Update(
          (*store)->accounts().GetWithToken(CallContext::Background(), org_id, id).status());
    }
    if (!status.ok()) return status;
  }
  return WriteFile(FileThatMarksItDone(), service_key_);
}

}  // namespace authurl::bench
