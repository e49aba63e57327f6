"""What stands before the review page's addresses: names by which it may be asked for, the login, and headers that browsers obey."""

import asyncio
import base64
import binascii
import ipaddress
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Response
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
OF_PICTURES = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""Opened by themselves: browsers show them by a style of their own."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FIRST_DELAY, LONGEST_DELAY = 0.25, 8.0
"""Seconds before a login is looked at after one wrong login from the same address, doubled with each further one."""
ADDRESSES = 4_096
"""Clients whose wrong logins are counted."""
UNCOMPRESSED = ("/pictures/", "/strips/")
"""Beginnings of the addresses of files that are compressed already."""
Answer = Callable[[Request], Awaitable[Response]]


@dataclass
class _Client:
    """Client that gave a wrong login."""

    failures: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while one of its logins waits: guesses made at the same time wait one after the other."""


class Login:
    """Login that is asked for, and the patience with those who guess."""

    def __init__(self, login: str) -> None:
        self._login = login
        self._clients: OrderedDict[str, _Client] = OrderedDict()

    async def knows(self, request: Request) -> bool:
        """Returns whether a request brings the login, in a time that tells nothing of it; after wrong ones, only after a delay."""
        header = request.headers.get("Authorization", "")
        address = request.client.host if request.client else ""
        client = self._clients.get(address)
        if client is None:
            return self._check(header, address)
        async with client.turn:
            await asyncio.sleep(min(LONGEST_DELAY, FIRST_DELAY * 2 ** (client.failures - 1)) if client.failures and header else 0)
            return self._check(header, address)

    def _check(self, header: str, address: str) -> bool:
        if _holds(header, self._login):
            self._clients.pop(address, None)
            return True
        if header:  # browsers ask without one first
            client = self._clients.setdefault(address, _Client())
            client.failures = min(client.failures + 1, 16)
            self._clients.move_to_end(address)
            if len(self._clients) > ADDRESSES:
                self._clients.popitem(last=False)
        return False


def guard(login: str | None, hosts: Sequence[str]) -> Callable[[Request, Answer], Awaitable[Response]]:
    """Returns the middleware that answers whoever may not ask, and adds the headers to every answer."""
    knower = Login(login) if login else None

    async def guarded(request: Request, answer: Answer) -> Response:
        if not is_allowed(request.headers.get("Host", ""), hosts):
            response = Response("this name is not the review page's: set DREAMSWEEP_REVIEW_URL to the address that people use", 400)
        elif _has_control_characters(request.scope):
            response = Response("an address holds no control characters", 400)
        elif knower is None or request.url.path == "/health" or await knower.knows(request):
            response = await answer(request)
        else:
            response = Response("log in", 401, {"WWW-Authenticate": 'Basic realm="dreamsweep review", charset="UTF-8"'})
        policy = OF_PICTURES if request.url.path.startswith(UNCOMPRESSED) else POLICY
        response.headers.update({**HEADERS, "Content-Security-Policy": policy})
        return response

    return guarded


def is_allowed(host: str, hosts: Sequence[str]) -> bool:
    """Returns whether a Host header names this page. Addresses always do: no foreign page can make its name resolve to one of them."""
    if "*" in hosts:
        return True
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:  # brackets that do not match
        return False
    return name in hosts or _is_address(name)


class Uncompressed:
    """Compression of texts alone: pictures and archives are small already, and ranges are of what is sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._plain, self._compressed = app, GZipMiddleware(app, minimum_size=1_000, compresslevel=4)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        path = scope.get("path", "")
        chosen = self._plain if path.startswith(UNCOMPRESSED) or "/export/" in path else self._compressed
        await chosen(scope, receive, send)


class Heads:
    """Answers HEAD as GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; the whole of an export is not written for its head."""
        if scope.get("method") != "HEAD" or "/export/" in scope["path"]:
            return await self._app(scope, receive, send)

        async def without_body(message: Message) -> None:
            plain: MutableMapping[str, Any] = {**message, "body": b""} if message["type"] == "http.response.body" else message
            await send(plain)

        await self._app({**scope, "method": "GET"}, receive, without_body)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _has_control_characters(scope: Scope) -> bool:
    query = scope.get("query_string", b"").lower()
    return any(letter < " " or letter == "\x7f" for letter in scope["path"]) or b"%00" in query


def _holds(header: str, login: str) -> bool:
    kind, _, encoded = header.partition(" ")
    try:
        given = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    return kind.lower() == "basic" and secrets.compare_digest(given, login.encode())
