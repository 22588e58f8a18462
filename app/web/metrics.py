"""What an operator's Prometheus wants to know. Nothing is counted for its own sake: it listens to
the log, to answers from GitHub, and asks the store. No repository, no person, no secret is a label.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import product

import httpx
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.jobs.job import JobState, Lane
from app.ports import Clock, Jobs
from app.review.price import Spent
from app.web.openapi import Call, Operation, Reply

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_NAME = "codex_review_"
_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_DELIVERY = "delivery."
_DELIVERY_RESULTS = ("queued", "ignored", "refused", "not_stored")


class Metrics(Collector):
    """Counts from the start of the process on; what the store knows it tells over restarts."""

    def __init__(self, jobs: Jobs, spent: Callable[[], Awaitable[Spent]], clock: Clock) -> None:
        self._jobs = jobs
        self._spent = spent
        self._clock = clock
        self._stored: Sequence[Metric] = ()
        self._left: dict[str, tuple[float, float]] = {}
        """Window of a rate limit → its end (epoch seconds), and what is left in it."""
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._deliveries = self._counter("deliveries", "Deliveries taken or refused.", "result")
        self._reviews = self._counter("reviews", "Reviews that ended, by state.", "state")
        self._github = self._counter("github_requests", "Answers from GitHub.", "method", "status")
        self._job_s = self._histogram("job_seconds", "From the first claim to the end.", "lane")
        self._model_s = self._histogram("model_seconds", "One question, with its retries.")
        for result in _DELIVERY_RESULTS:
            self._deliveries.labels(result)

    def operation(self) -> Operation:
        return Operation(
            method="GET",
            path="/metrics",
            name="metrics",
            summary="Tell Prometheus how it goes.",
            handle=self._answer,
            answers={200: str},
            errors=(503,),
            content_type=CONTENT_TYPE,
        )

    def hear(self, line: Mapping[str, object]) -> None:
        """Take in one line of the log."""
        match line:
            case {"event": str(name)} if name.removeprefix(_DELIVERY) in _DELIVERY_RESULTS:
                self._deliveries.labels(name.removeprefix(_DELIVERY)).inc()
            case {"event": "review.finished", "state": str(state)}:
                self._reviews.labels(state).inc()
            case {"event": "job.done" | "job.ended", "lane": str(lane), "seconds": float(seconds)}:
                self._job_s.labels(lane).observe(seconds)
            case {"event": "model.answered", "ms": int(ms)}:
                self._model_s.observe(ms / 1000)

    async def hear_github(self, response: httpx.Response) -> None:
        """Take in one answer from GitHub."""
        self._github.labels(response.request.method, f"{response.status_code // 100}xx").inc()
        told = response.headers
        try:
            reset, left = float(told["x-ratelimit-reset"]), float(told["x-ratelimit-remaining"])
        except (KeyError, ValueError):
            return
        window = f"{told.get('x-ratelimit-resource')}/{reset}"
        self._left[window] = reset, min(left, self._left.get(window, (reset, left))[1])

    def collect(self) -> Iterable[Metric]:
        """Return what was read last from the store."""
        return self._stored

    async def _answer(self, call: Call) -> Reply:
        self._stored = (*await self._queue(), *await self._money(), self._rate_limit())
        return Reply(body=generate_latest(self._registry), content_type=CONTENT_TYPE)

    async def _queue(self) -> Sequence[Metric]:
        jobs = GaugeMetricFamily(f"{_NAME}jobs", "Jobs that wait or run.", labels=("lane", "state"))
        counts = await self._jobs.counts()
        for lane, state in product(Lane, (JobState.QUEUED, JobState.RUNNING)):
            jobs.add_metric((lane.value, state.value), counts.get((lane, state), 0))
        age = GaugeMetricFamily(
            f"{_NAME}queue_age_seconds", "How long the oldest job waits.", labels=("lane",)
        )
        now = self._clock.now()
        since = await self._jobs.waiting_since()
        for lane in Lane:
            age.add_metric((lane.value,), max(0.0, now - since.get(lane, now)))
        return jobs, age

    async def _money(self) -> Sequence[Metric]:
        spent = await self._spent()
        calls = CounterMetricFamily(f"{_NAME}model_calls", "Calls of models.")
        calls.add_metric((), spent.usage.calls)
        tokens = CounterMetricFamily(
            f"{_NAME}model_tokens", "Tokens that models read and wrote.", labels=("direction",)
        )
        tokens.add_metric(("input",), spent.usage.input_tokens)
        tokens.add_metric(("output",), spent.usage.output_tokens)
        usd = CounterMetricFamily(f"{_NAME}model_usd", "Dollars, where prices are known.")
        usd.add_metric((), spent.usd or 0.0)
        return calls, tokens, usd

    def _rate_limit(self) -> Metric:
        now = self._clock.now()
        self._left = {name: one for name, one in self._left.items() if one[0] > now}
        left = GaugeMetricFamily(
            f"{_NAME}github_requests_left", "In the window that is nearest to GitHub's limit."
        )
        if self._left:
            left.add_metric((), min(n for _, n in self._left.values()))
        return left

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(_NAME + name, told, labels, registry=self._registry)

    def _histogram(self, name: str, told: str, *labels: str) -> Histogram:
        return Histogram(_NAME + name, told, labels, buckets=_SECONDS, registry=self._registry)
