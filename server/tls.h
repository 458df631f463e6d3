// tls.h: the server's transport credentials.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "absl/status/statusor.h"
#include "server/config.h"

namespace authurl {

// Plaintext without a certificate, TLS with one, mTLS with a client CA as well. An error is one
// sentence for the operator: a file that can't be read, is no PEM, or a key that does not belong to
// the certificate.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const Config& config);

}  // namespace authurl
