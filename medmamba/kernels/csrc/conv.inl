// Causal depthwise convolution with SiLU in scan order, by addressing: step i of a channel sees steps i - taps + 1 .. i.

namespace MM_ISA {

// A task's share: a slice of channels of one sample.
struct ConvShare {
    int64_t b, c0, c1;
    MM_INLINE_MEMBER ConvShare(const ConvArgs& a, int64_t groups, int64_t index) {
        int64_t g = index % groups, vectors = ceil_div(a.channels, W);
        b = index / groups;
        c0 = vectors * g / groups * W;
        c1 = smaller(vectors * (g + 1) / groups * W, a.channels);
    }
};

struct ConvJob {
    const ConvArgs* a;
    int64_t groups;
};

// Weights of channels c0..c1 as [tap][channel], padded with zeros to whole vectors, then the bias.
struct Taps {
    int64_t width;
    float *weight, *bias;
    MM_INLINE_MEMBER Taps(const ConvArgs& a, int64_t c0, int64_t c1) : width(ceil_div(c1 - c0, W) * W) {
        weight = (float*)scratch(width * (a.taps + 1) * 4);
        bias = weight + width * a.taps;
        memset(weight, 0, width * (a.taps + 1) * 4);
        for (int64_t c = c0; c < c1; c++) {
            for (int64_t j = 0; j < a.taps; j++) weight[j * width + c - c0] = a.weight[c * a.taps + j];
            if (a.bias) bias[c - c0] = a.bias[c];
        }
    }
    MM_INLINE_MEMBER ~Taps() { release(weight); }
};

// The rows a step sees, newest last; null before the first step.
template <class T>
MM_INLINE void rows_of_step(const T** rows, const T* base, int64_t row, const Order& order, int64_t i, int64_t taps) {
    for (int64_t j = 0; j < taps; j++) {
        int64_t step = i - (taps - 1) + j;
        rows[j] = step < 0 ? nullptr : base + order(step) * row;
    }
}

template <class T>
MM_INLINE vf convolve(const Taps& taps, int64_t count, const T** rows, int64_t c, int n) {
    vf total = load(taps.bias + c);
    for (int64_t j = 0; j < count; j++)
        if (rows[j]) total += load(taps.weight + j * taps.width + c) * load(rows[j] + c, n);
    return total;
}

enum { MOST_TAPS = 16 };

template <class T>
static void conv_forward_task(void* pointer, int64_t index) {
    const ConvJob& job = *(const ConvJob*)pointer;
    const ConvArgs& a = *job.a;
    ConvShare own(a, job.groups, index);
    Taps taps(a, own.c0, own.c1);
    Order order(a.length, a.slices, a.reverse);
    const T* x = (const T*)a.x + own.b * a.x_batch + own.c0;
    T* out = (T*)a.out + own.b * a.length * a.channels + own.c0;
    const T* rows[MOST_TAPS];
    int64_t width = own.c1 - own.c0;
    for (int64_t i = 0; i < a.length; i++) {
        rows_of_step(rows, x, a.x_row, order, i, a.taps);
        T* to = out + order(i) * a.channels;
        for (int64_t c = 0; c < width; c += W) {
            int n = (int)smaller(W, width - c);
            vf v = convolve(taps, a.taps, rows, c, n);
            store(to + c, a.silu ? v * sigmoid(v) : v, n);
        }
    }
}

// Gradients walk the steps once: at step i the gradient before the activation is found and kept in a ring of `taps`
// rows, and the input of step i - taps + 1, whose last use was step i, gets its gradient.
template <class T>
static void conv_backward_task(void* pointer, int64_t index) {
    const ConvJob& job = *(const ConvJob*)pointer;
    const ConvArgs& a = *job.a;
    ConvShare own(a, job.groups, index);
    Taps taps(a, own.c0, own.c1);
    Order order(a.length, a.slices, a.reverse);
    const T* x = (const T*)a.x + own.b * a.x_batch + own.c0;
    const T* dout = (const T*)a.dout + own.b * a.dout_batch + own.c0;
    float* dx = a.dx + own.b * a.length * a.channels + own.c0;
    const T* rows[MOST_TAPS];
    int64_t width = own.c1 - own.c0, sums = taps.width * (a.taps + 1);
    // ring of rows; sums of the present stretch; sums of all stretches (long sums of small numbers lose digits)
    float* ring = (float*)scratch((a.taps * taps.width + 2 * sums) * 4);
    float *part = ring + a.taps * taps.width, *whole = part + sums;
    memset(ring, 0, (a.taps * taps.width + 2 * sums) * 4);
    for (int64_t i = 0; i < a.length + a.taps - 1; i++) {
        float* now = ring + i % a.taps * taps.width;
        int64_t done = i - (a.taps - 1);
        if (i < a.length) rows_of_step(rows, x, a.x_row, order, i, a.taps);
        const T* from = i < a.length ? dout + order(i) * a.dout_row : nullptr;
        float* to = done >= 0 ? dx + order(done) * a.channels : nullptr;
        for (int64_t c = 0; c < width; c += W) {
            int n = (int)smaller(W, width - c);
            vf dv = splat(0.0f);
            if (from) {
                dv = load(from + c, n);
                if (a.silu) {
                    vf v = convolve(taps, a.taps, rows, c, n), s = sigmoid(v);
                    dv *= s * (1.0f + v * (1.0f - s));
                }
                for (int64_t j = 0; j < a.taps; j++)
                    if (rows[j]) store(part + j * taps.width + c, load(part + j * taps.width + c) + dv * load(rows[j] + c, n));
                store(part + a.taps * taps.width + c, load(part + a.taps * taps.width + c) + dv);
            }
            store(now + c, dv);
            if (!to) continue;
            vf total = a.first ? splat(0.0f) : load(to + c, n);
            for (int64_t j = 0; j < a.taps; j++)  // tap j of step done + taps - 1 - j
                total += load(taps.weight + j * taps.width + c) * load(ring + (done + a.taps - 1 - j) % a.taps * taps.width + c);
            store(to + c, total, n);
        }
        if (i % 256 == 255 || i == a.length + a.taps - 2) {
            for (int64_t c = 0; c < sums; c++) whole[c] += part[c];
            memset(part, 0, sums * 4);
        }
    }
    for (int64_t c = 0; c < width; c++) {
        int64_t row = own.b * a.channels + own.c0 + c;
        for (int64_t j = 0; j < a.taps; j++) a.dweight[row * a.taps + j] = whole[j * taps.width + c];
        a.dbias[row] = whole[a.taps * taps.width + c];
    }
    release(ring);
}

MM_INLINE ConvJob conv_job(const ConvArgs& a) {
    return {&a, channel_groups(a.channels, a.batch, a.threads)};
}

static void conv_forward(const ConvArgs& a) {
    ConvJob job = conv_job(a);
    run_tasks(a.dtype == BF16 ? conv_forward_task<bf16> : conv_forward_task<float>, &job, job.groups * a.batch, a.threads);
}

static void conv_backward(const ConvArgs& a) {
    ConvJob job = conv_job(a);
    run_tasks(a.dtype == BF16 ? conv_backward_task<bf16> : conv_backward_task<float>, &job, job.groups * a.batch, a.threads);
}

}  // namespace MM_ISA
