"""Settings and constants that the tests of late times share."""

from __future__ import annotations

from typing import Any

import sympy

import genfun as gf
from genfun.symbolic import phase_constants


def is_zero(expression: Any) -> bool:
    return sympy.simplify(expression) == 0


def at(method: Any, effective: float, momentum: float, batch_size: int) -> Any:
    return method(effective * (1.0 - momentum), momentum, batch_size)


def constants(p: gf.PowerLaw, m: Any, noise: gf.SpectrallyExpressible) -> tuple[float, float]:
    G = gf.GeneratingFunction(p, m, noise)
    scales = (p.nu, p.zeta, p.eigenvalue_scale, p.signal_scale)
    V1 = G.signal(1.0) if p.zeta > 1.0 or p.n_modes else 1.0  # infinite otherwise, and L_s does without it
    gain = (G.gamma * noise.tau1, m.learning_rate, G.noise(1.0), V1)
    signal, noisy = phase_constants(type(m))(*scales, *gain, m.momentum)
    return float(signal), float(noisy)
