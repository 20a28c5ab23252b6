"""Graphs that are wrong, that explode when they are inlined, folded, inferred or evaluated, or that are merely large."""
import struct

from case import LIMIT, REFUSED, UNSUPPORTED, case
from wire import *  # noqa: F403

NEG = node("Neg", "x", "y")


# --- names --------------------------------------------------------------------------------------------------


@case(REFUSED, "depends on itself")
def cycle_of_one(_):
    return simple([node("Add", "x y", "y")])


@case(REFUSED, "depends on itself")
def cycle_of_twenty_thousand(_):
    chain = [node("Neg", "v%d" % i, "v%d" % (i + 1)) for i in range(1, 20000)]
    return simple([node("Add", "x v20000", "v1"), *chain, node("Neg", "v1", "y")])


@case(REFUSED, "depends on itself")
def cycle_through_a_subgraph(_):
    body = graph([node("Neg", "y", "r")], outputs=[value("r")])
    return simple([node("If", "x", "y", attr_graph("then_branch", body), attr_graph("else_branch", body))])


@case(REFUSED, "twice")
def result_defined_twice(_):
    return simple([NEG, NEG])


@case(REFUSED, "twice")
def input_defined_twice(_):
    return simple([NEG], (), [X, X])


@case(REFUSED, "'x'")
def result_named_as_an_input(_):
    return simple([node("Neg", "x", "x")], (), [X], [X])


@case(REFUSED, "nothing defines it")
def dangling_operand(_):
    return simple([node("Add", "x nobody", "y")])


@case(REFUSED, "nothing defines it")
def dangling_output(_):
    return simple([NEG], (), [X], [value("nobody")])


@case(REFUSED, "nothing defines it")
def value_of_a_branch_read_outside(_):
    body = graph([node("Neg", "x", "r")], outputs=[value("r")])
    return simple([node("If", "x", "z", attr_graph("then_branch", body), attr_graph("else_branch", body)),
                   node("Neg", "r", "y")])


@case(REFUSED, "twice")
def attribute_given_twice(_):
    return simple([node("Softmax", "x", "y", attr_int("axis", 0), attr_int("axis", 1))])


@case(REFUSED, "no name")
def node_without_operator(_):
    return simple([node("", "x", "y")])


# --- functions ----------------------------------------------------------------------------------------------


def calls(*functions, call="F0"):
    return model(graph([node(call, "x", "y", domain="local")], inputs=[X], outputs=[Y]), fields(25, functions))


@case(REFUSED, "calls itself")
def function_that_calls_itself(_):
    return calls(function("F0", "a", "b", [node("F0", "a", "b", domain="local")]))


@case(REFUSED, "calls itself")
def functions_in_a_circle(_):
    ring = [function("F%d" % i, "a", "b", [node("F%d" % ((i + 1) % 50), "a", "b", domain="local")]) for i in range(50)]
    return calls(*ring)


@case(REFUSED, "calls itself")
def function_that_calls_itself_in_a_subgraph(_):
    body = graph([node("F0", "a", "r", domain="local")], outputs=[value("r")])
    branches = attr_graph("then_branch", body), attr_graph("else_branch", body)
    return calls(function("F0", "a", "b", [node("If", "a", "b", *branches)]))


@case(LIMIT, "--limit calls=")
def calls_101_deep(_):
    chain = [function("F%d" % i, "a", "b", [node("F%d" % (i + 1), "a", "b", domain="local")]) for i in range(120)]
    return calls(*chain, function("F120", "a", "b", [node("Neg", "a", "b")]))


@case(LIMIT, "--limit")
def function_bomb(_):
    """Two to the sixtieth nodes in four kilobytes."""
    double = [function("F%d" % i, "a", "b", [node("F%d" % (i + 1), "a", "t", domain="local"),
                                            node("F%d" % (i + 1), "t", "b", domain="local")]) for i in range(60)]
    return calls(*double, function("F60", "a", "b", [node("Neg", "a", "b")]))


