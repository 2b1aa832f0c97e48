#include "agent/constraint/call_machine.h"

#include <algorithm>
#include <array>

#include "base/check.h"

namespace sable::agent {

namespace {

using Kind = Frame::Kind;

constexpr size_t kThreadsMax = 256;
constexpr int kHopsMax = 16;  // through alternatives of alternatives

enum Literal : uint32_t {
  block_tag,       // <D tool_calls> from the content on
  block_tag_rest,  // the same behind its marker
  call_tag,        // <D invoke name="
  block_end,       // </D tool_calls>
  parameter_tag,   // <D parameter name="
  call_end,        // </D invoke>
  empty_call_end,  // the same behind an empty line
  parameter_end,   // </D parameter>
  raw_end,         // the same behind its marker
  word_null,
  word_true,
  word_false,
  quote,
  array_open,
  array_close,
  object_open,
  object_close,
  comma,
  colon,
  n_literals,
};

std::vector<Symbol> literal(std::string_view text) {
  std::vector<Symbol> result;
  for (const char c : text) {
    // "|" stands for the marker here; none of the literals has a bar of its own.
    result.push_back(c == '|' ? kDsmlSymbol : static_cast<uint8_t>(c));
  }
  return result;
}

const std::vector<Symbol>& literal_symbols(uint32_t which) {
  static const std::array<std::vector<Symbol>, n_literals> kSymbols = {
      literal("\n\n<|tool_calls>\n"),
      literal("tool_calls>\n"),
      literal("<|invoke name=\""),
      literal("</|tool_calls>"),
      literal("<|parameter name=\""),
      literal("</|invoke>\n"),
      literal("\n</|invoke>\n"),
      literal("</|parameter>\n"),
      literal("parameter>\n"),
      literal("null"),
      literal("true"),
      literal("false"),
      literal("\""),
      literal("["),
      literal("]"),
      literal("{"),
      literal("}"),
      literal(", "),
      literal(": ")};
  return kSymbols[which];
}

enum TrieKind : uint32_t { names, parameters, keys, raw_values, json_values, quoted_values };

Frame literal_frame(Literal which) { return {.kind = Kind::literal, .a = which}; }
Frame trie_frame(TrieKind kind, RuleIndex rule, uint64_t mask = ~uint64_t{0}) {
  return {.kind = Kind::trie, .flag = static_cast<uint8_t>(kind), .a = rule, .mask = mask};
}

std::shared_ptr<const Thread::Outer> over(Frame frame, std::shared_ptr<const Thread::Outer> outer) {
  return std::make_shared<const Thread::Outer>(Thread::Outer{frame, std::move(outer)});
}

constexpr std::array<int64_t, 19> kPowersOfTen = [] {
  std::array<int64_t, 19> powers{};
  int64_t power = 1;
  for (auto& p : powers) {
    p = power;
    if (power < 1'000'000'000'000'000'000) power *= 10;
  }
  return powers;
}();

/// The digits of a number so far, packed into Frame::b.
struct Digits {
  bool negative = false, point = false;
  int n_whole = 0, n_decimals = 0;

