"""Checkpoints: Keys, Signed note, Checkpoint, Cosignature."""

from typing import NamedTuple

from . import ed25519
from .conventions import decimal, hash_line, require, sha256, unbase64, utf8

LOG, WITNESS = 1, 4


class Key(NamedTuple):
    text: str
    name: str
    id: bytes
    type: int
    public: bytes


def check_name(name):
    """Keys: a name has 1 to 255 bytes without white space, control characters and `+`."""
    bad = any(c.isspace() or c == "+" or c < " " or "\x7f" <= c <= "\x9f" for c in name)
    require(not bad and 1 <= len(name.encode()) <= 255, f"{name[:80]!a} is not the name of a key")


def parse_key(text, type_wanted):
    """Keys: a verifier key, name + key id + Base64(type and public key)."""
    parts = utf8(text.encode("utf-8", "surrogateescape"), "the verifier key").split("+", 2)
    require(len(parts) == 3, f"{text[:80]!a} is not a verifier key")
    check_name(parts[0])
    data = unbase64(parts[2], "the verifier key")
    key_id = sha256(parts[0].encode() + b"\n" + data)[:4]
    right = len(data) == 33 and data[0] == type_wanted and parts[1] == key_id.hex()
    require(right, f"{text[:80]!a} is not a verifier key of type {type_wanted:02}")
    point = ed25519.read_point(data[1:])
    require(point, f"the public key of {text[:80]!a} is no point, or one of small order")
    return Key(text, parts[0], key_id, type_wanted, data[1:])


def parse_note(data):
    """Signed note: text, an empty line, 1 to 64 signature lines: name, key id, signature."""
    note = utf8(data, "the checkpoint")
    right = len(data) <= 524_288 and all(c >= " " or c == "\n" for c in note)
    require(right, "the checkpoint is too long or has control characters")
    text, separator, rest = note.rpartition("\n\n")
    lines = rest.split("\n")
    right = separator and lines.pop() == "" and 1 <= len(lines) <= 64
    require(right, "the checkpoint is not a signed note")
    signatures = []
    for line in lines:
        words = line.split(" ")
        right = len(words) == 3 and words[0] == "\u2014"
        require(right, "the checkpoint has a line that is not a signature")
        check_name(words[1])
        signature = unbase64(words[2], "a signature of the checkpoint")
        require(len(signature) >= 5, "the checkpoint has a signature that is too short")
        signatures.append((words[1], signature[:4], signature[4:]))
    return text + "\n", signatures


class Checkpoint:
    """Checkpoint: origin, size, root; nothing else in the text."""

    def __init__(self, note):
        self.note = note
        self.text, self.signatures = parse_note(note)
        lines = self.text[:-1].split("\n")
        require(len(lines) == 3, f"the checkpoint has {len(lines)} lines instead of 3")
        self.origin = lines[0]
        check_name(self.origin)
        self.size = decimal(lines[1], "the size in the checkpoint")
        self.root = hash_line(lines[2], "the root in the checkpoint")
        fits = self.size > 0 or self.root == sha256(b"")
        require(fits, "the checkpoint has no records and the root of some")


def check_signatures(checkpoint, keys, what="the checkpoint"):
    """Signed note, Cosignature: the known keys that signed, each with its time, if it has one."""
    signed = {}
    for name, key_id, signature in checkpoint.signatures:
        for key in keys:
            if (key.name, key.id) != (name, key_id):
                continue
            message, bare, time = checkpoint.text.encode(), signature, None
            if key.type == WITNESS:
                time, bare = int.from_bytes(signature[:8], "big"), signature[8:]
                message = f"cosignature/v1\ntime {time}\n".encode() + message
            right = (time or 0) < 1 << 63 and ed25519.verifies(key.public, message, bare)
            require(right, f"the signature of {name} {key_id.hex()} on {what} is wrong")
            signed[key] = time
    return signed
