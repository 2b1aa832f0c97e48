#include "evaluation/words.h"

#include <algorithm>
#include <cctype>

namespace sable::evaluation {

namespace {

/// None of them stands in requests or answers, where it has to keep its meaning when names are
/// exchanged (training/dataset.h).
constexpr std::string_view kWords[] = {
    "account",  "acorn",    "action",  "active",   "adapter",  "address",  "agent",   "alarm",
    "album",    "amber",    "anchor",  "angle",    "answer",   "apply",    "apron",   "archive",
    "array",    "arrow",    "aspen",   "asset",    "atlas",    "attic",    "audio",   "author",
    "autumn",   "backup",   "badge",   "balance",  "bamboo",   "banner",   "barley",  "barrel",
    "basin",    "basket",   "batch",   "beacon",   "beaver",   "binary",   "binding", "bishop",
    "blanket",  "block",    "blossom", "board",    "border",   "bottle",   "bounds",  "branch",
    "bridge",   "broker",   "bronze",  "bucket",   "budget",   "buffer",   "bundle",  "button",
    "cabin",    "cable",    "cactus",  "camera",   "cancel",   "candle",   "canvas",  "carbon",
    "cargo",    "carrier",  "castle",  "catalog",  "cedar",    "cell",     "cellar",  "center",
    "chain",    "channel",  "chapter", "charge",   "chart",    "cherry",   "cinder",  "circle",
    "citrus",   "client",   "clock",   "clover",   "cluster",  "coach",    "cobalt",  "codec",
    "color",    "column",   "comet",   "commit",   "config",   "contact",  "context", "cookie",
    "copper",   "copy",     "coral",   "corner",   "cotton",   "coupon",   "cover",   "crater",
    "credit",   "crystal",  "cursor",  "curve",    "customer", "cycle",    "daemon",  "dagger",
    "dahlia",   "date",     "deck",    "decode",   "delay",    "delete",   "delta",   "depth",
    "desert",   "desk",     "detail",  "device",   "digest",   "dinner",   "direct",  "disk",
    "display",  "dolphin",  "domain",  "door",     "draft",    "dragon",   "drain",   "driver",
    "duration", "eagle",    "edge",    "element",  "ember",    "encode",   "engine",  "engrave",
    "epoch",    "event",    "export",  "factor",   "falcon",   "feather",  "feature", "feed",
    "fennel",   "fern",     "fetch",   "fiddle",   "field",    "figure",   "filter",  "flag",
    "flint",    "floor",    "flow",    "flush",    "folder",   "forest",   "forge",   "format",
    "fossil",   "fountain", "frame",   "galaxy",   "garden",   "garlic",   "gate",    "gauge",
    "gentle",   "ginger",   "glacier", "glyph",    "grade",    "granite",  "graph",   "gravel",
    "grid",     "group",    "guard",   "guest",    "hammer",   "handle",   "harbor",  "hazel",
    "header",   "heap",     "height",  "heron",    "hidden",   "holder",   "hollow",  "honey",
    "hornet",   "hotel",    "image",   "input",    "invoice",  "iron",     "island",  "item",
    "ivory",    "jacket",   "jasmine", "journal",  "juniper",  "kernel",   "kettle",  "kitten",
    "label",    "ladder",   "lagoon",  "lamp",     "lantern",  "laurel",   "layer",   "layout",
    "leader",   "ledger",   "lemon",   "lesson",   "level",    "library",  "lily",    "limit",
    "linen",    "link",     "load",    "locale",   "lock",     "loop",     "lotus",   "machine",
    "magnet",   "mailbox",  "manager", "mango",    "maple",    "marble",   "margin",  "marker",
    "market",   "mask",     "mason",   "matrix",   "meadow",   "measure",  "member",  "memory",
    "menu",     "meteor",   "meter",   "method",   "metric",   "mill",     "mint",    "mirror",
    "mode",     "module",   "monitor", "moss",     "motor",    "mount",    "mouse",   "mustard",
    "nectar",   "needle",   "network", "nickel",   "node",     "notice",   "nutmeg",  "oasis",
    "object",   "ocean",    "offset",  "olive",    "onyx",     "opal",     "option",  "orbit",
    "orchid",   "origin",   "otter",   "output",   "owner",    "oyster",   "packet",  "page",
    "panel",    "paper",    "parcel",  "parrot",   "parse",    "party",    "patch",   "payment",
    "pebble",   "pencil",   "pepper",  "period",   "person",   "phase",    "phone",   "photo",
    "pigeon",   "pilot",    "pipe",    "pixel",    "planet",   "player",   "plaza",   "plugin",
    "plum",     "pocket",   "point",   "policy",   "poll",     "pool",     "poplar",  "prairie",
    "prefix",   "probe",    "process", "profile",  "project",  "prompt",   "proxy",   "quartz",
    "query",    "queue",    "quiver",  "quota",    "rabbit",   "radius",   "rate",    "raven",
    "reader",   "record",   "region",  "remote",   "render",   "reset",    "resize",  "retry",
    "ribbon",   "ring",     "river",   "robin",    "robot",    "rocket",   "route",   "row",
    "rule",     "saddle",   "saffron", "salmon",   "sample",   "sapphire", "scale",   "scan",
    "scene",    "schema",   "score",   "screen",   "script",   "season",   "second",  "section",
    "sector",   "segment",  "sender",  "sensor",   "session",  "shadow",   "shape",   "share",
    "shelf",    "shift",    "ship",    "shutter",  "signal",   "silver",   "size",    "slot",
    "socket",   "source",   "space",   "span",     "sparrow",  "speed",    "spider",  "sprite",
    "spruce",   "squirrel", "stack",   "stage",    "station",  "status",   "storage", "store",
    "storm",    "stream",   "student", "style",    "summit",   "sunset",   "swallow", "symbol",
    "system",   "table",    "target",  "task",     "team",     "template", "thistle", "thread",
    "thunder",  "ticket",   "tile",    "timber",   "timer",    "title",    "token",   "topaz",
    "topic",    "tower",    "track",   "transfer", "travel",   "tree",     "trigger", "trumpet",
    "tulip",    "tunnel",   "turtle",  "unit",     "upload",   "user",     "valley",  "vector",
    "velvet",   "vendor",   "version", "view",     "village",  "violet",   "visit",   "volume",
    "wagon",    "wallet",   "walnut",  "water",    "weight",   "wheel",    "width",   "willow",
    "window",   "winter",   "wire",    "wolf",     "worker",   "wrap",     "writer",  "yard",
    "zebra",    "zone",     "zoom"};

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
