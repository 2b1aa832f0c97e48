#include "runtime/engine/scheduler.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>

#include <fmt/format.h>

#include "base/check.h"
#include "runtime/engine/snapshot_keeper.h"
#include "runtime/engine/token_job.h"

namespace sable::runtime {

using inference::TokenId;

namespace {

using StreamId = uint64_t;

/// A stream as the engine's thread sees it.
struct Served {
  std::unique_ptr<inference::Sequence> sequence;  // null until the first request, or forgotten
  std::shared_ptr<TokenJob> job;                  // under way
  agent::TokenReply reply;                        // of the job, so far
  uint64_t begun = 0;                             // when the job began, in jobs
  std::string session;                            // whose it is; empty: nothing is kept on disk
  std::shared_ptr<KeptState> kept = std::make_shared<KeptState>();
};

// In a long turn so many tokens are lost at most when the program is killed: seconds of a prefill.
constexpr uint64_t kTokensBetweenSnapshots = 8192;

size_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  const auto [x, y] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<size_t>(x - a.begin());
}

}  // namespace

/// Owns the engine; all but the constructor, the queue and the constants is its own thread's.
class Scheduler::EngineThread {
 public:
  EngineThread(std::unique_ptr<inference::Engine> engine, memory::SnapshotStore* snapshots,
               const Log& log)
      : engine_(std::move(engine)),
        snapshots_(snapshots),
        keeper_(snapshots == nullptr ? nullptr : std::make_unique<SnapshotKeeper>(*snapshots, log)),
        fingerprint_(to_hex(engine_->fingerprint())),
        thread_([this](const std::stop_token& stop) { run(stop); }) {}

  ~EngineThread() {
    thread_.request_stop();
    thread_.join();
  }

  const inference::Engine& engine() const { return *engine_; }
  const std::string& fingerprint() const { return fingerprint_; }

  StreamId new_id() { return ++last_id_; }

  void submit(StreamId id, std::shared_ptr<TokenJob> job) {
    send({Message::Kind::job, id, std::move(job)});
  }
  void rest(StreamId id) { send({Message::Kind::rest, id, nullptr}); }
  void release(StreamId id) { send({Message::Kind::end, id, nullptr}); }

 private:
  struct Message {
    enum class Kind { job, rest, end };
    Kind kind;
    StreamId stream;
    std::shared_ptr<TokenJob> job;
  };

  void send(Message message) {
    {
      const std::lock_guard lock(mutex_);
      inbox_.push_back(std::move(message));
    }
    wake_.notify_one();
  }

