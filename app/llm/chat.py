"""Asks through `POST /chat/completions`, as every OpenAI-compatible server serves it.

Knows the request, the answer and when to ask again; `faults` knows what refusals mean.
"""

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import httpx
import msgspec

from app import log
from app.llm.faults import Fault, Kind, error_of, fault, fault_of_answer, fault_of_error
from app.ports import Clock
from app.review.answer import Answer, Usage
from app.review.prompt import Prompt
from app.review.tokens import estimate

MAX_ANSWER_BYTES = 8 * 1024 * 1024
MAX_TRIES = 4
FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 30.0
CONNECT_TIMEOUT_S = 10.0
PATIENCE = 3.0
"""All tries and waits for one question together take at most this many time-outs …"""
MIN_PATIENCE_S = 300.0
"""… but never give up before this, where the server only asks us to wait."""

RATIO_STEP, MIN_RATIO, MAX_RATIO = 0.25, 0.5, 3.0
"""How far one answer moves the ratio of tokens, and the bounds of belief in a server's count."""


class Form(IntEnum):
    """How the answer's form is asked for, from strict to not at all."""

    JSON_SCHEMA = 0
    JSON_OBJECT = 1
    TEXT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Completion:
    """A completion, not blank. `usage` counts this call alone."""

    text: str
    is_cut: bool
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class _NoText:
    """A paid call that brought no text."""

    fault: Fault
    usage: Usage


@dataclass(slots=True, kw_only=True)
class _Patience:
    """How much longer one question is tried."""

    left_s: float
    tries: int = 0
    blanks: int = 0

    def wait_s(self, fault: Fault, jitter: float) -> float | None:
        """Count a failed try; return how long to wait for the next, None for no next."""
        self.tries += 1
        if self.tries >= MAX_TRIES:
            return None
        if fault.kind in (Kind.BLANK, Kind.NO_ROOM):
            self.blanks += 1
            return 0.0 if self.blanks == 1 else None
        if fault.kind is not Kind.PASSING:
            return None
        backoff = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2**self.tries)
        wait = jitter * backoff if fault.wait_s is None else fault.wait_s + jitter
        return wait if wait < self.left_s else None


