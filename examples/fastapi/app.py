"""A chat room."""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

app = FastAPI()
room: set[WebSocket] = set()

PAGE = """<!doctype html><html lang="en"><title>Chat</title><h1>Chat</h1><ul id="log"></ul>
<form><label>Say <input name="words" autofocus></label></form>
<script>
const socket = new WebSocket(location.href.replace("http", "ws") + "ws")
socket.onmessage = event => {
  const line = document.createElement("li")
  line.textContent = event.data
  log.append(line)
}
document.forms[0].onsubmit = event => {
  event.preventDefault()
  socket.send(event.target.words.value)
  event.target.reset()
}
</script></html>"""


@app.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.websocket("/ws")
async def talk(client: WebSocket) -> None:
    await client.accept()
    room.add(client)
    try:
        while True:
            words = await client.receive_text()
            for other in list(room):
                await other.send_text(words)
    except WebSocketDisconnect:
        pass
    finally:
        room.discard(client)
