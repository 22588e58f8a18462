"""The command line. Heavy imports stand inside the commands, so that `--help` is quick."""

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TextIO

import click

from app.errors import AppError, Permanent, RateLimited, Unusable

if TYPE_CHECKING:
    from app.ports import Changes
    from app.review.focus import Area
    from app.review.priority import Priority
    from app.review.receipt import Receipt
    from app.settings import TerminalSettings
    from app.single_runs import OnGitHub

REVIEWED, BLOCKED, USAGE, NOT_REVIEWED, INTERRUPTED = 0, 1, 2, 3, 130
DONE = 0
"""Of commands that give no verdict."""
NEVER = "never"
PRIORITIES = ("P0", "P1", "P2", "P3", NEVER)


def run(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command and leave with the status that the README's table promises."""
    _never_fail_at_printing(sys.stdout, sys.stderr)
    try:
        sys.exit(main(argv, standalone_mode=False))
    except (click.ClickException, Unusable) as exc:
        message = exc.format_message() if isinstance(exc, click.ClickException) else str(exc)
        click.echo(f"codex-review: {message}", err=True)
        sys.exit(USAGE)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except AppError as exc:
        click.echo(f"codex-review: {_explained(exc)}", err=True)
        sys.exit(NOT_REVIEWED)
    except Exception as exc:  # the last resort: a crash is a status too, and never a bare traceback
        from app import log

        log.configure("error")
        log.error("crash", exc=exc)
        click.echo("codex-review: something broke on our side; the line above says where", err=True)
        sys.exit(NOT_REVIEWED)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="codex-review")
def main() -> None:
    """Few, proven review comments on your pull requests, from the model you choose."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--pull",
    "pull_s",
    type=click.FloatRange(min=1, max=3600),
    is_flag=False,
    flag_value=5.0,
    metavar="[SECONDS]",
    help="Experimental, for hosts without a public URL: also take deliveries from GitHub's own "
    "list, every 5 seconds or so many.",
)
def serve(host: str, port: int, pull_s: float | None) -> None:
    """Take GitHub's webhooks and review. Without a GitHub App it first says where to create one."""
    from app.bootstrap import serve as serve_until_stopped

    environ = {**os.environ, **({"PULL": f"{pull_s:g}"} if pull_s else {})}
    asyncio.run(serve_until_stopped(environ, host, port, say=click.echo))


@main.command()
@click.argument("url", required=False, metavar="[PULL_REQUEST_URL]")
@click.option("--diff", "diff_file", type=click.File("rb"), help="A unified diff, - for stdin.")
@click.option("--base", help="Review the working tree against its merge base with this revision.")
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the files of --diff lie, or the working tree for --base.",
)
@click.option("--focus", help="Focus areas, comma separated.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "sarif", "markdown"]),
    default="text",
    show_default=True,
)
@click.option(
    "--fail-on",
    type=click.Choice(PRIORITIES, case_sensitive=False),
    default="P1",
    show_default=True,
    help="Leave with 1 for findings of this priority or above.",
)
@click.option("--post", is_flag=True, help="Post the review on the pull request.")
@click.option("--dry-run", is_flag=True, help="Only say what would be asked, and what it takes.")
@click.option("--show-prompts", is_flag=True, help="Only print what would be sent to the model.")
def review(
    url: str | None,
    diff_file: BinaryIO | None,
    base: str | None,
    repo: Path | None,
    focus: str | None,
    format_: str,
    fail_on: str,
    post: bool,
    dry_run: bool,
    show_prompts: bool,
) -> int:
    """Review a pull request, a diff or the working tree, from this machine.

    Nothing is posted without --post. Without a model only analysers run.
    """
    from app.alone import Progress
    from app.review.dry_run import render_dry_run, render_prompts
    from app.settings import read_terminal_settings
    from app.single_runs import OnGitHub, dry_run_on_terminal, review_on_terminal

    if [url, diff_file, base].count(None) != 2:
        raise click.UsageError("name one: PULL_REQUEST_URL, --diff FILE (or -), --base REVISION")
    if post and url is None:
        raise click.UsageError("--post needs a PULL_REQUEST_URL")
    if repo and url is not None:
        raise click.UsageError("--repo goes with --diff or --base")
    is_dry = dry_run or show_prompts
    if is_dry and (post or format_ != "text"):
        raise click.UsageError("--dry-run and --show-prompts print text, and nothing else happens")
    areas = _areas(focus)
    settings = read_terminal_settings(_named_environment())
    threshold = _threshold(fail_on)
    source: Changes | OnGitHub
    if url is not None:
        source = _on_github(url, threshold, post=post)
    else:
        source = _on_this_machine(diff_file, base, repo, threshold, settings)
    if is_dry:
        dry = asyncio.run(dry_run_on_terminal(settings, source, areas))
        _tell(dry.mistakes)
        _print(render_prompts(dry) if show_prompts else render_dry_run(dry))
        return DONE
    receipt = asyncio.run(review_on_terminal(settings, source, areas, Progress(sys.stderr)))
    _tell(receipt.mistakes)
    if isinstance(source, OnGitHub) and source.post and not source.has_check_run:
        _tell(["no check run was posted: that takes the App's own credentials"])
    _print(_formatted(receipt, format_))
    return exit_status(receipt, threshold, is_static=settings.is_static)


