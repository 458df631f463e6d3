#include "tests/support/list_pages.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/catalog/text_template.h"
#include "core/uri.h"

namespace authurl::testing {
namespace {

using catalog::v1::Accounts;
using catalog::v1::Network;

// In the URLs of next pages, which the simulator makes up.
constexpr char kNextPageParam[] = "after";

// The pointers into the step's own answer among the selectors.
std::vector<JsonPointer> OwnPointers(
    const google::protobuf::RepeatedPtrField<std::string>& selectors) {
  std::vector<JsonPointer> pointers;
  for (const std::string& selector : selectors) {
    const auto parts = ParseSelector(selector);
    if (!parts.ok()) continue;
    for (const SelectorPart& part : *parts) {
      if (!part.is_pointer || part.root != SelectorRoot::kAnswer) continue;
      pointers.emplace_back(std::string(part.text));
    }
  }
  return pointers;
}

// Another text for each number; the same one for 0.
Json NumberedText(const Json& value, int number) {
  if (number == 0) return value;
  if (value.is_number_integer()) return value.get<int64_t>() + number;
  if (!value.is_string()) return value;
  const std::string text = value.get<std::string>();
  int64_t digits = 0;
  if (absl::SimpleAtoi(text, &digits) && absl::StrCat(digits) == text) {
    return absl::StrCat(digits + number);
  }
  return absl::StrCat(text, "-", number);
}

std::string CursorOf(int page) { return absl::StrCat("page/", page, "="); }

// The URL that is asked for next, in place of the whole request's.
std::string NextUrl(const ServedRequest& request, int page) {
  absl::string_view target = request.target;
  target = target.substr(0, target.find(absl::StrCat("&", kNextPageParam, "=")));
  return absl::StrCat("https://", request.host, target, absl::StrContains(target, '?') ? "&" : "?",
                      kNextPageParam, "=", PercentEncode(CursorOf(page)));
}

const Accounts::Paging* PagingOf(const Network& network, NetworkStep step) {
  if (step == NetworkStep::kParents) return &network.accounts().parents().paging();
  return step == NetworkStep::kAccounts ? &network.accounts().paging() : nullptr;
}

}  // namespace

std::string PageParamOf(const Network& network, NetworkStep step) {
  const Accounts::Paging* const paging = PagingOf(network, step);
  if (paging == nullptr) return "";
  if (!paging->cursor_param().empty()) return paging->cursor_param();
  if (!paging->offset_param().empty()) return paging->offset_param();
  return paging->next_url().empty() ? "" : kNextPageParam;
}

int PageAskedFor(const std::string& text, const Accounts::Paging& paging, int accounts_per_page) {
  int number = 0;
  if (text.empty()) return 0;
  if (!paging.offset_param().empty()) {
    const bool is_good = absl::SimpleAtoi(text, &number) && number % accounts_per_page == 0;
    return is_good ? number / accounts_per_page : -1;
  }
  absl::string_view digits = text;
  const bool is_good = absl::ConsumePrefix(&digits, "page/") && absl::ConsumeSuffix(&digits, "=") &&
                       absl::SimpleAtoi(digits, &number);
  return is_good ? number : -1;
}

Json NumberedAccount(const Accounts& reading, Json element, int number) {
  for (const auto* selectors : {&reading.id(), &reading.access_token()}) {
    for (const JsonPointer& pointer : OwnPointers(*selectors)) {
      if (element.contains(pointer)) element[pointer] = NumberedText(element[pointer], number);
    }
  }
  return element;
}

void SetList(absl::string_view list, Json elements, Json& body) {
  body[JsonPointer(std::string(list))] = std::move(elements);
}

void EndList(const Accounts::Paging& paging, Json& body) {
  for (const auto* selectors : {&paging.next_url(), &paging.cursor()}) {
    for (const JsonPointer& pointer : OwnPointers(*selectors)) {
      if (body.contains(pointer)) body[pointer] = nullptr;
    }
  }
}

void ContinueList(const Accounts::Paging& paging, const ServedRequest& request, int next_page,
                  Json& body) {
  for (const JsonPointer& pointer : OwnPointers(paging.next_url())) {
    body[pointer] = NextUrl(request, next_page);
  }
  for (const JsonPointer& pointer : OwnPointers(paging.cursor()))
    body[pointer] = CursorOf(next_page);
}

}  // namespace authurl::testing
