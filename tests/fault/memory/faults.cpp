#include "tests/fault/memory/faults.h"

#include <fstream>
#include <optional>
#include <random>

namespace sable::test {

namespace fs = std::filesystem;

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
    case FaultKind::no_memory_after:
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
    case FaultKind::no_memory_after:
      return "no memory after an operation";
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
  names_at_start_.clear();
  names_.clear();
  durable_names_.clear();
  pending_.clear();
  if (kind == FaultKind::power_loss) {
    for (const auto& entry : fs::recursive_directory_iterator(watched_)) {
      names_at_start_.insert(entry.path());
    }
  }
  count_ = 0;
  at_ = at;
  lasting_ = lasting;
  struck_ = struck_a_read_ = operated_ = false;
  kind_ = kind;
}

void Faults::disarm() { kind_ = FaultKind::none; }

bool Faults::strikes(Operation operation) {
  const FaultKind kind = kind_;
  if (kind == FaultKind::no_memory_after && operation != Operation::allocate) operated_ = true;
  if (!concerns(kind, operation)) return false;
  if (kind == FaultKind::no_memory_after && !operated_.exchange(false)) return false;
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

bool Faults::is_there(const std::string& path) const {
  const auto changed = names_.find(path);
  return changed != names_.end() ? changed->second != nullptr : names_at_start_.contains(path);
}

/// One that is not known has just been made.
Faults::FilePtr Faults::file_at(const std::string& path) {
  if (const auto known = names_.find(path); known != names_.end() && known->second) {
    return known->second;
  }
  auto file = std::make_shared<File>();
  file->is_folder = fs::is_directory(fs::symlink_status(path));
  if (is_there(path)) {
    if (!file->is_folder) {
      std::ifstream in(path, std::ios::binary);
      file->synced.assign(std::istreambuf_iterator<char>(in), {});
    }
    durable_names_[path] = file;
  } else {
    pending_.push_back({{path, file}});
  }
  names_[path] = file;
  return file;
}

/// Folders, and files that nothing was written to.
void Faults::find_new_names_in(const fs::path& folder) {
  // Other threads may change it meanwhile.
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (!is_there(it->path())) file_at(it->path());
  }
}

void Faults::find_all_new_names() {
  std::error_code error;
  for (fs::recursive_directory_iterator it(watched_, error), end; !error && it != end;
       it.increment(error)) {
    if (!is_there(it->path())) file_at(it->path());
  }
}

bool Faults::is_in(const Naming& naming, std::string_view folder) {
  return std::string_view(naming.path).substr(0, naming.path.rfind('/')) == folder;
}

void Faults::settle(File& file) {
  for (const Change& change : file.since) apply(file.synced, change, change.bytes.size());
  file.since.clear();
}

void Faults::before_change(const std::string& path) {
  if (!records()) return;
  const std::lock_guard lock(mutex_);
  file_at(path);
}

void Faults::before_removal(const std::string& path) {
  if (!records()) return;
  const std::lock_guard lock(mutex_);
  if (is_there(path)) file_at(path);
}

void Faults::on_write(const std::string& path, size_t offset, const void* data, size_t n) {
  if (!records()) return;
  const std::lock_guard lock(mutex_);
  file_at(path)->since.push_back({false, offset, std::string(static_cast<const char*>(data), n)});
}

void Faults::on_truncate(const std::string& path, size_t size) {
  if (!records()) return;
  const std::lock_guard lock(mutex_);
  file_at(path)->since.push_back({true, size, {}});
}

void Faults::on_sync(const std::string& path) {
  if (!records()) return;
  const std::lock_guard lock(mutex_);
  settle(*file_at(path));
}

void Faults::on_sync_folder(const std::string& path) {
  if (!records()) return;
  const std::lock_guard lock(mutex_);
  find_new_names_in(path);
  for (auto& together : pending_) {
    for (const Naming& naming : together) {
      if (is_in(naming, path)) durable_names_[naming.path] = naming.file;
    }
    std::erase_if(together, [&](const Naming& naming) { return is_in(naming, path); });
  }
  std::erase_if(pending_, [](const auto& together) { return together.empty(); });
}

void Faults::on_remove(const std::string& path) {
  if (!records()) return;
  const std::lock_guard lock(mutex_);
  names_[path] = nullptr;
  pending_.push_back({{path, nullptr}});
}

/// At once for the program. Of one between two folders the disk may keep either half.
void Faults::on_rename(const std::string& from, const std::string& to) {
  if (!records()) return;
  const std::lock_guard lock(mutex_);
  auto file = file_at(from);
  names_[to] = file;
  names_[from] = nullptr;
  pending_.push_back({{to, std::move(file)}, {from, nullptr}});
}

void Faults::on_link(const std::string& from, const std::string& to) {
  if (!records()) return;
  const std::lock_guard lock(mutex_);
  auto file = file_at(from);
  names_[to] = file;
  pending_.push_back({{to, std::move(file)}});
}

void Faults::on_sync_everything() {
  if (!records()) return;
  const std::lock_guard lock(mutex_);
  find_all_new_names();
  for (const auto& [path, file] : names_) {
    if (file) settle(*file);
    durable_names_[path] = file;
  }
  pending_.clear();
}

/// With all folders that lead to it.
bool Faults::is_reachable(const Names& names, const std::string& path) const {
  for (size_t end = watched_.size(); end < path.size(); ++end) {
    end = std::min(path.find('/', end), path.size());
    const auto part = path.substr(0, end);
    const auto changed = names.find(part);
    if (changed != names.end() ? changed->second == nullptr : !names_at_start_.contains(part)) {
      return false;
    }
  }
  return true;
}

void Faults::write_crash_image(const fs::path& home, const fs::path& folder, unsigned seed) {
  std::mt19937 random(seed);
  const std::lock_guard lock(mutex_);
  Names names = durable_names_;
  if (seed != 0) {
    if (!struck_) find_all_new_names();
    // Journaling file systems keep names in order.
    const size_t n_kept = random() % (pending_.size() + 1);
    for (size_t i = 0; i < n_kept; ++i) {
      for (const Naming& naming : pending_[i]) names[naming.path] = naming.file;
    }
  }
  if (!is_reachable(names, home)) return;
  fs::create_directories(folder);
  const auto image_of = [&](const std::string& path) -> std::optional<fs::path> {
    // Of what is in shared memory nothing is promised, and SQLite makes it anew.
    if (!path.starts_with(home.string() + "/") || path.ends_with("-shm")) return {};
    if (!is_reachable(names, path)) return {};
    auto image = folder / fs::path(path).lexically_relative(home);
    fs::create_directories(image.parent_path());
    return image;
  };
  for (const auto& path : names_at_start_) {
    if (names.contains(path)) continue;
    const auto image = image_of(path);
    if (!image) continue;
    if (fs::is_directory(path)) {
      fs::create_directories(*image);
    } else {
      fs::copy_file(path, *image);
    }
  }
  for (const auto& [path, file] : names) {
    const auto image = image_of(path);
    if (!image) continue;
    if (file->is_folder) {
      fs::create_directories(*image);
      continue;
    }
    std::string content = file->synced;
    for (const Change& change : file->since) {
      if (seed == 0 || random() % 2 == 0) continue;
      const bool torn = random() % 4 == 0;
      const size_t n_sectors = change.bytes.size() / 512;
      apply(content, change,
            torn && n_sectors > 0 ? 512 * (random() % n_sectors) : change.bytes.size());
    }
    std::ofstream(*image, std::ios::binary) << content;
  }
}

}  // namespace sable::test
