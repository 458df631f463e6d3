#include "core/tenant_token.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "core/field_rules.h"

namespace authurl {
namespace {

using state::v1::TenantToken;
using AskedFor = v1::CreateTenantTokenRequest;

constexpr absl::string_view kTokenPrefix = "aut_";
constexpr absl::string_view kTokenContext = "";
constexpr int64_t kDefaultTtlSeconds = 15 * 60;
constexpr int64_t kMaxTtlSeconds = 60 * 60;
constexpr int kActions = 4;

static_assert(static_cast<int>(AskedFor::ACTION_CONNECT) ==
              static_cast<int>(TenantToken::ACTION_CONNECT));
static_assert(static_cast<int>(AskedFor::ACTION_LIST) ==
              static_cast<int>(TenantToken::ACTION_LIST));
static_assert(static_cast<int>(AskedFor::ACTION_FINALIZE) ==
              static_cast<int>(TenantToken::ACTION_FINALIZE));
static_assert(static_cast<int>(AskedFor::ACTION_DISCONNECT) ==
              static_cast<int>(TenantToken::ACTION_DISCONNECT));

absl::Status NotATenantToken() {
  return MakeError(absl::StatusCode::kUnauthenticated, "API_KEY_INVALID",
                   "The tenant token is not valid: it is not whole, or not one of this server's");
}

bool Has(const TenantToken& token, TenantAction action) {
  return std::find(token.actions().begin(), token.actions().end(), action) != token.actions().end();
}

void ReadActions(const AskedFor& request, TenantToken& token, FieldViolations& violations) {
  if (request.actions().empty()) violations.Add("actions", "Required: at least one action");
  if (request.actions_size() > kActions) {
    violations.Add("actions", absl::StrCat("has ", request.actions_size(), " entries; there are ",
                                           kActions, " actions, each to be named once"));
    return;
  }
  for (int i = 0; i < request.actions_size(); ++i) {
    const auto action = static_cast<TenantAction>(request.actions(i));
    const std::string field = absl::StrCat("actions[", i, "]");
    if (action == TenantToken::ACTION_UNSPECIFIED || !TenantToken::Action_IsValid(action)) {
      violations.Add(field,
                     "must be ACTION_CONNECT, ACTION_LIST, ACTION_FINALIZE or ACTION_DISCONNECT");
    } else if (Has(token, action)) {
      violations.Add(field, absl::StrCat("repeats ", TenantToken::Action_Name(action)));
    } else {
      token.add_actions(action);
    }
  }
}

int64_t ReadTtl(const AskedFor& request, FieldViolations& violations) {
  if (!request.has_ttl()) return kDefaultTtlSeconds;
  const int64_t seconds = request.ttl().seconds();
  if (request.ttl().nanos() != 0 || seconds < 1 || seconds > kMaxTtlSeconds) {
    violations.Add("ttl",
                   absl::StrCat("must be a whole number of seconds from 1 to ", kMaxTtlSeconds));
    return 0;
  }
  return seconds;
}

}  // namespace

absl::StatusOr<TenantToken> ReadTenantTokenRequest(const AskedFor& request, absl::Time now) {
  FieldViolations violations;
  TenantToken token;
  CheckTenantId(request.tenant_id(), violations);
  token.set_tenant_id(request.tenant_id());
  token.set_expires_at(absl::ToUnixSeconds(now) + ReadTtl(request, violations));
  ReadActions(request, token, violations);
  if (absl::Status status = violations.ToStatus(); !status.ok()) return status;
  return token;
}

std::string SealTenantToken(const Sealer& sealer, const Nonce& nonce, const TenantToken& token) {
  return absl::StrCat(kTokenPrefix,
                      Base64UrlEncode(sealer.Seal(Purpose::kTenantToken, nonce,
                                                  token.SerializeAsString(), kTokenContext)));
}

bool IsTenantToken(absl::string_view text) { return absl::StartsWith(text, kTokenPrefix); }

absl::StatusOr<TenantToken> OpenTenantToken(const Sealer& sealer, absl::string_view text) {
  if (!IsTenantToken(text) || text.size() > kMaxTenantTokenChars) return NotATenantToken();
  const std::optional<std::string> sealed = Base64UrlDecode(text.substr(kTokenPrefix.size()));
  if (!sealed.has_value()) return NotATenantToken();
  const absl::StatusOr<std::string> plaintext =
      sealer.Open(Purpose::kTenantToken, *sealed, kTokenContext);
  if (!plaintext.ok()) return NotATenantToken();
  TenantToken token;
  // An empty tenant would be none, and so bind to nothing.
  if (!token.ParseFromString(*plaintext) || token.org_id().empty() || token.tenant_id().empty()) {
    return NotATenantToken();
  }
  return token;
}

absl::Status CheckTenantToken(const TenantToken& token, std::optional<TenantAction> action,
                              absl::Time now) {
  if (now >= absl::FromUnixSeconds(token.expires_at())) {
    return MakeError(absl::StatusCode::kUnauthenticated, "TENANT_TOKEN_EXPIRED",
                     "The tenant token has expired; get a new one (CreateTenantToken)");
  }
  if (!action.has_value()) {
    return MakeError(
        absl::StatusCode::kPermissionDenied, "ROLE_NOT_ALLOWED",
        "This call takes an API key. Tenant tokens are for GetAuthUrl, ListSocialAccounts, "
        "GetSocialAccount, FinalizePendingConnection and DeleteSocialAccount only");
  }
  if (Has(token, *action)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kPermissionDenied, "ROLE_NOT_ALLOWED",
                   absl::StrCat("This call takes a tenant token that was made with ",
                                TenantToken::Action_Name(*action), " among its actions"));
}

}  // namespace authurl
