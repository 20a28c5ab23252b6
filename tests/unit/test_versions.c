/* Versions of operators. What an old node means comes from the text of the standard for that opset: where the
 * operand must be, which default was meant, which nodes an operator may be written as. Going up and down
 * again must give the node that was read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* CMocka wants the four above first */
#include <cmocka.h>

#include <string.h>

#include "frontend/frontend.h"
#include "frontend/versions.h"

typedef struct {
    Tg *tg;
    TgModel *model;
    TgGraph *g;
    int64_t opset;
} Bench;

static void set_up(Bench *b, int64_t opset)
{
    b->tg = tg_open(NULL);
    assert_non_null(b->tg);
    b->model = tg_model_new(b->tg);
    b->g = b->model->graph;
    b->opset = opset;
    TgImport onnx = {tg_name(b->tg, ""), opset};
    TG_PUSH(b->model->arena, &b->model->imports, onnx);
}

static void tear_down(Bench *b)
{
    assert_int_equal(tg_error_count(b->tg), 0);
    tg_model_free(b->model);
    tg_close(b->tg);
}

/* Input of floats; dim -1 is a symbol. */
static TgValue input(Bench *b, int32_t rank, const int64_t *dims)
{
    TgDim d[TG_MAX_RANK];
    for (int32_t i = 0; i < rank; i++)
        d[i] = dims[i] < 0 ? tg_dim_symbol(b->tg, "N") : tg_dim(b->tg, dims[i]);
    return tg_graph_input(b->g, tg_type(b->tg, TG_f32, rank, d),
                          tg_name_format(b->tg, "x%u", b->g->inputs.n));
}

/* As a reader does: literal attributes, raised, inferred. */
static TgNode read_node(Bench *b, TgOp op, TgAttrBuild *attrs, uint32_t n_in, const TgValue *in,
                        uint32_t n_out)
{
    TgNode n = tg_graph_add_raw(b->g, op, attrs ? tg_attrs_end(attrs, TG_opaque) : NULL, n_in, in, n_out);
    assert_true(raise_node(b->g, n, b->opset));
    assert_true(tg_infer_node(b->g, n));
    for (uint32_t i = 0; i < n_out; i++)
        tg_graph_return(b->g, tg_node(b->g, n)->out[i], tg_name_format(b->tg, "y%u", i), NULL);
    return n;
}

static void expect_ints(const TgGraph *g, TgValue v, uint32_t n, const int64_t *want)
{
    int64_t got[TG_MAX_RANK];
    uint32_t count;
    assert_true(tg_const_ints(g, v, TG_MAX_RANK, got, &count));
    assert_int_equal(count, n);
    assert_memory_equal(got, want, n * sizeof *want);
}

static int64_t written_int(const TgNodeInfo *node, const char *name)
{
    const TgAttr *a = tg_attr_find(node->attrs, name);
    assert_non_null(a);
    assert_int_equal(a->kind, TG_A_INT);
    return a->u.i;
}

static uint32_t live(const TgGraph *g, TgOp op)
{
    uint32_t count = 0;
    for (TgNode n = 1; n < g->nodes.n; n++)
        count += !tg_node(g, n)->dead && (op == TG_opaque || tg_node(g, n)->op == op);
    return count;
}

static const TgNodeInfo *result(const Bench *b)
{
    return tg_node(b->g, tg_value(b->g, b->g->outputs.at[0].value)->node);
}

/* The rows of one operator must stand together, from old to new. */
static void rows_are_in_order(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < version_row_count(); i++) {
        VersionRows all = version_rows(version_row(i)->op), any = version_rows_of_all();
        assert_true((all.first <= i && i < all.end) || (any.first <= i && i < any.end));
        if (i > 0 && version_row(i - 1)->op == version_row(i)->op)
            assert_true(version_row(i - 1)->at <= version_row(i)->at);
    }
}

/* --- moved attributes ----------------------------------------------------------------------------------- */

