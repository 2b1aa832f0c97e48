#include "inference/graph/expert_residency.h"

namespace sable::inference {

namespace {

uint64_t bytes_of(const ExpertWeights& expert) {
  uint64_t bytes = 0;
  for (const Weight* w : {&expert.w1, &expert.w2, &expert.w3}) bytes += w->bytes_of_rows(w->rows);
  return bytes;
}

}  // namespace

void ExpertResidency::limit(uint64_t bytes_max) {
  bytes_max_ = bytes_max;
  if (bytes_max_ != 0) return give_back_down_to(bytes_max_);
  used_.clear();
  where_.clear();
  bytes_ = 0;
}

void ExpertResidency::use(const ExpertWeights& expert) {
  if (bytes_max_ == 0) return;
  if (const auto found = where_.find(&expert); found != where_.end()) {
    used_.splice(used_.begin(), used_, found->second);
    return;
  }
  const uint64_t bytes = bytes_of(expert);
  give_back_down_to(bytes_max_ > bytes ? bytes_max_ - bytes : 0);
  for (const Weight* w : {&expert.w1, &expert.w2, &expert.w3}) checkpoint_.prefetch(*w->tensor);
  used_.push_front(&expert);
  where_[&expert] = used_.begin();
  bytes_ += bytes;
}

void ExpertResidency::give_back_down_to(uint64_t bytes_max) {
  while (bytes_ > bytes_max && !used_.empty()) {
    const ExpertWeights& last = *used_.back();
    for (const Weight* w : {&last.w1, &last.w2, &last.w3}) checkpoint_.evict(*w->tensor);
    bytes_ -= bytes_of(last);
    where_.erase(&last);
    used_.pop_back();
  }
}

}  // namespace sable::inference
