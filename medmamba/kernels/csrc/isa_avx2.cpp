// x86 with AVX2 and FMA: 256-bit vectors.
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define MM_WIDTH 8
#define MM_ISA avx2
#define MM_TABLE kernels_avx2
#include "kernels.inl"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
