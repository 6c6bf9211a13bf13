"""Audit bundle, kind `cooperative`: one cooperative's view."""

from .conventions import ZERO_HASH, decimal, lines_of, require, sha256
from .proofs import BalanceProof


def check(bundle, history, report):
    """Its proofs, its accounts' balances, and their statements."""
    records = bundle.proved_records(report)
    require(0 in records, "the view lacks the record that opens the ledger", 0)
    for position in sorted(records):
        history.take(records[position])
    files = bundle.names("balances/")
    names = [f"balances/{n:04}" for n in range(len(files) // 2)]
    pairs = {name + end for name in names for end in (".balance-proof", ".statement")}
    right = set(files) == pairs
    require(right, "balances/ has not a proof and a statement for each number from 0000 on")
    accounts, seal = [], None
    for name in names:
        proof = check_account(bundle, name, records, seal, report)
        own = history.accounts.get(proof.owner, (0, None))[1] == bundle.cooperative
        require(own, f"account {' '.join(proof.owner)} is not one of the cooperative's")
        accounts.append(proof.owner)
        seal = proof.seal
    require(accounts == sorted(set(accounts)), "the accounts in balances/ are not in their order")
    for account, (position, cooperative) in history.accounts.items():
        wanted = cooperative == bundle.cooperative and (not seal or position <= seal.through)
        there = account in accounts or not wanted
        require(there, f"the balances of account {' '.join(account)!a} are missing", position)
    report.checked(f"balances and statements of {len(accounts)} accounts are those of the seal")
    report.not_checked("that no account, key or record after the seal was left out of this view")


def check_account(bundle, name, records, seal_before, report):
    """One account's balance proof, and its statement."""
    balance = BalanceProof(bundle.read(name + ".balance-proof"), name)
    balance.proof.check(bundle.checkpoint, name)
    leaf, seal = balance.leaf, balance.seal
    right = leaf and len(leaf.key) == 2
    require(right, f"{name}.balance-proof is not of an account that there is")
    same = not seal_before or seal_before.position == seal.position
    same = same and seal.position in records
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
    return balance
