// Tasks that change files: rename, set, replace, add.
#include <algorithm>

#include <fmt/format.h>

#include "evaluation/tasks.h"

namespace sable::evaluation {

namespace {

std::string joined(const std::vector<std::string>& paths) {
  std::string text;
  for (size_t i = 0; i < paths.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == paths.size() ? " and " : ", ") + paths[i];
  }
  return text;
}

/// Replaces one line, as a search or a file showed it; now and then old_text is first not quite
/// what the file has.
bool edit_line(Stage& stage, const std::string& path, const std::string& line,
               const std::string& replacement, double stumbles = 0.3) {
  if (stage.random().chance(stumbles) && line.size() > 6) {
    std::string wrong = line;
    const size_t at = line.find_first_not_of(" \t") + 2;
    wrong.erase(at, stage.random().between(1, 2));
    stage.mistake("edit_file", {{"path", path}, {"old_text", wrong}, {"new_text", replacement}});
    if (stage.ok()) return false;
  }
  stage.call("edit_file", {{"path", path}, {"old_text", line}, {"new_text", replacement}});
  return stage.ok();
}

std::string new_value(const MadeConstant& constant, Names& names, Random& random) {
  for (;;) {
    std::string value = constant.is_text ? fmt::format("\"{} {}\"", names.word(), names.word())
                                         : std::to_string(random.between(1, 900));
    if (value != constant.value) return value;
  }
}

}  // namespace

bool rename_symbol(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const bool look_alikes = random.chance(0.3);
  const MadeRepository repository = make_repository(
      {.n_modules_min = 1, .n_modules_max = 5, .look_alikes = look_alikes}, names, random);
  std::string old_name, kind;
  Style style = Style::snake;
  if (random.chance(0.7) || repository.constants.empty()) {
    std::vector<const MadeFunction*> candidates;
    for (const auto& f : repository.functions) {
      if (!f.calls.empty() || random.chance(0.25)) candidates.push_back(&f);
    }
    if (candidates.empty()) return false;
    old_name = random.pick(candidates)->name;
    kind = "function";
    if (repository.language == Language::cpp && old_name.find('_') == std::string::npos) {
      style = Style::camel;
    }
  } else {
    old_name = random.pick(repository.constants).name;
    kind = "constant";
    style = Style::upper;
  }
  const std::string new_name =
      random.chance(0.3) ? names.like(old_name, style) : names.name(style, random.between(1, 3));
  if (new_name.find(old_name) != std::string::npos) return false;
  stage.begin(repository);
  stage.user(request(
      stage,
      "{Rename {the $k |}$o to $n.|Rename $o to $n {everywhere|in all files|in the whole "
      "repository}.|"
      "{Change|Switch} the name {of the $k |}$o to $n.|{The $k |}$o should be {called|named} $n.|"
      "Call {the $k |}$o $n instead.|Give {the $k |}$o the new name $n.|"
      "{Can|Could} you rename $o to $n?|I want $o to be {called|named} $n.|Replace the name $o by "
      "$n.}",
      {{"k", kind}, {"o", old_name}, {"n", new_name}}));
  std::vector<std::string> changed;
  for (int round = 0; round < 8; ++round) {
    const auto hits = hits_of(stage.call("search", {{"pattern", old_name}, {"literal", true}}));
    const auto first = std::find_if(hits.begin(), hits.end(),
                                    [&](const Hit& hit) { return has_word(hit.text, old_name); });
    if (hits.size() > 12) return false;
    if (first == hits.end()) break;
    const std::string path = first->path;
    changed.push_back(path);
    bool others = false;
    for (const Hit& hit : hits) {
      others = others ||
               (hit.path == path &&
                with_word_replaced(hit.text, old_name, "").find(old_name) != std::string::npos);
    }
    if (!others) {
      stage.call(
          "edit_file",
          {{"path", path}, {"old_text", old_name}, {"new_text", new_name}, {"replace_all", true}});
      if (!stage.ok()) return false;
      continue;
    }
    for (const Hit& hit : hits) {
      if (hit.path != path || !has_word(hit.text, old_name)) continue;
      if (!edit_line(stage, path, hit.text, with_word_replaced(hit.text, old_name, new_name),
                     0.05)) {
        return false;
      }
    }
  }
  if (changed.empty()) return false;
  stage.answer(fmt::format("Renamed `{}` to `{}` in {}.", old_name, new_name, joined(changed)));
  return true;
}

