"""In a company: a certificate authority of its own, named to the program as everywhere."""

import datetime
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

pytestmark = pytest.mark.slow


class Models(BaseHTTPRequestHandler):
    """A model server that lists its models."""

    def do_GET(self) -> None:
        body = b'{"object": "list", "data": [{"id": "ours"}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def certify(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost that nobody knows, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "ours.pem", folder / "ours.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return pem, secret


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return certify(tmp_path)[0]


@pytest.fixture
def model_server(authority: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, authority.with_suffix(".key"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Models)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def diagnosed(folder: Path, **env: str) -> str:
    """What the doctor says of the model."""
    program = Path(sys.executable).with_name("codex-review")
    told = subprocess.run(
        [program, "doctor", "--json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "MODEL": "ours", **env},
        capture_output=True,
    ).stdout
    return "; ".join(line["said"] for line in json.loads(told)["checks"] if line["name"] == "model")


def test_an_authority_of_ones_own_is_trusted_once_it_is_named(
    model_server: str, authority: Path, tmp_path: Path
) -> None:
    env = {"OPENAI_BASE_URL": model_server, "GITHUB_API_URL": "https://localhost:1"}
    assert "no secure connection" not in diagnosed(tmp_path, SSL_CERT_FILE=str(authority), **env)
    assert "no secure connection" in diagnosed(tmp_path, **env)
