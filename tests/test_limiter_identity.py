"""Who asks: whatever a client sends, it cannot make itself another; a token counts only when it is verified."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from limiter.identity import KEY_BYTES_MAX, Identifier
from limiter.tokens import Claims, Verifier
from schemas.errors import SettingsError
from schemas.settings import Settings
from schemas.token_keys import LOOK_EVERY_S
from schemas.tokens import LEEWAY_S, TOKEN_CHARS_MAX

unhurried = settings(deadline=None)  # a loaded machine is no finding
TRUSTED = "10.0.0.0/8,fd00::/8"
CLIENT = "198.51.100.9"
SECRET = "0123456789abcdef0123456789abcdef"
HOUR_S = 3600

hop = st.sampled_from(["10.0.0.1", "10.200.3.4", "fd00::7"])
client = (
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
    .map(str)
    .filter(lambda text: not text.startswith(("10.", "fd")) and "ffff:" not in text)
)
invented = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=200),
    st.lists(
        st.sampled_from(["6.6.6.6", "10.0.0.9", '"', "\\", ",", ";", "for=6.6.6.6", 'for="', "for=10.0.0.2", " "])
    ).map("".join),
)


def identifier(**more: Any) -> Identifier:
    return Identifier(Settings(trusted_proxies=TRUSTED, **more))


def seen(who: Identifier, peer: str | None, sent: dict[str, str]) -> str | None:
    return who.identify(peer, sent.get).identity.ip


def node_of(address: str, port: int | None) -> str:
    text = f"[{address}]" if ":" in address else address
    return text if port is None else f"{text}:{port}"


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@unhurried
@given(st.lists(invented, max_size=4), client, st.lists(hop, max_size=4), hop)
def test_no_client_can_invent_its_address_in_x_forwarded_for(
    lines: list[str], address: str, proxies: list[str], peer: str
) -> None:
    sent = ", ".join([*lines, address, *proxies])
    assert seen(identifier(), peer, {"x-forwarded-for": sent}) == str(_canonical(address))


@unhurried
@given(
    st.lists(invented, max_size=4),
    client,
    st.none() | st.integers(1, 65535),
    st.lists(hop, max_size=4),
    hop,
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
)
def test_no_client_can_invent_its_address_in_forwarded(
    lines: list[str], address: str, port: int | None, proxies: list[str], peer: str, host: str
) -> None:
    # A proxy may repeat what the client controls (its Host), as long as it quotes it.
    added = [f"host={quoted(host)};for={quoted(node_of(each, port))};proto=https" for each in (address, *proxies)]
    who = identifier(client_header="forwarded")
    assert seen(who, peer, {"forwarded": ", ".join([*lines, *added])}) == str(_canonical(address))


@unhurried
@given(invented, invented, invented, client)
def test_no_header_of_a_client_that_connects_itself_is_believed(one: str, two: str, three: str, address: str) -> None:
    sent = {"x-forwarded-for": one, "forwarded": two, "x-real-ip": three, "x-user": one, "x-tenant": two}
    for header in ("x-forwarded-for", "forwarded", "x-real-ip"):
        found = identifier(client_header=header).identify(address, sent.get).identity
        assert (found.ip, found.user, found.tenant) == (str(_canonical(address)), None, None)


@unhurried
@given(invented, invented)
def test_of_two_headers_that_disagree_only_the_one_set_is_read(one: str, two: str) -> None:
    sent = {"forwarded": f"{one}, for=6.6.6.6", "x-real-ip": two, "x-forwarded-for": f"{one}, {CLIENT}"}
    assert seen(identifier(), "10.0.0.1", sent) == CLIENT
    sent = {"forwarded": f"{one}, for={CLIENT}", "x-real-ip": two, "x-forwarded-for": f"{one}, 6.6.6.6"}
    assert seen(identifier(client_header="forwarded"), "10.0.0.1", sent) == CLIENT
    assert seen(identifier(client_header="x-real-ip"), "10.0.0.1", sent | {"x-real-ip": CLIENT}) == CLIENT


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
        ('For="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        ('for=192.0.2.43, for="10.0.0.17"', "192.0.2.43"),
        ('for=192.0.2.43;host="a,for=6.6.6.6;for=7.7.7.7"', "192.0.2.43"),
        ('host="\\\\\\",for=6.6.6.6", for=192.0.2.43', "192.0.2.43"),
        ('"for=6.6.6.6, for=192.0.2.43', "192.0.2.43"),
        ('for=192.0.2.43;host="' + "\\\\" * 70 + '\\",for=6.6.6.6,"', "192.0.2.43"),
        ("for=unknown", "10.0.0.1"),
        ("for=_hidden, for=10.0.0.3", "10.0.0.3"),
        ("for=192.0.2.1;for=192.0.2.2", "10.0.0.1"),
        ("for = 192.0.2.1", "10.0.0.1"),
        ("by=10.0.0.1", "10.0.0.1"),
        ("", "10.0.0.1"),
        ("x" * 5000 + ",for=192.0.2.43", "192.0.2.43"),
        ('host="' + "x" * 5000 + ',for=10.0.0.9,for=6.6.6.6,";for=10.0.0.3', "10.0.0.1"),  # cut through: says nothing
    ],
)
def test_forwarded_is_read_from_the_right_and_no_further_than_it_can_be(said: str, found: str) -> None:
    assert seen(identifier(client_header="forwarded"), "10.0.0.1", {"forwarded": said}) == found


def test_a_header_of_a_megabyte_is_read_from_its_right_end_only() -> None:
    for header in ("x-forwarded-for", "forwarded", "x-real-ip"):
        who = identifier(client_header=header)
        for filler in ("6.6.6.6,", '"', "\\", ",", "for=10.0.0.9,", "10.0.0.9,"):
            assert seen(who, "10.0.0.1", {header: filler * 100_000}) is not None


def _canonical(text: str) -> object:
    from ipaddress import ip_address  # noqa: PLC0415 - beside its only use

    return ip_address(text)


# Keys


@unhurried
@given(st.text(min_size=1, max_size=300).filter(str.strip))
def test_a_key_id_is_sixteen_hex_digits_and_shows_nothing_of_the_key(key: str) -> None:
    found = identifier().key_id(key)
    assert len(found) == 16
    assert set(found) <= set("0123456789abcdef")
    if len(key) > 8:
        assert key not in found


def test_a_key_in_a_header_and_the_same_in_json_are_one() -> None:
    who = identifier()
    on_the_wire = "schlüssel".encode().decode("latin-1")
    assert who.identify(CLIENT, {"x-api-key": on_the_wire}.get).identity.key_id == who.key_id("schlüssel")


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("x-api-key", "\xff\xfe", "bad_value"),
        ("authorization", "Bearer \xff", "bad_value"),
        ("x-api-key", "k" * 10_000_000, "too_large"),
        ("authorization", "Bearer " + "k" * (KEY_BYTES_MAX + 1), "too_large"),
    ],
)
def test_a_key_nobody_can_take_is_named_and_left_out(header: str, value: str, code: str) -> None:
    who = identifier().identify(CLIENT, {header: value}.get)
    assert who.fault is not None
    assert (who.fault.field, who.fault.code, who.identity.key_id, who.identity.ip) == (header, code, None, CLIENT)


def test_long_names_that_begin_alike_stay_two() -> None:
    users = ["u" * 300 + end for end in "ab"]
    found = {identifier().identify("10.0.0.1", {"x-user": user}.get).identity.user for user in users}
    assert len(found) == 2
    assert all(user is not None and len(user) == 34 for user in found)


# Tokens


def _encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def token(claims: dict[str, Any], key: Any = SECRET, algorithm: str = "HS256", **headers: Any) -> str:
    return jwt.encode(claims, key, algorithm=algorithm, headers=headers)


def asks(who: Identifier, bearer: str) -> Any:
    return who.identify(CLIENT, {"authorization": f"Bearer {bearer}"}.get)


def soon(**claims: Any) -> dict[str, Any]:
    return {"sub": "ann", "exp": time.time() + HOUR_S} | claims


@pytest.fixture
def public_key(tmp_path: Path) -> Callable[[Any], Path]:
    def write(private: Any) -> Path:
        path = tmp_path / "public.pem"
        path.write_bytes(private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return path

    return write


def test_a_verified_token_says_user_tenant_tier_and_key() -> None:
    who = identifier(jwt_secret=SECRET, jwt_claims="user=sub,tenant=org.id,tier=https://x.example/plan,key=azp")
    found = asks(who, token(soon(org={"id": 7}, azp="app-1") | {"https://x.example/plan": "partner"}))
    assert (found.identity.user, found.identity.tenant, found.tier) == ("ann", "7", "partner")
    assert len(found.identity.key_id) == 16
    assert found.identity.key_id == asks(who, token(soon(azp="app-1", sub="bob"))).identity.key_id
    assert found.identity.key_id != who.key_id("app-1"), "an API key a client makes up must never be a claim's"


def test_a_verified_token_without_a_key_claim_is_no_key_so_that_a_new_token_is_no_new_client() -> None:
    who = identifier(jwt_secret=SECRET)
    assert asks(who, token(soon())).identity.key_id is None
    beside = {"authorization": f"Bearer {token(soon())}", "x-api-key": "k"}
    assert who.identify(CLIENT, beside.get).identity.key_id == who.key_id("k")


def test_a_verified_token_counts_more_than_a_proxy_s_word_and_from_anywhere() -> None:
    who = identifier(jwt_secret=SECRET)
    sent = {"authorization": f"Bearer {token(soon())}", "x-user": "eve", "x-tenant": "acme"}
    assert who.identify("10.0.0.1", sent.get).identity.user == "ann"
    assert who.identify("10.0.0.1", sent.get).identity.tenant == "acme"
    assert who.identify(CLIENT, sent.get).identity.tenant is None


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "HS256", "RS256", "", None, 7, "HS512"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_a_token_that_signs_itself_is_an_opaque_key(algorithm: Any, signature: str) -> None:
    who = identifier(jwt_secret=SECRET)
    forged = f"{_encoded({'alg': algorithm, 'typ': 'JWT'})}.{_encoded(soon())}.{signature}"
    found = asks(who, forged)
    assert (found.identity.user, found.tier, found.identity.key_id) == (None, None, who.key_id(forged))


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "ann", "exp": 1_000_000_000},
        {"sub": "ann", "nbf": 4_000_000_000},
        {"sub": "ann", "iss": "https://evil.example", "aud": "shop"},
        {"sub": "ann", "iss": "https://id.example", "aud": "other"},
        {"sub": "ann", "iss": "https://id.example"},
        {"sub": "ann", "iss": "https://id.example", "aud": "shop", "exp": "soon"},
    ],
)
def test_a_token_out_of_its_time_or_for_somebody_else_says_nothing(claims: dict[str, Any]) -> None:
    who = identifier(jwt_secret=SECRET, jwt_issuer="https://id.example", jwt_audience="shop")
    good = asks(who, token({"sub": "ann", "iss": "https://id.example", "aud": ["shop", "x"]}))
    assert good.identity.user == "ann"
    # The payload is written by hand where PyJWT would refuse to sign it.
    assert asks(who, _signed(claims)).identity.user is None


def _signed(claims: dict[str, Any]) -> str:
    return jwt.api_jws.encode(json.dumps(claims).encode(), SECRET, "HS256")


def test_a_token_of_another_key_or_changed_by_a_letter_says_nothing() -> None:
    who = identifier(jwt_secret=SECRET)
    good = token(soon())
    head, body, signature = good.split(".")
    for forged in (
        token(soon(), "x" * 32),
        f"{head}.{_encoded(soon(sub='eve'))}.{signature}",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}.",
    ):
        assert asks(who, forged).identity.user is None
    assert asks(who, good).identity.user == "ann"


@pytest.mark.parametrize(
    ("private", "algorithm"),
    [
        (rsa.generate_private_key(65537, 2048), "RS256"),
        (rsa.generate_private_key(65537, 2048), "PS384"),
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
    ids=["rsa", "pss", "p256", "p384", "ed25519"],
)
def test_public_keys_verify_their_own_kind_and_never_as_a_secret(
    public_key: Callable[[Any], Path], private: Any, algorithm: str
) -> None:
    path = public_key(private)
    who = identifier(jwt_public_key=path)
    assert asks(who, token(soon(), private, algorithm)).identity.user == "ann"
    # The classic: the public key, which everybody has, taken for an HMAC secret.
    confused = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(soon())}"
    mac = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(confused.encode(), path.read_bytes())
    forged = confused + "." + base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
    assert asks(who, forged).identity.user is None
    assert asks(who, token(soon())).identity.user is None


def _jwk(private: Any, kid: str) -> dict[str, Any]:
    return json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())) | {"kid": kid, "use": "sig"}


def test_a_jwks_file_serves_the_key_a_token_names_and_a_new_one_without_a_restart(tmp_path: Path) -> None:
    old, new = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [_jwk(old, "old")]}))
    now = [time.time()]
    verifier = Verifier(Settings(jwt_jwks=path), lambda: now[0])
    by_old, by_new = token(soon(), old, "RS256", kid="old"), token(soon(), new, "RS256", kid="new")
    assert [verifier.claims(each) is not None for each in (by_old, by_new)] == [True, False]
    path.write_text(json.dumps({"keys": [_jwk(new, "new"), _jwk(new, "other")]}))
    now[0] += LOOK_EVERY_S
    assert [verifier.claims(each) is not None for each in (by_old, by_new)] == [False, True]
    assert verifier.claims(token(soon(), old, "RS256", kid="new")) is None
    path.write_text("{")
    os.utime(path, ns=(1, 1))
    now[0] += LOOK_EVERY_S
    assert verifier.claims(by_new) is not None, "a file half written must not lock everybody out"


def test_what_is_remembered_of_a_token_ends_with_it() -> None:
    now = [time.time()]
    verifier = Verifier(Settings(jwt_secret=SECRET), lambda: now[0])  # type: ignore[arg-type]
    good = token({"sub": "ann", "exp": int(now[0]) + 60})
    assert verifier.claims(good) == verifier.claims(good) == Claims(user="ann")
    now[0] += 61 + LEEWAY_S
    assert verifier.claims(good) is None


deep = "[" * 3000
json_leaf = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
header_name = st.sampled_from(["alg", "kid", "typ", "crit", "b64", "exp", "sub"])
claim_name = st.sampled_from(["exp", "nbf", "iat", "sub", "aud", "iss"])
sent_tokens = st.one_of(
    st.text(st.characters(max_codepoint=255), max_size=200),
    st.lists(st.text("abcAB09-_=", max_size=80), min_size=3, max_size=3).map(".".join),
    st.builds(
        lambda header, body: f"{_encoded(header)}.{_encoded(body)}.AAAA",
        st.recursive(json_leaf, lambda inner: st.lists(inner) | st.dictionaries(header_name, inner)),
        st.dictionaries(claim_name, json_leaf),
    ),
)


@unhurried
@given(sent_tokens)
def test_no_token_however_malformed_raises_or_is_believed(text: str) -> None:
    found = asks(identifier(jwt_secret=SECRET), text)
    assert found.identity.user is None
    assert found.tier is None


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 10**400},
        {"exp": 1e308},
        {"exp": -1},
        {"exp": True},
        {"exp": None},
        {"sub": ["ann"]},
        {"sub": {"a": 1}},
        {"sub": None},
        {"sub": ""},
        {"sub": 10**60},
        {"sub": True},
        {"sub": "x", "nbf": [1]},
        {"sub": "\ud800" * 300},
        {"aud": 7},
    ],
)
def test_claims_that_make_no_sense_name_nobody_and_raise_nothing(claims: dict[str, Any]) -> None:
    user = asks(identifier(jwt_secret=SECRET), _signed(claims)).identity.user
    assert user is None or user.startswith("h-")


@pytest.mark.parametrize(
    "text", [f"{base64.b64encode(deep.encode()).decode()}.e30.AAAA", "a.b." + "c" * TOKEN_CHARS_MAX]
)
def test_tokens_made_to_hurt_are_refused(text: str) -> None:
    assert Verifier(Settings(jwt_secret=SECRET)).claims(text) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"jwt_secret": "short"}, "JWT_SECRET: 5 bytes"),
        ({"jwt_secret": SECRET, "jwt_jwks": "/x"}, "more than one"),
        ({"jwt_public_key": "/nowhere.pem"}, "JWT_PUBLIC_KEY: /nowhere.pem"),
        ({"jwt_jwks": "/nowhere.json"}, "JWT_JWKS: /nowhere.json"),
        ({"jwt_secret": SECRET, "jwt_claims": "email=mail"}, "JWT_CLAIMS: 'email=mail'"),
        ({"jwt_secret": SECRET, "jwt_claims": "user=a,user=b"}, "JWT_CLAIMS"),
    ],
)
def test_what_cannot_verify_is_an_error_at_the_start_that_names_the_setting(more: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        identifier(**more)


def test_a_jwks_with_a_secret_in_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": [{"kty": "oct", "k": _encoded(SECRET), "kid": "a"}]}))
    with pytest.raises(SettingsError, match="holds a secret"):
        identifier(jwt_jwks=path)
