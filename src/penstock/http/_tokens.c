/* Header lines in one pass, as the regular expressions of fields.py take them; whatever they do not take is None here.

   A line is a name of letters, digits and "-" (or "_", where that is allowed), a colon, spaces, and a value that has no
   space at its end; CR and LF end it and stand nowhere else. The last line is empty, and the end of everything.

   Most lines come again and again: what was made of one is kept, and used for the next that is the same byte for byte. */

#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <stdint.h>
#include <string.h>

enum { NAME = 1, UNDERSCORE = 2, CONTROL = 4, STRICT = 8 };
enum { PLACES = 128, LONGEST = 120 };

/* A line that has come before, how it was read, and what was made of it. `seen` is the hash of the last one that was not
   kept: only what comes twice in a row is, so that what is sent once (a key, a token) stays nowhere. */
static struct known {
    uint64_t hash, seen;
    PyObject *lower, *pair, *key;
    int how, length;
    char line[LONGEST];
} places[PLACES];

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

static uint64_t hash_of(const char *line, int length, int how)
{
    uint64_t hash = (uint64_t)length << 8 | (uint64_t)how, word;
    for (; length > 0; line += 8, length -= 8) {
        word = 0;
        memcpy(&word, line, length < 8 ? (size_t)length : 8);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    return hash;
}

/* Keep what was made of a line that came twice in a row of those of its place. */
static void keep(struct known *place, uint64_t hash, PyObject *lower, int how, const char *line, int length,
                 PyObject *pair, PyObject *key)
{
    if (place->seen != hash) {
        place->seen = hash;
        return;
    }
    struct known old = *place;
    *place = (struct known){.hash = hash, .seen = hash, .how = how, .length = length, .pair = Py_NewRef(pair),
                            .key = Py_NewRef(key), .lower = Py_NewRef(lower)};
    memcpy(place->line, line, (size_t)length);
    Py_XDECREF(old.pair);
    Py_XDECREF(old.key);
    Py_XDECREF(old.lower);
}

/* A name and a value: appended to `headers`, and to `fields` unless the name is there. -1 with an exception. */
static int put(PyObject *headers, PyObject *fields, PyObject *pair, PyObject *key, PyObject *value)
{
    if (PyList_Append(headers, pair) < 0)
        return -1;
    if (PyDict_GetItemWithError(fields, key) == NULL)
        return PyErr_Occurred() ? -1 : PyDict_SetItem(fields, key, value);
    return 0;
}

/* One line, from its first byte, of which nothing is known yet. -1 with an exception. */
static int add(PyObject *headers, PyObject *fields, PyObject *lower, const char *name, Py_ssize_t length,
               const char *value, Py_ssize_t size, struct known *place, uint64_t hash, int how)
{
    int done = -1;
    PyObject *key = NULL, *pair = NULL;
    PyObject *first = PyUnicode_DecodeLatin1(name, length, NULL);
    PyObject *second = PyUnicode_DecodeLatin1(value, size, NULL);
    if (first == NULL || second == NULL || (key = PyObject_GetItem(lower, first)) == NULL)
        goto out;
    pair = PyTuple_Pack(2, first, second);
    if (pair == NULL || put(headers, fields, pair, key, second) < 0)
        goto out;
    if (place != NULL)
        keep(place, hash, lower, how, name, (int)(value + size - name), pair, key);
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
    int how = names | (strict ? STRICT : 0);
    while (end - at > 2) {
        const char *name = at, *line_end = memchr(at, '\r', (size_t)(end - at));
        struct known *place = NULL;
        uint64_t hash = 0;
        if (line_end != NULL && line_end - at <= LONGEST && end - line_end >= 2 && line_end[1] == '\n') {
            int whole = (int)(line_end - at);
            hash = hash_of(at, whole, how);
            place = &places[hash % PLACES];
            if (place->hash == hash && place->pair != NULL && place->lower == lower && place->how == how &&
                place->length == whole && memcmp(place->line, at, (size_t)whole) == 0) {
                if (put(headers, fields, place->pair, place->key, PyTuple_GetItem(place->pair, 1)) < 0)
                    return -1;
                at = line_end + 2;
                continue;
            }
        }
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
        if (add(headers, fields, lower, name, length, value, at - value, place, hash, how) < 0)
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
    else if (taken == 0)
        result = Py_NewRef(Py_None);
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
