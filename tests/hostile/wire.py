"""Protocol-buffer bytes, written by hand: any ONNX message, sound or not, without any package.

`message(field(1, "name"), field(3, 7))` are bytes; a value is an int (varint), a float (32 bits), text or bytes.
The named builders below spell the parts of a model; their field numbers are facts of onnx.proto.
"""
import struct

FLOAT, INT8, INT32, INT64, STRING, BOOL, DOUBLE = 1, 3, 6, 7, 8, 9, 11


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def message(*fields):
    return b"".join(fields)


def fields(number, values):
    return b"".join(field(number, v) for v in values)


def packed(number, ints):
    return field(number, b"".join(varint(i) for i in ints))


# --- types and values ---------------------------------------------------------------------------------------


def tensor_type(dims, dtype=FLOAT):
    """dims: None no shape, else a list of int (size), str (symbol) or None (unknown)."""
    shape = b""
    if dims is not None:
        one = {int: lambda d: field(1, d), str: lambda d: field(2, d), type(None): lambda d: b""}
        shape = field(2, fields(1, [one[type(d)](d) for d in dims]))
    return field(1, message(field(1, dtype), shape))


def value(name, dims=None, dtype=FLOAT):
    return message(field(1, name), field(2, tensor_type(dims, dtype)))


def tensor(name, dims, dtype=FLOAT, raw=None, *more):
    stored = b"" if raw is None else field(9, raw)
    return message(fields(1, dims), field(2, dtype), field(8, name), stored, *more)


def ints(name, numbers):
    return tensor(name, [len(numbers)], INT64, struct.pack("<%dq" % len(numbers), *numbers))


def int_scalar(name, number):
    return tensor(name, [], INT64, struct.pack("<q", number))


def floats(name, numbers):
    return tensor(name, [len(numbers)], FLOAT, struct.pack("<%df" % len(numbers), *numbers))


def external(name, dims, location, offset=None, length=None, dtype=FLOAT):
    entries = {"location": location, "offset": offset, "length": length}
    said = [message(field(1, k), field(2, str(v))) for k, v in entries.items() if v is not None]
    return tensor(name, dims, dtype, None, fields(13, said), field(14, 1))


# --- nodes, graphs, models ----------------------------------------------------------------------------------


def attr_int(name, i):
    return message(field(1, name), field(3, i), field(20, 2))


def attr_ints(name, numbers):
    return message(field(1, name), fields(8, numbers), field(20, 7))


def attr_string(name, s):
    return message(field(1, name), field(4, s), field(20, 3))


def attr_tensor(name, t):
    return message(field(1, name), field(5, t), field(20, 4))


def attr_graph(name, g):
    return message(field(1, name), field(6, g), field(20, 5))


def node(op, inputs, outputs, *attrs, domain="", name=""):
    return message(fields(1, inputs.split()), fields(2, outputs.split()), field(3, name) if name else b"",
                   field(4, op), fields(5, attrs), field(7, domain) if domain else b"")


def graph(nodes=(), tensors=(), inputs=(), outputs=(), *more):
    return message(fields(1, nodes), field(2, "g"), fields(5, tensors), fields(11, inputs), fields(12, outputs),
                   *more)


def function(name, inputs, outputs, nodes, domain="local"):
    return message(field(1, name), fields(4, inputs.split()), fields(5, outputs.split()), fields(7, nodes),
                   field(9, opset(17)), field(9, opset(1, domain)), field(10, domain))


def opset(version, domain=""):
    return message(field(1, domain) if domain else b"", field(2, version))


def model(g, *more, version=17):
    return message(field(1, 8), field(8, opset(version)), field(8, opset(1, "local")), field(7, g), *more)


X = value("x", ["N", 4])
Y = value("y")


def simple(nodes, tensors=(), inputs=(X,), outputs=(Y,), *more):
    """A model of one input x: f32[N,4] and one output y."""
    return model(graph(nodes, tensors, inputs, outputs, *more))
