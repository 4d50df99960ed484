"""Every command gives its answer in every form: text, JSON, files of each ending, pictures."""

from __future__ import annotations

import csv
import json
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from command_line import run

import genfun as gf
from genfun.cli import main
from genfun.cli.schedule import schedule
from genfun.experiments.sweeps import pool
from genfun.symbolic import page
from genfun.symbolic.page import show

pytestmark = pytest.mark.usefixtures("coarse_searches")
LAW = ("power-law", "--n-modes", "20", "--n-samples", "64")
BATCH = ("--batch-size", "5")
SETTING = (*BATCH, "--learning-rate", "0.3")
PROBLEM, METHOD = gf.PowerLaw(1.5, 0.5, n_modes=20, n_samples=64), gf.SGD(0.3, 0.0, 5)
RUNS = ("--steps", "5", "--replicas", "4", "--batch-sizes", "5")
DRAWN = {
    "optimize": (*LAW, *BATCH, "--steps", "20", "--momentum", "0"),
    "schedule": (*LAW, *BATCH, "--steps", "20"),
    "predict": (*LAW, *SETTING, "--steps", "0,7,100"),
    "phase": (*LAW, *SETTING),
    "escape": (*LAW, *BATCH, "--learning-rates", "0.2,3"),
    "batch-size": (*LAW, "--learning-rate", "0.3", "--share", "0.5"),
    "critical-batch": ("points.csv",),
    "big-batch": (*LAW, *SETTING, "--steps", "0,5"),
    "stability": (*LAW, *SETTING),
    "max-lr": (*LAW, *BATCH),
    "validate": (*LAW, *RUNS, "--momenta", "0", "--shares", "0.5"),
    "map": (*LAW, "--steps", "9", "--cells", "3", "--batch-sizes", "5"),
}
WORDS = {
    "explain": (*LAW, *SETTING, "--steps", "9"),
    "steps": (*LAW, *SETTING, "--share", "0.5"),
    "translate": (*LAW, *SETTING, "--to", "10", "--keep", "edge"),
    "convert": ("torch", "ema", "lr=0.1", "momentum=0.9"),
    "sweep": (*LAW, *RUNS, "--learning-rates", "0.1,0.2", "--workers", "1"),
    "measure-steps": (
        "task.py",
        "--batch-sizes",
        "1,2,4,8",
        "--target",
        "0.01",
        "--learning-rates",
        "0.2",
        "--runs",
        "2",
    ),
    "prune": ("sweep.csv", "--data", *LAW, *BATCH),
    "noise-scale": ("norms.csv",),
    "derive": (),
    "doctor": (),
}
TASK = """
import torch
def task():
    model = torch.nn.Linear(2, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    x = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
    return model, torch.nn.MSELoss(), (x, x[:, :1])
"""
OTHERWISE = {"report", "explore", "completion"}
"""Commands that answer with a folder, a page and a script."""
SLOW = {"sweep", "derive", "explain"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("points.csv").write_text("batch_size,steps\n4,900\n8,400\n16,220\n32,130\n64,90\n", encoding="utf-8")
    Path("task.py").write_text(TASK, encoding="utf-8")
    Path("sweep.csv").write_text("lr,momentum\n0.1,0\n1,0.9\n", encoding="utf-8")
    Path("norms.csv").write_text("bs,squared_norm\n4,17\n16,6\n64,3\n", encoding="utf-8")
    return tmp_path


def test_every_command_is_tried():
    assert set(main.commands) == DRAWN.keys() | WORDS.keys() | OTHERWISE


@cache
def formulas(*arguments: Any, **options: Any) -> str:
    """What is derived of a method, once for all forms of the answer."""
    return show(*arguments, **options)


@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in (*DRAWN, *WORDS)]
)
def test_files_hold_what_is_printed(command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page, "show", formulas)
    # A process takes a second to start, and there are three sweeps.
    monkeypatch.setattr(pool, "Processes", lambda workers: pool.Given(ThreadPoolExecutor(workers)))
    words = (command, *(DRAWN | WORDS)[command])
    text = run(*words, "--out", "a.txt").stdout
    assert text == Path("a.txt").read_text(encoding="utf-8") + "wrote a.txt\n"
    result = run(*words, "--json", "--out", "a.csv")
    assert result.stderr.endswith("wrote a.csv\n")
    found = json.loads(result.stdout)
    assert found["command"] == command
    run(*words, "--out", "a.json")
    assert Path("a.json").read_text(encoding="utf-8") == result.stdout
    with open("a.csv", newline="", encoding="utf-8") as stream:
        lines = list(csv.reader(stream))
    assert len(lines) >= 2
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(set(lines[0])) == len(lines[0])


