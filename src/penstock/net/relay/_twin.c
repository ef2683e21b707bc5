/* The relay's compiled twin: polls, and carries bytes between the two sockets of plain tunnels by itself.

   It knows one case, the usual one: a socket is readable, and its peer takes everything that was read. Whatever else
   happens (a short write, an end, an error, any other event) ends its part in that tunnel, and the event goes to
   Python with what is needed to go on from there. Whoever wants frames looked at, bytes injected or a tunnel closed
   dismisses the pair first, see `Tunnel` in tunnel.py.

   No Python object is touched between two events for Python, and the interpreter lock is not held meanwhile. The
   table changes under the lock only (`engage`, `dismiss`) and never while another thread is in `poll`: there is one
   loop per process, and one thread uses it. */

#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SIZE 81920 /* as BUFFER in side.py */
#define BATCH 256  /* as in loop.py */
#define ALONE -1   /* the peer of a descriptor that is not ours */

/* A close frame has at most 125 bytes, behind six (RFC 6455, sections 5.2 and 5.5); it is never one of several. */
#define LONGEST_CLOSE 131
#define CLOSE_FRAME 0x88

enum { NOTHING, SHORT, FULL, END, FAILED, OVER };

/* Why Python was called, and the bytes that the peer did not take. */
typedef struct {
    int kind;
    int error;
    size_t length;
    char kept[];
} Trouble;

/* One descriptor. There may be tens of thousands: what is rare has its own piece of memory. */
typedef struct {
    Trouble *trouble;
    uint64_t read;
    double last;
    int peer;
    unsigned char frames;  /* whether what comes are frames of WebSocket */
    unsigned char parting; /* whether what came last began with a close frame */
} Entry;

typedef struct {
    PyObject_HEAD
    int epoll;
    int size;
    Entry *entries;
    struct epoll_event *events;
    char *buffer;
} Twin;

