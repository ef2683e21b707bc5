"""The dashboard in a browser: its numbers are what clients did, and what is ordered by it happens."""

import json
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from harness.backends import WebSocketEcho
from harness.browser import Browser, missing
from harness.proxy import Proxy, in_http
from harness.waiting import eventually
from penstock.process.asking import NobodyThere, ask_workers

FRONT = "worker_processes 2;\n" + in_http(
    """
    upstream app { zone app 64k; server 127.0.0.1:{port:one}; server 127.0.0.1:{port:two}; }
    server {
        listen 127.0.0.1:{port:front};
        location / { websocket auto; proxy_pass http://app; add_header X-Peer $upstream_addr always; }
        location /kept { websocket auto; websocket_redial 10s; proxy_pass http://app; }
        location = /status { status; allow 127.0.0.1; deny all; }
        location = /dashboard { dashboard write=on; allow 127.0.0.1; deny all; }
        location /read { dashboard; allow 127.0.0.1; deny all; }
    }
    """
)


@pytest.fixture(scope="module")
def front():
    with ExitStack() as stack:
        backends = {name: stack.enter_context(WebSocketEcho(name)).port for name in ("one", "two")}
        made = stack.enter_context(Proxy(FRONT, ports=backends))
        eventually(lambda: answering(made) == 2)
        yield made


def answering(front) -> int:
    try:
        return len(ask_workers(f"{front.directory}/nginx.control", {"do": "upstreams"}))
    except NobodyThere:
        return 0


def opened(front, stack, count: int) -> list:
    return [stack.enter_context(connect(front.url("/", "ws"), proxy=None)) for _ in range(count)]


def tunnels(front, query: str = "") -> dict:
    answer = front.get(f"/dashboard?view=tunnels{query}")
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


def order(front, body: object, headers: dict | None = None, path: str = "/dashboard"):
    given = {"Content-Type": "application/json", **(headers or {})}
    answer = front.get(path, method="POST", body=json.dumps(body).encode(), headers=given)
    return answer.status, json.loads(answer.text)


@pytest.mark.skipif(missing() is not None, reason=missing() or "")
def test_the_numbers_are_what_clients_did_and_orders_are_obeyed(front) -> None:
    one = f"127.0.0.1:{front.ports['one']}"
    with ExitStack() as stack:
        browser = stack.enter_context(Browser())
        clients = opened(front, stack, 9)
        for client in clients:
            for _ in range(5):
                client.send("hello")
                assert client.recv(20) == "hello"
        page = browser.open(front.url("/dashboard"))
        tile = "document.querySelector('#tile-{} dd')?.textContent"
        page.wait_until(f"{tile.format('tunnels')} === '9'")
        page.wait_until("document.querySelector('#tile-messages .about')?.textContent === '90 in all'")
        page.wait_until("document.querySelector('#count').textContent === '1\u20139 of 9'")
        assert page.script("return document.querySelectorAll('#rows tr').length") == 9
        shown = page.script("return [...document.querySelectorAll('#groups tbody tr')].map(row => row.innerText)")
        assert len(shown) == 2 and all("up" in row for row in shown)
        rows = "[...document.querySelectorAll('#groups tbody tr')]"
        held = page.script(f"return {rows}.map(row => Number(row.querySelector('.share b').textContent))")
        assert sum(held) == 9
        # Filter: nothing of another name, and all of them again.
        page.type("#find", "no such client")
        page.wait_until("document.querySelector('#count').textContent === 'none of 9 matches'")
        page.script("document.querySelector('#find').value = ''; document.querySelector('#find').dispatchEvent("
                    "new Event('input', {bubbles: true}))")
        page.wait_until("document.querySelectorAll('#rows tr').length === 9")
        # Drain the first server, after the question.
        page.click("#groups tbody tr:first-child .actions button")
        page.wait_until("document.querySelector('#ask').open && document.activeElement.id === 'ask-no'")
        assert one in page.text("#ask-title")
        page.click("#ask-yes")
        page.wait_until("!document.querySelector('#ask').open")
        page.wait_until(f"{rows}[0].querySelector('.pill').textContent === 'draining'")
        assert one not in {client.response.headers["X-Peer"] for client in opened(front, stack, 12)}
        page.click("#groups tbody tr:first-child .actions button")
        page.click("#ask-yes")
        page.wait_until("!document.querySelector('#ask').open")
        page.wait_until(f"{rows}[0].querySelector('.pill').textContent === 'up'")
        # Close one tunnel with the code that is chosen.
        page.wait_until("document.querySelectorAll('#rows tr').length === 21")
        page.click("#rows tr:first-child .actions button")
        page.script("document.querySelector('#ask-code').value = '1013'")
        page.click("#ask-yes")
        page.wait_until("!document.querySelector('#ask').open")
        page.wait_until(f"{tile.format('tunnels')} === '20'")
        codes = []
        for client in clients:
            try:
                client.recv(0.05)
            except TimeoutError:
                continue
            except ConnectionClosed as closed:
                codes.append(closed.rcvd and closed.rcvd.code)
        assert codes == [1013], "the oldest one"
        page.wait_until("document.querySelector('#codes').innerText.includes('1013')")
        assert [line for line in browser.console() if "SEVERE" in line] == []
        folder = os.environ.get("PENSTOCK_SCREENSHOTS")
        if folder:
            pictures(page, Path(folder))


