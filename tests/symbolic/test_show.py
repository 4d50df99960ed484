"""What `show` prints is what was derived."""

from __future__ import annotations

import ast
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import sympy
from own_methods import GradientDescent, Nesterov

from genfun.methods import SGD, _sgd_responses
from genfun.symbolic import derive, show
from genfun.symbolic.generate import source
from genfun.symbolic.paper import paper_form, sum_over_modes

METHODS = [SGD, Nesterov, GradientDescent]


@pytest.mark.parametrize("method", METHODS)
def test_paper_forms_equal_what_they_arrange(method: type[Any]) -> None:
    D = derive(method)
    for p in (D.S, D.d, D.n_u, D.n_v):
        assert sympy.expand(paper_form(p, D).doit() - p) == 0
    for summand in (D.U1, D.V1, D.U1.subs(D.g, 0)):
        outside, numerator, denominator = (part.doit() for part in sum_over_modes(summand, D))
        assert sympy.simplify(outside * numerator / denominator - summand) == 0
        assert D.a not in outside.free_symbols


@pytest.mark.slow
def test_text_holds_the_published_equations() -> None:
    text = show(SGD, width=140)
    S = next(line for line in text.splitlines() if line.startswith("(7)"))
    for term in ("2⋅a⋅z⋅(1 + β)⋅(1 - β⋅z)", "a ⋅z⋅(-(1 - β⋅z) + g⋅(1 + β⋅z))"):
        assert term in S
    assert "2⋅(1 - β)⋅(1 + β) + α⋅λₖ⋅(-(1 - β) + γ⋅τ₂⋅(1 + β))" in text  # the denominator of U~(1)
    assert "2⋅(1 + β) - a > 0" in text


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_equations_are_numbered_and_within_the_width(method: type[Any]) -> None:
    width = 90
    text = show(method, width=width)
    numbers = [int(number) for number in re.findall(r"^\((\d+)\)", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    blocks = text.split("\n\n")
    equations = [block for block in blocks if re.search(r"^\(\d+\)", block, re.MULTILINE)]
    assert len(equations) == len(numbers)
    # A tilde that combines with the letter before it takes no column.
    columns = [sum(not unicodedata.combining(c) for c in line) for line in text.splitlines()]
    assert max(columns) <= width
    assert show(method, latex=True).count(r"\begin{equation}") == len(numbers)


def test_latex_keeps_the_parentheses_of_subtracted_groups() -> None:
    text = show(SGD, latex=True)
    assert r"- \left(1 - \beta z\right) + g \left(1 + \beta z\right)" in text
    assert not re.search(r"- -", text)
    assert text.count(r"\left") == text.count(r"\right")
    labels = re.findall(r"\\begin{equation}\\label{eq:SGD-(\d+)}", text)
    assert labels == [str(i + 1) for i in range(text.count(r"\begin{equation}"))]
    for equation in re.findall(r"\\begin{equation}(.*?)\\end{equation}", text, re.DOTALL):
        assert equation.count("{") == equation.count("}")


def test_source_of_the_shipped_responses_is_what_is_generated() -> None:
    """Structure aside, which the order of sympy's terms may change: same signature and same notice."""
    shipped, fresh = Path(_sgd_responses.__file__).read_text(encoding="utf-8"), source(SGD)
    signatures = [ast.unparse(ast.parse(text).body[-1].args) for text in (shipped, fresh)]  # type: ignore[attr-defined]
    assert signatures[0] == signatures[1] == "a: Any, q: Any, beta: Any"
    assert shipped.splitlines()[:4] == fresh.splitlines()[:4]
    namespace: dict[str, Any] = {}
    exec(compile(fresh, "fresh", "exec"), namespace)
    a, q, beta = sympy.symbols("a q beta")
    pairs = zip(namespace["responses"](a, q, beta), _sgd_responses.responses(a, q, beta), strict=True)
    assert all(sympy.expand(new - old) == 0 for new, old in pairs)
