// Selective scan, forward. Mathematics in medmamba/scan/reference.py; W channels side by side in a vector.
//
// A task owns some channels of one sample and walks the sequence in blocks of BLOCK steps; inside a block it goes
// through its channels W at a time, so that every row of memory is streamed once. For W channels a block has three
// parts that keep their numbers in the first-level cache: step sizes (softplus), the recurrence with STATES states at a
// time in registers, and skip, sum over directions and gate.

namespace MM_ISA {

constexpr int BLOCK = 32;
constexpr int STATES = W == 16 ? 8 : 4;  // states that fit the registers beside the exponential's temporaries
constexpr int SIDE = 4;                  // steps of which softplus and gate are computed side by side
constexpr float LOG2E = 1.44269504f;

// What a task needs at hand: its share of A and of the state, and the present block's rows of B and C as floats.
struct ScanSpace {
    int64_t padded;  // states, rounded up to a multiple of STATES; the surplus has A = B = C = 0
    int64_t blocks;  // vectors of channels
    float *decay, *state, *B, *C;

    MM_INLINE_MEMBER ScanSpace(int64_t states, int64_t channels)
        : padded(ceil_div(states, STATES) * STATES), blocks(ceil_div(channels, W)) {
        int64_t vectors = blocks * padded * W, rows = BLOCK * padded;
        decay = (float*)scratch((2 * vectors + 2 * rows) * 4);
        state = decay + vectors;
        B = state + vectors;
        C = B + rows;
        memset(decay, 0, (2 * vectors + 2 * rows) * 4);
    }
    MM_INLINE_MEMBER ~ScanSpace() { release(decay); }
    MM_INLINE_MEMBER float* decay_of(int64_t block) { return decay + block * padded * W; }
    MM_INLINE_MEMBER float* state_of(int64_t block) { return state + block * padded * W; }
};

// A * log2(e) of channels c0.. as [block][state][W], so that the decay is one 2^x; true when no decay can grow.
static bool load_decays(const ScanArgs& a, ScanSpace& space, int64_t c0, int64_t c1) {
    bool shrinks = a.softplus != 0;
    for (int64_t c = c0; c < c1; c++)
        for (int64_t n = 0; n < a.states; n++) {
            float x = a.A[c * a.states + n];
            shrinks = shrinks && x <= 0;
            space.decay_of((c - c0) / W)[n * W + (c - c0) % W] = x * LOG2E;
        }
    return shrinks;
}

// Rows of B or C at `pos` as floats, [step][padded].
template <class T>
static void load_rows(float* out, int64_t padded, const T* from, int64_t row, int64_t states, const int64_t* pos, int n) {
    for (int t = 0; t < n; t++)
        for (int64_t j = 0; j < states; j++) out[t * padded + j] = load_one(from + pos[t] * row + j);
}

// STATES states of W channels through the steps of a block; adds sum_n C h to `y`.
template <bool Grows>
MM_INLINE void recur(int steps, const vf* decay, vf* state, const vf* d, const vf* du, const float* B, const float* C,
                     int64_t padded, vf* y) {
    vf h[STATES], A[STATES];
#pragma GCC unroll 8
    for (int j = 0; j < STATES; j++) {
        h[j] = state[j];
        A[j] = decay[j];
    }
    for (int t = 0; t < steps; t++) {
        vf dt = d[t], dut = du[t], total = y[t];
        const float *Bt = B + t * padded, *Ct = C + t * padded;
        vf a[STATES];
#pragma GCC unroll 8
        for (int j = 0; j < STATES; j++) a[j] = dt * A[j];
        exp2_many<Grows, STATES>(a);
#pragma GCC unroll 8
        for (int j = 0; j < STATES; j++) h[j] = a[j] * h[j] + dut * Bt[j];
#pragma GCC unroll 8
        for (int j = 0; j < STATES; j++) total += h[j] * Ct[j];
        y[t] = total;
    }
#pragma GCC unroll 8
    for (int j = 0; j < STATES; j++) state[j] = h[j];
}

// The sequence walked in blocks, forwards or backwards (stride BLOCK or -BLOCK): positions of this block's steps and of
// the next one's, to fetch them ahead.
struct Walk {
    Order order;
    int64_t end;
    int64_t pos[BLOCK], next[BLOCK];
    int steps = 0;

