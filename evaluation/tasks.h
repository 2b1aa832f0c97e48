// The kinds of tasks that the embedded model learns, each played by a teacher who knows the
// repository and uses the real tools as the model should.
#pragma once

#include <span>
#include <string_view>

#include "evaluation/stage.h"

namespace sable::evaluation {

/// Makes a repository, asks for something, and plays the task to its answer. False when the made-up
/// world does not lend itself to it; then the episode is thrown away.
using Script = bool (*)(Stage& stage);

struct TaskKind {
  std::string_view family;
  Script script;
  double share;  ///< of all tasks
};

/// All kinds; several may belong to one family.
std::span<const TaskKind> task_kinds();

// By family, in files of their own.
bool find_definition(Stage& stage);
bool find_callers(Stage& stage);
bool rename_symbol(Stage& stage);
bool set_constant(Stage& stage);
bool set_default(Stage& stage);
bool replace_text(Stage& stage);
bool add_entry(Stage& stage);
bool add_import(Stage& stage);
bool add_constant(Stage& stage);
bool add_line(Stage& stage);
bool add_parameter(Stage& stage);
bool fix_failing_test(Stage& stage);
bool list_todos(Stage& stage);
bool count_matches(Stage& stage);
bool summarise_file(Stage& stage);
bool run_command(Stage& stage);
bool refuse(Stage& stage);

/// A request in one of many wordings, with a person's carelessness now and then.
std::string request(Stage& stage, std::string_view pattern,
                    const std::vector<std::pair<std::string_view, std::string>>& values);

/// text with `name` wherever it stands as a whole word replaced.
std::string with_word_replaced(const std::string& text, const std::string& name,
                               const std::string& replacement);
bool has_word(const std::string& text, const std::string& name);

/// A search for a whole word.
inline std::string word_pattern(const std::string& name) { return "\\b" + name + "\\b"; }

}  // namespace sable::evaluation
