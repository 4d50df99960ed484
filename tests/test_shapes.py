"""What `pytest --shapes` finds: these tests run with it alone, since jaxtyping is loaded only then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from genfun._typing import Array, Float


def add(x: Float[Array, " n"], y: Float[Array, " n"]) -> Float[Array, " n"]:
    """Right up to three entries, of more it loses the last."""
    return (x + y)[:3]


def word(name: Literal["noise", "curvature"], values: tuple[float, ...] = ()) -> float:
    """Fails for two values, and for the value 1 returns what is not promised."""
    if len(values) == 2:
        raise KeyError("two")
    return "one" if values == (1.0,) else 1.0  # type: ignore[return-value]


def adding(amount: Any) -> Callable[[int], int]:
    """A function inside of a function."""

    def more(number: int) -> int:
        return number + amount

    return more


@dataclass
class Pair:
    """Two vectors of one length."""

    x: Float[Array, " n"]
    y: Float[Array, " n"]


@pytest.fixture
def checked(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    if not request.config.getoption("shapes"):
        pytest.skip("runs with --shapes alone")
    import beartype
    import jaxtyping

    return jaxtyping.jaxtyped(typechecker=beartype.beartype)  # the decorator that the root's conftest.py has installed


@pytest.fixture
def refuses() -> Any:
    import jaxtyping

    return pytest.raises(jaxtyping.TypeCheckError)


def test_each_new_pair_of_shapes_is_checked_and_what_failed_once_fails_again(checked: Any, refuses: Any) -> None:
    f = checked(add)
    for _ in range(2):
        assert list(f(np.ones(2), np.ones(2))) == [2.0, 2.0]
        with refuses as found:
            f(np.ones(2), np.ones(1))
        assert "parameters" in str(found.value)
        with pytest.raises(Exception, match="parameters"):
            f(np.ones(2), np.ones(2, dtype=int))
        with pytest.raises(Exception, match="return value"):
            f(np.ones(4), np.ones(4))


def test_words_and_entries_of_containers_are_kinds_and_so_are_results(checked: Any, refuses: Any) -> None:
    f = checked(word)
    assert f("noise") == f("curvature") == f("noise", (2.0,)) == 1.0
    with pytest.raises(Exception, match="parameters"):
        f("rate")
    with pytest.raises(Exception, match="parameters"):
        f("noise", ("2",))
    with pytest.raises(Exception, match="return value"):
        f("noise", (1.0,))  # of the kinds that have passed before


def test_a_call_that_fails_is_checked_too(checked: Any, refuses: Any) -> None:
    f = checked(word)
    for _ in range(2):
        with pytest.raises(KeyError, match="two"):
            f("noise", (1.0, 2.0))
        with refuses:
            f("noise", ("1", "2"))
        with pytest.raises(TypeError, match="unexpected"):
            f("noise", value=1.0)


def test_functions_inside_of_functions_share_what_has_passed_but_not_what_they_return(
    checked: Any, refuses: Any
) -> None:
    assert checked(adding(1))(2) == 3
    with refuses:
        checked(adding(0.5))(2)


def test_classes_of_data_are_checked_when_they_are_made(checked: Any, refuses: Any) -> None:
    made = checked(Pair)
    assert made(np.ones(2), np.ones(2)).x.shape == (2,)
    with refuses:
        made(np.ones(2), np.ones(3))


@pytest.mark.other_kinds
def test_nothing_is_checked_in_a_test_of_other_kinds(checked: Any) -> None:
    assert checked(word)("noise", (1.0,)) == "one"
    assert checked(adding(0.5))(2) == 2.5
