#!/usr/bin/env python3
"""Round trip: `tgopt MODEL -O0 -o COPY` must give back the same model, for every model of a folder.

    tests/roundtrip.py build/tgopt [FOLDER] [--only REGEX] [--every N] [-- OPTION...]

FOLDER defaults to $TGOPT_CORPORA, else ../shared/corpora beside the project. Options behind -- go to tgopt
(--opset=21). Per model: a copy is written; ONNX's checker accepts the copy if it accepts the model; ONNX
Runtime loads the copy if it loads the model; inputs and outputs are the same; with optimizations off, ONNX
Runtime gives the same bits for stored inputs (ONNX backend test layout) or random ones. --close is for
other opsets: the same up to rounding, and tgopt may say that the opset lacks something (status 4). Needs
numpy, onnx, onnxruntime. Status 0: all of that holds.
"""
import argparse
import collections
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

SECONDS, SYMBOL = 60, 3  # limit per model; size of a dimension that nobody knows
NUMPY = {'float': 'f4', 'double': 'f8', 'float16': 'f2',
         'int64': 'i8', 'int32': 'i4', 'int16': 'i2', 'int8': 'i1',
         'uint64': 'u8', 'uint32': 'u4', 'uint16': 'u2', 'uint8': 'u1',
         'bool': '?', 'string': 'O'}

def attempt(function, *args):
    try:
        return function(*args), ''
    except Exception as problem:  # every library has its own
        return None, ' '.join(str(problem).split())[:200] or type(problem).__name__

def checked(path):
    onnx.checker.check_model(path)
    return True

def session(path):
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, options, providers=['CPUExecutionProvider'])

def stored_feeds(path, runs):
    for folder in sorted(glob.glob(os.path.join(os.path.dirname(path), 'test_data_set_*'))):
        feeds = {}
        for i, value in enumerate(runs.get_inputs()):
            file = os.path.join(folder, f'input_{i}.pb')
            if not os.path.exists(file):
                break
            feeds[value.name] = numpy_helper.to_array(onnx.load_tensor(file))
        else:
            yield feeds

def random_feeds(runs):
    random, feeds = np.random.default_rng(7), {}
    for value in runs.get_inputs():
        kind = NUMPY[re.fullmatch(r'tensor\((\w+)\)', value.type).group(1)]
        shape = [d if isinstance(d, int) else SYMBOL for d in value.shape]
        if kind in ('f4', 'f8', 'f2'):
            feeds[value.name] = random.uniform(-1, 1, shape).astype(kind)
        elif kind == 'O':
            feeds[value.name] = np.full(shape, 'a', dtype=object)
        else:
            feeds[value.name] = random.integers(0, 2, shape).astype(kind)
    return feeds

def same(a, b, close):
    """The same bits; `close`: up to rounding."""
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(same(x, y, close) for x, y in zip(a, b))
    if not isinstance(a, np.ndarray) or not isinstance(b, np.ndarray):
        return type(a) is type(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype == object:
        return a.tolist() == b.tolist()
    rtol, atol = (1e-2, 1e-2) if a.dtype == np.float16 else (1e-3, 1e-4)
    near = close and a.dtype.kind == 'f' and np.allclose(a, b, rtol, atol, equal_nan=True)
    return near or a.tobytes() == b.tobytes()

def outputs_differ(path, source, copy, close):
    random = re.compile('Random|Multinomial|Bernoulli|Dropout')
    if any(random.search(n.op_type) for n in onnx.load(path, load_external_data=False).graph.node):
        return ''
    stored, _ = attempt(lambda: list(stored_feeds(path, source)))
    for feeds in stored or [attempt(random_feeds, source)[0]]:
        want, _ = attempt(source.run, None, feeds) if feeds is not None else (None, '')
        if want is None:
            continue
        got, why = attempt(copy.run, None, feeds)
        if got is None:
            return 'copy fails: ' + why
        if not all(same(a, b, close) for a, b in zip(want, got)):
            return 'outputs differ'
    return ''

def interface(model):
    g = model.graph
    weights = {t.name for t in g.initializer} if model.ir_version < 4 else set()
    return [v for v in g.input if v.name not in weights], list(g.output)

def same_interface(a, b):
    """Names and types, byte by byte; a type that the model leaves out may be there in the copy."""
    return all(len(have) == len(made) and all(x == y or (x.name == y.name and not x.HasField('type'))
               for x, y in zip(have, made)) for have, made in zip(interface(a), interface(b)))

def judge(tool, path, copy, close):
    """('ok' | 'refused' | 'BAD ...', why)"""
    run = subprocess.run(tool + [path, '-O0', '-o', copy], capture_output=True, text=True, timeout=SECONDS)
    (_, not_checked), (source, not_loaded) = attempt(checked, path), attempt(session, path)
    if run.returncode:
        lacks = close and run.returncode == 4
        sound = not not_checked or not not_loaded
        kind = 'no form' if lacks else 'BAD refused' if sound else 'refused'
        return 'BAD crash' if run.returncode < 0 else kind, (run.stderr.strip().splitlines() or [''])[-1]
    if not not_checked:
        _, why = attempt(checked, copy)
        if why:
            return 'BAD checker', why
    a, b = (onnx.load(p, load_external_data=False) for p in (path, copy))
    if not same_interface(a, b):
        return 'BAD interface', ''
    if source:
        copied, why = attempt(session, copy)
        if not copied:
            return 'BAD load', why
        why = outputs_differ(path, source, copied, close)
        if why:
            return 'BAD outputs', why
    more = len(b.graph.node) - sum(n.op_type != 'Constant' for n in a.graph.node)
    return 'ok', f'{more:+d} nodes' if more > 0 and not a.functions else ''

def judge_apart(*args):
    """In a fork of this process, which ONNX Runtime may take down and the alarm may stop."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(2 * SECONDS)
        verdict, why = attempt(judge, *args)
        os.write(send, '\t'.join(verdict or ('BAD judge', why)).encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as pipe:
        line = pipe.read()
    os.waitpid(child, 0)
    return line.split('\t') if line else ('BAD crash', 'of the judge')

def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'shared', 'corpora')
    parser.add_argument('tool')
    parser.add_argument('folder', nargs='?', default=os.environ.get('TGOPT_CORPORA', beside))
    parser.add_argument('--only', default='', metavar='REGEX')
    parser.add_argument('--every', type=int, default=1, metavar='N')
    parser.add_argument('--close', action='store_true', help='outputs may differ by rounding (another opset)')
    args, options = parser.parse_known_args()
    if not os.path.isdir(args.folder):
        sys.exit(f'roundtrip: no models: {args.folder} is not there (set TGOPT_CORPORA)')
    paths = sorted(glob.glob(os.path.join(args.folder, '**', '*.onnx'), recursive=True))
    paths = [p for p in paths if re.search(args.only, p)][::args.every]
    count = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            tool = [args.tool] + [o for o in options if o != '--']
            verdict, why = judge_apart(tool, path, os.path.join(folder, 'copy.onnx'), args.close)
            count[verdict] += 1
            if verdict != 'ok' or why:
                print(verdict, os.path.relpath(path, args.folder), why, sep='\t', flush=True)
    print(*(f'{n} {verdict}' for verdict, n in sorted(count.items())), sep=', ')
    return any(verdict.startswith('BAD') for verdict in count)

if __name__ == '__main__':
    sys.exit(main())
