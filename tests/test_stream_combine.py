from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stream_traffic import NOW_MS, blocks, crowd, row

from schemas import codec
from schemas.networks import client
from schemas.usage import FLOWS_PER_PANE_MAX, MEASURES, Block, Kind, Outcome
from stream.combine import combine, entity_hash
from stream.networks import clients, network, network_hashes, networks

LATER = (Kind.NETWORK, Kind.ASN, Kind.AGENT, Kind.TENANT_ROUTE)


def counts_of(block: Block) -> dict[tuple[Kind, str, int], dict[str, object]]:
    return {(Kind(r["kind"]), r["entity"], r["pane_s"]): r for r in block.counts.to_pylist()}


def test_every_decision_counts_once_for_each_entity_it_belongs_to() -> None:
    rows = crowd(1, 600)
    [block] = blocks(rows)
    counted = counts_of(block)
    wanted: Counter[tuple[Kind, str, int]] = Counter()
    for r in rows:
        pane_s = r.ts_ms // 1000
        named = {
            Kind.IP: r.ip,
            Kind.KEY: r.key_id,
            Kind.USER: r.user,
            Kind.ROUTE: r.route,
            Kind.GLOBAL: "*",
            Kind.NETWORK: network(r.ip or ""),
        }
        wanted.update((kind, value, pane_s) for kind, value in named.items() if value is not None)
    assert {key: c["n"] for key, c in counted.items()} == wanted
    everything = [c for (kind, *_), c in counted.items() if kind is Kind.GLOBAL]
    by_verdict = Counter(r.verdict for r in rows)
    for verdict, measure in (
        ("allow", "allowed"),
        ("limit", "limited"),
        ("deny", "denied"),
        ("challenge", "challenged"),
    ):
        assert sum(c[measure] for c in everything) == by_verdict[verdict]


def test_tenants_and_countries_are_counted_where_they_are_told_and_each_row_of_a_sample_by_its_weight() -> None:
    rows = [
        row(tenant="acme", country="DE", cost=3),
        row(tenant="acme", country="FR", cost=2, weight=10),
        row(tenant="acme", verdict="limit"),
        row(),
    ]
    counted = counts_of(blocks(rows)[0])
    told = {
        (kind, value): tuple(c[m] for m in ("n", "allowed", "limited", "cost"))
        for (kind, value, _), c in counted.items()
        if kind in (Kind.TENANT, Kind.COUNTRY, Kind.GLOBAL)
    }
    assert told == {
        (Kind.TENANT, "acme"): (12, 11, 1, 24),
        (Kind.COUNTRY, "DE"): (1, 1, 0, 3),
        (Kind.COUNTRY, "FR"): (10, 10, 0, 20),
        (Kind.GLOBAL, "*"): (13, 12, 1, 25),
    }


