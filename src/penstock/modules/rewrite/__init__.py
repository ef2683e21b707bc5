"""Variables and paths that are computed: rewrite, map, geo, split_clients, referer, secure_link."""
