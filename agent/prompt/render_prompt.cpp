#include "agent/prompt/render_prompt.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "agent/prompt/markers.h"
#include "agent/prompt/spaced_json.h"
#include "base/text.h"

namespace sable::agent {

namespace {

/// Names of tasks and their tokens.
constexpr std::pair<std::string_view, std::string_view> kTasks[] = {
    {"action", "<｜action｜>"}, {"query", "<｜query｜>"}, {"authority", "<｜authority｜>"},
    {"domain", "<｜domain｜>"}, {"title", "<｜title｜>"}, {"read_url", "<｜read_url｜>"}};

std::string_view token_of_task(std::string_view task) {
  for (const auto& [name, token] : kTasks) {
    if (name == task) return token;
  }
  return {};
}

constexpr std::string_view kResultBegin = "<tool_result>", kResultEnd = "</tool_result>";

/// A part of a user's turn.
struct Block {
  bool is_result = false;
  std::string call_id;
  std::string text;
};

/// A message, with tool results folded into turns of users.
struct Turn {
  const PromptMessage* message;
  PromptRole role;
  std::vector<Block> blocks;  ///< of a user
};

/// Tool results join the user's turn before them, a user's text the turn before it.
std::vector<Turn> fold(std::span<const PromptMessage> messages) {
  std::vector<Turn> turns;
  for (const auto& message : messages) {
    const bool is_tool = message.role == PromptRole::tool;
    if (!is_tool && message.role != PromptRole::user) {
      turns.push_back({&message, message.role, {}});
      continue;
    }
    Block block{is_tool, is_tool ? message.tool_call_id : "", message.content};
    const bool joins = !turns.empty() && turns.back().role == PromptRole::user &&
                       (is_tool || turns.back().message->task.empty());
    if (!joins) turns.push_back({&message, PromptRole::user, {}});
    turns.back().blocks.push_back(std::move(block));
  }
  return turns;
}

/// Puts the results of a turn in the order of the calls before it; texts keep their places.
void sort_results(std::vector<Turn>& turns) {
  const std::vector<RequestedCall>* calls = nullptr;
  for (auto& turn : turns) {
    if (turn.role == PromptRole::assistant && !turn.message->tool_calls.empty()) {
      calls = &turn.message->tool_calls;
    }
    if (calls == nullptr || turn.role != PromptRole::user) continue;
    std::vector<Block> results;
    for (const auto& block : turn.blocks) {
      if (block.is_result) results.push_back(block);
    }
    const auto rank = [&](const Block& block) {
      const auto it = std::find_if(calls->begin(), calls->end(),
                                   [&](const auto& call) { return call.id == block.call_id; });
      return it == calls->end() ? 0 : it - calls->begin();
    };
    std::stable_sort(results.begin(), results.end(),
                     [&](const Block& a, const Block& b) { return rank(a) < rank(b); });
    auto next = results.begin();
    for (auto& block : turn.blocks) {
      if (block.is_result) block = *next++;
    }
  }
}

std::string with_inert_end(std::string text) {
  for (size_t at = text.find(kResultEnd); at != std::string::npos; at = text.find(kResultEnd, at)) {
    text.replace(at, 2, "<\\/");
  }
  return text;
}

class Renderer {
 public:
  Renderer(std::vector<Turn> turns, const PromptTexts& texts, const PromptOptions& options)
      : turns_(std::move(turns)), texts_(texts), options_(options) {}

  Result<Prompt> run() {
    prepare();
    if (options_.begin) markup(markers::kBegin);
    for (size_t i = 0; i < turns_.size(); ++i) {
      if (i == 0 && options_.thinking) {
        if (options_.effort == Effort::high) markup(texts_.effort_high);
        if (options_.effort == Effort::max) markup(texts_.effort_max);
      }
      message(i);
      SABLE_TRY_VOID(transition(i));
    }
    return std::move(prompt_);
  }

 private:
  static bool is_user(const Turn& turn) {
    return turn.role == PromptRole::user || turn.role == PromptRole::developer;
  }

  void prepare() {
    drop_thinking_ = options_.drop_thinking &&
                     std::all_of(turns_.begin(), turns_.end(),
                                 [](const Turn& turn) { return turn.message->tools.empty(); });
    find_last_user();
    if (!options_.thinking || !drop_thinking_) return;
    size_t index = 0;
    std::erase_if(turns_, [&](const Turn& turn) {
      return index++ < last_user_ && last_user_ != kNone && turn.role == PromptRole::developer;
    });
    find_last_user();
  }

  void find_last_user() {
    last_user_ = kNone;
    for (size_t i = 0; i < turns_.size(); ++i) {
      if (is_user(turns_[i])) last_user_ = i;
    }
  }

  /// Whether position `index` is at or behind the last user; always when there is none.
  bool at_or_behind_last_user(size_t index) const {
    return last_user_ == kNone || index >= last_user_;
  }

  void message(size_t index) {
    const Turn& turn = turns_[index];
    const PromptMessage& m = *turn.message;
    switch (turn.role) {
      case PromptRole::system:
        text(m.content);
        further_blocks(m);
        return;
      case PromptRole::developer:
        markup(markers::kUser);
        text(m.content);
        further_blocks(m);
        return;
      case PromptRole::user:
      case PromptRole::tool:
        markup(markers::kUser);
        for (size_t i = 0; i < turn.blocks.size(); ++i) {
          if (i > 0) markup("\n\n");
          block(turn.blocks[i]);
        }
        return;
      case PromptRole::latest_reminder:
        markup(markers::kLatestReminder);
        text(m.content);
        return;
      case PromptRole::assistant:
        assistant(index);
    }
  }

