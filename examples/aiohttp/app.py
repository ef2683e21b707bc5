"""A page, and a WebSocket that answers in capitals."""

import sys

from aiohttp import WSMsgType, web


async def page(request: web.Request) -> web.Response:
    return web.Response(text=f"hello, {request.headers['X-Forwarded-For']}\n")


async def talk(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data.upper())
    return socket


app = web.Application()
app.add_routes([web.get("/", page), web.get("/ws", talk)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
