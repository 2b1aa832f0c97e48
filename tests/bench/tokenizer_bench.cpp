// How fast text becomes tokens and tokens become text, in megabytes of text a second of
// processor time on one thread.
//
//   bench_tokenizer [--tokenizer FILE] [--text FILE] [--runs N] [--json] [--smoke]
//
// Without files: the reduced DeepSeek-V3 tokenizer of the tests and their corpus. Texts are
// repeated to about 4 MB. Each row gives the median, fastest and slowest of N runs after one to
// warm up, and a checksum of the ids, so that a faster wrong answer shows.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "inference/tokenizer/tokenizer.h"

namespace {

using namespace sable;
using namespace sable::inference;

struct Options {
  std::string tokenizer =
      std::string(SABLE_SOURCE_DIR) + "/tests/golden/tokenizer/small/deepseek_v3_reduced.json";
  std::string text;
  int runs = 7;
  bool json = false, smoke = false;
};

struct Sample {
  std::string name, text;
};

struct Rate {
  double median = 0, slowest = 0, fastest = 0;  // MB/s
};

/// Seconds of processor time that this thread has used: other work on the machine does not count.
double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class Work>
Rate measure(size_t bytes, int runs, Work&& work) {
  std::vector<double> rates;
  for (int run = -1; run < runs; ++run) {
    const double start = thread_seconds();
    work();
    const double spent = std::max(1e-9, thread_seconds() - start);
    if (run >= 0) rates.push_back(static_cast<double>(bytes) / 1e6 / spent);
  }
  std::sort(rates.begin(), rates.end());
  return {rates[rates.size() / 2], rates.front(), rates.back()};
}

std::string repeated(const std::string& text, size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += text;
  return out;
}

Result<std::vector<Sample>> samples(const Options& options) {
  const size_t bytes = options.smoke ? 20'000 : 4'000'000;
  if (!options.text.empty()) {
    SABLE_TRY(const std::string text, read_file(options.text));
    if (text.empty()) return fail(ErrorCode::invalid_input, options.text + " is empty");
    return std::vector<Sample>{{options.text, repeated(text, bytes)}};
  }
  SABLE_TRY(const std::string text,
            read_file(std::string(SABLE_SOURCE_DIR) + "/tests/golden/tokenizer/corpus.json"));
  SABLE_TRY(const Json corpus, parse_json(text));
  std::string all, code, chinese, english;
  for (const Json& entry : corpus) {
    const std::string name = string_or(entry, "name", ""), one = string_or(entry, "text", "");
    all += one + "\n";
    if (name.find("code") != name.npos) code += one;
    if (name == "chinese" || name == "japanese") chinese += one;
    if (name == "english") english += one + "\n";
  }
  return std::vector<Sample>{{"english", repeated(english, bytes)},
                             {"code", repeated(code, bytes)},
                             {"chinese", repeated(chinese, bytes)},
                             {"everything", repeated(all, bytes)},
                             {"one word", repeated("abcdefghijklmnopqrstuvwxyz", bytes)}};
}

Result<void> run(const Options& options) {
  SABLE_TRY(const std::string file, read_file(options.tokenizer));
  const double start = thread_seconds();
  SABLE_TRY(const Tokenizer tokenizer, Tokenizer::from_json(file));
  const double load_ms = 1e3 * (thread_seconds() - start);
  if (!options.json) {
    fmt::print("{} tokens, loaded in {:.0f} ms; one thread, median of {} runs\n\n",
               tokenizer.vocab_size(), load_ms, options.runs);
    fmt::print("{:<12} {:>8} {:>10} {:>18} {:>8} {:>18}  {}\n", "text", "tokens", "encode",
               "(range) MB/s", "decode", "(range) MB/s", "checksum");
  }
  SABLE_TRY(const auto all, samples(options));
  for (const auto& [name, text] : all) {
    SABLE_TRY(const auto ids, tokenizer.encode(text, AddedTokens::recognise));
    const Rate encode = measure(text.size(), options.runs,
                                [&] { (void)tokenizer.encode(text, AddedTokens::recognise); });
    const Rate decode = measure(text.size(), options.runs, [&] { (void)tokenizer.decode(ids); });
    const auto checksum = to_hex(sha256(std::string_view(reinterpret_cast<const char*>(ids.data()),
                                                         ids.size() * sizeof(TokenId))))
                              .substr(0, 12);
    if (options.json) {
      fmt::print("{}\n", dump_json({{"text", name},
                                    {"bytes", text.size()},
                                    {"tokens", ids.size()},
                                    {"encode_mb_s", encode.median},
                                    {"encode_mb_s_min", encode.slowest},
                                    {"encode_mb_s_max", encode.fastest},
                                    {"decode_mb_s", decode.median},
                                    {"decode_mb_s_min", decode.slowest},
                                    {"decode_mb_s_max", decode.fastest},
                                    {"load_ms", load_ms},
                                    {"checksum", checksum}}));
    } else {
      const auto range = [](const Rate& r) {
        return fmt::format("({:.1f}-{:.1f})", r.slowest, r.fastest);
      };
      fmt::print("{:<12} {:>8} {:>10.1f} {:>18} {:>8.0f} {:>18}  {}\n", name, ids.size(),
                 encode.median, range(encode), decode.median, range(decode), checksum);
    }
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const bool more = i + 1 < argc;
    if (flag == "--json") {
      options.json = true;
    } else if (flag == "--smoke") {
      options.smoke = true;
      options.runs = 1;
    } else if (flag == "--tokenizer" && more) {
      options.tokenizer = argv[++i];
    } else if (flag == "--text" && more) {
      options.text = argv[++i];
    } else if (flag == "--runs" && more) {
      options.runs = std::max(1, std::atoi(argv[++i]));
    } else {
      fmt::print(stderr,
                 "usage: {} [--tokenizer FILE] [--text FILE] [--runs N] [--json] [--smoke]\n",
                 argv[0]);
      return 2;
    }
  }
  if (const auto done = run(options); !done) {
    fmt::print(stderr, "{}\n", done.error().message);
    return 1;
  }
  return 0;
}
