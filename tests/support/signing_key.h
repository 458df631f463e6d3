// signing_key.h: private keys as portals hand them out, made on the spot.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>
#include <string>

namespace authurl::testing {

struct TestSigningKey {
  std::shared_ptr<EVP_PKEY> key;
  std::string pem;  // PKCS#8.
};

// On the curve of that name, such as "P-256".
inline TestSigningKey NewSigningKey(const char* curve) {
  TestSigningKey made;
  made.key.reset(EVP_EC_gen(curve), EVP_PKEY_free);
  BIO* const bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PKCS8PrivateKey(bio, made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  made.pem.assign(text, static_cast<size_t>(size));
  BIO_free(bio);
  return made;
}

}  // namespace authurl::testing
