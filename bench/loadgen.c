/* loadgen: the traffic of Penstock's benchmark, as WebSocket backend and as client, in one file.
 *
 *   loadgen backend    [--port P]                       echoes WebSocket frames, answers GET with 200 bytes; over TLS
 *                      [--certificate FILE]             with a file of a certificate and its key
 *   loadgen tunnels    --port P --connections N ...     every tunnel sends, waits for its echo, sends again
 *   loadgen idle       --port P --connections N         one echo each, then silence, then one echo each
 *   loadgen handshakes --port P --connections N ...     connect, upgrade, one echo, closing handshake; again
 *   loadgen requests   --port P --connections N ...     GET over kept connections
 *   loadgen visits     --port P --connections N ...     GET, a connection for each
 *   loadgen download   --port P --count MIB             one GET of --path, whose answer has so many MiB
 *   loadgen features                                    what this build can do
 *
 *   --path /ws    --size BYTES (payload, >= 8)    --warmup N    --count N    --seconds S    --tls    --steps
 *   --rate N (tunnels: messages per second, instead of as fast as it goes)
 *   --streams N (tunnels, idle: over HTTP/2, so many tunnels on each connection; RFC 8441)
 *   --download PATH (with --streams: messages are measured for as long as this lasts, on the first connection)
 *   --window BYTES (with --streams: how far ahead of us a stream may be, 65,535 unless told)
 *
 * A client makes `warmup` transactions, then `count` or as many as fit into `seconds`, and prints one line
 * of JSON. With --steps it first prints "ready" and waits for a line on stdin, and after the JSON for another
 * one (or the end of stdin) before it closes anything, so that whoever started it can read the clocks of a
 * proxy around exactly `count` transactions.
 *
 * The loop is closed: a connection never has two transactions under way, so no queue hides a slow proxy. With
 * --rate messages are due at fixed moments, and latencies count from then, so that a proxy that stalls is not
 * spared what would have come meanwhile.
 * Anything unexpected (a wrong Sec-WebSocket-Accept, one wrong byte in an echo) ends the program with status
 * 1 and a sentence on stderr: figures of a proxy that alters messages would mean nothing.
 *
 * Build: cc -O3 -o loadgen loadgen.c, and for --tls: cc -O3 -DWITH_TLS -o loadgen loadgen.c -lssl -lcrypto
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
#endif

enum {
    EVENTS = 512,          /* per epoll_wait */
    RAMP = 64,             /* connections being opened at once: below any proxy's listen backlog */
    HEAD_LIMIT = 16384,
    FRAME_LIMIT = 1 << 24,
    BODY = 200,            /* bytes of the backend's answer to a GET */
    GRACE = 10,            /* seconds that the last transactions may take once time is up */
    ACCEPT = 28,           /* characters of Sec-WebSocket-Accept */
    TICK = 200000,         /* nanoseconds between two looks at what is due, with --rate */
    MIB = 1 << 20,
    BULK = 1 << 18,        /* bytes of a long answer that are made at once */
};

enum { FIN = 0x80, OPCODE = 0x0f, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10, MASKED = 0x80 };

enum read_result { NOT_NOW = -1, BROKEN = -2, END = 0 };

struct buffer {
    unsigned char *data;
    size_t start, end, capacity;
};

enum state {
    CLOSED, CONNECTING, SECURING,
    UPGRADING, OPEN, SAYING_GOODBYE,   /* WebSocket client */
    REQUESTING, AWAITING_END,          /* HTTP client */
    SERVING_HTTP, SERVING_FRAMES,      /* backend */
    SERVING_BULK,
    CARRYING,                          /* HTTP/2: a connection whose streams are tunnels */
};

struct carrier;

struct connection {
    int fd;
    enum state state;
    uint32_t watched;               /* what epoll watches */
    struct buffer in, out;
    uint32_t number, sequence;      /* both travel in the first eight bytes of every message */
    uint64_t begun;                 /* nanoseconds; when the transaction under way began */
    int close_after_flush;          /* backend */
    uint64_t bulk;                  /* bytes of a long answer that are still to be sent, or to come */
    int said_goodbye;               /* client: the backend's close frame has arrived */
    char accept[ACCEPT + 1];
    struct carrier *carrier, *carries;  /* HTTP/2: what a tunnel is a stream of; what a connection carries */
    uint32_t stream;
    int64_t window, taken;          /* what it may send; what came and was not told of yet */
#ifdef WITH_TLS
    SSL *ssl;
#endif
};

struct workload {
    const char *name;
    int websocket;      /* upgrade before the transaction */
    int kept;           /* the connection outlives the transaction */
};

static const struct workload WORKLOADS[] = {
    {"tunnels", 1, 1}, {"idle", 1, 1}, {"handshakes", 1, 0}, {"requests", 0, 1}, {"visits", 0, 0},
    {"download", 0, 0},
};

static struct {
    const struct workload *workload;
    int port, tls, steps;
    uint32_t connections, streams, window;
    size_t size;
    uint64_t warmup, count, rate;
    double seconds;
    const char *path, *download, *certificate;
} options = {.connections = 1, .window = 65535, .size = 64, .count = 1, .seconds = 30, .path = "/"};

