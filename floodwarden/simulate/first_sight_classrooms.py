"""First sight: hard good cases where people learn and read: copied computers, a library's, an examination at home."""

from __future__ import annotations

from typing import Final

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.people import at_home, typos
from floodwarden.simulate.scene import Rows, Scene, again, scripted, those, together
from floodwarden.simulate.world import zipf

_COPIES: Final = 24  # computers of a school
_LESSONS: Final = 3
_COPIED: Final = "/api/v2/devices?id=lab-master-01"
_LAB: Final = "ShopApp/5.9 (Windows NT 10.0; Win64; x64) Lab"
_READING: Final = 3  # the library's browser: the same on all its computers
_SITTING_S: Final = 3000.0
_PAGES: Final = 9
_HAND_IN: Final = "/api/graphql?op=handIn&exam={}&page={}"
_EXAM_S: Final = 2700.0
_TO_SEND_S: Final = 300.0


@case()
def cloned_classroom(scene: Scene) -> Rows:
    """A school's computers were set up as copies of one, and all of them say that they are the same.

    A school for each 400 accounts, 24 computers behind one address, three lessons of forty-five minutes. All start
    within two minutes and register under the number they were copied with: the first may (201), the others may not
    (409). Each pupil signs in three to six times a lesson, for whoever signs in at that number ends what the one before
    had there: two or three pages (200), then one refused (401), and in again. After the last lesson the caretaker gives
    each computer a number of its own, one every half minute (201).

    Source: Microsoft, knowledge base article 903262 (computers set up from one image share an id, and only one of them
    is seen), about 2005; M. Russinovich, "The machine SID duplication myth", 2009-11-03.
    """
    rng, schools = scene.rng, max(2, scene.clients // 400)
    lesson_s, begin_s = min(2700.0, 0.14 * scene.span_s), scene.moment(0.05, 0.12)
    computers = np.repeat(np.arange(schools), _COPIES)
    ip = scene.addresses(schools, "office")[computers]
    everybody, ua, parts = scene.accounts(len(ip) * _LESSONS, distinct=True), scene.tool(_LAB), []
    for lesson in range(_LESSONS):
        pupils = everybody[lesson * len(ip) : (lesson + 1) * len(ip)]
        by = {"ip": ip, "user": pupils, "ua": np.full(len(ip), ua)}
        starts_s = begin_s + lesson * 1.45 * lesson_s + rng.uniform(0, 0.04 * lesson_s, len(ip))
        first = np.array([starts_s[computers == school].min() for school in range(schools)])[computers]
        status = np.where(starts_s == first, 201, 409)
        parts.append(scene.requests(starts_s, "device", path=_COPIED, ip=ip, ua=ua, status=status))
        who, nth = again(rng.integers(3, 7, len(ip)))
        in_s = starts_s[who] + lesson_s * (0.02 + 0.155 * nth + rng.uniform(0, 0.05, len(who)))
        parts.append(scene.requests(in_s, "login", **those(by, who)))
        seen, page = again(rng.integers(2, 4, len(who)))
        seen_s = in_s[seen] + lesson_s * (0.008 + 0.02 * page + rng.uniform(0, 0.01, len(seen)))
        things = scene.world.paths.all([f"/api/v2/items/{one}" for one in zipf(rng, len(seen), 40).tolist()])
        parts.append(scene.requests(seen_s, "app_item", path=things, **those(by, who[seen])))
        ended_s = in_s + lesson_s * rng.uniform(0.085, 0.1, len(who))
        parts.append(scene.requests(ended_s, "app_feed", status=401, **those(by, who)))
    turn = np.tile(np.arange(_COPIES), schools)
    mended_s = begin_s + 4.6 * lesson_s + turn * min(30.0, lesson_s / _COPIES) + rng.uniform(0, 5, len(ip))
    own = scene.world.paths.all([f"/api/v2/devices?id=lab-{one:04d}" for one in range(len(ip))])
    return together(*parts, scene.requests(mended_s, "device", path=own, ip=ip, ua=ua, status=201))


@case()
def library_claims(scene: Scene) -> Rows:
    """Who lost his work and has no computer files his claim at the library, whose computers forget all after each.

    A library for each 250 accounts, ten computers of one kind behind one address, somebody else at each every fifty
    minutes for as long as it is open (six hours). Every sitting is on a computer never seen: in, with typos, then a
    code out of a mailbox, which one in three gets wrong once or twice (401). Nine pages of a form (PUT), a minute and a
    half to three each, one in eight with a field missing at first (400). One in four has to look something up, is
    signed out over it (401), and begins at the first page again. A half sign off.

    Source: S. Becker and others, "Opportunity for all: how the American public benefits from internet access at U.S.
    libraries" (77 million users, for work and benefits too), 2010-03; that such computers are wiped after each user is
    general practice.
    """
    rng, libraries = scene.rng, max(3, scene.clients // 250)
    lasts_s = min(21_600.0, 0.75 * scene.span_s)
    sitting_s = min(_SITTING_S, 0.9 * lasts_s)
    turns, pace = int(lasts_s // sitting_s), sitting_s / _SITTING_S
    n = libraries * 10 * turns
    place, nth = np.arange(n) % (libraries * 10), np.arange(n) // (libraries * 10)
    at = scene.addresses(libraries, "office")[place // 10]
    by = {"ip": at, "user": scene.accounts(n, distinct=True), "ua": np.full(n, scene.world.browsers[_READING])}
    starts_s = scene.moment(0.06, 0.12) + nth * sitting_s + rng.uniform(0, 360, n) * pace
    wrong, tries = again(typos(scene, n))
    steps = [("home", 0.0, 200), ("login", 40.0 * pace, 200)]
    made = scripted(scene, starts_s, steps, **by)
    in_s = made["ts_ms"][n:] / 1000
    parts = [made, scene.requests(in_s[wrong] - (tries + 1) * 12 * pace, "login", status=401, **those(by, wrong))]
    unread, tries = again((rng.permutation(n) % 3 == 0) * rng.integers(1, 3, n))
    code_s = in_s + 60 * pace
    parts.append(scene.requests(code_s[unread] + tries * 20 * pace, "verify", status=401, **those(by, unread)))
    parts.append(scene.requests(code_s + 45 * pace, "verify", **by))
    out = rng.permutation(n) % 4 == 0
    page_s = np.where(out[:, None], rng.uniform(60, 90, (n, _PAGES)), rng.uniform(90, 180, (n, _PAGES))) * pace
    who, page = np.repeat(np.arange(n), _PAGES), np.tile(np.arange(_PAGES), n)
    filled_s = (code_s + 60 * pace)[:, None] + np.cumsum(page_s, axis=1)
    form = scene.world.paths.all([f"/account/profile?claim={one + 1}" for one in range(_PAGES)])
    before = out[who] & (page > 5)  # never reached at the first go
    lost_s = filled_s[:, 5] + 750 * pace
    again_s = np.where(out[who], lost_s[who] + 30 * pace + (page + 1) * 85 * pace, filled_s.ravel())
    parts.append(scene.requests(again_s, "profile", path=form[page], **those(by, who)))
    first = out[who] & ~before
    parts.append(scene.requests(filled_s.ravel()[first], "profile", path=form[page[first]], **those(by, who[first])))
    parts.append(scene.requests(lost_s[out], "profile", path="/account/profile?claim=7", status=401, **those(by, out)))
    parts.append(scene.requests(lost_s[out] + 25 * pace, "login", **those(by, out)))
    short = rng.random(len(who)) < 1 / 8
    short_s = again_s[short] - rng.uniform(15, 40, int(short.sum())) * pace
    parts.append(scene.requests(short_s, "profile", path=form[page[short]], status=400, **those(by, who[short])))
    off = rng.permutation(n) % 2 == 0
    done_s = again_s.reshape(n, _PAGES)[:, -1] + 20 * pace
    return together(*parts, scene.requests(done_s[off], "logout", **those(by, off)))


@case()
def heic_answers(scene: Scene) -> Rows:
    """An examination at home: pictures of the answers must be in within five minutes, and one kind is not taken.

    As many pupils as the site has requests in fifty seconds (250 at 5 a second), twice in the run. All are signed in
    within twenty minutes before; at the full minute they have the question (200), forty-five minutes later the five
    begin. Each hands two pictures in, the second by a minute after the first; one in fifteen finds nobody (503) and
    repeats it. For one in six the telephone makes pictures of a kind that is not taken (415): they try four to nine
    times, twenty-five seconds apart, two in three in vain until it is too late (410, two or three times), the others
    with a picture of the screen (200). Who was too late asks the assistant, two or three times.

    Source: The Verge (M. Chin), students failed Advanced Placement tests because iPhones' pictures (HEIC) could not be
    handed in, 2020-05-20.
    """
    rng = scene.rng
    n, pace = max(30, round(scene.requests_per_s * 50)), min(1.0, 0.3 * scene.span_s / 4500)
    by, parts = at_home(scene, n, 0.2), []
    for exam, share in enumerate((0.13, 0.55)):
        begin_s = scene.span_s * share + 1200 * pace
        parts.append(scene.requests(begin_s - rng.uniform(10, 1200, n) * pace, "login", **by))
        question = f"/api/v1/exports/exam-{exam + 1}"
        parts.append(scene.requests(begin_s + rng.gamma(2, 1.5, n), "exported", path=question, **by))
        over_s = begin_s + _EXAM_S * pace
        odd = rng.permutation(n) % 6 == 0
        sent_s = over_s + rng.uniform(5, 200, n) * pace
        pages = [_HAND_IN.format(exam + 1, page) for page in (1, 2)]
        for later, path in enumerate(pages):
            page_s = sent_s[~odd] + later * rng.uniform(30, 60, int((~odd).sum())) * pace
            parts.append(scene.requests(page_s, "graphql", path=path, **those(by, ~odd)))
            busy = np.flatnonzero(rng.random(len(page_s)) < 1 / 15)
            refused_s = page_s[busy] - rng.uniform(4, 9, len(busy)) * pace
            refused = those(by, np.flatnonzero(~odd)[busy])
            parts.append(scene.requests(refused_s, "graphql", path=path, status=503, **refused))
        who, nth = again(odd * rng.integers(4, 10, n))
        tried_s = over_s + (10 + nth * 25 + rng.uniform(0, 20, len(who))) * pace
        parts.append(scene.requests(tried_s, "graphql", path=pages[0], status=415, **those(by, who)))
        saved = odd & (rng.permutation(n) % 3 == 0)
        saved_s = over_s + rng.uniform(255, 295, int(saved.sum())) * pace
        parts += [scene.requests(saved_s, "graphql", path=path, **those(by, saved)) for path in pages]
        who, nth = again((odd & ~saved) * rng.integers(2, 4, n))
        late_s = over_s + (_TO_SEND_S + 5 + nth * 25 + rng.uniform(0, 15, len(who))) * pace
        parts.append(scene.requests(late_s, "graphql", path=pages[0], status=410, **those(by, who)))
        parts.append(scene.requests(late_s + 200 * pace, "assistant", **those(by, who)))
    return together(*parts)
