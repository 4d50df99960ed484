"""`python -m genfun`."""

from __future__ import annotations

from genfun.cli import main

if __name__ == "__main__":
    main(prog_name="genfun")
