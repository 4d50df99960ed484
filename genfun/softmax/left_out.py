"""How much of the batch noise a covariance in blocks leaves out."""

from __future__ import annotations

import numpy as np

from genfun.softmax.apart import logit_variance
from genfun.softmax.averages import linearise, log_p_of, logit_covariance
from genfun.softmax.data import SoftmaxData
from genfun.softmax.flow import start

SAMPLES = 500
"""Whose logits are looked at."""


def left_out(data: SoftmaxData) -> float:
    r"""Of the variance that the first step gives each sample's logit of its own class, the share that blocks miss.

    .. math:: 1 - \frac{\sum_i x_i^T \hat S_{y_i} x_i}{\sum_i x_i^T S_{y_i} x_i},\qquad
              x_i^TS_cx_i = \frac1N\sum_s (x_i^Tx_s)^2r_{sc}^2 - \Big(\frac1N\sum_s x_i^Tx_s\,r_{sc}\Big)^2

    with S^ the noise in blocks, S all of it: derived here. 0 of a whole covariance.

    Parameters
    ----------
    data : SoftmaxData
        In its eigenfeatures.
    """
    if data.blocks[0] == 1:
        return 0.0
    first = start(data)
    near = linearise(data, first.mean[0], first.covariance[0, 0])
    rest = np.exp(log_p_of(data.logits(first.mean[0]))) - data.targets
    each = np.linspace(0, data.n_samples - 1, min(SAMPLES, data.n_samples)).astype(int)
    mine, count = data.labels[each], len(data.classes)
    products = data.features[each] @ data.features.T
    some = (products**2 @ rest**2 - (products @ rest) ** 2 / data.n_samples)[np.arange(each.size), mine]
    if data.apart(near.noise):
        spread = logit_variance(data, near.noise)[each]
        kept = (1.0 - 2.0 / count) * spread[np.arange(each.size), mine] + spread.sum(axis=1) / count**2
    else:
        towards = data.basis[mine]
        kept = np.einsum("na,nab,nb->n", towards, logit_covariance(data, near.noise)[each], towards)
    total = some.sum() / data.n_samples
    return float(np.clip(1.0 - kept.sum() / total, 0.0, 1.0)) if total > 0.0 else 0.0
