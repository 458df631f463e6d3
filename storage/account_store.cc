#include "storage/account_store.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <utility>

#include "core/crypto/crypto.h"
#include "storage/sealed_tokens.h"
#include "storage/store_errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::SocialAccount;

// A part of a filter, and what finds the accounts that fit it.
struct FilterPart {
  const std::optional<std::string>& value;
  size_t lookup;
  size_t column;
};

// The most selective first.
std::array<FilterPart, 4> PartsOf(const AccountFilter& filter) {
  using Column = SocialAccountColumn;
  using Lookup = SocialAccountLookup;
  return {{{filter.network_unique_id, Lookup::kByNetworkUniqueId, Column::kNetworkUniqueId},
           {filter.tenant_id, Lookup::kByTenant, Column::kTenantId},
           {filter.social_network_id, Lookup::kByConfiguration, Column::kSocialNetworkId},
           {filter.network, Lookup::kByNetwork, Column::kNetwork}}};
}

LookupValues BestLookup(absl::string_view org_id, const AccountFilter& filter) {
  for (const FilterPart& part : PartsOf(filter)) {
    if (!part.value) continue;
    return {.lookup = part.lookup, .org_id = std::string(org_id), .values = {*part.value}};
  }
  return RowsOfOrganization(org_id);
}

bool Fits(const AccountFilter& filter, const Row& row) {
  for (const FilterPart& part : PartsOf(filter)) {
    if (part.value && row.text(part.column) != *part.value) return false;
  }
  return true;
}

bool HasSeveralParts(const AccountFilter& filter) {
  int parts = 0;
  for (const FilterPart& part : PartsOf(filter)) parts += part.value ? 1 : 0;
  return parts > 1;
}

absl::Status ExplainAccount(const absl::Status& status, absl::string_view account_id) {
  return Explain(status, absl::StatusCode::kNotFound, SocialAccountNotFound(account_id));
}

// Takes back what only the store may change.
void KeepIdentity(const SocialAccount& old, SocialAccount& account) {
  account.set_id(old.id());
  account.set_org_id(old.org_id());
  account.set_social_network_id(old.social_network_id());
  account.set_network(old.network());
  account.set_instance(old.instance());
  account.set_variant(old.variant());
  account.set_tenant_id(old.tenant_id());
  account.set_account_type(old.account_type());
  account.set_network_unique_id(old.network_unique_id());
  account.set_grant_id(old.grant_id());
  account.set_has_own_token(old.has_own_token());
  account.set_created_at_ms(old.created_at_ms());
}

}  // namespace

AccountWithToken::~AccountWithToken() { Wipe(access_token); }

absl::StatusOr<SocialAccount> AccountStore::Get(const CallContext& context,
                                                absl::string_view org_id,
                                                absl::string_view account_id) {
  const absl::StatusOr<Row> row =
      records_.FetchOwned(context, kSocialAccounts, org_id, account_id, 1);
  if (!row.ok()) return ExplainAccount(row.status(), account_id);
  return records_.sealer().Open<SocialAccount>(*row);
}

absl::StatusOr<AccountWithToken> AccountStore::GetWithToken(const CallContext& context,
                                                            absl::string_view org_id,
                                                            absl::string_view account_id) {
  const absl::StatusOr<Row> row = records_.FetchOwned(context, kSocialAccounts, org_id, account_id,
                                                      kSocialAccounts.parts.size());
  if (!row.ok()) return ExplainAccount(row.status(), account_id);
  absl::StatusOr<SocialAccount> account = records_.sealer().Open<SocialAccount>(*row);
  if (!account.ok()) return account.status();
  absl::StatusOr<std::string> token = OpenOwnToken(records_.sealer(), *row);
  if (!token.ok()) return token.status();
  AccountWithToken found;
  found.account = *std::move(account);
  found.access_token = *std::move(token);
  return found;
}

absl::StatusOr<AccountWithToken> AccountStore::ReadWithToken(const CallContext& context,
                                                             absl::string_view org_id,
                                                             absl::string_view account_id) {
  const auto stored = records_.ReadWithSecret<SocialAccount>(context, org_id, account_id);
  if (!stored.ok()) return ExplainAccount(stored.status(), account_id);
  const absl::StatusOr<OpenedAccessToken> token = OpenAccessToken(**stored);
  if (!token.ok()) return token.status();
  AccountWithToken found;
  found.account = (*stored)->record;
  found.access_token = std::string(token->token());
  return found;
}

