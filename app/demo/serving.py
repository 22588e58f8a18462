"""Serves an app on a port of this machine, and leaves signals to whoever runs us."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"


def listen() -> socket.socket:
    """Listen on a free port; whoever connects waits until somebody serves it."""
    listener = socket.create_server((LOOPBACK, 0))
    # Each connection has it from here: asyncio sets it only on sockets that it made itself.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def address(listener: socket.socket) -> str:
    """Return the address of a listening socket, as `http://host:port`."""
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve an app and yield its address; leaving cuts what is still being answered.

    The app tells its own time: no `date` header is added.
    """
    listener = listener or listen()
    config = uvicorn.Config(
        app, log_config=None, log_level="critical", lifespan="off", date_header=False
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield address(listener)
    finally:
        server.should_exit = True
        server.force_exit = True
        await task


class _Server(uvicorn.Server):
    """Handles no signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
