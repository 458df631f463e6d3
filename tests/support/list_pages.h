// list_pages.h: a simulated network's lists of accounts, page by page, as the entry says that they
// go on: by a cursor, an offset or the next page's URL. Functions of values only.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "tests/core/flow/vectors.h"
#include "tests/support/network_step.h"
#include "tests/support/served_message.h"

namespace authurl::testing {

// Where a list goes on, and an element is called, in a tree.
using JsonPointer = Json::json_pointer;

// What requests of the step ask for a page by; empty where it has no pages.
std::string PageParamOf(const catalog::v1::Network& network, NetworkStep step);

// Which page a parameter asks for, counted from 0; -1 where there is no such page.
int PageAskedFor(const std::string& text, const catalog::v1::Accounts::Paging& paging,
                 int accounts_per_page);

// The element as that of another account; the same one for 0.
Json NumberedAccount(const catalog::v1::Accounts& reading, Json element, int number);

void SetList(absl::string_view list, Json elements, Json& body);

// The list has no next page.
void EndList(const catalog::v1::Accounts::Paging& paging, Json& body);

// The list has one, for which `request` is sent again with that page.
void ContinueList(const catalog::v1::Accounts::Paging& paging, const ServedRequest& request,
                  int next_page, Json& body);

}  // namespace authurl::testing
