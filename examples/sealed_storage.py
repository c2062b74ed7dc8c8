# /// script
# dependencies = ["syncline[sandbox]", "cryptography>=42"]
# ///
"""A storage that keeps what it reads of people encrypted: a copied disk or a lost backup tells nobody's name.

`SealedSQLiteStorage` is an `SQLiteStorage` with keys of the host's own. Put `Sealed` before `PostgresStorage`
in the same way for many hosts. Sealed is what was read of a record, while it is queued, while it waits and in dead
letters. Not sealed are ids, by which rows are found again, names of tables and fields, opt-out decisions, and the
ledger's fingerprints, which let somebody who has the file check a guess of a whole record.

Run it with `python examples/sealed_storage.py`: a backlog that cannot leave, a look into the file, and a new key.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import evolve
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from syncline import FieldMapping, IngressDefinition, Integration, SQLiteStorage, TableMapping
from syncline.backlog import Entry, Grant, Item, PutReport
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.errors import StorageMismatchError
from syncline.sandbox import Sandbox, people
from syncline.storage.sql_storage import SQLStorage
from syncline.store import DeadLetter, DeadLetterStatus, FileCommit, PageCommit, Refusal

__all__ = ["Sealed", "SealedSQLiteStorage"]

#: What begins like this is sealed; a payload is JSON and never does. What was queued before is read as it is.
MARK: Final = b"sealed:"
GUID: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Sealed(SQLStorage):
    """Seals payloads on their way in and opens them on their way out; everything else is the storage's below.

    `keys` are Fernet keys: the first seals, all open. To change the key put the new one first, and drop the old one
    when nothing is queued and no dead letter is left that was sealed with it. Raises StorageMismatchError, which stops
    the workflow and loses nothing, when no key opens a payload.
    """

    keys: MultiFernet

    def seal(self, payload: bytes | None) -> bytes | None:
        """The GUIDs in it stay readable behind the seal: `forget` finds by them who is mentioned."""
        if payload is None:
            return None
        mentioned = sorted(set(GUID.findall(payload.lower())))
        return b" ".join([MARK + self.keys.encrypt(payload), *mentioned])

    def open(self, payload: bytes | None) -> bytes | None:
        if payload is None or not payload.startswith(MARK):
            return payload
        try:
            return self.keys.decrypt(payload.removeprefix(MARK).partition(b" ")[0])
        except InvalidToken:
            raise StorageMismatchError(
                "What is stored was sealed with another key.", remedy="Add that key behind the present one."
            ) from None

    # -- in -----------------------------------------------------------------------------------------------------------

    def put(self, grant: Grant, entries: Sequence[Entry]) -> PutReport:
        return super().put(grant, self._entries(entries))

    def accept(self, workflow: str, entries: Sequence[Entry]) -> PutReport:
        return super().accept(workflow, self._entries(entries))

    def commit_page(self, grant: Grant, page: PageCommit) -> PutReport:
        entries, refusals = self._entries(page.entries), self._refusals(page.refusals)
        return super().commit_page(grant, evolve(page, entries=entries, refusals=refusals))

    def commit_file(self, grant: Grant, commit: FileCommit) -> PutReport:
        entries, refusals = self._entries(commit.entries), self._refusals(commit.refusals)
        return super().commit_file(grant, evolve(commit, entries=entries, refusals=refusals))

    def _entries(self, entries: Sequence[Entry]) -> list[Entry]:
        return [evolve(entry, payload=self.seal(entry.payload)) for entry in entries]

    def _refusals(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        return [evolve(one, entry=evolve(one.entry, payload=self.seal(one.entry.payload))) for one in refusals]

    # -- out ----------------------------------------------------------------------------------------------------------

    def lease(self, grant: Grant, limit: int, before: Mapping[str, Collection[str]] | None = None) -> list[Item]:
        return [evolve(item, payload=self.open(item.payload)) for item in super().lease(grant, limit, before)]

    def dead_letters(
        self, workflow: str, *, status: DeadLetterStatus | None = DeadLetterStatus.OPEN, **more: Any
    ) -> list[DeadLetter]:
        letters = super().dead_letters(workflow, status=status, **more)
        return [evolve(letter, payload=self.open(letter.payload)) for letter in letters]


class SealedSQLiteStorage(Sealed, SQLiteStorage):
    """A file that tells nobody's name."""

    def __init__(self, path: str | Path, keys: Sequence[bytes | str], **options: Any) -> None:
        super().__init__(path, **options)
        self.keys = MultiFernet([Fernet(key) for key in keys])


# -- how a host uses it -----------------------------------------------------------------------------------------------

FIELDS = {"firstname": "firstName", "lastname": "lastName", "emailaddress1": "email"}
PROFILES = TableMapping(
    table="contact",
    resource="profile",
    fields=[FieldMapping(source=source, target=target) for source, target in FIELDS.items()],
)
PERSON: Final = "00000000-0000-4000-8000-00000000cafe"


def connect(sandbox: Sandbox, storage: SQLStorage) -> Integration:
    entra = ClientSecret(
        sandbox.tenant_id, sandbox.client_id, sandbox.client_secret, authority_url=sandbox.authority_url
    )
    adobe = OAuthServerToServer(sandbox.campaign_client_id, sandbox.campaign_client_secret, ims_url=sandbox.ims_url)
    return Integration(
        dynamics=Dataverse(sandbox.dynamics_url, entra, allow_loopback_http=True),
        campaign=CampaignStandard(sandbox.campaign_url, adobe, allow_loopback_http=True),
        storage=storage,
        ingress=IngressDefinition(mappings=[PROFILES]),
    )


def names_in(folder: Path) -> bool:
    """Whether anything in the folder tells the person's name."""
    return any(b"Quist" in file.read_bytes() for file in folder.iterdir())


def main() -> int:
    old_key, new_key = Fernet.generate_key(), Fernet.generate_key()
    with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox:
        database = Path(folder) / "syncline.db"
        sandbox.dynamics.load("contact", people(100, 7, clean=True))
        sandbox.dynamics.load("contact", [{"contactid": PERSON, "firstname": "Zebulon", "lastname": "Quist"}])
        sandbox.campaign.refuse("profile", PERSON)
        with connect(sandbox, SealedSQLiteStorage(database, [old_key])) as integration:
            integration.ingress.start()
            integration.ingress.run_cycle()
            print(integration.ingress.dead_letters)
        told = names_in(Path(folder))
        print(f"The database {'tells' if told else 'does not tell'} the name of who could not be written.")

        sandbox.campaign.accept("profile", PERSON)
        with connect(sandbox, SealedSQLiteStorage(database, [new_key, old_key])) as integration:
            (letter,) = integration.ingress.dead_letters
            print(f"With a new key before the old one, {letter.key} still opens.")
            integration.ingress.dead_letters.retry()
            integration.ingress.run_cycle()
        names = {row["externalId"]: row["lastName"] for row in sandbox.campaign.rows("profile")}
        print(f"{len(names)} people are in Campaign.")
        return 1 if told or names_in(Path(folder)) or names.get(PERSON) != "Quist" or len(names) != 101 else 0


if __name__ == "__main__":
    sys.exit(main())
