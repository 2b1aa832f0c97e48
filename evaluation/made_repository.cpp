#include "evaluation/made_repository.h"

#include <algorithm>

#include <fmt/format.h>

namespace sable::evaluation {

std::string MadeFile::text() const {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

Files MadeRepository::contents() const {
  Files contents;
  for (const MadeFile& file : files) contents[file.path] = file.text();
  return contents;
}

namespace {

struct Module {
  std::string name;                // of its files, without ending
  size_t source = 0, header = 0;   // indices of files; header for C and C++
  std::vector<std::string> needs;  // modules that it includes
  std::vector<std::string> body, declarations;
  // Places inside body, made absolute when the file is put together.
  std::vector<size_t> functions, constants, types, lists, todos;
};

class Maker {
 public:
  Maker(const RepositoryWish& wish, Names& names, Random& random)
      : wish_(wish), names_(names), random_(random) {}

  MadeRepository run() {
    repository_.name = names_.name(Style::snake, random_.between(1, 2));
    repository_.language = wish_.language.value_or(static_cast<Language>(random_.below(3)));
    const char* const folders[] = {"", "src/", "lib/", "core/", "app/", "src/core/"};
    const size_t n_modules = random_.between(wish_.n_modules_min, wish_.n_modules_max);
    std::string folder = wish_.tests ? "" : folders[random_.below(6)];
    for (size_t i = 0; i < n_modules; ++i) {
      if (!wish_.tests && random_.chance(0.3)) folder = folders[random_.below(6)];
      modules_.push_back(make_module(folder));
    }
    for (Module& module : modules_) put_together(module);
    std::sort(calls_.begin(), calls_.end(), [](const auto& a, const auto& b) {
      return std::pair(a.second.file, a.second.line) < std::pair(b.second.file, b.second.line);
    });
    for (const auto& [function, place] : calls_)
      repository_.functions[function].calls.push_back(place);
    if (random_.chance(0.5)) add_readme();
    if (wish_.tests) add_tests();
    return std::move(repository_);
  }

 private:
  bool python() const { return repository_.language == Language::python; }
  Style function_style() const {
    return repository_.language == Language::cpp && camel_ ? Style::camel : Style::snake;
  }
  std::string comment(const std::string& text) const {
    return python()                              ? "# " + text
           : repository_.language == Language::c ? "/* " + text + " */"
                                                 : "// " + text;
  }

  Module make_module(const std::string& folder) {
    camel_ = random_.chance(0.4);
    Module m;
    m.name = names_.name(Style::snake, 1);
    const char* const ending = python()                              ? ".py"
                               : repository_.language == Language::c ? ".c"
                                                                     : ".cpp";
    if (!python()) {
      m.header = repository_.files.size();
      repository_.files.push_back({folder + m.name + ".h", {}});
    }
    m.source = repository_.files.size();
    repository_.files.push_back({folder + m.name + ending, {}});
    const size_t n_constants = random_.between(0, 2), n_functions = random_.between(1, 3);
    for (size_t i = 0; i < n_constants; ++i) add_constant(m);
    if (!m.body.empty()) m.body.emplace_back();
    if (random_.chance(0.3)) add_list(m);
    for (size_t i = 0; i < n_functions; ++i) add_function(m);
    if (random_.chance(0.4)) add_type(m);
    while (!m.body.empty() && m.body.back().empty()) m.body.pop_back();
    return m;
  }

  void add_constant(Module& m) {
    MadeConstant c;
    if (repository_.language == Language::cpp && random_.chance(0.3)) {
      c.name = "k" + names_.name(Style::pascal, random_.between(1, 2));
    } else {
      c.name = wish_.look_alikes && !repository_.constants.empty() && random_.chance(0.5)
                   ? names_.like(repository_.constants.back().name, Style::upper)
                   : names_.name(Style::upper, random_.between(1, 2));
    }
    c.is_text = random_.chance(0.3);
    c.value = c.is_text ? fmt::format("\"{} {}\"", names_.word(), names_.word())
                        : std::to_string(random_.between(2, 500));
    const char* const form = python()                              ? "{} = {}"
                             : repository_.language == Language::c ? "#define {} {}"
                             : c.is_text ? "constexpr const char* {} = {};"
                                         : "constexpr int {} = {};";
    m.body.push_back(fmt::format(fmt::runtime(form), c.name, c.value));
    c.at = {m.source, m.body.size()};
    m.constants.push_back(repository_.constants.size());
    repository_.constants.push_back(std::move(c));
  }

  void add_list(Module& m) {
    MadeList list;
    list.name = names_.name(python() ? Style::upper : Style::snake, random_.between(1, 2));
    m.body.push_back(python() ? list.name + " = ["
                              : fmt::format("static const char *const {}[] = {{", list.name));
    list.at = {m.source, m.body.size()};
    const size_t n = random_.between(2, 5);
    for (size_t i = 0; i < n; ++i) {
      list.entries.push_back(names_.word());
      m.body.push_back(fmt::format("{}\"{}\",", python() ? "    " : "  ", list.entries.back()));
    }
    m.body.push_back(python() ? "]" : "};");
    m.body.emplace_back();
    m.lists.push_back(repository_.lists.size());
    repository_.lists.push_back(std::move(list));
  }

  std::string signature(const MadeFunction& f) const {
    std::string list;
    for (const std::string& p : f.parameters) {
      list += (list.empty() ? "" : ", ") + (python() ? p : "int " + p);
    }
    if (list.empty() && repository_.language == Language::c) list = "void";
    return python() ? fmt::format("def {}({}):", f.name, list)
                    : fmt::format("int {}({})", f.name, list);
  }

  void add_function(Module& m) {
    MadeFunction f;
    f.name = wish_.look_alikes && !repository_.functions.empty() && random_.chance(0.5)
                 ? names_.like(repository_.functions.back().name, function_style())
                 : names_.name(function_style(), random_.between(1, 3));
    if (python() && !m.body.empty()) {
      m.body.emplace_back();
    }
    const bool calls = !repository_.functions.empty() && random_.chance(0.35) && !wish_.tests;
    if (calls) {
      add_caller(m, f);
    } else {
      add_shaped(m, f);
    }
    if (!python()) m.declarations.push_back(signature(f) + ";");
    m.body.emplace_back();
    m.functions.push_back(repository_.functions.size());
    repository_.functions.push_back(std::move(f));
  }

  void begin_function(Module& m, MadeFunction& f, const std::string& doc) {
    if (!python()) m.body.push_back(comment(doc + "."));
    m.body.push_back(signature(f) + (python() ? "" : " {"));
    f.at = {m.source, m.body.size()};
    if (python()) m.body.push_back(fmt::format("    \"\"\"{}.\"\"\"", doc));
    if (random_.chance(0.15)) {
      m.body.push_back(
          (python() ? "    " : "  ") +
          comment(fmt::format("TODO: {} the {} of the {}", random_.chance(0.5) ? "check" : "rename",
                              names_.word(), names_.word())));
      m.todos.push_back(m.body.size());
    }
  }

  void add_shaped(Module& m, MadeFunction& f) {
    f.shape = &random_.pick(function_shapes());
    for (size_t i = 0; i < f.shape->n_parameters; ++i) {
      f.parameters.push_back(names_.name(Style::snake, 1));
    }
    begin_function(m, f, filled(f, expand(f.shape->doc, Split::training, random_)));
    for (const std::string& line : python() ? f.shape->python : f.shape->c) {
      m.body.push_back(filled(f, line));
    }
    if (!python()) m.body.push_back("}");
  }

  void add_caller(Module& m, MadeFunction& f) {
    const size_t called = random_.below(repository_.functions.size());
    const MadeFunction& g = repository_.functions[called];
    const std::string owner = module_of(g);
    if (owner != m.name && !owner.empty() &&
        std::find(m.needs.begin(), m.needs.end(), owner) == m.needs.end()) {
      m.needs.push_back(owner);
      imported_.push_back({m.name, owner, g.name});
    } else if (!owner.empty() && owner != m.name) {
      imported_.push_back({m.name, owner, g.name});
    }
    f.parameters.push_back(names_.name(Style::snake, 1));
    begin_function(m, f, fmt::format("The {} of a {}", names_.word(), names_.word()));
    std::string arguments;
    for (size_t i = 0; i < g.parameters.size(); ++i) {
      arguments += (i == 0 ? "" : ", ") +
                   (i == 0 ? f.parameters[0] : std::to_string(random_.between(1, 60)));
    }
    const std::string call = fmt::format("{}({})", g.name, arguments);
    const std::string indent = python() ? "    " : "  ", stop = python() ? "" : ";";
    if (random_.chance(0.5)) {
      m.body.push_back(
          fmt::format("{}return {} + {}{}", indent, call, random_.between(1, 9), stop));
    } else {
      m.body.push_back(
          fmt::format("{}{}result = {}{}", indent, python() ? "" : "int ", call, stop));
      m.body.push_back(fmt::format("{}return result * {}{}", indent, random_.between(2, 9), stop));
    }
    const size_t line =
        m.body.size() - (m.body.back().find("result *") == std::string::npos ? 0 : 1);
    pending_calls_.push_back({called, {m.source, line}});
    if (!python()) m.body.push_back("}");
  }

  void add_type(Module& m) {
    MadeType type;
    type.name = names_.name(Style::pascal, random_.between(1, 2));
    const std::string field = names_.word();
    if (python()) {
      if (!m.body.empty()) m.body.emplace_back();
      m.body.push_back(fmt::format("class {}:", type.name));
      type.at = {m.source, m.body.size()};
      m.body.push_back(fmt::format("    def __init__(self, {}):", field));
      m.body.push_back(fmt::format("        self.{0} = {0}", field));
    } else {
      m.declarations.emplace_back();
      m.declarations.push_back(fmt::format("struct {} {{", type.name));
      type.at = {m.header, m.declarations.size()};
      m.declarations.push_back(fmt::format("  int {};", field));
      m.declarations.push_back("};");
    }
    m.body.emplace_back();
    m.types.push_back(repository_.types.size());
    repository_.types.push_back(std::move(type));
  }

  std::string module_of(const MadeFunction& f) const {
    for (const Module& m : modules_) {
      if (m.source == f.at.file) return m.name;
    }
    return {};  // the module that is being made
  }

  /// The file's head, then its body; places move down by the head.
  void put_together(Module& m) {
    std::vector<std::string> head;
    std::string doc = fmt::format("{} for {}.", names_.word(), names_.word());
    doc[0] = static_cast<char>(doc[0] - 'a' + 'A');
    if (python()) {
      if (random_.chance(0.7)) head = {fmt::format("\"\"\"{}\"\"\"", doc), ""};
      std::vector<std::string> lines;
      for (const auto& [user, owner, name] : imported_) {
        const std::string line = fmt::format("from {} import {}", owner, name);
        if (user == m.name && std::find(lines.begin(), lines.end(), line) == lines.end()) {
          lines.push_back(line);
        }
      }
      if (lines.empty() && random_.chance(0.4)) lines.push_back("import os");
      head.insert(head.end(), lines.begin(), lines.end());
      if (!lines.empty()) head.emplace_back();
    } else {
      if (random_.chance(0.7)) head.push_back(comment(doc));
      head.push_back(fmt::format("#include \"{}.h\"", m.name));
      for (const std::string& need : m.needs)
        head.push_back(fmt::format("#include \"{}.h\"", need));
      head.emplace_back();
      std::string guard;
      for (const char c : m.name) guard += c == '_' ? c : static_cast<char>(std::toupper(c));
      std::vector<std::string>& header = repository_.files[m.header].lines;
      header =
          repository_.language == Language::c
              ? std::vector<std::string>{"#ifndef " + guard + "_H", "#define " + guard + "_H", ""}
              : std::vector<std::string>{"#pragma once", ""};
      const size_t moved = header.size();
      header.insert(header.end(), m.declarations.begin(), m.declarations.end());
      if (repository_.language == Language::c) header.insert(header.end(), {"", "#endif"});
      for (const size_t i : m.types) repository_.types[i].at.line += moved;
    }
    std::vector<std::string>& lines = repository_.files[m.source].lines;
    lines = head;
    lines.insert(lines.end(), m.body.begin(), m.body.end());
    const size_t moved = head.size();
    for (const size_t i : m.functions) repository_.functions[i].at.line += moved;
    for (const size_t i : m.constants) repository_.constants[i].at.line += moved;
    for (const size_t i : m.lists) repository_.lists[i].at.line += moved;
    if (python()) {
      for (const size_t i : m.types) repository_.types[i].at.line += moved;
    }
    for (const size_t line : m.todos) repository_.todos.push_back({m.source, line + moved});
    for (const auto& [function, place] : pending_calls_) {
      if (place.file == m.source) calls_.push_back({function, {place.file, place.line + moved}});
    }
  }

  void add_readme() {
    std::vector<std::string> lines = {"# " + repository_.name, "",
                                      fmt::format("A small tool for {}.", names_.word())};
    if (!repository_.functions.empty() && random_.chance(0.4)) {
      lines.push_back("");
      lines.push_back(
          fmt::format("See `{}` for the start.", random_.pick(repository_.functions).name));
    }
    repository_.files.push_back({"README.md", lines});
  }

  void add_tests() { python() ? add_python_tests() : add_c_tests(); }

  /// Now and then named after the repository.
  const std::string& test_module() {
    repository_.test_module =
        "test_" +
        (random_.chance(0.3) ? repository_.name : names_.name(Style::snake, random_.between(1, 2)));
    return repository_.test_module;
  }

  static std::string call_text(const MadeFunction& f, const std::vector<int64_t>& arguments) {
    std::string text = f.name + "(";
    for (size_t i = 0; i < f.parameters.size(); ++i) {
      text += (i == 0 ? "" : ", ") + std::to_string(arguments[i]);
    }
    return text + ")";
  }

  void add_python_tests() {
    std::vector<std::string> lines = {"import unittest", ""};
    for (const Module& m : modules_) {
      for (const size_t i : m.functions) {
        lines.push_back(fmt::format("from {} import {}", m.name, repository_.functions[i].name));
      }
    }
    lines.insert(
        lines.end(),
        {"", "", fmt::format("class {}Test(unittest.TestCase):", names_.name(Style::pascal, 1))});
    for (MadeFunction& f : repository_.functions) {
      if (f.shape == nullptr) continue;
      f.tested = true;
      const auto v = f.shape->arguments(random_);
      lines.push_back(fmt::format("    def test_{}(self):", f.name));
      lines.push_back(fmt::format("        self.assertEqual({}, {})", call_text(f, v),
                                  f.shape->value(v[0], v[1], v[2])));
      lines.emplace_back();
    }
    lines.insert(lines.end(), {"", "if __name__ == \"__main__\":", "    unittest.main()"});
    const std::string name = test_module();
    repository_.files.push_back({name + ".py", lines});
    repository_.test_command =
        random_.chance(0.5) ? "python3 -B -m unittest " + name : "python3 -B " + name + ".py";
  }

  void add_c_tests() {
    const bool cpp = repository_.language == Language::cpp;
    std::vector<std::string> lines = {"#include <stdio.h>", ""};
    std::string sources;
    for (const Module& m : modules_) {
      lines.push_back(fmt::format("#include \"{}.h\"", m.name));
      sources += " " + repository_.files[m.source].path;
    }
    lines.insert(
        lines.end(),
        {"", "static int failed = 0;", "",
         "#define CHECK(got, wanted)                                        \\",
         "  if ((got) != (wanted)) {                                        \\",
         R"(    printf("%s:%d: %s is %d, expected %d\n", __FILE__, __LINE__, #got, (got), (wanted)); \)",
         "    failed = 1;                                                   \\", "  }", "",
         cpp ? "int main() {" : "int main(void) {"});
    for (MadeFunction& f : repository_.functions) {
      if (f.shape == nullptr) continue;
      f.tested = true;
      for (size_t n = random_.chance(0.4) ? 2 : 1; n > 0; --n) {
        const auto v = f.shape->arguments(random_);
        lines.push_back(
            fmt::format("  CHECK({}, {});", call_text(f, v), f.shape->value(v[0], v[1], v[2])));
      }
    }
    lines.insert(lines.end(),
                 {"  if (!failed) printf(\"all tests passed\\n\");", "  return failed;", "}"});
    const std::string file = test_module() + (cpp ? ".cpp" : ".c");
    repository_.files.push_back({file, lines});
    const char* const compiler = cpp ? "c++" : "cc";
    const char* const warnings = random_.chance(0.5) ? " -Wall -Wextra" : "";
    repository_.files.push_back(
        {"Makefile",
         {"test: tests", "\t@./tests", "", fmt::format("tests:{} {}", sources, file),
          fmt::format("\t@{}{}{} {} -o tests", compiler, warnings, sources, file), "",
          ".PHONY: test tests"}});
    repository_.test_command = "make test";
    if (random_.chance(0.3)) add_python_side(repository_.files.back());
  }

  /// A module in Python beside the C, with tests of its own that `make test` runs too.
  void add_python_side(MadeFile& makefile) {
    MadeRepository side = make_repository(
        {.language = Language::python, .n_modules_min = 1, .n_modules_max = 1, .tests = true},
        names_, random_);
    makefile.lines.insert(makefile.lines.begin() + 2,
                          "\t@python3 -B -m unittest " + side.test_module);
    for (MadeFile& file : side.files) {
      if (file.path != "README.md") repository_.files.push_back(std::move(file));
    }
  }

  std::string filled(const MadeFunction& f, const std::string& text) const {
    std::vector<std::pair<std::string_view, std::string>> values;
    static constexpr std::string_view kKeys[] = {"a", "b", "c"};
    for (size_t i = 0; i < f.parameters.size(); ++i) values.push_back({kKeys[i], f.parameters[i]});
    return fill(text, values);
  }

  struct Import {
    std::string user, owner, name;
  };

  const RepositoryWish& wish_;
  Names& names_;
  Random& random_;
  MadeRepository repository_;
  std::vector<Module> modules_;
  std::vector<Import> imported_;
  std::vector<std::pair<size_t, Place>> pending_calls_, calls_;
  bool camel_ = false;
};

}  // namespace

MadeRepository make_repository(const RepositoryWish& wish, Names& names, Random& random) {
  return Maker(wish, names, random).run();
}

}  // namespace sable::evaluation
