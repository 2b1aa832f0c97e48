// The built-in tools, each in a file of its name.
#pragma once

#include "tools/tool.h"

namespace sable::tools {

Tool read_file_tool();
Tool list_files_tool();
Tool search_tool();
Tool edit_file_tool();
Tool write_file_tool();
Tool apply_patch_tool();
Tool git_status_tool();
Tool git_diff_tool();
Tool git_log_tool();
Tool shell_tool();
Tool process_start_tool();
Tool process_read_tool();
Tool process_write_tool();
Tool process_stop_tool();
Tool todo_tool();
Tool ask_user_tool();
Tool read_output_tool();

/// A built-in from its parts; `parameters` is JSON Schema text of ours.
Tool make_builtin(std::string name, std::string description, std::string_view parameters,
                  Effect effect, std::unique_ptr<Runner> runner);

}  // namespace sable::tools
