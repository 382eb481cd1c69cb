"""First sight: hard good cases of families and friends: abroad, cared for, before the term begins."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import Visit, browse, daily, typos
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ABSENT, ITEMS, zipf


@case()
def families_abroad(scene: Scene) -> Rows:
    """Families share one account over three countries: a daughter abroad, a son at sea, and the codes come to mother.

    As many families as the site has requests in eight seconds (40 at 5 a second), four to six people each at homes of
    their own or behind a carrier's address. They come as people do, and on a holiday's evening all within an hour. Two
    in five visits begin with a sign-on, with typos; whoever signs on then waits for the code to be read to him over the
    telephone, and types it wrong once or twice (401) in a half.
    """
    rng = scene.rng
    families = max(8, round(scene.requests_per_s * 8))
    size = rng.integers(4, 7, families)
    family = np.repeat(np.arange(families), size)
    people = len(family)
    shared = scene.addresses(max(3, people // 12), "cgnat")
    homes = scene.addresses(people, "home")
    at = np.where(rng.random(people) < 0.25, shared[rng.integers(0, len(shared), people)], homes)
    agent = scene.world.browsers[rng.integers(0, 16, people)]
    account = scene.accounts(families, distinct=True)
    evening_s = scene.moment(0.5, 0.85) + rng.uniform(0, 1, families) * min(3600.0, 0.1 * scene.span_s)
    usual_s = daily(scene, people, scene.start_ms)
    who = np.concatenate([rng.permutation(people), np.arange(people)])
    start_s = np.concatenate([usual_s, evening_s[family] + rng.uniform(0, 900, people)])
    signs = rng.random(len(who)) < 0.4
    failures = np.where(signs, typos(scene, len(who)), ABSENT)
    many = np.minimum(rng.geometric(1 / 9, len(who)) + 1, 70)
    visit = Visit(start_s, many, at[who], account[family[who]], agent[who], failures, known=~signs)
    made = browse(scene, visit)
    on = made[(made["endpoint"] == scene.requests(start_s[:1], "login")["endpoint"][0]) & (made["status"] == 200)]
    wrong = np.where(rng.random(len(on)) < 0.5, rng.integers(1, 3, len(on)), 0)
    codes = np.repeat(np.arange(len(on)), wrong + 1)
    nth = np.arange(len(codes)) - np.searchsorted(codes, codes)
    read_s = on["ts_ms"][codes] / 1000 + 40 + nth * 25 + rng.uniform(0, 20, len(codes))
    by = {name: on[name][codes] for name in ("ip", "user", "ua")}
    return together(made, scene.requests(read_s, "verify", status=np.where(nth == wrong[codes], 200, 401), **by))


@case()
def care_rounds(scene: Scene) -> Rows:
    """Nurses who go from door to door order for whom they look after, on their own telephone, in the other's name.

    As many as the site has requests in five seconds (25 at 5 a second), seven to ten doors each in a round. The
    telephone is in the home's network, or in a third in its carrier's: in, with typos; two to four items, as many into
    the cart, checkout, paid with the client's card, of which one in twelve is declined (402) and tried once more; out.
    Then on to the next, with another account at another address.
    """
    rng = scene.rng
    nurses = max(5, round(scene.requests_per_s * 5))
    doors = rng.integers(7, 11, nurses)
    nurse = np.repeat(np.arange(nurses), doors)
    nth = np.arange(len(nurse)) - np.searchsorted(nurse, nurse)
    n, every_s = len(nurse), min(2400.0, 0.6 * scene.span_s / 10)
    begins_s = (scene.moment(0.1, 0.3) + rng.uniform(0, 900, nurses))[nurse] + nth * every_s
    begins_s += rng.uniform(0, 0.4 * every_s, n)
    carrier = scene.addresses(max(2, nurses // 5), "cgnat")
    own = rng.random(n) < 1 / 3
    ip = np.where(own, carrier[rng.integers(0, len(carrier), n)], scene.addresses(n, "home"))
    user, ua = scene.accounts(n, distinct=True), scene.world.browsers[12 + nurse % 4]
    tries = np.repeat(np.arange(n), typos(scene, n))
    wrong_s = begins_s[tries] - rng.uniform(3, 30, len(tries))
    parts = [scene.requests(wrong_s, "login", ip=ip[tries], user=user[tries], ua=ua[tries], status=401)]
    pace, wants = min(1.0, every_s / 700), rng.integers(2, 5, n)
    for items in (2, 3, 4):
        mine = np.flatnonzero(wants == items)
        steps = [("login", 0.0, 200), *[("item", 20.0, 200), ("cart_add", 12.0, 200)] * items, ("checkout", 20.0, 200)]
        steps = [(endpoint, wait_s * pace, status) for endpoint, wait_s, status in steps]
        steps += [("pay", 40.0 * pace, 200), ("logout", 10.0 * pace, 200)]
        made = scripted(scene, begins_s[mine], steps, ip=ip[mine], user=user[mine], ua=ua[mine])
        m = len(mine)
        for item in range(items):
            part = slice((1 + 2 * item) * m, (2 + 2 * item) * m)
            made["path"][part] = scene.world.items[zipf(rng, m, ITEMS, 1.8)]
        paid = made[(len(steps) - 2) * m : (len(steps) - 1) * m]
        declined = paid[rng.random(m) < 1 / 12].copy()
        declined["status"], declined["ts_ms"] = 402, declined["ts_ms"] - rng.integers(4000, 9000, len(declined))
        parts += [made, declined]
    return together(*parts)


@case()
def school_lists(scene: Scene) -> Rows:
    """Before the term begins each class has its list, and its parents go down it line by line and buy what is on it.

    Two dozen parents to a class, as many classes as the site has requests in two seconds (10 at 5 a second), over an
    afternoon, three in five of them towards its end. Each opens the class's list, then its eleven to
    sixteen items in the order of the list, every one into the cart (one in twenty sold out, 409), checkout, paid; a
    half are guests.
    """
    rng = scene.rng
    classes, parents = max(3, round(scene.requests_per_s * 2)), 24
    lasts_s = min(18_000.0, 0.5 * scene.span_s)
    begin_s, parts = scene.moment(0.1, 0.35), []
    for number in range(classes):
        things = rng.permutation(ITEMS)[: int(rng.integers(11, 17))]
        ip, ua = scene.addresses(parents, "home"), scene.world.browsers[rng.integers(0, 16, parents)]
        user = np.where(rng.random(parents) < 0.5, scene.accounts(parents, distinct=True), ABSENT)
        comes_s = begin_s + lasts_s * np.where(
            rng.random(parents) < 0.6, 0.7 + 0.2 * rng.random(parents), rng.random(parents)
        )
        comes_s += rng.uniform(0, 0.05 * lasts_s, parents)
        steps = [("list", 0.0, 200), *[("item", 9.0, 200), ("cart_add", 6.0, 200)] * len(things)]
        steps += [("checkout", 30.0, 200), ("pay", 60.0, 200)]
        made = scripted(scene, comes_s, steps, ip=ip, user=user, ua=ua)
        made["path"][:parents] = scene.world.paths.code(f"/items?list=class-{number // 3 + 1}{'abc'[number % 3]}")
        shown = np.repeat(np.arange(len(steps)), parents)
        for line, thing in enumerate(things.tolist()):
            made["path"][shown == 1 + 2 * line] = scene.world.items[thing]
        carts = (shown % 2 == 0) & (shown > 0) & (shown <= 2 * len(things))
        made["status"][carts & (rng.random(len(made)) < 0.05)] = 409
        parts.append(made)
    return together(*parts)
