"""What RFC 9113 asks of a server, section by section: what it must take, what costs a stream, what the connection."""

import struct
import time

import pytest
from h2.settings import SettingCodes

from harness.backends import HttpEcho, hold, read_head
from harness.binary import penstock
from harness.http2 import Http2Client
from harness.proxy import Proxy, in_http
from harness.raw import RawClient

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 1, 3, 5, 6
REFUSED_STREAM, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 7, 9, 11
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, PADDED = 1, 4, 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS_FRAME = bytes(3) + b"\4" + bytes(5)
GET = b"\x82\x86\x84\x41\x09localhost"
"""`GET / http localhost`, as HPACK writes it."""
CONFIGURATION = in_http(
    """
    error_log error.log info;
    http2 on;
    server {
        listen 127.0.0.1:{port:front};
        root www;
        location / { return 200 "answer $http_x_a"; }
        location /echo { proxy_pass http://127.0.0.1:{port:back}; }
        location /big { }
    }
    """
)


@pytest.fixture(scope="module")
def backend():
    made = HttpEcho()
    yield made
    made.close()


@pytest.fixture(scope="module")
def front(backend):
    ports, files = {"back": backend.port}, {"www/big": bytes(200000)}
    with Proxy(CONFIGURATION, penstock(), ports=ports, files=files) as made:
        yield made


@pytest.fixture
def client(front):
    with Http2Client(front.port()) as made:
        made.get("/")
        yield made


def ends_with(client: Http2Client, *codes: int) -> None:
    """The connection is ended with one of these codes."""
    client.until(lambda: client.goaway is not None)
    assert client.goaway is not None and int(client.goaway.error_code) in codes
    client.until(lambda: client.eof)


def goes_on(client: Http2Client) -> None:
    """Nothing has happened to the connection."""
    client.raw(PING, 0, 0, b"12345678")
    assert client.until(lambda: client.pongs > 0)


# 3. Starting


@pytest.mark.parametrize("cuts", [(), (1,), (9, 20), (24,)])
def test_3_4_the_preface_may_come_in_pieces(front, cuts: tuple[int, ...]) -> None:
    with RawClient(front.port()) as client:
        data, at = PREFACE + SETTINGS_FRAME, 0
        for cut in (*cuts, len(data)):
            client.send(data[at:cut])
            at = cut
            time.sleep(0.05 if cut < len(data) else 0)
        head = client.recv_exactly(9)
        assert head[3] == SETTINGS and head[4] == 0, "the server begins with its settings"


