// account_store.h: the connected accounts of organisations. A part of the credential store
// (storage/credential_store.h), whose words on sealing, contexts and errors hold here. Accounts
// that tokens are read of are kept in memory, their own tokens as they are sealed.
//
// Accounts are connected by flows (FlowStore, PendingConnectionStore). With the last account of a
// grant the grant is disconnected, in the same commit: whoever takes the account away is told, so
// that it revokes the grant at the network and then deletes it (GrantStore::Delete). Should it stop
// before that, the grant is due and is found (GrantStore::ListDue).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "storage/backend.h"
#include "storage/connecting.h"
#include "storage/record_store.h"
#include "storage/sealed_tokens.h"

namespace authurl {

// All that are set must fit.
struct AccountFilter {
  std::optional<std::string> tenant_id = {};  // Empty: of no tenant.
  std::optional<std::string> network = {};
  std::optional<std::string> network_unique_id = {};
  std::optional<std::string> social_network_id = {};
};

// An account with its own token, which is empty where the grant's is to be used, and is wiped at
// its end.
struct AccountWithToken {
  AccountWithToken() = default;
  AccountWithToken(AccountWithToken&&) = default;
  AccountWithToken& operator=(AccountWithToken&&) = default;
  AccountWithToken(const AccountWithToken&) = delete;
  AccountWithToken& operator=(const AccountWithToken&) = delete;
  ~AccountWithToken();

  record::v1::SocialAccount account;
  std::string access_token;
};

// Safe to use from many threads at once. Functions for one account: SOCIAL_ACCOUNT_NOT_FOUND where
// there is none of that id in the organisation.
class AccountStore final {
 public:
  using Change = std::function<absl::Status(record::v1::SocialAccount& account)>;

  struct Removed {
    int accounts = 0;
    // To be revoked, and then deleted.
    std::vector<std::string> disconnected_grants;
    // Whether none is left.
    bool is_done = true;
  };

  // A call looks at so many rows at most, however few of them fit.
  static constexpr int kMaxLookedAt = 1000;

  // Both must outlive this.
  AccountStore(RecordStore& records, Connector& connector)
      : records_(records), connector_(connector) {}

  absl::StatusOr<record::v1::SocialAccount> Get(const CallContext& context,
                                                absl::string_view org_id,
                                                absl::string_view account_id);
  absl::StatusOr<AccountWithToken> GetWithToken(const CallContext& context,
                                                absl::string_view org_id,
                                                absl::string_view account_id);
  // The same through memory, which it fills: for one that will be asked for again. Whoever goes
  // through many would push out what requests need.
  absl::StatusOr<AccountWithToken> ReadWithToken(const CallContext& context,
                                                 absl::string_view org_id,
                                                 absl::string_view account_id);
  // The same without I/O, the token sealed; nothing where the database would have to be asked.
  std::optional<absl::StatusOr<StoredWithSecretPtr<record::v1::SocialAccount>>> FindInMemory(
      absl::string_view org_id, absl::string_view account_id);
  // Its own token. INTERNAL where it does not open.
  absl::StatusOr<OpenedAccessToken> OpenAccessToken(
      const StoredWithSecret<record::v1::SocialAccount>& account) const;
  // In ascending order of the id, after `after`. A page may have few accounts, or none, and not be
  // the last. Takes time for the rows that the most selective part of the filter finds, not for the
  // organisation's.
  absl::StatusOr<Listed<record::v1::SocialAccount>> List(const CallContext& context,
                                                         absl::string_view org_id,
                                                         const AccountFilter& filter,
                                                         absl::string_view after, PageLimit limit);
  // How many fit, counted up to `at_most`. Opens none. Where the filter has several parts, not more
  // than kMaxLookedAt rows are looked at: then there may be more.
  absl::StatusOr<int64_t> Count(const CallContext& context, absl::string_view org_id,
                                const AccountFilter& filter, int64_t at_most);
  // Active ones of all organisations that no network has confirmed since `before`, behind a
  // position, the longest ago first. Opens none.
  struct UnconfirmedAccount {
    DuePosition position;
    std::string network;
  };
  absl::StatusOr<std::vector<UnconfirmedAccount>> ListUnconfirmed(const CallContext& context,
                                                                  const DuePosition& after,
                                                                  absl::Time before, int limit);
  // Of all organisations.
  struct StatusCounts {
    int64_t active = 0;
    int64_t needs_reconnect = 0;
  };
  absl::StatusOr<StatusCounts> CountByStatus(const CallContext& context);
  // Changes an account by `change`, which may be called more than once; an error of its ends the
  // update. What it is found by, its grant, its token and its times stay. Returns what is stored
  // now.
  absl::StatusOr<record::v1::SocialAccount> Update(const CallContext& context,
                                                   absl::string_view org_id,
                                                   absl::string_view account_id,
                                                   const Change& change, absl::Time now);
  absl::StatusOr<record::v1::SocialAccount> MarkNeedsReconnect(const CallContext& context,
                                                               absl::string_view org_id,
                                                               absl::string_view account_id,
                                                               absl::string_view reason,
                                                               absl::Time now);

  // Those that are damaged can be removed, too, here and below. Succeeds on a full disk.
  absl::StatusOr<Removed> Delete(const CallContext& context, absl::string_view org_id,
                                 absl::string_view account_id, absl::Time now);
  // Removes at most `limit` accounts of a tenant, in small transactions.
  absl::StatusOr<Removed> DeleteOfTenant(const CallContext& context, absl::string_view org_id,
                                         absl::string_view tenant_id, absl::Time now, int limit);
  // The same of a configuration; once it has no accounts, its grants that wait for a choice are
  // disconnected.
  absl::StatusOr<Removed> DeleteOfConfiguration(const CallContext& context,
                                                absl::string_view org_id,
                                                absl::string_view social_network_id, absl::Time now,
                                                int limit);

 private:
  // Removes those that a lookup finds. `reason`: as events have it.
  absl::StatusOr<Removed> DeleteFound(const CallContext& context, const LookupValues& key,
                                      absl::string_view reason, absl::Time now, int limit);
  absl::StatusOr<Removed> DisconnectUnusedGrants(const CallContext& context,
                                                 const LookupValues& key, absl::Time now,
                                                 int limit);

  RecordStore& records_;
  Connector& connector_;
};

}  // namespace authurl
