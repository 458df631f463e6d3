#include "storage/pending_connection_store.h"

#include <algorithm>
#include <utility>

#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "core/errors.h"
#include "storage/digest_id.h"
#include "storage/flow_store.h"
#include "storage/sealed_tokens.h"
#include "storage/store_errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using record::v1::Flow;
using record::v1::Grant;
using record::v1::PendingConnection;
using record::v1::SocialAccount;

// Wiped at its end.
struct WipedTexts {
  WipedTexts() = default;
  WipedTexts(const WipedTexts&) = delete;
  WipedTexts& operator=(const WipedTexts&) = delete;
  ~WipedTexts() {
    for (std::string& text : list) Wipe(text);
  }

  std::vector<std::string> list;
};

void AddChoices(absl::Span<const NewAccount> accounts, PendingConnection& pending) {
  for (const NewAccount& made : accounts) {
    PendingConnection::Choice& choice = *pending.add_choices();
    choice.set_account_type(made.account.account_type());
    choice.set_network_unique_id(made.account.network_unique_id());
    choice.set_username(made.account.username());
    choice.set_display_name(made.account.display_name());
    choice.set_avatar_url(made.account.avatar_url());
  }
}

SocialAccount AccountOf(const PendingConnection& pending, const PendingConnection::Choice& choice) {
  SocialAccount account;
  account.set_social_network_id(pending.social_network_id());
  account.set_network(pending.network());
  account.set_instance(pending.instance());
  account.set_variant(pending.variant());
  account.set_tenant_id(pending.tenant_id());
  account.set_account_type(choice.account_type());
  account.set_network_unique_id(choice.network_unique_id());
  account.set_username(choice.username());
  account.set_display_name(choice.display_name());
  account.set_avatar_url(choice.avatar_url());
  *account.mutable_granted_scopes() = pending.granted_scopes();
  *account.mutable_missing_scopes() = pending.missing_scopes();
  return account;
}

}  // namespace

PendingConnectionStore::PendingConnectionStore(RecordStore& records, Connector& connector,
                                               int64_t max_pending)
    : records_(records), connector_(connector), pending_(kPendingConnections, max_pending) {}

std::string PendingConnectionId(absl::string_view session_token) { return DigestId(session_token); }

absl::Status PendingConnectionStore::Offer(const CallContext& context, absl::string_view org_id,
                                           absl::string_view flow_id,
                                           absl::string_view session_token,
                                           PendingConnection pending, const NewGrant& grant,
                                           absl::Span<const NewAccount> accounts, absl::Time now) {
  if (accounts.size() > static_cast<size_t>(kMaxChoices)) return TooManyChoices(kMaxChoices);
  const Grant& made = grant.grant;
  pending.set_id(PendingConnectionId(session_token));
  pending.set_org_id(org_id.data(), org_id.size());
  pending.set_flow_id(flow_id.data(), flow_id.size());
  pending.set_social_network_id(made.social_network_id());
  pending.set_network(made.network());
  pending.set_instance(made.instance());
  pending.set_variant(made.variant());
  pending.set_created_at_ms(absl::ToUnixMillis(now));
  pending.set_expires_at_ms(absl::ToUnixMillis(now + kPendingConnectionLifetime));
  pending.clear_choices();
  pending.clear_chosen_ids();
  pending.clear_account_ids();
  AddChoices(accounts, pending);
  std::vector<absl::string_view> own_tokens;
  for (const NewAccount& account : accounts) own_tokens.push_back(account.access_token);
  WipedTexts tokens;
  tokens.list.push_back(SerializeChoiceTokens(own_tokens));
  if (pending.ByteSizeLong() > kMaxChoicesBytes || tokens.list[0].size() > kMaxChoicesBytes) {
    return TooManyChoices(kMaxChoices);
  }
  const RecordLocks::Lease lock = connector_.LockSubject(context, made);
  if (lock == nullptr) return context.WhyEnded();
  const std::optional<ExpectAtMost> quota = pending_.ForMore(org_id);
  if (quota) {
    // Few at a time wait for a choice: it need not be exact.
    const absl::StatusOr<int64_t> waiting =
        records_.backend().Count(context, kPendingConnections, quota->key, pending_.limit());
    if (!waiting.ok()) return waiting.status();
    if (*waiting >= pending_.limit()) return TooManyPendingConnections(pending_.limit());
    pending_.Counted(org_id, *waiting);
  }
  return connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
    const absl::StatusOr<Row> row = records_.FetchOwned(context, kFlows, org_id, flow_id, 1);
    if (absl::IsNotFound(row.status())) return CompletionUnknown();
    if (!row.ok()) return row.status();
    absl::StatusOr<Flow> flow = records_.sealer().Open<Flow>(*row);
    if (!flow.ok()) return flow.status();
    // By a commit of this very call, which did not hear of its end.
    // Somebody may have chosen since.
    if (flow->needs_choice().session_digest() == pending.id() ||
        flow->completed().session_digest() == pending.id()) {
      return absl::OkStatus();
    }
    if (flow->outcome_case() != Flow::OUTCOME_NOT_SET) return StateAlreadyUsed();
    batch.set_flow(*flow);
    absl::Status prepared = batch.ExpectConfiguration(made);
    if (prepared.ok()) prepared = batch.PutGrant(grant);
    if (prepared.ok()) prepared = batch.RenewOthers(accounts);
    if (!prepared.ok()) return prepared;
    pending.set_grant_id(batch.grant().id());
    pending.set_grant_consents(batch.grant().consents());
    flow->mutable_needs_choice()->set_session_digest(pending.id());
    flow->set_ended_at_ms(absl::ToUnixMillis(now));
    flow->set_purge_at_ms(std::max(
        flow->purge_at_ms(), pending.expires_at_ms() + absl::ToInt64Milliseconds(kFlowGrace)));
    batch.Add(FlowUpdate(records_, *flow, batch.generation(), row->version));
    batch.Add(Insert{&kPendingConnections,
                     records_.sealer().Seal(pending, batch.generation(), 1, tokens.list[0])});
    return absl::OkStatus();
  });
}

