/* Shape inference against what the text of the operators says (rows written by hand), and against data: the
 * sizes that other programs computed for the corpora's models. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "frontend/frontend.h"
#include "ir/ir.h"

static int open_context(void **state)
{
    *state = tg_open(NULL);
    return *state == NULL;
}

static int close_context(void **state)
{
    tg_close(*state);
    return 0;
}

static const char *last_message(Tg *tg)
{
    uint32_t n = tg_diag_count(tg);
    return n ? tg_diag(tg, n - 1)->message : "";
}

/* --- rows ----------------------------------------------------------------------------------------------- */

typedef struct {
    const char *inputs, *body,
        *result; /* the result is printed as "type; type", elements in braces where known */
} Row;

static TgModel *parse_row(Tg *tg, const char *inputs, const char *body)
{
    TgText text;
    tg_text_init(&text, tg_forever(tg));
    tg_text_format(&text, "graph @t(%s) {\n%s\n}\n", inputs, body);
    return tg_parse(tg, "row", text.at, text.n);
}

static void print_value(const TgGraph *g, TgValue v, TgText *text)
{
    int64_t n;
    const TgValueInfo *info = tg_value(g, v);
    tg_type_print(info->type, text);
    if (!info->symbolic || !tg_type_numel(info->type, &n))
        return;
    for (int64_t i = 0; i < n; i++) {
        tg_text_add(text, i ? ", " : " {");
        tg_dim_print(info->symbolic[i], text);
    }
    tg_text_add(text, n ? "}" : " {}");
}

static void check_rows(Tg *tg, const Row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        TgText text;
        TgModel *m = parse_row(tg, rows[i].inputs, rows[i].body);
        if (!m)
            fail_msg("%s: %s", rows[i].body, last_message(tg));
        assert_true(tg_infer_graph(m->graph));
        tg_text_init(&text, tg_forever(tg));
        tg_text_add(&text, "");
        for (uint32_t k = 0; k < m->graph->outputs.n; k++) {
            tg_text_add(&text, k ? "; " : "");
            print_value(m->graph, m->graph->outputs.at[k].value, &text);
        }
        if (strcmp(text.at, rows[i].result) != 0)
            fail_msg("%s\n  gives  %s\n  wanted %s", rows[i].body, text.at, rows[i].result);
        tg_model_free(m);
    }
}

#define CHECK_ROWS(state, rows) check_rows(*(state), (rows), sizeof(rows) / sizeof *(rows))

static void test_elementwise(void **state)
{
    static const Row ROWS[] = {
        {"%x: f32[B,S]", "return Exp(%x)", "f32[B,S]"},
        {"%x: f32[B,1,S], %y: f32[4,1]", "return Add(%x, %y)", "f32[B,4,S]"},
        {"%x: f32[A], %y: f32[B]", "return Add(%x, %y)", "f32[bcast(A, B)]"},
        {"%x: f32[*], %y: f32[B]", "return Add(%x, %y)", "f32[*]"},
        {"%x: f32[A], %y: f32[8]", "return Mul(%x, %y)", "f32[8]"},
        {"%x: f32[A], %y: f32[A]", "return Less(%x, %y)", "bool[A]"},
        {"%c: bool[B,1], %x: f32[S], %y: f32[]", "return Where(%c, %x, %y)", "f32[B,S]"},
        {"%x: f32[A]", "return Cast(%x; to=10)", "f16[A]"},
        {"%x: f32[A], %y: i8[2]", "return CastLike(%x, %y)", "i8[A]"},
        {"%x: f32[A]", "return BitCast(%x; to=6)", "i32[A]"},
        {"%x: f32[A]", "return IsNaN(%x)", "bool[A]"},
        {"%x: f32[A,1], %y: f32[B], %z: f32[]", "return Max(%x, %y, %z)", "f32[A,B]"},
        {"%x: f32[A,6]", "return LayerNormalization(%x, const f32[6] splat(1))", "f32[A,6]"},
    };
    CHECK_ROWS(state, ROWS);
}

