"""Socket.IO in one process."""

import sys

from flask import Flask
from flask_socketio import SocketIO, emit

app = Flask(__name__)
sockets = SocketIO(app)


@app.get("/")
def page() -> str:
    return "Flask\n"


@sockets.on("say")
def say(words: str) -> None:
    emit("said", words, broadcast=True)


sockets.run(app, host="127.0.0.1", port=int(sys.argv[1]), allow_unsafe_werkzeug=True)
