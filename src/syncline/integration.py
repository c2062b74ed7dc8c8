"""One Dynamics 365 environment joined with one Campaign instance.

What lives here: `Integration`, which gives the connectors and the storage to the workflows. This is the one place
where they meet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from syncline.clock import Clock
from syncline.connectors.base import CampaignConnector, DynamicsConnector
from syncline.connectors.file_source import FileSource
from syncline.definitions import EgressDefinition, IngressDefinition, OptOutDefinition
from syncline.erasure import Erased
from syncline.errors import DefinitionError
from syncline.instrumentation import Hook, Instrumentation
from syncline.schemas import TableSchema
from syncline.store import Storage
from syncline.suggestions import suggest
from syncline.upkeep import Purged
from syncline.views import MappingSuggestion, WorkflowList
from syncline.workflows.egress import EgressWorkflow
from syncline.workflows.ingress import IngressWorkflow
from syncline.workflows.opt_out import OptOutWorkflow
from syncline.workflows.settings import EngineSettings, WorkflowOptions

__all__ = ["Integration"]


class Integration:
    """Joins one Dynamics 365 environment and one Campaign instance over one storage.

    A host may hold many integrations over one storage; `name` tells them apart and must stay the same.
    """

    def __init__(
        self,
        *,
        dynamics: DynamicsConnector,
        campaign: CampaignConnector,
        storage: Storage,
        ingress: IngressDefinition | None = None,
        egress: EgressDefinition | None = None,
        events: FileSource | Collection[FileSource] = (),
        opt_out: OptOutDefinition | None = None,
        opt_out_files: FileSource | None = None,
        name: str = "default",
        clock: Clock | None = None,
        settings: EngineSettings | None = None,
        hooks: Iterable[Hook] = (),
    ) -> None:
        """The three definitions are those of the first start; from then on the storage's count, until they are edited.

        Opt-outs do not travel unless their definition says which way. `events` are folders of exported logs that egress
        reads; without any it takes what is pushed. `opt_out_files` is where a Campaign workflow exports opt-outs to.
        Raises DefinitionError for a `name` that is empty, has a slash in it, or cannot be printed.
        """
        self.name = name
        self.dynamics = dynamics
        self.campaign = campaign
        self.storage = storage
        self._opt_out_files = opt_out_files
        options: WorkflowOptions = {
            "integration": name,
            "clock": clock,
            "settings": settings,
            "tell": Instrumentation(hooks),
        }
        self.ingress = IngressWorkflow(
            dynamics=dynamics,
            campaign=campaign,
            storage=storage,
            definition=ingress,
            **options,
        )
        self.opt_out = OptOutWorkflow(
            dynamics=dynamics,
            campaign=campaign,
            storage=storage,
            definition=opt_out,
            files=opt_out_files,
            **options,
        )
        self.egress = EgressWorkflow(
            dynamics=dynamics,
            storage=storage,
            events=events,
            definition=egress,
            **options,
        )
        self._events = (events,) if isinstance(events, FileSource) else tuple(events)

    @property
    def workflows(self) -> WorkflowList:
        """Name, Backlog, Status and Actions of each workflow, as of now. Prints as a table."""
        return WorkflowList([self.ingress.view, self.egress.view, self.opt_out.view])

    def suggest_mapping(self, table: str, resource: str, *, key: str = "externalId") -> MappingSuggestion:
        """Which fields of a Dynamics table may fill which of a Campaign resource, from both sides' metadata.

        It is a proposal: nothing is stored and nothing runs until you edit a definition and start. `key` is the
        Campaign field that would hold the Dynamics primary key. Raises DefinitionError when one of the two does not
        exist, and what the connectors raise: RetryLaterErrors when a service cannot be asked just now,
        StopWorkflowErrors.
        """
        source = _described(self.dynamics.describe(table), table, "table", "Dynamics 365")
        target = _described(self.campaign.describe(resource), resource, "resource", "Campaign")
        return suggest(source, target, key=key)

    def forget(self, contact_id: str, *, opted_out: Collection[str] = (), by: str = "") -> Erased:
        """Remove what is stored of a person from backlog, dead letters, ledger and decisions of all workflows.

        - One transaction: all of it or nothing. Possible at any time, whatever runs.
        - A change of the person that waits, or that was claimed and not sent yet, is never sent. A write that is under
          way cannot be called back: `Erased.in_flight` says so, and the person has to be deleted there once more.
        - What is kept is a keyed hash with the channels the person is opted out of: those of the last decisions,
          and `opted_out`, names of Campaign's opt-out fields. Under the same id the person stays opted out.
        - Neither system is asked or changed: delete the person there first. A contact that still exists in Dynamics
          comes back with its next change, and one that Syncline forgot is not deleted in Campaign any more.

        `by` names who asked, for the history; the person is not named there. Raises DefinitionError when `contact_id`
        is empty or a channel is none, and what the storage raises.
        """
        return self.ingress.forget(contact_id, opted_out=opted_out, by=by)

    def purge(self, *, by: str = "") -> Purged:
        """Remove now what the retention settings of the workflows do not keep; what went, all together."""
        return self.ingress.purge(by=by) + self.egress.purge(by=by) + self.opt_out.purge(by=by)

    def close(self) -> None:
        """Let go of connections and files. Using the integration afterwards opens them again."""
        self.dynamics.close()
        self.campaign.close()
        if self._opt_out_files is not None:
            self._opt_out_files.close()
        for source in self._events:
            source.close()
        self.storage.close()

    def __enter__(self) -> Integration:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Integration {self.name}: {self.dynamics.name} and {self.campaign.name}>"


def _described(schema: TableSchema | None, name: str, path: str, where: str) -> TableSchema:
    if schema is None:
        raise DefinitionError(f"{where} has no {path} {name}", path=path, remedy="The connector's tables() lists them.")
    return schema
