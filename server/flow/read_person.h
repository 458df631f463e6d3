// read_person.h: whose tokens these are, and the accounts that they give access to, as the
// network's entry has it.
//
//   profile → accounts
//
// Nothing is stored.
#pragma once

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/call_context.h"
#include "core/flow/account_choices.h"
#include "core/flow/answer.h"
#include "core/flow/profile.h"
#include "core/flow/request_builder.h"
#include "server/outbound/http_client.h"

namespace authurl {

// What it views must stay until the person is read.
struct PersonToRead {
  // Of the catalog.
  const catalog::v1::Network& network;
  CallTarget target;
  OAuthClient client;
  // access_token, subject, kept.*
  FlowValues values;
  // All but the answer and the parent.
  Sources around;
  // The person's id, where the network told it together with the tokens; else empty.
  absl::string_view subject;
  // What was granted; null where nobody knows.
  const std::vector<std::string>* scopes = nullptr;
  // What no error may quote.
  std::vector<absl::string_view> secrets;
};

struct PersonWithAccounts {
  // Who consented.
  ProfileData person;
  // What is connected, where that is not the person: each once, at least one.
  std::vector<AccountChoice> accounts;
  // The person has more of them.
  bool has_more_accounts = false;
};

// `done` is called once, on any thread; until then `http` and `context` must stay. Errors: those of
// core/flow and of the HTTP client, and FAILED_PRECONDITION NO_ACCOUNT where the network connects
// accounts of which the person has none.
void ReadPerson(HttpClient& http, PersonToRead request, const CallContext& context,
                absl::AnyInvocable<void(absl::StatusOr<PersonWithAccounts>)> done);

}  // namespace authurl