@pytest.mark.slow
@pytest.mark.parametrize("command", DRAWN)
def test_a_picture_comes_with_its_numbers(command):
    result = run(command, *DRAWN[command], "--out", "a.svg")
    assert result.stdout.endswith("wrote a.svg\nwrote a.csv\n")
    assert Path("a.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert Path("a.csv").read_text(encoding="utf-8").startswith("panel,series,x,y,value\n")


@pytest.mark.parametrize("command", WORDS)
def test_what_cannot_be_drawn_is_refused_before_it_is_computed(command):
    error = run(command, *WORDS[command], "--out", "a.png", code=2).stderr
    assert "--out must end in .json, .csv" in error
    assert "'a.png'" in error


def test_the_table_of_predict_has_the_numbers_of_the_api_in_full():
    run("predict", *DRAWN["predict"], "--out", "a.csv")
    with open("a.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    expected = gf.predict(PROBLEM, METHOD, [0, 7, 100])
    assert [int(row["step"]) for row in rows] == [0, 7, 100]
    assert [float(row["loss"]) for row in rows] == expected.loss.tolist()


def test_one_answer_is_one_line_with_the_question_in_it():
    run("max-lr", *DRAWN["max-lr"], "--out", "a.csv")
    with open("a.csv", newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert float(row["learning_rate"]) == gf.max_learning_rate(PROBLEM, 0.0, 5)
    assert (row["target"], row["n_modes"], row["noise.tau2"]) == ("power-law", "20", "1.0")


@pytest.mark.slow
def test_formulas_go_into_a_tex_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page, "show", formulas)
    shown = run("derive", "--latex", "--out", "a.tex").stdout.removesuffix("wrote a.tex\n")
    assert Path("a.tex").read_text(encoding="utf-8") == shown == formulas(gf.SGD, latex=True)


def test_schedules_are_written_as_in_python():
    from genfun.schedules import Cosine, ExponentialGrowth, Piecewise, ScheduledSGD, Warmup

    assert schedule("Warmup(10, then=Cosine(0.5, 1e2, final=0.1))") == Warmup(10, Cosine(0.5, 100, 0.1))
    assert schedule("Piecewise((0.5, 0.1), (30,))") == Piecewise((0.5, 0.1), (30,))
    rate, size = "Warmup(5, Cosine(0.5, 40))", "ExponentialGrowth(2, 2, 10, limit=64)"
    words = (*LAW, "--learning-rate", rate, "--batch-size", size, "--momentum", "0.5")
    found = json.loads(run("predict", *words, "--steps", "3,60", "--json").stdout)
    method = ScheduledSGD(Warmup(5, Cosine(0.5, 40)), 0.5, ExponentialGrowth(2, 2, 10, 64))
    assert found["result"]["loss"] == gf.predict(PROBLEM, method, [3, 60]).loss.tolist()
    assert found["inputs"]["method"]["learning_rate"].startswith("Warmup(steps=5, then=Cosine(initial=0.5")
    assert found["inputs"]["method"]["convention"] == "torch"
    other = json.loads(run("predict", *words, "--convention", "keras", "--steps", "3,60", "--json").stdout)
    keras = ScheduledSGD(
        *(getattr(method, name) for name in ("learning_rate", "momentum", "batch_size")), False, "keras"
    )
    assert other["result"]["loss"] == gf.predict(PROBLEM, keras, [3, 60]).loss.tolist() != found["result"]["loss"]
    line = run("predict", *words, "--convention", "keras", "--steps", "3").stdout
    said = f"SGD with learning rate {rate}, momentum 0.5 as in Keras, batch size {size.replace('limit=', '')}"
    assert said in line.splitlines()
    steps = json.loads(run("steps", *words, "--share", "0.5", "--json").stdout)["result"]["steps"]
    assert steps == gf.steps_to_loss(PROBLEM, method, 0.5 * 0.5 * PROBLEM.signal_total)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Cosine(0.5)", ("does not fit", "period")),
        ("Cosine(0.5, 0)", ("period", "0")),
        ("Cosin(0.5, 10)", ("Cosin is none of Cosine,",)),
        ("exit()", ("exit is none of",)),
        ("__import__('os').system('touch x')", ("neither a number nor a schedule",)),
        ("Cosine(open('x', 'w'), 10)", ("open is none of",)),
        ("Warmup(" * 300, ("neither a number nor a schedule", "...")),
        ("Cosine(0.5, 10", ("neither a number nor a schedule",)),
        ("0.1*(1 - t/T)", ("0.1 * (1 - t / T) is neither a number nor one of Cosine,",)),
    ],
)
def test_a_wrong_schedule_gets_one_line_and_runs_nothing(text, parts, folder):
    before = sorted(folder.iterdir())
    error = run("predict", *LAW, *BATCH, "--learning-rate", text, "--steps", "9", code=2).stderr
    assert "--learning-rate" in error
    assert error.count("\n") == 1
    assert all(part in error for part in parts)
    assert not (folder / "x").exists()
    assert sorted(folder.iterdir()) == before
