"""Every command gives its answer in every form: text, JSON, files of each ending, pictures; and completes with Tab."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

import genfun as gf
from genfun._grid import Grid
from genfun.cli import main
from genfun.cli.output import console
from genfun.cli.schedule import schedule
from genfun.symbolic import page
from genfun.symbolic.page import show

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


def run(*words: object, code: int = 0, **extra):
    result = CliRunner().invoke(main, [str(word) for word in words], **extra)
    assert result.exit_code == code, result.stderr
    return result


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


def test_help_lists_the_jobs_by_their_kind_and_each_shows_examples():
    text = run("--help").stdout
    places = [text.index(f"\n  {job} ") for job in main.commands]
    assert places == sorted(places)
    assert "..." not in text.partition("\n")[2]
    for job in main.commands:
        page = run(job, "--help").stdout
        assert f"genfun {job}" in page.partition("Examples:\n")[2]
        assert max(map(len, page.partition("Examples:")[0].splitlines())) <= 80
        if job not in ("report", "explore", "completion"):
            assert "--help" in page.partition("Output:\n  --json")[2]


def complete(*words: str) -> list[str]:
    environment = {
        "_GENFUN_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    return run(prog_name="genfun", env=environment).stdout.split()


def test_tab_completes_commands_options_targets_and_files():
    assert complete("genfun", "st") == ["plain,steps", "plain,stability"]
    assert complete("genfun", "predict", "m") == ["plain,mnist"]
    assert complete("genfun", "predict", "dat") == ["file,dat"]
    assert complete("genfun", "predict", "mnist", "--learn") == ["plain,--learning-rate"]
    assert complete("genfun", "translate", "mnist", "--keep", "e") == ["plain,edge"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_of_a_shell(shell):
    assert "_GENFUN_COMPLETE" in run("completion", shell).stdout
    assert run("completion", env={"SHELL": f"/bin/{shell}"}).stdout == run("completion", shell).stdout
    assert "name the shell" in run("completion", env={"SHELL": "/bin/tcsh"}, code=2).stderr


def test_the_version_is_printed():
    assert run("--version").stdout == f"genfun, version {gf.__version__}\n"


def _python(*words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=kept, check=False)


def test_help_loads_nothing_heavy():
    code = "import sys; from genfun.cli import main\ntry: main(['--help'])\nexcept SystemExit: print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in _python("-c", code).stdout.splitlines()[-1].split()}
    assert "click" in loaded
    assert loaded & {"scipy", "sympy", "matplotlib", "rich", "jinja2", "torch"} == set()


def test_python_m_genfun_runs_without_colour_when_piped():
    found = _python("-m", "genfun", "predict", *DRAWN["predict"])
    assert found.returncode == 0
    assert found.stderr == ""
    assert "\x1b" not in found.stdout
    assert "mean loss" in found.stdout


ON_A_FULL_DISK = """
import json, os, resource, sys, warnings
from genfun.cli import main
from genfun.symbolic import page

page.show = lambda *method, **form: 200 * "x"  # formulas of a method take a second to derive

def run(words):
    try:
        main(words, prog_name="genfun")
    except SystemExit as end:
        return end.code

law = ["power-law", "--n-modes", "20", "--n-samples", "64"]
point = [*law, "--learning-rate", "0.3", "--batch-size", "5", "--steps", "10,100"]
grid = [*law, "--learning-rates", "0.1,0.2", "--batch-sizes", "2", "--workers", "1"]
grid += ["--steps", "50", "--replicas", "400"]
commands = [["predict", *point, "--out", "a" + ending] for ending in (".json", ".csv", ".txt", ".png", ".svg", ".pdf")]
commands += [["derive", "--out", "a.tex"], ["sweep", *grid, "--out", "a.nc"]]
found = []
for words in commands:
    assert run(words) == 0, words
    before = {name: open(name, "rb").read() for name in os.listdir()}
    sys.stderr.flush()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    print("::", words[-1], file=sys.stderr)
    room = 30_000 if words[0] == "sweep" else 100  # the copy of the data has room, the result has not
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limit[1]))
    code = run(words)
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    after = {name: open(name, "rb").read() for name in os.listdir()}
    found.append([words[-1], code, before == after])
