// What strangers may send: refused or closed in time, without harm to others or to memory.
#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/build_kind.h"
#include "tests/support/callers.h"
#include "tests/support/raw_connection.h"
#include "tests/support/server_process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_client.h"

namespace authurl::testing {
namespace {

using ::testing::_;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kGetAuthUrl[] = "/authurl.v1.AuthUrlService/GetAuthUrl";
constexpr char kHttp2Preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr size_t kKiB = 1024;
constexpr int64_t kMaxGrowth = 50 * kMiB;

// A message whose only field holds `size` zeros.
std::string MessageOfZeros(size_t size) {
  v1::GetAuthUrlRequest request;
  request.set_network(std::string(size, '\0'));
  return request.SerializeAsString();
}

// Calls of reflection that were begun and are not ended, each over a connection with others.
class OpenStreams final {
 public:
  OpenStreams(const std::string& address, int count) : stub_(NewChannel(address)) {
    for (int i = 0; i < count; ++i) {
      contexts_.push_back(std::make_unique<grpc::ClientContext>());
      calls_.push_back(stub_.PrepareCall(
          contexts_.back().get(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
          &queue_));
      calls_.back()->StartCall(this);
    }
    for (int i = 0; i < count; ++i) WaitForOne();
  }
  ~OpenStreams() {
    for (size_t i = 0; i < calls_.size(); ++i) {
      contexts_[i]->TryCancel();
      calls_[i]->Finish(&status_, this);
      WaitForOne();
    }
  }
  OpenStreams(const OpenStreams&) = delete;
  OpenStreams& operator=(const OpenStreams&) = delete;

 private:
  void WaitForOne() {
    void* tag = nullptr;
    bool ok = false;
    queue_.Next(&tag, &ok);
  }

  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  grpc::Status status_;
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts_;
  std::vector<std::unique_ptr<grpc::GenericClientAsyncReaderWriter>> calls_;
};

// A server, and an honest client that gets URLs all the time. At the end it must not have noticed
// anything, and the server must not have grown.
class LimitsTest : public ::testing::Test {
 protected:
  void Start(const ServerProcess::Flags& flags = {}, int max_open_files = 0) {
    ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(folder_, flags, max_open_files));
    const TestClient admin(server_->address(), folder_.admin_key());
    ASSERT_OK_AND_ASSIGN(demo_, CreateDemoOrganization(admin, "demo"));
  }

  void StartHonestClient() {
    const TestClient honest = NewClient();
    honest_ = std::make_unique<Callers>(
        2, [honest](int) { return honest.GetAuthUrl(ExampleAuthUrlRequest()).status(); });
    ASSERT_TRUE(Eventually([this] { return honest_->ended() > 500; }));
    resident_before_ = server_->ResidentBytes();
  }

  void ExpectNoHarm() {
    const int64_t ended = honest_->ended();
    EXPECT_TRUE(Eventually([&] { return honest_->ended() > ended + 100; }));
    for (const auto& [code, ending] : honest_->Stop()) {
      EXPECT_EQ(code, absl::StatusCode::kOk) << ending.calls << ": " << ending.first_message;
    }
    if (!kSanitized) {
      EXPECT_LT(server_->ResidentBytes() - resident_before_, kMaxGrowth);
    }
    EXPECT_OK(NewClient().GetAuthUrl(ExampleAuthUrlRequest()));
    EXPECT_EQ(*server_->Stop(), 0);
  }

  // Over a connection of its own.
  TestClient NewClient() const { return TestClient(server_->address(), demo_.org_key); }

  ServerFolder folder_;
  DemoOrganization demo_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Callers> honest_;
  int64_t resident_before_ = 0;
};

TEST_F(LimitsTest, MessagesOfAMebibyteAreRefused) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StartHonestClient());
  const TestClient client = NewClient();
  const std::string message = MessageOfZeros(kMiB);
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(client.CallBytes(kGetAuthUrl, message),
                StatusIs(absl::StatusCode::kResourceExhausted, _));
  }
  // The connection survives it.
  EXPECT_OK(client.GetAuthUrl(ExampleAuthUrlRequest()));
  ExpectNoHarm();
}

