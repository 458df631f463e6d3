// paging.h: page sizes and page tokens of the list rpcs (AIP-158).
//
// A page token is sealed: callers can neither read nor make one, and one made for another list or
// organisation is refused.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "core/errors.h"
#include "storage/backend.h"
#include "storage/record_store.h"

namespace authurl {

// What a list may take at once, whatever the number of its records: they are held as rows, opened
// and in the reply, for each caller who asks at the same time.
inline constexpr size_t kMaxPageBytes = size_t{512} << 10;

struct Page {
  // The id after which the page begins; empty: at the start.
  std::string after;
  PageLimit limit = {.rows = 0, .bytes = kMaxPageBytes};
};

// `list` names the list and whose it is, such as "social_networks/acme".
Page ReadPage(const Sealer& sealer, absl::string_view list, int page_size,
              absl::string_view page_token, FieldViolations& violations);

// The token of the page that begins after the id `next`; empty where that is.
std::string NextPageToken(const Sealer& sealer, const RandomSource& random, absl::string_view list,
                          absl::string_view next);

// One line for a page, however many they are.
void LogUnreadable(absl::string_view list, const std::vector<std::string>& ids);

// Puts into a reply of whatever list what is said of the page besides its records. The log tells
// the operator of those that do not open.
template <typename Record, typename Response>
void FinishPage(const Sealer& sealer, const RandomSource& random, absl::string_view list,
                const Listed<Record>& listed, Response& response) {
  response.set_next_page_token(NextPageToken(sealer, random, list, listed.next));
  for (const std::string& id : listed.unreadable) response.add_unreadable_ids(id);
  LogUnreadable(list, listed.unreadable);
}

}  // namespace authurl
