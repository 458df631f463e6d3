#include "storage/import_store.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/crypto/crypto.h"
#include "storage/digest_id.h"
#include "storage/lease.h"
#include "storage/sealed_tokens.h"
#include "storage/store_errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::Grant;
using record::v1::Import;

int64_t PurgeAtMs(absl::Time now) { return absl::ToUnixMillis(now + kImportLifetime); }

Import NewImport(absl::string_view org_id, absl::string_view social_network_id,
                 absl::string_view import_id, absl::Time now) {
  Import import;
  import.set_id(import_id.data(), import_id.size());
  import.set_org_id(org_id.data(), org_id.size());
  import.set_social_network_id(social_network_id.data(), social_network_id.size());
  import.set_created_at_ms(absl::ToUnixMillis(now));
  import.set_purge_at_ms(PurgeAtMs(now));
  return import;
}

absl::StatusOr<TokenSet> OpenTokens(const RecordSealer& sealer, const Import& import,
                                    const Row& row) {
  absl::StatusOr<std::string> bytes = sealer.OpenPart(kImports, ImportPart::kTokens, row);
  if (!bytes.ok()) return bytes.status();
  std::optional<TokenSet> tokens = ParseTokens(*bytes);
  Wipe(*bytes);
  if (!tokens) return absl::InternalError("the tokens of an import are not what was sealed");
  CompleteTokens(import.refreshed(), *tokens);
  return *std::move(tokens);
}

}  // namespace

std::string ImportId(absl::string_view social_network_id, absl::string_view refresh_token) {
  // Ids have no spaces.
  std::string text = absl::StrCat(social_network_id, " ", refresh_token);
  std::string id = DigestId(text);
  Wipe(text);
  return id;
}

ImportStore::ImportStore(RecordStore& records, Connector& connector, int64_t max_imports)
    : records_(records), connector_(connector), imports_(kImports, max_imports) {}

absl::Status ImportStore::Admit(const CallContext& context, absl::string_view org_id) {
  const std::optional<ExpectAtMost> quota = imports_.ForMore(org_id);
  if (!quota) return absl::OkStatus();
  // It need not be exact.
  const absl::StatusOr<int64_t> present =
      records_.backend().Count(context, kImports, quota->key, imports_.limit());
  if (!present.ok()) return present.status();
  if (*present >= imports_.limit()) return TooManyImports(imports_.limit());
  imports_.Counted(org_id, *present);
  return absl::OkStatus();
}

absl::StatusOr<ImportStore::Claim> ImportStore::ClaimRefresh(const CallContext& context,
                                                             absl::string_view org_id,
                                                             absl::string_view social_network_id,
                                                             absl::string_view import_id,
                                                             bool works_once, absl::Time now) {
  std::optional<Claim> claim;
  const absl::Status status =
      connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        claim.emplace(Claim{Standing::kClaimed, {}, ""});
        const absl::StatusOr<Row> row =
            records_.FetchOwned(context, kImports, org_id, import_id, kImports.parts.size());
        if (absl::IsNotFound(row.status())) {
          if (absl::Status admitted = Admit(context, org_id); !admitted.ok()) return admitted;
          Import import = NewImport(org_id, social_network_id, import_id, now);
          import.set_lease_until_ms(absl::ToUnixMillis(now + kImportLease));
          batch.Add(Insert{&kImports, records_.sealer().Seal(import, batch.generation(), 1,
                                                             SerializeTokens({}))});
          return absl::OkStatus();
        }
        if (!row.ok()) return row.status();
        absl::StatusOr<Import> import = records_.sealer().Open<Import>(*row);
        if (!import.ok()) return import.status();
        if (!import->grant_id().empty()) {
          const absl::StatusOr<Row> grant =
              records_.FetchOwned(context, kGrants, org_id, import->grant_id(), 1);
          if (!grant.ok() && !absl::IsNotFound(grant.status())) return grant.status();
          if (grant.ok() && grant->integer(GrantColumn::kIsConnected) != 0) {
            claim->standing = Standing::kConnected;
            claim->grant_id = import->grant_id();
            return absl::OkStatus();
          }
          // With the grant goes what could be ended by sending it once more.
        } else if (import->has_refreshed()) {
          absl::StatusOr<TokenSet> tokens = OpenTokens(records_.sealer(), *import, *row);
          if (!tokens.ok()) return tokens.status();
          claim->standing = Standing::kRefreshed;
          claim->tokens = *std::move(tokens);
          return absl::OkStatus();
        } else if (IsLeaseHeld(import->lease_until_ms(), kImportLease, now)) {
          claim->standing = Standing::kUnderWay;
          return absl::OkStatus();
        } else if (works_once) {
          claim->standing = Standing::kLost;
          return absl::OkStatus();
        }
        import->clear_grant_id();
        import->set_lease_until_ms(absl::ToUnixMillis(now + kImportLease));
        import->set_purge_at_ms(PurgeAtMs(now));
        batch.Add(Update{&kImports,
                         records_.sealer().Seal(*import, batch.generation(), row->version + 1,
                                                SerializeTokens({})),
                         row->version});
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return *std::move(claim);
}

