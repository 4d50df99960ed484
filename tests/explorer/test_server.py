"""The explorer's server without a browser: what is taken away, and who is refused."""

from __future__ import annotations

import base64
import http.client
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from genfun.explorer import model
from genfun.explorer.state import State

LAW = State(problem="power-law", nu=1.5, zeta=2.0, n_modes=100, learning_rate=0.4, momentum=0.0, batch_size=20)
SMALL = "?problem=power-law&n_modes=9"  # soon drawn and put into words


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    pytest.importorskip("bokeh", reason="the page needs the extra `explorer`")
    import asyncio

    from genfun.explorer.server import PageServer

    ready, box = threading.Event(), []

    def serve() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        server = PageServer()
        server.start()
        box.append(server)
        server.io_loop.add_callback(ready.set)
        server.io_loop.start()
        server.stop()
        server.io_loop.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(30)
    yield box[0]
    box[0].io_loop.add_callback(box[0].io_loop.stop)
    thread.join(10)


@pytest.fixture(scope="module")
def address(server: Any) -> str:
    return f"http://127.0.0.1:{server.port}/"


def _get(url: str, **headers: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_the_page_and_its_scripts_come_from_this_machine_alone(address: str) -> None:
    status, _, page = _get(address + SMALL)
    assert status == 200
    assert b'src="http' not in page
    assert b"cdn." not in page


def test_script_text_in_a_link_does_not_reach_the_page(address: str) -> None:
    bad = urllib.parse.quote("<script>alert(1)</script>")
    status, _, page = _get(f"{address}{SMALL}&momentum={bad}&{bad}=1&nu=nan")
    assert status == 200
    assert b"alert(1)" not in page


@pytest.mark.slow
def test_the_files_of_a_view_hold_its_numbers(address: str) -> None:
    status, kind, body = _get(f"{address}curve.csv?{LAW.query}")
    assert (status, kind) == (200, "text/csv; charset=utf-8")
    rows = [line.split(",") for line in body.decode().splitlines() if ",predicted loss," in line]
    np.testing.assert_allclose([float(r[3]) for r in rows], model.curve(LAW).prediction.loss, rtol=1e-9)
    status, kind, body = _get(f"{address}figure.png?{LAW.query}")
    assert (status, kind, body[:4]) == (200, "image/png", b"\x89PNG")


@pytest.mark.parametrize("query", ["momentum=nan", "batch_size=5000", "steps=-1", "nu=%3Cscript%3E", "problem=file"])
def test_a_file_of_an_impossible_view_is_refused_in_plain_text(address: str, query: str) -> None:
    status, kind, body = _get(f"{address}curve.csv?{query}")
    assert (status, kind) == (400, "text/plain; charset=utf-8")
    assert b"Traceback" not in body


@pytest.mark.parametrize(
    "query",
    [
        "a=%ff%fe",
        "momentum=%00",
        "&&&===",
        "steps=" + "9" * 3000,
        "upload=..%2F..%2Fetc%2Fpasswd",
        "upload=",
        "steps[]=1",
        "%",
    ],
)
@pytest.mark.parametrize("name", ["curve.csv", "curve.py", "figure.png"])
def test_a_hostile_query_gets_a_message(address: str, name: str, query: str) -> None:
    status, kind, body = _get(f"{address}{name}?problem=power-law&n_modes=9&{query}")
    assert (status, kind) == (400, "text/plain; charset=utf-8")
    assert b"Traceback" not in body
    assert 0 < len(body) < 500


def test_the_files_of_an_uploaded_one_are_for_those_who_know_its_word(server: Any, address: str, own: str) -> None:
    upload = server.uploads.keep("../my data.npz", base64.b64encode(Path(own).read_bytes()).decode())
    query = "problem=file&batch_size=8&learning_rate=0.0001"
    status, _, body = _get(f"{address}curve.py?{query}&upload={upload.key}")
    assert status == 200
    assert b"gf.data.load('my data.npz')" in body
    assert b"genfun-" not in body, "no path of ours"
    status, _, body = _get(f"{address}curve.csv?{query}&upload={upload.key}")
    rows = [line.split(",") for line in body.decode().splitlines() if ",predicted loss," in line]
    expected = model.curve(State("file", batch_size=8, learning_rate=0.0001), own).prediction.loss
    np.testing.assert_allclose([float(r[3]) for r in rows], expected, rtol=1e-9)
    assert [_get(f"{address}curve.csv?{query}{more}")[0] for more in ("", "&upload=x", "&upload=my+data.npz")] == [
        400
    ] * 3
    server.uploads.drop(upload)
    assert _get(f"{address}curve.csv?{query}&upload={upload.key}")[0] == 400


@pytest.mark.slow
def test_what_is_taken_away_is_a_download_and_nothing_else(address: str) -> None:
    for name in ("curve.py", "curve.csv", "figure.png"):
        with urllib.request.urlopen(f"{address}{name}{SMALL}", timeout=30) as answer:
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["", "curve.py", "autoload.js?bokeh-autoload-element=x", "static/js/bokeh.min.js", "ws", "no"]
)
def test_foreign_names_and_foreign_pages_are_refused_everywhere(address: str, path: str) -> None:
    assert _get(address + path, Host="evil.example")[0] == 403
    assert _get(address + path, Host=f"127.0.0.1.evil.example:{urllib.parse.urlsplit(address).port}")[0] == 403
    embedded = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
    assert _get(address + path, **embedded)[0] == 403
    framed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
    assert _get(address + path, **framed)[0] == 403


