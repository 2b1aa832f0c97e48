// P1 to P6: leaving something behind that a program outside the sandbox would run.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/attack/attempts.h"

namespace sable::attack {

namespace {

constexpr auto kNoChange = {EROFS, EACCES, ENOENT, EPERM, EBUSY};

int create(const std::string& path) {
  return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0755);
}

void hooks(Attempts& attempts) {
  for (const std::string& repository : {std::string("."), std::string("nested/deep")}) {
    const std::string hooks = repository + "/.git/hooks";
    attempts.denied("add a hook in " + repository, create(hooks + "/post-checkout"), kNoChange);
    attempts.denied("edit a hook in " + repository,
                    ::open((hooks + "/pre-commit").c_str(), O_WRONLY), kNoChange);
    attempts.denied("replace the hooks folder in " + repository,
                    ::rename(hooks.c_str(), "old-hooks"), {EBUSY, EROFS, EACCES, EXDEV});
    attempts.denied("remove a hook in " + repository, ::unlink((hooks + "/pre-commit").c_str()),
                    kNoChange);
    attempts.denied("chmod a hook in " + repository, ::chmod((hooks + "/pre-commit").c_str(), 0777),
                    kNoChange);
  }
}

void configuration(Attempts& attempts) {
  for (const std::string& repository : {std::string("."), std::string("nested/deep")}) {
    const std::string config = repository + "/.git/config";
    attempts.denied("append to " + config, ::open(config.c_str(), O_WRONLY | O_APPEND), kNoChange);
    attempts.holds(
        "git config refuses an alias in " + repository,
        std::system(
            ("git -C " + repository + " config alias.st '!touch /tmp/x' 2>/dev/null").c_str()) !=
            0);
    attempts.holds(
        "git config refuses a file system monitor in " + repository,
        std::system(
            ("git -C " + repository + " config core.fsmonitor ./evil 2>/dev/null").c_str()) != 0);
    const std::string other = repository + "/.git/other";
    create(other);
    attempts.denied("rename over " + config, ::rename(other.c_str(), config.c_str()), kNoChange);
    attempts.denied("replace " + config + " by a link",
                    ::unlink(config.c_str()) == 0 ? ::symlink("/tmp/x", config.c_str()) : -1,
                    kNoChange);
  }
}

void repository_folder(Attempts& attempts) {
  for (const std::string& repository : {std::string("."), std::string("nested/deep")}) {
    const std::string git = repository + "/.git";
    attempts.denied("rename " + git + " away", ::rename(git.c_str(), "moved"),
                    {EBUSY, EROFS, EACCES, EXDEV});
    attempts.denied("remove " + git, ::rmdir(git.c_str()), {EBUSY, EROFS, EACCES, ENOTEMPTY});
    attempts.denied("put a pointer file in the place of " + git,
                    ::rename((create("pointer"), "pointer"), git.c_str()),
                    {EBUSY, EROFS, EACCES, EXDEV, EISDIR});
  }
  // What did not exist may be made, and what lies around a repository moved; the result names that.
  create("nested/deep/.git/commondir");
}

void missing_names(Attempts& attempts) {
  // What exists is protected; what is missing may be made, and then the call's result names it.
  attempts.denied("edit the agent's settings of the repository",
                  ::open(".sable/config.yaml", O_WRONLY), kNoChange);
  attempts.denied("add to them", create(".sable/tools.yaml"), kNoChange);
  ::mkdir(".vscode", 0755);
  create(".vscode/tasks.json");
  create(".envrc");
  attempts.holds("made editor tasks, for the harness to find in the result", true);
}

void start_up_files(Attempts& attempts) {
  for (const std::string& path :
       {given("REAL_HOME") + "/.bashrc", given("REAL_HOME") + "/.profile",
        std::string("/etc/profile"), std::string("/etc/bash.bashrc"), std::string("/root/.bashrc"),
        std::string("/etc/profile.d/x.sh")}) {
    attempts.denied("append to " + path, ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT, 0644),
                    {ENOENT, EROFS, EACCES});
  }
}

void left_behind(Attempts& attempts) {
  for (const char* command :
       {"echo '* * * * * touch /tmp/x' | crontab - 2>/dev/null",
        "echo 'touch /tmp/x' | at now 2>/dev/null", "systemd-run --user touch /tmp/x 2>/dev/null",
        "systemctl --user start x 2>/dev/null"}) {
    attempts.holds(std::string("refused: ") + command, std::system(command) != 0);
  }
  if (::fork() == 0) {
    ::setsid();
    if (::fork() == 0) {
      ::signal(SIGTERM, SIG_IGN);
      ::signal(SIGHUP, SIG_IGN);
      for (int fd = 0; fd < 64; ++fd) ::close(fd);
      ::sleep(600);
    }
    ::_exit(0);
  }
  attempts.holds("started a daemon, for the harness to look for", true);
}

}  // namespace

AttackTable persistence_attacks() {
  return {{"P1", hooks},         {"P2", configuration},  {"P3", repository_folder},
          {"P4", missing_names}, {"P5", start_up_files}, {"P6", left_behind}};
}

}  // namespace sable::attack