def test_outcomes_are_the_upstreams_and_only_counted_where_we_let_the_request_through() -> None:
    rows = [
        row(status=401), row(status=404), row(status=503), row(status=403, verdict="deny"), row(status=429),
        row(method="POST", route="/login", status=422), row(method="GET", route="/login", status=422),
    ]  # fmt: skip
    c = counts_of(blocks(rows)[0])[Kind.GLOBAL, "*", NOW_MS // 1000]
    assert (c["auth_failed"], c["client_error"], c["server_error"], c["logins"]) == (2, 2, 1, 1)


@pytest.mark.parametrize(
    ("given", "owner"),
    [
        ({"key_id": "k1"}, (Kind.KEY, "k1")),
        ({"key_id": "k1", "status": 401}, (Kind.IP, "192.0.2.1")),
        ({"key_id": "k1", "verdict": "limit", "status": 0}, (Kind.KEY, "k1")),
        ({}, (Kind.IP, "192.0.2.1")),
        ({"ip": None}, None),
        ({"verdict": "deny"}, None),
        ({"verdict": "challenge"}, None),
    ],
)
def test_a_flow_belongs_to_the_accepted_key_else_to_the_address_and_our_denials_give_none(
    given: dict[str, object], owner: tuple[Kind, str] | None
) -> None:
    flows = blocks([row(**given)])[0].flows.to_pylist()
    assert [(Kind(f["kind"]), f["entity"]) for f in flows] == ([owner] if owner else [])


def test_a_login_with_a_key_that_is_let_in_stands_under_its_address_too_as_one_that_is_refused_does() -> None:
    def login(user: str | None, status: int) -> dict[str, object]:
        return row(method="POST", route="/login", key_id="k1", user=user, status=status)

    flows = blocks([login("anna", 401), login("anna", 200), login(None, 200), row(key_id="k1", user="anna")])[0].flows
    tried = [f for f in flows.to_pylist() if f["login"]]
    assert sorted((Kind(f["kind"]), f["entity"], Outcome(f["outcome"])) for f in tried) == [
        (Kind.IP, "192.0.2.1", Outcome.OK),
        (Kind.IP, "192.0.2.1", Outcome.AUTH_FAILED),
        (Kind.KEY, "k1", Outcome.OK),
        (Kind.KEY, "k1", Outcome.OK),
        (Kind.USER, "anna", Outcome.OK),
        (Kind.USER, "anna", Outcome.AUTH_FAILED),
    ]
    assert [f["n"] for f in flows.to_pylist()] == [1] * 7


def test_a_refused_key_is_the_account_that_its_request_says_it_is_and_an_accepted_one_or_a_user_is_not() -> None:
    rows = [row(key_id=f"guess-{n}", user=None, ip="198.51.100.7", status=401) for n in range(3)]
    rows += [
        row(key_id="guess-0", user="anna", ip="198.51.100.7", status=403),
        row(key_id="good", user=None, status=200),
    ]
    flows = blocks(rows)[0].flows.to_pylist()
    told = {(Kind(flow["kind"]), flow["user"]) for flow in flows}
    texts = ("guess-0", "guess-1", "guess-2", "anna")
    assert told == {(Kind.IP, codec.text_hash(text)) for text in texts} | {(Kind.KEY, 0)}


def test_like_requests_of_a_pane_are_one_flow_with_its_first_and_last_time() -> None:
    [flow] = blocks([row(5), row(900), row(30)])[0].flows.to_pylist()
    assert (flow["n"], flow["first_ms"] - NOW_MS, flow["last_ms"] - NOW_MS) == (3, 5, 900)
    assert flow["hash"] == flow["ip"] == codec.text_hash("192.0.2.1")
    assert (flow["route_name"], flow["path_name"], flow["outcome"]) == ("/items/{id}", "/items/1", Outcome.OK)


def test_a_request_without_a_route_is_counted_under_a_question_mark() -> None:
    block = blocks([row(route=None)])[0]
    assert (Kind.ROUTE, "?", NOW_MS // 1000) in counts_of(block)
    assert block.flows.to_pylist()[0]["route"] == codec.text_hash("?")


def test_flows_kept_of_a_busy_owner_are_the_same_however_its_rows_were_batched() -> None:
    rows = [row(path=f"/p{i}", status=404 if i % 3 else 200) for i in range(300)]
    whole = {f["path"] for f in blocks(rows)[0].flows.to_pylist()}
    assert len(whole) == FLOWS_PER_PANE_MAX
    halves = [f["path"] for part in (rows[:150], rows[150:]) for f in blocks(part)[0].flows.to_pylist()]
    assert whole <= set(halves)
    dropped = counts_of(blocks(rows)[0])[Kind.IP, "192.0.2.1", NOW_MS // 1000]["flows_dropped"]
    assert dropped == 300 - FLOWS_PER_PANE_MAX


def test_usage_partitions_share_the_entities_and_every_one_gets_a_block() -> None:
    rows = crowd(2, 400)
    parts = blocks(rows, usage_partitions=3)
    [whole] = blocks(rows)
    assert [(b.start, b.end) for b in parts] == [(0, 1)] * 3
    for name in MEASURES:
        assert sum(pc.sum(b.counts[name]).as_py() or 0 for b in parts) == pytest.approx(
            pc.sum(whole.counts[name]).as_py()
        )
    for u, part in enumerate(parts):
        for r in [*part.counts.to_pylist(), *part.flows.to_pylist()]:
            assert entity_hash(r["kind"], r["entity"]) % 3 == u
    assert [b.counts.num_rows for b in blocks([], usage_partitions=2)] == [0, 0]


def test_a_block_survives_its_way_over_the_wire() -> None:
    for block in blocks(crowd(3, 200), usage_partitions=2):
        again = codec.decode_block(codec.encode_block(block))
        assert again.counts.equals(block.counts)
        assert again.flows.equals(block.flows)


def test_latency_adds_up_to_the_same_in_any_order() -> None:
    rows = [row(latency_ms=0.1 * i) for i in range(50)]
    sums = [sum(counts_of(blocks([r])[0])[Kind.GLOBAL, "*", NOW_MS // 1000]["latency_ms_sum"] for r in order)
            for order in (rows, rows[::-1])]  # fmt: skip
    assert sums[0] == sums[1] == counts_of(blocks(rows)[0])[Kind.GLOBAL, "*", NOW_MS // 1000]["latency_ms_sum"]
    assert np.isclose(sums[0], sum(0.1 * i for i in range(50)), atol=0.05)


def test_a_request_counts_for_its_network_its_asn_its_user_agent_and_its_tenants_route() -> None:
    rows = [
        row(tenant="acme", asn=64500, ua="curl/8"),
        row(tenant="acme", asn=64500, ua="curl/8", ip="192.0.2.77"),
        row(tenant="zeta", asn=64501, ip="2001:db8::1", route="/login"),
        row(ip="no address"),
    ]
    counted = {(kind, value): c["n"] for (kind, value, _), c in counts_of(blocks(rows)[0]).items()}
    assert {who: n for who, n in counted.items() if who[0] in LATER} == {
        (Kind.NETWORK, "192.0.2.0/24"): 2,
        (Kind.NETWORK, "2001:db8::/48"): 1,
        (Kind.ASN, "64500"): 2,
        (Kind.ASN, "64501"): 1,
        (Kind.AGENT, "curl/8"): 2,
        (Kind.TENANT_ROUTE, "acme /items/{id}"): 2,
        (Kind.TENANT_ROUTE, "zeta /login"): 1,
    }
    assert not {kind for kind, _, _ in counts_of(blocks([row()])[0])} & {Kind.ASN, Kind.AGENT, Kind.TENANT_ROUTE}


@given(
    st.lists(
        st.one_of(
            st.ip_addresses(v=4).map(str),
            st.ip_addresses(v=6).map(str),
            st.integers(0, 1 << 64).map(lambda host: str(IPv6Address((0x20010DB8_00000000 << 64) + host))),
            st.ip_addresses(v=6).map(lambda ip: ip.exploded.upper()),
            st.integers(0, 7)
            .flatmap(lambda n: st.lists(st.sampled_from("01f"), min_size=n, max_size=n))
            .map(lambda groups: f"{':'.join(groups[:3])}::{':'.join(groups[3:])}"),
            st.from_regex(r"[0-9a-fA-F]{0,5}(:[0-9a-f]{0,4}){2,9}(%1)?", fullmatch=True),
            st.ip_addresses(v=4).map(lambda ip: f"::ffff:{ip}"),
            st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,4}){2,4}", fullmatch=True),
            st.text(max_size=12),
        ),
        unique=True,
    )
)
def test_addresses_in_bulk_are_of_the_networks_they_are_of_one_by_one(addresses: list[str]) -> None:
    codes, names = networks(pa.array(addresses, pa.utf8()))
    assert [names[c].as_py() if c >= 0 else None for c in codes.tolist()] == [network(a) for a in addresses]
    assert len(set(names.to_pylist())) == len(names)
    found = clients(pa.array(addresses, pa.utf8()))
    told: list[str] = addresses if found is None else found.names.take(pa.array(found.codes)).to_pylist()
    assert told == [client(a) if ":" in a else a for a in addresses]
    assert found is None or len(set(found.names.to_pylist())) == len(found.names)
    whose = network_hashes(pa.array(told, pa.utf8()), np.ones(len(told), np.bool_))
    hashes = network_hashes(pa.array(addresses, pa.utf8()), np.ones(len(addresses), np.bool_))
    by_name: dict[str | None, int] = {}
    for name, told in zip(map(network, addresses), hashes.tolist(), strict=True):
        assert by_name.setdefault(name, told) == told, "however an address is written"
        assert (told == 0) == (name is None)
    assert whose.tolist() == hashes.tolist(), "a client is in the network of its addresses"


def test_ipv4_written_as_ipv6_has_the_network_hash_of_its_ipv4() -> None:
    written = pa.array(["203.0.113.7", "::ffff:203.0.113.9", "::ffff:cb00:710a", "::ffff:203.0.114.7"], pa.utf8())
    first, *same, other = network_hashes(written, np.ones(4, np.bool_)).tolist()
    assert (same, other != first) == ([first, first], True)


def test_many_entities_over_many_panes_are_counted_like_few() -> None:
    rows = [
        row(i * 1000, ip=f"10.{i % 7}.{i % 11}.{i % 251}", tenant=f"t{i % 40}", route=f"/r{i % 60}") for i in range(900)
    ]
    [whole], parts = blocks(rows), [blocks(rows[i : i + 30])[0] for i in range(0, 900, 30)]
    each: Counter[tuple[Kind, str, int]] = Counter()
    for part in parts:
        each.update({key: c["n"] for key, c in counts_of(part).items()})  # type: ignore[misc]
    assert {key: c["n"] for key, c in counts_of(whole).items()} == each


@pytest.mark.parametrize(
    ("glob", "status", "outcome"),
    [
        ("*wp-login*=200", 200, Outcome.AUTH_FAILED),  # WordPress shows the form again
        ("*wp-login*=200", 302, Outcome.OK),
        ("*wp-login*=200", 403, Outcome.AUTH_FAILED),
        ("*wp-login*", 200, Outcome.OK),
        ("*/token=200,*wp-login*", 200, Outcome.OK),  # the statuses of another route
    ],
)
def test_a_login_fails_with_the_statuses_that_its_route_has_for_it(glob: str, status: int, outcome: Outcome) -> None:
    rows = [row(method="POST", route="/wp-login.php", user="ann", status=status), row(1, status=200)]
    [block] = combine(
        codec.from_rows(rows),
        partition=0,
        start=0,
        end=1,
        ts_ms_max=0,
        usage_partitions=1,
        login_globs=tuple(glob.split(",")),
    )
    told = {(flow["kind"], flow["login"]): flow["outcome"] for flow in block.flows.to_pylist()}
    assert told == {(Kind.IP, True): outcome, (Kind.USER, True): outcome, (Kind.IP, False): Outcome.OK}