static double clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int would_block(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static Trouble starved = {FULL, ENOMEM, 0};

/* It is Python's business: neither of the two is carried any more until they are engaged anew. Where there is no memory
   to say why, that is the trouble. Always 1. */
static int give_up(Twin *self, int fd, int kind, int error, const char *kept, size_t length)
{
    Entry *entry = &self->entries[fd];
    self->entries[entry->peer].peer = ALONE;
    entry->peer = ALONE;
    if (kind == NOTHING)
        return 1;
    entry->trouble = malloc(sizeof(Trouble) + length);
    if (entry->trouble == NULL) {
        entry->trouble = &starved;
        return 1;
    }
    entry->trouble->kind = kind;
    entry->trouble->error = error;
    entry->trouble->length = length;
    if (length)
        memcpy(entry->trouble->kept, kept, length);
    return 1;
}

/* One read and one write. Returns whether Python has to see the event. */
static int carry(Twin *self, int fd, double now)
{
    Entry *entry = &self->entries[fd];
    ssize_t count = recv(fd, self->buffer, SIZE, MSG_DONTWAIT);
    if (count < 0)
        return would_block(errno) ? 0 : give_up(self, fd, FAILED, errno, NULL, 0);
    if (count == 0) {
        int kind = entry->parting && self->entries[entry->peer].parting ? OVER : END;
        return give_up(self, fd, kind, 0, NULL, 0);
    }
    entry->parting = entry->frames && count <= LONGEST_CLOSE && (unsigned char)self->buffer[0] == CLOSE_FRAME;
    ssize_t sent = send(entry->peer, self->buffer, (size_t)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    int error = sent < 0 ? errno : 0;
    entry->read += (uint64_t)count;
    entry->last = now;
    if (sent == count)
        return 0;
    if (sent < 0) {
        if (!would_block(error))
            return give_up(self, fd, FULL, error, NULL, 0);
        sent = 0;
    }
    return give_up(self, fd, SHORT, 0, self->buffer + sent, (size_t)(count - sent));
}

/* Polls until `deadline` (below 0: for ever) or until there is something for Python; the number of events left in
   `events`, -1 with errno after a failure. */
static int serve(Twin *self, double deadline, int most)
{
    for (;;) {
        int timeout = -1;
        if (deadline >= 0) {
            double left = (deadline - clock_now()) * 1000.0;
            timeout = left <= 0 ? 0 : left > 86400000.0 ? 86400000 : (int)left + ((double)(int)left < left);
        }
        int count = epoll_wait(self->epoll, self->events, most, timeout);
        if (count < 0)
            return -1;
        double now = clock_now();
        int left = 0;
        for (int i = 0; i < count; i++) {
            struct epoll_event event = self->events[i];
            int fd = event.data.fd;
            if (fd >= 0 && fd < self->size && self->entries[fd].peer != ALONE) {
                int unusual;
                if ((event.events & ~(uint32_t)EPOLLRDHUP) != EPOLLIN)
                    unusual = give_up(self, fd, NOTHING, 0, NULL, 0);
                else {
                    unusual = carry(self, fd, now);
                    if (!unusual && event.events & EPOLLRDHUP)
                        unusual = carry(self, fd, now); /* the end, nearly always */
                }
                if (!unusual)
                    continue;
            }
            self->events[left++] = event;
        }
        if (left || (deadline >= 0 && now >= deadline))
            return left;
    }
}

static PyObject *twin_poll(PyObject *object, PyObject *args)
{
    Twin *self = (Twin *)object;
    double timeout;
    int most;
    if (!PyArg_ParseTuple(args, "di:poll", &timeout, &most))
        return NULL;
    if (most < 1 || most > BATCH)
        most = BATCH;
    double deadline = timeout < 0 ? -1 : clock_now() + timeout;
    int count, error = 0;
    do {
        Py_BEGIN_ALLOW_THREADS
        count = serve(self, deadline, most);
        error = count < 0 ? errno : 0;
        Py_END_ALLOW_THREADS
        if (error == EINTR && PyErr_CheckSignals() < 0)
            return NULL;
    } while (error == EINTR);
    if (count < 0) {
        errno = error;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    PyObject *list = PyList_New(count);
    for (int i = 0; list != NULL && i < count; i++) {
        PyObject *pair = Py_BuildValue("iI", self->events[i].data.fd, (unsigned int)self->events[i].events);
        if (pair == NULL) {
            Py_DECREF(list);
            return NULL;
        }
        PyList_SetItem(list, i, pair);
    }
    return list;
}

/* Makes room for `fd`; new entries are nobody's. */
static int reach(Twin *self, int fd)
{
    if (fd < self->size)
        return 0;
    int size = self->size ? self->size : 64;
    while (size <= fd)
        size += size / 4;
    Entry *entries = realloc(self->entries, (size_t)size * sizeof(Entry));
    if (entries == NULL)
        return -1;
    memset(entries + self->size, 0, (size_t)(size - self->size) * sizeof(Entry));
    for (int i = self->size; i < size; i++)
        entries[i].peer = ALONE;
    self->entries = entries;
    self->size = size;
    return 0;
}

static void forget(Entry *entry)
{
    if (entry->trouble != &starved)
        free(entry->trouble);
    entry->trouble = NULL;
    entry->peer = ALONE;
}

static PyObject *twin_engage(PyObject *object, PyObject *args)
{
    Twin *self = (Twin *)object;
    int fds[2];
    unsigned long long read[2];
    double last[2];
    int frames = 0;
    if (!PyArg_ParseTuple(args, "iKdiKd|i:engage", &fds[0], &read[0], &last[0], &fds[1], &read[1], &last[1], &frames))
        return NULL;
    if (fds[0] < 0 || fds[1] < 0 || fds[0] == fds[1] || fds[0] > 1 << 24 || fds[1] > 1 << 24) {
        PyErr_SetString(PyExc_ValueError, "two descriptors are needed");
        return NULL;
    }
    if (reach(self, fds[0]) < 0 || reach(self, fds[1]) < 0)
        return PyErr_NoMemory();
    for (int i = 0; i < 2; i++)
        if (self->entries[fds[i]].peer != ALONE) {
            PyErr_Format(PyExc_ValueError, "descriptor %d is engaged already", fds[i]);
            return NULL;
        }
    for (int i = 0; i < 2; i++) {
        Entry *entry = &self->entries[fds[i]];
        forget(entry);
        entry->peer = fds[1 - i];
        entry->read = read[i];
        entry->last = last[i];
        entry->frames = frames != 0;
        entry->parting = 0;
    }
    Py_INCREF(Py_None); /* the headers of 3.13.0 leave that out of Py_RETURN_NONE, also for older Pythons */
    return Py_None;
}

static Entry *entry_of(Twin *self, PyObject *argument)
{
    long fd = PyLong_AsLong(argument);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    if (fd < 0 || fd >= self->size) {
        PyErr_Format(PyExc_ValueError, "descriptor %ld was never engaged", fd);
        return NULL;
    }
    return &self->entries[fd];
}

static PyObject *twin_figures(PyObject *object, PyObject *argument)
{
    Entry *entry = entry_of((Twin *)object, argument);
    if (entry == NULL)
        return NULL;
    return Py_BuildValue("Kd", (unsigned long long)entry->read, entry->last);
}

static PyObject *twin_dismiss(PyObject *object, PyObject *argument)
{
    Twin *self = (Twin *)object;
    Entry *entry = entry_of(self, argument);
    if (entry == NULL)
        return NULL;
    static const Trouble none = {NOTHING, 0, 0};
    const Trouble *trouble = entry->trouble != NULL ? entry->trouble : &none;
    /* Not "y#": compiled with the headers of 3.13 or newer it would fail in an older Python. */
    PyObject *kept = PyBytes_FromStringAndSize(trouble->kept, (Py_ssize_t)trouble->length);
    if (kept == NULL)
        return NULL;
    PyObject *result = Py_BuildValue("KdiiN", (unsigned long long)entry->read, entry->last, trouble->kind,
                                     trouble->error, kept);
    if (result == NULL)
        return NULL;
    if (entry->peer != ALONE)
        self->entries[entry->peer].peer = ALONE;
    forget(entry);
    return result;
}

static PyObject *twin_over(PyObject *object, PyObject *args)
{
    Twin *self = (Twin *)object;
    int fd, other;
    if (!PyArg_ParseTuple(args, "ii:over", &fd, &other))
        return NULL;
    if (fd < 0 || fd >= self->size || other < 0 || other >= self->size) {
        PyErr_SetString(PyExc_ValueError, "these were never engaged");
        return NULL;
    }
    Entry *entry = &self->entries[fd], *peer = &self->entries[other];
    if (entry->trouble == NULL || entry->trouble->kind != OVER) {
        Py_INCREF(Py_None);
        return Py_None;
    }
    forget(entry);
    forget(peer);
    (void)close(fd); /* whatever it says, the descriptor is gone */
    (void)close(other);
    return Py_BuildValue("KK", (unsigned long long)entry->read, (unsigned long long)peer->read);
}

static PyObject *twin_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int epoll;
    if (kwargs != NULL && PyDict_Size(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Twin() takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "i:Twin", &epoll))
        return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Twin *self = (Twin *)alloc(type, 0);
    if (self == NULL)
        return NULL;
    self->epoll = epoll;
    self->events = malloc(BATCH * sizeof(struct epoll_event));
    self->buffer = malloc(SIZE);
    if (self->events == NULL || self->buffer == NULL) {
        Py_DECREF((PyObject *)self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static void twin_dealloc(PyObject *object)
{
    Twin *self = (Twin *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (int i = 0; i < self->size; i++)
        forget(&self->entries[i]);
    free(self->entries);
    free(self->events);
    free(self->buffer);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

static PyMethodDef methods[] = {
    {"poll", twin_poll, METH_VARARGS,
     "poll(timeout, most) -> [(fd, mask), ...]: carries what is engaged; returns what is not, or is not any more."},
    {"engage", twin_engage, METH_VARARGS,
     "engage(fd, read, last, fd, read, last, frames=0): carries bytes between two registered sockets from now on."},
    {"figures", twin_figures, METH_O, "figures(fd) -> (bytes read, when last): what it has counted."},
    {"dismiss", twin_dismiss, METH_O,
     "dismiss(fd) -> (read, last, trouble, errno, kept): gives a descriptor back; neither of the pair is carried then."},
    {"over", twin_over, METH_VARARGS,
     "over(fd, other) -> (read, read by other) or None: closes a pair whose two ends have said all they had to say."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, twin_new},
    {Py_tp_dealloc, twin_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Twin(epoll descriptor): polls in the selector's place, and relays plain tunnels."},
    {0, NULL},
};

static PyType_Spec spec = {"penstock.net.relay._twin.Twin", sizeof(Twin), 0, Py_TPFLAGS_DEFAULT, slots};

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    if (type == NULL || PyModule_AddObjectRef(module, "Twin", type) < 0) {
        Py_XDECREF(type);
        return -1;
    }
    Py_DECREF(type);
    if (PyModule_AddIntConstant(module, "SHORT", SHORT) < 0 || PyModule_AddIntConstant(module, "FULL", FULL) < 0 ||
        PyModule_AddIntConstant(module, "END", END) < 0 || PyModule_AddIntConstant(module, "FAILED", FAILED) < 0 ||
        PyModule_AddIntConstant(module, "OVER", OVER) < 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_twin", "The relay's compiled twin.", 0, NULL, module_slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__twin(void)
{
    return PyModuleDef_Init(&definition);
}
