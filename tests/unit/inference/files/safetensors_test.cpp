#include "inference/files/safetensors.h"

#include <cstring>

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include "inference/files/number_formats.h"

using namespace sable;
using namespace sable::inference;

namespace {

std::string file_of(const std::string& header, size_t data_bytes) {
  std::string out(8, '\0');
  store_le(reinterpret_cast<std::byte*>(out.data()), static_cast<uint64_t>(header.size()));
  return out + header + std::string(data_bytes, 'x');
}

Result<std::vector<StoredTensor>> parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)));
}

std::string error_of(const std::string& header, size_t data_bytes) {
  const auto tensors = parse(file_of(header, data_bytes));
  REQUIRE_FALSE(tensors);
  CHECK(tensors.error().code == ErrorCode::corrupt);
  return tensors.error().message;
}

}  // namespace

TEST_CASE("a header written is the header read") {
  const StoredTensor in[] = {{"a.weight", DType::bf16, {2, 3}, {}},
                             {"odd \"name\"", DType::f32, {}, {}},
                             {"packed", DType::f4_e2m1, {4, 64}, {}},
                             {"none", DType::i64, {0, 5}, {}}};
  const std::string header = safetensors_header(in);
  CHECK(header.size() % 8 == 0);
  const std::string file = header + std::string(12 + 4 + 128, 'x');
  const auto out = parse(file);
  REQUIRE(out);
  REQUIRE(out->size() == 4);
  CHECK((*out)[0].shape == std::vector<uint64_t>{2, 3});
  CHECK((*out)[0].bytes.size() == 12);
  CHECK((*out)[1].name == "odd \"name\"");
  CHECK((*out)[1].shape.empty());
  CHECK((*out)[2].type == DType::i8);
  CHECK((*out)[2].shape == std::vector<uint64_t>{4, 32});
  CHECK((*out)[3].bytes.empty());
}

TEST_CASE("hostile safetensors headers are refused by name and reason") {
  const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  CHECK(parse(file_of("{" + a + "}", 8)));
  CHECK(error_of("{" + a + "}", 7).find("tensor \"a\": bytes 0..8 lie outside the 7 bytes") == 0);
  CHECK(error_of("{" + a + "}", 9) == "1 bytes after the last tensor belong to none");
  CHECK(error_of("{" + a + "," + a + "}", 8) ==
        "safetensors header: tensor \"a\": \"a\" appears twice");
  CHECK(error_of("{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8) ==
        "tensor \"b\": its bytes overlap the tensor before");
  CHECK(error_of("{" + a + R"(,"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})", 16) ==
        "tensor \"b\": its bytes leave a hole behind the tensor before");
  CHECK(
      error_of(
          R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,8]}})",
          8) == "tensor \"a\": the shape overflows 64 bits");
  CHECK(error_of(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8) ==
        "tensor \"a\": shape and dtype need 12 bytes, the header gives 8");
  CHECK(error_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8).find("outside") !=
        std::string::npos);
  CHECK(error_of(R"({"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}})", 8) ==
        "tensor \"a\": unsupported dtype \"C64\"");
  CHECK(error_of(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8).find("must give dtype") !=
        std::string::npos);
  CHECK(
      error_of(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8).find("negative") !=
      std::string::npos);
  CHECK(error_of(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8)
            .find("not an integer") != std::string::npos);
  CHECK(error_of(R"({"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,8]}})", 8)
            .find("not an integer") != std::string::npos);
  CHECK(error_of(R"({"a":[1]})", 0).find("array") != std::string::npos);
  CHECK(error_of("[]", 0).find("not a JSON object") != std::string::npos);
  CHECK(error_of("", 0).find("not a JSON object") != std::string::npos);
  CHECK(error_of("{", 0).find("invalid JSON") != std::string::npos);
  CHECK(error_of(std::string(100000, '['), 0).find("not a JSON object") != std::string::npos);
  CHECK(error_of("{\"a\":" + std::string(100000, '{'), 0).find("invalid JSON") !=
        std::string::npos);
  CHECK_FALSE(parse("short"));
  std::string huge = file_of("{}", 0);
  huge[7] = '\x7F';
  CHECK(parse(huge).error().message.find("does not fit") != std::string::npos);
}

TEST_CASE("a shard index names plain files only, each tensor once") {
  const auto ok = parse_safetensors_index(
      R"({"metadata":{"total_size":8},"weight_map":{"a":"x.safetensors","b":"y"}})");
  REQUIRE(ok);
  REQUIRE(ok->size() == 2);
  CHECK((*ok)[0].tensor == "a");
  CHECK((*ok)[1].file == "y");
  for (const char* text :
       {R"({"weight_map":{"a":"../x"}})", R"({"weight_map":{"a":"/etc/passwd"}})",
        R"({"weight_map":{"a":".."}})", R"({"weight_map":{"a":""}})", R"({"weight_map":{"a":1}})",
        R"({"weight_map":{"a":"x","a":"y"}})", R"({"weight_map":{"a":{}}})",
        R"({"weight_map":["x"]})", R"({"weight_map":{},"weight_map":{}})", "{}", "[]", "",
        "{\"weight_map\":"}) {
    INFO(text);
    CHECK_FALSE(parse_safetensors_index(text));
  }
}

TEST_CASE("a damaged safetensors file is refused or read, never a crash") {
  const StoredTensor in[] = {{"a.weight", DType::bf16, {2, 3}, {}}, {"b", DType::f32, {4}, {}}};
  const std::string good = safetensors_header(in) + std::string(28, 'x');
  rc::prop("after any three byte changes and any cut", [&good] {
    std::string bad = good;
    for (int i = 0; i < 3; ++i) {
      const auto at = *rc::gen::inRange<size_t>(0, bad.size());
      bad[at] = *rc::gen::arbitrary<char>();
    }
    bad.resize(*rc::gen::inRange<size_t>(0, bad.size() + 1));
    if (const auto tensors = parse(bad)) {
      size_t total = 0;
      for (const StoredTensor& tensor : *tensors) total += tensor.bytes.size();
      RC_ASSERT(total <= bad.size());
    }
  });
}
