// Vectors of MM_WIDTH floats and the few functions on them that the kernels need.
//
// One source serves every instruction set: GCC's and Clang's vector extensions turn the same expressions into AVX-512,
// AVX2, SSE or NEON code. Each isa_*.cpp sets MM_WIDTH and MM_ISA (a namespace, so that the copies never mix) and
// includes kernels.inl. Multiplications and additions are contracted into FMAs where the instruction set has them.

#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

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
// A NaN in b comes through. The compilers do not see that a comparison and a choice are one instruction.
#if defined(__x86_64__) && MM_WIDTH == 16
MM_INLINE vf vmax(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
MM_INLINE vf vmin(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
#elif defined(__x86_64__) && MM_WIDTH == 8
MM_INLINE vf vmax(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
MM_INLINE vf vmin(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
#elif defined(__x86_64__)
MM_INLINE vf vmax(vf a, vf b) { return (vf)_mm_max_ps((__m128)a, (__m128)b); }
MM_INLINE vf vmin(vf a, vf b) { return (vf)_mm_min_ps((__m128)a, (__m128)b); }
#else
MM_INLINE vf vmax(vf a, vf b) { return a > b ? a : b; }
MM_INLINE vf vmin(vf a, vf b) { return a < b ? a : b; }
#endif
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

// ---- functions, each on n vectors at once and in place
//
// The operations of one exponential wait for each other; those of several fill the gaps, so the callers hand over as
// many as the registers hold.

#define MM_EACH _Pragma("GCC unroll 8") for (int j = 0; j < n; j++)

// 2^f of |f| <= 1/2 into p: minimax polynomial of degree 5 with the constant held at 1, 1.7e-7 relative.
template <int n>
MM_INLINE void power_of_fraction(const vf* f, vf* p) {
    MM_EACH p[j] = f[j] * 1.3264719163998961e-3f + 9.671512991189957e-3f;
    MM_EACH p[j] = p[j] * f[j] + 5.550733953714371e-2f;
    MM_EACH p[j] = p[j] * f[j] + 2.4022242426872253e-1f;
    MM_EACH p[j] = p[j] * f[j] + 6.931470036506653e-1f;
    MM_EACH p[j] = p[j] * f[j] + 1.0f;
}

// 2^x, exactly 1 at 0. Below -126.5 it is 0; a NaN stays NaN. MayGrow: infinity from 128 on; else x must be below.
// The nearest integer becomes the scale's exponent by way of the low bits of a large float.
template <bool MayGrow, int n>
MM_INLINE void exp2_many(vf* x) {
    const float magic = 12582912.0f + 127.0f;  // 1.5 * 2^23, and the exponent's bias
    vf t[n], p[n];
    MM_EACH x[j] = vmax(splat(-127.0f), x[j]);
    if (MayGrow) MM_EACH x[j] = vmin(splat(128.0f), x[j]);
    MM_EACH t[j] = x[j] + magic;
    MM_EACH x[j] = x[j] - (t[j] - magic);
    power_of_fraction<n>(x, p);
    MM_EACH x[j] = p[j] * (vf)((vu)t[j] << 23);
}

// e^x, accurate also where |x| is large: the multiple of ln 2 is taken off in two parts.
template <int n>
MM_INLINE void exp_many(vf* x) {
    const float magic = 12582912.0f + 127.0f;
    vf t[n], p[n];
    MM_EACH x[j] = vmin(splat(88.8f), vmax(splat(-88.0f), x[j]));
    MM_EACH t[j] = x[j] * 1.44269504f + magic;
    MM_EACH p[j] = t[j] - magic;
    MM_EACH x[j] = x[j] - p[j] * 0.693145752f;
    MM_EACH x[j] = x[j] - p[j] * 1.42860677e-6f;
    MM_EACH x[j] = x[j] * 1.44269504f;
    power_of_fraction<n>(x, p);
    MM_EACH x[j] = p[j] * (vf)((vu)t[j] << 23);
}

// 1 / (1 + e^-x)
template <int n>
MM_INLINE void sigmoid_many(vf* x) {
    MM_EACH x[j] = -x[j];
    exp_many<n>(x);
    MM_EACH x[j] = 1.0f / (1.0f + x[j]);
}

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|), and log1p(e) = 2 atanh(e / (2 + e)) as an odd series in that quotient.
// Its slope, the sigmoid of x, goes to `slope` unless that is null.
template <int n>
MM_INLINE void softplus_many(vf* x, vf* slope = nullptr) {
    vf s[n], q[n], p[n];
    MM_EACH s[j] = -vabs(x[j]);
    exp_many<n>(s);
    if (slope) MM_EACH slope[j] = (x[j] < 0.0f ? s[j] : splat(1.0f)) / (1.0f + s[j]);
    MM_EACH s[j] = s[j] / (2.0f + s[j]);
    MM_EACH q[j] = s[j] * s[j];
    MM_EACH p[j] = q[j] * 2.80249685e-1f + 2.79990613e-1f;
    MM_EACH p[j] = p[j] * q[j] + 4.00216997e-1f;
    MM_EACH p[j] = p[j] * q[j] + 6.66664124e-1f;
    MM_EACH p[j] = p[j] * q[j] + 2.0f;
    MM_EACH x[j] = s[j] * p[j] + vmax(splat(0.0f), x[j]);
}

#undef MM_EACH

MM_INLINE vf exp2v(vf x) {
    exp2_many<true, 1>(&x);
    return x;
}
MM_INLINE vf sigmoid(vf x) {
    sigmoid_many<1>(&x);
    return x;
}

// ---- positions

MM_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
MM_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
// Parts of every sample's channels that give each thread a task; none for an empty batch.
MM_INLINE int64_t channel_groups(int64_t channels, int64_t batch, int64_t threads) {
    return batch > 0 ? smaller(ceil_div(channels, W), ceil_div(threads, batch)) : 0;
}

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
