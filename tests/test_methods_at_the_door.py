"""What is no single setting of a method is refused by name, by every answer that needs one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import genfun as gf
from genfun.experiments import simulate

SCHEDULE = gf.ScheduledSGD(np.full(30, 0.1), 0.5, 5)
NEED_A_METHOD: dict[str, Callable[[Any, Any], Any]] = {
    "predict": lambda d, m: gf.predict(d, m, 5),
    "spread": lambda d, m: gf.spread(d, m, 5),
    "predict_test": lambda d, m: gf.predict_test(d, m, 5, d.eigenfeatures, d.targets, d.eigenfeatures),
    "leave_one_out": lambda d, m: gf.leave_one_out(d, m, 5),
    "noise_scale": lambda d, m: gf.noise_scale(d, m, [3]),
    "big_batch": lambda d, m: gf.big_batch(d, m, [3]),
    "escape_steps": lambda d, m: gf.escape_steps(d, m, 2.0),
    "explain": lambda d, m: gf.explain(d, m, 5),
    "stability": lambda d, m: gf.stability(d, m),
    "steps_to_loss": lambda d, m: gf.steps_to_loss(d, m, 1.0),
    "phase": lambda d, m: gf.phase(d, m),
    "local_exponent": lambda d, m: gf.local_exponent(d, m, 5),
    "simulate": lambda d, m: simulate(d, m, 5, replicas=2),
    "translate": lambda d, m: gf.translate(d, m, 7),
}
FOLLOW_SCHEDULES = {"predict", "spread", "steps_to_loss", "local_exponent", "simulate"}
HELD_OUT = {"predict_test", "leave_one_out"}


@pytest.fixture(scope="module")
def data() -> gf.LinearData:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 6))
    return gf.LinearData.from_features(X, X @ rng.standard_normal(6) + rng.standard_normal(40))


@pytest.mark.other_kinds
@pytest.mark.parametrize("wrong", [None, "SGD", gf.SGD, 0.1], ids=["None", "a name", "a class", "a number"])
@pytest.mark.parametrize("name", NEED_A_METHOD)
def test_what_is_no_method_is_refused_by_name(data: gf.LinearData, name: str, wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^method must be a (method such as SGD, got|dataclass, such as SGD)"):
        NEED_A_METHOD[name](data, wrong)


@pytest.mark.other_kinds
@pytest.mark.parametrize("name", NEED_A_METHOD)
def test_a_schedule_is_followed_or_refused_with_the_answers_that_follow_one(data: gf.LinearData, name: str) -> None:
    if name in FOLLOW_SCHEDULES:
        NEED_A_METHOD[name](data, SCHEDULE)
    elif name in HELD_OUT:
        with pytest.raises(ValueError, match="takes constant hyperparameters, got a ScheduledSGD"):
            NEED_A_METHOD[name](data, SCHEDULE)
    else:
        with pytest.raises(TypeError, match=r"^method must be .*ScheduledSGD.*known to predict, spread"):
            NEED_A_METHOD[name](data, SCHEDULE)


@pytest.mark.other_kinds
@pytest.mark.parametrize("answer", [gf.optimize, gf.max_learning_rate])
def test_searches_refuse_a_schedule_as_their_template(data: gf.LinearData, answer: Any) -> None:
    steps = {"steps": 5} if answer is gf.optimize else {}
    with pytest.raises(TypeError, match=r"^method must be .*ScheduledSGD"):
        answer(data, method=SCHEDULE, **steps)


def test_answers_about_no_single_method_take_none(data: gf.LinearData) -> None:
    assert gf.max_learning_rate(data, method=None) > 0.0
    assert gf.optimize(data, 5, 5, momentum=0.0, method=None).loss > 0.0


def test_leave_one_out_refuses_nesterov_and_predict_test_knows_it(data: gf.LinearData) -> None:
    m = gf.SGD(0.1, 0.6, 4, nesterov=True)
    with pytest.raises(ValueError, match=r"nesterov=True is not known here.*leave it out"):
        gf.leave_one_out(data, m, 5)
    for other in (m, gf.QHM(0.1, 0.9, 0.7, 4)):
        rows = (data.eigenfeatures[:20], data.targets[:20], data.eigenfeatures)
        told, full = (gf.predict_test(data, other, [2, 5, 30], *rows, noise=name) for name in ("measured", "exact"))
        assert told.loss == pytest.approx(full.loss, rel=5e-3)
        assert told.loss - told.mean_loss == pytest.approx(full.loss - full.mean_loss, rel=0.05)


@pytest.mark.parametrize("option", ["weight_decay", "dampening"])
@pytest.mark.parametrize("name", sorted(HELD_OUT))
def test_held_out_answers_refuse_options_whose_first_step_differs(data: gf.LinearData, name: str, option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}=0.1: not derived here"):
        NEED_A_METHOD[name](data, gf.SGD(0.1, 0.5, 5, **{option: 0.1}))


@pytest.mark.slow
def test_a_search_takes_the_batch_size_of_its_template(data: gf.LinearData) -> None:
    own, bare = gf.SGD(0.1, 0.5, 5), gf.SGD(0.1, 0.5)
    found = gf.optimize(data, steps=20, momentum=0.5, method=own)
    assert found.method == gf.optimize(data, 5, 20, momentum=0.5).method  # not the full batch
    assert gf.optimize(data, 5, 20, momentum=0.5, method=bare).method.batch_size == 5
    grid, asked = gf.loss_map(data, [0.1], [0.5], 20, method=own), gf.predict(data, own, 20).loss
    assert grid.batch_size == 5
    assert grid.loss[0, 0] == pytest.approx(float(asked), rel=1e-6)
    gain = gf.noise_gain_map(data, [0.1], [0.5], method=own)
    assert gain == pytest.approx(gf.noise_gain_map(data, [0.1], [0.5], 5))
    assert gain[0, 0] > 0.0
    assert gf.optimize(data, budget=100, momentum=0.5, method=own).method.batch_size == 5


@pytest.mark.slow
def test_averages_and_epochs_bring_their_batch_size_too(data: gf.LinearData) -> None:
    own = gf.SGD(0.1, 0.5, 5, sampling="epochs")
    found = gf.optimize(data, steps=16, momentum=0.0, method=own).method
    assert (found.batch_size, found.sampling) == (5, "epochs")
    averaged = gf.Averaged(gf.SGD(0.1, 0.5, 5), "polyak")
    assert gf.optimize(data, steps=16, momentum=0.0, method=averaged).method.batch_size == 5


@pytest.mark.parametrize(
    "ask",
    [
        lambda d, m: gf.optimize(d, 7, 20, method=m),
        lambda d, m: gf.loss_map(d, [0.1], [0.5], 20, 7, method=m),
        lambda d, m: gf.noise_gain_map(d, [0.1], [0.5], 7, method=m),
    ],
    ids=["optimize", "loss_map", "noise_gain_map"],
)
def test_another_batch_size_beside_that_of_the_template_is_refused(data: gf.LinearData, ask: Any) -> None:
    with pytest.raises(ValueError, match="batch_size=7 differs from 5, the method's own; leave one of them out"):
        ask(data, gf.SGD(0.1, 0.5, 5))


@pytest.mark.other_kinds
def test_booleans_of_numpy_are_taken_and_other_numbers_refused() -> None:
    yes = np.bool_(True)
    assert gf.SGD(0.1, 0.9, 5, nesterov=yes) == gf.SGD(0.1, 0.9, 5, nesterov=True)
    assert gf.SGD(0.1, 0.9, 5, yes).replacement is gf.QHM(0.1, 0.9, 0.7, 5, yes).replacement is True
    assert gf.ScheduledSGD(0.1, 0.5, 5, replacement=yes).replacement is True
    for wrong in (1, 0.0, "yes", None):
        with pytest.raises(TypeError, match="nesterov must be True or False"):
            gf.SGD(0.1, 0.9, 5, nesterov=wrong)


@pytest.mark.parametrize("steps", [10**20, [10**20, 3], 2**63 + 5])
def test_steps_beyond_all_integers_of_numpy_are_too_many(data: gf.LinearData, steps: Any) -> None:
    with pytest.raises(ValueError, match=r"^steps must be at most 10\^15, got (10{20}|9223372036854775813)"):
        gf.predict(data, gf.SGD(0.1, 0.5, 5), steps)


def test_steps_below_all_integers_of_numpy_are_negative(data: gf.LinearData) -> None:
    with pytest.raises(ValueError, match=r"^steps must be zero or positive, got -10{20}"):
        gf.predict(data, gf.SGD(0.1, 0.5, 5), [5, -(10**20)])


def test_beyond_the_edge_the_exact_prediction_diverges(data: gf.LinearData) -> None:
    m = gf.SGD(1.1 * gf.max_learning_rate(data, 0.5, 5, "exact"), 0.5, 5)
    assert gf.predict(data, m, [10, 1000, 10**6, 10**15], noise="exact").status == "diverges"
