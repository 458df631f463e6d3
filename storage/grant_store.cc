#include "storage/grant_store.h"

#include <utility>

#include "core/crypto/crypto.h"
#include "storage/lease.h"
#include "storage/sealed_tokens.h"
#include "storage/store_errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::Grant;
using record::v1::SocialAccount;

void ClearLease(Grant& grant) {
  grant.clear_lease_holder();
  grant.clear_lease_until_ms();
}

bool Holds(absl::string_view holder, const Grant& grant) {
  return !holder.empty() && grant.lease_holder() == holder;
}

absl::Status LeaseLost() { return absl::AbortedError("the lease of the grant was lost"); }

absl::Status ExplainGrant(const absl::Status& status, absl::string_view grant_id) {
  return Explain(status, absl::StatusCode::kNotFound, GrantNotFound(grant_id));
}

// What was opened is wiped.
absl::StatusOr<TokenSet> TokensOf(const Grant& grant, absl::StatusOr<std::string> bytes) {
  if (!bytes.ok()) return bytes.status();
  std::optional<TokenSet> tokens = ParseTokens(*bytes);
  Wipe(*bytes);
  if (!tokens) return absl::InternalError("the tokens of a grant are not what was sealed");
  CompleteTokens(grant, *tokens);
  return *std::move(tokens);
}

void ClearTrouble(Grant& grant) {
  grant.clear_failures();
  grant.clear_trouble();
  grant.clear_trouble_version();
}

void SetDue(std::optional<absl::Time> due_at, Grant& grant) {
  grant.set_due_at_ms(due_at ? absl::ToUnixMillis(*due_at) : kNeverDue);
}

}  // namespace

absl::StatusOr<OpenedGrant> OpenGrantRow(const RecordSealer& sealer, const Row& row) {
  absl::StatusOr<Grant> grant = sealer.Open<Grant>(row);
  if (!grant.ok()) return grant.status();
  absl::StatusOr<TokenSet> tokens =
      TokensOf(*grant, sealer.OpenPart(kGrants, GrantPart::kTokens, row));
  if (!tokens.ok()) return tokens.status();
  return OpenedGrant{*std::move(grant), *std::move(tokens)};
}

bool IsLeased(const Grant& grant, absl::Time now) {
  return !grant.lease_holder().empty() && IsLeaseHeld(grant.lease_until_ms(), kRefreshLease, now);
}

absl::StatusOr<GrantStore::Fetched> GrantStore::Fetch(const CallContext& context,
                                                      absl::string_view org_id,
                                                      absl::string_view grant_id) {
  absl::StatusOr<Row> row =
      records_.FetchOwned(context, kGrants, org_id, grant_id, kGrants.parts.size());
  if (!row.ok()) return ExplainGrant(row.status(), grant_id);
  absl::StatusOr<OpenedGrant> opened = OpenGrantRow(records_.sealer(), *row);
  if (!opened.ok()) return opened.status();
  return Fetched{*std::move(row), *std::move(opened)};
}

absl::StatusOr<GrantStore::Fetched> GrantStore::FetchLeased(const CallContext& context,
                                                            absl::string_view org_id,
                                                            absl::string_view grant_id,
                                                            absl::string_view holder) {
  absl::StatusOr<Fetched> fetched = Fetch(context, org_id, grant_id);
  if (!fetched.ok()) return fetched;
  if (!Holds(holder, fetched->opened.grant)) return LeaseLost();
  return fetched;
}

Update GrantStore::PutBack(const Fetched& fetched, int64_t generation) const {
  std::string tokens = SerializeTokens(fetched.opened.tokens);
  const uint64_t version = fetched.row.version;
  Row row = records_.sealer().Seal(fetched.opened.grant, generation, version + 1, tokens);
  Wipe(tokens);
  return {&kGrants, std::move(row), version};
}

absl::StatusOr<Grant> GrantStore::Get(const CallContext& context, absl::string_view org_id,
                                      absl::string_view grant_id) {
  const absl::StatusOr<Row> row = records_.FetchOwned(context, kGrants, org_id, grant_id, 1);
  if (!row.ok()) return ExplainGrant(row.status(), grant_id);
  return records_.sealer().Open<Grant>(*row);
}

