// pending_connection_store.h: accounts of which somebody is to choose, under a session token. A
// part of the credential store (storage/credential_store.h), whose words on sealing, contexts and
// errors hold here.
//
// What is offered is kept for half an hour, also after a choice was made, so that the same choice
// is answered the same again. Only digests of session tokens are written. The tokens of accounts go
// once a choice was made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "storage/connecting.h"
#include "storage/quota.h"
#include "storage/record_store.h"

namespace authurl {

inline constexpr absl::Duration kPendingConnectionLifetime = absl::Minutes(30);
inline constexpr int kMaxChoices = 500;
// Of all choices, and of all their tokens.
inline constexpr size_t kMaxChoicesBytes = size_t{1} << 20;

// What the flow and the rest of this class know the pending connection of a session token by.
std::string PendingConnectionId(absl::string_view session_token);

// Safe to use from many threads at once.
class PendingConnectionStore final {
 public:
  struct Finalized {
    Connected connected;
    // The same was chosen before, and nothing is done now.
    bool is_replayed = false;
  };
  struct Purged {
    int removed = 0;
    // Grants that were made for a choice that nobody made: to be revoked, and then deleted.
    struct OwnedGrant {
      std::string org_id;
      std::string grant_id;
    };
    std::vector<OwnedGrant> disconnected_grants;
  };

  // Both must outlive this. `max_pending` 0: an organisation may have any number.
  PendingConnectionStore(RecordStore& records, Connector& connector, int64_t max_pending);

  // Brings a flow that its winner has under way to the outcome that somebody must choose: stores
  // the grant and what there is to choose, all or nothing. `pending` comes with tenant, binding and
  // scopes; the choices are `accounts`. Errors: those of FlowStore::Complete();
  // TOO_MANY_ACCOUNTS where there is too much to choose; RATE_LIMITED where too many choices wait.
  absl::Status Offer(const CallContext& context, absl::string_view org_id,
                     absl::string_view flow_id, absl::string_view session_token,
                     record::v1::PendingConnection pending, const NewGrant& grant,
                     absl::Span<const NewAccount> accounts, absl::Time now);
  // What there is to choose. Needs no organisation: whoever knows the session token may see it.
  // SESSION_NOT_FOUND, SESSION_EXPIRED.
  absl::StatusOr<record::v1::PendingConnection> Get(const CallContext& context,
                                                    absl::string_view id, absl::Time now);
  // Connects what is chosen, and completes the flow. Whoever chooses the same again is told the
  // same. Errors: besides those of Get() and TOO_MANY_ACCOUNTS, SESSION_NOT_FOUND also where it is
  // another organisation's or its grant is gone, SESSION_BINDING_MISMATCH, CHOICE_NOT_FOUND where
  // an id is not offered or there is none, SESSION_ALREADY_USED where others were chosen before.
  absl::StatusOr<Finalized> Finalize(const CallContext& context, absl::string_view org_id,
                                     absl::string_view id, absl::string_view session_binding_hash,
                                     absl::Span<const std::string> chosen_ids, absl::Time now);

  // Removes at most `limit` that have expired, each in a small transaction. A flow that still
  // waited has failed then, with SESSION_EXPIRED.
  absl::StatusOr<Purged> Purge(absl::Time now, int limit);

 private:
  // One with its row.
  struct Opened {
    Row row;
    record::v1::PendingConnection pending;
  };
  absl::StatusOr<Opened> Open(const CallContext& context, absl::string_view id, absl::Time now,
                              size_t parts);
  // Puts what connects the chosen accounts into a batch.
  absl::Status PrepareChosen(const Opened& opened, const std::vector<std::string>& chosen,
                             ConnectionBatch& batch);
  // Removes one that has expired. Nothing where somebody else was faster.
  absl::Status PurgeOne(const CallContext& context, const Row& due, absl::Time now, Purged& purged);
  // Puts what removes one that waited into a batch. Returns the grant that goes with it, if one
  // does.
  absl::StatusOr<std::string> PrepareExpired(const Opened& opened, ConnectionBatch& batch);

  RecordStore& records_;
  Connector& connector_;
  Quota pending_;
};

}  // namespace authurl
