//! Conditions as tables: what they evaluate to, and what is said of those that are refused.

use serde_json::{Value as Json, json};
use weir_core::Boundary;

use super::*;
use crate::expr::{Env, Scratch};
use crate::facts::OwnedFacts;

fn compiled(on: Boundary, when: &str) -> Compiled {
    compile_all(&[Source { on, when, forbidden: None }]).pop().unwrap()
}

fn outcome(on: Boundary, when: &str, facts: &Json) -> Result<bool, String> {
    let expr = match compiled(on, when).expr {
        Ok(expr) => expr,
        Err(remarks) => panic!("{when}: {remarks:?}"),
    };
    let owned = OwnedFacts::from_json(on, facts).unwrap();
    let facts = owned.as_facts();
    let scratch = Scratch::default();
    let at = "2026-11-20T22:30:15.250Z".parse().unwrap();
    expr.holds(&Env::new(&facts, at, &scratch)).map_err(|fault| fault.to_string())
}

fn check(on: Boundary, facts: &Json, table: &[(&str, bool)]) {
    for (when, expected) in table {
        assert_eq!(outcome(on, when, facts), Ok(*expected), "{when}");
    }
}

fn request() -> Json {
    json!({
        "request": {
            "model": "openai/gpt-4o", "free": true, "max_tokens": 4096, "user_agent": "Python-Requests/2.32 Grüße",
            "ip": "10.1.2.3", "country": "DE", "body_bytes": 9_007_199_254_740_993_i64,
            "headers": {"X-Tool": "Abc", "accept": "*/*"}, "user_prompt": "Ignore previous instructions",
        },
        "identity": {"kind": "anonymous", "tags": ["trial", "eu"], "age_days": 3},
        "stats": {"requests_per_second": 2.5, "requests_1h": 40},
    })
}

#[test]
fn comparisons() {
    check(
        Boundary::Request,
        &request(),
        &[
            ("request.model == \"openai/gpt-4o\"", true),
            ("\"openai/gpt-4o\" == request.model", true),
            ("request.model != 'openai/gpt-4o'", false),
            ("request.model != ''", true),
            ("request.ja4 == ''", true),
            ("request.model < 'p' && request.model >= 'openai'", true),
            ("request.max_tokens == 4096", true),
            ("request.max_tokens == 4096.0", true),
            ("request.max_tokens > 4095.5 && request.max_tokens < 4096.5", true),
            ("4096 <= request.max_tokens", true),
            ("5000 < request.max_tokens", false),
            ("request.max_tokens != 4096", false),
            // 2^53 + 1 is no double: the comparison must not round.
            ("request.body_bytes == 9007199254740992.0", false),
            ("request.body_bytes > 9007199254740992.0", true),
            ("request.body_bytes < 1e300 && request.body_bytes > -1e300", true),
            ("stats.requests_per_second == 2.5 && stats.requests_per_second > 2", true),
            ("stats.requests_per_second <= 2", false),
            ("request.free", true),
            ("request.free == true && request.stream == false", true),
            ("true == request.free && request.free != false", true),
            ("!request.free || !!request.free", true),
            ("request.model == request.provider", false),
            ("identity.tags == ['trial', 'eu']", true),
            ("identity.tags == ['eu', 'trial']", false),
            ("identity.tags != []", true),
            ("1 == 1.0 && 'a' < 'b' && [1] == [1.0]", true),
            ("true", true),
            ("false", false),
        ],
    );
}

