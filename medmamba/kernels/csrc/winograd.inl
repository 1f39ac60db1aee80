// Convolution of kernel 3 and stride 1 with zero padding 1 on channels-last maps by Winograd's minimal filtering
// F(2, 3) along each axis (Lavin and Gray, arXiv 1509.09308): 2x2x2 outputs of a tile cost 64 products per pair of
// channels instead of 216, in the plane 2x2 outputs 16 instead of 36. float32 only.
//
// A task takes some tiles through three steps whose numbers stay in the cache: transform the tiles' 4x4x4 inputs into
// `points` values a channel, multiply for each point by that point's matrix of weights, transform back.

namespace MM_ISA {

constexpr int ROWS = W == 16 ? 12 : 6;  // tiles whose sums stay in registers, two vectors of outputs each
enum { PANEL = 32 };                    // outputs that lie together in the weights

MM_INLINE vf repeat(float x) { return x - vf{}; }  // a plain broadcast; the zero of splat's sum would have to be added

struct WinogradJob {
    const WinogradArgs* a;
    int64_t tiles_d, tiles_h, tiles_w, tiles;  // tiles of the batch
    int64_t block;                             // tiles of a task, a multiple of ROWS
    int64_t in, out;                           // channels and outputs, rounded up to whole vectors
    const float* zeros;                        // a voxel outside
};

// The points' values of a task's tiles, and their products.
struct Points {
    int64_t in_plane, out_plane;  // numbers between two points; not a power of two, so that points do not evict each other
    float *values, *products;
    MM_INLINE_MEMBER Points(const WinogradJob& job, int64_t points)
        : in_plane(job.block * job.in + 16), out_plane(job.block * job.out + 16) {
        values = (float*)scratch(points * (in_plane + out_plane) * 4);
        products = values + points * in_plane;
    }
    MM_INLINE_MEMBER ~Points() { release(values); }
};

MM_INLINE void transform_in(vf* x, int step) {
    vf a = x[0], b = x[step], c = x[2 * step], d = x[3 * step];
    x[0] = a - c;
    x[step] = b + c;
    x[2 * step] = c - b;
    x[3 * step] = b - d;
}

MM_INLINE void transform_out(vf* x, int step) {
    vf a = x[0], b = x[step], c = x[2 * step], d = x[3 * step];
    x[0] = a + b + c;
    x[step] = b - c - d;
}

// Tile number `index` as its first output voxel.
struct Tile {
    int64_t b, d, h, w;
    MM_INLINE_MEMBER Tile(const WinogradJob& job, int64_t index, int64_t step_d) {
        w = index % job.tiles_w * 2;
        index /= job.tiles_w;
        h = index % job.tiles_h * 2;
        index /= job.tiles_h;
        d = index % job.tiles_d * step_d;
        b = index / job.tiles_d;
    }
};

// The points of W channels of a tile: along the first axis, then plane by plane in registers.
template <int DEPTH, bool Tail>
MM_INLINE void transform_tile(const float* const* voxel, int64_t c, int n, float* values, int64_t plane) {
    vf x[DEPTH * 16];
    if (DEPTH == 4)
#pragma GCC unroll 4
        for (int p = 0; p < 16; p++) {
            vf y[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) y[i] = Tail ? load(voxel[i * 16 + p] + c, n) : load(voxel[i * 16 + p] + c);
            transform_in(y, 1);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) x[i * 16 + p] = y[i];
        }
    for (int i = 0; i < DEPTH; i++) {
        vf y[16];
#pragma GCC unroll 16
        for (int p = 0; p < 16; p++)
            y[p] = DEPTH == 4 ? x[i * 16 + p] : Tail ? load(voxel[p] + c, n) : load(voxel[p] + c);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) transform_in(y + j * 4, 1);
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++) transform_in(y + k, 4);
#pragma GCC unroll 16
        for (int p = 0; p < 16; p++) store(values + (i * 16 + p) * plane, y[p]);
    }
}

// DEPTH: 4 for a kernel of three planes, 1 for a kernel in the plane.
template <int DEPTH>
static void gather(const WinogradJob& job, const Tile& tile, float* values, int64_t plane) {
    const WinogradArgs& a = *job.a;
    const float* voxel[DEPTH * 16];
    for (int i = 0; i < DEPTH; i++)
        for (int j = 0; j < 4; j++)
            for (int k = 0; k < 4; k++) {
                int64_t d = tile.d + i - (DEPTH == 4), h = tile.h + j - 1, w = tile.w + k - 1;
                bool inside = d >= 0 && d < a.depth && h >= 0 && h < a.height && w >= 0 && w < a.width;
                voxel[(i * 4 + j) * 4 + k] =
                    inside ? a.x + (((tile.b * a.depth + d) * a.height + h) * a.width + w) * a.channels : job.zeros;
            }
    for (int row = 0; row < DEPTH * 4; row++)  // the next tile's new voxels
        if (voxel[row * 4 + 2] != job.zeros)
            for (int64_t c = 0; c < 2 * a.channels; c += 16) __builtin_prefetch(voxel[row * 4 + 2] + 2 * a.channels + c, 0, 3);
    int64_t whole = a.channels / W * W;
    for (int64_t c = 0; c < whole; c += W) transform_tile<DEPTH, false>(voxel, c, W, values + c, plane);
    if (whole < a.channels) transform_tile<DEPTH, true>(voxel, whole, (int)(a.channels - whole), values + whole, plane);
}

