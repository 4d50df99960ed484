"""Escape over a saddle: Kramers' formula and the odds of two minima, against simulation and independent arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest

import genfun as gf
from genfun.answers.escape.finite_barrier import Shape, anharmonicity
from genfun.answers.escape.two_minima import escape_time, minimum_odds
from genfun.experiments.simulation.escape import DoubleWell, occupation, passages

# Over a saddle


def setting(well, ratio, effective=0.02, momentum=0.0, batch=4):
    """The setting and gradient variance at which the left barrier is `ratio` temperatures."""
    left, saddle, _ = well.critical_points
    temperature = float(well.loss(saddle) - well.loss(left)) / ratio
    method = gf.SGD(effective * (1.0 - momentum), momentum, batch)
    return method, 2.0 * temperature * batch / effective


def formula(well, method, variance):
    left, saddle, _ = well.critical_points
    barrier = float(well.loss(saddle) - well.loss(left))
    return escape_time(well.hessian(left), well.hessian(saddle), barrier, method, variance)


def mean_passage(well, temperature):
    """Mean time from the left to the right minimum of the diffusion on a line: two nested integrals."""
    left, _, right = well.critical_points
    x = np.linspace(-2.2, right, 20_001)
    across = 0.0 if well.stiffness is None else 0.5 * temperature * np.log(well.across(x))
    f, dx = well.loss(x) + across, x[1] - x[0]
    inner = np.cumsum(np.exp(-f / temperature)) * dx
    outer = np.exp(f / temperature) * inner
    return float(outer[x >= left].sum() * dx / temperature)


def test_the_formula_for_the_double_well_by_hand():
    method, variance = setting(DoubleWell(2.0), 5.0)
    found = formula(DoubleWell(2.0), method, variance)
    assert found.temperature == pytest.approx(0.02 * variance / (2 * 4), rel=1e-12)
    assert found.barrier_ratio == pytest.approx(5.0, rel=1e-12)
    # Curvatures 4 and -2. Without momentum a displacement from the saddle grows by 1 + alpha |lambda| in a step.
    expected = 2.0 * math.pi / (math.sqrt(2.0) * math.log(1.04)) * math.exp(5.0 - 0.02 * (4.0 + 2.0) / 4.0)
    assert found.steps == pytest.approx(expected, rel=1e-12)
    assert found.log_steps == pytest.approx(math.log(found.steps), rel=1e-14)
    assert found.excess_loss == pytest.approx(0.02 * variance / (4 * 4) / (1.0 - 0.5 * 0.02 * 4.0), rel=1e-12)
    assert found.status == "ok"
    assert found.notes == ()


def test_the_formula_in_two_dimensions_takes_matrices_as_well_as_eigenvalues():
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    at_minimum, at_saddle = (turn @ np.diag(e) @ turn.T for e in ([2.0, 3.0], [-1.0, 0.75]))
    arguments = {"barrier": 1.0, "method": gf.SGD(0.01, batch_size=2), "gradient_variance": 50.0}
    found = escape_time(at_minimum, at_saddle, **arguments)
    assert found.steps == pytest.approx(escape_time([2.0, 3.0], [-1.0, 0.75], **arguments).steps, rel=1e-12)
    shift = 0.01 * (2.0 + 3.0 + 1.0 - 0.75) / 4.0
    expected = 2.0 * math.pi / math.log(1.01) * math.sqrt(0.75 / 6.0) * math.exp(8.0 - shift)
    assert found.steps == pytest.approx(expected, rel=1e-12)
    assert found.excess_loss == pytest.approx(0.01 * 50.0 / (4 * 2) * (1.0 / 0.99 + 1.0 / 0.985), rel=1e-12)


def test_batches_without_replacement_are_colder_and_the_full_batch_never_leaves():
    arguments = {"minimum": [2.0], "saddle": [-1.0], "barrier": 0.25, "gradient_variance": 5.0}
    half = escape_time(method=gf.SGD(0.02, batch_size=50), n_samples=100, **arguments)
    assert half.temperature == pytest.approx(0.5 * 0.02 * 5.0 * 50 / (99 * 50), rel=1e-12)
    for size in (None, 100):
        full = escape_time(method=gf.SGD(0.02, batch_size=size), n_samples=100, **arguments)
        assert (full.status, full.steps, full.excess_loss) == ("no noise", math.inf, 0.0)
    cold = escape_time(method=gf.SGD(0.01, batch_size=500), **arguments)
    assert (cold.status, cold.steps) == ("ok", math.inf)
    assert cold.log_steps == pytest.approx(5000.0 - 0.0075 + math.log(2.0 * math.pi / math.log(1.01) / math.sqrt(2.0)))


@pytest.mark.parametrize(
    ("rate", "momentum", "variance", "status"),
    [
        (0.02, 0.0, 5.0, "ok"),
        (0.02, 0.0, 6.5, "low barrier"),
        (0.24, 0.0, 0.4, "ok"),
        (0.26, 0.0, 0.4, "coarse steps"),
        (0.026, -0.9, 7.0, "coarse steps"),
        (0.2, 0.0, 0.05, "coarse steps"),
        (0.01, 0.9, 0.5, "coarse steps"),
        (0.095, -0.95, 1.0, "diverges"),
        (0.0501, -0.95, 1.0, "diverges"),
        (1.01, 0.0, 0.05, "diverges"),
        (1.9, 0.9, 0.001, "diverges"),
    ],
)
def test_what_lies_outside_the_range_is_said(rate, momentum, variance, status):
    found = escape_time([2.0], [-1.0], 0.25, gf.SGD(rate, momentum, 1), variance)
    assert found.status == status
    assert bool(found.notes) == (status != "ok")
    assert math.isnan(found.steps) == math.isinf(found.excess_loss) == (status == "diverges")


def chain_passage(rate, temperature, goal=0.5, points=700):
    """Mean steps of x -> x - rate f'(x) + noise past the goal in the well (x^2-1)^2/4, by the transition matrix."""
    x = np.linspace(-2.0, goal, points)
    centre, spread = x - rate * x * (x * x - 1.0), math.sqrt(2.0 * rate * temperature)
    kernel = np.exp(-0.5 * ((x - centre[:, None]) / spread) ** 2) * ((x[1] - x[0]) / math.sqrt(2.0 * math.pi) / spread)
    start = int(np.argmin(abs(x + 1.0)))
    return float(np.linalg.solve(np.eye(points) - kernel, np.ones(points))[start])


