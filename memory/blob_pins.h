// Keeps blobs that a store has been given and that no event names yet.
#pragma once

#include <random>
#include <string>

#include <fmt/format.h>

#include "memory/log_database.h"

namespace sable::memory {

/// The pins of one store, under a name of its own. A blob is pinned before it is written, so that
/// the removal of another session that names the same content cannot take the file away before an
/// event names it here. Within transactions of the store thread.
class BlobPins {
 public:
  /// True, as the answer that somebody awaits.
  Result<bool> pin(LogDatabase& database, const std::string& digest) {
    SABLE_TRY_VOID(database.pin_blob(digest, store_name_));
    any_ = true;
    return true;
  }

  /// Drops those that events of this session have replaced.
  Result<void> unpin_named(LogDatabase& database, int64_t session_number) {
    if (!any_) return {};
    SABLE_TRY(any_, database.unpin_named_blobs(store_name_, session_number));
    return {};
  }

 private:
  static std::string make_store_name() {
    std::random_device random;
    return fmt::format("{:08x}{:08x}", random(), random());
  }

  const std::string store_name_ = make_store_name();
  bool any_ = false;
};

}  // namespace sable::memory
