// forwarding_backend.h: a backend that passes everything on to another one, for tests that change
// some of its functions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/backend.h"

namespace authurl::testing {

class ForwardingBackend : public Backend {
 public:
  // Several may pass on to the same one.
  explicit ForwardingBackend(std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {}

  absl::StatusOr<std::optional<std::string>> GetMeta(absl::string_view name) override {
    return backend_->GetMeta(name);
  }
  absl::Status PutMeta(absl::string_view name, absl::string_view value) override {
    return backend_->PutMeta(name, value);
  }
  absl::StatusOr<Row> Get(const CallContext& context, const Table& table, absl::string_view org_id,
                          absl::string_view id, size_t parts) override {
    return backend_->Get(context, table, org_id, id, parts);
  }
  absl::StatusOr<Row> Find(const CallContext& context, const Table& table, const LookupValues& key,
                           size_t parts) override {
    return backend_->Find(context, table, key, parts);
  }
  absl::StatusOr<int64_t> FindHighest(const CallContext& context, const Table& table,
                                      const LookupValues& key) override {
    return backend_->FindHighest(context, table, key);
  }
  absl::StatusOr<RowPage> List(const CallContext& context, const Table& table,
                               std::optional<absl::string_view> org_id, absl::string_view after,
                               PageLimit limit, size_t parts) override {
    return backend_->List(context, table, org_id, after, limit, parts);
  }
  absl::StatusOr<RowPage> ListFound(const CallContext& context, const Table& table,
                                    const LookupValues& key, absl::string_view after,
                                    PageLimit limit, size_t parts) override {
    return backend_->ListFound(context, table, key, after, limit, parts);
  }
  absl::StatusOr<int64_t> Count(const CallContext& context, const Table& table,
                                const LookupValues& key, int64_t at_most) override {
    return backend_->Count(context, table, key, at_most);
  }
  absl::StatusOr<std::vector<Row>> ListDue(const CallContext& context, const Table& table,
                                           int64_t before, int limit) override {
    return backend_->ListDue(context, table, before, limit);
  }
  absl::StatusOr<std::vector<Row>> ListDueAfter(const CallContext& context, const Table& table,
                                                const DuePosition& after, int64_t before,
                                                int limit) override {
    return backend_->ListDueAfter(context, table, after, before, limit);
  }
  absl::StatusOr<int64_t> CountDue(const CallContext& context, const Table& table, int64_t from,
                                   int64_t to) override {
    return backend_->CountDue(context, table, from, to);
  }
  absl::StatusOr<RowPage> ListNumbered(const CallContext& context, const Table& table,
                                       absl::string_view org_id, int64_t after, PageLimit limit,
                                       size_t parts) override {
    return backend_->ListNumbered(context, table, org_id, after, limit, parts);
  }
  absl::StatusOr<std::optional<int64_t>> HighestNumber(const CallContext& context,
                                                       const Table& table,
                                                       absl::string_view org_id) override {
    return backend_->HighestNumber(context, table, org_id);
  }
  absl::Status RaiseNumbers(const Table& table, int64_t from) override {
    return backend_->RaiseNumbers(table, from);
  }
  absl::StatusOr<std::vector<std::string>> ListValues(const CallContext& context,
                                                      const Table& table, size_t lookup,
                                                      absl::string_view org_id) override {
    return backend_->ListValues(context, table, lookup, org_id);
  }
  absl::StatusOr<std::vector<uint8_t>> ListKeysInUse(const Table& table) override {
    return backend_->ListKeysInUse(table);
  }
  absl::StatusOr<RowPage> ListUnderKey(const Table& table, uint8_t key_id, absl::string_view from,
                                       PageLimit limit) override {
    return backend_->ListUnderKey(table, key_id, from, limit);
  }
  CommitResult Commit(const CallContext& context, const Batch& batch) override {
    return backend_->Commit(context, batch);
  }
  absl::Status Probe() override { return backend_->Probe(); }
  absl::Status ProbeReads() override { return backend_->ProbeReads(); }
  BackendStats Stats() const override { return backend_->Stats(); }

 protected:
  Backend& backend() { return *backend_; }

 private:
  const std::shared_ptr<Backend> backend_;
};

}  // namespace authurl::testing
