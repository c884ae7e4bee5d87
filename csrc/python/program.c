/* python/program.c -- programs of the CPU as tests run them: any instructions on any memory. */
#include "python/pyarr.h"

#include "backend/backend.h"

#include <string.h>

enum { MOST = 256 };

typedef struct Testing {
    int64_t shape[ARRAY_MAX_NDIM];
    Program program;
    Operand operands[3 * MOST]; /* inputs, outputs, sums */
    Array *arrays[3 * MOST];
    int narrays;
    Instruction instructions[PROGRAM_MAX_REGISTERS];
    uint16_t registers[2 * MOST];
    char *pointers[3 * MOST];
} Testing;

static bool
add_operand(Testing *t, PyObject *ndarray)
{
    if (t->narrays == 3 * MOST) {
        PyErr_SetString(PyExc_ValueError, "too many operands");
        return false;
    }
    Array *a = convert_from_numpy(ndarray);
    if (a == NULL) {
        return false;
    }
    t->operands[t->narrays] =
        (Operand){array_data(a), (DType)a->dtype, a->ndim, a->shape, a->strides};
    t->pointers[t->narrays] = array_data(a);
    t->arrays[t->narrays++] = a;
    return true;
}

static bool
add_instruction(Testing *t, PyObject *tuple)
{
    const char *name;
    DType loop, result;
    int out, in[3] = {0};
    if (t->program.ninstructions == PROGRAM_MAX_REGISTERS ||
        !PyArg_ParseTuple(tuple, "sO&O&ii|ii", &name, convert_dtype_converter, &loop,
                          convert_dtype_converter, &result, &out, &in[0], &in[1], &in[2])) {
        return false;
    }
    const OpCode op = op_find(name);
    if (op == OP_COUNT) {
        PyErr_Format(PyExc_ValueError, "no op %s", name);
        return false;
    }
    t->instructions[t->program.ninstructions++] =
        (Instruction){.op = (uint16_t)op,
                      .nin = (uint8_t)(PyTuple_GET_SIZE(tuple) - 4),
                      .loop = (uint8_t)loop,
                      .out_dtype = (uint8_t)result,
                      .out = (uint16_t)out,
                      .in = {(uint16_t)in[0], (uint16_t)in[1], (uint16_t)in[2]}};
    return true;
}

/* A list of (register, ndarray). */
static bool
add_results(Testing *t, PyObject *list, uint16_t *registers, int *count)
{
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(list); k++) {
        PyObject *ndarray;
        int reg;
        if (*count == MOST || !PyArg_ParseTuple(PyList_GET_ITEM(list, k), "iO", &reg, &ndarray) ||
            !add_operand(t, ndarray)) {
            return false;
        }
        registers[(*count)++] = (uint16_t)reg;
    }
    return true;
}

static bool
read_program(Testing *t, PyObject *args)
{
    PyObject *shape, *in, *instructions, *out, *sums;
    Program *p = &t->program;
    if (!PyArg_ParseTuple(args, "OO!O!O!O!", &shape, &PyList_Type, &in, &PyList_Type,
                          &instructions, &PyList_Type, &out, &PyList_Type, &sums)) {
        return false;
    }
    p->ndim = convert_shape(shape, t->shape);
    p->shape = t->shape;
    p->instructions = t->instructions;
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(in); k++, p->nin++) {
        if (!add_operand(t, PyList_GET_ITEM(in, k))) {
            return false;
        }
    }
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(instructions); k++) {
        if (!add_instruction(t, PyList_GET_ITEM(instructions, k))) {
            return false;
        }
    }
    p->out_registers = t->registers;
    p->sum_registers = t->registers + MOST;
    if (p->ndim < 0 || !add_results(t, out, t->registers, &p->nout) ||
        !add_results(t, sums, t->registers + MOST, &p->nsum)) {
        return false;
    }
    p->in = t->operands;
    p->out = p->in + p->nin;
    p->sums = p->out + p->nout;
    return true;
}

/* Prepares and runs it; the bytes of the code that was emitted, or None. */
static PyObject *
run_prepared(const Testing *t)
{
    Device *cpu = device_cpu();
    const Program *p = &t->program;
    struct Prepared *prepared = cpu->prepare(cpu, p);
    if (prepared == NULL) {
        return error_raise();
    }
    char *const *out = t->pointers + p->nin;
    const Status status = cpu->run_prepared(cpu, prepared, t->pointers, out, out + p->nout);
    int64_t size;
    const uint8_t *code = backend_cpu_code(prepared, &size);
    PyObject *result = code == NULL ? Py_NewRef(Py_None)
                                    : PyBytes_FromStringAndSize((const char *)code, size);
    cpu->release(cpu, prepared);
    if (status != STATUS_OK) {
        Py_XDECREF(result);
        return error_raise();
    }
    return result;
}

static PyObject *
run_program(PyObject *Py_UNUSED(module), PyObject *args)
{
    Testing *t = PyMem_Calloc(1, sizeof *t);
    if (t == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *result = read_program(t, args) ? run_prepared(t) : NULL;
    arrays_release(t->arrays, t->narrays);
    PyMem_Free(t);
    return result;
}

static PyObject *
refuse_code(PyObject *Py_UNUSED(module), PyObject *refuse)
{
    backend_cpu_refuse_code(PyObject_IsTrue(refuse) == 1);
    Py_RETURN_NONE;
}

static PyObject *
code_bytes(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(none))
{
    return PyLong_FromLongLong(backend_cpu_code_bytes());
}

static PyMethodDef methods[] = {
    {"_run_program", run_program, METH_VARARGS,
     "_run_program(shape, inputs, instructions, outputs, sums)\n--\n\n"
     "Run a program on the CPU, for tests. inputs: NumPy arrays of that shape; instructions:\n"
     "(op, loop, result dtype, register, input registers...); outputs, sums: (register, array).\n"
     "Returns the machine code that was emitted for it, or None."},
    {"_refuse_code", refuse_code, METH_O,
     "_refuse_code(refuse)\n--\n\nLet executable memory be refused, for tests."},
    {"_code_bytes", code_bytes, METH_NOARGS,
     "_code_bytes()\n--\n\nBytes of memory that hold machine code now."},
    {NULL, NULL, 0, NULL},
};

int
module_add_programs(PyObject *module)
{
    return PyModule_AddFunctions(module, methods);
}