  static Digits of(uint32_t packed) {
    return {(packed & 1) != 0, (packed & 2) != 0, static_cast<int>(packed >> 8 & 0xFF),
            static_cast<int>(packed >> 16 & 0xFF)};
  }
  uint32_t packed() const {
    return (negative ? 1u : 0u) | (point ? 2u : 0u) | static_cast<uint32_t>(n_whole) << 8 |
           static_cast<uint32_t>(n_decimals) << 16;
  }
};

/// Whether [low, high], negated for negative numbers (which are never zero), meets the bounds.
bool meets(const Rule::Number& rule, bool negative, int64_t low, int64_t high) {
  if (negative) {
    low = std::max<int64_t>(low, 1);
    if (low > high) return false;
    return -low >= rule.min && -high <= rule.max;
  }
  return high >= rule.min && low <= rule.max;
}

/// Whether some number that begins with these digits is allowed.
bool can_become(const Rule::Number& rule, const Digits& digits, uint64_t value) {
  const auto v = static_cast<int64_t>(value);
  if (digits.point) {
    const int64_t unit = kPowersOfTen[static_cast<size_t>(rule.n_decimals - digits.n_decimals)];
    return meets(rule, digits.negative, v * unit, v * unit + unit - 1);
  }
  const int n_whole_max = 18 - rule.n_decimals;
  if (digits.n_whole > n_whole_max) return false;
  const int64_t unit = kPowersOfTen[static_cast<size_t>(rule.n_decimals)];
  for (int k = 0; k <= n_whole_max - digits.n_whole; ++k) {
    const int64_t power = kPowersOfTen[static_cast<size_t>(k)];
    if (meets(rule, digits.negative, v * power * unit, (v * power + power) * unit - 1)) return true;
    if (v == 0) break;
  }
  return false;
}

bool is_allowed(const Rule::Number& rule, const Digits& digits, uint64_t value) {
  if (digits.n_whole == 0 || (digits.point && digits.n_decimals == 0)) return false;
  const int64_t unit = kPowersOfTen[static_cast<size_t>(rule.n_decimals - digits.n_decimals)];
  const auto v = static_cast<int64_t>(value) * unit;
  return meets(rule, digits.negative, v, v);
}

const Rule::Text kAnyText{};

uint64_t count(uint64_t bits) { return static_cast<uint64_t>(__builtin_popcountll(bits)); }

/// The properties that may come next: with room for no more than what is required, only that.
uint64_t open_properties(const Rule::Object& object, uint64_t used) {
  const uint64_t all = (uint64_t{1} << object.properties.size()) - 1;
  const uint64_t missing = object.required & ~used;
  const uint64_t n = count(used);
  if (n >= object.n_max) return 0;
  return n + count(missing) >= object.n_max ? missing : all & ~used;
}

}  // namespace

bool operator==(const Thread& a, const Thread& b) {
  if (a.top != b.top) return false;
  const Thread::Outer* x = a.outer.get();
  const Thread::Outer* y = b.outer.get();
  for (; x != y; x = x->outer.get(), y = y->outer.get()) {
    if (x == nullptr || y == nullptr || x->frame != y->frame) return false;
  }
  return true;
}

uint8_t next_utf8(uint8_t place, uint8_t byte) {
  // 1..3: so many continuation bytes to come; 4 to 7: behind E0, ED, F0, F4.
  switch (place) {
    case 0:
      if (byte < 0x80) return 0;
      if (byte < 0xC2 || byte > 0xF4) return kIllFormed;
      if (byte < 0xE0) return 1;
      if (byte == 0xE0) return 4;
      if (byte == 0xED) return 5;
      if (byte < 0xF0) return 2;
      if (byte == 0xF0) return 6;
      return byte == 0xF4 ? 7 : 3;
    case 4:
      return byte >= 0xA0 && byte <= 0xBF ? 1 : kIllFormed;
    case 5:
      return byte >= 0x80 && byte <= 0x9F ? 1 : kIllFormed;
    case 6:
      return byte >= 0x90 && byte <= 0xBF ? 2 : kIllFormed;
    case 7:
      return byte >= 0x80 && byte <= 0x8F ? 2 : kIllFormed;
    default:
      return byte >= 0x80 && byte <= 0xBF ? static_cast<uint8_t>(place - 1) : kIllFormed;
  }
}

Threads CallMachine::begin(bool from_content) const {
  const Frame block{.kind = Kind::block};
  return {{literal_frame(from_content ? block_tag : block_tag_rest), over(block, nullptr)}};
}

Threads CallMachine::advance(const Threads& threads, Symbol symbol) const {
  Threads all;
  for (const auto& thread : threads) advance(thread, symbol, all);
  Threads result;
  for (auto& thread : all) {
    if (result.size() == kThreadsMax) break;
    if (std::find(result.begin(), result.end(), thread) == result.end()) {
      result.push_back(std::move(thread));
    }
  }
  return result;
}

void CallMachine::advance(const Thread& thread, Symbol symbol, Threads& out) const {
  switch (thread.top.kind) {
    case Kind::literal:
      return literal(thread, symbol, out);
    case Kind::trie:
      return trie(thread, symbol, out);
    case Kind::raw_text:
      return raw_text(thread, symbol, out);
    case Kind::json_text:
      return json_text(thread, symbol, out);
    case Kind::number:
      return number(thread, symbol, out);
    default:
      return;  // done; the others never stand on top
  }
}

/// The innermost level has ended: the one around it goes on.
void CallMachine::complete(const Outer& outer, int payload, Threads& out) const {
  if (outer == nullptr) {
    out.push_back({});
    return;
  }
  const Frame& frame = outer->frame;
  switch (frame.kind) {
    case Kind::block:
      return expand_block(frame, outer->outer, payload, out);
    case Kind::call:
      if (payload >= 0) return begin_parameter(frame, outer->outer, payload, out);
      return expand_call(frame, outer->outer, out);
    case Kind::value:
      return expand_value(frame, outer->outer, out);
    case Kind::array:
      return expand_array(frame, outer->outer, out);
    case Kind::object:
      return expand_object(frame, outer->outer, payload, out);
    default:
      out.push_back({frame, outer->outer});
  }
}

// ---- between values

void CallMachine::expand_block(const Frame& frame, const Outer& outer, int payload,
                               Threads& out) const {
  if (payload >= 0) {  // a tool's name came
    const Frame call{.kind = Kind::call, .a = static_cast<uint32_t>(payload)};
    const Frame again{.kind = Kind::block, .flag = 1};
    return expand_call(call, over(again, outer), out);
  }
  if (!grammar_.tools().empty()) {
    const auto block = over(frame, outer);
    out.push_back({literal_frame(call_tag), over(trie_frame(names, 0), block)});
  }
  if (frame.flag != 0) out.push_back({literal_frame(block_end), outer});
}

void CallMachine::expand_call(const Frame& frame, const Outer& outer, Threads& out) const {
  const auto& object = grammar_.rule(grammar_.tools()[frame.a].rule).objects.front();
  const uint64_t n = count(frame.mask);
  if (const uint64_t open = open_properties(object, frame.mask); open != 0) {
    const auto name = trie_frame(parameters, grammar_.tools()[frame.a].rule, open);
    out.push_back({literal_frame(parameter_tag), over(name, over(frame, outer))});
  }
  if ((object.required & ~frame.mask) == 0 && (n >= object.n_min || object.properties.empty())) {
    out.push_back({literal_frame(n == 0 ? empty_call_end : call_end), outer});
  }
}

void CallMachine::begin_parameter(const Frame& call, const Outer& outer, int payload,
                                  Threads& out) const {
  const auto& object = grammar_.rule(grammar_.tools()[call.a].rule).objects.front();
  const auto property = static_cast<size_t>(payload / 2);
  const RuleIndex rule = object.properties[property].rule;
  Frame next = call;
  next.mask |= uint64_t{1} << property;
  const auto behind = over(next, outer);
  if (payload % 2 != 0) return expand_raw(rule, over(literal_frame(raw_end), behind), out);
  const Frame value{.kind = Kind::value,
                    .flag = 1,
                    .depth = static_cast<uint8_t>(CallGrammar::kDepthMax),
                    .a = rule};
  expand_value(value, over(literal_frame(parameter_end), behind), out);
}

/// A text that stands as it is; what ends it is its closing tag's marker.
void CallMachine::expand_raw(RuleIndex index, const Outer& outer, Threads& out, int n_hops) const {
  if (n_hops == kHopsMax) return;
  const Rule& rule = grammar_.rule(index);
  if (!rule.texts.empty()) out.push_back({{.kind = Kind::raw_text, .a = index}, outer});
  if (rule.has_raw_values) out.push_back({trie_frame(raw_values, index), outer});
  for (const auto other : rule.alternatives) expand_raw(other, outer, out, n_hops + 1);
}

void CallMachine::expand_value(const Frame& frame, const Outer& outer, Threads& out,
                               int n_hops) const {
  if (n_hops == kHopsMax) return;
  const Rule& rule = grammar_.rule(frame.a);
  if (rule.null) out.push_back({literal_frame(word_null), outer});
  if (rule.boolean) {
    out.push_back({literal_frame(word_true), outer});
    out.push_back({literal_frame(word_false), outer});
  }
  if (!rule.numbers.empty()) out.push_back({{.kind = Kind::number, .a = frame.a}, outer});
  if (rule.has_json_values) out.push_back({trie_frame(json_values, frame.a), outer});
  if (frame.flag == 0 && rule.has_raw_values) {
    out.push_back({trie_frame(quoted_values, frame.a), outer});
  }
  if (frame.flag == 0 && !rule.texts.empty()) {
    const Frame text{.kind = Kind::json_text, .a = frame.a};
    out.push_back({literal_frame(quote), over(text, outer)});
  }
  const auto nested = [&](Kind kind, Literal open) {
    Frame inner{.kind = kind, .depth = static_cast<uint8_t>(frame.depth - 1), .a = frame.a};
    out.push_back({literal_frame(open), over(inner, outer)});
  };
  if (!rule.arrays.empty() && frame.depth > 0) nested(Kind::array, array_open);
  if (!rule.objects.empty() && frame.depth > 0) nested(Kind::object, object_open);
  for (const auto other : rule.alternatives) {
    if (grammar_.rule(other).depth > frame.depth) continue;
    Frame next = frame;
    next.a = other;
    expand_value(next, outer, out, n_hops + 1);
  }
}

void CallMachine::expand_array(const Frame& frame, const Outer& outer, Threads& out) const {
  const auto& array = grammar_.rule(frame.a).arrays.front();
  if (frame.n >= array.items_min) out.push_back({literal_frame(array_close), outer});
  if (frame.n >= array.items_max) return;
  const RuleIndex item = frame.n < array.first.size() ? array.first[frame.n] : array.rest;
  if (item == kNoRule || grammar_.rule(item).depth > frame.depth) return;
  Frame next = frame;
  ++next.n;
  const Frame value{.kind = Kind::value, .depth = frame.depth, .a = item};
  if (frame.n == 0) return expand_value(value, over(next, outer), out);
  out.push_back({literal_frame(comma), over(value, over(next, outer))});
}

void CallMachine::expand_object(const Frame& frame, const Outer& outer, int payload,
                                Threads& out) const {
  const auto& object = grammar_.rule(frame.a).objects.front();
  if (payload >= 0) {  // a name came, with its colon
    const auto property = static_cast<size_t>(payload);
    Frame next = frame;
    next.mask |= uint64_t{1} << property;
    ++next.n;
    const Frame value{
        .kind = Kind::value, .depth = frame.depth, .a = object.properties[property].rule};
    return expand_value(value, over(next, outer), out);
  }
  if ((object.required & ~frame.mask) == 0 && frame.n >= object.n_min) {
    out.push_back({literal_frame(object_close), outer});
  }
  if (frame.n >= object.n_max) return;
  if (object.others != kNoRule) {
    if (grammar_.rule(object.others).depth > frame.depth) return;
    Frame next = frame;
    ++next.n;
    const Frame value{.kind = Kind::value, .depth = frame.depth, .a = object.others};
    const Frame name{.kind = Kind::json_text, .flag = 1};
    const auto behind = over(literal_frame(colon), over(value, over(next, outer)));
    const auto begun = over(name, behind);
    if (frame.n == 0) {
      out.push_back({literal_frame(quote), begun});
    } else {
      out.push_back({literal_frame(comma), over(literal_frame(quote), begun)});
    }
    return;
  }
  uint64_t open = open_properties(object, frame.mask);
  for (size_t i = 0; i < object.properties.size(); ++i) {
    if (grammar_.rule(object.properties[i].rule).depth > frame.depth) open &= ~(uint64_t{1} << i);
  }
  if (open == 0) return;
  const Frame name = trie_frame(keys, frame.a, open);
  if (frame.n == 0) {
    out.push_back({name, over(frame, outer)});
  } else {
    out.push_back({literal_frame(comma), over(name, over(frame, outer))});
  }
}

// ---- what reads symbols

void CallMachine::literal(const Thread& thread, Symbol symbol, Threads& out) const {
  const auto& expected = literal_symbols(thread.top.a);
  if (expected[thread.top.b] != symbol) return;
  if (thread.top.b + 1 == expected.size()) return complete(thread.outer, -1, out);
  Thread next = thread;
  ++next.top.b;
  out.push_back(std::move(next));
}

const SymbolTrie& CallMachine::trie_of(const Frame& frame) const {
  switch (static_cast<TrieKind>(frame.flag)) {
    case names:
      return grammar_.names();
    case parameters:
      return grammar_.rule(frame.a).objects.front().parameters;
    case keys:
      return grammar_.rule(frame.a).objects.front().keys;
    case raw_values:
      return grammar_.rule(frame.a).raw_values;
    case json_values:
      return grammar_.rule(frame.a).json_values;
    case quoted_values:
      break;
  }
  return grammar_.rule(frame.a).quoted_values;
}

void CallMachine::trie(const Thread& thread, Symbol symbol, Threads& out) const {
  const auto& nodes = trie_of(thread.top).nodes;
  for (const auto& [edge, target] : nodes[thread.top.b].next) {
    if (edge != symbol || (nodes[target].reach & thread.top.mask) == 0) continue;
    const bool is_value = thread.top.flag >= raw_values;
    if (nodes[target].payload >= 0) {
      complete(thread.outer, is_value ? -1 : nodes[target].payload, out);
    }
    if (!nodes[target].next.empty()) {
      Thread next = thread;
      next.top.b = target;
      out.push_back(std::move(next));
    }
    return;
  }
}

void CallMachine::raw_text(const Thread& thread, Symbol symbol, Threads& out) const {
  const auto& rule = grammar_.rule(thread.top.a).texts.front();
  const uint64_t n = thread.top.n;
  if (symbol == kDsmlSymbol) {
    // "</" before the marker is not of the text.
    if (thread.top.b == 2 && n - 2 >= rule.length_min && n - 2 <= rule.length_max) {
      complete(thread.outer, -1, out);
    }
    return;
  }
  if (symbol > 0xFF) return;
  const auto byte = static_cast<uint8_t>(symbol);
  const uint8_t place = next_utf8(thread.top.utf8, byte);
  if (place == kIllFormed) return;
  Thread next = thread;
  next.top.utf8 = place;
  if (thread.top.utf8 == 0) {
    const uint64_t n_next = n + 1;
    bool allowed = n_next <= rule.length_max;
    next.top.b = 0;
    if (byte == '<') {
      next.top.b = 1;
      allowed = n_next <= rule.length_max + 1;
    } else if (byte == '/' && thread.top.b == 1) {
      next.top.b = 2;
      // Beyond the text's longest length only as the closing tag, which must then be possible.
      allowed = allowed || (n_next <= rule.length_max + 2 && n_next - 2 >= rule.length_min);
    }
    if (!allowed) return;
    next.top.n = n_next;
  }
  out.push_back(std::move(next));
}

void CallMachine::json_text(const Thread& thread, Symbol symbol, Threads& out) const {
  if (symbol > 0xFF) return;
  const Rule::Text& rule =
      thread.top.flag != 0 ? kAnyText : grammar_.rule(thread.top.a).texts.front();
  const auto byte = static_cast<uint8_t>(symbol);
  const bool room = thread.top.n < rule.length_max;
  Thread next = thread;
  if (thread.top.b == 1) {  // behind a backslash
    if (byte == 'u') {
      next.top.b = 2;
    } else if (std::string_view("\"\\/bfnrt").find(static_cast<char>(byte)) !=
               std::string_view::npos) {
      next.top.b = 0;
      ++next.top.n;
    } else {
      return;
    }
  } else if (thread.top.b >= 2) {  // four hexadecimal digits, none of a surrogate
    const bool is_digit = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
                          (byte >= 'A' && byte <= 'F');
    if (!is_digit || (thread.top.b == 2 && (byte == 'd' || byte == 'D'))) return;
    next.top.b = thread.top.b == 5 ? 0 : thread.top.b + 1;
    if (next.top.b == 0) ++next.top.n;
  } else if (thread.top.utf8 == 0 && byte == '"') {
    if (thread.top.n >= rule.length_min) complete(thread.outer, -1, out);
    return;
  } else if (thread.top.utf8 == 0 && byte == '\\') {
    if (!room) return;
    next.top.b = 1;
  } else {
    const uint8_t place = next_utf8(thread.top.utf8, byte);
    if (place == kIllFormed || byte < 0x20) return;
    if (thread.top.utf8 == 0) {
      if (!room) return;
      ++next.top.n;
    }
    next.top.utf8 = place;
  }
  out.push_back(std::move(next));
}

void CallMachine::number(const Thread& thread, Symbol symbol, Threads& out) const {
  const auto& rule = grammar_.rule(thread.top.a).numbers.front();
  Digits digits = Digits::of(thread.top.b);
  Thread next = thread;
  if (symbol == '-') {
    if (digits.negative || digits.n_whole > 0 || rule.min >= 0) return;
    digits.negative = true;
  } else if (symbol == '.') {
    if (digits.point || digits.n_whole == 0 || rule.n_decimals == 0) return;
    digits.point = true;
    if (!can_become(rule, digits, next.top.n)) return;
  } else if (symbol >= '0' && symbol <= '9') {
    if (digits.point) {
      if (digits.n_decimals == rule.n_decimals) return;
      ++digits.n_decimals;
    } else {
      if (digits.n_whole > 0 && next.top.n == 0) return;  // no zero in front
      ++digits.n_whole;
    }
    next.top.n = next.top.n * 10 + (symbol - '0');
    if (!can_become(rule, digits, next.top.n)) return;
  } else {
    return;
  }
  next.top.b = digits.packed();
  if (is_allowed(rule, digits, next.top.n)) complete(thread.outer, -1, out);
  out.push_back(std::move(next));
}

}  // namespace sable::agent