@main.command()
@click.argument("where", metavar="URL|FILE")
@click.option(
    "--fail-on",
    type=click.Choice(PRIORITIES, case_sensitive=False),
    help="Leave with 1 for findings of this priority or above; default: the receipt's own.",
)
def verdict(where: str, fail_on: str | None) -> int:
    """Print the verdict of a receipt, and leave as it says.

    Give a file (- for stdin), or the address of a pull request or of a check run of ours.
    """
    from app.review.receipt import threshold
    from app.settings import is_static

    receipt = _fetched_receipt(where) if "://" in where else _read_receipt(where)
    _tell(receipt.mistakes)
    _print(_formatted(receipt, "text"))
    told = _threshold(fail_on) if fail_on else threshold(receipt)
    return exit_status(receipt, told, is_static=is_static(_named_environment()))


@main.command("eval")
@click.argument("cases", required=False, type=click.Path(path_type=Path))
@click.option("--model", "models", multiple=True, metavar="NAME", help="Instead of MODEL.")
@click.option("--repeat", type=click.IntRange(1, 100), default=1, show_default=True)
@click.option("--max-usd", type=click.FloatRange(min=0), help="Begin no review beyond this.")
@click.option(
    "--compare",
    type=click.File("rb"),
    help="An earlier result of --format json, to tell the difference.",
)
@click.option(
    "--min-precision",
    type=click.FloatRange(0, 1),
    help="Leave with 1 if a smaller share of the findings is right.",
)
@click.option(
    "--add",
    "fix_url",
    metavar="PULL_REQUEST_URL",
    help="Only add a case: this bug fix, reversed. Into CASES, or printed.",
)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
def evaluate(
    cases: Path | None,
    models: tuple[str, ...],
    repeat: int,
    max_usd: float | None,
    compare: BinaryIO | None,
    min_precision: float | None,
    fix_url: str | None,
    format_: str,
) -> int:
    """Measure a model and the prompts on CASES with known bugs and on clean ones.

    CASES is a JSONL file, or a folder with cases.jsonl; default: those that we ship.
    """
    from app.alone import Progress
    from app.evaluating import Plan, add_case, read_cases
    from app.parts import shipped
    from app.review.scoring import (
        Measured,
        decode_evaluation,
        encode_evaluation,
        is_below,
        is_whole,
        render_evaluation,
        score,
    )
    from app.settings import read_terminal_settings
    from app.single_runs import evaluate_on_terminal, fetch_case_on_terminal

    settings = read_terminal_settings(_named_environment())
    if fix_url is not None:
        line = asyncio.run(fetch_case_on_terminal(settings, _on_github(fix_url, None, post=False)))
        if cases is None:
            _print(line.rstrip())
        else:
            add_case(cases, line)
        return DONE
    before = decode_evaluation(compare.read(), compare.name) if compare else None
    plan = Plan(
        cases=read_cases(cases or shipped("cases")),
        repeat=repeat,
        at_once=settings.max_concurrent_model_calls,
        max_usd=max_usd,
    )
    measured: list[Measured] = []
    is_interrupted, left_out = False, "interrupted"
    try:
        left_out = asyncio.run(
            evaluate_on_terminal(settings, plan, models, measured, Progress(sys.stderr))
        )
    except KeyboardInterrupt:
        is_interrupted = True
    result = score(measured, plan.cases, repeat=repeat, left_out=left_out, before=before)
    _print(encode_evaluation(result) if format_ == "json" else render_evaluation(result))
    if is_interrupted:
        return INTERRUPTED
    if min_precision is not None and is_below(result, min_precision):
        return BLOCKED
    return DONE if is_whole(result, is_static=settings.is_static) else NOT_REVIEWED


