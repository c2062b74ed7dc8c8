"""Random histories of a backlog against a model that is a few dictionaries.

After every step: nothing was lost (put = the sum of what became of it), every counter is what the rows say, the groups,
the ledger and the open letters are the model's, and what is leased was eligible, in order, and nobody else's.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.backlog_model import (
    ENDS,
    ENTRIES,
    OLDEST,
    TABLES,
    Change,
    Given,
    Letter,
    Row,
    check_order,
    most_urgent,
    next_suspects,
)

from syncline.backlog import (
    SUSPECT_AFTER,
    DeadReason,
    Entry,
    Grant,
    Group,
    Item,
    ItemState,
    Operation,
    PutReport,
    Role,
    Settlement,
    Settling,
)
from syncline.errors import LeaseLostError
from syncline.records import RecordKey
from syncline.storage.sql_storage import SQLStorage
from syncline.storage.sqlite import MemoryStorage, SQLiteStorage
from syncline.store import DeadLetterStatus, PageCommit, Refusal
from syncline.testing.storage_checks.subject import ACTION, WORKFLOW, owner, position

TTL = timedelta(seconds=60)
#: Workers at a time.
CREW = 4


class BacklogMachine(RuleBasedStateMachine):
    """One workflow, up to four workers of which one reads, and processes that were taken over and do not know it.

    `grant` and `items` are those of the worker whose turn it is; `crew` has the others.
    """

    def make(self) -> SQLStorage:
        """An empty storage."""
        return MemoryStorage()

    @initialize()
    def begin(self) -> None:
        self.storage = self.make()
        self.storage.register(WORKFLOW, "{}")
        self.ahead = 0.0
        #: Tables whose held deletions somebody was asked about, and how many went unasked.
        self.asked: set[str] = set()
        self.gone: Counter[str] = Counter()
        self.seq = 0
        self.places = 0
        self.rows: dict[RecordKey, Row] = {}
        self.ledger: dict[RecordKey, bytes] = {}
        self.letters: dict[RecordKey, list[Letter]] = {}
        self.totals: Counter[str] = Counter()
        self.lost: list[tuple[Grant, list[Item]]] = []
        self.items: dict[RecordKey, Item] = {}
        self.crew: list[tuple[Grant, dict[RecordKey, Item]]] = []
        #: When records were read by key, and pages that were asked for and have not come.
        self.by_key: dict[RecordKey, int] = {}
        self.asked_for: list[int] = []
        self.grant = self.acquire()

    def teardown(self) -> None:
        if hasattr(self, "storage"):
            self.storage.close()

    # -- words ----------------------------------------------------------------------------------------------------

    def acquire(self) -> Grant:
        grant = self.storage.acquire(WORKFLOW, owner(), TTL, workers=CREW)
        assert grant is not None
        return grant

    def reader(self) -> Grant | None:
        """The grant of the one that reads, if there is one."""
        grants = [self.grant, *(grant for grant, _ in self.crew)]
        return next((grant for grant in grants if grant.role is Role.READER), None)

    def leased_by_writers(self) -> set[RecordKey]:
        """What workers that do not read have leased."""
        crew = [(self.grant, self.items), *self.crew]
        return {key for grant, items in crew if grant.role is not Role.READER for key in items}

    def place(self) -> int:
        self.places += 1
        return self.places

    def entry(self, given: Given) -> Entry:
        key, age, payload, lane, first, refresh, conditional = given
        return Entry(
            key=key,
            seq=max(0, self.seq - age),
            payload=payload,
            lane=lane,
            first=first,
            refresh=refresh,
            only_if_queued=conditional,
            # The oldest were decided before somebody else wrote the record.
            decided_on=b"other" if age == OLDEST else self.ledger.get(key),
        )

    def model_put(self, entry: Entry, *, ambiguous: bool = False) -> str:
        """What the contract says about one put."""
        new = Change(entry.seq, entry.payload, entry.lane, entry.first, entry.refresh, ambiguous, place=self.place())
        row = self.rows.get(entry.key)
        if row is None:
            if entry.only_if_queued and entry.decided_on == self.ledger.get(entry.key):
                return "skipped"
            self.rows[entry.key] = Row(new)
            return "queued"
        if row.state is not ItemState.LEASED:
            stays_held = row.state is ItemState.HELD and new.seq < row.change.seq
            row.change = row.change.merged(new)
            row.state = ItemState.HELD if stays_held else ItemState.READY
            return "superseded"
        if row.waiting is not None:
            row.waiting = row.waiting.merged(new)
            return "superseded"
        if new.seq < row.change.seq:
            if not new.first or row.change.first or new.operation is Operation.DELETE:
                return "superseded"
            new = evolve(new, seq=row.change.seq, payload=None, refresh=True)
        row.waiting = new
        return "queued"

    def follow(self, row: Row, *, back: bool, written: bool, ambiguous: bool, crashed: bool = False) -> None:
        """The change that waits behind a leased row takes its place."""
        old, new = row.change, row.waiting
        assert new is not None
        row.change = evolve(
            new,
            lane=min(old.lane, new.lane) if back else new.lane,
            first=new.first or (old.first and not written),
            ambiguous=new.ambiguous or ((old.ambiguous or ambiguous) and not written),
            crashes=old.crashes + crashed if back else 0,
        )
        row.waiting, row.state, row.sending = None, ItemState.READY, False
        self.totals["superseded"] += back

    def back(self, *, crashed: bool) -> None:
        """All rows of the worker whose turn it is return: it vanished, or gave its grant back."""
        mine = [self.rows[key] for key in self.items]
        self.items = {}
        for row in mine:
            assert row.state is ItemState.LEASED
            blamed = crashed and row.sending
            if row.waiting is not None:
                self.follow(row, back=True, written=False, ambiguous=row.sending, crashed=blamed)
                continue
            change = row.change
            change.ambiguous |= row.sending
            change.crashes += blamed
            change.attempts -= not blamed
            row.state, row.sending = ItemState.READY, False

    def set_aside(self, key: RecordKey, seq: int, *, first: bool, ambiguous: bool) -> None:
        open_ones = [letter for letter in self.letters.get(key, []) if letter.seq > seq]
        if not open_ones:
            open_ones = [Letter(seq, first, ambiguous)]
        self.letters[key] = open_ones
        self.totals["dead"] += 1

    def resolve(self, key: RecordKey, seq: int) -> None:
        self.letters[key] = [letter for letter in self.letters.get(key, []) if letter.seq > seq]

    def stale(self) -> list[Item]:
        """Items of processes that were taken over, and of other workers: none of them is this one's."""
        leased = {item.id for item in self.items.values()}
        lost = [item for _, items in self.lost for item in items if item.id not in leased][:2]
        return [*lost, *(item for _, items in self.crew for item in items.values())][:3]

    # -- rules ----------------------------------------------------------------------------------------------------

    @rule(given=st.lists(ENTRIES, max_size=5))
    def put(self, given: list[Given]) -> None:
        """Changes of a read, some of which are older than others."""
        self.seq = self.storage.next_read(self.grant)
        entries = [self.entry(one) for one in given]
        outcomes = Counter(self.model_put(entry) for entry in entries)
        report = self.storage.put(self.grant, entries)
        assert report == PutReport(
            queued=outcomes["queued"], superseded=outcomes["superseded"], skipped=outcomes["skipped"]
        )
        self.totals["put"] += len(entries)
        self.totals["superseded"] += outcomes["superseded"]
        self.totals["skipped"] += outcomes["skipped"]

    @precondition(lambda self: self.reader() is not None)
    @rule()
    def ask_for_a_page(self) -> None:
        """The reader asks for a page; it comes later, or never."""
        reader = self.reader()
        assert reader is not None
        self.seq = self.storage.next_read(reader)
        self.asked_for = [*self.asked_for, self.seq][-3:]

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def read_by_key(self, data: st.DataObject) -> None:
        """A worker has read records by key: what it knows of them is newer than any page that was asked for before."""
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.items)), unique=True, min_size=1))
        self.storage.read_by_key(self.grant, [self.items[key] for key in chosen])
        self.seq += 1
        for key in chosen:
            self.by_key[key] = self.seq
            waiting = self.rows[key].waiting
            if waiting is not None and not waiting.refresh:
                waiting.payload, waiting.refresh, waiting.operation = None, True, Operation.UPSERT

    @precondition(lambda self: self.asked_for and self.reader() is not None)
    @rule(data=st.data(), table=st.sampled_from(TABLES), records=st.lists(st.sampled_from("abc"), unique=True))
    def a_page_comes(self, data: st.DataObject, table: str, records: list[str]) -> None:
        """V8: of records that may have been read by key since it was asked for it is not believed."""
        seq = self.asked_for.pop(data.draw(st.integers(0, len(self.asked_for) - 1)))
        self.by_key = {key: read for key, read in self.by_key.items() if key.table != table or read >= seq}
        entries = [Entry(key=RecordKey(table=table, id=record), seq=seq, payload=b"{}") for record in records]
        doubted = {key for key, read in self.by_key.items() if key.table == table and read > seq}
        doubted |= {key for key in self.leased_by_writers() if key.table == table and self.rows[key].change.seq > seq}
        self.seq += bool(doubted)  # what is to be read by key is newer than all of it
        for entry in entries:
            anew = evolve(entry, seq=self.seq, payload=None, refresh=True)
            outcome = self.model_put(anew if entry.key in doubted else entry)
            self.totals["put"] += 1
            self.totals["superseded"] += outcome == "superseded"
        reader = self.reader()
        assert reader is not None
        page = PageCommit(table=table, position=position(), entries=entries, seq=seq)
        self.storage.commit_page(reader, page)

    @precondition(lambda self: self.reader() is not None)
    @rule(given=ENTRIES)
    def refuse(self, given: Given) -> None:
        """A page with a record that the rules refuse."""
        reader = self.reader()
        assert reader is not None
        self.seq = self.storage.next_read(reader)
        entry = evolve(self.entry(given), payload=b"{}", refresh=False)
        refusal = Refusal(entry=entry, reason=DeadReason.CONVERSION, field="f", message="m")
        page = PageCommit(table=entry.key.table, position=position(), entries=[], refusals=[refusal])
        self.storage.commit_page(reader, page)
        self.totals["put"] += 1
        row = self.rows.get(entry.key)
        first, ambiguous = entry.first, False
        if row is not None:
            queued = row.waiting if row.state is ItemState.LEASED else row.change
            if queued is not None and queued.seq <= entry.seq:
                first, ambiguous = first or queued.first, queued.ambiguous
                self.totals["superseded"] += 1
                if row.state is ItemState.LEASED:
                    row.waiting = None
                else:
                    del self.rows[entry.key]
                    if ambiguous:
                        self.ledger[entry.key] = b""
        self.set_aside(entry.key, entry.seq, first=first, ambiguous=ambiguous)

    @rule(limit=st.integers(0, 5))
    def lease(self, limit: int) -> None:
        """Claim some: exactly what is next."""
        if not limit:  # nothing is asked for, so nothing is looked at either
            assert list(self.storage.lease(self.grant, 0)) == []
            return
        for row in self.rows.values():
            if row.state is ItemState.DELAYED and row.due <= self.ahead:
                row.state = ItemState.READY
        ready = {key: row for key, row in self.rows.items() if row.state is ItemState.READY}
        held = [row for row in self.rows.values() if row.state is ItemState.LEASED]
        items = list(self.storage.lease(self.grant, limit))
        suspects = {key: row for key, row in ready.items() if row.change.crashes >= SUSPECT_AFTER}
        innocent = {key: row for key, row in ready.items() if key not in suspects}
        if any(row.change.crashes >= SUSPECT_AFTER for row in held):
            assert items == []
        elif suspects and most_urgent(suspects) <= most_urgent(innocent):
            assert [item.key for item in items] == ([] if held else next_suspects(suspects, limit))
        else:
            before = most_urgent(suspects)
            check_order({key: row for key, row in innocent.items() if row.change.lane < before}, items, limit)
        for item in items:
            self.check_item(item)
            row = self.rows[item.key]
            row.state, row.sending = ItemState.LEASED, False
            row.change.attempts += 1
            self.items[item.key] = item

    def check_item(self, item: Item) -> None:
        change = self.rows[item.key].change
        assert (item.seq, item.payload, item.lane) == (change.seq, change.payload, change.lane)
        assert (item.first, item.refresh, item.ambiguous) == (change.first, change.refresh, change.ambiguous)
        assert (item.attempts, item.crashes, item.confirmed) == (change.attempts + 1, change.crashes, change.confirmed)

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def mark(self, data: st.DataObject) -> None:
        """Some are about to be sent."""
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.items)), unique=True))
        items = [self.items[key] for key in chosen]
        stale = self.stale()
        assert list(self.storage.mark_sending(self.grant, items + stale)) == items
        for key in chosen:
            self.rows[key].sending = True

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        """Some end, each in its own way; one that was lost to another process is refused."""
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.items)), unique=True, min_size=1))
        stale = [Settlement(item=item, settling=Settling.WRITTEN) for item in self.stale()]
        ends = [self.end(key, data.draw(ENDS)) for key in chosen]
        report = self.storage.settle(self.grant, [*stale, *ends])
        assert (report.settled, report.refused) == (len(ends), len(stale))
        self.totals["refused"] += len(stale)

    def end(self, key: RecordKey, how: tuple[Settling, bool, bool, bool, int, bool]) -> Settlement:
        """A settlement, and what the contract says becomes of the row."""
        settling, ambiguous, refresh, counts, delay, with_fingerprint = how
        item, row = self.items.pop(key), self.rows[key]
        change = row.change
        back = settling in (Settling.RETRY, Settling.RELEASED, Settling.HELD)
        deletes = change.operation is Operation.DELETE
        fingerprint = uuid4().bytes if with_fingerprint and not back and settling is not Settling.DEAD else None
        forget = settling is Settling.WRITTEN and deletes and fingerprint is None
        settlement = Settlement(
            item=item,
            settling=settling,
            fingerprint=fingerprint,
            forget=forget,
            retry_at=self.storage.now() + timedelta(seconds=delay) if delay else None,
            ambiguous=ambiguous,
            counts=counts,
            refresh=refresh,
            reason=DeadReason.EXHAUSTED,
            message="no more",
        )
        if settling is Settling.WRITTEN:
            self.totals["written"] += 1
            self.resolve(key, change.seq)
        elif settling is Settling.SKIPPED:
            self.totals["skipped"] += 1
        elif settling is Settling.DEAD:
            self.set_aside(key, change.seq, first=change.first, ambiguous=change.ambiguous or ambiguous)
            if change.ambiguous or ambiguous:
                self.ledger[key] = b""
        if fingerprint is not None:
            self.ledger[key] = fingerprint
        if forget:
            self.ledger.pop(key, None)
        if row.waiting is not None:
            self.follow(row, back=back, written=settling is Settling.WRITTEN, ambiguous=ambiguous)
        elif back:
            retry = settling is Settling.RETRY
            change.ambiguous |= retry and ambiguous
            change.refresh |= retry and refresh
            change.attempts -= not (retry and counts)
            row.due = self.ahead + delay if retry and delay else 0.0
            row.state, row.sending = ItemState.DELAYED if row.due else ItemState.READY, False
            if settling is Settling.HELD:
                row.state, change.operation, change.confirmed = ItemState.HELD, Operation.DELETE, False
        else:
            del self.rows[key]
        return settlement

    @rule(seconds=st.sampled_from([3, 50]))
    def wait(self, seconds: int) -> None:
        """Time passes, with heartbeats; delays end. The margin to real time is larger than any test takes."""
        self.ahead += seconds
        self.storage.set_time_offset(self.ahead)
        self.grant = self.storage.extend(self.grant, TTL)
        self.beat()

    def beat(self) -> None:
        """Every other worker's heartbeat."""
        self.crew = [(self.storage.extend(grant, TTL), items) for grant, items in self.crew]

    @precondition(lambda self: self.crew)
    @rule()
    def another_ones_turn(self) -> None:
        """What follows is done by the worker that has waited longest."""
        self.crew.append((self.grant, self.items))
        self.grant, self.items = self.crew.pop(0)

    @precondition(lambda self: len(self.crew) < CREW - 1)
    @rule()
    def join(self) -> None:
        """One worker more."""
        role = Role.READER if self.reader() is None else Role.WRITER
        self.crew.append((self.acquire(), {}))
        assert self.crew[-1][0].role is role

    @precondition(lambda self: len(self.crew) == CREW - 1)
    @rule()
    def nobody_more(self) -> None:
        """As many as are admitted."""
        assert self.storage.acquire(WORKFLOW, owner(), TTL, workers=CREW) is None
        assert self.storage.workflow(WORKFLOW).workers == CREW

    @rule(reaped=st.booleans())
    def crash(self, reaped: bool) -> None:
        """The worker vanishes and its grant runs out; another worker takes what it had, or whoever comes next."""
        for _ in range(2):
            self.ahead += TTL.total_seconds() / 2 + 1
            self.storage.set_time_offset(self.ahead)
            self.beat()
        self.lost = [(self.grant, list(self.items.values())), *self.lost][:2]
        self.back(crashed=True)
        before = self.grant
        assert self.storage.workflow(WORKFLOW).vanished == 1
        if self.crew and reaped:
            assert self.storage.reap(self.crew[0][0]) == 1
            self.grant, self.items = self.crew.pop(0)
            return
        self.grant = self.acquire()
        assert self.grant.taken_over
        assert self.grant.epoch > before.epoch

    @rule()
    def restart(self) -> None:
        """The worker gives its grant back, and the next one takes its place."""
        self.lost = [(self.grant, list(self.items.values())), *self.lost][:2]
        self.back(crashed=False)
        self.storage.release(self.grant)
        self.storage.close()
        before = self.grant
        self.grant = self.acquire()
        assert not self.grant.taken_over
        assert self.grant.epoch > before.epoch

    @precondition(lambda self: self.lost)
    @rule(given=st.lists(ENTRIES, min_size=1, max_size=2))
    def a_zombie_tries(self, given: list[Given]) -> None:
        """V5: whatever a process does that was taken over changes nothing."""
        grant, items = self.lost[0]
        with pytest.raises(LeaseLostError):
            self.storage.put(grant, [self.entry(one) for one in given])
        with pytest.raises(LeaseLostError):
            self.storage.lease(grant, 3)
        with pytest.raises(LeaseLostError):
            self.storage.mark_sending(grant, items)
        self.storage.release(grant)
        report = self.storage.settle(
            grant, [Settlement(item=item, settling=Settling.WRITTEN, fingerprint=b"stale") for item in items]
        )
        assert report.settled == 0
        self.totals["refused"] += len(items)

    @precondition(lambda self: any(self.letters.values()))
    @rule(data=st.data(), discard=st.booleans())
    def tidy_letters(self, data: st.DataObject, discard: bool) -> None:
        """A person retries or discards some letters."""
        open_ones = list(self.storage.dead_letters(WORKFLOW))
        chosen = data.draw(st.lists(st.sampled_from(open_ones), unique_by=lambda letter: letter.id, min_size=1))
        chosen.sort(key=lambda letter: letter.id)
        ids = [letter.id for letter in chosen]
        kept = {letter.id: next(one for one in self.letters[letter.key] if one.seq == letter.seq) for letter in chosen}
        for letter in chosen:
            self.letters[letter.key].remove(kept[letter.id])
        if discard:
            assert self.storage.discard_dead_letters(WORKFLOW, ids, ACTION) == len(ids)
            self.totals["dead"] -= len(ids)
            self.totals["discarded"] += len(ids)
            return
        assert self.storage.retry_dead_letters(WORKFLOW, ids, ACTION) == len(ids)
        read = self.seq
        for letter in chosen:
            read += 1
            again = Entry(key=letter.key, seq=read, payload=None, first=kept[letter.id].first, refresh=True)
            outcome = self.model_put(again, ambiguous=kept[letter.id].ambiguous)
            self.totals["put"] += 1
            self.totals[outcome] += outcome == "superseded"
        self.seq = read

    # -- held deletions -------------------------------------------------------------------------------------------

    def held(self, table: str) -> list[RecordKey]:
        """Records of a table whose deletion is held."""
        return [key for key, row in self.rows.items() if key.table == table and row.state is ItemState.HELD]

    def let_go(self, table: str) -> int:
        """All that is held becomes ready, confirmed; how many."""
        held = self.held(table)
        for key in held:
            self.rows[key].state, self.rows[key].change.confirmed = ItemState.READY, True
        return len(held)

    @precondition(lambda self: self.reader() is not None)
    @rule(table=st.sampled_from(TABLES), most=st.integers(0, 4))
    def judge(self, table: str, most: int) -> None:
        """Few are let go, many are asked about; what went before counts."""
        held = len(self.held(table))
        reader = self.reader()
        assert reader is not None
        judgement = self.storage.judge_held(reader, table, most=most, window=timedelta(days=365))
        if not held:
            self.asked.discard(table)
        elif table not in self.asked and self.gone[table] + held <= most:
            assert (judgement.released, judgement.held) == (self.let_go(table), 0)
            self.gone[table] += held
        else:
            assert (judgement.released, judgement.held) == (0, held)
            assert judgement.newly_asked == (table not in self.asked)
            self.asked.add(table)

    @rule(table=st.sampled_from(TABLES), discard=st.booleans())
    def a_word(self, table: str, discard: bool) -> None:
        """Somebody confirms or discards what is held of a table."""
        self.asked.discard(table)
        if not discard:
            assert self.storage.confirm_held(WORKFLOW, table, ACTION) == self.let_go(table)
            return
        held = self.held(table)
        assert self.storage.discard_held(WORKFLOW, table, ACTION) == len(held)
        for key in held:
            if self.rows.pop(key).change.ambiguous:
                self.ledger[key] = b""
        self.totals["discarded"] += len(held)

    @invariant()
    def what_is_held_is_the_models(self) -> None:
        """Which records, how many, and whether somebody was asked."""
        if not hasattr(self, "storage"):
            return
        holds = self.storage.holds(WORKFLOW)
        for table in TABLES:
            held = self.held(table)
            assert sorted(self.storage.held_records(WORKFLOW, table, 10)) == sorted(key.id for key in held)
            hold = holds.get(table)
            told = (0, False, 0) if hold is None else (hold.held, hold.asked, hold.let_go)
            assert told == (len(held), table in self.asked, self.gone[table])

    # -- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def numbers_are_exact(self) -> None:
        """V4, and every counter."""
        if not hasattr(self, "storage"):
            return
        assert self.storage.audit(WORKFLOW) == []
        counts = self.storage.counts(WORKFLOW)
        groups: Counter[Group] = Counter()
        for key, row in self.rows.items():
            groups[row.change.group(key, row.state)] += 1
            if row.waiting is not None:
                groups[row.waiting.group(key, ItemState.READY)] += 1
        assert counts.groups == groups
        totals = counts.totals
        for name in ("put", "written", "superseded", "skipped", "dead", "discarded", "refused"):
            assert getattr(totals, name) == self.totals[name], name
        ended = totals.written + totals.superseded + totals.skipped + totals.dead + totals.discarded
        assert totals.put == ended + counts.size
        assert (counts.oldest is None) == (not self.rows)
        assert counts.dead_letters == sum(map(len, self.letters.values()))

    @invariant()
    def the_ledger_and_the_letters_are_the_models(self) -> None:
        """What the target is known to have, and what was set aside."""
        if not hasattr(self, "storage"):
            return
        for table in TABLES:
            wanted = {key.id: fingerprint for key, fingerprint in self.ledger.items() if key.table == table}
            assert self.storage.ledger(WORKFLOW, table, ["a", "b", "c"]) == wanted
            assert self.storage.ledger_size(WORKFLOW, table) == len(wanted)
        letters = self.storage.dead_letters(WORKFLOW, status=DeadLetterStatus.OPEN, limit=1000)
        assert Counter((letter.key, letter.seq) for letter in letters) == Counter(
            (key, letter.seq) for key, open_ones in self.letters.items() for letter in open_ones
        )


class FileBacklogMachine(BacklogMachine):
    """The same in a file, which is closed and opened again at every restart."""

    def make(self) -> SQLStorage:
        self.folder = tempfile.TemporaryDirectory()
        return SQLiteStorage(Path(self.folder.name) / "syncline.db")

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "folder"):
            self.folder.cleanup()


TestBacklogMachine = BacklogMachine.TestCase
TestBacklogMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestFileBacklogMachine = FileBacklogMachine.TestCase
TestFileBacklogMachine.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)
