// A call whose command may not change the workspace itself: before it runs, and when it has ended.
#pragma once

#include <string>

#include "tools/tools.h"

namespace sable::tools {

/// Puts transactions on the writable roots of `policy` if it keeps changes apart; else null, and
/// `policy` stays as it is. From then on cancelling the caller's coroutine does not unwind it: it
/// goes on to settled_outcome(), which drops what was changed. Errors: unsupported (the context
/// names no place for them), those of sandbox::KeptApart.
asio::awaitable<Result<HeldChanges>> keep_apart(const CallContext& context,
                                                sandbox::Policy& policy);

/// Runs the command of such a call in a coroutine of its own: what protects that against
/// cancellation ends with it, so that a question about its changes can be withdrawn.
asio::awaitable<Result<sandbox::RunResult>> run_before_review(sandbox::Sandbox& sandbox,
                                                              sandbox::Policy policy,
                                                              sandbox::Command command,
                                                              sandbox::OutputSink output);

/// What came of the call, once the reviewer of the context has decided about its changes: the text
/// and the details say so, and what was applied is in `changes`. With changes that were dropped the
/// call has failed. Without `kept` the outcome is as it was. `about`: see ProposedChanges.
asio::awaitable<Result<Outcome>> settled_outcome(CallContext context, HeldChanges kept,
                                                 std::string about, Outcome outcome);

}  // namespace sable::tools
