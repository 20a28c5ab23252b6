/* The plan: what a backend has to write down, as data. Made by passes/plan*.c, read by backends.
 *
 * A plan is a list of steps over values of one graph. The graph was lowered before: composite operators for which the
 * backend has no kernel are their definitions, bodies of If, Loop and Scan are spliced in. A step computes some nodes;
 * a value that some step reads or writes has a place: a buffer, an offset and one stride per axis. Views (Reshape,
 * Transpose, Slice, Split, Expand ...) are places, not steps, wherever strides can say them.
 *
 * Invariants: a step reads only what earlier steps wrote, inputs and weights; buffers of the arena that live at the
 * same time do not overlap, except a pointwise step's result over an operand that dies there and has the same
 * strides. All sizes are expressions over plan->symbols, each bound before the first step that mentions it.
 */
#ifndef TG_PLAN_H
#define TG_PLAN_H

#include "graph.h"

/* --- where things lie --------------------------------------------------------------------------------------------- */

typedef enum {
    TG_BUFFER_NONE,
    TG_BUFFER_INPUT,  /* index: of the source graph's inputs */
    TG_BUFFER_OUTPUT, /* index: of its outputs */
    TG_BUFFER_WEIGHT, /* index: into plan->weights */
    TG_BUFFER_ARENA
} TgBufferKind;

typedef struct TgBuffer {
    TgBufferKind kind;
    uint32_t index;
    TgDtype dtype;
    const TgType *type;   /* of the value that it was made for */
    TgDim count;          /* elements */
    uint64_t bytes;       /* arena: with every symbol at its maximum, rounded up to TG_PLAN_ALIGN */
    uint64_t offset;      /* arena: bytes */
    uint32_t first, last; /* arena: numbers of the steps between which it holds something */
    TgDim capacity;       /* input or output that is state (see TgState): the symbol that stands for the length for
                             which there is room along the growing axis; its strides are made of it. NULL: no state */
} TgBuffer;

enum { TG_PLAN_ALIGN = 64 };

typedef struct TgLocation {
    uint32_t buffer;     /* into plan->buffers; 0: nowhere (absent, or only inside a step) */
    TgDim offset;        /* elements */
    const TgDim *stride; /* elements, one per axis of the value's type; 0 along repeated axes */
    bool contiguous;     /* row-major without gaps */
} TgLocation;

typedef enum {
    TG_LAYOUT_PLAIN, /* row-major, as ONNX has it (4-bit and 2-bit integers: one per byte) */
    TG_LAYOUT_PANELS /* a matrix for TG_STEP_LINEAR: panels of `panel` columns, each rows x width, see
                        backend_c/kernels */
} TgLayout;

typedef struct TgWeight {
    const TgTensor *tensor; /* matrix or plain elements, row-major */
    TgLayout layout;
    bool transposed;        /* panels: the tensor is [cols, rows] */
    int64_t rows, cols, panel;
    TgDtype dtype;          /* of the stored elements; i8, i4 as panels: codes, of a tensor of i8 or i4, or of u8 or
                               u4 from which half the range, 128 or 8, is taken away */
    uint32_t scale, zero;   /* codes: number of the weight, and 1, that holds [groups, cols] factors, and what is
                               subtracted then (0: nothing): element = code * scale - zero; panels of the same width */
    int64_t group;          /* codes: steps of depth per group, a multiple of 8; 0: all are one group */
    TgName name;            /* of the value, for comments; NULL: none */
} TgWeight;

/* --- steps -------------------------------------------------------------------------------------------------------- */

