"""The API over a store, without servers: who gets in, what is refused and how it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
import sqlalchemy as sa
from api_world import ApiWorld, clock_ms
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.testclient import TestClient
from test_enforcer_store import T0, deny, seen, told

from enforcer.api.app import create_app
from enforcer.api.door import Parts, verifier
from enforcer.callers import Role, Scope
from enforcer.store import audit, reading
from enforcer.store.access import Access
from enforcer.store.archive import Archive
from enforcer.store.tables import ACTIONS, POLICIES
from schemas import token_keys
from schemas.action import Target, TargetKind
from schemas.errors import SettingsError
from schemas.exempt import exempt_pairs
from schemas.policies import as_text
from schemas.settings import Settings

BASE = "/api/v1"
PROBLEM = "application/problem+json"


@pytest.fixture
def parts(new_url: Callable[[], str]) -> Iterator[Parts]:
    made = ApiWorld.parts(new_url())
    yield made
    made.engine.dispose()


def client(parts: Parts, role: Role = Role.ADMIN, *only: Scope, tenant: str | None = None) -> TestClient:
    """Somebody with a key of that role."""
    key = Access(parts.engine).create_key("ann", role, "cli:test", clock_ms(), only=only, tenant=tenant)[1]
    return visitor(parts, authorization=f"Bearer {key}")


def visitor(parts: Parts, **headers: str) -> TestClient:
    return TestClient(create_app(parts), base_url="http://t", headers=headers, raise_server_exceptions=False)


def operations(parts: Parts) -> list[tuple[str, str]]:
    paths = create_app(parts).openapi()["paths"]
    return [(method.upper(), path.removeprefix(BASE)) for path, methods in paths.items() for method in methods]


def problem(answer: Any, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    found = answer.json()
    assert (answer.status_code, found["code"], answer.headers["content-type"]) == (status, code, PROBLEM), answer.text
    assert field is None or found["field"] == field
    return dict(found)


def test_nobody_gets_in_without_a_key_that_holds(parts: Parts) -> None:
    gone, text = Access(parts.engine).create_key("x", Role.ADMIN, "cli:test", clock_ms())
    Access(parts.engine).revoke_key(gone.id, "cli:test", clock_ms())
    asking = operations(parts)
    assert len(asking) > 35
    for headers in (
        {},
        {"authorization": f"Bearer {text}"},
        {"x-api-key": "fwk_00_00"},
        {"authorization": "Basic eDp4"},
    ):
        who = visitor(parts, **headers)
        for method, path in asking:
            found = problem(who.request(method, f"{BASE}{path}"), 401, "unauthorized", "authorization")
            assert found["fix"]


def test_a_key_may_what_its_scopes_say_and_nothing_else(parts: Parts) -> None:
    may = {("GET", "/labels"), ("GET", "/appeals"), ("GET", "/me")}
    who = client(parts, Role.ADMIN, Scope.LABELS_READ)
    for method, path in operations(parts):
        status = who.request(method, f"{BASE}{path}").status_code
        assert (status == 200) if (method, path) in may else (status == 403), (method, path, status)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.BOUNCER])
def test_a_role_may_what_the_page_says(parts: Parts, role: Role) -> None:
    text = (Path(__file__).parent.parent / "docs" / "api.md").read_text("utf-8")
    rows = {
        line.split("`")[1]: line
        for line in text.splitlines()
        if line.startswith("| `") and (":read" in line or ":write" in line)
    }
    said: set[str] = set()
    for each in list(Role)[: list(Role).index(role) + 1]:
        said |= {word for word in rows[each].replace("`", " ").replace(",", " ").split() if ":" in word}
    assert set(client(parts, role).get(f"{BASE}/me").json()["scopes"]) == said


def test_what_is_not_there_or_not_understood_is_told_with_field_and_fix(parts: Parts) -> None:
    who = client(parts)
    problem(who.get(f"{BASE}/nothing"), 404, "not_found")
    assert "GET" in who.patch(f"{BASE}/alerts").headers["allow"]
    problem(who.patch(f"{BASE}/alerts"), 405, "method")
    problem(who.get(f"{BASE}/alerts/nothing"), 404, "not_found", "uid")
    problem(who.get(f"{BASE}/alerts?knd=guess"), 422, "bad_value", "knd")
    problem(who.get(f"{BASE}/alerts?limit=0"), 422, "bad_value", "limit")
    problem(who.get(f"{BASE}/alerts?cursor=x"), 422, "bad_value", "cursor")
    problem(who.post(f"{BASE}/denials", content=b"{"), 422, "bad_value")
    body = {"kind": "ip", "value": "203.0.113.9", "seconds": 60, "reason": "x"}
    problem(who.post(f"{BASE}/denials", json=body | {"kind": "planet"}), 422, "bad_value", "kind")
    problem(who.post(f"{BASE}/denials", json=body | {"reason": " "}), 422, "bad_value", "reason")
    problem(who.post(f"{BASE}/denials", json=body | {"seconds": "60"}), 422, "bad_value", "seconds")
    problem(who.post(f"{BASE}/denials", json=body | {"except_from": ["@/etc/passwd"]}), 422, "bad_value", "except_from")
    problem(who.post(f"{BASE}/throttles", json=body), 422, "bad_value", "factor")
    problem(who.delete(f"{BASE}/allows?target=nobody"), 422, "bad_value", "target")
    problem(who.post(f"{BASE}/labels", json={"subject": "action:x", "label": "right"}), 404, "not_found", "uid")
    problem(who.post(f"{BASE}/labels", json={"subject": "ip:x", "label": "right"}), 422, "bad_value", "subject")
    problem(who.get(f"{BASE}/alerts?kind=guess&kind=odd"), 422, "bad_value", "kind")


def test_a_body_without_end_is_cut_off_for_strangers_too(parts: Parts) -> None:
    who, large = visitor(parts), b'{"reason": "' + b"x" * (1 << 20) + b'"}'
    problem(who.put(f"{BASE}/brownout", content=large), 413, "too_large", "body")
    problem(client(parts).put(f"{BASE}/brownout", content=iter([large])), 422, "bad_value")


def test_a_tenants_caller_finds_only_what_is_its_own(parts: Parts) -> None:
    acme = Target(kind=TargetKind.TENANT, value="acme")
    done = [deny("hers", target=acme), deny("client", tenant="acme"), deny("theirs", tenant="bolt"), deny("other")]
    Archive(parts.engine).write(told("actions", done))
    found = [seen("a", 0), seen("b", 60, tenant="acme"), seen("c", 120, tenant="bolt")]
    Archive(parts.engine).write(told("alerts", found))
    who = client(parts, Role.OPERATOR, tenant="acme")
    for path in ("actions", "denials"):
        assert {a["uid"] for a in who.get(f"{BASE}/{path}").json()["items"]} == {"hers", "client"}
    assert [a["uid"] for a in who.get(f"{BASE}/alerts").json()["items"]] == ["b"]
    (incident,) = who.get(f"{BASE}/incidents").json()["items"]
    assert [w["alert"]["uid"] for w in who.get(f"{BASE}/incidents/{incident['uid']}/timeline").json()["items"]] == ["b"]
    told_live = reading.events(parts.engine, 0, 99, None, "acme")
    assert {row["uid"] for row in told_live} == {"hers", "client", "b"}
    for path in ("actions/other", "actions/theirs", "alerts/a", "alerts/c"):
        problem(who.get(f"{BASE}/{path}"), 404, "not_found")
    problem(who.post(f"{BASE}/actions/other/lift", json={"reason": "x"}), 404, "not_found")
    problem(who.post(f"{BASE}/labels", json={"subject": "action:other", "label": "right"}), 404, "not_found")
    body = {"kind": "ip", "value": "203.0.113.9", "seconds": 60, "reason": "x"}
    problem(who.post(f"{BASE}/denials", json=body), 403, "other_tenant", "target")
    problem(who.delete(f"{BASE}/denials?target=tenant:other"), 403, "other_tenant", "target")
    for method, path in (("GET", "audit"), ("GET", "keys"), ("PUT", "brownout"), ("POST", "automation/stop")):
        assert who.request(method, f"{BASE}/{path}").status_code == 403
    for uid in ("hers", "client"):
        assert who.post(f"{BASE}/labels", json={"subject": f"action:{uid}", "label": "right"}).status_code == 201


def test_a_tenants_caller_contests_what_is_done_to_its_client_and_neither_ends_it_nor_decides(parts: Parts) -> None:
    Archive(parts.engine).write(told("actions", [deny("client", tenant="acme"), deny("theirs", tenant="bolt")]))
    who = client(parts, Role.OPERATOR, tenant="acme")
    for path in ("lift", "false-positive"):
        body = {"reason": "our partner"}
        problem(who.post(f"{BASE}/actions/client/{path}", json=body), 403, "other_tenant", "target")
    made = who.post(f"{BASE}/actions/client/appeal", json={"text": "our partner"})
    assert (made.status_code, made.json()["tenant"]) == (201, "acme")
    problem(who.post(f"{BASE}/actions/theirs/appeal", json={"text": "our partner"}), 404, "not_found")
    for tenant, seen_there in (("acme", 1), ("bolt", 0), (None, 1)):
        page = client(parts, Role.VIEWER, tenant=tenant).get(f"{BASE}/appeals").json()
        assert len(page["items"]) == seen_there
    decide = f"{BASE}/appeals/{made.json()['uid']}/decide"
    problem(who.post(decide, json={"accept": True, "reason": "sure"}), 403, "other_tenant", "target")
    judged = client(parts, Role.ANALYST).post(decide, json={"accept": False, "reason": "it was no partner"})
    assert judged.json()["status"] == "rejected"


def test_lists_say_how_many_an_action_spares_and_the_action_alone_whom(parts: Parts) -> None:
    spared = exempt_pairs(("ann", f"203.0.113.{n}") for n in range(200))
    done = [deny("a", exempt=spared, alert_uid="b"), deny("c", alert_uid="b")]
    Archive(parts.engine).write([*told("alerts", [seen("b", 0)]), *told("actions", done)])
    who = client(parts)
    (incident,) = who.get(f"{BASE}/incidents").json()["items"]
    words = who.get(f"{BASE}/incidents/{incident['uid']}/timeline").json()["items"]
    lists = [who.get(f"{BASE}/{path}").json()["items"] for path in ("actions", "denials")]
    for shown in (*lists, [word["action"] for word in words if word["kind"] == "action"]):
        exempt = {action["uid"]: action["exempt"] for action in shown}
        assert exempt == {"a": {"by": "user_ip", "networks": [], "marks": "", "known": 200}, "c": None}
    assert who.get(f"{BASE}/actions/a").json()["exempt"] == spared.model_dump(mode="json") | {"known": 200}
    assert who.get(f"{BASE}/actions/c").json()["exempt"] is None


def test_an_action_stored_before_marks_had_a_column_is_shown_the_same(parts: Parts) -> None:
    spared = exempt_pairs([("ann", "203.0.113.7")])
    action = deny("a", exempt=spared)
    Archive(parts.engine).write(told("actions", [action]))
    with parts.engine.execution_options(writes=True).begin() as at:
        at.execute(sa.update(ACTIONS).values(body=action.model_dump_json(), marks=None))
    who = client(parts)
    assert who.get(f"{BASE}/actions").json()["items"][0]["exempt"] == {
        "by": "user_ip", "networks": [], "marks": "", "known": 1
    }  # fmt: skip
    assert who.get(f"{BASE}/actions/a").json()["exempt"]["marks"] == spared.marks


def test_what_the_caller_has_already_is_not_sent_again(parts: Parts) -> None:
    Archive(parts.engine).write(told("actions", [deny("a")]))
    who = client(parts)
    first = who.get(f"{BASE}/actions/a")
    again = who.get(f"{BASE}/actions/a", headers={"if-none-match": f'"x", {first.headers["etag"]}'})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


def test_a_write_sent_again_with_its_key_is_done_once_and_answered_the_same(parts: Parts) -> None:
    who, body = client(parts), {"subject": "ip:203.0.113.7", "label": "benign"}
    first, again = (who.post(f"{BASE}/labels", json=body, headers={"idempotency-key": "k1"}) for _ in range(2))
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    other = who.post(f"{BASE}/labels", json=body | {"label": "right"}, headers={"idempotency-key": "k1"})
    problem(other, 409, "key_used", "idempotency-key")
    wrong = {"subject": "action:nothing", "label": "right"}
    for _ in range(2):  # what failed left nothing behind
        problem(who.post(f"{BASE}/labels", json=wrong, headers={"idempotency-key": "k2"}), 404, "not_found")
    assert len(reading.listed(parts.engine, reading.LABEL, reading.Wanted(), 9).items) == 1
    made = [
        who.post(f"{BASE}/keys", json={"name": "x", "role": "viewer"}, headers={"idempotency-key": "k3"}) for _ in "ab"
    ]
    assert made[0].json()["key"] != made[1].json()["key"], "a key is shown once and kept nowhere"


def test_every_write_is_in_the_audit_with_who_asked_and_how_it_ended(parts: Parts) -> None:
    who = client(parts)
    who.post(f"{BASE}/labels", json={"subject": "ip:203.0.113.7", "label": "benign"})
    who.post(f"{BASE}/labels", json={"subject": "alert:none", "label": "benign"})
    who.put(f"{BASE}/users/bob", json={"role": "analyst"})
    who.delete(f"{BASE}/users/bob")
    found = reading.audit_tail(parts.engine, 99)[1:]
    assert [entry["verb"] for entry in found] == [
        "api.label.add", "api.label.add", "api.label.add.failed", "api.user.set", "user.set", "api.user.delete",
        "user.deleted",
    ]  # fmt: skip
    assert {entry["actor"] for entry in found} == {"api:ann"}
    assert found[2]["detail"]["code"] == "not_found"
    assert who.get(f"{BASE}/audit/verify").json()["ok"]
    assert audit.verify(parts.engine).entries == 8


def test_a_store_that_does_not_answer_is_a_503_that_names_it(parts: Parts) -> None:
    who = client(parts)
    with parts.engine.begin() as at:
        at.execute(sa.text("ALTER TABLE api_keys RENAME TO gone"))
    found = who.get(f"{BASE}/me")
    problem(found, 503, "store_unreachable", "store")
    assert found.headers["retry-after"]


KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
JWKS = json.dumps(
    {"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())) | {"kid": "k", "use": "sig"}]}
)


@pytest.fixture
def provider() -> Iterator[str]:
    """The URL of an identity provider's keys."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(JWKS.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/jwks"
    server.shutdown()
    thread.join()
    server.server_close()


