"""Settings for a torch model, before it is trained: learning rate, momentum, and the loss to expect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genfun import _check
from genfun.answers.best.advice import advice
from genfun.answers.best.optimize import optimize
from genfun.answers.best.optimum import Optimum
from genfun.answers.predict import Prediction, predict
from genfun.case import NoiseChoice
from genfun.data.linear import LinearData
from genfun.data.torch_model import read_model, samples
from genfun.experiments.by_products import goes_by_products, how_far, problem_by_products
from genfun.experiments.last_layer import check_cross_entropy, in_training, probe_of
from genfun.experiments.simulation.record import log_grid
from genfun.noise import sampling_factor
from genfun.problems.measured_spectrum import MeasuredSpectrum
from genfun.softmax.data import SoftmaxData
from genfun.softmax.optimize import SoftmaxOptimum
from genfun.softmax.predict import SoftmaxPrediction


@dataclass(frozen=True, eq=False, repr=False)
class Suggestion:
    """Settings for training a torch model, in the units of its own loss function.

    Parameters
    ----------
    method : SGD
        Learning rate as torch takes it, momentum, batch size: the simplest within 1 % of the best.
    loss : float
        Predicted mean of the loss function over the samples at `steps`.
    steps : int
        T.
    kind : str
        What was linearised: "last_layer", "ntk" or "ntk_shared", as for `LinearData.from_torch`; "ntk_products", all
        parameters by products with their kernel; or "softmax", a last layer under cross-entropy.
    prediction : Prediction or SoftmaxPrediction
        The expected curve, in units of the loss function.
    optimum : Optimum or SoftmaxOptimum
        The search's own answer, of least loss: ranges, gain of momentum, bounds.
    data : LinearData, SoftmaxData, or of products what `LinearProblem.from_operator` returns
        The linearised problem in units of the loss function, for every other question.
    notes : tuple of str
        What was linearised, and when this does not hold.
    model : torch.nn.Module
        As given.

    Examples
    --------
    >>> import torch
    >>> import genfun as gf
    >>> x = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> s = gf.suggest(torch.nn.Linear(2, 1), torch.nn.MSELoss(), (x, x[:, :1]), steps=20, batch_size=1)
    >>> s.kind, s.optimizer()
    ('last_layer', SGD (...
    """

    method: Any
    loss: float
    steps: int
    kind: str
    prediction: Prediction | SoftmaxPrediction
    optimum: Optimum | SoftmaxOptimum
    data: LinearData | MeasuredSpectrum | SoftmaxData
    notes: tuple[str, ...]
    model: Any

    def __repr__(self) -> str:
        m = self.method
        return (
            f"Suggestion(lr={m.learning_rate:.4g}, momentum={m.momentum:.4g}, batch_size={m.batch_size}: "
            f"loss {float(self.prediction.loss.flat[0]):.4g} to {self.loss:.4g} in {self.steps} steps, {self.kind})"
        )

    def optimizer(self) -> Any:
        """A new optimizer of the parameters that require gradients: torch's own, or `optim.SGD` for negative momentum.

        Returns
        -------
        torch.optim.SGD
            Without weight decay; `optim.SGD` is a subclass.

        Examples
        --------
        >>> import torch
        >>> import genfun as gf
        >>> x = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
        >>> s = gf.suggest(torch.nn.Linear(2, 1), torch.nn.MSELoss(), (x, x[:, :1]), steps=20, batch_size=1)
        >>> s.optimizer().param_groups[0]["lr"] == s.method.learning_rate
        True
        """
        import torch

        from genfun import optim

        parameters = [p for p in self.model.parameters() if p.requires_grad]
        kind = torch.optim.SGD if self.method.momentum >= 0.0 else optim.SGD
        return kind(parameters, lr=self.method.learning_rate, momentum=self.method.momentum)


def suggest(
    model: Any,
    loss_fn: Any,
    loader: Any,
    steps: int | None = None,
    batch_size: int | None = None,
    momentum: float | None = None,
    noise: NoiseChoice = None,
    memory_limit: int = 1 << 30,
    budget: float | None = None,
    solver: str = "auto",
) -> Suggestion:
    r"""Learning rate and momentum for training a torch model, before training it.

    .. math:: \frac{1}{b\,o}\sum_{i,q}|f_q(x_i)-y_{iq}|^2
              = \frac{1}{2b}\sum_i\Big|\sqrt{\tfrac2o}\,(f(x_i)-y_i)\Big|^2,\qquad
              \alpha_{\text{torch}} = \tfrac{o}{2}\,\alpha

    `torch.nn.MSELoss` averages over the o outputs and has no 1/2. Residuals and features times sqrt(2/o) make it the
    loss of `LinearData`, so that learning rate and losses here are torch's own; those of `LinearData.from_torch` differ
    by the factor o/2.

    **Assumptions.** The model is linear in its trained parameters near the present ones: exact where only the last
    `torch.nn.Linear` is trained, good for wide networks while they move little. Plain SGD with momentum, no weight
    decay; batches drawn afresh (a DataLoader that shuffles each epoch is close, and a little less noisy). Eval mode.
    All samples of the loader are held, and for other than a last layer the kernel of them, of time n^2. Where that
    would take more than 1e12 multiplications, n^2 outputs parameters, on a CPU (1e15 elsewhere), it is not made: from
    80 products with it (`LinearProblem.from_operator`) the mean is that of all outputs together, for as many steps as
    they reach, and batch noise is that of two constants, of coupled outputs rather too high near the edge.
    Cross-entropy of a last layer is that of `SoftmaxData`; where a search would take many minutes, the features are
    projected on their leading directions, and a note says so.

    Parameters
    ----------
    model : torch.nn.Module
        Maps inputs (batch, ...) to outputs; it is not changed. Parameters without requires_grad stay fixed.
    loss_fn : torch.nn.MSELoss or torch.nn.CrossEntropyLoss
        With reduction="mean"; cross-entropy where the last `torch.nn.Linear` alone is trained.
    loader : DataLoader, Dataset, or (inputs, targets)
        Samples; targets have the shape of the outputs, or are class numbers for cross-entropy.
    steps : int or None
        T >= 1, optimizer steps to be made; None with a budget.
    batch_size : int or None
        b; None takes that of the DataLoader, or with a budget the best one.
    momentum : float or None
        Fixes beta; None searches it, of either sign.
    noise : SpectrallyExpressible, Noise, str or None
        As for `optimize`; None is the data's own, "fitted" the fastest.
    memory_limit : int
        Bytes for derivatives, as for `LinearData.from_torch`.
    budget : float or None
        Samples, batch size times steps, instead of steps; cross-entropy needs a batch size besides.
    solver : "auto", "kernel" or "lanczos"
        For other than a last layer: the kernel is made, or products with it; "auto" goes by its size.

    Returns
    -------
    Suggestion
        `.method`, `.optimizer()`, `.prediction`, `.notes`.

    Raises
    ------
    ValueError
        If the loss is reduced by a sum or not at all, has weighted classes or ignored targets, the
        batch size is unknown or above the number of samples, neither or both of steps and budget are given, or shapes
        do not match.
    TypeError
        For another loss function, cross-entropy with more trained than the last layer, or what is no torch module.
    ImportError
        Without torch.

    References
    ----------
    arXiv 2206.11124, section 6.

    Examples
    --------
    >>> import torch
    >>> import genfun as gf
    >>> x = torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    >>> gf.suggest(torch.nn.Linear(2, 1), torch.nn.MSELoss(), (x, x[:, :1]), steps=20, batch_size=1)
    Suggestion(lr=..., momentum=..., batch_size=1: loss ... to ... in 20 steps, last_layer)
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError("suggest needs torch; install it with: pip install 'genfun[experiments]'") from error
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    head = _only_trained(model)
    softmax = _is_cross_entropy(loss_fn, head)
    if (steps is None) == (budget is None):
        raise ValueError(f"give either steps or budget, got steps={steps!r} and budget={budget!r}")
    last = None if steps is None else _check.step("steps", steps, 1)
    inputs, targets = loader if isinstance(loader, tuple | list) and len(loader) == 2 else (loader, None)
    # A budget alone chooses the batch size too.
    size = None if budget is not None and batch_size is None and not softmax else _batch_size(loader, batch_size)
    if softmax:
        if noise is not None:
            raise ValueError(f"noise must be left out for cross-entropy, whose noise is computed, got {noise!r}")
        data, more = probe_of(model, inputs, targets, head, memory_limit, loss_fn)
        kind, size = "softmax", _known(_within(size, batch_size, data.n_samples))
        last = _steps_of(budget, size) if last is None else last
        best: Any = optimize(data, size, last, momentum)
        curve: Any = predict(data, best.method, _grid(last))
        method, statement = best.method, _of_probe(best, curve)
    else:
        data, kind, more = _linearised(model, inputs, targets, memory_limit, solver)
        size = _within(size, batch_size, _known(data.n_samples))
        best = optimize(data, size, last, momentum, noise, budget)
        found = advice(best)
        method = found.method
        curve = predict(data, method, _grid(best.steps), noise)
        statement = (*_statement(kind, data, found.chosen), *((found.why,) if found.why else ()))
    return Suggestion(
        method,
        float(curve.loss[-1]),
        best.steps,
        kind,
        curve,
        best,
        data,
        (*statement, *in_training(model), *more),
        model,
    )


def _known(size: int | None) -> int:
    assert size is not None
    return size


def _within(size: int | None, given: int | None, n_samples: int) -> int | None:
    """The batch size, of a loader at most all samples; one that was given must not be larger."""
    sampling_factor(given, n_samples)
    return None if size is None else min(size, n_samples)


def _grid(steps: int) -> Any:
    return np.unique(np.concatenate(([0], log_grid(steps))))


def _steps_of(budget: float | None, size: int) -> int:
    steps = int(_check.positive("budget", budget) // size)
    if steps < 1:
        raise ValueError(f"budget must pay for one step of batch size {size}, got {budget!r}")
    return steps


def _is_cross_entropy(loss_fn: Any, head: Any) -> bool:
    import torch

    if isinstance(loss_fn, torch.nn.CrossEntropyLoss):
        check_cross_entropy(loss_fn, head)
        return True
    if not isinstance(loss_fn, torch.nn.MSELoss):
        raise TypeError(
            f"loss_fn must be a torch.nn.MSELoss or, for a last layer, a CrossEntropyLoss, got "
            f"{type(loss_fn).__name__}; other losses are not quadratic, and their settings differ"
        )
    if loss_fn.reduction != "mean":
        raise ValueError(
            f"loss_fn.reduction must be 'mean', got {loss_fn.reduction!r}, with which the learning rate depends on the "
            "size of each batch; use MSELoss(), and divide its learning rate by batch size times outputs for a sum"
        )
    return False


def _batch_size(loader: Any, batch_size: int | None) -> int:
    if batch_size is not None:
        return _check.integer("batch_size", batch_size, 1)
    size = getattr(loader, "batch_size", None)
    if not isinstance(size, int):
        raise ValueError(
            f"batch_size is None and the loader ({type(loader).__name__}) has none; pass batch_size, the number of "
            "samples in an optimizer step"
        )
    return size


def _linearised(
    model: Any, inputs: Any, targets: Any, memory_limit: int, solver: str
) -> tuple[LinearData | MeasuredSpectrum, str, tuple[str, ...]]:
    """The model's linear problem in units of MSELoss, which kind it is, and what is to be known of it."""
    import torch

    inputs, targets = samples(inputs, targets)

    def read(kind: str) -> Any:
        return read_model(model, inputs, targets, kind, 64, memory_limit, None, same_shape=True)

    head, kind, found = _only_trained(model), "ntk_shared", None
    if head is not None:
        called: list[Any] = []
        linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
        hooks = [module.register_forward_pre_hook(lambda module, _: called.append(module)) for module in linears]
        try:
            found, kind = read("last_layer"), "last_layer"
        except ValueError as error:
            # Something follows the Linear that is trained.
            if "must end in" not in str(error):
                raise
        finally:
            for hook in hooks:
                hook.remove()
        if not called or called[-1] is not head:
            found = None
    if found is None and goes_by_products(solver, model, inputs, targets):
        problem, more = problem_by_products(model, inputs, targets)
        return problem, "ntk_products", more
    if found is None:
        kind, found = "ntk_shared", read("ntk_shared")
    form, values, rest, notes = found
    scale = 2.0 / rest.shape[1]
    rest = rest * np.sqrt(scale)
    if form == "kernel":
        kind = "ntk" if rest.shape[1] == 1 else kind
        # In the type of the model, which says how much of the kernel is rounding.
        data = LinearData.from_kernel(values * values.dtype.type(scale), rest)
    else:
        data = LinearData.from_features(values * values.dtype.type(np.sqrt(scale)), rest)
    data = replace(data, notes=(*notes, *data.notes))
    return data, kind, data.notes


def _only_trained(model: Any) -> Any:
    """The one whole Linear that is trained, if that is all; else None."""
    import torch

    trained = {id(p) for p in model.parameters() if p.requires_grad}
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and {id(p) for p in module.parameters()} == trained:
            return module
    return None


def _statement(kind: str, data: LinearData | MeasuredSpectrum, best: Optimum) -> tuple[str, ...]:
    """What is exact, what is approximate, and where the search ended."""
    fresh = "batches are taken as drawn afresh from all samples; a loader that shuffles each epoch is close to that"
    if kind == "last_layer":
        what = (
            "only the last layer is trained, in which the model is linear: nothing is approximated but the batch noise"
        )
    else:
        shared = ", with one kernel for all outputs" if kind == "ntk_shared" else ""
        what = (
            f"the model is replaced by its linearisation at the present parameters{shared}: trust it for wide networks "
            "and while the loss follows the predicted curve; a narrow network learns features, which this does not see"
        )
    notes = [what, "loss and learning rate are those of MSELoss, averaged over outputs, without weight decay", fresh]
    if best.at_bound:
        notes.append(f"the best setting lies at a bound of the search: {'; '.join(best.bounds)}")
    if kind != "last_layer" and best.share_of_edge > 0.5:
        notes.append(
            f"the learning rate is {best.share_of_edge:.2g} of the largest stable one of the linearised model; the "
            "curvature of the network itself may rise on the way, so start lower if the loss jumps"
        )
    if isinstance(data, MeasuredSpectrum):
        notes += how_far(data, best.method, best.steps)
    problem = data.problem if isinstance(data, LinearData) else data
    total = problem.noise_variance + problem.signal_total
    if total == 0.0:
        notes.append("the outputs are the targets already, so that the gradient is zero and no step changes anything")
    elif (never := problem.noise_variance / total) > 0.01:
        notes.append(f"{100 * never:.2g} % of the present loss cannot be learned by this linear model")
    return tuple(notes)


def _of_probe(best: SoftmaxOptimum, curve: SoftmaxPrediction) -> tuple[str, ...]:
    """The same of a last layer under cross-entropy."""
    notes = [
        "only the last layer is trained, from its present weights, under cross-entropy averaged over samples",
        "batches are taken as drawn afresh from all samples; a loader that shuffles each epoch is close to that",
        f"the learning rate is {best.share_of_edge:.2g} of the start edge, from which on first steps grow; there is no "
        "largest stable one",
    ]
    if curve.separable:
        notes.append("the classes are separable: the loss has no minimum, so let held-out samples say when to stop")
    if curve.status != "ok":
        notes.append(curve.meaning)
    return tuple(notes)
