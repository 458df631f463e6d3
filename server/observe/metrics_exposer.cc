#include "server/observe/metrics_exposer.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <iterator>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/string_view.h"

namespace authurl {
namespace {

std::string Render(const std::vector<const prometheus::Collectable*>& sources) {
  std::vector<prometheus::MetricFamily> families;
  for (const prometheus::Collectable* source : sources) {
    std::vector<prometheus::MetricFamily> more = source->Collect();
    families.insert(families.end(), std::make_move_iterator(more.begin()),
                    std::make_move_iterator(more.end()));
  }
  return prometheus::TextSerializer().Serialize(families);
}

HttpReply ReplyTo(absl::string_view path,
                  const std::vector<const prometheus::Collectable*>& sources) {
  if (path != "/metrics") return {.status = 404, .body = "The metrics are at /metrics\n"};
  return {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = Render(sources)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsExposer>> MetricsExposer::Start(
    BoundSockets sockets, std::vector<const prometheus::Collectable*> sources) {
  absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Start(
      std::move(sockets),
      [sources = std::move(sources)](absl::string_view path) { return ReplyTo(path, sources); });
  if (!server.ok()) return server.status();
  return absl::WrapUnique(new MetricsExposer(*std::move(server)));
}

}  // namespace authurl
