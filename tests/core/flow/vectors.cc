#include "tests/core/flow/vectors.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/crypto/crypto.h"
#include "tests/support/build_kind.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {
namespace {

const NetworkCatalog& Catalog() {
  static const auto* const catalog =
      new NetworkCatalog(NetworkCatalog::Parse(BuiltInNetworksText()).value());
  return *catalog;
}

std::vector<Vector> Load() {
  std::vector<std::filesystem::path> files;
  const std::string folder = absl::StrCat(AUTHURL_SOURCE_DIR, "/tests/core/flow/vectors");
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (file.path().extension() == ".json") files.push_back(file.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Vector> vectors;
  for (const std::filesystem::path& file : files) {
    const Json parsed = Json::parse(ReadFile(file.string()), nullptr, /*allow_exceptions=*/true,
                                    /*ignore_comments=*/true);
    for (const Json& one : parsed) {
      const std::string variant = one.value("variant", "");
      const std::string name =
          absl::StrCat(one.at("network").get<std::string>(), variant.empty() ? "" : "/", variant);
      const std::string kind = one.value("case", "");
      vectors.push_back({name, absl::StrCat(name, kind.empty() ? "" : "_", kind), one});
    }
  }
  return vectors;
}

void CopyTexts(const Json& from, google::protobuf::Map<std::string, std::string>& to) {
  for (const auto& [name, value] : from.items()) to[name] = value.get<std::string>();
}

}  // namespace

const std::vector<Vector>& AllVectors() {
  static const auto* const vectors = new std::vector<Vector>(Load());
  return *vectors;
}

const Json& ObjectOf(const Json& object, const std::string& name) {
  static const Json empty = Json::object();
  return object.contains(name) ? object[name] : empty;
}

const Json& ListOf(const Json& object, const std::string& name) {
  static const Json empty = Json::array();
  return object.contains(name) ? object[name] : empty;
}

std::string UnsignedJwt(const Json& claims) {
  return absl::StrCat(Base64UrlEncode(R"({"alg":"RS256","kid":"k1"})"), ".",
                      Base64UrlEncode(claims.dump()), ".", Base64UrlEncode("signature"));
}

std::vector<Vector> PlayedVectors() {
  const std::vector<Vector>& all = AllVectors();
  if (!kSanitized) return all;
  std::vector<Vector> some;
  for (size_t i = 0; i < all.size(); i += 5) some.push_back(all[i]);
  return some;
}

VectorFlow::VectorFlow(const Vector& vector) : vector_(vector) {
  network_ =
      Catalog().FindVariant(json().at("network").get<std::string>(), json().value("variant", ""));
  const Json& settings = ObjectOf(json(), "settings");
  settings_.set_network(json().at("network").get<std::string>());
  settings_.set_client_key(settings.value("client_key", std::string(kClientKey)));
  settings_.set_instance(settings.value("instance", ""));
  CopyTexts(ObjectOf(settings, "extra_params"), *settings_.mutable_extra_params());
  CopyTexts(ObjectOf(settings, "variables"), *settings_.mutable_variables());
  const bool is_public = settings.contains("client_secret") && settings["client_secret"].is_null();
  if (!is_public) secret_ = settings.value("client_secret", std::string(kClientSecret));
}

FlowValues VectorFlow::ExchangeValues() const {
  FlowValues values;
  values.Set("code", kCode);
  values.Set("redirect_uri", kRedirectUri);
  values.Set("state", kState);
  if (network().pkce().mode() != catalog::v1::Pkce::MODE_NONE) {
    values.Set("code_verifier", kCodeVerifier);
  }
  const Json& callback = ObjectOf(json(), "callback");
  for (const std::string& name : network().callback().kept()) {
    if (!callback.contains(name)) continue;
    values.Set(absl::StrCat("kept.", name), callback[name].get<std::string>());
  }
  return values;
}

std::map<std::string, std::string> VectorFlow::Kept() const {
  std::map<std::string, std::string> kept;
  const Json& callback = ObjectOf(json(), "callback");
  for (const std::string& name : network().callback().kept()) {
    if (callback.contains(name)) kept[name] = callback[name].get<std::string>();
  }
  const Json& successes = ListOf(ObjectOf(json(), "exchange"), "success");
  if (successes.empty()) return kept;
  const Json& tokens = ObjectOf(successes[0], "tokens");
  for (const auto& [name, value] : ObjectOf(tokens, "kept").items()) {
    kept[name] = value.get<std::string>();
  }
  return kept;
}

FlowValues VectorFlow::LaterValues(const Json& step) const {
  FlowValues later;
  later.Set("access_token", kAccessToken);
  later.Set("refresh_token", kRefreshToken);
  later.Set("redirect_uri", kRedirectUri);
  for (const auto& [name, value] : Kept()) later.Set(absl::StrCat("kept.", name), value);
  const Json& successes = ListOf(ObjectOf(json(), "exchange"), "success");
  if (!successes.empty()) {
    later.Set("subject", ObjectOf(successes[0], "tokens").value("subject", ""));
  }
  later.Set("subject", step.value("subject", ""));
  return later;
}

Answer VectorFlow::Callback() const {
  std::map<std::string, std::string> parameters;
  for (const auto& [name, value] : ObjectOf(json(), "callback").items()) {
    parameters[name] = value.is_string() ? value.get<std::string>() : value.dump();
  }
  return Answer::OfParameters(parameters);
}

std::string VectorFlow::IdToken() const {
  if (!json().contains("id_token")) return "";
  Json claims = json()["id_token"];
  claims["iat"] = absl::ToUnixSeconds(kNow);
  claims["exp"] = absl::ToUnixSeconds(kNow + absl::Hours(1));
  claims["nonce"] = "nonce-1";
  return UnsignedJwt(claims);
}

std::string VectorFlow::BodyOf(const Json& answer) const {
  const Json& body = answer.at("body");
  const std::string text = body.is_string() ? body.get<std::string>() : body.dump();
  return absl::StrReplaceAll(text, {{"{id_token}", IdToken()}});
}

}  // namespace authurl::testing
