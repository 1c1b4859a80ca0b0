"""The command line: what can be asked for, and who answers; nothing else.

Results go to stdout (`--json` for machines), progress and logs to stderr; exit codes are in
`exits`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from convnext_vbt import __version__
from convnext_vbt.cli.completion import run_directories, set_keys, strategy_files
from convnext_vbt.cli.exits import exit_codes, fail
from convnext_vbt.cli.live import live
from convnext_vbt.errors import ConfigError

if TYPE_CHECKING:
    from convnext_vbt.runs.run import Run

app = typer.Typer(
    name="convnext-vbt",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

Strategy = Annotated[
    Path,
    typer.Argument(
        help="A strategy file (TOML).", show_default=False, autocompletion=strategy_files
    ),
]
RunDirectory = Annotated[
    Path,
    typer.Argument(help="A run directory.", show_default=False, autocompletion=run_directories),
]
Out = Annotated[Path, typer.Option(help="Folder that runs are written to.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Splits side by side; default: all cores.")]
Backend = Annotated[
    str, typer.Option(help="What runs the splits: processes here, or a dask or ray cluster.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Of the cluster, e.g. tcp://host:8786; default: DASK_SCHEDULER_ADDRESS or "
        "RAY_ADDRESS, else one is started on this machine.",
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a key, e.g. data.source=prices.csv.",
        autocompletion=set_keys,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Refuse a data file in which anything had to be changed.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
Open = Annotated[bool, typer.Option("--open", help="Open the report in a browser.")]


def main() -> None:
    """Entry point of `convnext-vbt`."""
    # OpenMP's threads spin while they wait: a sixth of an audit's processor time for nothing.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app()


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"convnext-vbt {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Walk-forward ConvNeXt predictions, confidence-sized trades, honest backtests."""


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("strategy.toml"),
) -> None:
    """Write a commented strategy file to start from."""
    from importlib.resources import files

    with exit_codes():
        if path.exists():
            fail(f"{path} is there already; name another file", 2)
        text = files("convnext_vbt.runs").joinpath("strategy.toml").read_text(encoding="utf-8")
        path.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {path}; try: convnext-vbt run {path} --dry-run")


@app.command()
def check(
    data: Annotated[
        str, typer.Argument(help="A file, simulated, sp500, ccxt:...", show_default=False)
    ],
    timezone: Annotated[
        str | None,
        typer.Option(help="Clock of times without an offset, as data.timezone: America/New_York."),
    ] = None,
    stamp: Annotated[
        Literal["open", "close"] | None,
        typer.Option(help="What times stand for, as data.stamp: open or close."),
    ] = None,
    strict: Strict = False,
    as_json: Json = False,
) -> None:
    """Look at bars: how a file is read, what had to be changed, gaps, label balance.

    Of a file of predictions: what they were learned from.
    """
    from convnext_vbt.predictions.file import is_predictions
    from convnext_vbt.runs.check import check_bars, check_predictions

    with exit_codes():
        if is_predictions(Path(data)):
            found = check_predictions(Path(data))
            told = (
                f"{', '.join(found['symbols'])}: {found['predictions']:,} predictions from "
                f"{found['first']} to {found['last']}, {found['splits']} splits\n  "
                f"{found['learned_from']}"
            )
            typer.echo(json.dumps(found) if as_json else told)
            return
        facts = check_bars(data, strict=strict, timezone=timezone, stamp=stamp)
        if as_json:
            typer.echo(json.dumps(facts))
        else:
            from convnext_vbt.cli.terminal import print_bars

            print_bars(facts)


