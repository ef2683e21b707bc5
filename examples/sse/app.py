"""A clock in an event stream. Who comes back with Last-Event-ID gets the next one."""

import asyncio
import sys

from aiohttp import web


async def events(request: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await stream.prepare(request)
    number = int(request.headers.get("Last-Event-ID", "0"))
    while True:
        number += 1
        await stream.write(f"id: {number}\ndata: tick {number}\n\n".encode())
        await asyncio.sleep(0.2)


app = web.Application()
app.add_routes([web.get("/events", events)])
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
