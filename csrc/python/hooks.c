/* python/hooks.c -- the interpreter's side of base/hooks.h: its lock, the user's line, Ctrl-C. */
#include "python/pyarr.h"

#include "base/hooks.h"
#include "base/poll.h"

#include <stdio.h>
#include <string.h>

#if PY_VERSION_HEX < 0x030D0000
/* Walking frames without making frame objects: only the layout is used, for the interpreter
 * this is compiled for. */
#define PYARR_FAST_FRAMES
#ifndef Py_BUILD_CORE_MODULE
#define Py_BUILD_CORE_MODULE
#endif
#include "internal/pycore_frame.h"
#endif

/* Folder of the package with a separator at its end, or NULL until it is known. */
static PyObject *package;

static void *
release_lock(void)
{
    /* Destructors may compute while no thread state is current; there is nothing to release. */
    return PyGILState_Check() ? PyEval_SaveThread() : NULL;
}

static void
retake_lock(void *token)
{
    if (token != NULL) {
        PyEval_RestoreThread(token);
    }
}

/* Finds the folder from pyarr.__file__; errors are forgotten and tried again next time. */
static void
find_package(void)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *module = modules == NULL ? NULL : PyDict_GetItemString(modules, "pyarr");
    PyObject *file = module == NULL ? NULL : PyObject_GetAttrString(module, "__file__");
    if (file != NULL && PyUnicode_Check(file)) {
        Py_ssize_t end = PyUnicode_GET_LENGTH(file);
        while (end > 0 && PyUnicode_READ_CHAR(file, end - 1) != '/' &&
               PyUnicode_READ_CHAR(file, end - 1) != '\\') {
            end--;
        }
        package = PyUnicode_Substring(file, 0, end);
    }
    Py_XDECREF(file);
    if (PyErr_Occurred()) {
        PyErr_Clear();
    }
}

static bool
lies_in_package(PyObject *name)
{
    const int kind = PyUnicode_KIND(package);
    const Py_ssize_t length = PyUnicode_GET_LENGTH(package);
    return (int)PyUnicode_KIND(name) == kind && PyUnicode_GET_LENGTH(name) > length &&
           memcmp(PyUnicode_DATA(name), PyUnicode_DATA(package), (size_t)(length * kind)) == 0;
}

/* Does the code lie in this package? Asked for every recorded op, so the last answers are kept. */
static bool
is_ours(PyCodeObject *code)
{
    static PyObject *known[2]; /* names of files outside and inside, owned */
    PyObject *name = code->co_filename;
    if (name == known[false]) {
        return false;
    }
    if (name == known[true]) {
        return true;
    }
    if (package == NULL) {
        find_package();
    }
    if (package == NULL) {
        return false;
    }
    const bool ours = lies_in_package(name);
    Py_XSETREF(known[ours], Py_NewRef(name));
    return ours;
}

#ifdef PYARR_FAST_FRAMES

static uintptr_t
line_now(int32_t *instruction)
{
    *instruction = -1;
    PyThreadState *state = _PyThreadState_UncheckedGet();
    if (state == NULL) {
        return 0;
    }
    struct _PyInterpreterFrame *frame = state->cframe->current_frame;
    for (; frame != NULL; frame = frame->previous) {
#if PY_VERSION_HEX >= 0x030C0000
        if (frame->owner == FRAME_OWNED_BY_CSTACK) {
            continue;
        }
#endif
        PyCodeObject *code = frame->f_code;
        if (_PyFrame_IsIncomplete(frame) || is_ours(code)) {
            continue;
        }
        *instruction = (int32_t)(_PyInterpreterFrame_LASTI(frame) * (int)sizeof(_Py_CODEUNIT));
        Py_INCREF(code);
        return (uintptr_t)code;
    }
    return 0;
}

#else

static uintptr_t
line_now(int32_t *instruction)
{
    *instruction = -1;
    if (PyThreadState_GetUnchecked() == NULL) {
        return 0;
    }
    PyFrameObject *frame = (PyFrameObject *)Py_XNewRef((PyObject *)PyEval_GetFrame());
    while (frame != NULL) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        if (!is_ours(code)) {
            *instruction = PyFrame_GetLasti(frame);
            Py_DECREF(frame);
            return (uintptr_t)code;
        }
        Py_DECREF(code);
        PyFrameObject *back = PyFrame_GetBack(frame);
        Py_DECREF(frame);
        frame = back;
    }
    return 0;
}

#endif

static void
line_release(uintptr_t handle)
{
    Py_XDECREF((PyObject *)handle);
}

static void
line_retain(uintptr_t handle)
{
    Py_XINCREF((PyObject *)handle);
}

static void
line_text(uintptr_t handle, int32_t instruction, char *buffer, int size)
{
    if (size <= 0) {
        return;
    }
    buffer[0] = '\0';
    if (handle == 0) {
        return;
    }
    PyObject *type, *value, *traceback; /* also called while an exception is set */
    PyErr_Fetch(&type, &value, &traceback);
    PyCodeObject *code = (PyCodeObject *)handle;
    const int line = PyCode_Addr2Line(code, instruction);
    const char *file = PyUnicode_AsUTF8(code->co_filename);
    const char *function = PyUnicode_AsUTF8(code->co_name);
    if (file != NULL) {
        for (const char *c = file; *c != '\0'; c++) {
            if (*c == '/' || *c == '\\') {
                file = c + 1;
            }
        }
        snprintf(buffer, (size_t)size, "%s:%d in %s", file, line, function ? function : "?");
    }
    PyErr_Restore(type, value, traceback);
}

/* Runs Python's signal handlers; what one raises stays set and error_raise passes it on. */
static bool
signals_raise(void)
{
    if (!Py_IsInitialized()) {
        return false;
    }
    const PyGILState_STATE state = PyGILState_Ensure();
    const bool raised = PyErr_Occurred() == NULL && PyErr_CheckSignals() < 0;
    PyGILState_Release(state);
    return raised;
}

int
hooks_init(void)
{
    /* One by one: other files fill in the rest. */
    host_hooks.unlock = release_lock;
    host_hooks.lock = retake_lock;
    host_hooks.line_now = line_now;
    host_hooks.line_release = line_release;
    host_hooks.line_retain = line_retain;
    host_hooks.line_text = line_text;
    poll_set_hook(signals_raise);
    return 0;
}