def token(**claims: Any) -> str:
    said = {"iss": "https://id.example", "aud": "floodwarden", "sub": "ann@example", "exp": time.time() + 60} | claims
    return jwt.encode({k: v for k, v in said.items() if v is not None}, KEY, "RS256", {"kid": "k"})


def test_a_token_of_the_identity_provider_opens_the_door_with_its_role(provider: str, tmp_path: Path) -> None:
    settings = Settings(api_jwks=provider, api_issuer="https://id.example", api_audience="floodwarden")
    parts = ApiWorld.parts(f"sqlite:///{tmp_path}/store.db", settings)

    def asks(**claims: Any) -> Any:
        return visitor(parts, authorization=f"Bearer {token(**claims)}").get(f"{BASE}/me")

    assert asks(role="operator", tenant="acme").json() | {"scopes": []} == {
        "name": "ann@example", "via": "token", "role": "operator", "tenant": "acme", "scopes": [],
    }  # fmt: skip
    for wrong in (
        {"aud": "other"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"exp": None},
        {"role": "king"},
        {"sub": None},
    ):
        problem(asks(**({"role": "admin"} | wrong)), 401, "unauthorized")
    problem(asks(), 403, "forbidden")
    Access(parts.engine).put_user("ann@example", Role.ANALYST, None, "cli:test", T0)
    assert asks().json()["role"] == "analyst"
    parts.engine.dispose()


