"""Audit bundle: the folder, and kinds `log` and `range`, Extension."""

import os
import re

from . import cooperatives
from .conventions import (
    ID,
    AtPosition,
    CannotTell,
    decimal,
    given,
    lines_of,
    read,
    require,
    sha256,
    split_at_empty_line,
)
from .events import History
from .notes import Checkpoint
from .proofs import Proof, path_of
from .records import Chain
from .snapshots import Snapshot
from .trees import check_consistency, may_extend

LAST_LINES = {"log": [], "range": ["from"], "cooperative": ["cooperative"]}
PLACES = {
    "log": r"bundle|checkpoint|extension|log/[0-9]{20}\.seg",
    "range": r"bundle|checkpoint|extension|state|log/[0-9]{20}\.seg|records/[0-9]{20}\.tlog-proof",
    "cooperative": r"bundle|checkpoint|extension|records/[0-9]{20}\.tlog-proof|"
    r"balances/[0-9]{4,}\.(balance-proof|statement)",
}
WITNESSED = ["checkpoint.witnessed", "extension.witnessed"]  # in version 2, of each kind


class Bundle:
    """The file `bundle`, the names of all files, and the checkpoints, not yet their signatures."""

    def __init__(self, folder):
        self.folder = folder
        try:
            lines = lines_of(self.read("bundle"), "bundle")
        except FileNotFoundError:
            raise CannotTell(f"{folder!a} has no file `bundle`, so it is no audit bundle") from None
        version = lines[0]
        if re.fullmatch("bergulir-bundle [0-9]+", version) and version[-2:] not in (" 1", " 2"):
            raise CannotTell(f"the bundle is of a newer version: {lines[0]!a}")
        said = dict(line.partition(" ")[::2] for line in lines)
        self.kind, self.cooperative = said.get("kind"), said.get("cooperative", "")
        names = ["bergulir-bundle", "kind", "origin", "size", *LAST_LINES.get(self.kind, "?")]
        names += ["witnessed"] if version == "bergulir-bundle 2" else []
        right = [line.split(" ")[0] for line in lines] == names
        right = right and version in ("bergulir-bundle 1", "bergulir-bundle 2")
        require(right, "the file `bundle` has other lines than a bundle of its version")
        size, self.start = decimal(said["size"], "size"), decimal(said.get("from", "0"), "from")
        right = self.kind != "cooperative" or ID.fullmatch(self.cooperative.encode())
        require(right, "the file `bundle` names no cooperative")
        right = self.kind != "range" or 0 < self.start < size
        require(right, f"a range from {self.start} of {size} records holds no seal")
        self.places = [name for name in WITNESSED if "witnessed" in said]
        self.files = self.list_files()
        self.checkpoint = Checkpoint(self.read("checkpoint"))
        right = (self.checkpoint.origin, self.checkpoint.size) == (said["origin"], size)
        require(right, "the checkpoint is of another origin or size than the file `bundle` says")
        self.witnessed = None
        if "witnessed" in said:
            older = decimal(said["witnessed"], "witnessed")
            self.witnessed = Checkpoint(self.read(WITNESSED[0]))
            right = (self.witnessed.origin, self.witnessed.size) == (said["origin"], older)
            require(right, "checkpoint.witnessed is not what the file `bundle` says")
            require(0 < older < size, "witnesses stand for no record, or for all of them")

    def read(self, name):
        return read(os.path.join(self.folder, name))

    def names(self, start):
        return [name for name in self.files if name.startswith(start)]

    def records(self, chain):
        for name in self.names("log/"):
            yield from chain.read_segment(name[4:], self.read(name))

    def list_files(self):
        """What lies in the folder, in the order of names; nothing else may."""
        files = []
        for path, folders, names in os.walk(self.folder, onerror=refuse):
            require(folders or names, f"{os.path.relpath(path, self.folder)[:120]!a} is empty")
            for name in folders + names:
                full = os.path.join(path, name)
                place = os.path.relpath(full, self.folder).replace(os.sep, "/")
                form = "log|records|balances" if name in folders else PLACES[self.kind]
                known = place in self.places or re.fullmatch(form, place)
                right = known and (name in folders or os.path.isfile(full))
                require(right, f"a {self.kind} bundle has no place for {place[:120]!a}")
                if name in names:
                    files.append(place)
        state = ["state"] if self.kind == "range" else []
        for needed in ["checkpoint", *state, *self.places]:
            require(needed in files, f"the bundle lacks {needed}")
        return sorted(files)

    def proved_records(self, report):
        """The records that the bundle proves one by one, by position."""
        records, latest = {}, -(1 << 63)
        for name in self.names("records/"):
            proof = Proof(self.read(name), name)
            record = proof.record
            right = record and name == f"records/{proof.index:020}.tlog-proof"
            require(right, f"{name} lacks its record, or is of position {proof.index}")
            proof.check(self.checkpoint, name)
            before = records.get(record.position - 1)
            with AtPosition(record.position):
                linked = not before or record.previous == before.hash
                require(linked, "the record does not name the hash of the record before")
                in_time = record.recorded_at >= latest
                require(in_time, "the record was recorded before one before it")
            records[record.position], latest = record, record.recorded_at
        report.checked(f"{len(records)} records are in the log of the checkpoint")
        return records


