/* System calls on sockets by their descriptors, as calls.py does them in Python.

   Every socket here is non-blocking, so that the interpreter lock is kept: to let go of it and take it again costs as
   much as one of these calls does in user space. A socket needs no object of Python for what nearly every connection
   asks of it. Whatever is unusual (a unix socket, options, a bound address) is done by the `socket` module. */

#define Py_LIMITED_API 0x030B0000
#define _GNU_SOURCE
#include <Python.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE 65536

static char buffer[SIZE]; /* nothing stays in it between two calls, and one thread at a time has the lock */

static PyObject *failed(void)
{
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *done(int result)
{
    if (result < 0)
        return failed();
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *calls_recv(PyObject *module, PyObject *args)
{
    int fd;
    Py_ssize_t limit;
    if (!PyArg_ParseTuple(args, "in:recv", &fd, &limit))
        return NULL;
    if (limit < 0) {
        PyErr_SetString(PyExc_ValueError, "a limit below 0");
        return NULL;
    }
    ssize_t count = recv(fd, buffer, limit < SIZE ? (size_t)limit : SIZE, MSG_DONTWAIT);
    return count < 0 ? failed() : PyBytes_FromStringAndSize(buffer, count);
}

static PyObject *send_with(PyObject *args, int flags)
{
    int fd;
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "iy*:send", &fd, &data))
        return NULL;
    ssize_t count = send(fd, data.buf, (size_t)data.len, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
    int error = errno;
    PyBuffer_Release(&data);
    errno = error;
    return count < 0 ? failed() : PyLong_FromSsize_t(count);
}

static PyObject *calls_send(PyObject *module, PyObject *args)
{
    return send_with(args, 0);
}

static PyObject *calls_send_last(PyObject *module, PyObject *args)
{
    return send_with(args, MSG_MORE);
}

/* The address as the socket module gives it; None for what is neither of IPv4 nor of IPv6. */
static PyObject *name_of(const struct sockaddr_storage *address)
{
    char text[INET6_ADDRSTRLEN];
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *name = (const struct sockaddr_in *)address;
        inet_ntop(AF_INET, &name->sin_addr, text, sizeof text);
        return Py_BuildValue("si", text, (int)ntohs(name->sin_port));
    }
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *name = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &name->sin6_addr, text, sizeof text);
        return Py_BuildValue("siII", text, (int)ntohs(name->sin6_port), (unsigned int)ntohl(name->sin6_flowinfo),
                             (unsigned int)name->sin6_scope_id);
    }
    Py_INCREF(Py_None);
    return Py_None;
}

static PyObject *calls_accept(PyObject *module, PyObject *argument)
{
    long listener = PyLong_AsLong(argument);
    if (listener == -1 && PyErr_Occurred())
        return NULL;
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof(sa_family_t));
    int fd = accept4((int)listener, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return failed();
    PyObject *name = name_of(&address);
    PyObject *result = name == NULL ? NULL : Py_BuildValue("iN", fd, name);
    if (result == NULL)
        close(fd);
    return result;
}

/* The socket of a connection that has begun, and in `error` 0 or how `connect` went; -1 with an exception. */
static int begin(const char *host, int port, int nodelay, int *error)
{
    struct sockaddr_storage address;
    socklen_t length;
    memset(&address, 0, sizeof address);
    if (strchr(host, ':') == NULL) {
        struct sockaddr_in *name = (struct sockaddr_in *)&address;
        name->sin_family = AF_INET;
        name->sin_port = htons((uint16_t)port);
        length = sizeof *name;
        if (inet_pton(AF_INET, host, &name->sin_addr) != 1)
            length = 0;
    } else {
        struct sockaddr_in6 *name = (struct sockaddr_in6 *)&address;
        name->sin6_family = AF_INET6;
        name->sin6_port = htons((uint16_t)port);
        length = sizeof *name;
        if (inet_pton(AF_INET6, host, &name->sin6_addr) != 1)
            length = 0;
    }
    if (!length || port < 0 || port > 65535) {
        PyErr_Format(PyExc_ValueError, "no address in figures: %s %d", host, port);
        return -1;
    }
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        failed();
        return -1;
    }
    int one = 1;
    if (nodelay)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *error = connect(fd, (struct sockaddr *)&address, length) < 0 ? errno : 0;
    return fd;
}

static PyObject *calls_connect(PyObject *module, PyObject *args)
{
    const char *host;
    int port, nodelay, error;
    if (!PyArg_ParseTuple(args, "sip:connect", &host, &port, &nodelay))
        return NULL;
    int fd = begin(host, port, nodelay, &error);
    return fd < 0 ? NULL : Py_BuildValue("ii", fd, error);
}

static PyObject *calls_call(PyObject *module, PyObject *args)
{
    const char *host;
    PyObject *data;
    int port, error;
    if (!PyArg_ParseTuple(args, "siS:call", &host, &port, &data))
        return NULL;
    int fd = begin(host, port, 1, &error);
    if (fd < 0)
        return NULL;
    Py_ssize_t count = 0;
    if (error == 0 || error == EINPROGRESS) {
        count = send(fd, PyBytes_AsString(data), (size_t)PyBytes_Size(data), MSG_DONTWAIT | MSG_NOSIGNAL);
        error = count >= 0 || errno == EAGAIN || errno == EINTR ? 0 : errno;
    }
    if (!error)
        return Py_BuildValue("in", fd, count < 0 ? 0 : count);
    close(fd);
    return Py_BuildValue("ii", -1, error);
}

static PyObject *calls_watch(PyObject *module, PyObject *args)
{
    int epoll, fd;
    unsigned int mask;
    if (!PyArg_ParseTuple(args, "iiI:watch", &epoll, &fd, &mask))
        return NULL;
    struct epoll_event event = {.events = mask, .data.fd = fd};
    return done(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static PyObject *calls_nodelay(PyObject *module, PyObject *argument)
{
    long fd = PyLong_AsLong(argument);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    int one = 1;
    return done(setsockopt((int)fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
}

static PyObject *calls_finish(PyObject *module, PyObject *argument)
{
    long fd = PyLong_AsLong(argument);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    return done(shutdown((int)fd, SHUT_WR));
}

static PyObject *calls_close(PyObject *module, PyObject *argument)
{
    long fd = PyLong_AsLong(argument);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    return done(close((int)fd) < 0 && errno == EBADF ? -1 : 0); /* whatever else it says, the descriptor is gone */
}

static PyMethodDef methods[] = {
    {"recv", calls_recv, METH_VARARGS, "recv(fd, limit) -> bytes"},
    {"send", calls_send, METH_VARARGS, "send(fd, data) -> bytes taken"},
    {"send_last", calls_send_last, METH_VARARGS, "send_last(fd, data) -> bytes taken; they wait for finish."},
    {"finish", calls_finish, METH_O, "finish(fd): nothing more will be sent."},
    {"accept", calls_accept, METH_O, "accept(fd) -> (fd, address or None); the new one is non-blocking."},
    {"connect", calls_connect, METH_VARARGS, "connect(host, port, nodelay) -> (fd, errno): begins to."},
    {"call", calls_call, METH_VARARGS,
     "call(host, port, data) -> (fd, bytes taken) or (-1, errno): connects and sends."},
    {"watch", calls_watch, METH_VARARGS, "watch(epoll, fd, mask): registers it."},
    {"nodelay", calls_nodelay, METH_O, "nodelay(fd): sets TCP_NODELAY."},
    {"close", calls_close, METH_O, "close(fd)"},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_calls", "System calls on sockets, by descriptor.", 0, methods, module_slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__calls(void)
{
    return PyModuleDef_Init(&definition);
}
