// Tasks that run something, and requests that are out of reach.
#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "evaluation/tasks.h"

namespace sable::evaluation {

namespace {

std::string first_line_with(const std::string& text, std::string_view part) {
  const size_t at = text.find(part);
  if (at == std::string::npos) return {};
  const size_t begin = text.rfind('\n', at) + 1;
  return text.substr(begin, text.find('\n', at) - begin);
}

/// A script that computes what the repository's own test does not: a line that only makes that test
/// pass is no correction.
std::string check_of(const MadeRepository& repository, const MadeFunction& f) {
  Random random(hash_of(repository.name));  // of its own: the episode's numbers stay as they are
  const bool python = repository.language == Language::python;
  const bool cpp = repository.language == Language::cpp;
  std::string cases;
  for (int i = 0; i < 8; ++i) {
    const auto v = f.shape->arguments(random);
    std::string arguments;
    for (size_t k = 0; k < f.parameters.size(); ++k) {
      arguments += fmt::format("{}{}", k == 0 ? "" : ", ", v[k]);
    }
    const std::string wanted =
        fmt::format("{}({}) == {}", f.name, arguments, f.shape->value(v[0], v[1], v[2]));
    cases += python ? "assert " + wanted + "\n" : "  if (!(" + wanted + ")) return 1;\n";
  }
  std::string module = repository.path(f.at);
  module.resize(module.rfind('.'));
  if (python) {
    return fmt::format("set -e\npython3 -B - <<'END'\nfrom {} import {}\n{}END\n", module, f.name,
                       cases);
  }
  std::string sources;
  for (const MadeFile& file : repository.files) {
    const bool source = file.path.ends_with(cpp ? ".cpp" : ".c");
    if (source && !file.path.starts_with("test_")) sources += " " + file.path;
  }
  return fmt::format(
      "set -e\ncat > /tmp/check.{0} <<'END'\n#include \"{1}.h\"\nint main() {{\n{2}  return "
      "0;\n}}\n"
      "END\n{3} -I.{4} /tmp/check.{0} -o /tmp/check\n/tmp/check\n",
      cpp ? "cpp" : "c", module, cases, cpp ? "c++" : "cc", sources);
}

}  // namespace

bool fix_failing_test(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  MadeRepository repository = make_repository({.language = random.chance(0.6)   ? Language::python
                                                           : random.chance(0.6) ? Language::c
                                                                                : Language::cpp,
                                               .n_modules_min = 1,
                                               .n_modules_max = 2,
                                               .tests = true},
                                              names, random);
  std::vector<MadeFunction*> tested;
  for (auto& f : repository.functions) {
    if (f.tested) tested.push_back(&f);
  }
  if (tested.empty()) return false;
  const MadeFunction& f = *random.pick(tested);
  const bool python = repository.language == Language::python;
  const Mistake mistake = random.pick(python ? f.shape->mistakes_python : f.shape->mistakes_c);
  std::vector<std::pair<std::string_view, std::string>> values;
  static constexpr std::string_view kKeys[] = {"a", "b", "c"};
  for (size_t i = 0; i < f.parameters.size(); ++i) values.push_back({kKeys[i], f.parameters[i]});
  const std::string right = fill(mistake.right, values);
  std::string wrong = fill(mistake.wrong, values);
  std::vector<std::string>& lines = repository.files[f.at.file].lines;
  const auto broken =
      std::find(lines.begin() + static_cast<std::ptrdiff_t>(f.at.line - 1), lines.end(), right);
  if (broken == lines.end()) return false;
  const bool passes_already = random.chance(0.06);
  if (!passes_already) *broken = wrong;
  stage.begin(repository);
  const std::string wish = request(
      stage,
      "{Fix the failing test.|{The|A} test fails. {Fix|Repair} {it|the code}.|A test is "
      "{failing|red}. {Please fix|Fix} {it|the bug}.|"
      "{Run|Run the tests with} `$t` {and fix what fails|and repair the code}.|Make `$t` pass.|"
      "`$t` fails{. Fix it|; find the bug and fix it}.|{Can|Could} you {fix the failing test|get "
      "the tests to pass}?|"
      "The tests {fail|are broken}: {repair the code|find out why and fix it}.|"
      "{The|Some} tests fail; {find the bug and fix it|fix the bug}.|Something is broken: find the "
      "bug "
      "and fix it.|Why {do the tests|does the test} fail? {Fix it|Repair the code}.|Get the tests "
      "{green|to pass} again.}",
      {{"t", repository.test_command}});
  stage.user(wish);
  std::string run = repository.test_command;
  if (wish.find(run) == std::string::npos) {
    // Not told how to run them, the teacher looks.
    stage.call("list_files", Json::object());
    run = python ? "python3 -B -m unittest test_" + repository.name : "make test";
  }
  if (python && random.chance(0.16)) {
    stage.mistake("shell", {{"command", "python" + run.substr(7)}});
    if (stage.ok()) return false;
  }
  stage.call("shell", {{"command", run}});
  if (passes_already) {
    stage.expect({.answer = Truth::Answer::already});
    stage.answer(fmt::format("`{}` passes already. I changed nothing.", run));
    return stage.ok();
  }
  if (stage.ok()) return false;
  const std::string path = repository.path(f.at);
  stage.expect({.mended = path, .check = check_of(repository, f) + run + "\n"});
  const auto hits =
      hits_of(stage.call("search", {{"pattern", (python ? "def " : "int ") + f.name + "\\("}}));
  if (hits.empty()) return false;
  stage.call("read_file",
             {{"path", path}, {"start_line", f.at.line}, {"end_line", f.at.line + 10}});
  if (random.chance(0.16)) {
    // Another wrong line: the test still fails, and the file is read again.
    const size_t at = wrong.find_last_of("+-*/<>");
    if (at != std::string::npos && wrong[at] != '/') {
      std::string other = wrong;
      other[at] = wrong[at] == '<' ? '>' : wrong[at] == '>' ? '<' : wrong[at] == '+' ? '*' : '+';
      if (other == right) return false;
      stage.mistake("edit_file", {{"path", path}, {"old_text", wrong}, {"new_text", other}});
      if (!stage.ok()) return false;
      stage.call("shell", {{"command", run}});
      if (stage.ok()) return false;
      stage.call("read_file",
                 {{"path", path}, {"start_line", f.at.line}, {"end_line", f.at.line + 10}});
      wrong = other;
    }
  }
  stage.call("edit_file", {{"path", path}, {"old_text", wrong}, {"new_text", right}});
  if (!stage.ok()) {
    // The same line stands elsewhere too: take the one before it along.
    const auto before = *(broken - 1);
    stage.call(
        "edit_file",
        {{"path", path}, {"old_text", before + "\n" + wrong}, {"new_text", before + "\n" + right}});
    if (!stage.ok()) return false;
  }
  stage.call("shell", {{"command", run}});
  if (!stage.ok()) return false;
  std::string trimmed = right.substr(right.find_first_not_of(' '));
  stage.answer(fmt::format("Fixed `{}` in {}:{}: it is `{}` now. `{}` passes.", f.name, path,
                           broken - lines.begin() + 1, trimmed, run));
  return true;
}

bool run_command(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const bool tests = random.chance(0.5);
  MadeRepository repository =
      make_repository({.language = tests ? std::optional(Language::python) : std::nullopt,
                       .n_modules_min = 1,
                       .n_modules_max = 3,
                       .tests = tests},
                      names, random);
  const std::string path = random.pick(repository.files).path;
  std::vector<std::string> commands = {"ls",
                                       "wc -l " + path,
                                       "cat " + names.word() + ".txt",
                                       "grep -n " + names.word() + " " + path,
                                       "false",
                                       "true",
                                       "ls " + names.word(),
                                       "head -n 1 " + path,
                                       fmt::format("sh -c 'exit {}'", random.between(2, 9))};
  if (tests) commands.assign(3, repository.test_command);
  const std::string command = random.pick(commands);
  stage.begin(repository);
  stage.user(request(stage,
                     "{Run `$c`{| and {tell me|report} {what happens|how it ends|the outcome}}.|"
                     "{Please execute|Execute} `$c`.|What {does `$c` give|happens with `$c`}?|"
                     "Does `$c` {work|succeed|pass}?|Try `$c`.|{Can|Could} you run `$c`{ for me|}?|"
                     "Start `$c` and tell me how it ends.}",
                     {{"c", command}}));
  const std::string output = stage.call("shell", {{"command", command}});
  const std::string ending = first_line_with(output, "[exit code ");
  if (ending.empty()) return false;
  const std::string code = ending.substr(11, ending.find(';') - 11);
  const std::string first = output.substr(0, output.find('\n'));
  stage.expect({.answer = Truth::Answer::exit_code, .number = std::atoll(code.c_str())});
  const bool silent = first.starts_with("[") || first.size() > 80;
  stage.answer(fmt::format("`{}` {} with exit code {}.{}", command,
                           code == "0" ? "succeeded" : "failed", code,
                           silent ? "" : " It begins: " + first));
  return true;
}

bool refuse(Stage& stage) {
  Random& random = stage.random();
  Names names(stage.split(), random);
  const MadeRepository repository =
      make_repository({.n_modules_min = 1, .n_modules_max = 2}, names, random);
  stage.begin(repository);
  stage.user(request(
      stage,
      "{Write {a|an} {poem|essay|story|song|joke} about $a.|Translate {this|the README|\"$a $b\"} "
      "{to|into} {French|German|Spanish|Japanese}.|"
      "What is the {weather|time|capital} {in|of} $a?|Who {is|was} $a "
      "$b?|{Design|Build|Create|Write} {a website|an app|a game|a database} for $a{ and $b|}.|"
      "Explain {quantum physics|how a $a works|the theory of $a}.|Send {an email|a message} to "
      "$a.|{Book|Order} a {flight|table|$a} for {me|tomorrow}.|"
      "Refactor the whole {program|code base} {to use|around} $a.|Rewrite {it|everything|the "
      "program} in {Rust|Go|Haskell|Java}.|"
      "How do you feel{ today|}?|Make the program {faster|twice as fast|better}.|What do you think "
      "of $a?|Deploy {this|the $a} to {the cloud|production|$b}.|"
      "Train a model on the $a.|Prove that {$a is $b|the $a terminates}.|Find {all|the} security "
      "{holes|problems}{ in the $a|}.|"
      "Implement {a|an} {parser|compiler|scheduler|cache|$a} for $b.|Add "
      "{authentication|logging|tests|documentation} {to everything|for all of it}.|"
      "{Kannst|Willst} du mir bitte helfen?|Ecris une fonction pour $a.|Tell me {about $a|a "
      "secret|something about $b}.|"
      "Draw {a picture|a diagram} of $a.|Solve {x^2 + $a = 0|the equation for $a}.|Calculate {the "
      "square root of 17|the $a of $b}.}",
      {{"a", names.word()}, {"b", names.word()}}));
  stage.expect({.answer = Truth::Answer::refusal});
  stage.answer(
      "I cannot do that. I can find, rename, set, replace and add things in this repository, fix a "
      "failing test, and run commands.");
  return true;
}

}  // namespace sable::evaluation
