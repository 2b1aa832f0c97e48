#include "training/sinkhorn.h"

#include <algorithm>
#include <vector>

namespace sable::training {

namespace {

constexpr size_t N = 4;

/// Entry i of line l of a matrix, when lines are rows or columns.
template <bool Rows>
constexpr size_t index(size_t l, size_t i) {
  return Rows ? l * N + i : i * N + l;
}

Lanes exp_of(const Lanes& x) {
  Lanes y;
  for (size_t i = 0; i < kLanes; ++i) y[i] = fast_exp(x[i]);
  return y;
}

Lanes max_of(const Lanes& a, const Lanes& b) {
  Lanes y;
  for (size_t i = 0; i < kLanes; ++i) y[i] = a[i] > b[i] ? a[i] : b[i];
  return y;
}

void softmax_rows(Lanes* z, float eps) {
  for (size_t j = 0; j < N; ++j) {
    Lanes* const row = z + j * N;
    const Lanes top = max_of(max_of(row[0], row[1]), max_of(row[2], row[3]));
    Lanes sum = {};
    for (size_t k = 0; k < N; ++k) {
      row[k] = exp_of(row[k] - top);
      sum += row[k];
    }
    const Lanes inverse = 1.0F / sum;
    for (size_t k = 0; k < N; ++k) row[k] = row[k] * inverse + eps;
  }
}

template <bool Rows>
void normalize(Lanes* c, float eps, Lanes* inverses) {
  for (size_t l = 0; l < N; ++l) {
    Lanes sum = {};
    for (size_t i = 0; i < N; ++i) sum += c[index<Rows>(l, i)];
    inverses[l] = 1.0F / (sum + eps);
    for (size_t i = 0; i < N; ++i) c[index<Rows>(l, i)] *= inverses[l];
  }
}

template <bool Rows>
void normalize_backward(const Lanes* out, const Lanes* inverses, Lanes* d) {
  for (size_t l = 0; l < N; ++l) {
    Lanes sum = {};
    for (size_t i = 0; i < N; ++i) sum += d[index<Rows>(l, i)] * out[index<Rows>(l, i)];
    for (size_t i = 0; i < N; ++i) {
      Lanes& x = d[index<Rows>(l, i)];
      x = (x - sum) * inverses[l];
    }
  }
}

/// The matrix after a normalisation, and what it was divided by.
struct Pass {
  Lanes out[N * N];
  Lanes inverses[N];
};

}  // namespace

void sinkhorn(Lanes* z, size_t iterations, float eps) {
  Lanes inverses[N];
  softmax_rows(z, eps);
  normalize<false>(z, eps, inverses);
  for (size_t i = 1; i < iterations; ++i) {
    normalize<true>(z, eps, inverses);
    normalize<false>(z, eps, inverses);
  }
}

void sinkhorn_backward(const Lanes* z, size_t iterations, float eps, Lanes* d) {
  std::vector<Pass> passes(2 * iterations);
  Lanes c[N * N];
  std::copy_n(z, N * N, c);
  softmax_rows(c, eps);
  // passes[0] keeps the softmax; odd ones are column passes, even ones row passes.
  for (size_t i = 0; i < 2 * iterations; ++i) {
    if (i % 2 == 1) normalize<false>(c, eps, passes[i].inverses);
    if (i % 2 == 0 && i > 0) normalize<true>(c, eps, passes[i].inverses);
    std::copy_n(c, N * N, passes[i].out);
  }
  for (size_t i = 2 * iterations - 1; i > 0; --i) {
    if (i % 2 == 1) normalize_backward<false>(passes[i].out, passes[i].inverses, d);
    if (i % 2 == 0) normalize_backward<true>(passes[i].out, passes[i].inverses, d);
  }
  for (size_t j = 0; j < N; ++j) {
    const Lanes* const soft = passes[0].out + j * N;
    Lanes sum = {};
    for (size_t k = 0; k < N; ++k) sum += d[j * N + k] * (soft[k] - eps);
    for (size_t k = 0; k < N; ++k) d[j * N + k] = (soft[k] - eps) * (d[j * N + k] - sum);
  }
}

}  // namespace sable::training
