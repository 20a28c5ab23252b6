/* NAME.h: what a caller of a package sees.
 *
 * Only <stddef.h> and <stdint.h>; valid C++. One pointer per input and output of the model, one integer per size that
 * is chosen at run time. Everything carries the prefix of the package (here spelt tgk_, renamed when written).
 */
#include <inttypes.h>
#include <string.h>

#include "writer.h"

static const char head_text[] =
    "#include <stddef.h>\n#include <stdint.h>\n\n"
    "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n";

static const char status_text[] =
    "/** What every function answers. */\n"
    "typedef enum tgk_status {\n"
    "    TGK_OK,\n"
    "    TGK_BAD_INDEX,     /**< an index in the data lies outside */\n"
    "    TGK_BAD_SIZE,      /**< a size lies outside of 0 .. TGK_MAX_..., or sizes in the data do not fit "
    "*/\n"
    "    TGK_BAD_VALUE,     /**< a value in the data is not allowed */\n"
    "    TGK_BAD_POINTER,   /**< a pointer is NULL, or the context was not initialised */\n"
    "    TGK_BAD_ALIGNMENT, /**< arena, weights and state: 64 bytes; arrays: their element */\n"
    "    TGK_BAD_ROOM,      /**< arena or state are too small */\n"
    "    TGK_BAD_OVERLAP,   /**< an output overlaps an input, another output or the arena, in another way "
    "than it says */\n"
    "    TGK_BAD_WEIGHTS,   /**< not the weights of this package, damaged, or of the other byte order */\n"
    "    TGK_BAD_ISA        /**< no such instruction set here */\n"
    "} tgk_status;\n\n"
    "/** One line about a status; never NULL. */\n"
    "const char *tgk_status_str(tgk_status status);\n\n";

static const char context_text[] =
    "/** Instruction sets that were compiled in; private. */\n"
    "struct tgk_isa;\n\n"
    "/** What runs share: nothing in it changes after tgk_init, so many threads may use one, each with an "
    "arena of its own.\n"
    " *  parallel_for is NULL after tgk_init (one thread). Set it to a function that runs task(arg, i) for "
    "every i in [0, n),\n"
    " *  in any order, and returns when all are done; results do not depend on it. See tgk_pthreads.c for "
    "one. */\n"
    "typedef struct tgk_ctx {\n"
    "    const struct tgk_isa *isa; /**< private */\n"
    "    void (*parallel_for)(void *pool, void (*task)(void *arg, int64_t i), void *arg, int64_t n);\n"
    "    void *pool;                /**< first argument of parallel_for */\n"
    "    void *scratch;             /**< private */\n"
    "    int64_t scratch_bytes;     /**< private */\n"
    "    const unsigned char *weights; /**< private */\n"
    "    const void *loops;         /**< private */\n"
    "} tgk_ctx;\n\n"
    "/** Checks the weights (their file: mapped, in flash, or read; 64-byte aligned; they must stay) and "
    "chooses the best\n"
    " *  instruction set of this machine. Costs microseconds: nothing is copied. */\n"
    "tgk_status tgk_init(tgk_ctx *c, const void *weights, size_t bytes);\n\n"
    "/** Another instruction set, after tgk_init: \"scalar\", \"avx2\", \"avx512\", \"amx\", \"neon\";\n"
    " *  \"amx_fast\" and \"amx_bf16\" give away accuracy of products for speed. \"amx\" sums six products of "
    "bf16 parts\n"
    " *  for each of f32, with the error of a sum of floats; \"avx512\" has none of that. */\n"
    "tgk_status tgk_set_isa(tgk_ctx *c, const char *name);\n\n"
    "/** The one that is in use. */\n"
    "const char *tgk_isa_name(const tgk_ctx *c);\n\n";

static const char run_text[] =
    "/** Computes the outputs. Arrays are row-major without gaps; outputs must have room for the sizes that "
    "come out\n"
    " *  (TGK_OUTPUT_... elements suffice for all). arena: 64-byte aligned, TGK_ARENA_BYTES; its contents do "
    "not matter.\n"
    " *  Reentrant; allocates nothing. */\n"
    "tgk_status tgk_run(const tgk_ctx *c, const tgk_inputs *in, tgk_outputs *out, void *arena, size_t "
    "arena_bytes);\n\n"
    "/** Sizes of input number `index` (as in tgk_input_table) for the sizes in `in`. */\n"
    "tgk_status tgk_input_dims(const tgk_inputs *in, int32_t index, int64_t dim[8]);\n\n";

