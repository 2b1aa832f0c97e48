#include "runtime/config/model_cards.h"

#include <catch2/catch.hpp>

#include "tests/unit/runtime/config/config_fixture.h"

using namespace sable;
using namespace sable::runtime::config;
using sable::runtime::config::test::ConfigFixture;

namespace {

std::string error(std::string_view text, const std::string& file = "/m/tiny.yaml") {
  const auto card = parse_model_card(text, {.layer = Layer::user, .source = file});
  return card ? "accepted" : card.error().message;
}

}  // namespace

TEST_CASE("a model's file says where its weights lie and how they want to be used") {
  const auto card = parse_model_card(
      "name: tiny\nweights: w/v4\ndescription: Small\nagent: embedded\nthinking: false\n"
      "effort: max\ntemperature: 0.5\ntop_p: 0.9\nmin_p: 0.1\nreply_tokens_max: 300\n"
      "prompt_sha256: " +
          std::string(64, 'a') + "\ntool_results_sha256: " + std::string(64, '0') + "\n",
      {.layer = Layer::user, .source = "/m/tiny.yaml"});
  REQUIRE(card);
  CHECK(card->weights == "/m/w/v4");
  CHECK(card->agent == "embedded");
  CHECK_FALSE(card->thinking);
  CHECK(card->effort == agent::Effort::max);
  CHECK(card->sampling.temperature == 0.5);
  CHECK(card->sampling.top_p == 0.9);
  CHECK(card->sampling.min_p == 0.1);
  CHECK(card->reply_tokens_max == 300);
  CHECK(card->prompt_digest == std::string(64, 'a'));
  CHECK(card->tool_results_digest == std::string(64, '0'));
}

TEST_CASE("a malformed model's file is refused with its place") {
  CHECK(error("name: tiny\nweights: /w\n") == "accepted");
  CHECK(error("name: other\nweights: /w\n").find("expected tiny") != std::string::npos);
  CHECK(error("name: tiny\n").find("weights: is missing") != std::string::npos);
  CHECK(error("name: tiny\nweights: /w\ntop_p: 0\n").starts_with("/m/tiny.yaml:3:8: "));
  CHECK(error("name: tiny\nweights: ../w\n").starts_with("/m/tiny.yaml:2:10: "));
  CHECK(error("name: tiny\nweights: /w\neffort: much\n").find("low, high or max") !=
        std::string::npos);
  CHECK(error("name: tiny\nweights: /w\nthinking: 7\n").find("true or false") != std::string::npos);
  CHECK(error("name: tiny\nweight: /w\n").find("unknown key \"weight\"") != std::string::npos);
  CHECK(error("name: tiny\nweights: /w\nprompt_sha256: abc\n").find("64 hexadecimal digits") !=
        std::string::npos);
  CHECK(error("name: tiny\nweights: /w\nreply_tokens_max: 0\n").find("from 1 to 10000000") !=
        std::string::npos);
  CHECK(error("- 1\n").find("expected a mapping") != std::string::npos);
}

TEST_CASE(
    "models come with the program and from the user, who wins; the embedded one is the default") {
  ConfigFixture fixture;
  fixture.sources.environment.installed_models = fixture.folder / "share";
  auto loaded = fixture.load().value();
  CHECK(load_model_cards(loaded).value().empty());
  CHECK(choose_model(loaded).value().path.empty());

  fixture.folder.write("share/embedded.yaml",
                       "name: embedded\nweights: embedded\nagent: embedded\n");
  fixture.folder.write("share/prompt.yaml", "tools: x\n");  // not a model
  fixture.folder.write("share/tiny.yaml", "name: tiny\nweights: /installed\n");
  fixture.folder.write("home/.config/sable/models/tiny.yaml", "name: tiny\nweights: /own\n");
  loaded = fixture.load().value();
  const auto cards = load_model_cards(loaded).value();
  REQUIRE(cards.size() == 2);
  CHECK(cards[0].name == "embedded");
  CHECK(cards[1].weights == "/own");
  // Without its weights it is listed, but nothing that anybody gets unasked.
  CHECK(choose_model(loaded).value().path.empty());
  fixture.folder.write("share/embedded/config.json", "{}");
  auto choice = choose_model(loaded).value();
  CHECK(choice.name == "embedded");
  CHECK(choice.path == fixture.folder / "share/embedded");
  REQUIRE(choice.card);
  CHECK(choice.card->agent == "embedded");

  fixture.user("model: tiny\n");
  choice = choose_model(fixture.load().value()).value();
  CHECK(choice.path == "/own");
  CHECK(choice.provider == nullptr);
  fixture.folder.write("share/broken.yaml", "name: [\n");
  CHECK_FALSE(choose_model(fixture.load().value()));
}
