// The library's face: plain C functions, the choice of the instruction set, threads.

#include "library.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

extern const Kernels kernels_portable;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512;
#endif

// ---- instruction set

static const char* const NAMES[] = {"portable", "avx2", "avx512"};

static const Kernels* table(int level) {
#if defined(__x86_64__)
    if (level == 2) return &kernels_avx512;
    if (level == 1) return &kernels_avx2;
#endif
    return level == 0 ? &kernels_portable : nullptr;
}

static int best_level() {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}

static int level = best_level();

// ---- threads

typedef void (*Body)(void*);
typedef void (*Parallel)(Body body, void* data, unsigned threads, unsigned flags);

struct Work {
    void (*task)(void*, int64_t);
    void* data;
    int64_t count, next;
};

static void work_on(void* pointer) {
    Work* work = (Work*)pointer;
    FlushDenormals flush;
    for (;;) {
        int64_t index = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED);
        if (index >= work->count) return;
        work->task(work->data, index);
    }
}

static void* thread_main(void* pointer) {
    work_on(pointer);
    return nullptr;
}

// Threads of our own, made for the call: used when no OpenMP runtime was handed over.
static void own_threads(Body, void* data, unsigned threads, unsigned) {
    enum { MOST = 256 };
    pthread_t others[MOST];
    unsigned started = 0;
    while (started + 1 < threads && started < MOST && !pthread_create(&others[started], nullptr, thread_main, data))
        started++;
    work_on(data);
    for (unsigned i = 0; i < started; i++) pthread_join(others[i], nullptr);
}

static Parallel parallel = own_threads;

void run_tasks(void (*task)(void*, int64_t), void* data, int64_t count, int64_t threads) {
    Work work = {task, data, count, 0};
    int64_t used = threads < count ? threads : count;
    if (used <= 1)
        work_on(&work);
    else
        parallel(work_on, &work, (unsigned)used, 0);
}

void* scratch(int64_t bytes) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 4096, (size_t)(bytes > 0 ? bytes : 64))) {
        fprintf(stderr, "medmamba: no memory for %lld bytes of working space\n", (long long)bytes);
        abort();
    }
    return memory;
}

void release(void* memory) { free(memory); }

#if defined(__x86_64__)
FlushDenormals::FlushDenormals() : before(_mm_getcsr()) { _mm_setcsr(before | 0x8040); }
FlushDenormals::~FlushDenormals() { _mm_setcsr(before); }
#else
FlushDenormals::FlushDenormals() : before(0) {}
FlushDenormals::~FlushDenormals() {}
#endif

// ---- the C interface

#define MM_EXPORT extern "C" __attribute__((visibility("default")))

MM_EXPORT const char* mm_isa() { return NAMES[level]; }

// Use the kernels of that instruction set from now on; 0 when this CPU or build does not have it.
MM_EXPORT int mm_use(int wanted) {
    if (wanted < 0 || wanted > best_level() || !table(wanted)) return 0;
    level = wanted;
    return 1;
}

// Take threads from an OpenMP runtime (its GOMP_parallel), so that one pool serves torch and this library.
MM_EXPORT void mm_use_openmp(Parallel function) { parallel = function ? function : own_threads; }

MM_EXPORT void mm_scan_forward(const ScanArgs* a) { table(level)->scan_forward(*a); }
MM_EXPORT void mm_scan_backward(const ScanArgs* a) { table(level)->scan_backward(*a); }
MM_EXPORT void mm_conv_forward(const ConvArgs* a) { table(level)->conv_forward(*a); }
MM_EXPORT void mm_conv_backward(const ConvArgs* a) { table(level)->conv_backward(*a); }
MM_EXPORT void mm_norm_statistics(const NormArgs* a) { table(level)->norm_statistics(*a); }
MM_EXPORT void mm_norm_apply(const NormArgs* a) { table(level)->norm_apply(*a); }
MM_EXPORT void mm_winograd(const WinogradArgs* a) { table(level)->winograd(*a); }
MM_EXPORT void mm_warp_forward(const WarpArgs* a) { table(level)->warp_forward(*a); }
MM_EXPORT void mm_warp_backward(const WarpArgs* a) { table(level)->warp_backward(*a); }
MM_EXPORT float mm_exp_stream(int64_t rounds) { return table(level)->exp_stream(rounds); }
MM_EXPORT int64_t mm_exp_stream_numbers(int64_t rounds) { return table(level)->exp_stream_numbers(rounds); }
