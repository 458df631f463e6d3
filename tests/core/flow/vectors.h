// vectors.h: the vectors in this folder (its README.md has their format), and the values of every
// flow.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "core/catalog/network_catalog.h"
#include "core/flow/request_builder.h"
#include "core/flow/token_response.h"
#include "tests/support/test_time.h"

namespace authurl::testing {

using Json = nlohmann::ordered_json;

inline constexpr absl::string_view kClientKey = "app/1";
inline constexpr absl::string_view kClientSecret = "s3cret/+1";
inline constexpr absl::string_view kCode = "code/+1";
inline constexpr absl::string_view kRedirectUri = "https://app.example.com/cb?x=1";
inline constexpr absl::string_view kCodeVerifier = "verifier-0123456789-0123456789-0123456789-0";
inline constexpr absl::string_view kState = "state-1";
inline constexpr absl::string_view kAccessToken = "at/+1";
inline constexpr absl::string_view kRefreshToken = "rt/+1";

// The vectors of one network or variant.
struct Vector {
  std::string name;   // "slack", "slack/user"
  std::string title;  // The same with what sets it apart from others of that name.
  friend std::ostream& operator<<(std::ostream& out, const Vector& vector) {
    return out << vector.title;
  }
  Json json;
};

// All of them, in the order of their files' names.
const std::vector<Vector>& AllVectors();

// For tests that play a network's whole flow: all of them, or with a sanitizer, where each takes
// ten times as long, one in five.
std::vector<Vector> PlayedVectors();

// One of them with what its flow is made of.
class VectorFlow final {
 public:
  explicit VectorFlow(const Vector& vector);

  const Json& json() const { return vector_.json; }
  const catalog::v1::Network& network() const { return *network_; }
  const record::v1::SocialNetworkSettings& settings() const { return settings_; }
  OAuthClient client() const { return {.settings = settings_, .secret = secret_}; }

  // Of the exchange.
  FlowValues ExchangeValues() const;
  // Of a step after it: with the tokens, and the subject and what is kept of the first success.
  FlowValues LaterValues(const Json& step) const;
  // What is kept with the grant then.
  std::map<std::string, std::string> Kept() const;
  // The callback's parameters.
  Answer Callback() const;

  // The ID token that comes with the exchange; empty where there is none.
  std::string IdToken() const;
  // "{id_token}" stands for it.
  std::string BodyOf(const Json& answer) const;

 private:
  const Vector& vector_;
  const catalog::v1::Network* network_;
  record::v1::SocialNetworkSettings settings_;
  std::string secret_;
};

// The member of that name; an empty object where there is none, or an empty array for ListOf().
const Json& ObjectOf(const Json& object, const std::string& name);
const Json& ListOf(const Json& object, const std::string& name);

// A JWT with these claims that nobody signed.
std::string UnsignedJwt(const Json& claims);

}  // namespace authurl::testing
