// store_fixture.h: what the tests of the credential store share: keys, records and a store on a
// file of their own.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/state/v1/auth_state.pb.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/sealer.h"
#include "storage/credential_store.h"
#include "storage/sqlite/sqlite_backend.h"
#include "tests/storage/sqlite/raw_database.h"
#include "tests/support/equals_proto.h"
#include "tests/support/no_limit.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_time.h"

namespace authurl::testing {

// Random bytes that are the same in every run, for many threads at once.
class SharedSeededRandom final {
 public:
  explicit SharedSeededRandom(uint64_t seed) : state_(std::make_shared<State>(seed)) {}

  void operator()(std::span<uint8_t> out) const {
    const std::lock_guard lock(state_->mutex);
    for (uint8_t& byte : out) byte = static_cast<uint8_t>(state_->engine());
  }

 private:
  struct State {
    explicit State(uint64_t seed) : engine(seed) {}
    std::mutex mutex;
    std::mt19937_64 engine;
  };
  std::shared_ptr<State> state_;
};

// A key ring with the sealer that uses it.
struct Keys {
  explicit Keys(const std::string& text) : ring(*KeyRing::Parse(text)), sealer(ring) {}
  Keys(const Keys&) = delete;
  Keys& operator=(const Keys&) = delete;

  KeyRing ring;
  Sealer sealer;
};

inline record::v1::Organization TestOrganization(absl::string_view org_id) {
  record::v1::Organization organization;
  organization.set_org_id(std::string(org_id));
  organization.set_display_name(absl::StrCat("The people of ", org_id));
  organization.set_created_at_ms(1'700'000'000'000);
  return organization;
}

inline record::v1::ApiKey TestApiKey(absl::string_view key_id, absl::string_view org_id) {
  record::v1::ApiKey key;
  key.set_key_id(std::string(key_id));
  key.set_org_id(std::string(org_id));
  key.set_role(org_id.empty() ? record::v1::ROLE_ADMIN : record::v1::ROLE_ORG);
  key.set_display_name("test key");
  key.set_digest(absl::StrCat("digest-of-", key_id, std::string(16, '#')));
  key.set_created_at_ms(1'700'000'000'000);
  return key;
}

inline record::v1::SocialNetworkSettings TestSettings(absl::string_view org_id,
                                                      absl::string_view id,
                                                      absl::string_view network) {
  record::v1::SocialNetworkSettings settings;
  settings.set_id(std::string(id));
  settings.set_org_id(std::string(org_id));
  settings.set_network(std::string(network));
  settings.set_version(1);
  settings.set_client_key(absl::StrCat("client-key-of-", id));
  settings.set_default_redirect_uri(absl::StrCat("https://", org_id, ".example/callback/", id));
  settings.add_allowed_redirect_uris(settings.default_redirect_uri());
  settings.add_scopes("profile");
  (*settings.mutable_extra_params())["prompt"] = "consent";
  settings.set_created_at_ms(1'700'000'000'000);
  settings.set_updated_at_ms(1'700'000'000'000);
  // What the store makes of it for the first one of a network.
  settings.set_default_rank(1'700'000'000'000);
  return settings;
}

// One that lives from `now` on for ten minutes.
inline state::v1::AuthState TestAuthState(absl::string_view org_id, absl::string_view network,
                                          absl::Time now) {
  state::v1::AuthState state;
  state.set_org_id(std::string(org_id));
  state.set_network(std::string(network));
  state.set_redirect_uri(absl::StrCat("https://", org_id, ".example/callback"));
  state.set_issued_at(absl::ToUnixSeconds(now));
  state.set_expires_at(absl::ToUnixSeconds(now + absl::Minutes(10)));
  return state;
}

// A change that changes nothing.
inline absl::Status NoChange(record::v1::SocialNetworkSettings&, absl::string_view) {
  return absl::OkStatus();
}
// One that does not matter, and is another one each time.
inline absl::Status SomeChange(record::v1::SocialNetworkSettings& settings, absl::string_view) {
  std::string& value = (*settings.mutable_extra_params())["changes"];
  value.push_back('x');
  if (value.size() > 8) value.clear();
  return absl::OkStatus();
}

inline std::string TestSecret(absl::string_view id) {
  return absl::StrCat("client-secret-of-", id);
}

class StoreTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { ASSERT_OK(InitCrypto()); }

  absl::StatusOr<std::unique_ptr<CredentialStore>> OpenStore(const Keys& keys) {
    auto backend = OpenSqliteBackend(path_);
    if (!backend.ok()) return backend.status();
    return CredentialStore::Open(*std::move(backend), keys.sealer, random_);
  }

  // Two organisations with a key and two configurations each.
  static void Fill(CredentialStore& store) {
    for (const std::string org : {"acme", "other"}) {
      ASSERT_OK(store.CreateOrganization(kNoLimit, TestOrganization(org)));
      ASSERT_OK(store.CreateApiKey(kNoLimit, TestApiKey(org + "-key", org)));
      for (const std::string network : {"google", "github"}) {
        const std::string id = absl::StrCat(org, "-", network);
        ASSERT_OK(store.social_networks().Create(kNoLimit, TestSettings(org, id, network),
                                                 TestSecret(id)));
      }
    }
    ASSERT_OK(store.CreateApiKey(kNoLimit, TestApiKey("admin-key", "")));
  }

  TempDir folder_;
  const std::string path_ = folder_.File("test.db");
  SharedSeededRandom random_{20260102};
  const std::string key_text_ = NewKeyRingText(random_);
  const Keys keys_{key_text_};
};

// The same with a store that is open.
class OpenStoreTest : public StoreTest {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen() {
    store_.reset();
    ASSERT_OK_AND_ASSIGN(store_, OpenStore(keys_));
  }

  // Edits the file behind the store's back.
  void Edit(const std::string& sql) {
    store_.reset();
    RawDatabase(path_).Execute(sql);
    Reopen();
  }

  std::unique_ptr<CredentialStore> store_;
};

}  // namespace authurl::testing
