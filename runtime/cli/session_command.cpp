// `sable session`: what the log knows, read without disturbing whoever writes it.
#include <cstdio>

#include <fmt/format.h>

#include "agent/agent.h"
#include "base/text.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/session_prune_command.h"
#include "runtime/cli/session_rewind_command.h"
#include "runtime/loop.h"
#include "runtime/terminal/output.h"
#include "runtime/terminal/turn_printer.h"

namespace sable::runtime {

namespace {

constexpr size_t kEventsPerRead = 1000;

struct SessionOptions {
  std::string id;
  std::string text;  ///< to search for
  size_t n_max = 50;
  uint64_t from = 1;
  uint64_t at = 0;  ///< 0: the newest
  std::string file;
  uint64_t to = 0;
  bool keep_files = false;
  PruneOptions prune;
};

Json to_json(const memory::SessionInfo& info) {
  Json json{{"id", info.id},
            {"title", info.title},
            {"working_directory", info.working_directory.string()},
            {"agent", info.agent},
            {"model", info.model},
            {"status", info.status},
            {"created", to_rfc3339(info.created)},
            {"updated", to_rfc3339(info.updated)},
            {"n_events", info.n_events},
            {"input_tokens", info.input_tokens},
            {"output_tokens", info.output_tokens}};
  if (info.owner_pid) json["owner_pid"] = *info.owner_pid;
  return json;
}

asio::awaitable<int> list_sessions(const Program& program, memory::Store& store, size_t n_max) {
  const auto sessions = co_await store.list(n_max);
  if (!sessions) co_return program.fail_with(sessions.error());
  Output out(1);
  if (sessions->empty() && !program.json) out.write("no sessions yet\n");
  for (const auto& info : *sessions) {
    if (program.json) {
      out.write(dump_json(to_json(info)) + "\n");
      continue;
    }
    out.write(fmt::format("{:<14} {:<12} {}  {:>5} events  {}\n", info.id,
                          info.owner_pid ? "running" : info.status,
                          to_rfc3339(info.updated).substr(0, 16), info.n_events,
                          escape_controls(info.title.substr(0, utf8_prefix(info.title, 60)))));
  }
  co_return program.status_once_written(out);
}

asio::awaitable<int> search_sessions(const Program& program, memory::Store& store, std::string text,
                                     size_t n_max) {
  const auto hits = co_await store.search(std::move(text), n_max);
  if (!hits) co_return program.fail_with(hits.error());
  Output out(1);
  const Style style{program.colour(1)};
  if (hits->empty() && !program.json) out.write("nothing found\n");
  for (const auto& hit : *hits) {
    if (program.json) {
      out.write(dump_json(Json{{"session", hit.session},
                               {"title", hit.title},
                               {"seq", hit.seq},
                               {"time", to_rfc3339(hit.time)},
                               {"type", hit.type},
                               {"excerpt", hit.excerpt}}) +
                "\n");
      continue;
    }
    out.write(fmt::format("{} {} {:<18} {}\n",
                          style.bold(fmt::format("{}:{}", hit.session, hit.seq)),
                          to_rfc3339(hit.time).substr(0, 16), escape_controls(hit.type),
                          escape_controls(hit.excerpt)));
  }
  co_return program.status_once_written(out);
}

/// Feeds every event of a session, from `from` on, to the observer.
asio::awaitable<Result<void>> replay(memory::Store& store, std::string id, memory::Seq from,
                                     agent::Observer& observer) {
  while (true) {
    SABLE_CO_TRY(const auto events, co_await store.read(id, from, kEventsPerRead));
    if (events.empty()) co_return Result<void>();
    for (const auto& event : events) observer.on_event(event);
    from = events.back().seq + 1;
  }
}

/// Shows prompts too, which a live terminal has just seen typed, and what protection the user went
/// without.
class StoryPrinter : public TurnPrinter {
 public:
  StoryPrinter(Output& output, Style style)
      : TurnPrinter(output, style, /*live=*/false), output_(output), style_(style) {}
  void on_event(const memory::Event& event) override {
    if (const auto now = agent::opt_outs_from(event); now && *now != opt_outs_) {
      for (const auto& sentence : *now)
        output_.write(style_.yellow(escape_controls(sentence)) + "\n");
      if (now->empty()) output_.write("from here on with all of the protection again\n");
      opt_outs_ = *now;
    }
    if (event.type == "turn.started") {
      output_.write(
          "\n" + style_.bold("> " + escape_controls(string_or(event.data, "prompt", ""))) + "\n");
    }
    TurnPrinter::on_event(event);
  }

