#include "training/encode_episodes.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "evaluation/words.h"
#include "training/parallel.h"

namespace sable::training {

namespace {

constexpr std::string_view kStructure[] = {"<｜begin▁of▁sentence｜>",
                                           "<｜end▁of▁sentence｜>",
                                           "<｜User｜>",
                                           "<｜Assistant｜>",
                                           "<think>",
                                           "</think>",
                                           "｜DSML｜"};

Result<agent::Prompt> render(const Episode& episode, const agent::PromptTexts& texts) {
  return agent::render_prompt(episode.messages, texts, {.thinking = episode.thinking});
}

/// The parts of a text between tokens of structure.
std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const auto token =
        std::find_if(std::begin(kStructure), std::end(kStructure),
                     [&](std::string_view s) { return text.compare(at, s.size(), s) == 0; });
    if (token == std::end(kStructure)) {
      ++at;
      continue;
    }
    if (at > begin) parts.push_back(text.substr(begin, at - begin));
    at += token->size();
    begin = at;
  }
  if (begin < text.size()) parts.push_back(text.substr(begin));
  return parts;
}

}  // namespace

Result<Sequence> encode(const Episode& episode, const agent::PromptTexts& texts,
                        const inference::Tokenizer& tokenizer) {
  SABLE_TRY(const agent::Prompt prompt, render(episode, texts));
  SABLE_TRY(const agent::PromptTokens ids, agent::prompt_tokens(tokenizer));
  SABLE_TRY(const agent::EncodedPrompt encoded, agent::encode_prompt(prompt, tokenizer));
  Sequence sequence;
  sequence.tokens.assign(encoded.ids.begin(), encoded.ids.end());
  size_t reply = 0;
  for (size_t i = 0; i < encoded.ids.size(); ++i) {
    const bool wrong = std::find(episode.mistakes.begin(), episode.mistakes.end(), reply) !=
                       episode.mistakes.end();
    sequence.by_model.push_back(encoded.by_model[i] && !wrong ? 1 : 0);
    if (encoded.ids[i] == ids.end) ++reply;
  }
  return sequence;
}

Result<Dataset> read_dataset(const std::filesystem::path& file, const agent::PromptTexts& texts,
                             const inference::Tokenizer& tokenizer, size_t n_threads,
                             size_t count_max) {
  SABLE_TRY(const std::string text, read_file(file, size_t{4} << 30));
  std::vector<std::string_view> lines = split_lines(text);
  std::erase_if(lines, [](std::string_view line) { return line.empty(); });
  if (count_max > 0 && lines.size() > count_max) lines.resize(count_max);
  std::vector<std::optional<Result<Sequence>>> encoded(lines.size());
  std::vector<std::string> families(lines.size());
  in_parallel(n_threads, lines.size(), [&](size_t i, size_t) {
    const auto json = parse_json(lines[i]);
    if (!json) {
      encoded[i] = fail(json.error());
      return;
    }
    const auto episode = episode_from_json(*json);
    if (!episode) {
      encoded[i] = fail(episode.error());
      return;
    }
    families[i] = episode->family;
    encoded[i] = encode(*episode, texts, tokenizer);
  });
  Dataset dataset;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!*encoded[i]) {
      return fail_in(fmt::format("{}: line {}", file.string(), i + 1),
                     std::move(encoded[i]->error()));
    }
    auto family = std::find(dataset.families.begin(), dataset.families.end(), families[i]);
    if (family == dataset.families.end()) {
      family = dataset.families.insert(family, families[i]);
    }
    dataset.sequences.push_back(std::move(**encoded[i]));
    dataset.sequences.back().family = static_cast<uint32_t>(family - dataset.families.begin());
  }
  return dataset;
}

Result<std::vector<std::string>> texts_between_tokens(const Episode& episode,
                                                      const agent::PromptTexts& texts) {
  SABLE_TRY(const agent::Prompt prompt, render(episode, texts));
  return parts_of(agent::text_of(prompt));
}

