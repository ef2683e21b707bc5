/* System calls on sockets by their descriptors, as calls.py does them in Python.

   Every socket here is non-blocking, so that the interpreter lock is kept: to let go of it and take it again costs as
   much as one of these calls does in user space. A socket needs no object of Python for what nearly every connection
   asks of it. Whatever is unusual (a unix socket, options, a bound address) is done by the `socket` module. */

#define Py_LIMITED_API 0x030B0000
#define _GNU_SOURCE
#include <Python.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE 65536

static char buffer[SIZE]; /* nothing stays in it between two calls, and one thread at a time has the lock */
static const int one = 1;

static PyObject *failed(void)
{
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *done(int result)
{
    return result < 0 ? failed() : Py_NewRef(Py_None);
}

/* What `PyArg_ParseTuple` and `Py_BuildValue` do, without a format to read (experiments/requests.md). */
static int given(Py_ssize_t count, Py_ssize_t wanted)
{
    if (count == wanted)
        return 1;
    PyErr_Format(PyExc_TypeError, "%zd arguments are needed, not %zd", wanted, count);
    return 0;
}

static int number(PyObject *from, int *to)
{
    long found = PyLong_AsLong(from);
    if (found == -1 && PyErr_Occurred())
        return 0;
    *to = found < INT_MIN || found > INT_MAX ? -1 : (int)found;
    return 1;
}

static PyObject *pair(PyObject *first, PyObject *second)
{
    PyObject *made = first != NULL && second != NULL ? PyTuple_Pack(2, first, second) : NULL;
    Py_XDECREF(first);
    Py_XDECREF(second);
    return made;
}

static PyObject *calls_recv(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    int fd, limit;
    if (!given(count, 2) || !number(args[0], &fd) || !number(args[1], &limit))
        return NULL;
    if (limit < 0) {
        PyErr_SetString(PyExc_ValueError, "a limit below 0");
        return NULL;
    }
    ssize_t read = recv(fd, buffer, limit < SIZE ? (size_t)limit : SIZE, MSG_DONTWAIT);
    return read < 0 ? failed() : PyBytes_FromStringAndSize(buffer, read);
}

static PyObject *send_with(PyObject *const *args, Py_ssize_t count, int flags)
{
    int fd;
    Py_buffer data;
    if (!given(count, 2) || !number(args[0], &fd) || PyObject_GetBuffer(args[1], &data, PyBUF_SIMPLE) < 0)
        return NULL;
    ssize_t sent = send(fd, data.buf, (size_t)data.len, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
    int error = errno;
    PyBuffer_Release(&data);
    errno = error;
    return sent < 0 ? failed() : PyLong_FromSsize_t(sent);
}

static PyObject *calls_send(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    return send_with(args, count, 0);
}

static PyObject *calls_send_last(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    return send_with(args, count, MSG_MORE);
}

/* The address as the socket module gives it; None for what is neither of IPv4 nor of IPv6. */
static PyObject *name_of(const struct sockaddr_storage *address)
{
    char text[INET6_ADDRSTRLEN], *end = text;
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *name = (const struct sockaddr_in *)address;
        const unsigned char *bytes = (const unsigned char *)&name->sin_addr;
        for (int each = 0; each < 4; each++, *end++ = '.') { /* glibc's inet_ntop takes sprintf for it */
            if (bytes[each] > 99)
                *end++ = (char)('0' + bytes[each] / 100);
            if (bytes[each] > 9)
                *end++ = (char)('0' + bytes[each] / 10 % 10);
            *end++ = (char)('0' + bytes[each] % 10);
        }
        return pair(PyUnicode_FromStringAndSize(text, end - text - 1), PyLong_FromLong(ntohs(name->sin_port)));
    }
    if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *name = (const struct sockaddr_in6 *)address;
        inet_ntop(AF_INET6, &name->sin6_addr, text, sizeof text);
        return Py_BuildValue("siII", text, (int)ntohs(name->sin6_port), (unsigned int)ntohl(name->sin6_flowinfo),
                             (unsigned int)name->sin6_scope_id);
    }
    return Py_NewRef(Py_None);
}

/* Registers a socket that was just made; it is closed, with errno set, where that fails. */
static int watched(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0)
        return 1;
    int error = errno;
    close(fd);
    errno = error;
    return 0;
}