@case(LIMIT, "--limit")
def function_bomb_of_empty_calls(_):
    wide = [function("F%d" % i, "", "", [node("F%d" % (i + 1), "", "", domain="local")] * 100) for i in range(8)]
    return model(graph([node("F0", "", "", domain="local"), NEG], inputs=[X], outputs=[Y]),
                 fields(25, [*wide, function("F8", "", "", [])]))


@case(LIMIT, "--limit")
def function_bomb_of_long_names(_):
    body = [node("Neg", "a", "b" if i == 0 else "v%d" % i, name="n" * 4000) for i in range(1)]
    functions = [function("F%d" % i, "a", "b", [node("F%d" % (i + 1), "a", "t%d" % k if k else "b", domain="local",
                                                     name="m" * 4000) for k in range(30)]) for i in range(4)]
    return calls(*functions, function("F4", "a", "b", body))


@case(REFUSED, "takes 1 operands")
def call_with_too_many_operands(_):
    return model(graph([node("F0", "x x", "y", domain="local")], inputs=[X], outputs=[Y]),
                 field(25, function("F0", "a", "b", [node("Neg", "a", "b")])))


@case(REFUSED, "defined twice")
def function_defined_twice(_):
    f = function("F0", "a", "b", [node("Neg", "a", "b")])
    return calls(f, f)


# --- loops --------------------------------------------------------------------------------------------------


def loop(trips, nodes, start="c"):
    """Runs `nodes` (from i, cond_in, v to v_out) so many times on a constant."""
    body = graph([node("Identity", "cond_in", "cond_out"), *nodes],
                 inputs=[value("i", [], INT64), value("cond_in", [], BOOL), value("v")],
                 outputs=[value("cond_out", [], BOOL), value("v_out")])
    return node("Loop", "trips  " + start, "r", attr_graph("body", body)).replace(
        field(1, "trips") + field(1, start), field(1, "trips") + field(1, "") + field(1, start)), int_scalar("trips", trips)


def looping(trips, nodes):
    l, t = loop(trips, nodes)
    return simple([l, node("Add", "x r", "y")], [t, floats("c", [1.0])])


@case(0)
def loop_of_2_to_the_62_trips(_):
    """Neither folding nor the comparison may run it."""
    return looping(1 << 62, [node("Neg", "v", "v_out")])


@case(0)
def loop_that_concatenates_forever(_):
    return looping(1 << 62, [node("Concat", "v v", "v_out", attr_int("axis", 0))])


@case(0)
def loops_within_loops(_):
    nodes = [node("Neg", "v", "v_out")]
    for _ in range(6):
        l, _t = loop(1 << 20, nodes, "v")
        nodes = [l, node("Identity", "r", "v_out")]
    return looping(1 << 20, nodes)


@case(0)
def scan_of_a_huge_input(_):
    body = graph([node("Add", "s e", "s_out"), node("Neg", "e", "o")], inputs=[value("s", []), value("e", [])],
                 outputs=[value("s_out", []), value("o", [])])
    return simple([node("Scan", "zero x", "z y", attr_graph("body", body), attr_int("num_scan_inputs", 1))],
                  [tensor("zero", [], FLOAT, bytes(4))], [value("x", [1 << 40])])


# --- what would be huge if it were computed -----------------------------------------------------------------


@case((0, LIMIT))
def constant_of_a_terabyte(_):
    return simple([node("ConstantOfShape", "s", "c"), node("ReduceSum", "c", "r", attr_int("keepdims", 0)),
                   node("Add", "x r", "y")], [ints("s", [1 << 38])])


@case((0, LIMIT))
def expand_to_an_exabyte(_):
    return simple([node("Expand", "c s", "e"), node("ReduceMax", "e", "r", attr_int("keepdims", 0)),
                   node("Add", "x r", "y")], [floats("c", [1.0]), ints("s", [1 << 30, 1 << 28])])


