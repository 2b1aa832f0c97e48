#include "training/sequences_file.h"

#include <string>
#include <utility>
#include <vector>

#include "inference/files/output_file.h"
#include "inference/files/safetensors.h"

namespace sable::training {

namespace {

using inference::DType;

/// Arrays under their names, in the order in which they are written.
class Arrays {
 public:
  void add(std::string name, std::vector<int32_t> values) {
    add(std::move(name), DType::i32, values.size(), values.data(), values.size() * sizeof(int32_t));
  }
  void add(const std::string& prefix, const Dataset& data) {
    std::vector<int32_t> tokens, families;
    std::vector<uint8_t> by_model;
    std::vector<int64_t> begin{0};
    for (const Sequence& s : data.sequences) {
      tokens.insert(tokens.end(), s.tokens.begin(), s.tokens.end());
      by_model.insert(by_model.end(), s.by_model.begin(), s.by_model.end());
      begin.push_back(static_cast<int64_t>(tokens.size()));
      families.push_back(static_cast<int32_t>(s.family));
    }
    add(prefix + "tokens", std::move(tokens));
    add(prefix + "by_model", DType::i8, by_model.size(), by_model.data(), by_model.size());
    add(prefix + "begin", DType::i64, begin.size(), begin.data(), begin.size() * sizeof(int64_t));
    add(prefix + "family", std::move(families));
    std::string names;
    for (const std::string& name : data.families) names += name + "\n";
    add(prefix + "families", DType::i8, names.size(), names.data(), names.size());
  }
  Result<void> write(const std::filesystem::path& file) const {
    SABLE_TRY(auto out, inference::OutputFile::create(file));
    SABLE_TRY_VOID(out.write(std::string_view(inference::safetensors_header(tensors_))));
    for (const std::string& bytes : bytes_) {
      SABLE_TRY_VOID(out.write(std::string_view(bytes)));
    }
    return out.finish();
  }

 private:
  void add(std::string name, DType type, size_t n, const void* data, size_t n_bytes) {
    tensors_.push_back({std::move(name), type, {n}, {}});
    bytes_.emplace_back(static_cast<const char*>(data), n_bytes);
  }
  std::vector<inference::StoredTensor> tensors_;
  std::vector<std::string> bytes_;
};

}  // namespace

Result<void> write_sequences(const Dataset& training, const Dataset& held_out,
                             const CopyTokens& copy, const NameTokens& names,
                             const std::filesystem::path& file) {
  Arrays arrays;
  arrays.add("", training);
  arrays.add("held_out.", held_out);
  arrays.add("copy.structure",
             {copy.begin, copy.user, copy.assistant, copy.think_end, copy.end, copy.newline});
  arrays.add("copy.words", copy.words);
  const std::pair<const char*, const NameTokens::Case*> cases[] = {
      {"lower", &names.lower}, {"capital", &names.capital}, {"upper", &names.upper}};
  for (const auto& [name, writing] : cases) {
    const std::string prefix = std::string("names.") + name;
    arrays.add(prefix + ".words", writing->words);
    arrays.add(prefix + ".first", writing->first);
    arrays.add(prefix + ".next", writing->next);
  }
  return arrays.write(file);
}

}  // namespace sable::training