static void test_symbolic_elements(void **state)
{
    static const Row ROWS[] = {
        {"%x: f32[B,S,64]", "return Shape(%x)", "i64[3] {B, S, 64}"},
        {"%x: f32[B,S,64]", "return Shape(%x; start=-2)", "i64[2] {S, 64}"},
        {"%x: f32[B,S,64]", "return Size(%x)", "i64[] {64*B*S}"},
        {"%x: f32[B,S,64]", "return Gather(Shape(%x), const i64[1] {-2})", "i64[1] {S}"},
        {"%x: f32[B,S]", "return Concat(Shape(%x), const i64[1] {-1}; axis=0)", "i64[3] {B, S, -1}"},
        {"%x: f32[B,S,64]",
         "return Slice(Shape(%x), const i64[1] {-1}, const i64[1] {-4}, const i64[1] {0}, const i64[1] {-1})",
         "i64[3] {64, S, B}"},
        {"%x: f32[B,S]", "return Where(Equal(Shape(%x), const i64[] -1), const i64[] 1, Shape(%x))",
         "i64[2] {B, S}"},
        {"%x: f32[B,S]", "return GreaterOrEqual(Shape(%x), const i64[] 0)", "bool[2] {1, 1}"},
        {"%x: f32[B,S]", "return Div(Mul(Shape(%x), const i64[] 6), const i64[] 3)", "i64[2] {2*B, 2*S}"},
        {"%x: f32[B,S]", "return Div(Shape(%x), const i64[] 2)", "i64[2] {B//2, S//2}"},
        {"", "return Div(const i64[] -7, const i64[] 2)", "i64[] {-3}"},
        {"", "return Mod(const i64[2] {-7, 7}, const i64[] 3)", "i64[2] {2, 1}"},
        {"", "return Mod(const i64[2] {-7, 7}, const i64[] 3; fmod=1)", "i64[2] {-1, 1}"},
        {"", "return Add(const u8[] 250, const u8[] 10)", "u8[] {4}"},
        {"", "return Cast(const f32[2] {2.9, -2.9}; to=7)", "i64[2] {2, -2}"},
        {"", "return Cast(const i64[] 300; to=3)", "i8[] {44}"},
        {"%x: f32[B,S]", "return Cast(Cast(Shape(%x); to=6); to=7)", "i64[2] {B, S}"},
        {"%x: f32[B,S]", "return ReduceProd(Shape(%x), const i64[1] {0}; keepdims=0)", "i64[] {B*S}"},
        {"%x: f32[B,S]", "return ReduceMax(Shape(%x); keepdims=1)", "i64[1] {max(B, S)}"},
        {"%x: f32[B,S]", "return Unsqueeze(Shape(%x), const i64[1] {0})", "i64[1,2] {B, S}"},
        {"%x: f32[B,S,3,4]", "return Transpose(Reshape(Shape(%x), const i64[2] {2,2}))",
         "i64[2,2] {B, 3, S, 4}"},
        {"%x: f32[B,S]", "return Tile(Shape(%x), const i64[1] {2})", "i64[4] {B, S, B, S}"},
        {"%x: f32[S]", "return Expand(Shape(%x), const i64[2] {2,1})", "i64[2,1] {S, S}"},
        {"%x: f32[B,S,3]", "%a, %b = Split(Shape(%x), const i64[2] {1,2}; axis=0)\nreturn %a, %b",
         "i64[1] {B}; i64[2] {S, 3}"},
        {"", "return Range(const i64[] 2, const i64[] 9, const i64[] 3)", "i64[3] {2, 5, 8}"},
        {"", "return Range(const i64[] 5, const i64[] 0, const i64[] -2)", "i64[3] {5, 3, 1}"},
        {"", "return NonZero(const i64[2,3] {{0,1,0},{2,0,3}})", "i64[2,3] {0, 1, 1, 1, 0, 2}"},
        {"", "return GatherND(const i64[2,2] {{1,2},{3,4}}, const i64[2,2] {{0,1},{1,0}})", "i64[2] {2, 3}"},
        {"", "return GatherElements(const i64[2,2] {{1,2},{3,4}}, const i64[1,2] {{1,0}})",
         "i64[1,2] {3, 2}"},
        {"", "return Concat(const i64[2,1] {{1},{2}}, const i64[2,2] {{3,4},{5,6}}; axis=1)",
         "i64[2,3] {1, 3, 4, 2, 5, 6}"},
        {"", "return Clip(const i64[3] {-5, 0, 5}, const i64[] -1, const i64[] 2)", "i64[3] {-1, 0, 2}"},
        {"%x: f32[B]", "return ConstantOfShape(const i64[1] {2}; value=const i64[1] {7})", "i64[2] {7, 7}"},
    };
    CHECK_ROWS(state, ROWS);
}

