"""Lists of addresses, well and badly written: what is taken of them, beside a live nginx."""

from itertools import product

FRONT = """
http {
    geo $near { proxy 127.0.0.0/8; default far; 6.6.6.0/24 six; 10.0.0.0/8 ten; 127.0.0.0/8 home; }
    geo $back { proxy 127.0.0.0/8; proxy 10.0.0.0/8; proxy_recursive; default far; 6.6.6.0/24 six; 10.0.0.0/8 ten;
                127.0.0.0/8 home; }
    server {
        listen 127.0.0.1:{port:front};
        set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For;
        location / { return 200 "$remote_addr"; }
    }
    server {
        listen 127.0.0.1:{port:back};
        set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For;
        real_ip_recursive on;
        location / { return 200 "$remote_addr"; }
    }
    server {
        listen 127.0.0.1:{port:geo};
        location / { return 200 "$near $back"; }
    }
    server {
        listen 127.0.0.1:{port:other};
        set_real_ip_from 127.0.0.0/8; real_ip_header X-Own;
        location / { return 200 "$remote_addr"; }
    }
}
"""
ELEMENTS = ("6.6.6.6", "10.0.0.1", "x", "", " ", "10.0.0.1:80", "[::1]:80", "127.0.0.9")
LISTS = [
    *(f"{a}{between}{b}" for a, between, b in product(ELEMENTS, (",", ", ", " ,", ",,", " "), ELEMENTS)),
    *(f"{a}, {b}, {c}" for a, b, c in product(ELEMENTS[:5], repeat=3)),
    *(",", ",,", " , ", ",6.6.6.6,", "6.6.6.6", "\t6.6.6.6", "6.6.6.6;", '"6.6.6.6"', "::1", "6.6.6.6/8"),
    ",10.0.0.1, 6.6.6.6",
]


def _answers(start):
    front = start(FRONT)
    found = {}
    for port in ("front", "back", "geo", "other"):
        with front.client(port) as client:
            for text in LISTS:
                name = "X-Own" if port == "other" else "X-Forwarded-For"
                client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{name}: {text}\r\n\r\n")
                found[port, text] = client.response().text
    return found


def test_the_same_is_taken_of_a_list_as_by_nginx(proxy, nginx) -> None:
    ours, theirs = _answers(proxy), _answers(nginx)
    different = [f"{key}: nginx {theirs[key]}, here {said}" for key, said in ours.items() if said != theirs[key]]
    assert not different, f"{len(different)} of {len(ours)}:\n" + "\n".join(different[:30])
