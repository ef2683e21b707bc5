"""Nothing that a request brings leads a path out of the folder that a directive names: arguments, captures, what is
rewritten, and names that `alias` is glued to."""

import pytest

from harness.http2 import Http2Client
from harness.proxy import in_http
from harness.raw import raw_http

FRONT = in_http(
    """
    access_log off;
    map $arg_x $mapped { default $arg_x; "" none; }
    server {
        listen 127.0.0.1:{port:front};
        listen 127.0.0.1:{port:two} http2;
        root {dir}/www;
        location /literal/ { root {dir}/logs/../www; }
        location /tries { try_files /sub/$arg_x =404; }
        location /tries-folder { try_files /sub/$arg_x/ =404; autoindex on; }
        location /tries-own { try_files /../secret/own.txt =404; }
        location /rewritten { rewrite ^ /sub/$arg_x break; }
        location /again { rewrite ^ /sub/$arg_x last; }
        location /captured { if ($arg_x ~ "(.*)") { set $c $1; } rewrite ^ /$c break; }
        location /root { root {dir}/www/$arg_x; try_files /secret.txt =404; }
        location /root-glued { root {dir}/www$arg_x; rewrite ^ /secret.txt break; }
        location /alias/ { alias {dir}/www/$arg_x/; }
        location /glued { alias {dir}/www/; }
        location ~ ^/regex/(.*) { alias {dir}/www/$mapped; }
        location /index/ { alias {dir}/www/; index $arg_x; }
        location /list/ { root {dir}/www/$arg_x; autoindex on; rewrite ^ / break; }
        location /packed { gzip_static always; rewrite ^ /sub/$arg_x break; }
        location /users/ { auth_basic x; auth_basic_user_file {dir}/www/$arg_x; alias {dir}/www/; }
        location /logged { access_log {dir}/logs/$arg_x.log; return 200 logged; }
        location /logged-raw { access_log $mapped; root {dir}; return 200 logged; }
        location /sub/ssi.html { ssi on; }
        location /file { if (-f {dir}/www/$arg_x) { return 200 "there"; } return 404; }
        location /accel { proxy_pass http://127.0.0.1:{port:accel}; }
        location /inside/ { internal; alias {dir}/www/; }
    }
    server {
        listen 127.0.0.1:{port:accel};
        location / { add_header X-Accel-Redirect "/inside/$arg_x"; return 200; }
    }
    """
)
FILES = {
    "www/page.txt": "page", "www/sub/page.txt": "page", "secret.txt": "SECRET", "secret.txt.gz": "SECRET",
    "secret/own.txt": "own", "users": "u:{PLAIN}p\n", "logs/keep": "",
}  # fmt: skip
UPS = [
    "../../secret.txt", "../secret.txt", "..//../secret.txt", "./../../secret.txt", "page.txt/../../../secret.txt",
    "..", "../..", "/../..", "/..", "../../", "../..//", "../../.", "a/../../../secret.txt", "/../../secret.txt",
]  # fmt: skip
PLACES = [
    "/tries", "/tries-folder", "/rewritten", "/again", "/captured", "/root", "/root-glued", "/alias/secret.txt",
    "/regex/", "/index/", "/list/", "/packed", "/accel",
]  # fmt: skip


@pytest.fixture
def front(proxy):
    return proxy(FRONT, files=FILES, expect=("is not a regular file",))


@pytest.mark.parametrize("place", PLACES)
def test_nothing_climbs(front, place) -> None:
    with Http2Client(front.port("two")) as second:
        for up in UPS:
            for path in (f"{place}?x={up}", f"{place}?x={up.replace('..', '..%2f..')}"):
                got = front.get(path, port="front")
                assert "SECRET" not in got.text and "secret" not in got.text, path
                assert "SECRET" not in second.get(path).text
        assert second.get(f"{place}?x=nothing").status in (403, 404, 200)
    assert "internal error" not in front.error_log()


@pytest.mark.parametrize("path", ["/glued../secret.txt", "/glued../secret/own.txt", "/glued..", "/glued..//secret.txt"])
def test_a_name_that_alias_is_glued_to(front, path) -> None:
    got = front.get(path, port="front")
    assert got.status == 404
    front.logged(r'"\.\." in the path ".*" comes from the request, and is percent-encoded', name="error.log")


def test_logs_and_users(front) -> None:
    for up in ("../out", "../../out", "..//out", "a/../../out"):
        assert front.get(f"/logged?x={up}", port="front").status == 200
    assert not list(front.directory.glob("out*.log")) and not list(front.directory.parent.glob("out*.log"))
    assert front.get("/logged?x=in", port="front").status == 200
    assert (front.directory / "logs" / "in.log").exists()
    for up in ("../users", "sub/../../users"):
        asked = f"GET /users/page.txt?x={up} HTTP/1.0\r\nAuthorization: Basic dTpw\r\n\r\n"
        assert b"page" not in raw_http(front.port("front"), asked).partition(b"\r\n\r\n")[2]


def test_what_the_configuration_writes_itself(front) -> None:
    assert front.get("/literal/../page.txt", port="front").text == "page"
    assert front.get("/tries?x=page.txt", port="front").text == "page"
    assert front.get("/alias/page.txt?x=sub", port="front").text == "page"
    assert front.get("/rewritten?x=a..b", port="front").status == 404
    assert '"..' not in front.error_log()
