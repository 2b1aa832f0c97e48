// What waits to be sent on one connection: bounded, with previews merged and, under pressure,
// dropped.
#pragma once

#include <deque>
#include <optional>
#include <string>

#include "base/asio.h"
#include "base/json.h"

namespace sable::runtime {

/// Whoever produces messages never waits for the socket: it pushes, and the transport takes what is
/// there whenever it can write. Lives on the loop's thread.
class Outbox {
 public:
  /// `bytes_max` bounds what waits. Above half of it has_room() is false, and whoever can wait
  /// (replay) does; above it previews are dropped; above four times it overflowed() is true and the
  /// connection is to be closed.
  Outbox(asio::any_io_executor executor, size_t bytes_max);

  /// Queues a message that must arrive.
  void push(std::string message);

  /// A message whose `text` belongs at `slot` in `message`.
  struct Preview {
    std::string key;  ///< previews of one stream share it
    Json message;
    Json::json_pointer slot;
    std::string text;
    bool replaces = false;  ///< a later text stands for the earlier one, instead of being appended
  };
  /// Queues a preview, or merges it into the last one if that is of the same stream and not yet
  /// taken. False: dropped for lack of room.
  bool push_preview(Preview preview);

  bool has_room() const { return bytes_ <= bytes_max_ / 2; }
  bool overflowed() const { return bytes_ > 4 * bytes_max_; }
  size_t bytes() const { return bytes_; }

  /// The next message, rendered; nothing when there is none.
  std::optional<std::string> pop();

  /// Asks the transport to close once what was queued before is sent. The first request stays.
  struct Closing {
    uint16_t code = 1000;
    std::string reason;
  };
  void request_close(Closing closing);
  const std::optional<Closing>& closing() const { return closing_; }

  /// Waits until there is a message or a request to close.
  asio::awaitable<void> wait_for_message();
  /// Waits until has_room(), or a request to close.
  asio::awaitable<void> wait_for_room();

 private:
  struct Item {
    std::string text;  ///< the whole message, or a preview's text
    std::optional<Preview> preview;
    size_t bytes() const { return text.size() + kOverhead; }
  };
  static constexpr size_t kOverhead = 256;  ///< of a queued item, roughly

  size_t bytes_max_;
  size_t bytes_ = 0;
  std::deque<Item> items_;
  std::optional<Closing> closing_;
  asio::steady_timer more_;  ///< cancelled whenever a waiter should look again
  asio::steady_timer less_;
};

}  // namespace sable::runtime
