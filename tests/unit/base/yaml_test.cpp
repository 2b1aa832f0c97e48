#include "base/yaml.h"

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

using namespace sable;

TEST_CASE("values know their line and column and their types") {
  const auto tree =
      parse_yaml("a: 1\nb:\n  - \"2\"\n  - {c: yes, d: true, e: 1.5, f: ~}\n", "x.yaml");
  REQUIRE(tree);
  CHECK(dump_json(tree->as_json().value()) ==
        R"({"a":1,"b":["2",{"c":"yes","d":true,"e":1.5,"f":null}]})");
  const auto* list = tree->find("b");
  REQUIRE(list != nullptr);
  CHECK(list->items[1].place() == "4:5");
  CHECK(list->items[0].as_int().error().message == "3:5: expected a whole number, got \"2\"");
}

TEST_CASE("what is broken or hostile is refused with its place") {
  const auto error_of = [](std::string_view text) {
    const auto tree = parse_yaml(text, "f");
    return tree ? std::string("accepted") : tree.error().message;
  };
  CHECK(error_of("a: 1\na: 2\n") == "f:2:1: the key \"a\" stands here twice");
  CHECK(error_of("a: [1\n").rfind("f:", 0) == 0);
  CHECK(error_of("? [a]\n: 1\n") == "f:1:3: a key must be a plain word or a string");
  CHECK(error_of("<<: {a: 1}\n") == "f:1:1: merge keys are not supported");
  CHECK(error_of("a: !!python/object x\n").find("not supported") != std::string::npos);
  CHECK(error_of("--- 1\n--- 2\n").find("second document") != std::string::npos);
  CHECK(error_of("\xFF").find("UTF-8") != std::string::npos);
  CHECK(error_of("&a [*a]").find("contains it") != std::string::npos);
  CHECK(error_of(std::string(1000, '[')).find("deeper than") != std::string::npos);
}

TEST_CASE("an alias bomb is stopped by the limit on values") {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int j = 0; j < 10; ++j) bomb += (j ? ", *a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  const auto tree = parse_yaml(bomb, "bomb");
  REQUIRE_FALSE(tree);
  CHECK(tree.error().message.find("more than 100000 values") != std::string::npos);
}

TEST_CASE("any bytes are parsed or refused") {
  rc::prop("no crash", [](const std::string& bytes) { (void)parse_yaml(bytes, "f"); });
}
