#include "tests/support/babbling_checkpoint.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "tests/support/mini_checkpoint.h"
#include "tests/support/temporary_folder.h"

namespace sable::test {

namespace fs = std::filesystem;

namespace {

/// Beginnings, ends and whole calls, so that calls come as often as any byte.
std::vector<std::string> whole_tags() {
  const std::string end = "</｜DSML｜invoke>\n</｜DSML｜tool_calls>";
  const std::string value_end = "</｜DSML｜parameter>\n";
  std::vector<std::string> tags = {"<｜DSML｜parameter name=\"", value_end, value_end + end, end,
                                   "\n" + end};
  const std::pair<const char*, const char*> calls[] = {
      {"find", "text"},      {"list", "tags"},       {"read_file", "path"},
      {"search", "pattern"}, {"list_files", "path"}, {"shell", "command"}};
  for (const auto& [tool, parameter] : calls) {
    const std::string open =
        std::string("\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"") + tool + "\">\n";
    const std::string value =
        std::string("<｜DSML｜parameter name=\"") + parameter + "\" string=\"true\">";
    tags.push_back(open);
    tags.push_back(open + "\n" + end);
    tags.push_back(open + value);
    tags.push_back(open + value + "a" + value_end + end);
    if (std::find(tags.begin(), tags.end(), value) == tags.end()) tags.push_back(value);
  }
  return tags;
}

}  // namespace

fs::path babbling_checkpoint(const fs::path& output) {
  const fs::path mini = mini_checkpoint(
      "--layers 3 --mtp 0 --ratios 0,4,128 --hidden 128 --original-context 4096 --vocab 512");
  fs::create_directories(output);
  for (const char* file : {"config.json", "model.safetensors"}) {
    fs::create_symlink(mini / file, output / file);
  }
  const auto text = read_file(mini / "tokenizer.json");
  SABLE_CHECK(text.has_value());
  auto tokenizer = parse_json(*text);
  SABLE_CHECK(tokenizer.has_value());
  const auto tags = whole_tags();
  size_t n = 0;
  for (auto& token : (*tokenizer)["added_tokens"]) {
    const auto content = string_or(token, "content", "");
    if (n == tags.size() || content.find("place▁holder") == std::string::npos) continue;
    token["content"] = tags[n++];
    token["special"] = false;
  }
  SABLE_CHECK(n == tags.size());
  SABLE_CHECK(write_file_atomically(output / "tokenizer.json", dump_json(*tokenizer)).has_value());
  return output;
}

const fs::path& babbling_model() {
  static const TemporaryFolder folder;
  static const auto path = babbling_checkpoint(folder / "model");
  return path;
}

}  // namespace sable::test
