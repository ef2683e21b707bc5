"""Directives without effect are read like any other: a wrong number of arguments, or a value of another kind, is an
error, as it is in nginx."""

from pathlib import Path

import pytest

from penstock.config.errors import ConfigFailed
from penstock.config.registry import REGISTRY, Verdict
from penstock.modules.load import known, load
from penstock.modules.unsupported.inert_arguments import arguments_of

known()
LEVELS = {
    "main": "{}\nevents {{ }}\nhttp {{ }}",
    "events": "events {{ {} }}\nhttp {{ }}",
    "http": "events {{ }}\nhttp {{ {} }}",
    "location": "events {{ }}\nhttp {{ server {{ listen 127.0.0.1:8081; location / {{ {} }} }} }}",
}
TAKEN = """
main | thread_pool default threads=8; thread_pool more threads=2 max_queue=16;
main | worker_cpu_affinity auto 0101;
main | worker_cpu_affinity 01 10;
main | worker_rlimit_core 1g;
main | debug_points abort;
main | timer_resolution 100ms;
events | multi_accept ON; accept_mutex off; accept_mutex_delay 300ms; epoll_events 256;
http | aio threads; aio_write on; directio 4m; directio_alignment 4k;
http | aio threads=pool$pid;
http | directio off;
http | open_file_cache max=1000 inactive=20s; open_file_cache_valid 30s; open_file_cache_errors on;
http | open_file_cache off;
http | output_buffers 2 32k; postpone_output 0; connection_pool_size 512; request_pool_size 4k;
http | gzip_buffers 16 8k; gunzip_buffers 16 8k;
http | types_hash_max_size 0; server_names_hash_bucket_size 64;
http | proxy_cache_path /nowhere levels=1:2 keys_zone=one:10m max_size=1g inactive=60m use_temp_path=off;
http | proxy_cache_valid 200 302; proxy_cache_valid any 1m; proxy_cache_methods get HEAD;
http | proxy_cache_use_stale error timeout updating http_502 http_504; fastcgi_cache_use_stale error http_429;
http | proxy_cache_bypass $cookie_nocache $arg_nocache; proxy_no_cache $http_pragma; proxy_cache_key $scheme$uri;
http | fastcgi_param A $uri if_not_empty; fastcgi_param B ""; fastcgi_buffers 8 16k; fastcgi_bind off;
http | fastcgi_bind 127.0.0.1 transparent; fastcgi_store_access user:rw group:rw all:r;
http | fastcgi_next_upstream error http_503 non_idempotent; grpc_next_upstream error http_502;
http | memcached_next_upstream error not_found; memcached_gzip_flag 2;
http | grpc_set_header Host $host; grpc_ssl_protocols TLSv1.2 TLSv1.3; grpc_ssl_conf_command Options KTLS;
http | brotli on; brotli_types text/plain text/css; brotli_comp_level 6; brotli_static always;
http | dav_access user:rw group:r; min_delete_depth 2; ssl_stapling on; ssl_early_data off;
http | slice 1m; http2_pool_size 4k; http2_streams_index_size 32;
"""
REFUSED = """
main | thread_pool a;
main | thread_pool a max_queue=2;
main | thread_pool a threads=0;
main | thread_pool a threads=2 speed=3;
main | thread_pool a threads=2; thread_pool a threads=2;
main | worker_cpu_affinity 02;
main | worker_cpu_affinity 01 auto;
main | worker_cpu_affinity auto 01 10;
main | debug_points later;
main | timer_resolution 1x;
events | accept_mutex 1;
events | multi_accept on off;
events | epoll_events many;
http | aio sendfile;
http | aio;
http | directio on;
http | open_file_cache inactive=10s;
http | open_file_cache max=0;
http | open_file_cache max=10 for=ever;
http | open_file_cache_valid 30ms;
http | output_buffers 1;
http | connection_pool_size 100;
http | connection_pool_size 520;
http | postpone_output off;
http | tcp_nopush yes;
http | gzip_buffers 16;
http | server_names_hash_bucket_size 64k;
http | types_hash_max_size 1024 2048;
http | proxy_cache one two;
http | proxy_cache_path /nowhere;
http | proxy_cache_path /nowhere levels=1:2;
http | proxy_cache_path /nowhere keys_zone=one;
http | proxy_cache_path /nowhere keys_zone=one:1k;
http | proxy_cache_path /nowhere keys_zone=one:1m levels=9;
http | proxy_cache_path /nowhere keys_zone=one:1m inactive=never;
http | proxy_cache_path /nowhere keys_zone=one:1m colour=red;
http | proxy_cache_path /a keys_zone=one:1m; proxy_cache_path /b keys_zone=one:1m;
http | proxy_cache_path /a keys_zone=one:1m; fastcgi_cache_path /b keys_zone=one:1m;
http | proxy_cache_path /a keys_zone=one:1m; limit_req_zone $uri zone=one:1m rate=1r/s;
http | limit_conn_zone $uri zone=one:1m; scgi_cache_path /a keys_zone=one:1m;
http | proxy_cache_valid 99 1m;
http | proxy_cache_valid 200 soon;
http | proxy_cache_use_stale sometimes;
http | fastcgi_cache_use_stale http_502;
http | proxy_cache_methods PUT;
http | proxy_cache_key $nothing_of_that_name;
http | fastcgi_param A;
http | fastcgi_param A b c;
http | fastcgi_buffers 4;
http | fastcgi_buffers 0 4k;
http | fastcgi_read_timeout long;
http | fastcgi_bind 127.0.0.1 opaque;
http | fastcgi_next_upstream http_502;
http | fastcgi_ignore_headers Server;
http | fastcgi_catch_stderr a b;
http | memcached_next_upstream http_500;
http | grpc_set_header Host;
http | grpc_ssl_protocols SSLv4;
http | grpc_ssl_conf_command Options;
http | brotli maybe;
http | brotli_buffers 4;
http | dav_access everybody:rw;
http | ssl_stapling maybe;
http | slice big;
http | http2_streams_index_size 33;
location | limit_except GET { fastcgi_pass 127.0.0.1:9; }
location | limit_except GET { grpc_pass 127.0.0.1:9; }
location | limit_except GET { uwsgi_pass 127.0.0.1:9; }
location | limit_except GET { scgi_pass 127.0.0.1:9; }
location | limit_except GET { memcached_pass 127.0.0.1:9; }
"""


def cases(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def loaded(case: str, folder: Path) -> list[str]:
    """Load the directives of a case at its level; the warnings."""
    level, _, directives = case.partition(" | ")
    path = folder / "nginx.conf"
    path.write_text(LEVELS[level].format(directives))
    plan = load(str(path), prefix=str(folder))
    return [each.message for each in plan.problems]


@pytest.mark.parametrize("case", cases(TAKEN))
def test_taken(case: str, tmp_path: Path) -> None:
    loaded(case, tmp_path)


@pytest.mark.parametrize("case", cases(REFUSED))
def test_refused(case: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigFailed):
        loaded(case, tmp_path)


def test_each_has_its_arguments() -> None:
    inert = {spec.name for spec in REGISTRY if spec.verdict is Verdict.INERT and not spec.syntax}
    assert not inert
    assert arguments_of("proxy_set_header") is None


def test_that_nothing_is_stapled_is_said_once(tmp_path: Path) -> None:
    said = loaded("http | ssl_stapling on; server { ssl_stapling on; } server { ssl_stapling off; }", tmp_path)
    assert [line for line in said if "ssl_stapling" in line] == [
        '"ssl_stapling" has no effect: answers of OCSP responders are not sent along here; '
        "clients that want them ask by themselves"
    ]
