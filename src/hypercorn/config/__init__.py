"""The configuration of a server: plain attributes, filled from files, flags or code.

`Config` may be subclassed (`create_ssl_context`, `ssl_enabled`, `logger_class`), and a value set on the class
is the default of every instance made afterwards. The options themselves are declared in `hypercorn.config.options`.
"""

from __future__ import annotations

import copy
import importlib.util
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import replace
from socket import SOCK_DGRAM, SOCK_STREAM
from socket import SocketKind as _SocketKind
from time import time
from typing import TYPE_CHECKING

from hypercorn._toml import read_toml
from hypercorn.config import sources
from hypercorn.config.attributes import Attributes
from hypercorn.config.options import ALIASES, BY_NAME, OPTIONS, UNSET, nearest
from hypercorn.config.values import split_header
from hypercorn.errors import ConfigError, ConfigWarning
from hypercorn.logs.logger import Logger
from hypercorn.net.address import client_address
from hypercorn.net.sockets import (
    SocketOptions,
    Sockets,
    SocketTypeError,
    UnixPath,
    bind_text,
    create_sockets,
    steers_datagrams,
    unix_path,
)

if TYPE_CHECKING:
    from socket import socket
    from ssl import SSLContext

    from typing_extensions import Self, Unpack

    from hypercorn.certificates.state import Settings
    from hypercorn.config.attributes import Options

__all__ = ("BYTES", "OCTETS", "SECONDS", "Config", "FilePath", "SocketKind", "SocketTypeError", "Sockets")

BYTES = 1
OCTETS = 1
SECONDS = 1.0
FilePath = bytes | os.PathLike[str] | str
SocketKind = int | _SocketKind

H3_ALPN = ("h3",)
_FROM_CODE = "Config"


