"""The conversation: questions about the code, why a finding was made, and findings dismissed.

What needs no model is answered at once; a question is work of its own, since a model takes long.
"""

import asyncio

from app import log
from app.asking import ASK_THE_OPERATOR, RAISE_LIMIT, Asking, guidelines_about, why_not
from app.errors import (
    AnswerInvalid,
    ModelError,
    OutOfCredit,
    OverBudget,
    Permanent,
    PromptTooLong,
)
from app.jobs.job import Ask, NewJob, Respond, Restate, name_run
from app.ports import Desk, KnownCheck, Services
from app.review.command import AskCommand, DismissCommand
from app.review.context import Sheet
from app.review.coverage import plan_review, withheld_by
from app.review.event import Request
from app.review.focus import Area
from app.review.marker import FindingMarker
from app.review.masking import mask
from app.review.prompt import render_ask
from app.review.pull import Change, RunId, Target
from app.review.reading import find_text
from app.review.receipt import ReceiptFinding, usage_of, withdrawn
from app.review.render import (
    render_answer,
    render_dismissed,
    render_dismissed_line,
    render_how_to_dismiss,
    render_no_record,
    render_why_finding,
)
from app.review.talk import Talk, choose_chunk, render_code, render_talk, without_names

MAX_PARTS = 20
"""Parts of a change among which a question outside of a thread finds the one it is about."""
NO_MODEL = "no model is configured"
NAME_A_MODEL = "have the operator set OPENAI_BASE_URL and MODEL"
ASK_LATER = "ask again once the operator has credit at the model server"
ASK_LESS = "ask about less at once"
ASK_A_PERSON = "ask somebody who may read it: `paths.never_send` keeps it from every model"
NOTHING_TO_SHOW = "nothing in this change may be shown to a model"
ASK_ON_A_LINE = "ask in a comment on a line of the diff"


# ---- questions -----------------------------------------------------------------------------------


def ask_later(command: AskCommand, work: Respond, run_id: RunId) -> NewJob:
    """Return the work that answers a question."""
    ask = Ask(target=work.target, comment=work.comment, question=command.question)
    return NewJob(work=ask, run_id=run_id, dedupe_key=f"ask/{run_id}")


async def answer_question(work: Ask, run_id: RunId, s: Services, desk: Desk, how: Asking) -> None:
    """Ask the model, and answer where the question was asked. Raises Permanent where no model
    will answer."""
    if s.models is None:
        raise Permanent(NO_MODEL, remedy=NAME_A_MODEL)
    talk = await _talk_of(work, desk)
    change = await s.changes.open(work.target)
    code = await (_code_of_talk(change, talk, s) if talk else _code_of(change, work, how))
    prompt = render_ask(
        how.prompts,
        question=without_names(work.question),
        code=code,
        thread=render_talk(talk.said) if talk else "",
        title=change.title,
        body=without_names(change.body),
        guidelines=guidelines_about(change, (talk.path,) if talk else ()),
        fence_secret=how.fence_secret,
    )
    model = s.models.open(work.target, run_id, change.config)
    try:
        answer = await model.ask(prompt)
        text = find_text(answer.text, "answer")
    except OverBudget as exc:
        raise Permanent(str(exc), remedy=RAISE_LIMIT) from exc
    except (ModelError, AnswerInvalid) as exc:
        log.warning("question.failed", error=mask(str(exc)))
        raise Permanent(why_not(exc).value, remedy=_remedy(exc)) from exc
    usage = usage_of(await s.models.spent(run_id), answer.model)
    said = render_answer(text, usage, run_id)
    await desk.conversation.say(work.target, f"answer-{run_id}", said, work.comment.thread)


def _remedy(error: ModelError | AnswerInvalid) -> str:
    match error:
        case OutOfCredit():
            return ASK_LATER
        case PromptTooLong():
            return ASK_LESS
        case _:
            return ASK_THE_OPERATOR


async def _code_of_talk(change: Change, talk: Talk, s: Services) -> str:
    files = (file for file in change.diff.files if talk.path in (file.new_path, file.old_path))
    file = next(files, None)
    names = (file.old_path, file.new_path) if file else ()
    if pattern := withheld_by(change.config, talk.path, *names):
        raise Permanent(f"{talk.path} is withheld from the model: {pattern}", remedy=ASK_A_PERSON)
    if file is None:
        return render_code(talk, None)
    is_text = file.new_path is not None and not (file.is_submodule or file.is_symlink)
    head = await s.changes.read(change, file.path) if is_text else None
    return await asyncio.to_thread(lambda: render_code(talk, Sheet(file, head)))


