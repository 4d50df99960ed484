r"""Exact second moments in the space of N samples: the product with A(z) that their generating function is made of.

.. math:: (A p)_i = \gamma\alpha^2\,[\Phi\,(u\circ Q)\,\Phi^T]_{ii},\qquad
          Q = \tfrac1N\Phi^T\operatorname{diag}(p)\,\Phi

Two products of N x r x r, without the N x N matrix A, whose entries would cost N^2 r^2.
"""

from __future__ import annotations

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
        findings.attempt(
            f"largest eigenvalue, random features, {where}", lambda w=where, r=repeats: edge(phi, lam, w, r)
        )


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


def edge(phi: np.ndarray, lam: np.ndarray, device: str, repeats: int) -> dict[str, Any]:
    """The largest eigenvalue of A(1) by Lanczos: the loss stays bounded while it is below 1."""
    import torch
    from scipy.sparse.linalg import LinearOperator, eigsh

    apply, n, count = product(phi, lam, device, "float64"), len(phi), 0

    def matvec(p: np.ndarray) -> np.ndarray:
        nonlocal count
        count += 1
        return apply(torch.tensor(p.ravel(), device=device)).cpu().numpy()

    def run() -> float:
        nonlocal count
        count = 0
        operator = LinearOperator((n, n), matvec=matvec, dtype=np.float64)
        return float(eigsh(operator, 1, which="LA", v0=np.ones(n), return_eigenvectors=False, tol=1e-10)[0])

    times = seconds(run, repeats)
    return summary(times) | {"eigenvalue": run(), "products": count, "genfun": gf.__version__}
