r"""Exact second moments in the space of N samples: the product with A(z) that their generating function is made of.

.. math:: (A p)_i = \gamma\alpha^2\,[\Phi\,(u\circ Q)\,\Phi^T]_{ii},\qquad
          Q = \tfrac1N\Phi^T\operatorname{diag}(p)\,\Phi

Two products of N x r x r, without the N x N matrix A, whose entries would cost N^2 r^2.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import genfun as gf
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.machine import limits, wait
from benchmarks.timing import seconds, summary

REPEATS = 5
BATCH = 10


def measure(findings: Findings) -> None:
    import torch

    device, n = findings.device, 80 if findings.small else 4000
    rng = np.random.default_rng(0)
    phi = rng.standard_normal((n, n)) * np.arange(1.0, n + 1.0) ** -0.75
    lam = (phi**2).mean(axis=0)
    reached = findings.attempt("limits", lambda: limits(torch, device, findings.small))
    p = rng.random(n)
    for where in dict.fromkeys((device, "cpu")):
        for dtype in ("float64", "float32"):

            def work(where: str = where, dtype: str = dtype) -> dict[str, Any]:
                return one_product(phi, lam, p, where, dtype, reached if where == device else None)

            findings.attempt(f"product, random features, {where}, {dtype}", work)
    for where in dict.fromkeys((device, "cpu")):
        repeats = REPEATS if where == device else 1

        def largest(where: str = where, repeats: int = repeats) -> dict[str, Any]:
            apply = product(phi, lam, where, "float64")
            return edge(lambda p: apply(torch.tensor(p, device=where)).cpu().numpy(), n, repeats)

        findings.attempt(f"largest eigenvalue, random features, {where}", largest)
    if importlib.util.find_spec("genfun.sample_space") is not None:
        findings.attempt("genfun's operator", lambda: engine(findings))


def product(phi: np.ndarray, lam: np.ndarray, device: str, dtype: str, rate: float = 0.1) -> Callable[[Any], Any]:
    """p -> A(1) p of plain SGD: u_jk = 1/(1 - (1 - alpha lambda_j)(1 - alpha lambda_k))."""
    import torch

    kind = {"dtype": getattr(torch, dtype), "device": device}
    rows, values = torch.tensor(phi, **kind), torch.tensor(rate * lam, **kind)
    u = 1.0 / (values[:, None] + values - values[:, None] * values)
    n = len(phi)
    gamma = (n - BATCH) / ((n - 1) * BATCH)

    def apply(p: Any) -> Any:
        q = (rows * p[:, None]).T @ rows
        q *= u
        return (gamma * rate**2 / n) * ((rows @ q) * rows).sum(dim=1)

    return apply


def one_product(
    phi: np.ndarray, lam: np.ndarray, p: np.ndarray, device: str, dtype: str, reached: dict[str, float] | None
) -> dict[str, Any]:
    """Time of a product, operations a second, and the largest difference from rows of A worked out one by one."""
    import torch

    apply = product(phi, lam, device, dtype)
    vector = torch.tensor(p, dtype=getattr(torch, dtype), device=device)

    def run() -> Any:
        found = apply(vector)
        wait(device)
        return found

    times = seconds(run, REPEATS)
    n, r = phi.shape
    operations = 4 * n * r * r
    result = summary(times) | {"N": n, "rank": r, "operations_per_s": operations / min(times)}
    if reached is not None:
        result["share_of_the_measured_limit"] = result["operations_per_s"] / reached[f"{dtype}_operations_per_s"]
    # Some entries of A p, each as p times a row of A.
    rate = 0.1
    u = 1.0 / (rate * lam[:, None] + rate * lam - rate**2 * lam[:, None] * lam)
    some = np.linspace(0, n - 1, 4).astype(int)
    factor = (n - BATCH) / ((n - 1) * BATCH) * rate**2 / n
    direct = [factor * (((phi * phi[i]) @ u * (phi * phi[i])).sum(axis=1) @ p) for i in some]
    result["largest_relative_difference_from_rows_of_A"] = float(
        np.abs(run().cpu().double().numpy()[some] / direct - 1.0).max()
    )
    return result


def edge(apply: Callable[[np.ndarray], np.ndarray], n: int, repeats: int) -> dict[str, Any]:
    """The largest eigenvalue of A(1) by Lanczos: the loss stays bounded while it is below 1."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    count = 0

    def matvec(p: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        return apply(p.ravel())

    def run() -> float:
        nonlocal count
        count = 0
        operator: Any = LinearOperator
        found: Any = eigsh(operator((n, n), matvec=matvec, dtype=np.float64), 1, which="LA", v0=np.ones(n), tol=1e-6)
        return float(found[0][0])

    # The first one finds the libraries loaded by the products above.
    times, found = [], 0.0
    for _ in range(repeats):
        start = time.perf_counter()
        found = run()
        times.append(time.perf_counter() - start)
    return summary(times) | {"eigenvalue": found, "products": count}


def engine(findings: Findings) -> dict[str, Any]:
    """The same through genfun's own operator, on digits; `genfun.sample_space` takes a tensor for the features."""
    import torch

    from genfun.noise import sampling_factor
    from genfun.sample_space.curve import contour
    from genfun.sample_space.edge import sample_edge
    from genfun.sample_space.exact_function import ExactFunction
    from genfun.sample_space.operator import SampleFeatures, SampleOperator
    from genfun.sample_space.pairs import PairResponses

    n = 80 if findings.small else 4000
    data = gf.data.mnist(n)
    m = gf.SGD(0.3, 0.5, BATCH)
    pairs = PairResponses(m, sampling_factor(m.batch_size, data.n_samples, m.replacement))
    p = np.random.default_rng(0).random(data.n_samples)
    host = SampleOperator(SampleFeatures(data.eigenfeatures, data.eigenvalues), pairs)(0.0, p)
    for where, dtype in ((findings.device, "float64"), (findings.device, "float32"), ("numpy", "float64")):

        def features(where: str = where, dtype: str = dtype) -> Any:
            phi: Any = data.eigenfeatures
            if where != "numpy":
                phi = torch.tensor(phi, dtype=getattr(torch, dtype), device=where)
            return SampleFeatures(phi, data.eigenvalues)

        def one(features: Any = features) -> dict[str, Any]:
            operator = SampleOperator(features(), pairs)
            times = seconds(lambda: operator(0.0, p), 3)
            return summary(times) | {"largest_relative_difference_from_numpy": abs(operator(0.0, p) / host - 1).max()}

        def largest(features: Any = features) -> dict[str, Any]:
            operator = SampleOperator(features(), pairs)
            return edge(lambda p: operator(0.0, p), data.n_samples, 1)

        findings.attempt(f"product of genfun, digits, {where}, {dtype}", one)
        findings.attempt(f"largest eigenvalue of genfun, digits, {where}, {dtype}", largest, needs=5.0)

    def on_device() -> Any:
        return SampleFeatures(torch.tensor(data.eigenfeatures, device=findings.device), data.eigenvalues)

    def stable() -> dict[str, Any]:
        start = time.perf_counter()
        found = sample_edge(on_device(), m)
        return {
            "s": time.perf_counter() - start,
            "learning_rate": found.learning_rate,
            "error": found.error,
            "products": found.products,
            "over_fitted_constants": found.learning_rate / gf.max_learning_rate(data, 0.5, BATCH, "fitted"),
        }

    def loss(step: int) -> dict[str, Any]:
        start = time.perf_counter()
        G = ExactFunction(data, m, on_device())
        found = contour(G, np.array([step]))
        return {
            "s": time.perf_counter() - start,
            "log_loss": float(found.loss.log()[0]),
            "error": float(found.error[0]),
            "products": G.space.halves / 2.0,
        }

    findings.attempt("exact edge, digits, float64", stable, needs=5.0)
    for step in (10_000, 10**9):
        findings.attempt(f"exact loss at step {step:.0e}, digits, float64", lambda step=step: loss(step), needs=5.0)
    return {"samples": n, "rank": data.rank}