/* Each was an attribute `name` of ints until its operator got operand `slot` instead. */
static void lists_move_and_return(void **state)
{
    (void)state;
    static const struct {
        TgOp op;
        int64_t opset;
        const char *name;
        uint32_t slot, n;
        int64_t list[8];
    } cases[] = {
        {TG_ReduceSum, 11, "axes", 1, 1, {1}},          {TG_ReduceMean, 17, "axes", 1, 2, {0, 2}},
        {TG_ReduceL2, 13, "axes", 1, 1, {-1}},          {TG_Squeeze, 12, "axes", 1, 1, {1}},
        {TG_Unsqueeze, 9, "axes", 1, 2, {0, 3}},        {TG_Split, 11, "split", 1, 2, {1, 1}},
        {TG_Pad, 10, "pads", 1, 6, {0, 0, 1, 0, 0, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Bench b;
        set_up(&b, cases[i].opset);
        TgValue x = input(&b, 3, (const int64_t[]){2, 1, 4});
        TgAttrBuild attrs;
        tg_attrs_begin(&attrs, b.tg);
        tg_attrs_ints(&attrs, cases[i].name, cases[i].n, cases[i].list);
        TgNode n = read_node(&b, cases[i].op, &attrs, 1, &x, cases[i].op == TG_Split ? 2 : 1);
        expect_ints(b.g, operand(b.g, n, cases[i].slot), cases[i].n, cases[i].list);
        assert_false(tg_attr_has(tg_node(b.g, n)->attrs, cases[i].name));
        assert_true(tg_lower(b.model, b.opset));
        const TgAttr *back = tg_attr_find(tg_node(b.g, n)->attrs, cases[i].name);
        assert_non_null(back);
        assert_int_equal(back->n, cases[i].n);
        assert_memory_equal(back->u.ints, cases[i].list, cases[i].n * sizeof(int64_t));
        assert_int_equal(operand(b.g, n, cases[i].slot), 0);
        assert_int_equal(live(b.g, TG_opaque), 1);
        tear_down(&b);
    }
}

static void slice_of_opset_9(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 9);
    TgValue x = input(&b, 2, (const int64_t[]){5, 7});
    TgAttrBuild attrs;
    tg_attrs_begin(&attrs, b.tg);
    tg_attrs_ints(&attrs, "starts", 1, (const int64_t[]){1});
    tg_attrs_ints(&attrs, "ends", 1, (const int64_t[]){-1});
    tg_attrs_ints(&attrs, "axes", 1, (const int64_t[]){1});
    TgNode n = read_node(&b, TG_Slice, &attrs, 1, &x, 1);
    expect_ints(b.g, operand(b.g, n, 1), 1, (const int64_t[]){1});
    expect_ints(b.g, operand(b.g, n, 2), 1, (const int64_t[]){-1});
    expect_ints(b.g, operand(b.g, n, 3), 1, (const int64_t[]){1});
    assert_true(tg_dim_is(tg_type_of(b.g, tg_node(b.g, n)->out[0])->dim[1], 5));
    assert_true(tg_lower(b.model, 9));
    assert_int_equal(tg_node(b.g, n)->attrs->n, 3);
    tear_down(&b);
}

static void clip_takes_scalars_of_its_type(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 6);
    TgValue x = input(&b, 2, (const int64_t[]){5, 7});
    TgAttrBuild attrs;
    tg_attrs_begin(&attrs, b.tg);
    tg_attrs_float(&attrs, "max", 6);
    TgNode n = read_node(&b, TG_Clip, &attrs, 1, &x, 1);
    double max = 0;
    assert_int_equal(operand(b.g, n, 1), 0);
    assert_true(tg_const_float(b.g, operand(b.g, n, 2), &max));
    assert_true(max == 6);
    assert_true(tg_lower(b.model, 7));
    assert_true(tg_attr_find(tg_node(b.g, n)->attrs, "max")->u.f == 6.0f);
    tear_down(&b);
}

static void top_k_of_opset_9(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 9);
    TgValue x = input(&b, 2, (const int64_t[]){5, 7});
    TgAttrBuild attrs;
    tg_attrs_begin(&attrs, b.tg);
    tg_attrs_int(&attrs, "k", 3);
    TgNode n = read_node(&b, TG_TopK, &attrs, 1, &x, 2);
    expect_ints(b.g, operand(b.g, n, 1), 1, (const int64_t[]){3});
    assert_true(tg_lower(b.model, 9));
    assert_int_equal(written_int(tg_node(b.g, n), "k"), 3);
    tear_down(&b);
}

/* --- Softmax -------------------------------------------------------------------------------------------- */

