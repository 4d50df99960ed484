"""What the library refuses is told in the words of the command line."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from genfun.cli import main
from genfun.cli.flags import HINT, in_flags, options_of

LAW = ("power-law", "--n-modes", "20")
OPTIONS = {name: options_of(command) for name, command in main.commands.items()}


def said(*words: object) -> str:
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    return result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("optimize", *LAW, "--batch-size", 5), "give either --steps or --budget, got neither"),
        (("optimize", *LAW, "--batch-size", 5, "--steps", 9, "--budget", 9), "--steps or --budget, got both"),
        (("optimize", *LAW, "--batch-size", 5, "--budget", 0), "--budget must be positive"),
        (("optimize", *LAW, "--batch-size", 5, "--steps", 9, "--max-share-of-edge", 2), "--max-share-of-edge must lie"),
        (("stability", *LAW, "--batch-size", 5, "--learning-rate", -1), "--learning-rate must be positive, got -1.0"),
        (("map", *LAW, "--n-samples", 9, "--steps", 9, "--batch-sizes", 10), "--batch-sizes must be at most 9, the"),
        (("max-lr", *LAW, "--tau1", 1, "--tau2", 2, "--batch-size", 1), "--tau2 must be at most --tau1 1"),
        (
            ("translate", *LAW, "--batch-size", 1, "--learning-rate", 0.1, "--to", "full"),
            "--batch-size full is the full",
        ),
        (("predict", *LAW, "--batch-size", 5, "--learning-rate", 1, "--steps", -1), "--steps must be zero or positive"),
    ],
)
def test_errors_name_the_options_of_the_command(words, told):
    message = said(*words)
    assert told in " ".join(message.split())
    assert "None" not in message
    assert "_" not in message.partition(";")[0]


def test_what_is_no_argument_stays_as_it_is():
    options = OPTIONS["prune"]
    for text in (
        "sweep.csv has no column that looks like learning_rate; it has batch_size: choose one by --x",
        "sweep.csv, line 3: batch_size must be a number, got 'a'",
        "/data/batch_size/steps.csv: damaged",
        "'batch_size' is no column",
        "the loss falls without momentum",
    ):
        assert in_flags(text, options) == text
    table = "/data/steps.csv: drop has 'steps', which is the target; choose the target by target="
    told = "/data/steps.csv: --drop has 'steps', which is the target; choose the target by --target"
    assert in_flags(table, options) == told
    method = "learning_rate is odd, got SGD(learning_rate=0.1, batch_size=5)"
    assert in_flags(method, options) == method


def test_hints_about_a_table_name_options_and_leave_exponents_alone():
    def told(text):
        return HINT.sub(lambda found: OPTIONS["phase"].get(found["name"], found[0]), text)

    assert told("square of that; standardize makes them even") == "square of that; --standardize makes them even"
    assert told("an index, leave it out by drop") == "an index, leave it out by --drop"
    assert told("'y', is the target; target= chooses another") == "'y', is the target; --target chooses another"
    assert told("zeta is 0.09 if the power law goes on") == "zeta is 0.09 if the power law goes on"


def test_steps_are_called_so_by_every_command():
    for name, command in main.commands.items():
        flags = {flag for param in command.params if isinstance(param, click.Option) for flag in param.opts}
        assert "--step" not in flags or "--steps" in flags, name


def test_what_to_use_is_said_first_also_where_it_is_the_best_itself():
    words = ("optimize", *LAW, "--batch-size", 5, "--steps", 9, "--momentum", 0.5)
    shown = CliRunner().invoke(main, [str(word) for word in words]).stdout
    assert "\nuse learning rate " in shown
    assert ", momentum 0.5, batch size 5: mean loss " in shown
    assert "momentum      0.5  (given)" in shown
    assert "standard input is not read; save the table" in said("max-lr", "-", "--batch-size", 1)
