"""einsum: sums of products of tensors by transposes, matrix products and sums."""

import numpy

from pyarr import _core
from pyarr._args import array_of, common, element_count, finish
from pyarr._core import broadcast_to

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def einsum(*operands, out=None, dtype=None, order="K", casting="safe", optimize=True):
    """The sum of products that the subscripts say, as numpy.einsum.

    Explicit ("ij,jk->ik") and implicit ("ij,jk") subscripts, ellipses, repeated indices
    (diagonals) and the form with lists of integers. Products of more than two operands
    are ordered greedily by size unless `optimize` is False. ValueError when subscripts
    and shapes do not fit.

    >>> import pyarr as pa
    >>> pa.einsum("ij,j->i", [[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    inputs, output, arrays = _parse(operands)
    arrays = [array_of(one) for one in arrays]
    if dtype is not None:
        for one in arrays:
            if not numpy.can_cast(one.dtype, dtype, casting):
                raise TypeError(
                    f"Iterator operand could not be cast from {one.dtype!r} to "
                    f"{numpy.dtype(dtype)!r} according to the rule {casting!r}"
                )
        arrays = [one.astype(dtype) for one in arrays]
    else:
        arrays = common(arrays)
    inputs, output = _expand_ellipsis(inputs, output, arrays)
    sizes = _sizes(inputs, arrays)
    terms = [
        _prepare(labels, one, sizes) for labels, one in zip(inputs, arrays, strict=True)
    ]
    while len(terms) > 1:
        i, j = _next_pair(terms, output, sizes) if optimize else (0, 1)
        (left, a), (right, b) = terms[i], terms[j]
        terms = [term for k, term in enumerate(terms) if k not in (i, j)]
        needed = set(output).union(*(labels for labels, _ in terms))
        terms.append(_contract(left, a, right, b, needed))
    labels, result = terms[0]
    labels, result = _sum_out(labels, result, set(output))
    result = result.transpose(tuple(labels.index(one) for one in output))
    return finish(result, out) if output or out is not None else result[()]


def _parse(operands):
    """Input subscripts, output subscripts (None: implicit) and the operands."""
    if not operands:
        raise ValueError(
            "must specify the einstein sum subscripts string and at least one operand"
        )
    if isinstance(operands[0], str):
        text = operands[0].replace(" ", "")
        arrays = list(operands[1:])
        left, arrow, right = text.partition("->")
        inputs, output = left.split(","), right if arrow else None
        for part in [*inputs, output or ""]:
            for letter in part.replace("...", ""):
                if letter not in _LETTERS:
                    raise ValueError(
                        f"invalid subscript '{letter}' in einstein sum subscripts "
                        "string, subscripts must be letters"
                    )
    else:
        operands = list(operands)
        last = operands.pop() if len(operands) % 2 else None
        arrays = operands[0::2]
        inputs = [_letters(one) for one in operands[1::2]]
        output = None if last is None else _letters(last)
    if len(inputs) != len(arrays):
        more = "more" if len(arrays) > len(inputs) else "fewer"
        raise ValueError(
            f"{more} operands provided to einstein sum function than specified in the "
            "subscripts string"
        )
    return inputs, output, arrays


def _letters(sublist):
    text = ""
    for one in sublist:
        if one is Ellipsis:
            text += "..."
        elif not 0 <= one < len(_LETTERS):
            raise ValueError("subscript is not within the valid range [0, 52)")
        else:
            text += _LETTERS[one]
    return text


def _expand_ellipsis(inputs, output, arrays):
    """Labels as tuples, those of an ellipsis as negative numbers from the end."""
    expanded, most = [], 0
    for part, one in zip(inputs, arrays, strict=True):
        head, dots, tail = part.partition("...")
        extra = one.ndim - len(head) - len(tail)
        if extra < 0 or (extra > 0 and not dots):
            raise ValueError(
                "operand has more dimensions than subscripts given in einstein sum, "
                "but no '...' ellipsis provided to broadcast the extra dimensions."
                if extra > 0
                else "einstein sum subscripts string contains too many subscripts for "
                f"operand with {one.ndim} dimensions"
            )
        if "..." in tail or "." in head + tail:
            raise ValueError(
                "einstein sum subscripts string contains a '.' that is not part of an "
                "ellipsis ('...')"
            )
        most = max(most, extra if dots else 0)
        expanded.append((*head, *range(-extra, 0), *tail))
    dims = tuple(range(-most, 0))
    if output is None:
        text = "".join(inputs).replace("...", "")
        letters = sorted(one for one in set(text) if text.count(one) == 1)
        return expanded, (*dims, *letters)
    head, dots, tail = output.partition("...")
    if most and not dots:
        raise ValueError(
            "output has more dimensions than subscripts given in einstein sum, but no "
            "'...' ellipsis provided to broadcast the extra dimensions."
        )
    result = (*head, *(dims if dots else ()), *tail)
    for one in result:
        if result.count(one) > 1:
            raise ValueError(
                f"einstein sum subscripts string includes output subscript '{one}' "
                "multiple times"
            )
        if not any(one in labels for labels in expanded):
            raise ValueError(
                f"einstein sum subscripts string included output subscript '{one}' "
                "which never appeared in an input"
            )
    return expanded, result


def _sizes(inputs, arrays):
    sizes = {}
    for place, (labels, one) in enumerate(zip(inputs, arrays, strict=True)):
        for label, size in zip(labels, one.shape, strict=True):
            known = sizes.get(label, 1)
            if known != 1 and size not in (1, known):
                raise ValueError(
                    f"operand {place} has size {size} for subscript '{label}', where "
                    f"others have {known}"
                )
            sizes[label] = size if known == 1 else known
    return sizes


def _prepare(labels, x, sizes):
    """One operand with repeated labels made diagonals and broadcast axes dropped."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            if x.shape[i] != x.shape[j]:
                size = max(x.shape[i], x.shape[j])
                shape = [size if k in (i, j) else n for k, n in enumerate(x.shape)]
                x = broadcast_to(x, shape)
            x = x.diagonal(0, i, j)
            labels = [one for k, one in enumerate(labels) if k not in (i, j)] + [label]
    kept = [i for i, one in enumerate(labels) if x.shape[i] == sizes[one]]
    if len(kept) < len(labels):
        x = x.reshape(tuple(x.shape[i] for i in kept))
        labels = [labels[i] for i in kept]
    return labels, x


