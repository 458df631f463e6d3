#include "storage/store_errors.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "core/errors.h"

namespace authurl {
namespace {

constexpr absl::StatusCode kNotFound = absl::StatusCode::kNotFound;
constexpr absl::StatusCode kAlreadyExists = absl::StatusCode::kAlreadyExists;
constexpr absl::StatusCode kFailedPrecondition = absl::StatusCode::kFailedPrecondition;

std::string NetworkAndInstance(absl::string_view network, absl::string_view instance) {
  if (instance.empty()) return std::string(network);
  return absl::StrCat(network, " (instance ", Quoted(instance), ")");
}

}  // namespace

absl::Status Explain(const absl::Status& status, absl::StatusCode code,
                     const absl::Status& explained) {
  return status.code() == code ? explained : status;
}

absl::Status OrganizationExists(absl::string_view org_id) {
  return MakeError(
      kAlreadyExists, "ORGANIZATION_EXISTS",
      absl::StrCat("the organisation ", Quoted(org_id), " exists; choose another org_id"));
}

absl::Status OrganizationNotFound(absl::string_view org_id) {
  return MakeError(kNotFound, "ORGANIZATION_NOT_FOUND",
                   absl::StrCat("there is no organisation ", Quoted(org_id)));
}

absl::Status OrganizationBeingDeleted(absl::string_view org_id) {
  return MakeError(kFailedPrecondition, "ORGANIZATION_BEING_DELETED",
                   absl::StrCat("the organisation ", Quoted(org_id),
                                " was deleted and what it left is still being removed; try again "
                                "in a minute, or choose another org_id"));
}

absl::Status ApiKeyExists(absl::string_view key_id) {
  return MakeError(kAlreadyExists, "API_KEY_EXISTS",
                   absl::StrCat("the API key ", Quoted(key_id), " exists"));
}

absl::Status TooManyApiKeys(absl::string_view org_id, int64_t limit) {
  return MakeError(kFailedPrecondition, "TOO_MANY_API_KEYS",
                   absl::StrCat("the organisation ", Quoted(org_id), " has ", limit,
                                " API keys, revoked ones among them, and there can't be more; ask "
                                "whoever runs authurl to raise --max_api_keys"));
}

absl::Status ApiKeyNotFound(absl::string_view key_id) {
  return MakeError(kNotFound, "API_KEY_NOT_FOUND",
                   absl::StrCat("there is no API key ", Quoted(key_id)));
}

absl::Status SocialNetworkExists(absl::string_view network, absl::string_view instance,
                                 absl::string_view name) {
  const std::string message =
      name.empty()
          ? absl::StrCat(
                NetworkAndInstance(network, instance),
                " has a configuration without a name in this organisation; give this one a "
                "name")
          : absl::StrCat(NetworkAndInstance(network, instance), " has a configuration named ",
                         Quoted(name), " in this organisation; choose another name");
  return MakeError(kAlreadyExists, "SOCIAL_NETWORK_EXISTS", message);
}

absl::Status TooManyConfigurations(absl::string_view org_id, int64_t limit) {
  return MakeError(kFailedPrecondition, "TOO_MANY_CONFIGURATIONS",
                   absl::StrCat("the organisation ", Quoted(org_id), " has ", limit,
                                " configurations, and there can't be more; delete those that are "
                                "not used, or ask whoever runs authurl to raise "
                                "--max_configurations"));
}

absl::Status TooManyOfNetwork(absl::string_view network, absl::string_view instance, int limit) {
  return MakeError(kFailedPrecondition, "TOO_MANY_CONFIGURATIONS",
                   absl::StrCat(NetworkAndInstance(network, instance), " has ", limit,
                                " configurations in this organisation, and there can't be more; "
                                "delete one that is not used"));
}

absl::Status SocialNetworkNotFound(absl::string_view id) {
  return MakeError(kNotFound, "SOCIAL_NETWORK_NOT_FOUND",
                   absl::StrCat("there is no social network configuration ", Quoted(id)));
}

absl::Status NetworkNotConfigured(absl::string_view network, absl::string_view instance,
                                  absl::string_view configuration) {
  const std::string message =
      configuration.empty()
          ? absl::StrCat(NetworkAndInstance(network, instance),
                         " is not configured for this organisation; create a social network "
                         "configuration for it first")
          : absl::StrCat(NetworkAndInstance(network, instance), " has no configuration ",
                         Quoted(configuration),
                         " in this organisation; look at the names in its list of configurations");
  return MakeError(kNotFound, "NETWORK_NOT_CONFIGURED", message);
}

absl::Status ClientSecretNotFound(absl::string_view id, uint64_t version) {
  return MakeError(kNotFound, "CLIENT_SECRET_NOT_FOUND",
                   absl::StrCat("the client_secret of version ", version,
                                " of the social network configuration ", Quoted(id),
                                " is not kept; start the authorization again"));
}

// Never quotes the reference: it is as good as the state itself.
absl::Status AuthStateNotFound() {
  return MakeError(kNotFound, "AUTH_STATE_NOT_FOUND",
                   "the state is unknown or has expired; start the authorization again");
}

absl::Status ConfigurationInUse(absl::string_view id, absl::string_view why) {
  return MakeError(
      kFailedPrecondition, "CONFIGURATION_IN_USE",
      absl::StrCat("the social network configuration ", Quoted(id), " is in use: ", why));
}

absl::Status ConfigurationChanged(absl::string_view id) {
  return MakeError(kFailedPrecondition, "CONFIGURATION_CHANGED",
                   absl::StrCat("the client of the social network configuration ", Quoted(id),
                                " was changed while the authorization was under way; start it "
                                "again"));
}

absl::Status StateAlreadyUsed() {
  return MakeError(kFailedPrecondition, "STATE_ALREADY_USED",
                   "the state was used before, by another code, caller or session; start the "
                   "authorization again");
}

absl::Status CompletionInProgress() {
  return MakeRetryableError(absl::StatusCode::kAborted, "COMPLETION_IN_PROGRESS",
                            "this authorization is just being completed; ask again for its outcome",
                            absl::Seconds(1));
}

absl::Status CompletionUnknown() {
  return MakeError(kFailedPrecondition, "COMPLETION_UNKNOWN",
                   "the completion of this authorization was interrupted, and its code can't be "
                   "used again; start the authorization again");
}

absl::Status TooManyUnfinishedFlows(int64_t limit) {
  return MakeRetryableError(
      absl::StatusCode::kResourceExhausted, "RATE_LIMITED",
      absl::StrCat("the organisation has ", limit,
                   " authorizations that came back and were not completed, and there can't be "
                   "more; they are forgotten ten minutes after their states expire"),
      absl::Seconds(10));
}

absl::Status RevocationInProgress(absl::string_view id) {
  return MakeRetryableError(
      absl::StatusCode::kAborted, "REVOCATION_IN_PROGRESS",
      absl::StrCat("the accounts of the configuration ", Quoted(id),
                   " are disconnected, and their consents are being revoked at the network; ask "
                   "again"),
      absl::Seconds(5));
}

absl::Status SessionNotFound() {
  return MakeError(kNotFound, "SESSION_NOT_FOUND",
                   "the session is unknown or is over; start the authorization again");
}

absl::Status SessionExpired() {
  return MakeError(kFailedPrecondition, "SESSION_EXPIRED",
                   "the session has expired; start the authorization again");
}

absl::Status EventNotFound(absl::string_view id) {
  return MakeError(kNotFound, "EVENT_NOT_FOUND",
                   absl::StrCat("there is no event ", Quoted(id), ", or it is no longer kept"));
}

absl::Status EventsExpired() {
  return MakeError(
      absl::StatusCode::kOutOfRange, "EVENTS_EXPIRED",
      "events behind `after` are no longer kept, or the server's database was put back "
      "to a state of before it; list the accounts, then begin anew without `after`");
}

absl::Status SessionAlreadyUsed() {
  return MakeError(kFailedPrecondition, "SESSION_ALREADY_USED",
                   "other accounts were chosen in this session before; start the authorization "
                   "again to add more");
}

absl::Status SessionBindingMismatch() {
  return MakeError(kFailedPrecondition, "SESSION_BINDING_MISMATCH",
                   "session_binding is another one than the authorization was started with");
}

absl::Status ChoiceNotFound(absl::string_view id) {
  return MakeError(absl::StatusCode::kInvalidArgument, "CHOICE_NOT_FOUND",
                   id.empty() ? "no account is chosen"
                              : absl::StrCat("there is no account ", Quoted(id), " to choose"));
}

absl::Status TooManyChoices(int limit) {
  return MakeError(kFailedPrecondition, "TOO_MANY_ACCOUNTS",
                   absl::StrCat("the network offers more than ", limit,
                                " accounts, or they take too much room; grant access to fewer of "
                                "them"));
}

absl::Status TooManyPendingConnections(int64_t limit) {
  return MakeRetryableError(
      absl::StatusCode::kResourceExhausted, "RATE_LIMITED",
      absl::StrCat("in ", limit,
                   " authorizations of the organisation accounts are to be chosen, and there can't "
                   "be more; they are forgotten after half an hour"),
      absl::Seconds(10));
}

absl::Status TooManyImports(int64_t limit) {
  return MakeRetryableError(
      absl::StatusCode::kResourceExhausted, "RATE_LIMITED",
      absl::StrCat("of the refresh tokens that the organisation imported, ", limit,
                   " are remembered, and there can't be more; they are forgotten after seven days"),
      absl::Minutes(10));
}

absl::Status SocialAccountNotFound(absl::string_view id) {
  return MakeError(kNotFound, "SOCIAL_ACCOUNT_NOT_FOUND",
                   absl::StrCat("there is no social account ", Quoted(id)));
}

absl::Status TooManyAccounts(absl::string_view org_id, int64_t limit) {
  return MakeError(kFailedPrecondition, "TOO_MANY_ACCOUNTS",
                   absl::StrCat("the organisation ", Quoted(org_id), " may have ", limit,
                                " connected accounts, and there can't be more; disconnect those "
                                "that are not used, or ask whoever runs authurl to raise "
                                "--max_accounts"));
}

absl::Status TooManyAccountsOfGrant(int limit) {
  return MakeError(kFailedPrecondition, "TOO_MANY_ACCOUNTS",
                   absl::StrCat("one person's consent can't feed more than ", limit,
                                " connected accounts; disconnect those that are not used"));
}

absl::Status GrantNotFound(absl::string_view id) {
  return MakeError(kNotFound, "GRANT_NOT_FOUND",
                   absl::StrCat("there is no grant ", Quoted(id), "; connect the account again"));
}

absl::Status WebhookNotFound(absl::string_view id) {
  return MakeError(kNotFound, "WEBHOOK_NOT_FOUND",
                   absl::StrCat("there is no webhook ", Quoted(id)));
}

absl::Status WebhookDisabled(absl::string_view id) {
  return MakeError(kFailedPrecondition, "WEBHOOK_DISABLED",
                   absl::StrCat("the webhook ", Quoted(id), " is disabled; enable it first"));
}

absl::Status TooManyWebhooks(absl::string_view org_id, int limit) {
  return MakeError(kFailedPrecondition, "TOO_MANY_WEBHOOKS",
                   absl::StrCat("the organisation ", Quoted(org_id), " has ", limit,
                                " webhooks, and there can't be more; delete those that are not "
                                "used"));
}

absl::Status TooManyReplays(int limit) {
  return MakeRetryableError(
      absl::StatusCode::kResourceExhausted, "TOO_MANY_REPLAYS",
      absl::StrCat("more than ", limit,
                   " events would wait to be delivered again; wait until some of them are"),
      absl::Seconds(10));
}

}  // namespace authurl
