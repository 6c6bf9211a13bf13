"""Policy, Keys of a log: whose signatures a checkpoint must have to be believed."""

import re

from .conventions import CannotTell, Invalid, decimal, require, utf8
from .notes import LOG, WITNESS, check_signatures, parse_key


class Policy:
    """Policy: the lines log, witness, group and quorum."""

    def __init__(self, data):
        self.logs, self.witnesses, self.groups = [], {}, {}
        quorum, in_groups = [], set()
        for number, line in enumerate(utf8(data, "the policy").split("\n"), 1):
            words = [word for word in re.split("[ \t]+", line) if word]
            where = Invalid(f"line {number} of the policy is not understood: {line[:80]!a}")
            if not words or line.startswith("#"):
                continue
            known = {"none", *self.witnesses, *self.groups}
            if words[0] == "log" and len(words) in (2, 3):
                self.logs.append(parse_key(words[1], LOG))
            elif words[0] == "witness" and len(words) in (3, 4) and words[1] not in known:
                self.witnesses[words[1]] = parse_key(words[2], WITNESS)
            elif words[0] == "group" and len(words) >= 4 and words[1] not in known:
                members = set(words[3:])
                takes = {"any": "1", "all": str(len(members))}.get(words[2], words[2])
                takes = decimal(takes, "a group's number")
                once = len(members) == len(words) - 3 and members <= known - {"none"} - in_groups
                if not once or not 1 <= takes <= len(members):
                    raise where
                in_groups |= members
                self.groups[words[1]] = (takes, members)
            elif words[0] == "quorum" and len(words) == 2 and words[1] in known:
                quorum.append(words[1])
            else:
                raise where
        for keys in (self.logs, self.witnesses.values()):
            right = len({key.public for key in keys}) == len(keys) <= 256
            require(right, "the policy names a key twice, or too many")
        require(len(quorum) == 1, "the policy has not exactly one quorum line")
        right = len(self.groups) <= 256 and len(data) <= 262_144
        require(right, "the policy has too many groups or bytes")
        self.quorum = quorum[0]

    def stands(self, name, signed):
        """Whether a witness or a group stands for a checkpoint."""
        if name in self.witnesses:
            return self.witnesses[name] in signed
        takes, members = self.groups[name]
        return sum(self.stands(member, signed) for member in members) >= takes


class Trust:
    """Keys of a log: which keys are believed, those given by hand and those that the log names.

    `named` are the keys that the log's own records name, each with its position, ascending.
    """

    def __init__(self, keys, policy):
        self.policy = policy or Policy(b"quorum none\n")
        self.given, self.doubts = keys + self.policy.logs, []

    def check(self, checkpoint, named, report, witnessed=None):
        """It is signed by the key in force, by a given key, and by enough witnesses.

        `witnessed` is an older checkpoint for which the witnesses may stand instead.
        `named` is None where nothing says which keys the log names: for a proof.
        """
        known = [key for position, key in named or [] if position < checkpoint.size]
        by_log = [key for key in self.given if key.name == checkpoint.origin]
        if named is None and not self.given:
            raise CannotTell("nothing names a key of the log: give one with --key")
        believed = by_log if named is None else [key for key in self.given if key in known]
        signed = check_signatures(checkpoint, {*by_log, *known, *self.policy.witnesses.values()})
        if named is not None:
            require(known, "none of the records names a key of the log")
            own = known[-1].name == checkpoint.origin and known[-1] in signed
            require(own, "the checkpoint is not signed by the key in force")
            report.checked("the checkpoint is signed by the log's key in force")
        none = f"none of the given keys is one that the log {checkpoint.origin!a} names"
        require(believed or not self.given, none)
        of_origin = [key for key in believed if key.name == checkpoint.origin]
        vouching = [key for key in of_origin if key in signed]
        if self.given and not vouching:
            self.doubts.append(self.silent(checkpoint, believed, named))
        if vouching:
            report.checked("a given key, which the log names, signed the checkpoint")
        by = known[-1] if known else next(iter(vouching), None)
        facts = {"origin": checkpoint.origin, "size": checkpoint.size}
        report.facts.update(facts, root=checkpoint.root.hex(), key=by and by.text)
        if named is None:
            report.not_checked("that the key is in force: a proof does not say what the log names")
        if not self.given:
            report.not_checked("that the key is the log's: the bundle names it itself, compare it")
        self.check_witnesses(signed, checkpoint, self.older(witnessed, named), report)

    def silent(self, checkpoint, believed, named):
        """Why a given key says nothing of the checkpoint: it did not sign it."""
        if named is None:
            ids = [i.hex() for name, i, _ in checkpoint.signatures if name == checkpoint.origin]
            return f"no given key signed; of the log's name did {', '.join(ids)}: ask about it"
        at = {key: position for position, key in named if position < checkpoint.size}
        key, signer = believed[-1], max(at, key=at.get)
        return (
            f"the checkpoint is signed by {signer.text}, named at {at[signer]}; the given key "
            f"{key.text}, named at {at[key]}, did not sign it: ask whether it was handed over"
        )

    def older(self, witnessed, named):
        """The older checkpoint with who signed it, which the key then in force must have."""
        if witnessed is None:
            return None
        known = [key for position, key in named if position < witnessed.size]
        keys = {*known, *self.policy.witnesses.values()}
        signed = check_signatures(witnessed, keys, "checkpoint.witnessed")
        own = known and known[-1].name == witnessed.origin and known[-1] in signed
        require(own, "checkpoint.witnessed is not signed by the key in force")
        return witnessed.size, signed

    def check_witnesses(self, signed, checkpoint, older, report):
        """Policy: a quorum stands for the checkpoint, or for the older one."""
        if self.policy.quorum == "none":
            report.not_checked("witnesses: no policy asks for any")
        elif self.policy.stands(self.policy.quorum, signed):
            self.cosigned(signed, checkpoint.size, report)
        elif older and self.policy.stands(self.policy.quorum, older[1]):
            size, signed = older
            self.cosigned(signed, size, report)
            rest = f"the records from position {size} on: only the log's own key vouches for them"
            report.not_checked(f"whether others were shown {rest}")
        else:
            self.doubts.append(f"too few witnesses signed for the quorum {self.policy.quorum!a}")

    def cosigned(self, signed, size, report):
        report.facts["cosigned"] = {k.name: signed[k] for k in signed if k.type == WITNESS}
        report.facts["witnessed_size"] = size
        report.checked(f"the witnesses that the policy asks for cosigned the first {size} records")

    def check_older(self, checkpoint, named):
        """A checkpoint that the caller kept: signed by the key that was in force at its size."""
        known = [key for position, key in named if position < checkpoint.size]
        signed = check_signatures(checkpoint, known, "the older checkpoint")
        right = known and known[-1] in signed
        require(right, "the older checkpoint is not signed by the key in force at its size")

    def settle(self):
        """What was asked for and could not be shown, once nothing was found to be wrong."""
        if self.doubts:
            raise CannotTell("; ".join(self.doubts))
