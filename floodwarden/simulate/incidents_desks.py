"""Hard good cases at work: a team abroad, a fraud desk, the year's reports, modems, and couriers' shifts."""

from __future__ import annotations

import numpy as np

from floodwarden.simulate.declare import case
from floodwarden.simulate.scene import Rows, Scene, together
from floodwarden.simulate.services import invoice_paths, order_paths


@case()
def overseas_shift(scene: Scene) -> Rows:
    """The shop's support gets a second team abroad, who on their first day all look at the same ten orders.

    One for each eighty accounts, new names, one exit of a cloud far away. They sign on within a quarter of an hour, one
    in four mistypes what he was given (401, once or twice). Then the trainer's ten orders in the trainer's sequence, a
    few seconds apart; from an hour and a half later on true ones, each once, one in forty seconds, with breaks.
    """
    rng, team = scene.rng, max(5, scene.clients // 80)
    begin_s = scene.moment(0.1, 0.25)
    ip, user = scene.addresses(1, "hosting"), scene.world.users.all([f"agent{one:03d}" for one in range(team)])
    browsers = scene.world.browsers[rng.integers(0, 4, team)]
    lessons = rng.integers(100_000, 160_000, 10)
    lesson_s = begin_s + min(1200.0, 0.05 * scene.span_s) + np.arange(10) * min(420.0, 0.015 * scene.span_s)
    works_s = begin_s + min(5400.0, 0.25 * scene.span_s)
    parts = []
    for one in range(team):
        who = {"ip": ip, "user": user[one : one + 1], "ua": browsers[one : one + 1]}
        wrong = int(rng.integers(1, 3)) if rng.random() < 0.25 else 0
        late_s = float(rng.uniform(0, min(900.0, 0.04 * scene.span_s)))
        on_s = begin_s + late_s + np.arange(0.0, 20.0 * wrong + 1, 20.0)
        status = np.where(np.arange(wrong + 1) == wrong, 200, 401)
        parts.append(scene.requests(on_s, "sso", status=status, **who))
        follows_s = lesson_s + rng.gamma(2, 3.0, 10)
        parts.append(scene.requests(follows_s, "backoffice", path=order_paths(scene, lessons), **who))
        until_s = min(scene.span_s, works_s + 14_400)
        at_s = works_s + scene.steady(1 / 40, max(120.0, until_s - works_s), shape=1.5)
        at_s = at_s[(at_s - works_s + 37 * one) % 3600 < 2900]
        order = rng.integers(100_000, 160_000, len(at_s))
        parts.append(scene.requests(at_s, "backoffice", path=order_paths(scene, order), **who))
    return together(*parts)


@case()
def fraud_desk(scene: Scene) -> Rows:
    """Three of the staff look into a gang of customers until late: the same sixty orders, again and again, with all.

    From one office. They sign on, and for three hours each goes through the sixty orders in a sequence of his own, five
    to fifteen seconds each, every second with its invoice; again as soon as he is through, for the others have found
    something. A report on each of the fourteen customers, fetched by all three.
    """
    rng = scene.rng
    begin_s, lasts_s = scene.moment(0.3, 0.6), min(10_800.0, 0.35 * scene.span_s)
    ip = scene.addresses(1, "office")
    user = scene.world.users.all([f"risk{one:02d}" for one in range(3)])
    suspects = rng.integers(100_000, 160_000, 60)
    browsers, parts = scene.browser(ip), []
    reports_s = begin_s + lasts_s * np.sort(rng.uniform(0.1, 0.7, 14))
    for one in range(3):
        who = {"ip": ip, "user": user[one : one + 1], "ua": browsers}
        at_s = begin_s + 20 + np.cumsum(rng.uniform(5, 15, int(lasts_s / 10)))
        n = len(at_s)
        order = np.concatenate([rng.permutation(suspects) for _ in range(n // 60 + 1)])[:n]
        parts.append(scene.requests(np.array([begin_s + 7.0 * one]), "sso", **who))
        parts.append(scene.requests(at_s, "backoffice", path=order_paths(scene, order), **who))
        second = np.arange(n) % 2 == 1
        parts.append(scene.requests(at_s[second] + 2, "invoice", path=invoice_paths(scene, order[second]), **who))
        if one == 0:
            parts.append(scene.requests(reports_s, "export", status=np.full(14, 202), **who))
        files = [f"/api/v1/exports/{88_000 + file}" for file in range(14)]
        parts.append(scene.requests(reports_s + 30 + 40 * one, "exported", path=files, **who))
    return together(*parts)


@case()
def year_end_exports(scene: Scene) -> Rows:
    """The second of January: customers order the year's reports, which take the longer the more want them.

    A customer for each twenty-five accounts, within three hours, with his own key: five reports one after the other
    (202), each looked for every five seconds until it is there (202), after half a minute in the morning and after four
    minutes at the worst; then the file, one in ten in three parts (206), for the connection broke.
    """
    rng, customers = scene.rng, max(8, scene.clients // 25)
    begin_s, lasts_s = scene.moment(0.1, 0.3), min(10_800.0, 0.35 * scene.span_s)
    begins_s = begin_s + lasts_s * np.sort(rng.beta(2, 2.5, customers))
    ip, parts = scene.addresses(customers, "office"), []
    number = 40_000
    for one, begun_s in enumerate(begins_s.tolist()):
        at = begun_s
        key = scene.world.keys.all([f"key-ledger-{one:03d}"])
        who = {"ip": ip[one : one + 1], "key": key, "ua": np.array([scene.tool()])}
        for _ in range(5):
            number += int(rng.integers(1, 9))
            file = f"/api/v1/exports/{number}"
            crowd = np.abs(begins_s - at) < 0.05 * lasts_s
            ready_s = 30 + 210 * min(1.0, float(crowd.mean()) * 5) * float(rng.uniform(0.5, 1.0))
            looks_s = at + np.arange(5.0, ready_s, 5.0)
            parts.append(scene.requests(np.array([at]), "export", status=np.array([202]), **who))
            parts.append(scene.requests(looks_s, "exported", path=file, status=np.full(len(looks_s), 202), **who))
            broke = rng.random() < 0.1
            got_s = at + ready_s + (np.array([0.0, 6.0, 12.0]) if broke else np.zeros(1))
            status = np.full(len(got_s), 206 if broke else 200)
            parts.append(scene.requests(got_s, "exported", path=file, status=status, **who))
            at += ready_s + float(rng.uniform(20, 60))
    return together(*parts)


@case()
def flapping_modems(scene: Scene) -> Rows:
    """Vending machines under a railway station lose their carrier every minute for two hours, and come back each time.

    A machine for each fifty accounts, a report in ten minutes each while all is well. Then, each minute or so: another
    address of the carrier's, registered anew (201), a token, and what it had kept, one to three reports, of which one
    in four is cut off (499) and sent again the next time. Afterwards as before, at the last address they got.
    """
    rng, machines = scene.rng, max(8, scene.clients // 50)
    begin_s, lasts_s = scene.moment(0.25, 0.6), min(7200.0, scene.span_s * 0.2)
    pool, key = scene.addresses(max(40, 5 * machines), "mobile"), scene.key("key-fleet-vending")
    ua, parts = scene.tool("vendomat-fw/6.4 (LTE-M)"), []
    for one in range(machines):
        home = pool[one : one + 1]
        own = f"/api/v1/devices/{9100 + one}/telemetry"
        at_s = scene.regular(0, scene.span_s, 600.0, 0.05)
        before, after = at_s[at_s < begin_s], at_s[at_s > begin_s + lasts_s + 60]
        up_s = begin_s + np.cumsum(rng.gamma(6, 65 / 6, int(lasts_s / 50)))
        up_s = up_s[up_s < begin_s + lasts_s]
        where = pool[rng.integers(0, len(pool), len(up_s))]
        last = where[-1:] if len(where) else home
        parts.append(scene.requests(before, "telemetry", path=own, ip=home, key=key, ua=ua))
        parts.append(scene.requests(after, "telemetry", path=own, ip=last, key=key, ua=ua))
        serial = f"/api/v2/devices?serial=VM{one:05d}"
        parts.append(scene.requests(up_s, "device", path=serial, ip=where, key=key, ua=ua, status=201))
        parts.append(scene.requests(up_s + 0.8, "token", ip=where, key=key, ua=ua))
        kept = rng.integers(1, 4, len(up_s))
        by = np.repeat(np.arange(len(up_s)), kept)
        sent_s = up_s[by] + 1.5 + rng.uniform(0, 6, len(by))
        status = scene.mostly(len(by), 200, 499, 1 / 4)
        parts.append(scene.requests(sent_s, "telemetry", path=own, ip=where[by], key=key, ua=ua, status=status))
    return together(*parts)


@case()
def shift_release(scene: Scene) -> Rows:
    """Next week's tours come out at the full hour: all couriers look whether they are there, and all press at once.

    A courier for each eight accounts, on telephones. From five minutes before it on each opens the app: a token, the
    feed every five to fifteen seconds. At the hour everybody takes one (409 for seven in ten), the others try two or
    three more, and look on for a quarter of an hour, ever more seldom.
    """
    rng, couriers = scene.rng, max(20, scene.clients // 8)
    hour_s = scene.moment(0.35, 0.65) // 60 * 60
    ip, user = scene.addresses(couriers, "mobile"), scene.strangers(couriers, "rider")
    ua, parts = scene.tool("CourierApp/5.6.1 (Android 15)"), []
    for one in range(couriers):
        who = {"ip": ip[one : one + 1], "user": user[one : one + 1], "ua": np.array([ua])}
        opens_s = hour_s - float(rng.uniform(5, 300))
        waits_s = np.cumsum(rng.uniform(5, 15, 60))
        later_s = hour_s + 20 + np.cumsum(np.geomspace(6, 120, 18) * rng.uniform(0.8, 1.2, 18))
        feeds_s = np.concatenate([(opens_s + waits_s)[opens_s + waits_s < hour_s], later_s])
        parts.append(scene.requests(np.array([opens_s]), "token", **who))
        parts.append(scene.requests(feeds_s, "app_feed", **who))
        gets = rng.random() < 0.3
        tries = 1 if gets else int(rng.integers(3, 5))
        takes_s = hour_s + float(rng.gamma(3, 0.8)) + np.cumsum(np.append(0.0, rng.gamma(3, 1.5, tries - 1)))
        status = np.full(tries, 409)
        if gets or rng.random() < 0.2:
            status[-1] = 200
        parts.append(scene.requests(takes_s, "checkout", status=status, **who))
    return together(*parts)
