"""Pictures say what the answers say: their lines, cells and marks are compared with the functions behind them."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from matplotlib.figure import Figure

import genfun as gf
from genfun import plotting
from genfun.answers.best.budget_map import budget_map
from genfun.answers.best.momentum_map import momentum_map, sign_condition
from genfun.answers.edge_asymptotes import critical_eigenvalue, small_rate_limit
from genfun.plotting._table import series

LAW = gf.PowerLaw(1.5, 2.0, n_modes=50)
NOISES = [gf.SpectrallyExpressible(), gf.SpectrallyExpressible(0.8, -1.0)]


def _ax():
    return Figure(figsize=(5.6, 4.4), layout="constrained").subplots()


def _region(ax, zeta, nu):
    """Names of the regions that hold a point."""
    return [p.get_label() for p in ax.patches if p.get_path().contains_point((zeta, 1.0 / nu))]


# Phase diagram


@pytest.mark.parametrize(("nu", "zeta"), [(1.5, 0.5), (1.5, 2.0), (3.0, 1.6), (3.0, 1.7), (0.8, 0.5), (0.45, 1.0)])
def test_a_point_of_the_diagram_lies_in_its_phase(nu, zeta):
    p = gf.PowerLaw(nu, zeta)
    found = gf.phase(p, gf.SGD(0.1, batch_size=10))
    ax = plotting.phase_diagram({"p": p}, _ax())
    assert _region(ax, zeta, nu) == [found.name]
    own = found.plot(_ax())
    (point,) = series(own)["this problem"]
    np.testing.assert_allclose((point.x.item(), point.y.item()), (zeta, 1.0 / nu), rtol=1e-12)


def test_a_fit_is_drawn_with_its_intervals_and_hollow_unless_a_power_law():
    k = np.arange(1.0, 201.0)
    s = k**-2.5 * np.exp(np.random.default_rng(0).normal(0.0, 0.3, k.size))
    fit = gf.fit_power_law(gf.LinearProblem(k**-1.5, s))
    rough = gf.fit_power_law(gf.LinearProblem(np.exp(-0.1 * k), s))
    assert fit.is_power_law
    assert not rough.is_power_law
    ax = plotting.phase_diagram({"smooth": fit, "rough": rough}, _ax())
    drawn = series(ax)
    np.testing.assert_allclose(drawn["smooth: interval of zeta"][0].x, fit.zeta_interval)
    np.testing.assert_allclose(np.sort(1.0 / drawn["smooth: interval of nu"][0].y), fit.nu_interval)
    faces = {line.get_label(): line.get_markerfacecolor() for line in ax.lines}
    assert (faces["smooth"], faces["rough"]) == ("black", "white")
    assert "rough?" in [text.get_text() for text in ax.texts]
    low, high = ax.get_ylim()
    assert low < 1.0 / rough.nu < high


def test_a_point_without_exponents_is_refused():
    with pytest.raises(ValueError, match=r"points\['flat'\] has no exponents"):
        plotting.phase_diagram({"flat": gf.fit_power_law(gf.LinearProblem([1.0], [1.0]))}, _ax())


# Maps of settings


@pytest.fixture(scope="module")
def panels():
    return plotting.settings_map(LAW, 500, [1, 8, None], cells=12, ax=Figure(layout="constrained").subplots(1, 3))


@pytest.mark.slow
@pytest.mark.parametrize("panel", [0, 1, 2])
def test_the_edge_of_a_map_is_where_the_noise_gain_is_one_or_curvature_binds(panels, panel):
    size = (1, 8, None)[panel]
    (drawn,) = series(panels[panel])["edge of stability"]
    assert drawn.x.size > 60
    for rate, beta in zip(drawn.x[::8], drawn.y[::8], strict=True):
        gain = gf.stability(LAW, gf.SGD(rate * (1 - 1e-12), beta, size)).noise_gain
        at_curvature = np.isclose(rate * LAW.lambda_max, 2 * (1 + beta), rtol=1e-9)
        assert np.isclose(gain, 1.0, rtol=1e-6) or (at_curvature and gain <= 1.0)
        assert size is not None or at_curvature


@pytest.mark.slow
def test_a_map_shows_the_loss_of_its_cells(panels):
    (drawn,) = series(panels[1])["log10 loss"]
    for i, j in [(2, 3), (6, 6), (9, 10)]:
        loss = gf.predict(LAW, gf.SGD(drawn.x[i, j], drawn.y[i, j], 8), 500).log_loss
        np.testing.assert_allclose(drawn.value[i, j] * np.log(10.0), loss, rtol=1e-6)
    (mesh,) = [c for c in panels[1].collections if c.get_array() is not None and c.get_array().size == 144]
    shown, start = mesh.get_array(), np.log10(0.5 * LAW.signal_total)
    np.testing.assert_array_equal(np.ravel(shown.data), drawn.value.T.ravel())
    np.testing.assert_array_equal(np.ravel(shown.mask), drawn.value.T.ravel() > start)
    assert 0 < shown.mask.sum() < 100


@pytest.mark.slow
def test_the_star_of_a_map_is_at_the_optimum_and_no_cell_is_better(panels):
    best = gf.optimize(LAW, 1, 500)
    (star,) = series(panels[0])["best setting"]
    (cells,) = series(panels[0])["log10 loss"]
    assert (star.x.item(), star.y.item()) == (best.method.learning_rate, best.method.momentum)
    assert np.log10(best.loss) <= cells.value.min() + 1e-4


def test_the_picture_of_a_schedule_has_its_rates_and_those_of_the_free_optimum():
    best = gf.best_schedule(LAW, 4, 60)
    drawn = series(best.plot(_ax()))
    assert drawn["answer"][0].y.tolist() == best.table()["learning_rate"].tolist()
    assert drawn["free optimum"][0].y.tolist() == best.free_rates.tolist()
    assert drawn["averaged tail"][0].x.tolist() == [best.averaged.start, 60]
    assert drawn["cap"][0].y[0] == 0.8 * best.edge


@pytest.mark.parametrize("noise", NOISES)
def test_the_asymptotes_meet_the_edge_in_their_limits(noise):
    # Relative corrections: alpha_eff lambda_max for small rates, 1 - beta for momentum near 1.
    p, b = gf.PowerLaw(1.5, 1.0, n_modes=200), 4
    late = gf.max_learning_rate(p, 1 - 1e-6, b, noise) / 1e-6
    assert late == pytest.approx(2.0 * b / critical_eigenvalue(p, noise), rel=1e-5)
    many = gf.LinearProblem(np.full(20_000, 1.0), np.full(20_000, 1.0))
    small = gf.max_learning_rate(many, 0.3, b, noise) / 0.7
    assert small == pytest.approx(small_rate_limit(many, 1.0 / b, noise), rel=2.0 * b / 20_000 / 0.8)
    result = gf.loss_map(p, np.geomspace(0.01, 4.0, 8), np.linspace(-0.95, 0.999, 9), 100, b, noise)
    drawn = series(result.plot(_ax()))
    for name, bound in [
        ("small-rate limit", small_rate_limit(p, 1.0 / b, noise)),
        ("momentum-1 limit", 2.0 * b / critical_eigenvalue(p, noise)),
    ]:
        np.testing.assert_allclose(drawn[name][0].x / (1.0 - drawn[name][0].y), bound, rtol=1e-9)
    curvature = drawn["curvature limit"][0]
    np.testing.assert_allclose(curvature.x * p.lambda_max, 2.0 * (1.0 + curvature.y), rtol=1e-12)


def test_one_mode_has_no_critical_eigenvalue_and_no_bound_by_it():
    assert critical_eigenvalue(gf.LinearProblem([1.0], [1.0])) == 0.0
    assert critical_eigenvalue(gf.LinearProblem([2.0], [1.0]), gf.SpectrallyExpressible(1.0, 0.0)) == pytest.approx(2.0)
    assert np.isinf(critical_eigenvalue(gf.PowerLaw(0.9, 1.0)))


def test_a_map_of_no_loss_is_refused():
    with pytest.raises(ValueError, match="neither signal nor label noise"):
        gf.loss_map(gf.LinearProblem([1.0], [0.0]), [0.5], [0.0], 1).plot(_ax())


def test_panels_and_batch_sizes_must_match():
    with pytest.raises(ValueError, match="one entry for each of the 2 batch sizes"):
        plotting.settings_map(LAW, 10, [1, 2], ax=_ax())
    with pytest.raises(ValueError, match="batch_sizes is empty"):
        plotting.settings_map(LAW, 10, [])


# Loss and its parts


STEPS = np.unique(np.geomspace(1, 1e6, 60).astype(int))


def test_the_parts_of_a_loss_add_up_and_the_transition_is_marked_where_they_cross():
    p, m = gf.PowerLaw(1.5, 2.0), gf.SGD(0.4, batch_size=100)
    r = gf.predict(p, m, STEPS)
    ax = r.plot(_ax())
    drawn = {name: parts[0] for name, parts in series(ax).items()}
    total, quiet, noise = (drawn[k] for k in ("predicted loss", "without batch noise", "added by batch noise"))
    np.testing.assert_array_equal(total.y, r.loss)
    np.testing.assert_allclose(quiet.y, gf.predict(p, gf.SGD(0.4), STEPS).loss, rtol=1e-12)
    np.testing.assert_allclose(np.interp(noise.x, quiet.x, quiet.y) + noise.y, np.interp(noise.x, total.x, total.y))
    (mark,) = [line.get_xdata()[0] for line in ax.lines if line.get_gid() == "transition"]
    assert mark == gf.phase(p, m).transition_step
    # The noise gain is 0.006: the parts cross where the power laws do, up to that and the corrections at finite t.
    crossing = quiet.x[np.argmax(noise.y > quiet.y)]
    assert 0.7 < crossing / mark < 1.4
    laws = drawn["signal power law"], drawn["noise power law"]
    values = [np.exp(np.interp(np.log(mark), np.log(law.x), np.log(law.y))) for law in laws]
    assert values[0] == pytest.approx(values[1], rel=1e-9)


def test_a_loss_that_has_grown_before_the_first_step_is_in_the_picture():
    problem = gf.LinearProblem([1.0, 0.5], [1.0, 1.0], n_samples=8)
    found = gf.predict(problem, gf.SGD(3.0, 0.0, 4), [30, 60, 120])
    ax = found.plot(Figure().subplots())
    (curve,) = [line for line in ax.lines if line.get_label() == "predicted loss"]
    assert curve.get_ydata()[0] == found.loss[0] > 1e6
    assert ax.get_ylim()[0] < found.loss[0] < ax.get_ylim()[1]


def test_the_divergence_is_marked_at_the_least_loss():
    r = gf.predict(gf.PowerLaw(0.8, 0.5), gf.SGD(0.4, batch_size=2), STEPS)
    ax = r.plot(_ax())
    (mark,) = [line.get_xdata()[0] for line in ax.lines if line.get_gid() == "divergence"]
    low, high = STEPS[max(np.argmin(r.loss) - 1, 0)], STEPS[np.argmin(r.loss) + 1]
    assert low <= mark <= high


def test_a_spectrum_that_ends_before_the_transition_shows_its_end_alone():
    p, m = gf.PowerLaw(1.5, 2.0, n_modes=100), gf.SGD(0.3, batch_size=10)
    found = gf.phase(p, m)
    assert found.end_step < found.transition_step < STEPS[-1]
    ax = gf.predict(p, m, STEPS).plot(_ax())
    marks = {line.get_gid(): line.get_xdata()[0] for line in ax.lines if line.get_gid()}
    assert marks == {"end": found.end_step}
    assert "noise power law" not in series(ax)
    # The curve falls off the picture long before the last step, and the axis ends with it.
    assert found.end_step < ax.get_xlim()[1] < 0.2 * STEPS[-1]


def test_the_floor_of_label_noise_is_where_the_loss_ends():
    p = gf.PowerLaw(1.5, 1.0, n_modes=50, noise_variance=0.01)
    r = gf.predict(p, gf.SGD(0.3, 0.5, batch_size=4), STEPS)
    (floor,) = series(r.plot(_ax()))["floor left by label noise"]
    np.testing.assert_allclose(floor.y, r.loss[-1], rtol=1e-6)


def test_a_problem_without_exponents_has_no_marks_and_step_zero_alone_is_refused():
    p = gf.LinearProblem([1.0, 0.5], [1.0, 1.0])
    assert [line for line in gf.predict(p, gf.SGD(0.5, 0, 2), [0, 1, 9]).plot(_ax()).lines if line.get_gid()] == []
    with pytest.raises(ValueError, match="no step after 0"):
        gf.predict(p, gf.SGD(0.5), 0).plot(_ax())


@pytest.mark.slow
def test_losses_beyond_all_numbers_leave_the_picture_and_not_the_table():
    beyond = gf.predict(LAW, gf.SGD(30.0, batch_size=1), STEPS)
    figure = beyond.plot(_ax()).figure
    figure.draw_without_rendering()
    drawn = [y for _, name, _, y, _ in plotting.table(figure) if name == "predicted loss"]
    np.testing.assert_array_equal(drawn, beyond.loss[np.isfinite(beyond.loss)])
    assert max(drawn) > 1e200


# Batch sizes and steps


@pytest.fixture(scope="module")
def budgets():
    p = gf.PowerLaw(1.5, 2.0, n_modes=50, n_samples=64)
    return p, budget_map(p, [1, 2, 4, 8, 16, 32, 64], [10, 40, 160, 640])


def test_a_budget_map_holds_the_least_loss_over_learning_rates(budgets):
    p, result = budgets
    for i, j in [(0, 3), (3, 1), (6, 2)]:
        b, t = int(result.batch_sizes[i]), int(result.steps[j])
        setting = gf.SGD(result.learning_rates[i, j], 0.0, b)
        np.testing.assert_allclose(gf.predict(p, setting, t).log_loss, result.log_loss[i, j], rtol=1e-6)
        rates = gf.max_learning_rate(p, 0.0, b) * np.linspace(0.01, 0.999, 150)
        grid = gf.loss_map(p, rates, [0.0], t, b).log_loss
        # The last search is over rates 1 % apart, where the loss is flat to second order; the grid is coarser.
        assert -0.05 < result.log_loss[i, j] - grid.min() < 1e-4


def test_a_short_run_with_momentum_has_many_minima_and_the_least_is_found():
    p = gf.PowerLaw(1.5, 2.0, n_modes=100)
    result = budget_map(p, [64], [20], momentum=0.8)
    rates = gf.max_learning_rate(p, 0.8, 64) * np.linspace(0.002, 0.999, 800)
    grid = gf.loss_map(p, rates, [0.8], 20, 64).log_loss
    inner = grid[1:-1]
    assert ((inner < grid[:-2]) & (inner < grid[2:])).sum() > 3
    assert result.log_loss.item() <= grid.min() + 1e-4


def test_a_budget_picture_marks_the_best_batch_and_equal_losses(budgets):
    _, result = budgets
    drawn = series(result.plot(_ax()))
    (best,) = drawn["best batch"]
    assert best.x.size >= 3
    for b, t in zip(best.x, best.y, strict=True):
        sizes, losses = result.along(b * t)
        assert b == sizes[losses.argmin()]
    for name in (name for name in drawn if name.startswith("samples")):
        np.testing.assert_allclose(drawn[name][0].x * drawn[name][0].y, float(name.split()[1]))
    # Along a contour the loss on the edges between cells interpolates to one value: check where it meets a column.
    for part in drawn["equal loss"]:
        on = np.flatnonzero(np.isin(part.x, result.batch_sizes))
        columns = [result.log_loss[np.searchsorted(result.batch_sizes, b)] for b in part.x[on]]
        values = [np.interp(t, result.steps, c) for t, c in zip(part.y[on], columns, strict=True)]
        assert np.ptp(values) < 1e-9 * abs(values[0])


def test_a_budget_of_one_batch_size_has_no_picture(budgets):
    p, _ = budgets
    with pytest.raises(ValueError, match="two batch sizes and two steps"):
        budget_map(p, [4], [10, 20]).plot(_ax())


# Momentum


@pytest.mark.slow
def test_the_sign_condition_is_that_of_the_theory():
    p, nu = gf.PowerLaw(2.0, 0.8, n_modes=30), 2.0
    lam, s = p.eigenvalues, p.signal
    ratio = lam.sum() * s.sum() / ((nu - 1) / nu * (lam**2).sum() * (s / lam).sum())
    assert sign_condition(p, nu) == pytest.approx(np.log(ratio), rel=1e-12)
    assert sign_condition(gf.PowerLaw(2.0, 0.8), nu) == -np.inf


@pytest.fixture(scope="module")
def momenta():
    return momentum_map([1.5, 2.0], [1.0, 5.0], batch_size=1, steps=300, n_modes=30)


@pytest.mark.slow
def test_a_momentum_map_shows_the_optima_and_the_change_of_sign_lies_between_them(momenta):
    result = momenta
    o = gf.optimize(gf.PowerLaw(2.0, 2.5, n_modes=30), 1, 300)
    assert result.momentum[1, 1] == o.method.momentum
    assert (result.momentum[:, 0] > 0).all()
    assert (result.momentum[:, 1] < 0).all()
    ax = result.plot(_ax())
    drawn = series(ax)
    np.testing.assert_array_equal(drawn["best momentum"][0].value, result.momentum)
    (change,) = drawn["sign of best momentum changes"]
    for nu, kappa in zip(change.x, change.y, strict=True):
        column = [np.interp(nu, result.nu, row) for row in result.momentum.T]
        if nu in result.nu:
            assert np.interp(kappa, result.kappa, column) == pytest.approx(0.0, abs=1e-9)
        assert 1.0 < kappa < 5.0


# Numbers beside the picture


@pytest.mark.slow
def test_the_table_holds_what_is_drawn_and_forgets_what_is_removed(tmp_path, panels):
    picture, twin = plotting.save(panels, tmp_path / "maps.png")
    assert picture.stat().st_size > 10_000
    with twin.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["panel"] for row in rows} == {"batch size 1", "batch size 8", "full batch"}
    edge = [row for row in rows if row["panel"] == "batch size 8" and row["series"] == "edge of stability"]
    (line,) = [line for line in panels[1].lines if line.get_label() == "edge of stability"]
    np.testing.assert_allclose([[float(r["x"]), float(r["y"])] for r in edge], line.get_xydata(), rtol=1e-9)
    assert {row["value"] for row in edge} == {""}
    cells = [float(row["value"]) for row in rows if row["panel"] == "batch size 8" and row["series"] == "log10 loss"]
    assert len(cells) == 144
    ax = plotting.phase_diagram({"a": LAW}, _ax())
    assert ("panel 1", "a", 2.0, 1 / 1.5, None) in plotting.table(ax)
    next(line for line in ax.lines if line.get_label() == "a").remove()
    assert "a" not in {row[1] for row in plotting.table(ax.figure)}


def test_only_pictures_are_saved_and_only_under_a_picture_name(tmp_path):
    ax = plotting.phase_diagram(ax=_ax())
    with pytest.raises(ValueError, match=r"path must end in \.png"):
        plotting.save(ax, tmp_path / "x.csv")
    with pytest.raises(TypeError, match="must be matplotlib Axes"):
        plotting.save("x", tmp_path / "x.png")


def test_the_spectrum_of_a_fit_is_that_of_its_problem():
    ax = gf.fit_power_law(LAW).plot(_ax())
    drawn = series(ax)
    np.testing.assert_allclose(drawn["eigenvalues"][0].y, LAW.eigenvalues)
    np.testing.assert_allclose(drawn["fitted eigenvalues"][0].y, LAW.eigenvalues[[0, -1]])


LEGENDS = {
    "map": lambda ax, _: gf.loss_map(LAW, [0.1, 0.5, 2.0], [-0.5, 0.0, 0.9], 100, 2).plot(ax, best=gf.SGD(0.5, 0, 2)),
    "parts": lambda ax, _: gf.predict(gf.PowerLaw(1.5, 2.0, noise_variance=1e-12), gf.SGD(0.4, 0, 100), STEPS).plot(ax),
    "budgets": lambda ax, result: result[1].plot(ax),
    "momenta": lambda ax, result: result.plot(ax),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEGENDS)
def test_legends_stand_clear_of_the_axes_and_inside_the_figure(name, request):
    ax = _ax()
    result = request.getfixturevalue(name) if name in ("budgets", "momenta") else None
    assert LEGENDS[name](ax, result) is ax
    figure = ax.figure
    figure.draw_without_rendering()
    legend = ax.get_legend().get_window_extent()
    assert not legend.overlaps(ax.get_window_extent())
    assert not legend.overlaps(ax.xaxis.label.get_window_extent())
    assert figure.bbox.x0 <= legend.x0
    assert legend.x1 <= figure.bbox.x1
    assert figure.bbox.y0 <= legend.y0
