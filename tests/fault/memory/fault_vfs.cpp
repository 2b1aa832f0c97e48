// A file system for SQLite that passes everything on to the real one and fails as planned; and an
// allocator that does. Both become the default before SQLite is first used.
#include <cstring>
#include <sqlite3.h>
#include <string>
#include <utility>

#include "base/check.h"
#include "tests/fault/memory/faults.h"

namespace sable::test {

namespace {

sqlite3_vfs* real_vfs() { return sqlite3_vfs_find("unix"); }

struct FaultFile {
  sqlite3_file base;
  std::string* path;
  bool is_new_log;     // its first sync makes its name durable, too (os_unix.c, DIRSYNC)
  sqlite3_file* real;  // lies behind this struct
};

FaultFile& self(sqlite3_file* file) { return *reinterpret_cast<FaultFile*>(file); }
sqlite3_file* real(sqlite3_file* file) { return self(file).real; }
const sqlite3_io_methods& methods(sqlite3_file* file) { return *real(file)->pMethods; }

int close_file(sqlite3_file* file) {
  const int code = real(file)->pMethods ? methods(file).xClose(real(file)) : SQLITE_OK;
  delete self(file).path;
  return code;
}

int read_file_at(sqlite3_file* file, void* data, int n, sqlite3_int64 offset) {
  if (faults().strikes(Operation::read)) return SQLITE_IOERR_READ;
  return methods(file).xRead(real(file), data, n, offset);
}

int write_file_at(sqlite3_file* file, const void* data, int n, sqlite3_int64 offset) {
  if (faults().strikes(Operation::write)) {
    if (faults().kind() == FaultKind::short_write) {
      (void)methods(file).xWrite(real(file), data, n / 2, offset);
    }
    return faults().kind() == FaultKind::io_error || faults().kind() == FaultKind::power_loss
               ? SQLITE_IOERR_WRITE
               : SQLITE_FULL;
  }
  faults().before_change(*self(file).path);
  const int code = methods(file).xWrite(real(file), data, n, offset);
  if (code == SQLITE_OK) {
    faults().on_write(*self(file).path, static_cast<size_t>(offset), data, static_cast<size_t>(n));
  }
  return code;
}

std::string folder_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
  if (faults().strikes(Operation::truncate)) return SQLITE_IOERR_TRUNCATE;
  faults().before_change(*self(file).path);
  const int code = methods(file).xTruncate(real(file), size);
  if (code == SQLITE_OK) faults().on_truncate(*self(file).path, static_cast<size_t>(size));
  return code;
}

int sync_file(sqlite3_file* file, int flags) {
  if (faults().strikes(Operation::sync)) return SQLITE_IOERR_FSYNC;
  faults().on_sync(*self(file).path);
  if (std::exchange(self(file).is_new_log, false)) {
    faults().on_sync_folder(folder_of(*self(file).path));
  }
  if (faults().kind() != FaultKind::none) return SQLITE_OK;  // nothing is waited for in the loops
  return methods(file).xSync(real(file), flags);
}

int file_size(sqlite3_file* file, sqlite3_int64* size) {
  return methods(file).xFileSize(real(file), size);
}
int lock(sqlite3_file* file, int kind) { return methods(file).xLock(real(file), kind); }
int unlock(sqlite3_file* file, int kind) { return methods(file).xUnlock(real(file), kind); }
int check_reserved(sqlite3_file* file, int* reserved) {
  return methods(file).xCheckReservedLock(real(file), reserved);
}
int file_control(sqlite3_file* file, int op, void* argument) {
  return methods(file).xFileControl(real(file), op, argument);
}
int sector_size(sqlite3_file* file) { return methods(file).xSectorSize(real(file)); }
int characteristics(sqlite3_file* file) { return methods(file).xDeviceCharacteristics(real(file)); }
int shm_map(sqlite3_file* file, int page, int bytes, int extend, void volatile** memory) {
  return methods(file).xShmMap(real(file), page, bytes, extend, memory);
}
int shm_lock(sqlite3_file* file, int offset, int n, int flags) {
  return methods(file).xShmLock(real(file), offset, n, flags);
}
void shm_barrier(sqlite3_file* file) { methods(file).xShmBarrier(real(file)); }
int shm_unmap(sqlite3_file* file, int remove) {
  return methods(file).xShmUnmap(real(file), remove);
}

const sqlite3_io_methods kMethods = {
    2,        close_file,  read_file_at,   write_file_at, truncate_file, sync_file,       file_size,
    lock,     unlock,      check_reserved, file_control,  sector_size,   characteristics, shm_map,
    shm_lock, shm_barrier, shm_unmap,      nullptr,       nullptr};

int open_file(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto& fault_file = self(file);
  fault_file.path = new std::string(name ? name : "");
  constexpr int kLogs = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
  fault_file.is_new_log = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & kLogs) != 0;
  fault_file.real = reinterpret_cast<sqlite3_file*>(&fault_file + 1);
  std::memset(fault_file.real, 0, static_cast<size_t>(real_vfs()->szOsFile));
  const int code = real_vfs()->xOpen(real_vfs(), name, fault_file.real, flags, out_flags);
  fault_file.base.pMethods = code == SQLITE_OK ? &kMethods : nullptr;
  if (code != SQLITE_OK) delete fault_file.path;
  return code;
}

int delete_file(sqlite3_vfs*, const char* name, int sync_directory) {
  if (faults().strikes(Operation::rename)) return SQLITE_IOERR_DELETE;
  faults().before_removal(name);
  const int code = real_vfs()->xDelete(real_vfs(), name, sync_directory);
  if (code == SQLITE_OK) {
    faults().on_remove(name);
    if (sync_directory != 0) faults().on_sync_folder(folder_of(name));
  }
  return code;
}

sqlite3_mem_methods real_memory;

void* allocate(int n) {
  return faults().strikes(Operation::allocate) ? nullptr : real_memory.xMalloc(n);
}
void* reallocate(void* old, int n) {
  return faults().strikes(Operation::allocate) ? nullptr : real_memory.xRealloc(old, n);
}

/// Before main: SQLite takes an allocator only while it is not in use.
const bool kInstalled = [] {
  SABLE_CHECK(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) == SQLITE_OK);
  static sqlite3_mem_methods memory = real_memory;
  memory.xMalloc = allocate;
  memory.xRealloc = reallocate;
  SABLE_CHECK(sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) == SQLITE_OK);
  static sqlite3_vfs vfs = *real_vfs();
  vfs.zName = "fault";
  vfs.szOsFile += static_cast<int>(sizeof(FaultFile));
  vfs.xOpen = open_file;
  vfs.xDelete = delete_file;
  SABLE_CHECK(sqlite3_vfs_register(&vfs, /*makeDflt=*/1) == SQLITE_OK);
  return true;
}();

}  // namespace

}  // namespace sable::test
