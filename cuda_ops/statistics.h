// Order statistics and least squares for the C++ library's measurements.
#pragma once

#include <algorithm>
#include <vector>

#include "include/shapekit_host_device.h"

namespace shapekit {

using Values = std::vector<double>;

// As NumPy's, of at least one value; their order is lost.
inline double percentile(Values& values, double percent) {
  const double at = percent / 100.0 * double(values.size() - 1);
  const std::size_t before = std::size_t(at);
  std::nth_element(values.begin(), values.begin() + before, values.end());
  const double low = values[before];
  if (before + 1 >= values.size()) return low;
  const double high = *std::min_element(values.begin() + before + 1, values.end());
  return low + (high - low) * (at - double(before));
}

inline double median(Values& values) { return percentile(values, 50.0); }

// Solves matrix * x = right for a symmetric matrix without negative eigenvalues, by the least x where many would do: its eigenvectors by
// Jacobi's rotations (Golub & Van Loan 2013, section 8.5), without those whose eigenvalue is rounding.
template <int TERMS>
void solve_symmetric(double (&matrix)[TERMS][TERMS], const double* right, double* x) {
  double vectors[TERMS][TERMS] = {}, trace = 0.0;
  for (int i = 0; i < TERMS; ++i) vectors[i][i] = 1.0, trace += absolute(matrix[i][i]);
  for (int sweep = 0; sweep < 30; ++sweep) {
    double off = 0.0;
    for (int p = 0; p < TERMS; ++p)
      for (int q = p + 1; q < TERMS; ++q) off = larger(off, absolute(matrix[p][q]));
    if (off <= 1e-18 * trace) break;
    for (int p = 0; p < TERMS; ++p)
      for (int q = p + 1; q < TERMS; ++q) {
        if (matrix[p][q] == 0.0) continue;
        const double half = (matrix[q][q] - matrix[p][p]) / (2.0 * matrix[p][q]), size = absolute(half);
        const double tangent = (half < 0.0 ? -1.0 : 1.0) / (size + (size < 1e100 ? __builtin_sqrt(1.0 + half * half) : size));
        const double cosine = 1.0 / __builtin_sqrt(1.0 + tangent * tangent), sine = tangent * cosine;
        for (int k = 0; k < TERMS; ++k) {
          const double one = matrix[k][p], other = matrix[k][q];
          matrix[k][p] = cosine * one - sine * other, matrix[k][q] = sine * one + cosine * other;
        }
        for (int k = 0; k < TERMS; ++k) {
          const double one = matrix[p][k], other = matrix[q][k];
          matrix[p][k] = cosine * one - sine * other, matrix[q][k] = sine * one + cosine * other;
          const double left = vectors[k][p], rest = vectors[k][q];
          vectors[k][p] = cosine * left - sine * rest, vectors[k][q] = sine * left + cosine * rest;
        }
      }
  }
  double most = 0.0;
  for (int i = 0; i < TERMS; ++i) most = larger(most, absolute(matrix[i][i])), x[i] = 0.0;
  for (int i = 0; i < TERMS; ++i) {
    if (absolute(matrix[i][i]) <= TERMS * 2.220446049250313e-16 * most) continue;
    double along = 0.0;
    for (int k = 0; k < TERMS; ++k) along += vectors[k][i] * right[k];
    for (int k = 0; k < TERMS; ++k) x[k] += along / matrix[i][i] * vectors[k][i];
  }
}

}  // namespace shapekit