template <int DEPTH>
static void scatter(const WinogradJob& job, const Tile& tile, const float* products, int64_t plane) {
    const WinogradArgs& a = *job.a;
    const int planes = DEPTH == 4 ? 2 : 1;
    for (int i = 0; i < planes && tile.d + i < a.depth; i++)
        for (int j = 0; j < 2 && tile.h + j < a.height; j++) {
            const float* to = a.out + (((tile.b * a.depth + tile.d + i) * a.height + tile.h + j) * a.width + tile.w + 2) * a.outputs;
            for (int64_t o = 0; o < 2 * a.outputs; o += 16) __builtin_prefetch(to + o, 1, 3);
        }
    for (int64_t o = 0; o < a.outputs; o += W) {
        int n = (int)smaller(W, a.outputs - o);
        vf bias = a.bias ? load(a.bias + o, n) : splat(0.0f);
        vf x[DEPTH * 16];
        for (int p = 0; p < 16; p++) {
#pragma GCC unroll 4
            for (int i = 0; i < DEPTH; i++) x[i * 16 + p] = load(products + (i * 16 + p) * plane + o);
            if (DEPTH == 4) transform_out(x + p, 16);
        }
        for (int i = 0; i < planes && tile.d + i < a.depth; i++) {
            vf* y = x + i * 16;
#pragma GCC unroll 4
            for (int k = 0; k < 4; k++) transform_out(y + k, 4);
            for (int j = 0; j < 2 && tile.h + j < a.height; j++) {
                transform_out(y + j * 4, 1);
                float* to = a.out + (((tile.b * a.depth + tile.d + i) * a.height + tile.h + j) * a.width + tile.w) * a.outputs + o;
                store(to, y[j * 4] + bias, n);
                if (tile.w + 1 < a.width) store(to + a.outputs, y[j * 4 + 1] + bias, n);
            }
        }
    }
}

// ROWS tiles by N vectors of outputs: products = values (ROWS, channels) * weight (channels, PANEL).
template <int N>
MM_INLINE void multiply(const float* values, int64_t in, const float* weight, int64_t channels, float* products, int64_t out) {
    vf sum[ROWS][N];
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (int j = 0; j < N; j++) sum[r][j] = vf{};
    for (int64_t c = 0; c < channels; c++, weight += PANEL) {
        vf u[N];
#pragma GCC unroll 2
        for (int j = 0; j < N; j++) u[j] = load(weight + j * W);
#pragma GCC unroll 12
        for (int r = 0; r < ROWS; r++) {
            vf v = repeat(values[r * in + c]);
#pragma GCC unroll 2
            for (int j = 0; j < N; j++) sum[r][j] += v * u[j];
        }
    }
#pragma GCC unroll 12
    for (int r = 0; r < ROWS; r++)
#pragma GCC unroll 2
        for (int j = 0; j < N; j++) store(products + r * out + j * W, sum[r][j]);
}

static void multiply_point(const WinogradJob& job, int64_t rows, const float* values, const float* weight, float* products) {
    const WinogradArgs& a = *job.a;
    for (int64_t o = 0; o < job.out; o += 2 * W) {
        const float* u = weight + o / PANEL * a.channels * PANEL + o % PANEL;
        for (int64_t t = 0; t < rows; t += ROWS)
            if (o + W < job.out)
                multiply<2>(values + t * job.in, job.in, u, a.channels, products + t * job.out + o, job.out);
            else
                multiply<1>(values + t * job.in, job.in, u, a.channels, products + t * job.out + o, job.out);
    }
}

template <int DEPTH>
static void winograd_task(void* pointer, int64_t index) {
    const WinogradJob& job = *(const WinogradJob*)pointer;
    const int points = DEPTH * 16, step_d = DEPTH == 4 ? 2 : 1;
    int64_t first = index * job.block, count = smaller(job.block, job.tiles - first);
    int64_t rows = ceil_div(count, ROWS) * ROWS;
    Points space(job, points);
    for (int64_t t = 0; t < rows; t++)  // the last rows repeat a tile
        gather<DEPTH>(job, Tile(job, first + smaller(t, count - 1), step_d), space.values + t * job.in, space.in_plane);
    int64_t matrix = ceil_div(job.a->outputs, PANEL) * PANEL * job.a->channels;
    for (int p = 0; p < points; p++)
        multiply_point(job, rows, space.values + p * space.in_plane, job.a->weight + p * matrix, space.products + p * space.out_plane);
    for (int64_t t = 0; t < count; t++)
        scatter<DEPTH>(job, Tile(job, first + t, step_d), space.products + t * job.out, space.out_plane);
}

static void winograd(const WinogradArgs& a) {
    WinogradJob job;
    job.a = &a;
    job.tiles_d = a.planes == 3 ? ceil_div(a.depth, 2) : a.depth;
    job.tiles_h = ceil_div(a.height, 2);
    job.tiles_w = ceil_div(a.width, 2);
    job.tiles = a.batch * job.tiles_d * job.tiles_h * job.tiles_w;
    if (job.tiles == 0) return;
    job.in = ceil_div(a.channels, W) * W;
    job.out = ceil_div(a.outputs, W) * W;
    // Enough tiles to pay for fetching the weights, and no more than leaves every thread some.
    int64_t most = smaller(a.channels * a.outputs > 1 << 14 ? 96 : 24, ceil_div(job.tiles, a.threads));
    job.block = ceil_div(most, ROWS) * ROWS;
    float* zeros = (float*)scratch(job.in * 4);
    memset(zeros, 0, job.in * 4);
    job.zeros = zeros;
    run_tasks(a.planes == 3 ? winograd_task<4> : winograd_task<1>, &job, ceil_div(job.tiles, job.block), a.threads);
    release(zeros);
}

}  // namespace MM_ISA
