"""The quick answer to a command: may this person ask, 👀, and what follows. Asks no model."""

from collections.abc import Sequence
from typing import assert_never

from app import log
from app.jobs.job import NewJob, Respond, Review
from app.ports import Desk, Permission, Reaction
from app.review.command import HelpCommand, ReviewCommand, UnknownCommand, parse_line
from app.review.pull import RunId
from app.review.render import render_help, render_refusal, render_unknown

ALLOWED = (Permission.ADMIN, Permission.WRITE)


async def respond(
    work: Respond, run_id: RunId, desk: Desk, mentions: Sequence[str]
) -> tuple[NewJob, ...]:
    """Answer one command; return the review that it starts, if any."""
    permission = await desk.permissions.permission(work.target, work.comment.author)
    if permission not in ALLOWED:
        log.event("command.refused", permission=permission.value)
        if work.is_archived:
            return ()
        refusal = render_refusal(work.comment.author, Permission.WRITE, permission)
        await desk.conversation.say(work.target, f"refused-{work.comment.author}", refusal)
        return ()
    command = parse_line(work.line, mentions)
    if work.is_archived:
        log.event("command.not_answered", reason="the repository is archived")
        return (_review(work, command, run_id),) if isinstance(command, ReviewCommand) else ()
    await desk.conversation.react(work.target, work.comment, Reaction.EYES)
    match command:
        case ReviewCommand():
            return (_review(work, command, run_id),)
        case HelpCommand():
            text = render_help(mentions[0])
        case UnknownCommand():
            text = render_unknown(mentions[0], command.text, command.did_you_mean)
        case _:
            assert_never(command)
    await desk.conversation.say(work.target, f"answer-{run_id}", text)
    return ()


def _review(work: Respond, command: ReviewCommand, run_id: RunId) -> NewJob:
    """The review has the run id of its command: one command, one run, however often we get here."""
    return NewJob(
        work=Review(
            target=work.target,
            comment=work.comment,
            areas=command.areas,
            full=command.full,
            wish=command.wish,
        ),
        run_id=run_id,
        dedupe_key=f"review/{run_id}",
        supersedes=command.full,
    )
