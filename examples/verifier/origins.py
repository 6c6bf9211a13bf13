"""Origins of a log: the names that it had one after another, and what it says of a loss."""

from .conventions import CannotTell, Invalid, require
from .notes import Checkpoint, check_name, check_signatures


def in_force(keys, size):
    """Keys of a log: the key that the last of so many records names which name one."""
    return next((key for position, key in reversed(keys) if position < size), None)


class Continued:
    """What a `LedgerContinued` says of the origin until then."""

    def __init__(self, position, event, keys):
        self.position, self.origin, self.old = position, event.text(2), event.text(4)
        forked, self.checkpoint, self.compared = event.number(6), None, True
        require(forked <= 1, "the event is not in its one form")
        self.forked = forked == 1
        if 5 not in event.fields:
            require(not self.forked, "another history is spoken of, and no checkpoint named")
            return
        note = event.text(5).encode()
        require(0 < len(note) <= 16_384, "the checkpoint that is named is too long, or empty")
        self.checkpoint = Checkpoint(note)
        key = in_force(keys, min(self.checkpoint.size, position))
        own = self.checkpoint.origin == self.old and key is not None and key.name == self.old
        require(own, "the checkpoint that is named is not of the origin until here")
        signed = key in check_signatures(self.checkpoint, [key], "the checkpoint that is named")
        require(signed, "the checkpoint that is named is not signed by the key then in force")
        beyond = self.checkpoint.size > position
        require(not (beyond and self.forked), "there are too few records to speak of two histories")
        self.compared = beyond

    def compare(self, root):
        """Holds the checkpoint against the root over the records that it covers."""
        same, self.compared = root == self.checkpoint.root, True
        why = "are those" if same else "are not those"
        size = self.checkpoint.size
        right = same != self.forked
        require(right, f"the first {size} records {why} of the checkpoint named", self.position)

    def told(self):
        size = self.checkpoint and self.checkpoint.size
        known = size is not None and not self.forked
        return {
            "position": self.position,
            "from_origin": self.old,
            "origin": self.origin,
            "checkpoint": size,
            "lost": max(size - self.position, 0) if known else None,
            "forked": self.forked,
        }


class Origins:
    """The origins of a log, each with the position that names it, ascending."""

    def __init__(self):
        self.named, self.continued = [], []

    @property
    def now(self):
        return self.named[-1][1] if self.named else None

    def since(self, origin):
        return next((position for position, name in self.named if name == origin), None)

    def after(self, size):
        """The origin after so many records."""
        return next((name for position, name in reversed(self.named) if position < size), None)

    def begin(self, position, origin):
        check_name(origin)
        require(self.since(origin) is None, f"the log had the origin {origin!a} before")
        self.named.append((position, origin))

    def begin_if_new(self, position, origin):
        if self.since(origin) is None:
            self.begin(position, origin)

    def go_on(self, position, event, keys):
        """Takes a `LedgerContinued`."""
        old = event.text(4)
        require(old == self.now, f"the origin until here was not {old!a}")
        self.continued.append(Continued(position, event, keys))
        self.begin(position, event.text(2))

    def compare(self, first, root_over, report):
        """Holds the named checkpoints against the records from `first` on, if those are there."""
        for continued in self.continued:
            size = continued.checkpoint.size if continued.checkpoint else 0
            if not continued.compared and root_over and size >= first:
                continued.compare(root_over(size))
            if not continued.compared:
                report.not_checked(
                    f"that the first {size} records are those of the checkpoint that position "
                    f"{continued.position} names: they are not all here"
                )
        if self.continued:
            report.facts["continued"] = [continued.told() for continued in self.continued]
            report.checked("each new origin of the log, and what is said of the one before it")

    def check_older(self, older, keys):
        """What was kept of another origin than the log had then. Says if it tells nothing."""
        if self.after(older.size) == older.origin:
            return
        begins = self.since(older.origin)
        if begins is None:
            raise CannotTell("the checkpoint is of another log")
        own = [key for _, key in keys if key.name == older.origin]
        if begins >= older.size:
            if check_signatures(older, own, "the older checkpoint"):
                why = f"two histories were signed under {older.origin!a}, which begins here"
                raise Invalid(why, begins)
            raise CannotTell("the checkpoint is of another log")
        ends = next(position for position, _ in self.named if position > begins)
        key = in_force(keys, ends)
        if key not in check_signatures(older, own, "the older checkpoint"):
            raise CannotTell("no key that the log had then signed the checkpoint")
        lost = f"the records {ends} to {older.size - 1} of the checkpoint kept are lost"
        raise Invalid(f"{lost}: the log goes on under another origin", ends)