absl::StatusOr<OpenedGrant> GrantStore::GetWithTokens(const CallContext& context,
                                                      absl::string_view org_id,
                                                      absl::string_view grant_id) {
  absl::StatusOr<Fetched> fetched = Fetch(context, org_id, grant_id);
  if (!fetched.ok()) return fetched.status();
  return std::move(fetched->opened);
}

absl::StatusOr<OpenedGrant> GrantStore::ReadWithTokens(const CallContext& context,
                                                       absl::string_view org_id,
                                                       absl::string_view grant_id) {
  const auto stored = records_.ReadWithSecret<Grant>(context, org_id, grant_id);
  if (!stored.ok()) return ExplainGrant(stored.status(), grant_id);
  const Grant& grant = (*stored)->record;
  std::string bytes;
  if (absl::Status status = records_.OpenSecret(**stored, bytes); !status.ok()) return status;
  absl::StatusOr<TokenSet> tokens = TokensOf(grant, std::move(bytes));
  if (!tokens.ok()) return tokens.status();
  return OpenedGrant{grant, *std::move(tokens)};
}

StoredWithSecretPtr<Grant> GrantStore::FindInMemory(
    const StoredWithSecret<SocialAccount>& account) {
  const SocialAccount& record = account.record;
  auto stored = records_.FindWithSecret<Grant>(record.org_id(), record.grant_id());
  if (!stored || *stored == nullptr || (*stored)->generation != account.generation) return nullptr;
  return *std::move(stored);
}

absl::StatusOr<OpenedAccessToken> GrantStore::OpenAccessToken(
    const StoredWithSecret<Grant>& grant) const {
  return OpenedAccessToken::From(
      [&](std::string& bytes) { return records_.OpenSecret(grant, bytes); });
}

absl::StatusOr<Listed<SocialAccount>> GrantStore::ListAccounts(const CallContext& context,
                                                               absl::string_view org_id,
                                                               absl::string_view grant_id,
                                                               absl::string_view after,
                                                               PageLimit limit) {
  return records_.ListFound<SocialAccount>(context, AccountsOfGrant(org_id, grant_id), after,
                                           limit);
}

absl::StatusOr<GrantStore::Lease> GrantStore::TakeLease(const CallContext& context,
                                                        absl::string_view org_id,
                                                        absl::string_view grant_id,
                                                        absl::string_view holder, absl::Time now) {
  const RecordLocks::Lease lock = connector_.LockGrant(context, org_id, grant_id);
  if (lock == nullptr) return context.WhyEnded();
  std::optional<Lease> lease;
  const absl::Status status =
      connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        absl::StatusOr<Fetched> fetched = Fetch(context, org_id, grant_id);
        if (!fetched.ok()) return fetched.status();
        Grant& grant = fetched->opened.grant;
        if (grant.disconnected_at_ms() != 0) return GrantNotFound(grant_id);
        const bool is_held = grant.lease_holder() != holder && IsLeased(grant, now);
        if (!is_held) {
          grant.set_lease_holder(holder.data(), holder.size());
          grant.set_lease_until_ms(absl::ToUnixMillis(now + kRefreshLease));
          batch.Add(PutBack(*fetched, batch.generation()));
        }
        lease.emplace(Lease{!is_held, std::move(fetched->opened)});
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return *std::move(lease);
}

absl::StatusOr<Grant> GrantStore::StoreRefreshed(const CallContext& context,
                                                 absl::string_view org_id,
                                                 absl::string_view grant_id,
                                                 absl::string_view holder, const TokenSet& tokens,
                                                 std::optional<absl::Time> due_at, absl::Time now) {
  const RecordLocks::Lease lock = connector_.LockGrant(context, org_id, grant_id);
  if (lock == nullptr) return context.WhyEnded();
  Grant stored;
  const absl::Status status =
      connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        absl::StatusOr<Fetched> fetched = Fetch(context, org_id, grant_id);
        if (!fetched.ok()) return fetched.status();
        Grant& grant = fetched->opened.grant;
        stored = grant;
        const bool is_stored = !holder.empty() && grant.refreshed_by() == holder;
        if (is_stored && grant.lease_holder().empty()) return absl::OkStatus();
        if (!Holds(holder, grant)) return LeaseLost();
        DescribeTokens(tokens, grant);
        grant.set_refreshed_by(holder.data(), holder.size());
        grant.set_generation(grant.generation() + 1);
        grant.set_updated_at_ms(absl::ToUnixMillis(now));
        const bool had_trouble = !grant.trouble().empty();
        ClearLease(grant);
        ClearTrouble(grant);
        SetDue(due_at, grant);
        std::string bytes = SerializeTokens(tokens);
        const uint64_t version = fetched->row.version;
        Row row = records_.sealer().Seal(grant, batch.generation(), version + 1, bytes);
        Wipe(bytes);
        // The network has given these away for the old ones, which take as much room.
        batch.Add(Update{&kGrants, std::move(row), version, /*must_fit=*/true});
        stored = grant;
        return had_trouble ? batch.MarkTrouble(grant_id, "") : absl::OkStatus();
      });
  if (!status.ok()) return status;
  return stored;
}

