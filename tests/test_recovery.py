"""What was missed is taken up once, what was left in progress is completed, what is old goes."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from app.demo.faults import Fault
from app.demo.records import CheckRun, Delivery
from app.demo.state import AppIdentity, new_app
from app.errors import Forbidden, RateLimited, Unavailable
from app.intake import Rules
from app.jobs.job import JobState, Lane
from app.jobs.sqlite import Limit, SqliteJobs
from app.ports import Check, KnownCheck, ListedDelivery, Run
from app.recovery import Bounds, CatchUp, Cleaning, Intervals, Sweep, every
from app.review.pull import Change, InstallationId, RunId, Target
from app.review.receipt import Receipt, State
from app.store.check_runs import StoredCheckRuns
from app.store.database import Database, open_database
from app.store.deliveries import StoredDeliveries
from app.store.memory import Store
from tests.jobs.builders import FakeClock, review, target
from tests.model_server import Script
from tests.store.builders import receipt
from tests.world import World, build_world, finding, finds
from tests.world import receipt as receipt_of

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
Make = Callable[[Script], World]

DAY = 24 * 3600.0
OFTEN = Intervals(catch_up_s=0.1, sweep_s=0.1, settle_s=0.0)
PULLING = Intervals(pull_s=0.1)
SHOWN = "/app/hook/deliveries/"


@pytest.fixture(scope="session")
def identity() -> tuple[AppIdentity, str]:
    return new_app("a secret")


@pytest.fixture
def make(tmp_path: Path, identity: tuple[AppIdentity, str]) -> Make:
    return lambda script: build_world(tmp_path, identity, script)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await open_database(tmp_path / "app.db")
    yield database
    await database.close()


@pytest.fixture
def jobs(database: Database, clock: FakeClock) -> SqliteJobs:
    limits = {lane: Limit(in_all=100, per_installation=100) for lane in Lane}
    return SqliteJobs(database, clock, limits)


def shown(world: World) -> list[str]:
    """Which deliveries were fetched, by the end of their path."""
    paths = [request.path for request in world.state.requests]
    return [path.removeprefix(SHOWN) for path in paths if path.startswith(SHOWN)]


def looks(world: World) -> int:
    return sum(request.path == "/app/hook/deliveries" for request in world.state.requests)


async def looked_again(world: World, times: int = 2) -> None:
    n = looks(world)
    await world.until(lambda: looks(world) >= n + times)


# Stories: what was missed


async def test_what_was_delivered_while_we_were_away_is_taken_up_at_the_start(make: Make) -> None:
    world = make(finds(finding()))
    comment = await world.comment("@codex review")
    async with world.running():
        run = await world.ended()
    assert [review.state for review in world.reviews] == ["COMMENTED"]
    assert receipt_of(run)["state"] == "findings"
    assert "eyes" in world.reactions(comment)


async def test_what_was_missed_is_taken_up_once_over_rounds_and_restarts(make: Make) -> None:
    world = make(finds(finding()))
    await world.comment("@codex review")
    await world.comment("nothing for us")
    for _ in range(2):
        async with world.running(intervals=OFTEN):
            await world.ended()
            await looked_again(world)
    assert len(world.checks) == len(world.reviews) == 1
    assert sorted(shown(world)) == [str(one.id) for one in world.state.deliveries]


async def test_what_github_delivered_well_is_not_fetched(make: Make) -> None:
    world = make(finds())
    async with world.running(intervals=OFTEN):
        await world.comment("@codex review")
        await world.comment("nothing for us")
        await world.ended()
        await looked_again(world)
    assert shown(world) == []


async def test_a_failed_delivery_that_came_after_all_is_not_taken_twice(make: Make) -> None:
    world = make(finds())
    comment = await world.comment("@codex review")
    missed = world.state.deliveries[0]
    async with world.running(intervals=Intervals(catch_up_s=0.3)):
        await world.deliver(comment, guid=missed.guid)
        await world.ended()
        await looked_again(world)
    assert len(world.checks) == 1


async def test_a_list_that_cannot_be_read_is_read_at_the_next_round(make: Make) -> None:
    world = make(finds())
    await world.comment("@codex review")
    trouble = Fault(path="/app/hook/deliveries$", status=403, message="Suspended.", times=2)
    world.state.faults.append(trouble)
    async with world.running(intervals=OFTEN):
        await world.ended()
    assert (len(world.checks), trouble.times) == (1, 0)


async def test_pulling_takes_what_github_delivered_elsewhere_since_the_first_look(
    make: Make,
) -> None:
    world = make(finds())
    elsewhere = httpx.MockTransport(lambda _: httpx.Response(200))

    async def delivered_elsewhere() -> Delivery:
        world.state.hook.transport = elsewhere
        return await world.deliver(world.state.comment(world.pull, "riley", "@codex review"))

    world.state.hook.url = "https://elsewhere.test/"
    await delivered_elsewhere()
    for _ in range(2):
        async with world.running(intervals=PULLING):
            await looked_again(world)
    assert world.checks == []
    async with world.running(intervals=PULLING):
        mine = await delivered_elsewhere()
        await world.ended()
        await looked_again(world)
    assert len(world.checks) == 1
    assert shown(world) == [str(mine.id)]


async def test_pulling_needs_no_webhook_at_all(make: Make) -> None:
    world = make(finds(finding()))
    async with world.running(intervals=PULLING):
        world.state.hook.url = None
        await world.comment("@codex review")
        await world.comment("@codex help", "riley")
        await world.ended()
        await world.until(lambda: len(world.ours) == 1)
    assert len(world.reviews) == 1


# Stories: trouble with the database, locked and archived


@asynccontextmanager
async def locked_by_another_process(path: Path) -> AsyncIterator[None]:
    code = (
        "import sqlite3, sys;"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "c.execute('BEGIN IMMEDIATE'); print('locked', flush=True); sys.stdin.read()"
    )
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(path), stdin=pipe, stdout=pipe
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"locked\n"
    try:
        yield
    finally:
        await child.communicate(b"")


@pytest.mark.slow
async def test_while_the_database_is_locked_deliveries_are_503_soon_and_none_is_lost(
    make: Make,
) -> None:
    world = make(finds())
    async with world.running(intervals=OFTEN):
        async with locked_by_another_process(world.folder / "codex-review.db"):
            begun = time.monotonic()
            first = world.state.comment(world.pull, "riley", "@codex review")
            refused = await world.deliver(first)
            assert time.monotonic() - begun < 5
        assert refused.status_code == 503
        second = await world.comment("@codex review full")
        assert world.state.deliveries[-1].status_code == 202
        await world.until(lambda: "eyes" in world.reactions(first))
        await world.until(lambda: "eyes" in world.reactions(second))
        await world.until(lambda: {run.status for run in world.checks} == {"completed"})


async def test_a_locked_pull_request_ends_with_a_check_run_that_says_so(make: Make) -> None:
    world = make(finds(finding()))
    world.pull.locked = True
    async with world.running():
        await world.comment("@codex review")
        run = await world.ended()
    assert run.conclusion == "neutral"
    assert "issue is locked" in (run.summary or "")
    assert world.reviews == []


async def test_an_archived_repository_is_not_written_to(make: Make) -> None:
    world = make(finds(finding()))
    async with world.running():
        comment = world.state.comment(world.pull, "riley", "@codex review")
        world.pull.repository.archived = True
        delivery = await world.deliver(comment)
        await job_ended(world)
    posts = [r for r in world.state.requests if r.method != "GET" and "/app/" not in r.path]
    assert delivery.status_code == 202
    read_of_threads = ("POST", "/graphql")
    assert [(post.method, post.path) for post in posts] == [read_of_threads]


async def job_ended(world: World) -> None:
    """Wait until every job that was stored has ended."""
    database = await open_database(world.folder / "codex-review.db")
    try:
        states: list[str] = []
        while not states or {"queued", "running"} & set(states):
            rows = await database.transact(lambda c: c.execute("SELECT state FROM jobs").fetchall())
            states = [row["state"] for row in rows]
            await asyncio.sleep(0.01)
    finally:
        await database.close()


# Stories: check runs that were left behind


async def leave_behind(world: World, *, is_known: bool, conclusion: str | None = None) -> CheckRun:
    """A check run in progress on the head of now, whose job nobody remembers."""
    state, pull = world.state, world.pull
    run = state.check_run(pull.repository, pull.head_sha, "codex review")
    run.status, run.external_id, run.conclusion = "in_progress", "lost", conclusion
    installation = state.installation_of(pull.repository)
    assert installation is not None
    known = KnownCheck(
        run_id=RunId("lost"),
        target=Target(
            installation_id=InstallationId(installation.id),
            repository_id=pull.repository.id,
            owner=pull.repository.owner,
            repo=pull.repository.name,
            number=pull.number,
        ),
        head_sha=pull.head_sha,
        name="codex review",
        id=run.id if is_known else None,
    )
    database = await open_database(world.folder / "codex-review.db")
    await StoredCheckRuns(database, FakeClock(at=time.time() - 3600)).keep_check(known)
    await database.close()
    return run


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("is_pushed", [True, False])
async def test_a_check_run_that_nobody_will_complete_is_completed(
    make: Make, is_known: bool, is_pushed: bool
) -> None:
    world = make(finds())
    left = await leave_behind(world, is_known=is_known)
    if is_pushed:
        world.state.push(world.pull, {"other.py": "x = 1\n"})
    async with world.running():
        await world.until(lambda: left.status == "completed")
    assert (left.conclusion, left.title) == (
        "neutral",
        "NOT REVIEWED: the server lost this review",
    )
    assert world.checks == [left]


async def test_a_check_run_that_was_completed_keeps_its_verdict(make: Make) -> None:
    world = make(finds())
    left = await leave_behind(world, is_known=True)
    left.status, left.conclusion = "completed", "success"
    async with world.running(intervals=OFTEN):
        path = f"/repos/acme/stats/check-runs/{left.id}"
        await world.until(lambda: any(r.path == path for r in world.state.requests))
        await looked_again(world)
    assert left.history == []
    assert sum(r.path == path for r in world.state.requests) == 1


# CatchUp by itself


@dataclass
class Listing:
    """GitHub's list in memory. `troubled` are those that cannot be fetched, and how."""

    items: list[ListedDelivery] = field(default_factory=list)
    payloads: dict[str, bytes] = field(default_factory=dict)
    troubled: dict[str, Exception] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    asked_since: list[float] = field(default_factory=list)

    def add(self, guid: str, body: str, *, at: float, event: str = "issue_comment") -> None:
        n = len(self.items) + 1
        payload = {
            "action": "created",
            "issue": {"number": n, "pull_request": {}},
            "comment": {"id": n, "body": body, "user": {"login": "ada", "type": "User"}},
            "repository": {"id": 9, "name": "engine", "owner": {"login": "lovelace"}},
            "sender": {"login": "ada", "type": "User"},
            "installation": {"id": 3},
        }
        self.payloads[guid] = json.dumps(payload).encode()
        self.items.append(
            ListedDelivery(
                guid=guid, id=n, delivered_at=at, is_failed=True, event=event, action="created"
            )
        )

    async def listed(self, since: float) -> Sequence[ListedDelivery]:
        self.asked_since.append(since)
        return [item for item in self.items if item.delivered_at >= since]

    async def fetch(self, delivery: ListedDelivery) -> bytes | None:
        self.fetched.append(delivery.guid)
        if delivery.guid in self.troubled:
            raise self.troubled[delivery.guid]
        return self.payloads.get(delivery.guid)


