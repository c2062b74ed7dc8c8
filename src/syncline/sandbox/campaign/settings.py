"""The switches of a Campaign sandbox: how strict, how old, how slow it is. Each default is the documented behaviour.

What never lives here: behaviour; each setting is read where it matters.
"""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["DEFAULT_SCOPES", "Settings"]

DEFAULT_SCOPES = (
    "openid,AdobeID,campaign_sdk,additional_info.projectedProductContext,campaign_config_server_general,"
    "deliverability_service_general,read_organizations,additional_info.roles,adobeio_api"
)


def _one_of(*allowed: object) -> Any:
    return attrs.validators.in_(allowed)


@attrs.define(kw_only=True)
class Settings:
    """Changed one by one with the control command `set`; an unknown name or value is refused."""

    #: A GET of one record answers the bare object, or wrapped in `{"content": [...]}`.
    single_get: str = attrs.field(default="bare", validator=_one_of("bare", "wrapped"))
    #: XtkBigTableThreshold: above this many records `next` is absent without `_forcePagination=true`.
    big_table_threshold: int = 100_000
    #: What becomes of a string longer than its field.
    too_long: str = attrs.field(default="refuse", validator=_one_of("refuse", "truncate"))
    #: The data policy `smartCase` rewrites names: `anna-lena` becomes `Anna-lena`.
    smart_case: bool = False
    #: The data policy `email` writes addresses in lower case.
    lower_email: bool = False
    #: Answer as the same API does on Campaign version 8: causes hidden, no "by" before custom filters.
    v8: bool = False
    #: The status of a successful DELETE.
    delete_status: int = attrs.field(default=200, validator=_one_of(200, 202, 204))
    #: Seconds an access token lives.
    token_seconds: int = 86_399
    #: Scopes the credential may ask for, separated by commas.
    scopes: str = DEFAULT_SCOPES
    #: False: the product profile is missing and the gateway answers 403023.
    profile_valid: bool = True
    #: Requests per second above which the gateway answers 429; 0 means no limit, as none is published.
    rate_limit: int = 0
    #: The Retry-After of that 429, as it stands in the header; empty means no such header.
    rate_limit_retry_after: str = ""
    #: An origin that `next` links name instead of our own, such as `https://evil.example`; empty means our own.
    foreign_links: str = ""
    #: Records of profile without an organisational unit cannot be seen.
    org_unit_required: bool = False

    def change(self, changes: dict[str, Any]) -> None:
        """Set some. ValueError names what does not exist; nothing is changed then."""
        known = attrs.fields_dict(Settings)
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"no setting is called {name!r}; there are {', '.join(known)}")
            expected = type(known[name].default)
            if type(value) is not expected:
                raise ValueError(f"{name} takes {expected.__name__}, not {type(value).__name__}")
        for name, value in changes.items():
            setattr(self, name, value)
