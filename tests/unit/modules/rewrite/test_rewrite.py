"""rewrite, return, set, if, break: what nginx 1.31 answers to the same configuration."""

import pytest

from harness.site import Site, mistakes


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    (folder / "file.txt").write_text("file")
    (folder / "folder").mkdir()
    return Site(
        """
        server {
            listen 80;
            set $level server;
            if ($uri ~ ^/early/(.*)$) {
                set $level "early $1";
                rewrite ^/early/(.*)$ /show/$1;
            }
            rewrite ^/first/(.*)$ /second/$1;
            rewrite ^/second/(.*)$ /show/$1?second;

            location /show { return 200 "$uri|$args|$level|$1"; }

            location /args/ { rewrite ^/args/(.*)$ /show/$1?x=$1&y; }
            location /drop/ { rewrite ^/drop/(.*)$ /show/$1?; }
            location /replace/ { rewrite ^/replace/(.*)$ /show?$1?; }
            location /marks/ { rewrite ^/marks(.*)$ /show$1?a=1?b=2; }
            location /last/ { rewrite ^/last/(.*)$ /show/$1 last; return 403; }
            location /goes-on/ { rewrite ^/goes-on/(.*)$ /show/$1; set $level on; }
            location /breaks/ { rewrite ^/breaks/(.*)$ /file.txt break; return 403; }
            location /break-word/ { rewrite ^ /file.txt; break; return 403; }
            location /zero/ { rewrite ^/zero/(.*)$ $1 last; }
            location /loop { rewrite ^/loop(.*)$ /loop/x$1 last; }
            location /names { rewrite ^/names/(?<one>\\w+)/(\\w+)$ /named/$2; }
            location /named { return 200 "$one $uri"; }
            location /hidden { internal; return 200 hidden; }
            location /to-hidden { rewrite ^ /hidden last; }

            location /away { rewrite ^ http://other.example/; }
            location /away-query { rewrite ^ http://other.example/?c=d; }
            location /away-drop { rewrite ^ http://other.example/?c=d?; }
            location /away-scheme { rewrite ^ $scheme://other.example$uri; }
            location /moved/ { rewrite ^/moved/(.*)$ /there/$1 permanent; }
            location /found/ { rewrite ^/found/(.*)$ /there?name=$1 redirect; }
            location /decoded { rewrite ^ $arg_to? redirect; }

            location /text { return 200 "text $arg_a"; }
            location /page.html { return 200 page; }
            location /empty { return 200; }
            location /none { return 204; }
            location /missing { return 404; }
            location /missing-empty { return 404 ""; }
            location /missing-text { return 404 "not $uri"; }
            location /odd { return 799; }
            location /redirect { return 302 /there?$args; }
            location /bare-redirect { return 301; }
            location /url { return https://other.example$request_uri; }
            location /status { return 200 "$status"; }

            location ~ ^/quoted/(.*)$ { set $a $1; return 200 "$a|$1"; }
            location /unquoted/ { rewrite ^/unquoted/(.*)$ /x/$1; set $a $1; return 200 "$a"; }
            location /set-args { set $args new=1; return 200 "$args|$is_args|$arg_new|$request_uri"; }
            location /unset { return 200 "[$later]"; set $later 1; }
            location /family { if ($arg_set) { set $http_x_own set; } return 200 "$http_x_own"; }

            location /truth { if ($arg_a) { return 200 yes; } return 200 no; }
            location /equal { if ($arg_a = $arg_b) { return 200 yes; } return 200 no; }
            location /unequal { if ($arg_a != x) { return 200 yes; } return 200 no; }
            location /is-empty { if ($arg_a = "") { return 200 yes; } return 200 no; }
            location /match { if ($arg_a ~ "^a(\\d)(\\d)?$") { return 200 "[$1][$2]"; } return 200 "no [$1]"; }
            location /caseless { if ($arg_a ~* ^AB(.)$) { return 200 "$1"; } return 200 no; }
            location /unlike { if ($arg_a !~ ^a) { return 200 yes; } return 200 no; }
            location /unlike-caseless { if ($arg_a !~* ^A) { return 200 yes; } return 200 no; }
            location /spaces { if ( $arg_a = x ) { return 200 yes; } return 200 no; }
            location /is-file { if (-f $document_root/$arg_a) { return 200 yes; } return 200 no; }
            location /is-folder { if (-d $document_root/$arg_a) { return 200 yes; } return 200 no; }
            location /exists { if (-e $document_root/$arg_a) { return 200 yes; } return 200 no; }
            location /runs { if (-x $document_root/$arg_a) { return 200 yes; } return 200 no; }
            location /no-file { if (!-f $document_root/$arg_a) { return 200 yes; } return 200 no; }
            location /collect { if ($arg_a) { set $all 1; } if ($arg_b) { set $all "${all}2"; } return 200 "<$all>"; }
            location /stops { if ($arg_a) { break; } return 200 "went on"; }
        }
        """,
        folder,
    )


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("/show/a", "/show/a||server|"),
        ("/early/q%20r?b", "/show/q r|b|early q%20r|"),
        ("/first/k?z", "/show/k|second&z|server|k"),
        ("/args/1?b=2", "/show/1|x=1&y&b=2|server|1"),
        ("/args/1%26?b=2", "/show/1&|x=1%26&y&b=2|server|1&"),
        ("/args/1+?b=2", "/show/1+|x=1%2B&y&b=2|server|1+"),
        ("/args/1;", "/show/1;|x=1;&y|server|1;"),
        ("/args/a", "/show/a|x=a&y|server|a"),
        ("/drop/1?z=2", "/show/1||server|1"),
        ("/replace/new?old", "/show|new|server|new"),
        ("/marks/k?z=1", "/show/k|a=1?b=2&z=1|server|/k"),
        ("/last/1?q", "/show/1|q|server|1"),
        ("/goes-on/1", "/show/1||on|1"),
        ("/breaks/1", "file"),
        ("/break-word/1", "file"),
        ("/names/a/b", "a /named/b"),
        ("/to-hidden", "hidden"),
        ("/text?a=b", "text b"),
        ("/empty", ""),
        ("/status", "200"),
        ("/quoted/a%26b", "a%26b|a&b"),
        ("/quoted/a+b", "a%2Bb|a+b"),
        ("/quoted/a&b", "a&b|a&b"),
        ("/unquoted/a%26b", "a&b"),
        ("/set-args?x=1", "new=1|?|1|/set-args?x=1"),
        ("/truth?a=1", "yes"),
        ("/truth?a=00", "yes"),
        ("/truth?a=0", "no"),
        ("/truth?a=", "no"),
        ("/truth", "no"),
        ("/equal?a=1&b=1", "yes"),
        ("/equal?a=1&b=2", "no"),
        ("/unequal?a=y", "yes"),
        ("/unequal?a=x", "no"),
        ("/is-empty", "yes"),
        ("/is-empty?a=0", "no"),
        ("/match?a=a7", "[7][]"),
        ("/match?a=a78", "[7][8]"),
        ("/match?a=b", "no []"),
        ("/caseless?a=abz", "z"),
        ("/unlike?a=A", "yes"),
        ("/unlike-caseless?a=a", "no"),
        ("/spaces?a=x", "yes"),
        ("/is-file?a=file.txt", "yes"),
        ("/is-file?a=folder", "no"),
        ("/is-folder?a=folder", "yes"),
        ("/exists?a=folder", "yes"),
        ("/exists?a=nothing", "no"),
        ("/runs?a=file.txt", "no"),
        ("/runs?a=folder", "yes"),
        ("/no-file?a=nothing/below", "yes"),
        ("/no-file?a=file.txt", "no"),
        ("/collect?a=1&b=1", "<12>"),
        ("/collect?b=1", "<2>"),
        ("/stops", "went on"),
    ],
)
def test_answers_with(site, target: str, text: str) -> None:
    assert site.ask(target).text == text


