"""In a shell: help, completion, pipes, a full disk, names that steer terminals, tables as wide as the screen."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from command_line import run
from rich.console import Console

import genfun as gf
from genfun._grid import Grid
from genfun.cli import main
from genfun.cli.group import examples
from genfun.cli.output import console

LAW = ("power-law", "--n-modes", "20", "--n-samples", "64")
BATCH = ("--batch-size", "5")
SETTING = (*BATCH, "--learning-rate", "0.3")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_help_lists_the_jobs_by_their_kind_and_each_shows_examples():
    text = run("--help").stdout
    places = [text.index(f"\n  {job} ") for job in main.commands]
    assert places == sorted(places)
    assert "..." not in text.partition("\n")[2]
    for job in main.commands:
        page = run(job, "--help").stdout
        assert f"genfun {job}" in page.partition("Examples:\n")[2]
        assert max(map(len, page.splitlines())) <= 80, job
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
    found = _python("-m", "genfun", "predict", *LAW, *SETTING, "--steps", "0,7,100")
    assert found.returncode == 0
    assert found.stderr == ""
    assert "\x1b" not in found.stdout
    assert "mean loss" in found.stdout


ON_A_FULL_DISK = """
import json, os, resource, sys, warnings
from concurrent.futures import ThreadPoolExecutor
from genfun.cli import main
from genfun.experiments.sweeps import pool
from genfun.symbolic import page

pool.Processes = lambda workers: pool.Given(ThreadPoolExecutor(workers))  # a process takes a second to start
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert f"{names[2]}: 2 modes" in shown
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


def test_an_example_that_is_too_wide_is_the_same_command_in_lines():
    command = 'genfun predict data.csv --learning-rate "Warmup(100, Cosine(1, 1000))" --batch-size 10 --steps 100,1100'
    lines = examples(command).splitlines()[2:]
    assert len(lines) > 1
    assert " ".join("\n".join(lines).replace("\\\n", " ").split()) == command
