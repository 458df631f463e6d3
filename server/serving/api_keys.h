// api_keys.h: who calls, and what they may do.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include <grpcpp/support/string_ref.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/state/v1/tenant_token.pb.h"
#include "core/api_key.h"
#include "core/call_context.h"
#include "core/crypto/sealer.h"
#include "core/tenant_token.h"
#include "server/system/clock.h"
#include "storage/credential_store.h"

namespace authurl {

// What an rpc needs its caller to be allowed.
enum class Access {
  kAdminister,  // ADMIN
  kConfigure,   // ORG, SERVICE
  kMint,        // ORG, MINT, SERVICE
  kReadTokens,  // ORG, SERVICE, of a key that was made with read_tokens
  kAnyone,      // no key at all: the request itself has the credential
};

// The same of one rpc.
struct Requirement {
  Access access = Access::kAdminister;
  // What a tenant token must be for; nothing: tenant tokens are not taken. Only kConfigure and
  // kMint ever take any.
  std::optional<TenantAction> tenant_action = {};
};

// Who a call acts for, once it is authenticated and authorised.
struct Caller {
  // Of a tenant token: the key that made it.
  std::string key_id;
  // Of the key; unspecified for a tenant token, which has none.
  record::v1::Role role = record::v1::ROLE_UNSPECIFIED;
  // The organisation that the call acts for; empty for ADMIN.
  std::string org_id;
  // Of a tenant token: the only tenant that the call may act for or hear of, never empty. Nothing
  // for a key, which may do so for all.
  std::optional<std::string> tenant_id = {};
  // Of the call itself: how long somebody waits for it, and what the log knows it by. Not null; the
  // call's own lives as long as the call.
  const CallContext* context = &CallContext::Background();
};

// What a call's metadata says. Views into the metadata, and into the token.
struct Credentials {
  absl::string_view api_key;                // Of the format of one; nothing of it is proven yet.
  absl::string_view key_id;                 // Part of it, or of the token.
  std::optional<absl::string_view> org_id;  // x-org-id
  // Where there is one in place of a key: it is ours, and may have expired.
  std::unique_ptr<const state::v1::TenantToken> tenant_token = nullptr;
};

using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;

// UNAUTHENTICATED API_KEY_MISSING or API_KEY_INVALID. No I/O.
absl::StatusOr<Credentials> ReadCredentials(const Sealer& sealer, const Metadata& metadata);

// Looks the key up and checks, in this order: the key (UNAUTHENTICATED API_KEY_INVALID), its role
// (PERMISSION_DENIED ROLE_NOT_ALLOWED), its organisation (INVALID_ARGUMENT INVALID_PAYLOAD when a
// SERVICE key names none; NOT_FOUND ORGANIZATION_NOT_FOUND when it names one that is not there, or
// any key one that is not its own). What is not a key at all is refused before the store is
// asked: noise costs nothing. The caller's context is left to whoever knows the call.
//
// Of a tenant token, likewise: its age (UNAUTHENTICATED TENANT_TOKEN_EXPIRED), its actions, its
// organisation, which must be the very one that it was made for. The key that made it is not looked
// up. The clock is read for tokens only.
//
// From memory alone: nothing where the database would have to be asked.
std::optional<absl::StatusOr<Caller>> AuthorizeInMemory(CredentialStore& store, const Clock& clock,
                                                        const Credentials& credentials,
                                                        const Requirement& required);
// May wait for the database.
absl::StatusOr<Caller> Authorize(const CallContext& context, CredentialStore& store,
                                 const Clock& clock, const Credentials& credentials,
                                 const Requirement& required);

// Makes sure that the ADMIN key in `key_text` is in the store. InvalidArgumentError if the text is
// not an API key; FailedPreconditionError if the key is there but has another role, or was revoked
// while no other ADMIN key lives. Where one does, a revoked key is only warned of in the log: who
// revokes a key must not find out at the next restart that the server no longer starts. Looks
// through all keys that belong to no organisation then, a page at a time.
absl::Status EnsureAdminKey(CredentialStore& store, absl::string_view key_text, absl::Time now);

}  // namespace authurl
