#include "storage/record_sealer.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"

namespace authurl {
namespace {

constexpr absl::string_view kOrganizations = "organizations";
constexpr absl::string_view kApiKeys = "api_keys";
constexpr absl::string_view kSocialNetworks = "social_networks";
constexpr absl::string_view kWhole = "whole";
constexpr absl::string_view kSettings = "settings";
constexpr absl::string_view kSecret = "secret";

// Where a sealed value belongs.
struct Place {
  absl::string_view table;
  absl::string_view org_id;
  absl::string_view id;
  absl::string_view part;
  uint64_t version;
};

void AppendNumber(std::string& out, uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(number >> shift));
}

// Every text goes with its length, so that no two places have the same bytes. Part of the database
// format.
std::string ContextOf(const Place& place) {
  std::string context;
  for (absl::string_view text : {place.table, place.org_id, place.id, place.part}) {
    AppendNumber(context, text.size());
    absl::StrAppend(&context, text);
  }
  AppendNumber(context, place.version);
  return context;
}

absl::Status DoesNotOpen(const Sealer& sealer, absl::string_view sealed, const Place& place) {
  const std::optional<SealedHeader> header = ReadSealedHeader(sealed);
  const bool key_is_missing =
      header && sealer.keys().Find(header->key_id, Purpose::kKeyRingCheck) == nullptr;
  return absl::InternalError(absl::StrCat(
      "the record ", Quoted(place.id), " in the table ", place.table, " (organisation ",
      Quoted(place.org_id), ", ", place.part, ", version ", place.version, ") does not open: ",
      key_is_missing
          ? absl::StrCat("it is sealed under key ", header->key_id,
                         ", which is not in the key ring; put that key back, or restore the record "
                         "from a backup if it never was there")
          : "it was damaged, moved or changed outside authurl; restore it from a backup"));
}

Place PlaceOf(const OrganizationRow& row) {
  return {kOrganizations, row.org_id, row.org_id, kWhole, 1};
}
Place PlaceOf(const ApiKeyRow& row) {
  return {kApiKeys, row.org_id, row.key_id, kWhole, row.version};
}
Place PlaceOf(const SocialNetworkRow& row, absl::string_view part) {
  return {kSocialNetworks, row.org_id, row.id, part, row.version};
}

template <typename Record>
absl::StatusOr<Record> OpenRecord(const Sealer& sealer, Purpose purpose, absl::string_view sealed,
                                  const Place& place) {
  absl::StatusOr<std::string> plaintext = sealer.Open(purpose, sealed, ContextOf(place));
  if (!plaintext.ok()) return DoesNotOpen(sealer, sealed, place);
  Record record;
  const bool parsed = record.ParseFromString(*plaintext);
  Wipe(*plaintext);
  if (!parsed) return DoesNotOpen(sealer, sealed, place);
  return record;
}

}  // namespace

std::string RecordSealer::SealPlaintext(Purpose purpose, std::string plaintext,
                                        absl::string_view context) const {
  std::string sealed = sealer_.Seal(purpose, NewNonce(random_), plaintext, context);
  Wipe(plaintext);
  return sealed;
}

OrganizationRow RecordSealer::Seal(const record::v1::Organization& organization) const {
  OrganizationRow row{.org_id = organization.org_id(), .sealed = {}};
  row.sealed = SealPlaintext(Purpose::kOrganization, organization.SerializeAsString(),
                             ContextOf(PlaceOf(row)));
  return row;
}

ApiKeyRow RecordSealer::Seal(const record::v1::ApiKey& key, uint64_t version) const {
  ApiKeyRow row{.key_id = key.key_id(), .org_id = key.org_id(), .version = version, .sealed = {}};
  row.sealed = SealPlaintext(Purpose::kApiKey, key.SerializeAsString(), ContextOf(PlaceOf(row)));
  return row;
}

SocialNetworkRow RecordSealer::Seal(const record::v1::SocialNetworkSettings& settings,
                                    const ClientSecrets& secrets) const {
  SocialNetworkRow row{.id = settings.id(),
                       .org_id = settings.org_id(),
                       .network = settings.network(),
                       .instance = settings.instance(),
                       .name = settings.name(),
                       .default_rank = settings.default_rank(),
                       .version = settings.version(),
                       .settings = {},
                       .secret = {}};
  row.settings = SealPlaintext(Purpose::kSettings, settings.SerializeAsString(),
                               ContextOf(PlaceOf(row, kSettings)));
  row.secret =
      SealPlaintext(Purpose::kSecret, secrets.Serialize(), ContextOf(PlaceOf(row, kSecret)));
  return row;
}

absl::StatusOr<record::v1::Organization> RecordSealer::Open(const OrganizationRow& row) const {
  const Place place = PlaceOf(row);
  auto organization =
      OpenRecord<record::v1::Organization>(sealer_, Purpose::kOrganization, row.sealed, place);
  if (!organization.ok()) return organization.status();
  if (organization->org_id() != row.org_id) return DoesNotOpen(sealer_, row.sealed, place);
  return organization;
}

absl::StatusOr<record::v1::ApiKey> RecordSealer::Open(const ApiKeyRow& row) const {
  const Place place = PlaceOf(row);
  auto key = OpenRecord<record::v1::ApiKey>(sealer_, Purpose::kApiKey, row.sealed, place);
  if (!key.ok()) return key.status();
  if (key->key_id() != row.key_id || key->org_id() != row.org_id)
    return DoesNotOpen(sealer_, row.sealed, place);
  return key;
}

absl::StatusOr<record::v1::SocialNetworkSettings> RecordSealer::OpenSettings(
    const SocialNetworkRow& row) const {
  const Place place = PlaceOf(row, kSettings);
  auto settings = OpenRecord<record::v1::SocialNetworkSettings>(sealer_, Purpose::kSettings,
                                                                row.settings, place);
  if (!settings.ok()) return settings.status();
  const bool same = settings->id() == row.id && settings->org_id() == row.org_id &&
                    settings->network() == row.network && settings->instance() == row.instance &&
                    settings->name() == row.name && settings->default_rank() == row.default_rank &&
                    settings->version() == row.version;
  if (!same) return DoesNotOpen(sealer_, row.settings, place);
  return settings;
}

absl::StatusOr<ClientSecrets> RecordSealer::OpenSecrets(const SocialNetworkRow& row) const {
  const Place place = PlaceOf(row, kSecret);
  absl::StatusOr<std::string> plaintext =
      sealer_.Open(Purpose::kSecret, row.secret, ContextOf(place));
  if (!plaintext.ok()) return DoesNotOpen(sealer_, row.secret, place);
  std::optional<ClientSecrets> secrets = ClientSecrets::Parse(*plaintext);
  Wipe(*plaintext);
  if (!secrets) return DoesNotOpen(sealer_, row.secret, place);
  return *std::move(secrets);
}

}  // namespace authurl
