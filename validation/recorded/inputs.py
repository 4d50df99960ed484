"""Cases of data: spectra and noise of features, kernels and digits; power laws."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

import genfun as gf
from genfun.data import gaussian, relu_ntk, translation_invariant
from validation.recorded.plain import Cases
from validation.recorded.problems import PROBLEMS, digits, small, table

TOTALS = ("lambda_max", "lambda_min", "trace", "capacity_total", "signal_total", "noise_variance", "n_samples")


def described(data: gf.LinearData) -> dict[str, Any]:
    """What the theory takes from data."""
    p = data.problem
    return {
        "eigenvalues": data.eigenvalues,
        "signal": data.signal,
        "noise": {"tau1": data.noise.tau1, "tau2": data.noise.tau2},
        "fit": data.noise_fit,
        "counts": [data.n_samples, data.rank, data.n_outputs, data.n_dropped],
        "notes": data.notes,
        **{name: getattr(p, name) for name in TOTALS},
    }


def kernel() -> gf.LinearData:
    x, y = table()
    return gf.LinearData.from_kernel(relu_ntk(x), y)


def two_outputs() -> gf.LinearData:
    x, y = table()
    return gf.LinearData.from_features(x, np.stack([y, np.sign(y)], axis=1))


def wide() -> gf.LinearData:
    x = np.random.default_rng(2).standard_normal((20, 50))
    return gf.LinearData.from_features(x, x[:, 0])


def data() -> Cases:
    lam = np.array([1.0, 0.5, 0.25, 0.1])
    made = {
        "features": small,
        "normalized features": lambda: small().normalized(),
        "two outputs": two_outputs,
        "more features than samples": wide,
        "kernel": kernel,
        "digits, ntk": digits,
        "digits, pixels": lambda: digits(100, "pixels"),
        "other digits": lambda: gf.data.mnist(50, 7),
        "gaussian": lambda: gaussian(lam, lam, 60, 0, 0.05),
        "translation invariant": lambda: translation_invariant([1.0, 0.5, 0.5, 0.2, 0.2], [1.0, 0.5, 0.5, 0.1, 0.1]),
    }
    return {f"data, {name}": partial(lambda make: described(make()), make) for name, make in made.items()}


def spectra() -> Cases:
    def facts(problem: Any) -> dict[str, Any]:
        found = {name: getattr(problem, name) for name in TOTALS}
        if isinstance(problem, gf.PowerLaw):
            found["kappa"] = problem.kappa
            if problem.n_modes is not None:
                found |= {"eigenvalues": problem.eigenvalues, "signal": problem.signal}
        return found

    return {f"spectrum, {name}": partial(facts, problem) for name, problem in PROBLEMS.items()}


def inputs() -> Cases:
    """All cases of this file."""
    return data() | spectra()
