"""Arguments and results that are dicts, lists and tuples of arrays."""

from __future__ import annotations

import numpy as np

from . import _core

ndarray = _core.ndarray


class Leaf:
    """Stands for one array in the structure of an argument."""

    __slots__ = ()


LEAF = Leaf()


def flatten(tree, leaves):
    """Append the leaves of `tree` to `leaves`; return its structure.

    Dicts, lists, tuples, namedtuples and None are structure; all else is a leaf.
    """
    if isinstance(tree, dict):
        return type(tree), list(tree), [flatten(tree[key], leaves) for key in tree]
    if isinstance(tree, (list, tuple)):
        return type(tree), None, [flatten(item, leaves) for item in tree]
    if tree is None:
        return None
    leaves.append(tree)
    return LEAF


def unflatten(structure, leaves):
    """The tree with this structure, its leaves taken from the iterator `leaves`."""
    if structure is LEAF:
        return next(leaves)
    if structure is None:
        return None
    kind, keys, parts = structure
    values = [unflatten(part, leaves) for part in parts]
    if keys is not None:
        pairs = dict(zip(keys, values, strict=True))
        return pairs if kind is dict else kind(pairs)
    if hasattr(kind, "_fields"):
        return kind(*values)
    return kind(values)


def kind_of(leaf, where):
    """ "python", "numpy" or "pyarr"; TypeError for what has no derivative."""
    if isinstance(leaf, ndarray):
        dtype, kind = leaf.dtype, "pyarr"
    elif isinstance(leaf, (bool, str, bytes)):
        dtype, kind = np.dtype(type(leaf)), "python"
    elif isinstance(leaf, (np.ndarray, np.generic)):
        dtype, kind = leaf.dtype, "numpy"
    elif isinstance(leaf, (int, float, complex)):
        return "python"
    else:
        raise TypeError(
            f"{where}: cannot differentiate with respect to "
            f"{type(leaf).__name__}; give numbers or arrays, or dicts, lists and tuples "
            "of them"
        )
    if dtype.kind not in "iufc":
        raise TypeError(
            f"{where}: cannot differentiate with respect to an argument of dtype "
            f"{dtype}; choose the differentiated arguments with argnums"
        )
    return kind


def like(kind, array):
    """`array` as the kind that was given; what an outer derivative needs stays pyarr's."""
    if kind == "pyarr" or _core.is_active(array):
        return array
    if kind == "numpy":
        return np.asarray(array)[()] if array.ndim == 0 else np.asarray(array)
    return array.item()