typedef enum {
    TG_STEP_POINTWISE, /* elementwise operators over one space, as one loop; operands of nodes that are neither in
                          `in` nor made by the nodes are constants of equal elements; u.pointwise */
    TG_STEP_COPY,      /* in[0] to out[0], any strides of at most TG_PLAN_RANK axes */
    TG_STEP_APPEND,    /* a cache [B,H,C,D]: in: past [B,H,P,D] or 0, rows [B,H,S,D], where they go [B] i64. out[0] is
                          past as far as it is in front of them, then they, then zeros. Where out[0] is the array of
                          past (TgState, TgInPlace), the first are there already, and with TgInPlace the last stay
                          what they are: nothing but rows is written */
    TG_STEP_LINEAR,    /* out[0] = in[0] weight (+ in[1], a vector, or 0); u.product */
    TG_STEP_MATMUL,    /* out[0] = in[0] in[1], batched, any strides; u.product as well */
    TG_STEP_ATTENTION, /* u.attention */
    TG_STEP_SOFTMAX,   /* along the last axis; u.rows */
    TG_STEP_LAYER_NORM, /* in: x, scale or 0, bias or 0; u.rows */
    TG_STEP_RMS_NORM,  /* in: x, scale or 0; u.rows */
    TG_STEP_ROTARY,    /* in: x [B,H,S,D], cos, sin; u.rotary */
    TG_STEP_EMBED,     /* out[0]: for each i64 of in[0], a row of a table that is also the weight, transposed, of a
                          product: stored once; u.product: weight, rows (numbers), depth (of a row), cols (of the
                          matrix), c_row */
    TG_STEP_OPERATOR,  /* one node by a kernel of its own; operands and results contiguous, in its formal order; 0:
                          absent */
    TG_STEP_SIZES,     /* out[0] holds numbers made of sizes; u.sizes */
    TG_STEP_BIND,      /* a size becomes known: u.bind */
    TG_STEP_EXPECT,    /* in[0], a bool, is u.expected, or the run ends: it was planned for that case */
    TG_STEP_IF,        /* in[0]: condition; body[0], body[1] */
    TG_STEP_REPEAT     /* Loop and Scan: u.repeat; body[0] */
} TgStepKind;

enum { TG_PLAN_RANK = 8 };

typedef struct TgStep TgStep;
typedef TG_VEC(TgStep *) TgSteps;
typedef TG_VEC(TgValue) TgValues;

struct TgStep {
    TgStepKind kind;
    uint32_t number;  /* in order of execution, bodies included, from 1 */
    TgU32s nodes;     /* TgNode of plan->graph that it computes, producers first; views are not listed */
    TgValues in, out; /* as the kind says; 0: absent */
    TgStep *then;     /* LINEAR: a pointwise step of rank 2, [rows, cols], that reads out[0] and may overwrite it (its
                         own result lies in the same place): run on each finished tile. NULL: none */
    TgSteps body[2];
    union {
        struct {            /* loops collapsed as far as all strides allow */
            int32_t rank;   /* >= 1 */
            const TgDim *dim;
            const TgDim *stride; /* (in.n + out.n) times rank, elements: operand k along axis a is stride[k * rank +
                                    a] */
        } pointwise;
        struct {                /* strides in elements; 0 repeats. LINEAR: rows of all leading axes, no batch, b is a
                                   weight */
            uint32_t weight;    /* LINEAR: into plan->weights */
            int32_t batch_rank;
            const TgDim *batch, *a_batch, *b_batch, *c_batch;
            TgDim rows, depth, cols, a_row, a_col, b_row, b_col, c_row;
        } product;
        struct {            /* in: Q, K, V [B,H,S,D] (K, V: kv_heads heads), mask (bool or f32) or 0, keys per batch
                               entry [B] i64 or 0: where they are given, the offset of an entry is its keys less the
                               queries */
            int64_t heads, kv_heads;
            const TgDim *mask_stride; /* batch, head, query, key; NULL without a mask */
            double scale, softcap;  /* softcap 0: none */
            bool causal;            /* key j is seen by query i only if j <= i + offset */
            TgDim offset;
            int64_t left, right;    /* window around i + offset; -1: open */
        } attention;
        struct {
            TgDim rows, cols, x_stride, y_stride;
            double epsilon;
            bool logarithm; /* LogSoftmax */
        } rows;
        struct {
            bool interleaved;
            int64_t size;   /* rotated elements of each head; the others are copied */
            TgDim table_stride[2]; /* of cos and sin: batch, row */
        } rotary;
        struct {            /* out[0]: integers, contiguous; element i is number[i] */
            uint32_t n;
            const TgDim *number;
        } sizes;
        struct {            /* a symbol is a size or an element of in[0], which was just made (by the OPERATOR step
                               before), or is an input, or what a branch gives */
            TgDim symbol;
            int32_t axis;   /* of its shape; -1: `element` of its elements */
            int64_t element;
        } bind;
        bool expected;
        struct {
            /* Loop: in = trip count or 0, condition or 0, initial values ...; Scan: initial states, scanned inputs.
             * The body computes next values from current ones; see TgRepeat. */
            struct TgRepeat *about;
        } repeat;
    } u;
};

