"""The constants of the bounds on steps, estimated from a torch model where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genfun import _check
from genfun.answers.batch.bounds import SmoothConstants

if TYPE_CHECKING:
    import torch


def smooth_constants(
    model: torch.nn.Module,
    criterion: Any,
    samples: Any,
    n_samples: int | None = None,
    infimum: float = 0.0,
    chunk_size: int | None = None,
) -> SmoothConstants:
    r"""L, sigma^2 and Delta of a model's loss at its present parameters.

    .. math:: L\approx\max_k|\lambda_k(\nabla^2 f)|,\qquad \sigma^2=\frac{1}{N-1}\sum_i|\nabla f_i-\nabla f|^2,\qquad
              \Delta = f - \inf f

    **Assumptions.** Local values: the curvature (by power iteration, to about 1 %) and the scatter of the gradients may
    grow along training, and then the bounds fail. The criterion is a mean over samples.

    Parameters
    ----------
    model : torch.nn.Module
        As it is initialised.
    criterion : callable
        (outputs, targets) -> mean loss.
    samples : (tensor, tensor), Dataset or callable
        Inputs and targets, or a function of sample numbers that returns them.
    n_samples : int or None
        N, needed where `samples` is a callable.
    infimum : float
        Lower bound of the loss.
    chunk_size : int or None
        Samples differentiated at once; None keeps to some 100 MB.

    Returns
    -------
    SmoothConstants

    Raises
    ------
    ValueError
        If the loss lies at or below the infimum, or the model has no curvature there.

    References
    ----------
    The definitions are those of arXiv 2402.15344.

    Examples
    --------
    >>> import torch
    >>> from genfun.answers.batch.bounds import constant_rate_bound
    >>> x = torch.tensor([[1.0], [-1.0], [2.0]])
    >>> layer = torch.nn.Linear(1, 1, bias=False)
    >>> _ = layer.weight.data.fill_(1.0)
    >>> c = smooth_constants(layer, torch.nn.MSELoss(), (x, torch.zeros(3, 1)))
    >>> c.smoothness, c.gradient_noise, c.gap
    (4.0, 12.0, 2.0)
    """
    import torch

    from genfun.optim.curvature import largest_curvature
    from genfun.optim.sample_gradients import SampleGradients, Scatter
    from genfun.optim.source import batch_source

    source, count = batch_source(samples, n_samples)
    gradients = SampleGradients(model, criterion, source, chunk_size)
    index = torch.arange(count)
    scatter = Scatter(gradients)
    scatter.add(index)
    floor = _check.number("infimum", infimum)
    if scatter.loss <= floor:
        raise ValueError(f"infimum must lie below the present loss {scatter.loss:.6g}, got {floor:.6g}; lower it")
    return SmoothConstants(largest_curvature(gradients, index), scatter.variance, scatter.loss - floor)