def refuse(error):
    raise error


def check_bundle(folder, trust, older, report):
    """To check a bundle."""
    bundle = Bundle(folder)
    report.facts["kind"] = bundle.kind
    report.checked("the folder holds what a bundle of its kind holds, and nothing else")
    extension = Extension(bundle, "extension") if "extension" in bundle.files else None
    witnessed = Extension(bundle, WITNESSED[1]) if bundle.witnessed else None
    history = History()
    roots = {}  # by size: those of earlier trees that are passed on the way
    if bundle.kind == "cooperative":
        cooperatives.check(bundle, history, report)
    else:
        earlier = (older, extension, bundle.witnessed)
        sizes = [checkpoint.size for checkpoint in earlier if checkpoint]
        roots = check_records(bundle, history, sizes, report)
    own = history.origins.after(bundle.checkpoint.size) == bundle.checkpoint.origin
    require(own, "the checkpoint is not of the origin that the records name", 0)
    if bundle.witnessed:
        check_witnessed(bundle, witnessed, history, roots, report)
    trust.check(bundle.checkpoint, history.keys, report, bundle.witnessed)
    if extension:
        extension.check(bundle.checkpoint, roots, older, report)
    if older:
        try:
            history.origins.check_older(older, history.keys)
            given("--since is not to be believed", trust.check_older, older, history.keys)
            check_extended(bundle.checkpoint, extension, roots, older, report)
        except CannotTell as doubt:
            trust.doubts.append(str(doubt))
    trust.settle()
    report.not_checked("the rules of the trade, and the events, beyond what is needed here")


def check_witnessed(bundle, extension, history, roots, report):
    """The older checkpoint is one of this log. Who signed it is looked at with the newer one."""
    older = bundle.witnessed
    same = extension.size == older.size
    require(same, "extension.witnessed does not lead from checkpoint.witnessed")
    own = history.origins.after(older.size) == older.origin
    require(own, "checkpoint.witnessed is not of the origin that the records name", 0)
    same = roots.get(older.size, older.root) == older.root
    require(same, f"the first {older.size} records are not those of checkpoint.witnessed")
    extension.check_from(older.root, bundle.checkpoint)
    report.checked(f"the log was only extended since checkpoint.witnessed, of {older.size} records")


def check_records(bundle, history, sizes, report):
    """Kinds `log` and `range`: frames, records, chain, seals, tree. Returns roots by size."""
    snapshot, size = None, bundle.checkpoint.size
    if bundle.kind == "range":
        snapshot = Snapshot(bundle.read("state"))
        right = snapshot.size == bundle.start
        require(right, f"the state is of {snapshot.size} records")
        history.begin(snapshot)
    chain = begin(snapshot)
    first, ends = chain.position, bytearray()  # for each record, whether a batch ends with it
    roots = {first: chain.tree.root()}
    for record in bundle.records(chain):
        ends.append(record.following == 0)
        seal = history.take(record)
        with AtPosition(record.position):
            whole = not seal or seal.through < first or ends[seal.through - first]
            require(whole, "the seal is of a state in the middle of a batch")
            covered = record.position < size
            require(covered, "the log goes on after the records of the checkpoint")
        if chain.position in sizes:
            roots[chain.position] = chain.tree.root()
    complete = chain.position == size
    require(complete, "the log ends before the records of the checkpoint do", chain.position)
    report.facts["records"] = size - first
    report.checked("segments, frames with their CRCs, batches, the chain of hashes and times")
    same = chain.tree.root() == bundle.checkpoint.root
    require(same, "the root over the records is not the checkpoint's")
    report.checked("the tree over the records has the checkpoint's root")
    history.origins.compare(first, lambda size: root_over(bundle, snapshot, size), report)
    if snapshot:
        check_range_seal(bundle, snapshot, history, report)
    later = [seal for seal in history.seals if seal.through >= first]
    if later:
        report.not_checked(f"what {len(later)} seals say, which takes the rules of the trade")
    return roots


