"""The example notebook runs from top to bottom, and its results show themselves."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "first_steps.ipynb"


@pytest.mark.slow
@pytest.mark.skipif(not NOTEBOOK.exists(), reason="the examples are only in the repository")
def test_every_cell_of_the_notebook_runs_and_shows_a_table_or_words():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {}
    shown = []
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == []  # kept without outputs: they would grow old
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop()
        exec(compile(tree, str(NOTEBOOK), "exec"), names)
        assert isinstance(last, ast.Expr)
        value = eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)
        shown.append(value._repr_html_())
    assert len(shown) == 5
    assert sum("<img" in page for page in shown) == 4
    assert sum("<ol>" in page for page in shown) == 1
