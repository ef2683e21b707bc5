/* Header lines in one pass, as the regular expressions of fields.py take them; whatever they do not take is None here.

   A line is a name of letters, digits and "-" (or "_", where that is allowed), a colon, spaces, and a value that has no
   space at its end; CR and LF end it and stand nowhere else. The last line is empty, and the end of everything. */

#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <string.h>

enum { NAME = 1, UNDERSCORE = 2, CONTROL = 4 };

static unsigned char kinds[256];

static void learn(void)
{
    for (int each = 0; each < 256; each++) {
        int letter = (each | 32) >= 'a' && (each | 32) <= 'z';
        if (letter || (each >= '0' && each <= '9') || each == '-')
            kinds[each] = NAME;
        else if (each == '_')
            kinds[each] = UNDERSCORE;
        else if ((each < 32 && each != '\t') || each == 127)
            kinds[each] = CONTROL;
    }
}

/* One line, from its first byte: appended to `headers`, and to `fields` unless its name is there. -1 with an exception. */
static int add(PyObject *headers, PyObject *fields, PyObject *lower, const char *name, Py_ssize_t length,
               const char *value, Py_ssize_t size)
{
    int done = -1;
    PyObject *key = NULL, *pair = NULL;
    PyObject *first = PyUnicode_DecodeLatin1(name, length, NULL);
    PyObject *second = PyUnicode_DecodeLatin1(value, size, NULL);
    if (first == NULL || second == NULL || (key = PyObject_GetItem(lower, first)) == NULL)
        goto out;
    pair = PyTuple_Pack(2, first, second);
    if (pair == NULL || PyList_Append(headers, pair) < 0)
        goto out;
    if (PyDict_GetItemWithError(fields, key) == NULL)
        done = PyErr_Occurred() ? -1 : PyDict_SetItem(fields, key, second);
    else
        done = 0;
out:
    Py_XDECREF(first);
    Py_XDECREF(second);
    Py_XDECREF(key);
    Py_XDECREF(pair);
    return done;
}

/* 1: all of it was taken, 0: something is unusual, -1: an exception. */
static int read_lines(PyObject *headers, PyObject *fields, PyObject *lower, const char *at, const char *end, int names,
                      int strict)
{
    while (end - at > 2) {
        const char *name = at;
        while (at < end && kinds[(unsigned char)*at] & names)
            at++;
        Py_ssize_t length = at - name;
        if (!length || at == end || *at != ':')
            return 0;
        at++;
        while (at < end && *at == ' ')
            at++;
        const char *value = at;
        for (;; at++) {
            if (at == end)
                return 0;
            unsigned char each = (unsigned char)*at;
            if (!(kinds[each] & CONTROL))
                continue;
            if (each == '\r')
                break;
            if (strict || each == '\n' || each == 0)
                return 0;
        }
        if (at[-1] == ' ' || end - at < 2 || at[1] != '\n')
            return 0;
        if (add(headers, fields, lower, name, length, value, at - value) < 0)
            return -1;
        at += 2;
    }
    return end - at == 2 && at[0] == '\r' && at[1] == '\n';
}

static PyObject *tokens_fields(PyObject *module, PyObject *args)
{
    PyObject *data, *lower;
    Py_ssize_t start;
    int underscores, strict;
    if (!PyArg_ParseTuple(args, "SnOpp:fields", &data, &start, &lower, &underscores, &strict))
        return NULL;
    char *text;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(data, &text, &length) < 0)
        return NULL;
    if (start < 0 || start > length) {
        PyErr_SetString(PyExc_ValueError, "it begins outside");
        return NULL;
    }
    PyObject *headers = PyList_New(0), *fields = PyDict_New(), *result = NULL;
    int taken = -1;
    if (headers != NULL && fields != NULL)
        taken = read_lines(headers, fields, lower, text + start, text + length,
                           underscores ? NAME | UNDERSCORE : NAME, strict);
    if (taken > 0)
        result = PyTuple_Pack(2, headers, fields);
    else if (taken == 0) {
        Py_INCREF(Py_None);
        result = Py_None;
    }
    Py_XDECREF(headers);
    Py_XDECREF(fields);
    return result;
}

static PyMethodDef methods[] = {
    {"fields", tokens_fields, METH_VARARGS,
     "fields(data, start, lower, underscores, strict) -> ([(name, value), ...], {lower name: first value}) or None"},
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject *module)
{
    learn();
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_tokens", "Header lines in one pass.", 0, methods, module_slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__tokens(void)
{
    return PyModuleDef_Init(&definition);
}
