// crypto_environment.cc: linked into a test program, it calls InitCrypto() before the first test,
// as App does before it touches a key.
#include <gtest/gtest.h>

#include "core/crypto/crypto.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

class CryptoEnvironment final : public ::testing::Environment {
  void SetUp() override { ASSERT_OK(InitCrypto()); }
};

[[maybe_unused]] const ::testing::Environment* const kEnvironment =
    ::testing::AddGlobalTestEnvironment(new CryptoEnvironment);

}  // namespace
}  // namespace authurl::testing
