"""The local server: the page, and the files that can be taken away. It listens on this machine only."""

from __future__ import annotations

import logging
import secrets
import signal
import statistics
import threading
from collections.abc import Callable
from typing import Any

from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.server.server import BaseServer
from bokeh.server.tornado import BokehTornado
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.netutil import bind_sockets
from tornado.routing import AnyMatches, Rule, RuleRouter
from tornado.web import Application as Plain
from tornado.web import RequestHandler

from genfun.explorer.downloads import files, python_lines
from genfun.explorer.guard import Local, Refused, SecurityHeaders
from genfun.explorer.problems import first_state
from genfun.explorer.state import State, parse
from genfun.explorer.uploads import LARGEST, Uploads
from genfun.explorer.view import View

ADDRESS = "127.0.0.1"
TYPES = {"figure.png": "image/png", "curve.csv": "text/csv; charset=utf-8", "curve.py": "text/x-python; charset=utf-8"}
MOST_UPDATES = 10_000
LARGEST_MESSAGE = 4 * LARGEST // 3 + 2**20
"""Largest websocket message in bytes: a file in base64, and a margin."""


def _arguments(raw: dict[str, list[bytes]]) -> dict[str, str]:
    """The last value of every part of a query; what is no text is replaced."""
    return {name: values[-1].decode("utf-8", "replace") for name, values in raw.items() if values}


class _Download(RequestHandler):
    """One file made from the query."""

    def initialize(self, name: str, path: str | None, uploads: Uploads) -> None:
        self.name, self.path_of_data, self.uploads = name, path, uploads

    async def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        arguments = _arguments(self.request.query_arguments)
        key = arguments.pop("upload", None)
        arguments.pop("pinned", None)
        shown: Callable[[str], str] = str
        try:
            path = name = self.path_of_data
            if key is not None:
                upload = self.uploads.find(key)
                path, name = upload.path, upload.name
                shown = lambda text: text.replace(upload.path, upload.name)  # noqa: E731
            state, messages = parse(arguments, first_state(bool(arguments), path))
            if messages:
                raise ValueError("; ".join(messages))
            body = await IOLoop.current().run_in_executor(None, _body, self.name, state, path, name)
        except (ValueError, TypeError, OSError) as error:
            self.set_status(400)
            self.finish(f"{shown(str(error))}\n")
        except (ArithmeticError, MemoryError):
            self.set_status(400)
            self.finish("the numbers of this view cannot be computed\n")
        else:
            self.set_header("Content-Type", TYPES[self.name])
            self.set_header("Content-Disposition", f'attachment; filename="{self.name}"')
            self.finish(body)

    def write_error(self, status_code: int, **_kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: {self._reason}\n")


class _Updates(RequestHandler):
    """How many updates there were, and the median of what they took."""

    def initialize(self, taken: list[float]) -> None:
        self.taken = taken

    def get(self) -> None:
        median = 1e3 * statistics.median(self.taken) if self.taken else 0.0
        self.finish({"updates": len(self.taken), "median_ms": round(median, 1)})


def _body(name: str, state: State, path: str | None, told: str | None) -> bytes:
    if name == "curve.py":
        return python_lines(state, path, told).encode()
    made = files(state, path)
    return made["curve.png" if name == "figure.png" else "curve.csv"]


class PageServer(BaseServer):
    """A server of the page, bound to the loopback address and not yet running.

    Parameters
    ----------
    port : int
        0 takes a free one; `.port` says which.
    path : str or None
        The user's file.

    Raises
    ------
    OSError
        If the port is taken.
    """

    def __init__(self, port: int = 0, path: str | None = None) -> None:
        sockets = bind_sockets(port, ADDRESS)
        here = int(sockets[0].getsockname()[1])
        self.taken: list[float] = []
        self.uploads = Uploads()

        def observe(seconds: float) -> None:
            self.taken.append(seconds)
            del self.taken[:-MOST_UPDATES]

        def page(document: Any) -> None:
            arguments = _arguments(document.session_context.request.arguments)
            View(document, arguments, self.uploads, path, observe)

        given = {"path": path, "uploads": self.uploads}
        routes: list[Any] = [(f"/{name}", _Download, given | {"name": name}) for name in TYPES]
        routes.append(("/updates.json", _Updates, {"taken": self.taken}))
        bokeh = BokehTornado(
            {"/": Application(FunctionHandler(page))},
            extra_patterns=routes,
            extra_websocket_origins=[f"{ADDRESS}:{here}", f"localhost:{here}"],
            # Signed session names: a link cannot lead to a session whose name its author has chosen.
            sign_sessions=True,
            secret_key=secrets.token_bytes(32),
            unused_session_lifetime_milliseconds=60_000,
            websocket_max_message_size_bytes=LARGEST_MESSAGE,
        )
        bokeh.add_transform(SecurityHeaders)
        refused = Plain([(".*", Refused)])
        refused.add_transform(SecurityHeaders)
        http = HTTPServer(RuleRouter([Rule(Local(), bokeh), Rule(AnyMatches(), refused)]))
        http.add_sockets(sockets)
        super().__init__(IOLoop.current(), bokeh, http)

    def stop(self, wait: bool = True) -> None:
        """Stop, and remove the files that were chosen in pages.

        Parameters
        ----------
        wait : bool
            Whether to wait for what is being answered.
        """
        super().stop(wait)
        self.uploads.close()


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
    server = PageServer(port, path)
    loop = server.io_loop
    if threading.current_thread() is threading.main_thread():
        # Ended by its parent, it still removes what it has kept.
        signal.signal(signal.SIGTERM, lambda *_: loop.add_callback_from_signal(loop.stop))
    server.start()
    loop.add_callback(started, f"http://{ADDRESS}:{server.port}/")
    try:
        loop.start()
    finally:
        server.stop()
