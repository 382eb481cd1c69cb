"""First sight: hard good cases of asking: a spoken question, and a search box that asks too early."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.world import ITEMS, zipf

_WORDS: Final = (
    "kettle", "raincoat", "garden hose", "bookshelf", "walking boots", "espresso", "bicycle lamp", "woollen blanket",
    "paint brush", "school bag", "lunch box", "reading glasses",
)  # fmt: skip


@case()
def spoken_questions(scene: Scene) -> Rows:
    """Who wants a seller's number is asked since today whether he is a person, and who cannot see has it spoken to him.

    As many as the site has requests in twelve seconds (60 at 5 a second), over the rest of the run, from home. The
    item, the picture that comes first whoever one is, then the spoken question, listened to once to three times; after
    fifteen to forty seconds an answer, which for a half is wrong (403), and another question, up to five. Then the
    number; one in four gives up and asks the assistant. One to three items each, as the screen reader takes its time.
    """
    rng, n = scene.rng, max(6, round(scene.requests_per_s * 12))
    begin_s = scene.moment(0.1, 0.2)
    ip, parts = scene.addresses(n, "home"), []
    browsers = scene.world.browsers[rng.integers(0, 8, n)]
    for person in range(n):
        who = {"ip": int(ip[person]), "ua": int(browsers[person])}
        at_s = begin_s + float(rng.uniform(0, 0.6 * scene.span_s))
        for item in zipf(rng, int(rng.integers(1, 4)), ITEMS).tolist():
            steps = [(at_s, "item", f"/items/{item + 1}", 200)]
            for attempt in range(5 if rng.random() < 0.75 else 2):
                number = f"{int(rng.integers(1 << 36, 1 << 40)):010x}"
                at_s += float(rng.uniform(20, 60))
                if attempt == 0:
                    steps.append((at_s - 15, "missing", f"/challenge/{number}/picture.jpg", 200))
                for _ in range(int(rng.integers(1, 4))):
                    steps.append((at_s, "missing", f"/challenge/{number}/speech.mp3", 200))
                    at_s += float(rng.uniform(7, 16))
                at_s += float(rng.uniform(15, 40))
                right = bool(rng.random() < 0.5)
                steps.append((at_s, "missing", f"/challenge/{number}?answer=speech", 200 if right else 403))
                if right:
                    steps.append((at_s + 1, "missing", f"/contact/{item + 1}", 200))
                    break
            else:
                steps.append((at_s + 60, "assistant", "/api/assistant", 200))
            for when_s, endpoint, path, status in steps:
                parts.append(scene.requests(np.array([when_s]), endpoint, path=path, status=status, **who))
            at_s += float(rng.uniform(60, 240))
    return together(*parts)


@case()
def letter_by_letter(scene: Scene) -> Rows:
    """A release lets the search box search at every letter, and whoever looks for a kettle searches for k, ke and ket.

    For three hours, until it is taken back: as many people as the site has requests in forty seconds (200 at 5 a
    second), a fifth behind carriers' addresses, two to four phrases each. A whole search a letter, a fifth of a second
    or so apart, and three in five but the last are given up (499) because the next has begun; one in four mistypes and
    goes back by two. Then the item, and another phrase half a minute later.
    """
    rng, n = scene.rng, max(12, round(scene.requests_per_s * 40))
    begin_s, lasts_s = scene.moment(0.2, 0.5), min(10_800.0, 0.35 * scene.span_s)
    carriers = scene.addresses(max(3, n // 20), "cgnat")
    shared = rng.random(n) < 0.2
    ip = np.where(shared, carriers[rng.integers(0, len(carriers), n)], scene.addresses(n, "home"))
    ua, parts = scene.world.browsers[rng.integers(0, 16, n)], []
    for person in range(n):
        who = {"ip": int(ip[person]), "ua": int(ua[person])}
        at_s = begin_s + float(rng.uniform(0, lasts_s))
        for word in rng.choice(_WORDS, int(rng.integers(2, 5)), replace=False).tolist():
            typed = [word[: end + 1] for end in range(len(word))]
            if rng.random() < 0.25:
                slip = int(rng.integers(2, len(word)))
                typed[slip:slip] = [word[:slip] + "x", word[:slip], word[: slip - 1], word[:slip]]
            when_s = at_s + np.cumsum(rng.gamma(4, 0.05, len(typed)))
            status = np.where(rng.random(len(typed)) < 0.6, 499, 200)
            status[-1] = 200
            path = [f"/search?q={one.replace(' ', '+')}" for one in typed]
            parts.append(scene.requests(when_s, "search", path=path, status=status, **who))
            item = scene.world.items[zipf(rng, 1, ITEMS)]
            parts.append(scene.requests(when_s[-1:] + rng.uniform(3, 12), "item", path=item, **who))
            at_s = float(when_s[-1]) + float(rng.uniform(20, 60))
    return together(*parts)
