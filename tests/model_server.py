"""A scripted model server: a script decides what each question is answered with.

It speaks chat completions, responses and legacy completions as OpenAI documents them, streamed
where a question asks for that, and fails as real servers fail.
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

from tests.model_answers import Completion as Completion
from tests.model_answers import stream, whole

BASE_URL = "http://model.test/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request as it arrived. `path` is that behind `/v1/`."""

    body: dict[str, Any]
    headers: Mapping[str, str]
    path: str = "chat/completions"

    @property
    def system(self) -> str:
        return str(self.body.get("instructions", "")) or self._content("system")

    @property
    def user(self) -> str:
        return str(self.body.get("input") or self.body.get("prompt") or self._content("user"))

    @property
    def form(self) -> str:
        """The `type` of the response format; empty where none is asked for."""
        text = self.body.get("text", {}).get("format", {})
        return str(self.body.get("response_format", text).get("type", ""))

    def _content(self, role: str) -> str:
        messages = self.body.get("messages", [])
        return "".join(m["content"] for m in messages if m["role"] == role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """An answer that is no completion. `delay_s` is waited for before it is sent."""

    status: int = 200
    body: str | bytes | dict[str, Any] = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0


Reply = str | Completion | Fault
Script = Callable[[Question], Reply]


class ModelServer:
    """Answers with what `script` returns and keeps what it was asked in `questions`.

    `told` is what it tells of itself: path behind `/v1/` → JSON; what is not there is a 404.
    """

    def __init__(self, script: Script, *, streams: bool = True) -> None:
        self.script = script
        self.streams = streams
        self.told: dict[str, Reply | dict[str, Any]] = {}
        self.questions: list[Question] = []
        self.busy = 0
        self.busiest = 0
        paths = ("chat/completions", "responses", "completions")
        self.app = Starlette(
            routes=[
                *(Route(f"/v1/{path}", self._complete, methods=["POST"]) for path in paths),
                Route("/v1/{path:path}", self._tell, methods=["GET"]),
            ]
        )

    def client(self) -> httpx.AsyncClient:
        """Return a client that reaches this server without a network."""
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app))

    async def _complete(self, request: Request) -> Response:
        question = Question(
            body=await request.json(),
            headers=dict(request.headers),
            path=request.url.path.removeprefix("/v1/"),
        )
        self.questions.append(question)
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        try:
            return await _respond(self.script(question), question, streams=self.streams)
        finally:
            self.busy -= 1

    async def _tell(self, request: Request) -> Response:
        told = self.told.get(request.path_params["path"], error(404, "Not Found"))
        if isinstance(told, dict):
            return JSONResponse(told)
        return await _respond(told, Question(body={}, headers={}), streams=False)


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
    body = whole("chat/completions", Completion(text=reply), "")
    return Fault(body=body, delay_s=delay_s)


def cut_json() -> Fault:
    """The connection's end, taken for the answer's end."""
    text = json.dumps(whole("chat/completions", Completion(text="{}"), ""))
    return Fault(body=text[: len(text) // 2])


def events(*data: str) -> Fault:
    """A stream of these events, whatever becomes of it."""
    body = "".join(f"data: {one}\n\n" for one in data)
    return Fault(body=body, headers={"content-type": "text/event-stream"})


def cut_stream(text: str = "{") -> Fault:
    """A stream that ends in the middle, without a word of its end."""
    return events(json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}))


def error_in_stream(message: str, code: int | str) -> Fault:
    """An error after the first words; what came is no answer."""
    first = json.dumps({"choices": [{"index": 0, "delta": {"content": "{"}}]})
    return events(first, json.dumps({"error": {"message": message, "code": code}, "choices": []}))


async def _respond(reply: Reply, question: Question, *, streams: bool) -> Response:
    if isinstance(reply, str):
        reply = Completion(text=reply)
    if isinstance(reply, Completion):
        if streams and question.body.get("stream"):
            events = stream(question.path, reply, question.body)
            return Response(events, headers={"content-type": "text/event-stream"})
        return JSONResponse(whole(question.path, reply, str(question.body.get("model", ""))))
    await asyncio.sleep(reply.delay_s)
    body = json.dumps(reply.body) if isinstance(reply.body, dict) else reply.body
    headers = {"content-type": "application/json", **reply.headers}
    return Response(body, status_code=reply.status, headers=headers)
