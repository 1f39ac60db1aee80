// What the library's parts share: the argument blocks of its calls, threads, and the table of one instruction set's
// kernels. Every field is 64 bits wide, so that the ctypes structures in Python need no thought about padding.

#pragma once
#include <stdint.h>

// Type of u, delta, B, C, z and y.
enum : int64_t { F32 = 0, BF16 = 1 };

// One direction of a scan over (batch, length, channels) with N states. Strides count elements; rows are dense.
struct ScanArgs {
    int64_t batch, length, channels, states, dtype, softplus, slices, reverse, threads;
    int64_t segments;  // forward: parts of the sequence side by side; more than one needs `sum`
    int64_t groups;    // backward: parts of the channels, each with its own dB and dC
    const void *u, *delta, *B, *C, *z;
    const float *A, *D, *bias;  // (channels, states), (channels), (channels); D and bias may be null
    int64_t u_batch, u_row, delta_batch, delta_row, B_batch, B_row, C_batch, C_row, z_batch, z_row;
    // forward
    void* y;        // dense (batch, length, channels); written by the direction that finishes
    float* sum;     // the same in float: sum over directions before the gate; null when there is one direction
    int64_t first, finish;  // first: overwrite `sum` instead of adding to it; finish: gate and write y
    float* last;    // (batch, channels, states)
    float* kept;    // (batch, blocks, states, channels) or null: the state before every BLOCK-th step
    // backward
    const void *dy;
    int64_t dy_batch, dy_row;
    void *du, *ddelta;  // dense, type of u
    float *dz;          // dense (batch, length, channels), added to unless `first`
    float *dA;          // (batch, channels, states)
    float *dB, *dC;     // (groups, batch, length, states)
    float *dD, *dbias;  // (batch, channels)
};

// One direction of a causal depthwise convolution with SiLU over (batch, length, channels).
struct ConvArgs {
    int64_t batch, length, channels, taps, dtype, silu, slices, reverse, threads;
    const void* x;
    int64_t x_batch, x_row;
    const float *weight, *bias;  // (channels, taps), (channels) or null
    void* out;                   // dense
    // backward
    const void* dout;  // dense
    int64_t dout_batch, dout_row;
    float* dx;         // dense, added to unless `first`
    int64_t first;
    float *dweight, *dbias;  // (batch, channels, taps), (batch, channels)
};

// Normalisation, addition and activation of a map (batch, voxels, channels). Strides count elements; rows are dense.
struct NormArgs {
    int64_t batch, voxels, channels, dtype, groups, threads;
    const void* x;
    int64_t x_batch, x_row;
    float *scale, *shift;  // (batch, channels): written by the statistics, read by the application
    // statistics
    const float *weight, *bias;  // (channels) or null
    double eps;
    // application: act(act(scale x + shift, inner) + residual_scale residual + residual_shift, outer)
    const void* residual;  // null: neither residual nor outer activation
    int64_t residual_batch, residual_row;
    const float *residual_scale, *residual_shift;  // (batch, channels)
    double inner, outer;                           // negative slopes
    void* out;                                     // may be x
    int64_t out_batch, out_row;
};

// Convolution of kernel 3 (in `planes` 3 or in the plane only: 1), stride 1 and zero padding on dense channels-last maps.
struct WinogradArgs {
    int64_t batch, depth, height, width, channels, outputs, planes, threads;
    const float* x;
    const float *weight, *bias;  // (points, outputs / 32 rounded up, channels, 32), (outputs) or null
    float* out;
};

// An image (batch, channels, depth, height, width) read where a displacement (batch, 3, ...), in voxels, leads. All dense.
struct WarpArgs {
    int64_t batch, channels, depth, height, width, threads;
    const float *image, *displacement;
    float* out;
    // backward; what is null is not asked for
    const float* dout;
    float *dimage, *ddisplacement;
};

struct Kernels {
    void (*scan_forward)(const ScanArgs&);
    void (*scan_backward)(const ScanArgs&);
    void (*conv_forward)(const ConvArgs&);
    void (*conv_backward)(const ConvArgs&);
    void (*norm_statistics)(const NormArgs&);
    void (*norm_apply)(const NormArgs&);
    void (*winograd)(const WinogradArgs&);
    void (*warp_forward)(const WarpArgs&);
    void (*warp_backward)(const WarpArgs&);
    float (*exp_stream)(int64_t rounds);
    int64_t (*exp_stream_numbers)(int64_t rounds);
};

// Run task(data, 0) .. task(data, count - 1) on up to `threads` threads; which thread runs which task is left open.
void run_tasks(void (*task)(void* data, int64_t index), void* data, int64_t count, int64_t threads);

// Memory on a page's boundary; the process ends with a message when there is none left.
void* scratch(int64_t bytes);
void release(void* memory);

// Results below 2^-126 become zero while it lives: a decaying state never slows down as a denormal number.
struct FlushDenormals {
    unsigned before;
    FlushDenormals();
    ~FlushDenormals();
};
