#include "tests/fault/memory/faults.h"

#include <fstream>
#include <random>

namespace sable::test {

namespace {

bool concerns(FaultKind kind, Operation operation) {
  switch (kind) {
    case FaultKind::none:
      return false;
    case FaultKind::disk_full:
    case FaultKind::short_write:
      return operation == Operation::write;
    case FaultKind::io_error:
      return operation != Operation::allocate;
    case FaultKind::no_memory:
      return operation == Operation::allocate;
    case FaultKind::power_loss:
      return operation != Operation::allocate && operation != Operation::read;
  }
  return false;
}

}  // namespace

std::string_view name_of(FaultKind kind) {
  switch (kind) {
    case FaultKind::none:
      break;
    case FaultKind::disk_full:
      return "full disk";
    case FaultKind::io_error:
      return "input/output error";
    case FaultKind::short_write:
      return "short write";
    case FaultKind::no_memory:
      return "no memory";
    case FaultKind::power_loss:
      return "power loss";
  }
  return "none";
}

Faults& faults() {
  static Faults instance;
  return instance;
}

void Faults::arm(FaultKind kind, size_t at, bool lasting) {
  const std::lock_guard lock(mutex_);
  files_.clear();
  count_ = 0;
  at_ = at;
  lasting_ = lasting;
  struck_ = struck_a_read_ = false;
  kind_ = kind;
}

void Faults::disarm() { kind_ = FaultKind::none; }

bool Faults::strikes(Operation operation) {
  if (!concerns(kind_, operation)) return false;
  const size_t n = count_++;
  const bool strike = n == at_ || (lasting_ && n > at_);
  if (strike) struck_ = true;
  if (strike && operation == Operation::read) struck_a_read_ = true;
  return strike;
}

void Faults::apply(std::string& content, const Change& change, size_t n_bytes) {
  if (change.truncates) {
    content.resize(change.offset);
    return;
  }
  content.resize(std::max(content.size(), change.offset + n_bytes));
  content.replace(change.offset, n_bytes, change.bytes, 0, n_bytes);
}

void Faults::before_change(const std::string& path) {
  if (kind_ != FaultKind::power_loss || struck_) return;
  const std::lock_guard lock(mutex_);
  if (files_.contains(path)) return;
  std::ifstream in(path, std::ios::binary);
  files_[path].synced.assign(std::istreambuf_iterator<char>(in), {});
}

void Faults::on_write(const std::string& path, size_t offset, const void* data, size_t n) {
  if (kind_ != FaultKind::power_loss || struck_) return;
  const std::lock_guard lock(mutex_);
  files_[path].since.push_back({false, offset, std::string(static_cast<const char*>(data), n)});
}

void Faults::on_truncate(const std::string& path, size_t size) {
  if (kind_ != FaultKind::power_loss || struck_) return;
  const std::lock_guard lock(mutex_);
  files_[path].since.push_back({true, size, {}});
}

void Faults::on_sync(const std::string& path) {
  if (kind_ != FaultKind::power_loss || struck_) return;
  const std::lock_guard lock(mutex_);
  auto& file = files_[path];
  for (const Change& change : file.since) apply(file.synced, change, change.bytes.size());
  file.since.clear();
}

// Names are taken as durable at once: the store syncs its folders, and ext4 keeps them in order.
void Faults::on_remove(const std::string& path) {
  if (kind_ != FaultKind::power_loss || struck_) return;
  const std::lock_guard lock(mutex_);
  files_.erase(path);
}

void Faults::on_rename(const std::string& from, const std::string& to) {
  if (kind_ != FaultKind::power_loss || struck_) return;
  const std::lock_guard lock(mutex_);
  files_.erase(to);
  // One that was not written since arm() is on the disk as it lies there.
  if (auto moved = files_.extract(from)) {
    moved.key() = to;
    files_.insert(std::move(moved));
  }
}

void Faults::on_link(const std::string& from, const std::string& to) {
  if (kind_ != FaultKind::power_loss || struck_) return;
  const std::lock_guard lock(mutex_);
  if (const auto linked = files_.find(from); linked != files_.end()) files_[to] = linked->second;
}

void Faults::on_sync_everything() {
  if (kind_ != FaultKind::power_loss || struck_) return;
  const std::lock_guard lock(mutex_);
  for (auto& [path, file] : files_) {
    for (const Change& change : file.since) apply(file.synced, change, change.bytes.size());
    file.since.clear();
  }
}

void Faults::write_crash_image(const std::filesystem::path& home,
                               const std::filesystem::path& folder, unsigned seed) {
  std::mt19937 random(seed);
  const std::lock_guard lock(mutex_);
  for (const auto& [path, file] : files_) {
    if (!path.starts_with(home.string() + "/")) continue;
    std::string content = file.synced;
    for (const Change& change : file.since) {
      if (seed == 0 || random() % 2 == 0) continue;
      const bool torn = random() % 4 == 0;
      const size_t n_sectors = change.bytes.size() / 512;
      apply(content, change,
            torn && n_sectors > 0 ? 512 * (random() % n_sectors) : change.bytes.size());
    }
    const auto image = folder / std::filesystem::path(path).lexically_relative(home);
    std::filesystem::create_directories(image.parent_path());
    std::filesystem::remove(image);  // it may be there and not writable
    std::ofstream(image, std::ios::binary) << content;
  }
}

}  // namespace sable::test
