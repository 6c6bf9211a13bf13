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
        self.given = keys + self.policy.logs

    def keys_for(self, checkpoint, named):
        """The key in force, as a list, and the given keys of this log."""
        in_force = [key for position, key in named if position < checkpoint.size][-1:]
        return in_force, [key for key in self.given if key.name == checkpoint.origin]

    def check(self, checkpoint, named, report):
        """It is signed by the key in force, and by the witnesses that the policy wants."""
        in_force, given = self.keys_for(checkpoint, named)
        known = given or not self.given
        require(known, f"none of the given keys is one of the log {checkpoint.origin!a}")
        if not in_force and not given:
            raise CannotTell("nothing names a key of the log: give one with --key")
        believed = in_force or given
        known = believed[0] in given or not given
        require(known, f"the key in force, {believed[0].text}, is not one that was given")
        known = {*given, *(key for _, key in named), *self.policy.witnesses.values()}
        signed = check_signatures(checkpoint, known)
        by = next((key for key in believed if key in signed), None)
        require(by is not None, "the checkpoint is not signed by the key in force")
        facts = {"origin": checkpoint.origin, "size": checkpoint.size}
        report.facts.update(facts, root=checkpoint.root.hex(), key=by.text)
        report.checked("the checkpoint is signed by the log's key in force")
        if not in_force:
            report.not_checked("that the key was not replaced since: a proof does not say it")
        if not given:
            report.not_checked("that the key is the log's: the bundle names it itself, compare it")
        if self.policy.quorum == "none":
            report.not_checked("witnesses: no policy asks for any")
        else:
            enough = self.policy.stands(self.policy.quorum, signed)
            require(enough, f"too few witnesses signed for the quorum {self.policy.quorum!a}")
            report.facts["cosigned"] = {k.name: signed[k] for k in signed if k.type == WITNESS}
            report.checked("the witnesses that the policy asks for cosigned the checkpoint")

    def check_older(self, checkpoint, named):
        """A checkpoint that the caller kept: signed by the key that was in force at its size."""
        in_force, given = self.keys_for(checkpoint, named)
        signed = check_signatures(checkpoint, in_force or given, "the older checkpoint")
        require(signed, "the older checkpoint is not signed by the key in force at its size")
