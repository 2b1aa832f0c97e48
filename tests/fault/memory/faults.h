// Which operation of the store's files and memory fails, and how.
#pragma once

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace sable::test {

enum class FaultKind {
  none,
  disk_full,        ///< a write finds no space
  io_error,         ///< a read, write, sync, truncation or rename fails
  short_write,      ///< a write stores only a part and then finds no space
  no_memory,        ///< SQLite gets no memory
  no_memory_after,  ///< the same, of its allocations those that are the first after other
                    ///< operations
  power_loss,       ///< from here on nothing reaches the disk, and what was not synced may be lost
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

  // What a power loss leaves: content as of a file's last sync, names as of their folder's, and of
  // what was written and named since, in order, a part.
  void before_change(const std::string& path);   ///< keeps what the file holds, the first time
  void before_removal(const std::string& path);  ///< the same, where something lies there
  void on_write(const std::string& path, size_t offset, const void* data, size_t n);
  void on_truncate(const std::string& path, size_t size);
  void on_sync(const std::string& path);
  void on_sync_folder(const std::string& path);
  void on_remove(const std::string& path);
  void on_rename(const std::string& from, const std::string& to);
  void on_link(const std::string& from, const std::string& to);
  void on_sync_everything();
  /// Makes `folder` what may be found of the folder `home` when power returns: a subset of the
  /// unsynced writes and the first of the unsynced names, chosen and torn by `seed`; seed 0 keeps
  /// none of them.
  void write_crash_image(const std::filesystem::path& home, const std::filesystem::path& folder,
                         unsigned seed);

 private:
  struct Change {
    bool truncates;
    size_t offset;  // or the new size
    std::string bytes;
  };
  /// What a name stands for.
  struct File {
    bool is_folder = false;
    std::string synced;
    std::vector<Change> since;
  };
  using FilePtr = std::shared_ptr<File>;
  /// From now on the name stands for this file, or for none.
  struct Naming {
    std::string path;
    FilePtr file;
  };
  using Names = std::map<std::string, FilePtr>;

  bool records() const { return kind_ == FaultKind::power_loss && !struck_; }
  // With the mutex held.
  bool is_there(const std::string& path) const;
  FilePtr file_at(const std::string& path);
  void find_new_names_in(const std::filesystem::path& folder);
  void find_all_new_names();
  static bool is_in(const Naming& naming, std::string_view folder);
  static void settle(File& file);
  static void apply(std::string& content, const Change& change, size_t n_bytes);
  bool is_reachable(const Names& names, const std::string& path) const;

  std::atomic<FaultKind> kind_{FaultKind::none};
  std::atomic<size_t> count_{0};
  std::atomic<size_t> at_{0};
  std::atomic<bool> lasting_{false}, struck_{false}, struck_a_read_{false};
  std::atomic<bool> operated_{false};  // since the last allocation
  std::string watched_ = std::filesystem::temp_directory_path().string() + "/";
  std::mutex mutex_;
  // Of the folder that is watched.
  std::set<std::string> names_at_start_;      // durable
  Names names_;                               // what has changed since, as the program sees it
  Names durable_names_;                       // the same as it is on the disk
  std::vector<std::vector<Naming>> pending_;  // what is not yet, in order
};

/// One for the program, because SQLite's file systems and allocators are.
Faults& faults();

}  // namespace sable::test
