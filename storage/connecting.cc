#include "storage/connecting.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "core/api_key.h"
#include "core/errors.h"
#include "storage/digest_id.h"
#include "storage/sealed_tokens.h"
#include "storage/store_errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::Grant;
using record::v1::SocialAccount;
using record::v1::SocialNetworkSettings;

LookupValues GrantsOfSubject(const Grant& grant) {
  return {.lookup = GrantLookup::kBySubject,
          .org_id = grant.org_id(),
          .values = {grant.social_network_id(), DigestId(grant.client_id()), grant.instance(),
                     grant.subject()}};
}

LookupValues IdentityOf(const SocialAccount& account) {
  return {.lookup = SocialAccountLookup::kByIdentity,
          .org_id = account.org_id(),
          .values = {account.social_network_id(), int64_t{account.account_type()},
                     account.network_unique_id(), account.tenant_id()}};
}

// The one that is the same as `account` at the network, or null.
const NewAccount* FindSame(absl::Span<const NewAccount> known, const SocialAccount& account) {
  const auto same = std::find_if(known.begin(), known.end(), [&](const NewAccount& each) {
    return each.account.account_type() == account.account_type() &&
           each.account.network_unique_id() == account.network_unique_id();
  });
  return same == known.end() ? nullptr : &*same;
}

}  // namespace

absl::StatusOr<Connected> FetchConnected(RecordStore& records, const CallContext& context,
                                         absl::string_view org_id, absl::string_view grant_id,
                                         absl::Span<const std::string> account_ids) {
  Connected connected;
  connected.grant_id = std::string(grant_id);
  for (const std::string& id : account_ids) {
    const absl::StatusOr<Row> row = records.FetchOwned(context, kSocialAccounts, org_id, id, 1);
    if (absl::IsNotFound(row.status())) continue;
    if (!row.ok()) return row.status();
    absl::StatusOr<SocialAccount> account = records.sealer().Open<SocialAccount>(*row);
    if (!account.ok()) return account.status();
    connected.accounts.push_back(*std::move(account));
  }
  return connected;
}

LookupValues AccountsOfGrant(absl::string_view org_id, absl::string_view grant_id) {
  return {.lookup = SocialAccountLookup::kByGrant,
          .org_id = std::string(org_id),
          .values = {std::string(grant_id)}};
}

LookupValues GrantsOfConfiguration(absl::string_view org_id, absl::string_view social_network_id) {
  return {.lookup = GrantLookup::kByConfiguration,
          .org_id = std::string(org_id),
          .values = {std::string(social_network_id), int64_t{1}}};
}

LookupValues DisconnectedGrantsOf(absl::string_view org_id, absl::string_view social_network_id) {
  return {.lookup = GrantLookup::kByConfiguration,
          .org_id = std::string(org_id),
          .values = {std::string(social_network_id), int64_t{0}}};
}

absl::StatusOr<std::string> OpenOwnToken(const RecordSealer& sealer, const Row& row) {
  absl::StatusOr<std::string> bytes =
      sealer.OpenPart(kSocialAccounts, SocialAccountPart::kToken, row);
  if (!bytes.ok()) return bytes.status();
  std::optional<std::string> token = ParseOwnToken(*bytes);
  Wipe(*bytes);
  if (!token) return absl::InternalError("the token of an account is not what was sealed");
  return *std::move(token);
}

void SettleConfirmation(SocialAccount& account, absl::Time now) {
  if (account.status() == record::v1::ACCOUNT_STATUS_NEEDS_RECONNECT) {
    account.set_confirmed_at_ms(kNeverDue);
  } else if (account.confirmed_at_ms() == kNeverDue) {
    account.set_confirmed_at_ms(absl::ToUnixMillis(now));
  }
}

void MarkAsDisconnected(Grant& grant, absl::Time now) {
  grant.set_disconnected_at_ms(absl::ToUnixMillis(now));
  grant.set_due_at_ms(kDueToBeRevoked);
  grant.clear_lease_holder();
  grant.clear_lease_until_ms();
}

