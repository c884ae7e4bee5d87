"""Random functions of a few parameters and data, as text that NumPy and pyarr both run.

Every value stays near 1 and away from what rounding decides (no comparisons of equal
numbers, no kinks at exact zeros), so that results may differ by little more than rounding.
"""

import numpy as np

UNARY = (
    "m.tanh({0})",
    "m.sin({0})",
    "m.exp(-{0} * {0})",
    "m.log1p({0} ** 2)",
    "m.sqrt(1.5 + {0} ** 2)",
    "1 / (2 + {0} ** 2)",
    "m.hypot({0}, 1.25)",
    "m.arctan({0})",
    "-{0}",
    "{0} / 2",
    "0.5 * {0} - 0.25",
    "abs({0} - 0.3217)",
    "m.cos({0} / 3)",
)
BINARY = (
    "({0} + {1}) / 2",
    "{0} - {1}",
    "{0} * m.cos({1})",
    "m.tanh({0} * {1})",
    "{0} / (1.5 + {1} * {1})",
    "m.where({0} > 0.1377, {0}, {1})",
    "m.maximum({0}, {1} + 0.0713)",
    "m.arctan2({0}, 2 + {1} ** 2)",
    "m.logaddexp({0}, {1}) / 2",
    "m.hypot({0}, 0.7 + {1} ** 2)",
)
COMPLEX_UNARY = (
    "m.exp(1j * m.real({0})) * m.imag({0})",
    "m.conj({0}) * (0.5 - 0.5j)",
    "{0} / (2 + m.abs({0}))",
    "-{0}",
    "m.sin({0} / (2 + m.abs({0}) ** 2))",
)
COMPLEX_BINARY = ("{0} * {1} / 2", "{0} - {1}", "{0} / (3 + m.abs({1}) ** 2)")
TO_REAL = (
    "m.real({0})",
    "m.imag({0})",
    "m.log1p(m.abs({0}) ** 2)",
    "m.real({0} * m.conj({0})) / 3",
)


def broadcast(a, b):
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        return None


