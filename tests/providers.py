"""Local stand-ins of those who are notified: each holds what it gets against what its provider documents.

Slack: incoming webhooks and Block Kit (docs.slack.dev). PagerDuty: Events API v2, which opens one incident for a
`dedup_key` until that is resolved. Alertmanager: `postableAlerts` of its OpenAPI document. OCSF 1.5: Detection Finding.
ECS 8: the allowed values of its categorization fields.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jsonschema_rs

TIME = {"type": "string", "format": "date-time"}


def text(most: int, kind: str = "plain_text") -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "text"],
        "properties": {
            "type": {"const": kind},
            "text": {"type": "string", "minLength": 1, "maxLength": most},
            "emoji": {"type": "boolean"},
            "verbatim": {"type": "boolean"},
        },
        "additionalProperties": False,
    }


def block(kind: str, required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", *required],
        "properties": {"type": {"const": kind}, **properties},
        "additionalProperties": False,
    }


SECTION = {
    **block(
        "section", [], text={"anyOf": [text(3000), text(3000, "mrkdwn")]},
        fields={"type": "array", "minItems": 1, "maxItems": 10, "items": {"anyOf": [text(2000), text(2000, "mrkdwn")]}},
    ),
    "anyOf": [{"required": ["text"]}, {"required": ["fields"]}],
}  # fmt: skip
CONTEXT = block("context", ["elements"], elements={"type": "array", "minItems": 1, "maxItems": 10, "items": text(3000)})
SLACK = {
    "type": "object",
    "required": ["text"],
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 40_000},
        "blocks": {
            "type": "array",
            "maxItems": 50,
            "items": {"oneOf": [block("header", ["text"], text=text(150)), SECTION, CONTEXT]},
        },
        "unfurl_links": {"type": "boolean"},
        "unfurl_media": {"type": "boolean"},
    },
    "additionalProperties": False,
}
_PAYLOAD = {
    "type": "object",
    "required": ["summary", "source", "severity"],
    "properties": {
        "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
        "source": {"type": "string", "minLength": 1},
        "severity": {"enum": ["critical", "error", "warning", "info"]},
        "timestamp": TIME,
        "component": {"type": "string"},
        "group": {"type": "string"},
        "class": {"type": "string"},
        "custom_details": {"type": "object"},
    },
    "additionalProperties": False,
}
PAGERDUTY = {
    "type": "object",
    "required": ["routing_key", "event_action"],
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
        "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "payload": _PAYLOAD,
        "client": {"type": "string"},
        "client_url": {"type": "string", "format": "uri"},
        "links": {"type": "array", "items": {"type": "object", "required": ["href"]}},
        "images": {"type": "array"},
    },
    "additionalProperties": False,
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
    "else": {"required": ["dedup_key"]},
}
LABELS = {"type": "object", "additionalProperties": {"type": "string"}, "propertyNames": {"pattern": "^[a-zA-Z_]\\w*$"}}
ALERTMANAGER = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["labels"],
        "properties": {
            "labels": LABELS | {"minProperties": 1},
            "annotations": LABELS,
            "startsAt": TIME,
            "endsAt": TIME,
            "generatorURL": {"type": "string", "format": "uri"},
        },
        "additionalProperties": False,
    },
}
_FINDING_INFO = {
    "type": "object",
    "required": ["uid"],
    "properties": {
        "uid": {"type": "string", "minLength": 1},
        "title": {"type": "string"},
        "desc": {"type": "string"},
        "types": {"type": "array", "items": {"type": "string"}},
        "analytic": {
            "type": "object",
            "required": ["type_id"],
            "properties": {"type_id": {"enum": [0, 1, 2, 3, 4, 99]}},
        },
        "attacks": {
            "type": "array",
            "items": {"properties": {"technique": {"properties": {"uid": {"pattern": "^T[0-9]{4}"}}}}},
        },
        **{
            name: {"type": "integer"} for name in ("created_time", "first_seen_time", "last_seen_time", "modified_time")
        },
    },
}
OCSF = {
    "type": "object",
    "required": [
        "activity_id", "category_uid", "class_uid", "finding_info", "metadata", "severity_id", "time", "type_uid",
    ],
    "properties": {
        "activity_id": {"enum": [1, 2, 3]},
        "activity_name": {"enum": ["Create", "Update", "Close"]},
        "category_uid": {"const": 2},
        "class_uid": {"const": 2004},
        "type_uid": {"enum": [200401, 200402, 200403]},
        "severity_id": {"enum": [1, 2, 3, 4, 5]},
        "status_id": {"enum": [1, 2, 3, 4, 5, 6]},
        "is_alert": {"type": "boolean"},
        "time": {"type": "integer"},
        "start_time": {"type": "integer"},
        "end_time": {"type": "integer"},
        "message": {"type": "string"},
        "finding_info": _FINDING_INFO,
        "metadata": {
            "type": "object",
            "required": ["product", "version"],
            "properties": {"version": {"pattern": "^1\\.[0-9]+\\.[0-9]+$"}, "product": {"required": ["vendor_name"]}},
        },
        "observables": {"type": "array", "items": {"type": "object", "required": ["type_id"]}},
        "evidences": {"type": "array", "items": {"type": "object", "minProperties": 1}},
        "unmapped": {"type": "object"},
    },
}  # fmt: skip
ECS = {
    "type": "object",
    "required": ["@timestamp", "ecs", "event", "message"],
    "properties": {
        "@timestamp": TIME,
        "ecs": {"required": ["version"], "properties": {"version": {"pattern": "^8\\."}}},
        "event": {
            "type": "object",
            "required": ["kind", "category", "type"],
            "properties": {
                "kind": {"enum": ["alert", "enrichment", "event", "metric", "state", "signal"]},
                "category": {"type": "array", "items": {"const": "intrusion_detection"}},
                "type": {"type": "array", "items": {"enum": ["allowed", "denied", "info"]}},
                "severity": {"type": "integer"},
                "start": TIME,
                "end": TIME,
            },
        },
        "related": {"properties": {"ip": {"type": "array"}, "user": {"type": "array"}}},
        "threat": {"properties": {"technique": {"properties": {"id": {"type": "array"}}}}},
    },
    "propertyNames": {
        "enum": [
            "@timestamp", "ecs", "message", "event", "observer", "related", "rule", "threat", "organization",
            "floodwarden",
        ]
    },
}  # fmt: skip
_VALIDATORS = {
    name: jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    for name, schema in {
        "slack": SLACK, "pagerduty": PAGERDUTY, "alertmanager": ALERTMANAGER, "ocsf": OCSF, "ecs": ECS,
    }.items()
}  # fmt: skip


def wrong(name: str, body: Any) -> str:
    """What a provider has against a body; empty: nothing."""
    errors = [f"{'/'.join(map(str, e.instance_path))}: {e.message}" for e in _VALIDATORS[name].iter_errors(body)]
    if name == "ocsf" and not errors and body["type_uid"] != body["class_uid"] * 100 + body["activity_id"]:
        errors = ["type_uid: is not class_uid * 100 + activity_id"]
    return "; ".join(errors)


def signed(secret: str, header: str, body: bytes, now_s: int, within_s: int = 300) -> bool:
    """Whether a webhook is by whom it says, as Stripe's libraries look: every `v1` counts, an old one does not."""
    parts = [part.partition("=")[::2] for part in header.split(",")]
    at_s = int(dict(parts)["t"])
    made = hmac.new(secret.encode(), f"{at_s}.".encode() + body, hashlib.sha256).hexdigest()
    return abs(now_s - at_s) <= within_s and any(name == "v1" and hmac.compare_digest(made, v) for name, v in parts)


