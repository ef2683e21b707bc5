"""What is said to an authority (RFC 8555), by Certbot's `acme` library: an account, an order, its challenges, the
certificate.

The library and what it needs are imported with this file, which nobody imports but the process that orders
certificates.
"""

from __future__ import annotations

import base64
import ipaddress
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from acme import challenges, client, crypto_util, errors, messages
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from josepy import errors as josepy_errors
from josepy import jwa, jwk, util

from penstock import __version__
from penstock.modules.acme.issuer import HTTP_01, key_kind
from penstock.modules.acme.self_signed import self_signed
from penstock.process.acme import state
from penstock.shared.challenge_board import HTTP, TLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from penstock.modules.acme.issuer import Issuer
    from penstock.modules.acme.orders import Order
    from penstock.shared.challenge_board import ChallengeBoard

PATIENCE = 90
"""Seconds that an authority has to look at challenges, and again to issue."""

NONCES = 6
"""How often a request is sent anew whose nonce is called bad; each time the library tries twice."""

_CURVES: dict[str, ec.EllipticCurve] = {"256": ec.SECP256R1(), "384": ec.SECP384R1(), "521": ec.SECP521R1()}
_LOST = ("accountDoesNotExist", "unauthorized")
# Any private key that the library signs with.
_Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class NotIssued(Exception):
    """Raised where there is no certificate now; the message says why. `wait` is for how many seconds the authority does
    not want to be asked again, 0 if it said nothing."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class Suggestion(NamedTuple):
    """When a certificate is to be renewed, in seconds since 1970 (None: at the usual time), and in how many seconds to
    ask again (None: never, the authority suggests nothing)."""

    when: float | None
    ask_again: float | None


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its chain, and its key, as PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """One issuer. Call everything with its folder locked (`state.at_work`)."""

    def __init__(self, issuer: Issuer, board: ChallengeBoard) -> None:
        self.issuer = issuer
        self._board = board

    def obtain(self, order: Order) -> Issued:
        """Order a certificate. Raises `NotIssued`, `OSError` where the state can not be written."""
        try:
            with _told(self.issuer):
                try:
                    return self._obtain(order)
                except messages.Error as error:
                    if error.code not in _LOST or not self._own_key():
                        raise
                    self._forget_account()
                    return self._obtain(order)
        except NotIssued as failure:
            raise NotIssued(f"{failure} (names: {', '.join(order.identifiers)})", failure.wait) from None

    def suggested(self, certificate: bytes) -> Suggestion:
        """Ask when the authority wants a certificate renewed (RFC 9773)."""
        try:
            speaker = client.ClientV2(self._directory(network := self._network(None)), network)
            try:
                speaker.directory["renewalInfo"]
            except KeyError:
                return Suggestion(None, None)
            when, again = speaker.renewal_time(certificate)
        except Exception:
            return Suggestion(None, 6 * 3600.0)  # whatever it says instead: there is a usual time
        return Suggestion(None if when is None else when.timestamp(), again.timestamp() - time())

    def _obtain(self, order: Order) -> Issued:
        speaker, account_key = self._speaker()
        private = _new_key(order.key)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        names, addresses = [], []
        for name in order.identifiers:
            try:
                addresses.append(ipaddress.ip_address(name))
            except ValueError:
                names.append(name)
        request = crypto_util.make_csr(pem, domains=names, ipaddrs=addresses)
        wanted = speaker.new_order(request, profile=self.issuer.profile or None)
        pinned: list[tuple[int, str]] = []
        try:
            for authorization in wanted.authorizations:
                if authorization.body.status != messages.STATUS_VALID:
                    self._answer(speaker, account_key, authorization, pinned)
            wanted = speaker.poll_authorizations(wanted, _soon())
        finally:
            for kind, name in pinned:
                self._board.take_off(kind, name)
        done = speaker.finalize_order(wanted, _soon())
        return Issued(done.fullchain_pem.encode(), pem)

    def _answer(
        self,
        speaker: client.ClientV2,
        account_key: jwk.JWK,
        authorization: messages.AuthorizationResource,
        pinned: list[tuple[int, str]],
    ) -> None:
        name = authorization.body.identifier.value
        posed = {_type(each): each for each in authorization.body.challenges}
        challenge = posed.get(self.issuer.challenge)
        if challenge is None:
            raise NotIssued(f"the authority does not offer {self.issuer.challenge} for {name}, but {', '.join(posed)}")
        token = _token(challenge)
        print_ = base64.urlsafe_b64encode(account_key.thumbprint(hash_function=hashes.SHA256)).rstrip(b"=").decode()
        authorized = f"{token}.{print_}"
        if self.issuer.challenge == HTTP_01:
            pin = HTTP, token, authorized.encode()
        else:
            certificate, key = self_signed((name,), sha256(authorized.encode()).digest())
            pin = TLS, _asked_for(name), f"{certificate}\0{key}".encode()
        if not self._board.pin(*pin):
            raise NotIssued("too many challenges at once")
        pinned.append(pin[:2])
        speaker.answer_challenge(challenge, challenges.HTTP01Response(key_authorization=authorized))

    # The account

    def _speaker(self) -> tuple[client.ClientV2, jwk.JWK]:
        """Who speaks with the account's key, a new account being made if there is none."""
        key = self._account_key()
        network = self._network(key)
        directory = self._directory(network)
        speaker = client.ClientV2(directory, network)
        known = state.read(f"{self.issuer.state}/account.json")
        if known is not None:
            uri = str(json.loads(known).get("uri", ""))
            network.account = messages.RegistrationResource(uri=uri, body=messages.Registration())
            return speaker, key
        terms = directory.meta.terms_of_service
        if terms and not self.issuer.agreed:
            raise NotIssued(f"read its terms of service, {terms}, then add: accept_terms_of_service;")
        asked = messages.NewRegistration(
            key=key.public_key(),
            contact=self.issuer.contacts,
            terms_of_service_agreed=self.issuer.agreed,
            external_account_binding=self._external(key, directory),
        )
        try:
            uri = speaker.new_account(asked).uri
        except errors.ConflictError as conflict:
            uri = conflict.location
            network.account = messages.RegistrationResource(uri=uri, body=messages.Registration())
        state.write({f"{self.issuer.state}/account.json": json.dumps({"uri": uri}).encode()})
        return speaker, key

    def _account_key(self) -> jwk.JWK:
        kind = key_kind(self.issuer.account_key)
        path = self.issuer.account_key if kind is None else f"{self.issuer.state}/account.key"
        pem = state.read(path)
        if pem is None:
            if kind is None:
                raise NotIssued(f'there is no account_key "{path}"')
            pem = _new_key(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            state.write({path: pem})
        private = load_pem_private_key(pem, None)
        if isinstance(private, rsa.RSAPrivateKey):
            return jwk.JWKRSA(key=util.ComparableRSAKey(private))
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise NotIssued(f'the account_key "{path}" is neither RSA nor ECDSA')
        return jwk.JWKEC(key=util.ComparableECKey(private))

    def _own_key(self) -> bool:
        return key_kind(self.issuer.account_key) is not None and self.issuer.external is None

    def _forget_account(self) -> None:
        """Begin with another account: this one is refused. Its key stays beside the new one."""
        old = state.read(f"{self.issuer.state}/account.key")
        if old is not None:
            state.write({f"{self.issuer.state}/account.key.refused": old})
        new = _new_key(key_kind(self.issuer.account_key) or "ecdsa:256")
        pem = new.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        state.remove(f"{self.issuer.state}/account.json")
        state.write({f"{self.issuer.state}/account.key": pem})

    def _external(self, key: jwk.JWK, directory: messages.Directory) -> dict[str, object] | None:
        if self.issuer.external is None:
            return None
        name, place = self.issuer.external
        found = place.removeprefix("data:").encode() if place.startswith("data:") else state.read(place)
        if found is None:
            raise NotIssued(f'there is no external_account_key "{place}"')
        mac = found.decode().strip()
        return messages.ExternalAccountBinding.from_data(key.public_key(), name, mac, directory)

    def _network(self, key: jwk.JWK | None) -> SignedPosts:
        made = SignedPosts(
            key, alg=_algorithm(key), verify_ssl=self.issuer.verify, user_agent=f"penstock/{__version__}", timeout=30
        )
        if self.issuer.verify and self.issuer.trusted is not None:
            # `requests` takes the name of a file in its place.
            made.verify_ssl = self.issuer.trusted  # type: ignore[assignment]
        return made

    def _directory(self, network: client.ClientNetwork) -> messages.Directory:
        return client.ClientV2.get_directory(self.issuer.uri, network)


class SignedPosts(client.ClientNetwork):
    """The library's way to an authority, with more patience: one that has restarted, or that is many machines, may call
    several nonces bad in a row (RFC 8555, 6.5), and has done nothing yet then."""

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request signed with the account's key, with another nonce as long as one is called bad. Raises
        `messages.Error`."""
        for _ in range(NONCES - 1):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)


class _told:
    """Whatever goes wrong with the authority, in a person's words."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or not isinstance(error, Exception) or isinstance(error, (NotIssued, OSError)):
            if isinstance(error, requests.RequestException):
                raise NotIssued(f"{self._issuer.uri} can not be reached: {error}") from None
            return
        if isinstance(error, messages.Error):
            wait = 3600.0 if error.code == "rateLimited" else 0.0
            raise NotIssued(f"the authority says: {error.code}: {error.detail or error.title or ''}", wait) from None
        if isinstance(error, errors.ValidationError):
            raise NotIssued("; ".join(_refusals(error)) or "a challenge failed") from None
        if isinstance(error, (errors.Error, josepy_errors.Error, ValueError, KeyError)):
            raise NotIssued(f"{type(error).__name__}: {error}") from None


def _refusals(error: errors.ValidationError) -> Iterator[str]:
    for authorization in error.failed_authzrs:
        for challenge in authorization.body.challenges:
            if challenge.error is not None:
                yield f"the challenge for {authorization.body.identifier.value} failed: {challenge.error.detail}"


def _type(challenge: messages.ChallengeBody) -> str:
    """Its name, which the library has for those alone that it knows."""
    inner = challenge.chall
    return str(inner.jobj.get("type", "")) if isinstance(inner, challenges.UnrecognizedChallenge) else str(inner.typ)


def _token(challenge: messages.ChallengeBody) -> str:
    inner = challenge.chall
    if isinstance(inner, challenges.UnrecognizedChallenge):
        return str(inner.jobj.get("token", ""))
    return str(inner.encode("token"))


def _asked_for(name: str) -> str:
    """The server name of the handshake for a challenge: an address is spelled in reverse (RFC 8738, 6)."""
    try:
        return ipaddress.ip_address(name).reverse_pointer
    except ValueError:
        return name


def _new_key(kind: str) -> _Private:
    family, _, size = kind.partition(":")
    if family == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=int(size))
    return ec.generate_private_key(_CURVES[size])


def _algorithm(key: jwk.JWK | None) -> jwa.JWASignature:
    if isinstance(key, jwk.JWKEC):
        return {256: jwa.ES256, 384: jwa.ES384, 521: jwa.ES512}[key.key.key_size]
    return jwa.RS256


def _soon() -> datetime:
    return datetime.now() + timedelta(seconds=PATIENCE)