class Writer:
    """Writes one function line by line, keeping the shape of every name."""

    def __init__(self, rng, parameters, data, indices):
        self.rng = rng
        self.shapes = {**parameters, **data}
        self.complex = set()
        self.indices = indices
        self.lines = []

    def pick(self, wanted=lambda name: True):
        names = [name for name in self.shapes if wanted(name)]
        if not names:
            return None
        late = names[-4:] if self.rng.random() < 0.6 else names
        return str(self.rng.choice(late))

    def choose(self, texts):
        return texts[self.rng.integers(len(texts))]

    def new(self, text, shape, is_complex=False):
        name = f"v{len(self.lines)}"
        self.lines.append(f"{name} = {text}")
        self.shapes[name] = tuple(shape)
        if is_complex:
            self.complex.add(name)
        return name

    def real(self, name):
        return name not in self.complex

    # Each step writes one line, or none where nothing fits.

    def unary(self):
        name = self.pick()
        is_complex = name in self.complex
        texts = COMPLEX_UNARY if is_complex else UNARY
        self.new(self.choose(texts).format(name), self.shapes[name], is_complex)

    def binary(self):
        a = self.pick()
        shape = self.shapes[a]
        b = self.pick(
            lambda name: (
                broadcast(shape, self.shapes[name]) is not None
                and self.real(name) == self.real(a)
            )
        )
        full = broadcast(shape, self.shapes[b])
        if np.prod(full) > 40_000:
            return
        is_complex = a in self.complex
        texts = COMPLEX_BINARY if is_complex else BINARY
        self.new(self.choose(texts).format(a, b), full, is_complex)

    def outer(self):
        a = self.pick(lambda name: len(self.shapes[name]) == 1)
        b = self.pick(lambda name: len(self.shapes[name]) == 1 and self.real(name))
        if a is None or b is None or a in self.complex:
            return
        shape = self.shapes[a] + self.shapes[b]
        if np.prod(shape) <= 40_000:
            text = self.choose(BINARY).format(f"{a}[:, None]", f"{b}[None, :]")
            self.new(text, shape)

    def reduction(self):
        name = self.pick(lambda name: self.shapes[name])
        shape = self.shapes[name]
        axis = int(self.rng.integers(-1, len(shape)))
        axis = None if axis < 0 else axis
        keep = bool(self.rng.random() < 0.4)
        count = np.prod(shape) if axis is None else shape[axis]
        what = f"{name}, axis={axis}, keepdims={keep}"
        texts = [f"m.mean({what})", f"m.sum({what}) / {float(count)}"]
        if self.real(name):
            texts += [f"m.max({what})", f"m.sqrt(1 + m.var({what}))"]
            texts += [f"m.log(m.sum(m.exp({name}), axis={axis}, keepdims={keep})) / 9"]
        kept = list(shape)
        for i in range(len(shape)) if axis is None else [axis]:
            kept[i] = 1 if keep else 0
        self.new(self.choose(texts), [k for k in kept if k], name in self.complex)

    def product(self):
        a = self.pick(lambda name: len(self.shapes[name]) == 2)
        if a is None:
            return
        rows, columns = self.shapes[a]
        turned = self.rng.random() < 0.4
        left = f"{a}.T" if turned else a
        rows, columns = (columns, rows) if turned else (rows, columns)
        b = self.pick(
            lambda name: (
                self.shapes[name][:1] == (columns,) and len(self.shapes[name]) in (1, 2)
            )
        )
        if b is None or rows * np.prod(self.shapes[b][1:]) > 40_000:
            return
        is_complex = a in self.complex or b in self.complex
        shape = (rows, *self.shapes[b][1:])
        self.new(f"({left} @ {b}) / {float(columns)}", shape, is_complex)

    def stack(self):
        name = self.pick(lambda name: len(self.shapes[name]) == 3)
        if name is None:
            return
        p, q, r = self.shapes[name]
        shapes = self.shapes
        texts = [
            (f"m.transpose({name}, (2, 0, 1))", (r, p, q)),
            (f"m.einsum('pqr,pqr->pq', {name}, {name}) / {float(r)}", (p, q)),
            (f"{name}[:, 0]", (p, r)),
            (f"{name}[..., ::-1]", (p, q, r)),
            (f"m.reshape({name}, ({p}, -1))", (p, q * r)),
            (f"{name} @ m.swapaxes({name}, 1, 2) / {float(r)}", (p, q, q)),
        ]
        right = self.pick(lambda other: shapes[other][:1] == (r,))
        if right is not None and len(shapes[right]) == 2:
            product = f"{name} @ {right} / {float(r)}"
            texts += [(product, (p, q, shapes[right][1]))]
        text, shape = self.choose(texts)
        if np.prod(shape) <= 40_000:
            self.new(text, shape, name in self.complex or right in self.complex)

    def deepened(self):
        a = self.pick(lambda name: len(self.shapes[name]) == 2 and self.real(name))
        b = self.pick(lambda name: len(self.shapes[name]) in (1, 2) and self.real(name))
        if a is None or b is None:
            return
        shape = broadcast((*self.shapes[a], 1), (1, *self.shapes[b]))
        if shape is None or np.prod(shape) > 40_000:
            return
        self.new(self.choose(BINARY).format(f"{a}[:, :, None]", f"{b}[None]"), shape)

    def library(self):
        name = self.pick(lambda name: len(self.shapes[name]) in (1, 2))
        shape = self.shapes[name]
        n = shape[-1]
        texts = [
            f"m.fft.fft({name}) / {float(n)}",
            f"m.fft.ifft({name})",
            f"m.fft.fft({name}, axis=0) / {float(shape[0])}",
        ]
        is_complex = self.rng.random() < 0.5 or name in self.complex
        if not is_complex:
            texts = [f"m.sort({name})", f"m.cumsum({name}, axis=-1) / {float(n)}"]
        self.new(self.choose(texts), shape, is_complex)

    def rows(self):
        name = self.pick(lambda name: self.shapes[name])
        n, *rest = self.shapes[name]
        index = [i for i, (length, of) in self.indices.items() if of == n]
        texts = [(f"{name}[::-1]", n)]
        if n > 4:
            texts += [(f"{name}[1:-2]", n - 3), (f"{name}[::2]", (n + 1) // 2)]
        texts += [(f"{name}[{i}]", self.indices[i][0]) for i in index]
        text, length = self.choose(texts)
        self.new(text, (length, *rest), name in self.complex)

    def movement(self):
        name = self.pick(lambda name: len(self.shapes[name]) == 2)
        if name is None:
            return
        rows, columns = self.shapes[name]
        texts = [
            (f"{name}.T", (columns, rows)),
            (f"m.reshape({name}, (-1,))", (rows * columns,)),
            (f"{name}[:, {int(self.rng.integers(columns))}]", (rows,)),
            (f"m.concatenate([{name}, {name} / 2], axis=1)", (rows, 2 * columns)),
            (f"m.cumsum({name}, axis=0) / {float(rows)}", (rows, columns)),
        ]
        text, shape = self.choose(texts)
        if np.prod(shape) <= 40_000:
            self.new(text, shape, name in self.complex)

    def written(self):
        name = self.pick(lambda name: self.shapes[name] and self.real(name))
        base = self.new(f"m.zeros_like({name}) + {name} / 3", self.shapes[name])
        n = self.shapes[name][0]
        index = [i for i, (_, of) in self.indices.items() if of == n]
        texts = [f"{base}[::3] *= 0.5", f"{base}[-1] = {base}[0] * 2"]
        texts += [f"{base}[{i}] += 0.1" for i in index]
        self.lines.append(self.choose(texts))

    def complexes(self):
        name = self.pick()
        if self.real(name):
            self.new(f"{name} + 1j * m.cos({name})", self.shapes[name], True)
        else:
            self.new(self.choose(TO_REAL).format(name), self.shapes[name])

    def total(self):
        parts = []
        for name in [*list(self.shapes)[-3:], self.pick()]:
            value = name if self.real(name) else f"m.real({name} * m.conj({name}))"
            parts.append(f"m.mean(m.tanh({value}))")
        return " + ".join(parts)

    def write(self, count):
        steps = [self.unary] * 6 + [self.binary] * 6 + [self.reduction] * 3
        steps += [self.product] * 3 + [self.rows] * 2 + [self.movement] * 2
        steps += [self.outer, self.written, self.complexes, self.complexes]
        steps += [self.stack, self.stack, self.deepened, self.library]
        for _ in range(count):
            self.choose(steps)()  # which writes nothing where nothing fits
        return "\n".join(self.lines), self.total()


def random_function(seed):
    """(parameters, data, text): dicts of arrays, and the body of a function of both."""
    rng = np.random.default_rng(seed)
    n = int(rng.choice([7, 64, 130, 513, 2000]))
    k, j = (int(v) for v in rng.choice([1, 2, 3, 5, 16], 2))
    parameters = {"a": (), "b": (k,), "c": (k, j), "d": (n,)}
    data = {"x": (n,), "y": (n, k), "z": (k,), "w": (n, 1)}
    made = {name: rng.normal(size=shape) for name, shape in parameters.items()}
    given = {name: rng.normal(size=shape) for name, shape in data.items()}
    if rng.random() < 0.3:
        given["x"] = np.repeat(given["x"], 3)[::3]
    if rng.random() < 0.3:
        given["y"] = np.asfortranarray(given["y"])
    indices = {"rows": (n + 5, n), "few": (3, n), "of": (n, k)}
    index = {i: rng.integers(0, of, length) for i, (length, of) in indices.items()}
    writer = Writer(rng, parameters, data, indices)
    body, result = writer.write(int(rng.integers(3, 28)))
    lines = [f"def f(m, {', '.join(made)}, {', '.join([*given, *index])}):"]
    lines += [f"    {line}" for line in body.splitlines()] + [f"    return {result}"]
    return made, {**given, **index}, "\n".join(lines) + "\n"
