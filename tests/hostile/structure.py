"""Damage and bombs in the structure of a file: depth, amplification, strings, truncation."""
import os
import random

from case import LIMIT, REFUSED, case
from wire import *  # noqa: F403

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models")
NEG = node("Neg", "x", "y")


def nested(levels, innermost, *numbers):
    for i in range(levels):
        innermost = field(numbers[i % len(numbers)], innermost)
    return innermost


# --- depth --------------------------------------------------------------------------------------------------


@case(LIMIT, "--limit depth=")
def depth_of_types(_):
    return model(graph(inputs=[message(field(1, "x"), field(2, nested(20000, b"", 1, 4)))]))


@case(LIMIT, "graphs inside each other")
def depth_of_graphs(_):
    inner = graph([node("Neg", "x", "r0")], outputs=[field(1, "r0")])
    for i in range(1, 33):
        inner = graph([node("If", "x", "r%d" % i, attr_graph("then_branch", inner))], outputs=[field(1, "r%d" % i)])
    return model(inner)


@case(LIMIT, "--limit depth=")
def depth_of_unclosed_graphs(_):
    return model(nested(5001, b"", 6, 5, 1))


# --- amplification: millions of tiny messages ---------------------------------------------------------------

TEN_MB = 10 << 20


def many(number, body):
    one = field(number, body)
    return one * (TEN_MB // len(one))


@case(LIMIT, "--limit")
def bomb_of_nodes(_):
    return model(many(1, b""))


@case(LIMIT, "--limit")
def bomb_of_tensors(_):
    return model(many(5, b""))


@case(LIMIT, "--limit")
def bomb_of_inputs(_):
    return model(many(11, b""))


@case(LIMIT, "--limit")
def bomb_of_attributes(_):
    return model(graph([message(field(4, "Neg"), many(5, field(1, "a")))]))


@case(LIMIT, "--limit")
def bomb_of_operands(_):
    return model(graph([message(many(1, ""), field(2, "y"), field(4, "Concat"))], inputs=[X], outputs=[Y]))


@case(LIMIT, "--limit")
def bomb_of_results(_):
    return model(graph([message(field(1, "x"), many(2, ""), field(4, "Split"))], inputs=[X], outputs=[X]))


@case(LIMIT, "axes of one tensor")
def bomb_of_dims(_):
    return model(graph([NEG], [message(many(1, 1), field(2, FLOAT), field(8, "t"))]))


@case(LIMIT, "--limit")
def bomb_of_symbols(_):
    return model(graph([NEG], inputs=[message(field(1, "x"), field(2, field(1, message(
        field(1, FLOAT), field(2, many(1, field(2, "d")))))))], outputs=[Y]))


def empty_strings(n):
    return message(field(1, n), field(2, STRING), field(8, "t"), field(6, "") * n)


def odd(*attributes):
    """An operator that is kept as it is, with all of its attributes."""
    return simple([NEG, node("Odd", "x", "z", *attributes, domain="com.example")])


@case(LIMIT, "--limit load=")
def bomb_of_strings(_):
    return simple([NEG], [empty_strings(TEN_MB // 2)])


@case(LIMIT, "--limit load=")
def bomb_of_strings_in_an_attribute(_):
    return odd(message(field(1, "a"), many(9, ""), field(20, 8)))


@case(LIMIT, "--limit load=")
def bomb_of_strings_in_a_tensor_of_an_attribute(_):
    return odd(attr_tensor("a", empty_strings(TEN_MB // 2)))


@case(LIMIT, "--limit load=")
def bomb_of_integers_in_an_attribute(_):
    return odd(message(field(1, "a"), field(8, bytes(TEN_MB)), field(20, 7)))


@case(LIMIT, "--limit load=")
def bomb_of_integers_in_a_tensor_of_an_attribute(_):
    n = TEN_MB // 2
    return odd(attr_tensor("a", message(field(1, n), field(2, INT64), field(8, "t"), field(7, bytes(n)))))


@case(LIMIT, "--limit")
def bomb_of_opsets(_):
    return model(graph([NEG], inputs=[X], outputs=[Y]), many(8, b""))


@case(LIMIT, "--limit functions=")
def bomb_of_functions(_):
    return model(graph([NEG], inputs=[X], outputs=[Y]), many(25, b""))


@case(LIMIT, "--limit")
def bomb_of_entries(_):
    return simple([NEG], [message(tensor("t", [1]), many(13, b""), field(14, 1))])


@case(0)
def bomb_of_unknown_fields(_):
    """They are kept as the bytes that they are."""
    return simple([message(NEG, many(99, b""))])


@case(0)
def bomb_of_metadata(_):
    return simple([NEG]) + many(14, b"")


@case(LIMIT, "--limit nodes=")
def four_million_nodes(_):
    return model(field(1, field(4, "Neg")) * 4000001)


@case(LIMIT, "--limit")
def four_million_sound_nodes(_):
    return model(fields(1, (node("Neg", "x", "%x" % i) for i in range(1 << 16))) * 64)


# --- strings ------------------------------------------------------------------------------------------------


@case(REFUSED, "NUL")
def name_with_nul(_):
    return simple([node("Neg", "x", "y"), node("Neg", "x", "y\0z")])


@case(REFUSED, "UTF-8")
def name_that_is_not_utf8(_):
    return simple([NEG, message(field(1, "x"), field(2, b"\xff\xfe"), field(4, "Neg"))])


@case(REFUSED, "UTF-8")
def name_with_overlong_utf8(_):
    return simple([NEG, message(field(1, "x"), field(2, b"\xc0\xaf"), field(4, "Neg"))])


@case(REFUSED, "UTF-8")
def name_with_surrogate(_):
    return simple([NEG, message(field(1, "x"), field(2, b"\xed\xa0\x80"), field(4, "Neg"))])


@case(REFUSED, "control")
def name_with_escape_sequence(_):
    return simple([NEG, message(field(1, "x"), field(2, "\x1b[2J\x1b]0;owned\x07"), field(4, "Neg"))])


@case(LIMIT, "--limit name=")
def name_of_5000_bytes(_):
    return simple([NEG, node("Neg", "x", "n" * 5000)])


@case(REFUSED, "NUL")
def domain_with_nul(_):
    return model(graph([NEG], inputs=[X], outputs=[Y]), field(8, opset(1, "a\0b")))


@case(REFUSED, "UTF-8")
def documentation_that_is_not_utf8(_):
    return simple([NEG]) + field(6, b"\xff")


# --- damage -------------------------------------------------------------------------------------------------


@case(REFUSED)
def empty_file(_):
    return b""


@case(REFUSED)
def text_file(_):
    return b"#!/bin/sh\necho this is no model\n"


@case(REFUSED)
def zeros(_):
    return bytes(1 << 20)


@case(REFUSED)
def endless_varint(_):
    return b"\x08" + b"\xff" * 1000


@case(REFUSED)
def length_beyond_the_file(_):
    return b"\x3a" + varint((1 << 63) - 1) + b"\x0a\x00"


@case(REFUSED)
def length_of_all_ones(_):
    return b"\x3a" + varint(-1)


@case(REFUSED)
def field_number_zero(_):
    return b"\x02\x00"


@case(REFUSED)
def group_wire_type(_):
    return b"\x3b\x3c"


@case(REFUSED, "more than one graph")
def two_graphs(_):
    return simple([NEG]) + field(7, graph([NEG], inputs=[X], outputs=[Y]))


@case(REFUSED, "no graph")
def no_graph(_):
    return field(1, 8)


@case(REFUSED)
def wrong_wire_type(_):
    return field(1, 8) + field(7, 1 << 40)


@case((0, REFUSED))
def versions_of_all_ones(_):
    return message(field(1, -1), field(5, -1), field(8, opset(-1)), field(7, graph([NEG], inputs=[X], outputs=[Y])))


def truncated(at):
    def build(_):
        with open(os.path.join(MODELS, "bert", "model.onnx"), "rb") as f:
            return f.read()[:at]

    build.__name__ = "truncated_at_%d" % at
    case(REFUSED)(build)


_random = random.Random(1)
for _at in sorted({1, 2, 7, *(_random.randrange(40000) for _ in range(9))}):
    truncated(_at)
