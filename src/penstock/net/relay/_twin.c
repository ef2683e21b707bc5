/* The relay's compiled twin: polls, and carries bytes between the two sockets of a tunnel by itself.

   It knows one case, the usual one: a socket is readable, and its peer takes everything that was read. Whatever else
   happens (a short write, an end, an error, any other event) ends its part in that tunnel, and the event goes to
   Python with what is needed to go on from there. Where frames are looked at, it steps over those of data and counts
   them; a read in which there is anything else goes to Python before any of it is passed on. Whoever wants bytes
   injected or a tunnel closed dismisses the pair first, see `Tunnel` in tunnel.py.

   No Python object is touched between two events for Python, and the interpreter lock is not held meanwhile. The
   table changes under the lock only (`engage`, `dismiss`) and never while another thread is in `poll`: there is one
   loop per process, and one thread uses it. */

#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SIZE 81920 /* as BUFFER in side.py */
#define HEADER 14  /* the longest of a frame; so much more there is of the buffer, as `step` looks ahead */
#define BATCH 256  /* as in loop.py */
#define ALONE -1   /* the peer of a descriptor that is not ours */

/* A close frame has at most 125 bytes, behind six (RFC 6455, sections 5.2 and 5.5); it is never one of several. */
#define LONGEST_CLOSE 131
#define CLOSE_FRAME 0x88

enum { NOTHING, SHORT, FULL, END, FAILED, OVER, FRAMES };

/* The frames from one side: the bytes to come of the one under way, and the payload of the fragments so far of a
   message that has not ended (`inside`). No message longer than `longest` passes here. As in direction.py. */
typedef struct {
    unsigned long long longest, frames, messages, payload, left, message;
    unsigned int mask, rsv, inside;
} Flow;

/* One descriptor. There may be tens of thousands: what is rare has its own piece of memory. */
typedef struct {
    unsigned long long read;
    double last;
    Flow *flow; /* NULL where nobody looks at frames */
    int peer, error;
    unsigned char trouble; /* why Python was called */
    unsigned char frames;  /* whether what comes are frames of WebSocket */
    unsigned char parting; /* whether what came last began with a close frame */
} Entry;

typedef struct {
    PyObject_HEAD
    int epoll, size;
    Entry *entries;
    struct epoll_event events[BATCH];
    char *buffer;
    int keeper; /* whose bytes in the buffer its peer did not take, or was not given */
    Py_ssize_t from, kept;
} Twin;

static PyObject *nothing(void)
{
    Py_INCREF(Py_None); /* the headers of 3.13.0 leave that out of Py_RETURN_NONE, also for older Pythons */
    return Py_None;
}

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

/* It is Python's business: neither of the two is carried any more until they are engaged anew. What was read and is not
   passed on, from `from` on, stays in the buffer until the next poll. Always 1. */
static int give_up(Twin *self, int fd, unsigned char trouble, int error, Py_ssize_t from, Py_ssize_t kept)
{
    Entry *entry = &self->entries[fd];
    self->entries[entry->peer].peer = ALONE;
    entry->peer = ALONE;
    entry->trouble = trouble;
    entry->error = error;
    self->keeper = fd;
    self->from = from;
    self->kept = kept;
    return 1;
}

/* Steps over the frames in what was read. Returns 0, with nothing done, where there is anything but data as they may
   be, or half a header. Counts as `Direction.feed` does. */
