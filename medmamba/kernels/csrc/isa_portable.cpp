// Any CPU: 128-bit vectors, which SSE2 and NEON have.
#define MM_WIDTH 4
#define MM_ISA portable
#define MM_TABLE kernels_portable
#include "kernels.inl"