bool set_constant(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const MadeRepository repository = make_repository(
      {.n_modules_min = 1, .n_modules_max = 4, .look_alikes = random.chance(0.4)}, names, random);
  if (repository.constants.empty()) return false;
  MadeConstant constant = random.pick(repository.constants);
  const bool missing = random.chance(0.08), same = !missing && random.chance(0.08);
  if (missing) constant.name = names.like(constant.name, Style::upper);
  const std::string value = same ? constant.value : new_value(constant, names, random);
  stage.begin(repository);
  stage.user(request(
      stage,
      "{Set {the constant |}$n to $v.|Change {the value of |}$n to $v.|Make $n $v.|"
      "$n should be $v.|{Update|Switch} {the constant |}$n to $v.|{Can|Could} you set $n to $v?|"
      "The value of $n must be $v.|Give $n the value $v.|I want $n to be $v.|"
      "Put $v into {the constant |}$n.}",
      {{"n", constant.name}, {"v", value}}));
  const auto hits = hits_of(stage.call("search", {{"pattern", word_pattern(constant.name)}}));
  if (missing) {
    if (!hits.empty()) return false;
    stage.call("search", {{"pattern", "(?i)" + constant.name}});
    stage.expect({.answer = Truth::Answer::absent});
    stage.answer(
        fmt::format("There is no `{}` in this repository. I changed nothing.", constant.name));
    return true;
  }
  const std::string path = repository.path(constant.at), line = repository.line(constant.at);
  if (same) {
    stage.expect({.answer = Truth::Answer::already});
    stage.answer(
        fmt::format("`{}` is {} already, in {}:{}.", constant.name, value, path, constant.at.line));
    return true;
  }
  std::string changed = line;
  changed.replace(changed.rfind(constant.value), constant.value.size(), value);
  if (!edit_line(stage, path, line, changed)) return false;
  stage.answer(
      fmt::format("`{}` is {} now, in {}:{}.", constant.name, value, path, constant.at.line));
  return true;
}

bool replace_text(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const MadeRepository repository =
      make_repository({.n_modules_min = 1, .n_modules_max = 4}, names, random);
  std::vector<const MadeConstant*> texts;
  for (const auto& c : repository.constants) {
    if (c.is_text) texts.push_back(&c);
  }
  if (texts.empty()) return false;
  const MadeConstant& constant = *random.pick(texts);
  const std::string value = new_value(constant, names, random);
  stage.begin(repository);
  stage.user(
      request(stage,
              "{Replace {the text |the string |}$o {with|by} $n.|Change {the text |}$o to $n.|"
              "Where it says $o it should say $n.|Write $n instead of $o.|"
              "Turn {the string |}$o into $n.|Swap $o for $n.|The message $o should be $n.}",
              {{"o", constant.value}, {"n", value}}));
  const std::string bare = constant.value.substr(1, constant.value.size() - 2);
  const auto hits = hits_of(stage.call("search", {{"pattern", bare}, {"literal", true}}));
  if (hits.size() != 1) return false;
  std::string changed = hits[0].text;
  changed.replace(changed.find(constant.value), constant.value.size(), value);
  if (!edit_line(stage, hits[0].path, hits[0].text, changed)) return false;
  stage.answer(fmt::format("Replaced {} by {} in {}:{}.", constant.value, value, hits[0].path,
                           hits[0].line));
  return true;
}

