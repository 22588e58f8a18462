"""The JSON schema of receipts as it has to be, `.github/receipt.schema.json`."""

from typing import Any

import msgspec

from app.review.receipt import VERSION, Receipt


def receipt_schema() -> dict[str, Any]:
    """Describe receipts (draft 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"codex-review receipt, version {VERSION}",
        **msgspec.json.schema(Receipt),
    }
