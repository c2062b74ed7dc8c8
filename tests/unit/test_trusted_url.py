"""Which addresses out of an answer are followed: only what lies below a configured one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncline.connectors.http import TrustedOrigins, trusted_url
from syncline.connectors.http.trusted_url import Address
from syncline.errors import DefinitionError, UntrustedUrlError

BASE = "https://contoso.crm.dynamics.com/api/data/v9.2/"
ORIGINS = TrustedOrigins.of(BASE, "https://mc.adobe.io/contoso/campaign")


@pytest.mark.parametrize(
    "url",
    [
        "https://contoso.crm.dynamics.com/api/data/v9.2/contacts?$skiptoken=%253ccookie%2520page%253d%25221%2522",
        "https://CONTOSO.crm.dynamics.com/api/data/v9.2/contacts",
        "HTTPS://contoso.crm.dynamics.com:443/api/data/v9.2/contacts(1)/name?$select=a,b&x='O''Brien'",
        "https://contoso.crm.dynamics.com/api/data/v9.2",
        "https://contoso.crm.dynamics.com/api/data/v9.2/contacts?x=/../..&y=%2e%2e",
        "https://contoso.crm.dynamics.com/api/data/v9.2/a..b/...c",
        "https://mc.adobe.io/contoso/campaign/profileAndServices/profile/@abc-_==",
        "https://contoso.crm.dynamics.com/api/data/v9.2/contacts?evil=https://x@evil.example/",
    ],
)
def test_addresses_below_a_configured_one_pass_unchanged(url: str) -> None:
    """The address is returned as it came: links of Dataverse must not be re-encoded."""
    assert trusted_url(url, ORIGINS) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/api/data/v9.2/contacts",
        "http://contoso.crm.dynamics.com/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com:8443/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com:0443/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com:/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com:99999/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com:\u0664\u0664\u0663/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com.evil.example/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com./api/data/v9.2/contacts",
        "https://evil.contoso.crm.dynamics.com/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com@evil.example/api/data/v9.2/contacts",
        "https://user:pw@contoso.crm.dynamics.com/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com\\@evil.example/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com#@evil.example/api/data/v9.2/",
        "https://contoso.crm.dynamics.com/api/data/v9.2/contacts#part",
        "https://contoso.crm.dynamics.com?@evil.example/api/data/v9.2/",
        "https:/contoso.crm.dynamics.com/api/data/v9.2/contacts",
        "https:contoso.crm.dynamics.com/api/data/v9.2/contacts",
        "https:///contoso.crm.dynamics.com/api/data/v9.2/contacts",
        "//contoso.crm.dynamics.com/api/data/v9.2/contacts",
        "/api/data/v9.2/contacts",
        "contacts",
        "",
        " https://contoso.crm.dynamics.com/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com/api/data/v9.2/contacts ",
        "https://contoso.crm.dynamics.com/api/data/v9.2/con tacts",
        "https://contoso.crm.dynamics.com/api/data/v9.2/x\r\nHost: evil.example",
        "https://contoso.crm.dynamics.com/api/data/v9.2/x\nX: y",
        "https://contoso.crm.dynamics.com/api/data/v9.2/x\0",
        "https://contoso.crm.dynamics.com/api/data/v9.2/x\x7f",
        "https://contoso.crm.dynamics.com/api/data/v9.2/ä",
        "https://contoso.crm.dynam\u0131cs.com/api/data/v9.2/contacts",
        "https://c\u03bfntoso.crm.dynamics.com/api/data/v9.2/contacts",
        "https://xn--cntoso-9df.crm.dynamics.com/api/data/v9.2/contacts",
        "https://contoso\u3002crm.dynamics.com/api/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com/api/data/v9.1/contacts",
        "https://contoso.crm.dynamics.com/api/data/v9.21/contacts",
        "https://contoso.crm.dynamics.com/API/data/v9.2/contacts",
        "https://contoso.crm.dynamics.com/",
        "https://contoso.crm.dynamics.com",
        "https://contoso.crm.dynamics.com/api/data/v9.2/../v9.1/contacts",
        "https://contoso.crm.dynamics.com/api/data/v9.2/..",
        "https://contoso.crm.dynamics.com/api/data/v9.2/%2e%2e/v9.1/contacts",
        "https://contoso.crm.dynamics.com/api/data/v9.2/%252e%252e/v9.1/contacts",
        "https://contoso.crm.dynamics.com/api/data/v9.2/..%2fv9.1/contacts",
        "https://contoso.crm.dynamics.com/api/data/v9.2/..%5cv9.1",
        "https://contoso.crm.dynamics.com/api/data/v9.2/x%0d%0aHost:evil",
        "https://mc.adobe.io/fabrikam/campaign/profile",
        "https://mc.adobe.io/contoso/campaigner/profile",
        "https://contoso.crm.dynamics.com/contoso/campaign/profile",
        "ftp://contoso.crm.dynamics.com/api/data/v9.2/contacts",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://contoso.crm.dynamics.com/api/data/v9.2/" + "x" * 70_000,
    ],
)
def test_everything_else_is_refused(url: str) -> None:
    """Another scheme, host, port or folder, hidden or not, is an UntrustedUrlError."""
    with pytest.raises(UntrustedUrlError):
        trusted_url(url, ORIGINS)


@pytest.mark.parametrize("value", [None, 7, b"https://contoso.crm.dynamics.com/api/data/v9.2/x", ["x"], {"href": "x"}])
def test_what_is_not_text_is_refused(value: object) -> None:
    """An answer may hold anything where a link should be; it is refused like any other wrong address."""
    with pytest.raises(UntrustedUrlError):
        trusted_url(value, ORIGINS)  # type: ignore[arg-type]


def test_the_error_shows_the_origin_and_nothing_more() -> None:
    """Paths, queries and user info of a refused address may hold personal data or secrets and are not repeated."""
    with pytest.raises(UntrustedUrlError) as caught:
        trusted_url("https://evil.example:8443/secret/path?email=anna@example.com", ORIGINS)
    assert "https://evil.example:8443" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "anna" not in str(caught.value)
    with pytest.raises(UntrustedUrlError) as caught:
        trusted_url("https://anna:pw@evil.example/", ORIGINS)
    assert "anna" not in str(caught.value)


def test_a_whole_host_can_be_trusted() -> None:
    """A configured address without a path trusts every path of that origin, and no other origin."""
    origins = TrustedOrigins.of("https://mc.adobe.io")
    assert trusted_url("https://mc.adobe.io/any/path?x", origins)
    with pytest.raises(UntrustedUrlError):
        trusted_url("https://mc.adobe.io:444/any", origins)


@given(st.text(alphabet=st.sampled_from("hts:/@.\\#?%2eEfF5cC\r\n \tcontso.rmdyai9v[]\u0131\uff0e"), max_size=80))
def test_what_passes_always_has_the_configured_origin(tail: str) -> None:
    """However the rest is made, an accepted address has our scheme, host and port and stays in our folder."""
    for url in (BASE + tail, f"https://contoso.crm.dynamics.com{tail}", f"https://{tail}", tail):
        try:
            trusted_url(url, ORIGINS)
        except UntrustedUrlError:
            continue
        assert url.lower().startswith(
            ("https://contoso.crm.dynamics.com/api/data/v9.2", "https://contoso.crm.dynamics.com:443/api")
        )
        assert not set(url) & set("\r\n \t\\#")


@pytest.mark.parametrize(
    "url",
    [
        "http://contoso.crm.dynamics.com/",
        "http://127.0.0.1:80/",
        "https://169.254.169.254/latest",
        "https://[fe80::1]/",
        "https://user@contoso.crm.dynamics.com/",
        "https://contoso.crm.dynamics.com/?a=b",
        "https://contoso.crm.dynamics.com/a/../b",
        "contoso.crm.dynamics.com",
        "",
    ],
)
def test_an_address_that_must_not_be_configured_is_refused_at_once(url: str) -> None:
    """No encryption, metadata services, user info and half addresses are a mistake in the set-up."""
    with pytest.raises(DefinitionError):
        TrustedOrigins.of(url)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "[::1]"])
def test_plain_http_reaches_this_computer_only_and_only_when_asked_for(host: str) -> None:
    """`allow_loopback_http` opens loopback for the sandbox; it opens nothing else."""
    assert TrustedOrigins.of(f"http://{host}:8080", allow_loopback_http=True).base.origin.is_loopback
    with pytest.raises(DefinitionError):
        TrustedOrigins.of(f"http://{host}:8080")
    for outside in ("10.0.0.1", "localhost.evil.example", "127.0.0.1.evil.example"):
        with pytest.raises(DefinitionError):
            TrustedOrigins.of(f"http://{outside}", allow_loopback_http=True)


def test_relative_addresses_are_appended_to_the_base() -> None:
    """What the connectors build themselves stays below the base address, with or without slashes between."""
    expected = "/api/data/v9.2/contacts?$top=1"
    assert ORIGINS.join("contacts?$top=1").target == expected
    assert ORIGINS.join("/contacts?$top=1").target == expected
    assert TrustedOrigins.of(BASE.rstrip("/")).join("contacts?$top=1").target == expected
    assert ORIGINS.join("?x=1").target == "/api/data/v9.2?x=1"
    for wrong in ("../x", "a/../../x", "a/%2e%2e/x", "a b", "a\r\nb", "ä", "a#b", "a\\b"):
        with pytest.raises(ValueError, match="relative"):
            ORIGINS.join(wrong)


def test_an_origin_says_where_it_is() -> None:
    """The default port is left out of the text and of the Host header, any other is kept."""
    address = Address.parse("https://Contoso.example:443/x?y")
    assert address is not None
    assert str(address.origin) == "https://contoso.example"
    assert address.origin.authority == "contoso.example"
    other = Address.parse("http://[::1]:8080")
    assert other is not None
    assert other.origin.authority == "[::1]:8080"
    assert other.target == "/"


def test_an_address_shows_its_origin_only() -> None:
    """A path can hold the key of a person: `repr` tells where a request goes and not whom it is about."""
    shown = repr(Address.parse("https://contoso.crm.dynamics.com/people/anna@contoso.example?name=Anna"))
    assert "contoso.crm.dynamics.com" in shown
    assert "anna" not in shown.lower()
