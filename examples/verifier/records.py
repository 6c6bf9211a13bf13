"""Segment, Frame, Record, Hashes and the chain: a log as it lies in a folder."""

import re
import struct
import zlib

from .conventions import ZERO_HASH, AtPosition, CannotTell, require, sha256
from .trees import Tree

PRINCIPAL = re.compile(rb"[A-Za-z0-9._:@/-]{1,64}")


def known_version(magic, data, what):
    """What is whole and of another version, newer software may know."""
    if len(data) > len(magic) and data[:-1] == magic and data[-1] != 1:
        raise CannotTell(f"{what} is of version {data[-1]}, which is not known here")


class Record:
    """Record: exactly these bytes, and nothing after them."""

    def __init__(self, data, position):
        require(78 <= len(data) <= 65_535, f"the record has {len(data)} bytes")
        version, self.authentication, p, reserved = data[:4]
        self.following, self.position, self.previous, self.recorded_at, _, e, signature = (
            struct.unpack_from("<IQ32sq16sHH", data, 4)
        )
        require((version, reserved, signature) == (1, 0, 0), "the record is not one of version 1")
        require(self.position == position, f"the record says that it is at {self.position}")
        require(e > 0 and 76 + p + e == len(data), "the lengths in the record are wrong")
        principal, self.event = data[76 : 76 + p], data[76 + p :]
        require(PRINCIPAL.fullmatch(principal), "the record's principal is none")
        by_system = principal == b"system"
        right = self.authentication <= 3 and by_system == (self.authentication == 1)
        require(right, "the record's authentication is none, or not one of its principal")
        self.hash = sha256(b"\x00" + data)


def check_segment_header(name, data, chain):
    """Segment: 64 bytes that say which chain it goes on with."""
    require(len(data) >= 64, f"segment {name} is shorter than its header")
    first, previous, reserved, crc = struct.unpack_from("<Q32s12sI", data, 8)
    require(zlib.crc32(data[:60]) == crc, f"the header of segment {name} is damaged")
    known_version(b"BGSG", data[:5], f"segment {name}")
    right = data[:8] == b"BGSG\1\0\0\0" and not any(reserved)
    require(right, f"segment {name} is not of version 1")
    require(name == f"{first:020}.seg", f"segment {name} says that it begins at {first}")
    goes_on = (first, previous) == (chain.position, chain.hash)
    require(goes_on, f"segment {name} does not go on where the log before it ends")


def read_frame(data, start, position):
    """Frame: header, body, end mark. Returns the bytes of its records, and its end."""
    require(len(data) - start >= 32, "the frame is cut off")
    first, count, length, body_crc, crc = struct.unpack_from("<QIIII", data, start + 8)
    require(zlib.crc32(data[start : start + 28]) == crc, "the header of the frame is damaged")
    known_version(b"BGFR", data[start : start + 5], "a frame")
    right = data[start : start + 8] == b"BGFR\1\0\0\0" and count > 0 and length <= 16_777_216
    require(right, "the header of the frame is not one of version 1")
    require(first == position, f"the frame begins at position {first}")
    end = start + 32 + length + 1
    require(end <= len(data), "the frame is cut off")
    body = data[start + 32 : end - 1]
    require(zlib.crc32(body) == body_crc and data[end - 1] == 0x45, "the frame is damaged")
    for piece in range(-(-start // 512) * 512, end - 511, 512):
        require(any(data[piece : piece + 512]), "a piece of the frame is all zero")
    at, records = 0, []
    while at < length:
        size = int.from_bytes(body[at : at + 2], "big")
        records.append(body[at + 2 : at + 2 + size])
        at += 2 + size
    filled = at == length and len(records) == count
    require(filled, f"the frame's body is not its {count} records")
    return records, end


class Chain:
    """Where a chain of records stands, and the Merkle tree over it."""

    def __init__(self, position=0, previous=ZERO_HASH, recorded_at=-(1 << 63), peaks=()):
        self.position, self.hash = position, previous
        self.recorded_at, self.following = recorded_at, 0
        self.tree = Tree(0, 1, position, peaks)

    def follow(self, data):
        """The four rules of a chain, for the next record."""
        known_version(b"", data[:1], "a record")
        record = Record(data, self.position)
        linked = record.previous == self.hash
        require(linked, "the record does not name the hash of the record before")
        in_time = record.recorded_at >= self.recorded_at
        require(in_time, "the record was recorded before the record before it")
        in_batch = self.following in (0, record.following + 1)
        require(in_batch, "the record does not continue the batch before it")
        self.position, self.hash = record.position + 1, record.hash
        self.recorded_at, self.following = record.recorded_at, record.following
        self.tree.add(record.hash)
        return record

    def read_segment(self, name, data):
        """The records of a segment, checked, one after another."""
        with AtPosition(self.position):
            check_segment_header(name, data, self)
        at = 64
        while at < len(data) and data[at]:
            with AtPosition(self.position):
                records, at = read_frame(data, at, self.position)
            for record in records:
                with AtPosition(self.position):
                    record = self.follow(record)
                yield record
            require(not self.following, "a batch crosses the end of the frame", self.position - 1)
        require(
            not any(data[at:]), f"something follows the frames of segment {name}", self.position
        )
