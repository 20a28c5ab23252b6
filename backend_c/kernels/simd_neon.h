/* Vectors of 4 floats: AArch64 NEON. The names are explained in simd_scalar.h. */
#ifndef TGK_SIMD_NEON_H
#define TGK_SIMD_NEON_H

#include <arm_neon.h>
#include <stdint.h>

enum { TGK_LANES = 4, TGK_REGISTERS = 32 };

typedef float32x4_t tgk_vf;
typedef uint32x4_t tgk_vm;

#define tgk_prefetch(p) __builtin_prefetch(p, 0, 3)
#define tgk_prefetch_l2(p) __builtin_prefetch(p, 0, 2)

static inline tgk_vm tgk_vm_first(int n)
{
    static const int32_t lane[4] = {0, 1, 2, 3};
    return vcltq_s32(vld1q_s32(lane), vdupq_n_s32(n));
}
static inline tgk_vf tgk_vf_load(const float *p) { return vld1q_f32(p); }
static inline void tgk_vf_store(float *p, tgk_vf v) { vst1q_f32(p, v); }
static inline tgk_vf tgk_vf_load_n(const float *p, int n)
{
    float lane[4] = {0, 0, 0, 0};
    for (int i = 0; i < n; i++)
        lane[i] = p[i];
    return vld1q_f32(lane);
}
static inline void tgk_vf_store_n(float *p, tgk_vf v, int n)
{
    float lane[4];
    vst1q_f32(lane, v);
    for (int i = 0; i < n; i++)
        p[i] = lane[i];
}
static inline tgk_vf tgk_vf_load_f16(const uint16_t *p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
static inline tgk_vf tgk_vf_load_bf16(const uint16_t *p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
static inline tgk_vf tgk_vf_load_i8(const int8_t *p)
{
    const int32_t lane[4] = {p[0], p[1], p[2], p[3]};
    return vcvtq_f32_s32(vld1q_s32(lane));
}
/* Words of eight codes of four bits: see simd_scalar.h. */
typedef uint32x4_t tgk_vi;
static inline tgk_vi tgk_vi_load(const uint32_t *p) { return vld1q_u32(p); }
static inline tgk_vi tgk_vi_next(tgk_vi v) { return vshrq_n_u32(v, 4); }
static inline tgk_vf tgk_vi_code(tgk_vi v)
{
    const uint32x4_t low = vandq_u32(v, vdupq_n_u32(15));
    return vcvtq_f32_s32(vsubq_s32(vreinterpretq_s32_u32(low), vdupq_n_s32(8)));
}
static inline tgk_vf tgk_vf_zero(void) { return vdupq_n_f32(0); }
static inline tgk_vf tgk_vf_set1(float x) { return vdupq_n_f32(x); }
static inline tgk_vf tgk_vf_add(tgk_vf a, tgk_vf b) { return vaddq_f32(a, b); }
static inline tgk_vf tgk_vf_sub(tgk_vf a, tgk_vf b) { return vsubq_f32(a, b); }
static inline tgk_vf tgk_vf_mul(tgk_vf a, tgk_vf b) { return vmulq_f32(a, b); }
static inline tgk_vf tgk_vf_div(tgk_vf a, tgk_vf b) { return vdivq_f32(a, b); }
static inline tgk_vf tgk_vf_sqrt(tgk_vf a) { return vsqrtq_f32(a); }
static inline tgk_vf tgk_vf_abs(tgk_vf a) { return vabsq_f32(a); }
static inline tgk_vf tgk_vf_round(tgk_vf a) { return vrndnq_f32(a); }
static inline tgk_vf tgk_vf_fma(tgk_vf a, tgk_vf b, tgk_vf c) { return vfmaq_f32(c, a, b); }
static inline tgk_vm tgk_vf_lt(tgk_vf a, tgk_vf b) { return vcltq_f32(a, b); }
static inline tgk_vm tgk_vf_le(tgk_vf a, tgk_vf b) { return vcleq_f32(a, b); }
static inline tgk_vm tgk_vf_eq(tgk_vf a, tgk_vf b) { return vceqq_f32(a, b); }
static inline tgk_vf tgk_vf_select(tgk_vm m, tgk_vf a, tgk_vf b) { return vbslq_f32(m, a, b); }
static inline tgk_vf tgk_vf_max(tgk_vf a, tgk_vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline tgk_vf tgk_vf_min(tgk_vf a, tgk_vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline tgk_vm tgk_vm_and(tgk_vm a, tgk_vm b) { return vandq_u32(a, b); }
static inline tgk_vm tgk_vm_or(tgk_vm a, tgk_vm b) { return vorrq_u32(a, b); }
static inline tgk_vm tgk_vm_not(tgk_vm a) { return vmvnq_u32(a); }
static inline int tgk_vm_any(tgk_vm m) { return vmaxvq_u32(m) != 0; }
static inline tgk_vm tgk_vm_load_bool(const uint8_t *p, int n)
{
    uint32_t lane[4] = {0, 0, 0, 0};
    for (int i = 0; i < n && i < 4; i++)
        lane[i] = p[i];
    return vcgtq_u32(vld1q_u32(lane), vdupq_n_u32(0));
}
static inline float tgk_vf_reduce_add(tgk_vf v)
{
    float32x2_t r = vadd_f32(vget_low_f32(v), vget_high_f32(v));
    return vget_lane_f32(r, 0) + vget_lane_f32(r, 1);
}
static inline float tgk_vf_reduce_max(tgk_vf v) { return vmaxnmvq_f32(v); }
static inline float tgk_vf_reduce_min(tgk_vf v) { return vminnmvq_f32(v); }
/* 2^n in two factors: their product may leave the range of normal numbers where n alone would. */
static inline tgk_vf tgk_vf_scale(tgk_vf x, tgk_vf n)
{
    const int32x4_t bias = vdupq_n_s32(127);
    int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1), rest = vsubq_s32(whole, half);
    x = vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(half, bias), 23)));
    return vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(rest, bias), 23)));
}
static inline tgk_vf tgk_vf_add_exponent(tgk_vf x, tgk_vf t)
{
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(x), vshlq_n_u32(vreinterpretq_u32_f32(t), 23)));
}
static inline tgk_vf tgk_vf_power(tgk_vf n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)), 23));
}
static inline void tgk_vf_transpose(tgk_vf *v)
{
    float32x4x2_t a = vtrnq_f32(v[0], v[1]), b = vtrnq_f32(v[2], v[3]);
    v[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    v[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    v[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    v[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

#include "simd_exp.h"

#endif
