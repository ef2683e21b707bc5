"""Goes through a transcript line by line, against a running proxy. Every wait has a bound; the first line that does not
come true ends it, with the whole conversation and a mark in the message."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from differential.spelling import unspelled
from harness.http2 import Http2Client
from harness.programs import run
from harness.waiting import eventually
from transcripts.channels import Channel, Wire
from transcripts.ear import Ear
from transcripts.expected import Expected
from transcripts.frames import frame
from transcripts.script import Line, Transcript
from transcripts.site import Site
from transcripts.streams import BackendStream, ClientStream

_NARROW = 4096
"""Bytes that the kernel takes for one who does not read."""


class Departed(AssertionError):
    """Something else happened than the transcript says."""


class Player:
    """Plays one transcript. `patience` bounds each wait; `pieces` is how many bytes a client's writes have, 0 for all;
    `spoil` may change what a side sends: it gets the name and the bytes."""

    def __init__(
        self,
        transcript: Transcript,
        site: Site,
        patience: float = 15.0,
        pieces: int = 0,
        spoil: Callable[[str, bytes], bytes] = lambda name, data: data,
    ) -> None:
        self.transcript = transcript
        self.site = site
        self.patience = patience
        self.pieces = pieces
        self.spoil = spoil
        self.address = site.addresses[transcript.name]
        self.known: dict[str, bytes] = {}
        self.ears: dict[str, Ear] = {}
        self.listeners: dict[str, socket.socket] = {}
        self.spoken: dict[str, list[str]] = {}
        self._ends: list[Channel] = []
        self._begins = {kind: len(site.log(transcript, kind)) for kind in ("access", "ends")}

    def play(self) -> None:
        """Go through all lines; `Departed` where one does not come true."""
        line = self.transcript.lines[0]
        try:
            self._listen()
            for line in self.transcript.lines:
                self._do(line)
            self._look_for_rests()
        except (AssertionError, OSError, ValueError, KeyError) as error:
            raise Departed(self._told(line, error)) from error
        finally:
            self.close()

    def close(self) -> None:
        """Let go of every connection."""
        for channel in self._ends:
            with suppress(OSError):
                channel.close()
        for listener in self.listeners.values():
            listener.close()

    # -- the kinds of lines

    def _do(self, line: Line) -> None:
        text, more = self._fill(line.text), [self._fill(each) for each in line.more]
        if line.sign == ">":
            self._send(line.who, text, more)
        elif line.sign == "<":
            self._hear(line.who, text, more)
        elif line.who in ("log", "lacks", "access", "ended"):
            self._look(line.who, text)
        elif line.who == "pause":
            time.sleep(float(text))
        elif line.who == "tunnel":
            self._tunnel(text, more)
        elif line.who == "proxy":
            self._tell_proxy(text, line.more)
        elif line.who.startswith("client"):
            self._connect(line.who, text.split())
        else:
            self.spoken[line.who] = text.split()
            if "narrow" in self.spoken[line.who]:
                self.listeners[line.who].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW)

    def _tunnel(self, target: str, more: list[str]) -> None:
        """Everything up to an open WebSocket, where that is not what it is about."""
        self._send("client", f"handshake {target}", more)
        self._hear("backend", "head", [])
        self._send("backend", "switch", [])
        self._hear("client", "head", [])
        status = self.ears["client"].status
        assert " 101 " in status or ":status: 200" in status, f"the handshake was answered with {status}"

    def _connect(self, name: str, words: list[str]) -> None:
        """`client connects [tls] [http2] [narrow] [to PORT]`."""
        port = self.site.port(words[words.index("to") + 1] if "to" in words else "front")
        tls = self.site.trust if "tls" in words else None
        if "http2" in words:
            client = Http2Client(port, tls=tls, timeout=self.patience, address=self.address)
            self._add(name, ClientStream(client))
            return
        connection = socket.socket()
        connection.settimeout(self.patience)
        if "narrow" in words:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NARROW)
        connection.connect((self.address, port))
        if tls is not None:
            tls.set_alpn_protocols(["http/1.1"])
            connection = tls.wrap_socket(connection, server_hostname="localhost")
        self._add(name, Wire(connection, self.pieces))

    def _accept(self, name: str) -> None:
        """Take the next connection of a backend."""
        self.listeners[name].settimeout(self.patience)
        connection, _ = self.listeners[name].accept()
        words = self.spoken.get(name, [])
        if "tls" in words:
            connection.settimeout(self.patience)
            self.site.identity.set_alpn_protocols(["h2"] if "http2" in words else ["http/1.1"])
            connection = self.site.identity.wrap_socket(connection, server_side=True)
        self._add(name, BackendStream(connection) if "http2" in words else Wire(connection))

    def _add(self, name: str, channel: Channel) -> None:
        client = name.startswith("client")
        self.ears[name] = Ear(channel, by_client=not client, patience=self.patience, known=self.known)
        self._ends.append(channel)

    def _ear(self, name: str) -> Ear:
        if name not in self.ears:
            if name.startswith("client"):
                self._connect(name, [])
            else:
                self._accept(name)
        return self.ears[name]

    def _send(self, name: str, text: str, more: list[str]) -> None:
        ear, client = self._ear(name), name.startswith("client")
        channel = ear.channel
        ways = {"FIN": channel.finish, "RST": channel.reset, "close": channel.close}
        if text in ways:
            ways[text]()
            return
        end = ways[more.pop()] if more and more[-1] in ways else None
        verb, _, rest = text.partition(" ")
        frames = [each for each in more if each.startswith("frame ")]
        lines = [each for each in more if not each.startswith("frame ")]
        if verb == "head" and isinstance(channel, ClientStream):
            channel.open(lines, ended=rest == "alone")
            data, lines = b"", []
        elif verb == "head" and isinstance(channel, BackendStream):
            assert channel.asked is not None
            channel.asked.head(int(rest.split()[0]), ended=rest.endswith("alone"))
            data, lines = b"", []
        elif verb == "handshake":
            data, lines = channel.handshake(rest, lines), []
        elif verb == "switch":
            data, lines = channel.switch(ear.key, lines), []
        else:
            data, lines, frames = b"", [text, *more], []
        for each in [*lines, *frames]:
            made = frame(each) if each.startswith("frame ") else None
            data += made.bytes(by_client=client, spell=self._spell) if made else self._spell(each)
        channel.send(self.spoil(name, data))
        if end is not None:
            end()

    def _spell(self, text: str) -> bytes:
        """Bytes to be sent: spelled, with what was kept put in."""
        out, at = b"", 0
        for found in re.finditer(r"\\<([a-z0-9]+)>", text):
            out += unspelled(text[at : found.start()]) + self.known[found[1]]
            at = found.end()
        return out + unspelled(text[at:])

    def _hear(self, name: str, text: str, more: list[str]) -> None:
        if text == "connection":
            if before := self.ears.pop(name, None):
                assert not before.channel.heard, f"the connection before it has heard more{before.rest}"
            self._accept(name)
        else:
            self._ear(name).hear(text, more)

    # -- logs, and the process

    def _look(self, kind: str, text: str) -> None:
        expected = Expected(text, self.known)
        log = {"log": "error", "lacks": "error", "access": "access", "ended": "ends"}[kind]

        # Some lines are said once a minute: those of an earlier play count.
        begin = 0 if log == "error" else self._begins[log]

        def lines() -> list[str]:
            return self.site.log(self.transcript, log)[begin:].splitlines()

        if kind == "lacks":
            assert not any(expected.within(line) for line in lines()), f"the log has it:\n{os.linesep.join(lines())}"
        elif kind == "log":
            eventually(
                lambda: any(expected.within(line) for line in lines()), self.patience, why="in the log of errors"
            )
        else:
            try:
                eventually(
                    lambda: any(expected.all_of(line.encode("latin-1", "replace")).end is not None for line in lines()),
                    self.patience,
                )
            except AssertionError:
                raise AssertionError(f"the log has only\n{os.linesep.join(lines())}") from None

    def _tell_proxy(self, text: str, more: list[str]) -> None:
        """`proxy gets SIGNAL`, `proxy reloads` with lines `- old` and `+ new`, `proxy closes tunnels ARGUMENTS`."""
        proxy, words = self.site.proxy, text.split()
        if words[0] == "gets":
            proxy.send_signal(signal.Signals[f"SIG{words[1]}"])
        elif words[0] == "reloads":
            old, new = ([each[2:] for each in more if each.startswith(f"{sign} ")] for sign in "-+")
            proxy.reload(self.site.configuration(self.transcript, list(zip(old, new, strict=True))))
        elif words[:2] == ["closes", "tunnels"]:
            told = [*proxy.binary.command, "tunnels", "close", *words[2:], "-c", str(proxy.directory / "nginx.conf")]
            done = run([*told, "-p", f"{proxy.directory}/"])
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            raise ValueError(f"what shall the proxy do: {text}?")

    # -- around it

    def _fill(self, text: str) -> str:
        return self.site.fill(self.transcript, text)

    def _listen(self) -> None:
        """Listen wherever the configuration goes to, but not at ports of the proxy's or at dead ones."""
        text = "".join(self.transcript.sections.values())
        own = set(re.findall(r"listen [^;]*\{port:([a-z0-9]+)\}", text)) | {"front"}
        text += "".join(each for line in self.transcript.lines for each in (line.text, *line.more))
        for name in set(re.findall(r"\{port:([a-z0-9]+)\}", text)) - own:
            if not name.startswith("dead"):
                self.listeners[name] = socket.create_server((self.address, self.site.port(name)), backlog=16)

    def _look_for_rests(self) -> None:
        """What nobody has expected."""
        for name, ear in self.ears.items():
            channel = ear.channel
            if not channel.over and not channel.end:
                channel.fill(0)
            assert not channel.heard, f"at the end, {name} has heard more{ear.rest}"
            if name.startswith("client"):
                assert channel.over or channel.end, f"nothing ends the connection of {name}: write `{name}> close`"
        for name, listener in self.listeners.items():
            listener.setblocking(False)
            with suppress(BlockingIOError):
                listener.accept()[0].close()
                raise AssertionError(f"there is a connection to {name} that nobody has expected")

    def _told(self, line: Line, error: Exception) -> str:
        where = f"{self.transcript.path}:{line.number}"
        text = [f"{self.transcript.about}", "", f"{where}: {error}", ""]
        for each in self.transcript.lines:
            mark = ">>>" if each is line else "   "
            text.append(f"{mark} {each.number:3} {each.who}{each.sign} {each.text}")
            text += [f"{mark}         {more}" for more in each.more]
        for kind in ("error", "ends", "access"):
            text += [f"    {kind}: {entry}" for entry in self.site.log(self.transcript, kind).splitlines()[-12:]]
        return "\n".join(text)


__all__ = ["Departed", "Player"]