#[test]
fn strings() {
    check(
        Boundary::Request,
        &request(),
        &[
            ("request.user_agent.contains('Requests/')", true),
            ("request.user_agent.contains('requests/')", false),
            ("request.user_agent.lowerAscii().contains('requests/')", true),
            ("request.user_agent.lowerAscii().contains('Requests/')", false),
            ("request.user_agent.lowerAscii().startsWith('python-')", true),
            ("request.user_agent.lowerAscii().endsWith('2.32 grüße')", true),
            ("request.user_agent.lowerAscii() == 'python-requests/2.32 grüße'", true),
            ("request.country.lowerAscii() in ['at', 'de']", true),
            ("request.country.lowerAscii() in ['AT', 'DE']", false),
            ("request.user_agent.startsWith('Python') && request.user_agent.endsWith('Grüße')", true),
            ("request.user_agent.endsWith('xx')", false),
            ("request.model.contains('')", true),
            ("request.model.startsWith(request.provider)", true),
            ("request.provider.contains(request.model)", false),
            ("size(request.user_agent) == 26 && request.user_agent.size() == 26", true),
            ("request.country + '-' + request.model == 'DE-openai/gpt-4o'", true),
            ("request.user_agent.matches('^Python-Requests/2\\\\.[0-9]+')", true),
            ("request.user_agent.matches(r'requests/2\\.[0-9]+')", false),
            ("request.user_agent.matches('(?i)requests/2')", true),
            ("matches(request.country, '^(DE|AT)$')", true),
            (
                "request.country.matches('^DE$') && request.country.matches('DE') && request.country.matches('^D')",
                true,
            ),
            ("request.country.matches('E$') && request.country.matches('')", true),
            ("request.country.matches('^E')", false),
            ("request.headers['x-tool'] == 'Abc' && request.headers['X-TOOL'] == 'Abc'", true),
            ("request.headers['x-tool'].lowerAscii() == 'abc'", true),
            ("request.headers.accept == '*/*'", true),
            ("request.headers['absent'] == ''", true),
            ("request.headers['absent'].contains('a')", false),
            ("request.headers['x-' + 'Tool'] == 'Abc'", true),
            ("'X-Tool' in request.headers && has(request.headers.accept)", true),
            ("'absent' in request.headers || has(request.headers.absent)", false),
            ("size(request.headers) == 2 && size(identity.tags) == 2 && size('äö') == 2", true),
            ("request.headers.exists(name, name.startsWith('x-'))", true),
            ("request.headers.all(name, request.headers[name] != '')", true),
            ("request.headers.exists(name, request.headers[name] == 'Abc')", true),
        ],
    );
}

#[test]
fn lists_and_macros() {
    check(
        Boundary::Request,
        &request(),
        &[
            ("'eu' in identity.tags", true),
            ("request.country in identity.tags", false),
            ("request.country in ['AT', 'DE', 'DE']", true),
            ("request.country in ['DE']", true),
            ("request.country in []", false),
            ("request.max_tokens in [1, 4096.0]", true),
            ("request.free in [true]", true),
            ("identity.tags[0] == 'trial'", true),
            ("['a', 'b'][1] == 'b'", true),
            ("identity.tags.exists(t, t == 'eu')", true),
            ("identity.tags.exists(t, t in ['us', 'eu'])", true),
            ("identity.tags.exists(t, t == 'us' || t == 'uk')", false),
            ("identity.tags.exists(t, t.startsWith('tri'))", true),
            ("identity.tags.all(t, size(t) > 1)", true),
            ("identity.tags.all(t, t == 'eu')", false),
            ("['curl/', 'Requests/'].exists(x, request.user_agent.contains(x))", true),
            ("['Python', '2.32'].all(x, request.user_agent.contains(x))", true),
            ("[].exists(x, x == 1)", false),
            ("[].all(x, x == 1)", true),
            ("[1, 2, 3].exists(n, n * 2 == 4)", true),
            ("identity.tags.exists(a, identity.tags.exists(b, a + b == 'eutrial'))", true),
            ("['a', 'b'].exists(x, ['c'].all(y, x != y))", true),
            // A variable hides a root.
            ("identity.tags.exists(request, request == 'eu')", true),
        ],
    );
}

