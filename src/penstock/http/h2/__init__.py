"""HTTP/2, sans-IO: frames, HPACK, pseudo-fields."""
