#!/usr/bin/env python3
"""Asks others whether the pairs are what they claim to be: confirm.py TGOPT [NAME...]

Each graph is exported as it stands and evaluated by ONNX Runtime (float32, no optimizations) and by ONNX's
reference implementation in NumPy, with every float32 turned into float64. Right pairs must agree in both.
Wrong pairs must differ in float64 on the class of inputs that they name (# differs:), by more than rounding
can explain; on small integers and zeros, where the sources of such pairs do not round, by anything. Unstable
pairs agree in float64, and lose more than four times as much as the source in float32 on the class that they
name (# loses:). Sizes may be fixed (# sizes: N=1). An operator that nobody knows stands for any function: for
Tanh here. Operators of com.microsoft are ONNX Runtime's alone: what it says in float32 has to do for them.
Needs Python with numpy, onnx and onnxruntime; not part of `make check`.
"""
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

HERE = pathlib.Path(__file__).resolve().parent
ROUNDING = 2.0 ** -40  # of float64, after some hundred operations
ROUNDING_OF_SINGLE = 1e-5
OPSET = 21             # of exports whose text names none
SIZES = {'B': 2, 'S': 3, 'T': 5, 'P': 4, 'N': 7, 'H': 2, 'Q': 3}

CLASSES = {
    'normal': lambda rng, shape: rng.standard_normal(shape),
    'positive': lambda rng, shape: np.abs(rng.standard_normal(shape)) + 0.1,
    'negative': lambda rng, shape: -np.abs(rng.standard_normal(shape)) - 0.1,
    'shifted': lambda rng, shape: rng.standard_normal(shape) + 100,
    'large': lambda rng, shape: rng.uniform(-100, 100, shape),
    'huge': lambda rng, shape: rng.uniform(-1e6, 1e6, shape),
    'nan': lambda rng, shape: np.where(rng.random(shape) < 0.2, np.nan, rng.standard_normal(shape)),
    'zero': lambda rng, shape: np.zeros(shape),
    'ties': lambda rng, shape: rng.integers(-1, 2, shape),
    'masked': lambda rng, shape: rng.standard_normal(shape),  # and boolean masks that hide whole rows
    'halves': lambda rng, shape: rng.integers(-9, 10, shape) / 2,
    'integers': lambda rng, shape: rng.integers(-2, 3, shape),
}


def graphs_of(pair):
    """The texts of the two models of a pair, comments left out."""
    text = re.sub(r'^#.*\n', '', pair.read_text(), flags=re.M)
    text = re.sub(r'"com\.example"::Mystery\((.*?)(; level=3)?\) :', r'Tanh(\1) :', text)
    head, before, after = re.split(r'^(?=graph @)', text, flags=re.M)
    return head + before, head + after


def export(tgopt, text, stem):
    stem.with_suffix('.tg').write_text(text)
    opset = [] if 'opset' in text else [f'--opset={OPSET}']
    target = stem.with_suffix('.onnx')
    command = [tgopt, stem.with_suffix('.tg'), '-O0', '--no-verify', '-q', '-o', target, *opset]
    subprocess.run(command, check=True)
    model = onnx.load(target)
    model.ir_version = min(model.ir_version, 11)
    return model


def in_double(model):
    """The same model with float64 in the place of float32; one with inputs in float64 means what it says."""
    if any(value.type.tensor_type.elem_type == TensorProto.DOUBLE for value in model.graph.input):
        return model
    double = onnx.ModelProto()
    double.CopyFrom(model)
    pending = [double.graph]
    while pending:
        graph = pending.pop()
        for value in [*graph.input, *graph.output, *graph.value_info]:
            if value.type.tensor_type.elem_type == TensorProto.FLOAT:
                value.type.tensor_type.elem_type = TensorProto.DOUBLE
        tensors = list(graph.initializer)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.name == 'to' and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.DOUBLE
                if attribute.HasField('g'):
                    pending.append(attribute.g)
                if attribute.HasField('t'):
                    tensors.append(attribute.t)
        for tensor in tensors:
            if tensor.data_type == TensorProto.FLOAT:
                wide = numpy_helper.to_array(tensor).astype(np.float64)
                tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    return double


def inputs_for(model, kind, sizes):
    rng = np.random.default_rng(1)
    feeds = {}
    for value in model.graph.input:
        shape = [d.dim_value or sizes[d.dim_param] for d in value.type.tensor_type.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if dtype == np.bool_:
            feeds[value.name] = rng.integers(0, 2, shape).astype(bool)
            if kind == 'masked':
                feeds[value.name][..., 0, :] = False
        elif np.issubdtype(dtype, np.integer):
            first = -4 if kind == 'negative' else 0
            feeds[value.name] = rng.integers(first, first + 4, shape).astype(dtype)
        else:
            feeds[value.name] = CLASSES[kind](rng, shape).astype(dtype)
    return feeds


def by_runtime(model, feeds):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ['CPUExecutionProvider'])
    return session.run(None, feeds)


