// How the program ends when it cannot go on.
#pragma once

namespace sable {

/// From here on an exception that nobody catches ends the process at once: a lack of memory with a
/// sentence on standard error and exit status 70, as a kill would (what was acknowledged is kept);
/// any other one is our bug and aborts. Called once, by main.
void end_with_last_words();

/// Memory that runs out on the calling thread ends the process so, before anything is thrown: for
/// the loop's thread, where a coroutine that lost its next step would wait for ever.
void need_memory_on_this_thread();

}  // namespace sable
