"""The report in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genfun._grid import Grid
from genfun.report import tables
from genfun.report.headline import headline, why
from genfun.report.model import Report

if TYPE_CHECKING:
    from rich.console import Console


def print_report(report: Report, console: Console) -> None:
    """Facts and tables, one under the other.

    Parameters
    ----------
    report : Report
        What to show.
    console : rich.console.Console
        Where.
    """
    console.print(f"genfun {report.version} report: {report.target}", style="bold", markup=False)
    console.print(report.data.description, markup=False)
    for note in report.data.notes:
        console.print(f"note: {note}", markup=False)
    console.print()
    console.print(headline(report), style="bold", markup=False)
    console.print(why(report), markup=False)
    shown = (tables.best_table, tables.limit_table, tables.curve_table, tables.cost_table)
    for table in shown:
        _print_table(table(report), console)
    for facts in (tables.data_facts(report), tables.spectrum_facts(report), tables.noise_facts(report)):
        _print_facts(facts, console)
    if report.fit.is_power_law:
        _print_table(tables.phase_table(report), console)
    title, lines = tables.in_words(report)
    if lines:
        console.print(f"\n{title}", style="bold", markup=False)
    for line in lines:
        console.print(f"- {line}", markup=False)


def _print_facts(facts: tables.Facts, console: Console) -> None:
    console.print(f"\n{facts.title}", style="bold", markup=False)
    width = max(len(name) for name, _ in facts.pairs)
    for name, value in facts.pairs:
        console.print(f"  {name:<{width}}  {value}", markup=False)
    for remark in facts.remarks:
        console.print(f"  note: {remark}", markup=False)


def _print_table(table: tables.TextTable, console: Console) -> None:
    console.print(f"\n{table.title}", style="bold", markup=False)
    if table.rows:
        headings = [heading.replace("step ", "step\n") for heading in table.headings]
        console.print(Grid(headings, table.rows, table.keys, grouped=True))
    console.print(table.caption, style="dim", markup=False)
