#include "runtime/server/outbox.h"

namespace sable::runtime {

Outbox::Outbox(asio::any_io_executor executor, size_t bytes_max)
    : bytes_max_(bytes_max),
      more_(executor, asio::steady_timer::time_point::max()),
      less_(executor, asio::steady_timer::time_point::max()) {}

void Outbox::push(std::string message) {
  items_.push_back({std::move(message), std::nullopt});
  bytes_ += items_.back().bytes();
  more_.cancel();
}

bool Outbox::push_preview(Preview preview) {
  if (bytes_ + preview.text.size() > bytes_max_) return false;
  const bool merges = !items_.empty() && items_.back().preview && !preview.key.empty() &&
                      items_.back().preview->key == preview.key;
  if (merges) {
    auto& last = items_.back();
    bytes_ -= last.bytes();
    if (preview.replaces) last.text.clear();
    last.text += preview.text;
    bytes_ += last.bytes();
  } else {
    std::string text = std::move(preview.text);
    items_.push_back({std::move(text), std::move(preview)});
    bytes_ += items_.back().bytes();
  }
  more_.cancel();
  return true;
}

std::optional<std::string> Outbox::pop() {
  if (items_.empty()) return std::nullopt;
  Item item = std::move(items_.front());
  items_.pop_front();
  bytes_ -= item.bytes();
  if (has_room()) less_.cancel();
  if (!item.preview) return std::move(item.text);
  item.preview->message[item.preview->slot] = std::move(item.text);
  return dump_json(item.preview->message);
}

void Outbox::request_close(Closing closing) {
  if (!closing_) closing_ = std::move(closing);
  more_.cancel();
  less_.cancel();
}

asio::awaitable<void> Outbox::wait_for_message() {
  while (items_.empty() && !closing_) {
    boost::system::error_code woken;
    co_await more_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
}

asio::awaitable<void> Outbox::wait_for_room() {
  while (!has_room() && !closing_) {
    boost::system::error_code woken;
    co_await less_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
}

}  // namespace sable::runtime
