"""Tensors whose sizes, types and payloads do not belong together."""
from case import LIMIT, REFUSED, UNSUPPORTED, case
from wire import *  # noqa: F403

ADD = node("Add", "x t", "y")


def with_tensor(t):
    return simple([ADD], [t])


# --- sizes --------------------------------------------------------------------------------------------------


@case(REFUSED, "size -1")
def negative_size(_):
    return with_tensor(tensor("t", [-1], FLOAT, b""))


@case(REFUSED, "size -9223372036854775808")
def most_negative_size(_):
    return with_tensor(tensor("t", [2, -1 << 63], FLOAT, b""))


@case(LIMIT, "overflow")
def product_that_wraps_to_four(_):
    return with_tensor(tensor("t", [1 << 32, 1 << 31, 2, 4], FLOAT, bytes(16)))


@case(LIMIT, "overflow")
def product_that_wraps_to_zero(_):
    return with_tensor(tensor("t", [1 << 32, 1 << 32], FLOAT, b""))


@case(LIMIT, "overflow")
def overflow_before_a_zero(_):
    return with_tensor(tensor("t", [1 << 62, 1 << 62, 0], FLOAT, b""))


@case(REFUSED)
def huge_size_without_payload(_):
    return with_tensor(tensor("t", [1 << 50]))


@case(REFUSED)
def huge_size_with_little_payload(_):
    return with_tensor(tensor("t", [1 << 50], INT64, bytes(8)))


@case(LIMIT, "axes of one tensor")
def rank_100000_of_a_tensor(_):
    return with_tensor(tensor("t", [1] * 100000, FLOAT, bytes(4)))


@case(LIMIT, "axes of one tensor")
def rank_100000_of_an_input(_):
    return simple([node("Neg", "x", "y")], (), [value("x", [1] * 100000)])


@case((0, REFUSED))
def negative_size_of_an_input(_):
    return simple([node("Neg", "x", "y")], (), [value("x", [-7, -1 << 63])])


@case(0)
def huge_sizes_of_an_input(_):
    return simple([node("Reshape", "x s", "y")], [ints("s", [-1])], [value("x", [(1 << 63) - 1, 1 << 62, 1 << 61])])


# --- payloads -----------------------------------------------------------------------------------------------


@case(REFUSED, "bytes")
def raw_data_one_byte_short(_):
    return with_tensor(tensor("t", [2], FLOAT, bytes(7)))


@case(REFUSED, "bytes")
def raw_data_one_byte_long(_):
    return with_tensor(tensor("t", [2], FLOAT, bytes(9)))


@case(REFUSED, "bytes")
def raw_data_of_an_empty_tensor(_):
    return with_tensor(tensor("t", [0], FLOAT, bytes(4)))


@case(REFUSED)
def raw_data_twice(_):
    return with_tensor(tensor("t", [1], FLOAT, bytes(4), field(9, bytes(4))))


@case(REFUSED, "more than one field")
def two_storage_fields(_):
    return with_tensor(tensor("t", [1], FLOAT, bytes(4), field(4, bytes(4))))


@case(REFUSED, "more than one field")
def raw_and_external(_):
    return with_tensor(message(external("t", [1], "w.bin"), field(9, bytes(4))))


@case(REFUSED, "other types")
def storage_field_of_another_type(_):
    return with_tensor(tensor("t", [1], FLOAT, None, packed(7, [1])))


@case(REFUSED)
def strings_in_raw_data(_):
    return with_tensor(tensor("t", [1], STRING, b"abc"))


@case(REFUSED)
def too_few_strings(_):
    return with_tensor(tensor("t", [1 << 40], STRING, None, fields(6, ["a", "b"])))


@case(REFUSED, "element type")
def unknown_element_type(_):
    return with_tensor(tensor("t", [1], 77, bytes(4)))


@case(REFUSED, "element type")
def element_type_of_all_ones(_):
    return with_tensor(tensor("t", [1], -1, bytes(4)))


@case(UNSUPPORTED, "segments")
def segment(_):
    return with_tensor(tensor("t", [1], FLOAT, bytes(4), field(3, message(field(1, 0), field(2, 1 << 40)))))


@case(REFUSED)
def floats_of_three_bytes(_):
    return with_tensor(tensor("t", [1], FLOAT, None, field(4, b"abc")))


# --- sparse tensors -----------------------------------------------------------------------------------------


def with_sparse(dims, values, indices):
    s = message(field(1, floats("s", values)), field(2, indices), fields(3, dims))
    return simple([node("Add", "x s", "y")], (), [X], [Y], field(15, s))


@case(REFUSED, "outside of")
def sparse_index_beyond_the_end(_):
    return with_sparse([4], [1.0], ints("i", [4]))


@case(REFUSED, "outside of")
def sparse_index_below_zero(_):
    return with_sparse([4], [1.0], ints("i", [-1]))


@case(REFUSED)
def sparse_with_more_indices_than_values(_):
    return with_sparse([4], [1.0], ints("i", [0, 1]))


@case(LIMIT, "overflow")
def sparse_product_overflows(_):
    return with_sparse([1 << 32, 1 << 32], [1.0], ints("i", [0]))


@case((0, LIMIT))
def sparse_of_a_terabyte(_):
    return with_sparse([1 << 38], [1.0], ints("i", [5]))


@case(REFUSED)
def sparse_external_data_outside(_):
    """The way around the check of external paths that another reader had."""
    s = message(field(1, external("s", [1], "../../../../etc/passwd")), field(2, ints("i", [0])), fields(3, [4]))
    return simple([node("Add", "x s", "y")], (), [X], [Y], field(15, s))