@case((0, REFUSED, LIMIT))
def expand_whose_product_overflows(_):
    return simple([node("Expand", "c s", "e"), node("Shape", "e", "h"), node("ReduceProd", "h", "p"),
                   node("Reshape", "x p", "y")], [floats("c", [1.0]), ints("s", [1 << 33, 1 << 33])])


@case((0, LIMIT))
def tile_by_a_million_squared(_):
    return simple([node("Tile", "c s", "e"), node("Gather", "e i", "r"), node("Add", "x r", "y")],
                  [tensor("c", [1, 1], FLOAT, bytes(4)), ints("s", [1 << 20, 1 << 20]), int_scalar("i", 7)])


@case((0, LIMIT))
def range_of_2_to_the_60(_):
    return simple([node("Range", "a b d", "r0"), node("Cast", "r0", "r1", attr_int("to", 1)),
                   node("ReduceSum", "r1", "r"), node("Add", "x r", "y")],
                  [int_scalar("a", 0), int_scalar("b", 1 << 60), int_scalar("d", 1)])


@case((0, LIMIT))
def one_hot_of_2_to_the_40(_):
    return simple([node("OneHot", "i d v", "o"), node("ReduceSum", "o", "r"), node("Add", "x r", "y")],
                  [ints("i", [3]), int_scalar("d", 1 << 40), floats("v", [0.0, 1.0])])


@case((0, REFUSED, LIMIT))
def pad_by_2_to_the_62(_):
    return simple([node("Pad", "c p", "o"), node("ReduceSum", "o", "r"), node("Add", "x r", "y")],
                  [floats("c", [1.0]), ints("p", [1 << 62, 1 << 62])])


@case((0, REFUSED, LIMIT))
def resize_by_a_huge_scale(_):
    return simple([node("Resize", "c  k", "o"), node("ReduceSum", "o", "r"), node("Add", "x r", "y")],
                  [floats("c", [1.0]), floats("k", [1e30])])


def pool(op, kernel, pad):
    return simple([node(op, "c", "r", attr_ints("kernel_shape", [kernel]), attr_ints("pads", [pad, pad])),
                   node("ReduceSum", "r", "q", attr_int("keepdims", 0)), node("Add", "x q", "y")],
                  [tensor("c", [1, 1, 1], FLOAT, bytes(4))])


@case((0, REFUSED, LIMIT))
def average_pool_over_2_to_the_40(_):
    """One element in, one element out, a trillion steps between them."""
    return pool("AveragePool", (1 << 40) + 1, 1 << 39)


@case((0, REFUSED, LIMIT))
def max_pool_over_2_to_the_40(_):
    return pool("MaxPool", (1 << 40) + 1, 1 << 39)


@case((0, REFUSED, LIMIT))
def lp_pool_over_2_to_the_40(_):
    return pool("LpPool", (1 << 40) + 1, 1 << 39)


@case((0, REFUSED, LIMIT))
def convolution_of_huge_dilation(_):
    return simple([node("Conv", "c w", "r", attr_ints("dilations", [1 << 62]), attr_ints("pads", [1 << 62, 1 << 62])),
                   node("ReduceSum", "r", "q", attr_int("keepdims", 0)), node("Add", "x q", "y")],
                  [tensor("c", [1, 1, 1], FLOAT, bytes(4)), tensor("w", [1, 1, 2], FLOAT, bytes(8))])


@case((0, REFUSED, LIMIT))
def transposed_convolution_of_huge_stride(_):
    return simple([node("ConvTranspose", "c w", "r", attr_ints("strides", [1 << 62])),
                   node("ReduceSum", "r", "q", attr_int("keepdims", 0)), node("Add", "x q", "y")],
                  [tensor("c", [1, 1, 3], FLOAT, bytes(12)), tensor("w", [1, 1, 2], FLOAT, bytes(8))])


