/* python/module.c -- the extension module pyarr._core */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "pyarr._core", .m_doc = "The C core of pyarr.", .m_size = 0,
};

PyMODINIT_FUNC
PyInit__core(void)
{
    return PyModuleDef_Init(&module);
}