static void test_views(void **state)
{
    static const Row ROWS[] = {
        {"%x: f32[B,S,64]", "return Reshape(%x, const i64[4] {0,0,4,-1})", "f32[B,S,4,16]"},
        {"%x: f32[B,S,64]", "return Reshape(%x, const i64[2] {-1,64})", "f32[B*S,64]"},
        {"%x: f32[B,S,64]", "return Reshape(%x, Concat(Shape(%x; end=2), const i64[2] {8,8}; axis=0))",
         "f32[B,S,8,8]"},
        {"%x: f32[B,S,64], %n: i64[1]", "return Reshape(%x, Concat(%n, const i64[1] {64}; axis=0))",
         "f32[B*S,64]"},
        {"%x: f32[0,3]", "return Reshape(%x, const i64[2] {3,0}; allowzero=1)", "f32[3,0]"},
        {"%x: f32[*], %s: i64[3]", "return Shape(Reshape(%x, %s); start=3)", "i64[0] {}"},
        {"%x: f32[B,S,4]", "return Flatten(%x; axis=2)", "f32[B*S,4]"},
        {"%x: f32[B,S,4]", "return Flatten(%x; axis=0)", "f32[1,4*B*S]"},
        {"%x: f32[B,1,4]", "return Squeeze(%x, const i64[1] {-2})", "f32[B,4]"},
        {"%x: f32[2,1,4,1]", "return Squeeze(%x)", "f32[2,4]"},
        {"%x: f32[B,4]", "return Unsqueeze(%x, const i64[2] {0,-1})", "f32[1,B,4,1]"},
        {"%x: f32[B,4], %axes: i64[9223372036854775807]", "return Unsqueeze(%x, %axes)", "f32[*]"},
        {"%x: f32[A,B,C]", "return Transpose(%x)", "f32[C,B,A]"},
        {"%x: f32[A,B,C]", "return Transpose(%x; perm={1,0,2})", "f32[B,A,C]"},
        {"%x: f32[B,1,4]", "return Expand(%x, const i64[4] {2,1,5,1})", "f32[2,B,5,4]"},
        {"%x: f32[A,1], %y: f32[B,S]", "return Expand(%x, Shape(%y; start=1))", "f32[A,S]"},
    };
    CHECK_ROWS(state, ROWS);
}

static void test_moves(void **state)
{
    static const Row ROWS[] = {
        {"%x: f32[B,past,8], %y: f32[B,seq,8]", "return Concat(%x, %y; axis=-2)", "f32[B,past + seq,8]"},
        {"%x: f32[B,10]", "%a, %b, %c = Split(%x; axis=1, num_outputs=3)\nreturn %a, %b, %c",
         "f32[B,4]; f32[B,4]; f32[B,2]"},
        {"%x: f32[B,3*H]", "%a, %b, %c = Split(%x; axis=1, num_outputs=3)\nreturn %a, %c",
         "f32[B,H]; f32[B,H]"},
        {"%x: f32[10]",
         "return Slice(%x, const i64[1] {1}, const i64[1] {-1}, const i64[1] {0}, const i64[1] {3})",
         "f32[3]"},
        {"%x: f32[10]",
         "return Slice(%x, const i64[1] {-1}, const i64[1] {-11}, const i64[1] {0}, const i64[1] {-3})",
         "f32[4]"},
        {"%x: f32[S]", "return Slice(%x, const i64[1] {0}, const i64[1] {9223372036854775807})", "f32[S]"},
        {"%x: f32[S]", "return Slice(%x, const i64[1] {1}, const i64[1] {9223372036854775807})",
         "f32[max(0, S - 1)]"},
        {"%x: f32[S]", "return Slice(%x, const i64[1] {0}, const i64[1] {-1})", "f32[max(0, S - 1)]"},
        {"%x: f32[S]",
         "return Slice(%x, const i64[1] {9223372036854775807}, const i64[1] {-9223372036854775807}, const "
         "i64[1] {0}, "
         "const i64[1] {-1})",
         "f32[S]"},
        {"%x: f32[past + seq], %y: f32[seq]",
         "return Slice(%x, Neg(Shape(%y)), const i64[1] {9223372036854775807})", "f32[seq]"},
        {"%x: f32[64,8], %y: f32[S]", "return Slice(%x, const i64[1] {0}, Shape(%y))", "f32[min(S, 64),8]"},
        {"%x: f32[A,B]", "return Tile(%x, const i64[2] {2,3})", "f32[2*A,3*B]"},
        {"%x: f32[A,B]", "return Pad(%x, const i64[4] {1,0,2,3})", "f32[A + 3,B + 3]"},
        {"%x: f32[A,B]", "return Pad(%x, const i64[2] {1,2}, _, const i64[1] {-1})", "f32[A,B + 3]"},
        {"%x: f32[N,C,H,W], %i: i64[2,3]", "return Gather(%x, %i; axis=1)", "f32[N,2,3,H,W]"},
        {"%x: f32[A,B,C], %i: i64[5,2]", "return GatherND(%x, %i)", "f32[5,C]"},
        {"%x: f32[A,B,C], %i: i64[A,1]", "return GatherND(%x, %i; batch_dims=1)", "f32[A,C]"},
        {"%x: f32[A,B], %i: i64[A,3]", "return GatherElements(%x, %i; axis=1)", "f32[A,3]"},
        {"%n: i64[1]", "%s = Concat(const i64[1] {9}, Sub(%n, const i64[1] {3}); axis=0)\n"
                       "%a, %b = Split(const i64[4] {1,2,3,4}, %s)\nreturn %a", "?"}, /* never runs: 9 + (%n - 3) > 4 */
        {"%x: f32[A,5]", "return Compress(%x, const bool[3] {1,0,1}; axis=1)", "f32[A,2]"},
        {"%x: f32[N,12,H,W]", "return DepthToSpace(%x; blocksize=2)", "f32[N,3,2*H,2*W]"},
        {"%x: f32[N,3,4,6]", "return SpaceToDepth(%x; blocksize=2)", "f32[N,12,2,3]"},
        {"%x: f32[A,B]", "return CenterCropPad(%x, const i64[1] {7}; axes={1})", "f32[A,7]"},
        {"%x: f32[past]", "return Range(const i64[] 0, Squeeze(Shape(%x)), const i64[] 1)", "i64[past]"},
        {"%x: f32[A,B]", "return Trilu(%x)", "f32[A,B]"},
    };
    CHECK_ROWS(state, ROWS);
}

