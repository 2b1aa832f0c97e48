#include "evaluation/words.h"

#include <algorithm>
#include <cctype>

namespace sable::evaluation {

namespace {

constexpr std::string_view kWords[] = {
    "account", "action",   "active",  "adapter", "address", "agent",    "alarm",    "album",
    "angle",   "answer",   "apply",   "archive", "area",    "array",    "asset",    "atlas",
    "audio",   "author",   "backup",  "badge",   "balance", "banner",   "barrel",   "basket",
    "batch",   "beacon",   "binary",  "binding", "block",   "board",    "border",   "bottle",
    "bounds",  "branch",   "bridge",  "broker",  "bucket",  "budget",   "buffer",   "build",
    "bundle",  "button",   "cabin",   "cable",   "cache",   "camera",   "cancel",   "canvas",
    "cargo",   "carrier",  "catalog", "cell",    "center",  "chain",    "channel",  "chapter",
    "charge",  "chart",    "check",   "circle",  "client",  "clock",    "cloud",    "cluster",
    "coach",   "codec",    "collect", "color",   "column",  "command",  "commit",   "compare",
    "config",  "contact",  "context", "convert", "cookie",  "copy",     "corner",   "count",
    "coupon",  "cover",    "create",  "credit",  "cursor",  "curve",    "customer", "cycle",
    "daemon",  "data",     "date",    "deck",    "decode",  "delay",    "delete",   "delta",
    "depth",   "desk",     "detail",  "device",  "digest",  "dinner",   "direct",   "disk",
    "display", "document", "domain",  "door",    "draft",   "drain",    "driver",   "duration",
    "edge",    "editor",   "element", "email",   "encode",  "engine",   "entry",    "epoch",
    "error",   "event",    "export",  "factor",  "feature", "feed",     "fetch",    "field",
    "figure",  "filter",   "find",    "flag",    "flight",  "floor",    "flow",     "flush",
    "folder",  "forest",   "format",  "frame",   "garden",  "gate",     "gauge",    "glyph",
    "grade",   "graph",    "grid",    "group",   "guard",   "guest",    "handle",   "harbor",
    "header",  "heap",     "height",  "hidden",  "history", "holder",   "hotel",    "image",
    "import",  "index",    "input",   "insert",  "invoice", "island",   "item",     "journal",
    "kernel",  "label",    "lamp",    "layer",   "layout",  "leader",   "ledger",   "length",
    "lesson",  "letter",   "level",   "library", "limit",   "line",     "link",     "list",
    "load",    "locale",   "lock",    "loop",    "machine", "mailbox",  "manager",  "map",
    "margin",  "marker",   "market",  "mask",    "matrix",  "meadow",   "measure",  "member",
    "memory",  "menu",     "merge",   "message", "meter",   "method",   "metric",   "mirror",
    "mode",    "model",    "module",  "monitor", "motor",   "mount",    "mouse",    "network",
    "node",    "notice",   "number",  "object",  "offset",  "open",     "option",   "orbit",
    "order",   "origin",   "output",  "owner",   "packet",  "page",     "panel",    "paper",
    "parcel",  "parse",    "party",   "patch",   "path",    "pattern",  "payment",  "pencil",
    "period",  "person",   "phase",   "phone",   "photo",   "pilot",    "pipe",     "pixel",
    "planet",  "player",   "plugin",  "pocket",  "point",   "policy",   "poll",     "pool",
    "port",    "prefix",   "price",   "print",   "probe",   "process",  "product",  "profile",
    "project", "prompt",   "proxy",   "query",   "queue",   "quota",    "radius",   "random",
    "range",   "rate",     "reader",  "record",  "region",  "release",  "remote",   "render",
    "report",  "request",  "reset",   "resize",  "result",  "retry",    "ring",     "river",
    "robot",   "route",    "row",     "rule",    "sample",  "scale",    "scan",     "scene",
    "schema",  "score",    "screen",  "script",  "search",  "season",   "second",   "section",
    "sector",  "segment",  "sender",  "sensor",  "server",  "session",  "shadow",   "shape",
    "share",   "shelf",    "shift",   "ship",    "signal",  "size",     "slot",     "socket",
    "source",  "space",    "span",    "speed",   "sprite",  "stack",    "stage",    "station",
    "status",  "step",     "storage", "store",   "storm",   "stream",   "string",   "student",
    "style",   "summary",  "switch",  "symbol",  "system",  "table",    "target",   "task",
    "team",    "template", "thread",  "ticket",  "tile",    "timer",    "title",    "token",
    "topic",   "total",    "tower",   "track",   "train",   "transfer", "travel",   "tree",
    "trigger", "tunnel",   "turn",    "unit",    "update",  "upload",   "user",     "valley",
    "value",   "vector",   "vendor",  "version", "view",    "village",  "visit",    "volume",
    "wagon",   "wallet",   "water",   "weight",  "wheel",   "width",    "window",   "winter",
    "wire",    "worker",   "wrap",    "writer",  "yard",    "zone",     "zoom"};

constexpr std::string_view kStarts[] = {"b", "br", "c",  "cl", "d", "dr", "f", "fl", "g",  "gr",
                                        "h", "j",  "k",  "kr", "l", "m",  "n", "p",  "pl", "qu",
                                        "r", "s",  "sk", "st", "t", "tr", "v", "w",  "y",  "z"};
constexpr std::string_view kMiddles[] = {"a", "e", "i", "o", "u", "ai", "ea", "oo"};
constexpr std::string_view kEnds[] = {"b", "ck", "d",  "g", "l",  "lm", "m", "n", "nd",
                                      "p", "r",  "rn", "s", "sh", "t",  "v", "x", "z"};

/// What no name may be: words of the languages, and the variables of made-up functions.
constexpr std::string_view kTaken[] = {"delete", "switch", "import", "export",  "template", "list",
                                       "map",    "print",  "object", "open",    "union",    "index",
                                       "array",  "string", "vector", "link",    "signal",   "div",
                                       "step",   "total",  "count",  "product", "result"};

std::string capitalised(std::string word) {
  word[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(word[0])));
  return word;
}

std::string upper(std::string word) {
  for (char& c : word) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return word;
}

/// The words of a name in any style, in lower case.
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words(1);
  bool was_lower = false;
  for (const char c : name) {
    const bool is_upper = std::isupper(static_cast<unsigned char>(c)) != 0;
    if (c == '_' || (is_upper && was_lower)) words.emplace_back();
    if (c != '_') words.back() += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    was_lower = !is_upper && c != '_';
  }
  std::erase(words, std::string());
  return words;
}

}  // namespace