def test_keys_at_a_url_that_does_not_answer_yet_are_asked_for_again(provider: str) -> None:
    keys = token_keys.Keys("FLOODWARDEN_API", jwks=token_keys.Url("http://127.0.0.1:1/jwks"))
    header = {"alg": "RS256", "kid": "k"}
    assert keys.of(header) is None
    keys._jwks = token_keys.Url(provider)
    assert keys.changed(time.time() + token_keys.LOOK_EVERY_S + 1)
    assert keys.of(header) is not None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"api_jwks": "https://id.example/jwks"}, "API_ISSUER"),
        ({"api_jwks": "https://id.example/jwks", "api_issuer": "x"}, "API_AUDIENCE"),
        ({"api_jwks": "http://id.example/jwks", "api_issuer": "x", "api_audience": "y"}, "https"),
        ({"api_jwks": "/nowhere.json", "api_issuer": "x", "api_audience": "y"}, "API_JWKS: /nowhere.json"),
        ({"api_jwks": "/nowhere.json", "api_issuer": "x", "api_audience": "y", "api_claims": "king=x"}, "API_CLAIMS"),
    ],
)
def test_settings_that_would_let_strangers_in_are_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        verifier(Settings(**given))  # type: ignore[arg-type]


def test_policies_are_shown_with_their_versions(parts: Parts) -> None:
    row = {"name": "site", "state": "enforced", "digest": "d", "author": "ann", "reason": "why", "created_ms": T0}
    with parts.engine.begin() as at:
        at.execute(
            sa.insert(POLICIES), [row | {"version": n, "body": as_text({"a.yaml": b"text %d" % n})} for n in (1, 2)]
        )
    who = client(parts, Role.VIEWER)
    assert [p["version"] for p in who.get(f"{BASE}/policies").json()["items"]] == [2]
    assert [p["version"] for p in who.get(f"{BASE}/policies/site").json()["items"]] == [2, 1]
    assert who.get(f"{BASE}/policies/site/versions/1").json()["files"] == {"a.yaml": "text 1"}
    problem(who.get(f"{BASE}/policies/site/versions/3"), 404, "not_found", "version")