static PyObject *calls_accept(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    int listener, epoll, limit;
    if (!given(count, 3) || !number(args[0], &listener) || !number(args[1], &epoll) || !number(args[2], &limit))
        return NULL;
    struct sockaddr_storage address;
    socklen_t length = sizeof address;
    memset(&address, 0, sizeof(sa_family_t));
    int fd = accept4(listener, (struct sockaddr *)&address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return failed();
    ssize_t read = epoll < 0 ? -1 : recv(fd, buffer, limit < SIZE ? (size_t)limit : SIZE, MSG_DONTWAIT);
    if (!watched(epoll, fd))
        return failed();
    PyObject *data = read > 0 ? PyBytes_FromStringAndSize(buffer, read) : Py_NewRef(Py_None);
    PyObject *result = pair(PyLong_FromLong(fd), pair(name_of(&address), data));
    if (result == NULL)
        close(fd);
    return result;
}

static PyObject *calls_reach(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    const char *host;
    char *data;
    Py_ssize_t length;
    int port, nodelay, epoll, error = 0;
    if (!given(count, 5) || (host = PyUnicode_AsUTF8AndSize(args[0], NULL)) == NULL || !number(args[1], &port) ||
        !number(args[2], &nodelay) || PyBytes_AsStringAndSize(args[3], &data, &length) < 0 || !number(args[4], &epoll))
        return NULL;
    struct sockaddr_storage address;
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    memset(&address, 0, sizeof address);
    int old = strchr(host, ':') == NULL;
    address.ss_family = old ? AF_INET : AF_INET6;
    v4->sin_port = htons((uint16_t)port); /* it stands at the same place in both */
    if (port < 0 || port > 65535 ||
        inet_pton(address.ss_family, host, old ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr) != 1)
        return PyErr_Format(PyExc_ValueError, "no address in figures: %s %d", host, port);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return failed();
    if (nodelay)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&address, old ? sizeof *v4 : sizeof *v6) < 0)
        error = errno;
    ssize_t sent = 0;
    if (length && (!error || error == EINPROGRESS)) {
        sent = send(fd, data, (size_t)length, MSG_DONTWAIT | MSG_NOSIGNAL);
        error = sent >= 0 ? 0 : errno == EAGAIN || errno == EINTR ? EINPROGRESS : errno;
    }
    if (error && error != EINPROGRESS)
        close(fd);
    else if (watched(epoll, fd))
        return pair(PyLong_FromLong(fd), pair(PyLong_FromLong(error), PyLong_FromSsize_t(sent < 0 ? 0 : sent)));
    else
        error = errno;
    return pair(PyLong_FromLong(-1), pair(PyLong_FromLong(error), PyLong_FromLong(0)));
}

static PyObject *calls_watch(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    int epoll, fd;
    if (!given(count, 3) || !number(args[0], &epoll) || !number(args[1], &fd))
        return NULL;
    struct epoll_event event = {.events = (uint32_t)PyLong_AsUnsignedLong(args[2]), .data.fd = fd};
    if (PyErr_Occurred())
        return NULL;
    return done(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

#define WITH_FD(name, result)                                                                                          \
    static PyObject *calls_##name(PyObject *module, PyObject *argument)                                                \
    {                                                                                                                  \
        int fd;                                                                                                        \
        return number(argument, &fd) ? done(result) : NULL;                                                            \
    }
WITH_FD(nodelay, setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one))
WITH_FD(finish, shutdown(fd, SHUT_WR))
WITH_FD(close, close(fd) < 0 && errno == EBADF ? -1 : 0) /* whatever else it says, the descriptor is gone */

#define FAST(name, doc) {#name, (PyCFunction)(void (*)(void))calls_##name, METH_FASTCALL, doc}
static PyMethodDef methods[] = {
    FAST(recv, "recv(fd, limit) -> bytes"),
    FAST(send, "send(fd, data) -> bytes taken"),
    FAST(send_last, "send_last(fd, data) -> bytes taken; they wait for finish."),
    {"finish", calls_finish, METH_O, "finish(fd): nothing more will be sent."},
    FAST(accept, "accept(fd, epoll, limit) -> (fd, (address or None, bytes or None)); registered unless epoll is -1."),
    FAST(reach, "reach(host, port, nodelay, data, epoll) -> (fd or -1, (errno, bytes taken)): begins to."),
    FAST(watch, "watch(epoll, fd, mask): registers it."),
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