@pytest.mark.parametrize("data", [b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"])
def test_3_4_another_preface_is_no_request(front, data: bytes) -> None:
    with RawClient(front.port()) as client:
        client.send(data).half_close()
        assert b"HTTP/2" not in client.recv_all().partition(b"\r\n")[0]


def test_3_4_both_sides_acknowledge_settings(client) -> None:
    client.h2.update_settings({SettingCodes.MAX_FRAME_SIZE: 20000})
    client.flush()
    client.until(lambda: client.h2.local_settings.max_frame_size == 20000)


# 4. Frames


def test_4_1_frames_of_unknown_type_are_ignored(client) -> None:
    client.raw(200, 0xFF, 0, b"what")
    client.raw(10, 0, 0, b"")
    goes_on(client)


def test_4_1_unknown_flags_are_ignored(client) -> None:
    client.raw(PING, 0xFE, 0, b"12345678")
    assert client.until(lambda: client.pongs > 0)


def test_4_2_a_frame_too_long(client) -> None:
    client.raw(PING, 0, 0, bytes(9))
    ends_with(client, FRAME_SIZE_ERROR)


def test_4_2_settings_too_long(client) -> None:
    client.raw(SETTINGS, 0, 0, bytes(16386))
    ends_with(client, FRAME_SIZE_ERROR)


def test_4_3_a_block_that_can_not_be_decoded(client) -> None:
    client.raw(HEADERS, END_STREAM | END_HEADERS, 3, b"\xff\xff\xff\xff\xff\xff")
    ends_with(client, COMPRESSION_ERROR)


def test_4_3_nothing_may_come_within_a_head(client) -> None:
    client.raw(HEADERS, END_STREAM, 3, GET)
    client.raw(PING, 0, 0, bytes(8))
    ends_with(client, PROTOCOL_ERROR)


# 5. Streams


@pytest.mark.parametrize(
    ("kind", "payload"), [(DATA, b"x"), (RST_STREAM, bytes(4)), (WINDOW_UPDATE, b"\0\0\0\1"), (CONTINUATION, GET)]
)
def test_5_1_idle_streams_get_heads_first(client, kind: int, payload: bytes) -> None:
    client.raw(kind, END_HEADERS if kind == CONTINUATION else 0, 99, payload)
    ends_with(client, PROTOCOL_ERROR)


def test_5_1_data_on_a_half_closed_stream(client) -> None:
    stream = client.open("/big")
    client.h2.increment_flow_control_window(1 << 20)
    client.raw(DATA, 0, stream, b"x")
    client.until(lambda: client.streams[stream].over or client.goaway is not None)
    assert client.streams[stream].reset == STREAM_CLOSED or client.streams[stream].ended


def test_5_1_data_on_a_closed_stream_are_dropped(client) -> None:
    client.raw(DATA, END_STREAM, 1, b"late")
    client.raw(WINDOW_UPDATE, 0, 1, b"\0\0\0\1")
    client.raw(RST_STREAM, 0, 1, bytes(4))
    goes_on(client)


def test_5_1_a_head_on_a_closed_stream(client) -> None:
    client.raw(HEADERS, END_STREAM | END_HEADERS, 1, GET)
    ends_with(client, PROTOCOL_ERROR, STREAM_CLOSED)


@pytest.mark.parametrize("stream", [2, 0])
def test_5_1_1_numbers_of_streams(client, stream: int) -> None:
    client.raw(HEADERS, END_STREAM | END_HEADERS, stream, GET)
    ends_with(client, PROTOCOL_ERROR)


def test_5_1_1_numbers_grow(client) -> None:
    client.raw(HEADERS, END_STREAM | END_HEADERS, 9, GET)
    client.raw(HEADERS, END_STREAM | END_HEADERS, 5, GET)
    ends_with(client, PROTOCOL_ERROR)


def test_5_1_2_too_many_at_once(proxy, raw_backend) -> None:
    front = proxy(
        CONFIGURATION.replace("http2 on;", "http2 on; http2_max_concurrent_streams 3;"),
        ports={"back": raw_backend([read_head, hold]).port},
        files={"www/big": b""},
    )
    with Http2Client(front.port()) as client:
        client.until(lambda: 3 in client.settings)
        assert client.settings[3] == 3
        client.h2.remote_settings = type(client.h2.remote_settings)(client=False)
        held = [client.open("/echo") for _ in range(3)]
        refused = client.read(client.open("/"))
        assert refused.reset == REFUSED_STREAM
        client.reset(held[0])
        assert client.get("/").status == 200
    front.logged("concurrent streams exceeded 3", name="error.log")


@pytest.mark.parametrize("kind", [PRIORITY, HEADERS])
def test_5_3_a_stream_that_depends_on_itself(client, kind: int) -> None:
    payload = struct.pack(">IB", 3, 1) + (GET if kind == HEADERS else b"")
    client.raw(kind, 0x20 | END_STREAM | END_HEADERS if kind == HEADERS else 0, 3, payload)
    ends_with(client, PROTOCOL_ERROR)


def test_5_3_priorities_in_a_circle_mean_nothing(client) -> None:
    for stream, parent in ((3, 5), (5, 7), (7, 3)):
        client.raw(PRIORITY, 0, stream, struct.pack(">IB", parent | 1 << 31, 255))
    client.raw(HEADERS, 0x20 | END_STREAM | END_HEADERS, 7, struct.pack(">IB", 3, 1) + GET)
    goes_on(client)


# 6. Frames, one by one


@pytest.mark.parametrize(
    ("kind", "stream", "payload", "code"),
    [
        (DATA, 0, b"x", PROTOCOL_ERROR),
        (RST_STREAM, 0, bytes(4), PROTOCOL_ERROR),
        (RST_STREAM, 1, bytes(3), FRAME_SIZE_ERROR),
        (PRIORITY, 0, bytes(5), PROTOCOL_ERROR),
        (PRIORITY, 3, bytes(4), FRAME_SIZE_ERROR),
        (SETTINGS, 1, b"", PROTOCOL_ERROR),
        (SETTINGS, 0, bytes(5), FRAME_SIZE_ERROR),
        (SETTINGS, 0, struct.pack(">HI", 2, 2), PROTOCOL_ERROR),
        (SETTINGS, 0, struct.pack(">HI", 4, 1 << 31), FLOW_CONTROL_ERROR),
        (SETTINGS, 0, struct.pack(">HI", 5, 16383), PROTOCOL_ERROR),
        (SETTINGS, 0, struct.pack(">HI", 5, 1 << 24), PROTOCOL_ERROR),
        (PUSH_PROMISE, 1, bytes(4) + GET, PROTOCOL_ERROR),
        (PING, 1, bytes(8), PROTOCOL_ERROR),
        (PING, 0, bytes(7), FRAME_SIZE_ERROR),
        (GOAWAY, 1, bytes(8), PROTOCOL_ERROR),
        (GOAWAY, 0, bytes(7), FRAME_SIZE_ERROR),
        (WINDOW_UPDATE, 0, bytes(4), PROTOCOL_ERROR),
        (WINDOW_UPDATE, 0, bytes(3), FRAME_SIZE_ERROR),
        (WINDOW_UPDATE, 0, b"\x7f\xff\xff\xff", FLOW_CONTROL_ERROR),
        (CONTINUATION, 1, GET, PROTOCOL_ERROR),
    ],
)
def test_6_what_no_frame_may_be(client, kind: int, stream: int, payload: bytes, code: int) -> None:
    client.raw(kind, 0, stream, payload)
    ends_with(client, code)


def test_6_1_padding(client) -> None:
    stream = client.open("/echo", method="POST", ended=False)
    client.raw(DATA, PADDED, stream, b"\x05hello" + bytes(5))
    client.raw(DATA, PADDED | END_STREAM, stream, b"\x02!" + bytes(2))
    assert '"body": "hello!"' in client.read(stream).text


@pytest.mark.parametrize("payload", [b"", b"\x05xxx"])
def test_6_1_more_padding_than_frame(client, payload: bytes) -> None:
    stream = client.open("/echo", method="POST", ended=False)
    client.raw(DATA, PADDED, stream, payload)
    ends_with(client, PROTOCOL_ERROR, FRAME_SIZE_ERROR)


@pytest.mark.parametrize("payload", [b"\x40" + GET, b"\x01"])
def test_6_2_more_padding_than_head(client, payload: bytes) -> None:
    client.raw(HEADERS, PADDED | END_STREAM | END_HEADERS, 3, payload)
    ends_with(client, PROTOCOL_ERROR, FRAME_SIZE_ERROR)


def test_6_5_settings_with_acknowledgement_are_empty(client) -> None:
    client.raw(SETTINGS, 1, 0, bytes(6))
    ends_with(client, FRAME_SIZE_ERROR)


def test_6_5_2_unknown_settings_are_ignored(client) -> None:
    client.raw(SETTINGS, 0, 0, struct.pack(">HI", 0xABCD, 7))
    goes_on(client)


def test_6_8_after_goaway_of_the_client_answers_come(client) -> None:
    stream = client.open("/big")
    client.raw(GOAWAY, 0, 0, bytes(8))
    client.h2.increment_flow_control_window(1 << 20)
    client.h2.increment_flow_control_window(1 << 20, stream)
    client.flush()
    assert len(client.read(stream).body) == 200000


def test_6_9_windows_that_are_too_large(client) -> None:
    stream = client.open("/echo", method="POST", ended=False)
    client.raw(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff")
    assert client.read(stream).reset == FLOW_CONTROL_ERROR
    goes_on(client)


def test_6_9_1_nothing_is_sent_beyond_a_window(front) -> None:
    with Http2Client(front.port(), greedy=False, settings={SettingCodes.INITIAL_WINDOW_SIZE: 1000}) as client:
        client.until(lambda: bool(client.settings))
        stream = client.open("/big")
        client.quiet(0.3)
        assert len(client.streams[stream].body) == 1000
        client.h2.increment_flow_control_window(1, stream)
        client.flush()
        client.quiet(0.2)
        assert len(client.streams[stream].body) == 1001


def test_6_9_2_a_window_that_shrinks_below_zero(front) -> None:
    with Http2Client(front.port(), greedy=False) as client:
        stream = client.open("/big")
        client.until(lambda: len(client.streams[stream].body) == 65535)
        client.h2.increment_flow_control_window(1 << 20)
        client.raw(SETTINGS, 0, 0, struct.pack(">HI", 4, 10))
        client.h2.increment_flow_control_window(65525, stream)
        client.flush()
        client.quiet(0.2)
        assert len(client.streams[stream].body) == 65535
        client.h2.increment_flow_control_window(7, stream)
        client.flush()
        client.until(lambda: len(client.streams[stream].body) == 65542)


def test_6_10_heads_in_many_frames(client) -> None:
    block = GET + b"\x00\x03x-a\x04long"
    client.raw(HEADERS, END_STREAM, 3, block[:5])
    for byte in block[5:-1]:
        client.raw(CONTINUATION, 0, 3, bytes((byte,)))
    client.raw(CONTINUATION, END_HEADERS, 3, block[-1:])
    assert client.read(3).text == "answer long"


def test_6_10_of_another_stream(client) -> None:
    client.raw(HEADERS, END_STREAM, 3, GET[:3])
    client.raw(CONTINUATION, END_HEADERS, 5, GET[3:])
    ends_with(client, PROTOCOL_ERROR)


# 8. HTTP


GOOD = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost")]


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param([*GOOD, ("X-Upper", "a")], id="8.2.1 capital letters"),
        pytest.param([*GOOD, ("x y", "a")], id="8.2.1 a space in a name"),
        pytest.param([*GOOD, ("x:y", "a")], id="8.2.1 a colon in a name"),
        pytest.param([*GOOD, ("x-a", "a\r\nx-b: c")], id="8.2.1 a line end in a value"),
        pytest.param([*GOOD, ("x-a", "a\nb")], id="8.2.1 a line feed in a value"),
        pytest.param([*GOOD, ("x-a", "a\0b")], id="8.2.1 a zero in a value"),
        pytest.param([*GOOD, ("connection", "close")], id="8.2.2 Connection"),
        pytest.param([*GOOD, ("connection", "x-a"), ("x-a", "b")], id="8.2.2 Connection that names another"),
        pytest.param([*GOOD, ("keep-alive", "a")], id="8.2.2 Keep-Alive"),
        pytest.param([*GOOD, ("proxy-connection", "a")], id="8.2.2 Proxy-Connection"),
        pytest.param([*GOOD, ("transfer-encoding", "chunked")], id="8.2.2 Transfer-Encoding"),
        pytest.param([*GOOD, ("upgrade", "websocket")], id="8.2.2 Upgrade"),
        pytest.param([*GOOD, ("te", "gzip")], id="8.2.2 TE"),
        pytest.param([*GOOD, (":status", "200")], id="8.3 a pseudo-field of answers"),
        pytest.param([*GOOD, (":other", "a")], id="8.3 a pseudo-field of nobody"),
        pytest.param([GOOD[0], ("x-a", "b"), *GOOD[1:]], id="8.3 a pseudo-field behind a field"),
        pytest.param([*GOOD, (":path", "/b")], id="8.3.1 two paths"),
        pytest.param([*GOOD, (":method", "POST")], id="8.3.1 two methods"),
        pytest.param([GOOD[0], GOOD[1], GOOD[3]], id="8.3.1 no path"),
        pytest.param([*GOOD[:2], (":path", ""), GOOD[3]], id="8.3.1 an empty path"),
        pytest.param([*GOOD[:2], (":path", "a"), GOOD[3]], id="8.3.1 a path without a slash"),
        pytest.param([*GOOD[:2], (":path", "http://b/"), GOOD[3]], id="8.3.1 a path with a host"),
        pytest.param([*GOOD[:2], (":path", "/ HTTP/1.1\r\nX: y"), GOOD[3]], id="8.3.1 a path with lines in it"),
        pytest.param([*GOOD[:2], (":path", "/a b"), GOOD[3]], id="8.3.1 a path with a space"),
        pytest.param(GOOD[1:], id="8.3.1 no method"),
        pytest.param([(":method", "GET /x"), *GOOD[1:]], id="8.3.1 a method with a space"),
        pytest.param([GOOD[0], *GOOD[2:]], id="8.3.1 no scheme"),
        pytest.param(GOOD[:3], id="8.3.1 no host"),
        pytest.param([*GOOD, ("host", "other")], id="8.3.1 two hosts that differ"),
        pytest.param([*GOOD[:3], ("host", "a"), ("host", "b")], id="8.3.1 two hosts"),
        pytest.param([*GOOD[:3], (":authority", "a b")], id="8.3.1 a host that is none"),
        pytest.param([*GOOD, ("content-length", "5")], id="8.1.1 a length without a body"),
        pytest.param([*GOOD, ("content-length", "1"), ("content-length", "1")], id="8.1.1 two lengths"),
        pytest.param([*GOOD, ("content-length", "+1")], id="8.1.1 a length that is none"),
        pytest.param([(":method", "CONNECT"), (":authority", "localhost")], id="8.5 CONNECT without a port"),
    ],
)
def test_8_malformed_requests_cost_their_stream(front, backend, fields: list[tuple[str, str]]) -> None:
    fields = [(name, value if name != ":path" or value != "/" else "/echo") for name, value in fields]
    before = len(backend.requests)
    with Http2Client(front.port()) as client:
        answered = client.read(client.open_with(fields))
        assert answered.status == 400 or answered.reset == PROTOCOL_ERROR
        assert client.get("/").status == 200
    assert len(backend.requests) == before, "nothing of it reached the backend"


def test_8_1_trailers_end_a_request(client) -> None:
    stream = client.open("/echo", method="POST", ended=False)
    client.send(stream, b"body")
    client.h2.send_headers(stream, [(b"x-sum", b"1")], end_stream=True)
    client.flush()
    assert '"body": "body"' in client.read(stream).text


def test_8_1_trailers_that_end_nothing(client) -> None:
    stream = client.open("/echo", method="POST", ended=False)
    client.raw(HEADERS, END_HEADERS, stream, b"\x00\x01x\x01y")
    client.until(lambda: client.streams[stream].over or client.goaway is not None)
    assert client.goaway is not None or client.streams[stream].status == 400 or client.streams[stream].reset


def test_8_3_1_either_name_of_the_host_will_do(client) -> None:
    assert client.read(client.open_with([*GOOD[:3], ("host", "localhost")])).status == 200
    assert client.read(client.open_with([*GOOD, ("host", "localhost")])).status == 200


def test_8_7_what_the_server_answers_before_the_body_ends(client) -> None:
    stream = client.open("/", method="POST", ended=False)
    answered = client.read(stream)
    assert answered.status == 200 and answered.ended
    client.until(lambda: answered.reset is not None)
    assert answered.reset == 0
