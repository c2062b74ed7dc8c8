# /// script
# dependencies = ["syncline[sandbox]", "cryptography>=42"]
# ///
"""A storage that keeps what it reads of people encrypted: a copied disk or a lost backup tells nobody's name.

`SealedSQLiteStorage` is an `SQLiteStorage` with keys of the host's own. Put `Sealed` before `PostgresStorage`
in the same way for many hosts. Sealed is what was read of a record, while it is queued, while it waits and in dead
letters, and the fingerprints of what was written, by which somebody who has the file could check guesses of a record.
Not sealed are ids, by which rows are found again, names of tables and fields, and opt-out decisions.

Run it with `python examples/sealed_storage.py`: a backlog that cannot leave, a look into the file, and a new key.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from attrs import evolve
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import ECB

from syncline import FieldMapping, IngressDefinition, Integration, SQLiteStorage, TableMapping
from syncline.backlog import Entry, Grant, Item, PutReport, Settlement, SettleReport
from syncline.connectors.campaign import CampaignStandard, OAuthServerToServer
from syncline.connectors.dynamics import ClientSecret, Dataverse
from syncline.errors import StorageMismatchError
from syncline.records import RecordKey
from syncline.sandbox import Sandbox, people
from syncline.storage.sql_storage import SQLStorage
from syncline.store import DeadLetter, DeadLetterStatus, FileCommit, PageCommit, Refusal

__all__ = ["Keys", "Sealed", "SealedSQLiteStorage"]

#: What begins like this is sealed; a payload is JSON and never does. What was queued before is read as it is.
MARK: Final = b"sealed:"
#: A fingerprint, and one that is sealed: behind the name of its key, which takes four bytes.
BLOCK: Final = 16
NAMED: Final = 20
GUID: Final = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Keys:
    """What seals and opens: Fernet keys, of which the first seals and all open."""

    def __init__(self, keys: Sequence[bytes | str]) -> None:
        self.payloads = MultiFernet([Fernet(key) for key in keys])
        #: By a name that tells nothing of it, a key for fingerprints, made of each Fernet key; the first one seals.
        self.prints: dict[bytes, bytes] = {}
        for key in keys:
            made = sha256(b"fingerprints" + (key.encode() if isinstance(key, str) else key)).digest()
            self.prints[sha256(made).digest()[:4]] = made

    def seal_print(self, record: RecordKey, told: bytes | None) -> bytes | None:
        """A fingerprint under the first key. The same one of another record looks different.

        A fingerprint has 16 bytes, one block of AES: the same is sealed to the same, which the storage compares. Of any
        other length it only says that a record is there.
        """
        if told is None or len(told) != BLOCK:
            return told
        name, key = next(iter(self.prints.items()))
        return name + Cipher(AES256(key), ECB()).encryptor().update(_mixed(record, told))  # noqa: S305 - one block

    def open_print(self, record: RecordKey, told: bytes) -> bytes:
        """The fingerprint; nothing, so that the record is compared, when its key is gone."""
        if len(told) != NAMED:
            return told
        key = self.prints.get(told[: NAMED - BLOCK])
        if key is None:
            return b""
        return _mixed(record, Cipher(AES256(key), ECB()).decryptor().update(told[-BLOCK:]))  # noqa: S305 - one block


def _mixed(record: RecordKey, block: bytes) -> bytes:
    """The block in a way of each record's own; the same again takes it back."""
    own = sha256(f"{record.table}/{record.id}".encode()).digest()
    return bytes(one ^ other for one, other in zip(block, own, strict=False))


class Sealed(SQLStorage):
    """Seals payloads and fingerprints on their way in and opens them on their way out; all else is the storage's below.

    To change the key put the new one first, and drop the old one when nothing is queued and no dead letter is left that
    was sealed with it. Records whose fingerprint nobody can open any more are compared with Campaign when they change.
    Raises StorageMismatchError, which stops the workflow and loses nothing, when no key opens a payload.
    """

    keys: Keys

    def seal(self, payload: bytes | None) -> bytes | None:
        """The GUIDs in it stay readable behind the seal: `forget` finds by them who is mentioned."""
        if payload is None:
            return None
        mentioned = sorted(set(GUID.findall(payload.lower())))
        return b" ".join([MARK + self.keys.payloads.encrypt(payload), *mentioned])

    def open(self, payload: bytes | None) -> bytes | None:
        if payload is None or not payload.startswith(MARK):
            return payload
        try:
            return self.keys.payloads.decrypt(payload.removeprefix(MARK).partition(b" ")[0])
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

    def settle(self, grant: Grant, settlements: Sequence[Settlement]) -> SettleReport:
        sealed = [evolve(one, fingerprint=self.keys.seal_print(one.item.key, one.fingerprint)) for one in settlements]
        return super().settle(grant, sealed)

    def adopt(self, workflow: str, table: str, fingerprints: Mapping[str, bytes]) -> int:
        sealed = {
            record: self.keys.seal_print(RecordKey(table=table, id=record), told) or b""
            for record, told in fingerprints.items()
        }
        return super().adopt(workflow, table, sealed)

    def _entries(self, entries: Sequence[Entry]) -> list[Entry]:
        return [
            evolve(
                entry,
                payload=self.seal(entry.payload),
                decided_on=self.keys.seal_print(entry.key, entry.decided_on),
            )
            for entry in entries
        ]

    def _refusals(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        return [evolve(one, entry=evolve(one.entry, payload=self.seal(one.entry.payload))) for one in refusals]

    # -- out ----------------------------------------------------------------------------------------------------------

    def lease(self, grant: Grant, limit: int, before: Mapping[str, Collection[str]] | None = None) -> list[Item]:
        return [evolve(item, payload=self.open(item.payload)) for item in super().lease(grant, limit, before)]

    def ledger(self, workflow: str, table: str, ids: Sequence[str]) -> Mapping[str, bytes]:
        found = super().ledger(workflow, table, ids)
        return {record: self.keys.open_print(RecordKey(table=table, id=record), told) for record, told in found.items()}

    def dead_letters(
        self, workflow: str, *, status: DeadLetterStatus | None = DeadLetterStatus.OPEN, **more: Any
    ) -> list[DeadLetter]:
        letters = super().dead_letters(workflow, status=status, **more)
        return [evolve(letter, payload=self.open(letter.payload)) for letter in letters]


class SealedSQLiteStorage(Sealed, SQLiteStorage):
    """A file that tells nobody's name."""

    def __init__(self, path: str | Path, keys: Sequence[bytes | str], **options: Any) -> None:
        super().__init__(path, **options)
        self.keys = Keys(keys)


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
