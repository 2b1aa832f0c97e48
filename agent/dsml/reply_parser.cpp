#include "agent/dsml/reply_parser.h"

#include <utility>

#include <fmt/format.h>

#include "agent/prompt/markers.h"
#include "base/text.h"

namespace sable::agent {

namespace {

constexpr size_t kTagBytesMax = 4096;

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

std::string json_characters(std::string_view characters) {
  const std::string quoted = dump_json(Json(std::string(characters)));
  return quoted.substr(1, quoted.size() - 2);
}

/// How many bytes at the end are the start of a character that more bytes could complete.
size_t open_tail(std::string_view bytes) {
  for (size_t n = 1; n <= 3 && n <= bytes.size(); ++n) {
    const auto lead = static_cast<uint8_t>(bytes[bytes.size() - n]);
    if ((lead & 0xC0) == 0x80) continue;
    const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return length > n ? n : 0;
  }
  return 0;
}

std::string_view written(Symbol symbol) {
  switch (symbol) {
    case kDsmlSymbol:
      return markers::kDsml;
    case kThinkEndSymbol:
      return markers::kThinkEnd;
    default:
      return {};  // nothing that a person should read
  }
}

}  // namespace

ReplyParser::ReplyParser(bool thinking, DeltaSink on_delta)
    : on_delta_(std::move(on_delta)), state_(thinking ? State::thought : State::content) {}

void ReplyParser::push(std::span<const Symbol> symbols) {
  for (const Symbol symbol : symbols) {
    if (result_.ended) return;
    if (symbol < kDsmlSymbol) {
      bytes_ += static_cast<char>(symbol);
    } else {
      flush_bytes();
      marker(symbol);
    }
  }
  const size_t n_whole = bytes_.size() - open_tail(bytes_);
  std::string rest = bytes_.substr(n_whole);
  bytes_.erase(n_whole);
  flush_bytes();
  bytes_ = std::move(rest);
  flush_pending();
}

void ReplyParser::flush_bytes() {
  if (bytes_.empty()) return;
  const std::string whole = to_utf8(std::exchange(bytes_, {}));
  text(whole);
}

void ReplyParser::text(std::string_view characters) {
  for (const char c : characters) {
    switch (state_) {
      case State::thought:
        emit_reasoning(std::string_view(&c, 1));
        break;
      case State::content:
        character_of_content(c);
        break;
      case State::value:
        character_of_value(c);
        break;
      case State::behind:
      case State::broken:
        break;
      default:
        character_of_tag(c);
    }
  }
}

/// Holds back what could be the beginning of "\n\n<｜DSML｜".
void ReplyParser::character_of_content(char c) {
  const bool goes_on = c == '<' ? !held_.ends_with('<') : c == '\n' && !held_.ends_with('<');
  if (!goes_on) {
    emit_text(held_);
    held_.clear();
    if (c != '<' && c != '\n') {
      emit_text(std::string_view(&c, 1));
      return;
    }
  } else if (held_ == "\n\n" && c == '\n') {
    emit_text("\n");
    return;
  }
  held_ += c;
}

/// Holds back what could be the beginning of "</｜DSML｜".
void ReplyParser::character_of_value(char c) {
  if (c == '<' || (c == '/' && held_ == "<")) {
    if (c == '<') {
      value_text(held_);
      held_.clear();
    }
    held_ += c;
    return;
  }
  value_text(held_);
  held_.clear();
  value_text(std::string_view(&c, 1));
}

void ReplyParser::marker(Symbol symbol) {
  if (symbol == kEndSymbol) {
    result_.ended = true;
  } else if (symbol == kThinkEndSymbol && state_ == State::thought) {
    state_ = State::content;
  } else if (symbol == kDsmlSymbol && state_ != State::thought) {
    dsml();
  } else {
    text(written(symbol));
  }
}

void ReplyParser::dsml() {
  switch (state_) {
    case State::content:
      if (!held_.ends_with('<')) return text(markers::kDsml);
      held_.clear();
      state_ = State::block_open;
      return;
    case State::between_calls:
      return tag_begins(State::call_open, State::block_close);
    case State::between_values:
      return tag_begins(State::value_open, State::call_close);
    case State::value:
      if (held_ != "</") return break_call("a tag stands inside a parameter's value");
      held_.clear();
      end_value();
      state_ = State::value_close;
      return;
    case State::behind:
    case State::broken:
      return;
    default:
      break_call("a tag stands inside a tag");
  }
}

void ReplyParser::tag_begins(State open, State close) {
  const std::string before = std::exchange(tag_, {});
  if (before.ends_with("</") && is_blank(before.substr(0, before.size() - 2))) {
    state_ = close;
  } else if (before.ends_with('<') && is_blank(before.substr(0, before.size() - 1))) {
    state_ = open;
  } else {
    break_call("text stands between the tags");
  }
}

void ReplyParser::character_of_tag(char c) {
  tag_ += c;
  if (tag_.size() > kTagBytesMax) return break_call("a tag is not closed");
  switch (state_) {
    case State::block_open:
      return tag_text("tool_calls>", State::between_calls);
    case State::block_close:
      return tag_text("tool_calls>", State::behind);
    case State::value_close:
      return tag_text("parameter>", State::between_values);
    case State::call_close:
      tag_text("invoke>", State::between_calls);
      if (state_ == State::between_calls) {
        if (names_.empty()) add_arguments("{");
        add_arguments("}");
        in_call_ = false;
      }
      return;
    case State::call_open:
      return begin_call();
    case State::value_open:
      return begin_value();
    default:  // between tags: judged when the next one begins
      if (c != '<' && c != '/' && !is_blank(std::string_view(&c, 1))) {
        break_call("text stands between the tags");
      }
  }
}

void ReplyParser::tag_text(std::string_view expected, State next) {
  if (tag_ == expected) {
    tag_.clear();
    state_ = next;
  } else if (!expected.starts_with(tag_)) {
    break_call(fmt::format("expected {} behind {}", expected, markers::kDsml));
  }
}

void ReplyParser::begin_call() {
  constexpr std::string_view kBegin = "invoke name=\"", kEnd = "\">";
  if (tag_.size() <= kBegin.size()) {
    if (!kBegin.starts_with(tag_)) break_call("expected a call: invoke name=\"...\">");
    return;
  }
  if (tag_.size() < kBegin.size() + kEnd.size() || !tag_.ends_with(kEnd)) return;
  const std::string name = tag_.substr(kBegin.size(), tag_.size() - kBegin.size() - kEnd.size());
  tag_.clear();
  names_.clear();
  flush_pending();
  in_call_ = true;
  result_.calls.push_back({.name = name});
  emit(CallDelta{.index = result_.calls.size() - 1, .name = name});
  state_ = State::between_values;
}

void ReplyParser::begin_value() {
  constexpr std::string_view kBegin = "parameter name=\"";
  constexpr std::string_view kText = "\" string=\"true\">", kJson = "\" string=\"false\">";
  if (tag_.size() <= kBegin.size()) {
    if (!kBegin.starts_with(tag_)) break_call("expected a parameter: parameter name=\"...\"");
    return;
  }
  value_is_text_ = tag_.ends_with(kText);
  if (!value_is_text_ && !tag_.ends_with(kJson)) return;
  const size_t end = tag_.size() - (value_is_text_ ? kText : kJson).size();
  if (end < kBegin.size()) return;
  const std::string name = tag_.substr(kBegin.size(), end - kBegin.size());
  tag_.clear();
  if (names_.contains(name)) {
    return break_call(fmt::format("the parameter {} stands there twice", escape_controls(name)));
  }
  add_arguments(names_.empty() ? "{" : ", ");
  add_arguments(dump_json(Json(name)));
  add_arguments(value_is_text_ ? ": \"" : ": ");
  names_.insert(name);
  state_ = State::value;
}

void ReplyParser::end_value() {
  if (value_is_text_) add_arguments("\"");
}

void ReplyParser::value_text(std::string_view characters) {
  if (characters.empty()) return;
  if (!value_is_text_) return add_arguments(characters);
  for (const char c : characters) {
    // Bytes of longer characters pass as they are; what JSON escapes is ASCII.
    if (static_cast<uint8_t>(c) < 0x80) {
      add_arguments(json_characters(std::string_view(&c, 1)));
    } else {
      add_arguments(std::string_view(&c, 1));
    }
  }
}

void ReplyParser::add_arguments(std::string_view json) {
  result_.calls.back().arguments += json;
  if (pending_state_ != State::value) flush_pending();
  pending_state_ = State::value;
  pending_ += json;
}

void ReplyParser::break_call(std::string why) {
  flush_pending();
  if (!in_call_) result_.calls.emplace_back();
  auto& call = result_.calls.back();
  call.problem = fmt::format(
      "the call is not in the form that the tools' description shows: {}; "
      "send it again",
      why);
  state_ = State::broken;
}

void ReplyParser::emit_text(std::string_view characters) {
  if (characters.empty()) return;
  result_.text += characters;
  if (pending_state_ != State::content) flush_pending();
  pending_state_ = State::content;
  pending_ += characters;
}

void ReplyParser::emit_reasoning(std::string_view characters) {
  result_.reasoning += characters;
  if (pending_state_ != State::thought) flush_pending();
  pending_state_ = State::thought;
  pending_ += characters;
}

void ReplyParser::flush_pending() {
  if (pending_.empty()) return;
  std::string characters = std::exchange(pending_, {});
  if (pending_state_ == State::thought) {
    emit(ReasoningDelta{std::move(characters)});
  } else if (pending_state_ == State::content) {
    emit(TextDelta{std::move(characters)});
  } else {
    emit(CallDelta{.index = result_.calls.size() - 1, .arguments = std::move(characters)});
  }
}

void ReplyParser::emit(Delta delta) {
  if (on_delta_) on_delta_(delta);
}

ReplyParser::Result ReplyParser::finish() {
  flush_bytes();
  if (state_ == State::content) emit_text(std::exchange(held_, {}));
  const bool inside = state_ != State::thought && state_ != State::content &&
                      state_ != State::behind && state_ != State::broken;
  if (inside && result_.ended) break_call("it is not complete");
  flush_pending();
  if (inside && !result_.ended) {
    result_.cut_call = true;
    if (in_call_) result_.calls.pop_back();
  }
  return std::move(result_);
}

}  // namespace sable::agent
