/* Exponentials of a vector, on the operations of the ISA's simd header, which includes this file at its end.
 *
 * The same steps as tgk_expf of tgk_math.h, where they and the coefficients are explained: y = n ln 2 + r, n found
 * by adding 1.5 2^23, which leaves n in the low bits; exp(r) - 1 = r + r^2 q(r). At most 1.1 ULP; 0 below -87.33,
 * never a denormal.
 */
static inline tgk_vf tgk_vf_exp_reduced(tgk_vf x, tgk_vf *shifted)
{
    const tgk_vf shift = tgk_vf_set1(0x1.8p23F);
    tgk_vf t = tgk_vf_fma(x, tgk_vf_set1(0x1.715476p0F), shift), n = tgk_vf_sub(t, shift);
    tgk_vf r = tgk_vf_fma(n, tgk_vf_set1(-0x1.62e4p-1F), x);
    r = tgk_vf_fma(n, tgk_vf_set1(-0x1.7f7d1cp-20F), r);
    tgk_vf z = tgk_vf_mul(r, r), high = tgk_vf_fma(tgk_vf_set1(0x1.122c86p-7F), r, tgk_vf_set1(0x1.55579ep-5F));
    tgk_vf q = tgk_vf_fma(tgk_vf_set1(0x1.5554aap-3F), r, tgk_vf_set1(0x1.fffffep-2F));
    q = tgk_vf_fma(tgk_vf_fma(tgk_vf_set1(0x1.6ab16cp-10F), z, high), z, q);
    *shifted = t;
    return tgk_vf_fma(z, q, r);
}

static inline tgk_vf tgk_vf_exp(tgk_vf x)
{
    tgk_vf n, p = tgk_vf_add(tgk_vf_exp_reduced(x, &n), tgk_vf_set1(1));
    tgk_vf y = tgk_vf_select(tgk_vf_lt(x, tgk_vf_set1(-0x1.5d589ep6F)), tgk_vf_zero(), tgk_vf_add_exponent(p, n));
    return tgk_vf_select(tgk_vf_le(x, tgk_vf_set1(0x1.62e42ep6F)), y, tgk_vf_add(x, tgk_vf_set1(INFINITY)));
}

/* For x < 88 or NaN. */
static inline tgk_vf tgk_vf_exp_below(tgk_vf x)
{
    tgk_vf n, e = tgk_vf_exp_reduced(x, &n), scale = tgk_vf_add_exponent(tgk_vf_set1(1), n);
    return tgk_vf_select(tgk_vf_lt(x, tgk_vf_set1(-0x1.5d589ep6F)), tgk_vf_zero(), tgk_vf_fma(scale, e, scale));
}

/* 2^x = 2^n 2^f, n the integer next to x, |f| <= 1/2. 2^f = 1 + f q(f); q, of degree 4, was fitted here to the
 * relative error of 2^f on that interval (1.6 units of 2^-24), 1 staying exact. */
#ifndef TGK_EXP2_IS_HERE
static inline tgk_vf tgk_vf_exp2(tgk_vf x)
{
    const tgk_vf low = tgk_vf_set1(-126);
    tgk_vf t = tgk_vf_max(low, x); /* of a NaN: the NaN */
    tgk_vf n = tgk_vf_round(t), f = tgk_vf_sub(t, n);
    tgk_vf q = tgk_vf_fma(tgk_vf_set1(0x1.5bba14p-10f), f, tgk_vf_set1(0x1.3cea88p-7f));
    q = tgk_vf_fma(q, f, tgk_vf_set1(0x1.c6b752p-5f));
    q = tgk_vf_fma(q, f, tgk_vf_set1(0x1.ebf9bcp-3f));
    q = tgk_vf_fma(q, f, tgk_vf_set1(0x1.62e42ap-1f));
    q = tgk_vf_fma(q, f, tgk_vf_set1(1));
    return tgk_vf_select(tgk_vf_lt(x, low), tgk_vf_zero(), tgk_vf_mul(q, tgk_vf_power(n)));
}
#endif

/* sum += a * b, for sums that stay in registers. */
#ifndef tgk_vf_accumulate
#define tgk_vf_accumulate(sum, a, b) ((sum) = tgk_vf_fma(a, b, sum))
#endif