@dataclass
class Got:
    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Providers:
    """What was received, in order. `script` are the next answers' statuses; while `hanging` nobody hears them."""

    port: int
    got: list[Got] = field(default_factory=list)
    script: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    hanging: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    open_keys: set[str] = field(default_factory=set)
    pages: list[str] = field(default_factory=list)  # dedup keys, one for each incident that PagerDuty would open

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def at(self, path: str, status: int = 0) -> list[Got]:
        """What came there, with that answer where one is given."""
        return [got for got in self.got if got.path == path and status in (0, got.status)]

    def answer(self, path: str, body: bytes) -> tuple[int, str]:
        told = json.loads(body)
        match path.split("/")[1]:
            case "services":
                return (400, "invalid_payload") if wrong("slack", told) else (200, "ok")
            case "v2":
                return self._page(told)
            case "api":
                return (400, f'"{why}"') if (why := wrong("alertmanager", told)) else (200, "")
            case "ocsf" | "ecs" as name:
                several = told if isinstance(told, list) else [told]
                return (
                    (400, "; ".join(filter(None, (wrong(name, one) for one in several))))
                    if any(wrong(name, one) for one in several)
                    else (200, "")
                )
            case other:
                return {"gone": (410, "no longer here"), "broken": (503, "not now")}.get(other, (200, ""))

    def _page(self, told: Any) -> tuple[int, str]:
        if why := wrong("pagerduty", told):
            return 400, json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": [why]})
        key = told.get("dedup_key", "made-up")
        if told["event_action"] == "resolve":
            self.open_keys.discard(key)
        elif told["event_action"] == "trigger" and key not in self.open_keys:
            self.open_keys.add(key)
            self.pages.append(key)
        return 202, json.dumps({"status": "success", "message": "Event processed", "dedup_key": key})


@contextmanager
def providers(tls: ssl.SSLContext | None = None) -> Iterator[Providers]:
    """All of them, on one port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, said = (made.script.pop(0), "scripted") if made.script else made.answer(self.path, body)
            made.got.append(Got(self.path, {k.lower(): v for k, v in self.headers.items()}, body, status))
            if made.hanging.is_set():
                made.released.wait(100)
                return
            self.send_response(status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(said.encode())))
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A sender that goes in the middle is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    made = Providers(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield made
    finally:
        made.released.set()
        server.shutdown()
        thread.join(10)
        server.server_close()


def mentions(told: str) -> list[str]:
    """What Slack would take for a mention or a link in mrkdwn."""
    return re.findall(r"<[^>]*>", told)
