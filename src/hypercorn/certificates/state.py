"""The folder in which `acme` keeps its accounts, certificates and challenges; what to get, and when.

challenges/TOKEN                            what is answered at /.well-known/acme-challenge/TOKEN
accounts/DIRECTORY/key.pem, lock             the key that is the account with a directory
certificates/DIRECTORY/NAMES/certificate.pem, with its key; plan.json, lock

Everything that servers share is in these files: whoever has the lock of a certificate may get another. A file is
replaced as a whole, so it can be read without a lock.
"""

from __future__ import annotations

import hashlib
import json
import math
import ssl
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hypercorn.certificates.folders import data_folder, locked, make_private, write
from hypercorn.errors import ConfigError

DIRECTORIES = {
    "production": "https://acme-v02.api.letsencrypt.org/directory",
    "staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
ADVICE = "set acme_state to a folder that only this user may enter"
TEMPORARY_DAYS = 90
DIGEST_DIGITS = 8  # that tell apart what has the same name


@dataclass(frozen=True)
class Settings:
    """What a certificate is wanted for, and from whom."""

    names: tuple[str, ...]  # host names; the first is the subject's
    directory: str  # the URL of the directory (RFC 8555 section 7.1.1)
    folder: str
    email: str | None = None
    eab_kid: str | None = None
    eab_hmac_key: str | None = field(default=None, repr=False)

    @property
    def account_folder(self) -> Path:
        """Where the account is."""
        return Path(self.folder, "accounts", self.directory_name)

    @property
    def certificate_folder(self) -> Path:
        """Where the certificate is. Other names, another folder."""
        return Path(
            self.folder, "certificates", self.directory_name, named(self.names[0], " ".join(sorted(self.names)))
        )

    @property
    def directory_name(self) -> str:
        """The directory, as the name of a folder."""
        return named(self.directory.partition("://")[2].partition("/")[0].replace(":", "-"), self.directory)

    @property
    def challenge_folder(self) -> Path:
        """Where answers to challenges are; for all directories, as tokens are random."""
        return Path(self.folder, "challenges")

    @property
    def certificate_path(self) -> Path:
        """The certificate with what leads to its root, and its key."""
        return self.certificate_folder / "certificate.pem"

    @property
    def plan_path(self) -> Path:
        """Where the plan is."""
        return self.certificate_folder / "plan.json"

    @property
    def shown_names(self) -> str:
        """The names, for people."""
        return ", ".join(self.names)


@dataclass(frozen=True)
class Plan:
    """When another certificate is to be got, and what came of the last attempt."""

    due: float = 0.0  # seconds since the epoch
    failures: int = 0  # one after the other
    reason: str = ""  # why the last one failed, and what to do


def named(name: str, whole: str) -> str:
    """A name for a folder: one that people know, and a digest that tells it from others."""
    return f"{name}-{hashlib.sha256(whole.encode()).hexdigest()[:DIGEST_DIGITS]}"


def default_folder() -> str:
    """Where all of this is if no option says. Raises ConfigError."""
    return str(data_folder() / "acme")


def read_plan(settings: Settings) -> Plan:
    """The plan; one that is due now where there is none that can be read."""
    try:
        found = json.loads(settings.plan_path.read_bytes())
        plan = Plan(float(found["due"]), int(found["failures"]), str(found["reason"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Plan()
    return plan if math.isfinite(plan.due) else Plan()


def write_plan(settings: Settings, plan: Plan) -> None:
    """Writes the plan. Raises OSError."""
    write(settings.plan_path, json.dumps(asdict(plan)).encode())


def prepare(settings: Settings) -> None:
    """Makes the folders, and sees to it that there is a certificate which TLS can be served with: where there is none
    yet, a temporary one that signs itself. Raises ConfigError."""
    for folder in (settings.folder, settings.challenge_folder, settings.account_folder, settings.certificate_folder):
        make_private(Path(folder), ADVICE)
    if is_usable(settings.certificate_path):
        return
    try:
        with locked(settings.certificate_folder / "temporary.lock"):
            if not is_usable(settings.certificate_path):
                from hypercorn.certificates.issuing import self_signed  # only where there is none yet

                write(settings.certificate_path, self_signed(settings.names, TEMPORARY_DAYS))
                if not read_plan(settings).failures:  # else it is that of the certificate that is lost
                    settings.plan_path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"acme: {settings.folder} cannot be used: {error.strerror or error}; {ADVICE}") from error


def is_usable(path: Path) -> bool:
    """True for a file with a certificate and its key."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path)
    except (OSError, ValueError):
        return False
    return True


def remove_old_challenges(settings: Settings, seconds: float) -> None:
    """Removes the answers that a process which was killed has left behind. Raises OSError."""
    for path in settings.challenge_folder.iterdir():
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink()
