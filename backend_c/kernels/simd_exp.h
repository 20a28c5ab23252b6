/* The exponential of a vector, on the operations of the ISA's simd header, which includes this file at its end.
 *
 * e^x = 2^n e^r, n the integer next to x / ln 2, |r| <= ln 2 / 2. ln 2 is split in two so that n times its head is
 * exact. e^r = 1 + r + r^2 q(r); q, of degree 4, was fitted here to the relative error on that interval (0.08 units of
 * 2^-24).
 */
static inline tgk_vf tgk_vf_exp(tgk_vf x)
{
    const tgk_vf low = tgk_vf_set1(-87.33654f);
    tgk_vf t = tgk_vf_min(tgk_vf_set1(88.8f), tgk_vf_max(low, x)); /* of a NaN: the NaN */
    tgk_vf n = tgk_vf_round(tgk_vf_mul(t, tgk_vf_set1(0x1.715476p+0f)));
    tgk_vf r = tgk_vf_fma(n, tgk_vf_set1(-0x1.62cp-1f), t);
    r = tgk_vf_fma(n, tgk_vf_set1(-0.00027608682f), r);
    tgk_vf q = tgk_vf_fma(tgk_vf_set1(0x1.6a2352p-10f), r, tgk_vf_set1(0x1.123a6cp-7f));
    q = tgk_vf_fma(q, r, tgk_vf_set1(0x1.5558f4p-5f));
    q = tgk_vf_fma(q, r, tgk_vf_set1(0x1.555490p-3f));
    q = tgk_vf_fma(q, r, tgk_vf_set1(0x1.fffffcp-2f));
    q = tgk_vf_fma(tgk_vf_mul(q, r), r, r);
    tgk_vf y = tgk_vf_scale(tgk_vf_add(q, tgk_vf_set1(1)), n);
    return tgk_vf_select(tgk_vf_lt(x, low), tgk_vf_zero(), y);
}
