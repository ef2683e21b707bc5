"""From a name to a connection: DNS, TCP, TLS. Each step is told; what fails raises `ProbeFailed`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import ip_address
from time import monotonic

from penstock.config.addresses import address_text
from penstock.doctor.probe.certificate import SeenCertificate, faults, judge
from penstock.doctor.probe.steps import Exit, ProbeFailed, ProbeStep, Say, StepVerdict, safe, time_shown
from penstock.doctor.probe.target import ProbeTarget
from penstock.doctor.probe.trouble import GO_ON, may_be_plain, tls_trouble, why_not
from penstock.net.blocking import (
    BlockingConnection,
    CertificateRefused,
    LookupFailed,
    Secured,
    TlsContext,
    client_context,
    look_up,
)
from penstock.net.dial import Address
from penstock.net.errors import DialFailed, NetError, TimedOut

MOST_ADDRESSES = 4
"""Addresses of a name that are tried."""


class Reach:
    """How to get to a target; remembers what worked, so that every later connection is made in the same way.

    Making one raises `OSError` where the file of trusted authorities cannot be used.
    """

    def __init__(
        self,
        target: ProbeTarget,
        say: Say,
        *,
        timeout: float,
        insecure: bool,
        trusted: str | None,
        certificate: str | None,
        key: str | None,
        address: str | None,
        days: int,
        http2: bool = False,
    ) -> None:
        self.target = target
        self.timeout = timeout
        self._say = say
        self._insecure = insecure
        self._days = days
        self._address: Address | None = None
        self._host = address or target.host
        self._own = certificate, key
        self._protocol = "h2" if http2 else "http/1.1"
        self._context: TlsContext | None = None
        if target.secure:
            self._context = client_context(
                verify=True, trusted=trusted, certificate=certificate, key=key, protocol=self._protocol
            )

    def first(self) -> BlockingConnection:
        """Connect, telling each step. Raises `ProbeFailed`."""
        line = self._connect(self._look_up())
        self._address = line.peer
        return line if self._context is None else self._secure(line, self._context)

    def again(self) -> BlockingConnection:
        """Connect once more to the same address. Raises `NetError`."""
        assert self._address is not None
        line = BlockingConnection.dial(self._address, self.timeout)
        if self._context is not None:
            try:
                line.secure(self._context, self.target.host, self.timeout)
            except NetError:
                line.close()
                raise
        return line

    # DNS

    def _look_up(self) -> list[Address]:
        host, port = self._host, self.target.port
        try:
            ip_address(host)
            return look_up(host, port)
        except ValueError:
            pass
        started = monotonic()
        try:
            found = look_up(host, port)
        except LookupFailed as error:
            words = f"{safe(host)} has no address: {error}"
            advice: tuple[str, ...] = (
                ("look for a typing mistake, or a DNS record that was never made",)
                if error.unknown
                else ("the resolver of this machine did not answer: look at /etc/resolv.conf and the network",)
            )
            data = {"host": host, "addresses": []}
            raise self._failed("dns", words, Exit.DNS, started, advice=advice, data=data) from None
        taken = monotonic() - started
        texts = [str(address[0]) for address in found]
        shown = ", ".join(texts[:8]) + (f" and {len(texts) - 8} more" if len(texts) > 8 else "")
        verdict = StepVerdict.OK
        advice = ()
        if taken > 1:
            verdict, advice = StepVerdict.WARN, ("looking the name up is slow: every new client waits for it",)
        data = {"host": host, "addresses": texts[:32]}
        self._say(ProbeStep("dns", verdict, f"{safe(host)} is {shown}", taken, advice=advice, data=data))
        return found

    # TCP

    def _connect(self, addresses: list[Address]) -> BlockingConnection:
        failures: list[str] = []
        numbers: list[int] = []
        started = monotonic()
        for address in addresses[:MOST_ADDRESSES]:
            started = monotonic()
            try:
                line = BlockingConnection.dial(address, self.timeout)
            except (DialFailed, TimedOut) as error:
                numbers.append(error.errno)
                words = (
                    f"silence for {time_shown(self.timeout)}"
                    if isinstance(error, TimedOut)
                    else os.strerror(error.errno)
                )
                failures.append(f"{address_text(address)}: {words[0].lower()}{words[1:]}")
                continue
            taken = monotonic() - started
            verdict = StepVerdict.WARN if failures else StepVerdict.OK
            slow: tuple[str, ...] = (
                ("clients that try the first address first are slow or fail: serve it, or take it out of DNS",)
                if failures
                else ()
            )
            data = {"address": address_text(address), "failed": failures}
            summary = f"connected to {address_text(address)}"
            self._say(ProbeStep("tcp", verdict, summary, taken, tuple(failures), slow, data=data))
            return line
        one = len(failures) == 1
        summary = failures[0] if one else f"none of {len(failures)} addresses lets us in"
        advice = why_not(set(numbers), self.target.port)
        details = () if one else tuple(failures)
        raise self._failed("tcp", summary, Exit.CONNECT, started, details, advice, {"failed": failures})

    # TLS

    def _secure(self, line: BlockingConnection, context: TlsContext) -> BlockingConnection:
        started = monotonic()
        host = self.target.host
        try:
            secured = line.secure(context, host, self.timeout)
        except CertificateRefused as refused:
            line.close()
            return self._secure_anyway(refused, started)
        except NetError as error:
            line.close()
            raise self._explained(error, started) from None
        taken = monotonic() - started
        certificate = SeenCertificate.read(secured.chain[0])
        verdict, advice = judge(certificate, self._days)
        self._tell_tls(verdict, secured, certificate, taken, (), advice)
        return line

    def _secure_anyway(self, refused: CertificateRefused, started: float) -> BlockingConnection:
        """Look at a certificate that was refused; go on with it only if that was asked for."""
        self._context = client_context(
            verify=False, certificate=self._own[0], key=self._own[1], protocol=self._protocol
        )
        try:
            line = self.again_bare()
            secured = line.secure(self._context, self.target.host, self.timeout)
        except NetError as error:
            raise self._explained(error, started) from None
        taken = monotonic() - started
        certificate = SeenCertificate.read(secured.chain[0])
        found = faults(certificate, self.target.host, refused, len(secured.chain) if secured.complete else None)
        summary = "; ".join(fault.what for fault in found)
        advice = tuple(dict.fromkeys(fault.advice for fault in found if fault.advice))
        if not self._insecure:
            line.close()
            self._tell_tls(StepVerdict.FAIL, secured, certificate, taken, (), (*advice, GO_ON), summary, refused)
            raise ProbeFailed(Exit.TLS)
        self._tell_tls(StepVerdict.WARN, secured, certificate, taken, (), advice, summary, refused)
        return line

    def again_bare(self) -> BlockingConnection:
        """Connect once more without TLS."""
        assert self._address is not None
        return BlockingConnection.dial(self._address, self.timeout)

    def _tell_tls(
        self,
        verdict: StepVerdict,
        secured: Secured,
        certificate: SeenCertificate,
        taken: float,
        details: tuple[str, ...],
        advice: tuple[str, ...],
        wrong: str = "",
        refused: CertificateRefused | None = None,
    ) -> None:
        spoken = f"{secured.version}, {secured.cipher}"
        data = {"version": secured.version, "cipher": secured.cipher, "certificate": certificate.as_json()}
        if refused is not None:
            data["refused"] = {"code": refused.code, "words": str(refused)}
        lines = (*((spoken,) if wrong else ()), *certificate.lines(), *details)
        self._say(ProbeStep("tls", verdict, wrong or spoken, taken, lines, advice, data=data))

    def _explained(self, error: NetError, started: float) -> ProbeFailed:
        """Tell why there is no TLS; what to raise."""
        words, advice = tls_trouble(error, self.timeout)
        if may_be_plain(error) and self._speaks_http():
            words = f"port {self.target.port} speaks plain HTTP, not TLS"
            advice = (
                f"try ws:// there: {self.target.url.replace('wss://', 'ws://', 1)}",
                'a server that should speak TLS needs "ssl" in its listen directive',
            )
        return self._failed(
            "tls", words, Exit.TLS, started, advice=advice, data={"reason": getattr(error, "reason", "")}
        )

    def _speaks_http(self) -> bool:
        try:
            with self.again_bare() as line:
                line.send(
                    f"GET / HTTP/1.1\r\nHost: {self.target.authority}\r\nConnection: close\r\n\r\n".encode(),
                    self.timeout,
                )
                return line.recv(min(self.timeout, 3)).startswith(b"HTTP/")
        except NetError:
            return False

    def _failed(
        self,
        name: str,
        summary: str,
        exit: Exit,
        started: float,
        details: tuple[str, ...] = (),
        advice: tuple[str, ...] = (),
        data: Mapping[str, object] | None = None,
    ) -> ProbeFailed:
        """Tell the step that failed; what to raise."""
        self._say(
            ProbeStep(name, StepVerdict.FAIL, summary, monotonic() - started, details, advice, data=dict(data or {}))
        )
        return ProbeFailed(exit)
