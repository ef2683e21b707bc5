"""Frameworks whose WebSockets people put behind a proxy, and how a project's folder gives each away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from penstock.cli.init_folder import Folder, Text


@dataclass(frozen=True, slots=True)
class Framework:
    """`packages` of Python and `node` of JavaScript give it away, or `words` in a command that starts it. `weak`: only
    where nothing else is found, for many have it without running it. `calls` are programs and functions whose port is
    this one's; `notes` go before its location."""

    name: str
    title: str
    port: int
    packages: tuple[str, ...] = ()
    node: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    weak: bool = False
    notes: tuple[str, ...] = ()
    start: str = ""


_SOCKET_IO_NOTES = (
    "Socket.IO: /socket.io/ by long polling first, then as a WebSocket.",
    "With more than one process, a client must keep to one: add servers to the upstream, and there",
    '"hash $remote_addr consistent;" (or, in Penstock and nginx since 1.29.6, "sticky cookie route;").',
)

FRAMEWORKS = (
    Framework(
        "channels",
        "Django Channels",
        8000,
        packages=("channels",),
        calls=("daphne", "uvicorn", "hypercorn", "runserver", "gunicorn"),
        notes=(
            "Django Channels. ALLOWED_HOSTS must hold the name that people use: AllowedHostsOriginValidator compares",
            "it with Origin. For https, settings need SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https').",
        ),
        start="daphne -p PORT yourproject.asgi:application",
    ),
    Framework(
        "socketio",
        "Flask-SocketIO",
        5000,
        packages=("flask-socketio",),
        calls=("socketio.run", "flask", "gunicorn", "app.run"),
        notes=_SOCKET_IO_NOTES,
        start="python app.py",
    ),
    Framework(
        "socketio",
        "python-socketio",
        8000,
        packages=("python-socketio", "socketio"),
        calls=("uvicorn", "uvicorn.run", "web.run_app", "hypercorn", "gunicorn"),
        notes=_SOCKET_IO_NOTES,
        start="uvicorn app:app --port PORT",
    ),
    Framework(
        "socketio_node",
        "Socket.IO (Node)",
        3000,
        node=("socket.io",),
        calls=("listen", "PORT"),
        notes=_SOCKET_IO_NOTES,
        start="npm start",
    ),
    Framework(
        "streamlit",
        "Streamlit",
        8501,
        packages=("streamlit",),
        words=("streamlit run",),
        calls=("streamlit",),
        notes=("Streamlit talks over /_stcore/stream; it compares Origin with Host, which therefore is the client's.",),
        start="streamlit run app.py --server.port PORT --server.address 127.0.0.1",
    ),
    Framework(
        "gradio",
        "Gradio",
        7860,
        packages=("gradio",),
        calls=("launch", "gradio"),
        notes=("Gradio: events come over long answers, which nothing may hold back (proxy_buffering off).",),
        start="python app.py",
    ),
    Framework(
        "fastapi",
        "FastAPI",
        8000,
        packages=("fastapi",),
        words=("fastapi run",),
        calls=("uvicorn", "uvicorn.run", "hypercorn", "gunicorn", "fastapi"),
        notes=(
            "FastAPI. The server believes X-Forwarded-* only when told whom to believe:",
            "uvicorn --proxy-headers --forwarded-allow-ips 127.0.0.1",
        ),
        start="uvicorn main:app --port PORT",
    ),
    Framework(
        "asgi",
        "an ASGI application (Starlette, Litestar, Quart, Sanic, uvicorn)",
        8000,
        packages=("starlette", "litestar", "quart", "sanic", "uvicorn", "hypercorn"),
        words=("uvicorn", "hypercorn"),
        calls=("uvicorn", "uvicorn.run", "hypercorn", "gunicorn", "app.run"),
        weak=True,
        notes=("Behind a proxy: uvicorn --proxy-headers --forwarded-allow-ips 127.0.0.1",),
        start="uvicorn main:app --port PORT",
    ),
    Framework(
        "jupyter",
        "Jupyter",
        8888,
        packages=("jupyterlab", "notebook", "jupyter", "jupyter-server", "voila"),
        words=("jupyter lab", "jupyter notebook", "jupyter server"),
        calls=("jupyter", "ServerApp.port", "NotebookApp.port"),
        weak=True,
        notes=(
            "Jupyter: kernels talk over /api/kernels/ID/channels. Where people use another name than localhost, it",
            "wants c.ServerApp.allow_remote_access = True, and local_hostnames or allow_origin with that name.",
        ),
        start="jupyter lab --no-browser --port PORT",
    ),
    Framework(
        "django",
        "Django",
        8000,
        packages=("django",),
        calls=("runserver", "gunicorn", "uvicorn", "daphne"),
        weak=True,
        notes=("Django without Channels has no WebSockets of its own; HTTP is proxied all the same.",),
        start="python manage.py runserver PORT",
    ),
    Framework(
        "node",
        "a Node server with ws",
        3000,
        node=("ws", "@nestjs/websockets", "graphql-ws", "uWebSockets.js", "@fastify/websocket", "express-ws"),
        calls=("listen", "PORT"),
        weak=True,
        start="npm start",
    ),
)


