"""What Penstock does not do and says so: other gateways, other protocols, other languages."""

from __future__ import annotations

from penstock.config.registry import (
    HTTP,
    HTTP_LEVELS,
    IF_LOCATION,
    LOCATION,
    MAIN,
    SERVER,
    inert,
    refused,
)

GEO = "databases of this form are no longer made; geoip2 { } reads those of today, geo { } takes lists of networks"

FILES = "this is about files, not about proxying; keep it in an nginx beside Penstock"

refused("image_filter", where=LOCATION, advice=FILES, module="elsewhere", off=("off",), again=("image_filter",))
refused("xslt_stylesheet", "mp4", where=LOCATION, advice=FILES, module="elsewhere")
inert(
    *(f"image_filter_{name}" for name in "buffer interlace jpeg_quality sharpen transparency webp_quality".split()),
    *(f"mp4_{name}" for name in "buffer_size max_buffer_size start_key_frame limit_rate limit_rate_after".split()),
    *(f"xslt_{name}" for name in "last_modified param string_param types".split()),
    "xml_entities",
    "xml_external_entities",
    where=HTTP_LEVELS,
    reason="what it is a detail of is refused where it stands",
    module="elsewhere",
    again=(
        "image_filter_jpeg_quality",
        "image_filter_sharpen",
        "image_filter_webp_quality",
        "xslt_param",
        "xslt_string_param",
        "xslt_types",
    ),
)
refused(
    "geoip_city",
    "geoip_country",
    "geoip_org",
    "geoip_proxy",
    where=HTTP,
    advice=GEO,
    module="elsewhere",
)
refused("geoip_proxy_recursive", where=HTTP, advice=GEO, module="elsewhere", off=("off",))
inert(
    "degradation",
    where=HTTP,
    reason="it watches sbrk(), which says little about a process today; see limit_conn",
    module="elsewhere",
    again=("degradation",),
)
inert(
    "degrade",
    where=HTTP_LEVELS,
    reason="it watches sbrk(), which says little about a process today; see limit_conn",
    module="elsewhere",
)
inert(
    "http3",
    "http3_hq",
    where=HTTP | SERVER,
    reason="HTTP/3 is not spoken; browsers fall back to TCP by themselves",
    module="http3",
    told="HTTP/3 is not spoken here, clients come over TCP",
)
inert(
    "http3_extended_connect",
    "http3_max_concurrent_streams",
    "http3_stream_buffer_size",
    "quic_active_connection_id_limit",
    "quic_gso",
    "quic_host_key",
    "quic_retry",
    where=HTTP | SERVER,
    reason="HTTP/3 is not spoken; browsers fall back to TCP by themselves",
    module="http3",
)
inert("quic_bpf", where=MAIN, reason="HTTP/3 is not spoken, so no packets have to be steered", module="http3")
inert(
    "zstd",
    "zstd_static",
    where=HTTP_LEVELS | IF_LOCATION,
    reason="clients get brotli or gzip where that is on; what backends compress passes as it is",
    module="modules by others",
    told="answers are not compressed with zstd here; brotli on or gzip on compresses them",
)
inert(
    *(f"zstd_{name}" for name in ("buffers", "comp_level", "min_length", "types", "dict_file")),
    where=HTTP_LEVELS | IF_LOCATION,
    reason="clients get brotli or gzip where that is on; what backends compress passes as it is",
    module="modules by others",
    again=("zstd_types",),
)
