// yaml-cpp's event parser, wrapped: depth, size and alias expansion are bounded while events
// arrive, so no hostile document can build a large tree first.
#include "base/yaml.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <map>
#include <new>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include "base/check.h"
#include "base/text.h"

namespace sable {

namespace {

/// Thrown out of an event callback to stop yaml-cpp; caught in parse_yaml.
struct Refused {
  int line, column;
  std::string why;
};

size_t count_nodes(const YamlValue& value) {
  size_t n = 1;
  for (const auto& item : value.items) n += count_nodes(item);
  for (const auto& [key, entry] : value.entries) n += 1 + count_nodes(entry);
  return n;
}

class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const YamlLimits& limits) : limits_(limits) {}

  YamlValue root;
  bool have_root = false;

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (have_root) throw Refused{mark.line + 1, mark.column + 1, "a second document"};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(at(mark, YamlValue::Kind::null), anchor);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(mark, tag);
    YamlValue node = at(mark, YamlValue::Kind::scalar);
    node.scalar = value;
    node.quoted = tag == "!" || tag == "tag:yaml.org,2002:str";
    add(std::move(node), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto it = anchors_.find(anchor);
    if (it == anchors_.end()) {
      throw Refused{mark.line + 1, mark.column + 1, "an alias to a value that contains it"};
    }
    n_nodes_ += count_nodes(it->second);
    check_size(mark);
    attach(it->second);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    check_tag(mark, tag);
    push(at(mark, YamlValue::Kind::sequence), anchor, mark);
  }
  void OnSequenceEnd() override { pop(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    check_tag(mark, tag);
    push(at(mark, YamlValue::Kind::mapping), anchor, mark);
  }
  void OnMapEnd() override { pop(); }

 private:
  struct Open {
    YamlValue value;
    YAML::anchor_t anchor;
    bool have_key = false;
    YamlValue key;
    std::set<std::string> keys;
  };

  static YamlValue at(const YAML::Mark& mark, YamlValue::Kind kind) {
    YamlValue value;
    value.kind = kind;
    value.line = mark.line + 1;
    value.column = mark.column + 1;
    return value;
  }

  static void check_tag(const YAML::Mark& mark, const std::string& tag) {
    static const std::set<std::string> kCore = {"",
                                                "?",
                                                "!",
                                                "tag:yaml.org,2002:str",
                                                "tag:yaml.org,2002:int",
                                                "tag:yaml.org,2002:float",
                                                "tag:yaml.org,2002:bool",
                                                "tag:yaml.org,2002:null",
                                                "tag:yaml.org,2002:seq",
                                                "tag:yaml.org,2002:map"};
    if (!kCore.contains(tag)) {
      throw Refused{mark.line + 1, mark.column + 1,
                    "the tag \"" + escape_controls(tag) + "\" is not supported"};
    }
  }

  void check_size(const YAML::Mark& mark) const {
    if (n_nodes_ > limits_.nodes_max) {
      throw Refused{mark.line + 1, mark.column + 1,
                    fmt::format("more than {} values", limits_.nodes_max)};
    }
  }

  void add(YamlValue value, YAML::anchor_t anchor) {
    ++n_nodes_;
    check_size(YAML::Mark());
    if (anchor != 0) anchors_[anchor] = value;
    attach(std::move(value));
  }

  void push(YamlValue value, YAML::anchor_t anchor, const YAML::Mark& mark) {
    ++n_nodes_;
    check_size(mark);
    if (open_.size() >= limits_.depth_max) {
      throw Refused{mark.line + 1, mark.column + 1,
                    fmt::format("nested deeper than {} levels", limits_.depth_max)};
    }
    open_.push_back(Open{.value = std::move(value), .anchor = anchor, .key = {}, .keys = {}});
  }

  void pop() {
    SABLE_CHECK(!open_.empty());
    Open done = std::move(open_.back());
    open_.pop_back();
    if (done.anchor != 0) anchors_[done.anchor] = done.value;
    attach(std::move(done.value));
  }

  void attach(YamlValue value) {
    if (open_.empty()) {
      root = std::move(value);
      have_root = true;
      return;
    }
    Open& parent = open_.back();
    if (parent.value.kind == YamlValue::Kind::sequence) {
      parent.value.items.push_back(std::move(value));
    } else if (!parent.have_key) {
      if (value.kind != YamlValue::Kind::scalar) {
        throw Refused{value.line, value.column, "a key must be a plain word or a string"};
      }
      if (value.scalar == "<<" && !value.quoted) {
        throw Refused{value.line, value.column, "merge keys are not supported"};
      }
      if (!parent.keys.insert(value.scalar).second) {
        throw Refused{value.line, value.column,
                      "the key \"" + escape_controls(value.scalar) + "\" stands here twice"};
      }
      parent.key = std::move(value);
      parent.have_key = true;
    } else {
      parent.value.entries.emplace_back(std::move(parent.key), std::move(value));
      parent.have_key = false;
    }
  }

  const YamlLimits& limits_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlValue> anchors_;
  size_t n_nodes_ = 0;
};

bool is_null_word(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

tl::unexpected<Error> wrong(const YamlValue& value, std::string_view expected) {
  static constexpr const char* kKinds[] = {"nothing", "a value", "a list", "a mapping"};
  std::string got = kKinds[static_cast<int>(value.kind)];
  if (value.kind == YamlValue::Kind::scalar) {
    const auto shown = value.scalar.substr(0, utf8_prefix(value.scalar, 60));
    got = "\"" + escape_controls(shown) + "\"";
  }
  return fail(ErrorCode::invalid_input,
              fmt::format("{}: expected {}, got {}", value.place(), expected, got));
}

}  // namespace

YamlValue::YamlValue() = default;
YamlValue::YamlValue(const YamlValue&) = default;
YamlValue::YamlValue(YamlValue&&) noexcept = default;
YamlValue& YamlValue::operator=(const YamlValue&) = default;
YamlValue& YamlValue::operator=(YamlValue&&) noexcept = default;
YamlValue::~YamlValue() = default;

const YamlValue* YamlValue::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name.scalar == key) return &value;
  }
  return nullptr;
}