@pytest.mark.parametrize("tilt", [0.0, 0.05])
@pytest.mark.parametrize("steep", [0.0, -1.0986, 0.7])
def test_the_next_order_of_a_finite_barrier_is_that_of_the_diffusions_two_integrals(steep, tilt):
    # f = (x^2 - 1)^2/4 + tilt x, and ln k(x) = steep x + 0.3 x^2/2 across; out of the minimum on the right.
    left, top, start = np.sort(np.real(np.roots([1.0, 0.0, -1.0, tilt])))
    x = np.linspace(left, 2.6, 200_001)
    f, log_k = 0.25 * (x**2 - 1.0) ** 2 + tilt * x, steep * x + 0.15 * x**2
    dx = x[1] - x[0]

    def shape(at):
        return Shape(3.0 * at**2 - 1.0, 6.0 * at, 6.0, steep + 0.3 * at, 0.3)

    c, left_over = anharmonicity(shape(start), shape(top)), []
    barrier = float(np.interp(top, x, f) - np.interp(start, x, f))
    for temperature in (0.01, 0.005):
        effective = f / temperature + 0.5 * log_k
        inner = np.cumsum(np.exp(-effective)[::-1])[::-1] * dx
        way = (x <= start) & (x >= -0.6)
        exact = float((np.exp(effective[way]) * inner[way]).sum() * dx / temperature)
        curvatures = [
            [at.second, np.exp(steep * y + 0.15 * y**2)] for at, y in ((shape(start), start), (shape(top), top))
        ]
        rate = 1e-5
        variance = 2.0 * temperature / rate
        found = escape_time(*curvatures, barrier, gf.SGD(rate, batch_size=1), variance, anharmonicity=c)
        left_over.append(exact / (rate * found.steps) - 1.0)
        # Without it the time is off by c T.
        plain = escape_time(*curvatures, barrier, gf.SGD(rate, batch_size=1), variance)
        assert found.steps / plain.steps == pytest.approx(1.0 + c * temperature, rel=1e-12)
    # What is left is of second order: a quarter at half the temperature, but for the step of the grid and of the rate.
    assert abs(left_over[1]) < 0.3 * abs(left_over[0]) + 1e-4
    assert abs(left_over[0]) < 0.1 * c * 0.01


