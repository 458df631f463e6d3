// connecting.h: what connects accounts: a grant and the accounts that it feeds, as parts of one
// commit. What flows and the choosing of accounts have in common.
//
// Whoever adds an account to a grant, or takes one from it, changes the grant's row in the same
// commit. So whether an account is the last one of its grant is known for sure by whoever expects
// the grant's version.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/crypto/crypto.h"
#include "core/flow/token_response.h"
#include "storage/backend.h"
#include "storage/event_store.h"
#include "storage/quota.h"
#include "storage/record_locks.h"
#include "storage/record_store.h"

namespace authurl {

// What a consent gave.
struct NewGrant {
  // Configuration, network, instance, variant, client id and subject are read of it; the rest is
  // the store's, and comes from the tokens.
  record::v1::Grant grant;
  const TokenSet& tokens;
  // Whether the network lets one person's grants stand beside each other. Else a new one takes the
  // place of the one before, for all its accounts.
  bool is_beside_others = false;
  // When it is to be refreshed, if ever.
  std::optional<absl::Time> due_at = {};
};

struct NewAccount {
  // Id, organisation, grant, status and times are the store's. One that is connected already stays
  // the same, with its id.
  record::v1::SocialAccount account;
  // Its own, in place of the grant's; empty where it has none.
  absl::string_view access_token;
};

struct Connected {
  std::vector<record::v1::SocialAccount> accounts;
  std::string grant_id;
  // Grants that have lost their last account by it: to be revoked, and then deleted
  // (GrantStore::Delete).
  std::vector<std::string> disconnected_grants;
};

// What was connected before, as far as it still is.
absl::StatusOr<Connected> FetchConnected(RecordStore& records, const CallContext& context,
                                         absl::string_view org_id, absl::string_view grant_id,
                                         absl::Span<const std::string> account_ids);

LookupValues AccountsOfGrant(absl::string_view org_id, absl::string_view grant_id);
// Those that are connected, and those that are to be revoked.
LookupValues GrantsOfConfiguration(absl::string_view org_id, absl::string_view social_network_id);
LookupValues DisconnectedGrantsOf(absl::string_view org_id, absl::string_view social_network_id);

// The own token of an account, of its row with all its parts; empty where it has none. The caller
// wipes it.
absl::StatusOr<std::string> OpenOwnToken(const RecordSealer& sealer, const Row& row);

// When grants are due that are to be revoked: before all that are to be refreshed, so that these
// hold up none of them.
inline constexpr int64_t kDueToBeRevoked = 0;

// `confirmed_at_ms` of an account as its status wants it.
void SettleConfirmation(record::v1::SocialAccount& account, absl::Time now);

// A grant that has lost its last account: to be revoked.
void MarkAsDisconnected(record::v1::Grant& grant, absl::Time now);

// The parts of one commit, made of what the database has now. For one thread.
class ConnectionBatch final {
 public:
  // All must outlive this.
  ConnectionBatch(RecordStore& records, const EventStore& events, const RandomSource& random,
                  const CallContext& context, absl::string_view org_id, int64_t generation,
                  absl::Time now)
      : records_(records),
        events_(events),
        random_(random),
        context_(context),
        org_id_(org_id),
        generation_(generation),
        now_(now) {}

  // Events of what it does say that it came of this flow.
  void set_flow(const record::v1::Flow& flow) { flow_id_ = flow.public_id(); }

  RecordStore& records() { return records_; }
  const CallContext& context() const { return context_; }
  const std::string& org_id() const { return org_id_; }
  int64_t generation() const { return generation_; }
  absl::Time now() const { return now_; }

