"""Who sent a delivery: proves it by the webhook secret. Knows nothing of what is in it.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

import hashlib
import hmac
from collections.abc import Sequence

from app.errors import BadSignature

HEADER = "X-Hub-Signature-256"


def verify_signature(body: bytes, header: str | None, secrets: Sequence[bytes]) -> None:
    """Check the signature over the raw body; any one of the secrets may have made it.

    `header` is the value of X-Hub-Signature-256. Raises BadSignature. SHA-1 is never accepted.
    """
    if not header:
        raise BadSignature(f"{HEADER} is missing")
    scheme, _, digest = header.partition("=")
    if scheme != "sha256":
        raise BadSignature(f"{HEADER} holds no sha256 signature")
    given = digest.encode("utf-8", "replace")
    # An empty secret proves nothing: anybody can sign with it.
    matches = [hmac.compare_digest(given, _digest(body, secret)) for secret in secrets if secret]
    if not any(matches):
        raise BadSignature(f"{HEADER} does not match the body")


def _digest(body: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, body, hashlib.sha256).hexdigest().encode("ascii")
