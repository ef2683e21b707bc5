"""Lines to a syslog server, as datagrams (RFC 3164, as nginx writes it: https://nginx.org/en/docs/syslog.html)."""

from __future__ import annotations

import os
import re
import socket
from time import monotonic

from penstock.config.addresses import Address, Family, peer_address
from penstock.config.os_errors import os_failure
from penstock.observe.clock import syslog_time
from penstock.shared.json_fields import Fields, Strange

FACILITIES = (
    *("kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp"),
    *("ntp", "audit", "alert", "cron"),
    *(f"local{number}" for number in range(8)),
)
SEVERITIES = ("emerg", "alert", "crit", "error", "warn", "notice", "info", "debug")

_TAG = re.compile(r"[0-9A-Za-z_]*", re.ASCII)
_PORT = 514
_REPEAT_SECONDS = 60.0


class Syslog:
    """A server that takes lines. The socket is made with the first of them, and anew after a failure."""

    __slots__ = ("_address", "_busy", "_complained", "_host", "_socket", "facility", "severity", "tag")

    def __init__(self, address: Address, facility: int, severity: int, tag: str, hostname: bool) -> None:
        self._address = address
        self.facility = facility
        self.severity = severity
        self.tag = tag
        self._host = f"{os.uname().nodename} " if hostname else ""
        self._socket: socket.socket | None = None
        self._busy = False
        self._complained = -_REPEAT_SECONDS

    def state(self) -> dict[str, object]:
        """Return it as plain values."""
        address = self._address
        return {
            "family": address.family,
            "host": address.host,
            "port": address.port,
            "facility": self.facility,
            "severity": self.severity,
            "tag": self.tag,
            "hostname": bool(self._host),
        }

    def send(self, message: bytes, severity: int | None = None) -> None:
        """Send one line, without its line feed. What can not be sent is lost, and said so once a minute."""
        if self._busy:
            return
        priority = self.facility * 8 + (self.severity if severity is None else severity)
        head = f"<{priority}>{syslog_time()} {self._host}{self.tag}: "
        data = head.encode("latin-1") + message
        self._busy = True
        try:
            self._send(data)
        except OSError as error:
            self._complain(error)
        finally:
            self._busy = False

    def line(self, data: bytes) -> None:
        """Send a line with its line feed, as it would go to a log file."""
        self.send(data[:-1])

    def _send(self, data: bytes) -> None:
        if self._socket is not None:
            try:
                self._socket.send(data)
                return
            except ConnectionError:
                # The answer to an earlier datagram: a server that was restarted is worth a second try.
                self.close()
        try:
            self._connected().send(data)
        except BlockingIOError:
            raise
        except OSError:
            self.close()
            raise

    def _connected(self) -> socket.socket:
        if self._socket is None:
            address = self._address
            family = {"unix": socket.AF_UNIX, "inet6": socket.AF_INET6}.get(address.family, socket.AF_INET)
            self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            target = address.host.encode("latin-1") if address.family == "unix" else (address.host, address.port)
            self._socket.connect(target)
        return self._socket

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _complain(self, error: OSError) -> None:
        now = monotonic()
        if now - self._complained < _REPEAT_SECONDS:
            return
        self._complained = now
        from penstock.observe.errorlog import WARN, report

        code = error.errno or 0
        report(None, WARN, os_failure(f"send() to syslog server {self._address}", code))


def read_syslog(fields: Fields) -> Syslog:
    """Make the server that another process logs to, as `Syslog.state` tells it. Raises `Strange`."""
    families: dict[str, Family] = {"unix": "unix", "inet": "inet", "inet6": "inet6"}
    address = Address(fields.one_of("family", families), fields.text("host"), fields.whole("port", 65535))
    facility, severity = fields.whole("facility", len(FACILITIES) - 1), fields.whole("severity", 7)
    tag, hostname = fields.text("tag"), fields.flag("hostname")
    fields.end()
    if not _TAG.fullmatch(tag):
        raise Strange("a syslog tag has other characters than letters and digits")
    return Syslog(address, facility, severity, tag, hostname)


def parse_syslog(text: str) -> Syslog:
    """Read `syslog:server=address[,facility=][,severity=][,tag=][,nohostname]`; raises `ValueError` in nginx's words.
    """
    found: dict[str, str] = {}
    hostname = True
    for part in text.removeprefix("syslog:").split(","):
        name, given, value = part.partition("=")
        if part == "nohostname":
            hostname = False
            continue
        if not given or name not in ("server", "facility", "severity", "tag"):
            raise ValueError(f'unknown syslog parameter "{part}"')
        if name in found:
            raise ValueError(f'duplicate syslog "{name}"')
        found[name] = value
    if "server" not in found:
        raise ValueError("no syslog server specified")
    for name, known in (("facility", FACILITIES), ("severity", SEVERITIES)):
        if name in found and found[name] not in known:
            raise ValueError(f'unknown syslog {name} "{found[name]}"')
    tag = found.get("tag", "nginx")
    if len(tag) > 32:
        raise ValueError("syslog tag length exceeds 32")
    if not _TAG.fullmatch(tag):
        raise ValueError('syslog "tag" only allows alphanumeric characters and underscore')
    return Syslog(
        _server(found["server"]),
        FACILITIES.index(found.get("facility", "local7")),
        SEVERITIES.index(found.get("severity", "info")),
        tag,
        hostname,
    )


def _server(text: str) -> Address:
    try:
        address = peer_address(text, _PORT)
    except ValueError as error:
        raise ValueError(f'{error} in syslog server "{text}"') from None
    if address.family != "name":
        return address
    from penstock.net.names import lookup

    try:
        host = lookup(address.host)[0]
    except OSError:
        raise ValueError(f'host not found in syslog server "{text}"') from None
    return Address("inet6" if ":" in host else "inet", host, address.port)
