"""What the tests that start real processes stand on.

Everything here ends what it started, listens on 127.0.0.1 only and bounds every wait.

A proxy from a configuration, with the fixtures `proxy` (Penstock) and `nginx` (skipped when absent):

    def test_answers(proxy, http_backend):
        front = proxy('''
            http {
                server {
                    listen 127.0.0.1:{port:front};
                    location / { proxy_pass http://127.0.0.1:{port:api}; }
                }
            }
            ''', ports={"api": http_backend.port})
        assert front.get("/hello").status == 200
        front.reload(new_configuration)
        assert front.logged("GET /hello")           # waits for a line of access.log

    {port:NAME}   a free port, reserved on first mention and the same from then on; `ports={...}` gives known
                  ones. `front.port()` is the first that was not given, `front.port("NAME")` any other.
    {dir}         the proxy's own directory: its prefix, where relative paths start; `files={"www/a": "..."}`
                  fills it.
    {value:NAME}  text from `values={"NAME": ...}`, e.g. the path of a certificate.

An `events { }` block is added when the text has none, `access_log access.log` when it names no access log,
`error_log error.log notice` when it names no error log. Line numbers stay those of the text, which is
dedented and loses its leading newline. `in_http(text)` and `in_server(text)` make a whole file of a snippet.

What must not start: `proxy.refuses(text) -> Refusal` (`.code`, `.output`: what it printed and logged).
`proxy.check(text) -> Refusal` is `-t`.

When a proxy stops, its error log must hold no [alert], [emerg] or traceback; `expect=(regex, ...)` allows
what a test provokes.

    harness.proxy     Proxy, in_http, in_server
    harness.binary    Binary, penstock(), reference(), Refusal, DidNotStart
    harness.ports     free_port(): outside the ephemeral range, locked against other test runs
    harness.backends  HttpEcho, RawBackend (follows a script), WebSocketEcho, AsgiBackend
    harness.crowd     Crowd, EchoServers: hundreds of WebSocket clients that check order, loss and latency
    harness.programs  start, run: Penstock, forked from a process that has imported it; PENSTOCK_TESTS_FRESH=1: not so
    harness.processes children, gone, resident: what /proc says of a process
    harness.raw       raw_http(port, data, timeout), RawClient, split_responses
    harness.certs     Authority(directory).issue("name", ...) -> Pair(certificate, key)
    harness.browser   Browser, Page: headless Chromium over the W3C WebDriver protocol
    harness.vanishing Vanishing: a client behind a network that drops everything when told to (root only)
    harness.waiting   eventually(predicate, timeout); PENSTOCK_TESTS_LATE=0.7: everything that waits looks later
    harness.slow      PENSTOCK_TESTS_SLOW=19: servers are slow beside the tests that ask them

Fixtures of conftest.py: proxy, nginx, http_backend, ws_backend, asgi_backend, raw_backend (a factory),
authority, browser, vanishing. `PENSTOCK_BINARY` names another program with nginx's command line to run in place of
Penstock, `NGINX_BINARY` the reference.
"""