  void run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      take_messages(stop);
      give_up_closed();
      if (order_.empty()) continue;
      step(stop);
    }
    take_messages(stop);  // what was still to be kept
  }

  /// Waits for messages only when there is nothing else to do.
  void take_messages(const std::stop_token& stop) {
    std::deque<Message> messages;
    {
      std::unique_lock lock(mutex_);
      if (order_.empty()) wake_.wait(lock, stop, [&] { return !inbox_.empty(); });
      messages.swap(inbox_);
    }
    for (auto& [kind, id, job] : messages) {
      switch (kind) {
        case Message::Kind::job:
          begin(id, std::move(job));
          break;
        case Message::Kind::rest:
          keep(id, 1);
          break;
        case Message::Kind::end:
          keep(id, 1);
          leave(id);
          streams_.erase(id);
          break;
      }
    }
  }

  void give_up_closed() {
    for (const StreamId id : std::vector<StreamId>(order_)) {
      if (streams_.at(id).job->closed()) leave(id);
    }
  }

  /// The stream's job is over, one way or the other; its sequence stays.
  void leave(StreamId id) {
    std::erase(order_, id);
    if (const auto it = streams_.find(id); it != streams_.end()) it->second.job.reset();
  }

  void finish(StreamId id, Result<agent::TokenReply> result) {
    streams_.at(id).job->finish(std::move(result));
    leave(id);
  }

  void begin(StreamId id, std::shared_ptr<TokenJob> job) {
    leave(id);  // one that nobody waits for any more
    Served& stream = streams_[id];
    stream.job = std::move(job);
    stream.reply = {};
    stream.begun = ++n_jobs_;
    stream.session = stream.job->request().session;
    if (auto prepared = prepare(stream); !prepared) return finish(id, fail(prepared.error()));
    order_.push_back(id);
  }

  /// Keeps what the prompt shares with the stream so far, and appends the rest.
  Result<void> prepare(Served& stream) {
    const auto& request = stream.job->request();
    if (request.prompt.empty()) return fail(ErrorCode::invalid_input, "the prompt is empty");
    SABLE_TRY_VOID(inference::check(request.sampling));
    const uint64_t context = engine_->options().context_max;
    if (request.prompt.size() >= context) {
      return fail(ErrorCode::exhausted,
                  fmt::format("the prompt has {} tokens, the model's context {}; begin a new "
                              "session, or allow a longer context",
                              request.prompt.size(), context));
    }
    if (stream.sequence == nullptr) begin_sequence(stream);
    auto& sequence = *stream.sequence;
    const size_t n_common = common_prefix(sequence.tokens(), request.prompt);
    SABLE_TRY_VOID(sequence.truncate(n_common));
    stream.kept->forget_behind(n_common);
    stream.reply.n_cached = sequence.position();
    return sequence.append(std::span(request.prompt).subspan(n_common));
  }

  /// From a snapshot where there is one; anything that goes wrong with it costs a prefill.
  void begin_sequence(Served& stream) {
    stream.kept = std::make_shared<KeptState>();
    if (snapshots_ != nullptr && !stream.session.empty()) {
      auto restored = agent::restore_sequence(*snapshots_, stream.session, *engine_,
                                              stream.job->request().prompt);
      if (restored) {
        stream.sequence = std::move(*restored);
        stream.kept->note(stream.sequence->position());
        return;
      }
      if (restored.error().code == ErrorCode::exhausted && forget_unused()) {
        return begin_sequence(stream);
      }
    }
    stream.sequence = engine_->start();
  }

  /// Has what the stream computed stored, if that is at least `n_tokens_min` more than is stored.
  void keep(StreamId id, uint64_t n_tokens_min) {
    const auto it = streams_.find(id);
    if (it == streams_.end() || !keeper_ || it->second.session.empty()) return;
    const Served& stream = it->second;
    if (stream.sequence == nullptr) return;
    const uint64_t position = stream.sequence->position();
    if (position < memory::kSnapshotBlockTokens ||
        position < stream.kept->n_tokens() + n_tokens_min) {
      return;
    }
    auto copy = agent::copy_sequence(*engine_, *stream.sequence,
                                     stream.kept->n_tokens() / memory::kSnapshotBlockTokens);
    if (copy) keeper_->keep(stream.session, std::move(*copy), stream.kept);
  }

  void step(const std::stop_token& stop) {
    std::vector<inference::Sequence*> sequences;
    for (const StreamId id : order_) sequences.push_back(streams_.at(id).sequence.get());
    const auto report = engine_->step(sequences, stop);
    if (!report) return stopped_by(report.error());
    const std::vector<StreamId> stepped(order_);
    for (const StreamId id : stepped) {
      Served& stream = streams_.at(id);
      if (!stream.kept->is_busy()) keep(id, kTokensBetweenSnapshots);
      if (stream.sequence->n_waiting() == 0) pick(id, stream);
    }
    if (order_.size() > 1) std::rotate(order_.begin(), order_.begin() + 1, order_.end());
  }

  void stopped_by(const Error& error) {
    if (error.code == ErrorCode::cancelled) return;  // the scheduler itself is stopping
    if (error.code == ErrorCode::exhausted) {
      if (forget_unused()) return;
      const auto youngest = *std::max_element(
          order_.begin(), order_.end(),
          [&](StreamId a, StreamId b) { return streams_.at(a).begun < streams_.at(b).begun; });
      streams_.at(youngest).sequence.reset();
      finish(youngest,
             fail(ErrorCode::exhausted,
                  "too many sessions for the memory of the model's caches: " + error.message));
      return;
    }
    for (const StreamId id : std::vector<StreamId>(order_)) finish(id, fail(error));
  }

  /// Forgets the sequence that has been without a job for the longest time.
  bool forget_unused() {
    Served* oldest = nullptr;
    for (auto& [id, stream] : streams_) {
      if (stream.job != nullptr || stream.sequence == nullptr) continue;
      if (oldest == nullptr || stream.begun < oldest->begun) oldest = &stream;
    }
    if (oldest == nullptr) return false;
    oldest->sequence.reset();
    return true;
  }

  /// The next token of a stream whose prompt has been read.
  void pick(StreamId id, Served& stream) {
    auto& request = stream.job->request();
    auto& sequence = *stream.sequence;
    inference::SamplingInput input{.logits = sequence.logits(), .position = sequence.position()};
    if (request.mask != nullptr) {
      allowed_.assign(inference::TokenMask::words_for(input.logits.size()), 0);
      request.mask->fill_allowed(allowed_);
      input.allowed = allowed_;
    }
    const auto picked = sampler_.sample(request.sampling, input);
    if (!picked) return finish(id, fail(picked.error()));
    if (picked->id == request.end) {
      return end(id, stream, agent::TokenReply::End::end_token);
    }
    if (request.mask != nullptr && !request.mask->accept(picked->id)) {
      return finish(id, fail(ErrorCode::corrupt, "the mask refuses a token that it allowed"));
    }
    stream.reply.tokens.push_back(picked->id);
    stream.job->deliver(picked->id);
    if (stream.reply.tokens.size() >= request.n_tokens_max) {
      return end(id, stream, agent::TokenReply::End::length);
    }
    if (sequence.position() + 1 >= engine_->options().context_max) {
      return end(id, stream, agent::TokenReply::End::context);
    }
    if (auto appended = sequence.append({{picked->id}}); !appended) {
      finish(id, fail(std::move(appended.error())));
    }
  }

  void end(StreamId id, Served& stream, agent::TokenReply::End why) {
    stream.reply.end = why;
    finish(id, std::move(stream.reply));
  }

  std::unique_ptr<inference::Engine> engine_;
  memory::SnapshotStore* const snapshots_;
  std::unique_ptr<SnapshotKeeper> keeper_;  // null without snapshots
  std::string fingerprint_;
  std::atomic<StreamId> last_id_ = 0;

  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Message> inbox_;

  std::map<StreamId, Served> streams_;
  std::vector<StreamId> order_;  // those with a job, the next to be served first
  uint64_t n_jobs_ = 0;
  inference::Sampler sampler_;
  std::vector<uint64_t> allowed_;

  std::jthread thread_;  // last: ends before anything that it uses
};