/* Until opset 12 the dims from `axis` on (default 1) were one. */
static void softmax_of_old(void **state)
{
    (void)state;
    static const struct {
        int32_t rank;
        int64_t dim[4];
        bool given;
        int64_t axis, means; /* -9: needs a flattened copy */
    } cases[] = {
        {2, {3, 4}, false, 0, -1},       {3, {2, 3, 4}, true, 2, -1},   {3, {2, 3, 4}, true, -1, -1},
        {3, {2, 3, 4}, false, 0, -9},    {4, {2, 3, 1, 1}, true, 1, 1}, {4, {-1, 3, 1, 5}, true, 2, -1},
        {4, {-1, 3, 2, 5}, true, 2, -9}, {2, {1, 4}, true, 0, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Bench b;
        set_up(&b, 11);
        TgValue x = input(&b, cases[i].rank, cases[i].dim);
        TgAttrBuild attrs;
        tg_attrs_begin(&attrs, b.tg);
        if (cases[i].given)
            tg_attrs_int(&attrs, "axis", cases[i].axis);
        TgNode n = read_node(&b, TG_Softmax, &attrs, 1, &x, 1);
        if (cases[i].means == -9) {
            assert_int_equal(live(b.g, TG_Flatten), 1);
            assert_int_equal(tg_node(b.g, n)->op, TG_Reshape);
        } else
            assert_int_equal(tg_attr_int(tg_node(b.g, n), "axis"), cases[i].means);
        assert_ptr_equal(tg_type_of(b.g, tg_node(b.g, n)->out[0]), tg_type_of(b.g, x));
        assert_true(tg_lower(b.model, 11));
        assert_int_equal(live(b.g, TG_opaque), 1);
        assert_int_equal(result(&b)->op, TG_Softmax);
        int64_t axis = cases[i].given ? cases[i].axis : 1, written = written_int(result(&b), "axis");
        axis += axis < 0 ? cases[i].rank : 0;
        for (int64_t k = axis < written ? axis : written; k < (axis < written ? written : axis); k++)
            assert_int_equal(cases[i].dim[k], 1); /* dims of size 1 make no difference */
        tear_down(&b);
    }
}

/* Along an axis in the middle the old operator needs two transpositions. */
static void softmax_in_the_middle(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 17);
    TgValue x = input(&b, 3, (const int64_t[]){2, 3, 4});
    TgAttrBuild attrs;
    tg_attrs_begin(&attrs, b.tg);
    tg_attrs_int(&attrs, "axis", 1);
    read_node(&b, TG_Softmax, &attrs, 1, &x, 1);
    assert_true(tg_lower(b.model, 12));
    assert_int_equal(live(b.g, TG_Transpose), 2);
    assert_int_equal(live(b.g, TG_Softmax), 1);
    assert_int_equal(live(b.g, TG_opaque), 3);
    tear_down(&b);
}

/* --- other changes -------------------------------------------------------------------------------------- */

static void split_evenly(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 13);
    TgValue x = input(&b, 2, (const int64_t[]){6, 2});
    TgNode n = read_node(&b, TG_Split, NULL, 1, &x, 3);
    assert_int_equal(written_int(tg_node(b.g, n), "num_outputs"), 3);
    assert_true(tg_lower(b.model, 13));
    assert_int_equal(tg_node(b.g, n)->attrs->n, 0);
    tear_down(&b);
}

/* num_outputs=3 of 7 rows is 3, 3, 1; before opset 18 the sizes must be said, before 13 in an attribute. */
static void split_unevenly(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 18);
    TgValue x = input(&b, 2, (const int64_t[]){7, 2});
    TgAttrBuild attrs;
    tg_attrs_begin(&attrs, b.tg);
    tg_attrs_int(&attrs, "num_outputs", 3);
    TgNode n = read_node(&b, TG_Split, &attrs, 1, &x, 3);
    assert_true(tg_lower(b.model, 11));
    const TgAttr *split = tg_attr_find(tg_node(b.g, n)->attrs, "split");
    assert_non_null(split);
    assert_memory_equal(split->u.ints, ((const int64_t[]){3, 3, 1}), 3 * sizeof(int64_t));
    tear_down(&b);
}

static void resize_of_opset_10(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 10);
    TgValue x = input(&b, 4, (const int64_t[]){1, 1, 2, 2});
    const float twice[] = {1, 1, 2, 2};
    const TgTensor *t = tg_tensor_owned(b.model->arena, TG_f32, 1, (const int64_t[]){4}, twice);
    TgValue in[] = {x, tg_graph_const(b.g, t, NULL)};
    TgNode n = read_node(&b, TG_Resize, NULL, 2, in, 1);
    assert_int_equal(operand(b.g, n, 1), 0);
    assert_int_equal(operand(b.g, n, 2), in[1]);
    assert_string_equal(tg_attr_string(b.tg, tg_node(b.g, n), "coordinate_transformation_mode"),
                        "asymmetric");
    assert_true(tg_lower(b.model, 10));
    assert_int_equal(tg_node(b.g, n)->attrs->n, 0);
    assert_int_equal(operand(b.g, n, 1), in[1]);
    tear_down(&b);
}