static void test_reductions(void **state)
{
    static const Row ROWS[] = {
        {"%x: f32[A,B,C]", "return ReduceSum(%x, const i64[1] {-1})", "f32[A,B,1]"},
        {"%x: f32[A,B,C]", "return ReduceSum(%x, const i64[2] {0,2}; keepdims=0)", "f32[B]"},
        {"%x: f32[A,B]", "return ReduceMean(%x; keepdims=0)", "f32[]"},
        {"%x: f32[A,B]", "return ReduceMax(%x; noop_with_empty_axes=1)", "f32[A,B]"},
        {"%x: f32[A,B]", "return ArgMax(%x; axis=1, keepdims=0)", "i64[A]"},
        {"%x: f32[A,B]", "%v, %i = TopK(%x, const i64[1] {3})\nreturn %v, %i", "f32[A,3]; i64[A,3]"},
        {"%x: f32[A,B]", "return CumSum(%x, const i64[] 1)", "f32[A,B]"},
        {"%x: i64[A,B]", "return OneHot(%x, const i64[] 7, const f32[2] {0,1}; axis=1)", "f32[A,7,B]"},
        {"%x: f32[A,B]", "return EyeLike(%x; dtype=7)", "i64[A,B]"},
    };
    CHECK_ROWS(state, ROWS);
}

static void test_products(void **state)
{
    static const Row ROWS[] = {
        {"%x: f32[B,S,64], %w: f32[64,96]", "return MatMul(%x, %w)", "f32[B,S,96]"},
        {"%x: f32[K], %w: f32[B,K,N]", "return MatMul(%x, %w)", "f32[B,N]"},
        {"%x: f32[B,M,K], %w: f32[K]", "return MatMul(%x, %w)", "f32[B,M]"},
        {"%x: f32[K], %w: f32[K]", "return MatMul(%x, %w)", "f32[]"},
        {"%x: f32[B,1,M,K], %w: f32[H,K,N]", "return MatMul(%x, %w)", "f32[B,H,M,N]"},
        {"%x: f32[K,M], %w: f32[N,K]", "return Gemm(%x, %w; transA=1, transB=1)", "f32[M,N]"},
        {"%x: f32[B,H,S,D], %y: f32[B,H,T,D]", "return Einsum(%x, %y; equation=\"bhsd,bhtd->bhst\")",
         "f32[B,H,S,T]"},
        {"%x: f32[A,I,J]", "return Einsum(%x; equation=\"...ij->...ji\")", "f32[A,J,I]"},
        {"%x: f32[I,J], %y: f32[J,K]", "return Einsum(%x, %y; equation=\"ij,jk\")", "f32[I,K]"},
        {"%x: u8[B,4], %y: i8[4,5]", "return MatMulInteger(%x, %y)", "i32[B,5]"},
        {"%x: f32[B,N,N]", "return Det(%x)", "f32[B]"},
        {"%x: f32[B,S,K], %y: f32[N,K]", "return com.microsoft.FusedMatMul(%x, %y; transB=1)", "f32[B,S,N]"},
    };
    CHECK_ROWS(state, ROWS);
}

