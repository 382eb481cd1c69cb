"""Crawlers that say who they are: whether a request comes from where their operator says they come from. Pure.

verified    its address is in a published range, or was looked up      never answered by a rule
spoofed     its ranges are published, and it is in none of them        the rules that ask for `spoofed`
unknown     nobody published where it comes from                       like anybody
"""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.crawlers import Origins
from schemas.documents import documents
from schemas.ranges import holds, number
from schemas.reading import At


@dataclass(frozen=True, slots=True)
class Bot:
    """A crawler: words of its user agent (lower case), domains its addresses' names end in, where ranges stand."""

    name: str
    agent: tuple[str, ...]
    names: tuple[str, ...]
    published: str


@dataclass(frozen=True, slots=True)
class Bots:
    """Crawlers, and where they come from as far as it is known."""

    bots: tuple[Bot, ...] = ()
    origins: Origins = field(default_factory=Origins)

    def claimed(self, agent: str) -> Bot | None:
        """The crawler that a user agent says it is."""
        lower = agent.lower()
        return next((bot for bot in self.bots if any(word in lower for word in bot.agent)), None)

    def comes_from(self, bot: Bot, ip: str) -> bool | None:
        """Whether `ip` is one of the crawler's; None: nobody said where it comes from, or that is no address."""
        published = self.origins.published.get(bot.name)
        try:
            at = number(ip)
        except ValueError:
            return None
        if any(holds(ranges, at, at) for ranges in (published, self.origins.verified.get(bot.name)) if ranges):
            return True
        return None if published is None else False

    @property
    def is_blind(self) -> bool:
        """Whether nothing is known of where any crawler comes from."""
        return not (self.origins.published or self.origins.verified)

    @property
    def words(self) -> tuple[str, ...]:
        """Words of which a user agent that claims to be one of them has one."""
        return tuple(word for bot in self.bots for word in bot.agent)


def declared(data: bytes, file: str) -> tuple[Bot, ...]:
    """The crawlers a file declares. Raises `FileError`."""
    (document,) = documents(data, file)
    fields = At(file, "bots", document.tree, document.line).fields(
        "source", "date", "bots", required={"bots": "a list"}
    )
    return tuple(_bot(item) for item in fields["bots"].items())


def _bot(at: At) -> Bot:
    fields = at.fields("name", "agent", "names", "published", required={"name": "examplebot", "agent": "examplebot"})
    words = tuple(item.text().lower() for item in fields["agent"].one_or_more())
    names = tuple(item.text().lower() for item in fields["names"].items()) if "names" in fields else ()
    published = fields["published"].text() if "published" in fields else ""
    return Bot(fields["name"].name(), words, names, published)
