// auth_url_calls.h: who calls what in the benchmarks of the server.
#pragma once

#include <cstdint>

#include "tests/bench/deployment.h"
#include "tests/bench/load_client.h"

namespace authurl::bench {

// GetAuthUrl for X with the first organisation's own key, again and again.
CallSource SameAuthUrl();

enum class ApiKeys {
  // One key of role SERVICE and the organisation in x-org-id: one internal caller acts for all.
  kService,
  // Each organisation calls with its own key of role MINT: the server has as many keys to check.
  kOwn,
};

// GetAuthUrl for organisations whose popularity follows Zipf's law, any of their networks being as
// likely as another. Which organisations are popular has nothing to do with where in the database
// they are.
CallSource PopularAuthUrls(const Deployment& deployment, ApiKeys keys);

// GetAuthUrl, each call for another configuration than all before, spread over the whole database.
// As many calls as there are configurations; organisations repeat after as many as there are.
CallSource UntouchedAuthUrls(const Deployment& deployment);

// CreateSocialNetwork, each call for another organisation than the one before. REQUIRES: the
// deployment has none configured. As many calls as organisations times networks.
CallSource NewConfigurations(const Deployment& deployment);

// Configuration writes that a reader feels: every other call updates a configuration of
// `deployment`, and the rest create one for Mastodon, each with another instance.
CallSource ConfigurationWrites(const Deployment& deployment);

}  // namespace authurl::bench
