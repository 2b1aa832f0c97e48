// A front end of a running `sable serve`: blocking, with the token, over a real WebSocket.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "tests/e2e/world.h"

namespace sable::test {

class FrontEnd {
 public:
  FrontEnd(const std::string& port, const std::string& token);
  ~FrontEnd();

  /// The whole answer to a request; what comes before it is kept in `seen`, and questions are
  /// answered with the option `choice`.
  Json call(const std::string& method, const Json& params);
  /// initialize and session/new; the session's id.
  std::string begin(const std::filesystem::path& repository);
  /// session/prompt with this text.
  Json prompt(const std::string& session, const std::string& text);

  std::string choice = "allow_once";
  std::function<void(const Json& question)> on_question;  ///< before the answer is sent
  std::vector<Json> seen;

 private:
  struct Connection;
  Json receive();

  std::unique_ptr<Connection> connection_;
  int n_requests_ = 0;
};

/// `sable serve` on a free port of loopback, with the world's scripted model.
class Serving {
 public:
  explicit Serving(const World& world, std::vector<std::string> further = {});

  /// Fails the test when the server does not listen.
  FrontEnd connect();
  /// Asks it to stop and waits for its end.
  Finished stop();
  /// kill -9, and waits for its end.
  void kill();

 private:
  const World& world_;
  ChildProcess process_;
};

}  // namespace sable::test
