// tls_files.h: certificate, key and client authorities as they are on the disk, read anew when they
// change.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace authurl {

// As the flags name them. Without a certificate there is no TLS; without client authorities no
// client is asked for a certificate.
struct TlsPaths {
  std::string tls_cert_file;
  std::string tls_key_file;
  std::string tls_client_ca_file;
};

// Files that belong together and that gRPC can use. The key is wiped from memory with them.
struct TlsFiles {
  TlsFiles() = default;
  ~TlsFiles();
  TlsFiles(const TlsFiles&) = delete;
  TlsFiles& operator=(const TlsFiles&) = delete;
  bool operator==(const TlsFiles&) const = default;

  // All in PEM.
  std::string certificate;
  std::string key;
  std::string client_ca;  // Empty without --tls_client_ca_file.
};

// Reads and checks the files that `paths` names. An error is one sentence for the operator that
// names flag and file: a file that can't be read, is not PEM or ends in the middle of it, a key
// that does not belong to the certificate, or that others may read.
absl::StatusOr<std::shared_ptr<const TlsFiles>> ReadTlsFiles(const TlsPaths& paths);

// What changes whenever a file does, or another one takes its place.
struct FileStamp {
  bool operator==(const FileStamp&) const = default;

  int error = 0;  // Why there is none.
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;
};

// Looks at the files again and again, on a thread of its own, and takes new ones when they can be
// used. While they can't (one was replaced and the other was not yet), those of before stay, and
// the log says what is wrong, once for each change. What is being written is left alone: files are
// read only when they have not changed between two looks.
class TlsFilesWatch final {
 public:
  // `files` are what was read at the start.
  TlsFilesWatch(const TlsPaths& paths, std::shared_ptr<const TlsFiles> files,
                absl::Duration interval);
  // Waits for the look that is under way.
  ~TlsFilesWatch();
  TlsFilesWatch(const TlsFilesWatch&) = delete;
  TlsFilesWatch& operator=(const TlsFilesWatch&) = delete;

  // The newest ones that can be used. Cheap, for any thread.
  std::shared_ptr<const TlsFiles> current() const;

 private:
  void Watch();
  void Look();
  // Whether they differ from what is in use.
  bool Take(std::shared_ptr<const TlsFiles> files);

  const TlsPaths paths_;
  const absl::Duration interval_;

  // For the thread: how the files looked last, how they looked when they were last read, and what
  // was wrong with them then. At first nothing was read, because the files may have changed after
  // the start read them.
  std::vector<FileStamp> seen_;
  std::vector<FileStamp> judged_;
  absl::Status status_;

  mutable std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;                    // Guarded by mutex_.
  std::shared_ptr<const TlsFiles> current_;  // Guarded by mutex_.
  std::thread thread_;
};

}  // namespace authurl
