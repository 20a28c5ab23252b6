#!/usr/bin/env python3
"""Compares the CPU column of rules/kernels.def with the kernels that an installed ONNX Runtime lists of itself.

Needs Python with onnxruntime; not part of make check: other versions have other kernels. Exit status 1: they differ.
"""
import pathlib
import re
import sys

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

TYPES = {'F32': 'tensor(float)', 'F64': 'tensor(double)', 'F16': 'tensor(float16)', 'BF16': 'tensor(bfloat16)'}
ROW = re.compile(r'^KERNEL\((\w+),\s*([^,]*?),\s*([^,]*?)\)', re.MULTILINE)


def listed(text):
    """The types of a column: F32 | F16, ALL or NONE."""
    words = TYPES if text == 'ALL' else [] if text == 'NONE' else re.split(r'\s*\|\s*', text)
    return {TYPES[word] for word in words}


def registered():
    """(domain, operator) -> types of its newest kernels on the CPU."""
    found = {}
    for kernel in state.get_all_opkernel_def():
        constraints = kernel.type_constraints
        types = constraints.get('T') or constraints.get('T1') or []
        if kernel.provider == 'CPUExecutionProvider' and kernel.version_range[1] >= 1 << 30:
            found.setdefault((kernel.domain, kernel.op_name), set()).update(types)
    return found


def main():
    table = (pathlib.Path(__file__).parent.parent / 'rules' / 'kernels.def').read_text(encoding='utf-8')
    kernels, rows, wrong = registered(), ROW.findall(table), 0
    for op, cpu, _ in rows:
        key = ('com.microsoft', op[3:]) if op.startswith('ms_') else ('', op)
        have = kernels.get(key, set()) & set(TYPES.values())
        if have != listed(cpu):
            print(f'{op}: the table says {sorted(listed(cpu))}, ONNX Runtime {sorted(have)}')
            wrong += 1
    print(f'{len(rows)} operators, ONNX Runtime {onnxruntime.__version__}: {wrong} differ')
    return 1 if wrong or not rows else 0


if __name__ == '__main__':
    sys.exit(main())
