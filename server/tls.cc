#include "server/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/files.h"

namespace authurl {
namespace {

absl::Status Unusable(absl::string_view flag, const std::string& path, absl::string_view why) {
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat("--", flag, " ", path, " ", why));
}

// gRPC itself would fail at the first handshake, and silently.
absl::Status CheckPemFiles(const Config& config) {
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_server_method()),
                                                                  &SSL_CTX_free);
  if (context == nullptr) return absl::InternalError("OpenSSL does not work");
  if (SSL_CTX_use_certificate_chain_file(context.get(), config.tls_cert_file.c_str()) != 1) {
    return Unusable("tls_cert_file", config.tls_cert_file, "holds no certificate in PEM");
  }
  if (SSL_CTX_use_PrivateKey_file(context.get(), config.tls_key_file.c_str(), SSL_FILETYPE_PEM) !=
          1 ||
      SSL_CTX_check_private_key(context.get()) != 1) {
    return Unusable("tls_key_file", config.tls_key_file,
                    "holds no private key in PEM that belongs to the certificate");
  }
  if (!config.tls_client_ca_file.empty() &&
      SSL_CTX_load_verify_locations(context.get(), config.tls_client_ca_file.c_str(), nullptr) !=
          1) {
    return Unusable("tls_client_ca_file", config.tls_client_ca_file, "holds no certificate in PEM");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const Config& config) {
  if (config.tls_cert_file.empty()) return grpc::InsecureServerCredentials();
  const auto certificate = ReadSmallFile("the certificate", config.tls_cert_file);
  if (!certificate.ok()) return certificate.status();
  const auto key = ReadSecretFile("the private key", config.tls_key_file);
  if (!key.ok()) return key.status();
  if (absl::Status status = CheckPemFiles(config); !status.ok()) return status;
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({*key, *certificate});
  if (!config.tls_client_ca_file.empty()) {
    const auto client_ca = ReadSmallFile("the client authorities", config.tls_client_ca_file);
    if (!client_ca.ok()) return client_ca.status();
    options.pem_root_certs = *client_ca;
    options.client_certificate_request = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  return grpc::SslServerCredentials(options);
}

}  // namespace authurl