  void block(const Block& block) {
    if (block.is_result) {
      markup(kResultBegin);
      text(with_inert_end(block.text));
      markup(kResultEnd);
    } else {
      text(block.text);
    }
  }

  void further_blocks(const PromptMessage& m) {
    if (!m.tools.empty()) {
      markup("\n\n");
      for (auto& piece : render_tools(m.tools, texts_)) prompt_.push_back(std::move(piece));
    }
    if (m.response_format) {
      markup("\n\n");
      markup(texts_.response_format_head);
      text(spaced_json(*m.response_format));
      markup(texts_.response_format_tail);
    }
  }

  void assistant(size_t index) {
    const PromptMessage& m = *turns_[index].message;
    by_model_ = true;
    const bool after_task = index > 0 && !turns_[index - 1].message->task.empty();
    const bool thinks = options_.thinking && !after_task &&
                        (!drop_thinking_ || last_user_ == kNone || index > last_user_);
    if (m.sampled) {
      sampled(*m.sampled, !thinks && options_.thinking && !after_task);
    } else {
      if (thinks) {
        text(m.reasoning);
        markup(markers::kThinkEnd);
      }
      text(m.content);
      if (!m.tool_calls.empty()) calls(m.tool_calls);
    }
    if (!m.without_end) markup(markers::kEnd);
    by_model_ = false;
  }

  /// `shorten`: only what comes behind the thought, which encode_prompt() finds.
  void sampled(const std::vector<inference::TokenId>& tokens, bool shorten) {
    PromptPiece piece{.kind = PromptPiece::Kind::tokens, .tokens = tokens, .by_model = true};
    piece.behind_thought = shorten;
    prompt_.push_back(std::move(piece));
  }

  void calls(const std::vector<RequestedCall>& requested) {
    const auto tag = [&](std::string_view open, std::string_view name) {
      markup(fmt::format("{}{}{}", open, markers::kDsml, name));
    };
    markup("\n\n");
    tag("<", "tool_calls>\n");
    for (const auto& call : requested) {
      tag("<", "invoke name=\"");
      text(call.name);
      markup("\">\n");
      const auto parsed = parse_json(call.arguments);
      const Json arguments =
          parsed && parsed->is_object() ? *parsed : Json{{"arguments", to_utf8(call.arguments)}};
      bool first = true;
      for (const auto& [key, value] : arguments.items()) {
        if (!first) markup("\n");
        first = false;
        tag("<", "parameter name=\"");
        text(key);
        markup(fmt::format("\" string=\"{}\">", value.is_string()));
        text(value.is_string() ? value.get<std::string>() : spaced_json(value));
        tag("</", "parameter>");
      }
      markup("\n");
      tag("</", "invoke>\n");
    }
    tag("</", "tool_calls>");
  }

  Result<void> transition(size_t index) {
    if (index + 1 < turns_.size()) {
      const auto next = turns_[index + 1].role;
      if (next != PromptRole::assistant && next != PromptRole::latest_reminder) return {};
    }
    const Turn& turn = turns_[index];
    const auto& task = turn.message->task;
    if (!task.empty()) {
      const auto token = token_of_task(task);
      if (token.empty()) {
        return fail(ErrorCode::invalid_input,
                    fmt::format("there is no task \"{}\"", escape_controls(task)));
      }
      if (task == "action") {
        markup(markers::kAssistant);
        markup(options_.thinking ? markers::kThinkBegin : markers::kThinkEnd);
      }
      markup(token);
    } else if (is_user(turn)) {
      markup(markers::kAssistant);
      const bool thinks = options_.thinking && (!drop_thinking_ || at_or_behind_last_user(index));
      markup(thinks ? markers::kThinkBegin : markers::kThinkEnd);
    }
    return {};
  }

  void markup(std::string_view what) { add(PromptPiece::Kind::markup, what); }
  void text(std::string_view what) { add(PromptPiece::Kind::text, what); }
  void add(PromptPiece::Kind kind, std::string_view what) {
    if (what.empty()) return;
    if (!prompt_.empty() && prompt_.back().kind == kind && prompt_.back().by_model == by_model_) {
      prompt_.back().text += what;
    } else {
      prompt_.push_back({.kind = kind, .text = std::string(what), .by_model = by_model_});
    }
  }

  static constexpr size_t kNone = static_cast<size_t>(-1);

  std::vector<Turn> turns_;
  const PromptTexts& texts_;
  const PromptOptions& options_;
  Prompt prompt_;
  bool drop_thinking_ = true;
  bool by_model_ = false;
  size_t last_user_ = kNone;
};

}  // namespace

Prompt render_tools(std::span<const Json> tools, const PromptTexts& texts) {
  Prompt prompt;
  prompt.push_back({.kind = PromptPiece::Kind::markup, .text = texts.tools_head});
  std::string schemas;
  for (const auto& tool : tools) {
    if (!schemas.empty()) schemas += '\n';
    schemas += spaced_json(tool);
  }
  prompt.push_back({.kind = PromptPiece::Kind::text, .text = std::move(schemas)});
  prompt.push_back({.kind = PromptPiece::Kind::markup, .text = texts.tools_tail});
  return prompt;
}

Result<Prompt> render_prompt(std::span<const PromptMessage> messages, const PromptTexts& texts,
                             const PromptOptions& options) {
  auto turns = fold(messages);
  sort_results(turns);
  return Renderer(std::move(turns), texts, options).run();
}

std::string text_of(const Prompt& prompt) {
  std::string text;
  for (const auto& piece : prompt) text += piece.text;
  return text;
}

}  // namespace sable::agent