static void test_windows(void **state)
{
    static const Row ROWS[] = {
        {"%x: f32[N,3,H,224], %w: f32[8,3,7,7]", "return Conv(%x, %w; strides={2,2}, pads={3,3,3,3})",
         "f32[N,8,(H + 1)//2,112]"},
        {"%x: f32[N,3,T], %w: f32[8,3,3]", "return Conv(%x, %w; pads={1,1})", "f32[N,8,T]"},
        {"%x: f32[N,3,10], %w: f32[8,3,3]", "return Conv(%x, %w; dilations={2})", "f32[N,8,6]"},
        {"%x: f32[N,3,10], %w: f32[8,3,3]", "return Conv(%x, %w; auto_pad=\"SAME_UPPER\", strides={3})",
         "f32[N,8,4]"},
        {"%x: f32[N,8,T], %w: f32[8,4,3]",
         "return ConvTranspose(%x, %w; strides={2}, pads={1,1}, output_padding={1})", "f32[N,4,2*T]"},
        {"%x: f32[1,1,7,7]", "return MaxPool(%x; kernel_shape={2,2}, strides={2,2})", "f32[1,1,3,3]"},
        {"%x: f32[1,1,7,7]", "return MaxPool(%x; kernel_shape={2,2}, strides={2,2}, ceil_mode=1)",
         "f32[1,1,4,4]"},
        {"%x: f32[N,C,H,W]", "return GlobalAveragePool(%x)", "f32[N,C,1,1]"},
        {"%x: f32[N,C,H,5]", "return Resize(%x, _, const f32[4] {1,1,2,0.6})", "f32[N,C,2*H,3]"},
        {"%x: f32[N,C,H,W]", "return Resize(%x, _, _, const i64[2] {7,9}; axes={2,3})", "f32[N,C,7,9]"},
        {"%x: f32[S,B,4], %w: f32[1,20,4], %r: f32[1,20,5]",
         "%y, %h, %c = LSTM(%x, %w, %r; hidden_size=5)\nreturn %y, %h, %c",
         "f32[S,1,B,5]; f32[1,B,5]; f32[1,B,5]"},
        {"%x: f32[B,T,1]", "return DFT(%x; onesided=1)", "f32[B,T//2 + 1,2]"},
    };
    CHECK_ROWS(state, ROWS);
}

static void test_attention(void **state)
{
    static const Row ROWS[] = {
        {"%q: f32[B,8,S,16], %k: f32[B,2,T,16], %v: f32[B,2,T,32]", "return Attention(%q, %k, %v)",
         "f32[B,8,S,32]"},
        {"%q: f32[B,S,128], %k: f32[B,T,32], %v: f32[B,T,64]",
         "return Attention(%q, %k, %v; q_num_heads=8, kv_num_heads=2)", "f32[B,S,256]"},
        {"%q: f32[B,8,S,16], %k: f32[B,2,S,16], %v: f32[B,2,S,16], %pk: f32[B,2,P,16], %pv: f32[B,2,P,16]",
         "%y, %a, %b, %m = Attention(%q, %k, %v, _, %pk, %pv)\nreturn %y, %a, %b, %m",
         "f32[B,8,S,16]; f32[B,2,P + S,16]; f32[B,2,P + S,16]; f32[B,8,S,P + S]"},
        {"%x: f32[B,S,64], %w: f32[64,192], %b: f32[192], %p: f32[2,B,4,P,16]",
         "%y, %z = com.microsoft.Attention(%x, %w, %b, _, %p; num_heads=4)\nreturn %y, %z",
         "f32[B,S,64]; f32[2,B,4,P + S,16]"},
        {"%q: f32[B,S,64], %k: f32[B,T,64], %v: f32[B,T,64]",
         "return com.microsoft.MultiHeadAttention(%q, %k, %v; num_heads=4)", "f32[B,S,64]"},
    };
    CHECK_ROWS(state, ROWS);
}

