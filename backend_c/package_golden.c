/* NAME_golden.bin: inputs, and what the evaluator makes of them from the source model.
 *
 * Inputs are those of the equivalence check: token ids within their tables, masks of ones that end in zeros,
 * positions that count up. Sizes that somebody chose for small models may not fit this one, nor be of the case that
 * was planned, so several seeds are tried. The format is that
 * of the test program: see package/test.c.
 */
#include <string.h>

#include "writer.h"

enum { ATTEMPTS = 48 };

/* --- files of arrays -------------------------------------------------------------------------------------------- */

static bool put_number(TgOutput *out, uint64_t x, int size)
{
    uint8_t bytes[8];
    for (int k = 0; k < size; k++)
        bytes[k] = (uint8_t)(x >> 8 * k);
    return tg_output_write(out, bytes, (size_t)size);
}

static bool put_elements(TgOutput *out, const TgArray *a)
{
    uint8_t bytes[16] = {0};
    size_t size = emit_bytes(a->dtype);
    bool ok = true;
    for (int64_t i = 0; ok && i < a->count; i++) {
        if (tg_is_float(a->dtype)) /* of four bits: in the lower ones */
            tg_store_float(a->dtype, bytes, 0, tg_array_float(TG_EVAL_NATIVE, a, i));
        else if (tg_dtype_bits(a->dtype) < 8)
            bytes[0] = (uint8_t)tg_array_int(a, i);
        else
            tg_store_integer(a->dtype, bytes, 0, tg_array_int(a, i));
        ok = tg_output_write(out, bytes, size);
    }
    return ok;
}

static bool put_array(TgOutput *out, const TgArray *a)
{
    bool ok = put_number(out, a->dtype, 4) && put_number(out, (uint64_t)a->rank, 4);
    for (int32_t k = 0; ok && k < a->rank; k++)
        ok = put_number(out, (uint64_t)a->dim[k], 8);
    return ok && put_elements(out, a);
}

bool tgc_write_arrays(Tg *tg, const char *path, uint32_t n_in, const TgArray *in, uint32_t n_out, const TgArray *result)
{
    TgOutput *out = tg_output_open(tg, path);
    if (!out)
        return false;
    bool ok = tg_output_write(out, "TGARRAYS", 8) && put_number(out, n_in, 4) && put_number(out, n_out, 4);
    for (uint32_t i = 0; ok && i < n_in; i++)
        ok = put_array(out, &in[i]);
    for (uint32_t i = 0; ok && i < n_out; i++)
        ok = put_array(out, &result[i]);
    if (ok)
        return tg_output_commit(out, false);
    tg_output_discard(out);
    return false;
}

typedef struct {
    const uint8_t *at, *end;
} Reader;

static bool get_number(Reader *r, int size, uint64_t *x)
{
    *x = 0;
    if (r->end - r->at < size)
        return false;
    for (int k = size; k-- > 0;)
        *x = *x << 8 | r->at[k];
    r->at += size;
    return true;
}

static bool get_array(Tg *tg, Reader *r, TgArray *a)
{
    uint64_t type, rank, n;
    int64_t dim[8], count = 1;
    if (!get_number(r, 4, &type) || !get_number(r, 4, &rank) || type == 0 || type >= TG_DTYPE_COUNT || rank > 8)
        return false;
    for (uint64_t k = 0; k < rank; k++) {
        if (!get_number(r, 8, &n) || n > INT32_MAX || __builtin_mul_overflow(count, (int64_t)n, &count))
            return false;
        dim[k] = (int64_t)n;
    }
    size_t size = emit_bytes((TgDtype)type);
    if (!size || (uint64_t)count > (uint64_t)(r->end - r->at) / size)
        return false;
    *a = tg_array_new(tg, TG_EVAL_NATIVE, (TgDtype)type, (int32_t)rank, dim);
    for (int64_t i = 0; i < count; i++, r->at += size) {
        if (tg_is_float(a->dtype))
            tg_array_set_float(TG_EVAL_NATIVE, a, i, tg_load_float(a->dtype, r->at, 0));
        else if (tg_dtype_bits(a->dtype) < 8)
            tg_array_set_int(a, i, tg_dtype_class(a->dtype) == TG_CLASS_I ? (int8_t)r->at[0] : r->at[0]);
        else
            tg_array_set_int(a, i, tg_load_integer(a->dtype, r->at, 0));
    }
    return true;
}

