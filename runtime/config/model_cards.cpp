#include "runtime/config/model_cards.h"

#include <algorithm>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "base/yaml.h"
#include "runtime/config/assign.h"
#include "runtime/config/one_line.h"
#include "runtime/config/text_checks.h"

namespace sable::runtime::config {

namespace {

namespace fs = std::filesystem;

constexpr size_t kCardBytesMax = size_t{64} << 10;
constexpr size_t kCardFilesMax = 256;

class CardReader {
 public:
  explicit CardReader(const Origin& file) : file_(file) {}

  Result<void> read(const YamlValue& tree) {
    if (tree.kind != YamlValue::Kind::mapping) {
      return refuse(tree, "", "expected a mapping with name and weights");
    }
    for (const auto& [key, value] : tree.entries) {
      SABLE_TRY_VOID(entry(key, value));
    }
    if (card.name != fs::path(file_.source).stem()) {
      return refuse(tree, "name",
                    fmt::format("expected {}, as the file is called",
                                one_line(fs::path(file_.source).stem().string())));
    }
    if (card.weights.empty()) return refuse(tree, "weights", "is missing");
    card.origin = file_;
    return {};
  }

  ModelCard card;

 private:
  tl::unexpected<Error> refuse(const YamlValue& node, std::string_view key,
                               std::string_view why) const {
    return refuse_at(ErrorCode::invalid_input, place_of(node, file_), key, why);
  }

  Result<void> entry(const YamlValue& key, const YamlValue& value) {
    const auto& name = key.scalar;
    if (name == "name") return text(key, value, check_word, card.name);
    if (name == "description") return text(key, value, check_line, card.description);
    if (name == "agent") return text(key, value, check_word, card.agent);
    if (name == "weights") return weights(key, value);
    if (name == "thinking") {
      const auto flag = value.as_bool();
      if (!flag) return refuse(value, name, "expected true or false");
      card.thinking = *flag;
      return {};
    }
    if (name == "effort") return effort(key, value);
    if (name == "temperature") return number(key, value, 0, 100, card.sampling.temperature);
    if (name == "top_p") return number(key, value, 0.0001, 1, card.sampling.top_p);
    if (name == "reply_tokens_max") {
      const auto n = value.as_int();
      if (!n || *n < 1 || *n > 10'000'000) {
        return refuse(value, name, "expected a number from 1 to 10000000");
      }
      card.reply_tokens_max = static_cast<uint64_t>(*n);
      return {};
    }
    if (name == "prompt_sha256") return digest(key, value, card.prompt_digest);
    if (name == "tool_results_sha256") return digest(key, value, card.tool_results_digest);
    if (name == "min_p") return number(key, value, 0, 1, card.sampling.min_p);
    return refuse(key, "",
                  fmt::format("unknown key \"{}\"; known here: name, description, weights, agent, "
                              "thinking, effort, temperature, top_p, min_p, reply_tokens_max, "
                              "prompt_sha256, tool_results_sha256",
                              one_line(std::string_view(name).substr(0, utf8_prefix(name, 100)))));
  }

  Result<void> text(const YamlValue& key, const YamlValue& value,
                    Result<void> (*check)(std::string_view), std::string& out) const {
    if (value.kind != YamlValue::Kind::scalar) return refuse(value, key.scalar, "expected text");
    if (auto good = check(value.scalar); !good) {
      return refuse(value, key.scalar, good.error().message);
    }
    out = value.scalar;
    return {};
  }

  Result<void> weights(const YamlValue& key, const YamlValue& value) {
    std::string path;
    SABLE_TRY_VOID(text(key, value, check_path, path));
    card.weights = fs::path(file_.source).parent_path() / path;
    return {};
  }

  Result<void> digest(const YamlValue& key, const YamlValue& value, std::string& out) const {
    const bool hexadecimal =
        value.scalar.size() == 64 &&
        value.scalar.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!hexadecimal) return refuse(value, key.scalar, "expected 64 hexadecimal digits");
    out = value.scalar;
    return {};
  }

  Result<void> effort(const YamlValue& key, const YamlValue& value) {
    const std::pair<std::string_view, agent::Effort> efforts[] = {
        {"low", agent::Effort::low}, {"high", agent::Effort::high}, {"max", agent::Effort::max}};
    for (const auto& [word, which] : efforts) {
      if (value.scalar != word) continue;
      card.effort = which;
      return {};
    }
    return refuse(value, key.scalar, "expected low, high or max");
  }

  Result<void> number(const YamlValue& key, const YamlValue& value, double least, double most,
                      double& out) const {
    const auto n = value.as_number();
    if (!n || *n < least || *n > most) {
      return refuse(value, key.scalar, fmt::format("expected a number from {} to {}", least, most));
    }
    out = *n;
    return {};
  }

  Origin file_;
};

Result<std::set<fs::path>> files_in(const fs::path& folder) {
  std::set<fs::path> files;
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  if (error == std::errc::no_such_file_or_directory) return files;
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    // Fixed texts of prompts lie beside weights, and may lie here.
    if (entry->path().extension() != ".yaml" || entry->path().filename() == "prompt.yaml" ||
        entry->path().stem().extension() == ".prompt") {
      continue;
    }
    if (files.size() == kCardFilesMax) {
      return fail(ErrorCode::exhausted,
                  fmt::format("{}: more than {} models", folder.string(), kCardFilesMax));
    }
    files.insert(entry->path());
  }
  if (error) return fail_errno(folder.string(), error.value());
  return files;
}

}  // namespace

Result<ModelCard> parse_model_card(std::string_view text, const Origin& file) {
  SABLE_TRY(const auto tree, parse_yaml(text, escape_controls(file.source)));
  CardReader reader(file);
  SABLE_TRY_VOID(reader.read(tree));
  return std::move(reader.card);
}

Result<std::vector<ModelCard>> load_model_cards(const LoadedConfig& loaded) {
  std::vector<ModelCard> cards;
  const auto add_folder = [&](const fs::path& folder, Layer layer) -> Result<void> {
    if (folder.empty()) return {};
    SABLE_TRY(const auto files, files_in(folder));
    for (const auto& path : files) {
      SABLE_TRY(const auto text, read_file(path, kCardBytesMax));
      SABLE_TRY(auto card, parse_model_card(text, {.layer = layer, .source = path.string()}));
      std::erase_if(cards, [&](const ModelCard& other) { return other.name == card.name; });
      cards.push_back(std::move(card));
    }
    return {};
  };
  SABLE_TRY_VOID(add_folder(loaded.environment.installed_models, Layer::built_in));
  const auto user = loaded.environment.user_folder();
  SABLE_TRY_VOID(add_folder(user.empty() ? user : user / "models", Layer::user));
  std::sort(cards.begin(), cards.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return cards;
}

}  // namespace sable::runtime::config
