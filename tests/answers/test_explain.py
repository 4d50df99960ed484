"""What `explain` says is what the functions say: every number in the sentences is compared with its source."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from own_methods import Nesterov

import genfun as gf
from genfun._display import percent
from genfun.answers.words._lines import most_effective
from genfun.answers.words.problem import problem_words
from genfun.data import gaussian

PLUS, MINUS = gf.SpectrallyExpressible(1.0, 1.0), gf.SpectrallyExpressible(1.0, -1.0)
LAW = gf.PowerLaw(1.5, 2.0, n_modes=100, n_samples=400)
FEW = gf.PowerLaw(1.5, 2.0, n_modes=12, n_samples=20)
LABELS = gf.PowerLaw(1.5, 0.5, n_modes=60, noise_variance=0.1)
k = np.arange(1.0, 61.0)
MEASURED = gf.LinearProblem(k**-1.2, k**-1.6, n_samples=300)
ODD = gf.LinearProblem([1.0, 0.3], [0.7, 0.2])
CASES = {
    "finite law, noise phase": (LAW, gf.SGD(0.5, 0.3, 4), 400, MINUS),
    "measured": (MEASURED, gf.SGD(0.2, 0.0, 20), 100, PLUS),
    "diverging": (LAW, gf.SGD(1.0, 0.9, 1), 100, PLUS),
    "eventually diverging": (gf.PowerLaw(0.8, 0.5), gf.SGD(0.4, 0.0, 2), 300, PLUS),
    "label noise": (LABELS, gf.SGD(0.4, -0.3, 5), 100, PLUS),
    "no exponents": (ODD, gf.SGD(0.4, 0.0, 2), 10, PLUS),
    "with replacement": (FEW, gf.SGD(0.4, 0.0, 8, replacement=True), 20, PLUS),
}


@pytest.fixture(scope="module")
def told():
    return {name: gf.explain(*case) for name, case in CASES.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_number_is_that_of_the_function_it_comes_from(told, name):
    problem, setting, steps, noise = CASES[name]
    e = told[name]
    assert (e.steps, e.noise, e.noise_source, e.method) == (steps, noise, "given", setting)
    assert repr(e.stability) == repr(gf.stability(problem, setting, noise))
    if not setting.replacement:
        assert e.max_learning_rate == gf.max_learning_rate(problem, setting.momentum, setting.batch_size, noise)
        edges = [gf.max_learning_rate(problem, setting.momentum, setting.batch_size, n) for n in (PLUS, MINUS)]
        assert [e.max_rate_at_tau2_plus, e.max_rate_at_tau2_minus] == edges
    else:
        loose = gf.PowerLaw(1.5, 2.0, n_modes=12)
        assert e.max_learning_rate == gf.max_learning_rate(loose, setting.momentum, setting.batch_size, noise)
    assert repr(e.fit) == repr(gf.fit_power_law(problem))
    assert (e.phase is None) == (name == "no exponents")
    if e.phase is not None:
        assert repr(e.phase) == repr(gf.phase(problem, setting, noise))
    losses = [gf.predict(problem, setting, steps, n).loss for n in (noise, PLUS, MINUS)]
    assert [e.loss, e.loss_at_tau2_plus, e.loss_at_tau2_minus] == losses
    assert e.local_exponent == pytest.approx(float(gf.local_exponent(problem, setting, steps, noise)), rel=1e-12)
    assert e.lowest_loss == 0.5 * problem.noise_variance
    if name != "label noise":
        assert e.floor_step == math.inf
    for change in e.changes:
        assert change.method.replacement == setting.replacement
        after = gf.predict(problem, change.method, change.steps, noise)
        assert change.loss == pytest.approx(float(after.loss), rel=1e-9)
        assert change.log_gain == pytest.approx(e.log_loss - float(after.log_loss), abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_the_sentences_say_these_numbers(told, name):
    e, text = told[name], str(told[name])
    assert 8 <= len(e.lines) <= 11
    assert "nan" not in text
    assert f"learning rate {e.method.learning_rate:.6g}, momentum {e.method.momentum:.4g}" in e.lines[0]
    assert problem_words(getattr(CASES[name][0], "problem", CASES[name][0])) in e.lines[0]
    assert ("with replacement" in e.lines[0]) == e.method.replacement
    assert e.stability.status in text.replace("It ", "") or name == "edge"
    assert re.search(rf"At step {e.steps:,} the loss is {re.escape(f'{e.loss:.3g}')}[,;]", text)
    if e.phase is not None and abs(e.local_exponent) < 10.0:
        assert f"{abs(e.local_exponent):.3g}" in text
    else:
        # A power of the step would say nothing: the pace of one step does.
        pace = abs(e.local_exponent) / e.steps
        told_pace = f"e every {1.0 / pace:,.0f} steps" if pace < 0.5 else f"factor {math.exp(pace):.3g} a step"
        assert f"by a {told_pace}" in text or f"by a factor {told_pace}" in text
        assert "t^" not in text.split("there it")[1]
    if e.phase is None:
        assert "is no power law, so there is no phase" in text
        assert "t^" not in text
    else:
        assert f"Phase: {e.phase.name}" in text
        assert f"nu = {e.fit.nu:.4g}" in text
        assert f"zeta = {e.fit.zeta:.4g}" in text
    if e.phase is not None and "divergence" not in e.phase.name:
        assert f"{e.phase.constant:.3g} t^-{e.phase.exponent:.4g}" in text
        for step in (e.phase.transition_step, e.phase.end_step):
            assert not math.isfinite(step) or f"at step {step:,.0f}" in text
    if e.max_learning_rate > 0.0:
        assert f"largest stable learning rate here is {e.max_learning_rate:.4g}, " in text
        assert f"noise gain {e.stability.noise_gain:.3g};" in text
        assert e.stability.limit in e.lines[2].lower()
    noisy = e.method.batch_size is not None
    low, high = sorted((e.loss_at_tau2_plus, e.loss_at_tau2_minus))
    assert (f"the loss there is {low:.4g} .. {high:.4g}" in text) == noisy


@pytest.mark.slow
def test_a_spectrum_that_is_no_power_law_gets_no_phase_and_no_exponent_anywhere():
    k = np.arange(1, 201.0)
    bent = gf.LinearProblem(1.0 / (k + k**2.2 / 50.0), k**-1.5, n_samples=500)
    fit = gf.fit_power_law(bent)
    assert np.isfinite([fit.nu, fit.zeta]).all()
    assert not fit.is_power_law
    for rate in (0.1, 3.0):
        e = gf.explain(bent, gf.SGD(rate, batch_size=4), 100)
        assert e.phase is None
        assert not re.search(r"t\^|Phase|nu =|zeta =|tends to|while the law", str(e))
        assert "is no power law, so there is no phase" in str(e)
        assert "dominated" not in repr(e)
    found = gf.phase(bent, gf.SGD(0.1, batch_size=4))
    assert repr(found) == "Phase(none: the spectrum is no power law)"


def test_the_pace_in_the_end_is_the_growth_rate(told):
    for name, verb in (("finite law, noise phase", "falls"), ("diverging", "in the end")):
        rate = abs(told[name].stability.growth_rate)
        assert verb in told[name].lines[1]
        said = told[name].lines[1]
        assert f"{1.0 / rate:,.0f} steps" in said if rate < 0.5 else f"{math.exp(rate):.3g} a step" in said
    fast = gf.LinearProblem([1.0], [1.0])
    end = gf.stability(fast, gf.SGD(0.5, 0.0, 1))
    assert f"a factor {math.exp(-end.growth_rate):.3g} a step" in gf.explain(fast, gf.SGD(0.5, 0.0, 1), 5).lines[1]


def test_the_floor_of_label_noise_and_when_it_is_reached(told):
    e, (problem, setting, _, noise) = told["label noise"], CASES["label noise"]
    floor = gf.stability(problem, setting, noise).floor
    assert e.final_loss == 0.05 + floor
    assert floor > 0.0
    assert float(gf.predict(problem, setting, 10**9, noise).loss) == pytest.approx(e.final_loss, rel=1e-9)
    around = gf.predict(problem, setting, [int(e.floor_step) - 1, int(e.floor_step)], noise).loss
    assert around[1] <= 1.05 * e.final_loss < around[0]
    assert f"a loss of {e.final_loss:.4g}: 0.05 that no setting avoids, and {floor:.4g}" in str(e)
    assert f"within 5 % of it at step {e.floor_step:,.0f}" in str(e)


@pytest.mark.slow
def test_the_best_changes_are_those_of_optimize(told):
    for name in ("finite law, noise phase", "label noise"):
        e, (problem, setting, steps, noise) = told[name], CASES[name]
        by_name = {change.what: change for change in e.changes}
        assert list(by_name) == ["learning rate", "momentum", "learning rate and momentum", "batch size"]
        alone = gf.optimize(problem, setting.batch_size, steps, setting.momentum, noise)
        both = gf.optimize(problem, setting.batch_size, steps, None, noise)
        assert by_name["learning rate"].method == alone.method
        assert by_name["learning rate and momentum"].method == both.method
        other = by_name["batch size"]
        assert other.steps * other.method.batch_size == pytest.approx(steps * setting.batch_size, rel=0.05)
        least = gf.optimize(problem, other.method.batch_size, other.steps, setting.momentum, noise)
        assert other.method == least.method
        first = most_effective(e.changes)
        assert first is min((by_name["learning rate"], by_name["momentum"]), key=lambda change: change.loss)
        if first.log_gain > math.log(1.05):
            assert f"Change first: the {first.what} alone" in str(e)
            assert f"gains a factor {math.exp(first.log_gain):.3g};" in str(e)


def test_the_momentum_alone_is_no_worse_than_any_on_a_grid(told):
    for name in ("finite law, noise phase", "diverging"):
        problem, setting, steps, noise = CASES[name]
        found = next(change for change in told[name].changes if change.what == "momentum")
        assert found.method.learning_rate == setting.learning_rate
        betas = np.linspace(-0.98, 0.98, 99)
        grid = gf.loss_map(problem, [setting.learning_rate], betas, steps, setting.batch_size, noise).loss
        # Half a cell of the last map, atanh(0.99)/20 (2/8)^2 = 0.008 in atanh of the momentum, costs less.
        assert found.loss <= 1.001 * np.nanmin(grid)


def test_another_method_on_an_infinite_law_is_explained_without_advice():
    problem, setting = gf.PowerLaw(1.5, 0.5), Nesterov(0.1, 0.5, 10)
    e = gf.explain(problem, setting, 100)
    assert e.loss == float(gf.predict(problem, setting, 100).loss)
    assert repr(e.phase) == repr(gf.phase(problem, setting))
    assert "more slowly than any exponential" in e.lines[1]
    assert "the power law has no end" in str(e)
    assert e.changes == ()
    assert "Change first" not in str(e)


def test_a_best_setting_is_told_so():
    best = gf.optimize(MEASURED, 5, 100).method
    e = gf.explain(MEASURED, best, 100)
    assert "Nothing to gain at step 100" in str(e)
    assert max(change.log_gain for change in e.changes[:3]) < math.log(1.05)


@pytest.mark.slow
@pytest.mark.usefixtures("coarse_searches")
def test_data_bring_their_own_noise_and_its_error():
    d = gaussian(k[:8] ** -1.5, k[:8] ** -1.75, n_samples=40, noise_variance=0.01, seed=0)
    own = gf.explain(d, gf.SGD(0.1, 0.0, 6), 50)
    assert (own.noise, own.noise_source) == (d.measured_noise, "measured on the data")
    assert own.loss == float(gf.predict(d, gf.SGD(0.1, 0.0, 6), 50).loss)
    assert "Batch noise is that of the data" in str(own)
    assert own.noise_error == float(gf.predict(d, gf.SGD(0.1, 0.0, 6), 50).noise_error)
    assert own.loss_at_tau2_plus is own.max_rate_at_tau2_minus is None
    edge = own.max_learning_rate
    assert "a learning rate 10 % smaller has" in str(gf.explain(d, gf.SGD(0.95 * edge, 0.0, 6), 50))
    assert "a learning rate 10 % smaller has" not in str(own)
    e = gf.explain(d, gf.SGD(0.1, 0.0, 6), 50, "fitted")
    assert (e.noise, e.noise_source) == (d.noise, "estimated from the data")
    assert e.loss == float(gf.predict(d.problem, gf.SGD(0.1, 0.0, 6), 50, d.noise).loss)
    assert f"tau2 = {d.noise.tau2:.4g}, off by up to {percent(d.noise_fit.noise_misfit)} while learning" in str(e)
    given = gf.explain(d, gf.SGD(0.1, 0.0, 6), 50, PLUS)
    assert (given.noise, given.noise_source) == (PLUS, "given")
    assert "off by" not in str(given)


def test_without_steps_the_run_is_looked_at_step_1000():
    e = gf.explain(ODD, gf.SGD(0.4))
    assert e.steps == 1000
    assert "At step 1,000 (by default)" in str(e)
    assert "There is no batch noise, so tau2 changes nothing." in e.lines


@pytest.mark.parametrize(
    ("problem", "setting", "part"),
    [
        (gf.LinearProblem([1.0], [1.0]), gf.SGD(1.0), "the loss is 0"),
        (gf.LinearProblem([1.0, 0.5], [0.0, 0.0]), gf.SGD(0.5, 0.0, 2), "there is no signal"),
        (gf.LinearProblem([1.0], [1.0]), gf.SGD(2.0, 0.0, 1), "on the edge of stability"),
        (gf.PowerLaw(0.4, 0.5), gf.SGD(0.1, 0.0, 10), "diverges at once"),
        (gf.LinearProblem([1.0, 0.5], [0.0, 0.0], noise_variance=0.1), gf.SGD(0.5, 0.0, 2), "starts no higher"),
    ],
)
def test_odd_problems_are_told_without_a_number_that_is_none(problem, setting, part):
    text = str(gf.explain(problem, setting, 10))
    assert part in text
    assert "nan" not in text


def test_repr_is_one_line_and_str_all_lines(told):
    for e in told.values():
        assert "\n" not in repr(e)
        assert e.stability.status in repr(e)
        assert str(e).split("\n") == list(e.lines)


def test_wrong_questions_are_refused():
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        gf.explain(ODD, gf.SGD(0.4), 0)
    with pytest.raises(ValueError, match=r"steps must be at most 10\^12"):
        gf.explain(ODD, gf.SGD(0.4), 10**13)
    with pytest.raises(ValueError, match="batch_size must be at most n_samples=400, got 401"):
        gf.explain(LAW, gf.SGD(0.4, 0.0, 401))


@pytest.mark.parametrize(("rate", "words"), [(0.1, "of the start"), (5.0, "times that at the start")])
def test_a_loss_above_the_start_is_a_multiple_of_it(rate, words):
    line = next(line for line in gf.explain(ODD, gf.SGD(rate), 3).lines if line.startswith("At step 3"))
    assert words in line


def test_of_data_under_batches_with_replacement_the_changes_are_by_their_own_noise() -> None:
    data = gaussian([1.0, 0.5], [1.0, 1.0], 60, seed=1, noise_variance=0.2)
    found = gf.explain(data, gf.SGD(0.1, 0.0, 20, replacement=True), 50)
    assert len(found.changes) == 4
    for change in found.changes:
        assert change.method.replacement
        assert change.loss == pytest.approx(float(gf.predict(data, change.method, change.steps).loss), rel=1e-9)
