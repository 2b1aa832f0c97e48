// A session in the launcher: a keeper process and the calls it makes.
#pragma once

#include "sandbox/control_socket.h"
#include "sandbox/host.h"
#include "sandbox/memory_cgroup.h"
#include "sandbox/plan.h"
#include "sandbox/protected_roots.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

/// Everything that is passed by reference outlives the session.
asio::awaitable<Result<std::unique_ptr<Session>>> open_launched_session(
    const ControlSocket& launcher, const Host& host, ProtectedRoots& roots,
    const std::vector<Filter>& filters, std::shared_ptr<MemoryCgroups> memory, Policy policy);

}  // namespace sable::sandbox