static int poller;
static unsigned char *pattern;          /* the payload of every message, but for its first eight bytes */
static char body[BODY];
static struct connection *connections;
static uint32_t asked_for, opened;      /* tunnels */
static uint64_t begun, done, limit;     /* transactions of this phase */
static int time_is_up;
static struct connection **resting;     /* with --rate: tunnels without a message under way, first come first */
static uint64_t rested, woken;          /* how many were put there and taken from there, ever */
static uint32_t *latencies;             /* of the measured phase, in units of 100 ns */
static char tls_version[64] = "";

static void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("loadgen: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t randomness(void)        /* xorshift64: mask keys and nonces, which here need not be secret */
{
    static uint64_t state;
    while (state == 0)
        if (getrandom(&state, sizeof state, 0) != sizeof state)
            fail("getrandom: %s", strerror(errno));
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void *must(void *memory)
{
    if (memory == NULL)
        fail("out of memory");
    return memory;
}

/* ---- buffers ---- */

static size_t filled(const struct buffer *b) { return b->end - b->start; }

static unsigned char *room(struct buffer *b, size_t bytes)
{
    if (b->start == b->end)
        b->start = b->end = 0;
    if (b->capacity - b->end >= bytes)
        return b->data + b->end;
    if (b->start > 0) {
        memmove(b->data, b->data + b->start, filled(b));
        b->end -= b->start;
        b->start = 0;
    }
    if (b->capacity - b->end < bytes) {
        b->capacity = b->end + bytes;
        b->data = must(realloc(b->data, b->capacity));
    }
    return b->data + b->end;
}

static void append(struct buffer *b, const void *bytes, size_t length)
{
    memcpy(room(b, length), bytes, length);
    b->end += length;
}

static void append_text(struct buffer *b, const char *text) { append(b, text, strlen(text)); }

/* ---- the opening handshake: SHA-1 (FIPS 180-4) and base64, RFC 6455 section 4.2.2 ---- */

static uint32_t rotate(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

static void sha1_block(uint32_t hash[5], const unsigned char block[64])
{
    uint32_t w[80], a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16
             | (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
    for (int t = 16; t < 80; t++)
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (int t = 0; t < 80; t++) {
        uint32_t f, k;
        if (t < 20)
            f = (b & c) | (~b & d), k = 0x5a827999;
        else if (t < 40)
            f = b ^ c ^ d, k = 0x6ed9eba1;
        else if (t < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else
            f = b ^ c ^ d, k = 0xca62c1d6;
        uint32_t next = rotate(a, 5) + f + e + k + w[t];
        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    hash[0] += a, hash[1] += b, hash[2] += c, hash[3] += d, hash[4] += e;
}

static void sha1(const void *message, size_t length, unsigned char digest[20])
{
    uint32_t hash[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    unsigned char tail[128] = {0};
    const unsigned char *bytes = message;
    size_t whole = length / 64 * 64, rest = length - whole, padded = rest < 56 ? 64 : 128;
    for (size_t at = 0; at < whole; at += 64)
        sha1_block(hash, bytes + at);
    memcpy(tail, bytes + whole, rest);
    tail[rest] = 0x80;
    for (size_t i = 0; i < 8; i++)
        tail[padded - 1 - i] = (unsigned char)((uint64_t)length * 8 >> 8 * i);
    for (size_t at = 0; at < padded; at += 64)
        sha1_block(hash, tail + at);
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(hash[i / 4] >> (24 - 8 * (i % 4)));
}

static void base64(const unsigned char *bytes, size_t length, char *text)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < length; at += 3) {
        size_t left = length - at;
        uint32_t three = (uint32_t)bytes[at] << 16;
        three |= left > 1 ? (uint32_t)bytes[at + 1] << 8 : 0;
        three |= left > 2 ? bytes[at + 2] : 0;
        *text++ = DIGITS[three >> 18];
        *text++ = DIGITS[three >> 12 & 63];
        *text++ = left > 1 ? DIGITS[three >> 6 & 63] : '=';
        *text++ = left > 2 ? DIGITS[three & 63] : '=';
    }
    *text = 0;
}

static void accept_for(const char *key, size_t length, char accept[ACCEPT + 1])
{
    char text[128];
    unsigned char digest[20];
    int size = snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", (int)length, key);
    sha1(text, (size_t)size, digest);
    base64(digest, sizeof digest, accept);
}

/* ---- heads of HTTP messages ---- */

/* Bytes of the head at the buffer's start with its empty line, 0 while it is incomplete. */
static size_t head_length(const struct buffer *b)
{
    const unsigned char *end = memmem(b->data + b->start, filled(b), "\r\n\r\n", 4);
    return end ? (size_t)(end - (b->data + b->start)) + 4 : 0;
}

/* The value of a header, its length in `length`, or NULL. */
static const char *header(const char *head, size_t size, const char *name, size_t *length)
{
    size_t wanted = strlen(name);
    const char *end = head + size - 2, *line = memmem(head, size, "\r\n", 2);
    while (line != NULL && line + 2 < end) {
        line += 2;
        const char *stop = memmem(line, (size_t)(end - line) + 2, "\r\n", 2);
        if ((size_t)(stop - line) > wanted && line[wanted] == ':' && strncasecmp(line, name, wanted) == 0) {
            const char *value = line + wanted + 1;
            while (value < stop && *value == ' ')
                value++;
            *length = (size_t)(stop - value);
            return value;
        }
        line = stop;
    }
    return NULL;
}

static int header_has(const char *head, size_t size, const char *name, const char *word)
{
    size_t length, wanted = strlen(word);
    const char *value = header(head, size, name, &length);
    for (; value != NULL && length >= wanted; value++, length--)
        if (strncasecmp(value, word, wanted) == 0)
            return 1;
    return 0;
}

/* ---- frames, RFC 6455 section 5.2 ---- */

struct frame {
    unsigned char first;        /* FIN and opcode */
    int masked;
    size_t header, length;      /* the header with the mask key; the payload */
};

/* 1 once a whole frame is there; `frame` is valid (for the wanted room) once header is not 0. */
static int whole_frame(const struct buffer *b, struct frame *frame)
{
    const unsigned char *at = b->data + b->start;
    size_t have = filled(b), bytes;
    frame->header = 0;
    if (have < 2)
        return 0;
    frame->first = at[0];
    frame->masked = (at[1] & MASKED) != 0;
    frame->length = at[1] & 0x7f;
    bytes = frame->length == 126 ? 2 : frame->length == 127 ? 8 : 0;
    if (have < 2 + bytes + 4 * (size_t)frame->masked)
        return 0;
    if (bytes != 0)
        frame->length = 0;
    for (size_t i = 0; i < bytes; i++)
        frame->length = frame->length << 8 | at[2 + i];
    frame->header = 2 + bytes + 4 * (size_t)frame->masked;
    if (frame->length > FRAME_LIMIT)
        return 0;
    return have - frame->header >= frame->length;
}

static size_t put_frame_header(unsigned char *to, unsigned char first, int masked, size_t length)
{
    size_t bytes = length < 126 ? 0 : length < 65536 ? 2 : 8;
    to[0] = first;
    to[1] = (unsigned char)((masked ? MASKED : 0) | (bytes == 0 ? length : bytes == 2 ? 126 : 127));
    for (size_t i = 0; i < bytes; i++)
        to[2 + i] = (unsigned char)(length >> 8 * (bytes - 1 - i));
    return 2 + bytes;
}

static void apply_mask(unsigned char *to, const unsigned char *from, size_t length, const unsigned char *key)
{
    uint64_t key8, word;
    size_t at = 0;
    memcpy(&key8, key, 4);
    memcpy((unsigned char *)&key8 + 4, key, 4);
    for (; at + 8 <= length; at += 8) {
        memcpy(&word, from + at, 8);
        word ^= key8;
        memcpy(to + at, &word, 8);
    }
    for (; at < length; at++)
        to[at] = from[at] ^ key[at & 3];
}

static void append_masked(struct buffer *out, unsigned char opcode, const void *payload, size_t length)
{
    unsigned char *to = room(out, length + 14), *key;
    uint32_t random = (uint32_t)(randomness() >> 16);
    to += put_frame_header(to, FIN | opcode, 1, length);
    key = to;
    memcpy(key, &random, 4);
    apply_mask(to + 4, payload, length, key);
    out->end = (size_t)(to + 4 + length - out->data);
}

/* ---- sockets ---- */

static void watch(struct connection *c, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (c->watched == events)
        return;
    if (epoll_ctl(poller, c->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &event) != 0)
        fail("epoll_ctl: %s", strerror(errno));
    c->watched = events;
}

static void no_delay(int fd)
{
    int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        fail("TCP_NODELAY: %s", strerror(errno));
}

static void close_connection(struct connection *c)
{
#ifdef WITH_TLS
    if (c->ssl != NULL) {
        if (c->state != SECURING)
            SSL_shutdown(c->ssl);
        ERR_clear_error();
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
#endif
    close(c->fd);
    c->fd = -1;
    c->state = CLOSED;
    c->watched = 0;
    c->in.start = c->in.end = c->out.start = c->out.end = 0;
    c->said_goodbye = 0;
}

#ifdef WITH_TLS
static SSL_CTX *tls_context;

static long tls_result(struct connection *c, int result)
{
    switch (SSL_get_error(c->ssl, result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return NOT_NOW;
    case SSL_ERROR_ZERO_RETURN:
        return END;
    default:
        ERR_clear_error();
        return BROKEN;
    }
}
#endif

static long receive(struct connection *c, void *to, size_t size)
{
    ssize_t got;
#ifdef WITH_TLS
    if (c->ssl != NULL) {
        int read = SSL_read(c->ssl, to, (int)size);
        return read > 0 ? read : tls_result(c, read);
    }
#endif
    got = recv(c->fd, to, size, 0);
    if (got >= 0)
        return got;
    return errno == EAGAIN || errno == EINTR ? NOT_NOW : BROKEN;
}

static int more_received(const struct connection *c)
{
#ifdef WITH_TLS
    return c->ssl != NULL && SSL_has_pending(c->ssl);
#else
    (void)c;
    return 0;
#endif
}

static long transmit(struct connection *c, const void *from, size_t size)
{
    ssize_t sent;
#ifdef WITH_TLS
    if (c->ssl != NULL) {
        int wrote = SSL_write(c->ssl, from, (int)size);
        return wrote > 0 ? wrote : tls_result(c, wrote);
    }
#endif
    sent = send(c->fd, from, size, MSG_NOSIGNAL);
    if (sent >= 0)
        return sent;
    return errno == EAGAIN || errno == EINTR ? NOT_NOW : BROKEN;
}

static int h2_carry(struct connection *c);

/* Sends what is in `out`; 0 when the connection is broken. */
static int flush(struct connection *c)
{
    if (c->carrier != NULL)
        return h2_carry(c);
    while (filled(&c->out) > 0) {
        long sent = transmit(c, c->out.data + c->out.start, filled(&c->out));
        if (sent == NOT_NOW)
            break;
        if (sent <= 0)
            return 0;
        c->out.start += (size_t)sent;
    }
    watch(c, filled(&c->out) > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return 1;
}

/* ---- the client ---- */

static void begin(struct connection *c);
static void h2_established(struct carrier *k);

static void flush_or_fail(struct connection *c)
{
    if (!flush(c))
        fail("connection %u broke while sending (state %d)", c->number, c->state);
}

static void open_connection(struct connection *c)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        fail("socket: %s", strerror(errno));
    no_delay(c->fd);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS)
        fail("connect to port %d: %s", options.port, strerror(errno));
    c->state = CONNECTING;
    watch(c, EPOLLIN | EPOLLOUT);
}

static void send_message(struct connection *c)
{
    c->sequence++;
    memcpy(pattern, &c->number, 4);
    memcpy(pattern + 4, &c->sequence, 4);
    append_masked(&c->out, BINARY, pattern, options.size);
    flush_or_fail(c);
}

static void send_get(struct connection *c)
{
    append_text(&c->out, "GET ");
    append_text(&c->out, options.path);
    append_text(&c->out, " HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: loadgen/1\r\nAccept: */*\r\n");
    append_text(&c->out, options.workload->kept ? "\r\n" : "Connection: close\r\n\r\n");
    c->state = REQUESTING;
    flush_or_fail(c);
}

static void send_upgrade(struct connection *c)
{
    uint64_t nonce[2] = {randomness(), randomness()};
    char key[25], head[1024];
    base64((unsigned char *)nonce, sizeof nonce, key);
    accept_for(key, strlen(key), c->accept);
    snprintf(head, sizeof head,
             "GET %.512s HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: loadgen/1\r\nUpgrade: websocket\r\n"
             "Connection: Upgrade\r\nOrigin: http://bench.example\r\nSec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Key: %s\r\n\r\n", options.path, key);
    append_text(&c->out, head);
    c->state = UPGRADING;
    flush_or_fail(c);
}

static void established(struct connection *c)
{
    if (c->carries != NULL)
        h2_established(c->carries);
    else if (options.workload->websocket)
        send_upgrade(c);
    else
        send_get(c);
}

static void secure(struct connection *c)
{
#ifdef WITH_TLS
    int result;
    if (c->ssl == NULL) {
        c->ssl = must(SSL_new(tls_context));
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_tlsext_host_name(c->ssl, "bench.example");
        c->state = SECURING;
    }
    result = SSL_connect(c->ssl);
    if (result == 1) {
        snprintf(tls_version, sizeof tls_version, "%s %s", SSL_get_version(c->ssl), SSL_get_cipher(c->ssl));
        established(c);
    } else if (tls_result(c, result) != NOT_NOW) {
        fail("connection %u: the TLS handshake failed", c->number);
    } else {
        watch(c, SSL_want_write(c->ssl) ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
#else
    (void)c;
#endif
}

static void connected(struct connection *c)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0)
        fail("connect to port %d: %s", options.port, strerror(error));
    if (options.tls)
        secure(c);
    else
        established(c);
}

static void finish(struct connection *c)
{
    if (latencies != NULL)
        latencies[done] = (uint32_t)((now() - c->begun) / 100);
    done++;
    if (options.rate)
        resting[rested++ % options.connections] = c;
    else if (begun < limit && !time_is_up)
        begin(c);
}

/* A transaction, whatever that is in this workload, up to finish(). */
static void begin(struct connection *c)
{
    begun++;
    c->begun = now();
    if (c->state == CLOSED)
        open_connection(c);
    else if (options.workload->websocket)
        send_message(c);
    else
        send_get(c);
}

static void h2_open_tunnel(struct connection *c);

static void open_tunnel(struct connection *c)
{
    if (options.streams)
        h2_open_tunnel(c);
    else
        open_connection(c);
}

static void upgraded(struct connection *c)
{
    c->state = OPEN;
    if (!options.workload->kept) {
        send_message(c);
        return;
    }
    opened++;
    if (asked_for < options.connections)
        open_tunnel(&connections[asked_for++]);
}

static void read_upgrade(struct connection *c)
{
    size_t size = head_length(&c->in), length;
    const char *head = (const char *)c->in.data + c->in.start, *accept;
    if (size == 0) {
        if (filled(&c->in) > HEAD_LIMIT)
            fail("connection %u: a head without an end", c->number);
        return;
    }
    if (strncmp(head, "HTTP/1.1 101 ", 13) != 0)
        fail("connection %u: no 101 but \"%.*s\"", c->number, (int)(strchr(head, '\r') - head), head);
    accept = header(head, size, "Sec-WebSocket-Accept", &length);
    if (accept == NULL || length != ACCEPT || memcmp(accept, c->accept, ACCEPT) != 0)
        fail("connection %u: wrong Sec-WebSocket-Accept", c->number);
    if (!header_has(head, size, "Upgrade", "websocket") || !header_has(head, size, "Connection", "upgrade"))
        fail("connection %u: a 101 without Upgrade or Connection", c->number);
    c->in.start += size;
    upgraded(c);
}

static void check_echo(struct connection *c, const struct frame *frame)
{
    const unsigned char *payload = c->in.data + c->in.start + frame->header;
    if (frame->first != (FIN | BINARY) || frame->masked || frame->length != options.size)
        fail("connection %u: an echo of %zu bytes, first byte %#x", c->number, frame->length, frame->first);
    memcpy(pattern, &c->number, 4);
    memcpy(pattern + 4, &c->sequence, 4);
    if (memcmp(payload, pattern, options.size) != 0)
        fail("connection %u: the echo of message %u differs from what was sent", c->number, c->sequence);
}

static void read_echo(struct connection *c)
{
    static const unsigned char NORMAL_CLOSURE[2] = {0x03, 0xe8};
    struct frame frame;
    if (!whole_frame(&c->in, &frame))
        return;
    check_echo(c, &frame);
    c->in.start += frame.header + frame.length;
    if (filled(&c->in) > 0)
        fail("connection %u: %zu bytes more than the echo", c->number, filled(&c->in));
    if (options.workload->kept) {
        finish(c);
        return;
    }
    append_masked(&c->out, CLOSE, NORMAL_CLOSURE, sizeof NORMAL_CLOSURE);
    c->state = SAYING_GOODBYE;
    flush_or_fail(c);
}

static void read_goodbye(struct connection *c)
{
    struct frame frame;
    if (!whole_frame(&c->in, &frame))
        return;
    if (frame.first != (FIN | CLOSE) || frame.masked)
        fail("connection %u: no close frame but first byte %#x", c->number, frame.first);
    c->said_goodbye = 1;
}

static void read_response(struct connection *c)
{
    size_t size = head_length(&c->in), length;
    const char *head = (const char *)c->in.data + c->in.start, *value;
    if (size == 0) {
        if (filled(&c->in) > HEAD_LIMIT)
            fail("connection %u: a head without an end", c->number);
        return;
    }
    if (strncmp(head, "HTTP/1.1 200 ", 13) != 0)
        fail("connection %u: no 200 but \"%.*s\"", c->number, (int)(strchr(head, '\r') - head), head);
    value = header(head, size, "Content-Length", &length);
    if (value == NULL || atoi(value) != BODY)
        fail("connection %u: no Content-Length of %d", c->number, BODY);
    if (filled(&c->in) < size + BODY)
        return;
    if (filled(&c->in) > size + BODY || memcmp(head + size, body, BODY) != 0)
        fail("connection %u: a wrong body", c->number);
    c->state = !options.workload->kept || header_has(head, size, "Connection", "close") ? AWAITING_END : OPEN;
    c->in.start = c->in.end;
    if (c->state == OPEN)
        finish(c);
}

static void ended(struct connection *c)
{
    if (c->state != AWAITING_END && !c->said_goodbye)
        fail("connection %u was closed by the proxy (state %d)", c->number, c->state);
    close_connection(c);
    finish(c);
}

#include "loadgen_h2.c"

static void client_event(struct connection *c, uint32_t events)
{
    size_t wanted = options.size + 1024 + (c->carries != NULL ? 4 * H2_FRAME : 0);
    if (c->state == CONNECTING) {
        connected(c);
        return;
    }
    if (c->state == SECURING) {
        secure(c);
        if (c->state == SECURING)
            return;
    }
    if (events & EPOLLOUT)
        flush_or_fail(c);
    if (events == EPOLLOUT)
        return;
    do {
        long got = receive(c, room(&c->in, wanted), wanted);
        if (got == NOT_NOW)
            return;
        if (got <= 0) {
            ended(c);
            return;
        }
        c->in.end += (size_t)got;
        switch (c->state) {
        case UPGRADING: read_upgrade(c); break;
        case OPEN: read_echo(c); break;
        case SAYING_GOODBYE: read_goodbye(c); break;
        case REQUESTING: read_response(c); break;
        case CARRYING: h2_read(c->carries); break;
        default: fail("connection %u: bytes in state %d", c->number, c->state);
        }
    } while (more_received(c));
    if (c->carries != NULL)
        h2_send(c->carries);
}

static int ticker = -1;

static void start_ticker(void)
{
    struct itimerspec often = {{0, TICK}, {0, TICK}};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &ticker};
    ticker = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (ticker < 0 || timerfd_settime(ticker, 0, &often, NULL) != 0
        || epoll_ctl(poller, EPOLL_CTL_ADD, ticker, &event) != 0)
        fail("a timer for --rate: %s", strerror(errno));
}

static void hear_tick(void)
{
    uint64_t times;
    if (read(ticker, &times, sizeof times) < 0 && errno != EAGAIN)
        fail("the timer for --rate: %s", strerror(errno));
}

/* With --rate: begins the messages that are due, each on the tunnel that has rested longest. */
static void begin_due(uint64_t start)
{
    uint64_t time = now();
    while (begun < limit && !time_is_up && woken < rested) {
        uint64_t due = start + begun * 1000000000u / options.rate;
        struct connection *c;
        if (due > time)
            return;
        c = resting[woken++ % options.connections];
        begin(c);
        c->begun = due;
    }
}

static void pump(void (*handle)(struct connection *, uint32_t), int milliseconds)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(poller, events, EVENTS, milliseconds);
    if (count < 0 && errno != EINTR)
        fail("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < count; i++)
        if (events[i].data.ptr == &ticker)
            hear_tick();
        else
            handle(events[i].data.ptr, events[i].events);
}

static void open_tunnels(void)
{
    uint64_t deadline = now() + (uint64_t)60e9;
    while (asked_for < options.connections && asked_for < RAMP)
        open_tunnel(&connections[asked_for++]);
    while (opened < options.connections) {
        pump(client_event, 1000);
        if (now() > deadline)
            fail("only %u of %u tunnels opened within 60 seconds", opened, options.connections);
    }
}

/* `count` transactions, or as many as fit into `seconds`; how many they were. */
static uint64_t run(uint64_t count, double seconds)
{
    uint64_t start = now(), deadline = start + (uint64_t)(seconds * 1e9);
    begun = done = rested = woken = 0;
    limit = count;
    time_is_up = 0;
    if (latencies != NULL && options.download != NULL)
        h2_download();
    for (uint32_t i = 0; i < options.connections && (options.rate || begun < limit); i++)
        if (options.rate)
            resting[rested++] = &connections[i];
        else
            begin(&connections[i]);
    while (done < begun || (options.rate && begun < limit && !time_is_up) || (beside.stream && !beside.ended)) {
        uint64_t time;
        if (options.rate)
            begin_due(start);
        pump(client_event, 100);
        time = now();
        if (time > deadline)
            time_is_up = 1;
        if (time > deadline + GRACE * (uint64_t)1e9)
            fail("%llu transactions without an end %d seconds after the time was up",
                 (unsigned long long)(begun - done), GRACE);
    }
    return done;
}

static int by_size(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void wait_for_line(void)
{
    int character;
    do
        character = getchar();
    while (character != '\n' && character != EOF);
}

static double cpu_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* One long answer, read and thrown away; the time it took. Blocking: there is nothing else to do. */
static void download(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    static char bytes[256 * 1024];
    uint64_t began, wanted = options.count * MIB, got = 0;
    size_t head = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (options.steps) {
        puts("ready");
        fflush(stdout);
        wait_for_line();
    }
    began = now();
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("connect to port %d: %s", options.port, strerror(errno));
    snprintf(bytes, sizeof bytes, "GET %.512s?mib=%llu HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n",
             options.path, (unsigned long long)options.count);
    if (send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) != (ssize_t)strlen(bytes))
        fail("the request for a download was not taken");
    for (;;) {
        ssize_t count = recv(fd, bytes, sizeof bytes, 0);
        if (count <= 0)
            break;
        if (got == 0) {
            const char *end = memmem(bytes, (size_t)count, "\r\n\r\n", 4);
            if (strncmp(bytes, "HTTP/1.1 200 ", 13) != 0 || end == NULL)
                fail("a download that does not begin with a head of status 200");
            head = (size_t)(end - bytes) + 4;
        }
        got += (uint64_t)count;
    }
    if (got != head + wanted)
        fail("a download of %llu bytes, %llu expected", (unsigned long long)(got - head), (unsigned long long)wanted);
    printf("{\"workload\": \"download\", \"count\": %llu, \"complete\": true, \"seconds\": %.6f, "
           "\"cpu_seconds\": %.6f, \"p50_us\": 0, \"p90_us\": 0, \"p99_us\": 0, \"max_us\": 0, \"tls\": \"\"}\n",
           (unsigned long long)options.count, (double)(now() - began) / 1e9, cpu_seconds());
    fflush(stdout);
}

static void measure(void)
{
    uint32_t *measured = must(calloc(options.count, sizeof *measured));
    uint64_t began, count;
    if (strcmp(options.workload->name, "download") == 0) {
        download();
        return;
    }
    double cpu, seconds;
    if (options.workload->websocket && options.workload->kept)
        open_tunnels();
    run(options.warmup, options.seconds);
    if (options.steps) {
        puts("ready");
        fflush(stdout);
        wait_for_line();
    }
    latencies = measured;
    began = now();
    cpu = cpu_seconds();
    count = run(options.count, options.seconds);
    seconds = (double)(now() - began) / 1e9;
    cpu = cpu_seconds() - cpu;
    qsort(measured, count, sizeof *measured, by_size);
    printf("{\"workload\": \"%s\", \"count\": %llu, \"complete\": %s, \"seconds\": %.6f, "
           "\"cpu_seconds\": %.6f, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, "
           "\"max_us\": %.1f, \"tls\": \"%s\", \"downloaded\": %llu, \"adler32\": %u}\n",
           options.workload->name, (unsigned long long)count, count == options.count ? "true" : "false",
           seconds, cpu, measured[count / 2] / 10.0, measured[count * 9 / 10] / 10.0,
           measured[count * 99 / 100] / 10.0, measured[count - 1] / 10.0, tls_version,
           (unsigned long long)beside.bytes, beside.high << 16 | beside.low);
    fflush(stdout);
    if (options.steps)
        wait_for_line();
}

static void prepare_client(void)
{
    if (options.port == 0)
        fail("--port is missing");
    if (options.connections == 0 || options.count == 0 || options.size < 8 || options.size > FRAME_LIMIT)
        fail("--connections and --count are at least 1, --size is 8 to %d", FRAME_LIMIT);
    if (strcmp(options.workload->name, "idle") == 0)
        options.warmup = options.count = options.connections;
    pattern = must(malloc(options.size));
    for (size_t i = 0; i < options.size; i++)
        pattern[i] = (unsigned char)randomness();
    connections = must(calloc(options.connections, sizeof *connections));
    if ((options.streams || options.download) && !(options.streams && options.workload->websocket && options.workload->kept))
        fail("--streams is for tunnels and idle, --download for --streams");
    if (options.streams)
        h2_prepare();
    if (options.rate) {
        resting = must(calloc(options.connections, sizeof *resting));
        start_ticker();
    }
    for (uint32_t i = 0; i < options.connections; i++)
        connections[i].fd = -1, connections[i].number = i;
#ifdef WITH_TLS
    tls_context = must(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(tls_context, 1);
    if (options.streams && SSL_CTX_set_alpn_protos(tls_context, (const unsigned char *)"\2h2", 3) != 0)
        fail("ALPN");
#else
    if (options.tls)
        fail("built without TLS");
#endif
}

/* ---- the backend: serve_* give 1 when they consumed something, 0 to wait for more, or BROKEN ---- */

static void serve_get(struct connection *c, const char *head, size_t size)
{
    const char *line_end = strchr(head, '\r');
    int old = line_end - head > 8 && strncmp(line_end - 8, "HTTP/1.0", 8) == 0;
    c->close_after_flush = header_has(head, size, "Connection", "close")
                        || (old && !header_has(head, size, "Connection", "keep-alive"));
    append_text(&c->out, "HTTP/1.1 200 OK\r\nServer: loadgen\r\nContent-Type: text/plain\r\n"
                         "Content-Length: 200\r\nConnection: ");
    append_text(&c->out, c->close_after_flush ? "close\r\n\r\n" : "keep-alive\r\n\r\n");
    append(&c->out, body, BODY);
}

/* The answer to GET /bulk?mib=N: refilled as it is sent, see backend_event(). */
static void serve_bulk(struct connection *c, const char *head)
{
    char text[160];
    const char *amount = strstr(head, "mib=");
    c->bulk = (amount != NULL ? strtoull(amount + 4, NULL, 10) : 1) * MIB;
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nServer: loadgen\r\nContent-Length: %llu\r\nConnection: close\r\n\r\n",
             (unsigned long long)c->bulk);
    append_text(&c->out, text);
    c->state = SERVING_BULK;
}

static int refill(struct connection *c)
{
    size_t portion = c->bulk < BULK ? (size_t)c->bulk : BULK;
    memset(room(&c->out, portion), 'b', portion);
    c->out.end += portion;
    c->bulk -= portion;
    c->close_after_flush = c->bulk == 0;
    return flush(c);
}

static int serve_head(struct connection *c)
{
    size_t size = head_length(&c->in), length;
    const char *head = (const char *)c->in.data + c->in.start, *key;
    char accept[ACCEPT + 1];
    if (size == 0)
        return filled(&c->in) > HEAD_LIMIT ? BROKEN : 0;
    c->in.start += size;
    key = header(head, size, "Sec-WebSocket-Key", &length);
    if (key == NULL && strncmp(head, "GET /bulk", 9) == 0) {
        serve_bulk(c, head);
        return 0;
    }
    if (key == NULL) {
        serve_get(c, head, size);
        return 1;
    }
    if (length > 64 || !header_has(head, size, "Upgrade", "websocket")
        || !header_has(head, size, "Connection", "upgrade")) {
        append_text(&c->out, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        c->close_after_flush = 1;
        return 1;
    }
    accept_for(key, length, accept);
    append_text(&c->out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         "Sec-WebSocket-Accept: ");
    append_text(&c->out, accept);
    append_text(&c->out, "\r\n\r\n");
    c->state = SERVING_FRAMES;
    return 1;
}

static int serve_frame(struct connection *c)
{
    struct frame frame;
    unsigned char *to, *from;
    if (!whole_frame(&c->in, &frame))
        return frame.header != 0 && (frame.length > FRAME_LIMIT || !frame.masked) ? BROKEN : 0;
    if (!frame.masked)
        return BROKEN;
    from = c->in.data + c->in.start + frame.header;
    c->in.start += frame.header + frame.length;
    if ((frame.first & OPCODE) == PONG)
        return 1;
    if ((frame.first & OPCODE) == PING)
        frame.first = FIN | PONG;
    c->close_after_flush = (frame.first & OPCODE) == CLOSE;
    to = room(&c->out, frame.length + 10);
    to += put_frame_header(to, frame.first, 0, frame.length);
    apply_mask(to, from, frame.length, from - 4);
    c->out.end = (size_t)(to + frame.length - c->out.data);
    return 1;
}

static void forget(struct connection *c)
{
    close_connection(c);
    free(c->in.data);
    free(c->out.data);
    free(c);
}

/* Proxies may break connections as they like: that is the client's business, which fails if it should not. */
static void backend_event(struct connection *c, uint32_t events)
{
    int served = 1;
    if (!flush(c) || (filled(&c->out) == 0 && c->close_after_flush)) {
        forget(c);
        return;
    }
    if (c->state == SERVING_BULK && filled(&c->out) == 0) {
        if (!refill(c) || (filled(&c->out) == 0 && c->close_after_flush)) {
            forget(c);
            return;
        }
        watch(c, EPOLLOUT);
        return;
    }
    if (filled(&c->out) == 0 && events != EPOLLOUT) {
        struct frame frame = {0};
        size_t wanted = 4096;
        long got;
        if (c->state == SERVING_FRAMES && !whole_frame(&c->in, &frame) && frame.header != 0
            && frame.length <= FRAME_LIMIT)
            wanted += frame.header + frame.length - filled(&c->in);
        do {
            got = receive(c, room(&c->in, wanted), wanted);
            if (got == END || got == BROKEN) {
                forget(c);
                return;
            }
            if (got > 0)
                c->in.end += (size_t)got;
        } while (got > 0 && more_received(c));
    }
    while (served == 1 && filled(&c->out) < FRAME_LIMIT && !c->close_after_flush)
        served = c->state == SERVING_FRAMES ? serve_frame(c) : serve_head(c);
    if (served == BROKEN || !flush(c) || (filled(&c->out) == 0 && c->close_after_flush)) {
        forget(c);
        return;
    }
    if (filled(&c->out) > 0 || c->state == SERVING_BULK)
        watch(c, EPOLLOUT);
}

static int listener;

static void accept_or_serve(struct connection *c, uint32_t events)
{
    int fd;
    if (c != NULL) {
        backend_event(c, events);
        return;
    }
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        no_delay(fd);
        c = must(calloc(1, sizeof *c));
        c->fd = fd;
        c->state = SERVING_HTTP;
#ifdef WITH_TLS
        if (tls_context != NULL) {
            c->ssl = must(SSL_new(tls_context));
            SSL_set_fd(c->ssl, fd);
            SSL_set_accept_state(c->ssl);  /* the handshake is a part of the first reads */
        }
#endif
        watch(c, EPOLLIN);
    }
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
        fail("accept: %s", strerror(errno));
}

static void serve(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    socklen_t size = sizeof address;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    int on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0
        || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 4096) != 0
        || getsockname(listener, (struct sockaddr *)&address, &size) != 0
        || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) != 0)
        fail("listen on port %d: %s", options.port, strerror(errno));
#ifdef WITH_TLS
    if (options.certificate != NULL) {
        tls_context = must(SSL_CTX_new(TLS_server_method()));
        SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_options(tls_context, SSL_OP_NO_TICKET);
        if (SSL_CTX_use_certificate_chain_file(tls_context, options.certificate) != 1
            || SSL_CTX_use_PrivateKey_file(tls_context, options.certificate, SSL_FILETYPE_PEM) != 1)
            fail("certificate %s", options.certificate);
    }
#endif
    printf("{\"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;)
        pump(accept_or_serve, -1);
}

/* ---- the command line ---- */

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != 0)
        fail("not a number: %s", text);
    return value;
}

static void read_options(int argc, char **argv)
{
    static const struct option NAMES[] = {
        {"port", 1, NULL, 'p'},   {"connections", 1, NULL, 'n'}, {"size", 1, NULL, 's'},
        {"warmup", 1, NULL, 'w'}, {"count", 1, NULL, 'c'},       {"seconds", 1, NULL, 't'},
        {"path", 1, NULL, 'P'},   {"tls", 0, NULL, 'T'},         {"steps", 0, NULL, 'S'},
        {"rate", 1, NULL, 'r'},   {"streams", 1, NULL, 'm'},     {"download", 1, NULL, 'd'},
        {"window", 1, NULL, 'W'}, {"certificate", 1, NULL, 'C'}, {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", NAMES, NULL)) != -1)
        switch (option) {
        case 'p': options.port = (int)number(optarg); break;
        case 'n': options.connections = (uint32_t)number(optarg); break;
        case 's': options.size = number(optarg); break;
        case 'w': options.warmup = number(optarg); break;
        case 'c': options.count = number(optarg); break;
        case 't': options.seconds = (double)number(optarg); break;
        case 'P': options.path = optarg; break;
        case 'r': options.rate = number(optarg); break;
        case 'm': options.streams = (uint32_t)number(optarg); break;
        case 'd': options.download = optarg; break;
        case 'W': options.window = (uint32_t)number(optarg); break;
        case 'C': options.certificate = optarg; break;
        case 'T': options.tls = 1; break;
        case 'S': options.steps = 1; break;
        default: exit(2);
        }
}

static void raise_descriptor_limit(void)
{
    struct rlimit descriptors;
    if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
        descriptors.rlim_cur = descriptors.rlim_max;
        setrlimit(RLIMIT_NOFILE, &descriptors);
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    raise_descriptor_limit();
    memset(body, 'x', BODY - 1);
    body[BODY - 1] = '\n';
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (argc > 1)
        read_options(argc - 1, argv + 1);
    if (strcmp(mode, "backend") == 0)
        serve();
    if (strcmp(mode, "features") == 0) {
#ifdef WITH_TLS
        puts("{\"tls\": true}");
#else
        puts("{\"tls\": false}");
#endif
        return 0;
    }
    for (size_t i = 0; i < sizeof WORKLOADS / sizeof *WORKLOADS; i++)
        if (strcmp(mode, WORKLOADS[i].name) == 0)
            options.workload = &WORKLOADS[i];
    if (options.workload == NULL) {
        fputs("usage: loadgen backend|tunnels|idle|handshakes|requests|visits|download|features [options]\n", stderr);
        return 2;
    }
    prepare_client();
    measure();
    return 0;
}
