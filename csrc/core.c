/* The extension hypercorn._core: all compiled modules in one shared object.
 *
 * Each is a module of its own for Python, made from its PyModuleDef in two phases (PEP 489) as the import system does it
 * for an extension with one module. core_modules.h, which setup.py writes, lists them: MODULE(name in C, name in Python). */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define MODULE(c_name, name) PyMODINIT_FUNC PyInit_##c_name(void);
#include "core_modules.h"
#undef MODULE

static const struct {
    const char *name;
    PyObject *(*definition)(void);
} modules[] = {
#define MODULE(c_name, name) {name, PyInit_##c_name},
#include "core_modules.h"
#undef MODULE
};

#define MODULES (sizeof(modules) / sizeof(modules[0]))

/* names() -> tuple of str */
static PyObject *names(PyObject *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    PyObject *found = PyTuple_New((Py_ssize_t)MODULES);
    for (size_t i = 0; found != NULL && i < MODULES; i++) {
        PyObject *name = PyUnicode_FromString(modules[i].name);
        if (name == NULL)
            Py_CLEAR(found);
        else
            PyTuple_SET_ITEM(found, (Py_ssize_t)i, name);
    }
    return found;
}

/* create(spec) -> the module that spec.name names, not yet executed. ImportError where there is none. */
static PyObject *create(PyObject *self, PyObject *spec)
{
    (void)self;
    PyObject *wanted = PyObject_GetAttrString(spec, "name");
    if (wanted == NULL)
        return NULL;
    const char *text = PyUnicode_AsUTF8(wanted);
    PyObject *(*definition)(void) = NULL;
    for (size_t i = 0; text != NULL && i < MODULES; i++)
        if (strcmp(modules[i].name, text) == 0)
            definition = modules[i].definition;
    if (text != NULL && definition == NULL)
        PyErr_Format(PyExc_ImportError, "no compiled module is named %R", wanted);
    Py_DECREF(wanted);
    if (definition == NULL)
        return NULL;
    PyObject *made = definition();
    return made == NULL ? NULL : PyModule_FromDefAndSpec((PyModuleDef *)made, spec);
}

/* execute(module): runs its body. */
static PyObject *execute(PyObject *self, PyObject *module)
{
    (void)self;
    PyModuleDef *definition = PyModule_GetDef(module);
    if (definition == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_SystemError, "not a compiled module");
        return NULL;
    }
    if (PyModule_ExecDef(module, definition) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"names", names, METH_NOARGS, NULL},
    {"create", create, METH_O, NULL},
    {"execute", execute, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {
#if defined(HC_FREE_THREADED) && defined(Py_mod_gil)
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef core = {
    PyModuleDef_HEAD_INIT, "hypercorn._core", NULL, 0, methods, slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&core);
}
