"""Models over the API: seen by viewers, ordered by operators, once, and audited."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from api_world import ApiWorld, clock_ms
from starlette.testclient import TestClient
from test_model_registry import agreement, registered, tried

from detectors import artifact
from enforcer.api.app import create_app
from enforcer.api.bounded import BYTES_MAX, FILE_BYTES_MAX
from enforcer.callers import Role
from enforcer.store import reading
from enforcer.store.access import Access
from floodwarden.model_orders import inspect, judge
from schemas.model_registry import Registry
from schemas.settings import Settings
from stream.model_watch import ModelWatch

FILE = {"content-type": "application/octet-stream"}
SOON = {"reason": "quieter", "wait_seconds": 0}


def asking(path: Path) -> tuple[Settings, Any]:
    """Settings with two versions registered, and somebody with a role who asks."""
    settings = Settings(data_dir=path)
    registered(settings, 1.0, 2.0)
    parts = replace(ApiWorld.parts(f"sqlite:///{path}/store.db", settings), judge=judge, inspect=inspect)
    app = create_app(parts)

    def who(role: Role, tenant: str | None = None) -> TestClient:
        key = Access(parts.engine).create_key(f"{role}-{tenant}", role, "cli:test", clock_ms(), tenant=tenant)[1]
        return TestClient(app, base_url="http://t/api/v1", headers={"x-api-key": key})

    who.engine = parts.engine  # type: ignore[attr-defined] # the audit is read beside
    return settings, who


def test_a_version_is_shadowed_compared_promoted_and_taken_back_over_the_api(tmp_path: Path) -> None:
    settings, who = asking(tmp_path)
    bob, vic, registry = who(Role.OPERATOR), who(Role.VIEWER), Registry(settings.registry)
    assert [(m["version"], m["state"]) for m in vic.get("/models").json()["items"]] == [
        (2, "registered"),
        (1, "registered"),
    ]
    worker = ModelWatch(settings, "w")
    worker.start(clock_ms())
    bob.post("/models/2/shadow", json=SOON)
    worker.look(clock_ms())
    worker.say(clock_ms(), {0: agreement()})
    told = bob.post("/models/2/shadow", json=SOON | {"wait_seconds": 30}).json()
    assert (told["ok"], told["shadow"], [w["node"] for w in told["workers"]]) == (True, 2, ["w"])
    compared = vic.get("/models/2/agreement").json()
    assert (compared["total"]["only_shadow"], compared["only_shadow"][0]["entity"]) == (1, "192.0.2.1")
    refused = bob.post("/models/2/promote", json=SOON)
    assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (409, "untried", "version")
    tried(registry, 2)
    assert bob.post("/models/2/promote", json=SOON).json()["live"] == 2
    shown = vic.get("/models/2").json()
    assert (shown["state"], shown["trial"]["decisions"], shown["thresholds"]["guess"]["ip"] > 0) == ("live", 100, True)
    assert vic.get("/models/order").json()["ok"] is False, "no worker has taken it yet"
    back = bob.post("/models/rollback", json=SOON).json()
    assert (back["live"], back["author"], back["reason"]) == (0, "api:operator-None", "quieter")
    assert bob.delete("/models/shadow").json()["shadow"] == 0


def test_an_order_sent_twice_with_its_key_is_given_once_and_the_audit_has_who(tmp_path: Path) -> None:
    settings, who = asking(tmp_path)
    bob, once = who(Role.OPERATOR), {"idempotency-key": "k"}
    first, again = (bob.post("/models/1/promote", json=SOON | {"force": True}, headers=once) for _ in range(2))
    assert (first.json(), again.headers["idempotency-replayed"]) == (again.json(), "true")
    assert Registry(settings.registry).order().serial == 1
    entry = reading.audit_tail(who.engine, 1)[0]
    assert (entry["actor"], entry["verb"], entry["subject"], entry["detail"]["force"]) == (
        "api:operator-None", "api.model.promote", "1", True,
    )  # fmt: skip


def test_a_model_is_registered_by_sending_its_file_and_the_same_file_keeps_its_version(tmp_path: Path) -> None:
    settings, who = asking(tmp_path)
    bob, shipped = who(Role.OPERATOR), Path(artifact.__file__).with_name("data") / "default.npz"
    assert shipped.stat().st_size > BYTES_MAX, "a model is more than other bodies may be"
    made, again = (bob.post("/models?reason=spring", content=shipped.read_bytes(), headers=FILE) for _ in range(2))
    assert (made.status_code, made.json(), made.json()["state"]) == (201, again.json(), "registered")
    assert (made.json()["version"], made.json()["author"], made.json()["reason"]) == (
        3, "api:operator-None", "spring",
    )  # fmt: skip
    assert made.json()["content"] == artifact.load().version == bob.get("/models/3").json()["content"]
    assert Registry(settings.registry).data(3) == shipped.read_bytes()
    entry = reading.audit_tail(who.engine, 1)[0]
    assert (entry["verb"], entry["detail"]["bytes"]) == ("api.model.register", shipped.stat().st_size)


def test_what_is_no_model_is_not_registered_and_why_is_said(tmp_path: Path) -> None:
    settings, who = asking(tmp_path)
    bob = who(Role.OPERATOR)
    for wrong in (b"", b"PK\x05\x06" + bytes(18), b'{"a": 1}', Path(__file__).read_bytes()):
        told = bob.post("/models", content=wrong, headers=FILE)
        assert told.status_code == 422, told.text
    assert (told.json()["field"], "not a Floodwarden model" in told.json()["detail"]) == ("file", True)
    assert bob.post("/models", content=bytes(FILE_BYTES_MAX + 1), headers=FILE).status_code == 413
    assert who(Role.ANALYST).post("/models", content=b"x", headers=FILE).status_code == 403
    assert len(Registry(settings.registry).versions()) == 2


def test_only_who_may_orders_models_and_no_tenant_sees_them(tmp_path: Path) -> None:
    _, who = asking(tmp_path)
    for role, tenant, status in ((Role.ANALYST, None, 403), (Role.OPERATOR, "acme", 403), (Role.OPERATOR, None, 404)):
        assert who(role, tenant).post("/models/9/promote", json=SOON).status_code == status
    assert who(Role.VIEWER, "acme").get("/models").status_code == 403
    for wrong in ("/models/9", "/models/1/agreement"):
        found = who(Role.VIEWER).get(wrong)
        assert (found.status_code, found.json()["field"]) == (404, "version")
    assert who(Role.VIEWER).get("/models/9/agreement").json()["detail"] == "there is no version 9"
