/* python/attributes.c -- the attributes of pyarr.ndarray, and the type of its flags. */
#include "python/functions.h"

#define GETTER(name) static PyObject *get_##name(PyObject *self, void *Py_UNUSED(closure))
#define SETTER(name)                                                                               \
    static int set_##name(PyObject *self, PyObject *value, void *Py_UNUSED(closure))

static int
refuse_delete(PyObject *value, const char *name)
{
    if (value == NULL) {
        PyErr_Format(PyExc_AttributeError, "cannot delete attribute '%s'", name);
        return -1;
    }
    return 0;
}

/* ---- geometry ---- */

GETTER(shape)
{
    return int_tuple(object_array(self)->ndim, object_array(self)->shape);
}

/* Put `array` (taken over) behind the object. */
static int
replace_array(PyObject *self, Array *array)
{
    if (array == NULL) {
        return error_raise_int();
    }
    Array *old = object_array(self);
    ((ArrayObject *)self)->array = array;
    array_release(old);
    return 0;
}

SETTER(shape)
{
    int64_t shape[ARRAY_MAX_NDIM];
    if (refuse_delete(value, "shape") < 0) {
        return -1;
    }
    Array *x = object_array(self);
    if (x->is_scalar) {
        PyErr_SetString(PyExc_AttributeError, "the shape of a scalar element can't be set");
        return -1;
    }
    const int ndim = convert_shape(value, shape);
    if (ndim < 0) {
        return -1;
    }
    Array *view = view_reshape(x, ndim, shape);
    if (view == NULL && err_kind() == ERR_NONE) {
        PyErr_SetString(PyExc_AttributeError,
                        "Incompatible shape for in-place modification. Use `.reshape()` to make a "
                        "copy with the desired shape.");
        return -1;
    }
    return replace_array(self, view);
}

GETTER(strides)
{
    return int_tuple(object_array(self)->ndim, object_array(self)->strides);
}

GETTER(ndim)
{
    return PyLong_FromLong(object_array(self)->ndim);
}

GETTER(size)
{
    return PyLong_FromLongLong(object_array(self)->size);
}

GETTER(itemsize)
{
    return PyLong_FromLong(dtype_size(object_array(self)->dtype));
}

GETTER(nbytes)
{
    const Array *x = object_array(self);
    return PyLong_FromLongLong(array_bytes(x));
}

GETTER(dtype)
{
    PyObject *dtype = dtype_object(object_array(self)->dtype);
    return Py_XNewRef(dtype);
}

SETTER(dtype)
{
    DType dtype;
    if (refuse_delete(value, "dtype") < 0 || convert_dtype(value, &dtype) < 0) {
        return -1;
    }
    return replace_array(self, view_dtype(object_array(self), dtype));
}

/* ---- views ---- */

GETTER(T)
{
    Array *view = view_transpose(object_array(self), NULL);
    return object_wrap_view(view, self);
}

GETTER(mT)
{
    Array *x = object_array(self);
    int axes[ARRAY_MAX_NDIM];
    if (x->ndim < 2) {
        PyErr_SetString(PyExc_ValueError, "matrix transpose with ndim < 2 is undefined");
        return NULL;
    }
    for (int i = 0; i < x->ndim; i++) {
        axes[i] = i;
    }
    axes[x->ndim - 2] = x->ndim - 1;
    axes[x->ndim - 1] = x->ndim - 2;
    return object_wrap_view(view_transpose(x, axes), self);
}

/* The parts of an active array are values with derivatives; else views of the same bytes. */
GETTER(real)
{
    Array *x = object_array(self);
    if (!dtype_is_complex(x->dtype)) {
        return Py_NewRef(self);
    }
    if (x->is_scalar) {
        return object_wrap_result(graph_apply1(OP_real, x));
    }
    return object_wrap_view(view_real(x), self);
}

GETTER(imag)
{
    Array *x = object_array(self);
    if (!dtype_is_complex(x->dtype)) {
        Array *zeros = array_new_zeroed(x->storage->device, x->dtype, x->ndim, x->shape);
        if (zeros != NULL) {
            zeros->readonly = true;
        }
        return object_wrap(zeros);
    }
    if (x->is_scalar) {
        return object_wrap_result(graph_apply1(OP_imag, x));
    }
    return object_wrap_view(view_imag(x), self);
}

/* x.real = value or x.imag = value. */
static int
set_part(Array *x, PyObject *value, bool imaginary)
{
    if (!dtype_is_complex(x->dtype)) {
        if (imaginary) {
            PyErr_SetString(PyExc_TypeError, "array does not have imaginary part to set");
            return -1;
        }
        return subscript_assign(x, value);
    }
    if (!graph_is_recorded(x)) {
        Array *part = imaginary ? view_imag(x) : view_real(x);
        const int status = part == NULL ? error_raise_int() : subscript_assign(part, value);
        array_release(part);
        return status;
    }
    Array *given = object_operand(value);
    Array *other = given == NULL ? NULL : graph_apply1(imaginary ? OP_real : OP_imag, x);
    Array *whole = NULL;
    if (other != NULL) {
        whole = imaginary ? graph_apply2(OP_make_complex, other, given)
                          : graph_apply2(OP_make_complex, given, other);
    }
    int status = -1;
    if (whole != NULL) {
        status = graph_write(x, whole) == STATUS_OK ? 0 : error_raise_int();
    } else if (given != NULL) {
        status = error_raise_int();
    }
    array_release(given);
    array_release(other);
    array_release(whole);
    return status;
}

