// Normalisation, addition and activation of a channels-last map (batch, voxels, channels): one sweep that reads for the
// statistics, one that reads and writes for everything after them. The mathematics is in medmamba/kernels/norm.py.
//
// Work is cut into stretches of voxels whose length depends on the map alone, and their sums are added in order: the
// result is the same to the bit for any number of threads.

namespace MM_ISA {

enum { SIDE_BY_SIDE = 4 };  // vectors of channels whose sums stay in registers

struct Stretches {
    int64_t voxels, count;
    MM_INLINE_MEMBER explicit Stretches(const NormArgs& a) {
        voxels = ceil_div(1 << 16, a.channels);
        voxels = voxels < 64 ? 64 : smaller(voxels, 1 << 14);
        count = ceil_div(a.voxels, voxels);
    }
};

struct NormJob {
    const NormArgs* a;
    Stretches stretches;
    double* sums;  // (batch, stretches, 2, channels): of x - x0 and of its square, x0 the sample's first voxel
};

// Adds the sums over `n` voxels of N vectors of channels to `total` and `square`. The float sums are about the mean of
// these voxels' first few: about x0, an outlying first voxel would leave the variance of all others few digits.
template <int N, class T>
MM_INLINE void add_sums(const T* x, int64_t row, int64_t n, const T* x0, int last, double* total, double* square) {
    vf s[N], q[N], mean[N];
    int64_t few = smaller(n, 16);
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) s[j] = q[j] = mean[j] = splat(0.0f);
    for (int64_t v = 0; v < few; v++)
#pragma GCC unroll 4
        for (int j = 0; j < N; j++) mean[j] += load(x + v * row + j * W, j == N - 1 ? last : W);
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) mean[j] *= 1.0f / (float)few;
    for (int64_t v = 0; v < n; v++)
#pragma GCC unroll 4
        for (int j = 0; j < N; j++) {
            vf d = load(x + v * row + j * W, j == N - 1 ? last : W) - mean[j];
            s[j] += d;
            q[j] += d * d;
        }
    for (int j = 0; j < N; j++)
        for (int i = 0; i < (j == N - 1 ? last : W); i++) {
            double away = (double)mean[j][i] - load_one(x0 + j * W + i), off = s[j][i];
            total[j * W + i] += off + (double)n * away;
            square[j * W + i] += q[j][i] + (2 * off + (double)n * away) * away;
        }
}

template <class T>
static void sums_task(void* pointer, int64_t index) {
    const NormJob& job = *(const NormJob*)pointer;
    const NormArgs& a = *job.a;
    int64_t b = index / job.stretches.count, first = index % job.stretches.count * job.stretches.voxels;
    int64_t end = smaller(first + job.stretches.voxels, a.voxels);
    double *total = job.sums + index * 2 * a.channels, *square = total + a.channels;
    for (int64_t c = 0; c < 2 * a.channels; c++) total[c] = 0;
    const T* sample = (const T*)a.x + b * a.x_batch;
    // So few voxels at a time that they stay in the cache while the channels go by, and that float sums are exact enough.
    int64_t block = 8192 / a.channels;
    block = block < 8 ? 8 : smaller(block, 256);
    for (int64_t v = first; v < end; v += block) {
        const T* x = sample + v * a.x_row;
        int64_t n = smaller(block, end - v), c = 0;
        for (; c + SIDE_BY_SIDE * W <= a.channels; c += SIDE_BY_SIDE * W)
            add_sums<SIDE_BY_SIDE>(x + c, a.x_row, n, sample + c, W, total + c, square + c);
        for (; c < a.channels; c += W)
            add_sums<1>(x + c, a.x_row, n, sample + c, (int)smaller(W, a.channels - c), total + c, square + c);
    }
}