/* One Loop or Scan. Round by round: counter and condition are set, the body runs, `next` is copied over `current`,
 * each row goes to its place in the stacked output. */
typedef struct TgRepeat {
    bool scan;
    TgDim rounds;                /* Scan: how many; Loop: NULL */
    TgValue trip, start;         /* Loop: most rounds, first condition; 0: absent */
    TgValue counter, condition;  /* in the body: i64[] and bool[] that the body reads; 0: it does not */
    TgValue again;               /* what the body says: go on? 0: always */
    TgValues initial, current, next, final; /* carried values, as many each; final: results of the node */
    TgValues row, stacked;       /* what the body gives each round, and the results that gather it */
    TgValues scanned, element;   /* Scan: inputs that are walked along, and what the body sees of them */
    const int32_t *scanned_axis, *stacked_axis;
    const bool *scanned_reverse, *stacked_reverse;
} TgRepeat;

/* --- the whole ---------------------------------------------------------------------------------------------------- */

typedef struct TgPlanSymbol {
    TgDim symbol;
    TgName name;     /* of the model; NULL: a size that nobody named, bound by a step */
    int64_t most;    /* upper bound */
    uint32_t input;  /* it is axis `axis` of this input's shape; UINT32_MAX: bound by a step */
    int32_t axis;
} TgPlanSymbol;

/* A cache: an input (past) that an output (present) extends along one axis by `grow` elements per run. A stateful
 * entry keeps both in one buffer with room for `capacity` (the symbol of both buffers) and copies nothing. */
typedef struct TgState {
    uint32_t input, output; /* numbers */
    int32_t axis;
    TgDim past, grow;       /* lengths along it: present = past + grow */
} TgState;

/* A cache of fixed size whose rows are written (TensorScatter): output may be the array of input itself; then nothing
 * is copied. */
typedef struct TgInPlace {
    uint32_t input, output; /* numbers */
} TgInPlace;

typedef struct TgPlan {
    TgModel *model; /* lowered; owned by the plan */
    TgGraph *graph;
    const TgGraph *source;  /* whose interface it is: names and types of inputs and outputs */
    TgArena *arena;
    TG_VEC(TgBuffer) buffers; /* entry 0: none */
    TG_VEC(TgWeight) weights;
    TG_VEC(TgLocation) places;   /* by value of `graph` */
    TgSteps steps;
    uint32_t n_steps;         /* bodies included */
    TG_VEC(TgPlanSymbol) symbols;
    TG_VEC(TgState) states;
    TG_VEC(TgInPlace) in_place;
    TG_VEC(TgDim) equal;      /* pairs of sizes that must be equal when the model runs: to be checked with the inputs */
    TG_VEC(TgDim) counts;     /* pairs of element counts that are equal, whatever data make of the sizes: of a view,
                                 and of what it views, whose bound is the better one */
    TgModel *cases;           /* gives the conditions of TG_STEP_EXPECT, of the same inputs; owned by the plan; NULL:
                                 there are none */
    TG_VEC(bool) wanted;      /* what they must be */
    TgValues inputs, outputs; /* values of `graph`, by number */
    uint64_t arena_bytes, sum_bytes, floor_bytes; /* planned; without reuse; most that lives at any one step */
} TgPlan;

/* Upper bound of a size or a number of elements, every symbol at its largest; -1: there is none.
 * (passes/plan_arena.c) */
int64_t tg_plan_most(const TgPlan *p, TgDim d);
int64_t tg_plan_most_elements(const TgPlan *p, const TgType *type);

static inline const TgLocation *tg_place_of(const TgPlan *p, TgValue v) { return &p->places.at[v]; }

#endif
