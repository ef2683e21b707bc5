"""Requests passed on as parameters: FastCGI, uwsgi, SCGI."""
