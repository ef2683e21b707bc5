"""Socket.IO as an ASGI application; each process is one worker."""

import os

import socketio

server = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(server)


@server.event
async def say(session: str, words: str) -> str:
    """Answer with the words and the process."""
    return f"{words} from {os.getpid()}"
