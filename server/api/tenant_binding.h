// tenant_binding.h: what callers may touch who come with a tenant token: what is of their tenant.
// What is of another one answers exactly as what is not there. Callers with an API key are bound to
// no tenant: for them all of this is well.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"
#include "core/errors.h"
#include "server/serving/api_keys.h"

namespace authurl {

// The tenant that the caller is bound to, empty for none. A view into the caller.
absl::string_view OwnTenantId(const Caller& caller);

// A tenant_id in a request: its format, and that it is the caller's own.
void CheckTenantField(const Caller& caller, absl::string_view tenant_id,
                      FieldViolations& violations);

// SOCIAL_ACCOUNT_NOT_FOUND for an account of another tenant. An account's tenant never changes, so
// this holds for as long as the account lives.
absl::Status CheckTenant(const Caller& caller, const record::v1::SocialAccount& account);
// The same for work that outlives the caller: with a copy of Caller::tenant_id.
absl::Status CheckTenant(const std::optional<std::string>& own_tenant_id,
                         const record::v1::SocialAccount& account);
// SESSION_NOT_FOUND likewise.
absl::Status CheckTenant(const Caller& caller, const record::v1::PendingConnection& pending);

}  // namespace authurl
