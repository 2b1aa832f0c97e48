#include "evaluation/golden_results.h"

#include <regex>

#include "base/json.h"

namespace sable::evaluation {

namespace {

const Files& repository() {
  static const Files files = {
      {"README.md", "# garden\n\nBeds and what grows in them.\n"},
      {"garden/bed.py",
       "\"\"\"Beds.\"\"\"\nimport os\n\nBED_WIDTH = 12\n\n\ndef plant(bed, seeds):\n"
       "    \"\"\"What is left of seeds after bed.\"\"\"\n    # TODO: check the bed\n"
       "    return seeds - bed\n\n\ndef water(bed):\n    return plant(bed, BED_WIDTH)\n"},
      {"garden/well.c",
       "#include \"well.h\"\n\nint draw(int depth) {\n  return depth * 2;\n}\n\nint fill(int "
       "depth) "
       "{\n  return depth * 2;\n}\n"},
      {"garden/well.h", "int draw(int depth);\nint fill(int depth);\n"}};
  return files;
}

struct Call {
  const char* tool;
  Json arguments;
};

/// Each way in which a result can look: hits and none, parts and wholes, success and refusal;
/// nothing that another program words in its own way.
std::vector<Call> calls() {
  return {
      {"list_files", Json::object()},
      {"list_files", {{"path", "garden"}, {"pattern", "*.c"}}},
      {"list_files", {{"path", "gardens"}}},
      {"search", {{"pattern", "\\bplant\\b"}}},
      {"search", {{"pattern", "depth * 2"}, {"literal", true}}},
      {"search", {{"pattern", "plant"}, {"glob", "*.c"}}},
      {"search", {{"pattern", "plant"}, {"path", "orchard"}}},
      {"search", {{"pattern", "("}}},
      {"read_file", {{"path", "garden/bed.py"}}},
      {"read_file", {{"path", "garden/bed.py"}, {"start_line", 7}, {"end_line", 10}}},
      {"read_file", {{"path", "garden/bed.py"}, {"start_line", 90}}},
      {"read_file", {{"path", "garden/beds.py"}}},
      {"edit_file",
       {{"path", "garden/bed.py"}, {"old_text", "BED_WIDTH = 12"}, {"new_text", "BED_WIDTH = 14"}}},
      {"edit_file", {{"path", "garden/bed.py"}, {"old_text", "BEDWIDTH = 14"}, {"new_text", "x"}}},
      {"edit_file",
       {{"path", "garden/well.c"},
        {"old_text", "  return depth * 2;"},
        {"new_text", "  return depth * 3;"}}},
      {"edit_file",
       {{"path", "garden/well.c"},
        {"old_text", "depth * 2"},
        {"new_text", "depth * 3"},
        {"replace_all", true}}},
      {"edit_file", {{"path", "well.c"}, {"old_text", "a"}, {"new_text", "b"}}},
      {"write_file", {{"path", "garden/path.py"}, {"content", "STEPS = 3\n"}}},
      {"shell", {{"command", "cat garden/path.py"}}},
      {"shell", {{"command", "echo one; echo two >&2; exit 3"}}},
      {"shell", {{"command", "true"}}},
      {"shell", {{"command", "nosuchprogram"}}},
      {"shell", {{"command", 3}}}};
}

}  // namespace

Result<std::string> golden_tool_results(Workbench& bench) {
  SABLE_TRY_VOID(bench.lay_out(repository()));
  static const std::regex kSeconds(R"([0-9]+\.[0-9]+ s\])");
  std::string all;
  for (const Call& call : calls()) {
    SABLE_TRY(const tools::Outcome outcome, bench.call(call.tool, call.arguments));
    all += std::string(call.tool) + " " + dump_json(call.arguments) + "\n";
    all += std::regex_replace(outcome.text, kSeconds, "N s]") + "\n\n";
  }
  const std::string folder = bench.folder().string();
  for (size_t at; (at = all.find(folder)) != std::string::npos;) {
    all.replace(at, folder.size(), "/repository");
  }
  return all;
}

}  // namespace sable::evaluation