#[test]
fn numbers_time_and_networks() {
    check(
        Boundary::Request,
        &request(),
        &[
            ("request.max_tokens * 2 + 1 - 1 == 8192", true),
            ("size(request.model) == size(request.headers) + 11 && size(identity.tags) < 3", true),
            ("request.max_tokens / 1000 == 4 && request.max_tokens % 1000 == 96", true),
            ("-request.max_tokens == -4096 && -(1.5) == -1.5 && - 2 < 0", true),
            ("stats.requests_per_second * 2.0 / 4.0 == 1.25", true),
            ("stats.requests_per_second / 0.0 > 1e308", true),
            ("request.free ? request.max_tokens > 1 : request.max_tokens > 9999", true),
            ("(request.stream ? 'a' : 'b') == 'b'", true),
            (
                "now.getHours() + 1 == 23 && 22 == now.getHours() && now.getMinutes() == 30 && now.getSeconds() == 15",
                true,
            ),
            (
                "now.getFullYear() == 2026 && now.getMonth() == 10 && now.getDate() == 20 && now.getDayOfMonth() == 19",
                true,
            ),
            ("now.getDayOfWeek() == 5 && now.getDayOfYear() == 323 && now.getMilliseconds() == 250", true),
            (
                "now.getHours('Europe/Berlin') == 23 && now.getHours('+02:00') == 0 && now.getDate('+02:00') == 21",
                true,
            ),
            ("now.getHours('-01:30') == 21 && now.getHours('UTC') == 22 && now.getHours('02:00') == 0", true),
            ("now > timestamp('2026-11-20T00:00:00Z') && now < timestamp('2026-11-21T00:00:00+01:00')", true),
            ("now - timestamp('2026-11-20T22:00:15.25Z') == duration('30m')", true),
            ("now + duration('24h') > now && now - duration('1.5h') < now", true),
            ("duration('1h') + duration('30m') - duration('1m') == duration('89m')", true),
            ("duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90", true),
            ("duration('1500ms').getSeconds() == 1 && duration('1500ms').getMilliseconds() == 500", true),
            ("-duration('1s') < duration('0')", true),
            ("timestamp(request.country + '') == now || true", true),
            ("duration(request.headers['x'] + '5s') == duration('5s')", true),
            ("cidr('10.0.0.0/8').containsIP(request.ip)", true),
            ("cidr('10.1.2.3/32').containsIP(request.ip) && cidr('0.0.0.0/0').containsIP(request.ip)", true),
            ("cidr('10.9.9.9/16').containsIP(request.ip)", false),
            ("cidr('2001:db8::/32').containsIP(request.ip)", false),
            ("cidr('2001:db8::/32').containsIP('2001:db8::1') && cidr('::/0').containsIP('::1')", true),
            ("cidr('10.0.0.0/8').containsIP('::ffff:10.0.0.1')", true),
            ("cidr('10.0.0.0/8').containsIP(request.headers['absent'])", false),
        ],
    );
}

#[test]
fn an_unknown_address_is_in_no_network_and_a_bad_one_is_an_error() {
    let when = "cidr('10.0.0.0/8').containsIP(request.ip)";
    assert_eq!(outcome(Boundary::Request, when, &json!({})), Ok(false));
    let error = outcome(Boundary::Request, when, &json!({"request": {"ip": "unknown"}})).unwrap_err();
    assert_eq!(error, "containsIP() was given a text that is no address");
}

fn call() -> Json {
    json!({
        "call": {"args": {
            "path": "/etc/passwd", "n": 5, "big": 1e19, "d": 2.5, "flag": true, "none": null,
            "list": ["a", 1, 2.0, null], "map": {"k": {"x": 1}}, "t": "2026-11-20T00:00:00Z", "wait": "5s",
        }},
        "tool": {"name": "run_script"},
        "channel": {"name": "web"},
    })
}

#[test]
fn dynamic_facts() {
    check(
        Boundary::Tool,
        &call(),
        &[
            ("call.args.path.startsWith('/etc/') && call.args['path'] == '/etc/passwd'", true),
            ("has(call.args.path) && !has(call.args.absent)", true),
            ("has(call.args.absent) && call.args.absent == 1", false),
            ("call.args.n == 5 && call.args.n == 5.0 && call.args.n < 6 && call.args.n + 1 == 6", true),
            ("call.args.d * 2.0 == 5.0 && call.args.big > 1", true),
            ("call.args.flag && call.args.flag == true", true),
            ("call.args.none == null && call.args.n != null", true),
            ("call.args.path == 5", false),
            ("call.args.list[1] == 1 && call.args.list[2] == 2", true),
            ("'a' in call.args.list && 2 in call.args.list && !('b' in call.args.list)", true),
            ("'k' in call.args.map && call.args.map.k.x == 1 && has(call.args.map.k.x)", true),
            ("call.args.list.exists(item, item == 'a')", true),
            ("call.args.map.all(name, name == 'k')", true),
            ("size(call.args.list) == 4 && size(call.args.map) == 1 && size(call.args.path) == 11", true),
            ("call.args.map == call.args.map && call.args.list == call.args.list", true),
            ("call.args.map == call.args.list", false),
            ("call.args[call.args.list[0] + ''] == 1 || true", true),
            ("timestamp(call.args.t).getDate() == 20 && duration(call.args.wait) == duration('5s')", true),
            ("call.args.path.matches('^/etc/[a-z]+$') && call.args.path.lowerAscii() == '/etc/passwd'", true),
            ("-call.args.n == -5", true),
            // Errors are absorbed.
            ("call.args.absent == 1 || call.args.n == 5", true),
            ("call.args.absent == 1 && call.args.n == 6", false),
            ("!(call.args.absent == 1 && call.args.n == 6)", true),
            ("call.args.list.exists(item, item > 1)", true),
            ("call.args.list.all(item, item == 'a')", false),
            ("has(tool.annotations.readOnlyHint)", false),
        ],
    );
}

