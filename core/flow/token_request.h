// token_request.h: the requests to a network's token endpoint. Pure.
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/flow/request_builder.h"
#include "core/http_message.h"

namespace authurl {

// The exchange of the code (RFC 6749 section 4.1.3). `values`: code, redirect_uri, state, and
// code_verifier where a challenge was sent; kept.* of the callback.
// REQUIRES: the entry has the step, here and below.
absl::StatusOr<HttpRequest> BuildExchange(const catalog::v1::Network& network,
                                          const OAuthClient& client, const FlowValues& values);
// The second exchange, for a token that lives long. `values`: access_token.
absl::StatusOr<HttpRequest> BuildLongLived(const catalog::v1::Network& network,
                                           const OAuthClient& client, const FlowValues& values);
// A refresh (RFC 6749 section 6). `values`: refresh_token, access_token, kept.*.
absl::StatusOr<HttpRequest> BuildRefresh(const catalog::v1::Network& network,
                                         const OAuthClient& client, const FlowValues& values);
// The revocation (RFC 7009). `values`: access_token, refresh_token; the one that the entry means
// is chosen here.
absl::StatusOr<HttpRequest> BuildRevocation(const catalog::v1::Network& network,
                                            const OAuthClient& client, const FlowValues& values);

}  // namespace authurl
