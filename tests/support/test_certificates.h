// test_certificates.h: certificates made for a test, valid for an hour.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <string>
#include <vector>

namespace authurl::testing {

// Both in PEM.
struct Certificate {
  std::string certificate;
  std::string key;
};

// Everything fails the test if OpenSSL does not do it.
class CertificateAuthority final {
 public:
  explicit CertificateAuthority(const std::string& name);
  ~CertificateAuthority();
  CertificateAuthority(const CertificateAuthority&) = delete;
  CertificateAuthority& operator=(const CertificateAuthority&) = delete;

  // Its own certificate.
  const std::string& certificate() const { return certificate_; }
  // For a server on this machine: localhost, 127.0.0.1 and ::1.
  Certificate IssueServer() const;
  // For a server that is reached by these DNS names.
  Certificate IssueServer(const std::vector<std::string>& hosts) const;
  Certificate IssueClient() const;

 private:
  Certificate Issue(const std::string& name, const char* usage,
                    const char* alternative_names) const;

  EVP_PKEY* const key_;
  X509* const x509_;
  std::string certificate_;
};

}  // namespace authurl::testing
