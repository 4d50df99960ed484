"""Which requests the server accepts, and the security headers of its responses: local use only, no embedding."""

from __future__ import annotations

from typing import Any

from tornado.httputil import HTTPHeaders, HTTPServerRequest
from tornado.routing import Matcher
from tornado.web import OutputTransform, RequestHandler

NAMES = "127.0.0.1", "localhost"
# The scripts of bokeh are inline in part and compile the few lines of `scripts`; nothing comes from or goes to another
# host, and no other page shows this one inside of it.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws://127.0.0.1:* ws://localhost:*; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": POLICY,
}


class Local(Matcher):
    """Requests to a local host name that do not come from another site's page.

    The host name is checked against DNS rebinding: another name may resolve to 127.0.0.1. Links from other sites may be
    followed; their scripts, images and frames are refused.
    """

    def match(self, request: HTTPServerRequest) -> dict[str, Any] | None:
        """An empty match (no arguments for the handler) for a local request, None for any other.

        Parameters
        ----------
        request : HTTPServerRequest
        """
        if request.host_name not in NAMES:
            return None
        site, mode, use = (request.headers.get(f"Sec-Fetch-{name}", "") for name in ("Site", "Mode", "Dest"))
        followed = mode == "navigate" and use == "document"
        return None if site in ("cross-site", "same-site") and not followed else {}


class Refused(RequestHandler):
    """Answers every other request: status 403."""

    def prepare(self) -> None:
        """Answer in plain text."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("403: this page answers to its own machine only, as 127.0.0.1 or localhost\n")


class SecurityHeaders(OutputTransform):
    """Adds HEADERS to every response."""

    def transform_first_chunk(
        self, status_code: int, headers: HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, HTTPHeaders, bytes]:
        """The response with the headers added.

        Parameters
        ----------
        status_code : int
        headers : HTTPHeaders
        chunk : bytes
        finishing : bool
        """
        for name, value in HEADERS.items():
            headers[name] = value
        return status_code, headers, chunk
