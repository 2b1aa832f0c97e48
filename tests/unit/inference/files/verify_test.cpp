#include "inference/files/verify.h"

#include <cmath>
#include <cstring>
#include <filesystem>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "tests/support/mini_checkpoint.h"
#include "tests/support/temporary_folder.h"

using namespace sable;
using namespace sable::inference;

namespace {

namespace fs = std::filesystem;

constexpr const char* kSmall = "--layers 1 --ratios 0 --hash-layers 1 --experts 4 --mtp 0";

/// A copy of the small model with `bytes` written at the start of a tensor's elements.
fs::path damaged(const test::TemporaryFolder& folder, const std::string& tensor,
                 const std::string& bytes) {
  const fs::path source = test::mini_checkpoint(kSmall);
  std::string file = read_file(source / "model.safetensors").value();
  const auto whole = Checkpoint::open(source);
  const Tensor* at = (*whole)->find(tensor);
  REQUIRE(at != nullptr);
  // The first tensor of the file is embed.weight: its address gives the offset of all others.
  const Tensor* first = (*whole)->find("embed.weight");
  uint64_t header = 0;
  std::memcpy(&header, file.data(), 8);
  const auto offset = 8 + header + static_cast<uint64_t>(at->bytes.data() - first->bytes.data());
  file.replace(offset, bytes.size(), bytes);
  folder.write("model.safetensors", file);
  fs::copy(source / "config.json", folder / "config.json", fs::copy_options::overwrite_existing);
  return folder.path();
}

std::string floats(std::initializer_list<float> values) {
  std::string out;
  for (const float x : values) out.append(reinterpret_cast<const char*>(&x), 4);
  return out;
}

}  // namespace

TEST_CASE("a healthy model verifies, with any number of threads to the same digest") {
  const auto model = Checkpoint::open(test::mini_checkpoint(kSmall)).value();
  const auto one = verify(*model, {.n_threads = 1});
  const auto three = verify(*model, {.n_threads = 3});
  REQUIRE(one);
  REQUIRE(three);
  CHECK(one->ok());
  CHECK(one->sha256 == three->sha256);
  CHECK(one->tensors.size() == model->tensors().size());
  const TensorCheck& embed = one->tensors[0];
  CHECK(embed.name == "embed.weight");
  CHECK(embed.min >= -2);
  CHECK(embed.min < -1.9F);
  CHECK(embed.max > 1.9F);
  const auto bytes = model->find("embed.weight")->bytes;
  CHECK(embed.sha256 == sha256({reinterpret_cast<const char*>(bytes.data()), bytes.size()}));
}

TEST_CASE("NaN, infinity and dead matrices are reported by tensor") {
  struct Case {
    std::string tensor, bytes, problem;
  };
  for (const Case& c :
       {Case{"layers.0.attn.wq_a.weight", floats({NAN, 1, NAN}), "2 values are NaN"},
        Case{"norm.weight", floats({INFINITY}), "1 values are infinite"},
        Case{"layers.0.ffn.gate.weight", std::string(4 * 256 * 4, '\0'), "all values are zero"},
        Case{"layers.0.ffn.gate.tid2eid", std::string(16, '\0'),
             "token 0 is routed to the same expert twice"}}) {
    test::TemporaryFolder folder;
    const auto model = Checkpoint::open(damaged(folder, c.tensor, c.bytes));
    REQUIRE(model);
    const auto report = verify(**model, {});
    REQUIRE(report);
    CHECK_FALSE(report->ok());
    CHECK(to_text(*report).find("tensor \"" + c.tensor + "\": " + c.problem + "\n") == 0);
    CHECK(to_json(*report)["ok"] == false);
  }
}

TEST_CASE("a routing table with an expert that does not exist never opens") {
  for (const int64_t expert : {int64_t{4}, int64_t{-1}, INT64_MIN}) {
    test::TemporaryFolder folder;
    const auto model =
        Checkpoint::open(damaged(folder, "layers.0.ffn.gate.tid2eid",
                                 std::string(reinterpret_cast<const char*>(&expert), 8)));
    REQUIRE_FALSE(model);
    CHECK(model.error().message.find(
              "tensor \"layers.0.ffn.gate.tid2eid\": token 0 is routed to expert") !=
          std::string::npos);
  }
}

TEST_CASE("verification stops when asked") {
  const auto model = Checkpoint::open(test::mini_checkpoint(kSmall)).value();
  std::stop_source stop;
  VerifyOptions options{.n_threads = 2, .stop = stop.get_token()};
  options.progress = [&stop](const Progress&) { stop.request_stop(); };
  CHECK(verify(*model, options).error().code == ErrorCode::cancelled);
}
