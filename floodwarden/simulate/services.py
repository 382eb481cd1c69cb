"""What good clients use besides the pages: second factors, gift cards, invoices, the assistant, the staff's door.

Drawn apart from those who use it, from a stream of its own: no other row is another for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np

from floodwarden.simulate.people import daily
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, Ints

STAFF: Final = 60
_AGAIN_S: Final = 9.0  # until who mistyped a code tries the next


@dataclass(frozen=True, slots=True)
class _Next:
    """After `share` of the answered requests to `after`, one to `endpoint`, `wait_s` later on average."""

    after: str
    share: float
    endpoint: str
    wait_s: float
    status: int = 200
    wrong: int = 503
    wrong_share: float = 0.001
    again: bool = False


_NEXT: Final = (
    _Next("login", 0.3, "verify", 12.0, wrong=401, wrong_share=0.07, again=True),
    _Next("cart", 0.05, "balance", 20.0, wrong=404, wrong_share=0.12, again=True),
    _Next("orders", 0.15, "invoice", 6.0, wrong=404, wrong_share=0.005),
    _Next("reviews", 0.04, "vote", 8.0, wrong=409, wrong_share=0.03),
    _Next("search", 0.012, "assistant", 15.0, wrong_share=0.01),
    _Next("assistant", 0.55, "assistant", 35.0, wrong_share=0.01),
    _Next("list", 0.3, "graphql", 0.4, wrong=400, wrong_share=0.002),
    _Next("api_item", 0.02, "graphql", 1.0, wrong=400, wrong_share=0.02),
    _Next("api_item", 0.004, "export", 3.0, status=202),
    _Next("export", 0.9, "exported", 20.0),
    _Next("register", 0.3, "device", 5.0, status=201),
)


def services(scene: Scene, made: Rows) -> Rows:
    """Rows that follow those of people and customers, in no order: by the same address, account, key and agent."""
    parts = [made]
    for step in _NEXT:
        parts.append(_following(scene, step, together(*parts)))
    return together(*parts[1:], _callbacks(scene, made), _staff(scene))


def invoice_paths(scene: Scene, numbers: Ints) -> Ints:
    """The invoices of some orders."""
    return scene.world.paths.all([f"/account/orders/{number}/invoice" for number in numbers.tolist()])


def order_paths(scene: Scene, numbers: Ints) -> Ints:
    """Some orders as the back office opens them."""
    return scene.world.paths.all([f"/backoffice/orders/{number}" for number in numbers.tolist()])


def orders_of(scene: Scene, user: Ints, nth: Ints | int) -> Ints:
    """The number of each account's `nth` order: of the account's name, so the same whoever else there is."""
    codes, at = np.unique(user, return_inverse=True)
    named = [crc32(scene.world.users.texts[code].encode()) if code != ABSENT else 0 for code in codes.tolist()]
    return np.asarray(100_000 + (np.array(named, np.int64)[at] + nth * 37) % 60_000)


def staff_accounts(scene: Scene) -> Ints:
    """The accounts of those who work here."""
    return scene.world.users.all([f"staff{number:03d}" for number in range(STAFF)])


def _following(scene: Scene, step: _Next, made: Rows) -> Rows:
    answered = (made["endpoint"] == ENDPOINT_CODES[step.after]) & (made["status"] < 400)
    begun = made[answered & (scene.rng.random(len(made)) < step.share)]
    n = len(begun)
    at_s = begun["ts_ms"] / 1000 + scene.rng.gamma(2, step.wait_s / 2, n)
    rows = scene.requests(at_s, step.endpoint, path=_paths(scene, step.endpoint, begun))
    for column in ("ip", "user", "key", "ua", "label"):
        rows[column] = begun[column]
    rows["status"] = scene.mostly(n, step.status, step.wrong, step.wrong_share)
    if not step.again:
        return rows
    tried = rows[rows["status"] == step.wrong].copy()
    tried["status"] = step.status
    tried["ts_ms"] += (scene.rng.gamma(3, _AGAIN_S / 3, len(tried)) * 1000).astype(np.int64)
    return together(rows, tried)


def _paths(scene: Scene, endpoint: str, begun: Rows) -> Ints | None:
    """One path a row where the endpoint's are many; an account has some orders of its own."""
    n = len(begun)
    match endpoint:
        case "invoice":
            return invoice_paths(scene, orders_of(scene, begun["user"], scene.rng.integers(0, 4, n)))
        case "vote":
            return scene.world.paths.all([f"/reviews/{one}/vote" for one in scene.rng.integers(1, 9000, n).tolist()])
        case "exported":
            return scene.world.paths.all([f"/api/v1/exports/{one}" for one in scene.rng.integers(1, 99_999, n)])
        case _:
            return None


def _callbacks(scene: Scene, made: Rows) -> Rows:
    """The payment provider says of each payment how it went, from two addresses."""
    paid = made[made["endpoint"] == ENDPOINT_CODES["pay"]]
    at_s = paid["ts_ms"] / 1000 + scene.rng.gamma(2, 1.5, len(paid))
    ip = scene.by_turns(scene.addresses(2, "partner"), len(paid))
    return scene.requests(at_s, "callback", ip=ip, ua=scene.tool("PayBridge-Hooks/2.1"))


def _staff(scene: Scene) -> Rows:
    """Sixty people work here in shifts, a third of them at home: they sign on, mistype now and then, look orders up."""
    rng = scene.rng
    at = np.concatenate([scene.addresses(2, "office")[np.arange(40) % 2], scene.addresses(STAFF - 40, "home")])
    users = staff_accounts(scene)
    shifts_s = daily(scene, max(1, round(STAFF * 2 * scene.span_s / 86_400)), scene.start_ms)
    who = rng.integers(0, STAFF, len(shifts_s))
    mistyped = rng.random(len(who)) < 0.12
    on = np.concatenate([who, who[mistyped]])
    on_s = np.concatenate([shifts_s + mistyped * 15.0, shifts_s[mistyped]])
    status = np.where(np.arange(len(on)) < len(who), 200, 401)
    signed = scene.requests(on_s, "sso", ip=at[on], user=users[on], ua=scene.browser(at[on]), status=status)
    looks = rng.geometric(1 / 60, len(who))
    by = np.repeat(who, looks)
    at_s = np.repeat(shifts_s, looks) + 30 + rng.uniform(0, 10_000, len(by))
    path = [f"/backoffice/orders/{number}" for number in rng.integers(100_000, 160_000, len(by)).tolist()]
    looked = scene.requests(at_s, "backoffice", path=path, ip=at[by], user=users[by], ua=scene.browser(at[by]))
    return together(signed, looked)
