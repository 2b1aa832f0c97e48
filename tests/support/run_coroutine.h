// Runs a coroutine to its end on a loop of its own, as a command-line program would.
#pragma once

#include <optional>
#include <utility>

#include "base/asio.h"
#include "base/check.h"

namespace sable::test {

template <class T>
T run(asio::awaitable<T> work) {
  asio::io_context loop;
  std::optional<T> result;
  asio::co_spawn(loop, std::move(work), [&](const std::exception_ptr& failure, T value) {
    if (failure) std::rethrow_exception(failure);
    result.emplace(std::move(value));
  });
  loop.run();
  SABLE_CHECK(result.has_value());
  return std::move(*result);
}

}  // namespace sable::test
