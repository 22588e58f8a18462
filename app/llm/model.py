"""A model behind a server: asks one question as often as makes sense, in the form it takes.

Every protocol goes through the same loop: ask, step down the ladder, wait as told, make room.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import httpx
import msgspec

from app import log
from app.errors import AnswerCut, AppError, ModelError, ModelUnavailable, PromptTooLong
from app.llm import chat, completions, responses
from app.llm.connection import Connection, Received
from app.llm.faults import Fault, Kind, error_of, fault, fault_of_answer, fault_of_error
from app.llm.ladder import TRUSTED_S, Abilities, Api, decode, encode, least_of, step_down
from app.llm.pace import Pace
from app.llm.turns import Turns
from app.llm.wire import Said, Wire
from app.ports import Clock
from app.review.answer import Answer, Usage
from app.review.prompt import Prompt
from app.review.tokens import estimate

MAX_TRIES = 4
FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 30.0
PATIENCE = 3.0
"""All tries and waits for one question together take at most this many time-outs …"""
MIN_PATIENCE_S = 300.0
"""… but never give up before this, where the server only asks us to wait."""
MORE_ROOM = 16_384
"""Tokens at least that an answer may have which was cut before; thoughts count too."""

RATIO_STEP, MIN_RATIO, MAX_RATIO = 0.5, 0.5, 3.0
"""How far one answer moves the ratio of tokens, and the bounds of belief in a server's count."""
LEARN_FROM = 8
"""The ratio is learnt from the first of so many answers: estimating a question takes its time."""
MUCH_LESS = 0.5
"""Below this share of our estimate a server may have cut the question without a word, as Ollama
does with what is longer than its `num_ctx`. That is only logged: a count alone proves no cut. Some
versions of Ollama leave out what was cached, which our rules at the head always are
(github.com/ollama/ollama/issues/3427, 5370 and 16428), and gateways report what they like."""

NOTHING_SPENT = Usage()
_CUT = (Kind.CUT, Kind.BLANK)
_ONCE_MORE = (*_CUT, Kind.GARBLED)

_WIRES: Mapping[Api, Wire] = {
    Api.CHAT: chat,
    Api.RESPONSES: responses,
    Api.COMPLETIONS: completions,
}


