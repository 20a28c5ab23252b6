"""Files beside the model: external data that leads elsewhere or changes, and outputs that must not."""
import os
import select
import signal
import socket
import stat

from case import LIMIT, REFUSED, Command, case, write
from wire import *  # noqa: F403

WEIGHTS = bytes(range(16))
SECRET = b"secret: keep out"


def with_external(*arguments, **more):
    return simple([node("Add", "x t", "y")], [external("t", [4], *arguments, **more)])


# --- external data: where it lies ---------------------------------------------------------------------------


def beside(folder):
    """A folder with the model in it, and a secret outside of that."""
    inner = os.path.join(folder, "model")
    os.mkdir(inner)
    write(folder, "secret", SECRET)
    write(inner, "w.bin", WEIGHTS)
    return inner


def load_inner(folder, location, **more):
    write(os.path.join(folder, "model"), "m.onnx", with_external(location, **more))
    return Command(arguments=("model/m.onnx", "-O2", "-o", "out.onnx"))


@case(0)
def external_sound(folder):
    beside(folder)
    return load_inner(folder, "w.bin", offset=0, length=16)


@case(REFUSED, "leaves the folder")
def external_parent(folder):
    beside(folder)
    return load_inner(folder, "../secret")


@case(REFUSED, "leaves the folder")
def external_parent_within(folder):
    os.mkdir(os.path.join(beside(folder), "a"))
    return load_inner(folder, "a/../../secret")


@case(REFUSED, "leaves the folder")
def external_absolute(folder):
    beside(folder)
    return load_inner(folder, os.path.join(folder, "secret"))


@case(REFUSED, "location")
def external_without_location(folder):
    beside(folder)
    return load_inner(folder, "")


@case(REFUSED, "leaves the folder")
def external_symlink(folder):
    os.symlink("../secret", os.path.join(beside(folder), "link"))
    return load_inner(folder, "link")


@case(REFUSED, "leaves the folder")
def external_symlink_to_an_absolute_path(folder):
    os.symlink(os.path.join(folder, "secret"), os.path.join(beside(folder), "link"))
    return load_inner(folder, "link")


@case(REFUSED, "leaves the folder")
def external_symlink_in_the_way(folder):
    os.symlink("..", os.path.join(beside(folder), "up"))
    return load_inner(folder, "up/secret")


@case(REFUSED)
def external_symlink_to_itself(folder):
    os.symlink("loop", os.path.join(beside(folder), "loop"))
    return load_inner(folder, "loop")


@case(REFUSED)
def external_magic_link(folder):
    os.symlink("/proc/self/root", os.path.join(beside(folder), "root"))
    return load_inner(folder, "root/etc/passwd")


@case(LIMIT, "--limit links=")
def external_hard_link(folder):
    beside(folder)
    os.link(os.path.join(folder, "secret"), os.path.join(folder, "model", "hard"))
    return load_inner(folder, "hard")


@case(REFUSED, "not a regular file")
def external_fifo(folder):
    os.mkfifo(os.path.join(beside(folder), "pipe"))
    return load_inner(folder, "pipe")


@case(REFUSED)
def external_socket(folder):
    where = os.path.join(beside(folder), "s")
    if len(where) < 100:
        socket.socket(socket.AF_UNIX).bind(where)
    return load_inner(folder, "s")


