#include "sandbox/step_text.h"

#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "sandbox/namespace_remedy.h"

namespace sable::sandbox {

namespace {

struct StepText {
  Step step;
  const char* name;
  const char* cause;  ///< the likely cause and the remedy
};

constexpr const char* kMountCause =
    "mounting inside the namespace was refused; in a container allow the mount system calls, and "
    "use "
    "Linux 5.12 or newer";
constexpr const char* kLandlockCause =
    "Landlock refused; it needs Linux 5.13 or newer with \"landlock\" in the lsm= list of the "
    "kernel's "
    "command line";

constexpr StepText kSteps[] = {
    {Step::none, "none", ""},
    {Step::read_plan, "read_plan",
     "the plan did not arrive whole; the launcher and this program must be of one build"},
    {Step::create_namespaces, "create_namespaces", ""},
    {Step::parent_death_signal, "parent_death_signal", ""},
    {Step::map_user, "map_user", ""},
    {Step::private_mounts, "private_mounts", kMountCause},
    {Step::private_file_system, "private_file_system", kMountCause},
    {Step::make_directory, "make_directory", ""},
    {Step::make_symlink, "make_symlink", ""},
    {Step::make_file, "make_file", ""},
    {Step::open_source, "open_source",
     "the path went away or became a link while the call was prepared"},
    {Step::source_changed, "source_changed",
     "the path was replaced by another one while the call was prepared; nothing ran"},
    {Step::clone_mount, "clone_mount", kMountCause},
    {Step::restrict_mount, "restrict_mount", "mount_setattr is needed: use Linux 5.12 or newer"},
    {Step::attach_mount, "attach_mount", "a part of the path is a link or missing inside the view"},
    {Step::mount_overlay, "mount_overlay",
     "transactions need overlayfs in user namespaces (Linux 5.11 or newer, CONFIG_OVERLAY_FS), and "
     "a store on a file system with extended attributes"},
    {Step::mount_process_folder, "mount_process_folder",
     "a fresh /proc was refused, usually because a container covers parts of its own /proc; start "
     "the container with an unmasked /proc"},
    {Step::mount_terminal_folder, "mount_terminal_folder",
     "a private /dev/pts was refused; the kernel needs CONFIG_UNIX98_PTYS"},
    {Step::forbid_namespaces, "forbid_namespaces", "user.max_*_namespaces could not be written"},
    {Step::limit_processes, "limit_processes",
     "kernel.pid_max of the pid namespace could not be written; it needs Linux 6.14"},
    {Step::limit_memory, "limit_memory",
     "the call's memory cgroup could not be entered; something else may have removed it"},
    {Step::change_root, "change_root",
     "pivot_root was refused; it does not work from a chroot or an initial ramdisk"},
    {Step::leave_old_root, "leave_old_root", kMountCause},
    {Step::bring_up_loopback, "bring_up_loopback", ""},
    {Step::listen_for_proxy, "listen_for_proxy", ""},
    {Step::set_host_name, "set_host_name", ""},
    {Step::set_resource_limits, "set_resource_limits", ""},
    {Step::close_descriptors, "close_descriptors", ""},
    {Step::drop_capabilities, "drop_capabilities", ""},
    {Step::no_new_privileges, "no_new_privileges", ""},
    {Step::landlock_rules, "landlock_rules", kLandlockCause},
    {Step::landlock_restrict, "landlock_restrict", kLandlockCause},
    {Step::install_filter, "install_filter",
     "the kernel refused the seccomp filter; it must be built with CONFIG_SECCOMP_FILTER"},
    {Step::read_execution, "read_execution",
     "the command did not arrive whole; the launcher and this program must be of one build"},
    {Step::open_terminal, "open_terminal", ""},
    {Step::create_process, "create_process",
     "the limit of processes is too small to start even one"},
    {Step::enter_working_directory, "enter_working_directory", ""},
    {Step::execute_program, "execute_program", ""},
};
static_assert(sizeof kSteps / sizeof kSteps[0] == static_cast<size_t>(Step::last) + 1);

const StepText& text_of(Step step) {
  const auto index = static_cast<size_t>(step);
  return index < sizeof kSteps / sizeof kSteps[0] ? kSteps[index] : kSteps[0];
}

std::string in_quotes(std::string_view text) { return "\"" + escape_controls(text) + "\""; }

Error program_error(int error, const Execution& execution) {
  const std::string name = execution.arguments.empty() ? "" : execution.arguments.front();
  switch (error) {
    case ENOENT:
      return {ErrorCode::not_found,
              "the program " + in_quotes(name) +
                  (name.find('/') == std::string::npos
                       ? " is in no folder of the sandbox's PATH"
                       : " (or its interpreter) does not exist inside the sandbox")};
    case EACCES:
      return {ErrorCode::not_found,
              "the program " + in_quotes(name) + " is not executable inside the sandbox"};
    case ENOEXEC:
      return {ErrorCode::invalid_input,
              "the file " + in_quotes(name) +
                  " is no program: its first line must name an interpreter (\"#!\")"};
    case E2BIG:
      return {ErrorCode::invalid_input, "the command's arguments and environment are too long"};
    default:
      return {ErrorCode::io,
              "the program " + in_quotes(name) + " could not be started: " + std::strerror(error)};
  }
}

}  // namespace

std::string_view name_of(Step step) { return text_of(step).name; }

Error explain_failure(const StatusMessage& failure, const Plan& plan, const Execution& execution) {
  if (failure.step == Step::execute_program) return program_error(failure.error, execution);
  if (failure.step == Step::enter_working_directory) {
    return {ErrorCode::invalid_input,
            "the working directory " + in_quotes(execution.working_directory) +
                " is not a folder inside the sandbox's view: " + std::strerror(failure.error)};
  }
  const StepText& text = text_of(failure.step);
  std::string message = "sandbox: step " + std::string(text.name);
  const bool has_path = failure.index >= 0 && static_cast<size_t>(failure.index) < plan.view.size();
  if (has_path)
    message += " for " + in_quotes(plan.view[static_cast<size_t>(failure.index)].target);
  message += " failed: " + std::string(std::strerror(failure.error));
  if (failure.step == Step::create_namespaces || failure.step == Step::map_user) {
    message += "; " + namespace_remedy(namespace_settings(),
                                       {"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"},
                                       failure.error);
  } else if (*text.cause != '\0') {
    message += "; " + std::string(text.cause);
  }
  const bool about_path = failure.step == Step::open_source || failure.step == Step::source_changed;
  return {about_path ? ErrorCode::invalid_input : ErrorCode::unsupported, std::move(message)};
}

}  // namespace sable::sandbox
