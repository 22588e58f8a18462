"""The quick answer to a command: may this person ask, 👀, and what follows. Asks no model."""

import asyncio
from collections.abc import Sequence
from typing import assert_never

from app import log
from app.automatic import stop_automatic
from app.jobs.job import NewJob, Respond, Review
from app.ports import Desk, Reaction
from app.review.command import (
    AskCommand,
    CancelCommand,
    Command,
    ConfigCommand,
    DismissCommand,
    EstimateCommand,
    HelpCommand,
    PauseCommand,
    ResumeCommand,
    ReviewCommand,
    UnknownCommand,
    WhyCommand,
    parse_line,
)
from app.review.config import Configured
from app.review.event import Request
from app.review.pull import RunId, Target
from app.review.render import (
    render_cancelled,
    render_config,
    render_estimate,
    render_help,
    render_paused,
    render_refusal,
    render_resumed,
    render_unknown,
    render_why,
)
from app.review.rights import (
    TO_DISMISS,
    least_to_command,
    may_bot_command,
    may_command,
    may_dismiss,
)
from app.talking import ask_later, dismiss, explain, restate_later

Answered = (
    HelpCommand
    | PauseCommand
    | ResumeCommand
    | CancelCommand
    | EstimateCommand
    | ConfigCommand
    | WhyCommand
    | DismissCommand
    | UnknownCommand
)
"""Commands that lead to no review."""


async def respond(
    work: Respond, run_id: RunId, desk: Desk, mentions: Sequence[str]
) -> tuple[NewJob, ...]:
    """Answer one command; return the review that it starts, if any."""
    command = parse_line(work.line, mentions, in_thread=work.comment.thread is not None)
    configured = await _hear(work, command, desk)
    if configured is None:
        return ()
    if work.is_archived:
        log.event("command.not_answered", reason="the repository is archived")
        return (_review(work, command, run_id),) if isinstance(command, ReviewCommand) else ()
    await desk.conversation.react(work.target, work.comment, Reaction.EYES)
    if isinstance(command, ReviewCommand):
        return (_review(work, command, run_id),)
    if isinstance(command, AskCommand):
        return (ask_later(command, work, run_id),)
    text = await _obey(command, work, run_id, configured, desk, mentions[0])
    await desk.conversation.say(work.target, f"answer-{run_id}", text, work.comment.thread)
    return (restate_later(work.target, run_id),) if isinstance(command, DismissCommand) else ()


async def _hear(work: Respond, command: Command, desk: Desk) -> Configured | None:
    """Return what is configured where somebody may command; a person who may not is told so."""
    author = work.comment.author
    permission, (pull, configured) = await asyncio.gather(
        desk.permissions.permission(work.target, author), desk.policies.look(work.target)
    )
    config = configured.config
    is_dismissal = isinstance(command, DismissCommand)
    if work.is_bot and not may_bot_command(author, config):
        is_heard = False
    elif is_dismissal:
        is_heard = may_dismiss(permission.value)
    else:
        is_author = author.casefold() == pull.author.casefold()
        is_heard = work.is_bot or may_command(permission.value, config, is_author=is_author)
    if not is_heard:
        log.event("command.refused", permission=permission.value, is_bot=work.is_bot)
    if not (is_heard or work.is_bot or work.is_archived):
        needed = TO_DISMISS if is_dismissal else least_to_command(config)
        refusal = render_refusal(author, needed, permission.value)
        await desk.conversation.say(work.target, f"refused-{author}", refusal)
    return configured if is_heard else None


async def _obey(
    command: Answered,
    work: Respond,
    run_id: RunId,
    configured: Configured,
    desk: Desk,
    mention: str,
) -> str:
    """Do what was asked, once more if need be; return the answer."""
    target = work.target
    match command:
        case HelpCommand():
            return render_help(mention)
        case PauseCommand():
            await desk.pauses.pause(target, True)
            await stop_automatic(target, desk.jobs)
            return render_paused(mention)
        case ResumeCommand():
            await desk.pauses.pause(target, False)
            return render_resumed()
        case CancelCommand():
            n_stopped = await desk.jobs.cancel(target, work.said_at)
            log.event("review.cancelled", reviews=n_stopped)
            return render_cancelled(mention)
        case UnknownCommand():
            return render_unknown(mention, command.text, command.did_you_mean)
        case ConfigCommand():
            return render_config(configured)
        case EstimateCommand():
            return await _estimate(target, run_id, desk)
        case WhyCommand():
            told = await explain(work, desk, mention)
            return told or render_why(await desk.told.last_verdict(target), mention)
        case DismissCommand():
            return await dismiss(command, work, desk, mention)
        case _:
            assert_never(command)


async def _estimate(target: Target, run_id: RunId, desk: Desk) -> str:
    dry = await desk.foresight.foresee(target, run_id, Request())
    return render_estimate(
        questions=len(dry.prompts),
        tokens=dry.n_tokens,
        usd=dry.usd,
        model=dry.model,
        covered=dry.n_covered,
        skipped=dry.skipped,
    )


def _review(work: Respond, command: ReviewCommand, run_id: RunId) -> NewJob:
    """The review has the run id of its command: one command, one run, however often we get here."""
    return NewJob(
        work=Review(
            target=work.target,
            comment=work.comment,
            areas=command.areas,
            full=command.full,
            wish=command.wish,
            asked_at=work.said_at,
        ),
        run_id=run_id,
        dedupe_key=f"review/{run_id}",
        supersedes=command.full,
    )
