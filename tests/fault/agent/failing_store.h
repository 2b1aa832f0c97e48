// A real store whose n-th append fails, for tests of what a session does then.
#pragma once

#include <cstddef>
#include <optional>

#include "memory/memory.h"

namespace sable::test {

/// Passes everything on to `real`, which outlives it; counts appends and fails one, once or from
/// there on (a full disk stays full).
class FailingStore final : public memory::Store {
 public:
  explicit FailingStore(memory::Store& real) : real_(real) {}

  /// The append with this number (from 0) and all after it fail.
  void fail_from(size_t append) { fails_from_ = append; }
  size_t n_appends() const { return n_appends_; }

  asio::awaitable<Result<std::unique_ptr<memory::Lease>>> create_session(
      memory::SessionStart start) override;
  asio::awaitable<Result<std::unique_ptr<memory::Lease>>> acquire(std::string session) override;
  asio::awaitable<Result<std::vector<memory::Event>>> append(
      memory::Lease& lease, std::vector<memory::NewEvent> events) override;
  asio::awaitable<Result<std::vector<memory::Event>>> read(std::string session, memory::Seq from,
                                                           size_t n_max) override;
  const std::filesystem::path& home() const override { return real_.home(); }
  asio::awaitable<Result<std::vector<memory::Event>>> find_events(std::string session,
                                                                  std::string type,
                                                                  memory::Seq from,
                                                                  size_t n_max) override;
  asio::awaitable<Result<std::vector<memory::SearchHit>>> search(std::string text,
                                                                 size_t n_max) override;
  asio::awaitable<Result<std::vector<memory::SessionInfo>>> list(size_t n_max) override;
  asio::awaitable<Result<memory::SessionInfo>> find(std::string id) override;
  asio::awaitable<Result<std::vector<memory::Event>>> unfinished_calls(
      std::string session) override;
  asio::awaitable<Result<std::string>> put_blob(std::string bytes) override;
  asio::awaitable<Result<std::string>> get_blob(std::string locator) override;
  asio::awaitable<Result<void>> remove(std::string session) override;
  asio::awaitable<Result<std::unique_ptr<memory::Lease>>> fork(std::string session,
                                                               memory::Seq at) override;
  asio::awaitable<Result<memory::ExportReport>> export_session(std::string session,
                                                               std::filesystem::path file) override;
  asio::awaitable<Result<std::string>> import_session(std::filesystem::path file) override;
  asio::awaitable<Result<memory::Swept>> sweep() override;
  asio::awaitable<Result<std::vector<memory::ExpiredSession>>> expired(
      memory::Retention policy) override;
  asio::awaitable<Result<std::vector<memory::ExpiredSession>>> retain(
      memory::Retention policy, std::stop_token stop) override;
  asio::awaitable<Result<bool>> shrink() override;

 private:
  memory::Store& real_;
  std::optional<size_t> fails_from_;
  size_t n_appends_ = 0;
};

}  // namespace sable::test
