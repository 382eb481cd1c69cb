"""What leaves a node about a request: secrets masked, sizes bounded, identities that cannot be forged."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limiter.identity import Identifier
from limiter.matcher import Identity
from limiter.rows import cleaned, row
from limiter.verdict import Answer, Mode, Request
from schemas import codec
from schemas.decision import Decision
from schemas.errors import SettingsError
from schemas.privacy import masked
from schemas.settings import Settings


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/a?page=2&q=token", "/a?page=2&q=token"),
        ("/a?token=s3cret", "/a?token=***"),
        ("/a?x=1&api_key=s3cret&y=2", "/a?x=1&api_key=***&y=2"),
        ("/a?access_token=s3cret#f", "/a?access_token=***#f"),
        ("/a?user.password=s3cret", "/a?user.password=***"),
        ("/a?X-Amz-Signature=s3cret&b=1", "/a?X-Amz-Signature=***&b=1"),
        ("/a?PASSWORD=s3cret;b=1", "/a?PASSWORD=***;b=1"),
        ("/a?%74oken=s3cret", "/a?token=***"),
        ("/a?p%61ssw%6Frd=s3cret", "/a?password=***"),
        ("/a?monkey=1&keyboard=2", "/a?monkey=1&keyboard=2"),
        ("/a?q=b?token=s3cret?c=d&e=1", "/a?q=b?token=***&e=1"),
        ("/a?q?token=s3cret", "/a?q?token=***"),
        ("/a?token_?.b=s3cret", "/a?token_?.b=***"),
        ("", ""),
    ],
)
def test_what_looks_secret_is_masked(path: str, shown: str) -> None:
    assert masked(path) == shown


@pytest.mark.timeout(20)  # some of these took minutes where each start of a name was searched to the end
@pytest.mark.parametrize("piece", ["?_", "?key", "a_", "&", "_-.", "token_", "key=?", ";a=", "//", "%5f"])
def test_no_query_takes_longer_to_mask_than_its_length_says(piece: str) -> None:
    assert len(masked("/?" + piece * 100_000).encode()) <= 512


@given(st.text(max_size=2000), st.text(max_size=600), st.text(max_size=600))
def test_any_request_makes_a_row_the_codec_takes(path: str, user: str, ua: str) -> None:
    identifier = Identifier(Settings())
    sent = {"x-user": user, "x-api-key": ua}
    identity = identifier.identify("127.0.0.1", sent.get).identity
    request = Request("GET", path, identity)
    decision = row(request, Answer("allow", "/*", "default", 1, Mode.SHARED), 1_764_000_000_000, "n1")
    assert len((decision.path or "").encode()) <= 512
    assert codec.from_rows([decision]).num_rows == 1


def test_a_row_from_elsewhere_is_masked_and_its_hash_of_the_secret_dropped() -> None:
    decision = Decision(ts_ms=1_764_000_000_000, verdict="allow", path="/a?token=s3cret", path_hash=7)
    assert cleaned(decision).path == "/a?token=***"
    assert cleaned(decision).path_hash is None


def _ip(peer: str | None, forwarded: str | None, trusted: str = "10.0.0.0/8,127.0.0.0/8") -> str | None:
    return Identifier(Settings(trusted_proxies=trusted)).client_ip(peer, forwarded)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.9", "192.0.2.1", "198.51.100.9"),  # a client's own header is not believed
        ("10.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", "6.6.6.6, 192.0.2.1", "192.0.2.1"),  # what stands left of the client is invented
        ("10.0.0.1", "192.0.2.1, 10.0.0.7", "192.0.2.1"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.7", "10.0.0.9"),
        ("10.0.0.1", "192.0.2.1, junk, 10.0.0.7", "10.0.0.7"),
        ("10.0.0.1", "192.0.2.1:4711", "192.0.2.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        (None, "192.0.2.1", "192.0.2.1"),
        (None, None, None),
    ],
)
def test_the_client_is_the_first_hop_from_the_right_nobody_vouches_for(
    peer: str | None, forwarded: str | None, client: str | None
) -> None:
    assert _ip(peer, forwarded) == client


def test_user_and_tenant_count_only_from_a_trusted_proxy() -> None:
    identifier = Identifier(Settings(trusted_proxies="10.0.0.0/8"))
    sent = {"x-user": "ann", "x-tenant": "acme"}
    assert identifier.identify("198.51.100.9", sent.get).identity == Identity("198.51.100.9")
    assert identifier.identify("10.0.0.1", sent.get).identity == Identity("10.0.0.1", None, "ann", "acme")


def test_a_key_is_known_by_its_keyed_hash_only() -> None:
    one, two = Identifier(Settings(secret="a")), Identifier(Settings(secret="b"))  # type: ignore[arg-type]
    assert one.key_id("k") == one.key_id("k") != two.key_id("k")
    assert len(one.key_id("k")) == 16
    bearer = one.identify("192.0.2.1", {"authorization": "Bearer k"}.get).identity
    assert bearer.key_id == one.key_id("k") == one.identify("192.0.2.1", {"x-api-key": "k"}.get).identity.key_id


def test_a_malformed_proxy_list_is_named() -> None:
    with pytest.raises(SettingsError, match="FLOODWARDEN_TRUSTED_PROXIES"):
        Identifier(Settings(trusted_proxies="10.0.0.0/99"))