std::string YamlValue::place() const { return fmt::format("{}:{}", line, column); }

Result<std::string> YamlValue::as_string() const {
  if (kind != Kind::scalar) return wrong(*this, "a string");
  return scalar;
}

Result<bool> YamlValue::as_bool() const {
  if (kind == Kind::scalar && !quoted) {
    if (scalar == "true" || scalar == "True" || scalar == "TRUE") return true;
    if (scalar == "false" || scalar == "False" || scalar == "FALSE") return false;
  }
  return wrong(*this, "true or false");
}

Result<int64_t> YamlValue::as_int() const {
  int64_t number = 0;
  if (kind == Kind::scalar && !quoted && !scalar.empty()) {
    const char* begin = scalar.data() + (scalar[0] == '+' ? 1 : 0);
    const char* end = scalar.data() + scalar.size();
    const auto [rest, error] = std::from_chars(begin, end, number);
    if (error == std::errc() && rest == end) return number;
  }
  return wrong(*this, "a whole number");
}

Result<double> YamlValue::as_number() const {
  double number = 0;
  if (kind == Kind::scalar && !quoted && !scalar.empty()) {
    const char* begin = scalar.data() + (scalar[0] == '+' ? 1 : 0);
    const char* end = scalar.data() + scalar.size();
    const auto [rest, error] = std::from_chars(begin, end, number);
    if (error == std::errc() && rest == end && std::isfinite(number)) return number;
  }
  return wrong(*this, "a number");
}

Result<Json> YamlValue::as_json() const {
  switch (kind) {
    case Kind::null:
      return Json(nullptr);
    case Kind::scalar: {
      if (quoted) return Json(scalar);
      if (is_null_word(scalar)) return Json(nullptr);
      if (auto value = as_bool()) return Json(*value);
      if (auto value = as_int()) return Json(*value);
      if (auto value = as_number()) return Json(*value);
      return Json(scalar);
    }
    case Kind::sequence: {
      Json list = Json::array();
      for (const auto& item : items) {
        SABLE_TRY(auto value, item.as_json());
        list.push_back(std::move(value));
      }
      return list;
    }
    case Kind::mapping: {
      Json object = Json::object();
      for (const auto& [key, entry] : entries) {
        SABLE_TRY(auto value, entry.as_json());
        object[key.scalar] = std::move(value);
      }
      return object;
    }
  }
  return Json(nullptr);
}

Result<YamlValue> parse_yaml(std::string_view text, std::string_view name,
                             const YamlLimits& limits) {
  const auto refuse = [&](int line, int column, std::string_view why) {
    return fail(ErrorCode::invalid_input, fmt::format("{}:{}:{}: {}", name, line, column, why));
  };
  if (text.size() > limits.bytes_max) {
    return refuse(1, 1, fmt::format("larger than {} bytes", limits.bytes_max));
  }
  if (!is_utf8(text)) return refuse(1, 1, "not valid UTF-8");
  std::istringstream stream{std::string(text)};
  TreeBuilder builder(limits);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    return refuse(refused.line, refused.column, refused.why);
  } catch (const YAML::Exception& error) {
    return refuse(error.mark.line + 1, error.mark.column + 1, error.msg);
  } catch (const std::bad_alloc&) {
    throw;  // says nothing of the text
  } catch (const std::exception& error) {
    return refuse(1, 1, error.what());
  }
  if (!builder.have_root) {
    builder.root.line = builder.root.column = 1;
  }
  return std::move(builder.root);
}

}  // namespace sable
