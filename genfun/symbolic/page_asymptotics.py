"""The late-time part of the page of formulas: slow modes, phases, noise gain, best settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from genfun.symbolic._equation import Section, equal
from genfun.symbolic.best_settings import LateOptimum, noise_moment, optimum, signal_moment
from genfun.symbolic.form import stable_form
from genfun.symbolic.paper import sum_over_modes
from genfun.symbolic.phases import Asymptotics, asymptotics
from genfun.symbolic.slow_mode import names


def late_sections(method: type[Any]) -> Iterator[Section]:
    """Titles and equations of what `asymptotics` and `optimum` derive.

    Parameters
    ----------
    method : class
        With a static `update(a, *hyperparameters)`.
    """
    try:
        late = asymptotics(method)
    except ValueError as reason:
        yield f"No power laws at late times: {type(reason).__name__}, no single slow mode", []
        return
    yield from _phases(late)
    try:
        best = optimum(method)
    except ValueError:
        yield "No best settings near zero momentum: the method does not learn there", []
        return
    yield from _noise_gain(late, best)
    yield from _best(late, best)


def _phases(late: Asymptotics) -> Iterator[Section]:
    import sympy

    from genfun.symbolic._group import group

    n, slow, h = names(), late.slow, late.derivation.hyperparameters
    t, lam = n.t, n.lam
    lam_k, s_j, k, j = sympy.symbols("lambda_k s_j k j")
    flow = group(n.p + 2 * n.rate * lam)
    yield (
        "Slow modes: z = exp(-p), p -> 0 and lambda -> 0 together, to leading order",
        [
            equal("u", _bare(stable_form(slow.u, h) / flow)),
            equal("v", _bare(stable_form(slow.v, h) / flow)),
            equal(n.rate, _bare(n.alpha * stable_form(slow.effective, h))),
        ],
    )
    decay = sympy.exp(-2 * n.rate * lam * t)
    laws = [equal(lam_k, n.Lambda * k**-n.nu), equal(sympy.Sum(s_j, (j, k, sympy.oo)), n.Q * lam_k**n.zeta)]
    coefficients = [
        line
        for name, tail, C in (("U_t", late.kernel, n.C_U), ("V_t", late.decay, n.C_V))
        for line in (
            equal(name, sympy.Integral(tail.density * decay, (lam, 0, sympy.oo))),
            equal(name, C * _fall(tail.exponent)),
            equal(C, tail.constant),
        )
    ]
    yield "Power laws: coefficients of U~ and V~ at late t, by Watson's lemma", laws + coefficients
    singular = [("Utilde_sing", late.kernel_singular), ("Vtilde_sing", late.decay_singular)]
    yield "Singular parts of U~ and V~ where z = exp(-p), p -> 0", [equal(name, part) for name, part in singular]
    phases = (("L_s", late.signal, late.decay), ("L_n", late.noise, late.kernel))
    yield (
        "Loss at late t, signal part and noise part, without label noise (nu > 1, U~(1) < 1)",
        [
            equal(name, _shown(form * _fall(tail.exponent)))
            for name, part, tail in phases
            for form in (part, late.explicit(part))
        ],
    )
    yield "Signal-dominated for zeta below, noise-dominated above", [equal(n.zeta, late.boundary)]
    yield "Step of the transition, L_s = L_n", [equal(t, _shown(late.transition))]
    p_star = sympy.Symbol("p_*")
    yield "Eventual divergence, 1/2 < nu < 1: growth as exp(p t) at small gamma", [equal(p_star, late.growth)]


def _noise_gain(late: Asymptotics, best: LateOptimum) -> Iterator[Section]:
    import sympy

    n, D, gain = names(), late.derivation, best.gain
    lam, s = sympy.symbols("lambda_k s_k")
    lam_crit, tau2 = sympy.symbols("lambda_crit tau_2")
    U, V = _functions().values()
    strength = n.gamma * n.tau1
    physical: Any = {D.a: n.rate * lam, gain.x: n.rate * lam, D.g: n.gamma * tau2}

    def total(summand: Any, weight: Any) -> Any:
        outside, top, bottom = (part.subs(physical) for part in _oriented_parts(summand.subs(gain.x, D.a), D))
        return outside * _sum(weight * top / bottom)

    yield (
        "Noise gain and signal sum in alpha_eff",
        [equal(U, strength * total(gain.U1, sympy.Integer(1))), equal(V, total(gain.V1, s))],
    )
    trace = sympy.Dummy("trace", positive=True)
    bound = sympy.solve(best.noise_gain.subs(noise_moment(1), trace) - 1, n.rate)[0].subs(trace, _sum(lam))
    yield (
        "Small alpha_eff, with the limit that U~(1) < 1 sets",
        [
            equal(U, _shown(best.noise_gain)),
            equal(V, _shown(best.signal_sum)),
            sympy.Lt(n.rate, bound, evaluate=False),
        ],
    )
    for h, summand in gain.U1_limits.items():
        crit = sympy.cancel(n.tau1 * n.gamma * summand.subs(physical).subs(n.rate, 2 / (n.gamma * lam_crit)))
        yield (
            f"{h} -> 1 at fixed alpha_eff, with the limit that U~(1) < 1 sets",
            [
                equal(U, strength * _sum(summand.subs(physical))),
                sympy.Lt(n.rate, 2 / (n.gamma * lam_crit), evaluate=False),
                equal(_sum(crit), 1),
            ],
        )


def _best(late: Asymptotics, best: LateOptimum) -> Iterator[Section]:
    import sympy

    n = names()
    U = _functions()[n.U1]
    scope = "small alpha_eff, or gamma tau2 = 1 and no momentum" if best.exact else "small alpha_eff"
    for phase, balance, gain, rate in (
        ("noise", best.noise_balance, best.noise_phase, best.noise_rate),
        ("signal", best.signal_balance, best.signal_phase, best.signal_rate),
    ):
        yield (
            f"Best alpha_eff, {phase}-dominated ({scope})",
            [equal(_shown(balance), 0), equal(U, gain), equal(n.rate, _shown(rate))],
        )
    x = sympy.Symbol("x")
    for h, sign in best.momentum.items():
        slopes = (("dU_1", best.gain.U1_slopes[h]), ("dV_1", best.gain.V1_slopes[h]))
        yield (
            f"Summands of U~(1) and V~(1) differentiated by {h} at 0, x = alpha_eff lambda fixed",
            [equal(name, _collected(slope, best.gain.x).subs(best.gain.x, x)) for name, slope in slopes],
        )
        scope = "small alpha_eff, or gamma tau2 = 1" if sign.exact else "small alpha_eff"
        equations = [
            equal(sympy.Derivative(sympy.Function(f"log {phase}")(h), h), _shown(slope))
            for phase, slope in (("L_s", sign.signal_slope), ("L_n", sign.noise_slope))
        ]
        yield f"Slopes of the loss there ({scope})", equations
        if sign.at_optimum != 0:
            yield (
                f"At the best alpha_eff of the noise-dominated phase {h} < 0 helps if and only if",
                [sympy.Gt(_shown(sign.left), _shown(sign.right), evaluate=False)],
            )


def _fall(exponent: Any) -> Any:
    import sympy

    return names().t ** sympy.expand(-exponent)


def _functions() -> dict[Any, Any]:
    """U~(1) and V~(1) by their symbols."""
    import sympy

    n = names()
    return {n.U1: sympy.Function("Utilde")(1), n.V1: sympy.Function("Vtilde")(1)}


def _sum(summand: Any) -> Any:
    import sympy

    k, N = sympy.symbols("k N")
    return sympy.Sum(summand, (k, 1, N))


def _shown(expression: Any) -> Any:
    """Moments as sums, U~(1) and V~(1) as functions, and denominators 1 - U~(1) rather than U~(1) - 1."""
    import sympy

    lam, s = sympy.symbols("lambda_k s_k")
    moments: Any = {f(i): _sum(w * lam**i) for f, w in ((noise_moment, 1), (signal_moment, s)) for i in range(-3, 4)}
    terms = [_oriented(term) for term in sympy.Add.make_args(expression)]
    return sympy.Add(*terms).subs(moments | _functions())


def _bare(p: Any) -> Any:
    """A denominator of one sum needs no parentheses."""
    import sympy

    from genfun.symbolic._group import ungroup

    top, bottom = sympy.fraction(p)
    return top / ungroup(bottom)


def _oriented(term: Any) -> Any:
    import sympy

    from genfun.symbolic._group import Group, group

    top, bottom = sympy.fraction(term)
    if not bottom.has(names().U1):
        return term
    if bottom.atoms(Group):
        return _bare(term)
    factored: Any = sympy.factor(bottom)
    number, rest = factored.as_coeff_Mul()
    sign = -1 if rest.subs(names().U1, 0).is_negative else 1
    return _bare(sign * top / (number * group(sympy.expand(sign * rest))))


def _collected(p: Any, x: Any) -> Any:
    """Each factor in powers of x."""
    import sympy

    return sympy.Mul(*(sympy.collect(f.as_base_exp()[0], x) ** f.as_base_exp()[1] for f in sympy.Mul.make_args(p)))


def _oriented_parts(summand: Any, D: Any) -> tuple[Any, Any, Any]:
    """`sum_over_modes` with a numerator that is positive at small arguments."""
    import sympy

    from genfun.symbolic.paper import paper_form

    outside, top, bottom = sum_over_modes(summand, D)
    first = sympy.Poly(top.doit(), D.a).all_coeffs()[-1] if top.doit().has(D.a) else top.doit()
    if first.subs(dict.fromkeys(D.hyperparameters, 0)).is_negative:
        return -outside, paper_form(sympy.expand(-top.doit()), D), bottom
    return outside, top, bottom
