"""What a request carries beside path and identity: one spelling each, bounded, believed only where it may be."""

from __future__ import annotations

import pytest

from limiter import wire
from limiter.attributes import NAMES_MAX, Told, checked
from limiter.identity import Identifier
from limiter.rows import row
from limiter.verdict import Answer, Mode, Request
from schemas.errors import BadMessageError
from schemas.settings import Settings


def identifier(**more: object) -> Identifier:
    fields = {"country_header": "X-Country", "asn_header": "X-ASN", "trusted_proxies": "10.0.0.0/8"}
    return Identifier(Settings(**(fields | more)))  # type: ignore[arg-type]


SENT = {"x-country": "de", "x-asn": "AS64500", "x-plan": "gold"}


def as_sent(text: str) -> str:
    return text.encode().decode("latin-1")


def test_country_and_network_count_only_from_a_trusted_proxy_and_headers_from_anybody() -> None:
    asked = identifier()
    assert asked.attributes("10.0.0.1", None, SENT.get, ["x-plan"]) == {
        "country": "DE",
        "asn": "64500",
        "header:x-plan": "gold",
    }
    assert asked.attributes("198.51.100.1", None, SENT.get, ["x-plan"]) == {"header:x-plan": "gold"}
    assert asked.attributes("198.51.100.1", None, SENT.get, []) is None


def test_what_a_proxy_says_and_is_no_country_or_network_is_not_there() -> None:
    said = {"x-country": "Germany", "x-asn": "99999999999"}
    assert identifier().attributes("10.0.0.1", None, said.get, []) is None


def test_a_node_says_its_service_unless_the_gateway_names_one() -> None:
    asked = identifier(service="shop")
    assert asked.attributes("198.51.100.1", None, SENT.get, []) == {"service": "shop"}
    assert asked.given({"service": "search"}, None) == {"service": "search"}
    assert asked.given(None, None) == {"service": "shop"}


def test_a_header_is_the_text_it_says_and_long_ones_that_begin_alike_stay_two() -> None:
    texts = ["caf\u00e9", *("p" * 300 + end for end in "ab")]
    asked = [identifier().attributes("198.51.100.1", None, {"x-plan": as_sent(text)}.get, ["x-plan"]) for text in texts]
    assert asked == [checked({"header:x-plan": text}) for text in texts]
    assert len({str(found) for found in asked}) == 3
    assert all(len(found["header:x-plan"]) < 40 for found in asked if found)


def test_attributes_have_one_spelling() -> None:
    assert checked({"header:X-Plan": "Gold", "country": "fr", "asn": "as007", "descriptor:PATH": "/a"}) == {
        "header:x-plan": "Gold",
        "country": "FR",
        "asn": "7",
        "descriptor:PATH": "/a",
    }


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"plan": "gold"}, "attributes.plan"),
        ({"header:": "gold"}, "attributes.header:"),
        ({"header:a b": "gold"}, "attributes.header:a b"),
        ({"country": "Germany"}, "attributes.country"),
        ({"asn": "-1"}, "attributes.asn"),
        ({f"header:{n}": "x" for n in range(NAMES_MAX + 1)}, "attributes"),
    ],
)
def test_what_is_no_attribute_is_named(given: dict[str, str], field: str) -> None:
    with pytest.raises(BadMessageError) as caught:
        checked(given)
    assert caught.value.field == field


def test_a_check_carries_attributes_and_a_bad_one_is_named_with_its_place() -> None:
    question = wire.check(b'{"path": "/", "attributes": {"country": "de"}}')
    assert wire.request(question, identifier()).attributes == {"country": "DE"}
    with pytest.raises(BadMessageError, match=r"requests\[1\]\.attributes\.colour"):
        wire.checks(b'{"requests": [{"path": "/"}, {"path": "/", "attributes": {"colour": "red"}}]}')


def test_a_row_tells_country_network_and_what_a_shadow_would_have_said() -> None:
    request = Request("GET", "/", attributes={"country": "DE", "asn": "64500"})
    answer = Answer("allow", "/*", "default", 1, Mode.SHARED, shadow="limit", shadow_rule="new-limit")
    told = row(request, answer, 1_764_000_000_000, "n1")
    assert (told.country, told.asn, told.verdict, told.shadow, told.shadow_rule) == (
        "DE",
        64500,
        "allow",
        "limit",
        "new-limit",
    )


def test_requests_with_the_same_attributes_are_one_and_with_others_another() -> None:
    one, same, other = (
        Request("GET", "/", attributes=Told(found))
        for found in ({"country": "DE", "asn": "1"}, {"asn": "1", "country": "DE"}, {"country": "DE"})
    )
    assert {one: 1} == {same: 1}
    assert {one: 1} != {other: 1}