@pytest.fixture
def listing() -> Listing:
    return Listing()


@pytest.fixture
def catch_up(database: Database, jobs: SqliteJobs, listing: Listing) -> CatchUp:
    return CatchUp(
        deliveries=listing,
        seen=StoredDeliveries(database),
        jobs=jobs,
        rules=Rules(app_id=77, slug=lambda: "my-app", mentions=("@codex",)),
        overlap_s=600,
    )


async def stored(jobs: SqliteJobs) -> list[int]:
    """The pull requests of the jobs in their order."""
    numbers = []
    while job := await jobs.claim(Lane.RESPOND):
        numbers.append(job.target.number)
    return numbers


async def test_missed_deliveries_are_stored_in_their_order(
    catch_up: CatchUp, listing: Listing, jobs: SqliteJobs
) -> None:
    for n in range(3):
        listing.add(f"g{n}", "@codex review", at=1_000 + n)
    await catch_up.look()
    assert await stored(jobs) == [1, 2, 3]


async def test_each_look_goes_back_from_the_newest_by_githubs_clock_and_a_little_more(
    catch_up: CatchUp, listing: Listing
) -> None:
    await catch_up.look()
    listing.add("g1", "hello", at=50_000)
    for _ in range(2):
        await catch_up.look()
    assert listing.asked_since == [-600, -600, 49_400]
    assert listing.fetched == ["g1"]