absl::StatusOr<PendingConnectionStore::Opened> PendingConnectionStore::Open(
    const CallContext& context, absl::string_view id, absl::Time now, size_t parts) {
  absl::StatusOr<Row> row = records_.FetchOwned(context, kPendingConnections, "", id, parts);
  if (!row.ok()) return Explain(row.status(), absl::StatusCode::kNotFound, SessionNotFound());
  absl::StatusOr<PendingConnection> pending = records_.sealer().Open<PendingConnection>(*row);
  if (!pending.ok()) return pending.status();
  if (absl::ToUnixMillis(now) >= pending->expires_at_ms()) return SessionExpired();
  return Opened{*std::move(row), *std::move(pending)};
}

absl::StatusOr<PendingConnection> PendingConnectionStore::Get(const CallContext& context,
                                                              absl::string_view id,
                                                              absl::Time now) {
  absl::StatusOr<Opened> opened = Open(context, id, now, 1);
  if (!opened.ok()) return opened.status();
  return std::move(opened->pending);
}

absl::StatusOr<PendingConnectionStore::Finalized> PendingConnectionStore::Finalize(
    const CallContext& context, absl::string_view org_id, absl::string_view id,
    absl::string_view session_binding_hash, absl::Span<const std::string> chosen_ids,
    absl::Time now) {
  std::vector<std::string> chosen(chosen_ids.begin(), chosen_ids.end());
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  Finalized finalized;
  const absl::Status status =
      connector_.Commit(context, org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        finalized = {};
        absl::StatusOr<Opened> opened = Open(context, id, now, kPendingConnections.parts.size());
        if (!opened.ok()) return opened.status();
        const PendingConnection& pending = opened->pending;
        if (pending.org_id() != org_id) return SessionNotFound();
        if (!EqualInConstantTime(pending.session_binding_hash(), session_binding_hash)) {
          return SessionBindingMismatch();
        }
        if (pending.chosen_ids_size() > 0) {
          const bool is_same = std::equal(chosen.begin(), chosen.end(),
                                          pending.chosen_ids().begin(), pending.chosen_ids().end());
          if (!is_same) return SessionAlreadyUsed();
          const std::vector<std::string> ids(pending.account_ids().begin(),
                                             pending.account_ids().end());
          absl::StatusOr<Connected> before =
              FetchConnected(records_, context, org_id, pending.grant_id(), ids);
          if (!before.ok()) return before.status();
          finalized = {.connected = *std::move(before), .is_replayed = true};
          return absl::OkStatus();
        }
        if (absl::Status prepared = PrepareChosen(*opened, chosen, batch); !prepared.ok()) {
          return prepared;
        }
        finalized.connected = batch.connected();
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return finalized;
}

absl::Status PendingConnectionStore::PrepareChosen(const Opened& opened,
                                                   const std::vector<std::string>& chosen,
                                                   ConnectionBatch& batch) {
  const PendingConnection& pending = opened.pending;
  absl::StatusOr<std::string> bytes =
      records_.sealer().OpenPart(kPendingConnections, PendingConnectionPart::kTokens, opened.row);
  if (!bytes.ok()) return bytes.status();
  auto parsed = ParseChoiceTokens(*bytes);
  Wipe(*bytes);
  if (!parsed || parsed->size() != static_cast<size_t>(pending.choices_size())) {
    return absl::InternalError("the tokens of a pending connection are not those of its choices");
  }
  WipedTexts tokens;
  tokens.list = *std::move(parsed);
  if (chosen.empty()) return ChoiceNotFound("");
  std::vector<NewAccount> accounts;
  for (const std::string& id : chosen) {
    const size_t before = accounts.size();
    for (int i = 0; i < pending.choices_size(); ++i) {
      const PendingConnection::Choice& choice = pending.choices(i);
      if (choice.network_unique_id() != id) continue;
      accounts.push_back({AccountOf(pending, choice), tokens.list[static_cast<size_t>(i)]});
    }
    if (accounts.size() == before) return ChoiceNotFound(id);
  }

  const absl::StatusOr<Row> row =
      records_.FetchOwned(batch.context(), kFlows, pending.org_id(), pending.flow_id(), 1);
  if (!row.ok()) return Explain(row.status(), absl::StatusCode::kNotFound, SessionNotFound());
  absl::StatusOr<Flow> flow = records_.sealer().Open<Flow>(*row);
  if (!flow.ok()) return flow.status();
  // By another choice, of which the connection that was read does not know yet.
  if (flow->has_completed()) return batch.Overtaken();
  if (flow->needs_choice().session_digest() != pending.id()) return SessionNotFound();
  batch.set_flow(*flow);

  absl::Status prepared = batch.UseGrant(pending.grant_id());
  if (absl::IsNotFound(prepared)) return SessionNotFound();
  if (prepared.ok()) prepared = batch.ExpectConfiguration(batch.grant());
  if (prepared.ok()) prepared = batch.PutAccounts(accounts, connector_.accounts());
  if (!prepared.ok()) return prepared;
  SetCompleted(*flow, batch.connected(), batch.now());
  flow->mutable_completed()->set_session_digest(pending.id());
  batch.Add(FlowUpdate(records_, *flow, batch.generation(), row->version));

  PendingConnection done = pending;
  done.mutable_chosen_ids()->Add(chosen.begin(), chosen.end());
  for (const SocialAccount& account : batch.connected().accounts) {
    done.add_account_ids(account.id());
  }
  Row changed = records_.sealer().Seal(done, batch.generation(), opened.row.version + 1,
                                       SerializeChoiceTokens({}));
  batch.Add(Update{&kPendingConnections, std::move(changed), opened.row.version});
  return absl::OkStatus();
}

absl::StatusOr<PendingConnectionStore::Purged> PendingConnectionStore::Purge(absl::Time now,
                                                                             int limit) {
  const CallContext& context = CallContext::Background();
  const absl::StatusOr<std::vector<Row>> due =
      records_.backend().ListDue(context, kPendingConnections, absl::ToUnixMillis(now), limit);
  if (!due.ok()) return due.status();
  Purged purged;
  // One that can't be removed must not hold up the others.
  absl::Status first_error;
  for (const Row& row : *due) first_error.Update(PurgeOne(context, row, now, purged));
  if (purged.removed == 0 && !first_error.ok()) return first_error;
  return purged;
}

absl::Status PendingConnectionStore::PurgeOne(const CallContext& context, const Row& due,
                                              absl::Time now, Purged& purged) {
  std::string disconnected_grant;
  bool is_there = false;
  const absl::Status status =
      connector_.Commit(context, due.org_id, now, [&](ConnectionBatch& batch) -> absl::Status {
        disconnected_grant.clear();
        absl::StatusOr<Row> row = records_.Fetch(context, kPendingConnections, "", due.id, 1);
        is_there = row.ok();
        if (absl::IsNotFound(row.status())) return absl::OkStatus();
        if (!row.ok()) return row.status();
        batch.Add(Delete{&kPendingConnections, row->org_id, row->id, row->version});
        absl::StatusOr<PendingConnection> pending = records_.sealer().Open<PendingConnection>(*row);
        // With one that is damaged, or was finalized, nothing else goes.
        if (!pending.ok() || pending->chosen_ids_size() > 0) return absl::OkStatus();
        absl::StatusOr<std::string> grant_id =
            PrepareExpired({*std::move(row), *std::move(pending)}, batch);
        if (!grant_id.ok()) return grant_id.status();
        disconnected_grant = *std::move(grant_id);
        return absl::OkStatus();
      });
  // Of an organisation that is being deleted: that takes all that is its own.
  if (absl::IsNotFound(status)) {
    const Batch batch = {Delete{&kPendingConnections, due.org_id, due.id}};
    const absl::Status removed = records_.Commit(context, batch, {}).status;
    if (removed.ok()) ++purged.removed;
    return removed;
  }
  if (!status.ok()) return status;
  if (is_there) ++purged.removed;
  if (!disconnected_grant.empty()) {
    purged.disconnected_grants.push_back({due.org_id, disconnected_grant});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> PendingConnectionStore::PrepareExpired(const Opened& opened,
                                                                   ConnectionBatch& batch) {
  const PendingConnection& pending = opened.pending;
  const absl::StatusOr<Row> row =
      records_.FetchOwned(batch.context(), kFlows, pending.org_id(), pending.flow_id(), 1);
  if (!row.ok() && !absl::IsNotFound(row.status())) return row.status();
  if (row.ok()) {
    absl::StatusOr<Flow> flow = records_.sealer().Open<Flow>(*row);
    if (flow.ok() && flow->needs_choice().session_digest() == pending.id()) {
      SetFailure(*flow, SessionExpired(), batch.now());
      batch.TellOfFailure(*flow);
      batch.Add(FlowUpdate(records_, *flow, batch.generation(), row->version,
                           /*is_marked_only=*/true));
    }
  }
  const absl::StatusOr<bool> is_gone =
      batch.DisconnectIfUnused(pending.grant_id(), pending.grant_consents());
  if (!is_gone.ok()) return is_gone.status();
  return *is_gone ? pending.grant_id() : "";
}

}  // namespace authurl
