"""Both systems on loopback ports, in one thread, by uvicorn's protocol without its server.

Sockets are bound and listening before anybody is told the addresses, so a client may connect at once. Nothing here
installs signal handlers, configures logging or sleeps. What never lives here: what the systems answer.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import attrs

from .campaign import CampaignSandbox
from .certificates import Certificates, make_certificates
from .chunks import chunked
from .clock import SandboxClock
from .control import ControlDesk, Frame
from .dynamics import DynamicsSandbox
from .listening import Listeners
from .people import people
from .serving import ServingThread

__all__ = ["Addresses", "Options", "server_thread"]

_CHUNK = 5_000


@attrs.frozen(kw_only=True)
class Options:
    """What to serve. A port of 0 takes a free one. `database` is `:memory:` or the path of a file per system."""

    seed: int = 1
    tls: bool = False
    database: str = ":memory:"
    contacts: int = 0
    port_dynamics: int = 0
    port_campaign: int = 0
    port_dynamics_https: int = 0
    port_campaign_https: int = 0

    def database_of(self, system: str) -> str:
        """`sandbox.db` becomes `sandbox-campaign.db`."""
        if self.database == ":memory:":
            return self.database
        path = Path(self.database)
        return str(path.with_name(f"{path.stem}-{system}{path.suffix or '.db'}"))


@attrs.frozen(kw_only=True)
class Addresses:
    """Where everything is and what opens it. Plain strings; empty where there is no TLS."""

    dynamics_url: str
    campaign_url: str
    authority_url: str
    ims_url: str
    dynamics_https_url: str = ""
    campaign_https_url: str = ""
    authority_https_url: str = ""
    ims_https_url: str = ""
    ca_file: str = ""
    tenant_id: str
    client_id: str
    client_secret: str = attrs.field(repr=False)
    campaign_client_id: str
    campaign_client_secret: str = attrs.field(repr=False)
    control_token: str = attrs.field(repr=False)


def server_thread(options: Options) -> ServingThread[Addresses]:
    """Both systems in one thread. `start` returns when the ports are open and the contacts loaded."""
    return ServingThread("syncline-sandbox", partial(_serve, options))


@asynccontextmanager
async def _serve(options: Options) -> AsyncIterator[Addresses]:
    clocks = {"dynamics": SandboxClock(), "campaign": SandboxClock()}
    dynamics = DynamicsSandbox(
        database=options.database_of("dynamics"), seed=options.seed, clock=clocks["dynamics"].now
    )
    campaign = CampaignSandbox(
        database=options.database_of("campaign"), seed=options.seed, clock=clocks["campaign"].now
    )
    frames = {
        "dynamics": Frame("dynamics", dynamics, clocks["dynamics"], seed=options.seed),
        "campaign": Frame("campaign", campaign, clocks["campaign"], seed=options.seed),
    }
    token = secrets.token_urlsafe(24)
    ControlDesk(frames, token)
    for rows in chunked(people(options.contacts, options.seed), _CHUNK):
        frames["dynamics"].control("load", {"table": "contact", "rows": rows})
    with _certificates(options) as certificates:
        listeners = Listeners(frames)
        try:
            addresses = await _open(listeners, options, certificates)
            yield Addresses(
                **addresses,
                ca_file=str(certificates.ca_file) if certificates else "",
                tenant_id=dynamics.tenant_id,
                client_id=dynamics.client_id,
                client_secret=dynamics.client_secret,
                campaign_client_id=campaign.client_id,
                campaign_client_secret=campaign.client_secret,
                control_token=token,
            )
        finally:
            await listeners.close()
            campaign.close()
            dynamics.close()


@contextmanager
def _certificates(options: Options) -> Iterator[Certificates | None]:
    """Their files are there for as long as this is entered."""
    if not options.tls:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="syncline-sandbox-") as folder:
        yield make_certificates(Path(folder))


async def _open(listeners: Listeners, options: Options, certificates: Certificates | None) -> dict[str, str]:
    """Listen; the addresses by the names `Addresses` has for them."""
    dynamics = await listeners.listen("dynamics", options.port_dynamics)
    campaign = await listeners.listen("campaign", options.port_campaign)
    found = _named(dynamics, campaign, "url")
    if certificates is not None:
        context = certificates.server_context()
        dynamics = await listeners.listen("dynamics", options.port_dynamics_https, context)
        campaign = await listeners.listen("campaign", options.port_campaign_https, context)
        found |= _named(dynamics, campaign, "https_url")
    return found


def _named(dynamics: str, campaign: str, suffix: str) -> dict[str, str]:
    return {
        f"dynamics_{suffix}": dynamics,
        f"authority_{suffix}": dynamics,
        f"campaign_{suffix}": f"{campaign}/{CampaignSandbox.organization}",
        f"ims_{suffix}": campaign,
    }
