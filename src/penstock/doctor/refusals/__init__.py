"""Why a backend refused a handshake, as its answer tells."""
