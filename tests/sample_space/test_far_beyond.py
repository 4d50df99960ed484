"""Far beyond the edge of stability the predicted loss keeps its sign and its order, and says that digits are lost."""

from __future__ import annotations

import numpy as np

import genfun as gf


def test_a_rate_that_is_a_hundred_million_times_too_large_gives_no_negative_loss():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2)) * [5e4, 15.0]
    data = gf.LinearData.from_features(X, X @ [1e-5, 0.1] + rng.standard_normal(60))
    steps = np.arange(0, 90)
    for rate in (1e-2, 0.1):
        found = gf.predict(data, gf.SGD(rate, batch_size=4), steps)
        assert found.status == "diverges"
        assert (found.loss > 0.0).all()
        assert np.isfinite(found.log_loss).all()
        # A step multiplies the loss by what it does without noise, exp(34) and exp(38), and at most ten times more;
        # of such a rate doubles leave about exp(37).
        quiet = gf.predict(data, gf.SGD(rate), steps)
        np.testing.assert_allclose(found.log_loss[1:], quiet.log_loss[1:], rtol=0.08)
        assert (found.error[1:] > 1e-4).all()
    near = gf.predict(data, gf.SGD(2.0 / data.eigenvalues[0], batch_size=4), 20)
    assert float(near.error) < 1e-9
