"""A certificate for one run, made by the command `openssl`: the same kind that most sites have (ECDSA, P-256)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bench.processes import ServerError


def self_signed(folder: Path) -> tuple[str, str]:
    """Makes it in `folder`. Returns the files of certificate and key. Raises ServerError where there is no openssl."""
    certificate, key = str(folder / "certificate.pem"), str(folder / "key.pem")
    kind = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    try:
        subprocess.run(
            ["openssl", "req", "-x509", *kind, "-keyout", key, "-out", certificate], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ServerError(f"openssl made no certificate for the case over TLS: {error}") from error
    return certificate, key
