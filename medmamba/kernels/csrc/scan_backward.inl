// Selective scan, backward. Blocks are walked from the last to the first; inside one the states are derived again from
// the state kept at its start. Formulas in medmamba/scan/chunked.py.
//
// dB and dC are sums over channels: a task adds them up for its own channels in vectors, folds these at the end of a
// block and writes them to its own part of dB and dC; the parts are added by the caller in a fixed order. No atomics.

namespace MM_ISA {

// What the steps of a block hold for W channels.
struct Block {
    vf a[BLOCK * STATES];   // decays
    char apart[1024];       // see Carry
    vf ah[BLOCK * STATES];  // decay times the state before
    vf d[BLOCK], du[BLOCK], u[BLOCK], slope[BLOCK], g[BLOCK], gate_slope[BLOCK], y[BLOCK];
    vf into_input[BLOCK], into_decay[BLOCK];  // sum_n G B and sum_n q A
};

// What a task carries from block to block, for all its channels, and the block's sums over channels.
//
// a, ah, dB and dC are walked in step. Were they a multiple of 4 KiB apart, the processor would take the store to one
// for the load from another, because it compares the low address bits first: hence one page-aligned allocation and
// 1 KiB between their places in a page.
struct Carry {
    char* memory;
    Block* block;
    float *G, *dA, *dB, *dC;
    MM_INLINE_MEMBER Carry(const ScanSpace& space) {
        int64_t vectors = space.blocks * space.padded * W * 4, rows = BLOCK * space.padded * W * 4;
        int64_t at = ceil_div(sizeof(Block), 4096) * 4096, end = at + 2048 + rows + 1024 + rows + 2 * vectors;
        memory = (char*)scratch(end);
        memset(memory, 0, end);
        block = (Block*)memory;
        dB = (float*)(memory + at + 2048);
        dC = (float*)(memory + at + 2048 + rows + 1024);
        G = (float*)(memory + end - 2 * vectors);
        dA = (float*)(memory + end - vectors);
    }
    MM_INLINE_MEMBER ~Carry() { release(memory); }
};

// States n.. of a block forward again: decays and products are stored, the output before the gate and dC collected.
template <bool Grows>
MM_INLINE void derive(int steps, Block& x, const vf* decay, const vf* start, const float* B, const float* C,
                      int64_t padded, vf* dC) {
    vf h[STATES], A[STATES];
#pragma GCC unroll 8
    for (int j = 0; j < STATES; j++) {
        h[j] = start[j];
        A[j] = decay[j];
    }
    for (int t = 0; t < steps; t++) {
        vf dt = x.d[t], dut = x.du[t], g = x.g[t], total = x.y[t];
        const float *Bt = B + t * padded, *Ct = C + t * padded;
        vf a[STATES];
#pragma GCC unroll 8
        for (int j = 0; j < STATES; j++) a[j] = dt * A[j];
        exp2_many<Grows, STATES>(a);
#pragma GCC unroll 8
        for (int j = 0; j < STATES; j++) {
            vf ah = a[j] * h[j];
            h[j] = ah + dut * Bt[j];
            x.a[t * STATES + j] = a[j];
            x.ah[t * STATES + j] = ah;
            total += h[j] * Ct[j];
            dC[t * STATES + j] += h[j] * g;
        }
        x.y[t] = total;
    }
}

// The same states backward: `G` is what flows into the last step's state and leaves as what flows out of the first's.
MM_INLINE void flow_back(int steps, Block& x, const float* A, vf* G, vf* dA, const float* B, const float* C,
                         int64_t padded, vf* dB) {
    vf carry[STATES], sum_dA[STATES];
#pragma GCC unroll 8
    for (int j = 0; j < STATES; j++) {
        carry[j] = G[j];
        sum_dA[j] = splat(0.0f);
    }
    for (int t = steps - 1; t >= 0; t--) {
        vf g = x.g[t], dut = x.du[t], dt = x.d[t], S = x.into_input[t], Q = x.into_decay[t];
        const float *Bt = B + t * padded, *Ct = C + t * padded;
#pragma GCC unroll 8
        for (int j = 0; j < STATES; j++) {
            vf Gj = carry[j] + g * Ct[j];
            dB[t * STATES + j] += Gj * dut;
            S += Gj * Bt[j];
            vf q = Gj * x.ah[t * STATES + j];
            sum_dA[j] += q * dt;
            Q += q * ((const vf*)A)[j];
            carry[j] = Gj * x.a[t * STATES + j];
        }
        x.into_input[t] = S;
        x.into_decay[t] = Q;
    }
#pragma GCC unroll 8
    for (int j = 0; j < STATES; j++) {
        G[j] = carry[j];
        dA[j] += sum_dA[j];
    }
}

// One vector of channels: its tensors and the sums that become dD and the bias's gradient.
template <class T>
struct Channels {
    Ends<T> in;
    Rows<T> dy, du, ddelta;
    Rows<float> dz;