#[test]
fn run_time_errors_say_what_went_wrong() {
    let table = [
        ("call.args.absent == 1", "there is no member `absent`: test it with has()"),
        ("call.args['ab' + 'sent'] == 1", "there is no member `absent`: test it with has()"),
        ("call.args.path.x == 1", "expected map, found string"),
        ("has(call.args.path.x)", "expected map, found string"),
        ("tool.annotations.x == 1", "there is no member `x`: test it with has()"),
        ("tool.annotations['x' + ''] == 1", "there is no member `x`: test it with has()"),
        ("call.args.path", "expected bool, found string"),
        ("call.args.n && true", "expected bool, found int"),
        ("call.args.n.contains('a')", "expected string, found int"),
        ("call.args.path < 5", "`<` is not defined for string and int"),
        ("call.args.n / 0 == 1", "division by zero"),
        ("call.args.n % 0 == 1", "division by zero"),
        ("call.args.n + 9223372036854775807 > 0", "the result of `+` is out of range"),
        ("call.args.d % call.args.d > 0.0", "`%` is not defined for double and double"),
        ("call.args.n + 'a' == 'b'", "`+` is not defined for int and string"),
        ("-call.args.path == 1", "expected number, found string"),
        ("call.args.list[9] == 1", "there is no element 9"),
        ("call.args.list[-1] == 1", "there is no element -1"),
        ("call.args.n[0] == 1", "`[]` is not defined for int and int"),
        ("1 in call.args.n", "`in` is not defined for int and int"),
        ("size(call.args.n) == 1", "expected string, list or map, found int"),
        ("call.args.n.exists(x, x == 1)", "expected list or map, found int"),
        ("call.args.list.all(x, x != 'b' && x > 0)", "`>` is not defined for string and int"),
        ("timestamp(call.args.path) > now", "timestamp() was given a text that is no time"),
        ("duration(call.args.path) > duration('1s')", "duration() was given a text that is no duration"),
        ("call.args.n.getHours() == 1", "expected timestamp, found int"),
        ("now + duration('90000000h') > now", "the result of `+` is out of range"),
        ("now - duration('190000000h') < now", "the result of `-` is out of range"),
        ("cidr('::/0').containsIP(call.args.path)", "containsIP() was given a text that is no address"),
    ];
    for (when, expected) in table {
        assert_eq!(outcome(Boundary::Tool, when, &call()), Err(expected.to_owned()), "{when}");
    }
}

#[test]
fn loops_and_joined_strings_are_bounded() {
    let many: Vec<i64> = (0..2_000).collect();
    let facts = json!({"call": {"args": {"many": many, "long": "x".repeat(3_000)}}});
    let nested = "call.args.many.all(a, call.args.many.all(b, a + b >= 0))";
    let limit = "exists() and all() looked at more than 10000 elements".to_owned();
    assert_eq!(outcome(Boundary::Tool, nested, &facts), Err(limit));
    assert_eq!(outcome(Boundary::Tool, "call.args.many.all(a, a >= 0)", &facts), Ok(true));
    let joined = "call.args.long + call.args.long == ''";
    assert_eq!(outcome(Boundary::Tool, joined, &facts), Err("a string became too long".to_owned()));
}

/// The first remark of a refused condition: the part it points at, the message, the help.
fn refused(on: Boundary, when: &str) -> (String, String, String) {
    match compiled(on, when).expr {
        Ok(expr) => panic!("{when} is accepted: {expr:?}"),
        Err(remarks) => {
            let first = &remarks[0];
            (
                when[first.start..first.end].to_owned(),
                first.message.clone(),
                first.help.clone().unwrap_or_default(),
            )
        }
    }
}