def root_over(bundle, snapshot, size):
    """The root over the first records, of which there are so many; they were checked before."""
    chain = begin(snapshot)
    if chain.position < size:
        next(record for record in bundle.records(chain) if record.position + 1 == size)
    return chain.tree.root()


def begin(snapshot):
    """The chain as it stands before the first record."""
    if snapshot is None:
        return Chain()
    return Chain(snapshot.size, snapshot.head_hash, snapshot.recorded_at, list(snapshot.peaks))


def check_range_seal(bundle, snapshot, history, report):
    """Kind `range`: the seal of the state, and the records that the range names."""
    seal = next((seal for seal in history.seals if seal.through == bundle.start - 1), None)
    require(seal is not None, f"no seal in the range is through {bundle.start - 1}")
    after = snapshot.last_through is None or seal.through > snapshot.last_through
    with AtPosition(seal.position):
        same = seal.state_digest == snapshot.digest
        require(same and after, "the state is not the one that the seal names")
        same = seal.balance_root == snapshot.balance_root
        require(same, "the balances in the state are not those that the seal names")
    report.checked(f"the state is the one that the seal at {seal.position} binds into the chain")
    report.checked("the balances in the state have the seal's balance root")
    records = bundle.proved_records(report)
    before = all(position < bundle.start for position in records)
    require(before, "records/ holds a record of the range itself")
    needed = history.needed(bundle.start, records)
    for position in sorted(needed - set(records)):
        require(False, "records/ lacks the record, which a reversal or return needs", position)
    for position in sorted(set(records) - needed):
        require(False, "records/ holds the record, which nothing in the range needs", position)
    report.checked("records/ holds the earlier records that the range needs, and no other")
    report.not_checked("loans and proposals in the state, beyond its digest")


class Extension:
    """The file `extension`, or `extension.witnessed`: its old size and path."""

    def __init__(self, bundle, name):
        lines, note = split_at_empty_line(bundle.read(name), name)
        right = lines[0].startswith("old ") and note == bundle.checkpoint.note
        require(right, f"{name} does not lead from an old size to the bundle's checkpoint")
        self.size = decimal(lines[0][4:], f"the old size in {name}")
        right = self.size <= bundle.checkpoint.size
        require(right, f"{name} leads from a log that is larger than the bundle's")
        self.path = path_of(lines[1:], name)

    def check(self, checkpoint, roots, older, report):
        if self.size in roots:
            self.check_from(roots[self.size], checkpoint)
            report.checked(f"the extension leads from the root over the first {self.size} records")
        elif not older or older.size != self.size:
            self.check_alone(checkpoint)
            why = "give that checkpoint with --since"
            report.not_checked(f"the extension from {self.size} records: {why}")

    def check_alone(self, checkpoint):
        """Without the older root: the number of hashes, and that they lead to the checkpoint."""
        old, new = self.size, checkpoint.size
        known = {0: sha256(b""), new: checkpoint.root}
        if old in known:
            self.check_from(known[old], checkpoint)
        else:
            leads = may_extend(old, new, checkpoint.root, self.path)
            require(leads, "extension does not lead to the bundle's checkpoint")

    def check_from(self, root, checkpoint):
        check_consistency(self.size, root, checkpoint.size, checkpoint.root, self.path)


def check_extended(checkpoint, extension, roots, older, report):
    """Checks that the log was only extended since the older checkpoint."""
    size, now = older.size, checkpoint.size
    require(size <= now, f"the bundle covers {now} records, fewer than the {size} known before")
    if size in roots:
        same = roots[size] == older.root
        require(same, f"the first {size} records are not those of the checkpoint kept")
    elif extension and size == extension.size:
        extension.check_from(older.root, checkpoint)
    elif size in (0, now):
        check_consistency(size, older.root, now, checkpoint.root, [])
    else:
        raise CannotTell(f"the bundle does not lead from {size} records to its checkpoint")
    report.checked(f"the log was only extended since the checkpoint of {size} records")