bool tgc_read_arrays(Tg *tg, const char *path, uint32_t n_out, TgArray *out)
{
    const TgFile *file = tg_file_map(tg, path);
    if (!file)
        return false;
    Reader r = {file->bytes, file->bytes + file->size};
    uint64_t n_in, n;
    bool ok = file->size >= 16 && memcmp(r.at, "TGARRAYS", 8) == 0;
    r.at += ok ? 8 : 0;
    ok = ok && get_number(&r, 4, &n_in) && get_number(&r, 4, &n) && n_in == 0 && n == n_out;
    for (uint32_t i = 0; ok && i < n_out; i++)
        ok = get_array(tg, &r, &out[i]);
    return ok || tg_report(tg, TG_E_bad_arrays, path);
}

/* --- golden vectors --------------------------------------------------------------------------------------------- */

/* The sizes of the arrays are among those that were planned for. */
static bool fits(const Writer *w, const TgArray *in)
{
    for (uint32_t i = 0; i < w->plan->inputs.n; i++) {
        const TgType *type = package_input_type(w, i);
        for (int32_t k = 0; k < type->rank; k++) {
            int64_t known;
            if (in[i].dim[k] > tg_plan_most(w->plan, type->dim[k]))
                return false;
            if (tg_dim_known(type->dim[k], &known) && known != in[i].dim[k])
                return false;
        }
    }
    return true;
}

static void drop_all(Tg *tg, TgArray *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        tg_array_drop(tg, &a[i]);
}

/* The run is of the case that was planned: any other answers BAD_SIZE. */
static bool is_planned_case(const Writer *w, const TgEvalOptions *options, const TgArray *in)
{
    const TgPlan *plan = w->plan;
    if (!plan->cases)
        return true;
    TgArray *is = TG_NEW_N(w->arena, TgArray, plan->wanted.n + 1);
    bool planned = tg_eval(w->p.tg, plan->cases->graph, options, in, is);
    for (uint32_t i = 0; planned && i < plan->wanted.n; i++)
        planned = is[i].count == 1 && (tg_array_int(&is[i], 0) != 0) == plan->wanted.at[i];
    drop_all(w->p.tg, is, plan->wanted.n);
    return planned;
}

/* The reference, where it has the interface of the plan. */
static TgGraph *source_of(const Writer *w)
{
    TgGraph *g = w->options->reference;
    bool fit = g && g->inputs.n == w->plan->inputs.n && g->outputs.n == w->plan->outputs.n;
    return fit ? g : w->plan->source->model->graph;
}

static bool try_seed(Writer *w, uint64_t seed, TgArray *in, TgArray *out)
{
    Tg *tg = w->p.tg;
    TgGraph *source = source_of(w);
    TgEvalOptions options = {.mode = TG_EVAL_NATIVE, .threads = w->options->threads, .seed = seed,
                             .max_flops = w->options->most_flops};
    if (!tg_random_inputs(tg, source, TG_EVAL_NATIVE, seed, TG_IN_NORMAL, in))
        return false;
    if (fits(w, in) && is_planned_case(w, &options, in) && tg_eval(tg, source, &options, in, out))
        return true;
    drop_all(tg, in, source->inputs.n);
    return false;
}

bool package_write_golden(Writer *w)
{
    Tg *tg = w->p.tg;
    uint32_t n_in = w->plan->inputs.n, n_out = w->plan->outputs.n, before = tg_diag_count(tg);
    TgArray *in = TG_NEW_N(w->arena, TgArray, n_in + 1), *out = TG_NEW_N(w->arena, TgArray, n_out + 1);
    double most = w->options->most_flops;
    bool found = false, costly = most > 0 && tg_graph_cost(source_of(w), 1).flops > most; /* whatever symbols are */
    for (uint64_t i = 0; i < ATTEMPTS && !found && !costly; i++) {
        found = try_seed(w, w->options->seed + i, in, out);
        for (uint32_t k = before; k < tg_diag_count(tg); k++)
            costly |= tg_diag(tg, k)->id == TG_E_too_costly;
        tg_diag_forget(tg, before);
    }
    w->report->has_golden = found;
    if (!found) {
        w->report->why_not = "no inputs were found that the evaluator takes, or it would take too long";
        return true;
    }
    TgName path = package_file_in(w, "_golden.bin");
    bool ok = tgc_write_arrays(tg, path, n_in, in, n_out, out);
    for (uint32_t i = 0; i < n_in + n_out; i++) {
        const TgArray *a = i < n_in ? &in[i] : &out[i - n_in];
        w->report->golden += (uint64_t)a->count * emit_bytes(a->dtype);
    }
    w->report->files++;
    drop_all(tg, in, n_in);
    drop_all(tg, out, n_out);
    return ok;
}
