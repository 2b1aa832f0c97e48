// A session's events and previews, told as the Agent Client Protocol's session/update (version 1).
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "runtime/server/outbox.h"

namespace sable::runtime {

/// The protocol's kind of a tool: "read", "search", "edit", "execute", else "other".
std::string_view tool_kind(std::string_view tool);
/// One line for people, fit to show: the command, or the tool and what it works on.
std::string tool_title(std::string_view tool, const Json& arguments);

/// A diff as one item of a tool call's content.
Json diff_content(std::string_view diff);

/// Streams previews and lets the durable events complete them: what a preview already showed is not
/// repeated, what was dropped is. One for each client and session; takes events in order.
class SessionUpdates {
 public:
  /// `root` is the session's folder: the protocol wants absolute paths.
  SessionUpdates(std::string session, std::filesystem::path root);

  /// The `update` objects that an event leads to, often none. `echo_prompt`: whether the client has
  /// yet to see the prompt of a turn (it does not when it sent it itself).
  std::vector<Json> on_event(const memory::Event& event, bool echo_prompt);

  /// As long as true, the plan may have changed since it was last shown: hand plan() the tasks.
  bool plan_is_stale() const { return plan_is_stale_; }
  /// The whole plan, if it is not what the client was last shown.
  std::optional<Json> plan(const memory::TaskState& tasks);

  /// What the user does without, for a client that has not seen the events that tell it; nothing if
  /// it has.
  std::optional<Json> opt_outs(const std::vector<std::string>& sentences);

  /// The preview as a notification, if there is one for it now.
  std::optional<Outbox::Preview> on_preview(const agent::Preview& preview);
  /// The preview that was just handed out did not fit: the rest of this reply waits for its event.
  void preview_dropped(const agent::Preview& preview);
  /// Events were taken late, so previews between them were missed: the rest of a running reply
  /// waits for its event.
  void previews_missed();

 private:
  /// One of the two texts of a reply, as far as it has been streamed.
  struct Streamed {
    std::string text;
    bool stopped = false;  ///< something was dropped: no more until the event
  };

  std::string message_id() const;
  void complete(std::vector<Json>& updates, const char* kind, const Streamed& streamed,
                const std::string& whole);
  void on_model_finished(std::vector<Json>& updates, const Json& data);
  void on_tool_outcome(std::vector<Json>& updates, const Json& data);
  void begin_step(int step);
  std::optional<Json> opt_outs_told(const std::vector<std::string>& sentences,
                                    const std::string& message_id);

  std::string session_;
  std::filesystem::path root_;
  int turn_ = 0;
  int step_ = 0;
  int attempt_ = 0;
  bool in_step_ = false;  ///< its beginning was seen, so that its previews are complete
  Streamed text_, reasoning_;
  std::set<std::string> announced_calls_;
  std::vector<std::string> opt_outs_;  ///< as the client knows them
  Json plan_;                          ///< likewise; null before
  bool plan_is_stale_ = false;
  std::string output_call_;  ///< whose output the tail is
  std::string output_tail_;
};

}  // namespace sable::runtime
