// scripted-model --script FILE [--record FILE] [--port N]: the scripted model as a program. Prints
// "port=N", plays the script, and ends when it is over, on SIGTERM or SIGINT, or when its standard
// input (a pipe, a socket or a terminal) ends. Exit status: 0; 1 when a request was not what the
// script expects (told on standard error); 2 for a bad command line or script.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/file.h"
#include "tests/support/scripted_model_server.h"

namespace {

using namespace sable;

int usage() {
  std::fputs("usage: scripted-model --script FILE [--record FILE] [--port N]\n", stderr);
  return 2;
}

/// /dev/null and plain files end at once and say nothing about whoever started us.
bool worth_watching(int fd) {
  struct stat info;
  return ::fstat(fd, &info) == 0 &&
         (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode) || ::isatty(fd) == 1);
}

void wait_for_the_end(const test::ScriptedModelServer& server, int signals) {
  pollfd watched[2] = {{signals, POLLIN, 0}, {worth_watching(0) ? 0 : -1, POLLIN, 0}};
  while (!server.over()) {
    if (::poll(watched, 2, 20) <= 0) continue;
    if (watched[0].revents != 0) return;
    char buffer[256];
    if (watched[1].revents != 0 && ::read(0, buffer, sizeof buffer) <= 0) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string script_file;
  test::ScriptedModelServer::Options options;
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return usage();
    const std::string flag = argv[i];
    if (flag == "--script") {
      script_file = argv[i + 1];
    } else if (flag == "--record") {
      options.record = argv[i + 1];
    } else if (flag == "--port") {
      options.port = static_cast<uint16_t>(std::atoi(argv[i + 1]));
    } else {
      return usage();
    }
  }
  if (script_file.empty()) return usage();

  // Before the server's thread starts, so that it inherits the mask.
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGINT);
  ::sigprocmask(SIG_BLOCK, &mask, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  const UniqueFd signals(::signalfd(-1, &mask, SFD_CLOEXEC));

  const auto text = read_file(script_file);
  auto script = text ? test::Script::parse(*text) : Result<test::Script>(fail(text.error()));
  if (!script) {
    std::fprintf(stderr, "scripted-model: %s: %s\n", script_file.c_str(),
                 script.error().message.c_str());
    return 2;
  }
  const auto server = test::ScriptedModelServer::start(std::move(*script), options);
  if (!server) {
    std::fprintf(stderr, "scripted-model: %s\n", server.error().message.c_str());
    return 2;
  }
  std::printf("port=%u\n", static_cast<unsigned>((*server)->port()));
  std::fflush(stdout);
  wait_for_the_end(**server, signals.get());

  const auto complaints = (*server)->complaints();
  for (const auto& complaint : complaints) {
    std::fprintf(stderr, "scripted-model: %s\n", complaint.c_str());
  }
  return complaints.empty() ? 0 : 1;
}