def pictures(page, folder: Path) -> None:
    for width, height in ((1440, 1000), (390, 844)):
        for scheme in ("light", "dark"):
            page.resize(width, height)
            page.prefer(scheme)
            page.screenshot(folder / f"dashboard-{width}-{scheme}.png")


def test_pages_of_tunnels_are_sorted_and_cut_by_the_workers(front) -> None:
    with ExitStack() as stack:
        clients = opened(front, stack, 7)
        for number, client in enumerate(clients):
            for _ in range(number):
                client.send("x")
                client.recv(20)
        whole = tunnels(front, "&sort=messages&limit=100")
        assert (whole["matched"], len(whole["listed"])) == (7, 7)
        counts = [each["messages_in"] for each in whole["listed"]]
        assert counts == sorted(counts, reverse=True) == [6, 5, 4, 3, 2, 1, 0]
        second = tunnels(front, "&sort=messages&limit=3&offset=3")
        assert [each["messages_in"] for each in second["listed"]] == [3, 2, 1]
        ages = [each["age"] for each in tunnels(front)["listed"]]
        assert ages == sorted(ages, reverse=True)
        mine = whole["listed"][0]
        assert [each["id"] for each in tunnels(front, f"&text={mine['id']}")["listed"]] == [mine["id"]]
        for query in ("&sort=colour", "&limit=x", "&limit=-1", "&state=%00&client=nowhere"):
            assert front.get(f"/dashboard?view=tunnels{query}").status == 400, query


def test_redials_are_shown_for_each_tunnel_and_in_total(front) -> None:
    with ExitStack() as stack:
        kept = stack.enter_context(connect(front.url("/kept", "ws"), proxy=None))
        for count in (1, 2):
            kept.send("close 1012")
            eventually(lambda count=count: [each["redials"] for each in tunnels(front)["listed"]] == [count])
        kept.send("still here")
        assert kept.recv(20) == "still here"
        eventually(lambda: json.loads(front.get("/status").text)["redials"] == {"continued": 2})
        assert json.loads(front.get("/status").text)["tunnels"]["listed"][0]["redials"] == 2
        page = front.get("/status", {"Accept": "text/html"}).text
        assert "<p>redials: continued 2</p>" in page and "<th>redials" in page
        if missing() is not None:
            return
        browser = stack.enter_context(Browser())
        page = browser.open(front.url("/dashboard"))
        page.wait_until("document.querySelector('#tile-tunnels .about')?.textContent.endsWith(' opened, 2 redials')")
        page.wait_until("document.querySelector('#rows tr')?.innerText.includes('2 redials')")
        assert [line for line in browser.console() if "SEVERE" in line] == []


def test_what_is_refused(front) -> None:
    drain = {"act": "drain", "upstream": "app", "peer": 0}
    assert order(front, drain, path="/read")[0] == 403
    for headers in (
        {"Content-Type": "text/plain"},
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
    ):
        assert order(front, drain, headers)[0] == 403, headers
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}, {"Origin": "null"}):
        assert front.get("/dashboard?view=tunnels", headers).status == 403, headers
        assert front.get("/dashboard?view=events", headers).status == 403, headers
    for body, status in [
        ([], 400),
        ({"act": "burn"}, 400),
        ({"act": "close"}, 400),
        ({"act": "close", "id": "x", "code": 1006}, 400),
        ({"act": "set", "upstream": "none", "peer": 0, "options": {"down": True}}, 404),
        ({"act": "set", "upstream": "app", "peer": 0, "options": {"weight": 0}}, 400),
        ({"act": "set", "upstream": "app", "peer": {}, "options": []}, 400),
        ({"act": "close", "id": "x" * 70_000}, 413),
    ]:
        found = order(front, body)
        assert found[0] == status and found[1]["error"], (body, found)
    assert order(front, {"act": "close", "id": "1-1.1"}) == (200, {"done": 0})
    page = front.get("/dashboard")
    assert page.header("content-type") == "text/html; charset=utf-8"
    policy = page.header("content-security-policy")
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "://" not in page.text.replace("http://www.w3.org", ""), "nothing comes from elsewhere"
    assert front.get("/dashboard?file=../../x").status == 404
    assert front.get("/dashboard", method="DELETE").status == 405