  // Expects the configuration with the grant's client. SOCIAL_NETWORK_NOT_FOUND,
  // CONFIGURATION_CHANGED.
  absl::Status ExpectConfiguration(const record::v1::Grant& grant);
  // Adds the grant, or puts it in place of the one of the same subject.
  absl::Status PutGrant(const NewGrant& made);
  // The same, unless the one of the same subject works, by what its accounts say, and has newer
  // tokens: then that one is used (UseGrant). The tokens made are newer where they were
  // `just_refreshed`, or where it is known that they end later. Returns whether the grant is put.
  absl::StatusOr<bool> PutGrantIfNewer(const NewGrant& made, bool just_refreshed);
  // In place of PutGrant(): one that is there. GRANT_NOT_FOUND, also where it is disconnected.
  absl::Status UseGrant(absl::string_view grant_id);
  // Connects accounts under the grant. TOO_MANY_ACCOUNTS where the grant has too many.
  absl::Status PutAccounts(absl::Span<const NewAccount> accounts, Quota& quota);
  // The grant's other accounts live again, with the tokens of those among `known` that are the same
  // at the network.
  absl::Status RenewOthers(absl::Span<const NewAccount> known);
  // Removes accounts of one grant; with the last one it is disconnected. Rows as they are now.
  // `reason`: as the event has it.
  absl::Status RemoveAccounts(absl::string_view grant_id, absl::Span<const Row> accounts,
                              absl::string_view reason);
  // The grant's accounts have the tokens of those among `known` that are the same at the network;
  // the others stay as they are.
  absl::Status RenewTokens(absl::string_view grant_id, absl::Span<const NewAccount> known);
  // All accounts of a grant need to be reconnected.
  absl::Status MarkAccounts(absl::string_view grant_id, absl::string_view reason);
  // All accounts of a grant that are active say why its tokens can't be refreshed; empty: they can.
  // Fits on a full disk.
  absl::Status MarkTrouble(absl::string_view grant_id, absl::string_view reason);
  // Disconnects a grant that has no account, unless another consent came since so many (nothing:
  // whatever came). Returns whether it does.
  absl::StatusOr<bool> DisconnectIfUnused(absl::string_view grant_id,
                                          std::optional<uint64_t> consents);
  // What was read does not fit together: others came between. To be returned; all is read again.
  absl::Status Overtaken() {
    is_overtaken_ = true;
    return absl::AbortedError("others came between");
  }
  void Add(Batch::value_type part) { changes_.push_back(std::move(part)); }
  // An event of what the commit does.
  void AddEvent(record::v1::Event event, bool must_fit = false);
  // How an account that is put differs from the one before; nothing where callers see no
  // difference.
  void TellOfChange(const record::v1::SocialAccount& before,
                    const record::v1::SocialAccount& account, bool is_connected_anew = false,
                    bool must_fit = false);
  // That a flow has failed, with the reason that it has by now.
  void TellOfFailure(const record::v1::Flow& flow);

  const record::v1::Grant& grant() const { return grant_; }
  int64_t new_accounts() const { return new_accounts_; }
  bool is_counted() const { return quota_.has_value(); }
  bool is_overtaken() const { return is_overtaken_; }
  bool has_events() const { return has_events_; }
  const Connected& connected() const { return connected_; }

  // What is expected first; of that, first of all, the quota where it is counted.
  Batch Take();

 private:
  // Calls `change` with each account of a grant that opens, its version and its own token.
  // May change the account.
  using ChangeAccount = absl::FunctionRef<void(record::v1::SocialAccount& account, uint64_t version,
                                               absl::string_view access_token)>;
  absl::Status ForEachAccount(absl::string_view grant_id, ChangeAccount change);
  // Whether a grant has an account that need not be reconnected.
  absl::StatusOr<bool> HasActiveAccount(absl::string_view grant_id);
  // Of a grant that loses so many accounts.
  absl::Status LeaveGrant(absl::string_view grant_id, int64_t accounts);
  void PutAccount(const record::v1::SocialAccount& account, absl::string_view access_token,
                  std::optional<uint64_t> version_before, bool must_fit = false);

  RecordStore& records_;
  const EventStore& events_;
  const RandomSource& random_;
  const CallContext& context_;
  const std::string org_id_;
  const int64_t generation_;
  const absl::Time now_;
  std::string flow_id_;

  record::v1::Grant grant_;
  bool grant_is_new_ = false;
  int64_t new_accounts_ = 0;
  bool is_overtaken_ = false;
  bool has_events_ = false;
  std::set<std::string> put_;  // The ids of the accounts.
  Connected connected_;
  std::optional<ExpectAtMost> quota_;
  Batch expected_;
  Batch changes_;
};

// Safe to use from many threads at once.
class Connector final {
 public:
  using Prepare = absl::FunctionRef<absl::Status(ConnectionBatch&)>;

  // All must outlive this. `max_accounts` 0: an organisation may have any number.
  Connector(RecordStore& records, const EventStore& events, const RandomSource& random,
            int64_t max_accounts);
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  Quota& accounts() { return accounts_; }

  // Commits what `prepare` puts into a batch; it is called again, with another one, where others
  // came between. Its errors are passed on, and nothing done. ORGANIZATION_NOT_FOUND,
  // TOO_MANY_ACCOUNTS.
  absl::Status Commit(const CallContext& context, absl::string_view org_id, absl::Time now,
                      Prepare prepare);
  // To be held for a commit, so that those of one subject take turns; null when the context has
  // ended.
  RecordLocks::Lease LockSubject(const CallContext& context, const record::v1::Grant& grant);
  // The same for what changes one grant, by its id. Neither is taken while another one is held.
  RecordLocks::Lease LockGrant(const CallContext& context, absl::string_view org_id,
                               absl::string_view grant_id);

 private:
  RecordStore& records_;
  const EventStore& events_;
  const RandomSource& random_;
  Quota accounts_;
  RecordLocks subject_locks_;
  RecordLocks grant_locks_;
};

}  // namespace authurl