static void test_control_flow(void **state)
{
    static const Row ROWS[] = {
        {"%c: bool[], %x: f32[B,1]",
         "return If(%c; then_branch={ return Squeeze(%x, const i64[1] {1}) }, else_branch={ return "
         "Identity(%x) })",
         "f32[*]"},
        {"%x: f32[B,1]",
         "%c = Equal(Gather(Shape(%x), const i64[] 1), const i64[] 1)\n"
         "return If(%c; then_branch={ return Squeeze(%x, const i64[1] {1}) }, else_branch={ return "
         "Identity(%x) })",
         "f32[B]"},
        {"%c: bool[], %x: f32[B,4], %y: f32[S,4]",
         "return If(%c; then_branch={ return Neg(%x) }, else_branch={ return Exp(%x) }), "
         "Shape(If(%c; then_branch={ return Neg(%x) }, else_branch={ return Neg(%y) }); start=1)",
         "f32[B,4]; i64[1] {4}"},
        {"%x: f32[B,4]",
         "return Loop(const i64[] 5, const bool[] 1, %x; body=(%i: i64[], %c: bool[], %s: f32[B,4]) {"
         " return Identity(%c), Exp(%s) })",
         "f32[B,4]"},
        /* one row per round, as many as the trip count says; what grows has an unknown size */
        {"%x: f32[B,4], %n: f32[N]",
         "%y, %z, %w = Loop(Squeeze(Shape(%n)), const bool[] 1, %x, %x; body=(%i: i64[], %c: bool[], %s: "
         "f32[B,4], %t: "
         "f32[B,4]) { return %c, Neg(%s), Concat(%t, %t; axis=0), Exp(%s) })\nreturn %y, Shape(%z; start=1), "
         "%w",
         "f32[B,4]; i64[1] {4}; f32[N,B,4]"},
        {"%h: f32[4], %x: f32[T,4]",
         "%y, %z = Scan(%h, %x; num_scan_inputs=1, body=(%s: f32[4], %e: f32[4]) { %t = Add(%s, %e)\n return "
         "%t, Exp(%t) })\n"
         "return %y, %z",
         "f32[4]; f32[T,4]"},
    };
    CHECK_ROWS(state, ROWS);
}

/* --- equal sizes ---------------------------------------------------------------------------------------- */

static void test_equal_sizes(void **state)
{
    static const Row ROWS[] = {
        /* a contraction makes two names one, the one that the interface mentions first */
        {"%x: f32[B,K], %w: f32[L,8]", "%y = MatMul(%x, %w)\nreturn %y, Shape(%w)",
         "f32[B,8]; i64[2] {K, 8}"},
        /* also where no output needs it: ONNX Runtime runs every node, and fails where sizes do not fit */
        {"%x: f32[B,K], %w: f32[L,8]", "_ = MatMul(%x, %w)\nreturn Shape(%w)", "i64[2] {K, 8}"},
        /* constants win over names */
        {"%x: f32[B,K], %w: f32[4,8]", "%y = MatMul(%x, %w)\nreturn Shape(%x)", "i64[2] {B, 4}"},
        /* a name gives way to a sum of others */
        {"%x: f32[B,past], %y: f32[B,seq], %m: f32[total,3]",
         "return MatMul(Concat(%x, %y; axis=1), %m), Shape(%m)", "f32[B,3]; i64[2] {past + seq, 3}"},
        /* sizes nobody named, from elements that nobody knows */
        {"%x: f32[B,4], %n: i64[1]",
         "return MatMul(%x, ConstantOfShape(Concat(%n, const i64[1] {3}; axis=0)))", "f32[B,3]"},
        /* S > 64 could not run */
        {"%x: f32[B,S,8]",
         "return Add(%x, Slice(const f32[64,8] splat(0), const i64[1] {0}, Shape(%x; start=1, end=2)))",
         "f32[B,S,8]"},
    };
    CHECK_ROWS(state, ROWS);
}

/* The file calls both sizes S; the reader keeps them apart until an operator fits the claim. */
static void test_claims(void **state)
{
    Tg *tg = *state;
    TgModel *m = parse_row(tg, "%x: f32[B,S,8], %y: f32[B,S2,8]", "return Add(%x, %y)");
    assert_non_null(m);
    TgGraph *g = m->graph;
    tg_value(g, g->inputs.at[1])->declared = tg_type_of(g, g->inputs.at[0]);
    assert_true(tg_infer_graph(g));
    assert_string_equal(tg_type_text(tg, tg_type_of(g, g->outputs.at[0].value)), "f32[B,S,8]");
    assert_string_equal(tg_type_text(tg, tg_type_of(g, g->inputs.at[1])), "f32[B,S,8]");
}