class Found(NamedTuple):
    """A framework of a folder: `because` is what gave it away, `port` where it listens and `port_from` who says so."""

    framework: Framework
    because: str
    port: int
    port_from: str


def find(folder: Folder) -> list[Found]:
    """What is in a folder; strong evidence first, and weak evidence only where there is no other."""
    found = [(each, because) for each in FRAMEWORKS if (because := _evidence(each, folder))]
    names = {each.title for each, _ in found}
    strong = [(each, because) for each, because in found if not each.weak]
    if "Flask-SocketIO" in names or "Django Channels" in names:
        strong = [(each, because) for each, because in strong if each.title != "python-socketio"]
    if "python-socketio" in names:
        strong = [(each, because) for each, because in strong if each.title != "FastAPI"]  # one program serves both
    chosen = strong or found[:1]
    return [Found(each, because, *_port(each, folder)) for each, because in chosen]


def _evidence(framework: Framework, folder: Folder) -> str:
    """Why a framework is believed to be there; "" if it is not."""
    for name in framework.packages:
        if name in folder.packages:
            return f"{name} in {folder.packages[name]}"
    for name in framework.node:
        if name in folder.node:
            return f"{name} in {folder.node[name]}"
    for word in framework.words:
        for text in folder.commands:
            if re.search(rf"\b{re.escape(word)}\b", text.content):
                return f'"{word}" in {text.name}'
    if framework.name == "django" and folder.has("manage.py"):
        return "manage.py"
    return ""


# Ports

_NUMBER = r"([1-9][0-9]{1,4})(?![0-9.])"


def _port(framework: Framework, folder: Folder) -> tuple[int, str]:
    """Where it listens, and what says so."""
    for text, port in _said(framework, folder):
        if 80 <= port <= 65535:
            return port, f"said in {text.name}"
    return framework.port, "its usual one: nothing in the folder says another"


def _said(framework: Framework, folder: Folder) -> Iterator[tuple[Text, int]]:
    calls = "|".join(re.escape(call) for call in framework.calls)
    on_a_line = re.compile(
        rf"(?:{calls})[^\n]*?(?:--(?:server[._])?port|--http-port|-p|--bind|-b|--listen)[ =\"',]+"
        rf"(?:[\w.\[\]*]*:)?{_NUMBER}",
        re.ASCII,
    )
    runserver = re.compile(rf"runserver[ \"',]+(?:[\w.\[\]]*:)?{_NUMBER}", re.ASCII)
    in_code = re.compile(rf"(?:{calls})\s*\((?:[^()]|\([^()]*\))*?\b(?:server_)?port\s*=\s*{_NUMBER}", re.ASCII)
    for text in folder.commands:
        for pattern in (on_a_line, runserver):
            yield from ((text, int(port)) for port in pattern.findall(text.content))
    for text in folder.sources:
        yield from ((text, int(port)) for port in in_code.findall(text.content))
        if framework.node:
            yield from ((text, int(port)) for port in _JS.findall(text.content))
    for text in folder.commands:
        yield from ((text, int(port)) for port in _CONFIGURED.findall(text.content))
    for text in folder.commands:
        yield from ((text, int(port)) for port in _EXPOSED.findall(text.content))


_JS = re.compile(
    rf"(?:\.listen\(\s*(?:\{{\s*port:\s*)?|process\.env\.PORT\s*(?:\|\||\?\?)\s*[\"']?|\bPORT\s*=\s*){_NUMBER}",
    re.ASCII,
)
_CONFIGURED = re.compile(
    rf"(?:^|\s)(?:ENV\s+)?(?:PORT|port|c\.\w+\.port)\s*[= ]\s*[\"']?{_NUMBER}", re.ASCII | re.MULTILINE
)
_EXPOSED = re.compile(rf"^EXPOSE\s+{_NUMBER}", re.ASCII | re.MULTILINE)
