"""PHP behind fastcgi_pass, run by Debian's php-fpm as a site would run it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.waiting import eventually

POOL = """
[global]
error_log = {folder}/fpm.log
daemonize = no
[www]
listen = {folder}/php.sock
listen.mode = 0666
pm = static
pm.max_children = 3
{user}
catch_workers_output = yes
"""
FRONT_CONTROLLER = """<?php
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
case '/server': header('Content-Type: application/json'); echo json_encode($_SERVER); break;
case '/upload': echo md5(file_get_contents('php://input')), ' ', $_SERVER['CONTENT_LENGTH']; break;
case '/form': echo $_POST['a'], ' ', $_FILES['f']['name'], ' ', md5_file($_FILES['f']['tmp_name']); break;
case '/moved': header('Location: /elsewhere'); break;
case '/lost': http_response_code(404); echo 'lost'; break;
case '/cookies': setcookie('a', '1'); setcookie('b', '2'); break;
case '/large': for ($i = 0; $i < 3000; $i++) echo str_repeat('0123456789', 100); break;
case '/warns': error_log('php says this'); echo 'warned'; break;
default: echo 'front of ', $_SERVER['REQUEST_URI'];
}
"""
INFO = "<?php echo $_SERVER['SCRIPT_NAME'], ' ', $_SERVER['PATH_INFO'] ?? '-', ' ', $_SERVER['HTTPS'] ?? 'http';"
CONF = """
    http {
        upstream php { server unix:{value:folder}/php.sock; keepalive 2; }
        server {
            listen 127.0.0.1:{port:front};
            root {value:folder}/public;
            index index.php;
            client_body_buffer_size 8k;
            client_max_body_size 10m;
            fastcgi_keep_conn on;
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            fastcgi_param SCRIPT_NAME $fastcgi_script_name;
            fastcgi_param PATH_INFO $fastcgi_path_info if_not_empty;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param REQUEST_URI $request_uri;
            fastcgi_param DOCUMENT_ROOT $document_root;
            fastcgi_param REMOTE_ADDR $remote_addr;
            fastcgi_param SERVER_NAME $server_name;
            location / { try_files $uri $uri/ /index.php?$query_string; }
            location ~ [^/]\\.php(/|$) {
                fastcgi_split_path_info ^(.+?\\.php)(/.*)$;
                fastcgi_pass php;
            }
        }
    }
    """


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a site that php-fpm serves, with its socket in it."""
    found = sorted(Path("/usr/sbin").glob("php-fpm*"))
    program = shutil.which("php-fpm") or (str(found[-1]) if found else None)
    if program is None:
        pytest.skip("no php-fpm (Debian: apt install php-fpm)")
    folder = tmp_path_factory.mktemp("php")
    public = folder / "public"
    (public / "app").mkdir(parents=True)
    (public / "index.php").write_text(FRONT_CONTROLLER)
    (public / "app" / "info.php").write_text(INFO)
    (public / "plain.txt").write_text("a file")
    root = os.geteuid() == 0
    conf = folder / "fpm.conf"
    conf.write_text(POOL.format(folder=folder, user="user = root\ngroup = root" if root else ""))
    for place in (folder, *folder.parents):
        if root and place != Path("/tmp") and place.is_relative_to("/tmp"):
            place.chmod(0o755)  # workers of another user serve the files beside the scripts
    with (folder / "output").open("wb") as output:
        server = subprocess.Popen(
            [program, "-F", "-n", "-y", str(conf), *(["-R"] if root else [])],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: server.poll() is not None or (folder / "php.sock").exists())
        assert server.poll() is None, (folder / "output").read_text("utf-8", "replace")
        yield folder
    finally:
        server.terminate()
        server.wait(10)


def test_php_serves_a_site(proxy: Any, site: Path) -> None:
    front = proxy(CONF, values={"folder": str(site)})
    assert front.get("/plain.txt").text == "a file"
    assert front.get("/some/page?x=1").text == "front of /some/page?x=1"
    assert front.get("/").text == "front of /"
    assert front.get("/app/info.php/more/path").text == "/app/info.php /more/path http"
    assert front.get("/app/none.php").status == 404
    server = json.loads(front.get("/server?q=a%20b", {"X-Mine": "yes", "Proxy": "evil"}).text)
    assert (server["QUERY_STRING"], server["HTTP_X_MINE"], server["REMOTE_ADDR"]) == ("q=a%20b", "yes", "127.0.0.1")
    assert "HTTP_PROXY" not in server
    moved, lost, cookies = front.get("/moved"), front.get("/lost"), front.get("/cookies")
    assert (moved.status, lost.status, lost.text) == (302, 404, "lost")
    assert [value for name, value in cookies.headers if name.lower() == "set-cookie"] == ["a=1", "b=2"]
    assert front.get("/large").body == b"0123456789" * 300_000
    assert front.get("/large", method="HEAD").body == b""
    assert front.get("/warns").text == "warned"
    assert front.logged("FastCGI sent in stderr: .*php says this", name="error.log")


def test_php_gets_bodies(proxy: Any, site: Path) -> None:
    from hashlib import md5

    front = proxy(CONF, values={"folder": str(site)})
    for size in (10, 5000, 400_000):
        body = os.urandom(size)
        got = front.get("/upload", {"Content-Type": "application/octet-stream"}, method="POST", body=body)
        assert got.text == f"{md5(body).hexdigest()} {size}"
    file = os.urandom(100_000)
    form = (
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x\r\nContent-Disposition: form-data; '
        b'name="f"; filename="b.bin"\r\n\r\n' + file + b"\r\n--x--\r\n"
    )
    got = front.get("/form", {"Content-Type": "multipart/form-data; boundary=x"}, method="POST", body=form)
    assert got.text == f"1 b.bin {md5(file).hexdigest()}"
