"""How far a few vectors are from the noise of the data: estimates for any setting, remembered."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from genfun.methods.base import Method
from genfun.sample_space.measured import MeasuredNoise
from genfun.sample_space.residuals import edge_residual, loss_residual
from genfun.sample_space.streamed import features_of

_KNOWN: WeakKeyDictionary[MeasuredNoise, dict[Any, float]] = WeakKeyDictionary()


def edge_error(data: Any, noise: MeasuredNoise, method: Method) -> float:
    """Estimated relative error of `MeasuredNoise.edge`, by one product with the exact operator.

    **Assumptions.** An estimate: a vector of the exact operator that the basis does not see at all is not seen here.
    The edge itself is never too small.

    Parameters
    ----------
    data : Any
        The data the noise was measured on.
    noise : MeasuredNoise
    method : Method
        Its learning rate is ignored.

    Examples
    --------
    >>> import genfun as gf
    >>> from genfun.sample_space.measured import measure_noise
    >>> d = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], n_samples=100, seed=0)
    >>> edge_error(d, measure_noise(d), gf.SGD(1.0, momentum=0.5, batch_size=4)) < 1e-3
    True
    """
    known, key = _KNOWN.setdefault(noise, {}), ("edge", method)
    if key not in known:
        features = features_of(data)
        known[key] = 0.0 if noise.sampling(method) == 0.0 else edge_residual(features, noise, method).error
    return known[key]


def loss_error(data: Any, noise: MeasuredNoise, method: Method, step: int) -> float:
    """Estimated relative error of the projected loss about a step, by two products with the exact operator.

    **Assumptions.** As for `edge_error`. Within 5 % of the edge single losses may err by several times as much.

    Parameters
    ----------
    data : Any
        The data the noise was measured on.
    noise : MeasuredNoise
    method : Method
    step : int
        t.
    """
    known, key = _KNOWN.setdefault(noise, {}), (step, method)
    if key not in known:
        exact = step == 0 or noise.sampling(method) == 0.0
        features = features_of(data)
        known[key] = 0.0 if exact else loss_residual(data, features, noise, method, step)[1]
    return known[key]
