"""For people's mailboxes: text, and the same as HTML. Replies to one incident stand in one conversation."""

from __future__ import annotations

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Final

from enforcer.notify import words
from enforcer.notify.destinations import Mail
from enforcer.notify.escape import in_html, plain
from enforcer.notify.notice import Message, Notice

SUBJECT_CHARS: Final = 200
LINE_CHARS: Final = 900
_STYLE: Final = "font-family:sans-serif;font-size:14px"


def message(mail: Mail, told: Message) -> EmailMessage:
    """The message to send."""
    host = parseaddr(mail.sender)[1].rpartition("@")[2]
    made = EmailMessage()
    made["From"] = mail.sender
    made["To"] = ", ".join(mail.to)
    made["Subject"] = plain(f"[Floodwarden] {words.headline(told)}", SUBJECT_CHARS)
    made["Date"] = format_datetime(datetime.fromtimestamp(told.at_ms / 1000, UTC))
    made["Message-ID"] = f"<{told.id}@{host}>"
    made["References"] = f"<{told.key}@{host}>"
    made["Auto-Submitted"] = "auto-generated"
    made["X-Floodwarden-Id"] = told.id
    made.set_content(_text(told))
    made.add_alternative(_html(told), subtype="html")
    return made


def _text(told: Message) -> str:
    lines = [plain(words.headline(told), LINE_CHARS), ""]
    for notice in _listed(told):
        if len(told.notices) > 1:
            lines.append("- " + plain(words.titled(notice), LINE_CHARS))
            continue
        lines += [f"{name}: {plain(value, LINE_CHARS)}" for name, value in words.facts(notice)]
        lines += ["- " + plain(line, LINE_CHARS) for line in notice.details.evidence]
        lines += [plain(notice.details.avoid, LINE_CHARS)] if notice.details.avoid else []
        lines += ["", notice.link] if notice.link else []
    return "\n".join([*lines, _more(told), ""])


def _html(told: Message) -> str:
    parts = [f'<div style="{_STYLE}"><h3>{in_html(words.headline(told), LINE_CHARS)}</h3>']
    for notice in _listed(told):
        if len(told.notices) > 1:
            parts.append(f"<p>{in_html(words.titled(notice), LINE_CHARS)}</p>")
            continue
        rows = (f"<tr><td>{name}</td><td>{in_html(value, LINE_CHARS)}</td></tr>" for name, value in words.facts(notice))
        evidence = "".join(f"<li>{in_html(line, LINE_CHARS)}</li>" for line in notice.details.evidence)
        link = f'<p><a href="{in_html(notice.link, LINE_CHARS)}">Open the incident</a></p>' if notice.link else ""
        parts.append(f"<table>{''.join(rows)}</table><ul>{evidence}</ul>{link}")
    return "".join([*parts, f"<p>{in_html(_more(told), LINE_CHARS)}</p></div>"])


def _listed(told: Message) -> tuple[Notice, ...]:
    return told.notices[: words.LISTED_MAX]


def _more(told: Message) -> str:
    more = len(told.notices) - len(_listed(told))
    return f"and {more} more" if more > 0 else ""
