// list_accounts.h: the accounts that a person's token gives access to, page by page, as the
// network's entry has them.
//
//   parents, page by page → accounts of each, page by page
#pragma once

#include <cstddef>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/call_context.h"
#include "core/flow/account_choices.h"
#include "core/flow/answer.h"
#include "core/flow/request_builder.h"
#include "server/outbound/http_client.h"

namespace authurl {

// More accounts are not read, and more requests for lists not sent: each takes its time, and a
// whole flow has twenty seconds.
inline constexpr size_t kMaxListedAccounts = 500;
inline constexpr int kMaxListRequests = 20;

// What it views must stay until the list is there.
struct ListRequest {
  // Of the catalog. REQUIRES: it has accounts.
  const catalog::v1::Network& network;
  CallTarget target;
  OAuthClient client;
  // access_token, subject, kept.*
  FlowValues values;
  // All but the answer and the parent.
  Sources around;
  // What no error may quote.
  std::vector<absl::string_view> secrets;
};

struct ListedAccounts {
  // Each once.
  std::vector<AccountChoice> accounts;
  // The person has more of them.
  bool has_more = false;
};

// `done` is called once, on any thread; until then `http` and `context` must stay. Errors: those of
// core/flow/account_choices.h and of the HTTP client.
void ListAccounts(HttpClient& http, ListRequest request, const CallContext& context,
                  absl::AnyInvocable<void(absl::StatusOr<ListedAccounts>)> done);

}  // namespace authurl
