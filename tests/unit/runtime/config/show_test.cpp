#include <algorithm>
#include <filesystem>
#include <set>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "base/text.h"
#include "runtime/config/embedded_files.h"
#include "runtime/config/settings.h"
#include "tests/unit/runtime/config/config_fixture.h"

using namespace sable;
using namespace sable::runtime::config;
using namespace sable::runtime::config::test;

namespace {

const Json& entry(const Json& shown, std::string_view key) {
  for (const auto& setting : shown["settings"]) {
    if (setting["key"] == key) return setting;
  }
  FAIL("no " << key);
  std::abort();
}

constexpr std::string_view kBegin = "<!-- settings: begin -->\n";
constexpr std::string_view kEnd = "<!-- settings: end -->\n";

struct Page {
  std::filesystem::path path = std::filesystem::path(SABLE_SOURCE_DIR) / "docs/configuration.md";
  std::string text = read_file(path).value();
  size_t begin = text.find(kBegin) + kBegin.size();
  size_t end = text.find(kEnd);

  std::string table() const { return text.substr(begin, end - begin); }
};

std::string expected_table() { return "\n" + settings_markdown(built_in_config().value()) + "\n"; }

}  // namespace

TEST_CASE("shown as JSON, each setting has its value, its text and its place") {
  ConfigFixture fixture;
  fixture.user("sandbox: {memory: 2G, timeout: 90s, masked: [~/.ssh]}\n");
  fixture.flag("--seed", "sampling.seed", "7");
  const auto shown = to_json(fixture.load().value());
  CHECK(shown["profile"] == "tool");
  CHECK(shown["files"][0]["found"] == true);
  const auto memory = entry(shown, "sandbox.memory");
  CHECK(memory["value"] == 2147483648);
  CHECK(memory["text"] == "2G");
  CHECK(memory["layer"] == "user");
  CHECK(memory["line"] == 1);
  CHECK(memory["column"] == 19);
  CHECK(entry(shown, "sandbox.timeout")["value"] == 90000);
  CHECK(entry(shown, "sandbox.network")["value"] == "none");
  CHECK(entry(shown, "sandbox.network")["source"] == "default.yaml");
  CHECK(entry(shown, "sampling.seed")["value"] == 7);
  CHECK(entry(shown, "sampling.seed")["source"] == "--seed");
  CHECK(entry(shown, "sampling.temperature")["value"].is_null());
  CHECK(entry(shown, "sandbox.masked")["value"] == Json({"~/.ssh"}));
  CHECK(entry(shown, "sandbox.masked")["items"][0]["line"] == 1);
  CHECK(entry(shown, "providers.deepseek.api_key_env")["value"] == "DEEPSEEK_API_KEY");
}

TEST_CASE("shown as JSON, every setting of the table appears") {
  ConfigFixture fixture;
  fixture.user("tools: {shell: {approval: ask}}\nsandbox: {environment: {A: b}}\n");
  const auto shown = to_json(fixture.load().value());
  std::set<std::string> keys;
  for (const auto& setting : shown["settings"]) keys.insert(setting["key"].get<std::string>());
  for (const auto& setting : settings()) {
    const auto prefix = setting.key.substr(0, setting.key.find(".*"));
    const auto* name = prefix == "providers" ? "deepseek" : prefix == "tools" ? "shell" : "A";
    INFO(setting.key);
    CHECK(keys.count(with_name(setting.key, name)) == 1);
  }
}

TEST_CASE("shown as text, a line says key, value and who set it") {
  ConfigFixture fixture;
  fixture.user("limits: {steps: 9}\nsandbox: {masked: [a, b]}\n");
  fixture.flag("--env", "sandbox.environment.PS1", "c\x1b[31m\nd");
  const auto text = fixture.shortened(to_text(fixture.load().value()));
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK(text.find("\nd") == std::string::npos);
  std::vector<std::string> lines;
  for (const auto line : split_lines(text)) {
    std::string squeezed;
    for (const char c : line) {
      if (c != ' ' || squeezed.empty() || squeezed.back() != ' ') squeezed += c;
    }
    lines.push_back(squeezed);
  }
  const auto has = [&](const std::string& line) {
    return std::find(lines.begin(), lines.end(), line) != lines.end();
  };
  CHECK(has("limits.steps 9 home/.config/sable/config.yaml:1:17"));
  CHECK(has("limits.tool_calls 200 built-in"));
  CHECK(has("sandbox.masked a home/.config/sable/config.yaml:2:20"));
  CHECK(has("sandbox.masked b home/.config/sable/config.yaml:2:23"));
  CHECK(has("sandbox.readable [] built-in"));
  CHECK(has("model \"\" built-in"));
}

TEST_CASE("every file of configs/ that is settings, and our prompt texts, are compiled in") {
  const std::filesystem::path root = std::filesystem::path(SABLE_SOURCE_DIR) / "configs";
  size_t n_found = 0;
  for (const auto* folder : {".", "agents", "models", "profiles"}) {
    for (const auto& file : std::filesystem::directory_iterator(root / folder)) {
      if (file.path().extension() != ".yaml") continue;
      // Models lie beside the program, not in it.
      if (std::string(folder) == "models" && file.path().filename() != "prompt.yaml") continue;
      const auto path = file.path().lexically_relative(root).lexically_normal().string();
      const auto name = path.rfind("./", 0) == 0 ? path.substr(2) : path;
      INFO(name);
      bool found = false;
      for (const auto& embedded : embedded_files()) {
        if (embedded.path != name) continue;
        found = true;
        CHECK(embedded.content == read_file(file.path()).value());
      }
      CHECK(found);
      ++n_found;
    }
  }
  CHECK(n_found == embedded_files().size());
}

TEST_CASE("docs/configuration.md has the table of the settings") {
  const Page page;
  REQUIRE(page.end != std::string::npos);
  INFO("to write it anew: test_runtime_config '[.write-docs]'");
  CHECK(page.table() == expected_table());
}

TEST_CASE("write the table into docs/configuration.md", "[.write-docs]") {
  const Page page;
  REQUIRE(page.end != std::string::npos);
  const auto text = page.text.substr(0, page.begin) + expected_table() + page.text.substr(page.end);
  REQUIRE(write_file_atomically(page.path, text));
}