@pytest.mark.parametrize(
    ("target", "status", "location"),
    [
        ("/away?a=b", 302, "http://other.example/?a=b"),
        ("/away-query?a=b", 302, "http://other.example/?c=d&a=b"),
        ("/away-drop?a=b", 302, "http://other.example/?c=d"),
        ("/away-scheme/x", 302, "http://other.example/away-scheme/x"),
        ("/moved/a%20b?x", 301, "/there/a%20b?x"),
        ("/moved/a%3Fb", 301, "/there/a?b"),
        ("/moved/a%2Fb%25", 301, "/there/a/b%25"),
        ("/found/a%26?x=1", 302, "/there?name=a%26&x=1"),
        ("/decoded?to=http%3A%2F%2Fe%2F%3Fa%3Db%0d%0aX", 302, "http://e/?a%3Db%0d%0aX"),
        ("/redirect?a", 302, "/there?a"),
        ("/bare-redirect", 301, ""),
        ("/url?q", 302, "https://other.example/url?q"),
    ],
)
def test_sends_elsewhere(site, target: str, status: int, location: str) -> None:
    reply = site.ask(target)
    assert (reply.status, reply.location) == (status, location)


@pytest.mark.parametrize(
    ("target", "status", "page"),
    [
        ("/none", 204, False),
        ("/missing", 404, True),
        ("/missing-empty", 404, True),
        ("/missing-text", 404, False),
        ("/odd", 799, False),
        ("/hidden", 404, True),
        ("/zero/", 500, True),
        ("/loop", 500, True),
    ],
)
def test_refuses_with(site, target: str, status: int, page: bool) -> None:
    reply = site.ask(target)
    assert (reply.status, reply.text.startswith("<html>")) == (status, page)