 private:
  Output& output_;
  Style style_;
  std::vector<std::string> opt_outs_;  ///< as said last
};

asio::awaitable<int> show_session(const Program& program, memory::Store& store, std::string id) {
  const auto info = co_await store.find(std::move(id));
  if (!info) co_return program.fail_with(info.error());
  const auto unfinished = co_await store.unfinished_calls(info->id);
  if (!unfinished) co_return program.fail_with(unfinished.error());
  Output out(1);
  if (program.json) {
    Json json = to_json(*info);
    Json calls = Json::array();
    for (const auto& event : *unfinished) calls.push_back(memory::to_json(event));
    json["unfinished_calls"] = std::move(calls);
    const auto tasks = co_await agent::tasks_of(store, info->id);
    if (!tasks) co_return program.fail_with(tasks.error());
    json["tasks"] = memory::to_json(*tasks);
    out.write(dump_json(json) + "\n");
    co_return program.status_once_written(out);
  }
  const Style style{program.colour(1)};
  out.write(fmt::format("{}  {}\nrepository {}\nagent {}, model {}\n", style.bold(info->id),
                        escape_controls(info->title),
                        escape_controls(info->working_directory.string()),
                        escape_controls(info->agent), escape_controls(info->model)));
  StoryPrinter printer(out, style);
  const auto replayed = co_await replay(store, info->id, 1, printer);
  if (!replayed) co_return program.fail_with(replayed.error());
  const auto tasks = co_await agent::tasks_of(store, info->id);
  if (!tasks) co_return program.fail_with(tasks.error());
  if (!tasks->empty()) out.write("\n" + escape_controls(memory::render_tasks(*tasks)));
  out.write(fmt::format("\nstatus {}, {} events\n", info->owner_pid ? "running" : info->status,
                        info->n_events));
  // A turn that was broken off lacks the model's last word; one that failed may have it.
  const bool broken_off = info->status == "running" || info->status == "interrupted";
  if (!info->owner_pid && broken_off) {
    out.write("go on with it: sable run --resume " + info->id + "\n");
  }
  for (const auto& event : *unfinished) {
    const auto what = fmt::format("{} ({})", string_or(event.data, "name", "?"),
                                  string_or(event.data, "call_id", "?"));
    out.write(info->owner_pid
                  ? fmt::format("running now: {}, in process {}\n", what, *info->owner_pid)
                  : style.yellow(fmt::format("the program stopped while {} was running: whether it "
                                             "took effect is unknown",
                                             what)) +
                        "\n");
  }
  co_return program.status_once_written(out);
}

asio::awaitable<int> print_events(const Program& program, memory::Store& store, std::string id,
                                  memory::Seq from) {
  const auto info = co_await store.find(std::move(id));
  if (!info) co_return program.fail_with(info.error());
  Output out(1);
  JsonPrinter printer(out);
  const auto replayed = co_await replay(store, info->id, from, printer);
  co_return replayed ? program.status_once_written(out) : program.fail_with(replayed.error());
}

/// What was done: a line for people or one JSON object.
int report(const Program& program, const std::string& line, const Json& json) {
  Output out(1);
  out.write((program.json ? dump_json(json) : line) + "\n");
  return program.status_once_written(out);
}

asio::awaitable<int> delete_session(const Program& program, memory::Store& store, std::string id) {
  const auto info = co_await store.find(std::move(id));
  if (!info) co_return program.fail_with(info.error());
  const auto removed = co_await store.remove(info->id);
  if (!removed) co_return program.fail_with(removed.error());
  co_return report(program, "deleted " + info->id, {{"deleted", info->id}});
}

asio::awaitable<int> fork_session(const Program& program, memory::Store& store, std::string id,
                                  memory::Seq at) {
  const auto info = co_await store.find(std::move(id));
  if (!info) co_return program.fail_with(info.error());
  const auto lease = co_await store.fork(info->id, at == 0 ? info->n_events : at);
  if (!lease) co_return program.fail_with(lease.error());
  const std::string made = (*lease)->session();
  co_return report(program, made, {{"session", made}, {"from", info->id}});
}

asio::awaitable<int> export_session(const Program& program, memory::Store& store, std::string id,
                                    std::string file) {
  const auto info = co_await store.find(std::move(id));
  if (!info) co_return program.fail_with(info.error());
  std::filesystem::path target = std::filesystem::absolute(file);
  const auto written = co_await store.export_session(info->id, std::move(target));
  if (!written) co_return program.fail_with(written.error());
  std::string line = fmt::format("{}: {} events", escape_controls(file), written->n_events);
  if (written->n_checkpoint_objects > 0) {
    line += fmt::format(" and the files to rewind to ({} objects)", written->n_checkpoint_objects);
  }
  if (!written->files_left_out.empty()) {
    line += fmt::format("; without the files to rewind to: {}",
                        escape_controls(written->files_left_out));
  }
  co_return report(program, line,
                   {{"session", info->id},
                    {"file", file},
                    {"events", written->n_events},
                    {"checkpoint_objects", written->n_checkpoint_objects},
                    {"files_left_out", written->files_left_out}});
}

asio::awaitable<int> import_session(const Program& program, memory::Store& store,
                                    std::string file) {
  std::filesystem::path source = std::filesystem::absolute(file);
  const auto id = co_await store.import_session(std::move(source));
  if (!id) co_return program.fail_with(id.error());
  const auto info = co_await store.find(*id);
  if (!info) co_return program.fail_with(info.error());
  const auto place = info->working_directory.string();
  // Where it would write is for a person to see; scripts read the id.
  if (!program.json) {
    Output(2).write(fmt::format("the session works in {}\n", escape_controls(place)));
  }
  co_return report(program, *id, {{"session", *id}, {"working_directory", place}});
}

using StoreWork = std::function<asio::awaitable<int>(memory::Store&, asio::thread_pool&)>;

int with_store(const Program& program, const StoreWork& work) {
  const auto loaded = program.load_config(std::nullopt);
  if (!loaded) return program.fail_with(loaded.error());
  auto store = memory::Store::open(*loaded->config.home);
  if (!store) return program.fail_with(store.error());
  Loop loop;
  return loop.run(work(**store, loop.workers()));
}

}  // namespace

void add_session_commands(CLI::App& app, Program& program, Action& chosen) {
  auto* group = app.add_subcommand("session", "Sessions over time");
  group->require_subcommand(1);
  const auto options = std::make_shared<SessionOptions>();
  const auto add = [&](const char* name, const char* help, auto work) {
    auto* command = group->add_subcommand(name, help);
    command->callback([options, work, &chosen] {
      chosen = [options, work](const Program& running) {
        return with_store(running, [&](memory::Store& store, asio::thread_pool& workers) {
          if constexpr (std::is_invocable_v<decltype(work), const Program&, memory::Store&,
                                            asio::thread_pool&, const SessionOptions&>) {
            return work(running, store, workers, *options);
          } else {
            return work(running, store, *options);
          }
        });
      };
    });
    return command;
  };

  auto* list = add("list", "Newest first",
                   [](const Program& running, memory::Store& store, const SessionOptions& given) {
                     return list_sessions(running, store, given.n_max);
                   });
  list->add_option("-n", options->n_max, "At most so many")->capture_default_str();
  list->add_flag("--json", program.json, "One JSON object a line");

  auto* search = add("search", "Events of all sessions that hold a text, newest first",
                     [](const Program& running, memory::Store& store, const SessionOptions& given) {
                       return search_sessions(running, store, given.text, given.n_max);
                     });
  search->add_option("text", options->text, "In either case; exact otherwise")->required();
  search->add_option("-n", options->n_max, "At most so many")->capture_default_str();
  search->add_flag("--json", program.json, "One JSON object a line");

  auto* show = add("show", "The whole story of one session",
                   [](const Program& running, memory::Store& store, const SessionOptions& given) {
                     return show_session(running, store, given.id);
                   });
  show->add_option("id", options->id, "A session's id, or its beginning")->required();
  show->add_flag("--json", program.json, "The summary as one JSON object");

  auto* events = add("events", "Its events, one JSON object a line",
                     [](const Program& running, memory::Store& store, const SessionOptions& given) {
                       return print_events(running, store, given.id, given.from);
                     });
  events->add_option("id", options->id, "A session's id, or its beginning")->required();
  events->add_option("--from", options->from, "The first number to print")->capture_default_str();
  events->add_flag("--json", program.json, "Always so; accepted for symmetry");

  auto* fork = add("fork", "A new session that shares another one's beginning; prints its id",
                   [](const Program& running, memory::Store& store, const SessionOptions& given) {
                     return fork_session(running, store, given.id, given.at);
                   });
  fork->add_option("id", options->id, "A session's id, or its beginning")->required();
  fork->add_option("--at", options->at, "The last event to share (default: all)")->type_name("SEQ");
  fork->add_flag("--json", program.json, "What was done as one JSON object");

  auto* rewind =
      add("rewind", "Back to an earlier moment: conversation and files; can be undone",
          [](const Program& running, memory::Store& store, asio::thread_pool& workers,
             const SessionOptions& given) {
            return rewind_session(running, store, workers, given.id, given.to, given.keep_files);
          });
  rewind->add_option("id", options->id, "A session's id, or its beginning")->required();
  rewind->add_option("--to", options->to, "The last event that counts")
      ->required()
      ->type_name("SEQ");
  rewind->add_flag("--keep-files", options->keep_files, "Leave the files as they are");
  rewind->add_flag("--json", program.json, "What was done as one JSON object");

  auto* out = add("export", "Write a session with all that belongs to it to one file",
                  [](const Program& running, memory::Store& store, const SessionOptions& given) {
                    return export_session(running, store, given.id, given.file);
                  });
  out->add_option("id", options->id, "A session's id, or its beginning")->required();
  out->add_option("file", options->file, "The file to write")->required();
  out->add_flag("--json", program.json, "What was done as one JSON object");

  auto* in = add("import", "Read such a file; prints the session's id",
                 [](const Program& running, memory::Store& store, const SessionOptions& given) {
                   return import_session(running, store, given.file);
                 });
  in->add_option("file", options->file, "The file to read")->required();
  in->add_flag("--json", program.json, "What was done as one JSON object");

  auto* remove = add("delete", "Remove a session and what only it uses",
                     [](const Program& running, memory::Store& store, const SessionOptions& given) {
                       return delete_session(running, store, given.id);
                     });
  remove->add_option("id", options->id, "A session's id, or its beginning")->required();
  remove->add_flag("--json", program.json, "What was done as one JSON object");

  auto* prune = add("prune", "Remove the sessions that limits no longer keep; prints what went",
                    [](const Program& running, memory::Store& store, const SessionOptions& given) {
                      return prune_sessions(running, store, given.prune);
                    });
  prune
      ->add_option("--older-than", options->prune.older_than_days,
                   "Without an event for so many days (default: retention.days)")
      ->type_name("DAYS");
  prune
      ->add_option("--larger-than", options->prune.larger_than,
                   "The oldest, while all take more than this (default: retention.size)")
      ->type_name("SIZE");
  prune->add_flag("--dry-run", options->prune.dry_run, "Only print what would be removed");
  prune->add_flag("--json", program.json, "What was done as one JSON object");
}

}  // namespace sable::runtime
