/* DFT, STFT, MelWeightMatrix.
 *
 * A transform of n = n1 * n2 points, n1 the largest divisor up to the root of n, is n2 transforms of n1 points, a
 * turn of each result, and n1 transforms of n2 points: n * (n1 + n2) steps instead of n * n, for any n. It runs in
 * double, in buffers on the stack. Beyond MOST points there is no room: then each bin is a plain sum whose root of
 * unity is turned on step by step and computed afresh every RESYNC steps. Tasks: ROWS transforms each.
 */
#include "op_signal.h"

#include <math.h>

#include "op_result.h"

enum { MOST = 1600, ROWS = 16, RESYNC = 32 };

typedef struct {
    double re, im;
} Complex;

/* A row to transform, element by element: i < n. */
typedef struct Rows Rows;
struct Rows {
    Complex (*load)(const Rows *s, int64_t row, int64_t i);
    int64_t n, bins, rows;
    double sign, scale;
    tgk_array *y;
    int64_t y_inner, y_parts; /* bin k of row r: element ((r / inner * bins + k) * inner + r % inner) * parts */
    /* of the signal */
    const tgk_array *x, *window;
    int64_t parts, inner, size, given, step, frames;
};

static void store(const Rows *s, int64_t row, int64_t k, Complex x)
{
    const int64_t at = ((row / s->y_inner * s->bins + k) * s->y_inner + row % s->y_inner) * s->y_parts;
    tgk_put_real(s->y, at, s->scale * x.re);
    if (s->y_parts == 2)
        tgk_put_real(s->y, at + 1, s->scale * x.im);
}

/* exp(sign 2 pi i k / n) */
static Complex root_of_unity(int64_t k, int64_t n, double sign)
{
    static const double turn = 6.283185307179586476925286766559;
    const double angle = turn * (double)k / (double)n;
    return (Complex){cos(angle), sign * sin(angle)};
}