@case(REFUSED)
def external_device(folder):
    try:
        os.mknod(os.path.join(beside(folder), "zero"), stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except PermissionError:
        pass  # then it is absent
    return load_inner(folder, "zero")


@case(REFUSED, "not a regular file")
def external_folder(folder):
    os.mkdir(os.path.join(beside(folder), "data"))
    return load_inner(folder, "data")


@case(REFUSED)
def external_absent(folder):
    beside(folder)
    return load_inner(folder, "absent.bin")


@case(REFUSED)
def external_name_of_4000_bytes(folder):
    beside(folder)
    return load_inner(folder, "n" * 4000)


@case(0)
def external_in_a_model_cache(folder):
    """Caches link a model and its data into one folder of blobs; both must be found there."""
    for name in ("blobs", "snapshots", "snapshots/1"):
        os.mkdir(os.path.join(folder, name))
    write(folder, "blobs/aaaa", with_external("model.onnx_data"))
    write(folder, "blobs/bbbb", WEIGHTS)
    os.symlink("../../blobs/aaaa", os.path.join(folder, "snapshots/1/model.onnx"))
    os.symlink("../../blobs/bbbb", os.path.join(folder, "snapshots/1/model.onnx_data"))
    return Command(arguments=("snapshots/1/model.onnx", "-O2", "-o", "out.onnx"))


@case(REFUSED, "leaves the folder")
def external_beyond_a_model_cache(folder):
    for name in ("blobs", "snapshots"):
        os.mkdir(os.path.join(folder, name))
    write(folder, "secret", SECRET)
    write(folder, "blobs/aaaa", with_external("data"))
    os.symlink("../blobs/aaaa", os.path.join(folder, "snapshots/model.onnx"))
    os.symlink("../secret", os.path.join(folder, "snapshots/data"))
    return Command(arguments=("snapshots/model.onnx", "-O2", "-o", "out.onnx"))


@case(REFUSED, "leaves the folder")
def external_of_the_text_form(folder):
    beside(folder)
    write(folder, "model/m.tg", b'graph @g(%x: f32[4]) {\n  %w = const f32[4] file("../secret", 0)\n'
                                b"  %y = Add(%x, %w)\n  return %y\n}\n")
    return Command(arguments=("model/m.tg", "-O2", "-o", "out.onnx"))


# --- external data: which part of it ------------------------------------------------------------------------


def part(name, code, says, **entries):
    def build(folder):
        beside(folder)
        return load_inner(folder, "w.bin", **entries)

    build.__name__ = "external_" + name
    case(code, says)(build)


part("offset_beyond_the_end", REFUSED, "do not lie in", offset=17)
part("offset_near_the_end", REFUSED, "do not lie in", offset=1)
part("offset_of_all_ones", REFUSED, "do not lie in", offset=(1 << 64) - 1)
part("offset_that_overflows", REFUSED, "offset", offset=1 << 64)
part("offset_below_zero", REFUSED, "offset", offset=-16)
part("offset_in_hex", REFUSED, "offset", offset="0x0")
part("offset_with_a_blank", REFUSED, "offset", offset=" 0")
part("length_too_short", REFUSED, "length", length=15)
part("length_too_long", REFUSED, "length", length=17)
part("length_that_overflows", REFUSED, "length", length=1 << 70)
part("length_below_zero", REFUSED, "length", length=-1)


@case(REFUSED, "do not lie in")
def external_range_that_wraps(folder):
    beside(folder)
    t = external("t", [1 << 58], "w.bin", offset=(1 << 64) - (1 << 60) + 8)
    write(folder, "model/m.onnx", simple([node("Add", "x t", "y")], [t]))
    return Command(arguments=("model/m.onnx", "-o", "out.onnx"))


# --- files that change under us -----------------------------------------------------------------------------


MEGABYTE = 1 << 20


def while_it_writes(folder, action):
    """Calls `action` when tgopt has begun to write its result to a pipe that is full."""

    def during(_):
        reader = os.open(os.path.join(folder, "pipe"), os.O_RDONLY | os.O_NONBLOCK)
        waiting = select.poll()
        waiting.register(reader, select.POLLIN)
        if waiting.poll(60000):
            action()
        os.set_blocking(reader, True)
        while os.read(reader, MEGABYTE):
            pass
        os.close(reader)

    return during


def of_a_megabyte(folder, *stored):
    os.mkfifo(os.path.join(folder, "pipe"))
    tensors = [external("t", [MEGABYTE // 4], "w.bin")] if not stored else [tensor("t", [MEGABYTE // 4], FLOAT, *stored)]
    write(folder, "model.onnx", simple([node("Add", "x t", "y")], tensors, [value("x", ["N", MEGABYTE // 4])]))


@case(REFUSED, "'w.bin' became shorter")
def external_file_that_shrinks(folder):
    of_a_megabyte(folder)
    write(folder, "w.bin", bytes(MEGABYTE))
    shrink = while_it_writes(folder, lambda: os.truncate(os.path.join(folder, "w.bin"), 4096))
    return Command(arguments=("model.onnx", "-O2", "-o", "pipe"), during=shrink)


@case(REFUSED, "'model.onnx' became shorter")
def model_that_shrinks(folder):
    of_a_megabyte(folder, bytes(MEGABYTE))
    shrink = while_it_writes(folder, lambda: os.truncate(os.path.join(folder, "model.onnx"), 4096))
    return Command(arguments=("model.onnx", "-O2", "-o", "pipe"), during=shrink)


@case(-signal.SIGXFSZ)
def killed_while_it_writes(folder):
    """The kernel ends the process in the middle of its output: neither a half file nor a temporary one stays."""
    of_a_megabyte(folder, bytes(MEGABYTE))
    return Command(arguments=("model.onnx", "-O2", "-o", "out.onnx"), file_size=MEGABYTE // 2)


@case(-signal.SIGXFSZ)
def killed_while_it_writes_external_data(folder):
    of_a_megabyte(folder, bytes(MEGABYTE))
    return Command(arguments=("model.onnx", "-O2", "-o", "out.onnx", "--external-data=all"), file_size=MEGABYTE // 2)


# --- outputs ------------------------------------------------------------------------------------------------

NEG = simple([node("Neg", "x", "y")])


def keeps(folder, name="secret", contents=SECRET):
    """The file still says what it said."""

    def check(_):
        with open(os.path.join(folder, name), "rb") as f:
            return None if f.read() == contents else "%s was overwritten" % name

    return check


@case(0)
def output_named_by_a_link(folder):
    """The link is replaced; the file that it names is not touched."""
    write(folder, "secret", SECRET)
    os.symlink("secret", os.path.join(folder, "out.onnx"))
    return Command(NEG, check=keeps(folder))


@case(0)
def output_named_by_a_dangling_link(folder):
    os.symlink("elsewhere", os.path.join(folder, "out.onnx"))
    return Command(NEG, check=lambda outcome: "written elsewhere" if "elsewhere" in outcome.left else None)


@case(0)
def output_named_by_a_hard_link(folder):
    write(folder, "secret", SECRET)
    os.link(os.path.join(folder, "secret"), os.path.join(folder, "out.onnx"))
    return Command(NEG, check=keeps(folder))


@case(0)
def external_output_named_by_a_link(folder):
    of_a_megabyte(folder, bytes(MEGABYTE))
    write(folder, "secret", SECRET)
    os.symlink("secret", os.path.join(folder, "out.onnx.data"))
    return Command(arguments=("model.onnx", "-o", "out.onnx", "--external-data=all"), check=keeps(folder))


@case(REFUSED, "link")
def output_through_a_link_to_a_pipe(folder):
    os.mkfifo(os.path.join(folder, "pipe"))
    os.symlink("pipe", os.path.join(folder, "out.onnx"))
    return Command(NEG)


@case(REFUSED, "cannot write")
def output_to_a_folder(folder):
    os.mkdir(os.path.join(folder, "out.onnx"))
    return Command(NEG)


@case(REFUSED, "cannot write")
def output_to_an_absent_folder(folder):
    return Command(NEG, arguments=("model.onnx", "-o", "no/such/folder/out.onnx"))


@case(REFUSED, "cannot write")
def output_to_a_full_disk(folder):
    return Command(NEG, arguments=("model.onnx", "-o", "/dev/full"))


@case(REFUSED, "cannot write")
def report_to_a_full_disk(folder):
    return Command(NEG, arguments=("model.onnx", "--report=/dev/full"))


@case(REFUSED)
def text_to_a_full_disk(folder):
    return Command(NEG, arguments=("model.onnx", "--emit=tg", "-o", "/dev/full"))


@case(0)
def output_over_its_own_source(folder):
    """The weights are still mapped from the files that are replaced."""
    weights = bytes(range(256)) * (MEGABYTE // 256)
    write(folder, "model.onnx.data", weights)
    write(folder, "model.onnx", simple([node("Add", "x t", "y")], [external("t", [MEGABYTE // 4], "model.onnx.data")],
                                       [value("x", ["N", MEGABYTE // 4])]))
    return Command(arguments=("model.onnx", "-O2", "-o", "model.onnx", "--external-data=all"),
                   check=keeps(folder, "model.onnx.data", weights))


# --- other files that are read ------------------------------------------------------------------------------


@case((REFUSED, LIMIT), "error: ")
def test_data_that_is_hostile(folder):
    os.mkdir(os.path.join(folder, "data"))
    write(folder, "data/input_0.pb", tensor("x", [1 << 62, 1 << 62], FLOAT, bytes(4)))
    return Command(NEG, arguments=("run", "model.onnx", "--data", "data"))


@case((REFUSED, LIMIT))
def text_form_with_terms_within_terms(folder):
    write(folder, "m.tg", b"graph @g(%x: f32[4]) {\n  %y = " + b"Neg(" * 200000 + b"%x" + b")" * 200000 + b"\n")
    return Command(arguments=("m.tg", "-o", "out.onnx"))


@case((REFUSED, LIMIT))
def text_form_of_huge_constants(folder):
    write(folder, "m.tg", b"graph @g(%x: f32[4]) {\n  %c = const f32[4611686018427387904,16] splat(1)\n"
                          b"  %y = Add(%x, %c)\n  return %y\n}\n")
    return Command(arguments=("m.tg", "-o", "out.onnx"))


@case(LIMIT, "--limit load=")
def text_form_of_large_random_constants(folder):
    line = b"  %%c%d = const f32[4194304] random(%d)\n"
    write(folder, "m.tg", b"graph @g(%x: f32[4]) {\n" + b"".join(line % (i, i + 1) for i in range(100)) +
          b"  %y = Neg(%x)\n  return %y\n}\n")
    return Command(arguments=("m.tg", "-o", "out.onnx"))


@case(LIMIT, "--limit load=")
def text_form_of_six_hundred_thousand_nodes(folder):
    write(folder, "m.tg", b"graph @g(%x: f32[4]) {\n" + b"".join(b"%%%d=Neg(%%x)\n" % i for i in range(600000)) +
          b"return %x\n}\n")
    return Command(arguments=("m.tg", "-o", "out.onnx"))


@case(LIMIT, "--limit load=")
def text_form_of_a_million_results(folder):
    write(folder, "m.tg", b"graph @g(%x: f32[4]) {\n  _" + b",_" * 1000000 + b" = Split(%x)\n  return %x\n}\n")
    return Command(arguments=("m.tg", "-o", "out.onnx"))


@case(REFUSED)
def text_form_that_ends_early(folder):
    write(folder, "m.tg", b"graph @g(%x: f32[4]) {\n  %y = Neg(")
    return Command(arguments=("m.tg", "-o", "out.onnx"))


@case(REFUSED, "not a regular file")
def model_that_is_a_pipe(folder):
    os.mkfifo(os.path.join(folder, "model.onnx"))
    return Command()


@case(REFUSED, "not a regular file")
def model_that_is_a_device(folder):
    return Command(arguments=("/dev/zero", "-o", "out.onnx"))
