/* Signals: DFT, STFT, MelWeightMatrix.
 *
 * A transform of length n is the plain sum over n points with a table of the n-th roots of unity:
 * quadratic, but exact to the last bits and right for every n. Sums run in double, whatever the number
 * type. */
#include "eval_kernel.h"

#include <math.h>
#include <string.h>

/* --- one transform -------------------------------------------------------------------------------------- */

typedef struct {
    double re, im;
} Complex;

/* exp(sign 2 pi i k / n) for k in [0, n) */
static Complex *roots_of_unity(Tg *tg, int64_t n, double sign)
{
    static const double turn = 6.283185307179586476925286766559;
    Complex *root = TG_NEW_N(tg_scratch(tg), Complex, n);
    for (int64_t k = 0; k < n; k++) {
        const double angle = turn * (double)k / (double)n;
        root[k] = (Complex){cos(angle), sign * sin(angle)};
    }
    return root;
}

static const double BIN = 8; /* operations for each point in each bin */

/* Bin k of the transform of x[0..n). */
static Complex bin(const Complex *x, const Complex *root, int64_t n, int64_t k)
{
    Complex sum = {0, 0};
    for (int64_t i = 0, r = 0; i < n; i++) {
        sum.re += x[i].re * root[r].re - x[i].im * root[r].im;
        sum.im += x[i].re * root[r].im + x[i].im * root[r].re;
        r += k;
        r -= r >= n ? n : 0;
    }
    return sum;
}

/* Element i of an array whose last axis holds one real, or a real and an imaginary part. */
static Complex load(const TgEvalCall *c, const TgArray *a, int64_t i, int64_t parts)
{
    return (Complex){eval_real(c, a, i * parts), parts == 2 ? eval_real(c, a, i * 2 + 1) : 0};
}

static void store(TgEvalCall *c, int64_t i, int64_t parts, Complex x)
{
    tg_array_set_float(c->mode, &c->out[0], i * parts, x.re);
    if (parts == 2)
        tg_array_set_float(c->mode, &c->out[0], i * parts + 1, x.im);
}

/* 1 or 2: the size of the last axis. */
static bool complex_parts(TgEvalCall *c, const TgArray *x, int64_t *parts)
{
    *parts = x->rank < 2 ? 0 : x->dim[x->rank - 1];
    return *parts == 1 || *parts == 2 || eval_bad_shape(c, 0, "the last axis is 1 (real) or 2 (complex)");
}

/* --- DFT ------------------------------------------------------------------------------------------------ */

typedef struct {
    int64_t outer, in, inner, length, out, parts_in, parts_out;
    bool inverse, onesided;
} Dft;

/* One signal: `at` counts the elements before it, neighbours are `inner` apart. */
static void read_signal(const TgEvalCall *c, const Dft *d, int64_t at, Complex *x)
{
    const bool half = d->inverse && d->onesided; /* the bins above the middle mirror those below */
    const int64_t given = half ? d->length / 2 + 1 : d->length;
    for (int64_t i = 0; i < d->length; i++)
        x[i] = i < d->in && i < given ? load(c, c->in[0], at + i * d->inner, d->parts_in) : (Complex){0, 0};
    for (int64_t i = given; i < d->length; i++)
        x[i] = (Complex){x[d->length - i].re, -x[d->length - i].im};
}

static void dft(TgEvalCall *c, const Dft *d)
{
    const Complex *root = roots_of_unity(c->tg, d->length, d->inverse ? 1 : -1);
    Complex *x = TG_NEW_N(tg_scratch(c->tg), Complex, d->length);
    const double scale = d->inverse ? 1 / (double)d->length : 1;
    for (int64_t row = 0; row < d->outer * d->inner; row++) {
        const int64_t o = row / d->inner, k = row % d->inner;
        read_signal(c, d, o * d->in * d->inner + k, x);
        for (int64_t i = 0; i < d->out; i++) {
            Complex y = bin(x, root, d->length, i);
            store(c, (o * d->out + i) * d->inner + k, d->parts_out, (Complex){scale * y.re, scale * y.im});
        }
    }
}

bool eval_dft(TgEvalCall *c)
{
    const TgArray *x = c->in[0];
    Dft d = {.inverse = tg_attr_int(c->n, "inverse") != 0, .onesided = tg_attr_int(c->n, "onesided") != 0};
    int64_t given, dim[TG_EVAL_RANK];
    int32_t axis;
    if (!eval_holds(c, "rii") || !complex_parts(c, x, &d.parts_in) || !eval_one_int(c, 2, -2, &given)
        || !eval_axis(c, given, x->rank, &axis))
        return false;
    if (axis == x->rank - 1)
        return eval_bad_value(c, "axis", given);
    d.in = x->dim[axis];
    d.outer = eval_count(x->dim, 0, axis);
    d.inner = eval_count(x->dim, axis + 1, x->rank - 1);
    if (!eval_one_int(c, 1, d.inverse && d.onesided ? 2 * (d.in - 1) : d.in, &d.length))
        return false;
    if (d.length < 1 || d.length > INT32_MAX)
        return eval_bad_value(c, "dft_length", d.length);
    d.out = d.onesided && !d.inverse ? d.length / 2 + 1 : d.length;
    d.parts_out = d.onesided && d.inverse ? 1 : 2;
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = d.out;
    dim[x->rank - 1] = d.parts_out;
    if (!eval_out(c, 0, x->dtype, x->rank, dim)
        || !eval_spend(c, BIN * (double)c->out[0].count * (double)d.length))
        return false;
    dft(c, &d);
    return true;
}

