#include "server/serving/tls.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <string>
#include <utility>

namespace authurl {
namespace {

// grpc::SslServerCredentials can't change its certificate; gRPC's C interface, which it is made of,
// asks for one at each handshake.
class ReloadedCredentials final : public grpc::ServerCredentials {
 public:
  ReloadedCredentials(const TlsPaths& paths, std::shared_ptr<const TlsFiles> files,
                      absl::Duration interval)
      : files_(paths, std::move(files), interval),
        credentials_(grpc_ssl_server_credentials_create_with_options(
            grpc_ssl_server_credentials_create_options_using_config_fetcher(
                paths.tls_client_ca_file.empty()
                    ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                    : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY,
                &Fetch, this))) {}
  ~ReloadedCredentials() override { grpc_server_credentials_release(credentials_); }
  ReloadedCredentials(const ReloadedCredentials&) = delete;
  ReloadedCredentials& operator=(const ReloadedCredentials&) = delete;

  // We read metadata ourselves.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // gRPC calls it once at a time, at the start and before each handshake.
  static grpc_ssl_certificate_config_reload_status Fetch(
      void* self, grpc_ssl_server_certificate_config** config) {
    auto& credentials = *static_cast<ReloadedCredentials*>(self);
    std::shared_ptr<const TlsFiles> files = credentials.files_.current();
    if (files == credentials.fetched_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {files->key.c_str(), files->certificate.c_str()};
    // gRPC 1.51 insists on authorities, also where no client is asked for a certificate: any do.
    const std::string& authorities =
        files->client_ca.empty() ? files->certificate : files->client_ca;
    *config = grpc_ssl_server_certificate_config_create(authorities.c_str(), &pair, 1);
    credentials.fetched_ = std::move(files);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const TlsFilesWatch files_;
  grpc_server_credentials* const credentials_;
  // What gRPC has now.
  std::shared_ptr<const TlsFiles> fetched_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsPaths& paths, absl::Duration interval) {
  if (paths.tls_cert_file.empty()) return grpc::InsecureServerCredentials();
  absl::StatusOr<std::shared_ptr<const TlsFiles>> files = ReadTlsFiles(paths);
  if (!files.ok()) return files.status();
  return std::make_shared<ReloadedCredentials>(paths, *std::move(files), interval);
}

}  // namespace authurl
