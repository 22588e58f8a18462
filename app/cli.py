"""The command line. Heavy imports stand inside the commands, so that `--help` is quick."""

import asyncio
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TextIO

import click

from app.errors import AppError, Unusable

if TYPE_CHECKING:
    from app.review.focus import Area
    from app.review.priority import Priority
    from app.review.receipt import Receipt

REVIEWED, BLOCKED, USAGE, NOT_REVIEWED, INTERRUPTED = 0, 1, 2, 3, 130
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
        click.echo(f"codex-review: {exc}", err=True)
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
    """Take GitHub's webhooks and review. The README's table of settings says what it needs."""
    from app.bootstrap import serve as serve_until_stopped
    from app.settings import read_settings

    asyncio.run(serve_until_stopped(read_settings(os.environ), host, port, pull_s=pull_s))


@main.command()
@click.option("--diff", "diff_file", type=click.File("rb"), help="A unified diff, - for stdin.")
@click.option("--base", help="Review the working tree against its merge base with this revision.")
@click.option("--focus", help="Focus areas, comma separated.")
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
@click.option(
    "--fail-on",
    type=click.Choice(PRIORITIES, case_sensitive=False),
    default="P1",
    show_default=True,
    help="Leave with 1 for findings of this priority or above.",
)
def review(
    diff_file: BinaryIO | None,
    base: str | None,
    focus: str | None,
    format_: str,
    fail_on: str,
) -> int:
    """Review a diff or the working tree on this machine. Without a model only analysers run."""
    from app.bootstrap import review_on_terminal
    from app.ports import Changes
    from app.review.config import Config
    from app.review.priority import Priority
    from app.review.receipt import encode_receipt
    from app.review.render import render_terminal
    from app.settings import read_terminal_settings
    from app.terminal import DiffChanges, GitChanges

    if (diff_file is None) == (base is None):
        raise click.UsageError("name one: --diff FILE (or -), or --base REVISION")
    areas = _areas(focus)
    settings = read_terminal_settings(os.environ)
    threshold = None if fail_on == NEVER else Priority(fail_on)
    config = Config(fail_on=threshold)
    changes: Changes
    if diff_file is not None:
        changes = DiffChanges(raw=diff_file.read(), config=config)
    else:
        changes = GitChanges(folder=Path.cwd(), base=base or "", config=config)
    receipt = asyncio.run(review_on_terminal(settings, changes, areas))
    _print(encode_receipt(receipt).encode() if format_ == "json" else render_terminal(receipt))
    return exit_status(receipt, threshold, is_static=settings.is_static)


@main.command()
@click.option("--keep", is_flag=True, help="Leave it running afterwards and print the links.")
@click.option("--picture", type=click.Path(path_type=Path), hidden=True)
def demo(keep: bool, picture: Path | None) -> int:
    """Play the whole loop on this machine: a comment, a crash, one review, a fix."""
    from app.demo.story import play
    from app.settings import read_terminal_settings

    read_terminal_settings(os.environ)  # half a model is a mistake, not a wish for none
    return play(os.environ, keep=keep, picture=picture, say=click.echo)


def exit_status(receipt: "Receipt", fail_on: "Priority | None", *, is_static: bool) -> int:
    """Tell how to leave: 0 reviewed, 1 blocked by a finding, 3 not (wholly) reviewed."""
    from app.review.receipt import State, is_blocked

    if is_blocked(receipt, fail_on):
        return BLOCKED
    if receipt.state in (State.CLEAN, State.FINDINGS):
        return REVIEWED
    return REVIEWED if receipt.state is State.CHECKED and is_static else NOT_REVIEWED


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
