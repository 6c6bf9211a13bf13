"""Merkle tree and proofs: Inclusion and Consistency. Absence is in `proofs`."""

from .conventions import require, sha256


class Tree:
    """A tree that grows by leaf hashes: of n leaves, one complete subtree for each bit set in n."""

    def __init__(self, leaf_prefix, node_prefix, size=0, peaks=()):
        self.leaf_prefix, self.node_prefix = bytes([leaf_prefix]), bytes([node_prefix])
        self.size, self.peaks = size, list(peaks)

    def leaf(self, data):
        return sha256(self.leaf_prefix + data)

    def node(self, left, right):
        return sha256(self.node_prefix + left + right)

    def add(self, leaf):
        level = 0
        while self.size >> level & 1:
            leaf = self.node(self.peaks.pop(), leaf)
            level += 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self):
        if not self.peaks:
            return sha256(b"")
        root = self.peaks[-1]
        for left in reversed(self.peaks[:-1]):
            root = self.node(left, root)
        return root

    def climb(self, index, inner, path, leaf):
        """Inclusion, steps 3 and 4: the root to which a path leads."""
        for i, beside in enumerate(path):
            left = i >= inner or index >> i & 1
            leaf = self.node(beside, leaf) if left else self.node(leaf, beside)
        return leaf

    def check_inclusion(self, index, size, leaf, path, root, what):
        """Inclusion, steps 1 to 5."""
        require(index < size, f"{what} has number {index} of {size}")
        inner = (index ^ (size - 1)).bit_length()
        border = bin(index >> inner).count("1")
        long = inner + border
        require(len(path) == long, f"the path of {what} has {len(path)} hashes instead of {long}")
        leads = self.climb(index, inner, path, leaf) == root
        require(leads, f"the path of {what} does not lead to the root")


RECORDS, BALANCES = Tree(0, 1), Tree(2, 3)


def check_consistency(old, old_root, new, new_root, path):
    """Consistency, steps 1 to 7."""
    extended = is_consistent(old, old_root, new, new_root, path)
    require(extended, f"the log of {new} records is not proved to extend that of {old}")


def is_consistent(old, old_root, new, new_root, path):
    if old in (0, new):
        return not path and old_root == (new_root if old else sha256(b""))
    if old > new:
        return False
    if old & (old - 1) == 0:
        path = [old_root] + path
    return climb_both(old, new, path) == (old_root, new_root)


def may_extend(old, new, new_root, path):
    """Whether a path of `old` < `new` can hold, where the older root is unknown.

    If `old` is a power of two, the older root is not in the path, and all that shows is its length.
    """
    if old & (old - 1) == 0:
        return climb_both(old, new, [bytes(32)] + path) is not None
    roots = climb_both(old, new, path)
    return roots is not None and roots[1] == new_root


def climb_both(old, new, path):
    """Consistency, steps 3 to 6, the seed being the path's first: both roots, None if too long."""
    last, level = old - 1, (old & -old).bit_length() - 1
    apart = (last ^ (new - 1)).bit_length()
    inner, border = apart - level, bin(last >> apart).count("1")
    if len(path) != 1 + inner + border:
        return None
    seed, path, side = path[0], path[1:], last >> level
    lefts = [beside for i, beside in enumerate(path) if i >= inner or side >> i & 1]
    return RECORDS.climb(0, 0, lefts, seed), RECORDS.climb(side, inner, path, seed)
