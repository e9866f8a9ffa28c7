/* What `hypercorn.objects` asks of the interpreter: whether it has its lock, and to be told when a dict changes
 * (PyDict_Watch, CPython 3.12 and later; elsewhere nobody is told, and hc_watcher is -1). */
#ifndef HYPERCORN_OBJECTS_H
#define HYPERCORN_OBJECTS_H

#include <Python.h>

/* Whether one thread at a time runs Python: without that a count of references tells nothing. */
#ifdef Py_GIL_DISABLED
#define HC_LOCKED 0
#else
#define HC_LOCKED 1
#endif

typedef void (*hc_changed)(PyObject *dict);

#if PY_VERSION_HEX >= 0x030C0000 && !defined(Py_GIL_DISABLED) && !defined(PYPY_VERSION)

static hc_changed hc_tell;

static int hc_dict_event(PyDict_WatchEvent event, PyObject *dict, PyObject *key, PyObject *value) {
    (void)event, (void)key, (void)value;
    hc_tell(dict);
    return 0;
}

/* A watcher that calls `tell` before a watched dict changes or ends, or -1 where there is none left. */
static int hc_watcher(hc_changed tell) {
    int watcher = PyDict_AddWatcher(hc_dict_event);
    if (watcher < 0) PyErr_Clear();
    hc_tell = tell;
    return watcher;
}

static int hc_watch(int watcher, PyObject *dict) { return PyDict_Watch(watcher, dict); }
static int hc_unwatch(int watcher, PyObject *dict) { return PyDict_Unwatch(watcher, dict); }

#else

static int hc_watcher(hc_changed tell) { (void)tell; return -1; }
static int hc_watch(int watcher, PyObject *dict) { (void)watcher, (void)dict; return -1; }
static int hc_unwatch(int watcher, PyObject *dict) { (void)watcher, (void)dict; return -1; }

#endif
#endif
