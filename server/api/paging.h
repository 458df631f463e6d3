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

namespace authurl {

struct Page {
  // The id after which the page begins; empty: at the start.
  std::string after;
  int size = 0;
};

// `list` names the list and whose it is, such as "social_networks/acme".
Page ReadPage(const Sealer& sealer, absl::string_view list, int page_size,
              absl::string_view page_token, FieldViolations& violations);

// The token of the page that begins after the id `last`.
std::string NextPageToken(const Sealer& sealer, const RandomSource& random, absl::string_view list,
                          absl::string_view last);

// Most bytes of records on one page: replies must stay well under the 4 MiB that gRPC clients take
// by default.
inline constexpr size_t kMaxPageBytes = 1024 * 1024;

// Turns the `page.size + 1` records that were asked of the store into a page: cuts off what is too
// many or too large, and returns the token of the next page, or an empty one when there is none.
// `id_of` tells a record's id.
template <typename Record, typename IdOf>
std::string CutPage(const Sealer& sealer, const RandomSource& random, absl::string_view list,
                    const Page& page, std::vector<Record>& records, IdOf id_of) {
  size_t bytes = 0;
  size_t fit = 0;
  while (fit < records.size() && fit < static_cast<size_t>(page.size)) {
    bytes += records[fit].ByteSizeLong();
    if (fit > 0 && bytes > kMaxPageBytes) break;
    ++fit;
  }
  if (fit == records.size()) return "";
  records.resize(fit);
  return NextPageToken(sealer, random, list, id_of(records.back()));
}

}  // namespace authurl
