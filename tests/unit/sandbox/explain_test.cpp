#include <set>

#include <catch2/catch.hpp>

#include "sandbox/sandbox.h"

using namespace sable::sandbox;

namespace {

std::vector<Layer> all_layers(Layer::State landlock) {
  std::vector<Layer> layers;
  for (const char* name :
       {"user namespaces", "mount namespaces", "mount attributes", "process namespaces",
        "network namespaces", "seccomp", "no new privileges", "process handles", "process limit",
        "memory limit"}) {
    layers.push_back({.name = name, .state = Layer::State::enforced});
  }
  layers.push_back({.name = "Landlock", .state = landlock, .detail = "gone", .remedy = "get it"});
  return layers;
}

}  // namespace

TEST_CASE("a probe names every layer once, and a missing one with a remedy") {
  const auto layers = probe_layers();
  std::set<std::string> names;
  for (const auto& layer : layers) {
    INFO(layer.name);
    CHECK(names.insert(layer.name).second);
    CHECK_FALSE(layer.detail.empty());
    if (layer.state == Layer::State::missing) CHECK_FALSE(layer.remedy.empty());
  }
  CHECK(names.count("Landlock") == 1);
}

TEST_CASE("an explanation names the writable folders, the network and what holds them") {
  const auto text = explain({.writable = {"/w/repo"}}, all_layers(Layer::State::enforced));
  CHECK_THAT(text, Catch::Contains("/w/repo"));
  CHECK_THAT(text, Catch::Contains("talk to nobody"));
  CHECK_THAT(text, Catch::Contains("held by: mount namespaces, mount attributes, Landlock"));
  CHECK_THAT(text, !Catch::Contains("MISSING"));
  CHECK_THAT(explain({.network = Network::open}, all_layers(Layer::State::enforced)),
             Catch::Contains("THE NETWORK IS OPEN"));
  CHECK_THAT(text, !Catch::Contains("kept apart"));
  CHECK_THAT(explain({.files = FileEffects::transaction}, all_layers(Layer::State::enforced)),
             Catch::Contains("kept apart until it is applied or dropped as a whole"));
}

TEST_CASE("an explanation lists the protected names, the environment and the disks") {
  const Policy policy{.writable = {"/w/repo"},
                      .network = Network::allow,
                      .environment = {{"TOKEN", "hunter2"}, {"LANG", "C"}}};
  const auto text = explain(policy, all_layers(Layer::State::enforced));
  for (const char* words :
       {"its hooks, its configuration", "core.hooksPath", ".envrc", ".vscode", ".cargo/config",
        ".gitconfig", "    PATH=/usr/local/bin:", "    TOKEN, from the policy",
        "    LANG, from the policy", "http_proxy", "may lose 32 GiB and 2000000 files"}) {
    CHECK_THAT(text, Catch::Contains(words));
  }
  CHECK_THAT(text, !Catch::Contains("hunter2"));
  CHECK_THAT(text, !Catch::Contains("LANG=C"));
  const auto reading = explain({}, all_layers(Layer::State::enforced));
  CHECK_THAT(reading, !Catch::Contains(".envrc"));
  CHECK_THAT(reading, !Catch::Contains("may lose"));
}

TEST_CASE("an explanation on a machine without a required layer says that nothing runs") {
  const auto text = explain({}, all_layers(Layer::State::missing));
  CHECK_THAT(text, Catch::Contains("MISSING here: Landlock"));
  CHECK_THAT(text, Catch::Contains("NO command runs"));
  CHECK_THAT(text, Catch::Contains("get it"));
}

TEST_CASE("a policy is a value with one JSON form") {
  const Policy a{.writable = {"/w"}}, b{.writable = {"/w"}}, c{.writable = {"/v"}};
  CHECK(a == b);
  CHECK_FALSE(a == c);
  CHECK(to_json_text(a) == to_json_text(b));
  CHECK_THAT(to_json_text(a), Catch::Contains("\"network\":\"none\""));
  CHECK_THAT(to_json_text({.files = FileEffects::transaction}),
             Catch::Contains("\"files\":\"transaction\""));
}
