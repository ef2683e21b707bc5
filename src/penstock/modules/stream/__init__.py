"""Streams: TCP connections passed on as they are, without HTTP (nginx: ngx_stream_core_module and its kin)."""