def test_a_text_has_the_type_of_its_path(site) -> None:
    assert site.ask("/page.html").type == "text/html"
    assert site.ask("/text").type == "text/plain"


def test_what_a_variable_says_adds_no_line_to_a_head(tmp_path) -> None:
    site = Site("server { listen 80; location / { return 302 http://x$uri; } }", tmp_path)
    assert site.ask("/%0d%0aSet-Cookie:%20a").location == "http://x/%0D%0ASet-Cookie: a"


def test_variables_of_a_family_keep_their_meaning_where_they_are_not_set(site) -> None:
    headers = ["X-Own: sent"]
    assert site.ask("/family", headers=headers).text == "sent"
    assert site.ask("/family?set=1", headers=headers).text == "set"


def test_a_variable_nobody_has_set_is_empty_and_warned_of(tmp_path) -> None:
    site = Site(
        """
        server {
            listen 80;
            location / { return 200 "[$late]$late"; }
            location /quiet { uninitialized_variable_warn off; return 200 "[$late]"; }
            location /sets { set $late 1; }
        }
        """,
        tmp_path,
    )
    assert site.ask("/").text == "[]"
    assert site.said() == ['using uninitialized "late" variable']
    assert site.ask("/quiet").text == "[]"
    assert site.said() == []


def test_the_last_condition_that_holds_decides_about_settings(tmp_path) -> None:
    site = Site(
        """
        server {
            listen 80;
            location / {
                add_header X-Which outer;
                if ($arg_a) { add_header X-Which first; }
                if ($arg_b) { add_header X-Which second; }
                try_files /nothing =404;
            }
            location /end { return 200; }
        }
        """,
        tmp_path,
    )

    def which(target: str) -> str | None:
        location = site.ask(target).request.location
        return None if location.kind != "if" else location.scope.directive.args[0].text

    assert which("/") is None
    assert which("/?a=1") == "($arg_a)"
    assert which("/?a=1&b=1") == "($arg_b)"


def test_what_an_if_does_not_hold_it_inherits_but_not_try_files(tmp_path) -> None:
    (tmp_path / "page").write_text("page")
    site = Site(
        """
        server {
            listen 80;
            location / {
                try_files /nothing =410;
                if ($arg_a) { error_page 404 =200 /ok; }
            }
            location /ok { return 200 ok; }
        }
        """,
        tmp_path,
    )
    assert site.ask("/page").status == 410
    assert site.ask("/page?a=1").text == "page"
    assert site.ask("/none?a=1").text == "ok"


def test_a_condition_of_the_server_chooses_no_location(tmp_path) -> None:
    site = Site(
        "server { listen 80; if ($arg_a) { set $x 1; } location / { return 200 <$x>; } }",
        tmp_path,
    )
    assert site.ask("/?a=1").text == "<1>"
    assert site.ask("/?a=1").request.location.kind == "prefix"


