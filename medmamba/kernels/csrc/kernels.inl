// All kernels for one instruction set; included once by each isa_*.cpp.

#include "library.h"
#include "vec.h"
//
#include "conv.inl"
#include "norm.inl"
#include "scan.inl"
#include "scan_backward.inl"
#include "warp.inl"
#include "winograd.inl"

namespace MM_ISA {

// A chain-free stream of 2^x in registers: how fast this core can do the scan's exponentials at best.
static float exp_stream(int64_t rounds) {
    vf x[8], total[8];
    for (int j = 0; j < 8; j++) {
        x[j] = splat(-0.1f * (float)(j + 1));
        total[j] = splat(0.0f);
    }
    for (int64_t i = 0; i < rounds; i++)
        for (int half = 0; half < 8; half += 4) {
            vf y[4];
            for (int j = 0; j < 4; j++) y[j] = x[half + j];
            exp2_many<false, 4>(y);
            for (int j = 0; j < 4; j++) {
                total[half + j] += y[j];
                x[half + j] -= 1e-6f;
            }
        }
    float all = 0;
    for (int j = 0; j < 8; j++) all += sum(total[j]);
    return all;
}

static int64_t exp_stream_numbers(int64_t rounds) { return rounds * 8 * W; }

}  // namespace MM_ISA

extern const Kernels MM_TABLE = {
    MM_ISA::scan_forward,  MM_ISA::scan_backward,   MM_ISA::conv_forward,
    MM_ISA::conv_backward, MM_ISA::norm_statistics, MM_ISA::norm_apply,
    MM_ISA::winograd,      MM_ISA::warp_forward,    MM_ISA::warp_backward,
    MM_ISA::exp_stream,    MM_ISA::exp_stream_numbers,
};
