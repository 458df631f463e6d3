// grant_store.h: what people consented to, with its tokens. A part of the credential store
// (storage/credential_store.h), whose words on sealing, contexts and errors hold here. Grants that
// tokens are read of are kept in memory, with their tokens as they are sealed.
//
// A grant is made by a flow (FlowStore, PendingConnectionStore), renewed here, and goes with its
// last account: it is disconnected then and due, until whoever revokes it at the network deletes
// it. One holder at a time, of all processes, refreshes a grant: whoever has its lease. A new
// consent of the person takes the lease away, as the tokens that were refreshed are no longer the
// grant's.
#pragma once

#include <cstdint>
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
#include "core/flow/token_response.h"
#include "storage/backend.h"
#include "storage/connecting.h"
#include "storage/record_sealer.h"
#include "storage/record_store.h"
#include "storage/sealed_tokens.h"

namespace authurl {

inline constexpr absl::Duration kRefreshLease = absl::Seconds(60);

// Whether somebody may be refreshing the grant (storage/lease.h).
bool IsLeased(const record::v1::Grant& grant, absl::Time now);

// A grant with its tokens, which are wiped at its end.
struct OpenedGrant {
  record::v1::Grant grant;
  TokenSet tokens;
};

// Of a row with all its parts. INTERNAL where it does not open.
absl::StatusOr<OpenedGrant> OpenGrantRow(const RecordSealer& sealer, const Row& row);

// Safe to use from many threads at once. All functions: GRANT_NOT_FOUND where there is none of that
// id in the organisation.
class GrantStore final {
 public:
  struct Lease {
    // Whether this call took it. Else another holder has it.
    bool is_taken;
    OpenedGrant opened;
  };
  struct OwnedGrant {
    std::string org_id;
    std::string grant_id;
  };

  // Both must outlive this.
  GrantStore(RecordStore& records, Connector& connector)
      : records_(records), connector_(connector) {}

  absl::StatusOr<record::v1::Grant> Get(const CallContext& context, absl::string_view org_id,
                                        absl::string_view grant_id);
  absl::StatusOr<OpenedGrant> GetWithTokens(const CallContext& context, absl::string_view org_id,
                                            absl::string_view grant_id);
  // The same through memory, which it fills: for one that will be asked for again. Whoever goes
  // through many would push out what requests need.
  absl::StatusOr<OpenedGrant> ReadWithTokens(const CallContext& context, absl::string_view org_id,
                                             absl::string_view grant_id);
  // That of an account which memory has just been found to have, without I/O, the tokens sealed;
  // null where the database would have to be asked.
  StoredWithSecretPtr<record::v1::Grant> FindInMemory(
      const StoredWithSecret<record::v1::SocialAccount>& account);
  // Its access token. INTERNAL where it does not open.
  absl::StatusOr<OpenedAccessToken> OpenAccessToken(
      const StoredWithSecret<record::v1::Grant>& grant) const;
  absl::StatusOr<Listed<record::v1::SocialAccount>> ListAccounts(const CallContext& context,
                                                                 absl::string_view org_id,
                                                                 absl::string_view grant_id,
                                                                 absl::string_view after,
                                                                 PageLimit limit);

