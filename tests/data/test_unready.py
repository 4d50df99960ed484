"""A table that needs several choices says all of them at once, and the call or command that it gives then works."""

from __future__ import annotations

import re
import shlex

import numpy as np
import pytest
from command_line import run

import genfun as gf

pd = pytest.importorskip("pandas")
load = gf.data.load
N = 60
RNG = np.random.default_rng(0)
SIZE = RNG.normal(size=N)
AGE = np.where(np.arange(N) % 17 == 3, np.nan, RNG.normal(size=N))
HOMES = pd.DataFrame(
    {
        "size": SIZE,
        "age": AGE,
        "city": RNG.choice(["rome", "oslo", "lima"], N),
        "garden": [None if i % 23 == 5 else ["yes", "no"][i % 2] for i in range(N)],
        "street name": [f"street {i}" for i in range(N)],
        "pool": [1.0 if i == 7 else np.nan for i in range(N)],
        "price": SIZE + 0.1 * RNG.normal(size=N),
    }
)
LACKING = int(HOMES[["age", "garden"]].isna().any(axis=1).sum())


def needs_of(frame, **choices):
    """What the first refusal asks for."""
    with pytest.raises(ValueError, match=r"needs \d things") as refused:
        load(frame, **choices)
    return str(refused.value), refused.value.needs


def test_one_message_names_every_choice_with_its_columns():
    said, needs = needs_of(HOMES)
    assert needs == {"one_hot": True, "drop_missing": True, "drop": ["street name", "pool"]}
    for part in (
        "text in 'city', 'garden': one_hot=True",
        f"gaps in 'age' ({int(np.isnan(AGE).sum())}), 'garden' (3): drop_missing=True",
        f"leaves out {LACKING} of 60 rows",
        f"'street name' ({N - LACKING} different texts), 'pool' (mostly gaps): drop=",
    ):
        assert part in said
    assert load(HOMES, **needs).n_samples == N - LACKING
    assert needs_of(HOMES, one_hot=True)[1] == {"drop_missing": True, "drop": ["street name", "pool"]}


DATES = ["2024-01-31", "31.1.2024", "1/31/24", "31 Jan 2024", "January 31, 2024", "2024-01-31T07:30:00Z", "7:30 pm"]


@pytest.mark.parametrize("text", DATES)
def test_few_dates_as_text_are_dates_and_no_categories(text):
    frame = HOMES[["size", "city", "price"]].assign(visit=[text, text.replace("31", "28")] * (N // 2))
    frame.loc[3, "visit"] = None
    said, needs = needs_of(frame, target="price", drop_missing=True)
    assert "'visit' (dates or times): drop=" in said
    assert needs == {"one_hot": True, "drop": ["visit"]}
    with pytest.raises(ValueError, match=r"'visit' holds dates or times; make numbers of them, .*--drop"):
        load(frame, target="price", drop_missing=True, one_hot=True)


@pytest.mark.parametrize("texts", [["1.2.3", "1.2.4"], ["may", "june"], ["2024-01-31", "never"], ["31-12", "30-12"]])
def test_what_only_looks_a_little_like_dates_stays_a_category(texts):
    frame = HOMES[["size", "price"]].assign(kind=texts * (N // 2))
    assert load(frame, target="price", one_hot=True).rank == 3


def test_what_was_left_out_already_stays_so_in_the_call():
    said, needs = needs_of(HOMES, drop="size")
    assert "drop=['size', 'street name', 'pool']" in said
    assert needs["drop"] == ["street name", "pool"]


def test_a_target_of_text_is_told_with_the_rest():
    frame = HOMES[["size", "age", "city"]]
    said, needs = needs_of(frame)
    assert needs == {"drop_missing": True, "classes": True}
    assert "the target 'city': classes=True" in said
    assert load(frame, **needs).n_outputs == 3


def test_the_command_in_the_message_works_and_has_flags_alone(tmp_path):
    path = tmp_path / "my homes.csv"
    HOMES.to_csv(path, index=False)
    said = " ".join(run("max-lr", path, "--batch-size", 4, code=2).stderr.split())
    assert not re.search(r"\w_\w|=True|drop=", said.replace(str(tmp_path), ""))
    command = shlex.split(said.partition("all at once: ")[2])
    assert command[-6:] == ["--one-hot", "--drop-missing", "--drop", "street name", "--drop", "pool"]
    first = run(*command[1:]).stdout.split(": ")[0]
    assert first.endswith("my homes.csv, --drop 'street name,pool', --drop-missing, --one-hot")


def test_cross_entropy_with_gaps_and_text_gets_a_command_that_works(tmp_path):
    path = tmp_path / "homes.csv"
    HOMES[["size", "age", "garden", "city"]].to_csv(path, index=False)
    said = " ".join(run("max-lr", path, "--batch-size", 4, "--cross-entropy", code=2).stderr.split())
    command = shlex.split(said.partition("all at once: ")[2])
    assert command[-3:] == ["--cross-entropy", "--one-hot", "--drop-missing"]
    assert "in 3 classes" in run(*command[1:]).stdout
