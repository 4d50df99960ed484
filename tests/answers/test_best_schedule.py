"""Best schedules: the gradient, the free optimum, the families, and what torch makes of the answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import genfun as gf
from genfun.answers.best._batch_ramps import ramps
from genfun.answers.best._rate_families import searched
from genfun.engine import adjoint, tail_average
from genfun.engine.adjoint import RateGradient
from genfun.noise import sampling_factor
from genfun.schedules import HoldThenLinear

NOISE = gf.SpectrallyExpressible(1.0, 0.3)
K = np.arange(1.0, 61.0)
PROBLEM = gf.LinearProblem(K**-1.5, K**-1.2, n_samples=500, noise_variance=0.1)


def _engine(beta, b, steps, most):
    return RateGradient(PROBLEM, NOISE, beta, sampling_factor(b, 500), steps, most)


@pytest.mark.parametrize(("beta", "b"), [(0.0, 1), (0.8, 10), (-0.4, 3), (0.5, None)])
@pytest.mark.parametrize("fast", [True, False])
def test_the_gradient_is_that_of_differences_and_the_loss_that_of_predict(beta, b, fast, monkeypatch):
    if not fast:
        monkeypatch.setattr(adjoint, "compiled", lambda: None)
    rates = 0.2 * np.random.default_rng(1).random(30) + 0.01
    engine = _engine(beta, b, 30, 0.3)
    excess, slopes, of_momenta = engine.slopes(rates)
    expected = gf.predict(PROBLEM, gf.ScheduledSGD(rates, beta, b), 30, NOISE).loss - 0.05
    assert excess == pytest.approx(float(expected), rel=1e-12)
    assert engine.excess(rates) == pytest.approx(float(expected), rel=1e-12)
    h = 1e-3
    for t in (0, 7, 28, 29):
        # Differences of sixth order: their error is of order h^6 and eps/h, both below 1e-10 here.
        weights = {-3: -1 / 60, -2: 3 / 20, -1: -3 / 4, 1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
        unit = np.eye(30)[t]
        found = sum(w * engine.slopes(rates + i * h * unit)[0] for i, w in weights.items()) / h
        assert slopes[t] == pytest.approx(found, rel=1e-8, abs=1e-11)
        steady = np.full(30, beta)
        moved = sum(w * engine.slopes(rates, steady + i * h * unit)[0] for i, w in weights.items()) / h
        assert of_momenta[t] == pytest.approx(moved, rel=1e-8, abs=1e-11)


@pytest.mark.parametrize(
    ("steps", "b", "beta", "sigma2"), [(300, 1, 0.0, 0.0), (300, 1, 0.0, 0.3), (200, 10, 0.8, 0.1)]
)
def test_no_schedule_below_the_cap_is_better_than_the_free_optimum(steps, b, beta, sigma2):
    problem = gf.LinearProblem(K**-1.5, K**-1.2, noise_variance=sigma2)
    best = gf.best_schedule(problem, b, steps, beta)
    assert best.free_loss <= best.loss * (1.0 + 1e-9)
    of_last_weights = [gap for family, gap in best.gaps.items() if family != "constant, tail averaged"]
    assert all(gap >= best.loss / best.free_loss * (1.0 - 1e-9) for gap in of_last_weights)
    assert best.gaps[best.family] == pytest.approx(best.loss / best.free_loss, rel=1e-9)
    # The yardstick is a schedule too, with the loss claimed and no rate above the cap.
    assert best.free_rates.max() <= 0.8 * best.edge * (1.0 + 1e-12)
    own = gf.predict(problem, gf.ScheduledSGD(best.free_rates, beta, b), steps).loss
    assert best.free_loss == pytest.approx(float(own), rel=1e-9)
    rng = np.random.default_rng(3)
    for _ in range(20):
        wiggled = np.minimum(best.free_rates * np.exp(0.1 * np.cumsum(rng.normal(size=steps)) / 4), 0.8 * best.edge)
        other = gf.predict(problem, gf.ScheduledSGD(wiggled, beta, b), steps).loss
        assert other >= best.free_loss * (1.0 - 1e-4)


@pytest.mark.parametrize(("beta", "b"), [(0.0, 1), (0.8, 10), (-0.4, 3), (0.5, None)])
@pytest.mark.parametrize("fast", [True, False])
def test_the_loss_of_every_tail_average_is_that_of_predict(beta, b, fast, monkeypatch):
    if not fast:
        monkeypatch.setattr(tail_average, "compiled", lambda: None)
    found = tail_average.tail_excess(_engine(beta, b, 30, 0.3), 0.2, 30)
    for start in (0, 7, 29):
        expected = gf.predict(PROBLEM, gf.Averaged(gf.SGD(0.2, beta, b), "tail", start=start), 30, NOISE).loss - 0.05
        assert found[start] == pytest.approx(float(expected), rel=1e-12)


def test_a_constant_rate_with_an_averaged_tail_comes_near_the_free_optimum_and_has_the_loss_claimed():
    best = gf.best_schedule(PROBLEM, 1, 300, noise=NOISE)
    claimed = best.gaps["constant, tail averaged"] * best.free_loss
    assert float(gf.predict(PROBLEM, best.averaged, 300, NOISE).loss) == pytest.approx(claimed, rel=1e-9)
    # The same rate without the average is far worse, and no other start of the average is better.
    assert float(gf.predict(PROBLEM, best.averaged.method, 300, NOISE).loss) > 1.1 * claimed
    for start in (best.averaged.start - 20, best.averaged.start + 20):
        other = gf.Averaged(best.averaged.method, "tail", start=start)
        assert float(gf.predict(PROBLEM, other, 300, NOISE).loss) >= claimed * (1.0 - 1e-12)


def test_a_momentum_left_open_is_no_worse_than_those_given():
    steps, b = 200, 20
    best = gf.best_schedule(PROBLEM, b, steps, None, NOISE)
    for beta in (0.0, 0.5, 0.8, 0.9):
        other = gf.best_schedule(PROBLEM, b, steps, beta, NOISE)
        assert best.loss <= other.loss * 1.01
    assert best.free_loss <= best.loss * (1.0 + 1e-9)
    own = gf.predict(PROBLEM, gf.ScheduledSGD(best.free_rates, best.free_momenta, b), steps, NOISE)
    assert float(own.loss) == pytest.approx(best.free_loss, rel=1e-9)
    # Every rate of the answer is below its share of the edge at the momentum of its own step.
    rates, momenta, _ = best.method.at(np.arange(steps))
    for t in range(0, steps, 25):
        assert rates[t] <= 0.8 * gf.max_learning_rate(PROBLEM, momenta[t], b, NOISE) * 1.005


def test_a_warm_up_saves_steep_noise_dominated_problems_and_inverse_time_flat_ones():
    # Steep: a large rate at first excites the many small modes by the large loss of the few that learn.
    law = gf.PowerLaw(1.5, 2.0, n_modes=60)
    steep = gf.best_schedule(gf.LinearProblem(law.eigenvalues, law.signal), 1, 200)
    assert steep.family == "warm-up, hold, linear"
    assert steep.loss < 1.15 * steep.free_loss
    assert steep.gaps["hold then linear"] > 2.0
    rates = steep.table()["learning_rate"]
    assert rates[0] < 0.5 * steep.peak
    assert rates[-1] < 0.5 * steep.peak
    # Flat: every mode wants c/(c + noise), which is 1/(1 + t).
    flat = gf.best_schedule(gf.LinearProblem(np.full(8, 0.125), np.full(8, 0.125), noise_variance=0.5), 1, 200)
    assert flat.family == "inverse time"
    assert flat.loss < 1.01 * flat.free_loss


def test_the_momentum_chosen_for_a_full_batch_is_better_than_its_neighbours():
    best = gf.best_schedule(PROBLEM, None, 300, None)
    beta = float(best.method.at([0])[1][0])
    assert 0.7 < beta < 0.95
    for other in (1.0 - 1.2 * (1.0 - beta), 1.0 - (1.0 - beta) / 1.2):
        assert gf.best_schedule(PROBLEM, None, 300, other).loss >= best.loss * (1.0 - 1e-3)


def test_batches_grow_within_the_samples_and_only_where_samples_are_counted():
    problem = gf.LinearProblem(K**-1.5, K**-1.2, n_samples=500, noise_variance=0.5)
    best = gf.best_schedule(problem, 4, samples=4000)
    assert {"batch ramp", "seesaw"} <= set(best.gaps)
    assert "seesaw" not in gf.best_schedule(problem, 4, 1000).gaps
    found = ramps(RateGradient(problem, gf.SpectrallyExpressible(), 0.0, 0.25, 1000, 0.2), 0.2, 4, 4000.0, 500)
    for rates, sizes, excess in found.values():
        assert 3500 < sizes.sum() <= 4000
        assert sizes[0] == 4 < sizes[-1]
        assert (np.diff(sizes) >= 0).all()
        own = gf.predict(problem, gf.ScheduledSGD(rates, 0.0, sizes), sizes.size).loss
        assert excess + 0.25 == pytest.approx(float(own), rel=1e-9)
    # Seesaw: every cut of the rate by the root of 2 is a doubling of the batch, so that rate^2 x batch is constant.
    rates, sizes, _ = found["seesaw"]
    assert np.allclose(rates**2 * sizes, rates[0] ** 2 * 4)
    table = best.table()
    assert table["batch_size"].sum() <= 4000
    assert table["step"].size == best.steps


def test_one_mode_without_noise_of_labels_has_the_optimum_of_the_books():
    # One mode, b = 1, tau = 1: c' = ((1-a)^2 + gamma(tau1 - tau2) a^2) c + gamma a^2 sigma^2 with gamma = 1. The best
    # rate of each step minimises a quadratic, and a_t = c/(c + sigma^2), from the front (dynamic programming agrees,
    # because c' rises with c).
    sigma2, c, steps = 0.5, 1.0, 20
    problem = gf.LinearProblem([1.0], [1.0], noise_variance=sigma2)
    rates = []
    for _ in range(steps):
        a = min(c / (c + sigma2), 0.8 * 2.0)
        rates.append(a)
        c = (1.0 - a) ** 2 * c + a * a * sigma2
    best = gf.best_schedule(problem, 1, steps)
    assert best.edge == pytest.approx(gf.max_learning_rate(problem, 0.0, 1))
    capped = max(rates) <= 0.8 * best.edge
    assert capped
    assert best.free_loss == pytest.approx(0.5 * (c + sigma2), rel=1e-6)
    assert np.allclose(best.free_rates, rates, rtol=0.03)


def test_data_are_capped_by_the_smaller_of_two_edges():
    data = gf.data.gaussian(K[:20] ** -1.0, K[:20] ** -1.0, 200, seed=2, noise_variance=0.1)
    best = gf.best_schedule(data, 1, 200, noise="fitted")
    edges = [gf.max_learning_rate(data, 0.0, 1, noise=name) for name in ("measured", "fitted")]
    assert best.edge == pytest.approx(min(edges), rel=1e-9)
    assert best.edge_of == ("the data's measured noise" if edges[0] < edges[1] else "the fitted noise")
    assert best.peak <= 0.8 * best.edge * (1.0 + 1e-9)
    assert best.loss_of == "the fitted noise"
    assert 0.0 < best.noise_error < 0.3
    assert np.isnan(gf.best_schedule(data.problem, 1, 200).noise_error)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_families_on_data_are_compared_by_their_own_noise_where_fitted_constants_have_the_edge_several_times_off(
    batch_size,
):
    # Columns that are rarely not zero, as pixels at the rim of digits, standardised.
    rng = np.random.default_rng(0)
    X = rng.poisson(np.geomspace(0.005, 5.0, 24), size=(300, 24)).astype(float)
    X = (X - X.mean(axis=0))[:, X.any(axis=0)] / X.std(axis=0)[X.any(axis=0)]
    data = gf.LinearData.from_features(X, X @ rng.standard_normal(X.shape[1]) + 0.3 * rng.standard_normal(300))
    own, fitted = (gf.max_learning_rate(data, 0.0, batch_size, noise=name) for name in ("measured", "fitted"))
    assert fitted > 4.0 * own
    best = gf.best_schedule(data, batch_size, 100)
    assert best.loss_of == best.edge_of == "the data's measured noise"
    assert best.edge == pytest.approx(own, rel=1e-9)
    assert best.peak <= 0.8 * own * (1.0 + 1e-9)
    assert best.loss == pytest.approx(float(gf.predict(data, best.method, 100).loss), rel=1e-9)
    averaged = float(gf.predict(data, best.averaged, 100).loss)
    assert best.gaps["constant, tail averaged"] * best.free_loss == pytest.approx(averaged, rel=1e-9)
    # Under the fitted constants the same schedule has another loss; the families are compared on fewer vectors.
    constants = float(gf.predict(data, best.method, 100, noise="fitted").loss)
    assert abs(constants / best.loss - 1.0) > 0.01
    louder = gf.ScheduledSGD(1.2 * best.method.at(np.arange(100))[0], 0.0, batch_size)
    assert best.at_20_percent_more == pytest.approx(float(gf.predict(data, louder, 100).loss), rel=1e-2)
    of_last = [gap for family, gap in best.gaps.items() if family != "constant, tail averaged"]
    assert min(of_last) >= 1.0
    assert best.gaps[best.family] <= min(of_last) * (1.0 + 1e-2)
    assert best.gaps[best.family] == pytest.approx(best.loss / best.free_loss, rel=1e-9)
    assert abs(best.noise_error) < 1e-2


def test_torch_under_the_exported_function_has_the_rates_and_the_loss():
    torch = pytest.importorskip("torch")
    problem = gf.LinearProblem([1.0, 0.3], [1.0, 2.0])
    # Rates that fall: where they are constant, every convention of momentum is the same.
    method = gf.ScheduledSGD(HoldThenLinear(0.5, 0.3, 30), 0.5)
    best = replace(gf.best_schedule(problem, None, 30, momentum=0.5), method=method)
    lam, w = torch.tensor([1.0, 0.3], dtype=torch.float64), torch.zeros(2, dtype=torch.float64, requires_grad=True)
    goal = torch.sqrt(torch.tensor([1.0, 2.0 / 0.3], dtype=torch.float64))
    optimizer = torch.optim.SGD([w], lr=best.peak, momentum=best.method.momentum)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, best.lambda_lr())
    for _ in range(30):
        optimizer.zero_grad()
        (0.5 * (lam * (w - goal) ** 2).sum()).backward()
        optimizer.step()
        scheduler.step()
    loss = float(0.5 * (lam * (w.detach() - goal) ** 2).sum())
    assert loss == pytest.approx(float(gf.predict(problem, method, 30).loss), rel=1e-9)
    keras = gf.ScheduledSGD(method.learning_rate, 0.5, convention="keras")
    assert loss != pytest.approx(float(gf.predict(problem, keras, 30).loss), rel=1e-2)


@pytest.mark.slow
def test_torch_in_many_runs_has_the_predicted_loss_under_rate_and_momentum_that_move():
    torch = pytest.importorskip("torch")
    # Gaussian rows drawn anew have tau1 = 1, tau2 = -1 exactly: E xx'Cxx' = H tr(HC) + 2 HCH.
    lam = np.array([1.0, 0.5, 0.25, 0.1])
    problem = gf.LinearProblem(lam, lam, noise_variance=0.05)
    noise, steps, b, runs = gf.SpectrallyExpressible(1.0, -1.0), 120, 8, 3000
    best = gf.best_schedule(problem, b, steps, None, noise)
    if best.family != "moving momentum":
        best = replace(best, family="moving momentum", method=gf.ScheduledSGD(best.free_rates, best.free_momenta, b))
        best = replace(best, loss=float(gf.predict(problem, best.method, steps, noise).loss))
    torch.manual_seed(0)
    w = torch.zeros(runs, 4, dtype=torch.float64, requires_grad=True)
    goal = torch.ones(4, dtype=torch.float64)  # s = lam * 1
    scale = torch.tensor(np.sqrt(lam))
    optimizer = torch.optim.SGD([w], lr=123.0, momentum=0.5)
    scheduler = best.scheduler(optimizer)
    for _ in range(steps):
        x = torch.randn(runs, b, 4, dtype=torch.float64) * scale
        y = x @ goal + 0.05**0.5 * torch.randn(runs, b, dtype=torch.float64)
        optimizer.zero_grad()
        (0.5 * ((torch.einsum("rbi,ri->rb", x, w) - y) ** 2).mean(dim=1)).sum().backward()
        optimizer.step()
        scheduler.step()
    losses = 0.5 * ((w.detach() - goal) ** 2 @ torch.tensor(lam)) + 0.025
    error = float(losses.std() / runs**0.5)
    assert abs(float(losses.mean()) - best.loss) < 2.5 * error
    assert error < 0.02 * best.loss
    with pytest.raises(ValueError, match="use scheduler"):
        best.lambda_lr()


def test_the_shape_is_said_in_words():
    assert "of the edge for" in gf.best_schedule(PROBLEM, 1, 500).shape
    full = gf.best_schedule(gf.LinearProblem([1.0, 0.01], [0.1, 1.0]), None, 50)
    assert full.shape == "hold at 0.8 of the edge to the end"


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ValueError, match="share_of_edge"):
        gf.best_schedule(PROBLEM, 1, 50, share_of_edge=1.5)
    data = gf.data.gaussian([1.0, 0.5], [1.0, 1.0], 20, seed=1)
    with pytest.raises(ValueError, match="best_schedule is derived"):
        gf.best_schedule(data, 1, 50, noise="measured")
    with pytest.raises(ValueError, match="infinite sum"):
        gf.best_schedule(gf.PowerLaw(nu=0.9, zeta=0.5), 1, 50)
    with pytest.raises(ValueError, match="hold must"):
        HoldThenLinear(0.1, 1.2, 10)


@pytest.mark.parametrize("steps", [2, 3])
def test_so_few_steps_have_a_best_schedule_too(steps):
    problem = gf.LinearProblem([1.0, 0.5], [1.0, 1.0])
    found = gf.best_schedule(problem, 4, steps)
    assert found.loss == pytest.approx(float(gf.predict(problem, found.method, steps).loss), rel=1e-6)
    constant = [
        float(gf.predict(problem, gf.SGD(share * found.edge, batch_size=4), steps).loss) for share in (0.4, 0.6)
    ]
    assert found.free_loss * (1.0 - 1e-9) <= found.loss < min(constant)  # of which none is the best one


@pytest.mark.slow
def test_a_search_on_few_nodes_finds_what_one_on_all_finds_and_its_losses_are_those_of_all(monkeypatch):
    law = gf.PowerLaw(1.5, 1.0, n_modes=300)
    problem, steps = gf.LinearProblem(law.eigenvalues, law.signal, noise_variance=0.05), 400
    engine = RateGradient(problem, gf.SpectrallyExpressible(), 0.5, 0.1, steps, 0.5)
    assert engine.coarser() is engine  # so few steps are not worth it
    whole = gf.best_schedule(problem, 10, steps, 0.5)
    monkeypatch.setattr(adjoint, "WORTH_FEWER", 0)
    rough = RateGradient(problem, gf.SpectrallyExpressible(), 0.5, 0.1, steps, 0.5).coarser()
    assert rough.modes[0].size < 100
    rates = np.full(steps, 0.3)
    assert 0.0 < abs(rough.excess(rates) / engine.excess(rates) - 1.0) < 1e-3
    quick = gf.best_schedule(problem, 10, steps, 0.5)
    for name, gap in whole.gaps.items():
        assert quick.gaps[name] * quick.free_loss == pytest.approx(gap * whole.free_loss, rel=1e-5), name
    assert quick.loss == pytest.approx(float(gf.predict(problem, quick.method, steps).loss), rel=1e-9)
    own = gf.predict(problem, gf.ScheduledSGD(quick.free_rates, 0.5, 10), steps).loss
    assert quick.free_loss == pytest.approx(float(own), rel=1e-9)
    # Modes that turn until the last step are not merged.
    assert RateGradient(problem, gf.SpectrallyExpressible(), 0.99, 0.1, steps, 0.5).coarser().modes[0].size == 300
    # Where few nodes disagree, all are searched.
    searches = []

    def search(some):
        searches.append(some.modes[0].size)
        return {"one": (0.3, 1.05 * some.excess(rates))}

    merging = RateGradient(problem, gf.SpectrallyExpressible(), 0.5, 0.1, steps, 0.5)
    assert searched(search, merging, lambda rate: merging.excess(rates))["one"][1] == search(merging)["one"][1]
    assert searches == [rough.modes[0].size, 300, 300]