std::optional<absl::StatusOr<StoredWithSecretPtr<SocialAccount>>> AccountStore::FindInMemory(
    absl::string_view org_id, absl::string_view account_id) {
  auto stored = records_.WithSecretInMemory<SocialAccount>(org_id, account_id);
  if (stored && !stored->ok()) return ExplainAccount(stored->status(), account_id);
  return stored;
}

absl::StatusOr<OpenedAccessToken> AccountStore::OpenAccessToken(
    const StoredWithSecret<SocialAccount>& account) const {
  return OpenedAccessToken::From(
      [&](std::string& bytes) { return records_.OpenSecret(account, bytes); });
}

absl::StatusOr<Listed<SocialAccount>> AccountStore::List(const CallContext& context,
                                                         absl::string_view org_id,
                                                         const AccountFilter& filter,
                                                         absl::string_view after, PageLimit limit) {
  Listed<SocialAccount> listed;
  if (limit.rows <= 0) return listed;
  const LookupValues key = BestLookup(org_id, filter);
  listed.next = std::string(after);
  size_t bytes = 0;
  const auto is_full = [&](size_t more) {
    bytes += more;
    const size_t rows = listed.records.size() + listed.unreadable.size();
    return rows >= static_cast<size_t>(limit.rows) || (rows > 0 && bytes >= limit.bytes);
  };
  // Where only some of the rows fit, more of them are read at a time than are asked for.
  PageLimit step = limit;
  if (HasSeveralParts(filter)) step = {.rows = std::max(limit.rows, kMaxLookedAt / 10)};
  for (int looked_at = 0; looked_at < kMaxLookedAt;) {
    absl::StatusOr<RowPage> page =
        records_.FetchFound(context, kSocialAccounts, key, listed.next, step, 1);
    if (!page.ok()) return page.status();
    looked_at += std::max(static_cast<int>(page->rows.size()), 1);
    for (const Row& row : page->rows) {
      if (!Fits(filter, row)) continue;
      absl::StatusOr<SocialAccount> account = records_.sealer().Open<SocialAccount>(row);
      if (account.ok()) {
        listed.records.push_back(*std::move(account));
      } else {
        listed.unreadable.push_back(row.id);
      }
      if (!is_full(row.parts[0].size())) continue;
      const bool is_last = &row == &page->rows.back();
      listed.next = is_last ? page->next : row.id;
      return listed;
    }
    listed.next = std::move(page->next);
    if (listed.next.empty()) return listed;
  }
  return listed;
}

absl::StatusOr<int64_t> AccountStore::Count(const CallContext& context, absl::string_view org_id,
                                            const AccountFilter& filter, int64_t at_most) {
  const LookupValues key = BestLookup(org_id, filter);
  // Of an organisation that is gone nothing is left.
  const auto organization = records_.GetOrganization(context, org_id);
  if (absl::IsNotFound(organization.status())) return 0;
  if (!organization.ok()) return organization.status();
  if (!HasSeveralParts(filter)) {
    return records_.backend().Count(context, kSocialAccounts, key, at_most);
  }
  int64_t count = 0;
  std::string after;
  for (int looked_at = 0; looked_at < kMaxLookedAt && count < at_most;) {
    const absl::StatusOr<RowPage> page = records_.FetchFound(context, kSocialAccounts, key, after,
                                                             {.rows = kMaxLookedAt - looked_at}, 0);
    if (!page.ok()) return page.status();
    count += std::count_if(page->rows.begin(), page->rows.end(),
                           [&](const Row& row) { return Fits(filter, row); });
    looked_at += std::max(static_cast<int>(page->rows.size()), 1);
    after = page->next;
    if (after.empty()) break;
  }
  return std::min(count, at_most);
}

absl::StatusOr<std::vector<AccountStore::UnconfirmedAccount>> AccountStore::ListUnconfirmed(
    const CallContext& context, const DuePosition& after, absl::Time before, int limit) {
  absl::StatusOr<std::vector<Row>> rows = records_.backend().ListDueAfter(
      context, kSocialAccounts, after, absl::ToUnixMillis(before), limit);
  if (!rows.ok()) return rows.status();
  std::vector<UnconfirmedAccount> accounts;
  accounts.reserve(rows->size());
  for (Row& row : *rows) {
    accounts.push_back({.position = {.due = row.integer(SocialAccountColumn::kConfirmedAtMs),
                                     .org_id = std::move(row.org_id),
                                     .id = std::move(row.id)},
                        .network = row.text(SocialAccountColumn::kNetwork)});
  }
  return accounts;
}

