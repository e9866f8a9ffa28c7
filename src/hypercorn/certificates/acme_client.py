"""The ACME client (RFC 8555): gets one certificate by HTTP-01, in a process of its own for each attempt.

The library `acme`, certbot's, speaks the protocol. It is imported only here, so that no process that lasts has it in
its memory. `renewal` starts the process, writes the settings to its stdin, and reads what came of it from its stdout.
"""

from __future__ import annotations

import json
import random
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import requests
from acme import challenges, crypto_util, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography import x509
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC
from urllib3 import HTTPResponse

from hypercorn import __version__
from hypercorn.certificates.folders import locked, write
from hypercorn.certificates.issuing import Key, key_pem, names_of, new_key, read_key
from hypercorn.certificates.state import Plan, Settings, read_plan, remove_old_challenges, write_plan

REQUEST_SECONDS = 30  # that the directory has for an answer
ATTEMPT_SECONDS = 240.0  # for the whole of it
LOCK_SECONDS = 300.0  # that another process may take for its attempt
NONCE_RETRIES = 5  # of requests whose nonce is refused, each of which the library sends twice
LIFE_RATIO = 2 / 3  # the part of its life after which a certificate is renewed
JITTER_RATIO = 1 / 30  # ... and the part of it by which that is put off at random
FIRST_WAIT_SECONDS = 60.0  # after a failure, and twice that after each one that follows
LONGEST_WAIT_SECONDS = 21600.0
RATE_LIMITED_SECONDS = 3600.0  # after a refusal by a rate limit that does not say for how long
LONGEST_RETRY_SECONDS = 604800.0  # that a directory may ask for
OLD_CHALLENGE_SECONDS = 86400.0
MAX_ANSWER_BYTES = 2**20  # of one answer of the directory
MAX_MEMORY_BYTES = 2**28  # of the process, whatever the directory answers

# What to do about an error of the directory, by its type (RFC 8555 section 6.7).
ADVICE = {
    "rateLimited": "wait; try things out with acme_directory = staging, which has higher limits",
    "externalAccountRequired": "set acme_eab_kid and acme_eab_hmac_key to what the authority has given you",
    "unauthorized": "with acme_eab_kid and acme_eab_hmac_key, check that they are the authority's",
    "rejectedIdentifier": "the authority gives no certificate for such a name: check acme",
    "caa": "the name's CAA record in the DNS names other authorities: add this one",
    "dns": "check that the DNS has an address for each name",
    "connection": "see to it that http://NAME/ reaches an address of insecure_bind, through port 80",
    "invalidContact": "check acme_email",
    "unsupportedContact": "check acme_email",
}
REACH = "see to it that http://NAME/.well-known/acme-challenge/ reaches an address of insecure_bind, through port 80"


@dataclass(frozen=True)
class Report:
    """What came of an attempt."""

    state: str  # "issued", "current" (there is no need for another) or "failed"
    plan: Plan
    text: str = ""  # for the log


class Refusal(Exception):
    """The directory does not do what is needed. The text says what, and what to do."""


class EndlessAnswer(requests.RequestException):
    """A response has a body that is longer than any answer of a directory."""


class BoundedBody:
    """The body of a response, as `requests` reads it, up to MAX_ANSWER_BYTES. Everything else is the response's own."""

    def __init__(self, raw: HTTPResponse) -> None:
        self.raw = raw

    def __getattr__(self, name: str) -> object:
        return getattr(self.raw, name)

    def stream(self, amount: int, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yields the body in pieces. Raises EndlessAnswer."""
        size = 0
        for piece in self.raw.stream(amount, decode_content=decode_content):
            size += len(piece)
            if size > MAX_ANSWER_BYTES:
                raise EndlessAnswer(f"more than {MAX_ANSWER_BYTES} bytes")
            yield piece


class Network(ClientNetwork):
    """The library's side of HTTP, which also notes how long the directory wants to be left alone."""

    def __init__(self, key: JWK) -> None:
        self.public_key = key.public_key()
        super().__init__(key, alg=ES256, user_agent=f"hypercorn/{__version__}", timeout=REQUEST_SECONDS)
        self.retry_after = 0.0  # seconds, of the last refusal
        self.session.hooks["response"].append(self.note)

    def note(self, response: requests.Response, **_: object) -> None:
        """Called for each response, before its body is read."""
        response.raw = BoundedBody(response.raw)
        if response.status_code >= 400:
            self.retry_after = seconds_of(response.headers.get("Retry-After", ""))

    def post(self, *args: object, **kwargs: object) -> requests.Response:
        """As the library's, but a refused nonce does not end the attempt (RFC 8555 section 6.5)."""
        for _ in range(NONCE_RETRIES):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)


