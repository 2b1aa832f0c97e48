// `sable model logits`: the logits behind every position of a given stream, as a file.
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "runtime/cli/model_command.h"
#include "runtime/cli/model_command_interrupt.h"
#include "runtime/cli/model_command_progress.h"

namespace sable::runtime {

namespace {

static_assert(std::endian::native == std::endian::little, "rows are written as they lie in memory");

/// Rows of float32, front to back. A regular file appears under its name, in place of an older
/// one, only when it is whole; a pipe or device is written directly.
class LogitsFile {
 public:
  static Result<LogitsFile> create(const std::string& path) {
    struct stat found {};
    const bool direct = ::stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode);
    LogitsFile file;
    file.path_ = path;
    file.written_ = direct ? path : path + ".partial";
    file.fd_ = UniqueFd(::open(file.written_.c_str(),
                               O_WRONLY | O_CLOEXEC | (direct ? 0 : O_CREAT | O_TRUNC), 0644));
    if (!file.fd_) return fail_errno("--output " + file.written_, errno);
    return file;
  }
  LogitsFile(LogitsFile&&) = default;
  LogitsFile& operator=(LogitsFile&&) = delete;
  ~LogitsFile() {
    if (fd_ && written_ != path_) ::unlink(written_.c_str());
  }

  Result<void> write(std::span<const float> row) {
    const auto bytes = std::as_bytes(row);
    const auto done =
        write_all(fd_.get(), {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    if (!done) return fail_in("--output " + written_, done.error());
    return {};
  }

  Result<void> finish() {
    if (written_ != path_) {
      if (::fsync(fd_.get()) != 0 || std::rename(written_.c_str(), path_.c_str()) != 0) {
        return fail_errno("--output " + path_, errno);
      }
    }
    fd_.reset();
    return {};
  }

 private:
  LogitsFile() = default;
  std::string path_, written_;
  UniqueFd fd_;
};

struct LogitsReport {
  size_t n_positions = 0;
  int64_t n_vocabulary = 0;
  std::chrono::duration<double> time{0};
};

Result<LogitsReport> write_logits(const ModelOptions& options, const std::stop_token& stop) {
  constexpr size_t kIdsBytesMax = size_t{256} << 20;
  SABLE_TRY(const auto text, read_file(options.tokens_file, kIdsBytesMax));
  SABLE_TRY(const auto ids, parse_token_ids(text, options.tokens_file));
  if (ids.empty()) {
    return fail(ErrorCode::invalid_input, options.tokens_file + ": there is no token id in it");
  }
  SABLE_TRY(const auto engine, inference::Engine::open(options.path, options.engine()));
  const auto sequence = engine->start();
  SABLE_TRY_VOID(sequence->append(ids));
  SABLE_TRY(auto file, LogitsFile::create(options.output));

  Result<void> written;
  sequence->on_logits([&](uint64_t, std::span<const float> row) {
    if (written) written = file.write(row);
  });
  ProgressLine line("logits");
  LogitsReport report{.n_positions = ids.size(), .n_vocabulary = engine->config().vocab_size};
  inference::Sequence* const stepped[] = {sequence.get()};
  while (sequence->n_waiting() > 0) {
    SABLE_TRY(const auto step, engine->step(stepped, stop));
    SABLE_TRY_VOID(written);
    report.time += step.time;
    line.show(sequence->position(), ids.size());
  }
  SABLE_TRY_VOID(file.finish());
  return report;
}

}  // namespace

int model_logits_action(const Program& program, const ModelOptions& options) {
  const Interrupt interrupt;
  const auto report = write_logits(options, interrupt.token());
  if (!report) return program.fail_with(report.error(), interrupt.status_or(1));
  const double seconds = report->time.count();
  if (program.json) {
    const Json json{{"output", options.output},
                    {"positions", report->n_positions},
                    {"vocabulary", report->n_vocabulary},
                    {"seconds", seconds}};
    std::printf("%s\n", dump_json(json).c_str());
    return 0;
  }
  std::fprintf(stderr, "%s: %zu positions of %lld logits, %.2f s of computing\n",
               escape_controls(options.output).c_str(), report->n_positions,
               static_cast<long long>(report->n_vocabulary), seconds);
  return 0;
}

}  // namespace sable::runtime
