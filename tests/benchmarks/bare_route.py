"""What an acknowledgement is measured against: a bare Starlette route that commits one row.

Run by `acknowledgement.py`: `python -m tests.benchmarks.bare_route DATABASE PORT`. The database has
the same settings as ours; the route knows no signature, no event and no thread.
"""

import sqlite3
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def main(database: str, port: str) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (id TEXT PRIMARY KEY, body BLOB)")

    async def take(request: Request) -> Response:
        row = (request.headers["x-github-delivery"], await request.body())
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO rows VALUES (?, ?)", row)
        connection.execute("COMMIT")
        return JSONResponse({"status": "queued"}, 202)

    app = Starlette(routes=[Route("/webhook", take, methods=["POST"])])
    uvicorn.run(app, port=int(port), log_config=None, access_log=False, server_header=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
