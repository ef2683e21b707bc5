# ruff: noqa: E501  a table of projects
"""`penstock init` finds where programs listen, in the many ways people write it, and says what it only guesses."""

import json
from pathlib import Path

import pytest

from penstock.cli.init import init
from penstock.cli.init.folder import Folder
from penstock.cli.init.frameworks import find

Files = dict[str, str]


def node(*names: str, **scripts: str) -> str:
    return json.dumps({"dependencies": dict.fromkeys(names, "*"), "scripts": scripts})


PORTS: dict[str, tuple[Files, str, int, bool]] = {
    # Node
    "ws, its own port": (
        {"package.json": node("ws"), "server.js": "const wss = new WebSocketServer({ port: 8088 });\n"},
        "a Node server with ws", 8088, True,
    ),
    "ws, the old name": (
        {"package.json": node("ws"), "server.js": "const wss = new WebSocket.Server({\n  host: '::',\n  port: 8090\n});\n"},
        "a Node server with ws", 8090, True,
    ),
    "ws on a server": (
        {
            "package.json": node("ws"),
            "server.js": "const wss = new WebSocketServer({ server });\nserver.listen(process.env.PORT || 8080);\n",
        },
        "a Node server with ws", 8080, True,
    ),
    "a constant": (
        {"package.json": node("ws"), "index.mjs": "const PORT = 8765\nconst wss = new WebSocketServer({ port: PORT })\n"},
        "a Node server with ws", 8765, True,
    ),
    "by its short form": (
        {"package.json": node("ws"), "index.js": "const port = Number(process.env.PORT ?? 9001);\nnew WebSocketServer({ port });"},
        "a Node server with ws", 9001, True,
    ),
    "a start script": (
        {
            "package.json": node("socket.io", start="PORT=4000 node server.js", dev="PORT=3999 nodemon server.js"),
            "server.js": "httpServer.listen(process.env.PORT || 3000);",
        },
        "Socket.IO (Node)", 4000, True,
    ),
    "a start script with cross-env": (
        {
            "package.json": node("socket.io", start="cross-env NODE_ENV=production PORT=4001 node server.js"),
            "server.js": "const port = parseInt(process.env.PORT ?? '3000', 10);\nhttpServer.listen(port, () => {});",
        },
        "Socket.IO (Node)", 4001, True,
    ),
    ".env": (
        {"package.json": node("socket.io"), ".env": "# x\nPORT=5050\n", "app.js": "server.listen(process.env.PORT || 3000)"},
        "Socket.IO (Node)", 5050, True,
    ),
    "a literal is not moved by .env": (
        {"package.json": node("socket.io"), ".env": "PORT=5050\n", "app.js": "server.listen(3456)"},
        "Socket.IO (Node)", 3456, True,
    ),
    "socket.io by itself": (
        {"package.json": node("socket.io"), "app.js": "const io = new Server(3210, { cors: {} });"},
        "Socket.IO (Node)", 3210, True,
    ),
    "a chain": (
        {"package.json": node("ws"), "app.js": "http.createServer((a, b) => { b.end('x') }).listen(3111);"},
        "a Node server with ws", 3111, True,
    ),
    "an object": (
        {"package.json": node("@fastify/websocket"), "app.ts": "await fastify.listen({ host: '0.0.0.0', port: 3333 });"},
        "a Node server with ws", 3333, True,
    ),
    "the file that is started": (
        {
            "package.json": node("ws", start="node server.js"),
            "admin.js": "app.listen(9999);",
            "server.js": "app.listen(3222);",
        },
        "a Node server with ws", 3222, True,
    ),
    "a comment is no code": (
        {"package.json": node("ws"), "app.js": "// server.listen(1234)\n/* server.listen(1235) */\nserver.listen(1236)"},
        "a Node server with ws", 1236, True,
    ),
    "NestJS": (
        {"package.json": node("@nestjs/core"), "src/main.ts": "await app.listen(3001);"},
        "NestJS", 3001, True,
    ),
    "NestJS, by the environment": (
        {"package.json": node("@nestjs/core"), "src/main.ts": "await app.listen(process.env.PORT ?? 3007);"},
        "NestJS", 3007, True,
    ),
    "Next.js": ({"package.json": node("next", dev="next dev -p 3005", start="next start -p 3006")}, "Next.js", 3006, True),
    "Next.js as it comes": ({"package.json": node("next", start="next start")}, "Next.js", 3000, False),
    "Vite": (
        {"package.json": node("vite"), "vite.config.ts": "export default { server: { host: true, port: 5200 } }"},
        "Vite", 5200, True,
    ),
    "Vite, a script": ({"package.json": node("vite", dev="vite --port 5300 --host")}, "Vite", 5300, True),
    "Vite as it comes": ({"package.json": node("vite", dev="vite")}, "Vite", 5173, False),
    "Bun": ({"bun.lockb": "", "index.ts": "Bun.serve({ port: 3100, fetch() {} });"}, "Bun", 3100, True),
    "Deno": ({"deno.json": "{}", "main.ts": "Deno.serve({ port: 8001 }, handler);"}, "Deno", 8001, True),
    # Python
    "Flask-SocketIO under another name": (
        {"requirements.txt": "flask-socketio\n", "app.py": "from flask_socketio import SocketIO\nsio = SocketIO(app)\n"
                                                           "if __name__ == '__main__':\n    sio.run(app, port=5151)\n"},
        "Flask-SocketIO", 5151, True,
    ),
    "Flask-SocketIO by position": (
        {"app.py": "from flask_socketio import SocketIO\nws = SocketIO(app)\nws.run(app, '0.0.0.0', 5152)\n"},
        "Flask-SocketIO", 5152, True,
    ),
    "the environment's default": (
        {"app.py": "import os\nfrom flask_socketio import SocketIO\nsocketio = SocketIO(app)\n"
                   "socketio.run(app, host='0.0.0.0', port=int(os.environ.get('PORT', 5153)))\n"},
        "Flask-SocketIO", 5153, True,
    ),
    "websockets": (
        {"server.py": "from websockets.asyncio.server import serve\nasync with serve(echo, 'localhost', 8766) as s: pass\n"},
        "a server with the websockets library", 8766, True,
    ),
    "websockets, named": (
        {"requirements.txt": "websockets\n", "server.py": "import websockets\nPORT = 8767\nwebsockets.serve(h, '', port=PORT)\n"},
        "a server with the websockets library", 8767, True,
    ),
    "aiohttp": ({"app.py": "from aiohttp import web\nweb.run_app(app, host='::', port=8181)\n"}, "aiohttp", 8181, True),
    "aiohttp as it comes": ({"app.py": "from aiohttp import web\nweb.run_app(app)\n"}, "aiohttp", 8080, False),
    "tornado": ({"app.py": "import tornado.web\napp = make()\napp.listen(8889)\n"}, "Tornado", 8889, True),
    "tornado's options": (
        {"app.py": "import tornado.web\ndefine('port', default=8890)\nport = 8890\nHTTPServer(app).listen(port)\n"},
        "Tornado", 8890, True,
    ),
    "uvicorn with nested calls": (
        {"main.py": "import os, uvicorn\nfrom fastapi import FastAPI\n"
                    "uvicorn.run('main:app', host=os.getenv('H', '::'), port=int(os.getenv('PORT', '8101')))\n"},
        "FastAPI", 8101, True,
    ),
    "uvicorn's short options": ({"requirements.txt": "fastapi", "run.sh": "exec uvicorn a:b --host :: --port=8102\n"}, "FastAPI", 8102, True),
    "gunicorn": (
        {"requirements.txt": "fastapi", "Procfile": "web: gunicorn -k uvicorn.workers.UvicornWorker -b 0.0.0.0:8103 a:b\n"},
        "FastAPI", 8103, True,
    ),
    "gunicorn's file": (
        {"requirements.txt": "fastapi", "Procfile": "web: gunicorn a:b\n", "gunicorn.conf.py": "bind = '127.0.0.1:8104'\n"},
        "FastAPI", 8104, True,
    ),
    "hypercorn": ({"requirements.txt": "fastapi", "Makefile": "run:\n\thypercorn a:b --bind [::]:8105\n"}, "FastAPI", 8105, True),
    "a variable with a default": (
        {"requirements.txt": "fastapi", "start.sh": "uvicorn a:b --port ${PORT:-8106}\n"}, "FastAPI", 8106, True,
    ),
    "a variable of .env": (
        {"requirements.txt": "fastapi", "Procfile": "web: uvicorn a:b --port $PORT\n", ".env": "PORT=8107\n"},
        "FastAPI", 8107, True,
    ),
    "a variable that nobody sets": (
        {"requirements.txt": "fastapi", "Procfile": "web: uvicorn a:b --port $PORT\n"}, "FastAPI", 8000, False,
    ),
    "a Procfile's own line": (
        {
            "manage.py": "", "requirements.txt": "django\nchannels\ndaphne\n",
            "Procfile": "release: python manage.py migrate\nweb: gunicorn site.wsgi -b :8200\nws: daphne -p 8201 site.asgi:a\n",
        },
        "Django Channels", 8201, True,
    ),
    "an endpoint": (
        {"requirements.txt": "channels", "Procfile": "web: daphne -e tcp:port=8202:interface=0.0.0.0 a:b\n"},
        "Django Channels", 8202, True,
    ),
    "runserver": ({"requirements.txt": "channels", "Makefile": "run:\n\tpython manage.py runserver [::]:8203\n"}, "Django Channels", 8203, True),
    "streamlit's file": (
        {"requirements.txt": "streamlit", ".streamlit/config.toml": "[theme]\nbase='dark'\n[server]\nport = 8601\n"},
        "Streamlit", 8601, True,
    ),
    "streamlit's environment": (
        {"requirements.txt": "streamlit", "Dockerfile": "FROM x\nENV STREAMLIT_SERVER_PORT=8602\n"}, "Streamlit", 8602, True,
    ),
    "gradio, in a chain": ({"app.py": "import gradio as gr\ngr.Interface(f).queue().launch(server_port=7862)\n"}, "Gradio", 7862, True),
    "jupyter's file": (
        {"requirements.txt": "jupyterlab", "jupyter_lab_config.py": "# c.ServerApp.port = 1\nc.ServerApp.port = 8899\n"},
        "Jupyter", 8899, True,
    ),
    # Others
    "phoenix": (
        {"mix.exs": 'defp deps do [{:phoenix, "~> 1.7"}] end', "config/dev.exs": "http: [ip: {127, 0, 0, 1}, port: 4100],"},
        "Phoenix", 4100, True,
    ),
    "phoenix, by the environment": (
        {"mix.exs": "{:phoenix, '1'}", "config/runtime.exs": 'port = String.to_integer(System.get_env("PORT") || "4200")'},
        "Phoenix", 4200, True,
    ),
    "rails": (
        {"Gemfile": 'gem "rails", "~> 8"\n', "config/puma.rb": 'port ENV.fetch("PORT") { 3300 }\n'}, "Rails", 3300, True,
    ),
    "rails, a Procfile": ({"Gemfile": "gem 'rails'\n", "Procfile": "web: bin/rails server -p 3400\n"}, "Rails", 3400, True),
    "rails as it comes": ({"Gemfile": "gem 'rails'\n"}, "Rails", 3000, False),
    # Containers
    "published": (
        {"requirements.txt": "fastapi", "compose.yaml": 'services:\n  api:\n    command: uvicorn a:b --port 8000\n    ports:\n      - "9000:8000"\n'},
        "FastAPI", 9000, True,
    ),
    "published and nothing else": (
        {"requirements.txt": "fastapi", "docker-compose.yml": 'services:\n  db:\n    ports: ["5432:5432"]\n  api:\n    ports:\n      - 127.0.0.1:8300:8000\n'},
        "FastAPI", 8300, False,
    ),
    "exposed": ({"requirements.txt": "fastapi", "Dockerfile": "FROM x\nEXPOSE 8400\n"}, "FastAPI", 8400, False),
}  # fmt: skip


