"""Commands that need no service: replay, simulate, evaluate, train. What each needs it imports when it runs."""

from __future__ import annotations

import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from floodwarden.cli_files import files_there
from floodwarden.format_names import FORMATS
from schemas.settings import load

if TYPE_CHECKING:
    from enforcer.store.labels import Judged
    from floodwarden.traffic import Traffic

Topic = Annotated[bool, typer.Option("--topic", help="instead of files: what the topic of decisions holds")]
Over = Annotated[str, typer.Option("--over", metavar="DURATION", help="with --topic: the last so long, as in 24h")]
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("replay")(replay)
    app.command("simulate")(simulate)
    app.command("evaluate")(evaluate)
    app.command("train")(train)
    app.command("calibrate")(calibrate)


def replay(
    files: Annotated[
        list[str], typer.Argument(help="logs or traces, merged by time; - reads standard input", callback=files_there)
    ],
    *,
    form: Annotated[
        str | None, typer.Option("--format", help=f"one of {', '.join(FORMATS)}; told from the content without it")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="judge with this model as it is", callback=files_there)] = None,
    adapt: Annotated[bool, typer.Option(help="first fit the shipped model to the log")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    html: Annotated[Path | None, typer.Option(help="write the report as one page")] = None,
    fail_on_alert: Annotated[
        bool, typer.Option("--fail-on-alert", help="exit with 1 when there is an incident")
    ] = False,
) -> None:
    """What would have been alerted and done about recorded traffic: offline, no services."""
    _known(form)
    from floodwarden import replay as replaying

    options = replaying.ReplayOptions(form=form, model=model, adapt=adapt)
    code = replaying.run(files, options=options, as_json=as_json, html=html, fail_on_alert=fail_on_alert)
    raise typer.Exit(code)


def simulate(
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="FILE.jsonl[.gz], FILE.arrow, -, kafka://HOST:PORT/TOPIC, or limiters: http://HOST:PORT[,http://...]",
        ),
    ] = "-",
    seed: Annotated[int, typer.Option(min=0, help="the same seed gives the same traffic")] = 1,
    duration: Annotated[str, typer.Option(help="as in 90s, 30m, 6h, 1d")] = "1h",
    rate: Annotated[float, typer.Option(help="requests a second by people, on the mean of a day")] = 7.0,
    clients: Annotated[int, typer.Option(min=1, help="people with an account")] = 3000,
    attack: Annotated[
        list[str] | None,
        typer.Option(help="FAMILY[:STRENGTH][@SECONDS], `all`, `first-sight`; may be given often; see --list"),
    ] = None,
    every: Annotated[str | None, typer.Option(help="begin each attack again and again, as in 10m")] = None,
    case: Annotated[
        list[str] | None,
        typer.Option(help="good cases beside those of every day: NAME, `all`, `first-sight`; see --list"),
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="good cases to leave out")] = None,
    speed: Annotated[float, typer.Option(min=0, help="1: as time goes by, 10: ten times as fast, 0: at once")] = 0.0,
    now: Annotated[bool, typer.Option("--now", help="begin now instead of at a fixed date")] = False,
    ask: Annotated[bool, typer.Option("--ask", help="let the limiters decide instead of telling them")] = False,
    names: Annotated[bool, typer.Option("--list", help="say what attacks and good cases there are")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="with --list: one JSON object a line")] = False,
) -> None:
    """Labelled traffic of a made-up site: people, machines, attacks. SIGTERM or Ctrl-C ends it early, in good order."""
    from floodwarden.simulate import told

    if names:
        told.show(as_json=as_json)
        return
    from floodwarden.replay import progress_bar
    from floodwarden.simulate.config import SimulationConfig, SimulationError, attacks_of, cases_of, recurring
    from floodwarden.simulate.going_on import GoingOn
    from floodwarden.simulate.pace import Pace
    from floodwarden.simulate.sinks import write

    pace = Pace(speed, live=now and speed > 0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: pace.stop.set())
    try:
        named, duration_s = attacks_of(attack or []), _seconds(duration)
        config = SimulationConfig(
            seed=seed,
            duration_s=duration_s,
            requests_per_s=rate,
            clients=clients,
            attacks=recurring(named, _seconds(every), duration_s) if every else named,
            limits=not ask,
            cases=cases_of(case or [], without or []),
        )
    except SimulationError as error:
        raise typer.BadParameter(str(error)) from error
    if now:
        config = replace(config, start_ms=int(time.time() * 1000))
    told_of = GoingOn(_say_now, time.monotonic, duration_s / speed if speed else None)
    told_of.begin(to)
    with progress_bar() as progress:
        bar = progress.add_task("simulating", total=None, note="decisions")

        def written(rows: int) -> None:
            progress.advance(bar, rows)
            if progress.disable:  # nobody sees the bar
                told_of.heard(rows)

        total = write(config, to, pace=pace, ask=ask, on_rows=written, tell=_say_now if speed else lambda _: None)
    typer.echo(f"{total:,} decisions to {to}", err=True)


def _say_now(what: str) -> None:
    typer.echo(f"{time.strftime('%H:%M:%S')}  {what}", err=True)