class _Alias:
    """Another name of an option: what is read or written by it is the option."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.__doc__ = f"Another name of `{name}`."

    def __get__(self, instance: Config | None, owner: type[Config]) -> object:
        return getattr(owner if instance is None else instance, self.name)

    def __set__(self, instance: Config, value: object) -> None:
        setattr(instance, self.name, value)


class Config(Attributes):
    """All options of one server.

    Times are seconds, sizes bytes; None means "no limit" where it is allowed. What is assigned is converted, as what
    a file or a flag says is: "500ms" for a time sets 0.5. A wrong value raises ConfigError.
    """

    _log: Logger | None = None
    _origins: dict[str, str]
    _unknown: list[str]
    _quic_addresses: list[tuple[object, ...]]

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        for alias, name in ALIASES.items():
            if alias in cls.__dict__:
                setattr(cls, name, cls.__dict__[alias])
                delattr(cls, alias)

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Makes a configuration whose options all have their defaults."""
        # Here, not in __init__, for subclasses that have an __init__ of their own, and for unpickling.
        self = super().__new__(cls)
        self.__dict__.update(_origins={}, _unknown=[], _quic_addresses=[])
        for name, default in _DEFAULTS.items():
            value = getattr(cls, name)
            if isinstance(value, list) or (value is not default and not hasattr(value, "__get__")):
                self._store(name, BY_NAME[name].convert(value, _FROM_CODE))
        for alias, name in ALIASES.items():
            value = _declared(cls, alias)
            if not isinstance(value, _Alias):
                self._store(name, BY_NAME[name].convert(value, _FROM_CODE, alias))
        return self

    def __init__(self, **options: Unpack[Options]) -> None:
        """A configuration with these options.

        Raises TypeError for a name that is no option, and ConfigError for a wrong value.
        """
        self._load_known(options, _FROM_CODE, f"{type(self).__name__}()")

    def _load_known(self, options: Mapping[str, object], source: str, taker: str) -> None:
        for name in options:
            if not self._knows(name):
                raise TypeError(f"{taker} got {sources.unknown_text(name)}")
        self.load(options, source)

    def __setattr__(self, name: str, value: object) -> None:
        option = BY_NAME.get(ALIASES.get(name, name))
        if option is not None:
            value = option.convert(value, _FROM_CODE, name)
            self._origins[option.name] = _FROM_CODE
            self._store(option.name, value)
            return
        if not name.startswith("_") and not self._knows(name) and name not in self.__dict__:
            own = type(self) is not Config  # a subclass may have attributes that its body does not name
            if not own or nearest(name, cutoff=sources.LIKELY_RATIO):
                self._unknown.append(sources.warn_unknown(name, _FROM_CODE, stacklevel=4))
        object.__setattr__(self, name, value)

    def _store(self, name: str, value: object) -> None:
        """Sets an option to a value of its type."""
        object.__setattr__(self, name, value)
        for alias in BY_NAME[name].aliases:
            if not isinstance(_declared(type(self), alias), _Alias):  # a default set on the class hides the alias
                self.__dict__[alias] = value

    def _knows(self, name: str) -> bool:
        """True for an option, and for what the class or a subclass declares."""
        if name in BY_NAME or hasattr(type(self), name):
            return True
        return any(name in getattr(one, "__annotations__", ()) for one in type(self).__mro__)

    def __getstate__(self) -> dict[str, object]:
        # Defaults set on the class belong to this process alone, so they travel with the instance; the logger
        # does not.
        state: dict[str, object] = {}
        for name, default in _DEFAULTS.items():
            value = getattr(type(self), name)
            if not isinstance(value, property) and value != default:
                state[name] = value
        state.update(self.__dict__)
        state.pop("_log", None)
        return state

    def __repr__(self) -> str:
        """The options that do not have their default value, as arguments; secrets are hidden."""
        shown = []
        for option in OPTIONS:
            value = UNSET if option.alias_of else getattr(self, option.name, UNSET)
            if value is not UNSET and value != _DEFAULTS.get(option.name, UNSET):
                shown.append(f"{option.name}={'***' if option.secret else repr(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"

    def _set_cert_reqs(self, value: int) -> None:
        from ssl import VerifyMode

        warnings.warn("Please use verify_mode instead", ConfigWarning, stacklevel=2)
        self.verify_mode = VerifyMode(value)

    cert_reqs = property(None, _set_cert_reqs, doc="Deprecated, write-only: sets `verify_mode`.")

    # --- what follows from the options

    @property
    def log(self) -> Logger:
        """The logger, made when first asked for."""
        if self._log is None:
            if self.statsd_host is not None and self.logger_class is Logger:
                from hypercorn.logs.statsd import StatsdLogger

                self.set_statsd_logger_class(StatsdLogger)
            self._log = self.logger_class(self)
        return self._log

    def set_statsd_logger_class(self, statsd_logger: type[Logger]) -> None:
        """Uses that class for `log` if `statsd_host` is set and `logger_class` was left alone."""
        if self.logger_class is Logger and self.statsd_host is not None:
            self.logger_class = statsd_logger

    @property
    def ssl_enabled(self) -> bool:
        """TLS is on if both `certfile` and `keyfile` are set, or the server makes a certificate itself."""
        return self.dev_tls or bool(self.acme) or (self.certfile is not None and self.keyfile is not None)

    @property
    def certificate_files(self) -> tuple[str | None, str | None]:
        """The paths of the certificate that is served and of its key: `certfile` and `keyfile`, or what the server
        makes or gets itself."""
        acme = self.acme_settings()
        if acme is not None:
            return str(acme.certificate_path), str(acme.certificate_path)
        if not self.dev_tls:
            return self.certfile, self.keyfile
        from hypercorn.certificates.development import certificate_path

        return str(certificate_path()), str(certificate_path())

    def prepare_certificate(self) -> None:
        """Makes the certificate of `dev_tls`, or a temporary one for `acme`, where there is none that can be used.

        Raises ConfigError.
        """
        acme = self.acme_settings()
        if acme is not None:
            from hypercorn.certificates import state

            state.prepare(acme)
        elif self.dev_tls:
            from hypercorn.certificates import development

            development.prepare()

    def acme_settings(self) -> Settings | None:
        """What certificate `acme` asks for, and of whom; None without it. Raises ConfigError."""
        if not self.acme:
            return None
        from hypercorn.certificates.state import DIRECTORIES, Settings, default_folder

        return Settings(
            names=tuple(self.acme),
            directory=DIRECTORIES.get(self.acme_directory, self.acme_directory),
            folder=default_folder() if self.acme_state is None else self.acme_state,
            email=self.acme_email,
            eab_kid=self.acme_eab_kid,
            eab_hmac_key=self.acme_eab_hmac_key,
        )

    def create_ssl_context(self) -> SSLContext | None:
        """The context of TLS connections, or None without TLS.

        Raises ConfigError for files that cannot be used.
        """
        if not self.ssl_enabled:
            return None
        from hypercorn.net.tls import create_ssl_context

        self.prepare_certificate()
        return create_ssl_context(self)

    def create_sockets(self) -> Sockets:
        """Binds every address.

        Raises BindError (an OSError), SocketTypeError or ValueError; nothing is left open then.

        The sockets do not listen yet.
        """
        return self._create_sockets([])

    def renew_sockets(self, known: Sockets) -> Sockets:
        """As `create_sockets`, but where one of the `known` sockets has an address already, that one is taken. Nothing
        happens to those that are known, also where this raises what `create_sockets` raises."""
        renewed = self._create_sockets(list(known))
        paths = {os.path.abspath(path) for sock in renewed if (path := unix_path(sock)) is not None}
        renewed.unix_paths += [path for path in known.unix_paths if path.path in paths]
        return renewed

    def _create_sockets(self, known: list[socket]) -> Sockets:
        options = SocketOptions(self.reuse_port, self.umask, self.user, self.group, known[:])
        paths: list[UnixPath] = []
        sockets = Sockets([], [], [], paths)
        bind = self.bind
        try:
            if self.ssl_enabled:
                sockets.secure_sockets = create_sockets(bind, SOCK_STREAM, options, paths)
                sockets.insecure_sockets = create_sockets(self.insecure_bind, SOCK_STREAM, options, paths)
                sockets.quic_sockets = self._quic_sockets(sockets.secure_sockets, options, paths)
                self._set_quic_addresses(sockets)
            else:
                sockets.insecure_sockets = create_sockets(bind, SOCK_STREAM, options, paths)
            sockets.metrics_sockets = self.create_metrics_sockets(paths, options.known)
        except BaseException:
            for name in ("secure_sockets", "insecure_sockets", "quic_sockets"):
                setattr(sockets, name, [sock for sock in getattr(sockets, name) if sock not in known])
            sockets.close()
            raise
        return sockets

    def _quic_sockets(self, tcp: list[socket], options: SocketOptions, paths: list[UnixPath]) -> list[socket]:
        """The UDP sockets of `quic_bind`, and with `http3` those beside the TCP ones, one for each worker."""
        known = list(options.known or ())
        binds = list(self.quic_bind)
        if self.http3:
            binds += [bind for sock in tcp if (bind := bind_text(sock)) is not None]
        found: list[socket] = []
        try:
            for bind in dict.fromkeys(binds):
                found += create_sockets([bind], SOCK_DGRAM, replace(options, reuse_port=steers_datagrams()), paths)
        except BaseException:
            for sock in found:
                if sock not in (known or ()):
                    sock.close()
            raise
        return found

    def create_metrics_sockets(self, paths: list[UnixPath], known: list[socket] | None = None) -> list[socket]:
        """Binds `metrics_bind`. Raises as `create_sockets`."""
        options = SocketOptions(False, self.umask, self.user, self.group, known)
        return create_sockets(self.metrics_bind, SOCK_STREAM, options, paths)

    def _set_quic_addresses(self, sockets: Sockets) -> None:
        self._quic_addresses = []
        for sock in sockets.quic_sockets:
            name = sock.getsockname()
            if client_address(name) is not None:
                if name not in self._quic_addresses:
                    self._quic_addresses.append(name)
            else:
                warnings.warn(
                    f'Cannot create a alt-svc header for the QUIC socket with address "{name}"',
                    ConfigWarning,
                    stacklevel=3,
                )

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
        """The headers that the server adds to a response: date, server, those of `headers`, alt-svc."""
        from email.utils import formatdate

        headers = []
        if self.include_date_header:
            headers.append((b"date", formatdate(time(), usegmt=True).encode("ascii")))
        if self.include_server_header:
            headers.append((b"server", f"hypercorn-{protocol}".encode("ascii")))
        headers += map(split_header, self.headers)
        for value in self.alt_svc_headers:
            headers.append((b"alt-svc", value.encode()))
        if not self.alt_svc_headers:
            for version in H3_ALPN:
                for address in self._quic_addresses:
                    age = int(self.alt_svc_max_age)
                    headers.append((b"alt-svc", f'{version}=":{address[1]}"; ma={age}'.encode("ascii")))
        return headers

    # --- loading

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object] | None = None, **kwargs: Unpack[Options]) -> Self:
        """A configuration from a mapping; keyword arguments win.

        Raises ConfigError, warns about unknown names.
        """
        config = cls()
        config.load({**(mapping or {}), **kwargs}, _FROM_CODE)
        return config

    @classmethod
    def from_toml(cls, filename: FilePath) -> Self:
        """A configuration from the top-level keys of a TOML file.

        Raises OSError, TOMLDecodeError and ConfigError.
        """
        path = os.fsdecode(filename)
        config = cls()
        config.load(read_toml(path), f"file {path}")
        return config

    @classmethod
    def from_pyfile(cls, filename: FilePath) -> Self:
        """A configuration from the names that a Python file defines.

        Raises OSError, ConfigError and what it raises.
        """
        path = os.fsdecode(filename)
        config = cls()
        config.load(sources.read_pyfile(path), f"file {path}", strict=False)
        return config

    @classmethod
    def from_object(cls, instance: object | str) -> Self:
        """A configuration from an object, a mapping, or a `module` or `module.attribute` by name.

        Raises ConfigError, also if there is no such module or attribute.
        """
        source = _FROM_CODE
        if isinstance(instance, str):
            source = f"object {instance}"
            instance = sources.import_object(instance)
        config = cls()
        if isinstance(instance, Mapping):
            config.load(instance, source)
        else:
            config.load(sources.read_object(instance), source, strict=False)
        return config

    def update_from_environ(self, environ: Mapping[str, str] | None = None) -> None:
        """Takes the variables `HYPERCORN_<OPTION>`; lists are separated by commas.

        PORT and WEB_CONCURRENCY, which hosting platforms set, count where neither these nor anything else has set
        `bind` and `workers`. Raises ConfigError.
        """
        variables = os.environ if environ is None else environ
        for name, value, source in sources.read_environ(variables):
            self.load({name: value}, source)
        for name, value, source in sources.read_platform(variables):
            if self.origin(name) == "default":
                self.load({name: value}, source)

    def load(self, values: Mapping[str, object], source: str, *, strict: bool = True) -> None:
        """Sets every value, converted.

        `source` is named in errors: "file x.toml", "flag --workers", "Config".

        An unknown name warns and is set as it is. Without `strict` only one that resembles an option warns (a
        Python file has variables of its own).
        """
        for name, value in sources.without_doubles(values, source):
            option = BY_NAME.get(ALIASES.get(name, name))
            try:
                if option is not None:
                    value = option.convert(value, source, name)
                    self._origins[option.name] = source
                    self._store(option.name, value)
                    continue
                if not self._knows(name) and (strict or sources.is_meant(name)):
                    self._unknown.append(sources.warn_unknown(name, source))
                object.__setattr__(self, name, value)
            except AttributeError:
                pass  # a property that only reads: log, ssl_enabled

    def with_options(self, options: Mapping[str, object], source: str) -> Self:
        """A copy with these options on top. `source` is named in errors, and as their origin.

        Raises TypeError for a name that is no option, and ConfigError for a wrong value.
        """
        made = copy.copy(self)
        made._load_known(options, source, source)
        return made

    def origin(self, name: str) -> str:
        """The source of an option's value: "file x.toml", "flag --workers", "default", "Config" (code)."""
        name = ALIASES.get(name, name)
        if name in self._origins:
            return self._origins[name]
        default = _DEFAULTS.get(name, UNSET)
        if name in self.__dict__ and self.__dict__[name] != default:
            return _FROM_CODE
        return "default" if getattr(type(self), name, UNSET) == default else _FROM_CODE

    def validate(self) -> None:
        """Checks and converts every option, and warns about settings that have no effect.

        Raises ConfigError.
        """
        for option in OPTIONS:
            value = UNSET if option.alias_of else getattr(self, option.name, UNSET)
            if value is UNSET:
                continue
            converted = option.convert(value, _FROM_CODE)
            if converted != value or type(converted) is not type(value):
                self._store(option.name, converted)
        if self.strict and self._unknown:
            raise ConfigError(self._unknown[0])
        if self.proxy_protocol and not self.trusted_proxies:
            raise ConfigError(
                "proxy_protocol without trusted_proxies: name the proxies whose connections begin with a PROXY header, "
                'such as trusted_proxies = ["10.0.0.0/8"], or ["*"] where nobody else can connect'
            )
        if self.add_root_path and self.root_path[:1] not in ("", "/"):
            raise ConfigError(f"add_root_path with root_path = {self.root_path!r}: a path begins with a slash")
        if self.process_name is not None and importlib.util.find_spec("setproctitle") is None:
            message = "process_name has no effect without setproctitle: pip install 'hypercorn[setproctitle]'"
            warnings.warn(message, ConfigWarning, stacklevel=2)
        if self.otel:
            self._need_library("otel", "opentelemetry.exporter.otlp.proto.http", "otel")
        self._complete_tls()
        if not self.acme:
            for name in ("acme_email", "acme_state", "acme_eab_kid", "acme_eab_hmac_key"):
                if getattr(self, name) is not None:
                    warnings.warn(f"{name} has no effect without acme", ConfigWarning, stacklevel=2)
        if not self.ssl_enabled:
            for name in ("insecure_bind", "ca_certs", "crl_file", "verify_mode"):
                if getattr(self, name):
                    warnings.warn(f"{name} has no effect without certfile and keyfile", ConfigWarning, stacklevel=2)

    def _complete_tls(self) -> None:
        """Takes the key from the certificate's file where no other is named. Raises ConfigError where TLS is asked for
        and cannot be served: never plain text in its place."""
        if self.acme:
            self._check_acme()
        elif self.dev_tls:
            self._check_own_certificate("dev_tls", "cryptography", "tls")
        if self.ssl_enabled:
            return
        if self.certfile is not None:
            where = f"certfile = {self.certfile!r} ({self.origin('certfile')})"
            try:
                with open(self.certfile, "rb") as file:
                    has_key = sources.has_private_key(file.read())
            except OSError as error:
                raise ConfigError(f"{where} cannot be read: {error.strerror or error}") from None
            if not has_key:
                raise ConfigError(f"{where} holds no private key: set keyfile")
            self.keyfile = self.certfile
            return
        for name in ("keyfile", "certificates", "http3", "quic_bind"):
            value = getattr(self, name)
            if value:
                where = f"{name} = {value!r} ({self.origin(name)})"
                raise ConfigError(f"{where} needs a certificate: set certfile, or dev_tls for development")

    def _check_acme(self) -> None:
        """Raises ConfigError where certificates of `acme` cannot be had."""
        self._check_own_certificate("acme", "acme", "acme", "dev_tls")
        where = f"acme = {self.acme!r} ({self.origin('acme')})"
        if getattr(sys, "frozen", False):
            raise ConfigError(f"{where}: a frozen program has no interpreter that could run the ACME client")
        if not self.insecure_bind:
            raise ConfigError(
                f"{where} needs insecure_bind, where the authority asks for http://{self.acme[0]}/.well-known/: "
                'set insecure_bind = ["0.0.0.0:80", "[::]:80"]'
            )
        if not self.certificate_reload:
            raise ConfigError(f"{where} needs certificate_reload, by which new certificates are served: leave it on")
        if (self.acme_eab_kid is None) != (self.acme_eab_hmac_key is None):
            raise ConfigError(
                "acme_eab_kid and acme_eab_hmac_key belong together: set both, as the authority gave them"
            )
        if self.acme_state is not None:  # the application may change the working directory
            self._store("acme_state", os.path.abspath(self.acme_state))

    def _check_own_certificate(self, name: str, library: str, extra: str, *others: str) -> None:
        """Raises ConfigError where the certificate of that option is one too many, or its library is missing."""
        for other in (*others, "certfile", "keyfile", "keyfile_password"):
            if getattr(self, other):
                both = f"{name} ({self.origin(name)}) and {other} ({self.origin(other)})"
                raise ConfigError(f"{both} exclude each other: leave one of them out")
        self._need_library(name, library, extra)

    def _need_library(self, name: str, library: str, extra: str) -> None:
        """Raises ConfigError where the library of that option is missing."""
        try:
            found = importlib.util.find_spec(library)
        except ModuleNotFoundError:  # not even the package that it lies in is there
            found = None
        if found is None:
            raise ConfigError(f"{name} ({self.origin(name)}) needs {library}: pip install 'hypercorn[{extra}]'")


_DEFAULTS = {option.name: option.default for option in OPTIONS if option.default is not UNSET}
_DEFAULTS["logger_class"] = Logger
for _name, _default in _DEFAULTS.items():
    setattr(Config, _name, list(_default) if isinstance(_default, list) else _default)
for _alias, _name in ALIASES.items():
    setattr(Config, _alias, _Alias(_name))


def _declared(cls: type, name: str) -> object:
    """What a class or its bases declare by a name: the descriptor itself, not what it gives."""
    return next(vars(one)[name] for one in cls.__mro__ if name in vars(one))