TEST_F(LimitsTest, MessageJustUnderTheLimitIsRead) {
  ASSERT_NO_FATAL_FAILURE(Start());
  v1::GetAuthUrlRequest request = ExampleAuthUrlRequest();
  request.set_tenant_id(std::string(63 * kKiB, 'a'));
  const auto refused = NewClient().GetAuthUrl(request);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, _));
  EXPECT_THAT(refused, HasViolation("tenant_id", _));
  EXPECT_EQ(*server_->Stop(), 0);
}

TEST_F(LimitsTest, SixteenKibibytesOfMetadataAreRefused) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StartHonestClient());
  const TestClient client = NewClient();
  for (int i = 0; i < 50; ++i) {
    EXPECT_THAT(client.WithMetadata({{"x-noise", std::string(16 * kKiB, 'a')}})
                    .GetAuthUrl(ExampleAuthUrlRequest()),
                StatusIs(absl::StatusCode::kResourceExhausted, _));
  }
  TestClient::Metadata many;
  for (int i = 0; i < 1024; ++i) many[absl::StrCat("x-noise-", i)] = "16 bytes of text";
  EXPECT_THAT(client.WithMetadata(many).GetAuthUrl(ExampleAuthUrlRequest()),
              StatusIs(absl::StatusCode::kResourceExhausted, _));
  EXPECT_OK(client.GetAuthUrl(ExampleAuthUrlRequest()));
  ExpectNoHarm();
}

TEST_F(LimitsTest, AMebibyteOfMetadataHarmsOnlyItsOwnConnection) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StartHonestClient());
  for (int i = 0; i < 10; ++i) {
    EXPECT_THAT(NewClient()
                    .WithMetadata({{"x-noise", std::string(kMiB, 'a')}})
                    .GetAuthUrl(ExampleAuthUrlRequest())
                    .status()
                    .code(),
                AnyOf(absl::StatusCode::kResourceExhausted, absl::StatusCode::kUnavailable,
                      absl::StatusCode::kInternal));
  }
  ExpectNoHarm();
}

TEST_F(LimitsTest, GzipBombsAreRefusedUnopened) {
  ASSERT_NO_FATAL_FAILURE(Start());
  ASSERT_NO_FATAL_FAILURE(StartHonestClient());
  const TestClient client = NewClient();
  // Some 60 KiB on the wire.
  const std::string bomb = MessageOfZeros((kSanitized ? 8 : 60) * kMiB);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(client.CallBytes(kGetAuthUrl, bomb, GRPC_COMPRESS_GZIP),
                StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("gzip")));
  }
  EXPECT_OK(client.GetAuthUrl(ExampleAuthUrlRequest()));
  ExpectNoHarm();
}

TEST_F(LimitsTest, SilentConnectionsAreClosed) {
  ASSERT_NO_FATAL_FAILURE(Start({"--handshake_timeout=300ms"}));
  ASSERT_NO_FATAL_FAILURE(StartHonestClient());
  std::vector<RawConnection> connections;
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(connections.emplace_back(server_->address()).connected());
    // A third says nothing, a third half of the greeting, a third the greeting and nothing more.
    const absl::string_view preface(kHttp2Preface);
    EXPECT_TRUE(connections.back().Send(preface.substr(0, preface.size() * (i % 3) / 2)));
  }
  for (const RawConnection& connection : connections) {
    EXPECT_TRUE(connection.WaitUntilClosed(kPatience));
  }
  ExpectNoHarm();
}

TEST_F(LimitsTest, NoiseIsClosed) {
  ASSERT_NO_FATAL_FAILURE(Start({"--handshake_timeout=300ms"}));
  ASSERT_NO_FATAL_FAILURE(StartHonestClient());
  for (const char* noise : {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "\x16\x03\x01\x02\x00",
                            "SSH-2.0-OpenSSH_9.2\r\n"}) {
    const RawConnection connection(server_->address());
    ASSERT_TRUE(connection.connected());
    EXPECT_TRUE(connection.Send(noise));
    EXPECT_TRUE(connection.WaitUntilClosed(kPatience)) << noise;
  }
  ExpectNoHarm();
}

TEST_F(LimitsTest, ConnectionsOverTheLimitAreClosed) {
  ASSERT_NO_FATAL_FAILURE(Start({"--max_connections=20", "--handshake_timeout=1m"}));
  ASSERT_NO_FATAL_FAILURE(StartHonestClient());
  std::vector<RawConnection> connections;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(connections.emplace_back(server_->address()).connected());
    EXPECT_TRUE(connections.back().Send(kHttp2Preface));
  }
  EXPECT_TRUE(connections.back().WaitUntilClosed(kPatience));
  connections.clear();
  // There is room again once they are gone.
  EXPECT_TRUE(Eventually([this] { return NewClient().GetAuthUrl(ExampleAuthUrlRequest()).ok(); }));
  ExpectNoHarm();
}

