/* python/module.c -- the extension module pyarr._core: what is started, and in which order. */
#include "python/host.h"
#include "python/object.h"

#include "backend/backend.h"

/* All that the module holds; each needs what stands above it. */
static int
module_exec(PyObject *module)
{
    static int (*const parts[])(PyObject *) = {
        module_add_ufuncs,   module_add_creation,   module_add_ranges,   module_add_functions,
        module_add_table,    module_add_settings,   module_add_transforms, module_add_interop,
        module_add_programs, module_add_host,       module_add_plans,    module_add_simplified,
        module_add_jit,      module_add_explain,
    };
    static PyTypeObject *const types[] = {&ArrayObject_Type, &UfuncObject_Type, &FlagsObject_Type};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (PyType_Ready(types[i]) < 0) {
            return -1;
        }
    }
    if (convert_init() < 0 || hooks_init() < 0) {
        return -1;
    }
    if (device_at(0) == NULL && backend_cpu_init() != STATUS_OK) {
        return error_raise_int();
    }
    if (PyModule_AddObjectRef(module, "ndarray", (PyObject *)&ArrayObject_Type) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (parts[i](module) < 0) {
            return -1;
        }
    }
    return 0;
}

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "pyarr._core",
    .m_doc = "The C core of pyarr.",
    .m_size = -1, /* types and devices belong to the process */
};

PyMODINIT_FUNC
PyInit__core(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL && module_exec(module) < 0) {
        Py_CLEAR(module);
    }
    return module;
}
