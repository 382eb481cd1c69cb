"""The simulated site and everyone's names: endpoints, items, addresses, agents. Rows hold codes, the world their texts.

Addresses are private, shared (100.64.0.0/10), documentation or benchmark (198.18.0.0/15) ranges, and AS numbers are
those of documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

ROW: Final = np.dtype(
    [
        ("ts_ms", np.int64),
        ("ip", np.int32),
        ("user", np.int32),
        ("key", np.int32),
        ("endpoint", np.int16),
        ("path", np.int32),
        ("status", np.int16),
        ("ua", np.int16),
        ("label", np.int16),
    ]
)
Rows = NDArray[np.void]  # of dtype ROW
ABSENT: Final = -1
ITEMS: Final = 6000
SEARCHES: Final = 900
ARTICLES: Final = 160
DEAD: Final = (
    "/favicon.ico", "/apple-touch-icon.png", "/blog/summer-sale-2019", "/blog/old-price-list", "/robots.txt",
    "/items/0", "/static/app.js.map", "/blog/jobs", "/ads.txt", "/browserconfig.xml",
)  # fmt: skip

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method on a route and how long it usually takes."""

    method: str
    route: str
    latency_ms: float


ENDPOINTS: Final = {
    "home": Endpoint("GET", "/", 18),
    "list": Endpoint("GET", "/items", 34),
    "item": Endpoint("GET", "/items/{id}", 22),
    "reviews": Endpoint("GET", "/items/{id}/reviews", 27),
    "search": Endpoint("GET", "/search", 61),
    "article": Endpoint("GET", "/blog/{slug}", 15),
    "static": Endpoint("GET", "/static/*.js", 3),
    "cart": Endpoint("GET", "/cart", 21),
    "cart_add": Endpoint("POST", "/cart/items", 29),
    "coupon": Endpoint("POST", "/cart/coupon", 24),
    "checkout": Endpoint("POST", "/checkout", 140),
    "pay": Endpoint("POST", "/checkout/payment", 420),
    "review": Endpoint("POST", "/items/{id}/reviews", 46),
    "account": Endpoint("GET", "/account", 25),
    "profile": Endpoint("PUT", "/account/profile", 52),
    "orders": Endpoint("GET", "/account/orders", 38),
    "login": Endpoint("POST", "/api/login", 95),
    "logout": Endpoint("POST", "/api/logout", 9),
    "reset": Endpoint("POST", "/api/password-reset", 88),
    "register": Endpoint("POST", "/api/register", 130),
    "token": Endpoint("POST", "/api/token", 31),
    "suggest": Endpoint("GET", "/api/v1/suggest", 12),
    "api_items": Endpoint("GET", "/api/v1/items", 31),
    "api_item": Endpoint("GET", "/api/v1/items/{id}", 16),
    "api_orders": Endpoint("GET", "/api/v1/orders", 33),
    "api_stock": Endpoint("PUT", "/api/v1/stock/{id}", 42),
    "telemetry": Endpoint("POST", "/api/v1/devices/{id}/telemetry", 8),
    "build": Endpoint("GET", "/api/v1/packages/{name}", 19),
    "missing": Endpoint("GET", "/{path}", 6),
    "search_deep": Endpoint("GET", "/search", 2400),
    "app_item": Endpoint("GET", "/api/v2/items/{id}", 19),
    "app_feed": Endpoint("GET", "/api/v2/feed", 41),
    "health": Endpoint("GET", "/healthz", 2),
    "verify": Endpoint("POST", "/api/login/verify", 44),
    "balance": Endpoint("POST", "/giftcards/balance", 36),
    "invoice": Endpoint("GET", "/account/orders/{id}/invoice", 210),
    "vote": Endpoint("POST", "/reviews/{id}/vote", 28),
    "assistant": Endpoint("POST", "/api/assistant", 2800),
    "graphql": Endpoint("POST", "/api/graphql", 40),
    "callback": Endpoint("POST", "/hooks/payments", 26),
    "export": Endpoint("POST", "/api/v1/exports", 900),
    "exported": Endpoint("GET", "/api/v1/exports/{id}", 1300),
    "sso": Endpoint("POST", "/sso/login", 120),
    "backoffice": Endpoint("GET", "/backoffice/orders/{id}", 70),
    "device": Endpoint("POST", "/api/v2/devices", 33),
    "queue": Endpoint("GET", "/queue", 4),
    "item_put": Endpoint("PUT", "/items/{id}", 7),
    "item_delete": Endpoint("DELETE", "/items/{id}", 7),
    "account_patch": Endpoint("PATCH", "/account", 7),
    "home_trace": Endpoint("TRACE", "/", 3),
    "api_options": Endpoint("OPTIONS", "/api/v1/items", 3),
}
ENDPOINT_CODES: Final = {name: code for code, name in enumerate(ENDPOINTS)}

