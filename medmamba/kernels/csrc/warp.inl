// Reading an image where a displacement leads: out(p) = image(p + u(p)), linear, zero outside. The mathematics is in
// medmamba/kernels/warp.py. W voxels of a row go side by side; where they read from is worked out once for all channels.

namespace MM_ISA {

#if defined(__x86_64__) && MM_WIDTH == 16
MM_INLINE vf gather(const float* from, vi at) { return (vf)_mm512_i32gather_ps((__m512i)at, from, 4); }
#elif defined(__x86_64__) && MM_WIDTH == 8
MM_INLINE vf gather(const float* from, vi at) { return (vf)_mm256_i32gather_ps(from, (__m256i)at, 4); }
#else
MM_INLINE vf gather(const float* from, vi at) {
    vf x;
    for (int i = 0; i < W; i++) x[i] = from[at[i]];
    return x;
}
#endif

// The two voxels of one axis between which W points lie: places in memory, weights, and 1 or 0 for within or outside.
struct Between {
    vi at[2];
    vf weight[2], within[2];
};

MM_INLINE Between between(vf p, int64_t size, int64_t stride) {
    Between found;
    p = vmin(vmax(p, splat(-2.0f)), splat((float)(size + 1)));  // nothing further out differs; a NaN lies outside
    vi i = __builtin_convertvector(p, vi);
    i += __builtin_convertvector(i, vf) > p;       // truncated towards zero: down for negative numbers
    i += p == splat((float)(size - 1));            // on the last voxel the slope is that of the inside
    vf t = p - __builtin_convertvector(i, vf);
    found.weight[0] = 1.0f - t;
    found.weight[1] = t;
    for (int side = 0; side < 2; side++) {
        vi at = i + side, last = vi{} + (int32_t)(size - 1);
        found.within[side] = ((at >= 0) & (at <= last)) ? splat(1.0f) : splat(0.0f);
        found.weight[side] *= found.within[side];
        at = at < 0 ? vi{} : at;
        found.at[side] = (at > last ? last : at) * (int32_t)stride;
    }
    return found;
}

struct Corners {
    Between x, y, z;
};

// Where the n voxels from (i, j, k) on read from; u points at the first one's displacement along the first axis.
MM_INLINE Corners corners(const WarpArgs& a, const float* u, int64_t i, int64_t j, int64_t k, int n) {
    int64_t voxels = a.depth * a.height * a.width;
    vf row;
    for (int lane = 0; lane < W; lane++) row[lane] = (float)(k + lane);
    return {
        between(load(u, n) + (float)i, a.depth, a.height * a.width),
        between(load(u + voxels, n) + (float)j, a.height, a.width),
        between(load(u + 2 * voxels, n) + row, a.width, 1),
    };
}

MM_INLINE vf value(const float* image, const Corners& c) {
    vf total = splat(0.0f);
    for (int x = 0; x < 2; x++)
        for (int y = 0; y < 2; y++) {
            vi at = c.x.at[x] + c.y.at[y];
            vf line = gather(image, at + c.z.at[0]) * c.z.weight[0] + gather(image, at + c.z.at[1]) * c.z.weight[1];
            total += c.x.weight[x] * c.y.weight[y] * line;
        }
    return total;
}

// Adds dout times the value's slope along each axis.
MM_INLINE void add_slopes(const float* image, const Corners& c, vf dout, vf* slopes) {
    vf plane[2], along_y[2], along_z[2];
    for (int x = 0; x < 2; x++) {
        vf line[2], step[2];
        for (int y = 0; y < 2; y++) {
            vi at = c.x.at[x] + c.y.at[y];
            vf low = gather(image, at + c.z.at[0]), high = gather(image, at + c.z.at[1]);
            line[y] = low * c.z.weight[0] + high * c.z.weight[1];
            step[y] = high * c.z.within[1] - low * c.z.within[0];
        }
        plane[x] = c.y.weight[0] * line[0] + c.y.weight[1] * line[1];
        along_y[x] = c.y.within[1] * line[1] - c.y.within[0] * line[0];
        along_z[x] = c.y.weight[0] * step[0] + c.y.weight[1] * step[1];
    }
    slopes[0] += dout * (c.x.within[1] * plane[1] - c.x.within[0] * plane[0]);
    slopes[1] += dout * (c.x.weight[0] * along_y[0] + c.x.weight[1] * along_y[1]);
    slopes[2] += dout * (c.x.weight[0] * along_z[0] + c.x.weight[1] * along_z[1]);
}

enum { ALONG = 6 };  // vectors of a row worked out before the channels go by, each through memory in one stretch

// Calls body(p, n, corners, vectors) for every stretch of a plane of one sample: p is its first voxel, n its length.
template <class Body>
MM_INLINE void along_rows(const WarpArgs& a, int64_t b, int64_t i, const Body& body) {
    int64_t voxels = a.depth * a.height * a.width;
    for (int64_t j = 0; j < a.height; j++)
        for (int64_t k = 0; k < a.width; k += ALONG * W) {
            int64_t p = (i * a.height + j) * a.width + k, n = smaller(ALONG * W, a.width - k);
            Corners c[ALONG];
            for (int64_t v = 0; v * W < n; v++)
                c[v] = corners(a, a.displacement + b * 3 * voxels + p + v * W, i, j, k + v * W, (int)smaller(W, n - v * W));
            body(p, n, c);
        }
}

// One plane of the first axis of one sample.
static void warp_task(void* pointer, int64_t index) {
    const WarpArgs& a = *(const WarpArgs*)pointer;
    int64_t b = index / a.depth, voxels = a.depth * a.height * a.width;
    along_rows(a, b, index % a.depth, [&](int64_t p, int64_t n, const Corners* c) {
        for (int64_t channel = b * a.channels; channel < (b + 1) * a.channels; channel++)
            for (int64_t v = 0; v * W < n; v++)
                store(a.out + channel * voxels + p + v * W, value(a.image + channel * voxels, c[v]),
                      (int)smaller(W, n - v * W));
    });
}

static void warp_slopes_task(void* pointer, int64_t index) {
    const WarpArgs& a = *(const WarpArgs*)pointer;
    int64_t b = index / a.depth, voxels = a.depth * a.height * a.width;
    along_rows(a, b, index % a.depth, [&](int64_t p, int64_t n, const Corners* c) {
        vf slopes[ALONG][3] = {};
        for (int64_t channel = b * a.channels; channel < (b + 1) * a.channels; channel++)
            for (int64_t v = 0; v * W < n; v++) {
                vf dout = load(a.dout + channel * voxels + p + v * W, (int)smaller(W, n - v * W));
                add_slopes(a.image + channel * voxels, c[v], dout, slopes[v]);
            }
        for (int axis = 0; axis < 3; axis++)
            for (int64_t v = 0; v * W < n; v++)
                store(a.ddisplacement + (b * 3 + axis) * voxels + p + v * W, slopes[v][axis],
                      (int)smaller(W, n - v * W));
    });
}

// One channel of one sample: neighbours write to the same voxels, so nobody else may.
static void warp_scatter_task(void* pointer, int64_t channel) {
    const WarpArgs& a = *(const WarpArgs*)pointer;
    int64_t b = channel / a.channels, voxels = a.depth * a.height * a.width;
    float* image = a.dimage + channel * voxels;
    for (int64_t q = 0; q < voxels; q++) image[q] = 0;
    for (int64_t i = 0; i < a.depth; i++)
        for (int64_t j = 0; j < a.height; j++)
            for (int64_t k = 0; k < a.width; k += W) {
                int64_t p = (i * a.height + j) * a.width + k;
                int n = (int)smaller(W, a.width - k);
                Corners c = corners(a, a.displacement + b * 3 * voxels + p, i, j, k, n);
                vf dout = load(a.dout + channel * voxels + p, n);
                for (int corner = 0; corner < 8; corner++) {
                    int x = corner >> 2, y = corner >> 1 & 1, z = corner & 1;
                    vi at = c.x.at[x] + c.y.at[y] + c.z.at[z];
                    vf share = c.x.weight[x] * c.y.weight[y] * c.z.weight[z] * dout;
                    for (int lane = 0; lane < n; lane++) image[at[lane]] += share[lane];
                }
            }
}

static void warp_forward(const WarpArgs& a) { run_tasks(warp_task, (void*)&a, a.batch * a.depth, a.threads); }

static void warp_backward(const WarpArgs& a) {
    if (a.ddisplacement) run_tasks(warp_slopes_task, (void*)&a, a.batch * a.depth, a.threads);
    if (a.dimage) run_tasks(warp_scatter_task, (void*)&a, a.batch * a.channels, a.threads);
}

}  // namespace MM_ISA
