// slow_disk.cc: to be preloaded into a server: while the file named by AUTHURL_BENCH_SLOW_DISK
// exists, each sync of a file takes as long as AUTHURL_BENCH_SYNC_SECONDS says.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

namespace {

void SleepWhileSlow() {
  const char* marker = std::getenv("AUTHURL_BENCH_SLOW_DISK");
  const char* seconds = std::getenv("AUTHURL_BENCH_SYNC_SECONDS");
  if (marker == nullptr || seconds == nullptr || access(marker, F_OK) != 0) return;
  sleep(static_cast<unsigned>(std::atoi(seconds)));
}

int SlowSync(const char* name, int fd) {
  SleepWhileSlow();
  return reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, name))(fd);
}

}  // namespace

extern "C" int fsync(int fd) { return SlowSync("fsync", fd); }
extern "C" int fdatasync(int fd) { return SlowSync("fdatasync", fd); }
