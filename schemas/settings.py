"""Every setting of every program, from `FLOODWARDEN_*` environment variables; one unknown or malformed is an error."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas import redis_url, topics
from schemas.errors import SettingsError
from schemas.keys import Keys
from schemas.targets import parse_targets

PREFIX: Final = "FLOODWARDEN_"
PORTS: Final = {
    "limiter": 8080,
    "stream": 8081,
    "enforcer": 8082,
    "ingest": 8083,
    "api": 8086,
    "meter": 8085,
}  # where a program listens unless `port` says
_SECRET: Final = frozenset({"redis", "secret", "store", "usage_store", "bouncer_keys"})  # not even shown when malformed


class Settings(BaseSettings):
    """What an operator may set. Units stand last in a name; addresses are `host:port`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

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
        "proxy names them. Read again when they change. Needs floodwarden[geoip]",
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
        None, description="directory of crawlers' published ranges (googlebot.json, ...): these are verified by them"
    )
    snapshot_every_ms: int = Field(2000, ge=100, description="how often a worker keeps its state, and commits")
    supervised_restart_ms: int = Field(500, ge=0, description="`up` starts a program that fell over after so long")

    # Usage
    meter: str = Field(f"127.0.0.1:{PORTS['meter']}", description="where `floodwarden usage` finds the meter")
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

    # Enforcer
    allowlist: str = Field("", description="never acted on: `KIND:VALUE` or CIDR, comma separated")
    playbooks: Path | None = Field(
        None,
        description="what is done about which alert: a file or a directory (docs/playbooks.md); what each family "
        "asks for when empty. Read again when it changes",
    )
    actions_per_minute_max: int = Field(600, ge=1, description="most that automation may do in a minute")
    live_share_max: float = Field(
        0.05, gt=0, le=1, description="most of the live clients that may be under action at once"
    )
    campaign_share_max: float = Field(
        0.5,
        gt=0,
        le=1,
        description="the same where an attack of many is answered: most of those live are then its own, and "
        "where established clients do not show that it is no fault of the site, its members are challenged at the most",
    )
    tenant_actions_share_max: float = Field(
        0.5, gt=0, le=1, description="most of the actions a minute that clients of one tenant may take"
    )
    live_floor: int = Field(20, ge=0, description="so many may be under action however few clients are live or known")
    shared_accounts: int = Field(
        10,
        ge=1,
        description="an address at which so many accounts did not fail in an hour is shared: challenged at the most",
    )
    deny_seconds: int = Field(600, ge=1, description="length of a first denial or challenge by automation")
    throttle_seconds: int = Field(600, ge=1, description="length of a first throttle by automation")
    throttle_factor: float = Field(0.1, gt=0, le=1, description="what a throttle leaves of limits")
    escalation: float = Field(4.0, ge=1, description="each repeat lasts this many times longer")
    quiet_seconds: int = Field(21_600, ge=1, description="so long without an action takes a target one rung down")
    action_seconds_max: int = Field(86_400, ge=1, description="no action of automation is longer, repeated or not")
    bouncer_keys: SecretStr = Field(
        SecretStr(""), description="keys of CrowdSec's bouncers: NAME=KEY, comma separated (docs/bouncers.md)"
    )
    bouncer_scoped: bool = Field(
        False, description="tell bouncers of denials on one route too; they deny the client everywhere"
    )
    store: SecretStr = Field(
        SecretStr(""),
        description="where alerts, actions, labels, keys and the audit are kept: sqlite:///FILE or "
        "postgresql+psycopg://USER:PASSWORD@HOST/DB; `enforcer.db` in `data_dir` when empty (docs/api.md)",
    )
    store_days: int = Field(
        90, ge=1, le=3650, description="alerts, incidents and actions are deleted so long after they ended"
    )
    api_port: int = Field(0, ge=0, le=65535, description="port of the enforcer's API (docs/api.md); 0 = off")
    api_policies: Path | None = Field(None, description="policy that limits callers of the API; built in when empty")
    api_jwks: str = Field(
        "", description="keys that verify tokens of the API's callers: a JWKS file, or the URL of one (OIDC `jwks_uri`)"
    )
    api_issuer: str = Field("", description="the `iss` a caller's token must have; needed with `api_jwks`")
    api_audience: str = Field("", description="the `aud` a caller's token must have; needed with `api_jwks`")
    api_claims: str = Field(
        "name=sub,role=role,tenant=tenant",
        description="what a caller's token says: name, role, tenant, each `=CLAIM` or `=CLAIM.NESTED`",
    )
    brownout: str = Field(
        "auto", description="`auto`, `observe`, `off`, or a file of when one begins (docs/brownout.md)"
    )
    notices: Path | None = Field(
        None, description="who is told of incidents and how: a file of destinations and routes (docs/notices.md)"
    )
    notices_private: str = Field(
        "",
        description="private networks in which notices may be delivered, CIDRs, comma separated; else public addresses "
        "alone: what a destination's name leads to is somebody else's word",
    )
    dry_run: bool = Field(False, description="plan and explain actions, and do none")

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

    @model_validator(mode="after")
    def _one_slot(self) -> Self:
        cluster = redis_url.parse(self.redis).kind is redis_url.Kind.CLUSTER
        if cluster and not {"{", "}"}.isdisjoint(self.redis_prefix):
            # A brace would take the place of the hash tags that hold the keys of one script together.
            raise ValueError(f"{PREFIX}REDIS_PREFIX: no braces in it where Redis is a cluster; they name hash slots")
        return self

    @property
    def login_globs(self) -> tuple[str, ...]:
        """`login_routes` as globs."""
        return tuple(glob.strip() for glob in self.login_routes.split(",") if glob.strip())

    @property
    def registry(self) -> Path:
        """Where registered models are."""
        return self.models or self.data_dir / "models"

    @property
    def keys(self) -> Keys:
        """Names of Redis keys under this installation's prefix."""
        return Keys(self.redis_prefix)

    def topic(self, topic: topics.Topic) -> str:
        """Full name of a topic of this installation."""
        return topic.full(self.topic_prefix)


def load(**overrides: object) -> Settings:
    """Settings from the environment; `overrides` (command-line options) win.

    Raises:
        SettingsError: an unknown `FLOODWARDEN_*` variable or a malformed value; the message names it and the fix.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name.removeprefix(PREFIX).lower(), Settings.model_fields, 1)
            meant = f"did you mean {PREFIX}{near[0].upper()}? " if near else ""
            raise SettingsError(f"{name} is not a setting; {meant}`floodwarden settings` lists them all")
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(_why(error)) from None  # the cause would show what was given, secrets too
    parse_targets(settings.allowlist, PREFIX + "ALLOWLIST")
    return settings


def _why(error: ValidationError) -> str:
    first = error.errors()[0]
    why = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # of several settings together: it names them itself
        return why
    name = str(first["loc"][0])
    got = "" if name in _SECRET else f" (got {first['input']!r})"
    return f"{PREFIX}{name.upper()}: {why}{got}"