absl::Status ConnectionBatch::ExpectConfiguration(const Grant& grant) {
  const std::string& id = grant.social_network_id();
  const absl::StatusOr<Row> row = records_.FetchOwned(context_, kSocialNetworks, org_id_, id, 1);
  if (!row.ok()) {
    return Explain(row.status(), absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
  }
  const auto settings = records_.sealer().Open<SocialNetworkSettings>(*row);
  if (!settings.ok()) return settings.status();
  if (settings->client_key() != grant.client_id() || settings->variant() != grant.variant()) {
    return ConfigurationChanged(id);
  }
  expected_.emplace_back(ExpectVersion{&kSocialNetworks, org_id_, id, row->version});
  return absl::OkStatus();
}

absl::Status ConnectionBatch::PutGrant(const NewGrant& made) {
  const int64_t now_ms = absl::ToUnixMillis(now_);
  grant_ = made.grant;
  grant_.set_org_id(org_id_);
  grant_.set_generation(1);
  grant_.set_consents(1);
  grant_.set_created_at_ms(now_ms);
  grant_.set_updated_at_ms(now_ms);
  grant_.set_due_at_ms(made.due_at ? absl::ToUnixMillis(*made.due_at) : kNeverDue);
  grant_.clear_lease_holder();
  grant_.clear_lease_until_ms();
  grant_.clear_disconnected_at_ms();
  grant_.clear_refreshed_by();
  grant_.clear_failures();
  grant_.clear_trouble();
  grant_.clear_trouble_version();
  DescribeTokens(made.tokens, grant_);

  const LookupValues subject = GrantsOfSubject(grant_);
  absl::StatusOr<Row> before = absl::NotFoundError("none is looked for");
  if (!made.is_beside_others) before = records_.Find(context_, kGrants, subject, 1);
  grant_is_new_ = absl::IsNotFound(before.status());
  if (!before.ok() && !grant_is_new_) return before.status();
  if (grant_is_new_) {
    grant_.set_id(NewId("gr_", random_));
    if (!made.is_beside_others) expected_.emplace_back(ExpectAtMost{&kGrants, subject, 0});
  } else {
    grant_.set_id(before->id);
    // One that is damaged is replaced, too.
    const absl::StatusOr<Grant> old = records_.sealer().Open<Grant>(*before);
    if (old.ok()) {
      grant_.set_generation(old->generation() + 1);
      grant_.set_consents(old->consents() + 1);
      grant_.set_created_at_ms(old->created_at_ms());
    }
  }
  connected_.grant_id = grant_.id();
  std::string tokens = SerializeTokens(made.tokens);
  const uint64_t version = grant_is_new_ ? 1 : before->version + 1;
  Row row = records_.sealer().Seal(grant_, generation_, version, tokens);
  Wipe(tokens);
  if (grant_is_new_) {
    changes_.emplace_back(Insert{&kGrants, std::move(row)});
  } else {
    changes_.emplace_back(Update{&kGrants, std::move(row), before->version});
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ConnectionBatch::PutGrantIfNewer(const NewGrant& made, bool just_refreshed) {
  Grant subject = made.grant;
  subject.set_org_id(org_id_);
  const absl::StatusOr<Row> before = records_.Find(context_, kGrants, GrantsOfSubject(subject), 1);
  if (!before.ok() && !absl::IsNotFound(before.status())) return before.status();
  if (before.ok() && !made.is_beside_others) {
    // One that is damaged is replaced.
    const absl::StatusOr<Grant> old = records_.sealer().Open<Grant>(*before);
    const std::optional<absl::Time> end = made.tokens.access_token_expires_at;
    const bool ends_later = old.ok() && old->access_token_expires_at_ms() != 0 && end &&
                            absl::ToUnixMillis(*end) > old->access_token_expires_at_ms();
    if (old.ok() && old->disconnected_at_ms() == 0 && !just_refreshed && !ends_later) {
      const absl::StatusOr<bool> works = HasActiveAccount(old->id());
      if (!works.ok()) return works.status();
      if (*works) {
        if (absl::Status status = UseGrant(old->id()); !status.ok()) return status;
        return false;
      }
    }
  }
  if (absl::Status status = PutGrant(made); !status.ok()) return status;
  return true;
}

absl::StatusOr<bool> ConnectionBatch::HasActiveAccount(absl::string_view grant_id) {
  std::string after;
  do {
    const absl::StatusOr<Listed<SocialAccount>> page = records_.ListFound<SocialAccount>(
        context_, AccountsOfGrant(org_id_, grant_id), after, {.rows = 100});
    if (!page.ok()) return page.status();
    const bool has_active =
        std::any_of(page->records.begin(), page->records.end(), [](const SocialAccount& account) {
          return account.status() == record::v1::ACCOUNT_STATUS_ACTIVE;
        });
    if (has_active) return true;
    after = page->next;
  } while (!after.empty());
  return false;
}

absl::Status ConnectionBatch::UseGrant(absl::string_view grant_id) {
  const absl::StatusOr<Row> before =
      records_.FetchOwned(context_, kGrants, org_id_, grant_id, kGrants.parts.size());
  if (!before.ok()) {
    return Explain(before.status(), absl::StatusCode::kNotFound, GrantNotFound(grant_id));
  }
  absl::StatusOr<Grant> grant = records_.sealer().Open<Grant>(*before);
  if (!grant.ok()) return grant.status();
  if (grant->disconnected_at_ms() != 0) return GrantNotFound(grant_id);
  absl::StatusOr<std::string> tokens =
      records_.sealer().OpenPart(kGrants, GrantPart::kTokens, *before);
  if (!tokens.ok()) return tokens.status();
  grant_ = *std::move(grant);
  connected_.grant_id = grant_.id();
  Row row = records_.sealer().Seal(grant_, generation_, before->version + 1, *tokens);
  Wipe(*tokens);
  changes_.emplace_back(Update{&kGrants, std::move(row), before->version});
  return absl::OkStatus();
}

void ConnectionBatch::PutAccount(const SocialAccount& account, absl::string_view access_token,
                                 std::optional<uint64_t> version_before, bool must_fit) {
  std::string token = SerializeOwnToken(access_token);
  Row row = records_.sealer().Seal(account, generation_, version_before.value_or(0) + 1, token);
  Wipe(token);
  if (version_before) {
    changes_.emplace_back(Update{&kSocialAccounts, std::move(row), *version_before, must_fit});
  } else {
    changes_.emplace_back(Insert{&kSocialAccounts, std::move(row), must_fit});
  }
}

absl::Status ConnectionBatch::PutAccounts(absl::Span<const NewAccount> accounts, Quota& quota) {
  const int64_t now_ms = absl::ToUnixMillis(now_);
  std::map<std::string, int64_t> left;  // How many accounts other grants lose.
  std::set<std::vector<Value>> identities;
  int64_t joining = 0;  // The grant, which they did not have.
  for (const NewAccount& made : accounts) {
    SocialAccount account = made.account;
    account.set_org_id(org_id_);
    account.set_grant_id(grant_.id());
    account.set_status(record::v1::ACCOUNT_STATUS_ACTIVE);
    // Of a grant that was there: what its others say.
    account.set_status_reason(grant_.trouble());
    account.set_has_own_token(!made.access_token.empty());
    account.set_created_at_ms(now_ms);
    account.set_updated_at_ms(now_ms);
    account.set_confirmed_at_ms(now_ms);
    account.clear_checked_at_ms();
    const LookupValues identity = IdentityOf(account);
    if (!identities.insert(identity.values).second) continue;
    const absl::StatusOr<Row> before = records_.Find(context_, kSocialAccounts, identity, 1);
    if (absl::IsNotFound(before.status())) {
      account.set_id(NewId("sa_", random_));
      ++new_accounts_;
      ++joining;
      AddEvent(EventOf(record::v1::EVENT_TYPE_ACCOUNT_CONNECTED, account));
      PutAccount(account, made.access_token, std::nullopt);
    } else if (!before.ok()) {
      return before.status();
    } else {
      account.set_id(before->id);
      // One that is damaged is connected anew, too.
      const absl::StatusOr<SocialAccount> old = records_.sealer().Open<SocialAccount>(*before);
      if (old.ok()) account.set_created_at_ms(old->created_at_ms());
      TellOfChange(old.ok() ? *old : account, account, /*is_connected_anew=*/true);
      const std::string& old_grant = before->text(SocialAccountColumn::kGrantId);
      if (old_grant != grant_.id()) {
        ++left[old_grant];
        ++joining;
      }
      PutAccount(account, made.access_token, before->version);
    }
    put_.insert(account.id());
    connected_.accounts.push_back(std::move(account));
  }
  if (!grant_is_new_) {
    const absl::StatusOr<int64_t> present = records_.backend().Count(
        context_, kSocialAccounts, AccountsOfGrant(org_id_, grant_.id()), kMaxAccountsOfGrant + 1);
    if (!present.ok()) return present.status();
    joining += *present;
  }
  if (joining > kMaxAccountsOfGrant) return TooManyAccountsOfGrant(kMaxAccountsOfGrant);
  for (const auto& [grant_id, lost] : left) {
    if (absl::Status status = LeaveGrant(grant_id, lost); !status.ok()) return status;
  }
  quota_ = quota.ForMore(org_id_, new_accounts_);
  return absl::OkStatus();
}

absl::Status ConnectionBatch::LeaveGrant(absl::string_view grant_id, int64_t accounts) {
  const absl::StatusOr<Row> row =
      records_.FetchOwned(context_, kGrants, org_id_, grant_id, kGrants.parts.size());
  if (absl::IsNotFound(row.status())) return absl::OkStatus();
  if (!row.ok()) return row.status();
  const absl::StatusOr<int64_t> present = records_.backend().Count(
      context_, kSocialAccounts, AccountsOfGrant(org_id_, grant_id), accounts + 1);
  if (!present.ok()) return present.status();
  const bool is_last = *present <= accounts;
  absl::StatusOr<Grant> grant = records_.sealer().Open<Grant>(*row);
  absl::StatusOr<std::string> tokens =
      records_.sealer().OpenPart(kGrants, GrantPart::kTokens, *row);
  if (!grant.ok() || !tokens.ok()) {
    if (tokens.ok()) Wipe(*tokens);
    // Nothing can be revoked by it.
    if (is_last) changes_.emplace_back(Delete{&kGrants, row->org_id, row->id, row->version});
    return absl::OkStatus();
  }
  if (is_last) {
    MarkAsDisconnected(*grant, now_);
    connected_.disconnected_grants.push_back(grant->id());
  }
  Row changed = records_.sealer().Seal(*grant, generation_, row->version + 1, *tokens);
  Wipe(*tokens);
  changes_.emplace_back(Update{&kGrants, std::move(changed), row->version, /*must_fit=*/true});
  return absl::OkStatus();
}

absl::Status ConnectionBatch::RemoveAccounts(absl::string_view grant_id,
                                             absl::Span<const Row> accounts,
                                             absl::string_view reason) {
  for (const Row& row : accounts) {
    changes_.emplace_back(Delete{&kSocialAccounts, row.org_id, row.id, row.version});
    // Of one that is damaged these are known, too.
    record::v1::Event event;
    event.set_type(record::v1::EVENT_TYPE_ACCOUNT_DISCONNECTED);
    event.set_account_id(row.id);
    event.set_social_network_id(row.text(SocialAccountColumn::kSocialNetworkId));
    event.set_network(row.text(SocialAccountColumn::kNetwork));
    event.set_tenant_id(row.text(SocialAccountColumn::kTenantId));
    event.set_reason(reason.data(), reason.size());
    AddEvent(std::move(event), /*must_fit=*/true);
  }
  if (accounts.empty()) return absl::OkStatus();
  return LeaveGrant(grant_id, static_cast<int64_t>(accounts.size()));
}

absl::Status ConnectionBatch::ForEachAccount(absl::string_view grant_id, ChangeAccount change) {
  const RecordSealer& sealer = records_.sealer();
  std::string after;
  do {
    const absl::StatusOr<RowPage> page =
        records_.FetchFound(context_, kSocialAccounts, AccountsOfGrant(org_id_, grant_id), after,
                            {.rows = 100}, kSocialAccounts.parts.size());
    if (!page.ok()) return page.status();
    for (const Row& row : page->rows) {
      absl::StatusOr<SocialAccount> account = sealer.Open<SocialAccount>(row);
      absl::StatusOr<std::string> token = OpenOwnToken(sealer, row);
      // What is damaged stays as it is.
      if (account.ok() && token.ok()) change(*account, row.version, *token);
      if (token.ok()) Wipe(*token);
    }
    after = page->next;
  } while (!after.empty());
  return absl::OkStatus();
}

absl::Status ConnectionBatch::RenewOthers(absl::Span<const NewAccount> known) {
  if (grant_is_new_) return absl::OkStatus();
  return ForEachAccount(
      grant_.id(), [&](SocialAccount& account, uint64_t version, absl::string_view own_token) {
        if (put_.contains(account.id())) return;
        const NewAccount* same = FindSame(known, account);
        const bool is_active = account.status() == record::v1::ACCOUNT_STATUS_ACTIVE;
        const bool is_well = is_active && account.status_reason().empty();
        // One whose token is its own, and was not given again, has lost nothing and won nothing.
        if (same == nullptr && (is_well || (!is_active && account.has_own_token()))) return;
        const absl::string_view token = same == nullptr ? own_token : same->access_token;
        const SocialAccount before = account;
        account.set_status(record::v1::ACCOUNT_STATUS_ACTIVE);
        account.clear_status_reason();
        account.set_has_own_token(!token.empty());
        account.set_updated_at_ms(absl::ToUnixMillis(now_));
        SettleConfirmation(account, now_);
        PutAccount(account, token, version);
        TellOfChange(before, account);
      });
}

absl::Status ConnectionBatch::RenewTokens(absl::string_view grant_id,
                                          absl::Span<const NewAccount> known) {
  return ForEachAccount(
      grant_id, [&](SocialAccount& account, uint64_t version, absl::string_view token) {
        const NewAccount* same = FindSame(known, account);
        if (same == nullptr || same->access_token.empty() || same->access_token == token) return;
        account.set_has_own_token(true);
        account.set_updated_at_ms(absl::ToUnixMillis(now_));
        PutAccount(account, same->access_token, version);
      });
}

absl::Status ConnectionBatch::MarkAccounts(absl::string_view grant_id, absl::string_view reason) {
  return ForEachAccount(grant_id,
                        [&](SocialAccount& account, uint64_t version, absl::string_view token) {
                          const SocialAccount before = account;
                          account.set_status(record::v1::ACCOUNT_STATUS_NEEDS_RECONNECT);
                          account.set_status_reason(reason.data(), reason.size());
                          account.set_updated_at_ms(absl::ToUnixMillis(now_));
                          SettleConfirmation(account, now_);
                          PutAccount(account, token, version);
                          TellOfChange(before, account);
                        });
}

absl::Status ConnectionBatch::MarkTrouble(absl::string_view grant_id, absl::string_view reason) {
  return ForEachAccount(
      grant_id, [&](SocialAccount& account, uint64_t version, absl::string_view token) {
        const bool is_active = account.status() == record::v1::ACCOUNT_STATUS_ACTIVE;
        if (!is_active || account.status_reason() == reason) return;
        const SocialAccount before = account;
        account.set_status_reason(reason.data(), reason.size());
        account.set_updated_at_ms(absl::ToUnixMillis(now_));
        PutAccount(account, token, version, /*must_fit=*/true);
        TellOfChange(before, account, /*is_connected_anew=*/false, /*must_fit=*/true);
      });
}

absl::StatusOr<bool> ConnectionBatch::DisconnectIfUnused(absl::string_view grant_id,
                                                         std::optional<uint64_t> consents) {
  const absl::StatusOr<Row> row =
      records_.FetchOwned(context_, kGrants, org_id_, grant_id, kGrants.parts.size());
  if (absl::IsNotFound(row.status())) return false;
  if (!row.ok()) return row.status();
  const absl::StatusOr<int64_t> present =
      records_.backend().Count(context_, kSocialAccounts, AccountsOfGrant(org_id_, grant_id), 1);
  if (!present.ok()) return present.status();
  if (*present > 0) return false;
  absl::StatusOr<Grant> grant = records_.sealer().Open<Grant>(*row);
  const bool is_another = grant.ok() && consents && grant->consents() != *consents;
  if (is_another || (grant.ok() && grant->disconnected_at_ms() != 0)) return false;
  absl::StatusOr<std::string> tokens =
      records_.sealer().OpenPart(kGrants, GrantPart::kTokens, *row);
  if (!grant.ok() || !tokens.ok()) {
    if (tokens.ok()) Wipe(*tokens);
    changes_.emplace_back(Delete{&kGrants, row->org_id, row->id, row->version});
    return false;
  }
  MarkAsDisconnected(*grant, now_);
  Row changed = records_.sealer().Seal(*grant, generation_, row->version + 1, *tokens);
  Wipe(*tokens);
  changes_.emplace_back(Update{&kGrants, std::move(changed), row->version, /*must_fit=*/true});
  return true;
}

void ConnectionBatch::AddEvent(record::v1::Event event, bool must_fit) {
  event.set_org_id(org_id_);
  if (event.flow_id().empty()) event.set_flow_id(flow_id_);
  changes_.emplace_back(events_.NewEvent(std::move(event), generation_, now_, must_fit));
  has_events_ = true;
}

void ConnectionBatch::TellOfChange(const SocialAccount& before, const SocialAccount& account,
                                   bool is_connected_anew, bool must_fit) {
  if (account.status() == record::v1::ACCOUNT_STATUS_NEEDS_RECONNECT) {
    if (before.status() == account.status()) return;
    record::v1::Event event = EventOf(record::v1::EVENT_TYPE_ACCOUNT_NEEDS_RECONNECT, account);
    event.set_reason(account.status_reason());
    return AddEvent(std::move(event));
  }
  record::v1::Event event = EventOf(record::v1::EVENT_TYPE_ACCOUNT_UPDATED, account);
  const auto add = [&](bool is_another, const char* what) {
    if (is_another) event.add_changed(what);
  };
  const auto is_another = [](const auto& one, const auto& other) {
    return !std::equal(one.begin(), one.end(), other.begin(), other.end());
  };
  add(is_connected_anew, "connection");
  add(before.status() != account.status(), "status");
  const bool is_another_trouble =
      before.status() == account.status() && before.status_reason() != account.status_reason();
  add(is_another_trouble, "status_reason");
  if (is_another_trouble) event.set_reason(account.status_reason());
  add(before.username() != account.username(), "username");
  add(before.display_name() != account.display_name(), "display_name");
  add(before.avatar_url() != account.avatar_url(), "avatar_url");
  add(is_another(before.granted_scopes(), account.granted_scopes()) ||
          is_another(before.missing_scopes(), account.missing_scopes()),
      "scopes");
  if (event.changed_size() > 0) AddEvent(std::move(event), must_fit);
}

void ConnectionBatch::TellOfFailure(const record::v1::Flow& flow) {
  record::v1::Event event;
  event.set_type(record::v1::EVENT_TYPE_CONNECTION_FAILED);
  event.set_social_network_id(flow.social_network_id());
  event.set_network(flow.network());
  event.set_instance(flow.instance());
  event.set_variant(flow.variant());
  event.set_tenant_id(flow.tenant_id());
  event.set_flow_id(flow.public_id());
  event.set_reason(flow.failed().reason());
  // The flow's end must fit on a full disk, too.
  AddEvent(std::move(event), /*must_fit=*/true);
}

Batch ConnectionBatch::Take() {
  Batch batch;
  if (quota_) batch.emplace_back(*quota_);
  std::move(expected_.begin(), expected_.end(), std::back_inserter(batch));
  std::move(changes_.begin(), changes_.end(), std::back_inserter(batch));
  return batch;
}

Connector::Connector(RecordStore& records, const EventStore& events, const RandomSource& random,
                     int64_t max_accounts)
    : records_(records),
      events_(events),
      random_(random),
      accounts_(kSocialAccounts, max_accounts) {}

RecordLocks::Lease Connector::LockSubject(const CallContext& context, const Grant& grant) {
  return subject_locks_.Take(context, absl::HashOf(grant.org_id(), grant.social_network_id(),
                                                   grant.instance(), grant.subject()));
}

RecordLocks::Lease Connector::LockGrant(const CallContext& context, absl::string_view org_id,
                                        absl::string_view grant_id) {
  return grant_locks_.Take(context, absl::HashOf(org_id, grant_id));
}

absl::Status Connector::Commit(const CallContext& context, absl::string_view org_id, absl::Time now,
                               Prepare prepare) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    std::optional<ConnectionBatch> batch;
    const absl::StatusOr<CommitResult> result = records_.CommitFor(
        context, org_id,
        [&](int64_t generation) -> absl::StatusOr<Batch> {
          batch.emplace(records_, events_, random_, context, org_id, generation, now);
          if (absl::Status status = prepare(*batch); !status.ok()) return status;
          return batch->Take();
        },
        {});
    if (!result.ok()) {
      if (batch && batch->is_overtaken()) continue;
      const bool is_gone = absl::IsNotFound(result.status()) && ReasonOf(result.status()).empty();
      return is_gone ? OrganizationNotFound(org_id) : result.status();
    }
    if (result->status.ok()) {
      if (batch->is_counted()) {
        accounts_.Counted(org_id, result->counts[0].rows, batch->new_accounts());
      }
      if (batch->has_events()) events_.Committed(org_id);
      return absl::OkStatus();
    }
    // The organisation is expected before it.
    if (absl::IsResourceExhausted(result->status) && batch->is_counted() && result->refused == 1) {
      return TooManyAccounts(org_id, accounts_.limit());
    }
    if (!WasOvertaken(result->status)) return result->status;
  }
  return TooManyAttempts();
}

}  // namespace authurl
