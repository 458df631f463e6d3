// auth_fixture.h: what tests of URL building need: the built-in catalog, a configuration, a fixed
// key, nonce and time.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/sealer.h"
#include "tests/support/fixed_random.h"

namespace authurl::testing {

class AuthFixture : public ::testing::Test {
 protected:
  static record::v1::SocialNetworkSettings Settings(absl::string_view network) {
    record::v1::SocialNetworkSettings settings;
    settings.set_id("sn_0123456789abcdefghjk");
    settings.set_org_id("acme");
    settings.set_network(std::string(network));
    settings.set_version(1);
    settings.set_client_key("client-key-1");
    return settings;
  }

  // One that any network takes: with an instance and the parameters that it requires.
  record::v1::SocialNetworkSettings CompleteSettings(absl::string_view network,
                                                     absl::string_view variant) const {
    record::v1::SocialNetworkSettings settings = Settings(network);
    settings.set_variant(std::string(variant));
    const catalog::v1::Network& entry = *catalog_.FindVariant(network, variant);
    if (HasInstances(entry)) settings.set_instance("social.example");
    for (const auto& param : entry.configuration_params()) {
      if (param.required()) (*settings.mutable_extra_params())[param.name()] = "1234567890";
    }
    return settings;
  }

  static v1::GetAuthUrlRequest Request(absl::string_view network) {
    v1::GetAuthUrlRequest request;
    request.set_network(std::string(network));
    return request;
  }

  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  const KeyRing keys_ = KeyRing::Parse(kZeroKeyRing).value();
  const Sealer sealer_{keys_};
  const Nonce nonce_ = CountingNonce();
  // 2026-11-23T12:00:00Z.
  const absl::Time now_ = absl::FromUnixSeconds(1795435200);
};

}  // namespace authurl::testing