def _sum_out(labels, x, needed):
    axes = tuple(i for i, one in enumerate(labels) if one not in needed)
    if not axes:
        return labels, x
    dtype = x.dtype
    x = (
        _core.any(x, axis=axes)
        if dtype.kind == "b"
        else _core.sum(x, axis=axes, dtype=dtype)
    )
    return [one for one in labels if one in needed], x


def _next_pair(terms, output, sizes):
    """The pair whose result grows least over its operands, as a greedy order."""
    best = None
    for i in range(len(terms)):
        for j in range(i + 1, len(terms)):
            left, right = set(terms[i][0]), set(terms[j][0])
            others = (labels for k, (labels, _) in enumerate(terms) if k not in (i, j))
            needed = set(output).union(*others)
            result = _volume((left | right) & needed, sizes)
            growth = result - _volume(left, sizes) - _volume(right, sizes)
            key = (growth, _volume(left | right, sizes))
            if best is None or key < best[0]:
                best = key, i, j
    return best[1:]


def _volume(labels, sizes):
    count = 1
    for one in labels:
        count *= sizes[one]
    return count


def _contract(left, a, right, b, needed):
    """The product of two terms, summed over labels that nothing else needs."""
    left, a = _sum_out(left, a, needed | set(right))
    right, b = _sum_out(right, b, needed | set(left))
    shared = [one for one in left if one in right]
    batch = [one for one in shared if one in needed]
    summed = [one for one in shared if one not in needed]
    free_a = [one for one in left if one not in shared]
    free_b = [one for one in right if one not in shared]
    if not summed:
        labels = batch + free_a + free_b
        return labels, _spread(left, a, labels) * _spread(right, b, labels)
    if batch and not free_a and not free_b:
        # Dots of many short vectors: a matrix product of each would begin anew each time.
        labels = batch + summed
        products = _spread(left, a, labels) * _spread(right, b, labels)
        return _sum_out(labels, products, set(batch))
    a = a.transpose(tuple(left.index(one) for one in batch + free_a + summed))
    b = b.transpose(tuple(right.index(one) for one in batch + summed + free_b))
    n = len(batch)
    lead, rows = a.shape[:n], a.shape[n : n + len(free_a)]
    columns = b.shape[n + len(summed) :]
    depth = element_count(a.shape, range(n + len(free_a), a.ndim))
    a = a.reshape((*lead, element_count(rows, range(len(rows))), depth))
    b = b.reshape((*lead, depth, element_count(columns, range(len(columns)))))
    product = _core.apply("matmul", a, b)
    return batch + free_a + free_b, product.reshape(lead + rows + columns)


def _spread(own, x, labels):
    """`x` with its axes in the order of `labels`, size 1 where it lacks one."""
    x = x.transpose(tuple(own.index(one) for one in labels if one in own))
    sizes = iter(x.shape)
    return x.reshape(tuple(next(sizes) if one in own else 1 for one in labels))


def einsum_path(*operands, optimize="greedy", einsum_call=False):
    """The order of products that NumPy would choose, as numpy.einsum_path.

    >>> import pyarr as pa
    >>> pa.einsum_path("ij,jk", pa.ones((2, 2)), pa.ones((2, 2)))[0]
    ['einsum_path', (0, 1)]
    """
    plain = [
        numpy.broadcast_to(numpy.zeros((), one.dtype), one.shape)
        if isinstance(one, _core.ndarray)
        else one
        for one in operands
    ]
    return numpy.einsum_path(*plain, optimize=optimize, einsum_call=einsum_call)
