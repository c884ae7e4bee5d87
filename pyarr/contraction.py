"""einsum: sums of products of tensors by transposes, matrix products and sums.

What the subscripts mean for operands of some shapes is worked out once, as a recipe of
such steps, which later calls follow.
"""

import functools
import operator

import numpy

from pyarr import _core
from pyarr._args import array_of, common, element_count, finish
from pyarr._core import broadcast_to, ndarray

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
    subscripts, arrays = _split(operands)
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
    recipe = _recipe(subscripts, tuple(one.shape for one in arrays), bool(optimize))
    values = list(arrays)
    for function, places, arguments, last in recipe:
        values.append(function(*[values[k] for k in places], *arguments))
        for k in last:
            values[k] = None
    result = values[-1]
    return finish(result, out) if result.ndim or out is not None else result[()]


def _split(operands):
    """The subscripts as text, and the operands."""
    if not operands:
        raise ValueError(
            "must specify the einstein sum subscripts string and at least one operand"
        )
    if isinstance(operands[0], str):
        return operands[0], operands[1:]
    operands = list(operands)
    output = operands.pop() if len(operands) % 2 else None
    text = ",".join(_letters(one) for one in operands[1::2])
    return text if output is None else f"{text}->{_letters(output)}", operands[0::2]


def _parse(subscripts, count):
    """Input subscripts, and output subscripts (None: implicit)."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs, output = left.split(","), right if arrow else None
    for part in [*inputs, output or ""]:
        for letter in part.replace("...", ""):
            if letter not in _LETTERS:
                raise ValueError(
                    f"invalid subscript '{letter}' in einstein sum subscripts "
                    "string, subscripts must be letters"
                )
    if len(inputs) != count:
        more = "more" if count > len(inputs) else "fewer"
        raise ValueError(
            f"{more} operands provided to einstein sum function than specified in the "
            "subscripts string"
        )
    return inputs, output


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


def _expand_ellipsis(inputs, output, shapes):
    """Labels as tuples, those of an ellipsis as negative numbers from the end."""
    expanded, most = [], 0
    for part, shape in zip(inputs, shapes, strict=True):
        head, dots, tail = part.partition("...")
        extra = len(shape) - len(head) - len(tail)
        if extra < 0 or (extra > 0 and not dots):
            raise ValueError(
                "operand has more dimensions than subscripts given in einstein sum, "
                "but no '...' ellipsis provided to broadcast the extra dimensions."
                if extra > 0
                else "einstein sum subscripts string contains too many subscripts for "
                f"operand with {len(shape)} dimensions"
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


def _sizes(inputs, shapes):
    sizes = {}
    for place, (labels, shape) in enumerate(zip(inputs, shapes, strict=True)):
        for label, size in zip(labels, shape, strict=True):
            known = sizes.get(label, 1)
            if known != 1 and size not in (1, known):
                raise ValueError(
                    f"operand {place} has size {size} for subscript '{label}', where "
                    f"others have {known}"
                )
            sizes[label] = size if known == 1 else known
    return sizes


@functools.lru_cache(maxsize=512)
def _recipe(subscripts, shapes, optimize):
    """Steps (function, places of its arrays, other arguments, places not read again).

    Values are numbered: the operands, then the result of each step, the last of all.
    """
    inputs, output = _parse(subscripts, len(shapes))
    inputs, output = _expand_ellipsis(inputs, output, shapes)
    sizes = _sizes(inputs, shapes)
    steps = _Steps(shapes)
    terms = [_prepare(steps, labels, k, sizes) for k, labels in enumerate(inputs)]
    while len(terms) > 1:
        i, j = _next_pair(terms, output, sizes) if optimize else (0, 1)
        (left, a), (right, b) = terms[i], terms[j]
        terms = [term for k, term in enumerate(terms) if k not in (i, j)]
        needed = set(output).union(*(labels for labels, _ in terms))
        terms.append(_contract(steps, left, a, right, b, needed))
    labels, result = _sum_out(steps, *terms[0], set(output))
    axes = tuple(labels.index(one) for one in output)
    shape = [sizes[one] for one in output]
    steps.add(ndarray.transpose, (result,), (axes,), shape)
    return steps.finished()


class _Steps:
    """A recipe in the making, and the shapes of its values."""

    def __init__(self, shapes):
        self.shapes, self.made = list(shapes), []

    def add(self, function, places, arguments, shape):
        self.made.append((function, places, arguments))
        self.shapes.append(tuple(shape))
        return len(self.shapes) - 1

    def finished(self):
        recipe, read = [], set()
        for function, places, arguments in reversed(self.made):
            recipe.append((function, places, arguments, tuple(set(places) - read)))
            read.update(places)
        return tuple(reversed(recipe))

    def transpose(self, x, axes):
        if axes == tuple(range(len(axes))):
            return x
        return self.add(
            ndarray.transpose, (x,), (axes,), [self.shapes[x][k] for k in axes]
        )

    def reshape(self, x, shape):
        shape = tuple(shape)
        same = shape == self.shapes[x]
        return x if same else self.add(ndarray.reshape, (x,), (shape,), shape)


def _sum(x, axes):
    dtype = x.dtype
    if dtype.kind == "b":
        return _core.any(x, axis=axes)
    return _core.sum(x, axis=axes, dtype=dtype)


def _matmul(a, b):
    return _core.apply("matmul", a, b)


def _prepare(steps, labels, x, sizes):
    """One operand with repeated labels made diagonals and broadcast axes dropped."""
    labels = list(labels)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            shape = steps.shapes[x]
            size = max(shape[i], shape[j])
            if shape[i] != shape[j]:
                shape = [size if k in (i, j) else n for k, n in enumerate(shape)]
                x = steps.add(broadcast_to, (x,), (tuple(shape),), shape)
            left = [n for k, n in enumerate(shape) if k not in (i, j)]
            x = steps.add(ndarray.diagonal, (x,), (0, i, j), [*left, size])
            labels = [one for k, one in enumerate(labels) if k not in (i, j)] + [label]
    shape = steps.shapes[x]
    kept = [i for i, one in enumerate(labels) if shape[i] == sizes[one]]
    return [labels[i] for i in kept], steps.reshape(x, [shape[i] for i in kept])


def _sum_out(steps, labels, x, needed):
    axes = tuple(i for i, one in enumerate(labels) if one not in needed)
    if not axes:
        return labels, x
    left = [n for i, n in enumerate(steps.shapes[x]) if i not in axes]
    x = steps.add(_sum, (x,), (axes,), left)
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


def _contract(steps, left, a, right, b, needed):
    """The product of two terms, summed over labels that nothing else needs."""
    left, a = _sum_out(steps, left, a, needed | set(right))
    right, b = _sum_out(steps, right, b, needed | set(left))
    shared = [one for one in left if one in right]
    batch = [one for one in shared if one in needed]
    summed = [one for one in shared if one not in needed]
    free_a = [one for one in left if one not in shared]
    free_b = [one for one in right if one not in shared]
    if not summed:
        return _multiply(steps, left, a, right, b, batch + free_a + free_b)
    if batch and not free_a and not free_b:
        # Dots of many short vectors: a matrix product of each would begin anew each time.
        product = _multiply(steps, left, a, right, b, batch + summed)
        return _sum_out(steps, *product, set(batch))
    a = steps.transpose(a, tuple(left.index(one) for one in batch + free_a + summed))
    b = steps.transpose(b, tuple(right.index(one) for one in batch + summed + free_b))
    n = len(batch)
    shape = steps.shapes[a]
    lead, rows = shape[:n], shape[n : n + len(free_a)]
    columns = steps.shapes[b][n + len(summed) :]
    depth = element_count(shape, range(n + len(free_a), len(shape)))
    a = steps.reshape(a, (*lead, element_count(rows, range(len(rows))), depth))
    b = steps.reshape(b, (*lead, depth, element_count(columns, range(len(columns)))))
    outer = (*steps.shapes[a][:-1], steps.shapes[b][-1])
    product = steps.add(_matmul, (a, b), (), outer)
    return batch + free_a + free_b, steps.reshape(product, lead + rows + columns)


def _multiply(steps, left, a, right, b, labels):
    """The elementwise product with axes as `labels` says."""
    a, b = _spread(steps, left, a, labels), _spread(steps, right, b, labels)
    pairs = zip(steps.shapes[a], steps.shapes[b], strict=True)
    shape = [m if n == 1 else n for m, n in pairs]
    return labels, steps.add(operator.mul, (a, b), (), shape)


def _spread(steps, own, x, labels):
    """`x` with its axes in the order of `labels`, size 1 where it lacks one."""
    x = steps.transpose(x, tuple(own.index(one) for one in labels if one in own))
    sizes = iter(steps.shapes[x])
    return steps.reshape(x, [next(sizes) if one in own else 1 for one in labels])


def einsum_path(*operands, optimize="greedy", einsum_call=False):
    """The order of products that NumPy would choose, as numpy.einsum_path.

    >>> import pyarr as pa
    >>> pa.einsum_path("ij,jk", pa.ones((2, 2)), pa.ones((2, 2)))[0]
    ['einsum_path', (0, 1)]
    """
    plain = [
        numpy.broadcast_to(numpy.zeros((), one.dtype), one.shape)
        if isinstance(one, ndarray)
        else one
        for one in operands
    ]
    return numpy.einsum_path(*plain, optimize=optimize, einsum_call=einsum_call)
