"""`Sandbox`: starts both systems in a thread or in a process of their own, and says where they are.

What never lives here: the servers. They are imported when a sandbox starts, so importing this costs nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, cast

from .remote import CampaignControl, DynamicsControl

if TYPE_CHECKING:
    from .server import Addresses
    from .serving import ServingThread

__all__ = ["Sandbox"]


class Sandbox:
    """Both systems on loopback while the `with` block runs.

    `process` gives them a process, and so an interpreter lock, of their own; it ends with the parent even if that is
    killed. `contacts` made-up people are in the Dynamics table `contact` before the block begins. `database` is
    `:memory:` or a path; each system keeps a file of its own beside it. `tls` serves HTTPS on further ports.
    """

    dynamics: DynamicsControl
    campaign: CampaignControl

    def __init__(
        self,
        *,
        process: bool = False,
        seed: int = 1,
        tls: bool = False,
        database: str = ":memory:",
        contacts: int = 0,
    ) -> None:
        self._options = {"seed": seed, "tls": tls, "database": database, "contacts": contacts}
        self._process = process
        self._running: ServingThread[Addresses] | _Child | None = None
        self._addresses: Addresses | None = None

    def __repr__(self) -> str:
        if self._addresses is None:
            return "<Sandbox, not started>"
        return f"<Sandbox: Dynamics at {self.dynamics_url}, Campaign at {self.campaign_url}>"

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start serving; returns when both systems answer."""
        if self._running is not None:
            raise RuntimeError("this sandbox is running already")
        running, addresses = self._start_child() if self._process else self._start_thread()
        self._running, self._addresses = running, addresses
        self.dynamics = DynamicsControl(addresses.dynamics_url, "dynamics", addresses.control_token)
        self.campaign = CampaignControl(addresses.campaign_url, "campaign", addresses.control_token)

    def stop(self) -> None:
        """Stop serving and drop what is unfinished. What was in memory is gone."""
        if self._running is not None:
            self._running.stop()
            self._running = self._addresses = None

    def _start_thread(self) -> tuple[ServingThread[Addresses], Addresses]:
        from .server import Options, server_thread

        running = server_thread(Options(**cast("dict[str, Any]", self._options)))
        return running, running.start()

    def _start_child(self) -> tuple[_Child, Addresses]:
        from .server import Addresses

        child = _Child(self._options)
        try:
            return child, Addresses(**child.ready())
        except BaseException:
            child.stop()
            raise

    @property
    def _told(self) -> Addresses:
        if self._addresses is None:
            raise RuntimeError("the sandbox is not running: use it in a `with` block, or call start()")
        return self._addresses

    @property
    def dynamics_url(self) -> str:
        """The environment, such as `http://127.0.0.1:40001`: what a tenant calls `https://contoso.crm.dynamics.com`."""
        return self._told.dynamics_url

    @property
    def campaign_url(self) -> str:
        """The organisation, such as `http://127.0.0.1:40002/contoso`: in place of `https://mc.adobe.io/contoso`."""
        return self._told.campaign_url

    @property
    def authority_url(self) -> str:
        """Entra ID's origin: in place of `https://login.microsoftonline.com`."""
        return self._told.authority_url

    @property
    def ims_url(self) -> str:
        """Adobe's identity service's origin: in place of `https://ims-na1.adobelogin.com`."""
        return self._told.ims_url

    @property
    def dynamics_https_url(self) -> str:
        """As `dynamics_url` with TLS; empty without `tls`."""
        return self._told.dynamics_https_url

    @property
    def campaign_https_url(self) -> str:
        """As `campaign_url` with TLS; empty without `tls`."""
        return self._told.campaign_https_url

    @property
    def authority_https_url(self) -> str:
        """As `authority_url` with TLS; empty without `tls`."""
        return self._told.authority_https_url

    @property
    def ims_https_url(self) -> str:
        """As `ims_url` with TLS; empty without `tls`."""
        return self._told.ims_https_url

    @property
    def ca_file(self) -> str:
        """The certificate authority a client must trust, a PEM file; empty without `tls`."""
        return self._told.ca_file

    @property
    def tenant_id(self) -> str:
        """The Entra tenant."""
        return self._told.tenant_id

    @property
    def client_id(self) -> str:
        """The Entra application."""
        return self._told.client_id

    @property
    def client_secret(self) -> str:
        """Its secret; made up."""
        return self._told.client_secret

    @property
    def campaign_client_id(self) -> str:
        """Adobe's credential, also the API key."""
        return self._told.campaign_client_id

    @property
    def campaign_client_secret(self) -> str:
        """Its secret; made up."""
        return self._told.campaign_client_secret


class _Child:
    """`python -m syncline.sandbox` as a child that ends when our end of its standard input closes."""

    def __init__(self, options: dict[str, Any]) -> None:
        command = [sys.executable, "-m", "syncline.sandbox", "--ready-json", "--until-stdin-closes"]
        command += ["--seed", str(options["seed"]), "--contacts", str(options["contacts"])]
        command += ["--database", options["database"], *(["--tls"] if options["tls"] else [])]
        self._running = subprocess.Popen(  # noqa: S603  (our own module, no shell)
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ready(self) -> dict[str, str]:
        """The ready line; waits for it. RuntimeError if the child ended before."""
        line = cast("IO[bytes]", self._running.stdout).readline()
        if not line:
            raise RuntimeError(f"the sandbox's process ended with status {self._running.wait()} before it was ready")
        told: dict[str, str] = json.loads(line)
        return told

    def stop(self) -> None:
        """Close its standard input and wait for its end."""
        cast("IO[bytes]", self._running.stdin).close()
        self._running.wait()
        cast("IO[bytes]", self._running.stdout).close()
