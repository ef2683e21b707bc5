"""map: order of what matches, values with variables, what is remembered."""

import pytest

from harness.site import Site, mistakes, pages_of

TABLES = r"""
    map $arg_k $plain {
        default      "else $arg_d";
        a            one;
        B            two;
        ""           empty;
        "two words"  quoted;
        \~tilde      tilde;
        \default     word;
        ~^r(\d+)$    "number $1";
        ~*^CI(?<rest>.*)$ "rest $rest";
        ~^r          later;
    }
    map $arg_k $names {
        hostnames;
        default            none;
        example.com        exact;
        *.example.com      below;
        *.www.example.com  longer;
        .dot.com           dot;
        www.tail.*         tail;
        ~^re               regex;
    }
    map $arg_k$arg_d $two { ab both; ~(.)(.) "$2$1"; }
    map $plain $chained { one first; ~^number all; default "<$plain>"; }
    map $arg_k $unsaid { a 1; }
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    return pages_of(TABLES, folder, plain="$plain", names="$names", two="$two", chained="$chained", unsaid="[$unsaid]")


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/plain", "empty"),
        ("/plain?k=a", "one"),
        ("/plain?k=A", "one"),
        ("/plain?k=b", "two"),
        ("/plain?k=~tilde", "tilde"),
        ("/plain?k=default", "word"),
        ("/plain?k=r12", "number 12"),
        ("/plain?k=r", "later"),
        ("/plain?k=cixy", "rest xy"),
        ("/plain?k=other&d=9", "else 9"),
        ("/names?k=example.com", "exact"),
        ("/names?k=EXAMPLE.COM.", "exact"),
        ("/names?k=a.example.com", "below"),
        ("/names?k=a.b.example.com", "below"),
        ("/names?k=a.www.example.com", "longer"),
        ("/names?k=.example.com", "below"),
        ("/names?k=dot.com", "dot"),
        ("/names?k=a.dot.com", "dot"),
        ("/names?k=www.tail.co.uk", "tail"),
        ("/names?k=www.tail", "none"),
        ("/names?k=rest", "regex"),
        ("/two?k=a&d=b", "both"),
        ("/two?k=1&d=2", "21"),
        ("/chained?k=a", "first"),
        ("/chained?k=r1", "all"),
        ("/chained?k=x", "<else >"),
        ("/unsaid", "[]"),
    ],
)
def test_value(site, target: str, text: str) -> None:
    assert site.ask(target).text == text


def test_a_value_is_remembered_unless_volatile(tmp_path) -> None:
    site = Site(
        """
        map $uri $kept { ~^/(.*)$ $1; }
        map $uri $fresh { volatile; ~^/(.*)$ $1; }
        server {
            listen 80;
            location /a { set $before "$kept,$fresh"; rewrite ^ /b; }
            location /b { return 200 "$before $kept,$fresh"; }
        }
        """,
        tmp_path,
    )
    assert site.ask("/a").text == "a,a a,b"


def test_what_is_set_goes_before_the_map(tmp_path) -> None:
    text = "map $arg_k $v {{ a mapped; }}"
    server = "server { listen 80; location /set { set $v set; return 200 $v; } location / { return 200 $v; } }"
    for order in (f"{text} {server}", f"{server} {text}"):
        site = Site(order.replace("{{", "{").replace("}}", "}"), tmp_path)
        assert site.ask("/set?k=a").text == "set"
        assert site.ask("/?k=a").text == "mapped"


def test_maps_that_need_each_other_end(tmp_path) -> None:
    site = Site(
        """
        map $other $one { default "1$other"; }
        map $one $other { default "2$one"; }
        server { listen 80; location / { return 200 "$one"; } }
        """,
        tmp_path,
    )
    assert site.ask("/").text == "12"
    assert set(site.said()) == {'cycle while evaluating variable "one"'}


def test_letters_beyond_ascii_have_no_case(tmp_path) -> None:
    site = Site(
        "map $arg_k $v { \xc3\x89 upper; default other; } server { listen 80; location / { return 200 $v; } }",
        tmp_path,
    )
    assert site.ask("/?k=\xc3\x89").text == "upper"
    assert site.ask("/?k=\xe3\x89").text == "other"


def test_what_reads_a_late_variable_is_late(tmp_path) -> None:
    site = Site(
        """
        map $level $chained { default 1; }
        map $status $level { ~^2 fine; default bad; }
        map $arg_a $early { default 1; }
        server { listen 80; location / { set $level none; return 200 "$early$chained"; } }
        """,
        tmp_path,
    )
    made = site.plan.main.compilation.variables.made
    assert [made[name].late for name in ("level", "chained", "early")] == [True, True, False]
    assert made["level"].set is not None


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("map $host v { }", ['invalid variable name "v"']),
        ("map $host $host { }", ['the duplicate "host" variable']),
        ("map $nobody $v { }", ['unknown "nobody" variable']),
        ("map $host $v { a $nobody; }", ['unknown "nobody" variable']),
        ("map $host $v { a b c; }", ["invalid number of the map parameters"]),
        ("map $host $v { a; }", ["invalid number of the map parameters"]),
        ("map $host $v { default 1; default 2; }", ["duplicate default map parameter"]),
        ("map $host $v { a 1; A 2; }", ['conflicting parameter "a"']),
        ("map $host $v { hostnames; *.a.b 1; .a.b 2; }", ['conflicting parameter ".a.b"']),
        ("map $host $v { hostnames; .a.b 1; a.b 2; }", ['conflicting parameter "a.b"']),
        ("map $host $v { hostnames; a.b 1; .a.b 2; }", ['conflicting parameter ".a.b"']),
        ("map $host $v { hostnames; a.*.b 1; }", ['invalid hostname or wildcard "a.*.b"']),
        ("map $host $v { hostnames; a..b 1; }", ['invalid hostname or wildcard "a..b"']),
        ("map $host $v { *.a.b 1; }", []),
        ("map $host $v { a 1; } map $host $v { b 1; }", []),
        ("map_hash_max_size 4096; map_hash_bucket_size 128;", []),
    ],
)
def test_mistakes(tmp_path, text: str, messages: list[str]) -> None:
    assert mistakes(text, tmp_path) == messages