@case(0)
def sums_that_double_200_times(_):
    """2^200 additions for whoever computes a shared term again at each of its uses."""
    chain = [node("Add", "v%d v%d" % (i, i), "v%d" % (i + 1)) for i in range(200)]
    return simple([*chain, node("Add", "x v200", "y")], [tensor("v0", [64, 64], FLOAT, bytes(16384))],
                  [value("x", ["N", 64, 64])])


@case((0, REFUSED, LIMIT))
def constants_that_double_60_times(_):
    chain = [node("Concat", "v%d v%d" % (i, i), "v%d" % (i + 1), attr_int("axis", 0)) for i in range(60)]
    return simple([*chain, node("ReduceSum", "v60", "r", attr_int("keepdims", 0)), node("Add", "x r", "y")],
                  [floats("v0", [1.0])])


@case((0, REFUSED, LIMIT))
def values_that_double_62_times(_):
    chain = [node("Concat", "v%d v%d" % (i, i), "v%d" % (i + 1), attr_int("axis", 0)) for i in range(62)]
    return simple([node("Identity", "x", "v0"), *chain, node("Identity", "v62", "y")])


@case((0, REFUSED, LIMIT))
def shapes_that_double_62_times(_):
    chain = [node("Concat", "v%d v%d" % (i, i), "v%d" % (i + 1), attr_int("axis", 0)) for i in range(62)]
    return simple([node("Shape", "x", "v0"), *chain, node("Identity", "v62", "y")])


@case((0, REFUSED, LIMIT))
def definitions_of_huge_attributes(_):
    return simple([node("Split", "x", "y z", attr_int("num_outputs", (1 << 62)))])


# --- what symbolic sizes can grow to ------------------------------------------------------------------------


@case((0, REFUSED, LIMIT))
def polynomial_with_a_million_terms(_):
    product = "*".join("(" + "+".join("s%d_%d" % (i, k) for k in range(4)) + ")" for i in range(40))
    return simple([NEG], (), [value("x", [product, "(a+b+c+d)" * 1])])


@case((0, REFUSED, LIMIT))
def parentheses_4000_deep(_):
    return simple([NEG], (), [value("x", ["(" * 2000 + "a" + ")" * 2000])])


@case((0, REFUSED, LIMIT))
def products_of_sums_of_sizes(_):
    """(a+b)^(2^40): shape arithmetic on the sizes of the input."""
    square = [node("Mul", "v%d v%d" % (i, i), "v%d" % (i + 1)) for i in range(40)]
    return simple([node("Shape", "x", "s"), node("ReduceSum", "s", "v0"), *square, node("Reshape", "x v40", "y")], (),
                  [value("x", ["a", "b", "c", "d"])])


@case((0, REFUSED, LIMIT))
def divisions_within_divisions(_):
    chain = []
    for i in range(3000):
        chain.append(node("Div", "v%d three" % i, "w%d" % i))
        chain.append(node("Add", "w%d v0" % i, "v%d" % (i + 1)))
    return simple([node("Shape", "x", "v0"), *chain, node("Reshape", "x v3000", "y")], [ints("three", [3])],
                  [value("x", ["a", "b"])])


@case((0, REFUSED, LIMIT))
def quotient_of_the_smallest_integer(_):
    return simple([node("Div", "a b", "q"), node("Mod", "a b", "m"), node("Add", "q m", "s"), node("Reshape", "x s", "y")],
                  [ints("a", [-1 << 63]), ints("b", [-1])])


@case((0, REFUSED, LIMIT))
def quotient_by_zero(_):
    return simple([node("Div", "a b", "q"), node("Reshape", "x q", "y")], [ints("a", [4]), ints("b", [0])])


@case((0, REFUSED, LIMIT))
def reshape_to_rank_100000(_):
    return simple([node("Reshape", "x s", "y")], [ints("s", [1] * 99999 + [-1])])


