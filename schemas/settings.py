"""Every setting of every program, from `FLOODWARDEN_*` environment variables; one unknown or malformed is an error."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Final, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from schemas import redis_url, topics
from schemas.errors import SettingsError
from schemas.keys import Keys
from schemas.program_settings import METER_PORT, ProgramSettings
from schemas.targets import parse_targets

PREFIX: Final = "FLOODWARDEN_"
PORTS: Final = {
    "limiter": 8080,
    "stream": 8081,
    "enforcer": 8082,
    "ingest": 8083,
    "api": 8086,
    "meter": METER_PORT,
}  # where a program listens unless `port` says
_SECRET: Final = frozenset({"redis", "secret", "store", "usage_store", "bouncer_keys"})  # not even shown when malformed


class Settings(ProgramSettings):
    """What an operator may set. Units stand last in a name; addresses are `host:port`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    # Enforcer
    allowlist: str = Field("", description="never acted on: `KIND:VALUE` or CIDR, comma separated")
    playbooks: Path | None = Field(
        None,
        description="what is done about which alert: a file or a directory (docs/playbooks.md); what each family "
        "asks for when empty. Read again when it changes",
    )
    actions_per_minute_max: int = Field(600, ge=1, description="most that automation may do in a minute")
    live_share_max: float = Field(
        0.05, gt=0, le=1, description="most of the live clients that may be denied or throttled at once"
    )
    challenge_share_max: float = Field(
        0.25, gt=0, le=1, description="most of the live clients that may be challenged at once, each for its own doings"
    )
    campaign_share_max: float = Field(
        0.5,
        gt=0,
        le=1,
        description="most that may be denied or throttled where an attack of many is answered: most of those live are "
        "then its own; more of them are challenged, and so are all where established clients do not show that it is no "
        "fault of the site",
    )
    tenant_actions_share_max: float = Field(
        0.5, gt=0, le=1, description="most of the actions a minute that clients of one tenant may take"
    )
    good_share_max: float = Field(
        0.05,
        gt=0,
        le=1,
        description="most of the live clients with a good history of their own that may be under action at once",
    )
    live_floor: int = Field(20, ge=0, description="so many may be under action however few clients are live or known")
    history_seconds: int = Field(
        3600,
        ge=60,
        le=30 * 86_400,
        description="an address at which a key or an account fared well over so long is known (docs/playbooks.md)",
    )
    history_bytes_max: int = Field(
        64 << 20, ge=1 << 20, description="memory for the addresses of keys and accounts; when full, the newest stay"
    )
    shared_accounts: int = Field(
        10,
        ge=1,
        description="an address at which so many accounts did not fail in an hour is shared: no denial, no throttle",
    )
    browser_asked: int = Field(
        4,
        ge=0,
        le=100,
        description="so many times is an address that comes with a browser challenged in place of a denial; 0: never",
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
