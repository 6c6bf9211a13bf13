"""The pilot programme through a client generated from proto/ (see README.md beside this file)."""

import argparse
import datetime
import hashlib
import os
import sys
import uuid

import grpc

from bergulir.v1 import commands_pb2 as commands
from bergulir.v1 import ledger_pb2 as ledger
from bergulir.v1 import ledger_pb2_grpc as ledger_grpc
from bergulir.v1 import query_pb2 as query
from bergulir.v1 import query_pb2_grpc as query_grpc
from bergulir.v1 import types_pb2 as types
from google.type import date_pb2, money_pb2

OPENED = datetime.date.today() - datetime.timedelta(days=365)
COOPERATIVES = 58
PRINCIPAL = 100_000_000
INSTALMENT = (3_030_303, 454_545)  # principal (pokok), interest (jasa)


def rupiah(units):
    """An exact amount: whole rupiah here, so no nanos. Never a float."""
    return money_pb2.Money(currency_code="IDR", units=units)


def day(days):
    """So many days after the fund was opened, a year ago."""
    date = OPENED + datetime.timedelta(days=days)
    return date_pb2.Date(year=date.year, month=date.month, day=date.day)


def bank(reference):
    """The bank's own name for one movement of cash; at most one live posting may use it."""
    return types.BankReference(bank="BJB", reference=reference)


def evidence(reference):
    """A reference and a salted digest. The salt stays with the document, outside the ledger."""
    salt, document = os.urandom(16), reference.encode()
    return types.Evidence(reference=reference, salted_digest=hashlib.sha256(salt + document).digest())


