"""Events: as much of protobuf and of the events as it takes to find keys, seals and accounts."""

from .conventions import AtPosition, require, utf8
from .notes import LOG, parse_key
from .origins import Origins

# Field numbers of `Event`; those of its members are in proto/bergulir/v1/event.proto.
OPENED_ACCOUNT, RETURNED, PROPOSED_REVERSAL, WITHDRAWN = 6, 10, 11, 21
SEALED, OPENED_LEDGER, ROTATED_KEY, CONTINUED = 13, 16, 29, 30
EVENTS = set(range(1, 41))


def varint(data, at):
    """A protobuf varint of at most 64 bits, as short as it can be."""
    value, shift = 0, 0
    while True:
        require(at < len(data) and shift <= 63, "the event is not protobuf")
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            shortest = byte > 0 or shift == 7
            require(shortest and value < 1 << 64, "the event is not in its one form")
            return value, at


class Message:
    """A message, its fields ascending, each at most once, none unknown. Numbers and bytes."""

    def __init__(self, data, known):
        self.fields, at, before = {}, 0, 0
        while at < len(data):
            tag, at = varint(data, at)
            number, wire = tag >> 3, tag & 7
            fits = number > before and number in known and wire in (0, 2)
            require(fits, "the event has a field that is unknown or out of order")
            value, at = varint(data, at)
            if wire == 2:
                value, at = data[at : at + value], at + value
            require(at <= len(data), "the event ends too early")
            self.fields[number], before = value, number

    def number(self, field):
        value = self.fields.get(field)
        right = value is None or isinstance(value, int) and value
        require(right, "the event is not in its one form")
        return value or 0

    def text(self, field):
        value = self.fields.get(field, b"")
        require(isinstance(value, bytes), "the event has a number where a text stands")
        return utf8(value, "the event")


def parse_event(record):
    """Exactly one member of the `oneof`. Returns its field number and its bytes."""
    members = list(Message(record.event, EVENTS).fields.items())
    one = len(members) == 1 and isinstance(members[0][1], bytes)
    require(one, "the record is not exactly one event")
    return members[0]


# Of the events that name another record in their field 1, all fields.
NAMING = {RETURNED: range(1, 6), PROPOSED_REVERSAL: range(1, 7), WITHDRAWN: range(1, 4)}


def named_in_turn(record):
    """The record that one needs which is to be undone: a return and a withdrawal name it."""
    kind, body = parse_event(record)
    return Message(body, NAMING[kind]).number(1) if kind in (RETURNED, WITHDRAWN) else None


class Seal:
    """Seals: what a `Sealed` says. Only the server makes them."""

    def __init__(self, record):
        kind, body = parse_event(record)
        require(kind == SEALED, "the record is not a seal")
        sealed, self.position = Message(body, {1, 2, 3}), record.position
        self.through = sealed.number(1)
        self.balance_root, self.state_digest = hashes = sealed.fields.get(2), sealed.fields.get(3)
        right = all(isinstance(value, bytes) and len(value) == 32 for value in hashes)
        right = right and self.through < self.position and record.authentication == 1
        require(right, "the seal is not one that a server makes")


class History:
    """What the records of a log say that matters here: keys, seals, accounts, records they name."""

    def __init__(self):
        self.origins, self.keys, self.seals = Origins(), [], []
        self.accounts, self.named, self.undone, self.in_turn = {}, set(), set(), {}

    def take(self, record):
        """Takes the next record, and returns its seal if it is one."""
        with AtPosition(record.position):
            kind, body = parse_event(record)
            if record.position == 0:
                require(kind == OPENED_LEDGER, "the record at position 0 does not open a ledger")
                opened = Message(body, range(1, 8))
                self.origins.begin(0, opened.text(2))
                if 3 in opened.fields:
                    self.take_key(0, opened.text(3))
            elif kind == CONTINUED:
                continued = Message(body, range(1, 7))
                self.origins.go_on(record.position, continued, self.keys)
                self.take_key(record.position, continued.text(3))
            elif kind == ROTATED_KEY:
                self.take_key(record.position, Message(body, {1}).text(1))
            elif kind == SEALED:
                seal = Seal(record)
                after = not self.seals or seal.through > self.seals[-1].through
                require(after, "the seal does not come after the seal before it")
                self.seals.append(seal)
                return seal
            elif kind == OPENED_ACCOUNT:
                opened = Message(body, range(1, 6))
                account = opened.text(1), opened.text(2)
                self.accounts[account] = (record.position, opened.text(3))
            elif kind in NAMING:
                named = Message(body, NAMING[kind]).number(1)
                if kind != WITHDRAWN:
                    self.named.add(named)
                if kind == PROPOSED_REVERSAL:
                    self.undone.add(named)
                else:
                    self.in_turn[record.position] = named
        return None

    def needed(self, start, records):
        """The records before `start` that it takes to decide those after it; `records` are there."""
        needed = set(self.named)
        for position in self.undone:
            if position in records:
                with AtPosition(position):
                    needed.add(named_in_turn(records[position]))
            else:
                needed.add(self.in_turn.get(position))
        return {position for position in needed if position is not None and position < start}

    def begin(self, snapshot):
        """The log begins after a snapshot: its keys tell the origins before, and itself the last."""
        for position, text in snapshot.keys:
            self.origins.begin_if_new(position, text.partition("+")[0])
            self.take_key(position, text)
        self.origins.begin_if_new(0, snapshot.origin)
        last = self.origins.now == snapshot.origin
        require(last, "the last key in the state is not of the state's origin")

    def take_key(self, position, text):
        with AtPosition(position):
            key = parse_key(text, LOG)
            own = key.name == self.origins.now
            require(own, f"the key {text[:80]!a} is not named as the origin")
            after = not self.keys or position > self.keys[-1][0]
            require(after, "the keys of the log are not in the order of their records")
            self.keys.append((position, key))
