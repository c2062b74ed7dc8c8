"""Libraries that are broken on purpose, each in one place, and the tests that have to notice.

`python -m tests.mutants` builds each of them from a copy of the source, runs its tests and fails when they pass: tests
that let a known mistake through prove nothing. Give names to try only these. `nox -s mutants` does the same.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from attrs import frozen

import syncline

ROOT = Path(__file__).parents[1]
#: The package as it is imported here.
SOURCE = Path(syncline.__file__).parent
#: Longer than any of these tests take; what hangs was not noticed.
_PATIENCE = 600

_BACKLOG = ("tests/contract/test_storage_checks.py",)
_CONSENT = ("tests/unit/test_consent.py", "tests/unit/test_consent_model.py")


@frozen(kw_only=True)
class Mutant:
    """One mistake that somebody could make."""

    name: str
    #: What a user would suffer.
    harm: str
    path: str
    old: str
    new: str
    #: Where it has to be noticed, as pytest takes it.
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.harm}"

    def break_in(self, text: str) -> str:
        """The text of its file with the mistake. Raises ValueError unless its place is there exactly once."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: its place is {text.count(self.old)} times in {self.path}")
        return text.replace(self.old, self.new)


MUTANTS = (
    Mutant(
        name="cursor-first",
        harm="the position moves and the changes of the page are lost",
        path="storage/sql_reading.py",
        old="report = sql_putting.put(tx, held.workflow_id, page.entries)",
        new="report = sql_putting.put(tx, held.workflow_id, page.entries[1:])",
        tests=_BACKLOG,
    ),
    Mutant(
        name="no-fence",
        harm="a worker that was paused settles what another one has taken over",
        path="storage/sql/grants.sql",
        old="WHERE w.name = ? AND w.generation = ? AND g.epoch = ? AND g.owner = ?;",
        new="WHERE w.name = ? AND w.generation = ? AND g.epoch >= ? AND g.owner <> COALESCE(?, '');",
        tests=_BACKLOG,
    ),
    Mutant(
        name="older-wins",
        harm="an older change takes the place of a newer one that is queued",
        path="storage/sql_putting.py",
        old="    if entry.seq >= queued.seq:",
        new="    if entry.seq <= queued.seq:",
        tests=_BACKLOG,
    ),
    Mutant(
        name="not-durable",
        harm="a power failure takes back what was acknowledged",
        path="storage/sqlite_database.py",
        old='            "synchronous = FULL",',
        new='            "synchronous = NORMAL",',
        tests=("tests/integration/test_sqlite_opening.py", "tests/integration/test_sqlite_faults.py"),
    ),
    Mutant(
        name="late-lock",
        harm="two processes read the same state and the second is refused in the middle of its work",
        path="storage/sql/sqlite/file.sql",
        old="BEGIN IMMEDIATE;",
        new="BEGIN DEFERRED;",
        tests=("tests/integration/test_sqlite_faults.py", "tests/acceptance/test_two_processes.py", *_BACKLOG),
    ),
    Mutant(
        name="damage-unseen",
        harm="a payload that was damaged on the disk is written to Campaign",
        path="storage/sql_leasing.py",
        old="payload=payload if (sound := checksum(payload) == expected) else None,",
        new="payload=payload if (sound := checksum(payload) != 7) else None,",
        tests=("tests/integration/test_sqlite_faults.py",),
    ),
    Mutant(
        name="crash-unblamed",
        harm="a record that kills its worker is tried for ever",
        path="storage/sql/backlog.sql",
        old="SET ambiguous = 1, crashes = crashes + 1, attempts = attempts + 1",
        new="SET ambiguous = 1, attempts = attempts + 1",
        tests=_BACKLOG,
    ),
    Mutant(
        name="certain-after-crash",
        harm="a write that may have been applied counts as not made, and is made twice",
        path="storage/sql/backlog.sql",
        old="SET ambiguous = 1, crashes = crashes + 1, attempts = attempts + 1",
        new="SET crashes = crashes + 1, attempts = attempts + 1",
        tests=_BACKLOG,
    ),
    Mutant(
        name="generation-unchecked",
        harm="two processes start the same workflow at once",
        path="storage/sql/workflows.sql",
        old="WHERE name = :workflow AND state = :expected_state AND generation = :expected_generation;",
        new="WHERE name = :workflow AND state = :expected_state AND generation >= 0 * :expected_generation;",
        tests=_BACKLOG,
    ),
    Mutant(
        name="doubted-page",
        harm="a page that was asked for earlier overwrites what was read by key meanwhile",
        path="storage/sql_reading.py",
        old="    page = _without_doubt(tx, held, table_id, page)\n",
        new="",
        tests=_BACKLOG,
    ),
    Mutant(
        name="keys-skipped",
        harm="what was deleted while the first load ran stays in Campaign for ever",
        path="workflows/reading.py",
        old="        stage = ReadStage.KEYS if compares else ReadStage.OVERLAP",
        new="        stage = ReadStage.OVERLAP",
        tests=("tests/unit/test_reading.py", "tests/integration/test_ingress_trouble.py"),
    ),
    Mutant(
        name="overlap-skipped",
        harm="what changed while the first load ran is never told",
        path="workflows/reading.py",
        old="    since = position.started_at - margin if position.stage is ReadStage.OVERLAP else None",
        new="    since = position.started_at + margin if position.stage is ReadStage.OVERLAP else None",
        tests=("tests/unit/test_reading.py", "tests/integration/test_ingress_trouble.py"),
    ),
    Mutant(
        name="seen-not-noted",
        harm="a resync takes everything for deleted",
        path="storage/sql_reading.py",
        old="    if page.position.compares and page.seen:",
        new="    if page.position.compares and not page.seen:",
        tests=_BACKLOG,
    ),
    Mutant(
        name="unmarked-sending",
        harm="a crash in the middle of a write leaves no trace of it",
        path="workflows/cycle.py",
        old="        ours = {item.id for item in self._storage.mark_sending(self.grant, items)}",
        new="        ours = {item.id for item in items}",
        tests=(
            "tests/unit/test_workflow_losses.py",
            "tests/unit/test_ingress_corners.py",
            "tests/acceptance/test_kills.py",
        ),
    ),
    Mutant(
        name="host-only",
        harm="a link in an answer sends the token to another port of the same host",
        path="connectors/http/trusted_url.py",
        old="            if address.origin == prefix.origin and",
        new="            if address.origin.host == prefix.origin.host and",
        tests=("tests/unit/test_trusted_url.py",),
    ),
    Mutant(
        name="climbing",
        harm="a link in an answer leaves the configured folder",
        path="connectors/http/trusted_url.py",
        old="_is_below(path, prefix.path) and not climbs(path):",
        new="_is_below(path, prefix.path):",
        tests=("tests/unit/test_trusted_url.py",),
    ),
    Mutant(
        name="own-clock",
        harm="a service whose clock differs from ours is asked before its time",
        path="connectors/http/client.py",
        old='        now = parse_http_date(headers.get("date", "")) or self._clock.now()',
        new="        now = self._clock.now()",
        tests=("tests/integration/test_http_client.py", "tests/unit/test_http_retries.py"),
    ),
    Mutant(
        name="gate-open",
        harm="requests go on while the service asked to wait",
        path="connectors/http/client.py",
        old="        self.gate.close(wait)\n",
        new="",
        tests=("tests/integration/test_http_client.py", "tests/unit/test_http_retries.py"),
    ),
    Mutant(
        name="tie-opts-in",
        harm="of two words of the same moment the opt-in wins",
        path="consent/rule.py",
        old="campaign.changed_at <= dynamics.latest + terms.margin:",
        new="campaign.changed_at < dynamics.latest:",
        tests=_CONSENT,
    ),
    Mutant(
        name="null-opts-in",
        harm="a side without a word opts somebody in",
        path="consent/rule.py",
        old="    if dynamics.out is None or campaign.out is None:\n        if dynamics.out or campaign.out:",
        new="    if dynamics.out is None or campaign.out is None:\n        if dynamics.out and campaign.out:",
        tests=_CONSENT,
    ),
    Mutant(
        name="skewed-clocks",
        harm="an opt-in is taken on the word of a clock that is wrong",
        path="consent/rule.py",
        old="    if case.apart is not None and abs(case.apart) > terms.margin:",
        new="    if case.apart is not None and case.apart > 1000 * terms.margin:",
        tests=_CONSENT,
    ),
    Mutant(
        name="born-again",
        harm="a profile that was deleted and created again is opted in",
        path="consent/rule.py",
        old="    elif _is_another_profile(standing, campaign):\n        campaign",
        new="    elif False and _is_another_profile(standing, campaign):\n        campaign",
        tests=_CONSENT,
    ),
    Mutant(
        name="unconditional-consent",
        harm="an opt-out made in Dynamics a moment ago is overwritten",
        path="connectors/dynamics/dataverse.py",
        old='        headers = {"If-Match": etag, "Prefer": "return=representation"}',
        new='        headers = {"If-Match": "*", "Prefer": "return=representation"}',
        tests=("tests/integration/test_dataverse.py", "tests/contract/test_connector_checks.py"),
    ),
    Mutant(
        name="forgetful-read",
        harm="an opt-out that was read is gone when its contact changes before the round",
        path="workflows/consent_lane.py",
        old="        if notes:\n            self.storage.note_consent(grant,",
        new="        if not people:\n            self.storage.note_consent(grant,",
        tests=("tests/contract/test_histories.py", "tests/integration/test_opt_out.py"),
    ),
    Mutant(
        name="unlinked-record",
        harm="somebody changes the record of decisions and nobody sees it",
        path="consent/chain.py",
        old="        if link_of(self._seal.link, entry.place, entry.content) != entry.link:",
        new="        if not entry.link:",
        tests=("tests/unit/test_consent_chain.py", *_BACKLOG),
    ),
    Mutant(
        name="deletes-unguarded",
        harm="a filter that was edited by mistake empties Campaign unasked",
        path="storage/sql_holding.py",
        old="    if let_go + hold.held > most:",
        new="    if let_go + hold.held > most + 10**9:",
        tests=("tests/unit/test_held_deletes.py", *_BACKLOG),
    ),
)


def survives(mutant: Mutant) -> bool:
    """Whether the tests of a mutant pass although it is broken. Raises RuntimeError when they could not be run."""
    with tempfile.TemporaryDirectory() as away:
        source = Path(away) / "src"
        shutil.copytree(SOURCE, source / "syncline")
        file = source / "syncline" / mutant.path
        file.write_text(mutant.break_in(file.read_text(encoding="utf-8")), encoding="utf-8")
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(source), str(ROOT)))}
        broken = ("-o", f"pythonpath={source} {ROOT}")
        command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", *broken, *mutant.tests]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{mutant.name}: pytest ended with {done.returncode}.\n{done.stdout}{done.stderr}")
    return done.returncode == 0


def main(names: list[str]) -> int:
    """Try each; 1 when one is not noticed."""
    unknown = set(names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        sys.stderr.write(f"No such mutant: {', '.join(sorted(unknown))}\n")
        return 2
    tried = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    alive = 0
    for mutant in tried:
        lives = survives(mutant)
        alive += lives
        sys.stdout.write(f"{'NOT NOTICED' if lives else 'noticed'}  {mutant}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(tried) - alive} of {len(tried)} noticed\n")
    return int(alive > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
