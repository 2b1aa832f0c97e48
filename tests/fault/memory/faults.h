// Which operation of the store's files and memory fails, and how.
#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace sable::test {

enum class FaultKind {
  none,
  disk_full,    ///< a write finds no space
  io_error,     ///< a read, write, sync, truncation or rename fails
  short_write,  ///< a write stores only a part and then finds no space
  no_memory,    ///< SQLite gets no memory
  power_loss,   ///< from here on nothing reaches the disk, and what was not synced may be lost
};

std::string_view name_of(FaultKind kind);

/// `rename` stands for everything that changes names: renaming, linking, removing.
enum class Operation { read, write, sync, truncate, rename, allocate };

/// The plan for one run. Operations are counted from 0 from arm() on.
class Faults {
 public:
  /// Of the calls in kernel_calls.cpp those count that are about files below this folder; at first,
  /// the folder of temporary files. Not while anything is armed.
  void watch(const std::filesystem::path& folder) { watched_ = folder.string() + "/"; }
  bool is_watched(std::string_view path) const { return path.starts_with(watched_); }

  /// `lasting`: every operation after the n-th fails too, until disarm().
  void arm(FaultKind kind, size_t at, bool lasting);
  void disarm();

  /// What happens in between counts as nothing: it is not the store that does it.
  FaultKind pause() { return kind_.exchange(FaultKind::none); }
  void go_on(FaultKind kind) { kind_ = kind; }

  /// Counts an operation; true when it is to fail.
  bool strikes(Operation operation);
  bool struck() const { return struck_; }
  bool struck_a_read() const { return struck_a_read_; }
  /// Counted since arm(), of those that the kind concerns.
  size_t n_operations() const { return count_; }
  FaultKind kind() const { return kind_; }

  // What a power loss leaves: content as of the last sync, and what was written since, in order.
  void before_change(const std::string& path);  ///< keeps what the file holds, the first time
  void on_write(const std::string& path, size_t offset, const void* data, size_t n);
  void on_truncate(const std::string& path, size_t size);
  void on_sync(const std::string& path);
  void on_remove(const std::string& path);
  void on_rename(const std::string& from, const std::string& to);
  void on_link(const std::string& from, const std::string& to);
  void on_sync_everything();
  /// Makes the files below `home` as they may be found below `folder` when power returns: a subset
  /// of the unsynced writes, chosen and torn by `seed`; seed 0 keeps none of them.
  void write_crash_image(const std::filesystem::path& home, const std::filesystem::path& folder,
                         unsigned seed);

 private:
  struct Change {
    bool truncates;
    size_t offset;  // or the new size
    std::string bytes;
  };
  struct Recorded {
    std::string synced;
    std::vector<Change> since;
  };
  static void apply(std::string& content, const Change& change, size_t n_bytes);

  std::atomic<FaultKind> kind_{FaultKind::none};
  std::atomic<size_t> count_{0};
  std::atomic<size_t> at_{0};
  std::atomic<bool> lasting_{false}, struck_{false}, struck_a_read_{false};
  std::string watched_ = std::filesystem::temp_directory_path().string() + "/";
  std::mutex mutex_;
  std::map<std::string, Recorded> files_;
};

/// One for the program, because SQLite's file systems and allocators are.
Faults& faults();

}  // namespace sable::test
