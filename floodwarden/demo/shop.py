"""A small shop API, the upstream that the demo protects. It knows nothing of Floodwarden."""

from __future__ import annotations

import hmac
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

ITEMS: Final = 200
ACCOUNTS: Final = 500
WORDS: Final = (
    "lamp",
    "table",
    "teapot",
    "kettle",
    "chair",
    "rug",
    "clock",
    "vase",
    "mirror",
    "shelf",
    "basket",
    "stool",
)


class Login(msgspec.Struct):
    """Body of POST /login."""

    user: str
    password: str


_LOGIN: Final = msgspec.json.Decoder(Login)


def account(n: int) -> str:
    """Name of the n-th account."""
    return f"user{n % ACCOUNTS:03d}@example.org"


def password(n: int) -> str:
    """What opens the n-th account."""
    return f"{WORDS[n % len(WORDS)]}-{n % ACCOUNTS * 7919}-ok"


_PASSWORDS: Final = {account(n): password(n) for n in range(ACCOUNTS)}


def create_app() -> Starlette:
    """The shop as an ASGI application."""
    return Starlette(
        routes=[
            Route("/items", _items),
            Route("/items/{id:int}", _item),
            Route("/search", _search),
            Route("/login", _login, methods=["POST"]),
            Route("/orders", _orders, methods=["POST"]),
        ]
    )


def _named(n: int) -> dict[str, object]:
    return {"id": n, "name": f"{WORDS[n % len(WORDS)]} no. {n}", "price_cents": 990 + n * 37 % 9000}


async def _items(_: Request) -> Response:
    return JSONResponse([_named(n) for n in range(1, 21)])


async def _item(request: Request) -> Response:
    n = int(request.path_params["id"])
    if not 1 <= n <= ITEMS:
        return JSONResponse({"error": "no such item"}, 404)
    return JSONResponse(_named(n))


async def _search(request: Request) -> Response:
    word = request.query_params.get("q", "")
    return JSONResponse([_named(n) for n in range(1, ITEMS + 1) if WORDS[n % len(WORDS)] == word])


async def _login(request: Request) -> Response:
    try:
        login = _LOGIN.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError):
        return JSONResponse({"error": "send user and password"}, 422)
    right = _PASSWORDS.get(login.user, "")
    if not right or not hmac.compare_digest(right.encode(), login.password.encode()):
        return JSONResponse({"error": "wrong user or password"}, 401)
    return JSONResponse({"welcome": login.user})


async def _orders(_: Request) -> Response:
    return JSONResponse({"ordered": True}, 201)
