#include "tests/support/simulated_api.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/support/list_pages.h"
#include "tests/support/network_step.h"

namespace authurl::testing {

void SimulatedApi::SetPages(int pages, int accounts_per_page) {
  pages_ = pages;
  accounts_per_page_ = accounts_per_page;
}

ServedAnswer SimulatedApi::Profile(const RecognizedRequest& what) {
  const SimulatedToken* const token = grants_.LiveToken(what);
  if (token == nullptr) return VectorError(flow_, NetworkStep::kProfile, "token_rejected");
  grants_.at(token->grant).profile_was_asked = true;
  return ServedOf(answers_.SuccessOf(NetworkStep::kProfile).value("status", 200),
                  answers_.BodyOf(NetworkStep::kProfile));
}

absl::StatusOr<ServedAnswer> SimulatedApi::List(const RecognizedRequest& what,
                                                const ServedRequest& request) {
  const NetworkStep step = what.shape->step;
  if (grants_.LiveToken(what) == nullptr) return VectorError(flow_, step, "token_rejected");
  const catalog::v1::Accounts& accounts = flow_.network().accounts();
  const bool is_parents = step == NetworkStep::kParents;
  const std::string& list = is_parents ? accounts.parents().list() : accounts.list();
  const catalog::v1::Accounts::Paging& paging =
      is_parents ? accounts.parents().paging() : accounts.paging();
  int parent = 0;
  if (!is_parents && accounts.has_parents()) {
    const auto values =
        answers_.SuccessOf(NetworkStep::kParents).at("values").get<std::vector<std::string>>();
    const auto found = std::find(values.begin(), values.end(), what.Value("parent"));
    if (found == values.end())
      return absl::InvalidArgumentError("is for a parent that was not listed");
    parent = static_cast<int>(found - values.begin());
  }
  Json body = answers_.BodyOf(step);
  const int status = answers_.SuccessOf(step).value("status", 200);
  if (is_parents || pages_ == 0) {
    // The vector has one page, of the first parent.
    if (!what.page.empty() || parent > 0) {
      SetList(list, Json::array(), body);
      EndList(paging, body);
    }
    return ServedOf(status, body);
  }
  const int page = PageAskedFor(what.page, paging, accounts_per_page_);
  if (page < 0) return absl::InvalidArgumentError("is for a page that was not named");
  const Json element = body.at(JsonPointer(list)).at(0);
  Json elements = Json::array();
  for (int i = 0; i < accounts_per_page_ && page < pages_; ++i) {
    const int number = (parent * pages_ + page) * accounts_per_page_ + i;
    elements.push_back(NumberedAccount(accounts, element, number));
  }
  SetList(list, std::move(elements), body);
  EndList(paging, body);
  if (page + 1 < pages_) ContinueList(paging, request, page + 1, body);
  return ServedOf(status, body);
}

}  // namespace authurl::testing
