"""What a hostile case is, and how one is run and judged.

A case is a function that gets an empty folder and returns the bytes of a model, or a `Command` where more than
`tgopt model.onnx -O2 -o out.onnx` is needed. Its decorator says what must come of it.
"""
import dataclasses
import os
import resource
import subprocess
import time

CPU_SECONDS, MEGABYTES = 1.0, 100  # what a hostile file may cost
WALL_SECONDS = 300  # machines are busy
ENOUGH = 2 << 30  # bytes of address space: what explodes must not take the machine with it
REFUSED, USAGE, UNSUPPORTED, LIMIT = 1, 2, 4, 5  # exit codes
CASES = []


@dataclasses.dataclass
class Command:
    model: bytes = None
    arguments: tuple = ("model.onnx", "-O2", "-o", "out.onnx")
    during: object = None  # called with the process while it runs
    file_size: int = None  # bytes beyond which the kernel kills a writer
    check: object = None  # called afterwards with the messages; returns what is wrong, or None


@dataclasses.dataclass
class Case:
    name: str
    build: object
    codes: tuple
    says: str


@dataclasses.dataclass
class Outcome:
    code: int
    messages: str
    cpu: float
    megabytes: float
    left: set  # names that were not there before


def case(code, says=""):
    """code: the exit status, or those that are fine; says: must stand in the messages."""

    def add(build):
        CASES.append(Case(build.__name__, build, code if isinstance(code, tuple) else (code,), says))
        return build

    return add


def write(folder, name, contents):
    with open(os.path.join(folder, name), "wb") as f:
        f.write(contents)


# --- running ------------------------------------------------------------------------------------------------


def run(tgopt, command, folder, measured):
    if command.model is not None:
        write(folder, "model.onnx", command.model)
        command.model = None  # a forked child counts the memory of its parent as its own
    before = names_in(folder)
    with open(folder + ".messages", "w+b") as messages:
        process = start(tgopt, command, folder, messages, measured)
        if command.during:
            command.during(process)
        status, usage = wait(process)
        messages.seek(0)
        text = messages.read().decode(errors="replace")
    return Outcome(os.waitstatus_to_exitcode(status), text, usage.ru_utime + usage.ru_stime,
                   usage.ru_maxrss / 1024, names_in(folder) - before)


def start(tgopt, command, folder, messages, measured):
    def limit():
        if command.file_size:
            resource.setrlimit(resource.RLIMIT_FSIZE, (command.file_size, command.file_size))
        if measured:
            resource.setrlimit(resource.RLIMIT_AS, (ENOUGH, ENOUGH))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return subprocess.Popen([tgopt, *command.arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=messages,
                            stderr=messages, preexec_fn=limit)


def wait(process):
    deadline = time.monotonic() + WALL_SECONDS
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = 0  # it was reaped here
            return status, usage
        if time.monotonic() > deadline:
            process.kill()
            deadline += WALL_SECONDS
        time.sleep(0.002)


def names_in(folder):
    return {os.path.join(where, name)[len(folder) + 1:]
            for where, folders, files in os.walk(folder) for name in folders + files}


# --- judging ------------------------------------------------------------------------------------------------


def faults(case_, command, outcome, measured):
    """What is wrong; nothing is the good answer. Without `measured` time and memory do not count."""
    found = []
    if outcome.code not in case_.codes:
        found.append("exit code %d, not %s" % (outcome.code, " or ".join(map(str, case_.codes))))
    if outcome.code > 0 and "error: " not in outcome.messages:
        found.append("no error is reported")
    if case_.says not in outcome.messages:
        found.append("the messages lack '%s'" % case_.says)
    if any(word in outcome.messages for word in ("Sanitizer", "runtime error:")):
        found.append("the sanitizer complains")
    if outcome.code != 0 and outcome.left:
        found.append("left behind: " + " ".join(sorted(outcome.left)))
    if any(os.path.basename(name).startswith(".tgopt") for name in outcome.left):
        found.append("a temporary file is left")
    if measured and outcome.cpu > CPU_SECONDS:
        found.append("%.2f s of CPU time" % outcome.cpu)
    if measured and outcome.megabytes > MEGABYTES:
        found.append("%.0f MB" % outcome.megabytes)
    wrong = command.check(outcome) if command.check else None
    return found + [wrong] if wrong else found