    MM_INLINE_MEMBER Walk(const Order& order, int64_t end) : order(order), end(end) {}
    MM_INLINE_MEMBER void to(int64_t i, int64_t stride = BLOCK) {
        steps = (int)smaller(BLOCK, end - i);
        for (int t = 0; t < BLOCK; t++) {  // past the end the last position again: read, never written
            pos[t] = order(smaller(i + t, end - 1));
            int64_t ahead = i + t + stride;
            next[t] = order(ahead < 0 ? 0 : smaller(ahead, end - 1));
        }
    }
};

// Rows of one tensor at one sample and channel.
template <class T>
struct Rows {
    T* first;
    int64_t row;
    MM_INLINE_MEMBER Rows(const void* base, int64_t batch, int64_t row, int64_t b, int64_t c)
        : first(base ? (T*)base + b * batch + c : nullptr), row(row) {}
    MM_INLINE_MEMBER T* at(int64_t position) const { return first + position * row; }
    MM_INLINE_MEMBER vf get(int64_t position, int n) const { return load(at(position), n); }
    MM_INLINE_MEMBER void ahead(int64_t position) const { __builtin_prefetch(at(position), 0, 2); }
};

// Skip and gate are the two ends of a block; between them lies the recurrence.
template <class T>
struct Ends {
    Rows<T> u, delta, z, y;
    Rows<float> sum;
    vf D, bias;
    bool softplus, first, finish;
    int n;

    MM_INLINE_MEMBER Ends(const ScanArgs& a, int64_t b, int64_t c)
        : u(a.u, a.u_batch, a.u_row, b, c), delta(a.delta, a.delta_batch, a.delta_row, b, c),
          z(a.z, a.z_batch, a.z_row, b, c), y(a.y, a.length * a.channels, a.channels, b, c),
          sum(a.sum, a.length * a.channels, a.channels, b, c), softplus(a.softplus), first(a.first),
          finish(a.finish), n((int)smaller(W, a.channels - c)) {
        D = a.D ? load(a.D + c, n) : splat(0.0f);
        bias = a.bias ? load(a.bias + c, n) : splat(0.0f);
    }