def test_methods_limit_except_keeps_out_run_no_program(tmp_path) -> None:
    site = Site("server { listen 80; location / { limit_except GET { deny all; } return 200 in; } }", tmp_path)
    assert site.ask("/").text == "in"
    assert site.ask("/", method="POST").status == 403


def test_rewrite_log_tells_what_happened(tmp_path) -> None:
    site = Site(
        """
        server {
            listen 80;
            rewrite_log on;
            location / { rewrite ^/a(.*)$ /b$1?x=1 break; return 404; }
            location /r { rewrite ^/q /; rewrite ^/r /s redirect; }
        }
        """,
        tmp_path,
    )
    site.ask("/a1?y")
    assert site.said()[:2] == ['"^/a(.*)$" matches "/a1"', 'rewritten data: "/b1", args: "x=1&y"']
    site.ask("/r")
    assert site.said() == [
        '"^/q" does not match "/r"',
        '"^/r" matches "/r"',
        'rewritten redirect: "/s"',
    ]


def test_rewriting_in_circles_ends(site) -> None:
    site.said()
    site.ask("/loop")
    path = "/loop" + "/x" * 11
    assert site.said() == [f'rewrite or internal redirection cycle while processing "{path}"']


def test_statuses_nginx_ends_the_connection_for(tmp_path) -> None:
    site = Site(
        """
        server {
            listen 80;
            location /444 { return 444; }
            location /408 { return 408; }
            location /499 { return 499; }
        }
        """,
        tmp_path,
    )
    for status in (444, 408, 499):
        reply = site.ask(f"/{status}")
        assert (reply.status, reply.answer.silent, reply.answer.special) == (status, True, False)


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ('rewrite ^ "";', "empty replacement"),
        ("rewrite ^ /x finally;", 'invalid parameter "finally"'),
        ("rewrite ^;", 'invalid number of arguments in "rewrite" directive'),
        ("rewrite ^/(?<host>.*) /x;", 'the duplicate "host" variable'),
        ("return gone;", 'invalid return code "gone"'),
        ("return 1000;", 'invalid return code "1000"'),
        ("return -1;", 'invalid return code "-1"'),
        ("return 200 $nobody;", 'unknown "nobody" variable'),
        ("set name 1;", 'invalid variable name "name"'),
        ("set $ 1;", 'invalid variable name "$"'),
        ("set $host 1;", 'the duplicate "host" variable'),
        ("set $http_host 1;", 'the duplicate "http_host" variable'),
        ("break now;", 'invalid number of arguments in "break" directive'),
        ("if $args { }", 'invalid condition "$args"'),
        ("if ($args == 1) { }", 'unexpected "==" in condition'),
        ("if ($args = 1 { }", 'invalid condition "1"'),
        ("if ($args = 1 && $host = 2) { }", 'invalid condition "$args"'),
        ("if (!$args) { }", 'invalid condition "!$args"'),
        ("if (args = 1) { }", 'invalid condition "args"'),
        ("if () { }", 'invalid condition ")"'),
        ("if (-f) { }", 'invalid condition "-f"'),
        ("if (-z /x) { }", 'invalid condition "-z"'),
        ("if (!-z /x) { }", 'invalid condition "!-z"'),
        ("if ($nobody) { }", 'unknown "nobody" variable'),
        ("if ($args$host) { }", 'unknown "args$host" variable'),
        ("if ($args) { if ($args) { } }", '"if" directive is not allowed here'),
        ("if ($args) { location /x { } }", '"location" directive is not allowed here'),
    ],
)
def test_mistakes(tmp_path, directive: str, message: str) -> None:
    assert mistakes(f"server {{ listen 80; location / {{ {directive} }} }}", tmp_path) == [message]


@pytest.mark.parametrize(
    "directive",
    [
        "set $args 1;",
        "set $limit_rate 1k;",
        "set $http_own 1;",
        "set $x $1; set $y $x$2;",
        "if ($uri ~ \\.php$) { return 403; }",
        'if ($args ~ "a\\d{1,2}") { }',
        'rewrite "^/a{2}" /x;',
        "return 999;",
    ],
)
def test_no_mistakes(tmp_path, directive: str) -> None:
    assert mistakes(f"server {{ listen 80; location / {{ {directive} }} }}", tmp_path) == []
