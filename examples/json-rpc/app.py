"""Subscriptions by JSON-RPC that outlive the process that serves them. It runs twice, on two ports.

    {"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": ["clock"]}     ticks come, with the sender's port
    {"jsonrpc": "2.0", "id": 2, "method": "stop"}                               this process ends at once

Who is subscribed to what stands in a file, under the id that Penstock gives each client. A process that gets a client
with `count=1` or more in that header reads there what the client wants, and the client notices nothing.
"""

import asyncio
import json
import os
import re
import sqlite3
import sys

from websockets.asyncio.server import ServerConnection, serve

PORT = int(sys.argv[1])
STORE = sqlite3.connect(os.environ.get("STORE", "subscriptions.db"), isolation_level=None, timeout=10)
STORE.execute("create table if not exists subscriptions (client text, topic text, unique (client, topic))")


def told(header: str) -> tuple[str, int]:
    """The client's id, and how many backends it had before: id="6f1c...", count=2, reason=lost"""
    found = re.match(r'id="([0-9a-f]+)", count=(\d+)', header)
    return (found[1], int(found[2])) if found else ("", 0)


def topics(client: str) -> list[str]:
    return [topic for (topic,) in STORE.execute("select topic from subscriptions where client = ?", (client,))]


async def publish(connection: ServerConnection, client: str) -> None:
    while True:
        for topic in topics(client):
            params = {"topic": topic, "from": PORT}
            await connection.send(json.dumps({"jsonrpc": "2.0", "method": "tick", "params": params}))
        await asyncio.sleep(0.2)


async def talk(connection: ServerConnection) -> None:
    assert connection.request is not None
    client, count = told(connection.request.headers.get("Penstock-Redial", ""))
    if count == 0:
        STORE.execute("delete from subscriptions where client = ?", (client,))
    publishing = asyncio.ensure_future(publish(connection, client))
    try:
        async for message in connection:
            call = json.loads(message)
            if call["method"] == "stop":
                os._exit(1)
            if call["method"] == "subscribe":
                for topic in call["params"]:
                    STORE.execute("insert or ignore into subscriptions values (?, ?)", (client, topic))
            result = {"jsonrpc": "2.0", "id": call["id"], "result": topics(client)}
            await connection.send(json.dumps(result))
    finally:
        publishing.cancel()


async def main() -> None:
    async with serve(talk, "127.0.0.1", PORT):
        await asyncio.Event().wait()


asyncio.run(main())
