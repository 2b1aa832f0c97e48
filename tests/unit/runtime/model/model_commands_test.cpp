// `sable model …` as somebody types it.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fcntl.h>
#include <signal.h>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/child_process.h"
#include "base/file.h"
#include "base/json.h"
#include "tests/support/mini_checkpoint.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using test::TemporaryFolder;

namespace {

constexpr std::chrono::seconds kLimit{60};

struct Run {
  int status = -1;
  std::string out, err;
};

/// Runs `sable model ARGUMENTS` to its end.
Run model_command(std::vector<std::string> arguments, const std::string& input = "") {
  const TemporaryFolder folder;
  const auto in = folder.write("in", input);
  const auto opened = [](const std::filesystem::path& path, int flags) {
    return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC, 0600));
  };
  const auto stdin_fd = opened(in, O_RDONLY);
  const auto stdout_fd = opened(folder / "out", O_CREAT | O_WRONLY);
  const auto stderr_fd = opened(folder / "err", O_CREAT | O_WRONLY);
  arguments.insert(arguments.begin(), {SABLE_BINARY_DIR "/sable", "model"});
  auto child = ChildProcess::start({.argv = std::move(arguments),
                                    .environment = {},
                                    .stdin_fd = stdin_fd.get(),
                                    .stdout_fd = stdout_fd.get(),
                                    .stderr_fd = stderr_fd.get()});
  REQUIRE(child);
  const auto ended = child->wait_for(kLimit);
  REQUIRE(ended);
  CHECK(ended->signal == 0);
  return {.status = ended->exit_code, .out = folder.read("out"), .err = folder.read("err")};
}

Json parsed(const std::string& text) {
  auto json = parse_json(text);
  REQUIRE(json);
  return std::move(*json);
}

std::vector<float> floats(const std::string& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

/// The ids of the oracle's streams, as its README gives them.
std::string oracle_ids(int n) {
  std::string text;
  for (int t = 0; t < n; ++t) text += std::to_string((37 * t + 11 * (t / 7) + 5) % 512) + "\n";
  return text;
}

}  // namespace

TEST_CASE("model logits writes the official code's logits") {
  const TemporaryFolder folder;
  const auto golden = parsed(*read_file(test::oracle_folder() / "logits_f32_prefill.json"));
  const auto want = floats(*read_file(test::oracle_folder() / "logits_f32_prefill.f32"));
  const auto ids = folder.write("ids", oracle_ids(400));
  const auto run =
      model_command({"logits", "--model", test::mini_checkpoint().string(), "--tokens-file",
                     ids.string(), "--output", (folder / "logits").string(), "--fake-quant", "off",
                     "--activation-quant", "off", "--threads", "2", "--json"});
  INFO(run.err);
  REQUIRE(run.status == 0);
  CHECK(parsed(run.out)["positions"] == 400);
  const auto got = floats(folder.read("logits"));
  REQUIRE(got.size() == want.size());
  double worst = 0, sum = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(double{got[i]} - double{want[i]});
    worst = std::max(worst, std::isnan(difference) ? HUGE_VAL : difference);
    sum += difference;
  }
  CHECK(worst <= golden["tolerance"]["max_abs"].get<double>());
  CHECK(sum / static_cast<double>(got.size()) <= golden["tolerance"]["mean_abs"].get<double>());
}

TEST_CASE("model logits gives the same bytes for any chunk and any number of threads") {
  const TemporaryFolder folder;
  const auto ids = folder.write("ids", oracle_ids(150));
  std::vector<std::string> outputs;
  for (const auto& [chunk, threads] : {std::pair{"128", "1"}, std::pair{"31", "2"}}) {
    const auto run =
        model_command({"logits", "--model", test::mini_checkpoint().string(), "--tokens-file",
                       ids.string(), "--output", (folder / "logits").string(), "--chunk", chunk,
                       "--threads", threads, "--arithmetic", "packed"});
    INFO(run.err);
    REQUIRE(run.status == 0);
    outputs.push_back(folder.read("logits"));
  }
  CHECK(outputs[0].size() == size_t{150} * 512 * sizeof(float));
  CHECK((outputs[0] == outputs[1]));
}

TEST_CASE("model info knows a model's shape, and with --verify reads every weight") {
  const auto model = test::mini_checkpoint().string();
  const auto run = model_command({"info", model, "--verify", "--json"});
  INFO(run.err);
  REQUIRE(run.status == 0);
  const auto json = parsed(run.out);
  CHECK(json["architecture"] == "deepseek_v4");
  CHECK(json["config"]["vocab_size"] == 512);
  CHECK(json["verify"].is_object());
  CHECK(model_command({"info", model}).out.find("DeepSeek-V4") != std::string::npos);
}

TEST_CASE("model tokenize turns text into ids and ids into the same bytes") {
  const auto model = test::mini_checkpoint().string();
  const std::string text = "Ein Satz,\nmit \xff und \xe2\x82\xac\n";
  const auto ids = model_command({"tokenize", "--model", model}, text);
  INFO(ids.err);
  REQUIRE(ids.status == 0);
  const auto back = model_command({"tokenize", "--model", model, "--decode"}, ids.out);
  CHECK(back.status == 0);
  CHECK((back.out == text));
  const auto json = parsed(model_command({"tokenize", "--model", model, "Satz", "--json"}).out);
  std::string pieces;
  for (const auto& piece : json["pieces"]) pieces += piece.get<std::string>();
  CHECK(pieces == "Satz");
}

