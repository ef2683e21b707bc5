"""Bodies that do not fit in memory: the folders for them are made, and what happens where they can not be used."""

import os
import pwd
import resource
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.backends.scripted import RawBackend, hold, read_head
from harness.proxy import Proxy
from harness.waiting import eventually

SITE = """
    http {
        client_body_buffer_size 16k;
        server {
            listen 127.0.0.1:{port:front};
            location / { proxy_pass http://127.0.0.1:{port:api}; }
            location /small { proxy_max_temp_file_size 0; proxy_pass http://127.0.0.1:{port:api}; }
        }
    }
    """
UPLOAD = b"0123456789" * 20_000
ANSWER = bytes(range(256)) * 80_000
"""More than the sockets between two processes hold."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has workers of another user")


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder of root's that everybody may enter."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def download() -> RawBackend:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
    return RawBackend([read_head, head, ANSWER, hold])


def fetch_slowly(front: Proxy, backend: RawBackend, *, read_ahead: bool) -> None:
    """A client that reads nothing for a while; `read_ahead` tells whether the backend is rid of the answer before."""
    with front.client(timeout=20) as client:
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.recv_until(b"\r\n\r\n")
        front.logged("buffered to a temporary file" if read_ahead else "while buffering", name="error.log")
        assert backend.conversations[0].ended.wait(10 if read_ahead else 0.5) is read_ahead
        assert client.recv_exactly(len(ANSWER)) == ANSWER


@needs_root
def test_workers_of_another_user_can_write(proxy, http_backend, shared_folder) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    front = proxy("user nobody nogroup;" + SITE, ports={"api": http_backend.port}, directory=shared_folder)
    for name in ("client_body_temp", "proxy_temp"):
        about = (shared_folder / name).stat()
        assert (about.st_uid, about.st_mode & 0o777) == (nobody, 0o700)
    assert not (shared_folder / "uwsgi_temp").exists(), "nobody asked for it"
    assert front.get(method="POST", body=UPLOAD).status == 200
    assert http_backend.requests[-1].body == UPLOAD
    with download() as backend:
        front.reload(SITE.replace("{port:api}", str(backend.port)).replace("    http", "    user nobody nogroup; http"))
        fetch_slowly(front, backend, read_ahead=True)
    assert not list((shared_folder / "proxy_temp").iterdir())


@needs_root
def test_folders_named_later_are_made_by_the_reload(proxy, http_backend, shared_folder) -> None:
    text = "user nobody nogroup;" + SITE
    front = proxy(text, ports={"api": http_backend.port}, directory=shared_folder)
    front.reload(text.replace("16k;", "16k; client_body_temp_path bodies 1 2; client_body_in_file_only on;"))
    assert (shared_folder / "bodies").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert front.get(method="POST", body=UPLOAD).status == 200
    (kept,) = (path for path in (shared_folder / "bodies").rglob("*") if path.is_file())
    assert kept.read_bytes() == UPLOAD
    assert kept.relative_to(shared_folder / "bodies").parts == (kept.name[-1], kept.name[-3:-1], kept.name)


@needs_root
def test_what_everybody_may_write_to_stays_whose_it_is(proxy, http_backend, shared_folder) -> None:
    (shared_folder / "anybody").mkdir()
    (shared_folder / "anybody").chmod(0o1777)
    text = "user nobody nogroup;" + SITE.replace("16k;", "16k; client_body_temp_path anybody;")
    front = proxy(text, ports={"api": http_backend.port}, directory=shared_folder)
    assert front.get(method="POST", body=UPLOAD).status == 200
    assert (shared_folder / "anybody").stat().st_uid == 0


def test_a_folder_that_can_not_be_made(proxy, http_backend) -> None:
    text = SITE.replace("16k;", "16k;\n        client_body_temp_path no/such;")
    words = r'mkdir() "{}/no/such" failed (2: No such file or directory) in {}/nginx.conf:3'
    for refusal in (proxy.check(text, ports={"api": 1}), proxy.refuses(text, ports={"api": 1})):
        assert refusal.code == 1
        assert 'no/such" failed (2: No such file or directory) in ' in refusal.output
        assert "nginx.conf:3\n   3 |     client_body_temp_path no/such;\n" in refusal.output
        assert 'make the folder "' in refusal.output
    front = proxy(SITE, ports={"api": http_backend.port}, expect=[r"mkdir\(\)"])
    front.configure(text)
    front.reload()
    assert words.format(front.directory, front.directory) in front.error_log()
    assert "the old one stays in force" in front.error_log()
    assert front.get(method="POST", body=UPLOAD).status == 200


def test_levels_that_can_not_be(proxy) -> None:
    for levels in ("0", "x", "4 4 4"):
        said = proxy.check(SITE.replace("16k;", f"16k; client_body_temp_path there {levels};"), ports={"api": 1})
        assert said.code == 1
        assert "invalid value" in said.output
    said = proxy.check(SITE.replace("16k;", "16k; client_body_temp_path it 1; proxy_temp_path it 2;"), ports={"api": 1})
    assert 'the same path name "' in said.output
    assert "has different levels" in said.output


def test_a_default_folder_that_can_not_be_made_is_no_reason_not_to_start(proxy, http_backend) -> None:
    front = proxy(SITE, ports={"api": http_backend.port}, files={"client_body_temp": "a file"})
    front.logged(
        r'\[warn\].* mkdir\(\) "\S+/client_body_temp" failed \(20: Not a directory\): requests with bodies larger than '
        r"client_body_buffer_size will be answered with 500; name another place with client_body_temp_path",
        name="error.log",
    )
    assert front.get(method="POST", body=b"x" * 16384).status == 200
    assert front.get(method="POST", body=UPLOAD).status == 500
    front.logged(
        r"\[crit\].* a client request body can not be written to a temporary file: "
        r'open\(\) "\S+/client_body_temp/\d{10}" failed \(20: Not a directory\): name another place with '
        "client_body_temp_path, client: ",
        name="error.log",
    )


def test_an_answer_that_can_not_be_kept_is_read_as_the_client_takes_it(proxy) -> None:
    with download() as backend:
        front = proxy(SITE, ports={"api": backend.port}, files={"proxy_temp": "a file"})
        fetch_slowly(front, backend, read_ahead=False)
        front.logged(
            r'\[crit\].* open\(\) "\S+/proxy_temp/\d{10}" failed \(20: Not a directory\): name another place with '
            "proxy_temp_path, while buffering an upstream response, client: ",
            name="error.log",
        )
        assert front.error_log().count("[crit]") == 1


def test_a_file_that_can_not_grow(proxy, http_backend) -> None:
    with download() as backend:
        front = proxy(SITE, ports={"api": backend.port})
        (worker,) = eventually(front.children)
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (150_000, 150_000))
        fetch_slowly(front, backend, read_ahead=False)
        front.logged(r'\[crit\].* pwrite\(\) "\S+/proxy_temp/\d{10}" failed \(27: File too large\)', name="error.log")
        with front.client() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(UPLOAD) + UPLOAD)
            assert client.response("POST").status == 500
    assert not list((front.directory / "client_body_temp").iterdir())
