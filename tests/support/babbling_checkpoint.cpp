#include "tests/support/babbling_checkpoint.h"

#include <string>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "tests/support/mini_checkpoint.h"

namespace sable::test {

namespace fs = std::filesystem;

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
  const char* tags[] = {"\n\n<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"",
                        "<｜DSML｜parameter name=\"",
                        "</｜DSML｜parameter>\n",
                        "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
                        "</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
                        "\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>"};
  size_t n = 0;
  for (auto& token : (*tokenizer)["added_tokens"]) {
    const auto content = string_or(token, "content", "");
    if (n == std::size(tags) || content.find("place▁holder") == std::string::npos) continue;
    token["content"] = tags[n++];
    token["special"] = false;
  }
  SABLE_CHECK(n == std::size(tags));
  SABLE_CHECK(write_file_atomically(output / "tokenizer.json", dump_json(*tokenizer)).has_value());
  return output;
}

}  // namespace sable::test