static Complex times(Complex a, Complex b) { return (Complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }

/* Sum of x[i * x_step] * root[i * turn mod n] over `count` elements. */
static Complex sum_up(const Complex *x, int64_t x_step, int64_t count, const Complex *root, int64_t turn, int64_t n)
{
    Complex sum = {0, 0};
    for (int64_t i = 0, r = 0; i < count; i++) {
        const Complex part = times(x[i * x_step], root[r]);
        sum.re += part.re;
        sum.im += part.im;
        r += turn;
        r -= r >= n ? n : 0;
    }
    return sum;
}

static void transform(const Rows *s, int64_t row, int64_t n1, const Complex *root, Complex *x, Complex *turned)
{
    const int64_t n = s->n, n2 = n / n1;
    for (int64_t i = 0; i < n; i++)
        x[i] = s->load(s, row, i);
    for (int64_t k = 0; k < n1; k++)
        for (int64_t b = 0; b < n2; b++) /* b * k < n */
            turned[k * n2 + b] = times(sum_up(x + b, n2, n1, root, k * n2, n), root[b * k]);
    for (int64_t k = 0; k < s->bins; k++)
        store(s, row, k, sum_up(turned + k % n1 * n2, 1, n2, root, k / n1 * n1, n));
}

static Complex plain_bin(const Rows *s, int64_t row, int64_t k)
{
    const Complex turn = root_of_unity(k, s->n, s->sign);
    Complex sum = {0, 0}, root = {1, 0};
    for (int64_t i = 0; i < s->n; i++) {
        if (i % RESYNC == 0) /* i, k < 2^31 */
            root = root_of_unity(i * k % s->n, s->n, s->sign);
        const Complex part = times(s->load(s, row, i), root);
        sum.re += part.re;
        sum.im += part.im;
        root = times(root, turn);
    }
    return sum;
}

static void long_rows(void *arg, int64_t task)
{
    const Rows *s = arg;
    store(s, task / s->bins, task % s->bins, plain_bin(s, task / s->bins, task % s->bins));
}

static void short_rows(void *arg, int64_t task)
{
    const Rows *s = arg;
    const int64_t end = (task + 1) * ROWS < s->rows ? (task + 1) * ROWS : s->rows;
    Complex root[MOST], x[MOST], turned[MOST];
    int64_t n1 = 1;
    for (int64_t d = 2; d * d <= s->n; d++)
        n1 = s->n % d == 0 ? d : n1;
    for (int64_t k = 0; k < s->n; k++)
        root[k] = root_of_unity(k, s->n, s->sign);
    for (int64_t row = task * ROWS; row < end; row++)
        transform(s, row, n1, root, x, turned);
}

static void run(const tgk_ctx *c, Rows *s)
{
    if (s->n <= MOST)
        tgk_for(c, short_rows, s, (s->rows + ROWS - 1) / ROWS);
    else
        tgk_for(c, long_rows, s, s->rows * s->bins);
}

static Complex element(const tgk_array *x, int64_t i, int64_t parts)
{
    return (Complex){tgk_real(x, i * parts), parts == 2 ? tgk_real(x, i * 2 + 1) : 0};
}

/* --- DFT ---------------------------------------------------------------------------------------------------------- */

/* Elements of one signal lie `inner` apart; what is not there is 0; of a half spectrum (`given` of n bins), the
 * bins above the middle mirror those below. */
static Complex load_signal(const Rows *s, int64_t row, int64_t i)
{
    const int mirrored = i >= s->given;
    const int64_t k = mirrored ? s->n - i : i;
    Complex x = {0, 0};
    if (k < s->size)
        x = element(s->x, (row / s->inner * s->size + k) * s->inner + row % s->inner, s->parts);
    x.im = mirrored ? -x.im : x.im;
    return x;
}

tgk_status tgk_DFT(const tgk_ctx *c, tgk_DFT_args *a)
{
    const tgk_array *x = &a->in[0];
    const int inverse = a->inverse != 0, half = inverse && a->onesided != 0;
    int64_t given, length, dim[TGK_RANK];
    int32_t axis;
    Rows s = {.load = load_signal, .x = x, .y = &a->out[0], .sign = inverse ? 1 : -1};
    s.parts = x->rank < 2 ? 0 : x->dim[x->rank - 1];
    if (s.parts != 1 && s.parts != 2)
        return TGK_BAD_SIZE;
    if (!tgk_one_integer(&a->in[2], -2, &given) || !tgk_axis_at(given, x->rank, &axis) || axis == x->rank - 1)
        return TGK_BAD_VALUE;
    s.size = x->dim[axis];
    s.inner = s.y_inner = tgk_size_between(x, axis + 1, x->rank - 1);
    if (!tgk_one_integer(&a->in[1], half ? 2 * (s.size - 1) : s.size, &length) || length < 1 || length > INT32_MAX)
        return TGK_BAD_VALUE;
    s.n = length;
    s.given = half ? length / 2 + 1 : length;
    s.bins = a->onesided && !inverse ? length / 2 + 1 : length;
    s.y_parts = half ? 1 : 2;
    s.scale = inverse ? 1 / (double)length : 1;
    s.rows = tgk_size_between(x, 0, axis) * s.inner;
    memcpy(dim, x->dim, sizeof dim);
    dim[axis] = s.bins;
    dim[x->rank - 1] = s.y_parts;
    const tgk_status status = tgk_give(&a->out[0], x->rank, dim);
    if (status == TGK_OK)
        run(c, &s);
    return status;
}

/* --- STFT --------------------------------------------------------------------------------------------------------- */

static Complex load_frame(const Rows *s, int64_t row, int64_t i)
{
    Complex x = element(s->x, row / s->frames * s->size + row % s->frames * s->step + i, s->parts);
    if (s->window) {
        const double weight = tgk_real(s->window, i);
        x.re *= weight;
        x.im *= weight;
    }
    return x;
}

tgk_status tgk_STFT(const tgk_ctx *c, tgk_STFT_args *a)
{
    const tgk_array *x = &a->in[0], *window = a->in[2].at ? &a->in[2] : NULL;
    Rows s = {.load = load_frame, .x = x, .window = window, .y = &a->out[0], .sign = -1, .scale = 1, .y_inner = 1,
              .y_parts = 2};
    if (x->rank != 2 && x->rank != 3) /* rank 2 is tolerated: real, without its last axis of one */
        return TGK_BAD_SIZE;
    s.parts = x->rank == 2 ? 1 : x->dim[2];
    s.size = x->dim[1];
    if (s.parts != 1 && s.parts != 2)
        return TGK_BAD_SIZE;
    if (!tgk_one_integer(&a->in[1], 0, &s.step) || s.step < 1
        || !tgk_one_integer(&a->in[3], window ? tgk_total(window) : s.size, &s.n) || s.n < 1 || s.n > s.size
        || s.n > INT32_MAX)
        return TGK_BAD_VALUE;
    if (window && tgk_total(window) != s.n)
        return TGK_BAD_SIZE;
    s.frames = (s.size - s.n) / s.step + 1;
    s.bins = a->onesided && s.parts == 1 ? s.n / 2 + 1 : s.n;
    s.rows = x->dim[0] * s.frames;
    const int64_t dim[4] = {x->dim[0], s.frames, s.bins, 2};
    const tgk_status status = tgk_give(&a->out[0], 4, dim);
    if (status == TGK_OK)
        run(c, &s);
    return status;
}

/* --- MelWeightMatrix ---------------------------------------------------------------------------------------------- */

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
    const double edge = floor((double)(m->length + 1) * hertz / (double)m->rate), last = (double)(m->length / 2);
    return (int64_t)(edge > 0 ? edge < last ? edge : last : 0);
}

static double mel_weight(int64_t at, int64_t left, int64_t center, int64_t right)
{
    if (at >= center && at < right)
        return (double)(right - at) / (double)(right - center);
    if (at == center)
        return 1;
    return at >= left && at < center ? (double)(at - left) / (double)(center - left) : 0;
}

tgk_status tgk_MelWeightMatrix(const tgk_ctx *c, tgk_MelWeightMatrix_args *a)
{
    Mel m;
    (void)c;
    if (!tgk_one_integer(&a->in[0], 0, &m.bands) || !tgk_one_integer(&a->in[1], 0, &m.length)
        || !tgk_one_integer(&a->in[2], 0, &m.rate) || tgk_total(&a->in[3]) != 1 || tgk_total(&a->in[4]) != 1)
        return TGK_BAD_SIZE;
    m.low = tgk_real(&a->in[3], 0);
    m.high = tgk_real(&a->in[4], 0);
    if (m.bands < 0 || m.bands > INT32_MAX || m.length < 0 || m.length > INT32_MAX || m.rate < 1)
        return TGK_BAD_VALUE;
    const int64_t bins = m.length / 2 + 1, dim[2] = {bins, m.bands};
    const tgk_status status = tgk_give(&a->out[0], 2, dim);
    if (status || !a->out[0].at)
        return status;
    for (int64_t b = 0; b < m.bands; b++) {
        const int64_t left = mel_edge(&m, b), center = mel_edge(&m, b + 1), right = mel_edge(&m, b + 2);
        for (int64_t i = 0; i < bins; i++)
            tgk_put_real(&a->out[0], i * m.bands + b, mel_weight(i, left, center, right));
    }
    return TGK_OK;
}
