#include "server/serving/api_keys.h"

#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "server/observe/log.h"

namespace authurl {
namespace {

using record::v1::Role;

constexpr absl::string_view kScheme = "bearer ";

absl::Status Invalid(absl::string_view message) {
  return MakeError(absl::StatusCode::kUnauthenticated, "API_KEY_INVALID", message);
}

// The same for an unknown, a wrong and a revoked key: a stranger learns nothing from it.
absl::Status UnknownKey() { return Invalid("The API key is unknown or was revoked"); }

absl::Status OrganizationNotFound() {
  return MakeError(absl::StatusCode::kNotFound, "ORGANIZATION_NOT_FOUND",
                   "The organisation does not exist");
}

// Nothing when the name occurs not at all; InvalidArgumentError when more than once.
absl::StatusOr<std::optional<absl::string_view>> Single(const Metadata& metadata,
                                                        const char* name) {
  const auto [begin, end] = metadata.equal_range(name);
  if (begin == end) return std::optional<absl::string_view>();
  if (std::next(begin) != end) return absl::InvalidArgumentError("more than once");
  return std::optional<absl::string_view>({begin->second.data(), begin->second.size()});
}

bool IsAllowed(Role role, Access access) {
  switch (access) {
    case Access::kAdminister:
      return role == record::v1::ROLE_ADMIN;
    case Access::kConfigure:
    case Access::kReadTokens:
      return role == record::v1::ROLE_ORG || role == record::v1::ROLE_SERVICE;
    case Access::kMint:
      return role == record::v1::ROLE_ORG || role == record::v1::ROLE_MINT ||
             role == record::v1::ROLE_SERVICE;
    case Access::kAnyone:
      return true;
  }
  return false;
}

absl::string_view RolesFor(Access access) {
  switch (access) {
    case Access::kAdminister:
      return "ROLE_ADMIN";
    case Access::kConfigure:
      return "ROLE_ORG or ROLE_SERVICE";
    case Access::kMint:
      return "ROLE_ORG, ROLE_MINT or ROLE_SERVICE";
    case Access::kReadTokens:
      return "ROLE_ORG or ROLE_SERVICE that was made with read_tokens";
    case Access::kAnyone:
      return "any role";
  }
  return "";
}

absl::Status NoApiKey() {
  return Invalid("The authorization is not a valid API key; look for a typing error");
}

bool IsProvenBy(const record::v1::ApiKey& key, absl::string_view text) {
  return EqualInConstantTime(key.digest(), AsChars(Sha256(text)));
}

// The two ways to look something up, with one face. Nothing where the database would have to be
// asked.
struct FromMemory {
  CredentialStore& store;
  CredentialStore::InMemory<record::v1::ApiKey> ApiKey(absl::string_view key_id) const {
    return store.FindApiKeyInMemory(key_id);
  }
  CredentialStore::InMemory<record::v1::Organization> Organization(absl::string_view org_id) const {
    return store.FindOrganizationInMemory(org_id);
  }
};
struct FromDatabase {
  CredentialStore& store;
  const CallContext& context;
  CredentialStore::InMemory<record::v1::ApiKey> ApiKey(absl::string_view key_id) const {
    return store.GetApiKey(context, key_id);
  }
  CredentialStore::InMemory<record::v1::Organization> Organization(absl::string_view org_id) const {
    return store.GetOrganization(context, org_id);
  }
};

// The key that the credentials prove possession of.
template <typename LookUp>
CredentialStore::InMemory<record::v1::ApiKey> Authenticate(const LookUp& look_up,
                                                           const Credentials& credentials) {
  const absl::string_view text = credentials.api_key;
  CredentialStore::InMemory<record::v1::ApiKey> key =
      look_up.store.FindApiKeyInMemory(credentials.key_id);
  if (!key.has_value() || !key->ok() || !IsProvenBy(***key, text)) {
    // Only now is it worth to ask whether it can be a key at all.
    if (!ParseApiKey(text).has_value()) return NoApiKey();
    if (!key.has_value()) key = look_up.ApiKey(credentials.key_id);
    if (!key.has_value()) return std::nullopt;
    if (absl::IsNotFound(key->status())) return UnknownKey();
    if (!key->ok()) return key;
    if (!IsProvenBy(***key, text)) return UnknownKey();
  }
  if ((**key)->revoked_at_ms() != 0) return UnknownKey();
  return key;
}

template <typename LookUp>
CredentialStore::InMemory<record::v1::Organization> FindNamed(const LookUp& look_up,
                                                              absl::string_view org_id) {
  CredentialStore::InMemory<record::v1::Organization> organization = look_up.Organization(org_id);
  if (organization.has_value() && absl::IsNotFound(organization->status())) {
    return OrganizationNotFound();
  }
  return organization;
}

// Whether the organisation that a SERVICE key asks to act for is there.
template <typename LookUp>
std::optional<absl::Status> CheckNamedOrganization(const LookUp& look_up,
                                                   const std::optional<absl::string_view>& org_id) {
  FieldViolations violations;
  if (!org_id.has_value()) {
    // Callers over REST read this too: there it is a header.
    violations.Add("x-org-id",
                   "Required with a key of role ROLE_SERVICE: the organisation that it acts for");
  } else {
    CheckOrgId("x-org-id", *org_id, violations);
  }
  if (!violations.empty()) return violations.ToStatus();
  const CredentialStore::InMemory<record::v1::Organization> organization =
      FindNamed(look_up, *org_id);
  if (!organization.has_value()) return std::nullopt;
  return organization->status();
}

// By a token that is ours.
template <typename LookUp>
std::optional<absl::StatusOr<Caller>> AuthorizeTenant(const LookUp& look_up, const Clock& clock,
                                                      const Credentials& credentials,
                                                      const Requirement& required) {
  const state::v1::TenantToken& token = *credentials.tenant_token;
  const bool may_be_taken =
      required.access == Access::kConfigure || required.access == Access::kMint;
  if (absl::Status status =
          CheckTenantToken(token, may_be_taken ? required.tenant_action : std::nullopt, clock());
      !status.ok()) {
    return status;
  }
  if (credentials.org_id.has_value() && *credentials.org_id != token.org_id()) {
    return OrganizationNotFound();
  }
  const CredentialStore::InMemory<record::v1::Organization> organization =
      FindNamed(look_up, token.org_id());
  if (!organization.has_value()) return std::nullopt;
  if (!organization->ok()) return organization->status();
  // Another one may have got the id of one that was deleted since.
  if ((**organization)->created_at_ms() != token.org_created_at_ms()) return OrganizationNotFound();
  return Caller{.key_id = token.key_id(), .org_id = token.org_id(), .tenant_id = token.tenant_id()};
}

template <typename LookUp>
std::optional<absl::StatusOr<Caller>> AuthorizeBy(const LookUp& look_up, const Clock& clock,
                                                  const Credentials& credentials,
                                                  const Requirement& required) {
  if (credentials.tenant_token != nullptr) {
    return AuthorizeTenant(look_up, clock, credentials, required);
  }
  const Access access = required.access;
  const CredentialStore::InMemory<record::v1::ApiKey> key = Authenticate(look_up, credentials);
  if (!key.has_value()) return std::nullopt;
  if (!key->ok()) return key->status();
  const record::v1::ApiKey& known = ***key;
  if (!IsAllowed(known.role(), access) || (access == Access::kReadTokens && !known.read_tokens())) {
    return MakeError(absl::StatusCode::kPermissionDenied, "ROLE_NOT_ALLOWED",
                     absl::StrCat("This call takes an API key of role ", RolesFor(access)));
  }
  if (known.role() == record::v1::ROLE_SERVICE) {
    const std::optional<absl::Status> named = CheckNamedOrganization(look_up, credentials.org_id);
    if (!named.has_value()) return std::nullopt;
    if (!named->ok()) return *named;
    return Caller{
        .key_id = known.key_id(), .role = known.role(), .org_id = std::string(*credentials.org_id)};
  }
  // A key of one organisation that names another gets what it would get for one that is not there.
  if (credentials.org_id.has_value() && *credentials.org_id != known.org_id() &&
      access != Access::kAdminister) {
    return OrganizationNotFound();
  }
  return Caller{.key_id = known.key_id(), .role = known.role(), .org_id = known.org_id()};
}

// Whether there is an ADMIN key that was not revoked.
absl::StatusOr<bool> LivesAnAdminKey(CredentialStore& store) {
  std::string after;
  do {
    // ADMIN keys belong to no organisation. What does not open does not live.
    const auto keys =
        store.ListApiKeys(CallContext::Background(), /*org_id=*/"", after, {.rows = 100});
    if (!keys.ok()) return keys.status();
    for (const record::v1::ApiKey& key : keys->records) {
      if (key.role() == record::v1::ROLE_ADMIN && key.revoked_at_ms() == 0) return true;
    }
    after = keys->next;
  } while (!after.empty());
  return false;
}

}  // namespace

absl::StatusOr<Credentials> ReadCredentials(const Sealer& sealer, const Metadata& metadata) {
  const auto authorization = Single(metadata, "authorization");
  if (!authorization.ok()) return Invalid("There is more than one authorization in the metadata");
  if (!authorization->has_value()) {
    return MakeError(absl::StatusCode::kUnauthenticated, "API_KEY_MISSING",
                     "Send your API key in the metadata: \"authorization: Bearer auk_…\"");
  }
  absl::string_view text = **authorization;
  if (!absl::StartsWithIgnoreCase(text, kScheme)) {
    return Invalid("The authorization is not \"Bearer \" and an API key");
  }
  text.remove_prefix(kScheme.size());
  // More than one space is as good (RFC 9110 section 11.4).
  while (absl::ConsumePrefix(&text, " ")) continue;
  Credentials credentials;
  if (IsTenantToken(text)) {
    absl::StatusOr<state::v1::TenantToken> token = OpenTenantToken(sealer, text);
    if (!token.ok()) return token.status();
    credentials.tenant_token = std::make_unique<const state::v1::TenantToken>(*std::move(token));
    credentials.key_id = credentials.tenant_token->key_id();
  } else {
    credentials.api_key = text;
    credentials.key_id = KeyIdOf(text);
    if (credentials.key_id.empty()) return NoApiKey();
  }
  auto org_id = Single(metadata, "x-org-id");
  if (!org_id.ok()) {
    FieldViolations violations;
    violations.Add("x-org-id", "must be there once");
    return violations.ToStatus();
  }
  credentials.org_id = *org_id;
  return credentials;
}

std::optional<absl::StatusOr<Caller>> AuthorizeInMemory(CredentialStore& store, const Clock& clock,
                                                        const Credentials& credentials,
                                                        const Requirement& required) {
  return AuthorizeBy(FromMemory{store}, clock, credentials, required);
}

absl::StatusOr<Caller> Authorize(const CallContext& context, CredentialStore& store,
                                 const Clock& clock, const Credentials& credentials,
                                 const Requirement& required) {
  return *AuthorizeBy(FromDatabase{store, context}, clock, credentials, required);
}

absl::Status EnsureAdminKey(CredentialStore& store, absl::string_view key_text, absl::Time now) {
  const std::optional<ParsedApiKey> parsed = ParseApiKey(absl::StripAsciiWhitespace(key_text));
  if (!parsed.has_value()) return absl::InvalidArgumentError("does not hold a valid API key");
  const auto known = store.GetApiKey(CallContext::Background(), parsed->key_id);
  if (known.ok()) {
    const bool is_revoked = (*known)->revoked_at_ms() != 0;
    // Of a revoked key nothing else need be left.
    if (!is_revoked && !EqualInConstantTime((*known)->digest(), parsed->digest)) {
      return absl::FailedPreconditionError("holds another key than the one known under its id");
    }
    if (!is_revoked && (*known)->role() != record::v1::ROLE_ADMIN) {
      return absl::FailedPreconditionError(
          "holds a key that has another role than ROLE_ADMIN: make a key with authurl-keygen "
          "api-key FILE");
    }
    if (!is_revoked) return absl::OkStatus();
    const absl::StatusOr<bool> another = LivesAnAdminKey(store);
    if (!another.ok()) return another.status();
    if (!*another) {
      return absl::FailedPreconditionError(
          "holds a key that was revoked, and there is no other ADMIN key: make a new one with "
          "authurl-keygen api-key FILE");
    }
    Log(LogLevel::kWarning, "admin_key_revoked",
        {{"key_id", parsed->key_id},
         {"advice",
          "the key in --admin_key_file was revoked and is of no use: take the flag away, or put "
          "another ADMIN key into the file"}});
    return absl::OkStatus();
  }
  if (!absl::IsNotFound(known.status())) return known.status();
  record::v1::ApiKey key;
  key.set_key_id(parsed->key_id);
  key.set_role(record::v1::ROLE_ADMIN);
  key.set_display_name("from --admin_key_file");
  key.set_digest(parsed->digest);
  key.set_created_at_ms(absl::ToUnixMillis(now));
  return store.CreateApiKey(CallContext::Background(), key);
}

}  // namespace authurl
