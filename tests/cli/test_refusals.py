"""A wrong question gets one line and exit code 2, and an interruption none; `doctor` says what is installed."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import answer, run

from genfun.cli import main

SMALL = ("mnist", "--n", "24", "--seed", "3")


QUESTION = ("--batch-size", "5", "--learning-rate", "0.1", "--steps", "10")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (("predict", *SMALL, *QUESTION[2:], "--batch-size", 25), ("--batch-size", "25", "24, the number")),
        (("predict", *SMALL, *QUESTION, "--momentum", 1), ("momentum", "1.0", "between -1 and 1")),
        (("predict", *SMALL, *QUESTION, "--momentum", "x"), ("--momentum", "'x'", "write it like")),
        (("predict", *SMALL, *QUESTION, "--learning-rate", "nan"), ("--learning-rate", "nan", "above 0")),
        (("predict", *SMALL, *QUESTION, "--learning-rate", -1), ("--learning-rate", "-1.0", "above 0")),
        (("predict", *SMALL, *QUESTION[:4], "--steps", "-5,3"), ("steps", "-5", "zero or positive")),
        (("predict", *SMALL, *QUESTION[:4], "--steps", "1.5"), ("--steps", "'1.5'", "write it like 1000 or 1e6")),
        (("predict", *SMALL, *QUESTION[:4], "--steps", "1e999999999"), ("--steps", "1e999999999", "write it like")),
        (("predict", *SMALL, *QUESTION, "--tau2", 2), ("--tau2", "2.0", "lower --tau2")),
        (("max-lr", *SMALL, "--batch-size", 5, "--model", "resnet"), ("model", "'resnet'", "'pixels'")),
        (("max-lr", *SMALL, "--batch-size", 0), ("--batch-size", "0", "`full` means the full batch")),
        (("max-lr", *SMALL, "--batch-size", 5, "--nu", 1), ("--nu", "power-law", "drop it")),
        (("max-lr", *SMALL), ("--batch-size", "--help")),
        (("max-lr", "no/such.npz", "--batch-size", 5), ("no/such.npz", "check the path")),
        (("max-lr", "nonsense", "--batch-size", 5), ("TARGET", "'nonsense'", ".npz, .csv")),
        (("max-lr", "minst", "--batch-size", 5), ("'minst'", "did you mean mnist?")),
        (("optimize", *SMALL, "--steps", 5), ("--batch-size", "`full`", "--budget")),
        (("max-lr", "power-law", "--nu", -1, "--batch-size", 5), ("nu", "-1.0", "positive")),
        (("report", *SMALL, "--momenta", "0,1"), ("momentum", "1.0")),
        (("report", *SMALL, "--steps", 0), ("--steps", "0")),
        (("derive", "adam"), ("'adam'", "sgd")),
        (("explain", *SMALL, *QUESTION[:4], "--steps", 0), ("steps", "0", "at least 1")),
        (("explain", *SMALL, *QUESTION[:4], "--steps", "1e13"), ("steps", "10000000000000", "10^12")),
        (("steps", *SMALL, *QUESTION[:4]), ("--loss", "--share", "neither")),
        (("steps", *SMALL, *QUESTION[:4], "--share", 0), ("--share", "0.0", "a tenth")),
        (("steps", *SMALL, *QUESTION[:4], "--loss", -1), ("loss", "-1.0", "small positive")),
        (("max-lr", *SMALL, "--batch-size", "ful"), ("'ful'", "1000 or 1e6, or `full`")),
        (("translate", *SMALL, *QUESTION[:4], "--to", 25), ("--to", "25", "24, the number")),
        (("translate", *SMALL, *QUESTION[:4], "--to", 0), ("--to", "got 0", "`full` means the full batch")),
        (("predict", *SMALL, *QUESTION, "--learning-rate", "Cosine(1)"), ("Cosine takes initial, period, final=0.0",)),
        (("translate", *SMALL, *QUESTION[:4], "--to", 6, "--keep", "x"), ("--keep", "'x'", "'edge'")),
        (("convert", "torch", "adam", "lr=1"), ("TO", "'adam'", "'keras'")),
        (("convert", "torch", "ema", "lr"), ("'lr'", "name=value")),
        (("convert", "torch", "ema", "lr=x"), ("lr", "'x'", "number")),
        (("convert", "torch", "ema", "lr=1", "lr=2"), ("lr", "twice")),
        (("convert", "torch", "ema"), ("NAME=VALUE", "--help")),
        (("map", *SMALL, "--steps", 5, "--out", "x.doc"), ("--out", "'x.doc'", ".png")),
        (("map", *SMALL, "--steps", 5, "--out", "no/x.csv"), ("--out", "'no/x.csv'", "make 'no' first")),
        (("map", *SMALL, "--steps", 5, "--cells", 1), ("--cells", "1", "at least 2")),
        (("map", "power-law", "--nu", 0.8, "--steps", 5), ("infinite", "--n-modes")),
        (("train",), ("'train'", "--help")),
    ],
)
def test_a_wrong_question_gets_one_line_that_names_it(words, parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*words, code=2)
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    for part in parts:
        assert part in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_wrong_files_get_one_line_too(tmp_path):
    np.savez(tmp_path / "nan.npz", X=[[1.0], [np.nan]], y=[1.0, 2.0])
    (tmp_path / "data.txt").write_text("1,2\n")
    (tmp_path / "broken.npz").write_text("no archive")
    for name, part in (("nan.npz", "nan"), ("data.txt", ".txt"), ("broken.npz", "NPZ")):
        result = run("max-lr", tmp_path / name, "--batch-size", 1, code=2)
        assert part in result.stderr
        assert result.stderr.count("\n") == 1
    (tmp_path / "latin.csv").write_bytes("a,b\nmäßig,2\n".encode("latin-1"))
    said = run("max-lr", tmp_path / "latin.csv", "--batch-size", 1, code=2).stderr
    assert "no text table in UTF-8 (line 2); save it as UTF-8 CSV" in said
    (tmp_path / "file").write_text("")
    assert "file" in run("report", *SMALL, "--out", tmp_path / "file", code=2).stderr


def test_traceback_shows_where_an_error_comes_from():
    result = CliRunner().invoke(main, ["--traceback", "max-lr", "power-law", "--nu", "-1", "--batch-size", "1"])
    assert isinstance(result.exception, ValueError)


def test_an_interruption_is_no_error_message(monkeypatch):
    def interrupt(*_: object):
        raise KeyboardInterrupt

    monkeypatch.setattr("genfun.problems.power_law.PowerLaw.__post_init__", interrupt)
    result = run("max-lr", "power-law", "--batch-size", 1, code=130)
    assert result.stderr.strip() == "Interrupted."


@pytest.mark.parametrize(
    ("store", "told"), [(("--store", "kept"), "the same command goes on from what kept keeps"), ((), "--store")]
)
def test_an_interrupted_sweep_tells_how_it_goes_on(store, told, monkeypatch):
    def interrupt(*_: object):
        raise KeyboardInterrupt

    monkeypatch.setattr("genfun.experiments.sweeps.sweep.sweep", interrupt)
    words = ("power-law", "--n-modes", 3, "--learning-rates", 0.1)
    said = run("sweep", *words, *store, code=130).stderr.strip()
    assert said.startswith("Interrupted; ")
    assert told in said


def test_doctor_names_what_is_installed_and_the_extra_that_brings_what_is_not(monkeypatch):
    found = answer("doctor")["result"]
    assert found["packages"]["core"]["numpy"] == np.__version__
    # `genfun.cli.doctor` is the command by now.
    module = sys.modules["genfun.cli.doctor"]
    monkeypatch.setattr(module, "installed", lambda package: None if package == "numba" else "1.0")
    monkeypatch.setattr(module, "gpus", list)
    text = run("doctor").stdout
    assert 'numba missing   (pip install "genfun[schedules]")' in text
    assert "none seen" in text


INTERRUPTED = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

module = sys.argv.pop()
sys.argv += "predict power-law --n-modes 5 --learning-rate 0.1 --batch-size full --steps 5".split()
sys.meta_path.insert(0, Interrupting())
runpy.run_module("genfun", run_name="__main__")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(
    "module", ["click", "numpy", "genfun.cli.group", "genfun.cli.validate", "genfun.problems.power_law"]
)
def test_ctrl_c_while_modules_are_loaded_is_one_line(module):
    # A run of the tests in the background of a shell ignores the signal, and its children would.
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n{INTERRUPTED}"
    done = subprocess.run([sys.executable, "-c", code, module], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr.strip(), done.stdout) == (130, "Interrupted.", "")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_stays_ignored_where_it_was():
    code = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{INTERRUPTED}"
    done = subprocess.run([sys.executable, "-c", code, "genfun.cli.group"], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")


def test_all_options_that_are_lacking_are_named_at_once():
    said = " ".join(run("explain", "power-law", code=2).stderr.split())
    assert "Missing options '--learning-rate', '--batch-size'." in said or (
        "Missing options '--batch-size', '--learning-rate'." in said
    )
    assert "Missing option '--batch-size'." in run("explain", "power-law", "--learning-rate=0.1", code=2).stderr


def test_a_file_or_a_problem_in_the_place_of_the_command_is_told_where_it_goes(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    for word in (path, "mnist"):
        assert f"begin with `genfun report {word}`" in " ".join(run(word, "--steps", 5, code=2).stderr.split())
    assert "No such command 'mnits'" in run("mnits", code=2).stderr
