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
  const bool no_tests = random.chance(0.06);
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
  if (no_tests) {
    std::erase_if(repository.files, [](const MadeFile& file) {
      return file.path.starts_with("test_") || file.path == "Makefile";
    });
  }
  const bool passes_already = random.chance(0.06);
  if (!passes_already) *broken = wrong;
  stage.begin(repository);
  const std::string wish = request(
      stage,
      "{Fix the failing test.|Fix the failing tests.|{The|A} test fails. {Fix|Repair} {it|the "
      "code}.|A test is {failing|red}. {Please fix|Fix} {it|the bug}.|{Run|Run the tests with} "
      "`$t` "
      "{and fix what fails|and repair the code}.|Make `$t` pass.|Make the tests pass{ again|}.|"
      "`$t` fails{. Fix it|; find the bug and fix it}.|{Can|Could} you {fix the failing test|get "
      "the tests to pass}?|The tests {fail|are broken}: {repair the code|find out why and fix it}.|"
      "{The|Some} tests fail; {find the bug and fix it|fix the bug}.|Something is broken: find the "
      "bug and fix it.|Why {do the tests|does the test} fail? {Fix it|Repair the code}.|Get the "
      "tests {green|to pass} again.|There is a bug{ in the code|}. Find it and fix it.|"
      "One of the tests fails. {Fix it|Find out why and fix it}.|Find and fix the bug.|"
      "{Repair|Mend} what the tests show.|Fix the {bug|mistake} that the tests {find|show}.|"
      "Fix what is wrong{ so that the tests pass|}.|Run the tests and fix {the bug|what is "
      "broken|the failure}.|Make the {failing test|test suite} pass.|Fix the bug that `$t` shows.|"
      "The build is red. {Fix it|Make it green}.|Our tests do not pass{ any more|}. Fix "
      "{it|that|the code}.|Fix it so that `$t` passes.}",
      {{"t", repository.test_command}});
  stage.user(wish);
  std::string run = repository.test_command;
  if (no_tests && wish.find(run) != std::string::npos) return false;
  if (wish.find(run) == std::string::npos) {
    // Not told how to run them, the teacher looks.
    stage.call("list_files", Json::object());
    if (no_tests) {
      stage.expect({.answer = Truth::Answer::absent});
      stage.answer("There are no tests in this repository that I could run. I changed nothing.");
      return true;
    }
    run = python ? "python3 -B -m unittest " + repository.test_module : "make test";
  }
  if (python && random.chance(0.12)) {
    stage.mistake("shell", {{"command", "python" + run.substr(7)}});
    if (stage.ok()) return false;
  } else if (python && random.chance(0.2)) {
    // A module that is not there is no test that passes, and no bug of the code's.
    std::string module = repository.test_module;
    if (random.chance(0.5)) {
      module.erase(module.size() - random.between(1, 2));
    } else {
      module += (random.chance(0.5) ? "_" : "") + names.word();
    }
    stage.mistake("shell", {{"command", "python3 -B -m unittest " + module}});
    if (stage.ok()) return false;
    stage.call("list_files", Json::object());
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
  // In C and C++ what it should do stands above the function, in Python below its first line.
  const size_t from = python ? f.at.line : f.at.line - 1;
  const Json lines_of_it = {{"path", path}, {"start_line", from}, {"end_line", f.at.line + 10}};
  stage.call("read_file", lines_of_it);
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
      stage.call("read_file", lines_of_it);
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
  stage.user(
      request(stage,
              "{Run `$c`{| and {tell me|report} {what happens|how it ends|the outcome}}.|"
              "{Please execute|Execute} `$c`.|What {does `$c` give|happens with `$c`}?|"
              "Does `$c` {work|succeed|pass}?|Try `$c`.|{Can|Could} you run `$c`{ for me|}?|"
              "Start `$c` and tell me how it ends.|Run the command `$c`.|Call `$c` and tell "
              "me {what happens|what it says}.|Tell me {what|how} `$c` {says|ends}.|"
              "What does `$c` {say|print}?|How does `$c` end?|Does `$c` fail?|"
              "I want to know {whether|if} `$c` {works|fails|passes}.|Check {whether|if} "
              "`$c` {works|passes}.|What is the {result|outcome} of `$c`?|Please run `$c` and "
              "report.|Execute `$c` and {report|tell me} {what happens|the outcome}.|"
              "Type `$c`{ in the shell|} and tell me {what happens|the result}.}",
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
      "{Write {a|an} {poem|essay|story|song|joke|letter|novel} about $a{ and $b|}.|Write me {a "
      "poem|a joke|a speech}{ about $a|}.|Translate {this|the README|\"$a $b\"|the comments|$a} "
      "{to|into} {French|German|Spanish|Japanese|Latin}.|How do you say $a in {French|German}?|"
      "What is the {weather|time|capital|meaning|history} {in|of} $a?|What time is it{ in $a|}?|"
      "What is {love|life|the meaning of life|a $a|quantum physics}?|Who {is|was} {$a $b|the "
      "president|your maker}?|Who are you?|"
      "{Design|Build|Create|Write|Make} {me |}{a website|an app|a game|a database|a program|a "
      "server} for $a{ and $b|}.|Explain {quantum physics|how a $a works|the theory of $a|the "
      "algorithm|this to me}.|Send {an email|a message|a letter} to $a{ $b|}.|{Book|Order|Buy} a "
      "{flight|pizza|car|$a} for {me|tomorrow|$b}.|Refactor the {whole program|code base|whole "
      "thing} {to use|around} $a.|Refactor {everything|all of it|the code}.|Rewrite "
      "{it|everything|the program|the code|this} in {Rust|Go|Haskell|Java|Zig|Lisp}.|"
      "Port {this|the code|everything} to {Windows|Rust|the web|$a}.|How do you feel{ today|}?|"
      "How are you{ today|}?|Make the {program|code|build} {faster|twice as fast|better|more "
      "elegant|safer}.|Optimise {the code|everything|the $a}.|What do you think of $a?|What is "
      "your "
      "opinion {on|of} $a?|Which {language|editor|$a} is the best?|Should I {use|buy|learn} $a{ or "
      "$b|}?|Deploy {this|the $a|it} to {the cloud|production|$b}.|Publish {a|the} {release|$a}.|"
      "Train a model on {the $a|$a data}.|Prove that {$a is $b|the $a terminates|it is correct}.|"
      "Find {all|the} security {holes|problems}{ in the $a|}.|Is this code {safe|secure|good}?|"
      "Review {the code|my changes|the $a}.|Implement {a|an} {parser|compiler|scheduler|cache|$a} "
      "{for $b|in $b}.|Implement {$a|the $a protocol}.|Add {authentication|logging|tests|"
      "documentation|comments|error handling} {to everything|for all of it|everywhere}.|"
      "Document {everything|the whole program|the code}.|{Kannst|Willst} du mir bitte {helfen|eine "
      "Geschichte schreiben}?|Ecris une fonction pour $a.|Wo ist {die Funktion|der Fehler}?|"
      "Escribe un poema sobre $a.|Bonjour, comment ça va?|Was ist {ein|der} $a?|Tell me {about "
      "$a|a secret|something about $b|a story}.|Draw {a picture|a diagram|a map} of $a.|Solve {x^2 "
      "+ $a = 0|the equation for $a|this puzzle}.|Calculate {the square root of 17|the $a of $b|17 "
      "times 23}.|How much is {17 plus 4|twelve times nine}?|{Hello|Hi|Hey}{ there|, $a|}!|Thank "
      "you{ very much|}.|Merge {the|my} {branches|pull request|$a}.|Push {this|it} to "
      "{GitHub|the server}.|Install {$a|Docker|the newest compiler}.|Upgrade {all|the} "
      "{dependencies|packages}.|Download {$a|the newest $a|the data} from {the internet|$b}.|"
      "Play {a game|some music|chess}{ with me|}.|Recommend {a|some} {book|film|music|restaurant}{ "
      "about $a|}.|Give me {advice|ideas|a recipe} {on|for} $a.|Invent {a name|a story} for $a.|"
      "Plan {my day|the next $a|a trip to $b}.|Estimate {the cost|how long it takes}{ of $a|}.|"
      "Sing{ a song|}.|Guess {my age|what I think}.|Convert {the program|everything} to {async "
      "code|threads|$a}.|Split {the program|it} into {services|threads}.|Compare $a {and|with} "
      "$b.|Predict the $a{ of tomorrow|}.|Make {me a sandwich|money|a $a}.|$a $b?|The $a is $b.|"
      "I {like|hate|want} $a{ and $b|}.}",
      {{"a", names.word()}, {"b", names.word()}}));
  stage.expect({.answer = Truth::Answer::refusal});
  stage.answer(
      "I cannot do that. I can find, rename, set, replace and add things in this repository, fix a "
      "failing test, and run commands.");
  return true;
}

}  // namespace sable::evaluation
