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
from app.review.pull import RunId
from app.review.render import (
    render_cancelled,
    render_help,
    render_paused,
    render_refusal,
    render_resumed,
    render_unknown,
)
from app.review.rights import least_to_command, may_bot_command, may_command

NotYet = AskCommand | WhyCommand | DismissCommand | EstimateCommand | ConfigCommand
Answered = HelpCommand | PauseCommand | ResumeCommand | CancelCommand | UnknownCommand | NotYet
"""Commands that lead to no review."""


async def respond(
    work: Respond, run_id: RunId, desk: Desk, mentions: Sequence[str]
) -> tuple[NewJob, ...]:
    """Answer one command; return the review that it starts, if any."""
    if not await _is_heard(work, desk):
        return ()
    command = parse_line(work.line, mentions, in_thread=work.comment.thread is not None)
    if work.is_archived:
        log.event("command.not_answered", reason="the repository is archived")
        return (_review(work, command, run_id),) if isinstance(command, ReviewCommand) else ()
    await desk.conversation.react(work.target, work.comment, Reaction.EYES)
    if isinstance(command, ReviewCommand):
        return (_review(work, command, run_id),)
    text = await _obey(command, work, desk, mentions[0])
    await desk.conversation.say(work.target, f"answer-{run_id}", text, work.comment.thread)
    return ()


async def _is_heard(work: Respond, desk: Desk) -> bool:
    """Say whether somebody may command here; a person who may not is told so."""
    author = work.comment.author
    permission, (pull, configured) = await asyncio.gather(
        desk.permissions.permission(work.target, author), desk.policies.look(work.target)
    )
    config = configured.config
    if work.is_bot:
        is_heard = may_bot_command(author, config)
    else:
        is_author = author.casefold() == pull.author.casefold()
        is_heard = may_command(permission.value, config, is_author=is_author)
    if not is_heard:
        log.event("command.refused", permission=permission.value, is_bot=work.is_bot)
    if not (is_heard or work.is_bot or work.is_archived):
        refusal = render_refusal(author, least_to_command(config), permission.value)
        await desk.conversation.say(work.target, f"refused-{author}", refusal)
    return is_heard


async def _obey(command: Answered, work: Respond, desk: Desk, mention: str) -> str:
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
        case AskCommand() | WhyCommand() | DismissCommand() | EstimateCommand() | ConfigCommand():
            return render_unknown(mention, work.line, None)
        case _:
            assert_never(command)


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
