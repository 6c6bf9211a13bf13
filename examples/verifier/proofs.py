"""Proof as text, Balance proof as text; and Absence, of "Merkle tree and proofs"."""

import re

from .conventions import (
    AtPosition,
    CannotTell,
    NotOfForm,
    decimal,
    given,
    hash_line,
    read,
    require,
    require_form,
    sha256,
    split_at_empty_line,
    unbase64,
)
from .events import Seal, parse_event
from .notes import Checkpoint
from .records import Record
from .snapshots import Leaf
from .trees import BALANCES, RECORDS

OWNER = re.compile("(fund|account [a-z0-9.-]{1,32}) [a-z0-9.-]{1,32}")


def path_of(lines, what):
    require_form(len(lines) <= 65, f"the path of {what} has more than 65 hashes")
    return [hash_line(line, f"a hash of {what}") for line in lines]


class Proof:
    """Proof as text."""

    def __init__(self, data, what):
        lines, self.note = split_at_empty_line(data, what)
        right = lines.pop(0) == "c2sp.org/tlog-proof@v1"
        require_form(right, f"{what} is not a proof of version 1")
        has_extra = lines and lines[0].startswith("extra ")
        extra = unbase64(lines.pop(0)[6:], f"the extra of {what}") if has_extra else None
        require_form(lines and lines[0].startswith("index "), f"{what} has no index")
        self.index = decimal(lines[0][6:], f"the index of {what}")
        with AtPosition(self.index):
            self.record = Record(extra, self.index) if has_extra else None
        self.path = path_of(lines[1:], what)

    def check(self, checkpoint, what):
        """The record is in the log of the checkpoint."""
        require(self.note == checkpoint.note, f"{what} has another checkpoint than the bundle")
        leaf, size, root = self.record.hash, checkpoint.size, checkpoint.root
        RECORDS.check_inclusion(self.index, size, leaf, self.path, root, what)


class BalanceProof:
    """Balance proof as text, checked up to the seal, which `proof` leads to a checkpoint."""

    def __init__(self, data, what):
        lines, rest = split_at_empty_line(data, what)
        self.proof = Proof(rest, what)
        right = len(lines) > 2 and lines[0] == "bergulir-balance-proof 1"
        right = right and OWNER.fullmatch(lines[1]) and lines[2].startswith("leaves ")
        require_form(right, f"{what} is not a balance proof of version 1")
        self.owner = tuple(lines[1].split(" ")[1:])  # (fund,) or (fund, account)
        size = decimal(lines[2][7:], f"the number of leaves of {what}")
        require(self.proof.record is not None, f"{what} lacks the record of the seal")
        with AtPosition(self.proof.index):
            self.seal = Seal(self.proof.record)
        leaves = read_leaves(lines[3:], size, self.seal.balance_root, what)
        self.leaf = None  # there is no such fund or account
        if len(leaves) == 1 and leaves[0][1].key == self.owner:
            self.leaf = leaves[0][1]
        else:
            check_absence(self.owner, leaves, size, self.seal.balance_root, what)


def read_leaves(lines, size, root, what):
    """Balance proof as text: its leaves with their numbers, each led to the balance root."""
    starts = [n for n, line in enumerate(lines) if line.startswith("leaf ")]
    right = len(starts) <= 2 and starts[:1] == [0] * bool(lines)
    require_form(right, f"{what} has more than two leaves, or lines that belong to none")
    leaves = []
    for start, end in zip(starts, starts[1:] + [len(lines)]):
        words = lines[start].split(" ")
        require_form(len(words) == 3, f"{what} has a leaf line of {len(words)} words")
        number, leaf = decimal(words[1], "the number of a leaf"), unbase64(words[2], "a leaf")
        path = path_of(lines[start + 1 : end], what)
        BALANCES.check_inclusion(number, size, BALANCES.leaf(leaf), path, root, "a leaf")
        leaves.append((number, Leaf(leaf)))
    return leaves


def check_absence(owner, leaves, size, root, what):
    """Absence: the neighbours of a key that is not there."""
    below = [number for number, leaf in leaves if leaf.key < owner]
    above = [number for number, leaf in leaves if leaf.key > owner]
    if len(leaves) == 2:
        (first, _), (second, _) = leaves
        absent = below == [first] and above == [second] and first + 1 == second
    elif len(leaves) == 1:
        absent = above == [0] or below == [size - 1]
    else:
        absent = size == 0 and root == sha256(b"")
    require(absent, f"{what} proves neither balances of {' '.join(owner)} nor its absence")


def check_proof_file(path, trust, report):
    """One proof in a file: checkable with a checkpoint's key and nothing else."""
    data, balance = read(path), None
    try:
        if path.endswith(".tlog-proof"):
            proof = Proof(data, "the proof")
        else:
            balance = BalanceProof(data, "the balance proof")
            proof = balance.proof
    except NotOfForm as bad:
        raise CannotTell(f"this is no proof: {bad}") from None
    if proof.record is None:
        raise CannotTell("the proof lacks its record's bytes, so there is nothing to check")
    checkpoint, record = given("the proof", Checkpoint, proof.note), proof.record
    proof.check(checkpoint, "the proof")
    trust.check(checkpoint, None, report)
    trust.settle()
    report.checked(f"the record at position {record.position} is in the log of the checkpoint")
    if balance is None:
        with AtPosition(record.position):
            parse_event(record)
        report.facts.update(record=record.position, record_hash=record.hash.hex())
        return
    whose, through = " ".join(balance.owner), balance.seal.through
    if balance.leaf:
        report.balances(balance)
        report.checked(f"{whose} had these balances after the record at {through}")
        report.not_checked("whether the balances are right: the server sealed them")
    else:
        report.checked(f"there was no {whose} after the record at {through}")
        report.not_checked("that the leaves of the balance tree are sorted: absence rests on it")
