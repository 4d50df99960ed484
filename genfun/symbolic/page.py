"""The generating functions of a method as text or LaTeX, with numbered equations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from genfun.symbolic._equation import Section, equal
from genfun.symbolic.conditions import stability_conditions
from genfun.symbolic.derivation import Derivation, derive
from genfun.symbolic.page_asymptotics import late_sections
from genfun.symbolic.pairs import pair_sections
from genfun.symbolic.paper import paper_form, sum_over_modes


def show(method: type[Any], latex: bool = False, width: int = 100) -> str:
    r"""Everything that is derived from a method, from the update matrices to the best settings for late times.

    .. math:: \tilde L(z) = \frac{\tilde V(z) + \frac{\sigma^2}{\tau_1}\frac{z\,\tilde U(z)}{1-z}}{2(1 - z\tilde U(z))}
              + \frac{\sigma^2}{2(1-z)}

    **Assumptions.** As for `genfun.symbolic.derivation.Derivation`.

    Parameters
    ----------
    method : class
        With a static `update(a, *hyperparameters)`, for example `SGD`.
    latex : bool
        LaTeX with `equation` environments, each with a label such as eq:SGD-1, instead of text.
    width : int
        Columns of the text; longer equations are broken.

    Returns
    -------
    str
        Sections with numbered equations.

    Raises
    ------
    TypeError
        If `method` has no `update`.

    References
    ----------
    arXiv 2206.11124, theorem 1 (generating functions) and its heavy-ball case.

    Examples
    --------
    >>> from genfun.methods import SGD
    >>> r"\tilde{U}{\left(1 \right)} < 1" in show(SGD, latex=True)
    True
    """
    blocks: list[str] = ["% \\input this into a document that loads amsmath"] if latex else []
    number = 0
    sections = chain(_sections(method.__name__, derive(method)), late_sections(method), pair_sections(method))
    for title, equations in sections:
        blocks.append(rf"\paragraph{{{_latex_title(title)}}}" if latex else title)
        for equation in equations:
            number += 1
            label = f"eq:{method.__name__}-{number}"
            blocks.append(_latex(equation, label) if latex else _text(equation, number, width))
    return "\n\n".join(blocks) + "\n"


def _sections(name: str, D: Derivation) -> Iterator[Section]:
    import sympy

    from genfun.symbolic._group import group

    a, z, g = D.a, D.z, D.g
    alpha, gamma, tau1, tau2, sigma, lam, signal = sympy.symbols("alpha gamma tau_1 tau_2 sigma lambda_k s_k")
    k, N = sympy.symbols("k N")
    U, V, L = (sympy.Function(f"{letter}tilde") for letter in "UVL")
    u, v = sympy.Function("u"), sympy.Function("v")
    one = sympy.Integer(1)

    def total(summand: Any) -> Any:
        return sympy.Sum(summand, (k, 1, N))

    yield (
        f"{name}: one step x -> T x - noise * kappa of a mode, a = alpha lambda",
        [equal("T", D.T), equal("kappa", D.kick)],
    )
    yield (
        "Second moments E[x_i x_j], i <= j, with g = gamma tau2",
        [equal("A", D.A)],
    )
    yield (
        "Squared impulse responses without noise, u_0 = n_u/d and v_0 = n_v/d",
        [equal("n_u", paper_form(D.n_u, D)), equal("n_v", paper_form(D.n_v, D)), equal("d", paper_form(D.d, D))],
    )
    d, n_u, _ = D.stable
    yield (
        "Denominator S, in powers of a and z, and as it is evaluated with q = 1 - z",
        [equal("S", paper_form(D.S, D)), equal("S", d + g * a**2 * z * group(n_u))],
    )
    S = sympy.Symbol("S")
    yield "Responses", [equal("u", paper_form(D.n_u, D) / S), equal("v", paper_form(D.n_v, D) / S)]
    noise = sigma**2 / tau1 * z * U(z) / group(1 - z)
    yield (
        "Generating functions",
        [
            equal(U(z), gamma * tau1 * alpha**2 * total(lam**2 * u(alpha * lam, z))),
            equal(V(z), total(signal * v(alpha * lam, z))),
            equal(L(z), (V(z) + noise) / (2 * group(1 - z * U(z))) + sigma**2 / (2 * group(1 - z))),
        ],
    )
    physical: Any = {a: alpha * lam, g: gamma * tau2}

    def at_one(summand: Any, factor: Any, weight: Any) -> Any:
        outside, numerator, denominator = (part.subs(physical) for part in sum_over_modes(summand, D))
        pulled, inner = numerator.as_independent(lam, as_Add=False)
        return factor * pulled * outside * total(weight * inner / denominator)

    yield (
        "At z = 1",
        [equal(U(1), at_one(D.U1, gamma * tau1, one)), equal(V(1), at_one(D.V1, one, signal))],
    )
    own_noise = sum_over_modes(D.U1, D)[2]
    yield (
        "Stable without noise if and only if, for every eigenvalue,",
        [sympy.Gt(p, 0, evaluate=False) for p in stability_conditions(D)],
    )
    yield (
        "and in mean square (tau2 <= tau1) if also (the first binds for tau2 < 0 only)",
        [sympy.Gt(own_noise, 0, evaluate=False), sympy.Lt(U(1), 1, evaluate=False)],
    )
    for symbol in D.hyperparameters:
        S_there, n_u_there, n_v_there = (paper_form(p.subs(symbol, 0), D) for p in (D.S, D.n_u, D.n_v))
        yield (
            f"Limit {symbol} = 0",
            [
                equal("S", S_there),
                equal("u", n_u_there / S),
                equal("v", n_v_there / S),
                equal(U(1), at_one(D.U1.subs(symbol, 0), gamma * tau1, one)),
            ],
        )
    denominator = sympy.Symbol("d")
    yield (
        "Limit tau2 = 0",
        [equal("S", denominator), equal(U(1), at_one(D.U1.subs(g, 0), gamma * tau1, one))],
    )
    yield (
        "Limit gamma = 0 (full batch)",
        [equal("S", denominator), equal(U(z), 0), equal(L(z), V(z) / 2 + sigma**2 / (2 * group(1 - z)))],
    )


def _text(equation: Any, number: int, width: int) -> str:
    """The equation with its number in front, on the line of its relation sign."""
    import sympy

    margin = 7
    settings: Any = {"use_unicode": True, "wrap_line": True, "num_columns": width - margin}
    settings |= {"order": "rev-lex", "root_notation": False}
    lines = str(sympy.pretty(equation, **settings)).splitlines()
    numbered = next(i for i, line in enumerate(lines) if any(f" {sign} " in line for sign in "=<>"))
    return "\n".join(
        f"{f'({number})' if i == numbered else '':<{margin}}{line}".rstrip() for i, line in enumerate(lines)
    )


def _latex(equation: Any, label: str) -> str:
    import sympy

    tex = sympy.latex(equation, order="rev-lex", root_notation=False)
    return f"\\begin{{equation}}\\label{{{label}}}\n{tex}\n\\end{{equation}}"


def _latex_title(title: str) -> str:
    tex = {"->": r"$\to$", "<=": r"$\le$", "<": "$<$", ">": "$>$", "*": r"$\cdot$", "_": r"\_"}
    tex |= {f"{letter}~": rf"$\tilde{{{letter}}}$" for letter in "UVLR"}
    return re.sub(r"[UVLR]~|->|<=|[<>*_]", lambda sign: tex[sign.group()], title)
