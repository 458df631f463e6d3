#include "server/serving/tls_files.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdint>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/crypto/crypto.h"
#include "server/observe/log.h"
#include "server/system/files.h"

namespace authurl {
namespace {

template <auto Free>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using X509Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using SslContext = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;

// gRPC's password for keys; OpenSSL would ask the terminal for one.
char no_password[] = "";

// Reads the text in its place.
Bio Reader(absl::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// All certificates of the text, or nothing when one of them can't be read.
std::vector<X509Certificate> CertificatesIn(absl::string_view text) {
  // What was written halfway.
  const size_t end = text.rfind("-----END ");
  if (end == absl::string_view::npos || absl::StrContains(text.substr(end), "-----BEGIN"))
    return {};
  const Bio reader = Reader(text);
  std::vector<X509Certificate> certificates;
  ERR_clear_error();
  while (true) {
    X509Certificate next(PEM_read_bio_X509_AUX(reader.get(), nullptr, nullptr, no_password));
    if (next == nullptr) break;
    certificates.push_back(std::move(next));
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) certificates.clear();
  return certificates;
}

bool CanServe(SSL_CTX& context, const std::vector<X509Certificate>& chain) {
  if (chain.empty() || SSL_CTX_use_certificate(&context, chain.front().get()) != 1) return false;
  for (size_t i = 1; i < chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(&context, chain[i].get()) != 1) return false;
  }
  return true;
}

bool BelongsToCertificate(SSL_CTX& context, absl::string_view key_text) {
  const PrivateKey key(
      PEM_read_bio_PrivateKey(Reader(key_text).get(), nullptr, nullptr, no_password));
  return key != nullptr && SSL_CTX_use_PrivateKey(&context, key.get()) == 1 &&
         SSL_CTX_check_private_key(&context) == 1;
}

absl::Status Unusable(absl::string_view flag, const std::string& path, absl::string_view why) {
  ERR_clear_error();
  return absl::InvalidArgumentError(absl::StrCat("--", flag, " ", path, " ", why));
}

// gRPC itself would fail at the first handshake, and silently.
absl::Status Check(const TlsPaths& paths, const TlsFiles& files) {
  const SslContext context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return absl::InternalError("OpenSSL does not work");
  constexpr absl::string_view kNoCertificate = "does not hold a complete certificate in PEM";
  if (!CanServe(*context, CertificatesIn(files.certificate))) {
    return Unusable("tls_cert_file", paths.tls_cert_file, kNoCertificate);
  }
  if (!BelongsToCertificate(*context, files.key)) {
    return Unusable("tls_key_file", paths.tls_key_file,
                    "does not hold a private key in PEM that belongs to the certificate");
  }
  if (!paths.tls_client_ca_file.empty() && CertificatesIn(files.client_ca).empty()) {
    return Unusable("tls_client_ca_file", paths.tls_client_ca_file, kNoCertificate);
  }
  return absl::OkStatus();
}

int64_t Nanoseconds(const timespec& time) {
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

FileStamp StampOf(const std::string& path) {
  struct stat file = {};
  if (stat(path.c_str(), &file) != 0) {
    FileStamp stamp;
    stamp.error = errno;
    return stamp;
  }
  return {.error = 0,
          .device = file.st_dev,
          .inode = file.st_ino,
          .size = file.st_size,
          .modified_ns = Nanoseconds(file.st_mtim),
          .changed_ns = Nanoseconds(file.st_ctim)};
}

std::vector<FileStamp> StampsOf(const TlsPaths& paths) {
  std::vector<FileStamp> stamps = {StampOf(paths.tls_cert_file), StampOf(paths.tls_key_file)};
  if (!paths.tls_client_ca_file.empty()) stamps.push_back(StampOf(paths.tls_client_ca_file));
  return stamps;
}

}  // namespace

TlsFiles::~TlsFiles() { Wipe(key); }

absl::StatusOr<std::shared_ptr<const TlsFiles>> ReadTlsFiles(const TlsPaths& paths) {
  const auto files = std::make_shared<TlsFiles>();
  absl::StatusOr<std::string> certificate =
      ReadSmallFile("the certificate of --tls_cert_file,", paths.tls_cert_file);
  if (!certificate.ok()) return certificate.status();
  files->certificate = *std::move(certificate);
  absl::StatusOr<std::string> key =
      ReadSecretFile("the private key of --tls_key_file,", paths.tls_key_file);
  if (!key.ok()) return key.status();
  files->key = *std::move(key);
  if (!paths.tls_client_ca_file.empty()) {
    absl::StatusOr<std::string> client_ca =
        ReadSmallFile("the client authorities of --tls_client_ca_file,", paths.tls_client_ca_file);
    if (!client_ca.ok()) return client_ca.status();
    files->client_ca = *std::move(client_ca);
  }
  if (absl::Status status = Check(paths, *files); !status.ok()) return status;
  return files;
}

TlsFilesWatch::TlsFilesWatch(const TlsPaths& paths, std::shared_ptr<const TlsFiles> files,
                             absl::Duration interval)
    : paths_(paths), interval_(interval), current_(std::move(files)) {
  thread_ = std::thread([this] { Watch(); });
}

TlsFilesWatch::~TlsFilesWatch() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  thread_.join();
}

std::shared_ptr<const TlsFiles> TlsFilesWatch::current() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return current_;
}

void TlsFilesWatch::Watch() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (
      !stop_.wait_for(lock, absl::ToChronoNanoseconds(interval_), [this] { return stopping_; })) {
    lock.unlock();
    Look();
    lock.lock();
  }
}

void TlsFilesWatch::Look() {
  const std::vector<FileStamp> now = StampsOf(paths_);
  if (std::exchange(seen_, now) != now) return;
  // What could not be used may have become usable without a change: file descriptors were short.
  if (now == judged_ && status_.ok()) return;
  absl::StatusOr<std::shared_ptr<const TlsFiles>> files = ReadTlsFiles(paths_);
  if (StampsOf(paths_) != now) return;
  const bool is_told = now == judged_ && files.status() == status_;
  const bool was_usable = status_.ok();
  judged_ = now;
  status_ = files.status();
  if (status_.ok()) {
    if (!Take(*std::move(files)) && !was_usable) Log(LogLevel::kInfo, "tls_files_usable");
  } else if (!is_told) {
    Log(LogLevel::kWarning, "tls_files_unusable",
        {{"cause", status_.message()},
         {"advice", "what was read before stays in use; mend the files, no restart is needed"}});
  }
}

bool TlsFilesWatch::Take(std::shared_ptr<const TlsFiles> files) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (*files == *current_) return false;
    current_.swap(files);
  }
  Log(LogLevel::kInfo, "tls_files_reloaded",
      {{"certificate", paths_.tls_cert_file}, {"client_ca", paths_.tls_client_ca_file}});
  return true;
}

}  // namespace authurl