async def test_what_appears_late_in_the_list_is_taken(
    catch_up: CatchUp, listing: Listing, jobs: SqliteJobs
) -> None:
    listing.add("g1", "@codex review", at=50_000)
    await catch_up.look()
    listing.add("g2", "@codex review", at=49_500)
    listing.items.sort(key=lambda item: item.delivered_at)
    await catch_up.look()
    assert await stored(jobs) == [1, 2]
    assert listing.fetched == ["g1", "g2"]


async def test_an_event_that_starts_nothing_is_not_even_fetched(
    catch_up: CatchUp, listing: Listing
) -> None:
    listing.add("g1", "@codex review", at=1_000, event="push")
    listing.add("g2", "@codex review", at=1_000, event="a_new_one")
    await catch_up.look()
    assert listing.fetched == []


async def test_one_that_cannot_be_read_does_not_keep_the_others_waiting(
    catch_up: CatchUp, listing: Listing, jobs: SqliteJobs
) -> None:
    listing.add("bad", "", at=1_000)
    listing.payloads["bad"] = b'{"action": "created", "installation": {"id": "x"}}'
    listing.add("gone", "", at=1_001)
    del listing.payloads["gone"]
    listing.add("good", "@codex review", at=1_002)
    for _ in range(2):
        await catch_up.look()
    assert await stored(jobs) == [3]
    assert listing.fetched == ["bad", "gone", "good"]