static const char tables_text[] =
    "/** About one input or output, for tools; tables end with name NULL. */\n"
    "typedef struct tgk_io_info {\n"
    "    const char *name;   /**< as in the model */\n"
    "    int32_t type;       /**< ONNX element type: 1 float, 7 int64, 9 bool ... */\n"
    "    int32_t rank;\n"
    "    int32_t state;      /**< number of the cache it belongs to, -1: none */\n"
    "    int32_t axis;       /**< along which that grows */\n"
    "    uint32_t element;   /**< bytes of an element */\n"
    "    int64_t most[8];    /**< largest sizes */\n"
    "    int64_t elements;   /**< most of them; less than the product of largest sizes where those exclude "
    "each other */\n"
    "    size_t at;          /**< offset of the pointer in tgk_inputs or tgk_outputs */\n"
    "    size_t dim_at;      /**< outputs: offset of the array of sizes */\n"
    "} tgk_io_info;\n\n"
    "/** About one size that the caller chooses. */\n"
    "typedef struct tgk_size_info {\n"
    "    const char *name;   /**< as in the model */\n"
    "    int64_t most;\n"
    "    int32_t input, axis; /**< where it shows */\n"
    "    size_t at;          /**< offset of the field in tgk_inputs */\n"
    "} tgk_size_info;\n\n"
    "extern const tgk_io_info tgk_input_table[], tgk_output_table[];\n"
    "extern const tgk_size_info tgk_size_table[];\n\n";

static const char state_text[] =
    "/** Caches that stay between calls: they grow in place, nothing is copied. memory is the caller's. */\n"
    "typedef struct tgk_state {\n"
    "    int64_t past;     /**< positions that are filled; may be set back to forget the last ones */\n"
    "    int64_t capacity; /**< positions for which there is room */\n"
    "    unsigned char *memory;\n"
    "} tgk_state;\n\n"
    "/** Bytes for `capacity` positions, at most TGK_MAX_POSITIONS; 0: too many. */\n"
    "size_t tgk_state_size(int64_t capacity);\n\n"
    "/** An empty state over memory (64-byte aligned) of `bytes`, for as many positions as fit. */\n"
    "tgk_status tgk_reset(tgk_state *s, void *memory, size_t bytes);\n\n"
    "/** Where cache number `cache` (tgk_io_info.state) lies: an array of the sizes of its input, with room "
    "for `capacity`\n"
    " *  positions along its axis. For saving and restoring. NULL: there is no such cache. */\n"
    "void *tgk_state_at(const tgk_state *s, int32_t cache);\n\n"
    "/** As tgk_run, for the positions behind those in the state, as many as the inputs have: the size of "
    "the past and the\n"
    " *  pointers of caches in `in` and `out` are ignored. Afterwards the state has the new positions too. "
    "*/\n"
    "tgk_status tgk_step(const tgk_ctx *c, const tgk_inputs *in, tgk_outputs *out, tgk_state *s, void "
    "*arena,\n"
    "                    size_t arena_bytes);\n\n";

/* --- structs ---------------------------------------------------------------------------------------------------- */

static void put_doc(const Writer *w, TgText *out, TgName name, const TgType *type, const char *more)
{
    tg_text_add(out, " /**< ");
    package_comment(out, name ? name : "", 100);
    tg_text_add(out, ": ");
    package_put_type(w, type, out);
    tg_text_format(out, "%s */\n", more);
}

static void put_inputs(Writer *w, TgText *out)
{
    const TgPlan *plan = w->plan;
    tg_text_add(out, "/** What goes in. Arrays are only read. */\ntypedef struct tgk_inputs {\n");
    for (uint32_t i = 0; i < plan->inputs.n; i++) {
        const TgType *type = package_input_type(w, i);
        tg_text_format(out, "    const %s *%s;", emit_type(type->dtype), w->p.input[i]);
        put_doc(w, out, tg_value(plan->graph, plan->inputs.at[i])->name, type,
                package_state_of_input(w, i) >= 0 && w->past ? "; a cache" : "");
    }
    uint32_t fields = plan->inputs.n;
    for (uint32_t i = 0; i < plan->symbols.n; i++) {
        if (!w->size_field[i])
            continue;
        fields++;
        tg_text_format(out, "    int64_t %s; /**< ", w->size_field[i]);
        package_comment(out, tg_dim_text(w->p.tg, plan->symbols.at[i].symbol), 100);
        tg_text_format(out, ", 0 .. TGK_MAX_%s */\n", w->size_macro[i]);
    }
    tg_text_add(out, fields ? "" : "    int unused; /**< the model has no inputs */\n");
    tg_text_add(out, "} tgk_inputs;\n\n");
}

static void put_outputs(Writer *w, TgText *out)
{
    const TgPlan *plan = w->plan;
    tg_text_add(out, "/** What comes out: the caller's arrays, and the sizes of what was written there. */\n"
                     "typedef struct tgk_outputs {\n");
    for (uint32_t i = 0; i < plan->outputs.n; i++) {
        const TgType *type = package_output_type(w, i);
        tg_text_format(out, "    %s *%s;", emit_type(type->dtype), w->p.output[i]);
        int32_t past = package_input_in_place(w, i);
        const char *more = package_state_of_output(w, i) >= 0 && w->past ? "; a cache" : "";
        put_doc(w, out, plan->source->outputs.at[i].name, type,
                past < 0
                    ? more
                    : tg_name_format(w->p.tg, "; may be the array %s, whose rows are then written in place",
                                     w->p.input[past]));
        if (type->rank)
            tg_text_format(out, "    int64_t %s[%d];\n", w->dim_field[i], type->rank);
    }
    tg_text_add(out, plan->outputs.n ? "" : "    int unused; /**< the model has no outputs */\n");
    tg_text_add(out, "} tgk_outputs;\n\n");
}

