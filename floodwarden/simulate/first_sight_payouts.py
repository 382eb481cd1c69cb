"""First sight: attacks on money that is due: sellers who sleep, gift cards on racks, a mistake gone viral."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import Strength, family
from floodwarden.simulate.scene import Rows, Scene, scripted, together
from floodwarden.simulate.world import ITEMS

_CANCEL: Final = "/api/graphql?op=cancelOrder"
_ROUNDS: Final = 8  # looks at each card
_SUSPENDED: Final = 4  # refusals until a seller's account is let go


@family(oat="OAT-012", weak=Strength(1, 2.2, 3000), medium=Strength(3, 20, 1200), strong=Strength(20, 36, 600))
def dormant_sellers(scene: Scene, how: Strength) -> Rows:
    """Sellers who have not been here for years are taken over, and offer what sells best, which they do not have.

    Two passwords that no longer fit, then one that does; another bank account (profile); then offer upon offer written
    in one go, of the 1,500 best-selling items, each once. After that only the orders that come in are looked at, by the
    minute, until the account is closed (403), and the next one is taken.

    Source: Wall Street Journal, "Amazon's third-party sellers hit by hackers", 2017-04-10: bank details changed, and in
    accounts that nobody used any more offers of goods that did not exist.
    """
    rng, m, total = scene.rng, how.sources, how.sources * how.per_s * how.lasts_s
    sellers = m * max(1, round(total / m / 300))
    lasts_s, each = how.lasts_s * m / sellers, max(20, round(total / sellers))
    watch = min(max(5, round(0.5 * lasts_s / 60)), each // 3)
    offers = each - watch - 4 - _SUSPENDED
    parts, ua = [], scene.tool("seller-lister/2.8 (Windows NT 10.0)")
    user, pool = scene.strangers(sellers, "seller"), scene.addresses(m, "hosting")
    for number in range(sellers):
        who = {"ip": pool[number % m], "user": user[number], "ua": ua}
        begin_s = number // m * lasts_s + rng.uniform(0, 0.05 * lasts_s)
        steps = [("login", 0.0, 401), ("login", 5.0, 401), ("login", 5.0, 200), ("profile", 8.0, 200)]
        parts.append(scripted(scene, np.array([begin_s]), [(e, min(w, lasts_s / 100), s) for e, w, s in steps], **who))
        item = rng.permutation(min(ITEMS, max(1500, offers)))[:offers]
        offered_s = begin_s + 0.06 * lasts_s + np.sort(rng.uniform(0, 0.35 * lasts_s, len(item)))
        parts.append(scene.requests(offered_s, "api_stock", path=scene.world.stock[item], **who))
        seen_s = begin_s + lasts_s * np.linspace(0.45, 0.92, watch + _SUSPENDED)
        seen_s += rng.uniform(0, lasts_s / 200, len(seen_s))
        seen = scene.requests(seen_s, "api_orders", **who)
        seen["status"][-_SUSPENDED:] = 403
        parts.append(seen)
    return together(*parts)


@family(oat="OAT-010", weak=Strength(6, 0.5, 3600), medium=Strength(30, 4, 1200), strong=Strength(100, 12, 600))
def card_draining(scene: Scene, how: Strength) -> Rows:
    """Gift cards were copied on their racks in shops, and are asked after in rounds until somebody has paid for them.

    The same cards in every round, in the same order: not yet worth anything (404), eight times over. One in six is sold
    meanwhile: there it says so (200), and within seconds a guest at the same address fills a cart, redeems it and pays.
    It is not asked after again.

    Source: ProPublica, "Chinese organized crime's latest U.S. target: gift cards" (on Project Red Hook of Homeland
    Security Investigations: tampered with in shops, drained as soon as they are activated), 2024-04-10.
    """
    rng, m = scene.rng, how.sources
    cards = max(m, round(m * how.per_s * how.lasts_s / (_ROUNDS * 11 / 12 + 4 / 6)))
    round_s = 0.95 * how.lasts_s / _ROUNDS
    sold = np.where(rng.permutation(cards) % 6 == 0, rng.integers(0, _ROUNDS, cards), _ROUNDS)
    ip = scene.by_turns(scene.addresses(m, "bot"), cards)
    ua, place = scene.browser(ip), np.arange(cards) / cards
    parts = []
    for turn in range(_ROUNDS):
        asks = sold >= turn
        at_s = (turn + 0.85 * place[asks]) * round_s + rng.uniform(0, 0.5, int(asks.sum()))
        status = np.where(sold[asks] == turn, 200, 404)
        parts.append(scene.requests(at_s, "balance", ip=ip[asks], ua=ua[asks], status=status))
        now = status == 200
        steps = [("cart_add", 3.0, 200), ("coupon", 3.0, 200), ("checkout", 4.0, 200), ("pay", 3.0, 200)]
        parts.append(scripted(scene, at_s[now], steps, ip=ip[asks][now], ua=ua[asks][now]))
    return together(*parts)


@family(weak=Strength(25, 0.35, 3000), medium=Strength(150, 1.2, 1200), strong=Strength(500, 2, 900))
def viral_glitch(scene: Scene, how: Strength) -> Rows:
    """A film goes round that shows how the shop pays twice for what is ordered and taken back, and members try it.

    Ordinary members at home, more and more of them: in, balance; then, over and over, a voucher, checkout, the order
    taken back, a look at the balance, which has grown. In the end what it is worth is spent. After the mistake is
    mended the voucher is no longer taken (409), and who comes then tries up to three times, and goes.

    Source: JPMorgan Chase v. four customers, 2024-10-28, on the "infinite money glitch" that went round on TikTok from
    2024-08-30 on (cheques cashed at machines before they bounced).
    """
    rng, m = scene.rng, how.sources
    begins_s, mended_s = np.sort(0.82 * how.lasts_s * rng.beta(2.4, 1.3, m)), 0.72 * how.lasts_s
    ip, user = scene.addresses(m, "neighbour"), scene.accounts(m, distinct=True)
    ua, wait_s = scene.world.browsers[rng.integers(0, 16, m)], min(7.0, how.lasts_s / 120)
    times = 1 + rng.poisson(max(0.2, (how.per_s * how.lasts_s - 4.5) / 2.7 - 1), m)
    parts = [scripted(scene, begins_s, [("login", 0.0, 200), ("balance", 3.0, 200)], ip=ip, user=user, ua=ua)]
    at_s, going = begins_s + 12, np.arange(m)
    for turn in range(int(times.max())):
        going = going[times[going] > turn]
        who = {"ip": ip[going], "user": user[going], "ua": ua[going]}
        late = at_s[going] > mended_s
        coupon = scene.requests(at_s[going], "coupon", status=np.where(late, 409, 200), **who)
        steps = [("checkout", wait_s, 200), ("graphql", wait_s, 200), ("balance", wait_s, 200)]
        pays = {name: codes[~late] for name, codes in who.items()}
        paid = scripted(scene, at_s[going][~late], steps, **pays)
        paid["path"][len(paid) // 3 : 2 * len(paid) // 3] = scene.world.paths.code(_CANCEL)
        parts += [coupon, paid]
        at_s[going] += rng.uniform(3.2, 5.0, len(going)) * wait_s
        times[going[late]] = np.minimum(times[going[late]], turn + int(rng.integers(2, 4)))
    rich = np.flatnonzero(begins_s < 0.6 * mended_s)
    steps = [("cart_add", 4.0, 200), ("checkout", 6.0, 200), ("pay", 6.0, 200)]
    spent = scripted(scene, at_s[rich] + 5, steps, ip=ip[rich], user=user[rich], ua=ua[rich])
    return together(*parts, spent)