def test_an_anharmonicity_that_is_no_small_correction_is_refused():
    with pytest.raises(ValueError, match="small correction"):
        escape_time([2.0], [-1.0], 0.25, gf.SGD(0.02, batch_size=1), 5.0, anharmonicity=20.0)
    with pytest.raises(ValueError, match="must be positive"):
        anharmonicity(Shape(-1.0), Shape(-1.0))


@pytest.mark.other_kinds
def test_an_anharmonicity_of_no_shapes_is_refused_by_name():
    with pytest.raises(TypeError, match="saddle must be a Shape"):
        anharmonicity(Shape(1.0), (-1.0, 0.0))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"minimum\.second must be a real number"):
        anharmonicity(Shape("2"), Shape(-1.0))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("ratio", "large"), [(5.0, 0.2), (8.0, 0.1)])
def test_large_steps_change_the_time_of_the_discrete_iteration_as_the_formula_says(ratio, large):
    temperature, factors = 0.25 / ratio, []
    for rate in (0.02, large):
        found = escape_time([2.0], [-1.0], 0.25, gf.SGD(rate, batch_size=1), 2.0 * temperature / rate)
        factors.append(chain_passage(rate, temperature) / found.steps)
    # What the finite barrier adds cancels in the ratio; left are 0.1 r^2 barrier/T, where r = alpha, and as much again.
    left = 0.2 * large**2 * ratio
    assert factors[1] / factors[0] == pytest.approx(1.0, abs=left)
    # The term of order alpha and the growth of a step itself are each worth more than that.
    assert min(0.75 * (large - 0.02), 1.0 - math.log1p(large) / large - 0.01) > left


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "momentum"), [(0.024, -0.9), (0.002, 0.9)])
def test_momentum_of_both_signs_changes_the_time_of_large_steps_as_the_formula_says(rate, momentum):
    well = DoubleWell(1.0)
    method, variance = setting(well, 4.0, effective=rate / (1.0 - momentum), momentum=momentum)
    found = formula(well, method, variance)
    assert found.status == "ok"
    goal = well.critical_points[2]
    runs = passages(well.gradient, [-1.0], lambda x: x[:, 0] > goal, method, variance, 800, int(4 * found.steps))
    naive = 2.0 * math.pi / (method.effective_learning_rate * math.sqrt(2.0)) * math.exp(4.0)
    # The diffusion without the terms of order alpha, and how the formula says the iteration differs from it.
    exact = mean_passage(well, found.temperature) / method.effective_learning_rate
    change = found.steps / naive
    assert abs(change - 1.0) > 0.13
    assert runs.mean / exact == pytest.approx(change, abs=0.02 + 2.5 * runs.sem / exact)


