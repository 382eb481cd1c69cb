"""The second set that judged is what its sentences say: how often, by how many, in what order, with what answers."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_sets import attack, each, good, most_in_a_minute, of, share

from floodwarden.simulate.config import START_MS, SimulationConfig
from floodwarden.simulate.generate import simulate
from floodwarden.simulate.machines import customers
from floodwarden.simulate.people import people
from floodwarden.simulate.scene import Scene
from floodwarden.simulate.services import STAFF, services
from floodwarden.simulate.world import ABSENT, ENDPOINT_CODES, World


def test_ten_codes_are_guessed_to_a_session_and_all_of_one_account() -> None:
    made, _ = attack("otp_guessing")
    assert len(np.unique(made["user"])) == 1
    assert set(of(made, "verify")["status"].tolist()) == {401}
    assert len(of(made, "verify")) == pytest.approx(10 * len(of(made, "login")), rel=0.02)


def test_an_account_is_locked_at_the_fifth_attempt_and_another_is_taken() -> None:
    made, _ = attack("account_lockout")
    assert set(each(made["user"])[:-1].tolist()) <= {4, 5}
    assert share(made, 423) == pytest.approx(0.2, abs=0.01)
    assert len(np.unique(made["ip"][made["user"] == made["user"][0]])) > 1


def test_a_stolen_session_never_signs_in_and_comes_from_several_addresses_at_once() -> None:
    made, _ = attack("session_replay")
    assert not len(of(made, "login", "verify", "token"))
    ended = made["user"][made["status"] == 401]
    assert 0.1 < len(ended) / len(np.unique(made["user"])) < 0.3
    assert each(made["user"][np.isin(made["user"], ended)]).max() <= 2, "nothing follows where it had ended"
    one = made[made["user"] == made["user"][made["status"] == 200][0]]
    assert len(np.unique(one["ip"])) == 3


def test_the_weak_spray_of_the_staff_is_hardly_an_attempt_a_minute() -> None:
    made, scene = attack("sso_spraying", "weak")
    assert len(made) < 60
    assert each(made["ip"]).max() <= 2
    assert any(scene.world.users.texts[user].startswith("staff0") for user in made["user"].tolist())


def test_an_emulated_phone_registers_before_anyone_signs_on_and_pays_last() -> None:
    made, _ = attack("emulator_farm", "strong")
    assert set(of(made, "device")["user"].tolist()) == {ABSENT}
    paid = of(made, "pay")
    one = made[made["user"] == paid["user"][0]]
    assert one["endpoint"][0] == ENDPOINT_CODES["login"]
    assert one["endpoint"][-1] == ENDPOINT_CODES["pay"]
    assert share(made, 200, 201) > 0.98


def test_invoices_are_walked_by_their_number_by_accounts_that_signed_in_first() -> None:
    made, scene = attack("invoice_walk")
    for user in np.unique(made["user"]):
        mine = made[made["user"] == user]
        assert mine["endpoint"][0] == ENDPOINT_CODES["login"]
        numbers = [int(scene.world.paths.texts[path].split("/")[3]) for path in of(mine, "invoice")["path"].tolist()]
        assert (np.diff(numbers) == 1).all()
    assert share(made, 200) > 0.75


def test_a_schema_is_guessed_at_one_address_with_one_key_and_mostly_answered() -> None:
    made, _ = attack("graphql_probing")
    assert len(np.unique(made["path"])) == len(np.unique(made["key"])) == 1
    assert share(made, 200) > 0.6


def test_prices_are_read_term_after_term_and_no_address_comes_near_its_limit() -> None:
    made, _ = attack("fare_scraping", "strong")
    assert each(made["path"]).max() <= 3
    assert most_in_a_minute(made, "ip") < 120
    assert len(np.unique(made["ua"])) > 100


def test_methods_are_tried_on_pages_that_exist() -> None:
    made, _ = attack("verb_tampering")
    assert share(made, 404) == 0
    assert share(made, 405, 401, 403, 501) > 0.6


def test_cards_are_tried_four_to_a_cart_and_most_are_declined() -> None:
    made, _ = attack("bin_enumeration")
    assert len(of(made, "pay")) == 4 * len(of(made, "cart_add"))
    assert share(of(made, "pay"), 402, 422, 403) > 0.93
    assert set(made["user"].tolist()) == {ABSENT}


def test_a_vote_is_given_by_each_account_once_or_twice_for_one_item() -> None:
    made, _ = attack("vote_stuffing")
    assert len(np.unique(of(made, "item")["path"])) == 1
    assert each(of(made, "vote")["user"]).max() == 2


def test_payments_nobody_made_are_mostly_refused_and_numbers_mostly_no_card() -> None:
    assert share(attack("forged_callbacks", "strong")[0], 401, 400) > 0.95
    assert share(attack("balance_checks", "strong")[0], 404) > 0.97


def test_a_trial_key_orders_a_report_and_fetches_it_twice_within_its_limit() -> None:
    made, scene = attack("export_bill", "strong")
    assert len(of(made, "exported")) == 2 * len(of(made, "export"))
    assert most_in_a_minute(made, "key") <= 120
    assert all(scene.world.keys.texts[key].startswith("key-trial-") for key in made["key"].tolist())


def test_who_resells_the_assistant_never_opens_a_page() -> None:
    made, _ = attack("llm_resale")
    assert len(of(made, "assistant")) == len(made)
    assert len(np.unique(made["user"])) == 4 * len(np.unique(made["ip"]))


def test_a_flood_asks_one_page_from_hundreds_each_below_its_limit() -> None:
    made, _ = attack("page_flood", "strong")
    assert len(np.unique(made["path"])) == 1
    assert most_in_a_minute(made, "ip") < 120


def test_a_page_in_the_waiting_room_keeps_time_like_a_clock() -> None:
    made, _ = good("waiting_room")
    longest = np.argmax(np.bincount(of(made, "queue")["ip"]))
    gaps_ms = np.diff(of(made, "queue")["ts_ms"][of(made, "queue")["ip"] == longest])
    assert gaps_ms.mean() == pytest.approx(15_000, rel=0.02)
    assert gaps_ms.std() < 500
    assert of(made, "pay")["ts_ms"].min() > of(made, "queue")["ts_ms"].min()


def test_every_pupil_gets_in_in_the_end_and_the_limit_holds_many_back() -> None:
    wanted, refused, let_in = "benign/exam_start", 0, 0
    config = SimulationConfig(seed=3, duration_s=7200, requests_per_s=5, clients=500, cases=frozenset({"exam_start"}))
    for batch, labels in simulate(config):
        login = (labels == wanted) & np.array([route == "/api/login" for route in batch.column("route").to_pylist()])
        status = batch.column("status").to_numpy()[login]
        refused, let_in = refused + int((status == 429).sum()), let_in + int((status == 200).sum())
    assert let_in == 180
    assert refused > 100


def test_after_an_outage_the_tills_hand_in_what_they_kept() -> None:
    made, _ = good("retry_storm")
    down = made["ts_ms"][made["status"] == 503]
    assert down.max() - down.min() < 245_000
    assert each(made["user"][made["status"] == 503]).min() > 100


def test_devices_are_silent_while_the_power_is_cut_and_register_when_it_comes_back() -> None:
    made, _ = good("power_cut")
    back_ms = of(made, "device")["ts_ms"].min()
    before = (made["ts_ms"] > back_ms - 1_140_000) & (made["ts_ms"] < back_ms)
    assert before.sum() < 20
    assert ((made["ts_ms"] >= back_ms) & (made["ts_ms"] < back_ms + 60_000)).sum() > 1200


def test_an_old_key_is_refused_once_the_new_one_has_taken_over() -> None:
    made, scene = good("key_migration")
    old = made[made["key"] == scene.world.keys.code("key-batch-legacy")]
    refused_ms = old["ts_ms"][old["status"] == 401]
    assert len(refused_ms) > 50
    assert refused_ms.min() >= old["ts_ms"][old["status"] == 200].max() - 1000


def test_many_of_one_office_and_of_one_desk_mean_well() -> None:
    made, _ = good("remote_monday")
    assert len(np.unique(made["ip"])) == 2
    assert len(np.unique(of(made, "login")["user"][of(made, "login")["status"] == 200])) == 220
    assert share(of(made, "login"), 423) * len(of(made, "login")) == pytest.approx(8)
    desk, _ = good("support_desk")
    assert len(np.unique(desk["ip"])) == 1
    assert len(np.unique(desk["user"])) > 300


def test_readers_through_a_translator_and_a_comparison_are_few_addresses_that_name_themselves() -> None:
    read, scene = good("translation_proxy")
    assert len(np.unique(read["ip"])) == 4
    assert all(scene.world.agents.texts[ua].endswith("gzip(translate.example)") for ua in read["ua"].tolist())
    compared, _ = good("price_comparison")
    assert np.diff(of(compared, "item")["ts_ms"]).mean() == pytest.approx(1000, rel=0.05)


def test_a_load_test_goes_up_in_steps_and_a_month_is_closed_with_ones_own_invoices() -> None:
    made, _ = good("load_test")
    steps = np.bincount((made["ts_ms"] - made["ts_ms"][0]) // 300_000)
    assert (np.diff(steps[:4]) > 0).all()
    closed, _ = good("month_end")
    assert each(of(closed, "invoice")["user"]).min() >= 40


def test_a_message_brings_a_crowd_to_one_item_within_minutes() -> None:
    made, scene = good("push_burst")
    assert len(np.unique(of(made, "app_item")["path"])) == 1
    assert np.quantile(of(made, "token")["ts_ms"], 0.9) - made["ts_ms"][0] < 180_000
    assert len(np.unique(made["user"])) == round(scene.requests_per_s * 120)


def test_what_its_attacks_are_on_is_used_by_good_clients_too() -> None:
    scene = Scene(np.random.default_rng(1), World(), 14_400.0, START_MS, 5.0, 500)
    base = np.concatenate([people(scene, frozenset()), customers(scene)])
    used = services(scene, base)
    assert len(used) < 0.15 * len(base)
    for endpoint in ("verify", "balance", "invoice", "vote", "assistant", "graphql", "callback", "sso", "backoffice"):
        assert len(of(used, endpoint)) >= 3, endpoint
    assert 0 < share(of(used, "verify"), 401) < 0.15
    assert len(np.unique(of(used, "sso")["user"])) <= STAFF
    assert set(of(used, "graphql")["ip"].tolist()) <= set(base["ip"].tolist())