    MM_INLINE_MEMBER void begin(const Walk& walk, vf* d, vf* du, vf* total, vf* slope = nullptr) const {
        for (int t = 0; t < walk.steps; t += SIDE) {
#pragma GCC unroll 8
            for (int j = 0; j < SIDE; j++) {
                d[t + j] = delta.get(walk.pos[t + j], n) + bias;
                u.ahead(walk.next[t + j]);
                delta.ahead(walk.next[t + j]);
            }
            if (softplus) softplus_many<SIDE>(d + t, slope ? slope + t : nullptr);
#pragma GCC unroll 8
            for (int j = 0; j < SIDE; j++) {
                vf in = u.get(walk.pos[t + j], n);
                du[t + j] = d[t + j] * in;
                total[t + j] = D * in;
            }
        }
    }
    MM_INLINE_MEMBER void end(const Walk& walk, vf* total) const {
        if (sum.first && !first)
            for (int t = 0; t < walk.steps; t++) total[t] += sum.get(walk.pos[t], n);
        if (finish && z.first) gate(walk, total);
        if (finish)
            for (int t = 0; t < walk.steps; t++) store(y.at(walk.pos[t]), total[t], n);
        else
            for (int t = 0; t < walk.steps; t++) store(sum.at(walk.pos[t]), total[t], n);
    }
    MM_INLINE_MEMBER void gate(const Walk& walk, vf* total) const {
        for (int t = 0; t < walk.steps; t += SIDE) {
            vf s[SIDE];
#pragma GCC unroll 8
            for (int j = 0; j < SIDE; j++) {
                s[j] = z.get(walk.pos[t + j], n);
                z.ahead(walk.next[t + j]);
                total[t + j] *= s[j];
            }
            sigmoid_many<SIDE>(s);
#pragma GCC unroll 8
            for (int j = 0; j < SIDE; j++) total[t + j] *= s[j];
        }
    }
};

// Channels c0..c1 of sample b from step `begin` to `end`, starting from the state in `space`.
template <class T, bool Grows>
static void scan_steps(const ScanArgs& a, ScanSpace& space, int64_t b, int64_t c0, int64_t begin,
                       int64_t end, float* step_sums) {
    Walk walk(Order(a.length, a.slices, a.reverse), end);
    Rows<T> Brows(a.B, a.B_batch, 0, b, 0), Crows(a.C, a.C_batch, 0, b, 0);
    int64_t all_blocks = ceil_div(a.length, BLOCK);
    vf d[BLOCK], du[BLOCK], y[BLOCK];
    for (int64_t i = begin; i < end; i += BLOCK) {
        walk.to(i);
        load_rows(space.B, space.padded, Brows.first, a.B_row, a.states, walk.pos, walk.steps);
        load_rows(space.C, space.padded, Crows.first, a.C_row, a.states, walk.pos, walk.steps);
        for (int64_t k = 0; k < space.blocks; k++) {
            int64_t c = c0 + k * W;
            Ends<T> ends(a, b, c);
            vf *decay = (vf*)space.decay_of(k), *state = (vf*)space.state_of(k);
            if (a.kept)
                for (int64_t n = 0; n < a.states; n++)
                    store(a.kept + ((b * all_blocks + i / BLOCK) * a.states + n) * a.channels + c, state[n], ends.n);
            ends.begin(walk, d, du, y);
            for (int64_t n = 0; n < space.padded; n += STATES)
                recur<Grows>(walk.steps, decay + n, state + n, d, du, space.B + n, space.C + n, space.padded, y);
            ends.end(walk, y);
            if (step_sums) {
                vf total = load(step_sums + k * W);
                for (int t = 0; t < walk.steps; t++) total += d[t];
                store(step_sums + k * W, total);
            }
        }
    }
}

// ---- long sequences with few channels: segments side by side
//
// Every segment is scanned from a zero state, the true states at their starts are composed one after the other
// (the product of a segment's decays is exp(A * sum of its step sizes)), and what the start state adds is put in by a
// second pass that ends as soon as that state has decayed to zero.

struct ScanJob {
    const ScanArgs* a;
    int64_t groups;      // of channels, per sample
    int64_t segments;    // of the sequence
    float* ends;         // [segment][sample][state][channel]: end states from zero, then start states
    float* step_sums;    // [segment][sample][channel]
};

struct Share {
    int64_t b, c0, c1, begin, end, segment;
    MM_INLINE_MEMBER Share(const ScanJob& job, int64_t index) {
        const ScanArgs& a = *job.a;
        segment = index / (job.groups * a.batch);
        b = index / job.groups % a.batch;
        int64_t g = index % job.groups, vectors = ceil_div(a.channels, W), blocks = ceil_div(a.length, BLOCK);
        c0 = vectors * g / job.groups * W;
        c1 = smaller(vectors * (g + 1) / job.groups * W, a.channels);
        begin = blocks * segment / job.segments * BLOCK;
        end = smaller(blocks * (segment + 1) / job.segments * BLOCK, a.length);
    }
};

MM_INLINE float* segment_states(const ScanJob& job, int64_t segment, int64_t b, int64_t n) {
    const ScanArgs& a = *job.a;
    return job.ends + ((segment * a.batch + b) * a.states + n) * a.channels;
}

template <class T>
static void forward_task(void* pointer, int64_t index) {
    const ScanJob& job = *(const ScanJob*)pointer;
    const ScanArgs& a = *job.a;
    Share own(job, index);
    ScanSpace space(a.states, own.c1 - own.c0);
    float* sums = job.step_sums ? (float*)scratch(space.blocks * W * 4) : nullptr;
    if (sums) memset(sums, 0, space.blocks * W * 4);
    if (load_decays(a, space, own.c0, own.c1))
        scan_steps<T, false>(a, space, own.b, own.c0, own.begin, own.end, sums);
    else
        scan_steps<T, true>(a, space, own.b, own.c0, own.begin, own.end, sums);
    for (int64_t c = own.c0; c < own.c1; c++) {
        int64_t k = (c - own.c0) / W, lane = (c - own.c0) % W;
        for (int64_t n = 0; n < a.states; n++) {
            float h = space.state_of(k)[n * W + lane];
            if (sums)
                segment_states(job, own.segment, own.b, n)[c] = h;
            else
                a.last[(own.b * a.channels + c) * a.states + n] = h;
        }
        if (sums) job.step_sums[(own.segment * a.batch + own.b) * a.channels + c] = sums[k * W + lane];
    }
    if (sums) release(sums);
}

// End states from zero become start states; the last one is the scan's own end.
static void compose_segments(const ScanJob& job) {
    const ScanArgs& a = *job.a;
    for (int64_t b = 0; b < a.batch; b++)
        for (int64_t c = 0; c < a.channels; c++)
            for (int64_t n = 0; n < a.states; n++) {
                float h = 0;
                for (int64_t s = 0; s < job.segments; s++) {
                    float* at = segment_states(job, s, b, n) + c;
                    float own = *at, total = job.step_sums[(s * a.batch + b) * a.channels + c];
                    *at = h;
                    float decay = exp2v(splat(total * a.A[c * a.states + n] * LOG2E))[0];
                    h = h == 0 ? own : decay * h + own;  // where A grows the decay may be infinite
                }
                a.last[(b * a.channels + c) * a.states + n] = h;
            }
}

// Adds C (decayed start state) to `y` and lets the state decay on; false once nothing of it is left.
static bool decay_on(int steps, int64_t padded, const vf* decay, vf* state, const vf* d, const float* C, vf* y) {
    vi alive = {};
    for (int64_t n = 0; n < padded; n++) {
        vf h = state[n];
        for (int t = 0; t < steps; t++) {
            h *= exp2v(d[t] * decay[n]);
            y[t] += h * C[t * padded + n];
        }
        state[n] = h;
        alive |= h != 0.0f;
    }
    for (int i = 0; i < W; i++)
        if (alive[i]) return true;
    return false;
}

template <class T>
static void correct_task(void* pointer, int64_t index) {
    const ScanJob& job = *(const ScanJob*)pointer;
    const ScanArgs& a = *job.a;
    Share own(job, index);
    ScanSpace space(a.states, own.c1 - own.c0);
    load_decays(a, space, own.c0, own.c1);
    Walk walk(Order(a.length, a.slices, a.reverse), own.end);
    Rows<T> Crows(a.C, a.C_batch, 0, own.b, 0);
    int64_t all_blocks = ceil_div(a.length, BLOCK);
    vf d[BLOCK], du[BLOCK], y[BLOCK];
    bool* alive = (bool*)scratch(space.blocks);
    for (int64_t k = 0; k < space.blocks; k++) {
        alive[k] = own.segment > 0;
        int n = (int)smaller(W, a.channels - own.c0 - k * W);
        for (int64_t j = 0; j < a.states; j++)
            ((vf*)space.state_of(k))[j] = load(segment_states(job, own.segment, own.b, j) + own.c0 + k * W, n);
    }
    for (int64_t i = own.begin; i < own.end; i += BLOCK) {
        walk.to(i);
        load_rows(space.C, space.padded, Crows.first, a.C_row, a.states, walk.pos, walk.steps);
        for (int64_t k = 0; k < space.blocks; k++) {
            int64_t c = own.c0 + k * W;
            Ends<T> ends(a, own.b, c);
            vf* state = (vf*)space.state_of(k);
            for (int t = 0; t < walk.steps; t++) y[t] = splat(0.0f);
            bool adds = alive[k];
            if (adds) {
                if (a.kept)
                    for (int64_t n = 0; n < a.states; n++) {
                        float* at = a.kept + ((own.b * all_blocks + i / BLOCK) * a.states + n) * a.channels + c;
                        store(at, load(at, ends.n) + state[n], ends.n);
                    }
                vf skip[BLOCK];
                ends.begin(walk, d, du, skip);
                alive[k] = decay_on(walk.steps, space.padded, (vf*)space.decay_of(k), state, d, space.C, y);
            }
            ends.first = false;
            ends.finish = a.finish;
            if (adds || a.finish) ends.end(walk, y);
        }
    }
    release(alive);
}

template <class T>
static void forward_typed(const ScanArgs& a) {
    ScanJob job = {&a, channel_groups(a.channels, a.batch, a.threads), 1, nullptr, nullptr};
    int64_t tasks = job.groups * a.batch;
    if (a.segments <= 1) return run_tasks(forward_task<T>, &job, tasks, a.threads);
    ScanArgs open = a;  // the first pass leaves the ungated sum for the second
    open.finish = 0;
    job.a = &open;
    job.segments = a.segments;
    int64_t rows = job.segments * a.batch * a.channels;
    job.ends = (float*)scratch(rows * (a.states + 1) * 4);
    job.step_sums = job.ends + rows * a.states;
    run_tasks(forward_task<T>, &job, tasks * job.segments, a.threads);
    compose_segments(job);
    job.a = &a;
    run_tasks(correct_task<T>, &job, tasks * job.segments, a.threads);
    release(job.ends);
}

static void scan_forward(const ScanArgs& a) {
    if (a.dtype == BF16)
        forward_typed<bf16>(a);
    else
        forward_typed<float>(a);
}

}  // namespace MM_ISA