@main.command()
@click.option("--json", "is_json", is_flag=True, help="For programs.")
def doctor(is_json: bool) -> int:
    """Look at everything that a review needs, and say what to do about it.

    Leaves with 0 if nothing is broken, 1 if something is, 2 if the settings cannot be used.
    """
    from app.doctor import render_diagnosis
    from app.single_runs import diagnose_here

    diagnosis = asyncio.run(diagnose_here(os.environ))
    _print(render_diagnosis(diagnosis, is_json=is_json))
    if not diagnosis.is_usable:
        return USAGE
    return DONE if diagnosis.is_well else BLOCKED


@main.command()
@click.argument("repository", metavar="OWNER/REPO")
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(repository: str, yes: bool) -> int:
    """Erase all that is kept about a repository on this machine; what is on GitHub stays there.

    A running review of it is stopped first.
    """
    from app.credentials import read_environment
    from app.settings import read_database
    from app.single_runs import forget_repository

    owner, slash, repo = repository.partition("/")
    if not (owner and slash and repo) or "/" in repo:
        raise click.UsageError("name the repository as OWNER/REPO")
    path = read_database(read_environment(os.environ))
    if not path.exists():
        raise Unusable(f"there is no database at {path}: DATABASE_URL says where it is")
    if not yes and not click.confirm(f"Erase all that {path} keeps about {repository}?"):
        click.echo("Nothing was erased.")
        return BLOCKED
    erased = asyncio.run(forget_repository(path, owner, repo))
    for what, rows in erased.items():
        click.echo(f"{rows:>8} {what} erased")
    if not erased:
        click.echo(f"Nothing is kept about {repository} under this name.")
    for copy in sorted(path.parent.glob(f"{path.name}.v*")):
        click.echo(f"{copy} is a copy from an earlier release, which still holds what it held.")
    return DONE


@main.command()
@click.option("--keep", is_flag=True, help="Leave it running afterwards and print the links.")
def demo(keep: bool) -> int:
    """Play the whole loop on this machine: a comment, a crash, one review, a fix."""
    from app.demo.story import play
    from app.settings import read_terminal_settings

    read_terminal_settings(os.environ)  # half a model is a mistake, not a wish for none
    return play(os.environ, keep=keep, say=click.echo)


def exit_status(receipt: "Receipt", fail_on: "Priority | None", *, is_static: bool) -> int:
    """Tell how to leave: 0 reviewed, 1 blocked by a finding, 3 not (wholly) reviewed."""
    from app.review.receipt import is_blocked, is_reviewed

    if is_blocked(receipt, fail_on):
        return BLOCKED
    return REVIEWED if is_reviewed(receipt, fail_on, is_static=is_static) else NOT_REVIEWED


def _named_environment() -> dict[str, str]:
    """Read the environment, and the file of credentials if one is named in it."""
    from app.credentials import read_environment

    return read_environment(os.environ, by_default=False)


