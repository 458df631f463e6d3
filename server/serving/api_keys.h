// api_keys.h: who calls, and what they may do.
#pragma once

#include <map>
#include <optional>
#include <string>

#include <grpcpp/support/string_ref.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "core/api_key.h"
#include "core/call_context.h"
#include "storage/credential_store.h"

namespace authurl {

// What an rpc needs its caller to be allowed.
enum class Access {
  kAdminister,  // ADMIN
  kConfigure,   // ORG, SERVICE
  kMint,        // ORG, MINT, SERVICE
};

// Who a call acts for, once it is authenticated and authorised.
struct Caller {
  std::string key_id;
  record::v1::Role role = record::v1::ROLE_UNSPECIFIED;
  // The organisation that the call acts for; empty for ADMIN.
  std::string org_id;
  // Of the call itself: how long somebody waits for it, and what the log knows it by. Not null; the
  // call's own lives as long as the call.
  const CallContext* context = &CallContext::Background();
};

// What a call's metadata says; nothing of it is proven yet. Views into the metadata.
struct Credentials {
  absl::string_view api_key;                // Of the format of one.
  absl::string_view key_id;                 // Part of it.
  std::optional<absl::string_view> org_id;  // x-org-id
};

using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;

// UNAUTHENTICATED API_KEY_MISSING or API_KEY_INVALID. No I/O.
absl::StatusOr<Credentials> ReadCredentials(const Metadata& metadata);

// Looks the key up and checks, in this order: the key (UNAUTHENTICATED API_KEY_INVALID), its role
// (PERMISSION_DENIED ROLE_NOT_ALLOWED), its organisation (INVALID_ARGUMENT INVALID_PAYLOAD when a
// SERVICE key names none; NOT_FOUND ORGANIZATION_NOT_FOUND when it names one that is not there, or
// any key one that is not its own). What is not a key at all is refused before the store is
// asked: noise costs nothing. The caller's context is left to whoever knows the call.
//
// From memory alone: nothing where the database would have to be asked.
std::optional<absl::StatusOr<Caller>> AuthorizeInMemory(CredentialStore& store,
                                                        const Credentials& credentials,
                                                        Access access);
// May wait for the database.
absl::StatusOr<Caller> Authorize(const CallContext& context, CredentialStore& store,
                                 const Credentials& credentials, Access access);

// Makes sure that the ADMIN key in `key_text` is in the store. InvalidArgumentError if the text is
// not an API key; FailedPreconditionError if the key is there but has another role, or was revoked
// while no other ADMIN key lives. Where one does, a revoked key is only warned of in the log: who
// revokes a key must not find out at the next restart that the server no longer starts. Looks
// through all keys that belong to no organisation then, a page at a time.
absl::Status EnsureAdminKey(CredentialStore& store, absl::string_view key_text, absl::Time now);

}  // namespace authurl