async def test_one_that_cannot_be_fetched_now_is_fetched_later(
    catch_up: CatchUp, listing: Listing, jobs: SqliteJobs
) -> None:
    listing.add("slow", "@codex review", at=1_000)
    listing.add("good", "@codex review", at=90_000)
    listing.troubled["slow"] = Unavailable("GitHub answered 502")
    await catch_up.look()
    assert await stored(jobs) == [2]
    listing.troubled.clear()
    await catch_up.look()
    assert await stored(jobs) == [1]
    assert listing.fetched == ["slow", "good", "slow"]


@pytest.mark.parametrize(
    ("error", "n_tried"), [(Unavailable("down"), 3), (RateLimited("too fast"), 1)]
)
async def test_trouble_everywhere_ends_the_round_and_loses_nothing(
    catch_up: CatchUp, listing: Listing, jobs: SqliteJobs, error: Exception, n_tried: int
) -> None:
    for n in range(5):
        listing.add(f"g{n}", "@codex review", at=1_000 + n)
        listing.troubled[f"g{n}"] = error
    with pytest.raises(type(error)):
        await catch_up.look()
    assert len(listing.fetched) == n_tried
    listing.troubled.clear()
    await catch_up.look()
    assert sorted(await stored(jobs)) == [1, 2, 3, 4, 5]


async def test_what_need_not_be_remembered_is_forgotten(
    catch_up: CatchUp, listing: Listing, database: Database
) -> None:
    for n in range(20):
        listing.add(f"g{n}", "hello", at=1_000 + 300 * n)
        await catch_up.look()
    rows = await database.transact(lambda c: c.execute("SELECT id FROM examined").fetchall())
    assert [row["id"] for row in rows] == ["g17", "g18", "g19"]
    assert listing.fetched == [f"g{n}" for n in range(20)]


# Sweep by itself


@dataclass
class Failures:
    """The port Verdicts, noting what was failed; `refuses` names installations that say no."""

    told: list[tuple[RunId, State, str]] = field(default_factory=list)
    refuses: Collection[int] = ()

    @asynccontextmanager
    async def open(self, change: Change, run: Run) -> AsyncIterator[Check]:
        raise AssertionError("a sweep opens nothing")
        yield

    async def fail(
        self, target: Target, run_id: RunId, receipt: Receipt, *, check_name: str = ""
    ) -> None:
        if target.installation_id in self.refuses:
            raise Forbidden("no")
        self.told.append((run_id, receipt.state, receipt.reason))


@pytest.fixture
def failures() -> Failures:
    return Failures()


@pytest.fixture
def sweep(database: Database, jobs: SqliteJobs, clock: FakeClock, failures: Failures) -> Sweep:
    return Sweep(
        checks=StoredCheckRuns(database, clock),
        receipts=Store(database, clock),
        jobs=jobs,
        verdicts=failures,
        clock=clock,
        settle_s=60,
    )


async def begin(database: Database, clock: FakeClock, run_id: str, installation: int = 7) -> None:
    known = KnownCheck(
        run_id=RunId(run_id),
        target=target(installation=installation),
        head_sha="a" * 40,
        name="codex review",
        id=1,
    )
    await StoredCheckRuns(database, clock).keep_check(known)


