"""Audit bundle, kind `cooperative`: one cooperative's view."""

from .concerns import ACCOUNT, Own
from .conventions import ZERO_HASH, AtPosition, decimal, lines_of, require, sha256
from .events import parse_event
from .proofs import BalanceProof


def check(bundle, history, report):
    """Its proofs, its accounts' balances, and their statements."""
    records = bundle.proved_records(report)
    require(0 in records, "the view lacks the record that opens the ledger", 0)
    for position in sorted(records):
        history.take(records[position])
    history.origins.compare(0, None, report)
    require(len(history.seals) == 1, f"the view has {len(history.seals)} seals instead of one")
    seal = history.seals[0]
    files = bundle.names("balances/")
    names = [f"balances/{n:04}" for n in range(len(files) // 2)]
    pairs = {name + end for name in names for end in (".balance-proof", ".statement")}
    right = set(files) == pairs
    require(right, "balances/ has not a proof and a statement for each number from 0000 on")
    accounts, stated = [], set()
    for name in names:
        owner, positions = check_account(bundle, name, records, seal, report)
        opens = history.accounts.get(owner, (None, None))
        own = opens == (next(iter(positions), None), bundle.cooperative)
        require(own, f"account {' '.join(owner)} is not opened for the cooperative")
        accounts.append(owner)
        stated.update(positions)
    require(accounts == sorted(set(accounts)), "the accounts in balances/ are not in their order")
    check_whole(bundle, records, seal, stated)
    if accounts:
        report.checked(f"balances and statements of {len(accounts)} accounts are the seal's")
    else:
        report.not_checked("any money: this view shows no account, and so no balances")
    report.not_checked("that no account was left out of this view with all its records")
    report.not_checked("that its registration, officers and readiness are all there: no statement")
    report.not_checked(f"that records after {seal.through} are all there: the seal ends there")
    report.not_checked("that no new key was left out: then another key is in force than that named")


def check_whole(bundle, records, seal, stated):
    """What the records speak of is in the view, as far as the seal covers it; and nothing else."""
    own = Own(bundle.cooperative)
    for position in sorted(records):
        with AtPosition(position):
            concern = own.take(position, *parse_event(records[position]))
            require(concern, "the record has no place in this view: it concerns others")
            covered = concern == ACCOUNT and position <= seal.through
            there = not covered or position in stated
            require(there, "the record is of an account whose balances are missing")
    there = own.registered
    require(there, f"the record that registers cooperative {bundle.cooperative} is not there")


def check_account(bundle, name, records, seal, report):
    """One account's balance proof, and its statement. Returns the account, and its records."""
    balance = BalanceProof(bundle.read(name + ".balance-proof"), name)
    balance.proof.check(bundle.checkpoint, name)
    leaf = balance.leaf
    right = leaf and len(leaf.key) == 2
    require(right, f"{name}.balance-proof is not of an account that there is")
    same = seal.position == balance.seal.position
    require(same, f"{name}.balance-proof is of another seal than this view", seal.position)
    name += ".statement"
    positions = [decimal(line, f"a line of {name}") for line in lines_of(bundle.read(name), name)]
    before, running = -1, ZERO_HASH
    for position in positions:
        right = before < position <= seal.through and position in records
        require(right, f"{name} is out of order or not in this view", position)
        before, running = position, sha256(b"\x04" + running + records[position].hash)
    right = (leaf.records, leaf.running_hash) == (len(positions), running)
    require(right, f"{name} is not the statement that the seal names")
    report.balances(balance)
    return balance.owner, positions