@pytest.mark.parametrize(("rate", "momentum"), [(0.5, 0.0), (0.05, -0.9), (0.3, 0.8)])
def test_the_mean_loss_in_a_quadratic_minimum_is_that_of_the_recursion_with_label_noise(rate, momentum):
    # Label noise alone has a fixed variance sigma^2 lambda in each direction; tau1 tiny leaves nothing else.
    curvature, method = 1.5, gf.SGD(rate, momentum, 4)
    noise = gf.SpectrallyExpressible(1e-12, 0.0)
    loss = gf.predict(gf.LinearProblem([curvature], [0.0], noise_variance=2.0), method, 20_000, noise).loss - 1.0
    assert escape_time([curvature], [-1.0], 1.0, method, 2.0 * curvature).excess_loss == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize(
    ("minimum", "saddle", "barrier", "name"),
    [
        ([1.0, 0.0], [-1.0, 1.0], 1.0, "minimum"),
        ([1.0, 1.0], [-1.0, -1.0], 1.0, "saddle"),
        ([1.0, 1.0], [1.0, 1.0], 1.0, "saddle"),
        ([1.0], [-1.0, 1.0], 1.0, "dimension"),
        ([1.0], [-1.0], 0.0, "barrier"),
        ([[1.0, 2.0], [0.0, 1.0]], [-1.0, 1.0], 1.0, "symmetric"),
    ],
)
def test_what_is_no_minimum_or_saddle_is_refused(minimum, saddle, barrier, name):
    with pytest.raises(ValueError, match=name):
        escape_time(minimum, saddle, barrier, gf.SGD(0.1, batch_size=1), 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("well", "momentum"),
    [(DoubleWell(1.0), 0.0), (DoubleWell(1.0), -0.5), (DoubleWell(1.0, 0.05, (0.5, 2.0)), 0.0)],
    ids=["one dimension", "negative momentum", "two dimensions, tilted"],
)
def test_simulated_escapes_take_the_time_of_the_formula(well, momentum):
    method, variance = setting(well, 4.0, effective=0.03, momentum=momentum)
    expected = formula(well, method, variance)
    # The same temperature at steps so small that the terms of order alpha are gone.
    fine = formula(well, gf.SGD(1e-3 * method.learning_rate, momentum, 4), 1e3 * variance)
    start = np.zeros(well.dimension)
    start[0], goal = well.critical_points[[0, 2]]
    runs = passages(well.gradient, start, lambda x: x[:, 0] > goal, method, variance, 300, int(2 * expected.steps))
    exact = mean_passage(well, expected.temperature) / method.effective_learning_rate
    # Against the diffusion itself, changed by the steps as the formula says: 3 standard errors (6 % each) and 1 %.
    assert abs(runs.mean / exact / (1e3 * expected.steps / fine.steps) - 1.0) < 0.01 + 3.0 * runs.sem / runs.mean
    # At four temperatures the diffusion itself takes 10 to 15 % longer than the formula.
    assert exact / (1e-3 * fine.steps) == pytest.approx(1.12, abs=0.04)


def test_the_formula_becomes_exact_as_the_temperature_falls():
    well, excess = DoubleWell(1.0), []
    for ratio in (5.0, 10.0, 20.0):
        method, variance = setting(well, ratio)
        found = formula(well, method, variance)
        excess.append(mean_passage(well, found.temperature) / method.effective_learning_rate / found.steps - 1.0)
    # The next term is of order T/barrier.
    assert 0.0 < excess[2] < 0.55 * excess[1] < 0.35 * excess[0]


def test_waiting_longer_does_not_change_the_mean_of_runs_cut_short():
    well = DoubleWell(1.0)
    method, variance = setting(well, 2.5)
    short, long = (
        passages(well.gradient, [-1.0], lambda x: x[:, 0] > 0.5, method, variance, 300, steps, seed)
        for steps, seed in ((2_500, 0), (30_000, 1))
    )
    assert long.arrived.all()
    assert 0.3 < short.arrived.mean() < 0.8
    assert abs(short.mean - long.mean) < 4.0 * math.hypot(short.sem, long.sem)


# Odds


