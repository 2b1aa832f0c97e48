#include "tests/fault/agent/failing_store.h"

namespace sable::test {

using namespace memory;

asio::awaitable<Result<std::vector<Event>>> FailingStore::append(Lease& lease,
                                                                 std::vector<NewEvent> events) {
  const size_t number = n_appends_++;
  if (fails_from_ && number >= *fails_from_) {
    co_return fail(ErrorCode::exhausted, "the disk is full");
  }
  co_return co_await real_.append(lease, std::move(events));
}

asio::awaitable<Result<std::unique_ptr<Lease>>> FailingStore::create_session(SessionStart start) {
  return real_.create_session(std::move(start));
}
asio::awaitable<Result<std::unique_ptr<Lease>>> FailingStore::acquire(std::string session) {
  return real_.acquire(std::move(session));
}
asio::awaitable<Result<std::vector<Event>>> FailingStore::read(std::string session, Seq from,
                                                               size_t n_max) {
  return real_.read(std::move(session), from, n_max);
}
asio::awaitable<Result<std::vector<Event>>> FailingStore::find_events(std::string session,
                                                                      std::string type, Seq from,
                                                                      size_t n_max) {
  return real_.find_events(std::move(session), std::move(type), from, n_max);
}
asio::awaitable<Result<std::vector<SearchHit>>> FailingStore::search(std::string text,
                                                                     size_t n_max) {
  return real_.search(std::move(text), n_max);
}
asio::awaitable<Result<std::vector<SessionInfo>>> FailingStore::list(size_t n_max) {
  return real_.list(n_max);
}
asio::awaitable<Result<SessionInfo>> FailingStore::find(std::string id) {
  return real_.find(std::move(id));
}
asio::awaitable<Result<std::vector<Event>>> FailingStore::unfinished_calls(std::string session) {
  return real_.unfinished_calls(std::move(session));
}
asio::awaitable<Result<std::string>> FailingStore::put_blob(std::string bytes) {
  return real_.put_blob(std::move(bytes));
}
asio::awaitable<Result<std::string>> FailingStore::get_blob(std::string locator) {
  return real_.get_blob(std::move(locator));
}
asio::awaitable<Result<void>> FailingStore::remove(std::string session) {
  return real_.remove(std::move(session));
}
asio::awaitable<Result<std::unique_ptr<Lease>>> FailingStore::fork(std::string session, Seq at) {
  return real_.fork(std::move(session), at);
}
asio::awaitable<Result<ExportReport>> FailingStore::export_session(std::string session,
                                                                   std::filesystem::path file) {
  return real_.export_session(std::move(session), std::move(file));
}
asio::awaitable<Result<std::string>> FailingStore::import_session(std::filesystem::path file) {
  return real_.import_session(std::move(file));
}
asio::awaitable<Result<Swept>> FailingStore::sweep() { return real_.sweep(); }
asio::awaitable<Result<std::vector<ExpiredSession>>> FailingStore::expired(Retention policy) {
  return real_.expired(policy);
}
asio::awaitable<Result<std::vector<ExpiredSession>>> FailingStore::retain(Retention policy,
                                                                          std::stop_token stop) {
  return real_.retain(policy, std::move(stop));
}
asio::awaitable<Result<bool>> FailingStore::shrink() { return real_.shrink(); }

}  // namespace sable::test
