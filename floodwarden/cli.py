"""The command line: the one place that wires the programs together."""

from __future__ import annotations

import typer

from floodwarden import (
    cli_control,
    cli_dead_letter,
    cli_families,
    cli_incidents,
    cli_judging,
    cli_labels,
    cli_lists,
    cli_model,
    cli_notices,
    cli_offline,
    cli_playbook,
    cli_policy,
    cli_rules,
    cli_services,
    cli_status,
    cli_store,
    cli_usage,
)

app = typer.Typer(
    name="floodwarden",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Watches every decision of your rate limiters, explains abuse and stops it within a second.\n\n"
        "Begin with [bold]floodwarden demo[/bold] (the whole loop with an attack, a minute), "
        "[bold]floodwarden replay access.log[/bold] (what it would have done to your own traffic; needs no service) or "
        "[bold]floodwarden up[/bold] (everything running, until Ctrl-C).\n\n"
        "Settings are FLOODWARDEN_* environment variables; [bold]floodwarden doctor[/bold] says what is wrong with "
        "them and with what they point to. Exit codes: 0 fine, 1 a finding or failure, 2 wrong usage."
    ),
)
for part in (
    cli_services,
    cli_offline,
    cli_status,
    cli_control,
    cli_incidents,
    cli_labels,
    cli_lists,
    cli_model,
    cli_judging,
    cli_notices,
    cli_dead_letter,
    cli_families,
    cli_playbook,
    cli_policy,
    cli_rules,
    cli_usage,
    cli_store,
):
    part.register(app)
