"""The commands shown in the README and the tutorial run as they are written, on fewer digits and settings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import genfun as gf
from genfun.cli import main

ROOT = Path(__file__).resolve().parents[2]
N = 24
"""Digits."""


def shown(page: str) -> list[str]:
    """Lines of shell blocks that call genfun, without comments."""
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.startswith("genfun ")]


COMMANDS = sorted({*shown("README.md"), *shown("docs/tutorial.md"), *shown("docs/my_table.md")})


def test_commands_are_found():
    assert {"genfun report digits.npz", "genfun validate mnist --fast"} <= set(COMMANDS)


@pytest.mark.slow
@pytest.mark.usefixtures("coarse_searches")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_is_shown_runs(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    lines = (ROOT / "docs" / "data" / "breast_cancer.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "docs" / "data").mkdir(parents=True)
    (tmp_path / "docs" / "data" / "breast_cancer.csv").write_text("\n".join(lines[:41]) + "\n", encoding="utf-8")
    images, labels = gf.data.mnist_arrays()
    pick = np.random.default_rng(0).choice(len(images), N, replace=False)
    X = images[pick].reshape(N, -1) / 255.0
    np.savez("digits.npz", X=X / np.sqrt(np.mean(np.sum(X**2, axis=1))), y=np.where(labels[pick] == 0, 1.0, -1.0))
    words = shlex.split(command)[1:] + (["--n", str(N)] if "mnist" in command else [])
    if words[0] == "validate" and "--fast" not in words:
        words.append("--fast")
    if words[0] == "report":
        words += ["--batch-sizes", "4", "--momenta", "0.5", "--steps", "100"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert len(result.output) > 20


def test_the_readme_names_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in main.commands if f"`{name}`" not in text] == []
