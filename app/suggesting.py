"""Checks the suggestions of findings on the files at the head, and has the results parsed."""

import asyncio
from collections.abc import Sequence

from app.ports import Changes, Syntax
from app.review.anchor import Shown
from app.review.findings import Finding
from app.review.pull import Change
from app.review.suggestion import (
    Edit,
    Errors,
    Proposal,
    paths_to_read,
    propose_edits,
    settle_suggestions,
)
from app.review.syntax import Language

AT_ONCE = 4
"""Files that are read, or parsed, at the same time."""


async def check_suggestions(
    findings: tuple[Finding, ...], change: Change, shown: Shown, changes: Changes, syntax: Syntax
) -> tuple[Finding, ...]:
    """Accept the suggestions that are proven to apply and refuse all others; findings stay."""
    gate = asyncio.Semaphore(AT_ONCE)
    paths = paths_to_read(findings)
    contents = await asyncio.gather(*(_read(change, path, changes, gate) for path in paths))
    heads = {path: text for path, text in zip(paths, contents, strict=True) if text is not None}
    proposals = await asyncio.to_thread(propose_edits, findings, change.diff, shown, heads)
    errors = await _count_errors(proposals, syntax, gate)
    return settle_suggestions(findings, proposals, errors)


async def _read(
    change: Change, path: str, changes: Changes, gate: asyncio.Semaphore
) -> bytes | None:
    async with gate:
        return await changes.read(change, path)


async def _count_errors(
    proposals: Sequence[Proposal], syntax: Syntax, gate: asyncio.Semaphore
) -> dict[int, Errors]:
    """Parse each file at the head once, and as each of its suggestions would make it."""
    by_path: dict[tuple[str, Language], dict[int, Edit]] = {}
    for number, proposal in enumerate(proposals):
        if isinstance(proposal, Edit) and proposal.language:
            by_path.setdefault((proposal.path, proposal.language), {})[number] = proposal
    counted = await asyncio.gather(
        *(_count(edits, language, syntax, gate) for (_, language), edits in by_path.items())
    )
    return {number: errors for one in counted for number, errors in one.items()}


async def _count(
    edits: dict[int, Edit], language: Language, syntax: Syntax, gate: asyncio.Semaphore
) -> dict[int, Errors]:
    async with gate:
        texts = [next(iter(edits.values())).head, *(edit.result for edit in edits.values())]
        head, *results = await syntax.count_errors(language, texts)
    return {
        number: Errors(head=head, result=result)
        for number, result in zip(edits, results, strict=True)
    }
