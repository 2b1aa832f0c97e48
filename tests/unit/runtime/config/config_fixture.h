// A user's folder, a repository and a command line for tests of the layers.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/config/config.h"
#include "tests/support/temporary_folder.h"

namespace sable::runtime::config::test {

class ConfigFixture {
 public:
  ConfigFixture() {
    folder.write("repo/README.md", "x\n");
    sources.environment.home = (folder / "home").string();
  }

  void user(std::string_view text) const { folder.write("home/.config/sable/config.yaml", text); }
  void repository(std::string_view text) {
    folder.write("repo/.sable/config.yaml", text);
    sources.repository = folder / "repo";
  }
  void file(std::string_view text) { sources.file = folder.write("extra.yaml", text); }
  void flag(std::string name, std::string key, std::string value) {
    sources.flags.push_back({std::move(name), std::move(key), std::move(value)});
  }

  Result<LoadedConfig> load() const { return config::load(sources); }

  Config config() const {
    auto loaded = load();
    return loaded ? loaded->config : throw std::runtime_error(loaded.error().message);
  }

  /// The error with the test's folders cut out of it: "home", "repo" and "extra.yaml" remain.
  std::string error() const {
    const auto loaded = load();
    return loaded ? "accepted" : shortened(loaded.error().message);
  }

  std::optional<ErrorCode> code() const {
    const auto loaded = load();
    return loaded ? std::nullopt : std::optional(loaded.error().code);
  }

  std::string shortened(std::string text) const {
    for (const auto& root :
         {std::filesystem::canonical(folder.path()).string() + "/", folder.path().string() + "/"}) {
      for (size_t at = text.find(root); at != text.npos; at = text.find(root)) {
        text.erase(at, root.size());
      }
    }
    return text;
  }

  sable::test::TemporaryFolder folder;
  Sources sources;
};

}  // namespace sable::runtime::config::test
