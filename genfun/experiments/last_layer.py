"""The last layer of a torch model under cross-entropy, as a linear probe on the features before it."""

from __future__ import annotations

from typing import Any

import numpy as np

from genfun.data.torch_model import read_model, samples
from genfun.softmax.data import MOST_WEIGHTS, SEARCH_CURVATURE, SoftmaxData, most_features

MOST_WORK = 1e8
"""Samples times features times squared classes: with more a search would take many minutes: features are projected."""
LEAST_FEATURES = 3


def check_cross_entropy(loss_fn: Any, head: Any) -> None:
    """Refuse what no prediction is derived for.

    Parameters
    ----------
    loss_fn : torch.nn.CrossEntropyLoss
    head : torch.nn.Linear or None
        The one layer that is trained, if that is all.
    """
    if loss_fn.reduction != "mean":
        raise ValueError(
            f"loss_fn.reduction must be 'mean', got {loss_fn.reduction!r}; use CrossEntropyLoss(), and divide the "
            "learning rate by the batch size for a sum"
        )
    if loss_fn.weight is not None:
        raise ValueError(
            "loss_fn.weight must be None: weighted classes are not derived; repeat samples of rare classes"
        )
    if head is None:
        raise TypeError(
            "loss_fn is a CrossEntropyLoss, which is predicted where the last torch.nn.Linear alone is trained; freeze "
            "the layers below it by requires_grad_(False), or pass torch.nn.MSELoss() with one-hot targets, if that is "
            "what you train: no fixed factor takes settings for squared loss to cross-entropy"
        )


def in_training(model: Any) -> tuple[str, ...]:
    """A note about layers that act otherwise in training, which no prediction sees; none where all are as in eval mode.

    Parameters
    ----------
    model : torch.nn.Module
    """
    from torch import nn

    norms = nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm
    drops = nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout
    found = {
        type(module).__name__
        for module in model.modules()
        if module.training and (isinstance(module, norms) or (isinstance(module, drops) and module.p > 0.0))
    }
    if not found:
        return ()
    those = "layers of this kind" if len(found) == 1 else "layers of these kinds"
    return (
        f"{' and '.join(sorted(found))} in training mode: {those} are taken as in eval mode, so that losses of "
        "training will differ; call .eval() on frozen ones before you train",
    )


def probe_of(
    model: Any, inputs: Any, targets: Any, head: Any, memory_limit: int, loss_fn: Any
) -> tuple[SoftmaxData, tuple[str, ...]]:
    """Features before the last layer and its present weights, and what was done to them.

    Parameters
    ----------
    model : torch.nn.Module
    inputs, targets : tensor, array, Dataset or DataLoader
        As for `genfun.suggest`; the targets are class numbers.
    head : torch.nn.Linear
        The layer that is trained.
    memory_limit : int
    loss_fn : torch.nn.CrossEntropyLoss
        Its label smoothing is kept, and no target may be its ignore_index.
    """
    x, y = samples(inputs, targets)
    ignore_index, smoothing = loss_fn.ignore_index, float(loss_fn.label_smoothing)
    count = head.out_features
    labels = y.cpu().numpy()
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"targets must be class numbers, one integer a sample, got {y.dtype} of shape {tuple(y.shape)}; of one-hot "
            "rows pass .argmax(1)"
        )
    if ignored := int((labels == ignore_index).sum()):
        raise ValueError(
            f"loss_fn.ignore_index must not be a target, got {ignore_index}, which {ignored} "
            "samples have: ignored samples are not derived, which batches differ in; leave these samples out"
        )
    if labels.min() < 0 or labels.max() >= count:
        raise ValueError(
            f"targets must be class numbers from 0 to {count - 1}, the outputs of the model, got {labels.min()} to "
            f"{labels.max()}"
        )
    if count < 2:
        raise ValueError(f"model must have an output for each of two classes or more, got {count}")
    _, features, _, _ = read_model(model, x, np.eye(count)[labels], "last_layer", 64, memory_limit, None)
    start = head.weight.detach().double().cpu().numpy().T
    if head.bias is not None:
        start = np.vstack([start, head.bias.detach().double().cpu().numpy()])
    X, notes = features.astype(np.float64), ()
    most = most_features(len(X), count, MOST_WORK)
    if len(X) * count**2 > SEARCH_CURVATURE:
        most = min(most, MOST_WEIGHTS // (count - 1))
    if most < LEAST_FEATURES:
        raise ValueError(
            f"model has {count} outputs and {len(X)} samples are given, for which a search would take hours; pass "
            "fewer samples of each class"
        )
    if X.shape[1] > most:
        _, size, turn = np.linalg.svd(X, full_matrices=False)
        X, start = X @ turn[:most].T, turn[:most] @ start
        kept = float((size[:most] ** 2).sum() / (size**2).sum())
        notes = (
            f"the {features.shape[1]} features were projected on their {most} leading directions, which hold "
            f"{100.0 * kept:.4g} % of their squares: trust the settings more than the loss, which all features bring "
            "lower in many steps",
        )
    return SoftmaxData(X, labels.astype(np.int64), tuple(range(count)), start, smoothing), notes
