// The Agent Client Protocol's shapes (version 1), as pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "agent/agent.h"
#include "runtime/server/json_rpc.h"
#include "runtime/server/live_sessions.h"

namespace sable::runtime {

using RpcResult = tl::expected<Json, RpcError>;

tl::unexpected<RpcError> rpc_fail(RpcCode code, std::string message);
/// An Error of ours as the protocol's, its code's name in `data.code`.
RpcError rpc_error_from(const Error& error);

Json initialize_result(std::string_view program_version);

/// The params of session/new and its relatives: `cwd`, an absolute path.
tl::expected<std::filesystem::path, RpcError> cwd_from(const Json& params);
tl::expected<std::string, RpcError> session_id_from(const Json& params);

/// A prompt's content blocks as one text. Text, embedded text resources and links are taken; other
/// kinds (images, audio) are refused, since no model here could see them.
tl::expected<std::string, RpcError> prompt_text(const Json& params);

/// How a turn's end answers session/prompt: a stop reason, or an error when the turn failed.
RpcResult prompt_result(const Result<agent::TurnResult>& turn);

Json permission_params(const agent::PermissionRequest& request);
/// A question of the model, put as a permission request whose options are the choices.
Json question_params(const agent::UserQuestion& asked);
/// What the client chose; nothing when it chose nothing that was offered.
std::optional<PersonsAnswer> permission_answer(const Json& result);

/// `_meta.sable.opt_outs` of an answer or a question, if there are any.
void add_opt_outs(Json& object, const std::vector<std::string>& opt_outs);

Json session_row(const memory::SessionInfo& info);

}  // namespace sable::runtime