SETTER(real)
{
    return refuse_delete(value, "real") < 0 ? -1 : set_part(object_array(self), value, false);
}

SETTER(imag)
{
    return refuse_delete(value, "imag") < 0 ? -1 : set_part(object_array(self), value, true);
}

GETTER(flat)
{
    return args_call_python("flat", &self, 1, NULL);
}

SETTER(flat)
{
    if (refuse_delete(value, "flat") < 0) {
        return -1;
    }
    PyObject *args[2] = {self, value};
    PyObject *done = args_call_python("set_flat", args, 2, NULL);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

/* ---- memory ---- */

GETTER(base)
{
    const ArrayObject *object = (ArrayObject *)self;
    if (object->base != NULL) {
        return Py_NewRef(object->base);
    }
    if (object->array->storage->foreign && !graph_is_recorded(object->array)) {
        return PyObject_CallMethod(self, "__array__", NULL); /* memory that NumPy knows */
    }
    Py_RETURN_NONE;
}

GETTER(data)
{
    return PyMemoryView_FromObject(self);
}

GETTER(ctypes)
{
    PyObject *view = PyObject_CallMethod(self, "__array__", NULL);
    PyObject *ctypes = view == NULL ? NULL : PyObject_GetAttrString(view, "ctypes");
    Py_XDECREF(view);
    return ctypes;
}

GETTER(device)
{
    return PyUnicode_FromString(object_array(self)->storage->device->name);
}

/* ---- flags ---- */

typedef struct FlagsObject {
    PyObject_HEAD
    PyObject *array;
} FlagsObject;

GETTER(flags)
{
    FlagsObject *flags = PyObject_New(FlagsObject, &FlagsObject_Type);
    if (flags != NULL) {
        flags->array = Py_NewRef(self);
    }
    return (PyObject *)flags;
}

static void
flags_dealloc(PyObject *self)
{
    Py_DECREF(((FlagsObject *)self)->array);
    PyObject_Free(self);
}

static bool
owns_data(const ArrayObject *object)
{
    return object->base == NULL && !object->array->storage->foreign;
}

/* The value of the flag with this first letter. */
static bool
flag_value(const ArrayObject *object, char letter)
{
    const Array *x = object->array;
    switch (letter) {
    case 'C': return array_is_contiguous(x);
    case 'F': return array_is_f_contiguous(x);
    case 'O': return owns_data(object);
    case 'W': return array_is_writable(x) && !x->is_scalar;
    case 'n': return array_is_f_contiguous(x) && !array_is_contiguous(x);
    case 'f': return array_is_f_contiguous(x) || array_is_contiguous(x);
    case 'X': return false;
    default: return true; /* aligned */
    }
}

static PyObject *
flags_get(PyObject *self, void *closure)
{
    const ArrayObject *object = (ArrayObject *)((FlagsObject *)self)->array;
    return PyBool_FromLong(flag_value(object, *(const char *)closure));
}

static int
flags_set_writeable(PyObject *self, PyObject *value, void *closure)
{
    (void)closure;
    Array *x = object_array(((FlagsObject *)self)->array);
    bool on;
    if (refuse_delete(value, "writeable") < 0 || args_bool(value, false, &on) < 0) {
        return -1;
    }
    /* Whether foreign memory may be written is known only to who handed it out. */
    const bool refused = x->is_scalar || x->storage->readonly ||
                         (x->readonly && x->storage->foreign);
    if (on && refused) {
        PyErr_SetString(PyExc_ValueError, "cannot set WRITEABLE flag to True of this array");
        return -1;
    }
    x->readonly = !on;
    return 0;
}

static const struct {
    const char *name;
    const char *letter;
} flag_names[] = {
    {"C_CONTIGUOUS", "C"}, {"CONTIGUOUS", "C"}, {"C", "C"},       {"F_CONTIGUOUS", "F"},
    {"FORTRAN", "F"},      {"F", "F"},          {"OWNDATA", "O"}, {"O", "O"},
    {"WRITEABLE", "W"},    {"W", "W"},          {"ALIGNED", "A"}, {"A", "A"},
    {"WRITEBACKIFCOPY", "X"}, {"X", "X"},       {"FNC", "n"},     {"FORC", "f"},
};

static const char *
find_flag(PyObject *key)
{
    for (size_t i = 0; PyUnicode_Check(key) && i < sizeof flag_names / sizeof *flag_names; i++) {
        if (PyUnicode_CompareWithASCIIString(key, flag_names[i].name) == 0) {
            return flag_names[i].letter;
        }
    }
    PyErr_SetString(PyExc_KeyError, "Unknown flag");
    return NULL;
}

static PyObject *
flags_subscript(PyObject *self, PyObject *key)
{
    const char *letter = find_flag(key);
    return letter == NULL ? NULL : flags_get(self, (void *)letter);
}

static int
flags_ass_subscript(PyObject *self, PyObject *key, PyObject *value)
{
    const char *letter = find_flag(key);
    if (letter == NULL) {
        return -1;
    }
    if (*letter != 'W') {
        PyErr_SetString(PyExc_ValueError, "this flag can't be set");
        return -1;
    }
    return flags_set_writeable(self, value, NULL);
}

static PyObject *
flags_repr(PyObject *self)
{
    const ArrayObject *object = (ArrayObject *)((FlagsObject *)self)->array;
#define WORD(letter) (flag_value(object, letter) ? "True" : "False")
    return PyUnicode_FromFormat("  C_CONTIGUOUS : %s\n  F_CONTIGUOUS : %s\n  OWNDATA : %s\n"
                                "  WRITEABLE : %s\n  ALIGNED : True\n  WRITEBACKIFCOPY : False\n",
                                WORD('C'), WORD('F'), WORD('O'), WORD('W'));
#undef WORD
}

static PyMappingMethods flags_mapping = {
    .mp_subscript = flags_subscript,
    .mp_ass_subscript = flags_ass_subscript,
};

static PyGetSetDef flags_getset[] = {
    {"c_contiguous", flags_get, NULL, "rows one after another", (void *)"C"},
    {"contiguous", flags_get, NULL, "rows one after another", (void *)"C"},
    {"f_contiguous", flags_get, NULL, "columns one after another", (void *)"F"},
    {"fortran", flags_get, NULL, "columns one after another, and not rows", (void *)"n"},
    {"fnc", flags_get, NULL, "columns one after another, and not rows", (void *)"n"},
    {"forc", flags_get, NULL, "rows or columns one after another", (void *)"f"},
    {"owndata", flags_get, NULL, "the memory is its own", (void *)"O"},
    {"writeable", flags_get, flags_set_writeable, "elements may be set", (void *)"W"},
    {"aligned", flags_get, NULL, "always true", (void *)"A"},
    {"writebackifcopy", flags_get, NULL, "always false", (void *)"X"},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject FlagsObject_Type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "pyarr.flags",
    .tp_basicsize = sizeof(FlagsObject),
    .tp_dealloc = flags_dealloc,
    .tp_repr = flags_repr,
    .tp_as_mapping = &flags_mapping,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_getset = flags_getset,
};

/* ---- derivatives, PyTorch's spelling ---- */

GETTER(requires_grad)
{
    return PyBool_FromLong(tape_requires_grad(object_array(self)));
}

SETTER(requires_grad)
{
    bool on;
    if (refuse_delete(value, "requires_grad") < 0 || args_bool(value, false, &on) < 0) {
        return -1;
    }
    return tape_require_grad(object_array(self), on) == STATUS_OK ? 0 : error_raise_int();
}

GETTER(is_leaf)
{
    return PyBool_FromLong(tape_is_leaf(object_array(self)));
}

GETTER(grad)
{
    Array *grad = tape_get_grad(object_array(self));
    if (grad == NULL) {
        Py_RETURN_NONE;
    }
    return object_wrap(grad);
}

SETTER(grad)
{
    if (value == NULL || value == Py_None) {
        return tape_set_grad(object_array(self), NULL) == STATUS_OK ? 0 : error_raise_int();
    }
    Array *grad = object_operand(value);
    if (grad == NULL) {
        return -1;
    }
    const Status status = tape_set_grad(object_array(self), grad);
    array_release(grad);
    return status == STATUS_OK ? 0 : error_raise_int();
}

#define READ(name, doc) {#name, get_##name, NULL, doc, NULL}
#define READ_WRITE(name, doc) {#name, get_##name, set_##name, doc, NULL}

PyGetSetDef array_getset[] = {
    READ_WRITE(shape, "sizes of the axes"),
    READ(strides, "bytes from one element to the next along each axis"),
    READ(ndim, "number of axes"),
    READ(size, "number of elements"),
    READ(itemsize, "bytes of an element"),
    READ(nbytes, "bytes of all elements"),
    READ_WRITE(dtype, "the numpy.dtype of the elements"),
    READ(T, "view with the axes reversed"),
    READ(mT, "view with the last two axes exchanged"),
    READ_WRITE(real, "the real part"),
    READ_WRITE(imag, "the imaginary part"),
    READ_WRITE(flat, "the elements as a 1-d iterator"),
    READ(base, "the array whose memory this one shares, or None"),
    READ(data, "a memoryview of the elements"),
    READ(ctypes, "NumPy's ctypes interface to the memory"),
    READ(flags, "memory layout and permissions"),
    READ(device, "name of the device that holds the memory"),
    READ_WRITE(requires_grad, "is what is computed from it recorded for backward()"),
    READ(is_leaf, "was it made by the user, not by a recorded operation"),
    READ_WRITE(grad, "the derivative that backward() has added up, or None"),
    {NULL, NULL, NULL, NULL, NULL},
};