absl::Status GrantStore::RenewOwnTokens(const CallContext& context, absl::string_view org_id,
                                        absl::string_view grant_id, uint64_t generation,
                                        absl::Span<const NewAccount> known, absl::Time now) {
  const RecordLocks::Lease lock = connector_.LockGrant(context, org_id, grant_id);
  if (lock == nullptr) return context.WhyEnded();
  return connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
    const absl::StatusOr<Fetched> fetched = Fetch(context, org_id, grant_id);
    if (!fetched.ok()) return fetched.status();
    const Grant& grant = fetched->opened.grant;
    if (grant.generation() != generation || grant.disconnected_at_ms() != 0) {
      return absl::OkStatus();
    }
    // So that no other tokens come in between.
    batch.Add(PutBack(*fetched, batch.generation()));
    return batch.RenewTokens(grant_id, known);
  });
}

absl::Status GrantStore::EndLease(const CallContext& context, absl::string_view org_id,
                                  absl::string_view grant_id, absl::string_view holder,
                                  std::optional<absl::Time> due_at) {
  const RecordLocks::Lease lock = connector_.LockGrant(context, org_id, grant_id);
  if (lock == nullptr) return context.WhyEnded();
  return connector_.Commit(
      context, org_id, absl::InfinitePast(), [&](ConnectionBatch& batch) -> absl::Status {
        absl::StatusOr<Fetched> fetched = FetchLeased(context, org_id, grant_id, holder);
        if (!fetched.ok()) return fetched.status();
        ClearLease(fetched->opened.grant);
        if (fetched->opened.grant.disconnected_at_ms() == 0) {
          SetDue(due_at, fetched->opened.grant);
        }
        Update put_back = PutBack(*fetched, batch.generation());
        put_back.must_fit = true;
        batch.Add(std::move(put_back));
        return absl::OkStatus();
      });
}

absl::StatusOr<bool> GrantStore::EndFailed(const CallContext& context, absl::string_view org_id,
                                           absl::string_view grant_id, absl::string_view holder,
                                           const Failure& failure, absl::Time now) {
  const RecordLocks::Lease lock = connector_.LockGrant(context, org_id, grant_id);
  if (lock == nullptr) return context.WhyEnded();
  bool is_news = false;
  const absl::Status status =
      connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        absl::StatusOr<Fetched> fetched = FetchLeased(context, org_id, grant_id, holder);
        if (!fetched.ok()) return fetched.status();
        Grant& grant = fetched->opened.grant;
        const bool is_connected = grant.disconnected_at_ms() == 0;
        is_news = is_connected && !failure.trouble.empty() && grant.trouble() != failure.trouble;
        ClearLease(grant);
        if (is_connected) SetDue(failure.due_at, grant);
        grant.set_failures(failure.failures);
        if (!failure.trouble.empty()) {
          grant.set_trouble(failure.trouble);
          grant.set_trouble_version(failure.trouble_version);
        }
        Update put_back = PutBack(*fetched, batch.generation());
        put_back.must_fit = true;
        batch.Add(std::move(put_back));
        return is_news ? batch.MarkTrouble(grant_id, failure.trouble) : absl::OkStatus();
      });
  if (!status.ok()) return status;
  return is_news;
}