async def test_the_check_of_a_living_job_is_left_to_it(
    sweep: Sweep, failures: Failures, database: Database, jobs: SqliteJobs, clock: FakeClock
) -> None:
    new = review(key="living")
    await jobs.submit(None, [new])
    await begin(database, clock, new.run_id)
    clock.at += 3600
    await sweep.look()
    claimed = await jobs.claim(Lane.REVIEW)
    assert claimed is not None
    await sweep.look()
    assert failures.told == []


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (JobState.DONE, (State.FAILED, "the server lost this review")),
        (JobState.FAILED, (State.FAILED, "the server lost this review")),
        (JobState.CANCELLED, (State.CANCELLED, "a person stopped it")),
        (JobState.SUPERSEDED, (State.SUPERSEDED, "a newer review takes its place")),
    ],
)
async def test_the_check_of_a_job_that_ended_is_told_how(
    sweep: Sweep,
    failures: Failures,
    database: Database,
    jobs: SqliteJobs,
    clock: FakeClock,
    ended: JobState,
    told: tuple[State, str],
) -> None:
    new = review(key="ended")
    await jobs.submit(None, [new])
    claimed = await jobs.claim(Lane.REVIEW)
    assert claimed is not None
    await jobs.finish(claimed, ended)
    await begin(database, clock, new.run_id)
    clock.at += 3600
    await sweep.look()
    assert failures.told == [(new.run_id, *told)]


async def test_a_run_that_came_to_a_verdict_gets_that(
    sweep: Sweep, failures: Failures, database: Database, clock: FakeClock
) -> None:
    await Store(database, clock).keep(target(), receipt("r1"))
    await begin(database, clock, "r1")
    clock.at += 3600
    await sweep.look()
    assert failures.told == [(RunId("r1"), State.CLEAN, "")]


async def test_what_has_only_just_begun_or_is_stale_by_now_is_left(
    sweep: Sweep, failures: Failures, database: Database, clock: FakeClock
) -> None:
    await begin(database, clock, "old")
    clock.at += 15 * DAY
    await begin(database, clock, "new")
    clock.at += 59
    await sweep.look()
    assert failures.told == []


async def test_an_account_that_refuses_us_costs_only_its_own(
    sweep: Sweep, failures: Failures, database: Database, clock: FakeClock
) -> None:
    failures.refuses = {7}
    for n, installation in enumerate((7, 8, 7)):
        await begin(database, clock, f"r{n}", installation)
        clock.at += 60
    await sweep.look()
    assert [run_id for run_id, _, _ in failures.told] == ["r1"]


# Cleaning and the clock


@dataclass
class Shelf:
    """Rows of one byte each, by age."""

    clock: FakeClock
    rows: list[float]

    async def clean(self, before: float) -> int:
        n = len(self.rows)
        self.rows = [row for row in self.rows if row >= before]
        return n - len(self.rows)

    async def size(self) -> int:
        return len(self.rows)


@pytest.mark.parametrize(
    ("max_bytes", "days_left"), [(1000, 90), (50, 46), (3, 4)], ids=["age", "size", "never less"]
)
async def test_what_is_kept_is_bounded_by_age_and_by_size(
    clock: FakeClock, max_bytes: int, days_left: int
) -> None:
    shelf = Shelf(clock, [clock.at - n * DAY for n in range(200)])
    bounds = Bounds(keep_s=90 * DAY, max_bytes=max_bytes)
    await Cleaning(kept=shelf, clock=clock, bounds=bounds).look()
    assert (clock.at - min(shelf.rows)) / DAY == days_left


async def test_the_size_falls_when_rows_are_removed(database: Database, clock: FakeClock) -> None:
    store = Store(database, clock)
    before = await database.size()
    for n in range(50):
        await store.keep(target(n), receipt(f"r{n}", *(f"f{i}" for i in range(50))))
    assert await database.size() > before + 50_000
    await database.clean(clock.at + 1)
    assert await database.size() < before + 20_000


async def test_looking_goes_on_whatever_goes_wrong(clock: FakeClock) -> None:
    troubles: list[Exception] = [Unavailable("x"), KeyError("ours"), RateLimited("y")]
    begun: list[float] = []

    async def look() -> None:
        begun.append(clock.at)
        clock.at += 5  # the next round begins after this one has ended
        if troubles:
            raise troubles.pop(0)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await every(10, "test", look, clock)
    assert [at - begun[0] for at in begun] == [0, 15, 30, 45]