/* --- refusals ------------------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
    static const struct {
        const char *inputs, *body;
        TgDiagId id;
    } ROWS[] = {
        {"%x: f32[2,3], %y: f32[4,5]", "return MatMul(%x, %y)", TG_E_infer_sizes},
        {"%x: f32[3], %y: f32[4]", "return Add(%x, %y)", TG_E_infer_sizes},
        {"%x: f32[3], %y: i64[3]", "return Add(%x, %y)", TG_E_infer_dtype},
        {"%x: f32[3]", "return Softmax(%x, %x)", TG_E_infer_arity},
        {"%x: f32[2,3]", "return Reshape(%x, const i64[2] {4,-1})", TG_E_infer_sizes},
        {"%x: f32[2,3]", "return Reshape(%x, const i64[2] {-1,-1})", TG_E_infer_refuse},
        {"%x: f32[2,3]", "return Transpose(%x; perm={0,0})", TG_E_infer_refuse},
        {"%x: f32[2,3]", "return Squeeze(%x, const i64[1] {0})", TG_E_infer_sizes},
        {"%x: f32[2,3]", "return Gather(%x, const i64[] 0; axis=2)", TG_E_infer_axis},
        {"%x: f32[2,3], %y: f32[2]", "return Concat(%x, %y; axis=0)", TG_E_infer_rank},
        {"%x: f32[1,1,2], %w: f32[1,1,5]", "return Conv(%x, %w)", TG_E_infer_negative},
        /* ONNX Runtime: "All values must be >= 0", "shape should have values within bounds of 'data' shape" */
        {"%x: i64[4]", "%a = Split(%x, const i64[2] {5,-1})\nreturn %a", TG_E_infer_refuse},
        {"%x: f32[1,2], %i: i64[3,2]", "return GatherElements(%x, %i; axis=1)", TG_E_infer_refuse},
    };
    Tg *tg = *state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        uint32_t said = tg_diag_count(tg);
        if (parse_row(tg, ROWS[i].inputs, ROWS[i].body))
            fail_msg("%s was not refused", ROWS[i].body);
        if (tg_diag(tg, said)->id != ROWS[i].id)
            fail_msg("%s: %s", ROWS[i].body, tg_diag(tg, said)->message);
    }
}

/* --- corpora -------------------------------------------------------------------------------------------- */

static TgName corpora(Tg *tg, const char *folder)
{
    struct stat about;
    const char *root = getenv("TGOPT_CORPORA");
    TgName path = root ? tg_name_format(tg, "%s/%s", root, folder)
                       : tg_name_format(tg, "%s/../shared/corpora/%s", TGOPT_SOURCE_DIR, folder);
    if (stat(path, &about) == 0)
        return path;
    print_message("corpora are absent (%s): nothing was checked; set TGOPT_CORPORA\n", path);
    return NULL;
}

/* The only .onnx file of a folder; NULL: none. */
static TgName model_in(Tg *tg, const char *folder)
{
    DIR *dir = opendir(folder);
    TgName found = NULL;
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        size_t n = strlen(e->d_name);
        if (n > 5 && strcmp(e->d_name + n - 5, ".onnx") == 0)
            found = tg_name_format(tg, "%s/%s", folder, e->d_name);
    }
    if (dir)
        closedir(dir);
    return found;
}

static const TgTensor *data(Tg *tg, const char *folder, const char *kind, uint32_t i)
{
    struct stat about;
    TgName path = tg_name_format(tg, "%s/test_data_set_0/%s_%u.pb", folder, kind, i);
    return stat(path, &about) == 0 ? tg_load_tensor(tg_forever(tg), path) : NULL;
}

/* What the sizes of the inputs say about symbols. */
typedef struct {
    TgDim symbol[256];
    int64_t value[256];
    uint32_t n;
} Sizes;

static bool look_up(void *user, TgDim symbol, int64_t *n)
{
    const Sizes *s = user;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->symbol[i] == symbol) {
            *n = s->value[i];
            return true;
        }
    return false;
}

static void note_sizes(const TgType *t, const TgTensor *x, Sizes *s)
{
    for (int32_t k = 0; t->kind == TG_TENSOR && k < t->rank && k < x->rank && s->n < 256; k++)
        if (tg_dim_is_symbol(t->dim[k])) {
            s->symbol[s->n] = t->dim[k];
            s->value[s->n++] = x->dim[k];
        }
}

/* Compares the inferred type of an output with a tensor that was computed; counts sizes that inference leaves
 * open. */
static void check_output(Tg *tg, const char *name, const TgType *t, const TgTensor *want, Sizes *s,
                         uint32_t *open)
{
    int64_t n;
    if (t->dtype != want->dtype || t->rank != want->rank)
        fail_msg("%s: %s for a tensor of rank %d", name, tg_type_text(tg, t), want->rank);
    for (int32_t k = 0; k < t->rank; k++) {
        if (!tg_dim_eval(t->dim[k], look_up, s, &n))
            ++*open;
        else if (n != want->dim[k])
            fail_msg("%s: axis %d of %s is %lld", name, k, tg_type_text(tg, t), (long long)want->dim[k]);
    }
}

