"""A torch model under MSELoss whose tangent kernel is too large to be made, by products with it."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.data.tangent_operator import TorchOperator, torch_operator
from genfun.data.torch_model import left_to_learn
from genfun.problems.measured_spectrum import MeasuredSpectrum
from genfun.problems.problem import LinearProblem

LARGEST_KERNEL = {"cpu": 1e12, "other": 1e15}
"""Multiplications of a tangent kernel, n^2 x outputs x parameters, up to which it is made: some minutes of a core."""
SOLVERS = ("auto", "kernel", "lanczos")
TOLD = 0.01
"""Relative error from which on a note says so."""


class InUnitsOfMSELoss:
    """The operator of a model whose residuals and derivatives are both times sqrt(2 / outputs).

    Parameters
    ----------
    operator : TorchOperator
    """

    def __init__(self, operator: TorchOperator) -> None:
        self._operator, self._factor = operator, 2.0 / operator.outputs
        self.shape = operator.shape

    def matvec(self, v: Float[Array, " n"]) -> Float[Array, " n"]:
        """2/o times J J^T v / N.

        Parameters
        ----------
        v : array, shape (n * outputs,)
        """
        return self._factor * self._operator.matvec(v)

    def sample_blocks(self) -> Float[Array, "n outputs outputs"]:
        """2/o times J_i J_i^T / N of each sample."""
        return self._factor * self._operator.sample_blocks()


def goes_by_products(solver: str, model: Any, x: Any, y: Any) -> bool:
    """Whether the kernel is too large to be made, or that is asked for.

    Parameters
    ----------
    solver : "auto", "kernel" or "lanczos"
    model : torch.nn.Module
    x, y : tensor
        Inputs, and targets of the shape of the outputs.
    """
    _check.choice("solver", solver, SOLVERS)
    if solver != "auto":
        return solver == "lanczos"
    where = next(iter(model.parameters())).device.type
    outputs = 1 if y.ndim == 1 else y.shape[-1]
    work = float(len(x)) ** 2 * outputs * sum(p.numel() for p in model.parameters() if p.requires_grad)
    return work > LARGEST_KERNEL.get(where, LARGEST_KERNEL["other"])


def problem_by_products(model: Any, x: Any, y: Any) -> tuple[MeasuredSpectrum, tuple[str, ...]]:
    """The linear problem of all outputs together, in units of MSELoss, and what is to be known of it.

    Parameters
    ----------
    model : torch.nn.Module
    x, y : tensor
    """
    import torch

    operator = torch_operator(model, x)
    start = torch.as_tensor(operator.start)
    rest = left_to_learn(y.cpu(), start, same_shape=True) * np.sqrt(2.0 / operator.outputs)
    found = LinearProblem.from_operator(InUnitsOfMSELoss(operator), rest, n_samples=operator.n_samples)
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    notes = (
        f"{found.products} products with the tangent kernel ({size} trained), which was not made; all outputs are "
        "taken together, as the kernel couples them",
        f"batch noise depends on the trace of the kernel, known within {found.capacity_error:.1g} (relative)",
        *found.notes,
    )
    return found, notes


def how_far(problem: MeasuredSpectrum, method: Any, steps: int) -> tuple[str, ...]:
    """A note where so many steps ask for more products than were made.

    Parameters
    ----------
    problem : MeasuredSpectrum
    method : SGD
    steps : int
    """
    effective = method.learning_rate * steps * problem.lambda_max / (1.0 - method.momentum)
    error = float(problem.errors(effective))
    if error <= TOLD:
        return ()
    return (
        f"the loss without batch noise is known within {error:.1g} (relative) at the last step: for so many steps "
        "take gf.LinearProblem.from_operator with more lanczos_steps",
    )
