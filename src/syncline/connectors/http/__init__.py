"""The HTTP room: one client for both services, and what keeps it safe."""

from __future__ import annotations

from syncline.connectors.http.client import HttpClient
from syncline.connectors.http.gate import ThrottleGate
from syncline.connectors.http.limits import Limits
from syncline.connectors.http.response import Response
from syncline.connectors.http.retry_after import parse_retry_after
from syncline.connectors.http.secret import Secret, SecretBytes, check_secret
from syncline.connectors.http.tokens import OAuthTokenSource, TokenSource
from syncline.connectors.http.trusted_url import TrustedOrigins, trusted_url

__all__ = [
    "HttpClient",
    "Limits",
    "OAuthTokenSource",
    "Response",
    "Secret",
    "SecretBytes",
    "ThrottleGate",
    "TokenSource",
    "TrustedOrigins",
    "check_secret",
    "parse_retry_after",
    "trusted_url",
]