absl::StatusOr<AccountStore::StatusCounts> AccountStore::CountByStatus(const CallContext& context) {
  constexpr int64_t kAny = std::numeric_limits<int64_t>::min();
  const auto active = records_.backend().CountDue(context, kSocialAccounts, kAny, kNeverDue - 1);
  if (!active.ok()) return active.status();
  const auto needs_reconnect =
      records_.backend().CountDue(context, kSocialAccounts, kNeverDue, kNeverDue);
  if (!needs_reconnect.ok()) return needs_reconnect.status();
  return StatusCounts{.active = *active, .needs_reconnect = *needs_reconnect};
}

absl::StatusOr<SocialAccount> AccountStore::Update(const CallContext& context,
                                                   absl::string_view org_id,
                                                   absl::string_view account_id,
                                                   const Change& change, absl::Time now) {
  SocialAccount stored;
  const absl::Status status =
      connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        const absl::StatusOr<Row> row = records_.FetchOwned(
            context, kSocialAccounts, org_id, account_id, kSocialAccounts.parts.size());
        if (!row.ok()) return ExplainAccount(row.status(), account_id);
        absl::StatusOr<SocialAccount> account = records_.sealer().Open<SocialAccount>(*row);
        if (!account.ok()) return account.status();
        stored = *account;
        if (absl::Status changed = change(stored); !changed.ok()) return changed;
        KeepIdentity(*account, stored);
        stored.set_updated_at_ms(absl::ToUnixMillis(now));
        SettleConfirmation(stored, now);
        batch.TellOfChange(*account, stored);
        absl::StatusOr<std::string> token =
            records_.sealer().OpenPart(kSocialAccounts, SocialAccountPart::kToken, *row);
        if (!token.ok()) return token.status();
        Row put = records_.sealer().Seal(stored, batch.generation(), row->version + 1, *token);
        Wipe(*token);
        batch.Add(authurl::Update{&kSocialAccounts, std::move(put), row->version});
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return stored;
}

absl::StatusOr<SocialAccount> AccountStore::MarkNeedsReconnect(const CallContext& context,
                                                               absl::string_view org_id,
                                                               absl::string_view account_id,
                                                               absl::string_view reason,
                                                               absl::Time now) {
  const auto mark = [&](SocialAccount& account) {
    account.set_status(record::v1::ACCOUNT_STATUS_NEEDS_RECONNECT);
    account.set_status_reason(reason.data(), reason.size());
    return absl::OkStatus();
  };
  return Update(context, org_id, account_id, mark, now);
}

absl::StatusOr<AccountStore::Removed> AccountStore::Delete(const CallContext& context,
                                                           absl::string_view org_id,
                                                           absl::string_view account_id,
                                                           absl::Time now) {
  const absl::StatusOr<Row> found =
      records_.FetchOwned(context, kSocialAccounts, org_id, account_id, 0);
  if (!found.ok()) return ExplainAccount(found.status(), account_id);
  // Should it be under another grant by then, that is no harm.
  const RecordLocks::Lease lock =
      connector_.LockGrant(context, org_id, found->text(SocialAccountColumn::kGrantId));
  if (lock == nullptr) return context.WhyEnded();
  Removed removed;
  const absl::Status status =
      connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        const absl::StatusOr<Row> row =
            records_.FetchOwned(context, kSocialAccounts, org_id, account_id, 0);
        if (!row.ok()) return ExplainAccount(row.status(), account_id);
        absl::Status prepared =
            batch.RemoveAccounts(row->text(SocialAccountColumn::kGrantId), {*row}, "DELETED");
        removed = {.accounts = 1, .disconnected_grants = batch.connected().disconnected_grants};
        return prepared;
      });
  if (!status.ok()) return ExplainAccount(status, account_id);
  return removed;
}

absl::StatusOr<AccountStore::Removed> AccountStore::DeleteOfTenant(const CallContext& context,
                                                                   absl::string_view org_id,
                                                                   absl::string_view tenant_id,
                                                                   absl::Time now, int limit) {
  return DeleteFound(context,
                     {.lookup = SocialAccountLookup::kByTenant,
                      .org_id = std::string(org_id),
                      .values = {std::string(tenant_id)}},
                     "TENANT_DELETED", now, limit);
}