static uint32_t check_values(Tg *tg, const char *name, const TgGraph *g)
{
    uint32_t n = 0;
    for (TgValue v = 1; v < g->values.n; v++, n++) {
        const TgValueInfo *info = tg_value(g, v);
        bool dead = info->origin == TG_V_RESULT && tg_node(g, info->node)->dead;
        const TgType *t = info->type;
        while (t->item)
            t = t->item;
        if (!dead && !tg_is_tensor(t))
            fail_msg("%s: value %s has no full type: %s", name, info->name ? info->name : "?",
                     tg_type_text(tg, info->type));
    }
    for (TgNode i = 1; i < g->nodes.n; i++)
        for (uint32_t k = 0; k < tg_node(g, i)->n_sub; k++)
            n += check_values(tg, name, tg_node(g, i)->sub[k].graph);
    return n;
}

static uint64_t hash_types(const TgGraph *g)
{
    uint64_t hash = 0;
    for (TgValue v = 1; v < g->values.n; v++)
        hash = tg_mix(hash, TG_KEY(tg_type_of(g, v)));
    for (TgNode i = 1; i < g->nodes.n; i++)
        for (uint32_t k = 0; k < tg_node(g, i)->n_sub; k++)
            hash = tg_mix(hash, hash_types(tg_node(g, i)->sub[k].graph));
    return hash;
}

/* Loads the model of a folder and compares the types of its outputs with the data beside it. */
static TgModel *check_folder(Tg *tg, const char *folder, uint32_t *open)
{
    TgName path = model_in(tg, folder);
    TgModel *m = path ? tg_load(tg, path, NULL) : NULL;
    Sizes sizes = {.n = 0};
    if (!m)
        return NULL;
    for (uint32_t i = 0; i < m->graph->inputs.n; i++) {
        const TgType *t = tg_type_of(m->graph, m->graph->inputs.at[i]);
        const TgTensor *x = t->kind == TG_TENSOR ? data(tg, folder, "input", i) : NULL;
        if (x)
            note_sizes(t, x, &sizes);
    }
    for (uint32_t i = 0; i < m->graph->outputs.n; i++) {
        const TgType *t = tg_type_of(m->graph, m->graph->outputs.at[i].value);
        const TgTensor *y = t->kind == TG_TENSOR ? data(tg, folder, "output", i) : NULL;
        if (y)
            check_output(tg, folder, t, y, &sizes, open);
    }
    return m;
}

/* Every value of every exporter's model has an element type, a rank and sizes; the outputs have the right
 * ones. */
static void test_exporters(void **state)
{
    TgName root = corpora(*state, "exporters");
    DIR *dir = root ? opendir(root) : NULL;
    uint32_t models = 0, values = 0, open = 0;
    if (!dir)
        skip();
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        Tg *tg = tg_open(NULL);
        TgName folder = tg_name_format(tg, "%s/%s", root, e->d_name);
        if (e->d_name[0] != '.' && model_in(tg, folder)) {
            TgModel *m = check_folder(tg, folder, &open);
            if (!m)
                fail_msg("%s: %s", e->d_name, last_message(tg));
            values += check_values(tg, e->d_name, m->graph);
            uint64_t before = hash_types(m->graph);
            assert_true(tg_infer_graph(m->graph));
            if (hash_types(m->graph) != before)
                fail_msg("%s: inferred again, other types", e->d_name);
            models++;
        }
        tg_close(tg);
    }
    closedir(dir);
    print_message("%u models, %u values\n", models, values);
    assert_true(models > 50 && values > 20000);
    assert_true(open < 200); /* results of If whose branches differ */
}

static void test_operators(void **state)
{
    TgName root = corpora(*state, "onnx+onnx/node");
    DIR *dir = root ? opendir(root) : NULL;
    uint32_t models = 0, open = 0;
    if (!dir)
        skip();
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        Tg *tg = tg_open(NULL);
        models += e->d_name[0] != '.' &&
                  check_folder(tg, tg_name_format(tg, "%s/%s", root, e->d_name), &open) != NULL;
        tg_close(tg);
    }
    closedir(dir);
    print_message("%u models, %u sizes left open\n", models, open);
    assert_true(models > 1400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_elementwise, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_symbolic_elements, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_views, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_moves, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_reductions, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_products, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_windows, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_attention, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_control_flow, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_equal_sizes, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_claims, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_refusals, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_exporters, open_context, close_context),
        cmocka_unit_test_setup_teardown(test_operators, open_context, close_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