#[test]
fn what_is_refused_says_why_and_where() {
    let table = [
        ("", "", "the condition is empty"),
        ("request.model", "request.model", "a condition is a bool, this is a string"),
        ("request.modle == 'a'", "modle", "unknown fact `request.modle`"),
        ("reqest.model == 'a'", "reqest", "unknown fact `reqest`"),
        ("model == 'a'", "model", "unknown fact `model`"),
        ("request == 'a'", "request", "`request` is no value: read one of its fields"),
        ("tool.name == 'a'", "tool", "`tool` is an unknown fact for a rule on `request`"),
        ("request.model == gpt", "gpt", "unknown fact `gpt`"),
        ("request.model == 1", "request.model == 1", "a string cannot be compared with an int by `==`"),
        (
            "request.max_tokens > '1'",
            "request.max_tokens > '1'",
            "an int cannot be compared with a string by `>`",
        ),
        ("request.model == null", "request.model == null", "a string cannot be compared with null by `==`"),
        ("request.free > false", "request.free > false", "a bool cannot be compared with a bool by `>`"),
        (
            "request.headers == request.headers",
            "request.headers == request.headers",
            "a map cannot be compared with a map by `==`",
        ),
        ("request.model && true", "request.model", "a bool is needed here, this is a string"),
        ("!request.model", "request.model", "a bool is needed here, this is a string"),
        (
            "request.max_tokens + 1.0 > 2.0",
            "request.max_tokens + 1.0",
            "`+` is not defined for an int and a double",
        ),
        ("request.free + 1 > 1", "request.free + 1", "`+` is not defined for a bool and an int"),
        ("-request.model == 'a'", "-request.model", "`-` is not defined for a string"),
        ("request.model.length() > 1", "length", "the function `length` is not supported"),
        ("request.model.contians('a')", "contians", "unknown function `contians`"),
        ("request.model.zzz('a')", "zzz", "unknown function `zzz`"),
        ("request.model.contains('a', 'b')", "contains", "`contains` is not called like this"),
        ("contains(request.model, 'a')", "contains", "`contains` is not called like this"),
        ("request.model.contains(1)", "1", "a string is needed here, this is an int"),
        (
            "request.model.matches(request.provider)",
            "request.provider",
            "a regular expression must be a literal",
        ),
        ("request.model.matches('(')", "'('", "the regular expression is not valid: unclosed group"),
        (
            "request.model.matches('a{1000}{1000}{1000}')",
            "'a{1000}{1000}{1000}'",
            "the regular expression is not valid",
        ),
        ("identity.tags.map(t, t) == []", "identity.tags", "`map` and `filter` are not supported"),
        (
            "identity.tags.exists_one(t, t == 'a')",
            "identity.tags",
            "`exists_one` and macros of two variables are not supported",
        ),
        (
            "request.model.exists(t, t == 'a')",
            "request.model",
            "`exists` and `all` need a list or a map, this is a string",
        ),
        ("identity.tags.exists(t, t)", "t", "a bool is needed here, this is a string"),
        (
            "identity.tags.exists(a, identity.tags.exists(b, identity.tags.exists(c, a == b && b == c)))",
            "",
            "`exists` and `all` are nested deeper than 2 levels",
        ),
        (
            "request.max_tokens in ['a']",
            "request.max_tokens in ['a']",
            "a list of strings cannot hold an int",
        ),
        (
            "'a' in request.model",
            "'a' in request.model",
            "`in` needs a list or a map on its right, this is a string",
        ),
        ("1 in request.headers", "1 in request.headers", "the names of a map are strings, this is an int"),
        ("request.model in ['a', 1]", "1", "the elements of a list have one type: string and int"),
        (
            "request.model in [request.provider]",
            "request.provider",
            "the elements of a list must be literals",
        ),
        ("request.model in [['a']]", "['a']", "lists of lists are not supported"),
        ("{'a': 1} == {}", "", "map literals are not supported"),
        ("Foo{a: 1} == 1", "", "message literals are not supported"),
        ("request.max_tokens > 1u", "1u", "unsigned numbers are not supported"),
        ("request.model == b'a'", "b'a'", "bytes are not supported"),
        ("request.model.x == 'a'", "x", "a string has no fields"),
        ("has(request.model.x)", "has(request.model.x)", "a string has no fields"),
        ("request.model[0] == 'a'", "request.model[0]", "a string has no element for an int"),
        ("timestamp('soon') < now", "'soon'", "`soon` is no time"),
        ("timestamp(1) < now", "1", "a string is needed here, this is an int"),
        ("duration('1d') < duration('1h')", "'1d'", "`1d` is no duration"),
        ("now.getHours('Mars/Base') == 1", "'Mars/Base'", "unknown time zone `Mars/Base`"),
        ("now.getHours(request.country) == 1", "request.country", "a time zone must be a literal"),
        ("request.model.getHours() == 1", "request.model", "`getHours` is not defined for a string"),
        ("duration('1h').getDate() == 1", "duration('1h')", "`getDate` is not defined for a duration"),
        ("now > 5", "now > 5", "a timestamp cannot be compared with an int by `>`"),
        ("cidr('10.0.0.1').containsIP(request.ip)", "'10.0.0.1'", "`10.0.0.1` is no network"),
        ("cidr('x').containsIP(request.ip)", "'x'", "`x` is no network"),
        ("cidr(request.ip).containsIP(request.ip)", "request.ip", "a network must be a literal"),
        ("request.ip.containsIP(request.ip)", "request.ip", "containsIP needs a network"),
        ("cidr('10.0.0.0/8') == 1", "cidr('10.0.0.0/8')", "a network is of use only with containsIP"),
        (
            "(request.free ? 1 : 'a') == 1",
            "request.free ? 1 : 'a'",
            "both branches of `?:` have one type: int and string",
        ),
        (
            "(request.free ? request.headers : request.headers)['a'] == ''",
            "",
            "`?:` cannot choose between maps",
        ),
        ("size(request.free) == 1", "request.free", "`size` needs a string, a list or a map, this is a bool"),
        ("double(request.max_tokens) > 1.0", "double", "the function `double` is not supported"),
        ("now() > now", "now", "the function `now` is not supported"),
        ("request.model = 'a'", "=", "the condition is no CEL"),
        ("request.free and true", "and", "the condition is no CEL"),
        ("request.model == 'é' && request.modle == 'a'", "modle", "unknown fact `request.modle`"),
        ("request . modle == 'a'", "modle", "unknown fact `request.modle`"),
        ("request.model == 'a", "", "the condition is no CEL"),
        ("(request.free", "", "the condition is no CEL"),
    ];
    for (when, span, message) in table {
        let (pointed, said, _) = refused(Boundary::Request, when);
        assert!(said.starts_with(message), "{when}: {said}");
        if !span.is_empty() {
            assert_eq!(pointed, span, "{when}: {said}");
        }
    }
}

