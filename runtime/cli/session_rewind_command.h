// `sable session rewind`.
#pragma once

#include "base/asio.h"
#include "memory/memory.h"
#include "runtime/program.h"

namespace sable::runtime {

asio::awaitable<int> rewind_session(const Program& program, memory::Store& store,
                                    asio::thread_pool& workers, std::string id, memory::Seq to,
                                    bool keep_files);

}  // namespace sable::runtime
