"""The tangent kernel of a torch model as an operator: one vjp and one jvp a product, and no matrix."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from genfun import _check
from genfun._typing import Array, Float
from genfun.data.torch_model import derivatives

HELD = 1 << 28
"""Bytes for the derivatives of single samples."""


class TorchOperator:
    r"""v -> J J^T v / N of a torch model at its present parameters; made by `torch_operator`.

    Parameters
    ----------
    model : torch.nn.Module
    inputs : tensor
        On the device and in the type of the model.
    state : dict
        All parameters and buffers, detached.
    trained : tuple of str
        Names of the parameters that J differentiates by.
    chunk : int
        Samples in a pass.

    Attributes
    ----------
    start : array, shape (n,) or (n, outputs)
        The model's present outputs f_0.

    Examples
    --------
    >>> import torch
    >>> torch_operator(torch.nn.Linear(3, 2), torch.ones(5, 3))
    TorchOperator(5 samples, 2 outputs, 8 parameters)
    """

    def __init__(self, model: Any, inputs: Any, state: dict[str, Any], trained: tuple[str, ...], chunk: int) -> None:
        import torch

        self._model, self._state, self._trained = model, state, trained
        self._pieces = inputs.split(chunk)
        with torch.no_grad():
            outputs = torch.cat([self._call({}, piece) for piece in self._pieces])
        if outputs.ndim not in (1, 2) or len(outputs) != len(inputs):
            raise ValueError(
                f"model must return (batch,) or (batch, outputs), got {tuple(outputs.shape)} for {len(inputs)} samples"
            )
        self.start: Float[Array, "..."] = outputs.double().cpu().numpy()
        self._torch_dtype = outputs.dtype

    def __repr__(self) -> str:
        size = sum(self._state[name].numel() for name in self._trained)
        return f"TorchOperator({self.n_samples} samples, {self.outputs} outputs, {size} parameters)"

    @property
    def n_samples(self) -> int:
        """N."""
        return len(self.start)

    @property
    def outputs(self) -> int:
        """Outputs of a sample."""
        return 1 if self.start.ndim == 1 else self.start.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """A row for each output of each sample, outputs fastest."""
        return self.start.size, self.start.size

    def _call(self, parameters: dict[str, Any], piece: Any) -> Any:
        import torch

        training = [(module, module.training) for module in self._model.modules()]
        self._model.eval()
        try:
            return torch.func.functional_call(self._model, {**self._state, **parameters}, (piece,))
        finally:
            for module, mode in training:
                module.training = mode

    def matvec(self, v: Float[Array, " n"]) -> Float[Array, " n"]:
        """J J^T v / N.

        Parameters
        ----------
        v : array, shape (n * outputs,)
            One number an output of a sample, in the model's own precision from here on.
        """
        import torch

        parameters = {name: self._state[name] for name in self._trained}
        where = next(iter(parameters.values())).device
        whole = torch.as_tensor(np.array(v, dtype=np.float64)).to(where, self._torch_dtype).reshape(self.start.shape)
        weights = whole.split(len(self._pieces[0]))
        # g = J^T v over all samples, then J g a chunk at a time.
        gradient: dict[str, Any] = {name: torch.zeros_like(p) for name, p in parameters.items()}
        for piece, weight in zip(self._pieces, weights, strict=True):
            leaves = {name: p.clone().requires_grad_() for name, p in parameters.items()}
            out = self._call(leaves, piece)
            parts = torch.autograd.grad(out, tuple(leaves.values()), weight, allow_unused=True)
            for name, part in zip(leaves, parts, strict=True):
                if part is not None:
                    gradient[name] += part
        with warnings.catch_warnings():
            # On its first use torch scripts its own forward derivatives, by a function of its own that it deprecates.
            warnings.simplefilter("ignore", DeprecationWarning)
            rows = [
                torch.func.jvp(lambda p, x=piece: self._call(p, x), (parameters,), (gradient,))[1].detach()
                for piece in self._pieces
            ]
        return (torch.cat(rows) / self.n_samples).flatten().cpu().numpy()

    def sample_blocks(self) -> Float[Array, "n outputs outputs"]:
        """J_i J_i^T / N of each sample, from which `LinearProblem.from_operator` has the constants of the noise.

        One backward pass an output of a sample, and memory for the derivatives of a few samples.
        """
        import torch

        parameters = {name: self._state[name] for name in self._trained}
        rows = derivatives(self._call, parameters, self.outputs)
        size = self.outputs * sum(p.numel() * p.element_size() for p in parameters.values())
        few = max(1, min(len(self._pieces[0]), HELD // size))
        blocks = []
        for piece in (part for whole in self._pieces for part in whole.split(few)):
            blocks.append(sum(torch.einsum("iap,ibp->iab", part, part) for part in rows(piece)) / self.n_samples)
        return torch.cat(blocks).double().cpu().numpy()


def torch_operator(model: Any, inputs: Any, chunk: int = 256, device: str | None = None) -> TorchOperator:
    r"""The operator v -> J J^T v / N of a torch model, for `LinearProblem.from_operator`.

    .. math:: \frac{1}{N} J (J^T v),\qquad J_{io,p} = \partial f_o(x_i)/\partial\theta_p

    **Learning rate.** As for `LinearData.from_torch`: that of plain SGD on the loss sum |f - y|^2 / (2 b) of a batch
    of b; for `torch.nn.MSELoss` with o outputs it is 2/o times torch's.

    **Assumptions.** Squared loss and SGD on the parameters that require gradients, linearised at the present ones. Eval
    mode: no dropout, batch normalisation with its running statistics. All outputs together, with the kernel that
    couples them: the mean of the residuals is that of the linearised model exactly. A product costs about one training
    pass over the samples and a forward-mode one; memory is that of a pass over a chunk.

    Parameters
    ----------
    model : torch.nn.Module
        Maps inputs (batch, ...) to outputs (batch,) or (batch, outputs). It is not changed.
    inputs : tensor or array, shape (n, ...)
        Samples.
    chunk : int
        Samples in a pass.
    device : str or None
        Where to compute; None means where the model is.

    Returns
    -------
    TorchOperator
        With `.matvec`, `.shape` and the present outputs `.start`, to be taken off the targets.

    Raises
    ------
    ValueError
        If nothing in the model is trained, or it does not return one row a sample.
    TypeError
        If model is not a torch module.
    ImportError
        Without torch.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> import genfun as gf
    >>> model = torch.nn.Linear(2, 1, bias=False).double()
    >>> K = gf.data.torch_operator(model, np.array([[2.0, 0.0], [0.0, 1.0]]))
    >>> K.matvec(np.ones(2))
    array([2. , 0.5])
    >>> p = gf.LinearProblem.from_operator(K, np.ones((2, 1)) - K.start, n_samples=2)
    >>> round(p.lambda_max, 12)
    2.0
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError("torch_operator needs torch; install it with: pip install 'genfun[experiments]'") from error
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    chunk = _check.integer("chunk", chunk, 1)
    everything = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    trained = tuple(name for name, p in model.named_parameters() if p.requires_grad)
    if not trained:
        raise ValueError("model has no parameter with requires_grad=True, so nothing in it is trained")
    dtype = everything[trained[0]].dtype
    where = everything[trained[0]].device if device is None else torch.device(device)
    x = inputs if isinstance(inputs, torch.Tensor) else torch.tensor(np.array(_check.plain("inputs", inputs)))
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"inputs must hold at least one sample, got shape {tuple(x.shape)}")
    x = x.detach().to(where, dtype) if x.is_floating_point() else x.to(where)
    state = {name: value.detach().to(where) for name, value in everything.items()}
    return TorchOperator(model, x, state, trained, chunk)