TEST_CASE("a converted model gives the same logits") {
  const TemporaryFolder folder;
  const auto ids = folder.write("ids", oracle_ids(20));
  const auto gguf = (folder / "mini.gguf").string();
  const auto converted =
      model_command({"convert", "--model", test::mini_checkpoint().string(), "--to", "gguf",
                     "--dense", "f32", "--experts", "F32", "--output", gguf});
  INFO(converted.err);
  REQUIRE(converted.status == 0);
  CHECK(converted.out.find("mini.gguf\n") != std::string::npos);
  std::vector<std::string> outputs;
  for (const auto& model : {test::mini_checkpoint().string(), gguf}) {
    const auto run = model_command({"logits", "--model", model, "--tokens-file", ids.string(),
                                    "--output", (folder / "logits").string()});
    INFO(run.err);
    REQUIRE(run.status == 0);
    outputs.push_back(folder.read("logits"));
  }
  CHECK((outputs[0] == outputs[1]));
}

TEST_CASE("model generate picks the same tokens for the same seed, and others for another") {
  const auto generate = [](const char* seed) {
    const auto run =
        model_command({"generate", "--model", test::mini_checkpoint().string(), "--prompt",
                       "Once upon a time", "--max-tokens", "12", "--seed", seed, "--json"});
    INFO(run.err);
    REQUIRE(run.status == 0);
    return parsed(run.out)["ids"];
  };
  const auto first = generate("7");
  CHECK(first.size() <= 12);
  CHECK(generate("7") == first);
  CHECK(generate("8") != first);
}

TEST_CASE("model generate ends where the model's context ends") {
  const auto run = model_command({"generate", "--model", test::mini_checkpoint().string(),
                                  "--prompt", "a", "--max-tokens", "5000", "--json"});
  INFO(run.err);
  REQUIRE(run.status == 0);
  const auto json = parsed(run.out);
  // The mini model's config.json allows 1024 tokens; it may also end its text by itself.
  CHECK(json["ids"].size() <= 1024);
  CHECK((json["reason"] == "context" || json["reason"] == "stop"));
}

TEST_CASE("model info --verify fails on weights that are no numbers") {
  const TemporaryFolder folder;
  const auto path = folder / "nan.gguf";
  REQUIRE(model_command({"convert", "--model", test::mini_checkpoint().string(), "--to", "gguf",
                         "--dense", "F32", "--experts", "F32", "--output", path.string()})
              .status == 0);
  auto bytes = *read_file(path, size_t{256} << 20);
  std::fill(bytes.end() - 64, bytes.end(), '\xff');
  REQUIRE(write_file_atomically(path, bytes));
  CHECK(model_command({"info", path.string()}).status == 0);
  const auto run = model_command({"info", path.string(), "--verify"});
  CHECK(run.status == 1);
  CHECK(run.out.find("NaN") != std::string::npos);
}

TEST_CASE("an interrupted model command leaves no file and says so with its status") {
  const TemporaryFolder folder;
  const auto ids = folder.write("ids", oracle_ids(1000));
  const auto output = (folder / "logits").string();
  auto child =
      ChildProcess::start({.argv = {SABLE_BINARY_DIR "/sable", "model", "logits", "--model",
                                    test::mini_checkpoint().string(), "--tokens-file", ids.string(),
                                    "--output", output, "--backend", "reference", "--chunk", "1"},
                           .environment = {}});
  REQUIRE(child);
  while (!std::filesystem::exists(output + ".partial")) {
    REQUIRE_FALSE(child->wait_for(std::chrono::milliseconds(5)));
  }
  REQUIRE(child->signal(SIGINT));
  const auto ended = child->wait_for(kLimit);
  REQUIRE(ended);
  CHECK(ended->signal == 0);
  CHECK(ended->exit_code == 128 + SIGINT);
  CHECK_FALSE(std::filesystem::exists(output));
  CHECK_FALSE(std::filesystem::exists(output + ".partial"));
}

TEST_CASE("what a model command cannot use is refused with a sentence") {
  const TemporaryFolder folder;
  const auto model = test::mini_checkpoint().string();
  const auto ids = folder.write("ids", "5\n512\n").string();
  const auto words = folder.write("words", "5\nsix\n").string();
  const auto output = (folder / "out").string();
  struct Case {
    std::vector<std::string> arguments;
    int status;
    std::string message;
  };
  const Case cases[] = {
      {{"info", "/nonexistent/model"}, 1, "/nonexistent/model"},
      {{"info"}, 2, "required"},
      {{"tokenize", "--model", model, "--decode", "-1"}, 1, "\"-1\" is not a token id"},
      {{"tokenize", "--model", model, "--decode", "99999999999"}, 1, "is not a token id"},
      {{"logits", "--model", model, "--tokens-file", ids, "--output", output}, 1, "512"},
      {{"logits", "--model", model, "--tokens-file", words, "--output", output}, 1, "line 2"},
      {{"logits", "--model", model, "--tokens-file", ids, "--output", output, "--chunk", "0"},
       2,
       "--chunk"},
      {{"logits", "--model", model, "--tokens-file", ids, "--output", output, "--backend",
        "abacus"},
       1,
       "abacus"},
      {{"convert", "--model", model, "--to", "gguf", "--dense", "Q9", "--output", output}, 2, "Q9"},
      {{"convert", "--model", model, "--to", "zip", "--output", output}, 2, "--to"},
      {{"generate", "--model", model}, 2, "--prompt-file"},
      {{"generate", "--model", model, "--prompt", "a", "--top-p", "2"}, 2, "top_p"},
  };
  for (const auto& [arguments, status, message] : cases) {
    const auto run = model_command(arguments);
    INFO(arguments.front() << ": " << run.err);
    CHECK(run.status == status);
    CHECK(run.err.starts_with("sable: "));
    CHECK(run.err.find(message) != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(output));
    CHECK_FALSE(std::filesystem::exists(output + ".partial"));
  }
}
