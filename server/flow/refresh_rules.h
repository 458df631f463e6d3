// refresh_rules.h: what a network's entry says of refreshing, in words of what is to be done. Pure.
#pragma once

#include "authurl/catalog/v1/network.pb.h"
#include "core/flow/token_response.h"

namespace authurl {

// Whether a refresh would give new tokens.
inline bool CanRefresh(const catalog::v1::Network& network, bool has_refresh_token) {
  if (!network.has_refresh()) return false;
  return network.refresh().rotation() == catalog::v1::Refresh::ROTATION_NO_REFRESH_TOKEN ||
         has_refresh_token;
}
inline bool CanRefresh(const catalog::v1::Network& network, const TokenSet& tokens) {
  return CanRefresh(network, !tokens.refresh_token.empty());
}

// Whether sending the same again may be the second use of what can be used once.
inline bool WorksOnce(const catalog::v1::Refresh& refresh) {
  if (refresh.rotation() == catalog::v1::Refresh::ROTATION_NEVER ||
      refresh.rotation() == catalog::v1::Refresh::ROTATION_NO_REFRESH_TOKEN) {
    return false;
  }
  return refresh.single_use() || refresh.reuse_ends_grant();
}

// Whether sending the same again may end a grant that is alive.
inline bool EndsByReuse(const catalog::v1::Refresh& refresh) {
  return refresh.reuse_ends_grant() && WorksOnce(refresh);
}

}  // namespace authurl
