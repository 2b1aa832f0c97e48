// Tasks that only read: where something is, who uses it, what is there.
#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "evaluation/tasks.h"

namespace sable::evaluation {

namespace {

struct Target {
  std::string name, kind;
  Place at;
};

Target pick_target(const MadeRepository& repository, Random& random) {
  std::vector<Target> all;
  for (const auto& f : repository.functions) all.push_back({f.name, "function", f.at});
  for (const auto& c : repository.constants) all.push_back({c.name, "constant", c.at});
  for (const auto& t : repository.types) {
    all.push_back({t.name, repository.language == Language::python ? "class" : "struct", t.at});
  }
  return random.pick(all);
}

/// Searches for a name, now and then in the wrong place first, as the user's own hint may be.
const std::string& search_for(Stage& stage, const std::string& pattern) {
  if (stage.random().chance(0.22)) {
    Names names(stage.split(), stage.random());
    stage.mistake("search", {{"pattern", pattern}, {"path", names.word()}});
  }
  return stage.call("search", {{"pattern", pattern}});
}

}  // namespace

bool find_definition(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const auto made = stage.repository(
      {.n_modules_min = 2, .n_modules_max = 5, .look_alikes = random.chance(0.4)}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
  Target target = pick_target(repository, random);
  const bool missing = random.chance(0.12);
  if (missing) target.name = names.like(target.name, Style::snake);
  stage.begin(repository);
  stage.user(
      request(stage,
              "{Where is {the $k |}$n defined?|Where is {the $k |}$n?|In which file is $n "
              "{defined|declared}?|Find {the definition of |where |}$n{| is defined}.|"
              "Find {the $k |}$n.|Which file {defines|has|contains} {the $k |}$n?|"
              "{Can|Could} you {find|locate} {the $k |}$n{ for me|}?|Show me where $n is "
              "{defined|implemented}.|Show me the definition of $n.|Locate {the $k |}$n.|"
              "I need to know where {the $k |}$n {lives|is}.|What is the location of $n?|"
              "I am looking for {the $k |}$n.|Where do I find {the $k |}$n?|Where can I find $n?|"
              "On which line is $n defined?|Tell me {the file and line of|where to find} $n.|"
              "Tell me where {the $k |}$n is{ defined|}.|Where does {the $k |}$n come from?|"
              "Where did we define $n?|Where do we define {the $k |}$n?|Look up {the $k |}$n.|"
              "In which file and line is $n?|Which line defines $n?|What file is $n in?|"
              "Where is the definition of {the $k |}$n?|Search for the definition of $n.|"
              "Where has somebody defined $n?|Where in the code is {the $k |}$n?}",
              {{"k", target.kind}, {"n", target.name}}));
  const auto hits = hits_of(search_for(stage, word_pattern(target.name)));
  if (missing) {
    if (!hits.empty()) return false;
    stage.call("search", {{"pattern", "(?i)" + target.name}});
    stage.expect({.answer = Truth::Answer::absent});
    stage.answer(fmt::format("There is no `{}` in this repository.", target.name));
    return true;
  }
  const bool seen = std::any_of(hits.begin(), hits.end(), [&](const Hit& hit) {
    return hit.path == repository.path(target.at) && hit.line == target.at.line;
  });
  Truth truth{.answer = Truth::Answer::places,
              .places = {{repository.path(target.at), target.at.line}}};
  for (const Hit& hit : hits) truth.also.push_back({hit.path, hit.line});
  stage.expect(std::move(truth));
  stage.answer(fmt::format("`{}` is defined in {}:{}.", target.name, repository.path(target.at),
                           target.at.line));
  return seen && hits.size() <= 14;
}

bool find_callers(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const auto made = stage.repository({.n_modules_min = 2, .n_modules_max = 5}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
  std::vector<const MadeFunction*> called;
  for (const auto& f : repository.functions) {
    if (!f.calls.empty() || random.chance(0.05)) called.push_back(&f);
  }
  if (called.empty()) return false;
  const MadeFunction& f = *random.pick(called);
  stage.begin(repository);
  stage.user(request(
      stage,
      "{Who calls $n?|Where is $n called?|Which code {uses|calls} $n?|List {all |}the callers of "
      "$n.|Find {every|each} call of $n.|Find all {callers|calls} of $n.|Show me {all|the} calls "
      "of $n.|Where do we {use|call} $n?|What calls $n?|Which lines call {the function |}$n?|"
      "Show {me |}the callers of $n.|Which functions call $n?|Where is {the function |}$n used?|"
      "Where are the calls of $n?|From where is $n called?|Tell me who calls $n.|Who uses {the "
      "function |}$n?|Give me all calls of $n.|Is $n called anywhere?|Does anything call $n?|"
      "What uses $n?|Which places call $n?|Find where $n is {called|used}.}",
      {{"n", f.name}}));
  const auto hits = hits_of(search_for(stage, "\\b" + f.name + "\\("));
  std::string list;
  Truth truth{.answer = Truth::Answer::places};
  for (const Hit& hit : hits) {
    const bool is_definition = hit.path == repository.path(f.at) && hit.line == f.at.line;
    const bool declares = hit.path.ends_with(".h");
    if (is_definition || declares) continue;
    list += fmt::format("\n- {}:{}", hit.path, hit.line);
    truth.places.push_back({hit.path, hit.line});
  }
  const size_t n = truth.places.size();
  if (n != f.calls.size()) return false;
  if (n == 0) truth.answer = Truth::Answer::absent;
  stage.expect(std::move(truth));
  stage.answer(n == 0 ? fmt::format("Nothing calls `{}`.", f.name)
                      : fmt::format("`{}` is called in:{}", f.name, list));
  return true;
}

bool list_todos(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const auto made = stage.repository({.n_modules_min = 2, .n_modules_max = 5}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
  stage.begin(repository);
  stage.user(
      request(stage,
              "{List {all |}the TODOs.|What TODOs are there?|Show {me |}the TODO {marks|comments}.|"
              "Which TODOs are {open|left}?|Find {all |every |}TODO comments.|List the TODO "
              "{marks|comments}{ in this repository|}.|Are there {any |}TODO {marks|notes}?|"
              "Are there TODOs{ left|}?|Give me a list of the TODO marks.|Give me {all|the} "
              "TODOs.|Show {me |}{all |}the TODOs.|What is {still |}to do here? Look for TODO.|"
              "Find the TODOs.|Tell me which TODOs are left.|Search for TODO {marks|comments}.|"
              "Where are the TODOs?|Which TODO {marks|comments} do we have?|Collect the TODO "
              "{marks|comments}.|Do we have {any |}TODOs?}",
              {}));
  const auto hits = hits_of(search_for(stage, "TODO"));
  if (hits.size() != repository.todos.size() || hits.size() > 6) return false;
  std::string list;
  Truth truth{.answer = hits.empty() ? Truth::Answer::absent : Truth::Answer::places};
  for (const Hit& hit : hits) {
    truth.places.push_back({hit.path, hit.line});
    std::string text = hit.text.substr(std::min(hit.text.find("TODO") + 6, hit.text.size()));
    if (const size_t end = text.find(" */"); end != std::string::npos) text.resize(end);
    list += fmt::format("\n- {}:{}: {}", hit.path, hit.line, text);
  }
  stage.expect(std::move(truth));
  stage.answer(hits.empty() ? "There are no TODO marks in this repository."
                            : "These TODO marks are left:" + list);
  return true;
}

bool count_matches(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const auto made = stage.repository({.n_modules_min = 2, .n_modules_max = 4}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
  std::string name = pick_target(repository, random).name;
  if (random.chance(0.1)) name = names.word();
  stage.begin(repository);
  stage.user(request(
      stage,
      "{How often does $n occur?|How many times is $n used?|Count the {lines with|uses of} $n.|"
      "How many lines {contain|mention} $n?|Count {how often|where} $n stands in the code.|"
      "What is the number of lines with $n?|How often is $n {used|mentioned}?|How many times does "
      "$n occur?|Count $n.|Count the occurrences of $n.|In how many lines does $n {occur|stand}?|"
      "How many uses of $n are there?|How many lines have $n?|How often do we use $n?|"
      "{Can|Could} you count the lines with $n?|Tell me how often $n occurs.|Count all lines that "
      "{contain|mention} $n.|How many occurrences of $n are there?|How often does the code use "
      "$n?}",
      {{"n", name}}));
  const std::string& result = stage.call(
      "shell", {{"command", fmt::format("grep -rnwI --exclude-dir=.git {} . | wc -l", name)}});
  const std::string number = result.substr(0, result.find('\n'));
  stage.expect({.answer = Truth::Answer::number, .number = std::atoll(number.c_str())});
  stage.answer(
      fmt::format("`{}` stands in {} {}.", name, number, number == "1" ? "line" : "lines"));
  return stage.ok();
}

bool summarise_file(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const auto made = stage.repository({.n_modules_min = 1, .n_modules_max = 3}, names);
  if (!made) return false;
  const MadeRepository& repository = *made;
  const Target any = pick_target(repository, random);
  const bool missing = random.chance(0.08);
  std::string path = repository.path(any.at);
  if (missing) path = names.word() + path.substr(path.rfind('.'));
  std::vector<std::pair<size_t, std::string>> defined;
  const auto add = [&](const std::string& name, const Place& at) {
    if (at.file == any.at.file) defined.push_back({at.line, name});
  };
  for (const auto& f : repository.functions) add(f.name, f.at);
  for (const auto& c : repository.constants) add(c.name, c.at);
  for (const auto& t : repository.types) add(t.name, t.at);
  for (const auto& l : repository.lists) add(l.name, l.at);
  std::sort(defined.begin(), defined.end());
  stage.begin(repository);
  stage.user(request(
      stage,
      "{What does $p define?|What is defined in $p?|Summarise $p.|What is in $p?|"
      "Give me {an overview|a summary} of $p.|List {the names|everything} defined in $p.|"
      "Which {names|symbols} does $p define?|What does {the file |}$p contain?|"
      "What is in the file $p?|Summarize $p.|Show me what $p defines.|Tell me what is "
      "{in|defined in} $p.|Which functions {are in|does} $p{| define}?|List the "
      "{definitions|symbols|functions} {in|of} $p.|What are the definitions in $p?|"
      "{Can|Could} you summarise $p?|Outline $p.|Describe {the file |}$p.|What do we have in "
      "$p?|Give me the names in $p.|I need an overview of $p.}",
      {{"p", path}}));
  if (!missing && random.chance(0.35)) {
    std::string wrong = path;
    wrong.erase(wrong.find('.') - 1, 1);
    stage.mistake("read_file", {{"path", wrong}});
  }
  stage.call("read_file", {{"path", path}});
  if (missing) {
    if (stage.ok()) return false;
    stage.expect({.answer = Truth::Answer::absent});
    stage.answer(fmt::format("There is no {} in this repository.", path));
    return true;
  }
  std::string list;
  Truth truth{.answer = Truth::Answer::names};
  for (const auto& [line, name] : defined) {
    list += fmt::format("\n- {} (line {})", name, line);
    truth.names.push_back({name, line});
  }
  stage.expect(std::move(truth));
  stage.answer(fmt::format("{} defines:{}", path, list));
  return repository.files[any.at.file].lines.size() <= 60;
}

}  // namespace sable::evaluation
