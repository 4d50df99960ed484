"""TARGET: what a command is asked about, chosen in one way by all commands."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from genfun.cli.group import TargetOption
from genfun.cli.of_tables import CHOICES, OF_TABLES
from genfun.cli.output import progress
from genfun.cli.split import HELD_OUT, check_noise, split_of
from genfun.cli.types import REAL, WHOLE

if TYPE_CHECKING:
    from genfun.case import NoiseChoice
    from genfun.data import LinearData
    from genfun.data.held_out_rows import Split
    from genfun.noise import NoiseModel, SpectrallyExpressible
    from genfun.problems.power_law import PowerLaw
    from genfun.problems.problem import LinearProblem, Problem

OPTIONS = {
    "mnist": {"n", "seed", "model", "path"},
    "power-law": {"nu", "zeta", "n_modes", "n_samples"},
    "file": {"column", *CHOICES},
}
KINDS = {"mnist": "mnist", "power-law": "power-law", "file": "files"}
FLAGS = {"column": "--target"}
"""Of options whose names are not their flags."""
NOISES = ("measured", "exact", "fitted")
"""The noise models that data bring."""
WAITING = {
    "measured": "measuring the batch noise (some seconds for a thousand samples)",
    "exact": "preparing the exact batch noise",
    "fitted": "estimating the batch noise",
}
WORDS = tuple(kind for kind in KINDS if kind != "file")
"""What a TARGET may be that is no path."""


@dataclass(frozen=True)
class Target:
    """A problem, the data behind it if there are any, and the noise to assume, which is found on first use.

    Parameters
    ----------
    name : str
        "mnist", "power-law" or the path.
    inputs : dict
        Everything the user chose about it, defaults included.
    source : LinearData, LinearProblem or PowerLaw
        As read or built.
    problem : LinearProblem or PowerLaw
        Its spectrum, with --noise-variance applied.
    chosen : SpectrallyExpressible, "measured", "exact", "fitted" or None
        The noise model that was given, the name of one of the data's own, or None for the default of a spectrum.
    held_out : Split or None
        Rows that are held out, where a command was asked about the loss on them.
    cross_entropy : bool
        Whether the loss is cross-entropy, of the targets as labels, and not squared.
    """

    name: str
    inputs: dict[str, Any]
    source: LinearData | LinearProblem | PowerLaw
    problem: Problem
    chosen: NoiseChoice
    held_out: Split | None = None
    cross_entropy: bool = False

    @cached_property
    def noise(self) -> NoiseModel:
        """The noise model that answers assume."""
        return self._case("")

    @cached_property
    def expressible(self) -> SpectrallyExpressible:
        """That of answers which know spectrally expressible noise alone: for data, the fitted constants."""
        return self._case("this answer")

    @property
    def noise_source(self) -> str:
        """Where the noise is from, in words."""
        from genfun.answers.words.noise import SOURCES

        return SOURCES[self.chosen] if isinstance(self.chosen, str) else "given" if self.chosen else "assumed"

    @property
    def partly_own(self) -> tuple[Any, Any]:
        """What, and by which noise, answers are asked that know data by their own noise in part: data bring both."""
        own = self.chosen == "measured" and self.asked is self.source
        return (self.source, None) if own else (self.asked, self.expressible)

    @property
    def expressible_source(self) -> str:
        """Where `expressible` is from, in words."""
        from genfun.answers.words.noise import SOURCES

        return SOURCES["fitted"] if isinstance(self.chosen, str) else self.noise_source

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was done to a table, and hints; none of data that come with genfun."""
        return () if self.name in WORDS else getattr(self.source, "notes", ())

    @property
    def asked(self) -> Any:
        """The data where they bring the noise, and otherwise the problem."""
        return self.source if isinstance(self.chosen, str) and self.inputs["noise_variance"] is None else self.problem

    def _case(self, only_expressible: str) -> Any:
        from genfun.case import Case

        chosen, source = self.chosen, self.source
        if not isinstance(chosen, str):
            return Case.of(self.problem, noise=chosen).noise
        if only_expressible and chosen == "measured":
            chosen = "fitted"
        try:
            with progress() as report:
                report(0.0, WAITING[chosen])
                return Case.of(source, noise=chosen, only_expressible=only_expressible).noise
        except MemoryError as error:
            raise ValueError(
                f"--noise {chosen} needs all eigenfeatures in memory: {error}; use --noise fitted"
            ) from None

    @property
    def label(self) -> str:
        """Name and the choices that make it what it is, in a line."""
        kind = self.name if self.name in OPTIONS else "file"
        given = [(FLAGS.get(key, "--" + key)[2:], self.inputs[key]) for key in sorted(OPTIONS[kind])]
        if kind == "file":
            # A table's choices as they are typed.
            given = [(f"--{key.replace('_', '-')}", value) for key, value in given]
            # Which sets --classes by itself.
            given = [("--cross-entropy" if self.cross_entropy and key == "--classes" else key, v) for key, v in given]
        join = " " if kind == "file" else "="
        words = [key if value is True else f"{key}{join}{_told(value)}" for key, value in given if _given(value)]
        return ", ".join([self.name, *words])


