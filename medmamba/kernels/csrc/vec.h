// Vectors of MM_WIDTH floats and the few functions on them that the kernels need.
//
// One source serves every instruction set: GCC's and Clang's vector extensions turn the same expressions into AVX-512,
// AVX2, SSE or NEON code. Each isa_*.cpp sets MM_WIDTH and MM_ISA (a namespace, so that the copies never mix) and
// includes kernels.inl. Multiplications and additions are contracted into FMAs where the instruction set has them.

#include <stdint.h>
#include <string.h>

#define MM_INLINE static inline __attribute__((always_inline))
#define MM_INLINE_MEMBER inline __attribute__((always_inline))

namespace MM_ISA {

constexpr int W = MM_WIDTH;
typedef float vf __attribute__((vector_size(4 * MM_WIDTH)));
typedef int32_t vi __attribute__((vector_size(4 * MM_WIDTH)));
typedef uint32_t vu __attribute__((vector_size(4 * MM_WIDTH)));
typedef uint16_t vh __attribute__((vector_size(2 * MM_WIDTH)));

struct bf16 {
    uint16_t bits;
};

MM_INLINE vf splat(float x) { return vf{} + x; }
MM_INLINE vf bits_to_float(vu x) { return (vf)x; }
MM_INLINE vf vmax(vf a, vf b) { return a > b ? a : b; }  // a NaN in b comes through
MM_INLINE vf vmin(vf a, vf b) { return a < b ? a : b; }
MM_INLINE vf vabs(vf a) { return (vf)((vi)a & 0x7fffffff); }

// ---- loads and stores of W numbers, or of the first n < W: the rest reads as zero and is not written

MM_INLINE vf widen(vh x) { return (vf)(__builtin_convertvector(x, vu) << 16); }

// Round to nearest even; NaN stays NaN.
MM_INLINE vh narrow(vf x) {
    vu b = (vu)x;
    vu rounded = (b + 0x7fff + ((b >> 16) & 1)) >> 16;
    vu quiet = (b >> 16) | 0x40;
    return __builtin_convertvector(x == x ? rounded : quiet, vh);
}

MM_INLINE vf load(const float* p) {
    vf x;
    memcpy(&x, p, sizeof x);
    return x;
}
MM_INLINE vf load(const bf16* p) {
    vh x;
    memcpy(&x, p, sizeof x);
    return widen(x);
}
MM_INLINE void store(float* p, vf x) { memcpy(p, &x, sizeof x); }
MM_INLINE void store(bf16* p, vf x) {
    vh y = narrow(x);
    memcpy(p, &y, sizeof y);
}

template <class T>
MM_INLINE vf load(const T* p, int n) {
    if (__builtin_expect(n >= W, 1)) return load(p);
    T part[W] = {};
    memcpy(part, p, n * sizeof(T));
    return load(part);
}
template <class T>
MM_INLINE void store(T* p, vf x, int n) {
    if (__builtin_expect(n >= W, 1)) return store(p, x);
    T part[W];
    store(part, x);
    memcpy(p, part, n * sizeof(T));
}

MM_INLINE float load_one(const float* p) { return *p; }
MM_INLINE float load_one(const bf16* p) {
    uint32_t b = (uint32_t)p->bits << 16;
    float x;
    memcpy(&x, &b, sizeof x);
    return x;
}

MM_INLINE float sum(vf x) {
    float total = 0;
    for (int i = 0; i < W; i++) total += x[i];
    return total;
}

// ---- functions

// 2^x to 1.7e-7 relative, exactly 1 at 0. Below -126.5 it is 0, from 128 on infinity; a NaN stays NaN.
// A polynomial of degree 5 in the distance to the nearest integer, minimax with the constant held at 1; the integer
// part becomes the scale's exponent by way of the low bits of a large float.
template <bool MayGrow = true>
MM_INLINE vf exp2v(vf x) {
    const float magic = 12582912.0f + 127.0f;  // 1.5 * 2^23, and the exponent's bias
    x = vmax(splat(-127.0f), x);
    if (MayGrow) x = vmin(splat(128.0f), x);
    vf t = x + magic;
    vf f = x - (t - magic);
    vf p = f * 1.3264719163998961e-3f + 9.671512991189957e-3f;
    p = p * f + 5.550733953714371e-2f;
    p = p * f + 2.4022242426872253e-1f;
    p = p * f + 6.931470036506653e-1f;
    p = p * f + 1.0f;
    return p * bits_to_float((vu)t << 23);
}

// e^x, accurate also where |x| is large: the multiple of ln 2 is taken off in two parts.
MM_INLINE vf expv(vf x) {
    const float magic = 12582912.0f;
    x = vmin(splat(88.8f), vmax(splat(-88.0f), x));
    vf n = (x * 1.44269504f + magic) - magic;
    vf r = x - n * 0.693145752f;
    r = r - n * 1.42860677e-6f;
    vf f = r * 1.44269504f;
    vf p = f * 1.3264719163998961e-3f + 9.671512991189957e-3f;
    p = p * f + 5.550733953714371e-2f;
    p = p * f + 2.4022242426872253e-1f;
    p = p * f + 6.931470036506653e-1f;
    p = p * f + 1.0f;
    return p * bits_to_float((vu)(n + (magic + 127.0f)) << 23);
}

MM_INLINE vf sigmoid(vf x) { return 1.0f / (1.0f + expv(-x)); }

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|), and log1p(e) = 2 atanh(e / (2 + e)) as an odd series in that quotient.
MM_INLINE vf softplus(vf x) {
    vf e = expv(-vabs(x));
    vf s = e / (2.0f + e);
    vf q = s * s;
    vf p = q * 2.80249685e-1f + 2.79990613e-1f;
    p = p * q + 4.00216997e-1f;
    p = p * q + 6.66664124e-1f;
    p = p * q + 2.0f;
    return s * p + vmax(splat(0.0f), x);
}

// ---- positions

MM_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
MM_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// Position of scan step i: forward and reverse have one slice, see medmamba/scan/orders.py.
struct Order {
    int64_t length, slices, per_slice;
    bool reverse;
    MM_INLINE_MEMBER Order(int64_t length, int64_t slices, int64_t reverse)
        : length(length), slices(slices), per_slice(length / slices), reverse(reverse != 0) {}
    MM_INLINE_MEMBER int64_t operator()(int64_t i) const {
        int64_t j = reverse ? length - 1 - i : i;
        return slices == 1 ? j : (j % slices) * per_slice + j / slices;
    }
};

}  // namespace MM_ISA