BROWSERS: Final = tuple(
    f"Mozilla/5.0 ({system}) {engine}"
    for system in ("Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64", "Android")
    for engine in (
        "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
        "Gecko/20100101 Firefox/140.0",
        "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
        "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36 Edg/137.0.0.0",
    )
)  # fmt: skip


@dataclass(slots=True)
class Words:
    """Texts by code, each once; only ever grows, by what the configuration names."""

    texts: list[str] = field(default_factory=list)
    codes: dict[str, int] = field(default_factory=dict)

    def code(self, text: str) -> int:
        """The code of `text`, new when it is."""
        known = self.codes.get(text)
        if known is None:
            known = self.codes[text] = len(self.texts)
            self.texts.append(text)
        return known

    def all(self, texts: list[str] | tuple[str, ...]) -> Ints:
        """Codes of several texts."""
        return np.fromiter((self.code(text) for text in texts), np.int64, len(texts))


class World:
    """The site as it stands before anyone comes, and the names of those who came since."""

    def __init__(self) -> None:
        self.ips, self.users, self.keys = Words(), Words(), Words()
        self.paths, self.agents, self.labels = Words(), Words(), Words()
        self.labels.code("")
        self.items = self.paths.all([f"/items/{n}" for n in range(1, ITEMS + 1)])
        self.reviews = self.paths.all([f"/items/{n}/reviews" for n in range(1, ITEMS + 1)])
        self.api_items = self.paths.all([f"/api/v1/items/{n}" for n in range(1, ITEMS + 1)])
        self.stock = self.paths.all([f"/api/v1/stock/{n}" for n in range(1, ITEMS + 1)])
        self.lists = self.paths.all([f"/items?page={n}" for n in range(1, 241)])
        self.searches = self.paths.all([f"/search?q=term{n}" for n in range(SEARCHES)])
        self.suggests = self.paths.all([f"/api/v1/suggest?q=te{n}" for n in range(SEARCHES)])
        self.articles = self.paths.all([f"/blog/article-{n}" for n in range(ARTICLES)])
        self.statics = self.paths.all([f"/static/{n}.js" for n in ("app", "vendor", "theme", "cart", "chat", "maps")])
        self.dead = self.paths.all(DEAD)
        self.browsers = self.agents.all(BROWSERS)
        self.asns: list[int] = []  # by address code
        self.countries: list[str] = []
        self.clients: list[int] = []  # whose it is: the code of the first address of its /64, else its own
        self._addresses: dict[str, int] = {}

    def addresses(self, network: str, n: int) -> Ints:
        """Codes of the next `n` addresses of `network`, one of those named below (`home`, `crowd`, `attacker`, ...)."""
        first = self._addresses.get(network, 0)
        self._addresses[network] = first + n
        codes = np.empty(n, np.int64)
        for number in range(n):
            codes[number] = self._coded(*_address(network, first + number))
        return codes

    def subscriber(self, kind: str, hosts: Ints) -> Ints:
        """Codes of the addresses with these lower halves in the next /64 of `attacker6` or `office6`."""
        first = self._addresses.get(kind, 0)
        self._addresses[kind] = first + 1
        site, asn = _SUBSCRIBERS[kind]
        prefix, client = f"2001:db8:{site + first:x}:{first * 7919 & 0xFFFF:x}", len(self.asns)
        codes = np.empty(len(hosts), np.int64)
        for number, host in enumerate(hosts.astype(np.uint64).tolist()):
            groups = ":".join(f"{host >> shift & 0xFFFF:x}" for shift in (48, 32, 16, 0))
            codes[number] = self._coded(f"{prefix}:{groups}", asn, "DE", client)
        return codes

    def _coded(self, text: str, asn: int, country: str, client: int | None = None) -> int:
        code = self.ips.code(text)
        if code == len(self.asns):
            self.asns.append(asn)
            self.countries.append(country)
            self.clients.append(code if client is None else client)
        return code

    def fixed(self, endpoint: str) -> int:
        """Path code of an endpoint whose path is its route."""
        return self.paths.code(ENDPOINTS[endpoint].route)


