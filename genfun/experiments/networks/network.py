"""A real two-layer network trained by mini-batch SGD on the samples behind a kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float, Int
from genfun.data.kernels import relu_ntk
from genfun.data.linear import LinearData
from genfun.experiments.simulation.batches import step_by_step
from genfun.experiments.simulation.runs import Runs
from genfun.methods.base import Method
from genfun.noise import sampling_factor

STATE_BYTES = 1 << 27
"""Weights, their memory and gradients of the replicas advanced together on a CPU."""
GPU_STATE_BYTES = 1 << 32
"""The same on a GPU, whose time goes into launches unless the replicas are many."""
SAME_KERNEL = 1e-6
"""Largest difference, relative to the largest entry, between the kernel of the inputs and that of the data."""


@dataclass(frozen=True, eq=False)
class TwoLayerReLU:
    r"""The network whose infinitely wide limit is `genfun.data.relu_ntk`, to be trained for real.

    .. math:: f(x) = g(x) - g_0(x),\qquad
              g(x) = m^{-1/2}\sum_r a_r\,\mathrm{relu}(d^{-1/2}\langle w_r,x\rangle),\qquad
              a_r, w_r \sim \mathcal N(0,1)

    The function at the start, g_0, is subtracted, so that training starts from f = 0 as the linear model does from
    w_0 = 0. Both layers are trained, on L = 1/(2N) sum_i |f(x_i) - y_i|^2; there are no biases.

    **Learning rate.** If the data hold the kernel divided by s (`normalized` makes lambda_max = 1), their features are
    smaller by sqrt(s), and f moves as under the data's learning rate alpha if the network is trained with alpha/s:
    df = -(alpha/s) Theta r/b = -alpha (Theta/s) r/b. s is found from the traces, and the kernels must then agree.

    **Assumptions.** None on the dynamics: the network may leave its linearisation. At finite width m the kernel at
    the start differs from the limit by a relative m^(-1/2), another at each replica, and moves during training.

    Parameters
    ----------
    inputs : array, shape (n, d)
        x, the samples that the data's kernel was made of, in the same order.
    width : int
        m, units of the hidden layer.
    replicas : int
        Independent initialisations, each with batches of its own.
    precision : "float32" or "float64"
        Of the weights.
    device : str
        A torch device, e.g. "cpu" or "cuda".

    Raises
    ------
    ValueError, TypeError
        On inputs that are no finite table, or numbers out of range.

    Examples
    --------
    >>> import genfun as gf
    >>> x = [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]
    >>> data = gf.LinearData.from_kernel(gf.data.relu_ntk(x), [1.0, -1.0, 0.5]).normalized()
    >>> network = TwoLayerReLU(x, width=500, replicas=2)
    >>> network.train(data, gf.SGD(0.5, batch_size=1), steps=[0, 5]).loss[:, 0].round(6)
    array([0.375, 0.375])
    """

    inputs: Any
    width: int = 1000
    replicas: int = 4
    precision: str = "float32"
    device: str = "cpu"

    def __post_init__(self) -> None:
        inputs = np.array(_check.plain("inputs", self.inputs), dtype=np.float64)
        if inputs.ndim != 2 or 0 in inputs.shape or not np.isfinite(inputs).all():
            raise ValueError(f"inputs must be a finite array (n, d), got shape {inputs.shape}; repair or reshape it")
        object.__setattr__(self, "inputs", inputs)
        object.__setattr__(self, "width", _check.integer("width", self.width, 1))
        object.__setattr__(self, "replicas", _check.integer("replicas", self.replicas, 1))
        _check.choice("precision", self.precision, ("float32", "float64"))

    def __repr__(self) -> str:
        n, d = self.inputs.shape
        return f"TwoLayerReLU({n} inputs of {d} numbers, width {self.width}, {self.replicas} replicas, {self.device})"

    def rate_factor(self, data: LinearData) -> float:
        r"""1/s: the network's learning rate over that of the data.

        .. math:: s = \operatorname{Tr}\Theta(x,x) / \operatorname{Tr}(\varphi\varphi^T)

        Parameters
        ----------
        data : LinearData
            Data whose kernel is a multiple of `relu_ntk(inputs)`.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If their kernel is another one.
        """
        if data.n_samples != self.inputs.shape[0]:
            raise ValueError(f"inputs has {self.inputs.shape[0]} samples but data has {data.n_samples}; use the same")
        ours, theirs = relu_ntk(self.inputs), data.eigenfeatures @ data.eigenfeatures.T
        scale = float(np.trace(ours) / np.trace(theirs))
        apart = float(np.abs(ours / scale - theirs).max() / np.abs(theirs).max())
        if apart > SAME_KERNEL:
            raise ValueError(
                f"data must hold the kernel of inputs, but they differ by {apart:.2g} of the largest entry; "
                "build it with LinearData.from_kernel(genfun.data.relu_ntk(inputs), y)"
            )
        return 1.0 / scale

    def train(self, data: LinearData, method: Method, steps: Any, seed: int = 0) -> Runs:
        r"""Train every replica with real mini-batches and record the loss on all the data.

        .. math:: x_{t+1} = T(0)\,x_t - \frac{\alpha}{s}\,k\,\nabla L_B,\qquad x = (w, \text{memory})

        **Assumptions.** Batches are those of `genfun.experiments.simulate` with the same seed: replica r of the
        network and run r of the linear model see the same samples. Weights come from a stream of their own.

        Parameters
        ----------
        data : LinearData
            The data whose kernel is that of the inputs; its targets are learned.
        method : Method
            Learning rate (of the data), momentum of either sign, batch size.
        steps : array of ints
            Steps whose loss is recorded; the last one ends the training.
        seed : int
            Of weights and batches.

        Returns
        -------
        Runs
            One run a replica; inf once its loss has overflowed.

        Raises
        ------
        ValueError
            If the data are not those of the inputs.
        ImportError
            Without torch.
        """
        factor = self.rate_factor(data)
        _check.options(method)
        kept = np.unique(_check.steps(steps))
        seed = _check.integer("seed", seed, 0)
        children = np.random.SeedSequence(seed).spawn(self.replicas)
        # Old and new states, and the gradient.
        copies = 2 * len(method.update(0.0, *method.hyperparameters)[1]) + 1
        held = copies * (self.inputs.shape[1] + data.n_outputs) * self.width * np.dtype(self.precision).itemsize
        at_once = max(1, (STATE_BYTES if self.device == "cpu" else GPU_STATE_BYTES) // held)
        pieces = []
        for start in range(0, self.replicas, at_once):
            part = children[start : start + at_once]
            drawn = [np.random.default_rng([seed, 1, start + r]) for r in range(len(part))]
            pieces.append(_train(self, data, method, factor, kept, part, drawn))
        return Runs(kept, np.concatenate(pieces), method, seed)


def _sources(
    data: LinearData, method: Method, children: list[np.random.SeedSequence]
) -> Iterator[Int[Array, "runs b"]]:
    if sampling_factor(method.batch_size, data.n_samples, method.replacement) == 0.0:
        whole = np.tile(np.arange(data.n_samples), (len(children), 1))
        while True:
            yield whole
    b = method.batch_size
    assert b is not None
    yield from step_by_step(children, data.n_samples, b, method.replacement)


def _train(
    network: TwoLayerReLU,
    data: LinearData,
    method: Method,
    factor: float,
    kept: Int[Array, " t"],
    children: list[np.random.SeedSequence],
    drawn: list[np.random.Generator],
) -> Float[Array, "runs t"]:
    """Losses of a few replicas in step with each other, layers as batched matrix products."""
    import torch

    kind = {"device": network.device, "dtype": getattr(torch, network.precision)}
    d, m, outputs = network.inputs.shape[1], network.width, data.n_outputs

    def tensor(values: Array) -> Any:
        return torch.as_tensor(values).to(**kind)

    x, y = tensor(network.inputs / np.sqrt(d)), tensor(np.array(data.targets))
    weights = [np.stack([rng.standard_normal(shape) for rng in drawn]) for shape in ((d, m), (m, outputs))]
    rows, kick = method.update(0.0, *method.hyperparameters)
    # At a = 0 nothing pulls: a method at rest must stay where it is, wherever that is.
    if [float(row[0]) for row in rows] != [1.0] + [0.0] * (len(kick) - 1):
        raise TypeError(f"method {method!r} does not rest at a constant point; the network rung cannot run it")
    # One list of states for each layer: the weights, then the method's memory.
    layers = [[tensor(w)] + [torch.zeros_like(tensor(w)) for _ in kick[1:]] for w in weights]
    rate, root = method.learning_rate * factor, m**-0.5
    index = _sources(data, method, children)

    def output(inputs: Any) -> tuple[Any, Any]:
        hidden = torch.relu(inputs @ layers[0][0])
        return hidden, hidden @ layers[1][0] * root

    with torch.no_grad():
        # y + g_0: learning it from g is learning y from g - g_0.
        targets = y + output(x)[1]
        recorded = []
        last = int(kept[-1])
        for t in range(last + 1):
            if t == kept[len(recorded)]:
                misfit = (output(x)[1] - targets).double()
                recorded.append(0.5 * (misfit**2).sum(dim=(1, 2)) / data.n_samples)
            if t == last:
                break
            batch = torch.as_tensor(next(index)).to(network.device)
            sample = x[batch]
            hidden, guess = output(sample)
            misfit = guess - torch.gather(targets, 1, batch[:, :, None].expand_as(guess))
            misfit *= root / batch.shape[1]
            back = misfit @ layers[1][0].transpose(1, 2) * (hidden > 0.0)
            for layer, left, right in ((layers[0], sample, back), (layers[1], hidden, misfit)):
                _advance(layer, rows, kick, rate, left.transpose(1, 2), right)
        losses = torch.stack(recorded, dim=1).cpu().numpy()
    return np.where(np.isnan(losses), np.inf, losses)


def _advance(layer: list[Any], rows: Any, kick: Any, rate: float, left: Any, right: Any) -> None:
    """One step, in place, of the weights of a layer and their memory: T(0) x - rate * kick * (left @ right)."""
    if len(layer) == 2 and tuple(kick) == (1, 1) and rows[0][1] == rows[1][1] and rows[1][0] == 0.0:
        # Heavy ball: w' = w + v', and the product goes straight into v'. This is where the time goes.
        weights, velocity = layer
        velocity.baddbmm_(left, right, beta=float(rows[1][1]), alpha=-rate)
        weights.add_(velocity)
        return
    gradient, new = left @ right, []
    for row, share in zip(rows, kick, strict=True):
        value = gradient * (-rate * float(share))
        for factor, state in zip(row, layer, strict=True):
            value.add_(state, alpha=float(factor))
        new.append(value)
    layer[:] = new