def _given(value: Any) -> bool:
    return value is not None and value is not False and value != ()


def _told(value: Any) -> str:
    return shlex.quote(",".join(value)) if isinstance(value, tuple) else str(value)


_option = functools.partial(click.option, cls=TargetOption)
_cross_entropy = _option(
    "--cross-entropy",
    is_flag=True,
    help="Train a linear classifier of the target's labels under cross-entropy, in place of squared loss.",
)


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Words that a TARGET may begin with, and files."""
    words = [CompletionItem(name) for name in WORDS if name.startswith(incomplete)]
    return words or [CompletionItem(incomplete, type="file")]


def on_target(
    command: Callable[..., Any], flag: str | None = None, held_out: bool = False, cross_entropy: bool = False
) -> Callable[..., Any]:
    """Give a command the argument TARGET and its options; the command receives a `Target`.

    Parameters
    ----------
    command : callable
        Takes `target` and its own options.
    flag : str or None
        The option that holds TARGET, of a command with another argument.
    held_out : bool
        Whether rows may be held out.
    cross_entropy : bool
        Whether the loss may be cross-entropy.
    """
    options = [
        click.argument("name", metavar="TARGET", shell_complete=_complete)
        if flag is None
        else _option(
            flag, "name", metavar="TARGET", required=True, shell_complete=_complete, help="The data or problem."
        ),
        _option("--n", type=WHOLE, default="1000", show_default=True, help="mnist: digits."),
        _option("--seed", type=WHOLE, default="0", show_default=True, help="mnist: choice of digits."),
        _option(
            "--model", default="ntk", show_default=True, metavar="ntk|pixels", help="mnist: features of the model."
        ),
        _option("--path", default=None, help="mnist: local MNIST files instead of those in the package."),
        _option("--nu", type=REAL, default="1.5", show_default=True, help="power-law: lambda_k = k^-nu."),
        _option("--zeta", type=REAL, default="0.5", show_default=True, help="power-law: signal tails lambda_k^zeta."),
        _option("--n-modes", type=WHOLE, default=None, help="power-law: number of modes  [default: no end]"),
        _option("--n-samples", type=WHOLE, default=None, help="power-law: samples N  [default: streaming]"),
        *OF_TABLES,
        *(HELD_OUT if held_out else ()),
        *((_cross_entropy,) if cross_entropy else ()),
        _option("--noise-variance", type=REAL, default=None, help="Label noise sigma^2, instead of the measured."),
        _option(
            "--noise",
            "noise_name",
            type=click.Choice(NOISES),
            default=None,
            help="Batch noise of the data  [default: measured, with --noise-variance fitted]",
        ),
        _option("--tau1", type=REAL, default=None, help="Batch-noise constant, in place of --noise  [default: 1]"),
        _option("--tau2", type=REAL, default=None, help="Batch-noise constant, in place of --noise  [default: 1]"),
    ]
    names = (
        "name",
        *(option for kind in OPTIONS.values() for option in kind),
        "noise_variance",
        "noise_name",
        "tau1",
        "tau2",
        *(("test", "holdout", "split_seed") if held_out else ()),
        *(("cross_entropy",) if cross_entropy else ()),
    )

    @functools.wraps(command)
    def with_target(**values: Any) -> Any:
        chosen = {name: values.pop(name) for name in names}
        return command(target=_read(click.get_current_context(), **chosen), **values)

    for option in reversed(options):
        with_target = option(with_target)
    return with_target


def _read(
    ctx: click.Context,
    name: str,
    noise_variance: float | None,
    noise_name: Any,
    tau1: Any,
    tau2: Any,
    test: Path | None = None,
    holdout: float | None = None,
    split_seed: int = 0,
    cross_entropy: bool = False,
    **options: Any,
) -> Target:
    kind = name if name in WORDS else "file"
    _refuse_foreign_options(ctx, kind)
    if cross_entropy:
        flags = ("--noise", noise_name), ("--noise-variance", noise_variance), ("--tau1", tau1), ("--tau2", tau2)
        _check_labels(name, dict(flags))
        options["classes"] = True
    split = None
    with _as_labels(cross_entropy):
        if test is not None or holdout is not None:
            check_noise(noise_name, {"--noise-variance": noise_variance, "--tau1": tau1, "--tau2": tau2})
            chosen = {("target" if key == "column" else key): options[key] for key in OPTIONS[kind]}
            split = split_of(name, chosen, test, holdout, split_seed)
        read = {"mnist": _mnist, "power-law": _power_law, "file": _file}[kind]
        source = split.data if split else read(name, options)
    problem = _with_noise_variance(getattr(source, "problem", source), noise_variance)
    chosen = _noise(source, noise_name, noise_variance, tau1, tau2)
    inputs = {"target": name} | {option: options[option] for option in sorted(OPTIONS[kind])}
    inputs |= {"noise_variance": noise_variance, "tau1": tau1, "tau2": tau2}
    if split is not None:
        inputs |= {"test": None if test is None else str(test), "holdout": holdout, "split_seed": split_seed}
    return Target(name, inputs, source, problem, chosen, split, cross_entropy)


@contextmanager
def _as_labels(cross_entropy: bool) -> Iterator[None]:
    """Say of targets that are no labels what asked for labels: --cross-entropy, which sets --classes."""
    try:
        yield
    except ValueError as error:
        if not cross_entropy:
            raise
        text = str(error).replace("classes needs", "--cross-entropy needs")
        error.args = (text.replace("leave classes out", "leave --cross-entropy out"),)
        raise


def _check_labels(name: str, noise: dict[str, Any]) -> None:
    """Refuse, under cross-entropy, what has no labels, and a noise that is not computed."""
    if name == "power-law":
        raise ValueError("--cross-entropy needs samples with labels, and a power law has none; give a table or mnist")
    given = [flag for flag, value in noise.items() if value is not None]
    if given:
        raise ValueError(f"{given[0]} is of squared loss; under cross-entropy the noise is computed, so drop it")


def _refuse_foreign_options(ctx: click.Context, kind: str) -> None:
    for other, options in OPTIONS.items():
        for option in sorted(options):
            given = ctx.get_parameter_source(option) == click.core.ParameterSource.COMMANDLINE
            if other != kind and given:
                flag = FLAGS.get(option, "--" + option.replace("_", "-"))
                raise click.UsageError(f"{flag} belongs to {KINDS[other]}, not to {KINDS[kind]}; drop it", ctx)


def _mnist(name: str, options: dict[str, Any]) -> LinearData:
    from genfun.data import mnist

    with progress() as report:
        return mnist(options["n"], options["seed"], options["model"], path=options["path"], progress=report)


def _power_law(name: str, options: dict[str, Any]) -> PowerLaw:
    from genfun.problems.power_law import PowerLaw

    return PowerLaw(options["nu"], options["zeta"], n_modes=options["n_modes"], n_samples=options["n_samples"])


def _file(name: str, options: dict[str, Any]) -> LinearData | LinearProblem:
    from genfun.data import load
    from genfun.data.files import FILES

    if name == "-":
        raise ValueError("TARGET '-': standard input is not read; save the table as a .csv")
    if not Path(name).suffix and not Path(name).is_file():
        near = "".join(f"; did you mean {word}?" for word in get_close_matches(name, WORDS, 1))
        raise ValueError(f"TARGET must be mnist, power-law, or a file ({FILES}), got {name!r}{near}")
    if not Path(name).exists():
        raise FileNotFoundError(f"TARGET {name!r} does not exist; check the path")
    chosen = {key: options[key] for key in sorted(OPTIONS["file"] - {"column"})}
    with progress() as report:
        report(0.0, f"reading {name}")
        return load(name, target=options["column"] or None, **chosen)


def _with_noise_variance(problem: Any, noise_variance: float | None) -> Any:
    from dataclasses import replace

    from genfun.problems.problem import LinearProblem

    if noise_variance is None:
        return problem
    if isinstance(problem, LinearProblem):
        return LinearProblem(problem.eigenvalues, problem.signal, problem.n_samples, noise_variance)
    return replace(problem, noise_variance=noise_variance)


def _noise(source: Any, name: str | None, noise_variance: float | None, tau1: Any, tau2: Any) -> NoiseChoice:
    from genfun.data import LinearData
    from genfun.noise import SpectrallyExpressible

    if tau1 is not None or tau2 is not None:
        if name is not None:
            raise ValueError(f"--noise {name} is that of the data, and --tau1 and --tau2 another; drop one of them")
        first = 1.0 if tau1 is None else tau1
        return SpectrallyExpressible(first, min(1.0, first) if tau2 is None else tau2)
    if not isinstance(source, LinearData):
        if name is not None:
            raise ValueError(f"--noise {name} needs data, and TARGET is a spectrum; drop it, or give --tau1 and --tau2")
        return None
    if noise_variance is None:
        return "measured" if name is None else name  # pyright: ignore[reportReturnType]
    if name in ("measured", "exact"):
        raise ValueError(f"--noise {name} has the labels of the data; drop --noise-variance, or use --noise fitted")
    return "fitted"
