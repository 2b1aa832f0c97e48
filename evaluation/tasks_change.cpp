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

/// Constants are written in capitals, or as kName in some code in C++.
Style style_of(const std::string& constant) {
  return constant.find_first_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos ? Style::upper
                                                                                   : Style::camel;
}

/// What is said when there is nothing of that name to change.
std::string nowhere(const std::string& name) {
  return fmt::format("There is no `{}` in this repository. I changed nothing.", name);
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
  const auto made =
      stage.repository({.n_modules_min = 1, .n_modules_max = 5, .look_alikes = look_alikes}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
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
    style = style_of(old_name);
  }
  const bool missing = random.chance(0.06);
  if (missing) old_name = names.like(old_name, style);
  const std::string new_name =
      random.chance(0.3) ? names.like(old_name, style) : names.name(style, random.between(1, 3));
  if (new_name.find(old_name) != std::string::npos) return false;
  stage.begin(repository);
  stage.user(request(
      stage,
      "{Rename {the $k |}$o to $n.|Rename $o to $n {everywhere|in all files|in the whole "
      "repository}.|Rename $o as $n.|Rename $o: it should be $n.|Rename all uses of $o to $n.|"
      "{Change|Switch} the name {of the $k |}$o to $n.|{The $k |}$o should be {called|named} $n.|"
      "Call {the $k |}$o $n instead.|Call it $n, not $o.|Give {the $k |}$o the new name $n.|"
      "{Can|Could|Would} you rename {the $k |}$o to $n?|I want {the $k |}$o to be {called|named} "
      "$n.|I would like $o to be renamed to $n.|Replace the name $o {by|with} $n.|"
      "{The $k |}$o {needs|gets} a new name: $n.|$o is a bad name{, call it|: rename it to} $n.|"
      "{The $k |}$o must be {called|renamed to} $n{ everywhere|}.|Do a rename from $o to $n.|"
      "Use the name $n {instead of|for} {the $k |}$o.|Refactor: rename $o to $n.|"
      "Make {the $k |}$o be called $n.|From now on, $o is called $n.|Let us call $o $n.|"
      "Everywhere we {write|say} $o, write $n{ instead|}.|Rename $o ({a|the} $k) to $n.|"
      "Rename {every|each} {use|occurrence} of $o to $n.|Rename {this|the following} $k: $o to $n.|"
      "Change {every|each|all of} {the |}$o to $n, it is a {$k|name}.|Do the rename of $o to $n.|"
      "Make a rename: $o becomes $n.|Please let {the $k |}$o be known as $n.|"
      "$n is the new name {of|for} {the $k |}$o.|$n is a better name than $o{, so use it|: use "
      "it}.|Rename {the name|the symbol|the identifier} $o to $n.|Rename {just|only|both the uses "
      "and the definition of} $o to $n.|Give the new name $n to {the $k |}$o.|Carry out a rename "
      "of $o to $n{ in all files|}.|We want to call {the $k |}$o $n from now on.|Call {the $k |}$o "
      "by the name $n.|Call {the $k that is named |}$o from now on $n.|The name $o is wrong{, the "
      "right one is|; it should be} $n.|I do not like {the name |}$o{, call it|: make it} $n.|"
      "$o is {an ugly|a poor|the wrong} name: {make it|use} $n.|Perform a rename with $o as the "
      "old and $n as the new name.|Old name: $o, new name: $n.|All {the |}code should say $n "
      "where it says $o{ now|}.}",
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
  if (missing != changed.empty()) return false;
  if (missing) {
    stage.expect({.answer = Truth::Answer::absent});
    stage.answer(nowhere(old_name));
    return true;
  }
  stage.answer(fmt::format("Renamed `{}` to `{}` in {}.", old_name, new_name, joined(changed)));
  return true;
}

bool set_constant(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const auto made = stage.repository(
      {.n_modules_min = 1, .n_modules_max = 4, .look_alikes = random.chance(0.4)}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
  if (repository.constants.empty()) return false;
  MadeConstant constant = random.pick(repository.constants);
  const bool missing = random.chance(0.08), same = !missing && random.chance(0.08);
  if (missing) constant.name = names.like(constant.name, style_of(constant.name));
  const std::string value = same ? constant.value : new_value(constant, names, random);
  stage.begin(repository);
  stage.user(request(
      stage,
      "{Set {the constant |}$n to $v.|Set $n = $v.|Set the value of $n to $v.|"
      "Change {the value of |the constant |}$n to $v.|Change $n so that it is $v.|Make $n $v.|"
      "Make $n equal to $v.|$n should be $v.|$n should have the value $v.|$n must be $v.|"
      "{Update|Switch} {the constant |}$n to $v.|{Can|Could|Would} you {set|change} $n to $v?|"
      "The value of $n must be $v.|The constant $n {should|has to} be $v.|Give $n the value $v.|"
      "I want $n to be $v.|I need $n to be $v.|I would like $n to be $v.|"
      "Put $v into {the constant |}$n.|Let $n be $v.|Assign $v to $n.|Use $v {for|as} $n.|"
      "Use $v as the value of $n.|We need $n to be $v.|$n is wrong, it should be $v.|"
      "Adjust $n to $v.|From now on $n is $v.|The new value of $n is $v.|Turn $n into $v.|"
      "Replace the value of $n {by|with} $v.|Modify $n: the value should be $v.}",
      {{"n", constant.name}, {"v", value}}));
  const auto hits = hits_of(stage.call("search", {{"pattern", word_pattern(constant.name)}}));
  if (missing) {
    if (!hits.empty()) return false;
    stage.call("search", {{"pattern", "(?i)" + constant.name}});
    stage.expect({.answer = Truth::Answer::absent});
    stage.answer(nowhere(constant.name));
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

bool set_default(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  auto made = stage.repository({.language = Language::python, .n_modules_max = 4}, names);
  if (!made) return false;
  MadeRepository& repository = *made;
  std::vector<std::pair<const MadeFunction*, std::string>> candidates;  // with their parameters
  for (const MadeFunction& f : repository.functions) {
    std::string& line = repository.files[f.at.file].lines[f.at.line - 1];
    if (!f.parameters.empty() && line.ends_with(f.parameters.back() + "):")) {
      line.insert(line.size() - 2, fmt::format("={}", random.between(1, 99)));
      candidates.push_back({&f, f.parameters.back()});
      continue;
    }
    // Code that others wrote has its own.
    const size_t equal = line.find('=');
    const size_t begin = line.find_last_of(" (", equal) + 1;
    if (equal == std::string::npos || begin == 0 || begin == equal) continue;
    candidates.push_back({&f, line.substr(begin, equal - begin)});
  }
  if (candidates.empty()) return false;
  const auto& [f, parameter] = random.pick(candidates);
  const std::string line = repository.line(f->at);
  const size_t begin = line.find(parameter + "=") + parameter.size() + 1;
  const std::string before = line.substr(begin, line.find_first_of(",) ", begin) - begin);
  const bool plain =
      !before.empty() && before.size() < 24 && before.find_first_of("([{\"'") == std::string::npos;
  const std::string value = std::to_string(random.between(1, 900));
  if (!plain || value == before) return false;
  stage.begin(repository);
  stage.user(request(
      stage,
      "{Change the default {value |}of $m in $n to $v.|Set the default of {the parameter |}$m {of|"
      "in} $n to $v.|The default {value |}of $m in $n should be $v.|{The parameter |}$m of $n "
      "should be $v by default.|Let $m be $v by default in $n.|Make $v the default of $m in $n.|"
      "In $n, {change|set} the default {of|for} $m to $v.|{Can|Could} you change the default of $m "
      "in $n to $v?|$n should take $v as the default for $m.|{The function |}$n needs $v as the "
      "default {of|for} $m.|Give {the parameter |}$m of $n the default {value |}$v.|Use $v as the "
      "default of $m in $n.|{Update|Switch} the default {argument |}$m of $n to $v.}",
      {{"m", parameter}, {"n", f->name}, {"v", value}}));
  stage.call("search", {{"pattern", "def " + f->name + "\\("}});
  std::string changed = line;
  changed.replace(begin, before.size(), value);
  if (!edit_line(stage, repository.path(f->at), line, changed, 0.1)) return false;
  stage.answer(fmt::format("The default of `{}` in `{}` is {} now, in {}:{}.", parameter, f->name,
                           value, repository.path(f->at), f->at.line));
  return true;
}

bool replace_text(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const auto made = stage.repository({.n_modules_min = 1, .n_modules_max = 4}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
  std::vector<const MadeConstant*> texts;
  for (const auto& c : repository.constants) {
    if (c.is_text) texts.push_back(&c);
  }
  if (texts.empty()) return false;
  MadeConstant constant = *random.pick(texts);
  const std::string value = new_value(constant, names, random);
  const bool missing = random.chance(0.08);
  if (missing) constant.value = new_value(constant, names, random);
  stage.begin(repository);
  stage.user(
      request(stage,
              "{Replace {the text |the string |}$o {with|by} $n.|Change {the text |}$o to $n.|"
              "Change the string $o to $n.|Where it says $o it should say $n.|"
              "Write $n instead of $o.|Turn {the string |}$o into $n.|Swap $o for $n.|"
              "The message $o should be $n.|The text $o {must|should} be $n.|"
              "{Can|Could} you replace $o {with|by} $n?|Instead of $o we {want|need} $n.|"
              "$o should read $n.|$o should be $n.|Let the text $o be $n.|Make the string $o $n.|"
              "I want $n {in place of|instead of} $o.|Use $n instead of $o.|Use the text $n where "
              "it says $o.|Correct the text $o to $n.|Put $n where $o is now.}",
              {{"o", constant.value}, {"n", value}}));
  const std::string bare = constant.value.substr(1, constant.value.size() - 2);
  const auto hits = hits_of(stage.call("search", {{"pattern", bare}, {"literal", true}}));
  if (missing && hits.empty()) {
    stage.expect({.answer = Truth::Answer::absent});
    stage.answer(nowhere(bare));
    return true;
  }
  const bool as_is = hits.size() == 1 && hits[0].text.find(constant.value) != std::string::npos;
  if (missing || !as_is) return false;
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
  const auto made = stage.repository({.n_modules_min = 1, .n_modules_max = 4}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
  if (repository.lists.empty()) return false;
  MadeList list = random.pick(repository.lists);
  const std::string entry = names.word();
  const bool missing = random.chance(0.06);
  if (missing) list.name = names.like(list.name, Style::upper);
  stage.begin(repository);
  stage.user(request(
      stage,
      "{Add {the entry |}\"$e\" to {the list |}$n.|Append \"$e\" to {the list |}$n.|"
      "Put \"$e\" {at the end of|into} {the list |}$n.|{The list |}$n should also {have|contain} "
      "\"$e\".|Extend $n {with|by} \"$e\".|{Can|Could|Would} you add \"$e\" to $n?|"
      "$n needs the entry \"$e\".|Insert \"$e\" {into|at the end of} {the list |}$n.|"
      "I want \"$e\" in {the list |}$n.|Include \"$e\" in {the list |}$n.|Let $n also contain "
      "\"$e\".|\"$e\" is missing in {the list |}$n.|\"$e\" should be in {the list |}$n.|"
      "We need \"$e\" in $n {too|as well}.|Add one more entry to $n: \"$e\".|"
      "Add a new entry \"$e\" to {the list |}$n.|Put one more entry into $n: \"$e\".|"
      "Make \"$e\" a part of {the list |}$n.|List \"$e\" in $n too.|Push \"$e\" onto $n.}",
      {{"e", entry}, {"n", list.name}}));
  const std::string path = repository.path(list.at);
  const auto hits = hits_of(stage.call("search", {{"pattern", word_pattern(list.name)}}));
  if (missing) {
    if (!hits.empty()) return false;
    stage.call("search", {{"pattern", "(?i)" + list.name}});
    stage.expect({.answer = Truth::Answer::absent});
    stage.answer(nowhere(list.name));
    return true;
  }
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
  const auto made = stage.repository({.n_modules_min = 1, .n_modules_max = 3}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
  if (repository.functions.empty()) return false;
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
              "Add the line `$l` {below|to} the $ks {of|in} $p.|{Can|Could} you add `$l` to $p?|"
              "Insert `$l` {into|in} $p.|$p should have `$l`.|$p should also contain `$l`.|"
              "`$l` is missing in $p.|Write `$l` into the $ks of $p.|Include `$l` in $p.|"
              "I want `$l` in $p.|We need `$l` in $p.|Let $p have the line `$l`.|"
              "Add `$l` at the top of $p.|To the $ks of $p, add `$l`.|Put `$l` at the beginning "
              "of $p.|In $p, add `$l`.|In $p we need `$l`.}",
              {{"ks", python ? "imports" : "includes"}, {"l", line}, {"p", target.path}}));
  stage.call("search",
             {{"pattern", python ? "^(import|from) " : "^#include "}, {"path", target.path}});
  if (!stage.ok()) return false;
  if (!edit_line(stage, target.path, *anchor, *anchor + "\n" + line)) return false;
  stage.answer(
      fmt::format("Added `{}` to {}:{}.", line, target.path, anchor - target.lines.begin() + 2));
  return true;
}

bool add_constant(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const auto made = stage.repository({.n_modules_min = 1, .n_modules_max = 4}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
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
      "We need {the constant |}$m ($v) next to $n.|Add {the constant |}$m = $v {after|below} $n.|"
      "Insert a constant $m with {the value |}$v {after|below} $n.|{After|Below} $n, define $m as "
      "$v.|Define a new constant $m = $v {after|below} $n.|Add $m ($v) {after|below|next to} $n.|"
      "{Can|Could} you add {a|the} constant $m with the value $v {after|below} $n?|"
      "I want a constant $m = $v {after|below} $n.|There should be a constant $m with the value "
      "$v {after|below} $n.|Next to $n, add $m with {the value |}$v.|Create a constant $m = $v "
      "{after|below} $n.|$n should be followed by a constant $m = $v.}",
      {{"m", name}, {"n", constant.name}, {"v", value}}));
  stage.call("search", {{"pattern", word_pattern(constant.name)}});
  if (!edit_line(stage, path, line, line + "\n" + fresh)) return false;
  stage.answer(fmt::format("Added `{}` in {}:{}.", name, path, constant.at.line + 1));
  return true;
}

bool add_line(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const auto made = stage.repository({.n_modules_min = 1, .n_modules_max = 3}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
  const MadeFile& file = random.pick(repository.files);
  const size_t at = random.below(file.lines.size());
  const std::string& anchor = file.lines[at];
  const size_t begin = anchor.find_first_not_of(" \t");
  if (begin == std::string::npos || anchor.size() - begin < 10 || anchor.back() == '\\' ||
      anchor.find('`') != std::string::npos ||
      std::count(file.lines.begin(), file.lines.end(), anchor) != 1) {
    return false;
  }
  const std::string bare = anchor.substr(begin), indent = anchor.substr(0, begin);
  const bool python = file.path.ends_with(".py"), prose = file.path.ends_with(".md");
  const std::string words = fmt::format("{} {} {}", names.word(), names.word(), names.word());
  const std::string fresh = prose                                ? words
                            : python                             ? "# " + words
                            : repository.language == Language::c ? "/* " + words + " */"
                                                                 : "// " + words;
  stage.begin(repository);
  stage.user(request(
      stage,
      "{Add the line `$l` {after|below} `$a` in $p.|{After|Below} `$a` in $p, add `$l`.|"
      "In $p, {add|insert} `$l` {after|below} `$a`.|Insert `$l` {after|below} {the line |}`$a` in "
      "$p.|Put {the line |}`$l` {below|behind} `$a` in $p.|In $p, the line `$a` should be followed "
      "by `$l`.|{Can|Could} you add `$l` {after|below} {the line |}`$a` in $p?|Write `$l` "
      "{after|below} {the line |}`$a` in $p.|I want {the line |}`$l` {after|below} `$a` in $p.|"
      "Add a line {after|below} `$a` in $p: `$l`.}",
      {{"l", fresh}, {"a", bare}, {"p", file.path}}));
  const auto hits =
      hits_of(stage.call("search", {{"pattern", bare}, {"path", file.path}, {"literal", true}}));
  if (hits.size() != 1) return false;
  if (!edit_line(stage, file.path, hits[0].text, hits[0].text + "\n" + indent + fresh)) {
    return false;
  }
  stage.answer(fmt::format("Added `{}` in {}:{}.", fresh, file.path, at + 2));
  return true;
}

bool add_parameter(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const auto made = stage.repository({.n_modules_min = 1, .n_modules_max = 3}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
  const bool python = repository.language == Language::python;
  // With a default value, nobody who calls it has to change; without one, nobody may call it.
  std::vector<const MadeFunction*> candidates;
  for (const auto& f : repository.functions) {
    if (python || f.calls.empty()) candidates.push_back(&f);
  }
  if (candidates.empty()) return false;
  const MadeFunction& f = *random.pick(candidates);
  const bool with_default = python && (!f.calls.empty() || random.chance(0.7));
  const std::string name = names.name(Style::snake, 1);
  const std::string value = std::to_string(random.between(0, 99));
  stage.begin(repository);
  stage.user(request(
      stage,
      with_default
          ? "{Add a parameter $m with the default $v to $n.|Add {the|a} parameter $m=$v to $n.|"
            "{Give|Let} $n {have |}a parameter $m with the default {value |}$v.|$n {needs|should "
            "have} a parameter $m with the default $v.|Give $n a parameter $m, by default $v.|"
            "{The function |}$n should take $m, which is $v by default.|{Can|Could} you add a "
            "parameter $m (default $v) to $n?|Extend $n by a parameter $m with the default $v.|"
            "Add an optional parameter $m ($v) to $n.}"
          : "{Add a parameter $m to $n.|Add {the|a} parameter $m to the function $n.|Give $n a "
            "parameter $m.|{The function |}$n {needs|should have} a parameter $m.|{The function "
            "|}$n should {also |}take $m.|{Can|Could} you add a parameter $m to $n?|Extend $n by a "
            "parameter $m.|Add $m to the parameters of $n.|$n should have one more parameter: $m.}",
      {{"m", name}, {"n", f.name}, {"v", value}}));
  const auto hits = hits_of(stage.call("search", {{"pattern", word_pattern(f.name)}}));
  if (hits.size() > 6) return false;
  const std::string fresh = python ? with_default ? name + "=" + value : name : "int " + name;
  std::vector<std::string> changed;
  for (const Hit& hit : hits) {
    const std::string head = (python ? "def " : "int ") + f.name + "(";
    if (!hit.text.starts_with(head)) continue;
    const size_t close = hit.text.rfind(')');
    static constexpr std::string_view kEnds[] = {"):", ")", ") {", ");"};
    const bool whole = std::any_of(std::begin(kEnds), std::end(kEnds),
                                   [&](std::string_view end) { return hit.text.ends_with(end); });
    if (!whole) return false;  // goes on in the next line
    const bool none = hit.text[close - 1] == '(' || hit.text.substr(0, close).ends_with("(void");
    if (none) return false;
    std::string line = hit.text;
    line.insert(close, ", " + fresh);
    if (!edit_line(stage, hit.path, hit.text, line, 0.1)) return false;
    changed.push_back(hit.path);
  }
  if (changed.empty()) return false;
  stage.answer(
      fmt::format("Added the parameter `{}` to `{}` in {}.", name, f.name, joined(changed)));
  return true;
}

}  // namespace sable::evaluation
