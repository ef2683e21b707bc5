"""Conversations on the wire as data: what each side sends, and what it hears. README.md has the format by example.

transcripts.script      Transcript, Line: a file, read
transcripts.expected    bytes that are expected, with places for what is not known before
transcripts.frames      frames as words, and back
transcripts.packets     what uwsgi and SCGI put before a request
transcripts.channels    one end of a stream: TCP, TLS
transcripts.streams     the same inside of HTTP/2, for clients and backends
transcripts.site        one running proxy for many transcripts
transcripts.ear         listens on a channel for what is expected
transcripts.player      goes through a transcript, line by line
"""
