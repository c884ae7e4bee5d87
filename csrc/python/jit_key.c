/* python/jit_key.c -- the key of a call of a jit function.
 *
 * Arrays, NumPy's scalars, floats and complex numbers count by dtype, shape and strides; numbers,
 * strings and bytes by value; other objects by identity. Containers are structure, in the same
 * order in which pyarr/_trees.py flattens them.
 */
#include "python/jit.h"

#include "base/settings.h"
#include "python/numpy_api.h"

/* First words of the parts of a key. */
enum { WORD_ARRAY = 1, WORD_STATIC, WORD_NONE, WORD_DICT, WORD_LIST, WORD_TUPLE, WORD_KWARGS };

static int
add_word(CallKey *key, uint64_t word)
{
    return vec_push(&key->words, word) == STATUS_OK ? 0 : error_raise_int();
}

/* Takes over the reference; NULL passes on an exception. */
static int
add_array(CallKey *key, Array *a)
{
    if (a == NULL) {
        return -1;
    }
    if (vec_push(&key->arrays, a) != STATUS_OK) {
        array_release(a);
        return error_raise_int();
    }
    const uint64_t head = WORD_ARRAY | (uint64_t)a->dtype << 8 | (uint64_t)a->weak << 16 |
                          (uint64_t)(uint16_t)a->ndim << 32;
    if (add_word(key, head) < 0) {
        return -1;
    }
    for (int i = 0; i < a->ndim; i++) {
        if (add_word(key, (uint64_t)a->shape[i]) < 0 ||
            add_word(key, (uint64_t)a->strides[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
add_static(CallKey *key, PyObject *object)
{
    if (vec_push(&key->statics, object) != STATUS_OK) {
        return error_raise_int();
    }
    return add_word(key, WORD_STATIC);
}

static int add_object(CallKey *key, PyObject *object);

static int
add_dict(CallKey *key, PyObject *dict)
{
    PyObject *name, *value;
    Py_ssize_t at = 0;
    if (add_word(key, WORD_DICT | (uint64_t)PyDict_GET_SIZE(dict) << 8) < 0 ||
        add_static(key, (PyObject *)Py_TYPE(dict)) < 0) {
        return -1;
    }
    while (PyDict_Next(dict, &at, &name, &value)) {
        if (add_static(key, name) < 0 || add_object(key, value) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
add_sequence(CallKey *key, PyObject *sequence, uint64_t word)
{
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(sequence);
    if (add_word(key, word | (uint64_t)n << 8) < 0 ||
        add_static(key, (PyObject *)Py_TYPE(sequence)) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < n && i < PySequence_Fast_GET_SIZE(sequence); i++) {
        if (add_object(key, PySequence_Fast_GET_ITEM(sequence, i)) < 0) {
            return -1;
        }
    }
    return 0;
}

static int
add_numpy(CallKey *key, PyObject *object)
{
    Array *a = PyArray_CheckExact(object) ? kind_take_numpy(object) : NULL;
    key->has_numpy = true;
    return a == NULL && PyErr_Occurred() ? -1
                                         : add_array(key, a != NULL ? a : convert_array(object));
}

static int
add_container(CallKey *key, PyObject *object)
{
    if (Py_EnterRecursiveCall(" in the arguments of a jit function")) {
        return -1;
    }
    const int status = PyDict_Check(object)   ? add_dict(key, object)
                       : PyList_Check(object) ? add_sequence(key, object, WORD_LIST)
                                              : add_sequence(key, object, WORD_TUPLE);
    Py_LeaveRecursiveCall();
    return status;
}

static int
add_object(CallKey *key, PyObject *object)
{
    if (array_object_check(object)) {
        Array *a = object_array(object);
        key->has_pyarr = true;
        key->is_recorded = key->is_recorded || graph_is_recorded(a);
        return add_array(key, array_retain(a));
    }
    if (PyArray_Check(object) || PyArray_IsScalar(object, Generic)) {
        return add_numpy(key, object);
    }
    if (PyFloat_CheckExact(object) || PyComplex_CheckExact(object)) {
        return add_array(key, convert_array(object));
    }
    if (object == Py_None) {
        return add_word(key, WORD_NONE);
    }
    if (PyDict_Check(object) || PyList_Check(object) || PyTuple_Check(object)) {
        return add_container(key, object);
    }
    return add_static(key, object);
}

int
callkey_init(CallKey *key, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    const Settings *settings = settings_get();
    const Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    *key = (CallKey){.hash = 0};
    if (vec_reserve(&key->words, 16) != STATUS_OK) {
        return error_raise_int();
    }
    if (add_word(key, (uint64_t)nargs << 32 | (uint64_t)settings->rounding << 8 |
                          (uint64_t)settings->executor) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs + named; i++) {
        if (i >= nargs && (add_word(key, WORD_KWARGS) < 0 ||
                           add_static(key, PyTuple_GET_ITEM(kwnames, i - nargs)) < 0)) {
            return -1;
        }
        if (add_object(key, args[i]) < 0) {
            return -1;
        }
    }
    uint64_t hash = (uint64_t)key->words.size;
    for (int64_t i = 0; i < key->words.size; i++) {
        hash = (hash ^ key->words.data[i]) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    key->hash = hash;
    return 0;
}

void
callkey_fini(CallKey *key)
{
    arrays_release(key->arrays.data, key->arrays.size);
    vec_fini(&key->arrays);
    vec_fini(&key->statics);
    vec_fini(&key->words);
}

bool
callkey_same_static(PyObject *a, PyObject *b)
{
    if (a == b) {
        return true;
    }
    if (Py_TYPE(a) != Py_TYPE(b) ||
        !(PyLong_CheckExact(a) || PyUnicode_CheckExact(a) || PyBytes_CheckExact(a))) {
        return false;
    }
    return PyObject_RichCompareBool(a, b, Py_EQ) == 1; /* of exact types: it cannot fail */
}