def by_reference(model, feeds):
    feeds = {name: x.astype(np.float64) if x.dtype == np.float32 else x for name, x in feeds.items()}
    with warnings.catch_warnings(), np.errstate(all='ignore'):
        warnings.simplefilter('ignore')
        return ReferenceEvaluator(in_double(model)).run(None, feeds)


def distance(a, b):
    """Largest relative difference of outputs; infinite where shapes, integers, NaN or infinities differ."""
    worst = 0.0
    for x, y in zip(a, b, strict=True):
        x, y = np.asarray(x), np.asarray(y)
        if x.shape != y.shape:
            return np.inf
        if x.dtype.kind != 'f':
            worst = worst if np.array_equal(x, y) else np.inf
            continue
        odd = ~np.isfinite(x) | ~np.isfinite(y)
        if not np.array_equal(x[odd], y[odd], equal_nan=True):
            return np.inf
        x, y = x[~odd].astype(np.float64), y[~odd].astype(np.float64)
        norm, gap = np.linalg.norm(x), np.linalg.norm(x - y)
        worst = max(worst, 0.0 if gap == 0 else np.inf if norm == 0 else float(gap / norm))
    return worst


class Sides:
    """The two models of a pair, and what they compute on a class of inputs."""

    def __init__(self, tgopt, pair, work, sizes):
        self.sizes = sizes
        before, after = graphs_of(pair)
        self.models = [export(tgopt, before, work / f'{pair.stem}_before'),
                       export(tgopt, after, work / f'{pair.stem}_after')]
        foreign = any(node.domain == 'com.microsoft' for model in self.models for node in model.graph.node)
        self.evaluate = by_runtime if foreign else by_reference
        self.rounding = ROUNDING_OF_SINGLE if foreign else ROUNDING

    def gap(self, kind):
        """How far the two are apart, in float64 where that can be."""
        feeds = inputs_for(self.models[0], kind, self.sizes)
        return distance(*(self.evaluate(model, feeds) for model in self.models))

    def errors(self, kind):
        """How far each of them is in float32 from the first one in float64."""
        feeds = inputs_for(self.models[0], kind, self.sizes)
        exact = self.evaluate(self.models[0], feeds)
        return [distance(exact, by_runtime(model, feeds)) for model in self.models]


def trouble_with_wrong(sides, kind):
    kind = 'normal' if kind == 'by definition' else kind
    gap = sides.gap(kind)
    floor = 0 if kind in ('integers', 'zero') else sides.rounding
    return '' if gap > floor else f'no difference in float64 on {kind} inputs: {gap:.1e}'


def trouble_with_right(sides):
    for kind in ('normal', 'positive', 'ties'):
        gap, worst = sides.gap(kind), max(sides.errors(kind))
        if not gap <= sides.rounding:
            return f'differs in float64 on {kind} inputs: {gap:.1e}'
        if not worst <= 1e-4:
            return f'ONNX Runtime is off by {worst:.1e} on {kind} inputs'
    return ''


def trouble_with_unstable(sides, kind):
    gap, (had, lost) = sides.gap('normal'), sides.errors(kind)
    if not gap <= sides.rounding:
        return f'differs in float64: {gap:.1e}'
    return '' if lost > 4 * max(had, 2.0 ** -22) else f'loses {lost:.1e} for {had:.1e} only'


def trouble_with(tgopt, pair, work):
    """What is not as the pair claims; '' when all is."""
    tags = dict(re.findall(r'^# (differs|loses|sizes): (.*)$', pair.read_text(), flags=re.M))
    sizes = {name: int(n) for name, n in re.findall(r'(\w+)=(\d+)', tags.get('sizes', ''))}
    sides = Sides(tgopt, pair, work, SIZES | sizes)
    match pair.parent.name:
        case 'wrong': return trouble_with_wrong(sides, tags['differs'])
        case 'right': return trouble_with_right(sides)
        case _: return trouble_with_unstable(sides, tags['loses'])


def main(tgopt, *names):
    pairs = sorted(p for p in HERE.glob('*/*.tg') if not names or p.stem in names)
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        for pair in pairs:
            try:
                trouble = trouble_with(pathlib.Path(tgopt).resolve(), pair, pathlib.Path(work))
            except Exception as error:  # a pair that cannot be run is not confirmed
                trouble = f'{type(error).__name__}: {str(error).splitlines()[0][:200]}'
            if trouble:
                failed += 1
                print(f'{pair.parent.name}/{pair.stem}: {trouble}')
    print(f'{len(pairs) - failed} confirmed, {failed} not')
    return failed != 0


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
