// import_store.h: consents that were given to another product and are taken over, with what became
// of the refresh tokens that came with them. A part of the credential store
// (storage/credential_store.h), whose words on sealing, contexts and errors hold here. Nothing of
// it is kept in memory.
//
// A refresh token may work once only, and a network may end the whole consent of one that is sent
// twice. So it is claimed before it is sent; what it gave is stored before anybody is asked whose
// it is; and whoever imports the same again, within kImportLifetime, goes on from there. Only
// digests of refresh tokens are written.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/flow/token_response.h"
#include "storage/connecting.h"
#include "storage/quota.h"
#include "storage/record_store.h"

namespace authurl {

inline constexpr absl::Duration kImportLifetime = absl::Hours(7 * 24);
// How long a claim is respected that nothing came of.
inline constexpr absl::Duration kImportLease = absl::Seconds(60);

// What a refresh token that is given to a configuration is known by.
std::string ImportId(absl::string_view social_network_id, absl::string_view refresh_token);

// Safe to use from many threads at once.
class ImportStore final {
 public:
  enum class Standing {
    kClaimed,    // By this call: to be sent, and then StoreRefreshed() or Release().
    kUnderWay,   // Somebody else has claimed it.
    kLost,       // It was claimed and maybe used, and nobody knows what it gave.
    kRefreshed,  // It gave `tokens`, which are no grant's yet.
    kConnected,  // It, or what it gave, is in the grant `grant_id`, which lives.
  };
  struct Claim {
    Standing standing;
    TokenSet tokens;
    std::string grant_id;
  };

  // Both must outlive this. `max_imports` 0: an organisation may have any number.
  ImportStore(RecordStore& records, Connector& connector, int64_t max_imports);

  // `works_once`: it is never claimed a second time, whatever became of the first.
  // RATE_LIMITED where the organisation has as many as it may have.
  absl::StatusOr<Claim> ClaimRefresh(const CallContext& context, absl::string_view org_id,
                                     absl::string_view social_network_id,
                                     absl::string_view import_id, bool works_once, absl::Time now);
  // What the claimed one gave. NOT_FOUND, without reason, where it is no longer known.
  absl::Status StoreRefreshed(const CallContext& context, absl::string_view org_id,
                              absl::string_view import_id, const TokenSet& tokens, absl::Time now);
  // The claimed one was not used, or never will be of use: it may be claimed anew.
  absl::Status Release(const CallContext& context, absl::string_view org_id,
                       absl::string_view import_id);

  // Stores the grant and connects the accounts, all or nothing, as FlowStore::Complete() does, and
  // that the imports (by id) are the grant's. Tokens of a consent of the same person that works
  // stay where these are older: they are newer where they were `just_refreshed`, or where it is
  // known that they end later. TOO_MANY_ACCOUNTS, SOCIAL_NETWORK_NOT_FOUND, CONFIGURATION_CHANGED,
  // RATE_LIMITED; FAILED_PRECONDITION, without reason, where one of the imports is claimed or has
  // given other tokens, and these were not just refreshed.
  absl::StatusOr<Connected> Connect(const CallContext& context, absl::string_view org_id,
                                    absl::Span<const std::string> import_ids, const NewGrant& grant,
                                    absl::Span<const NewAccount> accounts, bool just_refreshed,
                                    absl::Time now);

  // Removes at most `limit` that are no longer kept, in one small transaction. Returns how many it
  // did; fewer than `limit` once none is left.
  absl::StatusOr<int> Purge(absl::Time now, int limit);

 private:
  absl::Status Admit(const CallContext& context, absl::string_view org_id);
  absl::Status PutConnected(ConnectionBatch& batch, absl::string_view social_network_id,
                            absl::string_view import_id, bool just_refreshed);

  RecordStore& records_;
  Connector& connector_;
  Quota imports_;
};

}  // namespace authurl