// Mean and variance of every channel of sample b, then of its groups, as scale and shift.
template <class T>
static void scale_and_shift(const NormJob& job, int64_t b, double* mean, double* variance) {
    const NormArgs& a = *job.a;
    const T* x0 = (const T*)a.x + b * a.x_batch;
    for (int64_t c = 0; c < a.channels; c++) {
        double total = 0, square = 0;
        for (int64_t s = 0; s < job.stretches.count; s++) {
            const double* sums = job.sums + (b * job.stretches.count + s) * 2 * a.channels;
            total += sums[c];
            square += sums[a.channels + c];
        }
        double m = total / (double)a.voxels, v = square / (double)a.voxels - m * m;
        mean[c] = m + load_one(x0 + c);
        variance[c] = v < 0 ? 0 : v;  // a NaN stays one
    }
    int64_t width = a.channels / a.groups;
    for (int64_t g = 0; g < a.channels; g += width) {
        double m = 0, v = 0;
        for (int64_t c = g; c < g + width; c++) m += mean[c] / (double)width;
        for (int64_t c = g; c < g + width; c++) v += (variance[c] + (mean[c] - m) * (mean[c] - m)) / (double)width;
        for (int64_t c = g; c < g + width; c++) {
            double scale = (a.weight ? a.weight[c] : 1.0) / __builtin_sqrt(v + a.eps);
            a.scale[b * a.channels + c] = (float)scale;
            a.shift[b * a.channels + c] = (float)((a.bias ? a.bias[c] : 0.0) - m * scale);
        }
    }
}

template <class T>
static void statistics_typed(const NormArgs& a) {
    NormJob job = {&a, Stretches(a), nullptr};
    int64_t tasks = a.batch * job.stretches.count;
    job.sums = (double*)scratch((tasks + 1) * 2 * a.channels * 8);
    double* channel = job.sums + tasks * 2 * a.channels;
    run_tasks(sums_task<T>, &job, tasks, a.threads);
    for (int64_t b = 0; b < a.batch; b++) scale_and_shift<T>(job, b, channel, channel + a.channels);
    release(job.sums);
}

static void norm_statistics(const NormArgs& a) {
    if (a.dtype == BF16)
        statistics_typed<bf16>(a);
    else
        statistics_typed<float>(a);
}

MM_INLINE vf activate(vf x, vf slope) { return x > 0.0f ? x : x * slope; }

template <class T, bool Residual>
static void apply_task(void* pointer, int64_t index) {
    const NormJob& job = *(const NormJob*)pointer;
    const NormArgs& a = *job.a;
    int64_t b = index / job.stretches.count, first = index % job.stretches.count * job.stretches.voxels;
    int64_t end = smaller(first + job.stretches.voxels, a.voxels);
    const T* x = (const T*)a.x + b * a.x_batch + first * a.x_row;
    const T* r = (const T*)a.residual + b * a.residual_batch + first * a.residual_row;
    T* out = (T*)a.out + b * a.out_batch + first * a.out_row;
    int64_t own = b * a.channels;
    const float *scale = a.scale + own, *shift = a.shift + own;
    const float *r_scale = a.residual_scale + own, *r_shift = a.residual_shift + own;
    vf inner = splat((float)a.inner), outer = splat((float)a.outer);
    for (int64_t v = first; v < end; v++, x += a.x_row, r += a.residual_row, out += a.out_row)
        for (int64_t c = 0; c < a.channels; c += W) {
            int n = (int)smaller(W, a.channels - c);
            vf y = activate(load(x + c, n) * load(scale + c, n) + load(shift + c, n), inner);
            if (Residual) y = activate(y + load(r + c, n) * load(r_scale + c, n) + load(r_shift + c, n), outer);
            store(out + c, y, n);
        }
}

template <class T>
static void apply_typed(const NormArgs& a) {
    NormJob job = {&a, Stretches(a), nullptr};
    run_tasks(a.residual ? apply_task<T, true> : apply_task<T, false>, &job, a.batch * job.stretches.count, a.threads);
}

static void norm_apply(const NormArgs& a) {
    if (a.dtype == BF16)
        apply_typed<bf16>(a);
    else
        apply_typed<float>(a);
}

}  // namespace MM_ISA