def made(folder: Path, files: Files) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize("name", PORTS)
def test_where_it_listens(name: str, tmp_path: Path) -> None:
    files, title, port, sure = PORTS[name]
    found = find(Folder(made(tmp_path, files)))
    assert len(found) == 1, found
    assert found[0].framework.title.startswith(title)
    assert (found[0].port, found[0].sure) == (port, sure), found[0].port_from


def test_what_is_sure_and_what_is_a_guess(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, {"requirements.txt": "fastapi\n"})
    assert init.run([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "goes to port 8000 (a guess: its usual one, for nothing in this folder says another)" in said
    assert "That port is a guess" in said
    assert "It may listen on port 8000 (a guess" in (tmp_path / "nginx.conf").read_text()
    other = tmp_path / "other"
    other.mkdir()
    made(other, {"requirements.txt": "fastapi\n", "Procfile": "web: uvicorn a:b --port 8500\n"})
    assert init.run([str(other)]) == 0
    said = capsys.readouterr().out
    assert "goes to port 8500 (said in Procfile)" in said
    assert "guess" not in said


def ports(folder: Path, files: Files) -> list[tuple[str, int]]:
    return [(each.name, each.port) for each in find(Folder(made(folder, files)))]


def test_every_process_of_a_procfile(tmp_path: Path) -> None:
    files = {
        "requirements.txt": "fastapi\n",
        "Procfile": "web: uvicorn site:app --port 8001\nchat: uvicorn chat:app --port 8002\nworker: rq worker\n",
    }
    assert ports(tmp_path, files) == [("fastapi_web", 8001), ("fastapi_chat", 8002)]


def test_two_node_programs_of_a_procfile(tmp_path: Path) -> None:
    files = {
        "package.json": node("ws", "socket.io"),
        "Procfile": "web: node web.js\nrooms: PORT=4002 node rooms.js\n",
        "web.js": "app.listen(4001)",
        "rooms.js": "server.listen(process.env.PORT)",
    }
    assert ports(tmp_path, files) == [("socketio_node_web", 4001), ("socketio_node_rooms", 4002)]


def test_one_program_s_port_is_not_another_s(tmp_path: Path) -> None:
    files = {
        "package.json": node("socket.io", start="node server.js"),
        "server.js": "server.listen(process.env.PORT || 3000)",
        ".env": "PORT=3500\n",
        "requirements.txt": "fastapi\n",
        "main.py": "from fastapi import FastAPI\n",
    }
    found = {each.framework.title: (each.port, each.sure) for each in find(Folder(made(tmp_path, files)))}
    assert found == {"Socket.IO (Node)": (3500, True), "FastAPI": (8000, False)}


def test_projects_below(tmp_path: Path) -> None:
    files = {
        "backend/requirements.txt": "fastapi\n",
        "backend/main.py": "import uvicorn\nfrom fastapi import FastAPI\nuvicorn.run(app, port=8600)\n",
        "realtime/package.json": node("ws"),
        "realtime/server.js": "new WebSocketServer({ port: 8700 })",
        "frontend/package.json": node("vite"),
    }
    assert ports(tmp_path, files) == [("fastapi_backend", 8600), ("node_realtime", 8700)]


@pytest.mark.parametrize("content", ["new WebSocketServer({ port: ", "serve(" * 5000, "const a = b; const b = a; x.listen(a)"])
def test_odd_programs_are_borne(content: str, tmp_path: Path) -> None:
    (found,) = find(Folder(made(tmp_path, {"package.json": node("socket.io"), "a.js": content, "b.py": content})))
    assert (found.port, found.sure) == (3000, False)


def test_what_is_written_is_accepted(tmp_path: Path) -> None:
    from penstock.cli.main import main

    made(tmp_path, {"mix.exs": "{:phoenix, '1'}", "requirements.txt": "fastapi\n", "Gemfile": "gem 'rails'\n"})
    assert init.run([str(tmp_path)]) == 0
    assert main(["check", str(tmp_path / "nginx.conf")]) == 0