absl::StatusOr<bool> GrantStore::MarkDead(const CallContext& context, absl::string_view org_id,
                                          absl::string_view grant_id, uint64_t generation,
                                          absl::string_view reason, absl::Time now) {
  const RecordLocks::Lease lock = connector_.LockGrant(context, org_id, grant_id);
  if (lock == nullptr) return context.WhyEnded();
  bool is_dead = false;
  const absl::Status status =
      connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        absl::StatusOr<Fetched> fetched = Fetch(context, org_id, grant_id);
        if (!fetched.ok()) return fetched.status();
        Grant& grant = fetched->opened.grant;
        is_dead = grant.generation() == generation && grant.disconnected_at_ms() == 0;
        if (!is_dead) return absl::OkStatus();
        ClearLease(grant);
        ClearTrouble(grant);
        SetDue(std::nullopt, grant);
        batch.Add(PutBack(*fetched, batch.generation()));
        return batch.MarkAccounts(grant_id, reason);
      });
  if (!status.ok()) return status;
  return is_dead;
}

absl::StatusOr<std::vector<GrantStore::OwnedGrant>> GrantStore::ListDue(const CallContext& context,
                                                                        absl::Time now, int limit) {
  const absl::StatusOr<std::vector<Row>> due = records_.backend().ListDue(
      context, kGrants, absl::ToUnixMillis(now + absl::Milliseconds(1)), limit);
  if (!due.ok()) return due.status();
  std::vector<OwnedGrant> grants;
  for (const Row& row : *due) grants.push_back({row.org_id, row.id});
  return grants;
}

absl::StatusOr<std::vector<GrantStore::DueGrant>> GrantStore::ListDue(const CallContext& context,
                                                                      const DuePosition& after,
                                                                      absl::Time now, int limit) {
  absl::StatusOr<std::vector<Row>> due =
      records_.backend().ListDueAfter(context, kGrants, after, absl::ToUnixMillis(now) + 1, limit);
  if (!due.ok()) return due.status();
  std::vector<DueGrant> grants;
  grants.reserve(due->size());
  for (Row& row : *due) {
    grants.push_back({.position = {.due = row.integer(GrantColumn::kDueAtMs),
                                   .org_id = std::move(row.org_id),
                                   .id = std::move(row.id)},
                      .social_network_id = row.text(GrantColumn::kSocialNetworkId),
                      .instance = row.text(GrantColumn::kInstance)});
  }
  return grants;
}

absl::StatusOr<std::optional<absl::Time>> GrantStore::FirstDue(const CallContext& context,
                                                               int64_t from, int64_t before) {
  // Of no organisation is none, so this is in front of all.
  const absl::StatusOr<std::vector<Row>> due =
      records_.backend().ListDueAfter(context, kGrants, {.due = from}, before, 1);
  if (!due.ok()) return due.status();
  if (due->empty()) return std::nullopt;
  return absl::FromUnixMillis(due->front().integer(GrantColumn::kDueAtMs));
}

absl::StatusOr<std::optional<absl::Time>> GrantStore::NextDue(const CallContext& context,
                                                              absl::Time now) {
  return FirstDue(context, absl::ToUnixMillis(now) + 1, kNeverDue);
}

absl::StatusOr<std::optional<absl::Time>> GrantStore::OldestDue(const CallContext& context,
                                                                absl::Time now) {
  return FirstDue(context, kDueToBeRevoked + 1, absl::ToUnixMillis(now) + 1);
}

absl::StatusOr<std::vector<GrantStore::OwnedGrant>> GrantStore::ListDisconnected(
    const CallContext& context, int limit) {
  return ListDue(context, absl::FromUnixMillis(kDueToBeRevoked), limit);
}

absl::Status GrantStore::Delete(const CallContext& context, absl::string_view org_id,
                                absl::string_view grant_id) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<Row> row = records_.FetchOwned(context, kGrants, org_id, grant_id, 1);
    if (absl::IsNotFound(row.status())) return absl::OkStatus();
    if (!row.ok()) return row.status();
    const absl::StatusOr<Grant> grant = records_.sealer().Open<Grant>(*row);
    if (grant.ok() && grant->disconnected_at_ms() == 0) {
      return absl::FailedPreconditionError("the grant is connected");
    }
    const Batch batch = {authurl::Delete{&kGrants, row->org_id, row->id, row->version}};
    const absl::Status status = records_.Commit(context, batch, {}).status;
    if (!WasOvertaken(status)) return status;
  }
  return TooManyAttempts();
}

}  // namespace authurl
