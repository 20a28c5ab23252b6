#!/usr/bin/env python3
"""Census: what ONNX Runtime's own extended fusions still find after `tgopt MODEL -O1`, beside what they find in MODEL.

    tests/census.py build/tgopt [FOLDER] [--only REGEX] [-O LEVEL] [--all] [-- OPTION...]

FOLDER defaults to $TGOPT_CORPORA, else ../shared/corpora beside the project; without --only the exporter models, and
ONNX Runtime's own models of transformers, are looked at. Options behind -- go to tgopt. A fused operator is one that
the optimized model has and the model has not, in domain com.microsoft, a normalization, or GELU: those that tgopt made count
as those that ONNX Runtime found. Per model where a count changed: all nodes before and after, counts before and after. A
count FALLS when fewer are found; it does not when the same number went into a larger one of FAMILIES, nor when a
FusedMatMul became a MatMul and no node was added. Some falls are KNOWN. Models that ONNX Runtime does not load are counted apart. Needs onnx and onnxruntime. Status 0:
nothing falls that is not known.
"""
import argparse
import collections
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

import onnx

DEFAULT = 'exporters/|onnxruntime/test/.*(transformers/|attention|gpt2|bert|embed_layer|layer_norm|gelu)'
# Finding fewer of the first is no loss where as many more of the second are found: it is a fusion of the first and more.
# A BiasGelu becomes a Gelu where its bias was zeros; the tanh form is an operator of the standard from opset 20 on.
FAMILIES = [('FastGelu', 'Gelu'), ('Gelu', 'BiasGelu'), ('BiasGelu', 'Gelu'), ('FastGelu', 'BiasGelu'),
            ('LayerNormalization', 'SkipLayerNormalization'), ('SkipLayerNormalization', 'EmbedLayerNormalization'),
            ('SimplifiedLayerNormalization', 'SkipSimplifiedLayerNormalization')]
# Where the count falls and why; a model that no longer does is named, too.
KNOWN = {
    r'gpt2_past\.onnx|gpt2_one_layer|gpt2_past_mask_one_layer|attention_past_(no_)?unidir':
        'attention is matched with 45 operators around it, each read so many times: the sizes of two projections and of '
        'the mask. Cleaning dissolves them; fewer nodes are left, and --approximate finds it (passes/attention.h)',
}
STANDARD = ('LayerNormalization', 'SimplifiedLayerNormalization', 'RMSNormalization', 'Gelu')
OPTIMIZE = '''
import sys, onnxruntime as ort
o = ort.SessionOptions()
o.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
o.optimized_model_filepath, o.log_severity_level, o.intra_op_num_threads = sys.argv[2], 4, 1
ort.InferenceSession(sys.argv[1], o, providers=['CPUExecutionProvider'])
'''


def operators(graph):
    count = collections.Counter()
    graphs = [graph]
    while graphs:
        for node in graphs.pop().node:
            count[node.domain, node.op_type] += 1
            for attribute in node.attribute:
                graphs += [attribute.g] if attribute.HasField('g') else attribute.graphs
    return count


def optimized(path, out):
    """The operators that ONNX Runtime leaves, or None."""
    made = subprocess.run([sys.executable, '-c', OPTIMIZE, path, out], capture_output=True)
    return operators(onnx.load(out, load_external_data=False).graph) if made.returncode == 0 else None


def fused(source, result):
    """Per fused operator, how many more of them there are than in the source."""
    return {op: n - source[domain, op] for (domain, op), n in result.items()
            if (domain == 'com.microsoft' or op in STANDARD) and n > source[domain, op]}


def falls(before, after):
    after = collections.Counter(after)
    lost = collections.Counter(before)
    lost.subtract(after)
    for small, large in FAMILIES:
        moved = min(max(lost[small], 0), max(-lost[large], 0))
        lost[small] -= moved
        lost[large] += moved
    return {op: n for op, n in lost.items() if n > 0}


def judge(path, command):
    with tempfile.TemporaryDirectory() as folder:
        ours, left = os.path.join(folder, 'ours.onnx'), os.path.join(folder, 'left.onnx')
        source = operators(onnx.load(path, load_external_data=False).graph)
        before = optimized(path, left)
        if before is None:
            return 'not loaded', None
        made = subprocess.run([*command, path, '-q', '-o', ours], capture_output=True, text=True)
        if made.returncode:
            return 'refused', made.stderr.strip()[:100]
        after = optimized(ours, left)
        if after is None:
            return 'lost', 'ONNX Runtime does not load the result'
        a, b = fused(source, before), fused(source, after)
        lost = falls(a, b)
        if after.total() <= before.total():  # a scale that went into a weight leaves a MatMul
            lost.pop('FusedMatMul', None)
        text = ', '.join(f'{op} {a.get(op, 0)} -> {b.get(op, 0)}' for op in sorted(a | b) if a.get(op) != b.get(op))
        nodes = f'{before.total()} -> {after.total()} nodes'
        return ('FALLS' if lost else 'changed' if text else 'same'), f'{nodes}; {text}' if text else nodes


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.path.join(os.path.dirname(__file__), '..', '..', 'shared', 'corpora')
    parser.add_argument('tool')
    parser.add_argument('folder', nargs='?', default=os.environ.get('TGOPT_CORPORA', default))
    parser.add_argument('--only', metavar='REGEX', default=DEFAULT)
    parser.add_argument('-O', dest='level', default='1')
    parser.add_argument('--all', action='store_true', help='print the models without a change too')
    own = sys.argv[1:sys.argv.index('--')] if '--' in sys.argv else sys.argv[1:]
    args = parser.parse_args(own)
    args.command = [args.tool, f'-O{args.level}', '--no-verify', *sys.argv[len(own) + 2:]]
    return args


def main():
    args = arguments()
    models = sorted(os.path.join(folder, name) for folder, _, names in os.walk(args.folder) for name in names
                    if name.endswith('.onnx') and re.search(args.only, os.path.join(folder, name)))
    verdicts = collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for path, (verdict, text) in zip(models, pool.map(lambda m: judge(m, args.command), models)):
            reason = next((why for pattern, why in KNOWN.items() if re.search(pattern, path)), None)
            if reason and verdict in ('FALLS', 'same', 'changed'):
                verdict, text = ('known', f'{text} ({reason})') if verdict == 'FALLS' else ('KNOWN NO MORE', text)
            verdicts[verdict] += 1
            if args.all or verdict not in ('same', 'not loaded'):
                print(f'{verdict:10} {os.path.relpath(path, args.folder)}: {text}')
    print(', '.join(f'{n} {verdict}' for verdict, n in sorted(verdicts.items())) or 'no models')
    return int(not models or any(verdicts[v] for v in ('FALLS', 'lost', 'refused', 'KNOWN NO MORE')))


if __name__ == '__main__':
    sys.exit(main())