std::vector<std::string> fixed_phrases(const AgentPack& pack) {
  // What tool calls and tool results are framed in, and what the tools say.
  std::vector<std::string> phrases = {
      "tool_calls>\n<",
      "invoke name=\"",
      "\">\n<",
      "parameter name=\"",
      "\" string=\"true\">",
      "\" string=\"false\">",
      "parameter>\n<",
      "parameter>\n</",
      "invoke>\n<",
      "invoke>\n</",
      "tool_calls>",
      "<tool_result>",
      "</tool_result>",
      "\n{\"name\": \"",
      "{\"name\": \"",
      "\", \"description\": \"",
      ". The changed lines now:\n",
      "Edited ",
      " in 2 places",
      "\n[exit code ",
      "[exit code ",
      " s]\n",
      "; try ignore_case, a shorter pattern, another path, or include_ignored]\n",
      "[no match in ",
      "[no output]\n",
      "old_text was not found in ",
      "; nothing was changed",
      ". The nearest lines are ",
      "; copy them without their numbers:\n",
      "; did you mean ",
      "; go on with start_line=",
      " lines; go on with start_line=",
      "[lines ",
      "----------------------------------------------------------------------",
      "======================================================================",
      "Traceback (most recent call last):\n",
      "AssertionError: ",
      "self.assertEqual(",
      "\"\"\"",
      "    return ",
      "  return "};
  for (const agent::OfferedTool& tool : pack.tools) {
    const Json json{
        {"name", tool.name}, {"description", tool.description}, {"parameters", tool.parameters}};
    const std::string line = agent::text_of(agent::render_tools(std::vector<Json>{json}, {}));
    const size_t name_end = line.find(tool.name) + tool.name.size();
    phrases.push_back(line.substr(name_end));
  }
  for (const std::string& text : {pack.texts.tools_head, pack.texts.tools_tail}) {
    for (const std::string& part : parts_of(text)) phrases.push_back(part);
  }
  // Sentences of the system message, without the path in the middle.
  const std::string words = pack.config.system_prompt;
  phrases.push_back(words.substr(0, words.find_last_not_of('\n') + 1) +
                    "\n\nYou work in the repository at ");
  phrases.push_back(". Paths in tool calls are relative to it.\n");
  std::erase_if(phrases, [](const std::string& p) { return p.size() < 2; });
  std::sort(phrases.begin(), phrases.end());
  phrases.erase(std::unique(phrases.begin(), phrases.end()), phrases.end());
  return phrases;
}

CopyTokens copy_tokens(const inference::Tokenizer& tokenizer) {
  CopyTokens tokens{};
  tokens.begin = *tokenizer.id_of(kStructure[0]);
  tokens.end = *tokenizer.id_of(kStructure[1]);
  tokens.user = *tokenizer.id_of(kStructure[2]);
  tokens.assistant = *tokenizer.id_of(kStructure[3]);
  tokens.think_end = *tokenizer.id_of(kStructure[5]);
  tokens.newline = *tokenizer.id_of("\n");
  for (size_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto token = static_cast<inference::TokenId>(id);
    if (!tokenizer.has(token) || tokenizer.is_added(token)) continue;
    const auto bytes = tokenizer.token_bytes(token);
    const bool byte = !bytes || bytes->size() < 2;
    const bool letter = bytes && bytes->size() == 1 && bytes->front() > ' ' && bytes->front() < 127;
    if (byte ? letter : bytes->size() < 16) tokens.words.push_back(token);
  }
  return tokens;
}

NameTokens name_tokens(const inference::Tokenizer& tokenizer, const Dataset& training) {
  constexpr double kShareMax = 0.1;
  std::vector<size_t> n_holding(tokenizer.vocab_size(), 0), last(tokenizer.vocab_size(), 0);
  for (size_t i = 0; i < training.sequences.size(); ++i) {
    for (const int32_t token : training.sequences[i].tokens) {
      const auto t = static_cast<size_t>(token);
      if (last[t] == i + 1) continue;
      last[t] = i + 1;
      ++n_holding[t];
    }
  }
  const auto words = evaluation::plain_words();
  const auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  NameTokens names;
  for (size_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto token = static_cast<inference::TokenId>(id);
    if (!tokenizer.has(token) || tokenizer.is_added(token)) continue;
    const auto bytes = tokenizer.token_bytes(token);
    if (!bytes || bytes->empty()) continue;
    const std::string text(*bytes);
    const bool lower = std::all_of(text.begin(), text.end(), is_lower);
    const bool upper = std::all_of(text.begin(), text.end(), is_upper);
    const bool capital = is_upper(text[0]) && std::all_of(text.begin() + 1, text.end(), is_lower);
    if (!lower && !upper && !capital) continue;
    const auto id32 = static_cast<int32_t>(id);
    std::string word = text;
    for (char& c : word) c = static_cast<char>(is_upper(c) ? c - 'A' + 'a' : c);
    const double share = static_cast<double>(n_holding[id]) /
                         static_cast<double>(std::max<size_t>(training.sequences.size(), 1));
    const bool names_things =
        std::find(words.begin(), words.end(), word) != words.end() && share < kShareMax;
    if (text.size() <= 5) {
      if (lower) names.lower.first.push_back(id32);
      if (lower) names.lower.next.push_back(id32);
      if (lower) names.capital.next.push_back(id32);
      if (capital) names.capital.first.push_back(id32);
      if (upper) names.upper.first.push_back(id32);
      if (upper) names.upper.next.push_back(id32);
    }
    if (!names_things) continue;
    if (lower) names.lower.words.push_back(id32);
    if (capital && !upper) names.capital.words.push_back(id32);
    if (upper) names.upper.words.push_back(id32);
  }
  return names;
}

}  // namespace sable::training
