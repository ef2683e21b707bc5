/* Tunnels of loadgen as streams of HTTP/2 (RFC 9113, RFC 8441); a part of loadgen.c, which includes it.
 *
 * A carrier is one connection; `wire` is its socket. A tunnel on it is a `struct connection` without a socket: what it
 * has to send becomes DATA frames, what comes for it is put into its `in`, and all else is as over HTTP/1.1. What
 * answers to one read leaves in one write.
 *
 * Heads are literals without a table, and of answers only `:status 200` is understood, which is one byte.
 */

enum {
    H2_DATA, H2_HEADERS, H2_PRIORITY, H2_RST_STREAM, H2_SETTINGS, H2_PUSH_PROMISE, H2_PING, H2_GOAWAY,
    H2_WINDOW_UPDATE, H2_CONTINUATION,
};
enum { H2_END_STREAM = 1, H2_ACK = 1, H2_END_HEADERS = 4, H2_PADDED = 8 };
enum { H2_HEADER_TABLE_SIZE = 1, H2_ENABLE_PUSH = 2, H2_INITIAL_WINDOW_SIZE = 4, H2_ENABLE_CONNECT_PROTOCOL = 8 };
enum {
    H2_HEAD = 9,
    H2_FRAME = 16384,           /* the most that a frame carries */
    H2_ALL = 0x7fffffff,
    H2_STATUS_200 = 0x88,
};

struct carrier {
    struct connection wire;
    int ready;                  /* the proxy's settings have come */
    int reading;                /* what is to be sent waits for the end of what has come */
    int64_t window, first_window;
    int64_t taken;              /* bytes that came since the proxy was last told of them */
    uint32_t next;              /* stream */
    struct connection *first, *end;
};

/* A body that is read beside the tunnels of the first carrier, and summed up as zlib's adler32 does. */
static struct {
    uint32_t stream;
    int ended;
    int64_t taken;
    uint64_t bytes;
    uint32_t low, high;
} beside = {.low = 1};

static struct carrier *carriers;

static void h2_put(struct buffer *out, unsigned char type, unsigned char flags, uint32_t stream, const void *payload,
                   size_t length)
{
    unsigned char *to = room(out, H2_HEAD + length);
    to[0] = (unsigned char)(length >> 16), to[1] = (unsigned char)(length >> 8), to[2] = (unsigned char)length;
    to[3] = type, to[4] = flags;
    for (int i = 0; i < 4; i++)
        to[5 + i] = (unsigned char)(stream >> (24 - 8 * i));
    memcpy(to + H2_HEAD, payload, length);
    out->end += H2_HEAD + length;
}

static void h2_put_number(struct buffer *out, unsigned char type, uint32_t stream, uint32_t number)
{
    uint32_t big = htonl(number);
    h2_put(out, type, 0, stream, &big, sizeof big);
}

