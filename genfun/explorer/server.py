"""The local server: the page, and the files that can be taken away. It listens on this machine only."""

from __future__ import annotations

import logging
import socket
import statistics
from collections.abc import Callable
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import Server
from tornado.ioloop import IOLoop
from tornado.web import HTTPError, RequestHandler

from genfun.explorer.downloads import files, python_lines
from genfun.explorer.state import State, parse
from genfun.explorer.view import View

ADDRESS = "127.0.0.1"
TYPES = {"figure.png": "image/png", "curve.csv": "text/csv; charset=utf-8", "curve.py": "text/x-python; charset=utf-8"}
MOST_UPDATES = 10_000


def _arguments(raw: dict[str, list[bytes]]) -> dict[str, str]:
    """The last value of every part of a query; what is no text is replaced."""
    return {name: values[-1].decode("utf-8", "replace") for name, values in raw.items() if values}


class _Guarded(RequestHandler):
    """Answers to this machine under its own name only, so that no foreign name can be pointed at it."""

    def prepare(self) -> None:
        if self.request.host_name not in (ADDRESS, "localhost"):
            raise HTTPError(403)

    def write_error(self, status_code: int, **_kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: {self._reason}\n")

    def set_default_headers(self) -> None:
        self.set_header("X-Content-Type-Options", "nosniff")


class _Download(_Guarded):
    """One file made from the query."""

    def initialize(self, name: str, path: str | None) -> None:
        self.name, self.path_of_data = name, path

    async def get(self) -> None:
        start = State() if self.path_of_data is None else State(problem="file")
        state, messages = parse(_arguments(self.request.query_arguments), start)
        try:
            if messages:
                raise ValueError("; ".join(messages))
            body = await IOLoop.current().run_in_executor(None, _body, self.name, state, self.path_of_data)
        except (ValueError, TypeError, OSError) as error:
            self.set_status(400)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(f"{error}\n")
            return
        self.set_header("Content-Type", TYPES[self.name])
        self.set_header("Content-Disposition", f'attachment; filename="{self.name}"')
        self.finish(body)


class _Updates(_Guarded):
    """How many updates there were, and the median of what they took."""

    def initialize(self, taken: list[float]) -> None:
        self.taken = taken

    def get(self) -> None:
        median = 1e3 * statistics.median(self.taken) if self.taken else 0.0
        self.finish({"updates": len(self.taken), "median_ms": round(median, 1)})


def _body(name: str, state: State, path: str | None) -> bytes:
    if name == "curve.py":
        return python_lines(state, path).encode()
    made = files(state, path)
    return made["curve.png" if name == "figure.png" else "curve.csv"]


def _free_port() -> int:
    """A port that was free a moment ago: the origins to allow are wanted before the server is bound."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def make_server(port: int = 0, path: str | None = None) -> Server:
    """A server of the page, bound to the loopback address and not yet running.

    Parameters
    ----------
    port : int
        0 takes a free one; `.port` of the server says which.
    path : str or None
        The user's file.

    Raises
    ------
    OSError
        If the port is taken.
    """
    taken: list[float] = []

    def observe(seconds: float) -> None:
        taken.append(seconds)
        del taken[:-MOST_UPDATES]

    def page(document: Any) -> None:
        View(document, _arguments(document.session_context.request.arguments), path, observe)

    routes: list[Any] = [(f"/{name}", _Download, {"name": name, "path": path}) for name in TYPES]
    routes.append(("/updates.json", _Updates, {"taken": taken}))
    if port == 0:
        port = _free_port()
    return Server(
        {"/": Application(FunctionHandler(page))},
        port=port,
        address=ADDRESS,
        allow_websocket_origin=[f"{ADDRESS}:{port}", f"localhost:{port}"],
        extra_patterns=routes,
        unused_session_lifetime_milliseconds=60_000,
    )


def serve(port: int, path: str | None, started: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Parameters
    ----------
    port : int
        0 takes a free one.
    path : str or None
        The user's file.
    started : callable
        Called with the address, once it answers.
    """
    # A page that is closed in the middle of an update is no news.
    logging.getLogger("bokeh.server.views.ws").setLevel(logging.ERROR)
    server = make_server(port, path)
    server.start()
    server.io_loop.add_callback(started, f"http://{ADDRESS}:{server.port}/")
    try:
        server.io_loop.start()
    finally:
        server.stop()
