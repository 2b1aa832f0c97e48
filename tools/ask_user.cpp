// ask_user: a question to the person who watches the session, in the middle of a turn.
#include "tools/builtins.h"

namespace sable::tools {

namespace {

class AskRunner : public Runner {
 public:
  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    if (context.session == nullptr) co_return failed("a question can be asked only in a session");
    Question question{.text = text_argument(call.arguments, "question")};
    if (const auto choices = call.arguments.find("choices"); choices != call.arguments.end()) {
      for (const auto& choice : *choices) question.choices.push_back(choice.get<std::string>());
    }
    auto answer = co_await context.session->ask(std::move(question));
    if (!answer) co_return failed(answer.error().message);
    co_return Outcome{.text = std::move(*answer)};
  }
};

}  // namespace

Tool ask_user_tool() {
  return make_builtin(
      "ask_user",
      "Asks the user a question and returns the answer. Only for what you cannot find out or "
      "decide yourself; offer choices where you can. Where nobody can be asked you are told so.",
      R"({
        "type": "object",
        "properties": {
          "question": {"type": "string", "minLength": 1, "maxLength": 4000,
                       "description": "one question, with all that is needed to answer it"},
          "choices": {"type": "array", "minItems": 2, "maxItems": 8, "uniqueItems": true,
                      "items": {"type": "string", "minLength": 1, "maxLength": 200},
                      "description": "answers to choose from"}
        },
        "required": ["question"],
        "additionalProperties": false
      })",
      Effect::none, std::make_unique<AskRunner>());
}

}  // namespace sable::tools
