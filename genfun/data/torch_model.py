"""A torch model as the linear model that it is near its present parameters: the one reader of data with torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from genfun import _check
from genfun._typing import Array

KINDS = ("ntk", "ntk_shared", "last_layer")
EXACTLY_SHARED = 1e-5
"""Share of a several-output kernel that may lie outside K x identity before it no longer counts as that."""

PRODUCTS_ONLY = {"cpu": 1e15, "other": 1e18}
"""Multiplications of a tangent kernel, n^2 x outputs x parameters, beyond which it is refused: some hours' work."""

BY_PRODUCTS = (
    "gf.LinearProblem.from_operator(K, targets - K.start, n_samples=n) with K = gf.data.torch_operator(model, inputs)"
)

FEW = 16
"""Samples at least on which that share is measured."""

Function = Callable[[dict[str, Any], Any], Any]


def read_model(
    model: Any,
    inputs: Any,
    targets: Any,
    kind: str,
    chunk: int,
    memory_limit: int,
    device: str | None,
    same_shape: bool = False,
) -> tuple[Literal["kernel", "features"], Array, Array, tuple[str, ...]]:
    """Kernel or features of the linearised model, the targets minus its present outputs, and notes.

    Parameters
    ----------
    model, inputs, targets, kind, chunk, memory_limit, device
        As in `LinearData.from_torch`.
    same_shape : bool
        Whether targets must have the shape of the outputs, as for a loss function of torch, which broadcasts others.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "LinearData.from_torch needs torch; install it with: pip install 'genfun[experiments]'"
        ) from error
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    _check.choice("kind", kind, KINDS)
    chunk = _check.integer("chunk", chunk, 1)
    memory_limit = _check.integer("memory_limit", memory_limit, 0)
    everything = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not everything or (not trained and kind != "last_layer"):
        raise ValueError("model has no parameter with requires_grad=True, so nothing in it is trained")
    where = next(iter(everything.values())).device if device is None else torch.device(device)
    floats = next((p.dtype for p in everything.values() if p.is_floating_point()), torch.float32)
    floats = torch.float64 if floats == torch.float64 else torch.float32
    x, y = samples(inputs, targets, chunk)
    x = x.to(where, floats) if x.is_floating_point() else x.to(where)
    state = {
        name: value.detach().to(where, floats if value.is_floating_point() else value.dtype)
        for name, value in everything.items()
    }

    def function(parameters: dict[str, Any], batch: Any) -> Any:
        return torch.func.functional_call(model, {**state, **parameters}, (batch,))

    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            start = torch.cat([function({}, piece) for piece in x.split(chunk)])
        residual = left_to_learn(y, start, same_shape)
        start = start[:, None] if start.ndim == 1 else start
        if kind == "last_layer":
            features = _last_layer(model, function, x.split(chunk), start)
            return "features", features, residual, ("linear in the last layer only; the layers below it are frozen",)
        parameters = {name: state[name] for name in trained}
        kernel, notes = _kernel(function, parameters, x, start.shape[1], kind, chunk, memory_limit)
        return "kernel", kernel, residual, notes
    finally:
        for module, mode in training.items():
            module.train(mode)


def samples(inputs: Any, targets: Any, chunk: int = 64) -> tuple[Any, Any]:
    """All inputs and targets as two tensors.

    Parameters
    ----------
    inputs : tensor, array, Dataset or DataLoader
        The latter two of pairs.
    targets : tensor, array or None
    chunk : int
        Samples that are read together.
    """
    import torch
    from torch.utils.data import DataLoader, Dataset

    if isinstance(inputs, Dataset):
        inputs = DataLoader(inputs, batch_size=chunk, shuffle=False)
    if isinstance(inputs, DataLoader):
        if targets is not None:
            raise ValueError("targets must be None where inputs is a Dataset or DataLoader, which has its own")
        pairs = list(inputs)
        if not pairs or not all(isinstance(p, (tuple, list)) and len(p) == 2 for p in pairs):
            raise ValueError(
                "inputs must yield pairs (inputs, targets), and at least one; wrap the Dataset so that it does"
            )
        x, y = torch.cat([p[0] for p in pairs]), torch.cat([p[1] for p in pairs])
    else:
        if targets is None:
            raise ValueError("targets is None; pass them, or a Dataset or DataLoader of pairs as inputs")
        # Arrays are copied: torch takes no read-only memory.
        x, y = (
            v if isinstance(v, torch.Tensor) else torch.tensor(np.array(_check.plain(name, v)))
            for name, v in (("inputs", inputs), ("targets", targets))
        )
    if x.ndim == 0 or len(x) == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(f"inputs and targets must have one sample each, got shapes {tuple(x.shape)}, {tuple(y.shape)}")
    return x, y


def left_to_learn(y: Any, start: Any, same_shape: bool = False) -> Array:
    """What is left to learn, y - f_0, in float64, of shape (n, outputs).

    Parameters
    ----------
    y, start : tensor
        Targets and present outputs.
    same_shape : bool
        Whether a missing axis of length 1 is refused.
    """
    if same_shape and start.ndim + y.ndim == 3 and start.numel() == y.numel() and len(y) > 1:
        raise ValueError(
            f"targets must have the shape of the model's outputs {tuple(start.shape)}, got {tuple(y.shape)}, which "
            f"the loss function broadcasts to {len(y)} x {len(y)}; pass targets of that shape, e.g. "
            f"targets{'[:, None]' if y.ndim == 1 else '[:, 0]'}"
        )
    start = start[:, None] if start.ndim == 1 else start
    y = y[:, None] if y.ndim == 1 else y
    if y.is_complex() or tuple(y.shape) != tuple(start.shape):
        raise ValueError(
            f"targets must be real with the shape of the model's outputs {tuple(start.shape)}, got {tuple(y.shape)}; "
            "class numbers must be one-hot encoded, e.g. torch.nn.functional.one_hot(y).double()"
        )
    return y.double().cpu().numpy() - start.double().cpu().numpy()


def _last_layer(model: Any, function: Function, pieces: Any, start: Any) -> Array:
    """Inputs of the Linear that is called last, with a column of ones for its bias."""
    import torch

    seen: list[tuple[Any, Any]] = []
    handles = [
        module.register_forward_pre_hook(lambda module, arguments: seen.append((module, arguments[0])))
        for module in model.modules()
        if isinstance(module, torch.nn.Linear)
    ]
    features, layers = [], set()
    try:
        with torch.no_grad():
            for piece in pieces:
                seen.clear()
                function({}, piece)
                if not seen:
                    raise ValueError("model calls no torch.nn.Linear; use kind='ntk'")
                layers.add(seen[-1][0])
                features.append(seen[-1][1].detach())
    finally:
        for handle in handles:
            handle.remove()
    layer, h = layers.pop(), torch.cat(features)
    weight = layer.weight.detach().to(h.device, h.dtype)
    bias = None if layer.bias is None else layer.bias.detach().to(h.device, h.dtype)
    if h.ndim == 2 and layer.out_features == start.shape[1]:
        again = torch.nn.functional.linear(h, weight, bias)
        if torch.allclose(again, start, rtol=1e-3, atol=1e-4 * float(start.abs().max())):
            ones = [] if bias is None else [torch.ones(len(h), 1, dtype=h.dtype, device=h.device)]
            return torch.cat([h, *ones], dim=1).cpu().numpy()
    raise ValueError(
        f"model must end in a torch.nn.Linear whose output it returns, but the last one called takes {tuple(h.shape)} "
        f"and the model returns {tuple(start.shape)} with other values; remove what follows it (softmax, scaling), "
        "or use kind='ntk'"
    )


def derivatives(function: Function, parameters: dict[str, Any], outputs: int) -> Callable[[Any], list[Any]]:
    """The function from samples to the derivatives of their outputs: (samples, outputs, size) for each parameter.

    Parameters
    ----------
    function : callable
        From parameters and samples to outputs.
    parameters : dict
        Those that are trained.
    outputs : int
        Outputs of a sample.
    """
    import torch

    def one(p: dict[str, Any], sample: Any) -> Any:
        return function(p, sample[None]).reshape(-1)

    jacobian = torch.func.vmap(torch.func.jacrev(one), in_dims=(None, 0))

    def rows(piece: Any) -> list[Any]:
        return [part.detach().reshape(len(piece), outputs, -1) for part in jacobian(parameters, piece).values()]

    return rows


def _kernel(
    function: Function, parameters: dict[str, Any], x: Any, outputs: int, kind: str, chunk: int, memory_limit: int
) -> tuple[Array, tuple[str, ...]]:
    """The empirical tangent kernel (n, n), in the model's own precision, which bounds what its eigenvalues mean."""
    import torch

    parts = derivatives(function, parameters, outputs)

    def rows(piece: Any) -> Any:
        return torch.cat(parts(piece), dim=2)

    _refuse_size(len(x), outputs, sum(p.numel() for p in parameters.values()), x.device.type)
    n, dtype = len(x), next(iter(parameters.values())).dtype
    size = outputs * sum(p.numel() for p in parameters.values()) * 8
    chunk = max(1, min(chunk, memory_limit // (2 * size)))
    held = max(1, min(-(-n // chunk), memory_limit // size // chunk)) * chunk
    kernel = np.empty((n, n))
    notes = (f"tangent kernel at the model's present parameters ({size // (8 * outputs)} trained)",)
    for i in range(0, n, held):
        left = torch.cat([rows(piece) for piece in x[i : i + held].split(chunk)]).double()
        if i == 0 and outputs > 1:
            seen = left[: max(chunk, FEW)]
            apart = _outside(seen, seen)
            _refuse(kind, apart, outputs)
            notes += (
                f"one kernel for all outputs; {apart:.2g} of the tangent kernel of the first {len(seen)} samples "
                "(Frobenius) is left out",
            )
        for j in range(0, min(i + held, n), chunk):
            # Within the block held nothing is differentiated again.
            right = left[j - i : j - i + chunk] if j >= i else rows(x[j : j + chunk]).double()
            if outputs > 1 and kind == "ntk":
                _refuse(kind, _outside(left, right), outputs)
            block = (left.flatten(1) @ right.flatten(1).T / outputs).cpu().numpy()
            kernel[i : i + held, j : j + chunk] = block
            kernel[j : j + chunk, i : i + held] = block.T
    return kernel.astype(str(dtype).removeprefix("torch.")), notes


def _outside(left: Any, right: Any) -> float:
    """Share of a block of the several-output kernel (Frobenius) that lies outside K x identity."""
    import torch

    full = torch.einsum("iop,jqp->ijoq", left, right)
    total = float((full**2).sum())
    mean = torch.einsum("ijoo->ij", full) / full.shape[2]
    rest = max(total - full.shape[2] * float((mean**2).sum()), 0.0)
    return float(np.sqrt(rest / total)) if total > 0.0 else 0.0


def _refuse_size(n: int, outputs: int, parameters: int, device: str) -> None:
    """Refuse kernels that would take hours, and arrays that no machine holds."""
    work = float(n) ** 2 * outputs * parameters
    if work > PRODUCTS_ONLY.get(device, PRODUCTS_ONLY["other"]):
        raise ValueError(
            f"inputs and model ask for a tangent kernel of {n} x {n} samples with {outputs} outputs and {parameters} "
            f"trained parameters, {work:.1g} multiplications; use {BY_PRODUCTS}, which makes none, or fewer samples"
        )


def _refuse(kind: str, apart: float, outputs: int) -> None:
    if kind == "ntk" and apart > EXACTLY_SHARED:
        raise ValueError(
            f"the tangent kernel differs between the {outputs} outputs or couples them: {apart:.2g} of it (Frobenius) "
            "lies outside K x identity, and batches of samples are no batches of its rows; use kind='last_layer' "
            "(exact), kind='ntk_shared' (K alone), or a model with one output"
        )