@app.command()
def download(
    exchange: Annotated[str, typer.Argument(help="E.g. binance.", show_default=False)],
    symbol: Annotated[
        str,
        typer.Argument(help="E.g. BTC/USDT; BTC/USDT:USDT is the perpetual.", show_default=False),
    ],
    timeframe: Annotated[str, typer.Argument(help="E.g. 1h.", show_default=False)],
    since: Annotated[
        str | None, typer.Option(help="First bar, UTC; default: the exchange's first, or go on.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Up to, without this bar; default: the last finished bar.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder; default: $CONVNEXT_VBT_CACHE or your own cache.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch bars into the local cache; goes on where an earlier download stopped."""
    with exit_codes("What is stored stays; the same command goes on from there."):
        from convnext_vbt.cli.downloading import downloading
        from convnext_vbt.cli.terminal import print_download
        from convnext_vbt.market.download import download_bars

        with downloading(quiet=quiet) as (progress, notify):
            done = download_bars(
                exchange, symbol, timeframe,
                since=since, until=until, cache=cache, progress=progress, notify=notify,
            )  # fmt: skip
        for revision in done.revised:
            typer.echo(f"warning: {revision.text}", err=True)
        if as_json:
            typer.echo(json.dumps(done.to_dict()))
        else:
            print_download(done)


@app.command()
def run(
    strategy: Strategy,
    overrides: Overrides = None,
    out: Out = Path("reports"),
    jobs: Jobs = None,
    device: Device = "auto",
    strict: Strict = False,
    backend: Backend = "processes",
    cluster: Cluster = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done.")] = False,
    as_json: Json = False,
    open_report: Open = False,
    quiet: Quiet = False,
) -> None:
    """Predict walk-forward, sweep, report; goes on where an earlier run stopped."""
    with exit_codes("Finished splits are saved; run the same command to go on."):
        from convnext_vbt.runs.config import load_config

        config = load_config(strategy, overrides or [])
        from convnext_vbt.cli.cluster import workers
        from convnext_vbt.runs.run import run as run_strategy

        if dry_run:
            from convnext_vbt.runs.plan import plan as make_plan

            plan = make_plan(config, out=out, jobs=jobs, strict=strict)
            typer.echo(json.dumps(plan) if as_json else _plan_text(plan))
            return
        with workers(backend, cluster, jobs=jobs):
            done = run_strategy(
                config,
                out=out,
                jobs=jobs,
                device=device,
                strict=strict,
                progress=not quiet,
            )
        _show(done, as_json=as_json, open_report=open_report)


@app.command()
def sweep(
    directory: RunDirectory,
    threshold: Annotated[
        str | None, typer.Option(help="E.g. 0.40:0.80:0.05 or q0.80,q0.90,0.5.")
    ] = None,
    min_edge: Annotated[
        str | None, typer.Option(help="Round trips of costs that a trade must return, net.")
    ] = None,
    risk: Annotated[str | None, typer.Option(help="E.g. 0.005,0.01,0.02.")] = None,
    stop_multiple: Annotated[str | None, typer.Option(help="Times the base stop.")] = None,
    take_profit_multiple: Annotated[
        str | None, typer.Option(help="Times the base take-profit.")
    ] = None,
    as_json: Json = False,
    open_report: Open = False,
) -> None:
    """Sweep a finished run's predictions again; nothing is retrained, the old run stays."""
    with exit_codes("Predictions and splits are as they were; run the same command again."):
        from convnext_vbt.runs.config import parse_values
        from convnext_vbt.runs.run import resweep

        lists = {
            key: parse_values(text, name=key)
            for key, text in (
                ("threshold", threshold),
                ("min_edge", min_edge),
                ("risk", risk),
                ("stop_multiple", stop_multiple),
                ("take_profit_multiple", take_profit_multiple),
            )
            if text is not None
        }
        _show(resweep(directory, lists), as_json=as_json, open_report=open_report)


@app.command()
def report(directory: RunDirectory, open_report: Open = False) -> None:
    """Write a run's report again."""
    with exit_codes("Predictions and splits are as they were; run the same command again."):
        from convnext_vbt.runs.run import resweep

        page = resweep(directory).report
        typer.echo(str(page))
        if open_report:
            typer.launch(page.resolve().as_uri())


@app.command()
def gate(
    directory: RunDirectory,
    min_dsr: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Least deflated Sharpe ratio of the headline; then INCONCLUSIVE is enough.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Exit 5 unless the verdict is PASS or, with --min-dsr, at least not FAIL."""
    with exit_codes():
        from convnext_vbt.runs.directory import read_metrics

        metrics = read_metrics(directory)
        dsr, word = metrics["headline"]["dsr"], metrics["verdict"]["word"]
        if min_dsr is None:
            met = word == "PASS"
        else:
            met = word != "FAIL" and dsr is not None and dsr >= min_dsr
        if as_json:
            typer.echo(json.dumps({"met": met, "dsr": dsr, "min_dsr": min_dsr, "verdict": word}))
        else:
            state, shown = "met" if met else "NOT met", "n/a" if dsr is None else f"{dsr:.3f}"
            needs = "needs PASS" if min_dsr is None else f"needs {min_dsr:g} and no FAIL"
            typer.echo(f"{state}: verdict {word}, deflated Sharpe ratio {shown}; {needs}")
    if not met:
        raise typer.Exit(5)


@app.command("signal")
def live_signal(
    directory: RunDirectory,
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="Fresh bars: a source as in data.source, ccxt:... is fetched first; default: the "
            "run's own."
        ),
    ] = None,
    equity: Annotated[
        float | None, typer.Option(help="Money there is; default: the strategy's init_cash.")
    ] = None,
    position: Annotated[
        list[str] | None,
        typer.Option(help="Units held now, -0.2 when short; SYMBOL=UNITS for each of several."),
    ] = None,
    entered: Annotated[
        list[str] | None,
        typer.Option(help="Open time (UTC) of the bar it was filled in; SYMBOL=TIME likewise."),
    ] = None,
    placed: Annotated[
        list[str] | None,
        typer.Option(
            help="Bar (UTC) whose decision placed a limit entry that is not filled; SYMBOL=TIME "
            "likewise."
        ),
    ] = None,
    lot: Annotated[float | None, typer.Option(help="Sizes are multiples of it.")] = None,
    tick: Annotated[float | None, typer.Option(help="Prices are multiples of it.")] = None,
    min_notional: Annotated[float | None, typer.Option(help="Least worth of an entry.")] = None,
    symbol: Annotated[
        str | None, typer.Option(help="The run's name for the symbol of --data.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Decide as at this time (UTC): a replay of the past.")
    ] = None,
    keep_on: Annotated[bool, typer.Option("--watch", help="Again at every bar close.")] = False,
    as_json: Json = False,
) -> None:
    """Say BUY, SELL, CANCEL or WAIT for the last finished bar; never places an order."""
    with exit_codes():
        from convnext_vbt.live import session, text, watch

        opened = session.open_session(
            directory, source=data or [], symbol=symbol, equity=equity,
            positions=position or [], entered=entered or [], placed=placed or [],
            limits=session.Limits(lot=lot, tick=tick, min_notional=min_notional),
            notify=lambda line: typer.echo(line, err=True),
        )  # fmt: skip
        if keep_on and as_of is not None:
            raise ConfigError("--watch looks at the clock and --as-of at the past; give one")
        moments = (
            watch.watch(opened) if keep_on else [opened.look(session.time_of(as_of, "--as-of"))]
        )
        for decisions, notes in moments:
            if as_json:
                typer.echo(json.dumps(text.to_dict(decisions) | {"notes": notes}))
            else:
                typer.echo("\n".join(text.lines(decisions, notes)))
            sys.stdout.flush()


app.command("live")(live)


@app.command()
def audit(
    strategy: Strategy,
    overrides: Overrides = None,
    jobs: Jobs = None,
    as_json: Json = False,
) -> None:
    """Replace the future by garbage; exit 5 if anything before it changes."""
    with exit_codes():
        from convnext_vbt.runs.config import load_config

        config = load_config(strategy, overrides or [])
        from convnext_vbt.runs.audited import audit_strategy
        from convnext_vbt.runs.bars import read_bars

        typer.echo("auditing: every split is trained twice ...", err=True)
        found = audit_strategy(config, read_bars(config), jobs=jobs)
        typer.echo(json.dumps(found.to_dict()) if as_json else "\n".join(found.lines()))
    if not found.passed:
        raise typer.Exit(5)


@app.command()
def runs(out: Out = Path("reports"), as_json: Json = False) -> None:
    """List the runs in a folder."""
    with exit_codes():
        from convnext_vbt.runs.directory import list_runs

        found = list_runs(out)
        if as_json:
            typer.echo(json.dumps(found))
            return
        if not found:
            typer.echo(f"no runs in {out}")
            return
        from convnext_vbt.cli.terminal import print_runs

        print_runs(found)


@app.command()
def compare(
    directories: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN RUN ...",
            help="Run directories; the others against the first.",
            show_default=False,
            autocompletion=run_directories,
        ),
    ],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Even on different data or costs; the page says so.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(help="File to write; default: beside the first run.", show_default=False),
    ] = None,
    as_json: Json = False,
    open_report: Open = False,
) -> None:
    """Compare finished runs over the time that all of them were out of sample."""
    with exit_codes():
        from convnext_vbt.report.compare_page import comparison_dict, write_comparison
        from convnext_vbt.runs.compare import compare_directories, linked, page_path

        found = compare_directories(directories, anyway=anyway)
        page = page or page_path(directories)
        write_comparison(linked(found, directories, page), page)
        if as_json:
            typer.echo(json.dumps({"page": str(page), **comparison_dict(found)}))
        else:
            from convnext_vbt.cli.terminal import print_comparison

            print_comparison(found, page)
        if open_report:
            typer.launch(page.resolve().as_uri())


@app.command()
def doctor(as_json: Json = False) -> None:
    """Print versions, device and engine, for a bug report."""
    with exit_codes():
        from convnext_vbt.cli.doctor import diagnose, lines

        facts = diagnose()
        if as_json:
            typer.echo(json.dumps(facts))
        else:
            for name, value in lines(facts):
                typer.echo(f"{name:<16} {value}")


def _plan_text(plan: dict[str, Any]) -> str:
    minutes = plan["minutes"]
    time = "no telling how many" if minutes is None else f"about {max(round(minutes), 1)}"
    further = f", {plan['combinations']} of them combinatorial" if plan["combinations"] else ""
    return (
        f"{plan['splits']} splits ({plan['finished']} finished{further}) · "
        f"train {plan['train']:,} / test {plan['test']:,} bars at first, "
        f"from {plan['trained_from']} and {plan['tested_from']} on · "
        f"purge {plan['purge']} · {plan['cells']} cells · {time} min of training "
        f"on {plan['jobs']} cores · would write {plan['directory']}\n{plan['times']}"
    )


def _show(done: Run, *, as_json: bool, open_report: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"directory": str(done.directory), **done.metrics}))
    else:
        from convnext_vbt.cli.terminal import print_run

        print_run(done)
    if open_report:
        typer.launch(done.report.resolve().as_uri())
