"""A scripted model server: a script decides what each question is answered with.

It speaks `POST /v1/chat/completions` as OpenAI documents it, and fails as real servers fail.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

BASE_URL = "http://model.test/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request as it arrived."""

    body: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def system(self) -> str:
        return self._content("system")

    @property
    def user(self) -> str:
        return self._content("user")

    @property
    def form(self) -> str:
        """The `type` of the response format; empty where none is asked for."""
        return str(self.body.get("response_format", {}).get("type", ""))

    def _content(self, role: str) -> str:
        return "".join(m["content"] for m in self.body["messages"] if m["role"] == role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An answer that is no completion. `delay_s` is waited for before it is sent."""

    status: int = 200
    body: str | bytes | dict[str, Any] = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A completion; `message` and `choice` change its parts, None for `usage` leaves it out."""

    text: str | None = ""
    finish_reason: str | None = "stop"
    usage: Mapping[str, Any] | None = field(
        default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 20}
    )
    message: Mapping[str, Any] = field(default_factory=dict)
    choice: Mapping[str, Any] = field(default_factory=dict)


Reply = str | Completion | Fault
Script = Callable[[Question], Reply]


class ModelServer:
    """Answers with what `script` returns and keeps what it was asked in `questions`."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.questions: list[Question] = []
        self.busy = 0
        self.busiest = 0
        self.app = Starlette(
            routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])]
        )

    def client(self) -> httpx.AsyncClient:
        """Return a client that reaches this server without a network."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app))

    async def _complete(self, request: Request) -> Response:
        question = Question(body=await request.json(), headers=dict(request.headers))
        self.questions.append(question)
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            return await _respond(self.script(question), question)
        finally:
            self.busy -= 1


def in_turn(*replies: Reply) -> Script:
    """Answer with each reply once, with the last one ever after."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def error(
    status: int, message: str = "", *, headers: Mapping[str, str] | None = None, **fields: Any
) -> Fault:
    """Fail as OpenAI does: `{"error": {message, type, code, param}}`."""
    body = {"error": {"message": message, "type": None, "code": None, "param": None, **fields}}
    return Fault(status=status, body=body, headers=headers or {})


def blank() -> Completion:
    """DeepSeek replaces what it cannot parse by blanks and reports success."""
    return Completion(text="  \n ")


def html(status: int = 200) -> Fault:
    """A proxy's page in front of a server that is not there."""
    page = "<!doctype html><html><body>Bad Gateway</body></html>"
    return Fault(status=status, body=page, headers={"content-type": "text/html"})


def error_in_200(message: str, code: int | str) -> Fault:
    """OpenRouter reports what fails late within a 200."""
    return Fault(body={"error": {"message": message, "code": code}})


def slow(delay_s: float, reply: str = "{}") -> Fault:
    """A right answer, too late."""
    return Fault(body=_completion(Completion(text=reply), {}), delay_s=delay_s)


def cut_json() -> Fault:
    """The connection's end, taken for the answer's end."""
    whole = json.dumps(_completion(Completion(text="{}"), {}))
    return Fault(body=whole[: len(whole) // 2])


async def _respond(reply: Reply, question: Question) -> Response:
    if isinstance(reply, str):
        reply = Completion(text=reply)
    if isinstance(reply, Completion):
        return JSONResponse(_completion(reply, question.body))
    await asyncio.sleep(reply.delay_s)
    body = json.dumps(reply.body) if isinstance(reply.body, dict) else reply.body
    headers = {"content-type": "application/json", **reply.headers}
    return Response(body, status_code=reply.status, headers=headers)


def _completion(reply: Completion, body: Mapping[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text, "refusal": None, **reply.message}
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason, **reply.choice}
    answer: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_800_000_000,
        "model": body.get("model", ""),
        "choices": [choice],
    }
    return answer if reply.usage is None else {**answer, "usage": dict(reply.usage)}
