"""Certificates fetched by the program itself (nginx: ngx_http_acme_module, RFC 8555)."""
