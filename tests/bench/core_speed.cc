// core_speed.cc: what core does for one GetAuthUrl, as a whole and part by part, on one thread.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/catalog/network_catalog.h"
#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/pkce.h"
#include "core/crypto/sealer.h"
#include "core/flow/auth_request.h"
#include "core/flow/auth_state.h"
#include "core/flow/auth_url.h"
#include "core/flow/flow_id.h"
#include "core/uri.h"
#include "tests/bench/example_call.h"
#include "tests/bench/figures.h"

namespace authurl::bench {
namespace {

// What a server has once it is started. The key ring holds one key, as that of a new deployment.
struct Fixture {
  const NetworkCatalog catalog = NetworkCatalog::Parse(BuiltInNetworksText()).value();
  const KeyRing keys = KeyRing::Parse(NewKeyRingText(FillRandom)).value();
  const Sealer sealer{keys};
  const RandomSource random = FillRandom;
  const absl::Time now = absl::FromUnixSeconds(1'795'435'200);
};

const Fixture& Started() {
  static const Fixture* const fixture = [] {
    if (!InitCrypto().ok()) std::abort();
    return new Fixture;
  }();
  return *fixture;
}

record::v1::SocialNetworkSettings SettingsFor(const std::string& network) {
  return ExampleSettings("acme-corporation", "sn_0123456789abcdefghjk", network);
}

// The state that GetAuthUrl seals for the example.
state::v1::AuthState StateFor(const std::string& network) {
  const record::v1::SocialNetworkSettings settings = SettingsFor(network);
  state::v1::AuthState state;
  state.set_org_id(settings.org_id());
  state.set_network(network);
  state.set_social_network_id(settings.id());
  state.set_social_network_version(1);
  state.set_tenant_id("customer_42");
  state.set_redirect_uri(kExampleRedirectUri);
  state.set_issued_at(1'795'435'200);
  state.set_expires_at(1'795'435'800);
  return state;
}

// Runs `work` as often as it takes, and keeps the compiler from leaving it out.
template <typename Work>
void Time(benchmark::State& state, const Work& work) {
  while (state.KeepRunning()) benchmark::DoNotOptimize(work());
}

// A call that was validated, and what it is answered from.
struct Prepared {
  explicit Prepared(const std::string& network)
      : request(ExampleRequest(network)), settings(SettingsFor(network)) {}

  v1::GetAuthUrlRequest request;
  record::v1::SocialNetworkSettings settings;
  AuthRequest valid = ValidateAuthRequest(Started().catalog, request).value();
  AuthRequest fitting = ForConfiguration(Started().catalog, valid, settings).value();
  ChosenRedirectUri redirect_uri =
      ChooseRedirectUri(fitting, settings, "", Started().sealer.keys()).value();
};

AuthUrl MintFor(const AuthRequest& request, const record::v1::SocialNetworkSettings& settings,
                const ChosenRedirectUri& redirect_uri) {
  const Fixture& server = Started();
  return MintAuthUrl(server.sealer, request, settings, redirect_uri, server.random, server.now,
                     absl::Minutes(10))
      .value();
}

// --- the whole ---

void GetAuthUrl(benchmark::State& state, const std::string& network) {
  const NetworkCatalog& catalog = Started().catalog;
  const Prepared call(network);
  Time(state, [&] {
    const auto valid = ValidateAuthRequest(catalog, call.request);
    const auto fitting = ForConfiguration(catalog, *valid, call.settings);
    const auto redirect_uri =
        ChooseRedirectUri(*fitting, call.settings, "", Started().sealer.keys());
    return MintFor(*fitting, call.settings, *redirect_uri);
  });
}

// --- its steps ---

void Validate(benchmark::State& state, const std::string& network) {
  const Prepared call(network);
  Time(state, [&] { return ValidateAuthRequest(Started().catalog, call.request); });
}

void FitConfiguration(benchmark::State& state, const std::string& network) {
  const Prepared call(network);
  Time(state, [&] { return ForConfiguration(Started().catalog, call.valid, call.settings); });
}

void ChooseUri(benchmark::State& state, const std::string& network) {
  const Prepared call(network);
  Time(state,
       [&] { return ChooseRedirectUri(call.fitting, call.settings, "", Started().sealer.keys()); });
}

void Mint(benchmark::State& state, const std::string& network) {
  const Prepared call(network);
  Time(state, [&] { return MintFor(call.fitting, call.settings, call.redirect_uri); });
}

// --- the steps of minting ---

void FreshNonce(benchmark::State& state) {
  Time(state, [&] { return NewNonce(Started().random); });
}

void SerializeState(benchmark::State& state, const std::string& network) {
  const state::v1::AuthState auth_state = StateFor(network);
  Time(state, [&] { return auth_state.SerializeAsString(); });
}

void SealState(benchmark::State& state, const std::string& network) {
  const state::v1::AuthState auth_state = StateFor(network);
  const Nonce nonce = NewNonce(Started().random);
  Time(state, [&] { return SealAuthState(Started().sealer, nonce, auth_state); });
}

void VerifierAndChallenge(benchmark::State& state) {
  const KeyRing& keys = Started().keys;
  const SecretKey& key = *keys.Find(keys.primary_id(), Purpose::kCodeVerifier);
  const Nonce nonce = NewNonce(Started().random);
  Time(state, [&] {
    return CodeChallenge(DeriveCodeVerifier(key, nonce),
                         catalog::v1::Pkce::CHALLENGE_ENCODING_BASE64URL);
  });
}

void BuildUrl(benchmark::State& state, const std::string& network) {
  const Prepared call(network);
  const Nonce nonce = NewNonce(Started().random);
  const std::string text = SealAuthState(Started().sealer, nonce, StateFor(network));
  const std::string challenge(43, 'c');
  Time(state, [&] {
    return BuildAuthUrl({call.fitting, call.settings, call.redirect_uri, text, challenge});
  });
}

void NameFlow(benchmark::State& state) {
  const Sealer& sealer = Started().sealer;
  const Nonce nonce = NewNonce(Started().random);
  const std::string org_id = SettingsFor("x").org_id();
  Time(state, [&] {
    return MakeFlowId(sealer, sealer.keys().primary_id(), nonce, org_id, Started().now);
  });
}

// --- the primitives they are made of ---

void Seal120(benchmark::State& state) {
  const KeyRing& keys = Started().keys;
  const SecretKey& key = *keys.Find(keys.primary_id(), Purpose::kAuthState);
  const Nonce nonce = NewNonce(Started().random);
  const std::string plaintext(120, 'p');
  std::string sealed;
  Time(state, [&] {
    sealed.clear();
    AeadSeal(key, nonce, plaintext, "abc", sealed);
    return sealed.size();
  });
}

void DeriveVerifierBytes(benchmark::State& state) {
  const KeyRing& keys = Started().keys;
  const SecretKey& key = *keys.Find(keys.primary_id(), Purpose::kCodeVerifier);
  const Nonce nonce = NewNonce(Started().random);
  Time(state, [&] { return DeriveFromNonce(key, nonce); });
}

void Sha256Verifier(benchmark::State& state) {
  Started();
  const std::string verifier(43, 'v');
  Time(state, [&] { return Sha256(verifier); });
}

void Base64Url162(benchmark::State& state) {
  const std::string bytes(162, '\xa5');
  Time(state, [&] { return Base64UrlEncode(bytes); });
}

void PercentEncodeState(benchmark::State& state) {
  const std::string text(216, 'a');
  Time(state, [&] { return PercentEncode(text); });
}

void PercentEncodeUri(benchmark::State& state) {
  const std::string text = kExampleRedirectUri;
  Time(state, [&] { return PercentEncode(text); });
}

void ParseUri(benchmark::State& state) {
  Time(state, [&] { return ParseRedirectUri(kExampleRedirectUri); });
}

BENCHMARK_CAPTURE(GetAuthUrl, x, "x");
BENCHMARK_CAPTURE(GetAuthUrl, youtube, "youtube");
BENCHMARK_CAPTURE(Validate, x, "x");
BENCHMARK_CAPTURE(FitConfiguration, x, "x");
BENCHMARK_CAPTURE(ChooseUri, x, "x");
BENCHMARK_CAPTURE(Mint, x, "x");
BENCHMARK_CAPTURE(Mint, youtube, "youtube");
BENCHMARK(FreshNonce);
BENCHMARK_CAPTURE(SerializeState, x, "x");
BENCHMARK_CAPTURE(SealState, x, "x");
BENCHMARK(VerifierAndChallenge);
BENCHMARK_CAPTURE(BuildUrl, x, "x");
BENCHMARK_CAPTURE(BuildUrl, youtube, "youtube");
BENCHMARK(NameFlow);
BENCHMARK(Seal120);
BENCHMARK(DeriveVerifierBytes);
BENCHMARK(Sha256Verifier);
BENCHMARK(Base64Url162);
BENCHMARK(PercentEncodeState);
BENCHMARK(PercentEncodeUri);
BENCHMARK(ParseUri);

// The table, and the fastest time of every benchmark over its repetitions: what other work on the
// machine adds is no property of the code.
class Reporter final : public benchmark::ConsoleReporter {
 public:
  Reporter() : ConsoleReporter(OO_None) {}

  void ReportRuns(const std::vector<Run>& runs) override {
    ConsoleReporter::ReportRuns(runs);
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
      const double time = run.GetAdjustedCPUTime();
      const auto [place, is_new] = fastest_.try_emplace(run.run_name.function_name, time);
      if (!is_new) place->second = std::min(place->second, time);
    }
  }

  // In microseconds; 0 where it did not run.
  double Fastest(const std::string& name) const {
    const auto found = fastest_.find(name);
    return found == fastest_.end() ? 0 : found->second / 1000;
  }

 private:
  std::map<std::string, double> fastest_;
};

}  // namespace
}  // namespace authurl::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  authurl::bench::Reporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  authurl::bench::PrintFigures({{"core_us_x", reporter.Fastest("GetAuthUrl/x")},
                                {"core_us_youtube", reporter.Fastest("GetAuthUrl/youtube")}});
  return 0;
}