absl::StatusOr<AccountStore::Removed> AccountStore::DeleteOfConfiguration(
    const CallContext& context, absl::string_view org_id, absl::string_view social_network_id,
    absl::Time now, int limit) {
  absl::StatusOr<Removed> removed = DeleteFound(context,
                                                {.lookup = SocialAccountLookup::kByConfiguration,
                                                 .org_id = std::string(org_id),
                                                 .values = {std::string(social_network_id)}},
                                                "CONFIGURATION_DELETED", now, limit);
  if (!removed.ok() || !removed->is_done) return removed;
  absl::StatusOr<Removed> grants =
      DisconnectUnusedGrants(context, GrantsOfConfiguration(org_id, social_network_id), now, limit);
  if (!grants.ok()) return grants;
  for (std::string& id : grants->disconnected_grants) {
    removed->disconnected_grants.push_back(std::move(id));
  }
  removed->is_done = grants->is_done;
  return removed;
}

absl::StatusOr<AccountStore::Removed> AccountStore::DeleteFound(const CallContext& context,
                                                                const LookupValues& key,
                                                                absl::string_view reason,
                                                                absl::Time now, int limit) {
  const absl::StatusOr<RowPage> page =
      records_.FetchFound(context, kSocialAccounts, key, "", {.rows = std::max(limit, 1)}, 0);
  if (!page.ok()) return page.status();
  std::map<std::string, std::vector<std::string>> by_grant;
  for (const Row& row : page->rows) {
    by_grant[row.text(SocialAccountColumn::kGrantId)].push_back(row.id);
  }
  Removed removed;
  removed.is_done = page->next.empty();
  for (const auto& grant_and_ids : by_grant) {
    const std::string& grant_id = grant_and_ids.first;
    const std::vector<std::string>& ids = grant_and_ids.second;
    const RecordLocks::Lease lock = connector_.LockGrant(context, key.org_id, grant_id);
    if (lock == nullptr) return context.WhyEnded();
    int accounts = 0;
    std::vector<std::string> disconnected;
    const absl::Status status =
        connector_.Commit(context, key.org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
          std::vector<Row> rows;
          for (const std::string& id : ids) {
            absl::StatusOr<Row> row =
                records_.FetchOwned(context, kSocialAccounts, key.org_id, id, 0);
            // Gone meanwhile; or under another grant, and found again.
            if (absl::IsNotFound(row.status())) continue;
            if (!row.ok()) return row.status();
            if (row->text(SocialAccountColumn::kGrantId) != grant_id) {
              removed.is_done = false;
              continue;
            }
            rows.push_back(*std::move(row));
          }
          absl::Status prepared = batch.RemoveAccounts(grant_id, rows, reason);
          accounts = static_cast<int>(rows.size());
          disconnected = batch.connected().disconnected_grants;
          return prepared;
        });
    // With its organisation all of it is gone.
    if (absl::IsNotFound(status)) return Removed{};
    if (!status.ok()) return status;
    removed.accounts += accounts;
    for (std::string& id : disconnected) removed.disconnected_grants.push_back(std::move(id));
  }
  return removed;
}

absl::StatusOr<AccountStore::Removed> AccountStore::DisconnectUnusedGrants(
    const CallContext& context, const LookupValues& key, absl::Time now, int limit) {
  const absl::StatusOr<RowPage> page =
      records_.FetchFound(context, kGrants, key, "", {.rows = std::max(limit, 1)}, 0);
  if (!page.ok()) return page.status();
  Removed removed;
  removed.is_done = page->next.empty();
  for (const Row& row : page->rows) {
    bool is_disconnected = false;
    const absl::Status status =
        connector_.Commit(context, key.org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
          const absl::StatusOr<bool> is = batch.DisconnectIfUnused(row.id, std::nullopt);
          if (!is.ok()) return is.status();
          is_disconnected = *is;
          return absl::OkStatus();
        });
    if (absl::IsNotFound(status)) return Removed{};
    if (!status.ok()) return status;
    if (is_disconnected) removed.disconnected_grants.push_back(row.id);
  }
  return removed;
}

}  // namespace authurl
