"""Looks at everything an installation needs, and says of each what to do where it is not well."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sized
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from detectors.errors import ArtifactError
from enforcer import command
from enforcer.errors import CommandError
from floodwarden import clocks, embedded, topics
from floodwarden.diagnosis import Check, Level
from floodwarden.doctor_brownout import brownout
from floodwarden.doctor_files import files
from floodwarden.doctor_services import ingest, meter, notices, store
from floodwarden.errors import UnreachableError
from limiter import policy_file
from limiter.errors import PolicyError
from limiter.spool_directory import nearest, writable
from schemas import redis_client
from schemas.errors import FileError
from schemas.model_registry import Registry
from schemas.redis_url import Kind, parse
from schemas.settings import Settings
from schemas.topics import DECISIONS
from stream.models import configured

TIMEOUT_S: Final = 3.0
SLOW_REDIS_MS: Final = 2.0
SLOW_KAFKA_MS: Final = 200.0
NODE_LIVE_MS: Final = 5000


def examine(settings: Settings) -> Iterator[Check]:
    """Every check, one after the other, the quick ones first; none raises."""
    yield _versions()
    yield from settings_checks(settings)
    yield _policy(settings)
    yield from files(settings)
    yield _model(settings)
    yield _kafka(settings)
    yield _topics(settings)
    yield _clocks(settings)
    yield from _redis(settings)
    yield brownout(settings)
    yield store(settings)
    yield meter(settings)
    yield from ingest(settings)
    yield from notices(settings)
    if "kafka" not in settings.model_fields_set:  # who names one needs none of ours
        yield _embedded("embedded broker", embedded.why_no_broker)
    if "redis" not in settings.model_fields_set:
        yield _embedded("embedded Redis", embedded.why_no_redis)


def _versions() -> Check:
    try:
        own = version("floodwarden")
    except PackageNotFoundError:
        return Check("version", Level.WARN, "not installed as a package", "pip install -e . in the checkout")
    names = ("faust-streaming", "aiokafka", "confluent-kafka", "redis", "scikit-learn")
    parts = ", ".join(f"{name} {version(name)}" for name in names)
    return Check("version", Level.OK, f"floodwarden {own}, Python {platform.python_version()}, {parts}")


def settings_checks(settings: Settings) -> Iterator[Check]:
    """What can be said of settings and disk without asking anybody."""
    stated = sorted(name for name in settings.model_fields_set if name != "secret")
    yield Check("settings", Level.OK, f"set: {', '.join(stated)}" if stated else "all defaults")
    if settings.secret.get_secret_value() == Settings.model_fields["secret"].default.get_secret_value():
        fix = "set FLOODWARDEN_SECRET to a long random word, the same on every limiter"
        yield Check("secret", Level.WARN, "the default, which everybody knows", fix)
    yield _writable(settings.data_dir)
    yield _spool(settings)


def _writable(directory: Path) -> Check:
    if writable(directory):
        return Check("data", Level.OK, f"{directory} can be written")
    return Check(
        "data", Level.FAIL, f"{nearest(directory)} cannot be written", "set FLOODWARDEN_DATA_DIR to a directory of ours"
    )


def _spool(settings: Settings) -> Check:
    directory = settings.data_dir / "spool"
    if not settings.spool_bytes_max:
        fix = "set FLOODWARDEN_SPOOL_BYTES_MAX above 0"
        return Check("spool", Level.WARN, "off: rows are lost when the broker is away for long", fix)
    if not writable(directory):
        fix = "let limiters write there, or set FLOODWARDEN_DATA_DIR: rows are lost when the broker is away for long"
        return Check("spool", Level.WARN, f"{nearest(directory)} cannot be written", fix)
    free = shutil.disk_usage(nearest(directory)).free
    seen = f"{directory}: at most {settings.spool_bytes_max >> 20} MiB a limiter, {free >> 20} MiB free"
    if free < settings.spool_bytes_max:
        return Check("spool", Level.WARN, seen, "free the disk or lower FLOODWARDEN_SPOOL_BYTES_MAX")
    return Check("spool", Level.OK, seen)


def _policy(settings: Settings) -> Check:
    try:
        policy = policy_file.load(settings.policies)
    except PolicyError as error:
        return Check("policy", Level.FAIL, str(error), "correct the file that FLOODWARDEN_POLICIES names")
    return Check("policy", Level.OK, f"{policy.name}: {_many(policy.limits, 'limit')}, {_many(policy.tiers, 'tier')}")


def _model(settings: Settings) -> Check:
    try:
        model = configured(settings)
    except FileError:  # of the families: told above
        return Check("model", Level.WARN, "cannot be looked at without families", "first correct these")
    except (ArtifactError, OSError) as error:
        fix = "`floodwarden model rollback`, train one with `floodwarden train`, or unset FLOODWARDEN_MODEL"
        return Check("model", Level.FAIL, str(error), fix)
    live = Registry(settings.registry).order().live
    which = f"version {live}" if live else settings.model or "the shipped one"
    learned = "" if live or settings.model else "; it learned from simulated traffic: train one on a day of yours"
    return Check("model", Level.OK, f"{which}, model {model.version}{learned}")


def _kafka(settings: Settings) -> Check:
    admin = AdminClient({"bootstrap.servers": settings.kafka, "log_level": 0})
    started = time.perf_counter()
    try:
        brokers = len(admin.list_topics(timeout=TIMEOUT_S).brokers)
        started = time.perf_counter()
        admin.list_topics(timeout=TIMEOUT_S)
    except KafkaException as error:
        fix = "start it or set FLOODWARDEN_KAFKA; `floodwarden up` brings its own"
        return Check("kafka", Level.FAIL, f"{settings.kafka}: {topics.reason(error)}", fix)
    took_ms = (time.perf_counter() - started) * 1000
    seen = f"{settings.kafka}: {brokers} broker{'s' * (brokers != 1)}, answers in {took_ms:.1f} ms"
    if took_ms > SLOW_KAFKA_MS:
        return Check("kafka", Level.WARN, seen, "slow: detection lags by at least this; look at its load and network")
    return Check("kafka", Level.OK, seen)


def _topics(settings: Settings) -> Check:
    try:
        states = topics.states(settings)
    except UnreachableError as error:
        return Check("topics", Level.FAIL, str(error), "first make Kafka reachable")
    missing = [s.name for s in states if not s.partitions]
    if missing:
        return Check("topics", Level.FAIL, f"missing: {', '.join(missing)}", "make them with `floodwarden topics`")
    other = [f"{s.name} has {s.partitions}, not {s.partitions_wanted}" for s in states if not s.as_wanted]
    if other:
        fix = "set FLOODWARDEN_DECISIONS_PARTITIONS and FLOODWARDEN_USAGE_PARTITIONS to what is there"
        return Check("topics", Level.FAIL, "; ".join(other), fix)
    return Check("topics", Level.OK, f"all {len(states)} there under {settings.topic_prefix}*")


def _clocks(settings: Settings) -> Check:
    try:
        skews = clocks.skews_ms(settings)
    except UnreachableError as error:
        return Check("clocks", Level.FAIL, str(error), "first make Kafka and its topics reachable")
    if skews is None:
        fix = (
            f"where nodes are on several machines: message.timestamp.type=LogAppendTime on {settings.topic(DECISIONS)}"
        )
        return Check("clocks", Level.WARN, "decisions are stamped by who sends them: a wrong clock goes unnoticed", fix)
    wrong = {node: ahead_ms for node, ahead_ms in sorted(skews.items()) if abs(ahead_ms) > settings.skew_ms}
    if wrong:
        seen = ", ".join(f"{n} {abs(ms) / 1000:.1f} s {'ahead' if ms > 0 else 'behind'}" for n, ms in wrong.items())
        return Check("clocks", Level.WARN, f"{seen} of the broker's", "their rows are set right; let them ask NTP")
    return Check(
        "clocks", Level.OK, f"{len(skews)} node{'s' * (len(skews) != 1)} within {settings.skew_ms} ms of the broker"
    )


def _redis(settings: Settings) -> Iterator[Check]:
    try:
        with connect(settings) as client:
            client.ping()
            if parse(settings.redis).kind is not Kind.CLUSTER and _is_cluster(client):
                fix = "write redis+cluster:// for redis:// (rediss+cluster:// for rediss://), and drop the database"
                yield Check("redis", Level.FAIL, f"{redis_client.shown(settings.redis)} is a node of a cluster", fix)
                return
            yield _latency(settings, client)
            yield limiters(settings, client)
            yield from _automation(settings)
    except (redis.RedisError, ValueError) as error:
        fix = f"{redis_client.fix_of(error)}; meanwhile limiters use conservative local limits"
        yield Check("redis", Level.FAIL, f"{redis_client.shown(settings.redis)}: {error}", fix)


def _automation(settings: Settings) -> Iterator[Check]:
    """That somebody stopped automation; nothing where nobody did, or no enforcer ever was."""
    try:
        found = command.holds(settings)
    except CommandError:
        return
    for hold in found:
        until = time.strftime("%Y-%m-%d %H:%M", time.localtime(hold.expires_ms / 1000))
        seen = f"stopped until {until} by {hold.owner}: {hold.reason}"
        yield Check("automation", Level.WARN, seen, "`floodwarden resume` lets it act again")


def connect(settings: Settings) -> redis.Redis:
    """A client of the installation's Redis that answers text, and gives up after `TIMEOUT_S`."""
    return redis_client.connect(settings.redis, timeout_s=TIMEOUT_S, text=True)


