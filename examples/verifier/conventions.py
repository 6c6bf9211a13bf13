"""Conventions: the forms that all sections share, and the two ways in which a check ends badly."""

import base64
import hashlib
import re

ZERO_HASH = bytes(32)
ID = re.compile(rb"[a-z0-9.-]{1,32}")


class Invalid(Exception):
    """What was handed out is wrong; with the position of the first bad record, if there is one."""

    def __init__(self, why, position=None):
        super().__init__(why)
        self.position = position


class NotOfForm(Invalid):
    """What was handed out cannot be read: it is not of the form that it should have."""


class CannotTell(Exception):
    """Something that the check needs is missing or not understood."""


def require(holds, why, position=None):
    if not holds:
        raise Invalid(why, position)


def require_form(holds, why):
    if not holds:
        raise NotOfForm(why)


class AtPosition:
    """`with AtPosition(p):` what is wrong inside is wrong with the record at position p."""

    def __init__(self, position):
        self.position = position

    def __enter__(self):
        return self

    def __exit__(self, kind, bad, trace):
        if isinstance(bad, Invalid) and bad.position is None:
            bad.position = self.position


def given(what, form, *arguments):
    """What the caller gave: if it is wrong, the bundle is not to blame."""
    try:
        return form(*arguments)
    except Invalid as bad:
        raise CannotTell(f"{what}: {bad}") from None


def read(path):
    with open(path, "rb") as file:
        return file.read()


def sha256(data):
    return hashlib.sha256(data).digest()


def decimal(text, what):
    """An unsigned 64-bit number, decimal, without leading zeros."""
    right = re.fullmatch("0|[1-9][0-9]{0,19}", text) and int(text) < 1 << 64
    require_form(right, f"{what} is not a number: {text[:40]!a}")
    return int(text)


def unbase64(text, what):
    """RFC 4648, section 4, with padding and zero bits at the end: one text for one byte string."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = None
    right = data is not None and base64.b64encode(data).decode() == text
    require_form(right, f"{what} is not Base64: {text[:40]!a}")
    return data


def hash_line(text, what):
    data = unbase64(text, what)
    require_form(len(data) == 32, f"{what} is not a hash: it has {len(data)} bytes")
    return data


def utf8(data, what):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotOfForm(f"{what} is not UTF-8") from None


def lines_of(data, what):
    """Lines that each end with 0A."""
    text = utf8(data, what)
    require_form(text.endswith("\n"), f"the last line of {what} does not end")
    return text[:-1].split("\n")


def split_at_empty_line(data, what):
    """The lines before the first empty line, and the bytes after it."""
    head, separator, rest = data.partition(b"\n\n")
    require_form(separator, f"{what} has no empty line")
    return lines_of(head + b"\n", what), rest