static int step(Flow *flow, const unsigned char *data, size_t size)
{
    Flow now = *flow;
    size_t at = now.left < size ? (size_t)now.left : size, header, have;
    now.left -= at;
    now.payload += at;
    for (; at < size; at += header + have) {
        const unsigned char *head = data + at;
        unsigned int opcode = head[0] & 0x0F, last = head[0] & 0x80, rsv = head[0] & 0x70;
        unsigned long long length = head[1] & 0x7F, least = length < 126 ? 0 : length == 126 ? 126 : 0x10000;
        header = least == 0 ? 2 : least == 126 ? 4 : 10;
        if (least)
            length = 0;
        for (size_t i = 2; i < header; i++)
            length = length << 8 | head[i];
        header += now.mask ? 4 : 0;
        if (size - at < header || (head[1] & 0x80) != now.mask || (opcode ? rsv & ~now.rsv : rsv) || opcode > 2 ||
            now.inside != (opcode == 0) || length < least || length > now.longest - now.message)
            return 0;
        have = size - at - header < length ? size - at - header : (size_t)length;
        now.frames++;
        now.messages += last != 0;
        now.inside = !last;
        now.message = last ? 0 : now.message + length;
        now.payload += have;
        now.left = length - have;
    }
    *flow = now;
    return 1;
}

/* One read and one write. Returns whether Python has to see the event. */
static int carry(Twin *self, int fd, double now)
{
    Entry *entry = &self->entries[fd];
    ssize_t count = recv(fd, self->buffer, SIZE, MSG_DONTWAIT);
    if (count < 0)
        return would_block(errno) ? 0 : give_up(self, fd, FAILED, errno, 0, 0);
    if (count == 0) {
        int over = entry->parting && self->entries[entry->peer].parting;
        return give_up(self, fd, over ? OVER : END, over ? entry->peer : 0, 0, 0);
    }
    if (entry->flow != NULL && !step(entry->flow, (unsigned char *)self->buffer, (size_t)count))
        return give_up(self, fd, FRAMES, 0, 0, count);
    entry->parting = entry->frames && count <= LONGEST_CLOSE && (unsigned char)self->buffer[0] == CLOSE_FRAME;
    entry->read += (unsigned long long)count;
    entry->last = now;
    ssize_t sent = send(entry->peer, self->buffer, (size_t)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == count)
        return 0;
    if (sent < 0 && !would_block(errno))
        return give_up(self, fd, FULL, errno, 0, 0);
    sent = sent < 0 ? 0 : sent;
    return give_up(self, fd, SHORT, 0, sent, count - sent);
}

/* Polls until `deadline` (below 0: for ever), a signal, or something for Python; the number of events left in
   `events`, -1 with errno after a failure. */
static int serve(Twin *self, double deadline, int most)
{
    for (;;) {
        int timeout = -1;
        if (deadline >= 0) {
            double left = (deadline - clock_now()) * 1000.0;
            timeout = left <= 0 ? 0 : left > 86400000.0 ? 86400000 : (int)left + ((double)(int)left < left);
        }
        int count = epoll_wait(self->epoll, self->events, most < 1 || most > BATCH ? BATCH : most, timeout);
        if (count < 0)
            return errno == EINTR ? 0 : -1;
        double now = clock_now();
        int left = 0;
        for (int i = 0; i < count && !self->kept; i++) { /* what is left out will be told again */
            struct epoll_event event = self->events[i];
            int fd = event.data.fd;
            if (fd >= 0 && fd < self->size && self->entries[fd].peer != ALONE) {
                uint32_t ends = event.events & EPOLLRDHUP; /* after what is read first, nearly always */
                if (event.events - ends != EPOLLIN)
                    give_up(self, fd, NOTHING, 0, 0, 0);
                else if (!carry(self, fd, now) && !(ends && carry(self, fd, now)))
                    continue;
            }
            self->events[left++] = self->kept ? self->events[0] : event;
            if (self->kept)
                self->events[0] = event; /* before anybody else may dismiss it */
        }
        if (left || (deadline >= 0 && now >= deadline))
            return left;
    }
}

