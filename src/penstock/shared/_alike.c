/* Objects made like a model (alike.py): a pointer for each slot, without a function that sets them one by one. */

#define Py_LIMITED_API 0x030B0000
#include <Python.h>

/* `self` is the model, and how many slots its class has; they follow the head of the object. */
static PyObject *another(PyObject *self, PyObject *nothing)
{
    PyObject *model = PyTuple_GetItem(self, 0);
    Py_ssize_t count = PyLong_AsSsize_t(PyTuple_GetItem(self, 1));
    PyObject *made = PyType_GenericAlloc(Py_TYPE(model), 0);
    if (made == NULL)
        return NULL;
    PyObject **from = (PyObject **)(model + 1), **to = (PyObject **)(made + 1);
    for (; count > 0; count--) {
        Py_XINCREF(*from);
        *to++ = *from++;
    }
    return made;
}

static PyMethodDef made = {"another", another, METH_NOARGS, "Make another object like the model."};

static PyObject *like(PyObject *module, PyObject *args)
{
    if (!PyTuple_Check(args) || PyTuple_Size(args) != 2 || !PyLong_Check(PyTuple_GetItem(args, 1)))
        return PyErr_Format(PyExc_TypeError, "a model and the number of its slots");
    return PyCFunction_NewEx(&made, args, NULL);
}

static PyMethodDef methods[] = {
    {"like", like, METH_VARARGS, "like(model, slots) -> a function that makes another object with the same slots"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_alike", "Objects like a model.", 0, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__alike(void)
{
    return PyModuleDef_Init(&definition);
}