static uint32_t h2_number(const unsigned char *from)
{
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static unsigned char *h2_literal(unsigned char *to, const char *name, const char *value)
{
    size_t name_length = strlen(name), length = strlen(value);
    if (length > 126)
        fail("--path is too long for HTTP/2: %zu bytes", length);
    *to++ = 0;
    *to++ = (unsigned char)name_length;
    memcpy(to, name, name_length);
    to += name_length;
    *to++ = (unsigned char)length;
    memcpy(to, value, length);
    return to + length;
}

static uint32_t h2_open(struct carrier *k, const char *method, const char *path, int websocket)
{
    unsigned char block[1024], *end = h2_literal(block, ":method", method);
    uint32_t stream = k->next;
    k->next += 2;
    if (websocket)
        end = h2_literal(end, ":protocol", "websocket");
    end = h2_literal(end, ":scheme", options.tls ? "https" : "http");
    end = h2_literal(end, ":path", path);
    end = h2_literal(end, ":authority", "bench.example");
    end = h2_literal(end, "user-agent", "loadgen/1");
    if (websocket) {
        end = h2_literal(end, "origin", "http://bench.example");
        end = h2_literal(end, "sec-websocket-version", "13");
    }
    h2_put(&k->wire.out, H2_HEADERS, H2_END_HEADERS | (websocket ? 0 : H2_END_STREAM), stream, block,
           (size_t)(end - block));
    return stream;
}

static void h2_send(struct carrier *k)
{
    if (!k->reading && !flush(&k->wire))
        fail("a connection of HTTP/2 broke while sending");
}

/* What a tunnel has to send, as far as the windows allow. */
static int h2_carry(struct connection *c)
{
    struct carrier *k = c->carrier;
    while (filled(&c->out) > 0 && c->window > 0 && k->window > 0) {
        int64_t size = (int64_t)filled(&c->out);
        size = size < H2_FRAME ? size : H2_FRAME;
        size = size < c->window ? size : c->window;
        size = size < k->window ? size : k->window;
        h2_put(&k->wire.out, H2_DATA, 0, c->stream, c->out.data + c->out.start, (size_t)size);
        c->out.start += (size_t)size;
        c->window -= size;
        k->window -= size;
    }
    h2_send(k);
    return 1;
}

static void h2_upgrade(struct connection *c)
{
    struct carrier *k = c->carrier;
    c->stream = h2_open(k, "CONNECT", options.path, 1);
    c->window = k->first_window;
    c->state = UPGRADING;
    h2_send(k);
}

/* A tunnel is wanted: at once, or when its connection is there. */
static void h2_open_tunnel(struct connection *c)
{
    struct carrier *k = &carriers[c->number / options.streams];
    c->carrier = k;
    c->state = CONNECTING;
    if (k->ready)
        h2_upgrade(c);
    else if (k->wire.state == CLOSED)
        open_connection(&k->wire);
}

static void h2_established(struct carrier *k)
{
    unsigned char settings[] = {
        0, H2_HEADER_TABLE_SIZE, 0, 0, 0, 0, 0, H2_ENABLE_PUSH, 0, 0, 0, 0, 0, H2_INITIAL_WINDOW_SIZE, 0, 0, 0, 0,
    };
    uint32_t window = htonl(options.window);
    memcpy(settings + 14, &window, sizeof window);
    append_text(&k->wire.out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    h2_put(&k->wire.out, H2_SETTINGS, 0, 0, settings, sizeof settings);
    h2_put_number(&k->wire.out, H2_WINDOW_UPDATE, 0, H2_ALL - 65535);
    k->wire.state = CARRYING;
    k->window = k->first_window = 65535;
    k->next = 1;
    h2_send(k);
}

static void h2_settings(struct carrier *k, const unsigned char *at, size_t length)
{
    int offered = 0;
    for (size_t i = 0; i + 6 <= length; i += 6) {
        uint32_t value = h2_number(at + i + 2);
        if (at[i + 1] == H2_INITIAL_WINDOW_SIZE) {
            for (struct connection *c = k->first; c < k->end; c++)
                c->window += (int64_t)value - k->first_window;
            k->first_window = value;
        }
        offered |= at[i + 1] == H2_ENABLE_CONNECT_PROTOCOL && value == 1;
    }
    h2_put(&k->wire.out, H2_SETTINGS, H2_ACK, 0, "", 0);
    if (k->ready)
        return;
    if (!offered)
        fail("the proxy does not offer WebSockets over HTTP/2 (RFC 8441)");
    k->ready = 1;
    for (struct connection *c = k->first; c < k->end; c++)
        if (c->state == CONNECTING)
            h2_upgrade(c);
}

static struct connection *h2_tunnel(struct carrier *k, uint32_t stream)
{
    /* Streams are asked for in the order of the tunnels, but for a download between them. */
    uint32_t guess = (stream - 1) / 2;
    if (k->first + guess < k->end && k->first[guess].stream == stream)
        return &k->first[guess];
    for (struct connection *c = k->first; c < k->end; c++)
        if (c->stream == stream)
            return c;
    return NULL;
}

static void h2_beside(const unsigned char *from, size_t length, int ended)
{
    beside.bytes += length;
    while (length > 0) {
        size_t portion = length < 5552 ? length : 5552;
        uint32_t low = beside.low, high = beside.high;
        for (size_t i = 0; i < portion; i++)
            low += from[i], high += low;
        beside.low = low % 65521, beside.high = high % 65521;
        from += portion, length -= portion;
    }
    beside.ended = ended;
    if (ended)
        time_is_up = 1;
}

static void h2_data(struct carrier *k, uint32_t stream, int ended, const unsigned char *from, size_t length)
{
    struct connection *c;
    int64_t *taken;
    k->taken += (int64_t)length;
    if (k->taken > H2_ALL / 4) {
        h2_put_number(&k->wire.out, H2_WINDOW_UPDATE, 0, (uint32_t)k->taken);
        k->taken = 0;
    }
    if (k == carriers && stream == beside.stream && stream != 0) {
        h2_beside(from, length, ended);
        taken = &beside.taken;
    } else {
        c = h2_tunnel(k, stream);
        if (c == NULL || ended)
            fail("%s on stream %u", c == NULL ? "DATA" : "END_STREAM", stream);
        append(&c->in, from, length);
        if (c->state != OPEN)
            fail("connection %u: bytes in state %d", c->number, c->state);
        read_echo(c);
        taken = &c->taken;
    }
    *taken += (int64_t)length;
    if (*taken > options.window / 2 && !ended) {
        h2_put_number(&k->wire.out, H2_WINDOW_UPDATE, stream, (uint32_t)*taken);
        *taken = 0;
    }
}

static void h2_headers(struct carrier *k, uint32_t stream, const unsigned char *from, size_t length)
{
    struct connection *c = h2_tunnel(k, stream);
    while (length > 0 && (*from & 0xe0) == 0x20)    /* the size of a table that neither side has */
        from++, length--;
    if (length == 0 || *from != H2_STATUS_200)
        fail("stream %u: no :status 200 but %#x first", stream, length ? *from : 0);
    if (c != NULL)
        upgraded(c);
}

static void h2_window_update(struct carrier *k, uint32_t stream, uint32_t more)
{
    struct connection *c;
    if (stream == 0) {
        k->window += more;
        for (c = k->first; c < k->end; c++)
            if (filled(&c->out) > 0)
                h2_carry(c);
    } else if ((c = h2_tunnel(k, stream)) != NULL) {
        c->window += more;
        h2_carry(c);
    }
}

static void h2_frame(struct carrier *k, const unsigned char *at, size_t length)
{
    uint32_t stream = h2_number(at + 5) & 0x7fffffff;
    unsigned char type = at[3], flags = at[4];
    at += H2_HEAD;
    if ((type == H2_DATA || type == H2_HEADERS) && flags & H2_PADDED)
        fail("a frame with padding, which loadgen does not read");
    switch (type) {
    case H2_DATA: h2_data(k, stream, flags & H2_END_STREAM, at, length); break;
    case H2_HEADERS: h2_headers(k, stream, at, length); break;
    case H2_SETTINGS:
        if (!(flags & H2_ACK))
            h2_settings(k, at, length);
        break;
    case H2_PING:
        if (!(flags & H2_ACK))
            h2_put(&k->wire.out, H2_PING, H2_ACK, 0, at, length);
        break;
    case H2_WINDOW_UPDATE: h2_window_update(k, stream, h2_number(at) & H2_ALL); break;
    case H2_RST_STREAM: fail("stream %u was reset with code %u", stream, h2_number(at));
    case H2_GOAWAY: fail("GOAWAY with code %u", h2_number(at + 4));
    default: break;
    }
}

/* All frames that are there. */
static void h2_read(struct carrier *k)
{
    struct buffer *in = &k->wire.in;
    k->reading = 1;
    while (filled(in) >= H2_HEAD) {
        const unsigned char *at = in->data + in->start;
        size_t length = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2];
        if (length > H2_FRAME)
            fail("a frame of %zu bytes", length);
        if (filled(in) < H2_HEAD + length)
            break;
        h2_frame(k, at, length);
        in->start += H2_HEAD + length;
    }
    k->reading = 0;
}

/* Before the measured messages: what they are beside of. They end with it. */
static void h2_download(void)
{
    struct carrier *k = carriers;
    beside.stream = h2_open(k, "GET", options.download, 0);
    h2_send(k);
}

static void h2_prepare(void)
{
    uint32_t count = (options.connections + options.streams - 1) / options.streams;
    carriers = must(calloc(count, sizeof *carriers));
    for (uint32_t i = 0; i < count; i++) {
        carriers[i].wire.fd = -1;
        carriers[i].wire.number = i * options.streams;
        carriers[i].wire.carries = &carriers[i];
        carriers[i].first = &connections[i * options.streams];
        carriers[i].end = &connections[options.connections];
        if (carriers[i].end > carriers[i].first + options.streams)
            carriers[i].end = carriers[i].first + options.streams;
    }
}