@case((0, REFUSED, LIMIT))
def expand_to_rank_100000(_):
    return simple([node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")], [ints("s", [1] * 100000)])


@case((0, REFUSED, LIMIT))
def unsqueeze_to_rank_100000(_):
    return simple([node("Unsqueeze", "x s", "y")], [ints("s", range(100000))])


@case((0, REFUSED, LIMIT))
def unsqueeze_a_thousand_times(_):
    chain = [node("Unsqueeze", "v%d s" % i, "v%d" % (i + 1)) for i in range(1000)]
    return simple([node("Identity", "x", "v0"), *chain, node("Identity", "v1000", "y")], [ints("s", [0])])


@case((0, REFUSED, LIMIT))
def transpose_of_repeated_axes(_):
    return simple([node("Transpose", "x", "y", attr_ints("perm", [1, 1]))])


@case((0, REFUSED, LIMIT))
def transpose_of_absent_axes(_):
    return simple([node("Transpose", "x", "y", attr_ints("perm", [1 << 62, -1 << 63]))])


@case((0, REFUSED, LIMIT))
def slice_with_extreme_bounds(_):
    return simple([node("Slice", "x a b c d", "y")], [ints("a", [(1 << 63) - 1]), ints("b", [-1 << 63]),
                                                      ints("c", [-1 << 63]), ints("d", [-1 << 63])])


@case((0, REFUSED, LIMIT))
def slice_with_step_zero(_):
    return simple([node("Slice", "t a b a a", "r"), node("Add", "x r", "y")],
                  [ints("a", [0]), ints("b", [4]), floats("t", [1, 2, 3, 4])])


@case((0, REFUSED, LIMIT))
def gather_beyond_the_end(_):
    return simple([node("Gather", "t i", "r"), node("Add", "x r", "y")],
                  [ints("i", [1 << 62, -1 << 63]), floats("t", [1, 2, 3, 4])])


@case((0, REFUSED, LIMIT))
def scatter_beyond_the_end(_):
    return simple([node("ScatterND", "t i u", "r"), node("Add", "x r", "y")],
                  [tensor("i", [1, 1], INT64, b"\xff" * 7 + b"\x7f"), floats("u", [1]), floats("t", [1, 2, 3, 4])])


@case((0, REFUSED, LIMIT))
def einsum_of_nonsense(_):
    return simple([node("Einsum", "x x", "y", attr_string("equation", "i" * 5000 + ",...->" + "..." * 100))])


@case((0, REFUSED, LIMIT))
def axes_of_all_extremes(_):
    nodes = [node(op, "x", "r%d" % i, attr_int("axis", axis)) for i, (op, axis) in enumerate(
        (op, axis) for op in ("Softmax", "Flatten", "LogSoftmax", "Hardmax", "ArgMax", "LpNormalization")
        for axis in (1 << 62, -1 << 63, 2, -3))]
    return simple([*nodes, NEG])


# --- merely large -------------------------------------------------------------------------------------------


@case(0)
def chain_of_ten_thousand(_):
    chain = [node("Neg" if i % 2 else "Abs", "v%d" % i, "v%d" % (i + 1)) for i in range(10000)]
    return simple([node("Identity", "x", "v0"), *chain, node("Identity", "v10000", "y")])


@case((0, LIMIT))
def value_with_fifty_thousand_users(_):
    return simple([node("Concat", " ".join("v%d" % i for i in range(50000)), "y", attr_int("axis", 0)),
                   *(node("Neg", "x", "v%d" % i) for i in range(50000))])


@case(0)
def concat_of_fifty_thousand_operands(_):
    return simple([node("Concat", "x " * 50000, "y", attr_int("axis", 0))])


@case(0)
def node_that_nobody_knows(_):
    return simple([node("Explode", "x", "y", attr_int("yield", 1 << 62), domain="com.example")])


@case((0, REFUSED, UNSUPPORTED))
def operators_with_odd_operands(_):
    ops = ("Add MatMul Conv Gemm Reshape Concat Split Slice Gather Where LSTM Attention RotaryEmbedding Resize Pad "
           "LayerNormalization BatchNormalization TopK Einsum Loop If Scan Constant Cast Unsqueeze").split()
    return simple([NEG, *(node(op, " ".join(["x"] * (i % 4)), "r%d_%d" % (k, i)) for k, op in enumerate(ops)
                          for i in range(4))])


# --- operators that cost more than they read and write ------------------------------------------------------


@case((0, LIMIT))
def einsum_of_many_axes(_):
    return simple([node("Einsum", "c c c c c c", "r", attr_string("equation", "a,b,c,d,e,f->")),
                   node("Einsum", "c c c", "q", attr_string("equation", "a,b,c->abc")), node("ReduceMax", "q", "p"),
                   node("Add", "r p", "s"), node("Add", "x s", "y")], [floats("c", [1.0] * 2000)])


@case((0, REFUSED, LIMIT))
def fourier_transform_of_a_long_signal(_):
    """Naively n^2 steps."""
    return simple([node("DFT", "c", "d", attr_int("axis", 1)), node("ReduceMax", "d", "r", attr_int("keepdims", 0)),
                   node("Add", "x r", "y")], [tensor("c", [1, 200003, 1], FLOAT, bytes(800012))])


@case((0, REFUSED, LIMIT))
def suppression_of_many_boxes(_):
    boxes, scores = tensor("b", [1, 30000, 4], FLOAT, bytes(480000)), tensor("s", [1, 1, 30000], FLOAT, bytes(120000))
    return simple([node("NonMaxSuppression", "b s m", "i"), node("Cast", "i", "f", attr_int("to", FLOAT)),
                   node("ReduceMax", "f", "r", attr_int("keepdims", 0)), node("Add", "x r", "y")],
                  [boxes, scores, ints("m", [30000])])


@case((0, REFUSED, LIMIT))
def determinant_of_a_large_matrix(_):
    return simple([node("Det", "c", "r"), node("Add", "x r", "y")], [tensor("c", [1500, 1500], FLOAT, bytes(9000000))])


@case((0, REFUSED, LIMIT))
def convolution_of_many_taps(_):
    return simple([node("Conv", "c w", "d", attr_ints("pads", [50000, 50000])),
                   node("ReduceMax", "d", "r", attr_int("keepdims", 0)), node("Add", "x r", "y")],
                  [tensor("c", [1, 1, 100000], FLOAT, bytes(400000)), tensor("w", [1, 1, 100001], FLOAT, bytes(400004))])


@case((0, REFUSED, LIMIT))
def recurrence_of_a_long_sequence(_):
    return simple([node("RNN", "c w u", "d", attr_int("hidden_size", 256)),
                   node("ReduceMax", "d", "r", attr_int("keepdims", 0)), node("Add", "x r", "y")],
                  [tensor("c", [100000, 1, 1], FLOAT, bytes(400000)), tensor("w", [1, 256, 1], FLOAT, bytes(1024)),
                   tensor("u", [1, 256, 256], FLOAT, bytes(262144))])


@case((0, REFUSED, LIMIT))
def cumulative_sum_of_a_long_row(_):
    return simple([node("CumSum", "c a", "d"), node("ReduceMax", "d", "r", attr_int("keepdims", 0)),
                   node("Add", "x r", "y")], [tensor("c", [1000000], FLOAT, bytes(4000000)), int_scalar("a", 0)])


@case((0, LIMIT))
def products_of_fixed_large_matrices(_):
    """Nothing folds; only the comparison could run them."""
    chain = [node("MatMul", "v%d x" % i, "v%d" % (i + 1)) for i in range(50)]
    return simple([node("Identity", "x", "v0"), *chain, node("Dropout", "v50", "y")], (), [value("x", [1300, 1300])])


@case((0, LIMIT))
def three_thousand_constants_of_64_kilobytes(_):
    nodes = [node("ConstantOfShape", "s", "c%d" % i, attr_tensor("value", tensor("", [1], FLOAT, struct.pack("<f", i))))
             for i in range(3000)]
    sums = [node("Add", "v%d c%d" % (i, i), "v%d" % (i + 1)) for i in range(3000)]
    return simple([node("Identity", "x", "v0"), *nodes, *sums, node("Identity", "v3000", "y")], [ints("s", [16384])],
                  [value("x", ["N", 16384])])


@case((0, LIMIT))
def three_thousand_ranges_of_64_kilobytes(_):
    nodes = [node("Range", "a b%d d" % i, "c%d" % i) for i in range(3000)]
    ends = [int_scalar("b%d" % i, 8192 + i) for i in range(3000)]
    return model(graph([*nodes, NEG], [int_scalar("a", 0), int_scalar("d", 1), *ends], [X],
                       [Y, *(value("c%d" % i) for i in range(3000))]))


# --- what a careless reader does for each pair of things ----------------------------------------------------


@case((0, LIMIT))
def thirty_thousand_inputs(_):
    many = range(30000)
    return simple([NEG], (), [X, *(value("i%d" % i, [4]) for i in many)])


@case((0, LIMIT))
def thirty_thousand_outputs(_):
    many = range(30000)
    return simple([NEG, *(node("Abs", "x", "o%d" % i) for i in many)], (), [X], [Y, *(value("o%d" % i) for i in many)])


@case((0, LIMIT))
def thirty_thousand_unknown_operators(_):
    return simple([NEG, *(node("Odd", "x", "o%d" % i, domain="com.example") for i in range(30000))], (), [X],
                  [Y, *(value("o%d" % i) for i in range(30000))])


@case((0, LIMIT))
def attributes_by_the_thousand(_):
    attributes = [attr_int("a%d" % i, i) for i in range(4000)]
    return simple([NEG, *(node("Odd", "x", "o%d" % i, *attributes, domain="com.example") for i in range(60))], (), [X],
                  [Y, *(value("o%d" % i) for i in range(60))])


@case((0, LIMIT))
def branches_that_read_a_thousand_values(_):
    outer = [node("Neg", "x", "v%d" % i) for i in range(3000)]
    body = graph([node("Sum", " ".join("v%d" % i for i in range(3000)), "r")], outputs=[value("r")])
    nodes = [node("If", "c", "y%d" % i, attr_graph("then_branch", body), attr_graph("else_branch", body))
             for i in range(10)]
    return simple([*outer, *nodes], [tensor("c", [], BOOL, b"\1")], [X], [value("y%d" % i) for i in range(10)])


@case((0, LIMIT))
def unsorted_chain_of_ten_thousand(_):
    chain = [node("Neg" if i % 2 else "Abs", "v%d" % i, "v%d" % (i + 1)) for i in range(10000)]
    return simple([*reversed(chain), node("Identity", "x", "v0"), node("Identity", "v10000", "y")])


@case((0, LIMIT))
def constants_of_one_hash(_):
    return simple([NEG], [tensor("t%d" % i, [64], FLOAT, struct.pack("<64f", *([0.0] * 63), i)) for i in range(10000)],
                  [X], [Y, *(value("t%d" % i) for i in range(10000))])


@case((0, LIMIT))
def calls_by_the_thousand(_):
    f = function("F0", "a", "b", [node("Neg", "a", "b")])
    chain = [node("F0", "v%d" % i, "v%d" % (i + 1), domain="local", name="same") for i in range(10000)]
    return model(graph([node("Identity", "x", "v0"), *chain, node("Identity", "v10000", "y")], (), [X], [Y]),
                 field(25, f))


@case((0, LIMIT))
def sizes_of_many_symbols(_):
    inputs = [value("i%d" % i, ["s%d_%d" % (i, k) for k in range(8)]) for i in range(2000)]
    return simple([*(node("Shape", "i%d" % i, "o%d" % i) for i in range(2000)), node("Concat", " ".join(
        "o%d" % i for i in range(2000)), "y", attr_int("axis", 0))], (), inputs)
