"""For a Slack incoming webhook: Block Kit. Clients' text stands in `plain_text`: no markup, no mentions."""

from __future__ import annotations

from typing import Any, Final

from enforcer.notify import words
from enforcer.notify.escape import plain, slack
from enforcer.notify.notice import Message, Notice

HEADER_CHARS: Final = 150
TEXT_CHARS: Final = 3000
FIELD_CHARS: Final = 2000
FALLBACK_CHARS: Final = 1000
FIELDS_MAX: Final = 10
_EVIDENCE_MAX: Final = 6


def payload(message: Message) -> dict[str, Any]:
    """The body to post."""
    headline = words.headline(message)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(headline, HEADER_CHARS)}]
    if len(message.notices) == 1:
        blocks += _one(message.notices[0])
    else:
        listed = [f"- {words.titled(notice)}" for notice in message.notices[: words.LISTED_MAX]]
        more = len(message.notices) - len(listed)
        listed += [f"and {more} more"] * bool(more)
        blocks += [{"type": "section", "text": _plain(line, 500)} for line in listed]
    blocks.append({"type": "context", "elements": [_plain(f"Floodwarden, {words.clock(message.at_ms)}", 100)]})
    return {"text": slack(headline, FALLBACK_CHARS), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def _one(notice: Notice) -> list[dict[str, Any]]:
    fields = [_plain(f"{name}: {value}", FIELD_CHARS) for name, value in words.facts(notice)[:FIELDS_MAX]]
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": _plain(notice.incident.summary, TEXT_CHARS)},
        {"type": "section", "fields": fields},
    ]
    blocks += [
        {"type": "section", "text": _plain(f"- {line}", 500)} for line in notice.details.evidence[:_EVIDENCE_MAX]
    ]
    if notice.link:
        link = {"type": "mrkdwn", "text": f"<{slack(notice.link, 1000)}|Open the incident>", "verbatim": True}
        blocks.append({"type": "section", "text": link})
    return blocks


def _plain(text: str, chars_max: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": plain(text, chars_max) or " ", "emoji": False}
