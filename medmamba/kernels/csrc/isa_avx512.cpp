// x86 with AVX-512: 512-bit vectors.
#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif
#define MM_WIDTH 16
#define MM_ISA avx512
#define MM_TABLE kernels_avx512
#include "kernels.inl"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