/* What each tunnel and each turn calls reads no format: 1,900 instructions of a handshake (experiments/requests.md). */
static PyObject *twin_poll(PyObject *object, PyObject *const *args, Py_ssize_t given)
{
    Twin *self = (Twin *)object;
    double timeout = given > 0 ? PyFloat_AsDouble(args[0]) : -1;
    int count, most = given > 1 ? (int)PyLong_AsLong(args[1]) : BATCH;
    if (PyErr_Occurred())
        return NULL;
    self->kept = 0; /* whoever was told of it has taken it */
    Py_BEGIN_ALLOW_THREADS /* which keeps errno */
    count = serve(self, timeout < 0 ? -1 : clock_now() + timeout, most);
    Py_END_ALLOW_THREADS
    if (count < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    PyObject *list = PyList_New(count);
    for (int i = 0; list != NULL && i < count; i++) {
        PyObject *fd = PyLong_FromLong(self->events[i].data.fd), *mask = PyLong_FromLong((long)self->events[i].events);
        PyObject *pair = fd == NULL || mask == NULL ? NULL : PyTuple_Pack(2, fd, mask);
        Py_XDECREF(fd);
        Py_XDECREF(mask);
        if (pair == NULL || PyList_SetItem(list, i, pair) < 0)
            Py_CLEAR(list);
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
    free(entry->flow);
    entry->flow = NULL;
    entry->trouble = NOTHING;
    entry->peer = ALONE;
}

static PyObject *twin_engage(PyObject *object, PyObject *const *args, Py_ssize_t given)
{
    Twin *self = (Twin *)object;
    int fds[2] = {-1, -1}, frames = given == 7 && PyObject_IsTrue(args[6]) > 0;
    unsigned long long read[2];
    double last[2];
    for (int i = 0; i < 2 && given >= 6 && given <= 7; i++) {
        fds[i] = (int)PyLong_AsLong(args[3 * i]);
        read[i] = PyLong_AsUnsignedLongLong(args[3 * i + 1]);
        last[i] = PyFloat_AsDouble(args[3 * i + 2]);
    }
    if (PyErr_Occurred())
        return NULL;
    if (fds[0] < 0 || fds[1] < 0 || fds[0] == fds[1] || fds[0] > 1 << 24 || fds[1] > 1 << 24)
        return PyErr_Format(PyExc_ValueError, "two descriptors are needed");
    if (reach(self, fds[0]) < 0 || reach(self, fds[1]) < 0)
        return PyErr_NoMemory();
    for (int i = 0; i < 2; i++)
        if (self->entries[fds[i]].peer != ALONE)
            return PyErr_Format(PyExc_ValueError, "descriptor %d is engaged already", fds[i]);
    for (int i = 0; i < 2; i++) {
        Entry *entry = &self->entries[fds[i]];
        forget(entry);
        entry->peer = fds[1 - i];
        entry->read = read[i];
        entry->last = last[i];
        entry->frames = frames != 0;
        entry->parting = 0;
    }
    return nothing();
}

static Entry *entry_of(PyObject *twin, PyObject *argument)
{
    Twin *self = (Twin *)twin;
    long fd = PyLong_AsLong(argument);
    if (fd == -1 && PyErr_Occurred())
        return NULL;
    if (fd >= 0 && fd < self->size)
        return &self->entries[fd];
    PyErr_Format(PyExc_ValueError, "descriptor %ld was never engaged", fd);
    return NULL;
}

static PyObject *twin_step(PyObject *object, PyObject *args)
{
    PyObject *fd;
    Flow flow;
    if (!PyArg_ParseTuple(args, "OIIKKKKKKp:step", &fd, &flow.mask, &flow.rsv, &flow.longest, &flow.frames,
                          &flow.messages, &flow.payload, &flow.left, &flow.message, &flow.inside))
        return NULL;
    Entry *entry = entry_of(object, fd);
    if (entry == NULL)
        return NULL;
    if (entry->flow == NULL && (entry->flow = malloc(sizeof flow)) == NULL)
        return PyErr_NoMemory();
    *entry->flow = flow;
    return nothing();
}

static PyObject *twin_figures(PyObject *object, PyObject *argument)
{
    Entry *entry = entry_of(object, argument);
    if (entry == NULL)
        return NULL;
    static const Flow none = {0};
    const Flow *flow = entry->flow != NULL ? entry->flow : &none;
    return Py_BuildValue("KdKKKKKi", entry->read, entry->last, flow->frames, flow->messages, flow->payload, flow->left,
                         flow->message, flow->inside);
}

static PyObject *twin_dismiss(PyObject *object, PyObject *argument)
{
    Twin *self = (Twin *)object;
    Entry *entry = entry_of(object, argument);
    if (entry == NULL)
        return NULL;
    int keeps = self->kept && self->keeper == (int)(entry - self->entries);
    /* Not "y#": compiled with the headers of 3.13 or newer it would fail in an older Python. */
    PyObject *kept = PyBytes_FromStringAndSize(self->buffer + self->from, keeps ? self->kept : 0);
    PyObject *result = kept == NULL ? NULL : Py_BuildValue("KdiiN", entry->read, entry->last, (int)entry->trouble,
                                                           entry->error, kept);
    if (result == NULL)
        return NULL;
    if (entry->peer != ALONE)
        self->entries[entry->peer].peer = ALONE;
    forget(entry);
    return result;
}

static PyObject *twin_over(PyObject *object, PyObject *argument)
{
    Entry *entry = entry_of(object, argument);
    if (entry == NULL)
        return NULL;
    if (entry->trouble != OVER)
        return nothing();
    Entry *entries = ((Twin *)object)->entries, *peer = &entries[entry->error];
    (void)close((int)(entry - entries)); /* whatever it says, the descriptor is gone */
    (void)close(entry->error);
    forget(entry);
    forget(peer);
    return Py_BuildValue("KK", entry->read, peer->read);
}

static PyObject *twin_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    int epoll;
    if (!PyArg_ParseTuple(args, "i:Twin", &epoll))
        return NULL;
    Twin *self = (Twin *)PyType_GenericAlloc(type, 0);
    if (self == NULL)
        return NULL;
    self->epoll = epoll;
    self->buffer = malloc(SIZE + HEADER);
    if (self->buffer != NULL)
        return (PyObject *)self;
    Py_DECREF((PyObject *)self);
    return PyErr_NoMemory();
}

static void twin_dealloc(PyObject *object)
{
    Twin *self = (Twin *)object;
    PyTypeObject *type = Py_TYPE(object);
    for (int i = 0; i < self->size; i++)
        free(self->entries[i].flow);
    free(self->entries);
    free(self->buffer);
    PyObject_Free(object);
    Py_DECREF(type);
}

/* What they take and return is in compiled.py. */
static PyMethodDef methods[] = {
    {"poll", (PyCFunction)(void (*)(void))twin_poll, METH_FASTCALL, "Poll, carry what is engaged, tell of the rest."},
    {"engage", (PyCFunction)(void (*)(void))twin_engage, METH_FASTCALL, "Carry bytes between two sockets."},
    {"step", twin_step, METH_VARARGS, "Step over the frames from an engaged socket, from where they stand."},
    {"figures", twin_figures, METH_O, "Tell what has been counted, and where the frames stand."},
    {"dismiss", twin_dismiss, METH_O, "Give a descriptor back; neither of the pair is carried then."},
    {"over", twin_over, METH_O, "Close a pair whose two ends have said all they had to say, or return None."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, twin_new},
    {Py_tp_dealloc, twin_dealloc},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Twin(epoll descriptor): polls in the selector's place, and relays tunnels."},
    {0, NULL},
};

static PyType_Spec spec = {"penstock.net.relay._twin.Twin", sizeof(Twin), 0, Py_TPFLAGS_DEFAULT, slots};

static int module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&spec);
    int result = type == NULL ? -1 : PyModule_AddObjectRef(module, "Twin", type);
    Py_XDECREF(type);
    return result;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_twin", "The relay's compiled twin.", 0, NULL, module_slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__twin(void)
{
    return PyModuleDef_Init(&definition);
}
