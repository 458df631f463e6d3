// refresh_time.h: when a grant is to be refreshed that nobody asks a token of. Pure: of the
// network's entry, the grant's record and its tokens.
//
// A clock that was ahead, and was put right, leaves times behind that are not to be believed.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "core/crypto/crypto.h"
#include "core/flow/token_response.h"
#include "storage/grant_store.h"

namespace authurl {

// After a failure: where the network may come back, and where somebody has to do something first.
inline constexpr absl::Duration kShortRefreshPause = absl::Minutes(1);
inline constexpr absl::Duration kLongRefreshPause = absl::Hours(1);
inline constexpr absl::Duration kLongestRefreshPause = absl::Hours(24);

// When a grant with these tokens is to be refreshed though nobody asks for a token, so that it does
// not die of that: at half of its time, or up to a tenth of it sooner or later, by chance, so that
// those that were connected together do not come due together. Nothing where it does not die, or no
// refresh prolongs it.
std::optional<absl::Time> NextRefresh(const catalog::v1::Network& network, const TokenSet& tokens,
                                      absl::Time now, const RandomSource& random);

// Whether a grant is due. So is one whose tokens were got at a time that is yet to come, or that
// was put off until it is dead: the clock was ahead, and how long they are good still nobody knows.
// `network`: the grant's; null where it has left the catalog.
bool IsDue(const catalog::v1::Network* network, const record::v1::Grant& grant, absl::Time now);

// As it is stored; nothing where it never is.
std::optional<absl::Time> DueAtOf(const record::v1::Grant& grant);

// When it is due after a refresh that failed: not before it makes sense to try again. Where
// somebody has to do something first, each pause is twice as long as the one before, but half of
// what is left at the most. `failures`: so many before this one.
std::optional<absl::Time> DueAfterFailure(const catalog::v1::Network& network,
                                          const record::v1::Grant& grant, const absl::Status& error,
                                          int failures, absl::Time now);

// Whether all has ended that the grant could be used or refreshed with, as far as that is known: no
// refresh can come through any more.
bool HasEnded(const catalog::v1::Network& network, const record::v1::Grant& grant, absl::Time now);

// Where a refresh token stays the same, or may, and no answer says how long it has left, its life
// counts from when it came. `before`: the grant as it was when the refresh gave `tokens`.
void AssumeRefreshEnd(const catalog::v1::Refresh& refresh, const OpenedGrant& before,
                      absl::Time now, TokenSet& tokens);

}  // namespace authurl
