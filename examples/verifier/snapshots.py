"""State and seals: Canonical encoding, Balance root. What is not needed is read and dropped."""

import struct

from .conventions import ID, CannotTell, require, sha256, utf8
from .trees import Tree

FUND_BALANCES = (
    "cash, capital, principal receivable, interest income, late-fee income, suspense, "
    "write-off loss, recovery income, grant expense, income kept apart, committed, reserved"
).split(", ")
ACCOUNT_BALANCES = (
    "pending, committed, disbursed, principal repaid, interest paid, late fees paid, granted"
).split(", ")
WRITTEN_OFF = ["written off", "recovered"]


class Cursor:
    """Reads the forms of the canonical encoding, one after another."""

    def __init__(self, data, what):
        self.data, self.what, self.at = data, what, 0

    def take(self, size):
        require(self.at + size <= len(self.data), f"{self.what} ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, form):
        """`form` is a letter of `struct`: B H I Q unsigned, h i q signed, of 8 to 64 bits."""
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0]

    def flag(self):
        value = self.number("B")
        require(value <= 1, f"{self.what} has {value} where 0 or 1 stands")
        return value == 1

    def text(self):
        return utf8(self.take(self.number("H")), self.what)

    def option(self, form):
        return form() if self.flag() else None

    def list(self, form):
        return [form() for _ in range(self.number("I"))]


class Leaf:
    """Balance root: the leaf of a fund or of an account."""

    def __init__(self, data):
        c = Cursor(data, "a leaf")
        kind = c.number("B")
        require(kind in (1, 2, 3), f"a leaf is of kind {kind}")
        ids = [c.take(c.number("B")) for _ in range(min(kind, 2))]
        require(all(map(ID.fullmatch, ids)), "a leaf has no proper id")
        self.key = tuple(part.decode() for part in ids)  # (fund,) or (fund, account)
        names = FUND_BALANCES if kind == 1 else ACCOUNT_BALANCES
        names = names + WRITTEN_OFF if kind == 3 else names
        self.balances = {name: c.number("q") for name in names}
        longer = kind < 3 or any(self.balances[name] for name in WRITTEN_OFF)
        require(longer, "a leaf has the longer form, and nothing was written off")
        self.records, self.running_hash = c.number("Q"), c.take(32)
        require(c.at == len(data), "a leaf goes on after its end")


class Snapshot:
    """Snapshot and State: up to the accounts, and what the leaves need of the rest."""

    def __init__(self, data):
        c = Cursor(data, "the state")
        self.digest = sha256(data)
        if c.number("B") != 1:
            raise CannotTell("the state is of another version")
        self.head_hash, self.peaks = c.take(32), c.list(lambda: c.take(32))
        self.recorded_at = c.number("q")
        statements = [c.list(lambda: c.take(40)) for _ in range(2)]
        version = c.number("B")
        if version not in (1, 2, 3):
            raise CannotTell("the state in the snapshot is of another version")
        require(c.flag(), "the state is of a ledger that was never opened")
        _, self.origin, first_key, _ = c.text(), c.text(), c.option(c.text), c.text()
        c.take(1 + 2 + 4 + 4)  # currency, minutes east of UTC, two rules versions
        self.size, self.last_through = c.number("Q"), c.option(lambda: c.number("Q"))
        self.keys = [(0, first_key)] if first_key is not None else []  # position, verifier key
        self.keys += c.list(lambda: (c.number("Q"), c.text()))
        funds = c.list(lambda: read_fund(c))
        c.list(lambda: read_cooperative(c))
        accounts = c.list(lambda: read_account(c, funds))
        written_off = read_written_off(c, len(accounts)) if version == 3 else {}
        fits = [len(funds), len(accounts)] == [len(rows) for rows in statements]
        require(fits, "the state has not one statement for each fund and account")
        fits = len(self.peaks) == bin(self.size).count("1")
        require(fits, "the state has not one peak for each bit of its size")
        tree, rows = Tree(2, 3), zip(funds + accounts, statements[0] + statements[1])
        lost = [(0, 0)] * len(funds) + [written_off.get(n, (0, 0)) for n in range(len(accounts))]
        for (key, balances), statement, numbers in sorted(
            (row, statement, numbers) for (row, statement), numbers in zip(rows, lost)
        ):
            ids = b"".join(bytes([len(part)]) + part for part in key)
            kind = len(key) + (numbers != (0, 0))
            more = struct.pack("<qq", *numbers) if numbers != (0, 0) else b""
            tree.add(tree.leaf(bytes([kind]) + ids + balances + more + statement))
        self.balance_root = tree.root()


