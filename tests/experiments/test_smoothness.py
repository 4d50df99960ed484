"""Constants of the bounds from a torch model agree with those of the linear problem that it is."""

from __future__ import annotations

import pytest

import genfun as gf
from genfun.answers.batch.bounds import SmoothConstants

torch = pytest.importorskip("torch")

from genfun.experiments.networks.smoothness import smooth_constants  # noqa: E402


def half_squares(outputs, targets):
    return 0.5 * ((outputs - targets) ** 2).sum(dim=1).mean()


def linear_model(n=40, d=6):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    y = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    layer = torch.nn.Linear(d, 1, bias=False, dtype=torch.float64)
    torch.nn.init.zeros_(layer.weight)
    return layer, x, y


def test_a_linear_model_has_the_constants_of_its_problem():
    layer, x, y = linear_model()
    c = smooth_constants(layer, half_squares, (x, y))
    problem = gf.LinearData.from_features(x.numpy(), y.numpy()).problem
    # Power iteration stops when it moves by less than 1 %.
    assert c.smoothness == pytest.approx(problem.lambda_max, rel=0.03)
    assert c.gap == pytest.approx(0.5 * (problem.signal_total + problem.noise_variance), rel=1e-12)
    gradients = -(x * y)
    scatter = (gradients - gradients.mean(dim=0)).square().sum() / (len(x) - 1)
    assert c.gradient_noise == pytest.approx(float(scatter), rel=1e-12)


def test_the_lower_bound_of_the_loss_is_taken_off_and_must_lie_below_it():
    layer, x, y = linear_model()
    plain = smooth_constants(layer, half_squares, (x, y))
    assert smooth_constants(layer, half_squares, (x, y), infimum=0.1).gap == pytest.approx(plain.gap - 0.1)
    with pytest.raises(ValueError, match="infimum must lie below the present loss"):
        smooth_constants(layer, half_squares, (x, y), infimum=99.0)


def test_chunks_change_nothing():
    layer, x, y = linear_model()
    one, other = (smooth_constants(layer, half_squares, (x, y), chunk_size=size) for size in (None, 7))
    assert isinstance(one, SmoothConstants)
    assert one.gradient_noise == pytest.approx(other.gradient_noise, rel=1e-12)
    assert one.smoothness == pytest.approx(other.smoothness, rel=1e-9)