async def _code_of(change: Change, work: Ask, how: Asking) -> str:
    """Show what the question is likely about of a change; no part holds what is withheld."""
    plan = await asyncio.to_thread(
        plan_review,
        change.diff,
        Request(areas=(Area.CORRECTNESS, Area.DOCS)),  # all that a person wrote
        change.config,
        budget_tokens=how.budget_tokens,
        max_chunks=MAX_PARTS,
        attributes=change.attributes,
    )
    if not plan.chunks:
        raise Permanent(NOTHING_TO_SHOW, remedy=ASK_ON_A_LINE)
    return choose_chunk(plan, work.question)


async def _talk_of(work: Ask | Respond, desk: Desk) -> Talk | None:
    root = work.comment.thread
    if root is None:
        return None
    return await desk.talks.read(work.target, root, until=work.comment.id)


# ---- findings ------------------------------------------------------------------------------------


async def explain(work: Respond, desk: Desk, mention: str) -> str | None:
    """Tell from what was recorded why a finding was made; None where nobody asks in its thread."""
    talk = await _talk_of(work, desk)
    if talk is None or talk.finding is None:
        return None
    finding = await _recorded(talk.finding, work.target, desk)
    return render_why_finding(finding) if finding else render_no_record(mention)


async def dismiss(command: DismissCommand, work: Respond, desk: Desk, mention: str) -> str:
    """Withdraw the finding of a thread, for somebody who may; return the answer."""
    talk = await _talk_of(work, desk)
    if talk is None or talk.finding is None:
        return render_how_to_dismiss(mention)
    finding = await _recorded(talk.finding, work.target, desk)
    if finding is None:
        return render_no_record(mention)
    known = {one.fingerprint for one in await desk.dismissals.dismissed(work.target)}
    if finding.fingerprint not in known:
        line = render_dismissed_line(work.comment.author, command.reason or "")
        await desk.conversation.put_on_top(work.target, talk.root, line)
        await desk.dismissals.dismiss(work.target, finding, work.comment.author)
        log.event("finding.dismissed", area=finding.area, fingerprint=finding.fingerprint)
    return render_dismissed(finding)


def restate_later(target: Target, run_id: RunId, delay_s: float = 0.0) -> NewJob:
    """Return the work that takes what was dismissed out of the verdict."""
    new_id = name_run(run_id, "restate")
    return NewJob(
        work=Restate(target=target), run_id=new_id, dedupe_key=f"restate/{new_id}", delay_s=delay_s
    )


async def restate(work: Restate, run_id: RunId, desk: Desk, delay_s: float) -> tuple[NewJob, ...]:
    """Tell the last verdict once more, without what was dismissed since.

    A review under way may not know of that, so its end is waited for, `delay_s` seconds at a time.
    """
    if await desk.jobs.reviews(work.target):
        return (restate_later(work.target, run_id, delay_s),)
    last = await desk.told.last_verdict(work.target)
    gone = {finding.fingerprint for finding in await desk.dismissals.dismissed(work.target)}
    if last is None or gone.isdisjoint(finding.fingerprint for finding in last.findings):
        return ()
    pull, configured = await desk.policies.look(work.target)
    config = configured.config
    receipt = withdrawn(last, gone, run_id, fail_on_error=config.fail_on_error)
    if last.head_sha == pull.head_sha:
        check = KnownCheck(
            run_id=run_id, target=work.target, head_sha=pull.head_sha, name=config.check_name
        )
        await desk.statements.post(check, receipt)
    await desk.told.keep(work.target, receipt)
    return ()


async def _recorded(marker: FindingMarker, target: Target, desk: Desk) -> ReceiptFinding | None:
    """Find what was written down about a finding: last, or when it was made."""
    receipts = (
        await desk.told.last_verdict(target),
        await desk.told.receipt(RunId(marker.run_id)),
    )
    told = (f for receipt in receipts if receipt for f in receipt.findings)
    return next((f for f in told if f.fingerprint == marker.fingerprint), None)
