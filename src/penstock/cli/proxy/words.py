"""What `penstock proxy` says to a person, beside its log."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from penstock.cli.proxy.addresses import ProxiedAddress
from penstock.cli.proxy.ground import answers
from penstock.cli.proxy.site import CertificateIssuer, Front, ProxiedSite
from penstock.config.source import shown


def explain(authority: str, *, made: bool) -> None:
    """Explain how to trust the certificate, on standard error: standard output may be a configuration."""
    if not made:
        sys.stderr.write(f"The certificate is signed by {authority}\n")
        return
    sys.stderr.write(
        f"""\
A local authority was made: {authority}
It can sign for localhost, *.test, *.local, *.internal, *.lan, this machine's name and private addresses only.
Until it is trusted, clients warn:
  curl, Python, Node    curl --cacert FILE; SSL_CERT_FILE=FILE; NODE_EXTRA_CA_CERTS=FILE
  Debian, Ubuntu        sudo cp FILE /usr/local/share/ca-certificates/penstock.crt && sudo update-ca-certificates
  Chromium, Chrome      Settings > Privacy and security > Security > Manage certificates > Authorities > Import
  Firefox               Settings > Privacy and Security > View Certificates > Authorities > Import
"""
    )


def introduce(site: ProxiedSite, backends: list[ProxiedAddress]) -> None:
    """Write what a person wants to read once it serves."""
    front = site.fronts[0]
    http, ws = ("https", "wss") if front.certificate else ("http", "ws")
    lines = [""]
    for spoken in dict.fromkeys(
        _spoken(each, name) for name in front.names or ("localhost",) for each in front.listens
    ):
        spoken = spoken.removesuffix(":443") if http == "https" else spoken.removesuffix(":80")
        lines.append(f"  {http}://{spoken}/  and  {ws}://{spoken}/")
    groups = {group.name: group for group in site.groups}
    for route in front.routes:
        lines.append(f"      {route.path:<12} goes to {', '.join(groups[route.group].servers)}")
    for each in backends:
        address = each.address
        if address.family == "unix":
            continue
        hosts = (
            ("127.0.0.1", "::1") if address.host == "localhost" else (address.host,) if address.family != "name" else ()
        )
        if hosts and not any(answers(host, address.port) for host in hosts):
            lines.append(
                f"  Nothing listens at {each.server} yet: until something does, requests are answered with 502."
            )
    if site.issuer is not None:
        lines += _about_issuer(site.issuer, front)
    elif any(":" not in each for each in front.listens):
        lines.append("  Other machines can reach it, too; --from localhost:PORT keeps it to this one.")
    lines.append("  In another terminal, penstock tunnels shows what is open. Ctrl-C ends it. What it does:")
    sys.stdout.write("\n".join([*lines, "", ""]))
    sys.stdout.flush()


def _about_issuer(issuer: CertificateIssuer, front: Front) -> list[str]:
    port, asked = _spoken(front.listens[0], "").removeprefix(":"), issuer.challenge == "http-01"
    where = "http://" if asked else f"port {port}"
    return [
        f"  The certificate is ordered from {urlsplit(issuer.uri).netloc}, whose terms of service you accept by that.",
        "  Until it has come, there is a self-signed one, which clients warn of. It is renewed in time. The issuer",
        f"  asks at {where} of {' and '.join(front.names)}: the internet must reach that here.",
        f"  Account and certificates are kept in {shown(issuer.state)}",
    ]


def _spoken(address: str, name: str) -> str:
    """An address to listen on, as a person would type it into a browser; `name` is that of this machine."""
    if address.startswith("unix:"):
        return address
    host, _, port = address.rpartition(":")
    return f"{name}:{port}" if host in ("", "[::]", "0.0.0.0", "127.0.0.1", "[::1]", "*") else address