class Office:
    """One person at a desk: a principal, and the calls they make on one ledger."""

    def __init__(self, channel, name, principal):
        self.stub = ledger_grpc.LedgerServiceStub(channel)
        self.name = name
        self.metadata = (("bergulir-principal", principal),)

    def __call__(self, field, command):
        """Sends one command by its own method; `field` is its name in snake case.

        The request id makes a retry safe: with the same id the ledger answers the first receipt
        again and records nothing. So a call whose outcome is unknown is simply sent once more.
        """
        method = "".join(word.capitalize() for word in field.split("_"))
        request = getattr(ledger, method + "Request")(
            ledger=self.name, request_id=str(uuid.uuid4()), **{field: command}
        )
        for attempt in range(3):
            try:
                return getattr(self.stub, method)(request, metadata=self.metadata, timeout=10)
            except grpc.RpcError as error:
                unknown = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
                if error.code() not in unknown or attempt == 2:
                    raise


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--address", default="127.0.0.1:7447")
    arguments.add_argument("--ledger", default=f"pilot-{uuid.uuid4().hex[:8]}")
    options = arguments.parse_args()
    channel = grpc.insecure_channel(options.address)
    name = f"ledgers/{options.ledger}"
    maker = Office(channel, name, "officer-1")
    checker = Office(channel, name, "officer-2")

    maker("open_ledger", commands.OpenLedger(
        origin=f"ledger.example.go.id/{options.ledger}",
        region="36.03", currency_code="IDR", utc_offset_minutes=420, rules_version=3))
    maker("open_fund", commands.OpenFund(
        fund="dana-bergulir", display_name="Dana Bergulir", opening_date=day(0),
        terms=types.Terms(
            kind=types.FUND_KIND_LOAN, ceiling=rupiah(3_000_000_000),
            required_readiness=[types.READINESS_ITEM_BUSINESS_NUMBER,
                                types.READINESS_ITEM_BUSINESS_PLAN],
            loan=types.LoanTerms(rate_percent="5", method=types.INTEREST_METHOD_FLAT,
                                 tenor_months=36, grace_months=3))))
    maker("allocate_fund", commands.AllocateFund(
        fund="dana-bergulir", amount=rupiah(COOPERATIVES * PRINCIPAL),
        source=types.ALLOCATION_SOURCE_APBD, reference="SK-900",
        bank_reference=bank("ALOKASI-1"), value_date=day(3)))

    for n in range(1, COOPERATIVES + 1):
        village = f"36.03.01.2{n:03}"
        kop, holder = f"kdmp-{n:03}", f"Koperasi Desa Merah Putih {n:03}"
        maker("register_cooperative", commands.RegisterCooperative(
            cooperative=kop, village_code=village, kind=types.COOPERATIVE_KIND_KDMP,
            registered_name=holder))
        maker("appoint_officer", commands.AppointOfficer(
            cooperative=kop, office=types.OFFICE_CHAIR, officer=f"ketua-{n:03}"))
        maker("appoint_officer", commands.AppointOfficer(
            cooperative=kop, office=types.OFFICE_TREASURER, officer=f"bendahara-{n:03}"))
        maker("confirm_readiness", commands.ConfirmReadiness(
            cooperative=kop, item=types.READINESS_ITEM_BUSINESS_NUMBER, number=f"{n:013}",
            evidence=evidence(f"NIB-{n:03}")))
        maker("confirm_readiness", commands.ConfirmReadiness(
            cooperative=kop, item=types.READINESS_ITEM_BUSINESS_PLAN,
            evidence=evidence(f"RENCANA-{n:03}")))
        maker("open_account", commands.OpenAccount(
            fund="dana-bergulir", account=kop, cooperative=kop, holder=holder,
            bank_account=types.BankAccount(bank="BJB", number=f"00{n:08}")))
        maker("propose_loan", commands.ProposeLoan(
            fund="dana-bergulir", account=kop, loan=f"pinjaman-{n:03}", principal=rupiah(PRINCIPAL),
            contract_reference=f"PK-{n:03}", chair=f"ketua-{n:03}",
            treasurer=f"bendahara-{n:03}"))
        # The maker cannot approve what the maker proposed.
        checker("approve_loan", commands.ApproveLoan(loan=f"pinjaman-{n:03}"))
        maker("disburse", commands.Disburse(
            loan=f"pinjaman-{n:03}", amount=rupiah(PRINCIPAL), bank_reference=bank(f"CAIR-{n:03}"),
            value_date=day(30)))

    def repay(n, month, reference):
        principal, interest = INSTALMENT
        return maker("repay", commands.Repay(
            loan=f"pinjaman-{n:03}", amount=rupiah(principal + interest),
            principal=rupiah(principal), interest=rupiah(interest),
            bank_reference=bank(reference), value_date=day(30 + 30 * month)))

    # One repayment goes to the wrong cooperative: undone by a second person, then posted anew
    # under the same bank reference, which the reversal set free.
    wrong = repay(2, 4, "ANGSUR-04-001")
    proposal = maker("propose_reversal", commands.ProposeReversal(
        reverses=wrong.receipt.position, reason="salah koperasi"))
    checker("approve_reversal", commands.ApproveReversal(proposal=proposal.receipt.position))
    for month in (4, 5, 6):
        for n in range(1, COOPERATIVES + 1):
            repay(n, month, f"ANGSUR-{month:02}-{n:03}")

    answer = query_grpc.QueryServiceStub(channel).GetFund(
        query.GetFundRequest(name=f"{name}/funds/dana-bergulir"), metadata=maker.metadata)
    balances = answer.fund.balances
    paid = 3 * COOPERATIVES
    expected = {
        "capital": COOPERATIVES * PRINCIPAL,
        "principal_receivable": COOPERATIVES * PRINCIPAL - paid * INSTALMENT[0],
        "interest_income": paid * INSTALMENT[1],
        "cash": paid * sum(INSTALMENT),
        "available": paid * INSTALMENT[0],
    }
    wrong_figures = 0
    for book, units in expected.items():
        found = getattr(balances, book)
        agrees = found.units == units and found.nanos == 0
        wrong_figures += not agrees
        print(f"{book:22} Rp{found.units:>16,}  {'ok' if agrees else f'expected Rp{units:,}'}")
    sys.exit(1 if wrong_figures else 0)


if __name__ == "__main__":
    main()