def seconds_of(retry_after: str) -> float:
    """The seconds of a Retry-After field (RFC 9110 section 10.2.3); 0 where there are none."""
    try:
        seconds = float(int(retry_after))
    except ValueError:
        try:
            when = parsedate_to_datetime(retry_after)
            seconds = (when - datetime.now(when.tzinfo)).total_seconds()
        except (ValueError, TypeError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_SECONDS)


# -- one attempt


def attempt(settings: Settings) -> Report:
    """Gets a certificate, unless there is one that lasts, or another process has failed just now. Raises OSError for a
    folder that cannot be written."""
    try:
        with locked(settings.certificate_folder / "lock", LOCK_SECONDS):
            plan = read_plan(settings)
            if not plan.due:
                plan = Plan(renewal_time(current(settings)))
                write_plan(settings, plan)
            if plan.due > time.time():
                return Report("current", plan)
            remove_old_challenges(settings, OLD_CHALLENGE_SECONDS)
            report = obtain(settings, plan.failures)
            write_plan(settings, report.plan)
            return report
    except TimeoutError:
        return Report("current", Plan(time.time() + FIRST_WAIT_SECONDS))


def current(settings: Settings) -> x509.Certificate | None:
    """The certificate that was got before; None where there is none but a temporary one."""
    try:
        found = x509.load_pem_x509_certificate(settings.certificate_path.read_bytes())
    except (OSError, ValueError):
        return None
    return None if found.issuer == found.subject else found


def renewal_time(certificate: x509.Certificate | None) -> float:
    """When a certificate is to be renewed, in seconds since the epoch: after two thirds of its life, and a while that
    differs, so that not all of those that were issued together are renewed together."""
    if certificate is None:
        return 1.0
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    life = (end - begin).total_seconds()
    return begin.timestamp() + life * (LIFE_RATIO + random.random() * JITTER_RATIO)


def obtain(settings: Settings, failures: int) -> Report:
    """Gets a certificate, whatever there is."""
    network: Network | None = None
    try:
        network = Network(JWKEC(key=account_key(settings)))
        certificate = order(settings, open_account(settings, network))
    except Exception as error:
        wait = min(FIRST_WAIT_SECONDS * 2.0 ** min(failures, 20), LONGEST_WAIT_SECONDS) * (1 + random.random() / 10)
        if isinstance(error, messages.Error) and error.code == "rateLimited":
            wait = max(wait, network.retry_after if network and network.retry_after else RATE_LIMITED_SECONDS)
        elif network is not None:
            wait = max(wait, network.retry_after)
        text = explain(error, settings)
        return Report("failed", Plan(time.time() + wait, failures + 1, text), text)
    until = certificate.not_valid_after_utc
    return Report("issued", Plan(renewal_time(certificate)), f"valid until {until:%Y-%m-%d %H:%M} UTC")


def account_key(settings: Settings) -> Key:
    """The key of the account, which is made the first time. Raises OSError, and Refusal for one that is broken: with
    another it would be another account."""
    path = settings.account_folder / "key.pem"
    with locked(settings.account_folder / "lock", LOCK_SECONDS):
        try:
            return read_key(path.read_bytes())
        except FileNotFoundError:
            key = new_key()
            write(path, key_pem(key))
            return key
        except ValueError as error:
            raise Refusal(f"{path} is no key ({error}); restore it, or delete it to have another account") from error


def open_account(settings: Settings, network: Network) -> ClientV2:
    """A client with its account (RFC 8555 section 7.3). Whoever sets `acme` agrees to the directory's terms.

    An account that is there already is found by its key (section 7.3.1), so nothing else of it is kept.
    """
    client = ClientV2(ClientV2.get_directory(settings.directory, network), network)
    binding = None
    if settings.eab_kid is not None and settings.eab_hmac_key is not None:  # RFC 8555 section 7.3.4
        binding = messages.ExternalAccountBinding.from_data(
            network.public_key, settings.eab_kid, settings.eab_hmac_key.rstrip("="), client.directory
        )
    wanted = messages.NewRegistration.from_data(
        email=settings.email, terms_of_service_agreed=True, external_account_binding=binding
    )
    try:
        client.new_account(wanted)
    except errors.ConflictError as error:
        known = messages.RegistrationResource(uri=error.location, body=messages.Registration())
        account = client.query_registration(known)
        if set(account.body.contact) != set(wanted.contact):
            client.update_registration(account, messages.Registration(contact=wanted.contact))
    return client