def test_odds_of_minima_of_equal_depth_are_the_root_of_the_determinants_and_a_little_of_the_rate():
    for method in (gf.SGD(0.001, batch_size=1), gf.SGD(0.01, 0.5, 64), gf.SGD(0.001, -0.9, 2)):
        found = minimum_odds([1.0, 4.0], [9.0, 16.0], method, 0.3)
        odds = 6.0 * math.exp(method.learning_rate * 20.0 / (4.0 * (1.0 + method.momentum)))
        assert found.odds == pytest.approx(odds, rel=1e-12)
        assert found.share == pytest.approx(odds / (1.0 + odds), rel=1e-12)
    deeper = minimum_odds([1.0], [1.0], gf.SGD(0.01, 0.5, 2), 0.5, height=0.01)
    assert deeper.log_odds == pytest.approx(0.01 / (0.02 * 0.5 / (2 * 2)), rel=1e-12)
    far = minimum_odds([1.0], [1.0], gf.SGD(0.01, batch_size=2), 1e-6, height=-1.0)
    assert (far.odds, far.share) == (0.0, pytest.approx(0.0, abs=1e-300))
    with pytest.raises(ValueError, match="no noise"):
        minimum_odds([1.0], [2.0], gf.SGD(0.1), 1.0)
    # Beyond 2 (1 + beta)/lambda a minimum holds nothing.
    gone = minimum_odds([1.0], [9.0], gf.SGD(0.023, -0.9, 1), 1.0)
    assert (gone.status, gone.odds, gone.share) == ("diverges", math.inf, 1.0)
    both = minimum_odds([1.0], [9.0], gf.SGD(0.23, -0.9, 1), 1.0)
    assert both.status == "diverges"
    assert math.isnan(both.odds)


def test_large_steps_favour_the_flat_minimum_as_the_stationary_density_of_the_discrete_iteration_does():
    # V = 0.5 x^2 (x - 2)^2 (1 + x/4): both minima at depth 0.
    loss = np.poly1d(np.polymul([0.5, -2.0, 2.0, 0.0, 0.0], [0.25, 1.0]))
    slope, x, temperature = loss.deriv(), np.linspace(-1.2, 3.2, 700), 0.1
    flat, sharp = (float(slope.deriv()(place)) for place in (0.0, 2.0))
    top = next(float(r.real) for r in slope.roots if 0.5 < r.real < 1.5)
    rates, measured, expected = (0.01, 0.02, 0.04), [], []
    for rate in rates:
        kernel = np.exp(-0.25 * (x - (x - rate * slope(x))[:, None]) ** 2 / (rate * temperature))
        balance = (kernel / kernel.sum(axis=1, keepdims=True)).T - np.eye(x.size)
        balance[-1] = 1.0
        density = np.linalg.solve(balance, np.eye(x.size)[-1])
        measured.append(math.log(density[x < top].sum() / density[x > top].sum()))
        found = minimum_odds([flat], [sharp], gf.SGD(rate, batch_size=1), 2.0 * temperature / rate)
        expected.append(found.log_odds)
    first, second = np.diff(measured) / np.diff(rates)
    assert np.diff(expected) / np.diff(rates) == pytest.approx((sharp - flat) / 4.0, rel=1e-9)
    # The slope at rate 0, from two chords; left are terms of order T/barrier.
    assert 2.0 * first - second == pytest.approx((sharp - flat) / 4.0, rel=temperature / loss(top))


@pytest.mark.slow
def test_runs_are_found_in_the_flat_well_as_often_as_the_odds_say():
    well = DoubleWell(1.0, 0.0, (1.0, 9.0))
    left, _, right = well.critical_points
    method, variance = setting(well, 3.0, effective=0.03)
    odds = minimum_odds(well.hessian(left), well.hessian(right), method, variance)
    assert odds.odds == pytest.approx(3.0 * math.exp(0.03 * 8.0 / 4.0), rel=1e-12)
    half = np.zeros((400, 2))
    half[:, 0] = np.where(np.arange(400) % 4, left, right)
    share, error = occupation(well.gradient, half, lambda x: x[:, 0] < 0.0, method, variance, 400, 4_000, 6_000)
    # The exact share of the diffusion, f + (T/2) log k along x, differs from that of two parabolas.
    x = np.linspace(-3.0, 3.0, 6_001)
    weight = np.exp(-well.loss(x) / odds.temperature) / np.sqrt(well.across(x))
    exact = float(weight[x < 0.0].sum() / weight.sum())
    # That of two parabolas, without what the steps add.
    assert exact == pytest.approx(3.0 / 4.0, abs=0.03)
    assert error < 0.02
    assert abs(share - exact) < 4.0 * error