/* --- macros ----------------------------------------------------------------------------------------------------- */

static void put_counts(Writer *w, TgText *out)
{
    const TgPlan *plan = w->plan;
    for (uint32_t i = 0; i < plan->symbols.n; i++)
        if (w->size_field[i])
            tg_text_format(out, "#define TGK_MAX_%s INT64_C(%" PRId64 ")\n", w->size_macro[i],
                           plan->symbols.at[i].most);
    for (uint32_t i = 0; i < plan->inputs.n; i++)
        tg_text_format(out, "#define TGK_INPUT_%s %" PRId64 " /**< elements of the largest */\n", w->input_macro[i],
                       tg_plan_most_elements(plan, package_input_type(w, i)));
    for (uint32_t i = 0; i < plan->outputs.n; i++)
        tg_text_format(out, "#define TGK_OUTPUT_%s %" PRId64 "\n", w->output_macro[i],
                       tg_plan_most_elements(plan, package_output_type(w, i)));
    if (w->past)
        tg_text_format(out, "#define TGK_MAX_POSITIONS INT64_C(%" PRId64 ") /**< of a state */\n", w->most_past);
}

/* The coarsest floats to which anything that is computed is rounded, as ONNX numbers them. */
static TgDtype coarsest(const TgPlan *plan)
{
    TgDtype least = TG_f32;
    for (TgNode i = 1; i < plan->graph->nodes.n && least != TG_bf16; i++) {
        const TgNodeInfo *n = tg_node(plan->graph, i);
        TgDtype t = n->dead || n->n_out == 0 || tg_op_has(n->op, TG_T_MOVES)
                        ? TG_f32
                        : tg_type_of(plan->graph, n->out[0])->dtype;
        least = t == TG_bf16 || t == TG_f16 ? t : least;
    }
    return least;
}

static void put_macros(Writer *w, TgText *out)
{
    tg_text_format(out, "#define TGK_NAME \"%s\"\n", w->p.name);
    tg_text_add(out, "#define TGK_ABI 1 /**< of this interface */\n#define TGK_GENERATOR ");
    package_put_literal(out, w->options->version ? w->options->version : "tgopt");
    tg_text_format(out,
                   "\n#define TGK_ROUNDS %d /**< some values in between are rounded to: 1 float32, 10 "
                   "float16, 16 bfloat16 */",
                   (int)coarsest(w->plan));
    tg_text_format(out,
                   "\n#define TGK_MODEL_HASH UINT64_C(0x%016" PRIx64
                   ") /**< of the plan and of every byte of the weights */\n",
                   w->hash);
    tg_text_format(out, "#define TGK_ARENA_BYTES ((size_t)%" PRIu64 ")\n", package_arena_bytes(w));
    tg_text_format(out, "#define TGK_WEIGHTS_BYTES ((size_t)%" PRIu64 ")\n", w->weights_bytes);
    if (w->past)
        tg_text_add(out, "#define TGK_HAS_STATE 1\n");
    if (w->options->embed_weights)
        tg_text_add(out, "#define TGK_WEIGHTS_EMBEDDED 1\n");
    put_counts(w, out);
    tg_text_add(out, "\n");
}

static void put_embedded(TgText *out)
{
    tg_text_add(out, "/** The weights, for tgk_init. */\nextern const unsigned char tgk_weights[];\n\n");
}

/* Kernels for weights of narrow types are compiled where a product has some. */
static void put_types(const TgPlan *plan, TgText *out)
{
    for (uint32_t i = 0; i < plan->weights.n; i++)
        if (plan->weights.at[i].layout == TG_LAYOUT_PANELS && plan->weights.at[i].dtype != TG_f32)
            return;
    tg_text_add(out, "#define TGK_F32_ONLY 1 /**< private: weights of products are f32, kernels for other "
                     "types left out */\n\n");
}

bool package_write_header(Writer *w)
{
    TgText out;
    tg_text_init(&out, w->arena);
    tg_text_format(&out, "/** @file\n *  Inference of %s, made by ", w->title);
    package_comment(&out, w->options->version ? w->options->version : "tgopt", 60);
    tg_text_add(&out, "; edits are lost when it is made again.\n"
                      " *  Give each thread an arena; weights and context may be shared. See README.md. */\n"
                      "#ifndef TGK_INTERFACE_H\n#define TGK_INTERFACE_H\n\n");
    tg_text_add(&out, head_text);
    put_macros(w, &out);
    put_types(w->plan, &out);
    tg_text_add(&out, status_text);
    put_inputs(w, &out);
    put_outputs(w, &out);
    tg_text_add(&out, context_text);
    tg_text_add(&out, run_text);
    if (w->past)
        tg_text_add(&out, state_text);
    tg_text_add(&out, tables_text);
    if (w->options->embed_weights)
        put_embedded(&out);
    tg_text_add(&out, "#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
    return package_write_source(w, ".h", &out);
}