#[test]
fn help_names_the_way_out() {
    let table = [
        ("request.modle == 'a'", "did you mean `request.model`?"),
        ("reqest.model == 'a'", "did you mean `request`?"),
        ("user_agent == 'a'", "did you mean `request.user_agent`?"),
        ("request.model == gpt", "a text is written in quotes: \"gpt\""),
        ("request.model.contians('a')", "did you mean `contains`?"),
        ("request.free and true", "write `&&`"),
        ("request.model = 'a'", "write `==`"),
        ("request.model.len() == 1", "use `size`"),
        ("'a' in request.model", "use `text.contains(part)`"),
        ("identity.tags == 'a'", "use `\"a\" in list`, or `list.exists(item, ...)`"),
        ("now > '2026-01-01'", "write a time as timestamp(\"2026-11-20T10:00:00Z\")"),
        ("now - now > 5", "write a duration as duration(\"90s\")"),
        ("request.zzzz == 'a'", "the fields of `request` are `api`, `path`,"),
        ("cidr('10.0.0.1').containsIP(request.ip)", "one address is written `10.0.0.1/32`"),
        ("request.max_tokens + 1.0 > 2.0", "write both as doubles, such as 2.0; only comparisons mix them"),
    ];
    for (when, expected) in table {
        let (_, _, help) = refused(Boundary::Request, when);
        assert!(help.starts_with(expected), "{when}: {help}");
    }
}

#[test]
fn all_errors_of_a_condition_are_found() {
    let when = "request.modle == 'a' && request.fre || request.model.contians('x')";
    let Err(remarks) = compiled(Boundary::Request, when).expr else { panic!() };
    assert_eq!(remarks.len(), 3, "{remarks:?}");
}