bool add_entry(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const MadeRepository repository =
      make_repository({.n_modules_min = 1, .n_modules_max = 4}, names, random);
  if (repository.lists.empty()) return false;
  const MadeList& list = random.pick(repository.lists);
  const std::string entry = names.word();
  stage.begin(repository);
  stage.user(request(
      stage,
      "{Add {the entry |}\"$e\" to {the list |}$n.|Append \"$e\" to $n.|"
      "Put \"$e\" {at the end of|into} {the list |}$n.|{The list |}$n should also {have|contain} "
      "\"$e\".|"
      "Extend $n {with|by} \"$e\".|{Can|Could} you add \"$e\" to $n?|$n needs the entry \"$e\".}",
      {{"e", entry}, {"n", list.name}}));
  const std::string path = repository.path(list.at);
  stage.call("search", {{"pattern", word_pattern(list.name)}});
  stage.call("read_file",
             {{"path", path}, {"start_line", list.at.line}, {"end_line", list.at.line + 10}});
  const Place last{list.at.file, list.at.line + list.entries.size()};
  const std::string line = repository.line(last);
  const std::string fresh = line.substr(0, line.find('"')) + "\"" + entry + "\",";
  if (!edit_line(stage, path, line, line + "\n" + fresh)) return false;
  stage.answer(
      fmt::format("Added \"{}\" to `{}` in {}:{}.", entry, list.name, path, last.line + 1));
  return true;
}

bool add_import(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const MadeRepository repository =
      make_repository({.n_modules_min = 1, .n_modules_max = 3}, names, random);
  const size_t file = random.pick(repository.functions).at.file;
  const MadeFile& target = repository.files[file];
  const bool python = repository.language == Language::python;
  const std::string name = names.name(Style::snake, 1);
  static constexpr const char* kModules[] = {"json", "sys", "re", "math", "time", "random"};
  static constexpr const char* kHeaders[] = {"<stdio.h>", "<string.h>", "<stdlib.h>", "<math.h>"};
  const std::string line =
      python ? fmt::format("import {}", random.chance(0.6) ? random.pick(kModules) : name)
             : fmt::format("#include {}",
                           random.chance(0.6) ? random.pick(kHeaders) : "\"" + name + ".h\"");
  const auto anchor = std::find_if(target.lines.begin(), target.lines.end(), [](const auto& l) {
    return l.starts_with("import ") || l.starts_with("from ") || l.starts_with("#include ");
  });
  if (anchor == target.lines.end() || *anchor == line) return false;
  stage.begin(repository);
  stage.user(
      request(stage,
              "{Add `$l` to $p.|Put `$l` into $p.|$p needs `$l`.|Insert the line `$l` in $p.|"
              "Add the line `$l` {below|to} the $ks {of|in} $p.|{Can|Could} you add `$l` to $p?}",
              {{"ks", python ? "imports" : "includes"}, {"l", line}, {"p", target.path}}));
  stage.call("read_file", {{"path", target.path}, {"start_line", 1}, {"end_line", 12}});
  if (!edit_line(stage, target.path, *anchor, *anchor + "\n" + line)) return false;
  stage.answer(
      fmt::format("Added `{}` to {}:{}.", line, target.path, anchor - target.lines.begin() + 2));
  return true;
}

bool add_constant(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const MadeRepository repository =
      make_repository({.n_modules_min = 1, .n_modules_max = 4}, names, random);
  if (repository.constants.empty()) return false;
  const MadeConstant& constant = random.pick(repository.constants);
  const std::string name = names.name(Style::upper, random.between(1, 2));
  const std::string value = std::to_string(random.between(1, 900));
  const std::string path = repository.path(constant.at), line = repository.line(constant.at);
  const std::string fresh = repository.language == Language::python ? name + " = " + value
                            : repository.language == Language::c
                                ? "#define " + name + " " + value
                                : "constexpr int " + name + " = " + value + ";";
  stage.begin(repository);
  stage.user(request(
      stage,
      "{Add a constant $m with {the value |}$v {after|below} $n.|"
      "{After|Below} $n, add {the constant |}$m with the value $v.|"
      "Define $m as $v {right |}{after|below} $n.|Put a constant $m = $v {behind|below} $n.|"
      "We need {the constant |}$m ($v) next to $n.}",
      {{"m", name}, {"n", constant.name}, {"v", value}}));
  stage.call("search", {{"pattern", word_pattern(constant.name)}});
  if (!edit_line(stage, path, line, line + "\n" + fresh)) return false;
  stage.answer(fmt::format("Added `{}` in {}:{}.", name, path, constant.at.line + 1));
  return true;
}

}  // namespace sable::evaluation