class ChatModel:
    """A model behind a chat completions server; `slots` bounds the requests under way."""

    def __init__(
        self,
        *,
        client: httpx.AsyncClient,
        base_url: str,
        api_key: str,
        model: str,
        timeout_s: float,
        slots: asyncio.Semaphore,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._url = f"{base_url.rstrip('/')}/chat/completions"
        self._api_key = api_key
        self._model = model
        self._timeout_s = timeout_s
        self._slots = slots
        self._clock = clock
        self._jitter = jitter
        self._form = Form.JSON_SCHEMA
        self._token_ratio = 1.0

    @property
    def name(self) -> str:
        return self._model

    @property
    def token_ratio(self) -> float:
        """How many tokens the server counts for one of ours; moves with each answer that tells."""
        return self._token_ratio

    async def ask(self, prompt: Prompt) -> Answer:
        """Ask one question, again as often as makes sense. Raises a ModelError.

        The usage counts paid calls without text too. An answer that ran out of room comes back
        as it is, `is_cut`.
        """
        form = self._form
        patience = _Patience(left_s=max(MIN_PATIENCE_S, PATIENCE * self._timeout_s))
        spent = Usage()
        while True:
            began = self._clock.now()
            outcome = await self._call(prompt, form, patience)
            if isinstance(outcome, _Completion):
                self._form = max(self._form, form)
                usage = spent + outcome.usage
                self._learn_ratio(prompt, outcome.usage)
                self._log_answer(usage, outcome, took_s=self._clock.now() - began)
                return Answer(
                    text=outcome.text, model=self._model, usage=usage, is_cut=outcome.is_cut
                )
            if isinstance(outcome, _NoText):
                spent += outcome.usage
                outcome = outcome.fault
            if outcome.kind is Kind.FORMAT_REFUSED and form is not Form.TEXT:
                form = Form(form + 1)
                log.event("model.form_refused", model=self._model, next=form.name.lower())
                continue
            await self._wait(outcome, patience)

    def _learn_ratio(self, prompt: Prompt, usage: Usage) -> None:
        if usage.is_estimated:
            return
        told = usage.input_tokens / _tokens_in(prompt)
        moved = self._token_ratio + RATIO_STEP * (told - self._token_ratio)
        self._token_ratio = min(max(moved, MIN_RATIO), MAX_RATIO)

    async def _wait(self, fault: Fault, patience: _Patience) -> None:
        wait = patience.wait_s(fault, self._jitter())
        log.warning(
            "model.fault",
            model=self._model,
            kind=fault.kind.name.lower(),
            tries=patience.tries,
            wait_s=wait,
        )
        if wait is None:
            raise error_of(fault)
        patience.left_s -= wait
        await self._clock.sleep(wait)

    async def _call(
        self, prompt: Prompt, form: Form, patience: _Patience
    ) -> _Completion | _NoText | Fault:
        """Make one request within a slot; waiting for the slot costs no patience."""
        timeout_s = min(self._timeout_s, max(1.0, patience.left_s))
        async with self._slots:
            began = self._clock.now()
            try:
                async with asyncio.timeout(timeout_s):
                    status, headers, body = await self._exchange(prompt, form, timeout_s)
            except TimeoutError:
                return Fault(kind=Kind.PASSING, text=f"no answer within {timeout_s:g} seconds")
            except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as exc:
                # The exception's text may hold the key.
                text = "OPENAI_BASE_URL or OPENAI_API_KEY cannot be used as they are"
                return Fault(kind=Kind.DENIED, text=f"{text} ({type(exc).__name__})")
            except httpx.RequestError as exc:
                text = f"the model server cannot be reached ({type(exc).__name__})"
                return Fault(kind=Kind.PASSING, text=text)
            finally:
                patience.left_s -= self._clock.now() - began
        if len(body) > MAX_ANSWER_BYTES:
            return Fault(kind=Kind.UNKNOWN, text="the model server's answer is larger than 8 MiB")
        if status != httpx.codes.OK:
            now = self._clock.now()
            return fault_of_answer(status, headers, body, now=now, secret=self._api_key)
        return self._read(body, prompt)

    async def _exchange(
        self, prompt: Prompt, form: Form, timeout_s: float
    ) -> tuple[int, httpx.Headers, bytes]:
        """Send the question; of an answer beyond the limit no more than the limit is read."""
        headers = [(b"Content-Type", b"application/json"), (b"Accept", b"application/json")]
        if self._api_key:
            headers.append((b"Authorization", b"Bearer " + self._api_key.encode()))
        async with self._client.stream(
            "POST",
            self._url,
            content=_render_request(self._model, prompt, form),
            headers=headers,
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
            follow_redirects=False,
        ) as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    break
            return response.status_code, response.headers, bytes(body)

    def _read(self, body: bytes, prompt: Prompt) -> _Completion | _NoText | Fault:
        """Take an answer of status 200 apart."""
        value = _loads(body)
        if not isinstance(value, dict):
            return Fault(kind=Kind.BLANK, text="the model server's answer is no JSON object")
        choice = _first(value.get("choices"))
        if error := value.get("error") or choice.get("error"):
            return fault_of_error(error, secret=self._api_key)
        if not choice:
            return Fault(kind=Kind.BLANK, text="the model server's answer holds no choice")
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        text = _content(message.get("content"))
        usage = _usage(value.get("usage"), prompt, text)
        problem = self._problem(choice.get("finish_reason"), message.get("refusal"), text)
        if problem is not None:
            return _NoText(fault=problem, usage=usage)
        return _Completion(text=text, is_cut=choice.get("finish_reason") == "length", usage=usage)

    def _problem(self, finish_reason: object, refusal: object, text: str) -> Fault | None:
        if isinstance(refusal, str) and refusal.strip():
            return fault(Kind.REFUSED, f"the model declined: {refusal}", secret=self._api_key)
        match finish_reason:
            case "content_filter":
                return Fault(kind=Kind.REFUSED, text="declined by a content filter")
            case "insufficient_system_resource" | "error":
                return Fault(kind=Kind.PASSING, text="the model server broke off the answer")
            case "length" if not text.strip():
                return Fault(kind=Kind.NO_ROOM, text="no room left for an answer")
            case _ if not text.strip():
                return Fault(kind=Kind.BLANK, text="the model's answer is blank")
        return None

    def _log_answer(self, usage: Usage, completion: _Completion, *, took_s: float) -> None:
        log.event(
            "model.answered",
            model=self._model,
            calls=usage.calls,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            is_cut=completion.is_cut,
            ms=round(took_s * 1000),
        )


def _render_request(model: str, prompt: Prompt, form: Form) -> bytes:
    """Say no more than is needed: reasoning models refuse a temperature and starve on a limit."""
    request: dict[str, object] = {
        "model": model,
        "messages": [
            {"role": "system", "content": prompt.system},
            {"role": "user", "content": prompt.user},
        ],
    }
    match form:
        case Form.JSON_SCHEMA:
            schema = {
                "name": prompt.schema_name,
                "strict": True,
                "schema": msgspec.Raw(prompt.schema),
            }
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        case Form.JSON_OBJECT:
            request["response_format"] = {"type": "json_object"}
        case Form.TEXT:
            pass
    return msgspec.json.encode(request)


def _loads(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _first(choices: object) -> dict[str, object]:
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _content(content: object) -> str:
    """Return the text of a message, whole or in parts, without halves of characters."""
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        content = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(content, str):
        return ""
    return content.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _usage(told: object, prompt: Prompt, text: str) -> Usage:
    """Read the tokens of one call; what the server did not tell is estimated."""
    fields = told if isinstance(told, dict) else {}
    tokens_in = _count(fields.get("prompt_tokens"))
    tokens_out = _count(fields.get("completion_tokens"))
    return Usage(
        calls=1,
        input_tokens=tokens_in or _tokens_in(prompt),
        output_tokens=tokens_out or estimate(text),
        is_estimated=not (tokens_in and tokens_out),
    )


def _tokens_in(prompt: Prompt) -> int:
    return estimate(prompt.system) + estimate(prompt.user)


def _count(value: object) -> int:
    """Return a number of tokens, 0 where none was told."""
    if isinstance(value, bool) or not isinstance(value, int):
        return 0
    return value if 0 < value < 10**9 else 0
