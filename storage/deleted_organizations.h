// deleted_organizations.h: what deleted organisations left behind, until it is purged. A part of
// the credential store (storage/credential_store.h), whose words on sealing, contexts and errors
// hold here.
//
// What people consented to is revoked at the networks before it is forgotten: grants stay, and the
// configurations as whose clients they are revoked, until whoever has revoked them removes them
// here, or the time for that is over. All else goes before them.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "storage/grant_store.h"
#include "storage/record_store.h"

namespace authurl {

// Safe to use from many threads at once.
class DeletedOrganizations final {
 public:
  // Since an organisation was deleted, before its grants go unrevoked.
  static constexpr absl::Duration kTimeToRevoke = absl::Hours(24);

  // How much one step does at most.
  struct Limit {
    // Records that are removed; one that is 0 counts as 1. Few, so that no call has to wait long
    // for its own write.
    int records = 500;
    // Grants that are found for somebody to revoke.
    int grants = 16;
  };
  struct Purged {
    // 0 once there is nothing to remove but `to_revoke`, or where others were faster.
    int removed = 0;
    // Grants among them that nobody had revoked in time.
    int unrevoked = 0;
    // Found again by the next step unless they are removed.
    std::vector<GrantStore::OwnedGrant> to_revoke = {};
  };
  // A grant with its configuration and that one's secret of now. Both secrets are the caller's to
  // wipe; the tokens do so by themselves.
  struct OpenedLeftGrant {
    OpenedGrant opened;
    record::v1::SocialNetworkSettings settings;
    std::string client_secret;
  };

  // `records` must outlive this.
  explicit DeletedOrganizations(RecordStore& records) : records_(records) {}

  // Does a part of the work of some of them, in small transactions; with the last record of one the
  // organisation itself goes. One whose record does not open stays. An error where nothing else
  // came of it.
  absl::StatusOr<Purged> Purge(const CallContext& context, absl::Time now, Limit limit);
  // The same for one organisation. Nothing where it was not deleted.
  absl::StatusOr<Purged> PurgeOne(const CallContext& context, absl::string_view org_id,
                                  absl::Time now, Limit limit);

  // NOT_FOUND where it was removed, or its organisation was not deleted, or its configuration is
  // gone, or has another client by now. INTERNAL where it does not open.
  absl::StatusOr<OpenedLeftGrant> OpenGrant(const CallContext& context,
                                            const GrantStore::OwnedGrant& grant);
  // Removes one that was revoked, or never can be. OK where it is gone.
  absl::Status RemoveGrant(const CallContext& context, const GrantStore::OwnedGrant& grant);

  // Records that were removed since this was made.
  uint64_t removed() const { return removed_.load(std::memory_order_relaxed); }

 private:
  // The row of an organisation that was deleted; NOT_FOUND where it was not, or is gone.
  absl::StatusOr<Row> FetchDeleted(const CallContext& context, absl::string_view org_id,
                                   absl::Time& deleted_at);

  RecordStore& records_;
  std::atomic<uint64_t> removed_ = 0;
  std::mutex mutex_;
  std::string served_last_;  // Guarded by mutex_.
};

}  // namespace authurl
