#include "base/file.h"

#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <set>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "base/folder_stream.h"
#include "base/write.h"
#include "tests/support/temporary_folder.h"

using namespace sable;

TEST_CASE("a file is written whole, with its mode, and nothing else is left") {
  test::TemporaryFolder folder;
  REQUIRE(write_file_atomically(folder / "a", "one", 0600));
  REQUIRE(write_file_atomically(folder / "a", "two", 0600));
  CHECK(read_file(folder / "a").value() == "two");
  struct stat info {};
  REQUIRE(::stat((folder / "a").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777u) == 0600u);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("what is not a regular file is refused, and a FIFO does not hang the reader") {
  test::TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  CHECK(read_file(folder / "fifo").error().code == ErrorCode::invalid_input);
  CHECK(read_file(folder / "absent").error().code == ErrorCode::not_found);
  CHECK(read_file("/dev/zero").error().code == ErrorCode::invalid_input);
}

TEST_CASE("a file over the limit is refused") {
  test::TemporaryFolder folder;
  folder.write("big", std::string(1000, 'x'));
  CHECK(read_file(folder / "big", 999).error().code == ErrorCode::exhausted);
  CHECK(read_file(folder / "big", 1000).has_value());
}

TEST_CASE("what is written to a non-blocking descriptor arrives whole, however slow its reader") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_NONBLOCK | O_CLOEXEC) == 0);
  UniqueFd from(ends[0]), to(ends[1]);
  const std::string sent(3 << 20, 'x');  // far more than a pipe holds
  size_t n_received = 0;
  std::thread reader([&] {
    char buffer[1 << 16];
    pollfd readable{.fd = from.get(), .events = POLLIN, .revents = 0};
    while (::poll(&readable, 1, -1) > 0) {
      const ssize_t n = ::read(from.get(), buffer, sizeof buffer);
      if (n == 0) return;
      if (n > 0) n_received += static_cast<size_t>(n);
    }
  });
  const auto written = write_all(to.get(), sent);
  to.reset();
  reader.join();
  CHECK(written);
  CHECK(n_received == sent.size());
}

TEST_CASE("a write that fails says why") {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  REQUIRE(full);
  CHECK(write_all_or_errno(full.get(), "x") == ENOSPC);
  CHECK(write_all(full.get(), "x").error().message.find("No space left") != std::string::npos);
}

TEST_CASE("a folder is locked by one at a time, and a file or a link not at all") {
  test::TemporaryFolder folder;
  auto first = lock_folder(folder.path());
  CHECK(first);
  CHECK_FALSE(lock_folder(folder.path()));
  first.reset();
  CHECK(lock_folder(folder.path()));
  CHECK_FALSE(lock_folder(folder.write("file", "")));
  std::filesystem::create_directory_symlink(folder.path(), folder / "link");
  CHECK_FALSE(lock_folder(folder / "link"));
}

TEST_CASE("a folder's entries come without itself and its parent; a file has none") {
  test::TemporaryFolder folder;
  folder.write("a", "");
  folder.write(".b", "");
  FolderStream stream(UniqueFd(::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY)));
  REQUIRE(stream);
  std::set<std::string> names;
  while (const dirent* entry = stream.next()) names.insert(entry->d_name);
  CHECK(names == std::set<std::string>{".b", "a"});
  CHECK(errno == 0);

  FolderStream none(UniqueFd(::open((folder / "a").c_str(), O_RDONLY)));
  CHECK_FALSE(none);
  CHECK(errno == ENOTDIR);
}
