"""What the planner goes by, from settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from enforcer.crawlers import Crawlers
from enforcer.guardrails import Caps
from enforcer.ladder import Ladder
from enforcer.playbook import Playbook
from enforcer.playbook_file import built_in, load
from schemas import crawlers
from schemas.action import Target
from schemas.settings import PREFIX, Settings
from schemas.targets import parse_targets


@dataclass(frozen=True, slots=True)
class PlanConfig:
    """What the planner goes by. `partitions` scales an alert's `live_clients` from its partition to the whole."""

    deny_seconds: int
    throttle_seconds: int
    throttle_factor: float
    ladder: Ladder
    caps: Caps
    allowed: tuple[Target, ...] = ()
    proxies: tuple[Target, ...] = ()
    crawlers: Crawlers = field(default_factory=Crawlers)
    shared_accounts: int = 10
    browser_asked: int = 4
    partitions: int = 1
    dry_run: bool = False
    playbook: Playbook = field(default_factory=built_in)

    @classmethod
    def of(cls, settings: Settings) -> PlanConfig:
        """The configuration that `settings` ask for.

        Raises:
            SettingsError: a malformed allowlist or proxy list.
            FileError: a playbook, or ranges of crawlers, that cannot be taken.
        """
        ladder = ladder_of(settings)
        return cls(
            deny_seconds=settings.deny_seconds,
            throttle_seconds=settings.throttle_seconds,
            throttle_factor=settings.throttle_factor,
            ladder=ladder,
            caps=Caps(
                settings.actions_per_minute_max,
                settings.live_share_max,
                settings.live_floor,
                settings.campaign_share_max,
                settings.tenant_actions_share_max,
                settings.good_share_max,
                settings.challenge_share_max,
            ),
            allowed=parse_targets(settings.allowlist, PREFIX + "ALLOWLIST"),
            proxies=parse_targets(settings.trusted_proxies, PREFIX + "TRUSTED_PROXIES"),
            crawlers=Crawlers(crawlers.load(settings.bots).all),
            shared_accounts=settings.shared_accounts,
            browser_asked=settings.browser_asked,
            partitions=settings.usage_partitions,
            dry_run=settings.dry_run,
            playbook=load(settings.playbooks, ladder),
        )

    @property
    def memory(self) -> Ladder:
        """By which it is forgotten what ended."""
        return self.playbook.slowest(self.ladder)


def ladder_of(settings: Settings) -> Ladder:
    """The ladder of answers whose play has none of its own."""
    return Ladder(settings.escalation, settings.quiet_seconds * 1000, settings.action_seconds_max)
