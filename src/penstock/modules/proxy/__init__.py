"""Passing a request to a backend: proxy_pass, uwsgi_pass, scgi_pass, CONNECT, and what they share."""