std::span<const std::string_view> plain_words() { return kWords; }

Split split_of(std::string_view word) {
  return mix(hash_of(word), 77) % 4 == 0 ? Split::test : Split::training;
}

std::string styled(const std::vector<std::string>& words, Style style) {
  std::string name;
  for (size_t i = 0; i < words.size(); ++i) {
    const bool joins = style == Style::snake || style == Style::upper;
    if (i > 0 && joins) name += '_';
    const bool big = style == Style::pascal || (style == Style::camel && i > 0);
    name += style == Style::upper ? upper(words[i]) : big ? capitalised(words[i]) : words[i];
  }
  return name;
}

Names::Names(Split split, Random& random) : split_(split), random_(random) {}

std::string Names::word() {
  for (;;) {
    std::string word;
    if (random_.chance(0.25)) {
      const size_t n = random_.between(1, 2);
      for (size_t i = 0; i < n; ++i) {
        word += random_.pick(kStarts);
        word += random_.pick(kMiddles);
      }
      word += random_.pick(kEnds);
    } else {
      word = random_.pick(kWords);
    }
    if (word.size() > 2 && split_of(word) == split_) return word;
  }
}

std::string Names::fresh(std::string name) {
  const bool known = std::find(given_.begin(), given_.end(), name) != given_.end() ||
                     std::find(std::begin(kTaken), std::end(kTaken), name) != std::end(kTaken);
  if (known) return {};
  given_.push_back(name);
  return name;
}

std::string Names::name(Style style, size_t n_words) {
  for (;;) {
    std::vector<std::string> words(n_words);
    for (std::string& w : words) w = word();
    if (std::string result = fresh(styled(words, style)); !result.empty()) return result;
  }
}

std::string Names::like(std::string_view name, Style style) {
  for (;;) {
    std::vector<std::string> words = words_of(name);
    switch (random_.below(3)) {
      case 0:
        words.push_back(word());
        break;
      case 1:
        words.back() = word();
        break;
      default:
        words.insert(words.begin(), word());
    }
    if (std::string result = fresh(styled(words, style)); !result.empty()) return result;
  }
}

namespace {

/// Parses "...{a|b}..." from `at` up to a closing brace or bar of this level.
std::string expand_from(std::string_view pattern, size_t& at, size_t depth, Split split,
                        Random& random) {
  std::string out;
  while (at < pattern.size()) {
    const char c = pattern[at];
    if (depth > 0 && (c == '|' || c == '}')) return out;
    ++at;
    if (c != '{') {
      out += c;
      continue;
    }
    std::vector<std::string> choices;
    std::vector<std::string_view> sources;
    for (;;) {
      const size_t begin = at;
      choices.push_back(expand_from(pattern, at, depth + 1, split, random));
      sources.push_back(pattern.substr(begin, at - begin));
      if (at >= pattern.size() || pattern[at++] == '}') break;
    }
    std::vector<size_t> allowed;
    for (size_t i = 0; i < choices.size(); ++i) {
      const bool divided = depth == 0 && choices.size() >= 4;
      if (!divided || split_of(sources[i]) == split) allowed.push_back(i);
    }
    if (allowed.empty()) allowed.push_back(split == Split::test ? choices.size() - 1 : 0);
    out += choices[random.pick(allowed)];
  }
  return out;
}

}  // namespace

std::string expand(std::string_view pattern, Split split, Random& random) {
  size_t at = 0;
  return expand_from(pattern, at, 0, split, random);
}

std::string fill(std::string text,
                 const std::vector<std::pair<std::string_view, std::string>>& values) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto found = text[i] != '$'
                           ? values.end()
                           : std::find_if(values.begin(), values.end(), [&](const auto& value) {
                               return text.compare(i + 1, value.first.size(), value.first) == 0;
                             });
    if (found == values.end()) {
      out += text[i];
    } else {
      out += found->second;
      i += found->first.size();
    }
  }
  return out;
}

}  // namespace sable::evaluation
