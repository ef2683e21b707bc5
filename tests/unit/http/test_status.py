"""Status lines and pages, byte for byte as nginx's clients see them."""

from __future__ import annotations

from penstock.http.status import error_page, shown, status_line


def test_status_lines() -> None:
    assert status_line(200) == "200 OK"
    assert status_line(302) == "302 Moved Temporarily"
    assert status_line(408) == "408 Request Time-out"
    assert status_line(418) == "418 "


def test_a_page() -> None:
    assert error_page(404, "nginx/1.31.5") == (
        b"<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n"
        b"<hr><center>nginx/1.31.5</center>\r\n</body>\r\n</html>\r\n"
    )


def test_pages_that_say_it_in_another_way() -> None:
    assert b"<title>302 Found</title>" in error_page(302, "nginx")
    assert b"<h1>401 Authorization Required</h1>" in error_page(401, "nginx")


def test_numbers_of_our_own_are_shown_as_400() -> None:
    assert [shown(status) for status in (494, 495, 496, 497, 499, 404)] == [400, 400, 400, 400, 499, 404]
    page = error_page(497, "nginx")
    assert b"<title>400 The plain HTTP request was sent to HTTPS port</title>" in page
    assert (
        b"<h1>400 Bad Request</h1></center>\r\n<center>The plain HTTP request was sent to HTTPS port</center>" in page
    )


def test_some_have_no_page() -> None:
    assert error_page(204, "nginx") == error_page(304, "nginx") == error_page(418, "nginx") == b""


def test_pages_are_not_remembered_without_end() -> None:
    for number in range(1000):
        error_page(404, f"nginx/{number}")
    from penstock.http import status

    assert len(status._pages) <= 256
