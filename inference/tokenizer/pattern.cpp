#include "inference/tokenizer/pattern.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "inference/tokenizer/utf8_scan.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace sable::inference {

namespace {

constexpr size_t kExpressionBytesMax = 16384;

// Machine-code matching keeps its backtracking on a stack of its own; past the first size it grows
// by pages up to the second.
constexpr size_t kStackBytesFirst = size_t{32} << 10;
constexpr size_t kStackBytesMax = size_t{16} << 20;

// Without machine code (or when its stack is full) backtracking lives on the heap.
constexpr uint32_t kHeapKibMax = 256 * 1024;

// A run of n white-space characters costs some n steps to be refused by one alternative, so the
// bound grows with the text; what exceeds it grows faster than the text.
constexpr uint64_t kStepsMin = 10'000'000;
constexpr uint64_t kStepsPerByte = 64;

std::string message_of(int code) {
  PCRE2_UCHAR text[256];
  return pcre2_get_error_message(code, text, sizeof text) < 0 ? fmt::format("error {}", code)
                                                              : reinterpret_cast<char*>(text);
}

PCRE2_SPTR units(std::string_view text) {
  // PCRE2 wants a pointer even for no text.
  return reinterpret_cast<PCRE2_SPTR>(text.data() == nullptr ? "" : text.data());
}

}  // namespace

struct Pattern::Code {
  pcre2_code* code = nullptr;
  bool machine_code = false;
  Code() = default;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() { pcre2_code_free(code); }
};

struct PatternScratch::State {
  // One pair: only where the whole match lies is asked for.
  pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(kStackBytesFirst, kStackBytesMax, nullptr);
  State() {
    SABLE_CHECK(match != nullptr && context != nullptr);  // out of memory
    pcre2_set_heap_limit(context, kHeapKibMax);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    pcre2_match_data_free(match);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
};

PatternScratch::PatternScratch() : state_(std::make_unique<State>()) {}
PatternScratch::~PatternScratch() = default;

Result<Pattern> Pattern::literal(std::string_view text) {
  if (text.empty()) return fail(ErrorCode::invalid_input, "the text to look for is empty");
  Pattern pattern;
  pattern.literal_ = text;
  return pattern;
}

Result<Pattern> Pattern::regex(std::string_view expression) {
  if (expression.size() > kExpressionBytesMax) {
    return fail(ErrorCode::exhausted,
                fmt::format("the expression has {} bytes, more than the limit of {}",
                            expression.size(), kExpressionBytesMax));
  }
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  SABLE_CHECK(context != nullptr);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  size_t offset = 0;
  auto code = std::make_shared<Code>();
  code->code = pcre2_compile(units(expression), expression.size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                             &error, &offset, context.get());
  if (code->code == nullptr) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} at byte {} of the expression", message_of(error), offset));
  }
  code->machine_code = pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE) == 0;
  Pattern pattern;
  pattern.code_ = std::move(code);
  return pattern;
}

Result<void> Pattern::find_all(std::string_view text, PatternScratch& scratch,
                               std::vector<TextRange>& matches) const {
  const auto add = [&](size_t begin, size_t end) {
    matches.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
  };
  if (code_ == nullptr) {
    for (size_t at = 0; (at = text.find(literal_, at)) != text.npos; at += literal_.size()) {
      add(at, at + literal_.size());
    }
    return {};
  }

  PatternScratch::State& state = *scratch.state_;
  const uint64_t steps = std::min<uint64_t>(kStepsMin + kStepsPerByte * text.size(), UINT32_MAX);
  pcre2_set_match_limit(state.context, static_cast<uint32_t>(steps));
  const auto match_interpreted = [&](size_t start) {
    return pcre2_match(code_->code, units(text), text.size(), start,
                       PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state.match, state.context);
  };
  const size_t* bounds = pcre2_get_ovector_pointer(state.match);
  bool matched_before = false;
  size_t last_end = 0;
  for (size_t start = 0; start <= text.size();) {
    int outcome = PCRE2_ERROR_JIT_STACKLIMIT;
    if (code_->machine_code) {
      outcome = pcre2_jit_match(code_->code, units(text), text.size(), start, 0, state.match,
                                state.context);
    }
    if (outcome == PCRE2_ERROR_JIT_STACKLIMIT) outcome = match_interpreted(start);
    if (outcome == PCRE2_ERROR_NOMATCH) break;
    if (outcome < 0) {
      return fail(ErrorCode::exhausted,
                  fmt::format("the pattern gave up on this text: {}", message_of(outcome)));
    }
    const size_t begin = bounds[0], end = bounds[1];
    if (begin == end && matched_before && end == last_end) {
      if (start >= text.size()) break;
      start += std::max<size_t>(1, utf8_length(text.substr(start)));
      continue;
    }
    if (begin < last_end || end < begin) {  // only \K can do that
      return fail(ErrorCode::unsupported, "the pattern moves the start of its own match");
    }
    add(begin, end);
    matched_before = true;
    start = last_end = end;
  }
  return {};
}

}  // namespace sable::inference