def read_fund(c):
    """`Fund`: its id and its balances as bytes."""
    fund, _ = c.text(), c.text()
    c.take(4)  # opening date
    c.list(lambda: read_terms(c))
    balances = c.take(12 * 8)
    c.list(lambda: c.take(8 + 3 * 8))  # allocations
    return (fund.encode(),), balances


def read_terms(c):
    """`date ‖ Terms`."""
    c.take(4)
    if c.number("B") == 1:  # a loan
        read_loan_terms(c)
    c.take(8 + 1)  # ceiling, required readiness
    c.option(lambda: c.number("H"))


def read_cooperative(c):
    """`Cooperative`."""
    c.text(), c.text(), c.take(1), c.text()
    for _ in range(3):
        c.option(c.text)
    for _ in range(7):
        c.option(lambda: c.take(8))
    c.list(lambda: c.take(4))


def read_account(c, funds):
    """`Account`: its fund and id, and its balances as bytes."""
    account, fund = c.text(), c.number("I")
    require(fund < len(funds), "the state has an account of no fund")
    c.take(4), c.text(), c.text(), c.take(1)
    balances = c.take(7 * 8)
    c.list(lambda: c.take(8 + 4 + 8))  # grants that stand
    return (funds[fund][0][0], account.encode()), balances


def read_written_off(c, accounts):
    """What follows the accounts, up to its end: written off and recovered, by account."""
    loans = c.list(lambda: read_loan(c))
    c.list(lambda: read_proposal(c))
    c.list(lambda: c.take(8 + 1 + 8))  # undone
    c.list(lambda: c.take(4 + 4 + 8))  # two people
    c.list(lambda: (c.take(8 + 4), c.text(), c.text()))  # bank accounts
    c.list(lambda: c.take(4 + 4))  # closed periods
    totals = {}
    for loan, lost, _, back in c.list(lambda: [c.number(form) for form in "Iqqq"]):
        require(loan < len(loans), "the state has a write-off of no loan")
        account = loans[loan]
        require(account < accounts, "the state has a loan of no account")
        before = totals.get(account, (0, 0))
        totals[account] = (before[0] + lost, before[1] + back)
    c.list(lambda: (c.take(4 + 8 + 4), read_loan_terms(c)))  # restructurings
    require(c.at == len(c.data), "the state goes on after its end")
    return totals


def read_loan_terms(c):
    """`LoanTerms`."""
    c.take(4 + 1 + 2 + 2 + 1)
    c.option(lambda: c.take(3))
    c.take(1)


def read_loan(c):
    """`Loan`: the place of its account."""
    _, account = c.text(), c.number("I")
    c.take(8)
    for _ in range(4):  # contract reference, chair, treasurer, maker
        c.text()
    c.take(8)
    state = c.number("B")
    if state == 1:
        c.take(8)
    elif state == 5:
        c.text(), read_loan_terms(c), c.take(4 * 8 + 8)
        c.list(lambda: c.take(8 + 4 + 8))
    return account


def read_paid(c):
    """`Paid`."""
    for _ in range(c.number("B")):  # a loan, or a fund and an account
        c.text()


def read_undoes(c):
    """`Undoes`."""
    kind = c.number("B")
    if kind == 1:
        c.text(), c.take(8)
    elif kind == 2:
        c.text(), c.take(8 + 8)
    elif kind == 3:
        read_paid(c), c.take(8)
    elif kind == 4:
        c.take(8), read_paid(c), c.take(8 + 4)
    elif kind == 5:
        c.text(), c.take(3 * 8 + 1)
    elif kind == 6:
        c.text(), c.take(1 + 8 + 8)
    else:
        c.text(), c.take(8)


def read_proposal(c):
    """`position ‖ Proposal`."""
    c.take(8), c.text(), c.take(8)
    subject = c.number("B")
    if subject == 1:
        c.take(4)
    elif subject == 2:
        c.take(4 + 8 + 8)
    elif subject == 3:
        c.take(8), read_undoes(c)
    elif subject == 4:
        read_paid(c), c.take(8)
    elif subject == 5:
        c.take(4), c.text(), c.text()
    elif subject == 6:
        c.take(4 + 4)
    elif subject == 7:
        c.take(4 + 1 + 8)
    else:
        c.take(4 + 4), read_loan_terms(c)
    c.take(4 + 8)  # Reservation
    for size in (8 + 8, 4 + 8, 4 + 8):
        c.option(lambda size=size: c.take(size))