/* --- STFT ----------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t batch, samples, parts, step, length, frames, bins;
} Stft;

static void stft(TgEvalCall *c, const Stft *s, const TgArray *window)
{
    const Complex *root = roots_of_unity(c->tg, s->length, -1);
    Complex *x = TG_NEW_N(tg_scratch(c->tg), Complex, s->length);
    for (int64_t frame = 0; frame < s->batch * s->frames; frame++) {
        const int64_t start = frame / s->frames * s->samples + frame % s->frames * s->step;
        for (int64_t i = 0; i < s->length; i++) {
            const double weight = window ? eval_real(c, window, i) : 1;
            const Complex sample = load(c, c->in[0], start + i, s->parts);
            x[i] = (Complex){weight * sample.re, weight * sample.im};
        }
        for (int64_t k = 0; k < s->bins; k++)
            store(c, frame * s->bins + k, 2, bin(x, root, s->length, k));
    }
}

bool eval_stft(TgEvalCall *c)
{
    const TgArray *x = c->in[0], *window = eval_in(c, 2);
    Stft s = {0};
    if (!eval_holds(c, "riri"))
        return false;
    if (x->rank == 2) { /* tolerated: a real signal without its last axis of one */
        s.parts = 1;
    } else if (x->rank != 3 || !complex_parts(c, x, &s.parts)) {
        return x->rank == 3 ? false : eval_bad_shape(c, 0, "a batch of signals has three axes");
    }
    s.batch = x->dim[0];
    s.samples = x->dim[1];
    if (!eval_one_int(c, 1, 0, &s.step) || !eval_one_int(c, 3, window ? window->count : s.samples, &s.length))
        return false;
    if (s.step < 1)
        return eval_bad_value(c, "frame_step", s.step);
    if (s.length < 1 || s.length > s.samples)
        return eval_bad_value(c, "frame_length", s.length);
    if (window && window->count != s.length)
        return eval_bad_shape(c, 2, "a window has one element per sample of a frame");
    s.frames = (s.samples - s.length) / s.step + 1;
    s.bins = tg_attr_int(c->n, "onesided") && s.parts == 1 ? s.length / 2 + 1 : s.length;
    if (!eval_out(c, 0, x->dtype, 4, (int64_t[]){s.batch, s.frames, s.bins, 2})
        || !eval_spend(c, BIN * (double)c->out[0].count * (double)s.length))
        return false;
    stft(c, &s, window);
    return true;
}

/* --- MelWeightMatrix ------------------------------------------------------------------------------------ */

static double mel_of(double hertz) { return 2595 * log10(1 + hertz / 700); }
static double hertz_of(double mel) { return 700 * (pow(10, mel / 2595) - 1); }

typedef struct {
    int64_t bands, length, rate;
    double low, high; /* hertz */
} Mel;

/* Band b is a triangle over three neighbouring edges, as bins of the spectrum. */
static int64_t mel_edge(const Mel *m, int64_t i)
{
    const double step = (mel_of(m->high) - mel_of(m->low)) / (double)(m->bands + 2);
    const double hertz = hertz_of(mel_of(m->low) + (double)i * step);
    const double edge = floor((double)(m->length + 1) * hertz / (double)m->rate),
        last = (double)(m->length / 2);
    return (int64_t)(edge > 0 ? edge < last ? edge : last : 0);
}

static double mel_weight(int64_t bin_at, int64_t left, int64_t center, int64_t right)
{
    if (bin_at >= center && bin_at < right)
        return (double)(right - bin_at) / (double)(right - center);
    if (bin_at == center)
        return 1;
    return bin_at >= left && bin_at < center ? (double)(bin_at - left) / (double)(center - left) : 0;
}

bool eval_mel_weight_matrix(TgEvalCall *c)
{
    Mel m;
    if (!eval_holds(c, "iiirr") || !eval_one_int(c, 0, 0, &m.bands) || !eval_one_int(c, 1, 0, &m.length)
        || !eval_one_int(c, 2, 0, &m.rate)
        || !eval_one_float(c, 3, 0, &m.low) || !eval_one_float(c, 4, 0, &m.high))
        return false;
    if (m.bands < 0 || m.bands > INT32_MAX)
        return eval_bad_value(c, "num_mel_bins", m.bands);
    if (m.length < 0 || m.length > INT32_MAX || m.rate < 1)
        return eval_bad_value(c, m.rate < 1 ? "sample_rate" : "dft_length", m.rate < 1 ? m.rate : m.length);
    const int64_t bins = m.length / 2 + 1;
    if (!eval_out(c, 0, (TgDtype)tg_attr_int(c->n, "output_datatype"), 2, (int64_t[]){bins, m.bands}))
        return false;
    TgArray *y = &c->out[0];
    for (int64_t b = 0; b < m.bands; b++) {
        const int64_t left = mel_edge(&m, b), center = mel_edge(&m, b + 1), right = mel_edge(&m, b + 2);
        for (int64_t i = 0; i < bins; i++) {
            const double weight = mel_weight(i, left, center, right);
            if (eval_is_real(y))
                tg_array_set_float(c->mode, y, i * m.bands + b, weight);
            else
                tg_array_set_int(y, i * m.bands + b, (int64_t)weight);
        }
    }
    return true;
}
