// curl_setup.h: tells libcurl what a transfer asks, whom, how to know that it is them, and for how
// long. For the files curl_* alone.
#pragma once

#include "server/outbound/curl_transfer.h"
#include "server/outbound/outbound_options.h"
#include "server/outbound/resolver.h"

namespace authurl {

// Makes the transfer's handle and lists. False where libcurl does not take it all, for want of
// memory mostly; the handle may be there nevertheless, and is not to be used. `addresses` are those
// of the host that is connected to, empty where none was looked up. For the pool's thread.
bool SetUpHandle(CurlTransfer& transfer, const HostAddresses& addresses,
                 const OutboundOptions& options);

}  // namespace authurl
