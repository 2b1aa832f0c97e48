// Reads and hashes what a repository brings.
#include <algorithm>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/text.h"
#include "runtime/config/repository_reader.h"
#include "runtime/config/trust.h"

namespace sable::runtime::config {

namespace {

constexpr const char* kToolsFolder = ".sable/tools";
constexpr const char* kAgentsFolder = ".sable/agents";
constexpr size_t kBroughtFilesMax = 256;
constexpr size_t kBroughtFileBytesMax = size_t{1} << 20;
constexpr size_t kBytesMax = size_t{8} << 20;
constexpr int kDepthMax = 8;

struct Scan {
  const RepositoryReader& reader;
  std::vector<BroughtFile> files{};
  size_t bytes = 0;

  Result<void> folder(const std::string& path, int depth) {
    const auto shown = [&] { return escape_controls((reader.root() / path).string()); };
    if (depth > kDepthMax) {
      return fail(ErrorCode::exhausted,
                  fmt::format("{}: nested deeper than {} folders", shown(), kDepthMax));
    }
    SABLE_TRY(const auto entries, reader.list(path, kBroughtFilesMax));
    if (!entries) return {};
    for (const auto& entry : *entries) {
      const auto below = path + "/" + entry.name;
      if (entry.is_folder) {
        SABLE_TRY_VOID(folder(below, depth + 1));
        continue;
      }
      if (files.size() == kBroughtFilesMax) {
        return fail(ErrorCode::exhausted,
                    fmt::format("{}: more than {} files", shown(), kBroughtFilesMax));
      }
      SABLE_TRY(auto content, reader.read(below, kBroughtFileBytesMax));
      if (!content) continue;  // gone since it was listed, so it is not brought
      bytes += content->size();
      if (bytes > kBytesMax) {
        return fail(ErrorCode::exhausted,
                    fmt::format("{}: more than {} bytes in all", shown(), kBytesMax));
      }
      files.push_back({.path = below, .content = std::move(*content)});
    }
    return {};
  }
};

/// Eight bytes, least significant first: a length cannot be mistaken for what follows it.
void update_length(Sha256& hash, uint64_t length) {
  char bytes[8];
  for (char& byte : bytes) {
    byte = static_cast<char>(length & 0xFF);
    length >>= 8;
  }
  hash.update(std::string_view(bytes, sizeof bytes));
}

std::string digest_of(const std::vector<BroughtFile>& files) {
  Sha256 hash;
  hash.update(std::string_view("sable trust 1\n"));
  for (const auto& file : files) {
    update_length(hash, file.path.size());
    hash.update(file.path);
    update_length(hash, file.content.size());
    hash.update(file.content);
  }
  return "sha256:" + to_hex(hash.finish());
}

std::vector<BroughtFile> definitions_in(const std::vector<BroughtFile>& files,
                                        std::string_view folder) {
  std::vector<BroughtFile> found;
  std::copy_if(files.begin(), files.end(), std::back_inserter(found), [&](const BroughtFile& file) {
    const std::filesystem::path path(file.path);
    return path.parent_path() == folder && path.extension() == ".yaml";
  });
  return found;
}

}  // namespace

Result<BroughtContent> read_brought(const std::filesystem::path& repository) {
  SABLE_TRY(const auto reader, RepositoryReader::open(repository));
  Scan scan{.reader = reader};
  SABLE_TRY_VOID(scan.folder(kAgentsFolder, 1));
  SABLE_TRY_VOID(scan.folder(kToolsFolder, 1));
  std::sort(scan.files.begin(), scan.files.end(),
            [](const BroughtFile& a, const BroughtFile& b) { return a.path < b.path; });
  BroughtContent content;
  content.repository = reader.root();
  content.digest = digest_of(scan.files);
  content.files = std::move(scan.files);
  return content;
}

std::vector<BroughtFile> TrustedContent::tools() const {
  return definitions_in(content_.files, kToolsFolder);
}

std::vector<BroughtFile> TrustedContent::agents() const {
  return definitions_in(content_.files, kAgentsFolder);
}

}  // namespace sable::runtime::config
