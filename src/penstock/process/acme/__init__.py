"""The process that fetches certificates (RFC 8555): it alone speaks to authorities, and writes their files."""
