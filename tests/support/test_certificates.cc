#include "tests/support/test_certificates.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace authurl::testing {
namespace {

constexpr int kX509Version3 = 2;

// What `write` writes as PEM.
template <typename Write>
std::string ToPem(Write write) {
  BIO* const memory = BIO_new(BIO_s_mem());
  EXPECT_EQ(write(memory), 1);
  char* data = nullptr;
  const auto size = static_cast<size_t>(BIO_get_mem_data(memory, &data));
  std::string pem(data, size);
  BIO_free(memory);
  return pem;
}

std::string CertificatePem(X509* x509) {
  return ToPem([x509](BIO* out) { return PEM_write_bio_X509(out, x509); });
}

std::string KeyPem(EVP_PKEY* key) {
  return ToPem([key](BIO* out) {
    return PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr);
  });
}

void AddExtension(X509* x509, X509* issuer, int id, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, id, value);
  ASSERT_NE(extension, nullptr) << value;
  EXPECT_EQ(X509_add_ext(x509, extension, -1), 1);
  X509_EXTENSION_free(extension);
}

// A certificate without extensions and signature.
X509* NewX509(const std::string& name, EVP_PKEY* key) {
  X509* const x509 = X509_new();
  X509_set_version(x509, kX509Version3);
  uint32_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial));
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), uint64_t{serial} + 1);
  // A minute back, for clocks are read in whole seconds.
  X509_gmtime_adj(X509_getm_notBefore(x509), -60);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_pubkey(x509, key);
  return x509;
}

}  // namespace

CertificateAuthority::CertificateAuthority(const std::string& name)
    : key_(EVP_EC_gen("P-256")), x509_(NewX509(name, key_)) {
  X509_set_issuer_name(x509_, X509_get_subject_name(x509_));
  AddExtension(x509_, x509_, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(x509_, x509_, NID_key_usage, "critical,keyCertSign,cRLSign");
  AddExtension(x509_, x509_, NID_subject_key_identifier, "hash");
  EXPECT_NE(X509_sign(x509_, key_, EVP_sha256()), 0);
  certificate_ = CertificatePem(x509_);
}

CertificateAuthority::~CertificateAuthority() {
  X509_free(x509_);
  EVP_PKEY_free(key_);
}

Certificate CertificateAuthority::IssueServer() const {
  return Issue("authurl-server", "serverAuth", "DNS:localhost,IP:127.0.0.1,IP:::1");
}

Certificate CertificateAuthority::IssueServer(const std::vector<std::string>& hosts) const {
  const std::string names = absl::StrCat("DNS:", absl::StrJoin(hosts, ",DNS:"));
  return Issue("server", "serverAuth", names.c_str());
}

Certificate CertificateAuthority::IssueClient() const {
  return Issue("authurl-client", "clientAuth", "DNS:client.example.com");
}

Certificate CertificateAuthority::Issue(const std::string& name, const char* usage,
                                        const char* alternative_names) const {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const x509 = NewX509(name, key);
  const absl::Cleanup free_both = [&] {
    X509_free(x509);
    EVP_PKEY_free(key);
  };
  X509_set_issuer_name(x509, X509_get_subject_name(x509_));
  AddExtension(x509, x509_, NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(x509, x509_, NID_key_usage, "critical,digitalSignature");
  AddExtension(x509, x509_, NID_ext_key_usage, usage);
  AddExtension(x509, x509_, NID_subject_alt_name, alternative_names);
  AddExtension(x509, x509_, NID_authority_key_identifier, "keyid");
  EXPECT_NE(X509_sign(x509, key_, EVP_sha256()), 0);
  return {CertificatePem(x509), KeyPem(key)};
}

}  // namespace authurl::testing
