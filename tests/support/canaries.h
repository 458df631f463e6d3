// canaries.h: what a test lets in, or finds out, and must never see again: a base of fixtures.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"
#include "tests/support/temp_dir.h"

namespace authurl::testing {

class Canaries {
 protected:
  // A new secret. What it is for is a part of it.
  std::string NewSecret(absl::string_view name) {
    KeepSecret(absl::StrCat("canary-", name, "-", HexEncode(AsChars(NewNonce(FillRandom)))));
    return secrets_.back();
  }
  void KeepSecret(absl::string_view secret) { secrets_.emplace_back(secret); }

  // Remembers all that a caller saw.
  void Seen(absl::string_view text) { absl::StrAppend(&seen_, text, "\n"); }
  template <typename Response>
  absl::StatusOr<Response> Seen(absl::StatusOr<Response> reply) {
    if (reply.ok()) Seen(reply->SerializeAsString());
    if (!reply.ok()) Seen(reply.status());
    return reply;
  }
  void Seen(const absl::Status& status) {
    Seen(status.ToString());
    status.ForEachPayload(
        [this](absl::string_view, const absl::Cord& payload) { Seen(std::string(payload)); });
  }
  // But for the one field that the reply is for.
  template <typename Response>
  absl::StatusOr<Response> SeenWithout(void (Response::*clear)(), absl::StatusOr<Response> reply) {
    if (!reply.ok()) {
      Seen(reply.status());
      return reply;
    }
    Response rest = *reply;
    (rest.*clear)();
    Seen(rest.SerializeAsString());
    return reply;
  }
  const std::string& seen() const { return seen_; }

  void ExpectNoSecretIn(absl::string_view place, absl::string_view content) const {
    for (const std::string& secret : secrets_) {
      EXPECT_FALSE(absl::StrContains(content, secret)) << place << " holds " << secret;
      const std::string encoded = Base64UrlEncode(secret);
      EXPECT_FALSE(absl::StrContains(content, encoded)) << place << " holds " << encoded;
    }
  }
  // Of a folder, those whose names begin so. Which there are.
  std::vector<std::string> ExpectNoSecretInFiles(const std::string& folder,
                                                 absl::string_view prefix = "") const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      if (!absl::StartsWith(name, prefix)) continue;
      ExpectNoSecretIn(name, ReadFile(entry.path().string()));
      names.push_back(name);
    }
    return names;
  }

 private:
  std::vector<std::string> secrets_;
  std::string seen_;
};

}  // namespace authurl::testing