def zipf(rng: np.random.Generator, n: int, among: int, skew: float = 2.2) -> Ints:
    """`n` positions among `among`, the first ones asked for most."""
    return (among * rng.random(n) ** skew).astype(np.int64)


# Where the addresses of a network are, as (first number, AS numbers, countries); neighbours in number are neighbours
# neither in network nor in provider, as with real visitors.
_NETWORKS: Final = {
    "home": ((10, 0, 0), range(64496, 64502), ("DE", "AT", "CH", "FR", "NL", "DE")),
    "crowd": ((10, 128, 0), range(64496, 64502), ("DE", "AT", "CH", "FR", "NL", "DE")),
    "mobile": ((100, 96, 0), range(64502, 64504), ("DE", "FR")),
    "cgnat": ((100, 64, 0), range(64502, 64504), ("DE", "FR")),
    "office": ((172, 28, 0), range(64504, 64506), ("DE", "NL")),
    "device": ((172, 16, 0), range(64506, 64507), ("DE",)),
    "bot": (
        (172, 24, 0),
        range(65536, 65548),
        ("BR", "VN", "IN", "ID", "TR", "MX", "DE", "US", "EG", "TH", "PL", "FR"),
    ),
    "hosting": ((198, 18, 0), range(65548, 65551), ("US", "NL", "SG")),
    # Attackers at the providers that good clients have: in their homes, and with telephones by the hundred.
    "neighbour": ((172, 22, 0), range(64496, 64502), ("DE", "AT", "CH", "FR", "NL", "DE")),
    "sim": ((172, 20, 0), range(64502, 64504), ("DE", "FR")),
}
_DOCUMENTATION: Final = {  # 254 addresses each, then they come again
    "partner": ("198.51.100", 64508, "DE"),
    "attacker": ("203.0.113", 65551, "US"),
    "engine": ("192.0.2", 64509, "US"),
    "invited": ("172.30.0", 64510, "DE"),
}
INVITED: Final = "172.30.0.0/24"  # whom the operator let through before they came: a test that was announced
_SUBSCRIBERS: Final = {"attacker6": (0xF000, 64497), "office6": (0xE000, 64504)}  # the first site, whose it is


def _address(network: str, number: int) -> tuple[str, int, str]:
    """Text, AS number and country."""
    if network == "home6":
        return f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::{number % 251 + 2:x}", 64496 + number % 3, "DE"
    if network == "tunnel6":
        return f"2001:db8:{0xC000 + (number >> 8):x}:{number & 0xFF:x}::1", 65549, "NL"
    if network in _DOCUMENTATION:
        prefix, asn, country = _DOCUMENTATION[network]
        return f"{prefix}.{number % 254 + 1}", asn, country
    (a, b, c), asns, countries = _NETWORKS[network]
    spread = (number * 7919) % (1 << 17) if number < (1 << 17) else number
    provider = number * 31 % len(asns)
    text = f"{a}.{b + (spread >> 16 & 0x7F)}.{c + (spread >> 8 & 0xFF)}.{spread & 0xFF}"
    return text, asns[provider], countries[provider]