    MM_INLINE_MEMBER Channels(const ScanArgs& a, int64_t b, int64_t c)
        : in(a, b, c), dy(a.dy, a.dy_batch, a.dy_row, b, c), du(a.du, a.length * a.channels, a.channels, b, c),
          ddelta(a.ddelta, a.length * a.channels, a.channels, b, c),
          dz(a.dz, a.length * a.channels, a.channels, b, c) {}

    MM_INLINE_MEMBER void begin(const Walk& walk, Block& x) const {
        in.begin(walk, x.d, x.du, x.y, x.slope);
        for (int t = 0; t < walk.steps; t += SIDE) {
            vf s[SIDE], z[SIDE];
#pragma GCC unroll 8
            for (int j = 0; j < SIDE; j++) {
                int64_t p = walk.pos[t + j];
                x.u[t + j] = in.u.get(p, in.n);
                x.g[t + j] = dy.get(p, in.n);
                if (!in.softplus) x.slope[t + j] = splat(1.0f);
                x.into_input[t + j] = x.into_decay[t + j] = splat(0.0f);
                if (in.z.first) z[j] = s[j] = in.z.get(p, in.n);
                dy.ahead(walk.next[t + j]);
                in.z.ahead(walk.next[t + j]);
            }
            if (!in.z.first) continue;
            sigmoid_many<SIDE>(s);
#pragma GCC unroll 8
            for (int j = 0; j < SIDE; j++) {  // with silu(z) = z s: its value and its slope, each times dy
                vf g = x.g[t + j];
                x.g[t + j] = g * z[j] * s[j];
                x.gate_slope[t + j] = g * s[j] * (1.0f + z[j] * (1.0f - s[j]));
            }
        }
    }
    MM_INLINE_MEMBER void end(const Walk& walk, const Block& x, vf* dD, vf* dbias) const {
        for (int t = 0; t < walk.steps; t++) {
            int64_t p = walk.pos[t];
            vf dd = (x.into_input[t] * x.u[t] + x.into_decay[t]) * x.slope[t];
            store(ddelta.at(p), dd, in.n);
            store(du.at(p), x.into_input[t] * x.d[t] + in.D * x.g[t], in.n);
            *dD += x.g[t] * x.u[t];
            *dbias += dd;
            if (!dz.first) continue;
            vf grad = x.gate_slope[t] * x.y[t];
            store(dz.at(p), in.first ? grad : grad + dz.get(p, in.n), in.n);
        }
    }
};

// Sums over the lanes of [state / STATES][step][STATES] vectors to rows of dB or dC at the steps' positions.
static void fold(float* to, const float* vectors, int64_t states, const Walk& walk) {
    for (int t = 0; t < walk.steps; t++)
        for (int64_t n = 0; n < states; n++)
            to[walk.pos[t] * states + n] = sum(((const vf*)vectors)[(n / STATES * BLOCK + t) * STATES + n % STATES]);
}

template <class T, bool Grows>
static void backward_blocks(const ScanArgs& a, int64_t group, int64_t b, int64_t c0, ScanSpace& space,
                            float* exact, Carry& carry, float* dD, float* dbias) {
    Walk walk(Order(a.length, a.slices, a.reverse), a.length);
    Rows<T> Brows(a.B, a.B_batch, 0, b, 0), Crows(a.C, a.C_batch, 0, b, 0);
    int64_t count = ceil_div(a.length, BLOCK), rows = (group * a.batch + b) * a.length * a.states;
    Block& x = *carry.block;
    for (int64_t i = count - 1; i >= 0; i--) {
        walk.to(i * BLOCK, -BLOCK);
        load_rows(space.B, space.padded, Brows.first, a.B_row, a.states, walk.pos, walk.steps);
        load_rows(space.C, space.padded, Crows.first, a.C_row, a.states, walk.pos, walk.steps);
        memset(carry.dB, 0, BLOCK * space.padded * W * 4);
        memset(carry.dC, 0, BLOCK * space.padded * W * 4);
        for (int64_t k = 0; k < space.blocks; k++) {
            int64_t c = c0 + k * W, at = k * space.padded;
            Channels<T> channels(a, b, c);
            vf *state = (vf*)space.state_of(k), *decay = (vf*)space.decay_of(k);
            for (int64_t n = 0; n < a.states; n++)
                state[n] = load(a.kept + ((b * count + i) * a.states + n) * a.channels + c, channels.in.n);
            channels.begin(walk, x);
            for (int64_t n = 0; n < space.padded; n += STATES) {
                derive<Grows>(walk.steps, x, decay + n, state + n, space.B + n, space.C + n, space.padded,
                              (vf*)carry.dC + n * BLOCK);
                flow_back(walk.steps, x, exact + (at + n) * W, (vf*)carry.G + at + n, (vf*)carry.dA + at + n,
                          space.B + n, space.C + n, space.padded, (vf*)carry.dB + n * BLOCK);
            }
            channels.end(walk, x, (vf*)dD + k, (vf*)dbias + k);
        }
        fold(a.dB + rows, carry.dB, a.states, walk);
        fold(a.dC + rows, carry.dC, a.states, walk);
    }
}

template <class T>
static void backward_task(void* pointer, int64_t index) {
    const ScanJob& job = *(const ScanJob*)pointer;
    const ScanArgs& a = *job.a;
    Share own(job, index);
    ScanSpace space(a.states, own.c1 - own.c0);
    Carry carry(space);
    bool shrinks = load_decays(a, space, own.c0, own.c1);
    int64_t vectors = space.blocks * space.padded * W;
    float* exact = (float*)scratch((vectors + 2 * space.blocks * W) * 4);  // A itself, then the sums of D and bias
    float *dD = exact + vectors, *dbias = dD + space.blocks * W;
    for (int64_t i = 0; i < vectors; i++) exact[i] = space.decay[i] * (1.0f / LOG2E);
    memset(dD, 0, 2 * space.blocks * W * 4);
    int64_t group = index % job.groups;
    if (shrinks)
        backward_blocks<T, false>(a, group, own.b, own.c0, space, exact, carry, dD, dbias);
    else
        backward_blocks<T, true>(a, group, own.b, own.c0, space, exact, carry, dD, dbias);
    for (int64_t c = own.c0; c < own.c1; c++) {
        int64_t k = (c - own.c0) / W, lane = (c - own.c0) % W, row = own.b * a.channels + c;
        a.dD[row] = dD[c - own.c0];
        a.dbias[row] = dbias[c - own.c0];
        for (int64_t n = 0; n < a.states; n++)
            a.dA[row * a.states + n] = carry.dA[(k * space.padded + n) * W + lane];
    }
    release(exact);
}

static void scan_backward(const ScanArgs& a) {
    ScanJob job = {&a, a.groups, 1, nullptr, nullptr};
    run_tasks(a.dtype == BF16 ? backward_task<bf16> : backward_task<float>, &job, job.groups * a.batch, a.threads);
}

}  // namespace MM_ISA
