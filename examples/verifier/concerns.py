"""Whom a record concerns, told from the records of one cooperative's view alone."""

from .events import (
    CONTINUED,
    OPENED_ACCOUNT,
    PROPOSED_REVERSAL,
    RETURNED,
    ROTATED_KEY,
    SEALED,
    Message,
)

PROPOSED_LOAN, REGISTERED = 7, 3
PAID, PROPOSED_PAYMENT = 15, 31  # a disbursement approved, and proposed
PROPOSED_BANK_ACCOUNT, CHANGED_BANK_ACCOUNT = 32, 33
PROPOSED_WRITE_OFF, WRITTEN_OFF, RECOVERED = 36, 37, 38
PROPOSED_TERMS, RESTRUCTURED = 39, 40
PROPOSALS = (PROPOSED_REVERSAL, PROPOSED_PAYMENT, PROPOSED_BANK_ACCOUNT)
PROPOSALS += (PROPOSED_WRITE_OFF, PROPOSED_TERMS)
OF_COOPERATIVE = (REGISTERED, 4, 5)  # an officer, readiness: the cooperative is field 1
OF_ACCOUNT = (9, 22, 23, 24)  # a grant, suspended, resumed, closed: fund and account are 1 and 2
# Disbursed, repaid, approved, refused, withdrawn, and more: the loan is field 1.
OF_LOAN = (1, 2, 8, 25, 26, PROPOSED_WRITE_OFF, RECOVERED, PROPOSED_TERMS)
OF_PROPOSAL = (12, 27, 28)  # reversed, refused, withdrawn: the proposal's position is field 1
UNDOES_OF_LOAN = (5, 6, 7)  # a repayment, a write-off, a recovery: the loan is field 1
UNDOES_PAID = {3: 1, 4: 2}  # a disbursement, a return, and the field of what was paid

LOG, COOPERATIVE, ACCOUNT = "log", "cooperative", "account"


def inner(message, field, known):
    return Message(message.fields.get(field, b""), known)


class Own:
    """What is the cooperative's: accounts with the records that open them, loans, proposals."""

    def __init__(self, cooperative):
        self.cooperative, self.registered = cooperative, False
        self.accounts, self.loans, self.proposals = {}, set(), set()

    def take(self, position, kind, body):
        """Takes in the next record's event; whom it concerns, or None if nobody of this view."""
        if position == 0 or kind in (ROTATED_KEY, CONTINUED, SEALED):
            return LOG
        event = Message(body, range(1, 10))
        if kind in OF_COOPERATIVE:
            own = event.text(1) == self.cooperative
            self.registered |= own and kind == REGISTERED
            return COOPERATIVE if own else None
        if kind == OPENED_ACCOUNT and event.text(3) == self.cooperative:
            self.accounts[event.text(1), event.text(2)] = position
        own = self.is_own(kind, event)
        if own and kind == PROPOSED_LOAN:
            self.loans.add(event.text(3))
        if own and kind in PROPOSALS:
            self.proposals.add(position)
        return ACCOUNT if own else None

    def is_own(self, kind, event):
        """Whether the event is of one of the cooperative's accounts."""
        if kind == CHANGED_BANK_ACCOUNT:
            return (event.text(2), event.text(3)) in self.accounts
        if kind in (OPENED_ACCOUNT, PROPOSED_LOAN, PROPOSED_BANK_ACCOUNT, *OF_ACCOUNT):
            return (event.text(1), event.text(2)) in self.accounts
        if kind in OF_LOAN:
            return event.text(1) in self.loans
        if kind in (WRITTEN_OFF, RESTRUCTURED):
            return event.text(3 if kind == WRITTEN_OFF else 2) in self.loans
        if kind in OF_PROPOSAL:
            return event.number(1) in self.proposals
        if kind in (RETURNED, PAID):
            return self.is_paid_to(inner(event, 4, (1, 2)))
        if kind == PROPOSED_PAYMENT:
            return self.is_paid_to(event, (1, 2, 3))
        if kind == PROPOSED_REVERSAL:
            undoes = inner(event, 6, range(1, 8))
            for field, paid in UNDOES_PAID.items():
                if field in undoes.fields:
                    undone = inner(undoes, field, range(1, 6))
                    return self.is_paid_to(inner(undone, paid, (1, 2)))
            of_loan = [field for field in UNDOES_OF_LOAN if field in undoes.fields]
            return any(inner(undoes, f, range(1, 6)).text(1) in self.loans for f in of_loan)
        return False

    def is_paid_to(self, paid, of_grant=(1, 2)):
        """`Paid`: a tranche of a loan, or a grant to an account."""
        if 1 in paid.fields:
            return paid.text(1) in self.loans
        grant = inner(paid, 2, of_grant)
        return (grant.text(1), grant.text(2)) in self.accounts
