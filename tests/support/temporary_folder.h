// A folder that a test owns; gone when the test is over.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace sable::test {

/// Creates a fresh folder under the system's temporary folder; removes it with all content.
class TemporaryFolder {
 public:
  TemporaryFolder();
  explicit TemporaryFolder(const std::filesystem::path& parent);  ///< under another folder
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

  /// Writes a file below the folder, making parents; returns its path.
  std::filesystem::path write(std::string_view name, std::string_view content) const;
  /// Reads a file below the folder; empty if it is not there.
  std::string read(std::string_view name) const;

 private:
  std::filesystem::path path_;
};

}  // namespace sable::test