class Learned(Protocol):
    """Where what a server takes is kept over restarts."""

    async def kept_value(self, name: str) -> str | None: ...

    async def keep_value(self, name: str, text: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What one request came to. `usage` counts this call alone."""

    text: str = ""
    usage: Usage = NOTHING_SPENT
    fault: Fault | None = None


@dataclass(slots=True, kw_only=True)
class _Question:
    """One question under way: in which form it is asked next, and how much longer it is tried.

    With `in_one_piece` no stream is asked for, whatever the server can.
    """

    prompt: Prompt
    can: Abilities
    left_s: float
    in_one_piece: bool = False
    room: int = 0
    spent: Usage = NOTHING_SPENT
    cut: AnswerCut | None = None
    tries: int = 0
    repeats: int = 0

    def render(self, wire: Wire, model: str) -> dict[str, object]:
        refused = self.can.refused | ({"stream"} if self.in_one_piece else set())
        request = wire.render(model, self.prompt, replace(self.can, refused=refused))
        name = next((name for name in wire.ROOM if self.can.takes(name)), None)
        if self.room and name:
            request[name] = self.room
        return request

    def note_cut(self, outcome: _Outcome, fault: Fault) -> None:
        """Ask for more room next, and keep what came for the case that it does not help."""
        self.room = max(MORE_ROOM, 2 * outcome.usage.output_tokens)
        if self.cut is None or outcome.text:
            self.cut = AnswerCut(fault.text, text=outcome.text)

    def wait_s(self, fault: Fault, jitter: float) -> float | None:
        """Count a failed try; return how long to wait for the next, None for no next."""
        self.tries += 1
        if self.tries >= MAX_TRIES:
            return None
        if fault.kind in _ONCE_MORE:
            self.repeats += 1
            return 0.0 if self.repeats == 1 else None
        if fault.kind is not Kind.PASSING:
            return None
        backoff = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2**self.tries)
        wait = jitter * backoff if fault.wait_s is None else fault.wait_s + jitter
        return wait if wait < self.left_s else None

    def error(self, fault: Fault) -> ModelError:
        """Say why there is no answer; one that was cut matters more than what came of more room."""
        error: ModelError = error_of(fault)
        if self.cut and isinstance(error, ModelUnavailable | PromptTooLong):
            error = self.cut
        error.usage = self.spent
        return error


class ServedModel:
    """A model of a server; `turns` bound the requests under way, `api` None finds its protocol.

    What the server takes is learnt, and kept in `learned` where that is given.
    """

    def __init__(
        self,
        *,
        connection: Connection,
        model: str,
        timeout_s: float,
        turns: Turns,
        clock: Clock,
        api: Api | None = None,
        learned: Learned | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._connection = connection
        self._model = model
        self._timeout_s = timeout_s
        self._turns = turns
        self._clock = clock
        self._is_auto = api is None
        self._top = Abilities(api=api or Api.CHAT)
        self._learned = learned
        self._key = f"learned {api or 'auto'} {connection.base_url} {model}"
        self._jitter = jitter
        self._pace = Pace(clock)
        self._known: tuple[Abilities, float] | None = None
        self._token_ratio = 1.0
        self._n_counted = 0

    @property
    def name(self) -> str:
        return self._model

    @property
    def token_ratio(self) -> float:
        """How many tokens the server counts for one of ours; moves with each answer that tells."""
        return self._token_ratio

    async def ask(self, prompt: Prompt) -> Answer:
        """Ask one question, again as often as makes sense. Raises a ModelError.

        The usage, of the answer or of the error, counts every call that was paid for.
        """
        question = _Question(
            prompt=prompt,
            can=await self._abilities(),
            left_s=max(MIN_PATIENCE_S, PATIENCE * self._timeout_s),
        )
        while True:
            began = self._clock.now()
            outcome = await self._call(question)
            question.spent += outcome.usage
            if outcome.fault is None:
                self._pace.speed_up()
                await self._remember(question.can)
                self._learn_ratio(prompt, outcome.usage)
                self._log_answer(question, took_s=self._clock.now() - began)
                return Answer(text=outcome.text, model=self._model, usage=question.spent)
            if not self._step_down(question, outcome.fault):
                if outcome.fault.kind in _CUT:
                    question.note_cut(outcome, outcome.fault)
                await self._wait(question, outcome.fault)

    # ---- one request -----------------------------------------------------------------------------

    async def _call(self, question: _Question) -> _Outcome:
        """Make one request in its turn; waiting for the turn costs no patience."""
        wire = _WIRES[question.can.api]
        content = msgspec.json.encode(question.render(wire, self._model))
        received = None
        while received is None:
            await self._wait_for_others(question)
            async with self._turns.turn(is_urgent=question.prompt.is_urgent):
                if self._pace.is_open:
                    received = await self._send(wire, content, question)
        if received.status == httpx.codes.OK:
            return self._read(received, wire, question)
        return _Outcome(fault=received.fault or self._refusal(received))

    async def _wait_for_others(self, question: _Question) -> None:
        """Wait for what the server told any question, as long as there is patience."""
        while not self._pace.is_open:
            if self._pace.told and self._pace.wait_s >= question.left_s:
                raise question.error(self._pace.told)
            began = self._clock.now()
            await self._pace.until_open()
            question.left_s -= self._clock.now() - began

    async def _send(self, wire: Wire, content: bytes, question: _Question) -> Received:
        timeout_s = min(self._timeout_s, max(1.0, question.left_s))
        began = self._clock.now()
        with self._pace.asking():
            received = await self._connection.send("POST", wire.PATH, content, timeout_s=timeout_s)
        question.left_s -= self._clock.now() - began
        return received

    def _refusal(self, received: Received) -> Fault:
        secret, now = self._connection.api_key, self._clock.now()
        body = bytes(received.body)
        return fault_of_answer(received.status, received.headers, body, now=now, secret=secret)

    def _read(self, received: Received, wire: Wire, question: _Question) -> _Outcome:
        """Take an answer of status 200 apart."""
        said = wire.read(received.values)
        if said is None:
            # llama-cpp-python's server finds a question too long once the stream has begun, and
            # ends it without a word.
            question.in_one_piece = not received.events
            text = "the model server's answer cannot be understood"
            return _Outcome(fault=received.fault or Fault(kind=Kind.GARBLED, text=text))
        # What breaks once the answer has ended does not matter.
        problem = (not said.end and received.fault) or self._problem(said, received)
        is_paid = said.text or said.tokens_in or not said.error
        usage = _usage(said, question.prompt) if is_paid else NOTHING_SPENT
        return _Outcome(text=said.text, usage=usage, fault=problem)

    def _problem(self, said: Said, received: Received) -> Fault | None:
        if said.error:
            return fault_of_error(said.error, secret=self._connection.api_key)
        if said.refusal.strip():
            text = f"the model declined: {said.refusal}"
            return fault(Kind.REFUSED, text, secret=self._connection.api_key)
        match said.end:
            case "content_filter":
                return Fault(kind=Kind.REFUSED, text="declined by a content filter")
            case "insufficient_system_resource" | "error":
                return Fault(kind=Kind.PASSING, text="the model server broke off the answer")
            case "length":
                return Fault(kind=Kind.CUT, text="no room for the whole answer")
            case "" if received.events and not (received.is_ended and _is_whole(said.text)):
                return Fault(kind=Kind.CUT, text="the stream ended before the answer did")
            case _ if not said.text.strip():
                return Fault(kind=Kind.BLANK, text="the model's answer is blank")
        return None

    # ---- between two requests --------------------------------------------------------------------

    def _step_down(self, question: _Question, fault: Fault) -> bool:
        proven = self._known[0] if self._known else None
        can = step_down(question.can, fault, proven=proven, is_auto=self._is_auto)
        if can is None:
            return False
        log.event(
            "model.asked_for_less",
            model=self._model,
            reason=fault.text,
            api=can.api.value,
            form=can.form.name.lower(),
            without=" ".join(sorted(can.refused)),
        )
        question.can = can
        return True

    async def _wait(self, question: _Question, fault: Fault) -> None:
        """Wait as long as makes sense, or as told: this is then waited before the next request."""
        if fault.is_limit and fault.wait_s is not None:
            told = self._pace.wait_of(fault.wait_s, self._jitter())
            wait = told if told < question.left_s else None
        else:
            wait = question.wait_s(fault, self._jitter())
        log.warning(
            "model.fault",
            model=self._model,
            kind=fault.kind.name.lower(),
            tries=question.tries,
            wait_s=wait,
        )
        if wait is None:
            raise question.error(fault)
        if fault.is_limit:
            self._pace.slow_down(fault, wait)
            return
        question.left_s -= wait
        await self._clock.sleep(wait)

    # ---- what is learnt --------------------------------------------------------------------------

    async def _abilities(self) -> Abilities:
        """Return what the server takes, as far as that is known and no older than a day."""
        now, known = self._clock.now(), self._known
        if known and now - known[1] < TRUSTED_S:
            return known[0]
        try:
            text = await self._learned.kept_value(self._key) if self._learned else None
        except AppError:
            text = None
        kept = decode(text, now=now)
        if self._known is known:
            self._known = kept
        return kept[0] if kept else self._top

    async def _remember(self, can: Abilities) -> None:
        """Keep what just worked; nothing depends on that it can be kept."""
        known = self._known
        if known:
            can = least_of(known[0], can)
        if known and can == known[0]:
            return
        self._known = can, self._clock.now()
        if self._learned:
            try:
                await self._learned.keep_value(self._key, encode(can, learnt_at=self._known[1]))
            except AppError as exc:
                log.warning("model.not_remembered", reason=str(exc))

    def _learn_ratio(self, prompt: Prompt, usage: Usage) -> None:
        if usage.is_estimated:
            return
        self._n_counted += 1
        if self._n_counted % LEARN_FROM != 1:
            return
        estimated = _tokens_in(prompt)
        told = usage.input_tokens / estimated
        if told < MUCH_LESS:
            log.warning(
                "model.read_less", model=self._model, told=usage.input_tokens, estimated=estimated
            )
        moved = self._token_ratio + RATIO_STEP * (told - self._token_ratio)
        self._token_ratio = min(max(moved, MIN_RATIO), MAX_RATIO)

    def _log_answer(self, question: _Question, *, took_s: float) -> None:
        log.event(
            "model.answered",
            model=self._model,
            calls=question.spent.calls,
            input_tokens=question.spent.input_tokens,
            output_tokens=question.spent.output_tokens,
            ms=round(took_s * 1000),
        )


def _usage(said: Said, prompt: Prompt) -> Usage:
    """Count the tokens of one call; what the server did not tell is estimated."""
    return Usage(
        calls=1,
        input_tokens=said.tokens_in or _tokens_in(prompt),
        output_tokens=said.tokens_out or estimate(said.text),
        is_estimated=not (said.tokens_in and said.tokens_out),
    )


def _is_whole(text: str) -> bool:
    """Say of an answer without a told end whether it does not break off within its JSON.

    llama-cpp-python's server stops a stream with [DONE], wherever it is, when a question comes.
    """
    return "{" not in text or text.rstrip(" `\n").endswith(("}", "]"))


def _tokens_in(prompt: Prompt) -> int:
    return estimate(prompt.system) + estimate(prompt.user)