#[test]
fn doubtful_conditions_are_warned_of() {
    let table = [
        (
            "identity.kind == 'anonymos'",
            "`identity.kind` is never \"anonymos\"",
            "did you mean \"anonymous\"?",
        ),
        ("'chat' == request.api", "`request.api` is never \"chat\"", "did you mean \"chat_completions\"?"),
        (
            "identity.kind in ['user', 'robot']",
            "`identity.kind` is never \"robot\"",
            "it is one of \"user\", \"anonymous\"",
        ),
        ("has(request.model)", "`has(request.model)` is always true", "compare with the empty value instead"),
    ];
    for (when, message, help) in table {
        let compiled = compiled(Boundary::Request, when);
        assert!(compiled.expr.is_ok(), "{when}");
        assert!(compiled.warnings[0].message.starts_with(message), "{:?}", compiled.warnings);
        assert_eq!(compiled.warnings[0].help.as_deref(), Some(help));
    }
    assert!(compiled(Boundary::Request, "identity.kind == '' || request.model == 'x'").warnings.is_empty());
}

#[test]
fn sources_that_would_be_dangerous_to_parse_are_refused() {
    let long = format!("request.model == '{}'", "x".repeat(SOURCE_BYTES_MAX));
    let deep = format!("{}true{}", "(".repeat(30), ")".repeat(30));
    let chain = format!("1{} == 1", "+1".repeat(300));
    let bangs = format!("{}true", "!".repeat(500));
    let members = format!("call.args{} == 1", ".b".repeat(400));
    let steps = format!("request.max_tokens{} == 1", " + 1".repeat(40));
    let digits = (0..20).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let written = format!("[{digits}].all(a, [{digits}].all(b, [{digits}].all(c, a + b + c >= 0)))");
    let table = [
        (Boundary::Request, long.as_str(), "the condition is longer than 1024 bytes"),
        (Boundary::Request, deep.as_str(), "brackets are nested deeper than 24 levels"),
        (Boundary::Request, chain.as_str(), "more than 64 operators besides `&&` and `||`"),
        (Boundary::Request, bangs.as_str(), "more than 64 operators besides `&&` and `||`"),
        (Boundary::Tool, members.as_str(), "the condition is nested deeper than 32 levels"),
        (Boundary::Request, steps.as_str(), "the condition is nested deeper than 32 levels"),
        (Boundary::Request, written.as_str(), "the condition has more than 2000 parts"),
    ];
    for (on, when, message) in table {
        let (_, said, _) = refused(on, when);
        assert!(said.starts_with(message), "{when}: {said}");
    }
    let wide = (0..60).map(|_| "request.free").collect::<Vec<_>>().join(" || ");
    assert_eq!(outcome(Boundary::Request, &wide, &request()), Ok(true));
}

#[test]
fn patterns_that_are_literals_need_no_regular_expression() {
    let table = [
        ("request.model.matches('gpt')", false),
        ("request.model.matches('^gpt-4$')", false),
        ("request.model.matches('')", false),
        ("request.model.matches('gpt|claude')", true),
    ];
    for (when, has_regex) in table {
        let expr = compiled(Boundary::Request, when).expr.unwrap();
        assert_eq!(matches!(expr, Expr::Matches(..)), has_regex, "{when}: {expr:?}");
    }
}

#[test]
fn required_literals_are_found() {
    let required = |pattern: &str| {
        let hir = regex_syntax::parse(pattern).unwrap();
        pattern::required(&hir).map(|r| (r.literals.join("|"), r.fold))
    };
    let table = [
        ("python-requests/[0-9]+", Some(("python-requests/", false))),
        ("^curl/7\\.[0-9]+ \\(linux\\)", Some((" (linux)", false))),
        ("(foo|bar)baz", Some(("baz", false))),
        ("(foo1|bar2)[0-9]", Some(("foo1|bar2", false))),
        ("(abcdef)+x", Some(("abcdef", false))),
        ("(abcdef)?x[0-9]", None),
        ("(?i)headless[0-9]", None),
        ("(?i)playwright[0-9]", Some(("playwright", true))),
        ("[0-9]+", None),
        ("ab.cd", None),
        (".*", None),
    ];
    for (pattern, expected) in table {
        let expected = expected.map(|(literal, fold)| (literal.to_owned(), fold));
        // A letter such as `s` has a third form without ASCII: the run ends there, which may leave a shorter literal.
        if pattern == "(?i)headless[0-9]" {
            assert_eq!(required(pattern), Some(("headle".to_owned(), true)));
            continue;
        }
        assert_eq!(required(pattern), expected, "{pattern}");
    }
}
