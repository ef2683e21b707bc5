"""`penstock init`: what it finds in sample projects, and that what it writes is fine."""

import json
from pathlib import Path

import pytest

from penstock.cli.init import init
from penstock.cli.init.folder import Folder
from penstock.cli.init.frameworks import find

PROJECTS: dict[str, tuple[dict[str, str], str, int]] = {
    "fastapi, requirements and Procfile": (
        {"requirements.txt": "fastapi>=0.110\nuvicorn[standard]\n", "Procfile": "web: uvicorn main:app --port 9001\n"},
        "FastAPI",
        9001,
    ),
    "fastapi, pyproject and a Dockerfile in exec form": (
        {
            "pyproject.toml": '[project]\nname = "x"\nversion = "1"\ndependencies = ["FastAPI[standard]"]\n',
            "Dockerfile": 'EXPOSE 80\nCMD ["uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8088"]\n',
        },
        "FastAPI",
        8088,
    ),
    "fastapi, a program that starts itself": (
        {"main.py": 'import uvicorn\nfrom fastapi import FastAPI\nuvicorn.run("main:app", host="::", port=8123)\n'},
        "FastAPI",
        8123,
    ),
    "poetry": ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.11"\nfastapi = "*"\n'}, "FastAPI", 8000),
    "channels": (
        {"manage.py": "", "requirements/base.txt": "Django==5.1\nchannels[daphne]\nuvicorn\n"},
        "Django Channels",
        8000,
    ),
    "channels, daphne at a port": (
        {
            "manage.py": "",
            "Pipfile": '[packages]\nchannels = "*"\n',
            "Procfile": "web: daphne -b 0.0.0.0 -p 8005 a:b\n",
        },
        "Django Channels",
        8005,
    ),
    "flask-socketio": (
        {
            "requirements.txt": "Flask-SocketIO\npython-socketio\n",
            "app.py": "socketio = SocketIO(app)\nsocketio.run(app, debug=True, port=5050)\n",
        },
        "Flask-SocketIO",
        5050,
    ),
    "python-socketio with fastapi": ({"requirements.txt": "python-socketio\nfastapi\n"}, "python-socketio", 8000),
    "socket.io": (
        {
            "package.json": json.dumps({"dependencies": {"socket.io": "^4"}, "scripts": {"start": "node server.js"}}),
            "server.js": "const port = process.env.PORT || 4000;\nserver.listen(port);\n",
        },
        "Socket.IO (Node)",
        4000,
    ),
    "ws": (
        {"package.json": '{"dependencies": {"ws": "8"}, "scripts": {"start": "PORT=4100 node ."}}'},
        "a Node server with ws",
        4100,
    ),
    "streamlit": (
        {"requirements.txt": "streamlit\n", ".streamlit/config.toml": "[server]\nport = 8600\n"},
        "Streamlit",
        8600,
    ),
    "streamlit, command": (
        {"Makefile": "run:\n\tstreamlit run app.py --server.port=8502\n"},
        "Streamlit",
        8502,
    ),
    "jupyter": (
        {"requirements.txt": "jupyterlab\n", "start.sh": "jupyter lab --port 8899 --no-browser\n"},
        "Jupyter",
        8899,
    ),
    "jupyter, configured": (
        {"requirements.txt": "notebook\n", "jupyter_server_config.py": "c.ServerApp.port = 9999\n"},
        "Jupyter",
        9999,
    ),
    "gradio": (
        {"app.py": "import gradio as gr\ndemo = gr.Blocks()\ndemo.launch(server_name='0.0.0.0', server_port=7861)\n"},
        "Gradio",
        7861,
    ),
    "gradio beside a tool": ({"requirements.txt": "gradio\njupyter\nuvicorn\n"}, "Gradio", 7860),
    "django alone": ({"manage.py": "", "Procfile": "web: python manage.py runserver 0.0.0.0:8010\n"}, "Django", 8010),
    "uvicorn alone": ({"Procfile": "web: uvicorn app:app --port 8200\n"}, "an ASGI application (", 8200),
}


def made(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


@pytest.mark.parametrize("name", PROJECTS)
def test_a_project_is_recognised(name: str, tmp_path: Path) -> None:
    files, title, port = PROJECTS[name]
    [found] = find(Folder(made(tmp_path, files)))
    assert found.framework.title.startswith(title)
    assert found.port == port


def test_two_programs_get_a_server_each(tmp_path: Path) -> None:
    made(tmp_path, {"requirements.txt": "fastapi\nstreamlit\n"})
    assert [each.framework.title for each in find(Folder(tmp_path))] == ["Streamlit", "FastAPI"]
    assert init.run([str(tmp_path)]) == 0
    text = (tmp_path / "nginx.conf").read_text()
    assert "listen 8080;" in text
    assert "listen 8081;" in text


def test_what_is_there_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, {"requirements.txt": "fastapi\n", "nginx.conf": "mine"})
    assert init.run([str(tmp_path)]) == 1
    assert (tmp_path / "nginx.conf").read_text() == "mine"
    assert "is there already" in capsys.readouterr().err


def test_an_empty_folder_is_told_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init.run([str(tmp_path)]) == 1
    assert "penstock proxy --to localhost:PORT" in capsys.readouterr().err
    assert not (tmp_path / "nginx.conf").exists()


def test_it_says_what_it_found_and_what_is_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, {"requirements.txt": "streamlit\n"})
    assert init.run([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "Found Streamlit (streamlit in requirements.txt)." in said
    assert "streamlit run app.py --server.port 8501" in said
    assert f"penstock -p {tmp_path} -e stderr -c nginx.conf" in said


def test_others_code_tells_nothing(tmp_path: Path) -> None:
    for number in range(100):
        made(tmp_path, {f"node_modules/a{number}.js": "x.listen(1234)", f"venv/b{number}.py": "import streamlit"})
    made(tmp_path, {"package.json": '{"dependencies": {"socket.io": "4"}}', "src/index.js": "server.listen(4321)"})
    [found] = find(Folder(tmp_path))
    assert (found.framework.title, found.port) == ("Socket.IO (Node)", 4321)


def test_odd_files_are_borne(tmp_path: Path) -> None:
    made(tmp_path, {"package.json": "[1", "pyproject.toml": "= x", "requirements.txt": "-r x\n# c\n\ngradio\n"})
    (tmp_path / "Procfile").write_bytes(b"\xff\xfe\x00" * 1000)
    (tmp_path / "main.py").mkdir()
    assert [each.framework.title for each in find(Folder(tmp_path))] == ["Gradio"]