def _is_cluster(client: redis.Redis) -> bool:
    try:
        return bool(dict(client.info("cluster")).get("cluster_enabled"))
    except redis.exceptions.NoPermissionError:  # an ACL user need not see it
        return False


def _latency(settings: Settings, client: redis.Redis) -> Check:
    times = []
    for _ in range(20):
        started = time.perf_counter()
        client.ping()
        times.append((time.perf_counter() - started) * 1000)
    middle_ms = sorted(times)[len(times) // 2]
    where = redis_client.shown(settings.redis)
    seen = f"{where}: answers in {middle_ms:.2f} ms (p50)"
    if middle_ms > min(SLOW_REDIS_MS, settings.redis_deadline_ms / 2):
        return Check("redis", Level.WARN, seen, f"close to the {settings.redis_deadline_ms:g} ms a check waits for it")
    return Check("redis", Level.OK, seen)


def limiters(settings: Settings, client: redis.Redis) -> Check:
    """Whether limiters follow what is in force, and which are behind. Raises `redis.RedisError`."""
    keys = settings.keys
    now_ms = time.time_ns() // 1_000_000
    beats = {str(name): int(at) for name, at in dict(client.hgetall(keys.nodes)).items()}
    live = sorted(name for name, at_ms in beats.items() if now_ms - at_ms < NODE_LIVE_MS)
    version_now = client.hget(keys.enforcement, "version")
    if version_now is None:
        return Check(
            "feed", Level.WARN, "no enforcement snapshot yet", "the enforcer writes it: `floodwarden enforcer`"
        )
    if not live:
        return Check("feed", Level.WARN, "no limiter follows it", "start one: `floodwarden limiter`")
    acks = {str(name): int(str(text).split()[0]) for name, text in dict(client.hgetall(keys.acks)).items()}
    behind = [name for name in live if acks.get(name, 0) < int(version_now)]
    seen = f"version {int(version_now)}, {len(live)} limiter{'s' * (len(live) != 1)} live"
    if behind:
        return Check("feed", Level.WARN, f"{seen}, behind: {', '.join(behind)}", "look at /readyz and the log of these")
    return Check("feed", Level.OK, f"{seen} and up to date")


def _embedded(name: str, why_not: Callable[[], str | None]) -> Check:
    reason = why_not()
    return Check(name, Level.WARN, "not installed", reason) if reason else Check(name, Level.OK, "installed")


def _many(things: Sized, what: str) -> str:
    return f"{len(things)} {what}{'s' * (len(things) != 1)}"