def test_a_link_in_another_page_may_be_followed(address: str) -> None:
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert _get(f"{address}curve.py{SMALL}", **followed)[0] == 200
    assert _get(f"{address}curve.py{SMALL}", Host=f"localhost:{urllib.parse.urlsplit(address).port}")[0] == 200


def test_the_page_tells_browsers_to_fetch_nothing_elsewhere_and_to_show_it_in_no_frame(address: str) -> None:
    with urllib.request.urlopen(address + SMALL, timeout=30) as answer:
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert not any("http" in sources or "*" in sources.replace(":*", "") for sources in policy.values())


def test_nobody_is_sent_to_a_page_whose_name_a_stranger_has_chosen(address: str) -> None:
    assert _get(f"{address}{SMALL}&bokeh-session-id=chosen")[0] == 403


@pytest.mark.slow
def test_foreign_pages_get_no_connection(address: str) -> None:
    host = urllib.parse.urlsplit(address).netloc
    pages = (host, "evil.example", f"evil.example:{host[-5:]}")
    assert [_websocket(host, f"http://{page}") for page in pages] == [101, 403, 403]


def _websocket(host: str, origin: str) -> int:
    """Status of the answer to a page of some origin that wants a connection, with the key of a page of ours."""
    page = _get(f"http://{host}/{SMALL}")[2].decode()
    token = page.split('"token":"')[1].split('"')[0]
    head = {
        "Host": host, "Origin": origin, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol": f"bokeh, {token}",
    }  # fmt: skip
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.putrequest("GET", "/ws", skip_host=True)
        for name, value in head.items():
            connection.putheader(name, value)
        connection.endheaders()
        with connection.getresponse() as answer:
            return answer.status
    finally:
        connection.close()


def test_the_command_refuses_a_bad_file_before_it_serves() -> None:
    pytest.importorskip("bokeh", reason="the page needs the extra `explorer`")
    from genfun.cli.explore import explore

    result = CliRunner().invoke(explore, ["missing.npz", "--no-browser"])
    assert isinstance(result.exception, FileNotFoundError)
    assert CliRunner().invoke(explore, ["--port", "70000"]).exit_code == 2
    assert "FILE is missing, which --one-hot is about" in str(CliRunner().invoke(explore, ["--one-hot"]).exception)
    twice = CliRunner().invoke(explore, ["a.csv", "--target", "a", "--target", "b"])
    assert "--target takes one column here, got a, b" in str(twice.exception)
