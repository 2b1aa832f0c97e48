// Takes requests for calls off a control socket: the launcher's, and a keeper's.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/plan.h"
#include "sandbox/wire.h"

namespace sable::sandbox {

struct PreparedCall;

class CallServer {
 public:
  /// `self`: a pidfd of this process. Signals must all be blocked.
  CallServer(int control, int self) : control_(control), self_(self) {}

  /// Until the control socket is closed; then everything that was made is killed.
  void serve();

 protected:
  ~CallServer() = default;
  /// Whether a plan of this role is made here, and what it needs besides.
  virtual bool accepts(PreparedCall& call) = 0;

 private:
  struct Request {
    CallRequest header;
    UniqueFd status, plan, memory_group, memory_door;
    int64_t due_ms = 0;
  };

  enum class Received { request, nonsense, closed };
  Received receive(Request& request) const;
  void make(Request& request);
  void make_waiting(int64_t until_ms);
  void reap(int signals);

  const int control_, self_;
  std::deque<Request> waiting_;  ///< asked for ahead of their use
  std::vector<int> running_;
};

}  // namespace sable::sandbox