/* Scale and bias per group (opset 18) and per channel (21). */
static void group_norm_of_opset_18(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 18);
    TgValue in[] = {input(&b, 3, (const int64_t[]){1, 6, 5}), input(&b, 1, (const int64_t[]){2}),
                    input(&b, 1, (const int64_t[]){2})};
    TgAttrBuild attrs;
    tg_attrs_begin(&attrs, b.tg);
    tg_attrs_int(&attrs, "num_groups", 2);
    TgNode n = read_node(&b, TG_GroupNormalization, &attrs, 3, in, 1);
    for (uint32_t slot = 1; slot <= 2; slot++)
        assert_true(tg_dim_is(tg_type_of(b.g, operand(b.g, n, slot))->dim[0], 6));
    assert_true(tg_lower(b.model, 18));
    assert_int_equal(live(b.g, TG_opaque), 1);
    assert_memory_equal(tg_node(b.g, n)->in, in, sizeof in);
    tear_down(&b);
}

/* Withdrawn in opset 10: pixel i of Upsample was always pixel floor(i / scale). */
static void upsample_becomes_resize(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 9);
    TgValue x = input(&b, 4, (const int64_t[]){1, 1, 2, 2});
    const float twice[] = {1, 1, 2, 2};
    const TgTensor *t = tg_tensor_owned(b.model->arena, TG_f32, 1, (const int64_t[]){4}, twice);
    TgValue in[] = {x, tg_graph_const(b.g, t, NULL)};
    TgNode n = read_node(&b, TG_Upsample, NULL, 2, in, 1);
    assert_true(tg_lower(b.model, 13));
    assert_int_equal(tg_node(b.g, n)->op, TG_Resize);
    assert_int_equal(operand(b.g, n, 1), 0);
    assert_int_equal(operand(b.g, n, 2), in[1]);
    assert_string_equal(tg_attr_string(b.tg, tg_node(b.g, n), "coordinate_transformation_mode"),
                        "asymmetric");
    assert_string_equal(tg_attr_string(b.tg, tg_node(b.g, n), "nearest_mode"), "floor");
    tear_down(&b);
}

static void broadcast_of_opset_6(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 6);
    TgValue in[] = {input(&b, 4, (const int64_t[]){2, 3, 4, 5}), input(&b, 1, (const int64_t[]){3})};
    TgAttrBuild attrs;
    tg_attrs_begin(&attrs, b.tg);
    tg_attrs_int(&attrs, "broadcast", 1);
    tg_attrs_int(&attrs, "axis", 1);
    TgNode n = read_node(&b, TG_Add, &attrs, 2, in, 1);
    int64_t dim[4];
    assert_int_equal(tg_node(b.g, n)->attrs->n, 0);
    assert_true(tg_type_static(tg_type_of(b.g, operand(b.g, n, 1)), dim));
    assert_memory_equal(dim, ((const int64_t[]){3, 1, 1}), 3 * sizeof(int64_t));
    tear_down(&b);
}

/* A form that has no newest meaning is kept, and written back as it was. */
static void training_is_kept(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 9);
    TgValue in[5] = {input(&b, 4, (const int64_t[]){1, 3, 2, 2})};
    for (int i = 1; i < 5; i++)
        in[i] = input(&b, 1, (const int64_t[]){3});
    TgNode n = read_node(&b, TG_BatchNormalization, NULL, 5, in, 5);
    assert_int_equal(tg_node(b.g, n)->op, TG_opaque);
    assert_string_equal(tg_node(b.g, n)->op_name, "BatchNormalization");
    assert_true(tg_lower(b.model, 9));
    assert_false(tg_lower(b.model, 17));
    assert_int_equal(tg_diag(b.tg, 0)->id, TG_E_no_lowering);
    tg_diag_forget(b.tg, 0);
    tear_down(&b);
}