/// The loop's side of a stream.
class Scheduler::Stream final : public agent::TokenSequence {
 public:
  Stream(EngineThread& thread, uint64_t id) : thread_(thread), id_(id) {}
  ~Stream() override { thread_.release(id_); }

  void rest() override { thread_.rest(id_); }

  asio::awaitable<Result<agent::TokenReply>> generate(agent::TokenRequest request,
                                                      agent::TokenSink on_tokens) override {
    const auto executor = co_await asio::this_coro::executor;
    const auto job = std::make_shared<TokenJob>(executor, std::move(request));
    asio::steady_timer timer(executor, asio::steady_timer::time_point::max());
    const Waiting waiting(*job, timer);
    thread_.submit(id_, job);
    while (true) {
      auto news = job->take();
      if (!news.tokens.empty()) on_tokens(news.tokens);
      if (news.result) co_return std::move(*news.result);
      boost::system::error_code woken;
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
      const auto state = co_await asio::this_coro::cancellation_state;
      if (state.cancelled() != asio::cancellation_type::none) {
        co_return fail(ErrorCode::cancelled, "the request was cancelled");
      }
    }
  }

 private:
  /// However the coroutine ends, the job is given up with it.
  struct Waiting {
    Waiting(TokenJob& j, asio::steady_timer& timer) : job(j) { job.listen(&timer); }
    ~Waiting() { job.close(); }
    TokenJob& job;
  };

  EngineThread& thread_;
  uint64_t id_;
};

Scheduler::Scheduler(std::unique_ptr<EngineThread> thread) : thread_(std::move(thread)) {}
Scheduler::~Scheduler() = default;

Result<std::unique_ptr<Scheduler>> Scheduler::open(const std::filesystem::path& model,
                                                   const inference::EngineOptions& options,
                                                   memory::SnapshotStore* snapshots,
                                                   const Log& log) {
  SABLE_TRY(auto engine, inference::Engine::open(model, options));
  if (!engine->tokenizer()) {
    return fail_in(model.string(), Error(engine->tokenizer().error()));
  }
  return std::unique_ptr<Scheduler>(
      new Scheduler(std::make_unique<EngineThread>(std::move(engine), snapshots, log)));
}

const inference::Tokenizer& Scheduler::tokenizer() const { return *thread_->engine().tokenizer(); }
const std::string& Scheduler::fingerprint() const { return thread_->fingerprint(); }
uint64_t Scheduler::context_max() const { return thread_->engine().options().context_max; }

std::unique_ptr<agent::TokenSequence> Scheduler::start() {
  return std::make_unique<Stream>(*thread_, thread_->new_id());
}

}  // namespace sable::runtime
