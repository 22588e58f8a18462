"""Server-sent events: bytes in any pieces → the data of each event. Knows nothing of models.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import re

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


class EventReader:
    """Reads one stream piece by piece. Comments, names and ids of events are passed over.

    Holds at most what it was fed since the last event: who feeds it bounds it.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[str]:
        """Return the data of the events that this piece completes."""
        ends_a_line = b"\n" in piece or b"\r" in piece or self._rest.endswith(b"\r")
        self._rest += piece
        if not ends_a_line:
            return []
        *lines, rest = _LINE_END.split(bytes(self._rest))
        self._rest = bytearray(rest)
        return [event for line in lines if (event := self._take(line)) is not None]

    def close(self) -> list[str]:
        """Return what the stream ended with, also where it lacks its blank line."""
        events = self.feed(b"\n")
        last = self._take(b"")
        return events if last is None else [*events, last]

    def _take(self, line: bytes) -> str | None:
        if not line:
            event, self._data = "\n".join(self._data), []
            return event or None
        name, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" ").decode("utf-8", "replace"))
        return None
