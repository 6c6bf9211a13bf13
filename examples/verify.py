#!/usr/bin/env python3
"""Checks what a Bergulir ledger hands out, without any of its software.

    python3 verify.py BUNDLE                   an audit bundle, of kind log, range or cooperative
    python3 verify.py X.tlog-proof --key K     that a record is in the log
    python3 verify.py X.balance-proof --key K  that a fund or an account had these balances, or that
                                               there was none of that name

    --key K         the log's verifier key, as you got it from elsewhere; may be repeated. Without
                    one, a bundle is checked with the key that it names itself; the report says so
    --policy FILE   the logs and witnesses that you trust, and how many witnesses it takes
    --since FILE    a checkpoint that you kept: the log must only have been extended since
    --json          the report as JSON

Exit status: 0 valid; 1 invalid, with the first bad position and why; 2 could not tell: a file that
cannot be read, a key that is missing, a wrong call.

Needs Python 3.9 or newer, and the folder `verifier` beside it; nothing else. It was written from
docs/format.md alone, as a second opinion; each module of `verifier` names its section.

It checks bytes, hashes, proofs and signatures. It does not decide the rules of the trade: whether a
command should have been accepted, and whether the balances that a seal names are the sums of the
records. `bergulir audit verify` does. Every report says what was checked and what was not.
"""

import argparse
import json
import os
import sys

from verifier.bundles import check_bundle
from verifier.conventions import CannotTell, Invalid, given, read
from verifier.notes import LOG, Checkpoint, parse_key
from verifier.proofs import check_proof_file
from verifier.trust import Policy, Trust


class Report:
    """What was checked, what was not, and what was found."""

    def __init__(self):
        self.facts, self.done, self.left_out, self.accounts = {}, [], [], []

    def checked(self, what):
        self.done.append(what)

    def not_checked(self, what):
        self.left_out.append(what)

    def balances(self, proof):
        """In minor units of the ledger's currency (sen)."""
        seal = {"seal": proof.seal.position, "through": proof.seal.through}
        leaf = {"records": proof.leaf.records, "balances": proof.leaf.balances}
        self.accounts.append({"of": list(proof.owner), **seal, **leaf})

    def print(self, verdict, why, position, as_json):
        if as_json:
            found = {"verdict": verdict, "position": position, "why": why, **self.facts}
            found.update(checked=self.done, not_checked=self.left_out, balances=self.accounts)
            print(json.dumps(found, indent=2))
            return
        at = "" if position is None else f" at position {position}"
        print(f"{verdict}{at}{': ' if why else ''}{why or ''}")
        for name, value in self.facts.items():
            print(f"  {name.replace('_', ' ')}: {value}")
        for account in self.accounts:
            amounts = ", ".join(f"{name} {value}" for name, value in account["balances"].items())
            print(f"  {' '.join(account['of'])} at {account['through']}, in sen: {amounts}")
        for line in self.done:
            print(f"  checked: {line}")
        for line in self.left_out:
            print(f"  not checked: {line}")


def verify(options, report):
    keys = [given("--key", parse_key, text, LOG) for text in options.key]
    policy = given("--policy", Policy, read(options.policy)) if options.policy else None
    older = given("--since", Checkpoint, read(options.since)) if options.since else None
    trust = Trust(keys, policy)
    if os.path.isdir(options.path):
        check_bundle(options.path, trust, older, report)
    elif not options.path.endswith((".tlog-proof", ".balance-proof")):
        raise CannotTell("neither a folder nor a file *.tlog-proof or *.balance-proof")
    elif older:
        raise CannotTell("--since needs a bundle")
    else:
        check_proof_file(options.path, trust, report)


def main():
    form = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("path", metavar="BUNDLE | PROOF")
    parser.add_argument("--key", metavar="K", action="append", default=[])
    parser.add_argument("--policy", metavar="FILE")
    parser.add_argument("--since", metavar="FILE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")
    report, verdict, why, position, status = Report(), "valid", None, None, 0
    try:
        verify(options, report)
    except Invalid as bad:
        verdict, why, position, status = "invalid", str(bad), bad.position, 1
    except (CannotTell, OSError, KeyboardInterrupt) as unknown:
        verdict, why, status = "could not tell", str(unknown) or "interrupted", 2
    except Exception as unforeseen:  # an auditor gets a verdict, never a traceback
        verdict, why, status = "could not tell", f"this program failed: {unforeseen!r}", 2
    try:
        report.print(verdict, why, position, options.json)
        sys.stdout.flush()
    except OSError:  # whoever read the report went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return status


if __name__ == "__main__":
    sys.exit(main())
