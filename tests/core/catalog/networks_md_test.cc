// core/NETWORKS.md, which is made here.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/catalog/network_catalog.h"
#include "core/catalog/network_description.h"
#include "core/catalog/network_entry.h"
#include "tests/support/temp_dir.h"

namespace authurl {
namespace {

using catalog::v1::Accounts;
using catalog::v1::Evidence;
using catalog::v1::Network;
using catalog::v1::Pkce;
using catalog::v1::Refresh;
using catalog::v1::Request;
using catalog::v1::Revocation;
using catalog::v1::StateRules;

class NetworksMdTest : public ::testing::Test {
 protected:
  const NetworkCatalog catalog_ = NetworkCatalog::Parse(BuiltInNetworksText()).value();
};

// Every entry, each followed by its variants.
std::vector<std::pair<std::string, const Network*>> AllNetworks(const NetworkCatalog& catalog) {
  std::vector<std::pair<std::string, const Network*>> all;
  for (const Network* network : catalog.networks()) {
    all.emplace_back(network->id(), network);
    for (const auto& variant : network->variants()) {
      all.emplace_back(absl::StrCat(network->id(), "/", variant.id()),
                       catalog.FindVariant(network->id(), variant.id()));
    }
  }
  return all;
}

std::string Code(absl::string_view text) { return absl::StrCat("`", text, "`"); }

// As they are sent, under their parameter where that has another name than "scope".
std::string ScopesCell(const Network& network) {
  const auto& params = network.configuration_params();
  for (const auto& param : params) {
    if (param.required() && param.replaces_scopes()) return absl::StrCat("by ", Code(param.name()));
  }
  if (network.scopes().defaults().empty()) return "none";
  const std::string cell = Code(absl::StrReplaceAll(
      absl::StrJoin(network.scopes().defaults(), network.scopes().separator()), {{"|", "\\|"}}));
  if (network.scopes().param() == "scope") return cell;
  return absl::StrCat(cell, " as ", Code(network.scopes().param()));
}

std::string EndpointCell(const Network& network) {
  const std::string& endpoint = network.authorization_endpoint();
  return absl::StrContains(endpoint, '{') ? Code(endpoint) : absl::StrCat("<", endpoint, ">");
}

std::string Row(const std::string& name, const Network& network) {
  const auto mode = network.pkce().mode();
  const std::string pkce =
      mode == Pkce::MODE_NONE
          ? "no"
          : absl::StrCat(mode == Pkce::MODE_REQUIRED ? "required" : "yes",
                         network.pkce().challenge_encoding() == Pkce::CHALLENGE_ENCODING_HEX
                             ? ", in hexadecimal"
                             : "");
  const auto& state = network.state();
  const std::string limit = absl::StrCat(
      state.max_length() == 0 ? "" : absl::StrCat(state.max_length(), " characters"),
      state.max_length() != 0 && state.alphabet() != 0 ? ", " : "",
      state.alphabet() == StateRules::ALPHABET_ALPHANUMERIC ? "letters and digits" : "");
  const std::string selection =
      absl::StrJoin(network.account_selection_params(), ", ", [](std::string* out, const auto& p) {
        absl::StrAppend(out, Code(absl::StrCat(p.name(), "=", p.value())));
      });
  const std::string documentation =
      network.documentation().empty() ? "" : absl::StrCat("[page](", network.documentation(0), ")");
  const std::vector<std::string> cells = {Code(name),
                                          network.display_name(),
                                          EndpointCell(network),
                                          Code(network.client_id_param()),
                                          ScopesCell(network),
                                          pkce,
                                          limit,
                                          DescribeRedirectUriRules(network).description(),
                                          selection,
                                          documentation};
  return absl::StrCat("| ", absl::StrJoin(cells, " | "), " |\n");
}

std::string NameOf(Evidence evidence) {
  switch (evidence) {
    case catalog::v1::EVIDENCE_LIVE:
      return "LIVE";
    case catalog::v1::EVIDENCE_DOCS:
      return "DOCS";
    case catalog::v1::EVIDENCE_CLIENT_CODE:
      return "CLIENT";
    case catalog::v1::EVIDENCE_GUESS:
      return "GUESS";
    default:
      return "?";
  }
}

// A life that people can read.
std::string Life(uint32_t seconds) {
  if (seconds == 0) return "";
  if (seconds >= 2 * 86400) return absl::StrCat(seconds / 86400, " days");
  if (seconds >= 2 * 3600) return absl::StrCat(seconds / 3600, " h");
  if (seconds >= 2 * 60) return absl::StrCat(seconds / 60, " min");
  return absl::StrCat(seconds, " s");
}

std::string WayOf(const Request& request) {
  std::vector<std::string> parts;
  switch (request.client_auth()) {
    case Request::CLIENT_AUTH_SECRET_BASIC:
    case Request::CLIENT_AUTH_SECRET_BASIC_PLAIN:
      parts.emplace_back("Basic");
      break;
    case Request::CLIENT_AUTH_SECRET_POST:
      parts.emplace_back("secret among the parameters");
      break;
    case Request::CLIENT_AUTH_PRIVATE_KEY_JWT:
      parts.emplace_back("assertion");
      break;
    default:
      parts.emplace_back("no secret");
  }
  if (request.encoding() == Request::ENCODING_JSON) parts.emplace_back("JSON");
  if (request.encoding() == Request::ENCODING_QUERY) parts.emplace_back("query");
  return absl::StrJoin(parts, ", ");
}

std::string RefreshCell(const Network& network) {
  if (!network.has_refresh()) return "no";
  const Refresh& refresh = network.refresh();
  std::vector<std::string> parts;
  switch (refresh.rotation()) {
    case Refresh::ROTATION_NEVER:
      parts.emplace_back("stays the same");
      break;
    case Refresh::ROTATION_SOMETIMES:
      parts.emplace_back("may change");
      break;
    case Refresh::ROTATION_ALWAYS:
      parts.emplace_back("always new");
      break;
    default:
      parts.emplace_back("prolongs the access token");
  }
  if (refresh.single_use()) parts.emplace_back("works once");
  if (refresh.reuse_ends_grant()) parts.emplace_back("reuse ends the grant");
  if (refresh.access_token_lifetime_s() != 0) {
    parts.push_back(absl::StrCat("access token ", Life(refresh.access_token_lifetime_s())));
  }
  if (refresh.refresh_token_lifetime_s() != 0) {
    parts.push_back(absl::StrCat("refresh token ", Life(refresh.refresh_token_lifetime_s()),
                                 refresh.lifetime_from_consent() ? " from consent" : ""));
  }
  return absl::StrCat(absl::StrJoin(parts, ", "), " · ", NameOf(refresh.evidence()));
}

std::string ProfileCell(const Network& network) {
  if (!network.has_profile()) return "no";
  const auto& profile = network.profile();
  const std::string source = profile.source() == catalog::v1::Profile::SOURCE_REQUEST ? "request"
                             : profile.source() == catalog::v1::Profile::SOURCE_ID_TOKEN
                                 ? "ID token"
                                 : "token answer";
  return absl::StrCat(source, " · ", NameOf(profile.evidence()));
}

std::string AccountsCell(const Network& network) {
  if (!network.has_accounts()) return "";
  const Accounts& accounts = network.accounts();
  return absl::StrCat(accounts.what(),
                      accounts.when() == Accounts::WHEN_CONNECTING ? "" : ", with each post", " · ",
                      NameOf(accounts.evidence()));
}

std::string RevocationCell(const Network& network) {
  if (!network.has_revocation()) return "no";
  const Revocation& revocation = network.revocation();
  std::string ends = "this connection";
  if (revocation.ends() == Revocation::ENDS_ALL_OF_PERSON)
    ends = "all of the person's with the app";
  if (revocation.ends() == Revocation::ENDS_SHARED_TOKEN) ends = "all with the same token";
  return absl::StrCat("ends ", ends, " · ", NameOf(revocation.evidence()));
}

std::string CompletingRow(const std::string& name, const Network& network) {
  const auto& exchange = network.exchange();
  const std::vector<std::string> cells = {
      Code(name),
      Life(network.callback().code_lifetime_s()),
      absl::StrCat(WayOf(exchange.request()), " · ", NameOf(exchange.evidence())),
      network.has_long_lived() ? NameOf(network.long_lived().evidence()) : "",
      RefreshCell(network),
      ProfileCell(network),
      AccountsCell(network),
      RevocationCell(network)};
  return absl::StrCat("| ", absl::StrJoin(cells, " | "), " |\n");
}

// What has variables is not an address yet, so it is no link.
TEST_F(NetworksMdTest, LinksOnlyWhatCanBeOpened) {
  EXPECT_EQ(EndpointCell(*catalog_.Find("x")), "<https://x.com/i/oauth2/authorize>");
  EXPECT_EQ(EndpointCell(*catalog_.Find("mastodon")), "`https://{instance}/oauth/authorize`");
}

// core/NETWORKS.md. To write it anew: AUTHURL_UPDATE_GOLDEN=1.
TEST_F(NetworksMdTest, IsMadeFromTheCatalog) {
  std::string text =
      "# The networks\n\n"
      "Made from catalog/networks by the test `NetworksMdTest.IsMadeFromTheCatalog`; not "
      "to be edited.\n\n"
      "| id or id/variant | network | authorization endpoint | client id | default scopes | PKCE "
      "(S256) | state | "
      "redirect URI | account selection | documentation |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n";
  std::string completing =
      "\n## Completing a flow\n\n"
      "Each step with where its facts come from: LIVE (seen at the network), DOCS (its "
      "documentation), CLIENT (well-kept "
      "programs of others), GUESS. The tests hold the code to the same facts: they prove that both "
      "agree, and not that the "
      "network does.\n\n"
      "| id or id/variant | code lives | exchange | long-lived | refresh | profile | accounts | "
      "revocation |\n"
      "|---|---|---|---|---|---|---|---|\n";
  std::string others =
      "\n## Without a URL to hand out\n\n| id | network | what to do instead |\n|---|---|---|\n";
  for (const auto& [name, network] : AllNetworks(catalog_)) {
    if (HasAuthUrl(*network)) {
      absl::StrAppend(&text, Row(name, *network));
      absl::StrAppend(&completing, CompletingRow(name, *network));
    } else {
      absl::StrAppend(&others, "| ", Code(name), " | ", network->display_name(), " | ",
                      network->status_note(), " |\n");
    }
  }
  absl::StrAppend(&text, completing, others);
  const std::string path = absl::StrCat(AUTHURL_SOURCE_DIR, "/core/NETWORKS.md");
  if (std::getenv("AUTHURL_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  EXPECT_EQ(text, testing::ReadFile(path));
}

}  // namespace
}  // namespace authurl
