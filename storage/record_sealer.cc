#include "storage/record_sealer.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"
#include "storage/digest_id.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::ApiKey;
using record::v1::Event;
using record::v1::Flow;
using record::v1::Grant;
using record::v1::Import;
using record::v1::Organization;
using record::v1::PendingConnection;
using record::v1::SocialAccount;
using record::v1::SocialNetworkSettings;
using record::v1::Webhook;

void AppendNumber(std::string& out, uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(number >> shift));
}

// Every text goes with its length, so that no two places have the same bytes. Part of the database
// format. Rows from before generations have none.
std::string ContextOf(const Table& table, size_t part, const RecordSealer::Place& place) {
  std::string context;
  // Six numbers, and room for names and ids as they mostly are.
  context.reserve(128);
  for (const absl::string_view text : {absl::string_view(table.name), place.org_id, place.id,
                                       absl::string_view(table.parts[part].name)}) {
    AppendNumber(context, text.size());
    absl::StrAppend(&context, text);
  }
  AppendNumber(context, place.version);
  if (place.generation != 0) AppendNumber(context, static_cast<uint64_t>(place.generation));
  return context;
}

}  // namespace

const Table& Kept<Organization>::table() { return kOrganizations; }

Row Kept<Organization>::RowOf(const Organization& organization) {
  const int64_t deleted_at_ms = organization.deleted_at_ms();
  return {.org_id = organization.org_id(),
          .id = organization.org_id(),
          .columns = {deleted_at_ms == 0 ? kNeverDue : deleted_at_ms},
          .parts = {}};
}

const Table& Kept<ApiKey>::table() { return kApiKeys; }

Row Kept<ApiKey>::RowOf(const ApiKey& key) {
  return {.org_id = key.org_id(), .id = key.key_id(), .columns = {}, .parts = {}};
}

const Table& Kept<SocialNetworkSettings>::table() { return kSocialNetworks; }

Row Kept<SocialNetworkSettings>::RowOf(const SocialNetworkSettings& settings) {
  return {.org_id = settings.org_id(),
          .id = settings.id(),
          .version = settings.version(),
          .columns = {settings.network(), settings.instance(), settings.name(),
                      settings.default_rank()},
          .parts = {}};
}

const Table& Kept<Flow>::table() { return kFlows; }

Row Kept<Flow>::RowOf(const Flow& flow) {
  const bool is_unfinished = !flow.has_completed();
  const bool has_ended = flow.has_completed() || flow.has_failed();
  return {.org_id = flow.org_id(),
          .id = flow.id(),
          .columns = {flow.purge_at_ms(), int64_t{is_unfinished},
                      has_ended ? "" : flow.social_network_id()},
          .parts = {}};
}

const Table& Kept<Grant>::table() { return kGrants; }

Row Kept<Grant>::RowOf(const Grant& grant) {
  const bool is_connected = grant.disconnected_at_ms() == 0;
  return {.org_id = grant.org_id(),
          .id = grant.id(),
          .columns = {grant.social_network_id(), DigestId(grant.client_id()), grant.instance(),
                      grant.subject(), int64_t{is_connected}, grant.due_at_ms()},
          .parts = {}};
}

const Table& Kept<SocialAccount>::table() { return kSocialAccounts; }

Row Kept<SocialAccount>::RowOf(const SocialAccount& account) {
  return {.org_id = account.org_id(),
          .id = account.id(),
          .columns = {account.social_network_id(), int64_t{account.account_type()},
                      account.network_unique_id(), account.tenant_id(), account.network(),
                      account.grant_id(), account.confirmed_at_ms()},
          .parts = {}};
}

const Table& Kept<PendingConnection>::table() { return kPendingConnections; }

Row Kept<PendingConnection>::RowOf(const PendingConnection& pending) {
  return {.org_id = pending.org_id(),
          .id = pending.id(),
          .columns = {pending.expires_at_ms()},
          .parts = {}};
}