print("found", json.dumps(found))
"""


def test_a_full_disk_leaves_what_was_there_and_says_which_file_and_what_to_do(folder):
    pytest.importorskip("resource")
    pytest.importorskip("xarray")
    done = subprocess.run([sys.executable, "-c", ON_A_FULL_DISK], capture_output=True, text=True, timeout=300)
    assert "found " in done.stdout, done.stderr
    found = json.loads(done.stdout.rsplit("found ", 1)[1])
    assert len(found) == 8
    for name, code, unchanged in found:
        said = done.stderr.split(f":: {name}\n")[1].split("::")[0]
        assert (name, code, unchanged) == (name, 2, True), said
        assert f"Error: {name}: File too large; nothing was written, make room and try again" in said


STEERING = "a\x1b]0;owned\x07\x1b[31m\u202e\x9b2J.npz"


@pytest.mark.skipif(os.name != "posix", reason="names of POSIX")
def test_names_that_steer_terminals_are_shown_and_not_obeyed(folder):
    import numpy as np

    names = [STEERING, os.fsdecode(b"\xff\xfe.npz"), "[bold]b[u].npz"]
    quick = ("--batch-sizes", "1", "--momenta", "0", "--steps", "10")
    commands: list[tuple[str, ...]] = []
    for name in names:
        with open(name, "wb") as stream:
            np.savez(stream, eigenvalues=[1.0, 0.5], signal=[1.0, 1.0])
        words = ("max-lr", name, *BATCH)
        commands += [words, (*words, "--out", name.replace("npz", "json")),
                     (*words, "--out", name.replace("npz", "csv")), (*words, "--json"),
                     ("max-lr", name + "x", *BATCH), ("max-lr", "mnist", "--" + name), (*words, "--column", name),
                     ("report", name, *quick), ("predict", name, *SETTING, "--steps", name)]  # fmt: skip
    # One process for all of them: most of its time is that of starting.
    done = subprocess.run([sys.executable, "-c", ONE_BY_ONE, json.dumps(commands)], capture_output=True, timeout=120)
    shown = done.stdout.decode() + done.stderr.decode()
    assert "Traceback" not in shown
    codes = [line for line in shown.splitlines() if line.startswith("code ")]
    assert codes == 3 * (4 * ["code 0"] + 3 * ["code 2"] + ["code 0", "code 2"])
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    assert f"{names[2]}: LinearProblem" in shown
    for name in names:
        assert json.loads(Path(name.replace("npz", "json")).read_text())["inputs"]["target"] == name


ONE_BY_ONE = """
import json, sys
from genfun.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main(words, prog_name="genfun")
    except SystemExit as end:
        print("code", end.code)
"""


WIDE = ("batch", "momentum", "max rate", "limited by", "loss at step 1,000,000", "noise error")
CELLS = [
    ("1", "-0.5", "0.6736", "noise", "4.3672e-123", "3e-06"),
    ("full", "0.9", "3.8", "curvature", "0.0052401", "0"),
]


@pytest.mark.parametrize("width", [100, 60, 40, 30])
def test_a_table_is_stacked_rather_than_cut(width):
    page = io.StringIO()
    Console(file=page, width=width, highlight=False).print(Grid(WIDE, CELLS))
    lines = page.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    words = set(page.getvalue().split())
    assert {cell for row in CELLS for cell in row} <= words
    assert "…" not in page.getvalue()
    assert all(part in words for heading in WIDE for part in heading.split())


def test_piped_output_is_as_wide_as_columns_says(monkeypatch):
    words = [
        "escape",
        "power-law",
        "--n-modes",
        "5",
        "--learning-rates",
        "0.2",
        "--sharpness",
        "1,2",
        "--batch-size",
        "1",
    ]
    widths = {}
    for told in ("40", "200", "none"):
        monkeypatch.setenv("COLUMNS", told)
        assert console().width == {"40": 40, "200": 200, "none": 100}[told]
        shown = CliRunner().invoke(main, words)
        assert shown.exit_code == 0, shown.stderr
        widths[told] = max(len(line) for line in shown.stdout.splitlines() if "─" in line)
    assert widths["40"] <= 40 < widths["200"]
