"""Which Internet Explorer somebody says to be: nginx's answers, as its code has them and a running one gives them."""

import pytest

from penstock.modules.core.user_agent import is_msie, is_msie6


@pytest.mark.parametrize(
    ("agent", "msie", "msie6"),
    [
        ("", False, False),
        ("Mozilla/4.0 (compatible; MSIE 4.0; Windows 95)", True, True),
        ("Mozilla/4.0 (compatible; MSIE 5.5; Windows NT 5.0; SV1)", True, True),
        ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)", True, True),
        ("Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1)", True, False),
        ("Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.0)", True, False),
        ("Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)", True, False),
        ("Mozilla/4.0 (compatible; MSIE 6.0; X11; FreeBSD i386) Opera 7.50  [en]", False, False),
        ("MSIE 6.0", True, True),
        ("MSIE 6.", False, False),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0", False, False),
    ],
)
def test_internet_explorers(agent: str, msie: bool, msie6: bool) -> None:
    assert (is_msie(agent), is_msie6(agent)) == (msie, msie6)