def evaluate(
    trace: Annotated[
        str | None, typer.Argument(help="a labelled trace, as `simulate` writes it", callback=files_there)
    ] = None,
    *,
    train: Annotated[
        str | None, typer.Option(help="a trace to learn from what is normal", callback=files_there)
    ] = None,
    model: Annotated[Path | None, typer.Option(help="judge with this model", callback=files_there)] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="instead of TRACE: so many made-up ones with every attack and case")
    ] = None,
    chosen: Annotated[
        str, typer.Option("--set", help="with --seeds: tuned, first-sight or all families and cases")
    ] = "all",
    duration: Annotated[
        str | None, typer.Option(help="with --seeds: how long each, as in 8h; left out: an attack in 225 s")
    ] = None,
    rate: Annotated[float, typer.Option(help="with --seeds: requests a second by people")] = 5.0,
    against: Annotated[
        str | None,
        typer.Option(help="others to judge the same: rate,plain-forest,half-space,crowdsec,families,odd or `all`"),
    ] = None,
    adapt: Annotated[
        str | None, typer.Option(help="what refused attackers do: slow, rotate, or both (slow,rotate)")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="what people said of clients, one JSON object a line; reported apart", callback=files_there),
    ] = None,
    first_seed: Annotated[int, typer.Option(min=0, help="with --seeds: the first of them")] = 21,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="traces judged at once; as many as processors and memory allow without it")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="the tables of docs/detection.md")] = False,
    html: Annotated[Path | None, typer.Option(help="write the report as one page")] = None,
    fail_on_denied: Annotated[
        bool, typer.Option("--fail-on-denied", help="exit with 1 when good traffic was denied")
    ] = False,
) -> None:
    """How well labelled traffic is judged: found, missed, how soon, who was hit by mistake; and against others."""
    if train is not None and model is not None:
        raise typer.BadParameter("either --train or --model", param_hint="--model")
    if (trace is None) == (seeds is None):
        raise typer.BadParameter("name a trace, or say how many to make up with --seeds", param_hint="TRACE")
    from floodwarden.evaluation import run as evaluation
    from floodwarden.evaluation.adaptive import adapt_of
    from floodwarden.evaluation.material import Chosen, Trials, of_files, simulated
    from floodwarden.evaluation.peers import peers_of

    if chosen not in set(Chosen):
        raise typer.BadParameter(f"{chosen!r} is none of {', '.join(Chosen)}", param_hint="--set")
    long_s = _seconds(duration) if duration is not None else None
    trials = Trials(seeds or 1, first_seed, Chosen(chosen), duration_s=long_s, requests_per_s=rate)
    code = evaluation.run(
        of_files(trace, train) if trace is not None else simulated(trials),
        evaluation.EvaluationOptions(model, peers_of(against or ""), adapt_of(adapt or ""), jobs, labels),
        evaluation.Output(as_json, markdown, html),
        fail_on_denied=fail_on_denied,
    )
    raise typer.Exit(code)


def train(
    files: Annotated[
        list[str] | None, typer.Argument(help="logs or traces of normal traffic, merged by time", callback=files_there)
    ] = None,
    *,
    topic: Topic = False,
    over: Over = "24h",
    out: Annotated[Path, typer.Option("--out", help="where the model goes")] = Path("model.npz"),
    form: Annotated[str | None, typer.Option("--format", help=f"one of {', '.join(FORMATS)}")] = None,
    clean: Annotated[bool, typer.Option("--clean", help="nobody bad is in it: leave nobody out")] = False,
    labels: Annotated[
        bool, typer.Option("--labels", help="learn nothing of clients labelled a true positive in the store")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="of the forest")] = 1,
    default: Annotated[bool, typer.Option("--default", help="make the shipped model anew, from simulation")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Learn what is normal from files of traffic or the topic; a day of it is best, two hours the least."""
    if [bool(files), topic, default].count(True) != 1:
        raise typer.BadParameter("name files to learn from, or say --topic, or --default", param_hint="FILES")
    _known(form)
    from floodwarden import training

    if default:
        raise typer.Exit(training.rebuild_default(as_json=as_json))
    sources, judged = _traffic(files, form, topic=topic, over=over), _judged() if labels else []
    code = training.run(sources, out, clean=clean, seed=seed, as_json=as_json, settings=load(), labels=judged)
    raise typer.Exit(code)


def calibrate(
    files: Annotated[
        list[str] | None, typer.Argument(help="logs or traces in which nobody bad is", callback=files_there)
    ] = None,
    *,
    topic: Topic = False,
    over: Over = "24h",
    labels: Annotated[
        bool, typer.Option("--labels", help="heed what people said of clients: true and false positives of the store")
    ] = False,
    out: Annotated[Path, typer.Option("--out", help="where the model goes")] = Path("model.npz"),
    model: Annotated[
        Path | None, typer.Option(help="the model whose thresholds are set anew", callback=files_there)
    ] = None,
    form: Annotated[str | None, typer.Option("--format", help=f"one of {', '.join(FORMATS)}")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
) -> None:
    """Set a model's thresholds anew from a clean span of traffic; refused when somebody is found in it."""
    _known(form)
    if bool(files) == topic:
        raise typer.BadParameter("name files, or say --topic", param_hint="FILES")
    from floodwarden import calibrating

    sources, judged = _traffic(files, form, topic=topic, over=over), _judged() if labels else []
    code = calibrating.run(sources, out, model=model, as_json=as_json, settings=load(), labels=judged)
    raise typer.Exit(code)


def _judged() -> list[Judged]:
    from enforcer.store.labels import judged
    from floodwarden.cli_store import opened

    with opened() as engine:
        return judged(engine)


def _traffic(files: list[str] | None, form: str | None, *, topic: bool, over: str) -> Traffic:
    from floodwarden.traffic import Recorded, Sources

    return Recorded.last(load(), int(_seconds(over))) if topic else Sources(tuple(files or ()), form, load().geoip)


def _known(form: str | None) -> None:
    if form is not None and form not in FORMATS:
        raise typer.BadParameter(f"{form} is not one of {', '.join(FORMATS)}", param_hint="--format")


def _seconds(text: str) -> float:
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS_S else (text, "s")
    try:
        return float(number) * _UNITS_S[unit]
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no duration; write 90s, 30m, 6h or 1d") from error
