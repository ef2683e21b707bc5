"""HTTP/2 on a socket: the connection, its streams, a stream as a tunnel's side."""
