"""The command line, run in the process of the tests."""

from __future__ import annotations

import json

from click.testing import CliRunner

from genfun.cli import main


def run(*words: object, code: int = 0, **extra):
    """What a command printed, after its exit code is the one expected."""
    result = CliRunner().invoke(main, [str(word) for word in words], **extra)
    assert result.exit_code == code, result.stderr
    return result


def strict(text: str):
    """JSON that holds no number that JSON does not know."""

    def refuse(token: str):
        raise ValueError(f"{token} is not JSON")

    return json.loads(text, parse_constant=refuse)


def answer(*words: object):
    """The JSON that a command prints."""
    return strict(run(*words, "--json").stdout)


def result_of(*words: object):
    """Of that, what was asked for."""
    return answer(*words)["result"]