static void scatter_has_two_names(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 9);
    TgValue x = input(&b, 1, (const int64_t[]){4});
    TgValue in[] = {x, tg_graph_const(b.g, tg_tensor_ints(b.model->arena, 1, (const int64_t[]){2}), NULL),
                    input(&b, 1, (const int64_t[]){1})};
    TgNode n = tg_graph_add_opaque(b.g, "", "Scatter", NULL, 3, in, 1);
    assert_true(raise_node(b.g, n, 9));
    assert_int_equal(tg_node(b.g, n)->op, TG_ScatterElements);
    tg_graph_return(b.g, tg_node(b.g, n)->out[0], "y", NULL);
    assert_true(tg_lower(b.model, 9));
    assert_int_equal(tg_node(b.g, n)->op, TG_opaque);
    assert_string_equal(tg_node(b.g, n)->op_name, "Scatter");
    tear_down(&b);
}

/* --- operators that the opset lacks --------------------------------------------------------------------- */

/* Nothing that is left may be younger than the opset. */
static void young_operators_are_spelled(void **state)
{
    (void)state;
    static const struct {
        TgOp op;
        uint32_t n_in;
        int64_t opset;
    } cases[] = {
        {TG_Gelu, 1, 13},
        {TG_Swish, 1, 9},
        {TG_HardSwish, 1, 9},
        {TG_Mish, 1, 9},
        {TG_RMSNormalization, 2, 17},
        {TG_RMSNormalization, 2, 11},
        {TG_LayerNormalization, 2, 11},
        {TG_LessOrEqual, 2, 11},
        {TG_SwiGLU, 2, 17},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        Bench b;
        set_up(&b, TG_NEWEST_OPSET);
        TgValue x = input(&b, 3, (const int64_t[]){-1, 3, 4});
        TgValue in[] = {x, cases[i].op == TG_SwiGLU ? x : input(&b, 1, (const int64_t[]){4})};
        const TgType *type =
            tg_type_of(b.g, tg_node(b.g, read_node(&b, cases[i].op, NULL, cases[i].n_in, in, 1))->out[0]);
        if (!tg_lower(b.model, cases[i].opset))
            fail_msg("%s: %s", tg_op_text(b.tg, cases[i].op), tg_diag(b.tg, 0)->message);
        for (TgNode n = 1; n < b.g->nodes.n; n++)
            if (!tg_node(b.g, n)->dead) {
                const TgValueInfo *made = tg_value(b.g, tg_node(b.g, n)->out[0]);
                assert_true(tg_op_info(tg_node(b.g, n)->op)->since <= cases[i].opset);
                assert_true(made->uses.n || made->returned); /* an unread inverse deviation was written */
            }
        assert_int_equal(live(b.g, cases[i].op), 0);
        assert_ptr_equal(tg_type_of(b.g, b.g->outputs.at[0].value), type);
        tear_down(&b);
    }
}

static void part_of_a_shape(void **state)
{
    (void)state;
    Bench b;
    set_up(&b, 15);
    TgValue x = input(&b, 3, (const int64_t[]){-1, 3, 4});
    TgAttrBuild attrs;
    tg_attrs_begin(&attrs, b.tg);
    tg_attrs_int(&attrs, "start", -2);
    read_node(&b, TG_Shape, &attrs, 1, &x, 1);
    assert_true(tg_lower(b.model, 9));
    assert_int_equal(live(b.g, TG_opaque), 2);
    assert_int_equal(result(&b)->op, TG_Slice);
    assert_int_equal(tg_attr_find(result(&b)->attrs, "starts")->u.ints[0], -2);
    tear_down(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_in_order),
        cmocka_unit_test(lists_move_and_return),
        cmocka_unit_test(slice_of_opset_9),
        cmocka_unit_test(clip_takes_scalars_of_its_type),
        cmocka_unit_test(top_k_of_opset_9),
        cmocka_unit_test(softmax_of_old),
        cmocka_unit_test(softmax_in_the_middle),
        cmocka_unit_test(split_evenly),
        cmocka_unit_test(split_unevenly),
        cmocka_unit_test(resize_of_opset_10),
        cmocka_unit_test(group_norm_of_opset_18),
        cmocka_unit_test(broadcast_of_opset_6),
        cmocka_unit_test(training_is_kept),
        cmocka_unit_test(scatter_has_two_names),
        cmocka_unit_test(young_operators_are_spelled),
        cmocka_unit_test(part_of_a_shape),
        cmocka_unit_test(upsample_becomes_resize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) != 0;
}
