"""The protobuf messages of Envoy's rate limit service v3 and of gRPC's health service, as far as we use them.

Names, numbers and types are the protocol's; fields we do not read are left out, and a reader of protobuf skips what it
does not know. They live in a pool of their own: a process may import anybody's generated stubs of the same files.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    message_factory,
    struct_pb2,
    wrappers_pb2,
)

_RATELIMIT: Final = "envoy.service.ratelimit.v3"
_RESPONSE: Final = f"{_RATELIMIT}.RateLimitResponse"
_DESCRIPTOR: Final = "envoy.extensions.common.ratelimit.v3.RateLimitDescriptor"

# message -> field, its number and type; `*` = repeated. A type with a dot is a message or, with `:enum`, an enum.
_MESSAGES: Final[dict[str, tuple[tuple[str, int, str], ...]]] = {
    _DESCRIPTOR: (
        ("entries", 1, f"*{_DESCRIPTOR}.Entry"),
        ("hits_addend", 3, "google.protobuf.UInt64Value"),
        ("is_negative_hits", 4, "bool"),
    ),
    f"{_DESCRIPTOR}.Entry": (("key", 1, "string"), ("value", 2, "string")),
    "envoy.config.core.v3.HeaderValue": (("key", 1, "string"), ("value", 2, "string")),
    f"{_RATELIMIT}.RateLimitRequest": (
        ("domain", 1, "string"),
        ("descriptors", 2, f"*{_DESCRIPTOR}"),
        ("hits_addend", 3, "uint32"),
    ),
    _RESPONSE: (
        ("overall_code", 1, f"{_RESPONSE}.Code:enum"),
        ("statuses", 2, f"*{_RESPONSE}.DescriptorStatus"),
        ("response_headers_to_add", 3, "*envoy.config.core.v3.HeaderValue"),
        ("request_headers_to_add", 4, "*envoy.config.core.v3.HeaderValue"),
        ("raw_body", 5, "bytes"),
        ("dynamic_metadata", 6, "google.protobuf.Struct"),
    ),
    f"{_RESPONSE}.DescriptorStatus": (
        ("code", 1, f"{_RESPONSE}.Code:enum"),
        ("current_limit", 2, f"{_RESPONSE}.RateLimit"),
        ("limit_remaining", 3, "uint32"),
        ("duration_until_reset", 4, "google.protobuf.Duration"),
    ),
    f"{_RESPONSE}.RateLimit": (
        ("requests_per_unit", 1, "uint32"),
        ("unit", 2, f"{_RESPONSE}.RateLimit.Unit:enum"),
        ("name", 3, "string"),
    ),
    "grpc.health.v1.HealthCheckRequest": (("service", 1, "string"),),
    "grpc.health.v1.HealthCheckResponse": (("status", 1, "grpc.health.v1.HealthCheckResponse.ServingStatus:enum"),),
}
_ENUMS: Final[dict[str, dict[str, int]]] = {
    f"{_RESPONSE}.Code": {"UNKNOWN": 0, "OK": 1, "OVER_LIMIT": 2},
    f"{_RESPONSE}.RateLimit.Unit": {
        "UNKNOWN": 0,
        "SECOND": 1,
        "MINUTE": 2,
        "HOUR": 3,
        "DAY": 4,
        "MONTH": 5,
        "YEAR": 6,
        "WEEK": 7,
    },
    "grpc.health.v1.HealthCheckResponse.ServingStatus": {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2},
}
_KNOWN: Final = (duration_pb2, struct_pb2, wrappers_pb2)
_Field = descriptor_pb2.FieldDescriptorProto


def _pool() -> Any:
    pool = descriptor_pool.DescriptorPool()
    for module in _KNOWN:
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    ours = descriptor_pb2.FileDescriptorSet()
    for package in sorted({_package(name) for name in (*_MESSAGES, *_ENUMS)}, key=_depth):
        file = ours.file.add(name=f"floodwarden/{package}.proto", package=package, syntax="proto3")
        file.dependency.extend(module.DESCRIPTOR.name for module in _KNOWN)
        file.dependency.extend(other.name for other in ours.file if other is not file)
        for name, fields in _MESSAGES.items():
            if _package(name) == package:
                _fill(_place(file, name.removeprefix(f"{package}.")), fields)
        for name, values in _ENUMS.items():
            if _package(name) == package:
                _enumerate(file, name.removeprefix(f"{package}."), values)
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def _package(name: str) -> str:
    return ".".join(part for part in name.split(".") if part[0].islower())


def _depth(package: str) -> tuple[bool, str]:
    return package == _RATELIMIT, package  # it speaks of the others, so they stand before it


def _place(file: Any, path: str) -> Any:
    """The message at `path` (Outer.Inner), made where it is missing."""
    found: Any = None
    for name in path.split("."):
        inside = file.message_type if found is None else found.nested_type
        found = next((each for each in inside if each.name == name), None) or inside.add(name=name)
    return found


def _fill(message: Any, fields: tuple[tuple[str, int, str], ...]) -> None:
    for name, number, kind in fields:
        field = message.field.add(name=name, number=number)
        field.label = _Field.LABEL_REPEATED if kind.startswith("*") else _Field.LABEL_OPTIONAL
        plain, _, is_enum = kind.removeprefix("*").partition(":")
        if "." not in plain:
            field.type = getattr(_Field, f"TYPE_{plain.upper()}")
            continue
        field.type = _Field.TYPE_ENUM if is_enum else _Field.TYPE_MESSAGE
        field.type_name = f".{plain}"


def _enumerate(file: Any, path: str, values: dict[str, int]) -> None:
    outer, _, name = path.rpartition(".")
    enum = _place(file, outer).enum_type.add(name=name)
    for word, number in values.items():
        enum.value.add(name=word, number=number)


def _class(pool: Any, name: str) -> Any:
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


_POOL: Final = _pool()
RateLimitRequest: Final = _class(_POOL, f"{_RATELIMIT}.RateLimitRequest")
RateLimitResponse: Final = _class(_POOL, _RESPONSE)
HealthCheckRequest: Final = _class(_POOL, "grpc.health.v1.HealthCheckRequest")
HealthCheckResponse: Final = _class(_POOL, "grpc.health.v1.HealthCheckResponse")

OK: Final = 1
OVER_LIMIT: Final = 2
SERVING: Final = 1
NOT_SERVING: Final = 2
UNITS_MS: Final = {1: 1_000, 2: 60_000, 3: 3_600_000, 4: 86_400_000, 7: 604_800_000}  # by a unit's number, ascending
