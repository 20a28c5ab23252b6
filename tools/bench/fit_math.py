#!/usr/bin/env python3
"""Coefficients of backend_c/kernels/tgk_math.h: weighted minimax fits (Remez exchange, mpmath).

Each row below is a function F on [a, b], to be met by a polynomial times a factor so that the error counted
in relative units of the whole function is least. Coefficients are rounded to float from the lowest degree on, and the
others fitted again around each rounded one, so that rounding costs next to nothing. Needs mpmath; prints C literals.
"""
import struct
import sys

import mpmath as mp

mp.mp.dps = 40


def to_float(x):
    return mp.mpf(struct.unpack('f', struct.pack('f', float(x)))[0])


def remez(f, weight, powers, a, b, rounds=12):
    """Coefficients c of sum c_i x^powers_i that make |weight (sum - f)| on [a, b] least, and that error."""
    n = len(powers) + 1
    at = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * (i + mp.mpf("0.43")) / n) for i in range(n)]
    grid = [(a + b) / 2 - (b - a) / 2 * mp.cos(mp.pi * (i + mp.mpf("0.37")) / 1500) for i in range(1500)]
    values = [(x, f(x), weight(x)) for x in grid]
    for _ in range(rounds):
        rows = mp.matrix(n, n)
        right = mp.matrix(n, 1)
        for i, x in enumerate(at):
            for k, p in enumerate(powers):
                rows[i, k] = x ** p
            rows[i, n - 1] = (-1) ** i / weight(x)
            right[i] = f(x)
        c = list(mp.lu_solve(rows, right))[:-1]
        err = [(w * (sum(ci * x ** p for ci, p in zip(c, powers)) - y), x) for x, y, w in values]
        peaks = []
        for e, x in err:  # the greatest of each run of equal sign
            if peaks and (peaks[-1][0] > 0) == (e > 0):
                if abs(e) > abs(peaks[-1][0]):
                    peaks[-1] = (e, x)
            else:
                peaks.append((e, x))
        while len(peaks) > n:
            peaks.pop(0 if abs(peaks[0][0]) < abs(peaks[-1][0]) else -1)
        worst = max(abs(e) for e, _ in err)
        if len(peaks) < n or worst - min(abs(e) for e, _ in peaks) < worst * mp.mpf('1e-6'):
            break
        at = [x for _, x in peaks]
    return c, worst


def fit(name, f, weight, degree, a, b, head=None):
    """head: a first part of the lowest coefficient, which the caller adds in a way that rounds later."""
    a, b = mp.mpf(a), mp.mpf(b)
    powers = list(range(degree + 1))
    done, rest = [], (lambda x: f(x) - head) if head else f
    _, ideal = remez(rest, weight, powers, a, b)
    for k in range(len(powers)):
        c, worst = remez(rest, weight, powers[k:], a, b)
        c0 = to_float(c[0])
        done.append(c0)
        rest = (lambda g, c0, p: lambda x: g(x) - c0 * x ** p)(rest, c0, powers[k])
    grid = [a + (b - a) * i / 3000 for i in range(1, 3000)]
    rounded = max(abs(weight(x) * rest(x)) for x in grid)
    print(f'{name}: error {mp.nstr(ideal, 3)}, rounded {mp.nstr(rounded, 3)}')
    print('   ', ', '.join(float(c).hex().replace('000000', '').replace('0p', 'p') + 'f' for c in done))


def exp_tail(r):  # exp(r) = 1 + r + r^2 q(r)
    r = mp.mpf(r)
    return (mp.exp(r) - 1 - r) / r ** 2 if abs(r) > mp.mpf('1e-12') else mp.mpf(1) / 2 + r / 6


def log_tail(f):  # log(1 + f) = f - f^2 / 2 + f^3 p(f)
    return (mp.log(1 + f) - f + f * f / 2) / f ** 3 if abs(f) > mp.mpf('1e-10') else mp.mpf(1) / 3 - f / 4


def erf_exponent(x):  # erf(x) = 1 - exp(-x g(x))
    return -mp.log(mp.erfc(x)) / x if x > mp.mpf('1e-12') else 2 / mp.sqrt(mp.pi) + x * 2 / mp.pi


if __name__ == '__main__':
    half = mp.log(2) / 2 + mp.mpf('1e-5')
    for degree in (4,):
        fit(f'exp, q of degree {degree}', exp_tail, lambda r: r * r / mp.exp(r), degree, -half, half)
        fit(f'expm1, q of degree {degree}', exp_tail,
            lambda r: r * r / abs(mp.expm1(r)) if r else mp.mpf(0), degree, -half, half)
    for degree in (7,):
        fit(f'log, p of degree {degree}', log_tail, lambda f: abs(f ** 3 / mp.log(1 + f)) if f else mp.mpf(0), degree,
            mp.sqrt(mp.mpf(1) / 2) - 1, mp.sqrt(2) - 1)
    for degree in (7, 8):  # an error d of g makes one of x d exp(-x g) in erf
        fit(f'erf, g of degree {degree}', erf_exponent,
            lambda x: x * mp.erfc(x) / mp.erf(x) if x else mp.sqrt(mp.pi) / 2,
            degree, 0, '3.9375', to_float(2 / mp.sqrt(mp.pi)))
    q = mp.pi / 4 + mp.mpf('1e-5')
    fit('sin', lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z if z > mp.mpf('1e-20') else -mp.mpf(1) / 6,
        lambda z: z, 3, 0, q * q)
    fit('cos', lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z ** 2 if z > mp.mpf('1e-15') else mp.mpf(1) / 24,
        lambda z: z * z, 3, 0, q * q)
    # 0.5 erfc(a / sqrt 2) = exp(-ln 2 - a h(a)), the Gaussian's part beyond a; the weight lets the far tail err more
    root = mp.sqrt(2)
    fit('gelu, h of degree 8',
        lambda a: -mp.log(mp.erfc(a / root)) / a if a > mp.mpf('1e-12') else root / mp.sqrt(mp.pi),
        lambda a: a * mp.sqrt(mp.erfc(a / root)), 8, 0, '5.75', to_float(root / mp.sqrt(mp.pi)))
