#include "tests/attack/attempts.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

namespace sable::attack {

void Attempts::denied(const std::string& what, long result, std::initializer_list<int> errors) {
  const int error = errno;
  if (result >= 0) return report(false, what, "it worked");
  const bool expected = std::find(errors.begin(), errors.end(), error) != errors.end();
  report(expected, what, std::strerror(error));
}

void Attempts::holds(const std::string& what, bool fact) {
  report(fact, what, fact ? "holds" : "does not hold");
}

void Attempts::killed_by(const std::string& what, int signal,
                         const std::function<void()>& attempt) {
  std::fflush(stdout);
  const pid_t pid = ::fork();
  if (pid == 0) {
    attempt();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == signal;
  report(killed, what, killed ? "killed" : "status " + std::to_string(status));
}

void Attempts::report(bool stopped, const std::string& what, const std::string& how) {
  ++n_;
  if (!stopped) ++n_breaches_;
  std::printf("%s %s: %s\n", stopped ? "stopped" : "BREACH", what.c_str(), how.c_str());
}

std::string given(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

int given_number(const char* name) { return std::atoi(given(name).c_str()); }

}  // namespace sable::attack