def order(settings: Settings, client: ClientV2) -> x509.Certificate:
    """Orders a certificate, and writes it (RFC 8555 section 7.4)."""
    key = new_key()
    csr = crypto_util.make_csr(key_pem(key), list(settings.names))
    deadline = datetime.now() + timedelta(seconds=ATTEMPT_SECONDS)  # without a zone, as the library wants it
    placed = client.new_order(csr)
    with answered(settings, client, placed.authorizations):
        done = client.poll_and_finalize(placed, deadline)
    chain = done.fullchain_pem.encode()
    certificate = x509.load_pem_x509_certificate(chain)
    if certificate.public_key() != key.public_key() or names_of(certificate) != set(settings.names):
        raise Refusal(f"{settings.directory} gave a certificate for something else; ask its authority")
    write(settings.certificate_path, chain.rstrip() + b"\n" + key_pem(key))
    return certificate


@contextmanager
def answered(
    settings: Settings, client: ClientV2, authorizations: list[messages.AuthorizationResource]
) -> Iterator[None]:
    """Answers the challenges of an order in the block (RFC 8555 section 8.3)."""
    written = []
    try:
        for authorization in authorizations:
            if authorization.body.status != messages.STATUS_PENDING:
                continue  # it holds since another order
            body = next(
                (one for one in authorization.body.challenges if isinstance(one.chall, challenges.HTTP01)), None
            )
            name = authorization.body.identifier.value
            if body is None:
                raise Refusal(f"{settings.directory} offers no http-01 challenge for {name}; use another authority")
            response, validation = body.response_and_validation(client.net.key)
            path = settings.challenge_folder / str(body.chall.encode("token"))
            write(path, validation.encode())
            written.append(path)
            client.answer_challenge(body, response)
        yield
    finally:
        for path in written:
            path.unlink(missing_ok=True)


# -- what went wrong


def explain(error: BaseException, settings: Settings) -> str:
    """Why an attempt has failed, and what to do, in one line."""
    where = settings.directory
    match error:
        case Refusal():
            return str(error)
        case errors.ValidationError():
            return f"{'; '.join(failures_of(error))}; {REACH}"
        case errors.IssuanceError():
            return problem_text(error.error, where)
        case messages.Error():
            return problem_text(error, where)
        case MemoryError() | EndlessAnswer():
            return f"{where} gave an answer without an end; check acme_directory"
        case errors.TimeoutError():
            return f"{where} did not decide within {ATTEMPT_SECONDS:g} seconds; {REACH}"
        case requests.exceptions.SSLError():
            return f"{where}: {innermost(error)}; name a private authority's root in the variable REQUESTS_CA_BUNDLE"
        case requests.RequestException():
            return f"{where} cannot be reached: {innermost(error)}; check acme_directory, and the network"
        case errors.ClientError():
            return f"{where} gave no answer of ACME: {one_line(str(error))}; check acme_directory"
        case OSError():
            return f"{settings.folder} cannot be used: {one_line(str(error))}; check acme_state"
    return f"{type(error).__name__}: {one_line(str(error))}; report it, with the directory {where}"


def failures_of(error: errors.ValidationError) -> Iterator[str]:
    """What the directory says of each name that it could not validate."""
    for authorization in error.failed_authzrs:
        for body in authorization.body.challenges:
            if body.error is not None:
                detail = body.error.detail or body.error.typ
                yield f"{authorization.body.identifier.value} was not validated: {one_line(detail)}"


def problem_text(problem: messages.Error, where: str) -> str:
    """What a problem document says (RFC 7807), and what to do."""
    details = [problem.detail or problem.title or problem.typ]
    details += [one.detail for one in problem.subproblems or () if one.detail]
    advice = ADVICE.get(problem.code or "", "see the authority's documentation")
    return f"{where} refused, {problem.typ}: {one_line('; '.join(details))}; {advice}"


def innermost(error: BaseException) -> str:
    """The text of the error that is behind others."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return one_line(str(error))


def one_line(text: str, most: int = 400) -> str:
    """Text of others, for one line of the log."""
    return "".join(character if character.isprintable() else " " for character in text)[:most].rstrip(" .")


def limit_memory() -> None:
    """The library reads an answer as a whole. Where the system has such a limit, it ends the attempt, and not more."""
    with suppress(ImportError, OSError, ValueError):
        import resource  # there is none on Windows

        resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))


def main() -> None:
    """The process: settings in JSON on stdin, a report on stdout."""
    try:
        limit_memory()
        given = json.load(sys.stdin)
        settings = Settings(**{**given, "names": tuple(given["names"])})
        report = attempt(settings)
    except Exception as error:
        text = one_line("".join(traceback.format_exception_only(error)))
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{text} ({where.filename}, line {where.lineno}); check acme_state"
        report = Report("failed", Plan(time.time() + FIRST_WAIT_SECONDS, 1, text), text)
    print(json.dumps(asdict(report)), flush=True)
