// flow_tools.h: what flows work with, to be passed on as one.
#pragma once

#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "server/flow/flow_metrics.h"
#include "server/outbound/http_client.h"
#include "server/system/clock.h"
#include "server/system/thread_pool.h"
#include "storage/credential_store.h"

namespace authurl {

// All must outlive the work that is done with them; clock and random are called from many threads
// at once.
struct FlowTools {
  HttpClient& http;
  CredentialStore& store;
  const NetworkCatalog& catalog;
  // Its threads wait for the database, so that those of the HTTP client need not.
  ThreadPool& pool;
  const Clock& clock;
  const RandomSource& random;
  FlowMetrics& metrics;
};

}  // namespace authurl