const Table& Kept<Event>::table() { return kEvents; }

Row Kept<Event>::RowOf(const Event& event) {
  return {.org_id = event.org_id(),
          .id = event.id(),
          .columns = {1000 * event.created_at_ms(), event.purge_at_ms()},
          .parts = {}};
}

const Table& Kept<Webhook>::table() { return kWebhooks; }

Row Kept<Webhook>::RowOf(const Webhook& webhook) {
  return {.org_id = webhook.org_id(),
          .id = webhook.id(),
          .columns = {webhook.due_at_ms()},
          .parts = {}};
}

const Table& Kept<Import>::table() { return kImports; }

Row Kept<Import>::RowOf(const Import& import) {
  return {
      .org_id = import.org_id(), .id = import.id(), .columns = {import.purge_at_ms()}, .parts = {}};
}

bool RecordSealer::IsOf(const Table& table, Row named, const Row& row) {
  if (table.number) named.columns[*table.number] = row.columns[*table.number];
  return named.org_id == row.org_id && named.id == row.id && named.columns == row.columns;
}

void RecordSealer::SealPart(const Table& table, size_t part, absl::string_view plaintext,
                            Row& row) const {
  row.parts.resize(table.parts.size());
  row.parts[part] = sealer_.Seal(table.parts[part].purpose, NewNonce(random_), plaintext,
                                 ContextOf(table, part, PlaceOf(row)));
}

absl::StatusOr<std::string> RecordSealer::OpenPart(const Table& table, size_t part,
                                                   const Row& row) const {
  std::string plaintext;
  absl::Status status = OpenPart(table, part, PlaceOf(row), row.parts[part], plaintext);
  if (!status.ok()) return status;
  return plaintext;
}

absl::Status RecordSealer::OpenPart(const Table& table, size_t part, const Place& place,
                                    absl::string_view sealed, std::string& plaintext) const {
  const absl::Status status =
      sealer_.Open(table.parts[part].purpose, sealed, ContextOf(table, part, place), plaintext);
  return status.ok() ? status : DoesNotOpen(table, part, place, sealed);
}

absl::Status RecordSealer::DoesNotOpen(const Table& table, size_t part, const Place& place,
                                       absl::string_view sealed) const {
  const std::optional<SealedHeader> header = ReadSealedHeader(sealed);
  const bool key_is_missing =
      header && sealer_.keys().Find(header->key_id, Purpose::kKeyRingCheck) == nullptr;
  return absl::InternalError(absl::StrCat(
      "the record ", Quoted(place.id), " in the table ", table.name, " (organisation ",
      Quoted(place.org_id), ", ", table.parts[part].name, ", version ", place.version,
      ") does not open: ",
      key_is_missing
          ? absl::StrCat("it is sealed under key ", header->key_id,
                         ", which is not in the key ring; put that key back, or restore the record "
                         "from a backup if it never was there")
          : "it was damaged, moved or changed outside authurl; restore it from a backup"));
}

Row RecordSealer::Seal(const SocialNetworkSettings& settings, int64_t generation,
                       const ClientSecrets& secrets) const {
  Row row = Seal(settings, generation, settings.version());
  std::string plaintext = secrets.Serialize();
  SealPart(kSocialNetworks, SocialNetworkPart::kSecret, plaintext, row);
  Wipe(plaintext);
  return row;
}

absl::StatusOr<ClientSecrets> RecordSealer::OpenSecrets(const Row& row) const {
  absl::StatusOr<std::string> plaintext =
      OpenPart(kSocialNetworks, SocialNetworkPart::kSecret, row);
  if (!plaintext.ok()) return plaintext.status();
  std::optional<ClientSecrets> secrets = ClientSecrets::Parse(*plaintext);
  Wipe(*plaintext);
  if (!secrets) return DoesNotOpen(kSocialNetworks, SocialNetworkPart::kSecret, row);
  return *std::move(secrets);
}

}  // namespace authurl
