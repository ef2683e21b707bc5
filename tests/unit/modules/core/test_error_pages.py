"""error_page: where an error leads, and which status the client sees."""

import pytest

from harness.site import Site, mistakes


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return Site(
        """
        error_page 410 /page?inherited;
        server {
            listen 80;
            location /page { return 200 "$request_method $uri $args"; }
            location @named { return 200 "$request_method $uri $args"; }
            location @fails { return 500; }
            location /redirects { return 302 /elsewhere; }
            location /fails { error_page 403 /page; return 403; }

            location /inherited { return 410; }
            location /own { error_page 404 /page; return 410; }
            location /kept { error_page 403 404 /page?a=1; return 403; }
            location /other { error_page 403 =404 /page; return 403; }
            location /pages { error_page 403 = /page; return 403; }
            location /variable { error_page 404 =410 /page$is_args$args; return 404; }
            location /named { error_page 404 =200 @named; return 404; }
            location /named-fails { error_page 404 =200 @fails; return 404; }
            location /nobody { error_page 404 @nobody; return 404; }
            location /url { error_page 403 http://other.example$uri; return 403; }
            location /url-moved { error_page 403 =301 http://other.example/; return 403; }
            location /url-status { error_page 403 =404 http://other.example/; return 403; }
            location /to-redirect { error_page 405 /redirects; return 405; }
            location /of-redirect { error_page 302 /page; return 302 /elsewhere; }
            location /once { error_page 404 /fails; return 404; }
            location /again { recursive_error_pages on; error_page 404 /fails; return 404; }
            location /text { error_page 404 /page; return 404 "own text"; }
            location /first { error_page 404 /page?1; error_page 404 /page?2; return 404; }
            location /circle { recursive_error_pages on; error_page 404 /circle; return 404; }
        }
        """,
        tmp_path_factory.mktemp("site"),
    )


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        ("/inherited?x", 410, "GET /page inherited"),
        ("/kept?x", 403, "GET /page a=1"),
        ("/other?x", 404, "GET /page "),
        ("/pages", 200, "GET /page "),
        ("/variable?x", 410, "GET /page x"),
        ("/named?x", 200, "GET /named x"),
        ("/of-redirect", 302, "GET /page "),
        ("/again", 403, "GET /page "),
        ("/text", 404, "own text"),
        ("/first", 404, "GET /page 1"),
    ],
)
def test_a_page_in_place_of_an_error(site, target: str, status: int, text: str) -> None:
    reply = site.ask(target)
    assert (reply.status, reply.text) == (status, text)


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        ("/own", 410, None),
        ("/url", 302, "http://other.example/url"),
        ("/url-moved", 301, "http://other.example/"),
        ("/url-status", 302, "http://other.example/"),
        ("/to-redirect", 302, "/elsewhere"),
        ("/once", 403, None),
        ("/named-fails", 500, None),
        ("/nobody", 500, None),
    ],
)
def test_a_plain_page_in_the_end(site, target: str, status: int, location: str | None) -> None:
    reply = site.ask(target)
    assert (reply.status, reply.location, reply.text.startswith("<html>")) == (status, location, True)


def test_a_page_is_fetched_with_get_but_a_named_location_sees_the_method(site) -> None:
    assert site.ask("/kept", method="POST").text == "GET /page a=1"
    assert site.ask("/named", method="POST").text == "POST /named "
    assert site.ask("/kept", method="HEAD").text == "HEAD /page a=1"


def test_a_page_that_is_its_own_page_ends(site) -> None:
    assert site.ask("/circle").status == 404


def test_the_page_of_a_redirect_keeps_its_location(site) -> None:
    assert site.ask("/of-redirect").location == "/elsewhere"


def test_codes_of_nginx_itself_become_400(tmp_path) -> None:
    site = Site(
        """
        server {
            listen 80;
            location /p { return 200 page; }
            location / { error_page 497 /p; return 497; }
            location /said { error_page 497 =444 /p; return 497; }
        }
        """,
        tmp_path,
    )
    assert (site.ask("/").status, site.ask("/").text) == (400, "page")
    assert site.ask("/said").status == 444


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ("error_page 404;", 'invalid number of arguments in "error_page" directive'),
        ("error_page =200 /x;", 'invalid value "=200"'),
        ("error_page 404 =x /x;", 'invalid value "=x"'),
        ("error_page 200 /x;", 'value "200" must be between 300 and 599'),
        ("error_page 600 /x;", 'value "600" must be between 300 and 599'),
        ("error_page 499 /x;", 'invalid value "499"'),
        ("error_page all /x;", 'invalid value "all"'),
        ("error_page 404 $nobody;", 'unknown "nobody" variable'),
    ],
)
def test_mistakes(tmp_path, directive: str, message: str) -> None:
    assert mistakes(directive, tmp_path) == [message]