  // Takes the right to refresh the grant until `now` + kRefreshLease. `holder` is unique to the
  // attempt. Nobody gets it for a grant that is disconnected: that is GRANT_NOT_FOUND.
  absl::StatusOr<Lease> TakeLease(const CallContext& context, absl::string_view org_id,
                                  absl::string_view grant_id, absl::string_view holder,
                                  absl::Time now);
  // Stores what a refresh gave, and ends the lease and what trouble there was, which its accounts
  // say in the same commit. Returns the grant as it is now; so does a
  // second call of the same holder, who did not hear of the end of the first. ABORTED, without
  // reason, where `holder` has lost the lease: then the tokens are of no use.
  absl::StatusOr<record::v1::Grant> StoreRefreshed(const CallContext& context,
                                                   absl::string_view org_id,
                                                   absl::string_view grant_id,
                                                   absl::string_view holder, const TokenSet& tokens,
                                                   std::optional<absl::Time> due_at,
                                                   absl::Time now);
  // Stores the own tokens of the grant's accounts that the tokens of `generation` gave. `known`:
  // accounts by type and id at the network; the grant's others stay as they are. Does nothing where
  // the grant has other tokens by now.
  absl::Status RenewOwnTokens(const CallContext& context, absl::string_view org_id,
                              absl::string_view grant_id, uint64_t generation,
                              absl::Span<const NewAccount> known, absl::Time now);
  // Ends the lease of a refresh that gave nothing, and says when the next one is due, if ever.
  // ABORTED likewise.
  absl::Status EndLease(const CallContext& context, absl::string_view org_id,
                        absl::string_view grant_id, absl::string_view holder,
                        std::optional<absl::Time> due_at);
  struct Failure {
    std::optional<absl::Time> due_at = {};
    int failures = 0;  // In a row, with this one.
    // What the organisation's configuration is to blame for, and its version; empty: as before.
    std::string trouble = {};
    uint64_t trouble_version = 0;
  };
  // The same for one that failed. Where the trouble is news, the grant's active accounts say so in
  // the same commit, with an event each. Returns whether it is.
  absl::StatusOr<bool> EndFailed(const CallContext& context, absl::string_view org_id,
                                 absl::string_view grant_id, absl::string_view holder,
                                 const Failure& failure, absl::Time now);
  // The grant is dead at the network: all its accounts need to be reconnected, in one commit. Does
  // nothing, and returns false, where it has other tokens than those of `generation` by now.
  absl::StatusOr<bool> MarkDead(const CallContext& context, absl::string_view org_id,
                                absl::string_view grant_id, uint64_t generation,
                                absl::string_view reason, absl::Time now);

  // Those that something is to be done about: to be refreshed or, where they are disconnected, to
  // be revoked. Of all organisations, those that are due first first; before all of them those that
  // are to be revoked.
  absl::StatusOr<std::vector<OwnedGrant>> ListDue(const CallContext& context, absl::Time now,
                                                  int limit);
  // The same behind a position, for whoever goes through all of them.
  struct DueGrant {
    DuePosition position;
    std::string social_network_id;
    std::string instance;
  };
  absl::StatusOr<std::vector<DueGrant>> ListDue(const CallContext& context,
                                                const DuePosition& after, absl::Time now,
                                                int limit);
  // When the first is due after `now`; nothing where none is. Those that are to be revoked are not
  // looked at, here and below.
  absl::StatusOr<std::optional<absl::Time>> NextDue(const CallContext& context, absl::Time now);
  // Since when the one is due that is longest; nothing where none is.
  absl::StatusOr<std::optional<absl::Time>> OldestDue(const CallContext& context, absl::Time now);
  // Those that are to be revoked alone.
  absl::StatusOr<std::vector<OwnedGrant>> ListDisconnected(const CallContext& context, int limit);
  // Deletes one that is disconnected, or that does not open: it was revoked, or never can be. OK
  // where there is none; FAILED_PRECONDITION, without reason, where it is connected (again).
  absl::Status Delete(const CallContext& context, absl::string_view org_id,
                      absl::string_view grant_id);

 private:
  struct Fetched {
    Row row;
    OpenedGrant opened;
  };
  absl::StatusOr<Fetched> Fetch(const CallContext& context, absl::string_view org_id,
                                absl::string_view grant_id);
  // Of a grant that `holder` has the lease of.
  absl::StatusOr<Fetched> FetchLeased(const CallContext& context, absl::string_view org_id,
                                      absl::string_view grant_id, absl::string_view holder);
  // When the first is due from so many milliseconds on, if that is below `before`.
  absl::StatusOr<std::optional<absl::Time>> FirstDue(const CallContext& context, int64_t from,
                                                     int64_t before);
  // The part of a commit that puts what was fetched back as it is now.
  Update PutBack(const Fetched& fetched, int64_t generation) const;

  RecordStore& records_;
  Connector& connector_;
};

}  // namespace authurl