absl::Status ImportStore::StoreRefreshed(const CallContext& context, absl::string_view org_id,
                                         absl::string_view import_id, const TokenSet& tokens,
                                         absl::Time now) {
  return connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
    const absl::StatusOr<Row> row =
        records_.FetchOwned(context, kImports, org_id, import_id, kImports.parts.size());
    if (!row.ok()) return row.status();
    absl::StatusOr<Import> import = records_.sealer().Open<Import>(*row);
    if (!import.ok()) return import.status();
    import->clear_lease_until_ms();
    import->clear_grant_id();
    import->set_purge_at_ms(PurgeAtMs(now));
    DescribeTokens(tokens, *import->mutable_refreshed());
    import->mutable_refreshed()->set_subject(tokens.subject);
    std::string bytes = SerializeTokens(tokens);
    Row put = records_.sealer().Seal(*import, batch.generation(), row->version + 1, bytes);
    Wipe(bytes);
    // What the network gives once only. The claim has taken most of the room.
    batch.Add(Update{&kImports, std::move(put), row->version, /*must_fit=*/true});
    return absl::OkStatus();
  });
}

absl::Status ImportStore::Release(const CallContext& context, absl::string_view org_id,
                                  absl::string_view import_id) {
  return connector_.Commit(
      context, org_id, absl::InfinitePast(), [&](ConnectionBatch& batch) -> absl::Status {
        const absl::StatusOr<Row> row =
            records_.FetchOwned(context, kImports, org_id, import_id, 1);
        if (absl::IsNotFound(row.status())) return absl::OkStatus();
        if (!row.ok()) return row.status();
        const absl::StatusOr<Import> import = records_.sealer().Open<Import>(*row);
        if (!import.ok()) return import.status();
        if (import->has_refreshed() || !import->grant_id().empty()) return absl::OkStatus();
        batch.Add(Delete{&kImports, row->org_id, row->id, row->version});
        return absl::OkStatus();
      });
}

absl::StatusOr<Connected> ImportStore::Connect(const CallContext& context, absl::string_view org_id,
                                               absl::Span<const std::string> import_ids,
                                               const NewGrant& grant,
                                               absl::Span<const NewAccount> accounts,
                                               bool just_refreshed, absl::Time now) {
  const RecordLocks::Lease lock = connector_.LockSubject(context, grant.grant);
  if (lock == nullptr) return context.WhyEnded();
  Connected connected;
  const absl::Status status =
      connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        absl::Status prepared = batch.ExpectConfiguration(grant.grant);
        if (!prepared.ok()) return prepared;
        const absl::StatusOr<bool> is_put = batch.PutGrantIfNewer(grant, just_refreshed);
        if (!is_put.ok()) return is_put.status();
        prepared = batch.PutAccounts(accounts, connector_.accounts());
        if (prepared.ok() && *is_put) prepared = batch.RenewOthers(accounts);
        for (const std::string& id : import_ids) {
          if (prepared.ok())
            prepared = PutConnected(batch, grant.grant.social_network_id(), id, just_refreshed);
        }
        if (!prepared.ok()) return prepared;
        connected = batch.connected();
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return connected;
}

absl::Status ImportStore::PutConnected(ConnectionBatch& batch, absl::string_view social_network_id,
                                       absl::string_view import_id, bool just_refreshed) {
  const std::string& org_id = batch.org_id();
  const absl::StatusOr<Row> row =
      records_.FetchOwned(batch.context(), kImports, org_id, import_id, 1);
  const bool is_new = absl::IsNotFound(row.status());
  if (!row.ok() && !is_new) return row.status();
  if (is_new) {
    if (absl::Status admitted = Admit(batch.context(), org_id); !admitted.ok()) return admitted;
  } else if (!just_refreshed) {
    // One that is damaged is replaced.
    const absl::StatusOr<Import> before = records_.sealer().Open<Import>(*row);
    const bool is_claimed =
        before.ok() && IsLeaseHeld(before->lease_until_ms(), kImportLease, batch.now());
    if (before.ok() && before->grant_id().empty() && (is_claimed || before->has_refreshed())) {
      return absl::FailedPreconditionError("the refresh token was sent meanwhile");
    }
  }
  Import import = NewImport(org_id, social_network_id, import_id, batch.now());
  import.set_grant_id(batch.grant().id());
  const uint64_t version = is_new ? 1 : row->version + 1;
  Row put = records_.sealer().Seal(import, batch.generation(), version, SerializeTokens({}));
  if (is_new) {
    batch.Add(Insert{&kImports, std::move(put)});
  } else {
    batch.Add(Update{&kImports, std::move(put), row->version});
  }
  return absl::OkStatus();
}

absl::StatusOr<int> ImportStore::Purge(absl::Time now, int limit) {
  return records_.DeleteDue(kImports, now, limit);
}

}  // namespace authurl