TEST_F(LimitsTest, SilentConnectionsTakeNoRoomFromOthers) {
  ASSERT_NO_FATAL_FAILURE(
      Start({"--max_connections=20", "--max_handshakes=10", "--handshake_timeout=1m"}));
  ASSERT_NO_FATAL_FAILURE(StartHonestClient());
  std::vector<RawConnection> connections;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(connections.emplace_back(server_->address()).connected());
  }
  EXPECT_OK(NewClient().GetAuthUrl(ExampleAuthUrlRequest()));
  ExpectNoHarm();
}

TEST_F(LimitsTest, FewFileDescriptorsMeanFewerConnectionsAndTheLogSaysSo) {
  constexpr int kMaxOpenFiles = 176;
  ASSERT_NO_FATAL_FAILURE(Start({"--handshake_timeout=1m"}, kMaxOpenFiles));
  EXPECT_THAT(server_->Log(),
              AllOf(HasSubstr("\"event\":\"fewer_connections\""),
                    HasSubstr("\"open_files\":176,\"max_connections\":36,"
                              "\"max_connections_wanted\":4096,\"max_handshakes\":6")));
  ASSERT_NO_FATAL_FAILURE(StartHonestClient());
  for (const char* says : {"", kHttp2Preface}) {
    std::vector<RawConnection> connections;
    for (int i = 0; i < 2 * kMaxOpenFiles; ++i) {
      ASSERT_TRUE(connections.emplace_back(server_->address()).connected());
      // It may be closed by now.
      (void)connections.back().Send(says);
    }
    connections.clear();
    EXPECT_TRUE(
        Eventually([this] { return NewClient().GetAuthUrl(ExampleAuthUrlRequest()).ok(); }));
  }
  EXPECT_THAT(server_->Log(), Not(HasSubstr("out_of_descriptors")));
  ExpectNoHarm();
}

TEST_F(LimitsTest, StreamsOfReflectionTakeABoundedNumberOfThreads) {
  ASSERT_NO_FATAL_FAILURE(Start({"--reflection"}));
  ASSERT_NO_FATAL_FAILURE(StartHonestClient());
  const int before = server_->Threads();
  std::vector<std::unique_ptr<OpenStreams>> streams;
  for (int i = 0; i < 4; ++i) {
    streams.push_back(std::make_unique<OpenStreams>(server_->address(), 100));
  }
  absl::SleepFor(absl::Seconds(1));
  EXPECT_LE(server_->Threads() - before, 40);
  streams.clear();
  ExpectNoHarm();
}

TEST_F(LimitsTest, BytesThatAreNoMessageAreAnInvalidArgument) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const TestClient client = NewClient();
  const std::string no_utf8("\x0a\x02\xc3\x28", 4);  // Field 1 (network): no UTF-8.
  const std::string torn("\x0a\x7f", 2);             // Says 127 bytes follow.
  for (const std::string& bytes : {no_utf8, torn, std::string(1000, '\xff')}) {
    const auto refused = client.CallBytes(kGetAuthUrl, bytes);
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument, _));
    EXPECT_THAT(refused, HasReason("INVALID_PAYLOAD"));
  }
  EXPECT_OK(client.GetAuthUrl(ExampleAuthUrlRequest()));
  EXPECT_EQ(*server_->Stop(), 0);
}

TEST_F(LimitsTest, UnknownMethodsAreUnimplemented) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const TestClient client = NewClient();
  for (const char* method : {"/authurl.v1.AuthUrlService/Absent", "/absent.Service/GetAuthUrl",
                             "/x", "/authurl.v1.AuthUrlService/getAuthUrl"}) {
    EXPECT_THAT(client.CallBytes(method, ""), StatusIs(absl::StatusCode::kUnimplemented, _));
  }
  EXPECT_OK(client.GetAuthUrl(ExampleAuthUrlRequest()));
  EXPECT_EQ(*server_->Stop(), 0);
}

}  // namespace
}  // namespace authurl::testing