def _on_github(url: str, fail_on: "Priority | None", *, post: bool) -> "OnGitHub":
    from app.github.addresses import parse_pull_address
    from app.settings import read_github_access
    from app.single_runs import OnGitHub

    access = read_github_access(_named_environment())
    address = parse_pull_address(url, access.api_url)
    if post and access.key is None and not access.token:
        raise click.UsageError("--post needs APP_ID with PRIVATE_KEY, or GITHUB_TOKEN")
    return OnGitHub(access=access, address=address, fail_on=fail_on, post=post)


def _on_this_machine(
    diff_file: BinaryIO | None,
    base: str | None,
    repo: Path | None,
    fail_on: "Priority | None",
    settings: "TerminalSettings",
) -> "Changes":
    from app.alone import Blocking
    from app.terminal import DiffChanges, GitChanges

    changes: Changes
    if diff_file is not None:
        changes = DiffChanges(raw=diff_file.read(), folder=repo)
    else:
        changes = GitChanges(
            folder=repo or Path.cwd(),
            base=base or "",
            server=settings.default_config,
            ceilings=settings.ceilings,
        )
    return Blocking(changes=changes, fail_on=fail_on)


def _fetched_receipt(url: str) -> "Receipt":
    from app.github.addresses import parse_address
    from app.settings import read_github_access
    from app.single_runs import fetch_verdict

    access = read_github_access(_named_environment())
    return asyncio.run(fetch_verdict(access, parse_address(url, access.api_url)))


def _read_receipt(file: str) -> "Receipt":
    from app.review.receipt import decode_receipt

    try:
        with click.open_file(file, "rb") as opened:
            return decode_receipt(opened.read())
    except OSError as exc:
        raise Unusable(f"{file} cannot be read: {exc.strerror or exc}") from exc
    except ValueError as exc:
        raise Unusable(f"{file}: {exc}") from exc


def _formatted(receipt: "Receipt", format_: str) -> str | bytes:
    """Text is for a terminal, whatever it can show; what programs read is UTF-8."""
    from importlib.metadata import version

    from app.review.receipt import encode_receipt
    from app.review.render import render_markdown, render_terminal
    from app.review.sarif import render_sarif

    match format_:
        case "json":
            return encode_receipt(receipt).encode()
        case "sarif":
            return render_sarif(receipt, version=version("codex-review")).encode()
        case "markdown":
            return render_markdown(receipt).encode()
        case _:
            return render_terminal(receipt)


def _tell(notes: Sequence[str]) -> None:
    from app.review.render import obeyed_by_no_terminal

    for note in notes:
        click.echo(f"codex-review: {obeyed_by_no_terminal([note])}", err=True)


def _explained(exc: AppError) -> str:
    """Say what went wrong and what a person can do about it."""
    if isinstance(exc, RateLimited) and exc.reset_at is not None:
        until = time.strftime("%H:%M UTC", time.gmtime(exc.reset_at + 59))
        more = "with the App's credentials or GITHUB_TOKEN it takes more requests"
        return f"{exc}: try again after {until}; {more}"
    remedy = exc.remedy if isinstance(exc, Permanent) else ""
    return f"{exc}. {remedy}" if remedy else str(exc)


def _threshold(fail_on: str) -> "Priority | None":
    from app.review.priority import Priority

    return None if fail_on == NEVER else Priority(fail_on)


def _print(told: str | bytes) -> None:
    """Print; that nobody reads to the end (`| head`) does not change how we leave."""
    try:
        click.echo(told)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _never_fail_at_printing(*streams: TextIO) -> None:
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _areas(focus: str | None) -> "tuple[Area, ...] | None":
    from app.review.focus import closest, parse_area

    if focus is None:
        return None
    areas = []
    for word in focus.replace(",", " ").split():
        area = parse_area(word)
        if area is None:
            near = closest(word)
            hint = f"; did you mean {near}?" if near else ""
            raise click.BadParameter(f"{word!r} is no focus area{hint}", param_hint="--focus")
        areas.append(area)
    if not areas:
        raise click.BadParameter("name at least one focus area", param_hint="--focus")
    return tuple(dict.fromkeys(areas))
