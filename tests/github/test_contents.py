"""Reading files at commits, against the stand-in."""

import pytest

from app.demo.faults import Fault
from app.errors import Permanent, Unavailable
from app.github.contents import MAX_FILE_BYTES, Contents
from app.github.transport import NotFound, TooBig
from app.review.pull import Sha
from tests.github.conftest import AFTER, BEFORE, Scene

pytestmark = pytest.mark.anyio


async def test_either_side_is_read_once(scene: Scene) -> None:
    contents = Contents(scene.github)
    sides = ((scene.pull.merge_base(), BEFORE), (scene.pull.head_sha, AFTER))
    for sha, text in (*sides, *sides):
        assert await contents.read(scene.target, "a.py", Sha(sha)) == text.encode()
    assert scene.calls() == ["GET contents/a.py"] * 2


@pytest.mark.parametrize(
    ("path", "error"),
    [("gone.py", NotFound), ("../a.py", NotFound), ("", NotFound), ("over", TooBig)],
)
async def test_what_cannot_be_had_says_why(scene: Scene, path: str, error: type[Permanent]) -> None:
    scene.state.push(scene.pull, {"over": b"x" * (MAX_FILE_BYTES + 1)})
    with pytest.raises(error):
        await Contents(scene.github).read(scene.target, path, Sha(scene.pull.head_sha))


async def test_a_github_that_is_down_is_no_missing_file(scene: Scene) -> None:
    scene.state.faults.append(Fault(path="/contents/", status=502, times=999))
    with pytest.raises(Unavailable):
        await Contents(scene.github).read(scene.target, "a.py", Sha(scene.pull.head_sha))


async def test_what_is_kept_is_bounded(scene: Scene) -> None:
    names = [f"f{n}" for n in range(20)]
    scene.state.push(scene.pull, dict.fromkeys(names, b"x" * (MAX_FILE_BYTES - 1)))
    contents, head = Contents(scene.github), Sha(scene.pull.head_sha)
    for name in (*names, names[-1]):
        await contents.read(scene.target, name, head)
    assert len(scene.calls()) == 20
    await contents.read(scene.target, names[0], head)
    assert len(scene.calls()) == 21
