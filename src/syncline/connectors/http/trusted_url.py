"""Which addresses may be sent anything.

What lives here: the configured origins and the one check every address out of an answer passes. Never a request.
An address is compared with what was configured, never with the page it came from; a prefix match on text is not
enough (`https://host.evil.example`), and neither is the host alone (another port, another tenant's path).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Self
from urllib.parse import unquote

from attrs import field, frozen

from syncline.errors import DefinitionError, UntrustedUrlError

__all__ = ["Address", "Origin", "TrustedOrigins", "trusted_url"]

_LONGEST = 65_536
# Printable ASCII without the backslash, which some parsers read as a slash, and without '#': fragments are never sent.
_CHARACTERS = re.compile(r"[!-\"$-\[\]-~]+")
_URL = re.compile(
    r"(https?)://"
    r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9](?:[a-z0-9_.-]{0,251}[a-z0-9])?)"
    r"(?::([1-9][0-9]{0,4}))?"
    r"(/[^?]*)?(\?.*)?",
    re.IGNORECASE,
)
_PORTS = {"http": 80, "https": 443}


@frozen
class Origin:
    """Scheme, host (lower case) and port: what a connection is made to."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        suffix = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{suffix}"

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        return str(self).partition("://")[2]

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this computer itself, by name or by address."""
        address = self._address
        return self.host == "localhost" if address is None else address.is_loopback

    @property
    def is_link_local(self) -> bool:
        """Whether the host is a link-local address, where clouds keep their metadata services."""
        address = self._address
        mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:169.254.169.254 reaches the same service
        return any(one.is_link_local for one in (address, mapped) if one is not None)

    @property
    def _address(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        try:
            return ipaddress.ip_address(self.host.strip("[]"))
        except ValueError:
            return None


@frozen
class Address:
    """Where a request goes: the origin, and the path with the query as they are sent."""

    origin: Origin
    #: It may hold the key of a person, so it is shown to nobody.
    target: str = field(repr=False)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @classmethod
    def parse(cls, url: object) -> Self | None:
        """The parts of an absolute address, or None for whatever else an answer holds in its place."""
        if not isinstance(url, str) or len(url) > _LONGEST or not _CHARACTERS.fullmatch(url):
            return None
        match = _URL.fullmatch(url)
        if match is None:
            return None
        scheme, host, port, path, query = match.groups()
        number = int(port) if port else _PORTS[scheme.lower()]
        if number > 65_535 or ".." in host:
            return None
        return cls(Origin(scheme.lower(), host.lower(), number), (path or "/") + (query or ""))


def climbs(path: str) -> bool:
    """Whether a path leaves its folder or hides that it does: `..`, a backslash or a control, however often encoded."""
    for _ in range(4):
        if "\\" in path or not path.isprintable() or any(part in {".", ".."} for part in path.split("/")):
            return True
        plain = unquote(path)
        if plain == path:
            return False
        path = plain
    return True


@frozen(kw_only=True)
class TrustedOrigins:
    """The configured addresses: each an origin and a path prefix. Only what lies below one of them is trusted."""

    prefixes: tuple[Address, ...] = field()

    @classmethod
    def of(cls, base_url: str, *also: str, allow_loopback_http: bool = False, setting: str = "base_url") -> Self:
        """Read configured addresses; raise `DefinitionError` for one that must not be used, with the setting's name.

        Only `https` is accepted, and `http` to this computer when `allow_loopback_http` says so (for the sandbox).
        Link-local addresses, where clouds keep their metadata services, are refused.
        """
        named = [(base_url, setting), *((url, "also_trusted") for url in also)]
        return cls(prefixes=tuple(_configured(url, allow_loopback_http, path) for url, path in named))

    @property
    def base(self) -> Address:
        """The address relative ones are appended to."""
        return self.prefixes[0]

    def find(self, url: str) -> Address:
        """The parts of a trusted absolute address; raise `UntrustedUrlError` for any other."""
        address = Address.parse(url)
        if address is None:
            raise UntrustedUrlError("An answer named an address that cannot be read safely.")
        path = address.path
        for prefix in self.prefixes:
            if address.origin == prefix.origin and _is_below(path, prefix.path) and not climbs(path):
                return address
        raise UntrustedUrlError(
            f"An answer named an address at {address.origin}, outside the configured ones.",
            remedy=f"Configured: {', '.join(str(prefix.origin) for prefix in self.prefixes)}.",
        )

    def join(self, relative: str) -> Address:
        """A path and query of our own making, appended to the base address."""
        if not _CHARACTERS.fullmatch(relative) and relative:
            raise ValueError("A relative address holds characters that must be percent-encoded.")
        path = relative.partition("?")[0]
        if (".." in path or "%" in path or "./" in path) and climbs(path):
            raise ValueError("A relative address must not climb.")
        base = self.prefixes[0]
        if relative[:1] == "?":
            return Address(base.origin, base.target.rstrip("/") + relative)
        return Address(base.origin, f"{base.target.rstrip('/')}/{relative.lstrip('/')}")


def trusted_url(url: str, origins: TrustedOrigins) -> str:
    """Return `url` unchanged when it lies below one of the configured addresses.

    Raises `UntrustedUrlError`, which shows the origin only, for another scheme, host, port or path prefix, for user
    info, control characters, blanks, backslashes, fragments, non-ASCII hosts and paths that climb. Nothing is sent.
    """
    origins.find(url)
    return url


def _is_below(path: str, prefix: str) -> bool:
    folder = prefix.rstrip("/")
    return path == folder or path.startswith(f"{folder}/")


def _configured(url: str, allow_loopback_http: bool, path: str) -> Address:
    address = Address.parse(url)
    if address is None or "?" in address.target or climbs(address.path):
        raise DefinitionError(
            "An address must look like https://host/path, without user, query and fragment.", path=path
        )
    origin = address.origin
    if origin.is_link_local:
        raise DefinitionError(f"{origin} is a link-local address and is never a service of ours.", path=path)
    if origin.scheme == "http" and not (allow_loopback_http and origin.is_loopback):
        raise DefinitionError(
            f"{origin} is not encrypted.",
            path=path,
            remedy="Use https; http is only for this computer, with allow_loopback_http.",
        )
    return address
