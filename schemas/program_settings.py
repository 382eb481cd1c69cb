"""Settings of all programs but the enforcer: servers, topics, limiter, ingest, stream, usage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings

from schemas import redis_url, topics

METER_PORT: Final = 8085


class ProgramSettings(BaseSettings):
    """What an operator may set for them."""

    # Where the world is
    kafka: str = Field("127.0.0.1:9092", min_length=1, description="bootstrap servers, comma separated")
    redis: str = Field(
        "redis://127.0.0.1:6379/0",
        description="redis://[USER:PASSWORD@]HOST:PORT/DB, unix:///PATH, redis+sentinel://HOST,HOST/MASTER/DB or "
        "redis+cluster://HOST,HOST; with TLS rediss: `?ca=FILE&cert=FILE&key=FILE&verify=host|chain|none`",
    )
    topic_prefix: str = Field("floodwarden.", description="what names of Kafka topics begin with")
    redis_prefix: str = Field("fw:", description="what names of Redis keys begin with")
    data_dir: Path = Field(Path("var"), description="snapshots and spools")
    node: str = Field(
        "",
        description="this process's name, no other's; its host name and port when empty. A stream worker with a name "
        "gets its own partitions back when it starts again, without a rebalance",
    )
    host: str = Field("127.0.0.1", description="address services listen on")
    port: int = Field(0, ge=0, le=65535, description="port services listen on; 0 = each program's own")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="debug, info, warning or error")
    log_format: Literal["console", "json"] = Field("console", description="for people, or json: an object a line")
    secret: SecretStr = Field(SecretStr("change-me"), description="keys the hash of API keys; the same on every node")

    # Topics
    decisions_partitions: int = Field(
        topics.DECISIONS.partitions, ge=1, le=1024, description="of the topic `decisions`, where we make it"
    )
    usage_partitions: int = Field(
        topics.USAGE.partitions, ge=1, le=1024, description="of `usage`: at most so many workers detect at once"
    )

    # Limiter
    policies: Path | None = Field(
        None, description="policy file, or a directory of them (docs/policies.md); a built-in policy when empty"
    )
    policy_name: str = Field(
        "main",
        pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$",
        description="policy of the store that limiters take where one was applied; `policies` holds until then",
    )
    redis_deadline_ms: float = Field(5.0, gt=0, description="so long a check waits for Redis (docs/redis.md)")
    known_nodes: int = Field(
        1, ge=1, description="limiter nodes sharing the limits, for the local share while Redis is away"
    )
    local_factor: float = Field(
        1.0,
        ge=0.01,
        le=100,
        description="a node's share of a limit while Redis is away is limit / nodes x this, at most the limit: below 1 "
        "is stricter, above 1 for clients that stick to one node",
    )
    trusted_proxies: str = Field("127.0.0.0/8,::1/128", description="CIDRs whose `client_header` is believed")
    client_header: Literal["x-forwarded-for", "forwarded", "x-real-ip"] = Field(
        "x-forwarded-for", description="the one header in which trusted proxies name the client; no other is read"
    )
    key_header: str = Field("x-api-key", description="header with the API key; `Authorization: Bearer` counts too")
    user_header: str = Field("x-user", description="header in which a trusted proxy names the user")
    tenant_header: str = Field("x-tenant", description="header in which a trusted proxy names the tenant")
    country_header: str = Field(
        "", description="header in which a trusted proxy names the client's country (DE); empty: none"
    )
    asn_header: str = Field(
        "", description="header in which a trusted proxy names the client's network (64500); empty: none"
    )
    geoip: str = Field(
        "",
        description="databases in MaxMind's format, comma separated: a client's country and network where no trusted "
        "proxy, and no row made elsewhere, names them. Read again when they change. Needs floodwarden[geoip]",
    )
    service: str = Field(
        "", max_length=64, description="the service this node stands before, for policies that tell them apart"
    )
    grpc_port: int = Field(
        0, ge=0, le=65535, description="port of Envoy's rate limit service (gRPC); 0 = off. Needs floodwarden[envoy]"
    )
    envoy_descriptors: str = Field(
        "", description="what more keys of Envoy's descriptors mean: KEY=MEANING, comma separated (docs/gateways.md)"
    )
    jwt_header: str = Field("authorization", description="header with a JWT; in `Authorization` after `Bearer`")
    jwt_secret: SecretStr = Field(SecretStr(""), description="verifies HMAC tokens; at least 32 bytes")
    jwt_public_key: Path | None = Field(None, description="verifies RSA, EC or Ed25519 tokens: a PEM file")
    jwt_jwks: Path | None = Field(
        None, description="the same with several keys: a JWKS file, read again when it changes"
    )
    jwt_issuer: str = Field("", description="the `iss` a token must have; any when empty")
    jwt_audience: str = Field("", description="the `aud` a token must have; any when empty")
    jwt_claims: str = Field(
        "user=sub", description="what verified claims say: user, tenant, tier, key, each `=CLAIM` or `=CLAIM.NESTED`"
    )
    publish_batch_rows: int = Field(2000, ge=1, le=5000, description="rows of one message, at most")
    publish_linger_ms: int = Field(50, ge=1, description="so long a row waits for others to go with")
    publish_queue_rows: int = Field(200_000, ge=1, description="rows in memory on their way to the broker, at most")
    publish_patience_ms: int = Field(
        1000, ge=100, description="a broker that leaves a batch unanswered for longer is away: rows go to disk"
    )
    spool_bytes_max: int = Field(
        512 << 20, ge=0, description="rows on disk while the broker is away, at most; 0 = none, memory alone"
    )
    sample_allowed: float = Field(
        1.0,
        ge=0.001,
        le=1,
        description="share of the allowed rows that is published, each with the weight of those it stands for; never "
        "of refusals, errors and logins. Sums stay right on average, distinct counts do not: for very high rates",
    )

    # Ingest
    ingest: Path | None = Field(None, description="mapping file of `floodwarden ingest` (YAML, docs/ingest.md)")

    # Stream
    lateness_ms: int = Field(
        2000, ge=0, description="how far behind the newest event one may come and still be in time"
    )
    idle_ms: int = Field(3000, ge=100, description="a silent partition holds the watermark back this long")
    skew_ms: int = Field(
        2000, ge=100, description="a node's clock may be off from the broker's by so much; beyond it its rows are moved"
    )
    session_s: int = Field(
        6,
        ge=6,
        le=300,
        description="a stream worker that is silent for so long loses its partitions; one with a name that is back by "
        "then moves nothing, so where a restart takes longer, make it longer",
    )
    shed_behind_ms: int = Field(
        60_000,
        ge=0,
        description="who is further behind than this and falls further behind samples, with weights, and says so; 0 = "
        "never: windows stay exact, and late without limit",
    )
    entities_max: int = Field(
        300_000, ge=100, description="entities of each kind whose windows are held, in one usage partition"
    )
    state_bytes_max: int = Field(
        1 << 30,
        ge=16 << 20,
        description="memory for the state of one usage partition; when full, who matters least goes",
    )
    login_routes: str = Field(
        "*login*,*signin*,*sign-in*,*/token,*wp-login*,*/auth",
        description="route globs that take a credential; behind `=` the "
        "statuses that a failed login has there beside 400, 401, 403 and 422: *wp-login*=200",
    )
    model: Path | None = Field(None, description="trained artifact; the shipped one when empty")
    models: Path | None = Field(
        None,
        description="directory of registered models, which workers share (docs/models.md); `models` in `data_dir` when "
        "empty. The version that is live there goes before `model`",
    )
    false_alarms: str = Field(
        "",
        description="false alarms a day that families of evidence may give between them, and of some by name: `0.5`, "
        "`odd=2` or `0.5,odd=2`; .02 each when empty",
    )
    families: Path | None = Field(None, description="file or directory of own evidence families, beside the built-in")
    rules: str = Field(
        "builtin",
        description="rules and signatures in force, comma separated: `builtin`, `crowdsec`, files or directories of "
        "yours (docs/rules.md), or `none`",
    )
    bots: Path | None = Field(
        None,
        description="directory of what is known of where crawlers come from: published ranges (googlebot.json, ...), "
        "addresses looked up (docs/rules.md)",
    )
    history_every_seconds: int = Field(
        600, ge=10, description="how often it is told from which addresses keys and accounts are known (event time)"
    )
    snapshot_every_ms: int = Field(2000, ge=100, description="how often a worker keeps its state, and commits")
    supervised_restart_ms: int = Field(500, ge=0, description="`up` starts a program that fell over after so long")

    # Usage
    meter: str = Field(f"127.0.0.1:{METER_PORT}", description="where `floodwarden usage` finds the meter")
    usage_store: SecretStr = Field(
        SecretStr(""),
        description="where the meter keeps usage: sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/DB; "
        "`usage.db` in `data_dir` when empty",
    )
    usage_heaviest: int = Field(
        5000,
        ge=10,
        le=1_000_000,
        description="clients of a kind kept a minute, of a usage partition; the rest is summed",
    )
    usage_by_minute_hours: int = Field(2, ge=1, le=168, description="usage older than this is kept by the hour")
    usage_hours: int = Field(24, ge=1, le=168, description="usage older than this is deleted")

    @field_validator("login_routes")
    @classmethod
    def _says_statuses(cls, routes: str) -> str:
        for glob in routes.split(","):
            _, told, statuses = glob.partition("=")
            if told and not all(re.fullmatch(r"\s*[1-5]\d\d\s*", status) for status in statuses.split("|")):
                raise ValueError(f"{glob.strip()!r} does not name statuses; write *wp-login*=200 or *login*=200|302")
        return routes

    @field_validator("redis")
    @classmethod
    def _opens(cls, url: str) -> str:
        redis_url.parse(url)
        return url
