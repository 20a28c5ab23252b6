#!/usr/bin/env python3
"""What tgopt writes with fixed sizes and for other targets gives the stored outputs in ONNX Runtime: forms.py TGOPT [FOLDER]

FOLDER holds models with stored data (ONNX backend layout); default: the exporters of $TGOPT_CORPORA, else of
../shared/corpora beside the project. Each model is written at -O2 as in FORMS; `fixed`: with --fix-dim for all sizes with a
name, where ONNX Runtime takes the source with them too (exporters declare sizes that are not so: SPELLINGS.md). Outputs are compared with ONNX Runtime's optimizations off and on. What
ONNX Runtime has no kernel for on the CPU is counted apart (ort-cuda may have such). Needs Python with numpy, onnx and
onnxruntime; not part of `make check`. Status 0: nothing differs, and no more than that fails to load.
"""
import collections
import glob
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

FORMS = {'own': [], 'opset24': ['--opset=24'], 'ort': ['--target=ort'], 'ort-cuda': ['--target=ort-cuda'], 'fixed': None}
LEVELS = ('ORT_DISABLE_ALL', 'ORT_ENABLE_ALL')
TOLERANCE = {'rtol': 2e-3, 'atol': 2e-4}  # the stored outputs are of another runtime


def stored(folder, kind):
    return [numpy_helper.to_array(onnx.load_tensor(f'{folder}/{kind}_{i}.pb'))
            for i in range(len(glob.glob(f'{folder}/{kind}_*.pb')))]


def size_of(dim, sizes):
    """What a declared size is with these names; None: nothing is said."""
    if dim.HasField('dim_value'):
        return dim.dim_value
    terms = [term.strip() for term in dim.dim_param.split('+')]
    known = [sizes.get(term, int(term) if term.isdigit() else None) for term in terms]
    return None if None in known else sum(known)


def fixed_sizes(model, values):
    """--fix-dim options for the names of sizes of inputs."""
    sizes = {}
    for declared, value in zip(model.graph.input, values):
        for dim, size in zip(declared.type.tensor_type.shape.dim, value.shape):
            if dim.dim_param.isidentifier():
                sizes.setdefault(dim.dim_param, size)
    for declared, value in zip(model.graph.input, values):
        for dim, size in zip(declared.type.tensor_type.shape.dim, value.shape):
            if size_of(dim, sizes) not in (None, size):
                return []
    return [f'--fix-dim={name}={size}' for name, size in sizes.items()]


def takes(model, sizes):
    """ONNX Runtime loads the model itself with these sizes, and optimizes it: a branch that is not taken may contradict them."""
    known = dict(option.removeprefix('--fix-dim=').split('=') for option in sizes)
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for declared in fixed.graph.input:
        for dim in declared.type.tensor_type.shape.dim:
            size = size_of(dim, {name: int(size) for name, size in known.items()})
            if size is not None:
                dim.dim_value = size
    try:
        for level in LEVELS:
            session(fixed.SerializeToString(), level)
    except Exception:
        return False
    return True


def session(path, level):
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    return ort.InferenceSession(path, options, providers=['CPUExecutionProvider'])


def judge(tgopt, path, data, options, out):
    """(verdict, why)"""
    ended = subprocess.run([tgopt, path, '-O2', '-q', *options, '-o', out], capture_output=True, text=True)
    if ended.returncode:
        return 'refused', ended.stderr.strip()[-160:]
    inputs, outputs = stored(data, 'input'), stored(data, 'output')
    for level in LEVELS:
        try:
            made = session(out, level)
            got = made.run(None, dict(zip((i.name for i in made.get_inputs()), inputs)))
        except Exception as problem:  # ONNX Runtime has many
            kind = 'no kernel' if 'NOT_IMPLEMENTED' in str(problem) else 'fails'
            return kind, f'{level}: {str(problem)[:160]}'
        if not all(np.allclose(a, b, equal_nan=True, **TOLERANCE) for a, b in zip(outputs, got, strict=True)):
            return 'differs', level
    return 'equal', ''


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    beside = pathlib.Path(__file__).resolve().parent / '../../shared/corpora'
    folder = sys.argv[2] if len(sys.argv) > 2 else f'{os.environ.get("TGOPT_CORPORA", beside)}/exporters'
    count = {form: collections.Counter() for form in FORMS}
    with tempfile.TemporaryDirectory() as work:
        for path in sorted(glob.glob(f'{folder}/*/model.onnx')):
            model = onnx.load(path)
            for data in sorted(glob.glob(f'{os.path.dirname(path)}/test_data_set_*')):
                for form, options in FORMS.items():
                    given = fixed_sizes(model, stored(data, 'input')) if options is None else options
                    if options is None and not (given and takes(model, given)):
                        count[form]['not so in the source'] += 1
                        continue
                    verdict, why = judge(sys.argv[1], path, data, given, f'{work}/out.onnx')
                    count[form][verdict] += 1
                    if verdict != 'equal':
                        print(f'{verdict}: {os.path.basename(os.path.dirname(path))} {form} {" ".join(given)}: {why}', flush=True)
    for form, verdicts in count.items():
        print(f'{form}: ' + (', '.join(f'{n} {verdict}' for verdict, n in sorted(verdicts.items())) or 'no model'))
    bad = sum(n for verdicts in count.values() for verdict, n in verdicts.items() if verdict not in ('equal', 'no kernel', 'not so in the source'))
    return int(bad > 0 or not any(v['equal'] for v in count.values()))


if __name__ == '__main__':
    sys.exit(main())
