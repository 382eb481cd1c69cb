from __future__ import annotations

from pathlib import Path

import pytest

from schemas import redis_client
from schemas.errors import SettingsError
from schemas.redis_url import Kind, RedisUrl, Verify, parse
from schemas.settings import load


@pytest.mark.parametrize(
    ("url", "is_"),
    [
        ("redis://127.0.0.1:6390/2", RedisUrl(Kind.SERVER, (("127.0.0.1", 6390),), db=2)),
        ("redis://h", RedisUrl(Kind.SERVER, (("h", 6379),))),
        ("redis://h?db=3", RedisUrl(Kind.SERVER, (("h", 6379),), db=3)),
        ("redis://[2001:db8::1]:7000", RedisUrl(Kind.SERVER, (("2001:db8::1", 7000),))),
        ("redis://ann:p%40ss%2F%3A@h:1/0", RedisUrl(Kind.SERVER, (("h", 1),), user="ann", password="p@ss/:")),
        ("redis://:pw@h", RedisUrl(Kind.SERVER, (("h", 6379),), password="pw")),
        ("unix:///run/redis.sock?db=1", RedisUrl(Kind.SOCKET, path="/run/redis.sock", db=1)),
        ("unix://a:b@/run/r", RedisUrl(Kind.SOCKET, path="/run/r", user="a", password="b")),
        (
            "redis+sentinel://u:p@a,b:7/main/4?sentinel_password=s",
            RedisUrl(
                Kind.SENTINEL,
                (("a", 26379), ("b", 7)),
                db=4,
                user="u",
                password="p",
                master="main",
                sentinel_password="s",
            ),
        ),
        (
            "rediss+cluster://a:1,[::1]:2?ca=/ca.pem&verify=chain",
            RedisUrl(Kind.CLUSTER, (("a", 1), ("::1", 2)), tls=True, ca="/ca.pem", verify=Verify.CHAIN),
        ),
        (
            "rediss://h?ssl_ca_certs=/ca.pem&cert=/c&key=/k",
            RedisUrl(Kind.SERVER, (("h", 6379),), tls=True, ca="/ca.pem", cert="/c", key="/k"),
        ),
    ],
)
def test_a_url_says_where_redis_is_and_how_it_is_reached(url: str, is_: RedisUrl) -> None:
    assert parse(url) == is_


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "no such scheme; use one of redis://, rediss://, unix://, redis"),
        ("127.0.0.1:6379", "no such scheme"),
        ("redis+sentinal://h/m", r"did you mean redis\+sentinel://\?"),
        ("redis://", "a host is missing"),
        ("redis+cluster://a,,b", "a host is missing"),
        ("redis://a,b", r"more than one host; write redis\+sentinel:// or redis\+cluster://"),
        ("redis://h:0", "a port is not a number from 1 to 65535"),
        ("redis://h:99999", "a port is not a number from 1 to 65535"),
        ("redis://2001:db8::1", r"an IPv6 address stands in \[\]"),
        ("redis://[::1", "a port is not a number"),
        ("redis://h/x", "the database is not a number"),
        ("redis+cluster://h/1", "a cluster has database 0 only"),
        ("redis+cluster://h?db=0", "'db' is no setting of this kind of URL"),
        ("redis+sentinel://h", "the name of the master is missing"),
        ("redis://h?ca=/ca.pem", "ca is a setting of TLS; write rediss"),
        ("rediss://h?caa=/ca.pem", "'caa' is no setting of this kind of URL; known here: ca, cert, key, verify, db"),
        ("rediss://h?ca=", "ca is empty"),
        ("rediss://h?key=/k", "key without cert"),
        ("rediss://h?verify=maybe", "verify is 'maybe'; it is one of host, chain, none"),
        ("unix://run/redis.sock", "a socket needs its absolute path"),
    ],
)
def test_a_malformed_url_is_an_error_that_names_the_setting_and_the_part(url: str, why: str) -> None:
    with pytest.raises(SettingsError, match=f"^FLOODWARDEN_REDIS: .*{why}"):
        load(redis=url)


@pytest.mark.parametrize(
    "url", ["redis://ann:hunter2@h/x", "redis://ann:hunter2@", "redis://ann:hunter2/x@h:1", "reddis://ann:hunter2@h"]
)
def test_no_error_shows_a_password(url: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load(redis=url)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert "hunter2" not in redis_client.shown(url)


def test_what_is_shown_of_a_url_has_no_secret_in_it() -> None:
    url = "rediss+sentinel://u:p@a,[::1]:7/main/4?sentinel_password=s&ca=/ca.pem"
    assert redis_client.shown(url) == "rediss+sentinel://a:26379,[::1]:7/main/4"
    assert redis_client.shown("redis://h") == "redis://h:6379/0"
    assert redis_client.shown("unix://u:p@/run/r") == "unix:///run/r"
    assert redis_client.shown("redis+cluster://u:p@a") == "redis+cluster://a:6379"


def test_a_file_of_tls_that_is_not_there_or_no_certificate_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"FLOODWARDEN_REDIS: ca: no file /none.pem"):
        redis_client.connect("rediss://h?ca=/none.pem", timeout_s=1)
    (tmp_path / "bad.pem").write_text("nothing")
    with pytest.raises(SettingsError, match="FLOODWARDEN_REDIS: ca, cert or key cannot be used"):
        redis_client.connect_async(f"rediss://h?ca={tmp_path}/bad.pem", timeout_s=1)


def test_a_prefix_that_would_scatter_the_keys_of_one_script_is_an_error_where_redis_is_a_cluster() -> None:
    assert load(redis="redis://h", redis_prefix="{a}:").redis_prefix == "{a}:"
    with pytest.raises(SettingsError, match=r"^FLOODWARDEN_REDIS_PREFIX: no braces in it"):
        load(redis="redis+cluster://h", redis_prefix="{}:")
