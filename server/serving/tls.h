// tls.h: the server's transport credentials.
#pragma once

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/serving/tls_files.h"

namespace authurl {

// Plaintext without a certificate, TLS with one, mTLS with a client CA as well. The files are
// looked at every `interval`, and new ones count from the next handshake on (tls_files.h); a
// handshake itself reads no file, and connections that are open go on. An error is one sentence for
// the operator: a file that can't be read, is not PEM, or a key that does not belong to the
// certificate.
//
// For one server; they must outlive it.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const TlsPaths& paths, absl::Duration interval = absl::Seconds(1));

}  // namespace authurl
