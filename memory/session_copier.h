// Sessions that are made by copying, beside the work of others: forks, and to and from files.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "memory/blob_pins.h"
#include "memory/session_filling.h"
#include "memory/session_remover.h"
#include "memory/store_threads.h"

namespace sable::memory {

/// Takes each copy through its steps (session_filling.h), a short transaction or a piece of
/// blocking work each. What the functions promise stands at Store's of the same names.
class SessionCopier {
 public:
  SessionCopier(const Home& home, const Clock& clock, BlobPins& pins, SessionRemover& remover,
                StoreThreads& threads)
      : home_(home), clock_(clock), pins_(pins), remover_(remover), threads_(threads) {}

  asio::awaitable<Result<std::unique_ptr<Lease>>> fork(std::string session, Seq at);
  asio::awaitable<Result<ExportReport>> export_session(std::string session,
                                                       std::filesystem::path file);
  asio::awaitable<Result<std::string>> import_session(std::filesystem::path file);

 private:
  asio::awaitable<Result<std::string>> import_in_steps(std::shared_ptr<Importing> import,
                                                       std::filesystem::path file);
  asio::awaitable<Result<bool>> import_blob(std::shared_ptr<Importing> import);

  const Home& home_;
  const Clock& clock_;
  BlobPins& pins_;
  SessionRemover& remover_;
  StoreThreads& threads_;
};

}  // namespace sable::memory
