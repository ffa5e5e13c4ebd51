//! Requests that are meant to be dear: each must end in a verdict within the default limits of a filter
//! with rules. A failure would answer 503 too, but a client could then silence a site's filter at will,
//! or, where it fails open, walk past it.

use std::time::Instant;

use picket::config::RULES_LIMITS;
use picket::regression::Prepared;
use picket_ftw::Exchange;
use picket_tests::backends;

use crate::{crs, noise, operators_rules, request, sandbox};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const XML: &str = "text/xml";
const KIB: usize = 1 << 10;

/// One call may take a second. What wasmi does in that time on a slow machine is one or two thousand
/// millions of fuel, so that a request that asks for as much might fail on its time: half of the fuel is
/// what level 1 may need, three quarters what level 4 may.
fn bearable(level: u8) -> u64 {
    let fuel = RULES_LIMITS.call.fuel.0;
    if level < 4 { fuel / 2 } else { fuel / 4 * 3 }
}

fn post(kind: &str, body: impl AsRef<[u8]>) -> Exchange {
    request("/account", &[], Some((kind, body.as_ref())))
}

fn form(value: &str) -> Exchange {
    post(FORM, format!("text={value}"))
}

/// `count` parts, one byte each.
fn parts(count: usize, disposition: impl Fn(usize) -> String) -> Exchange {
    let mut body = String::new();
    for n in 0..count {
        body.push_str(&format!("--b\r\nContent-Disposition: form-data; {}\r\n\r\nx\r\n", disposition(n)));
    }
    body.push_str("--b--\r\n");
    post("multipart/form-data; boundary=b", body)
}

fn requests() -> Vec<(String, Exchange)> {
    let mut requests: Vec<(String, Exchange)> = Vec::new();
    let mut add = |name: &str, exchange: Exchange| requests.push((name.to_owned(), exchange));

    for depth in [100, 1_000, 60_000] {
        add(&format!("JSON, {depth} lists deep"), post(JSON, "[".repeat(depth) + &"]".repeat(depth)));
        let objects = "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        add(&format!("JSON, {depth} objects deep"), post(JSON, objects));
    }
    let values: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    add("JSON, 20,000 numbers", post(JSON, format!("[{}]", values.join(","))));
    let names: Vec<String> = (0..900).map(|n| format!("\"<a{n}' or\":\"--{n}\"")).collect();
    add("JSON, 900 odd names", post(JSON, format!("{{{}}}", names.join(","))));
    add("JSON, escapes", post(JSON, format!("\"{}\"", "\\u0027".repeat(18_000))));

    for count in [255, 999, 1_000, 30_000] {
        let arguments: Vec<String> = (0..count).map(|n| format!("a{n}=1")).collect();
        add(&format!("{count} arguments"), post(FORM, arguments.join("&")));
    }
    let arguments: Vec<String> = (0..999).map(|n| format!("a{n}=%27+or+{n}%3D{n}--")).collect();
    add("999 arguments, each an attack", post(FORM, arguments.join("&")));
    let arguments: Vec<String> = (0..999).map(|n| format!("a{n}=%26lt%3B%5Cx{n}%2F*.*%2F%2525")).collect();
    add("999 arguments, each to be decoded", post(FORM, arguments.join("&")));
    add("64 Ki ampersands", post(FORM, "&".repeat(64 * KIB)));
    add("64 Ki equal signs", post(FORM, "=".repeat(64 * KIB)));

    for sign in [
        "'",
        "\"",
        "`",
        "(",
        ")",
        "[",
        "{",
        "<",
        ">",
        "/",
        "\\",
        "..",
        "../",
        "--",
        "/*",
        "*/",
        "#",
        ";",
        "|",
        "$",
        "$(",
        "${",
        "@",
        "!",
        "~",
        "^",
        ",",
        ":",
        "-",
        "_",
        "=",
        "a",
        "a ",
        " ",
        "0",
        "1 ",
        "x'",
        "'x",
        "' or ",
        "1=1 ",
        "<a ",
        "<!--",
        "on",
        "onx=",
        "\u{e9}",
        "select ",
        "union ",
        "http://",
        "cat /",
        "c'a't ",
        "eval(",
        "<script",
        "javascript:",
        "@@",
        "0x",
        "u&'",
        "q'[",
        "/**/",
        "\\x",
        "&#",
        "&lt;",
        "file:",
        "%s",
        "constructor",
        "__proto__",
        "\n",
        "\r\n",
        "\0",
        "\t",
        "1e1",
        "--\n",
        "a.b.",
    ] {
        let escaped: String = sign.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let value = escaped.repeat(64 * KIB / sign.len());
        // Within the limit of a body without files.
        let value = &value[..value.len().min(126 * KIB) / 3 * 3];
        add(&format!("{} × {:?} in one argument", value.len() / 3 / sign.len(), sign), form(value));
    }
    add("64 Ki per cent signs", form(&"%".repeat(64 * KIB)));
    add("64 KiB, escaped thrice", form(&"%252527".repeat(9 * KIB)));
    add("64 KiB, half escapes", form(&"%u00".repeat(16 * KIB)));
    add(
        "120 KiB of noise",
        form(&noise(40 * KIB).iter().map(|byte| format!("%{byte:02x}")).collect::<String>()),
    );

    let get = |target: String, fields: &[(&str, &[u8])]| request(&target, fields, None);
    add("query of 15 KiB of quotes", get(format!("/?q={}", "'".repeat(15 * KIB)), &[]));
    add("path of 15 KiB of dots", get(format!("/{}", "../".repeat(5 * KIB)), &[]));
    add("path of 15 KiB of slashes", get("/".repeat(15 * KIB), &[]));
    add("query of 1,500 arguments", get(format!("/?{}", "a=%3c&".repeat(1_500)), &[]));
    add(
        "cookie of 60 KiB",
        get("/".into(), &[("Cookie", format!("a={}", "x'".repeat(30 * KIB)).as_bytes())]),
    );
    add("5,000 cookies", get("/".into(), &[("Cookie", "a=<b>; ".repeat(5_000).as_bytes())]));
    add("60 Ki semicolons as cookies", get("/".into(), &[("Cookie", ";".repeat(60 * KIB).as_bytes())]));
    let names: Vec<String> = (0..96).map(|n| format!("X-Field-{n}")).collect();
    for value in ["' or 1=1--", "<script>alert(1)</script>", "()  { :; };", "../../etc/passwd"] {
        let value = value.repeat(600 / value.len());
        let fields: Vec<_> = names.iter().map(|name| (name.as_str(), value.as_bytes())).collect();
        add(&format!("96 header fields of {value:.12}"), get("/".into(), &fields));
    }
    add(
        "Range of 20 KiB",
        get("/".into(), &[("Range", format!("bytes={}", "1-2,".repeat(5_000)).as_bytes())]),
    );
    add("Referer of 50 KiB", get("/".into(), &[("Referer", "http://a/?b='".repeat(4_000).as_bytes())]));

    let bomb = (0..12).fold("<!DOCTYPE a [<!ENTITY e0 \"lol\">".to_owned(), |text, n| {
        text + &format!("<!ENTITY e{} \"{}\">", n + 1, format!("&e{n};").repeat(10))
    });
    add("XML, entities of entities", post(XML, bomb + "]><a>&e12;</a>"));
    add(
        "XML, external entity",
        post(XML, "<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><a>&e;</a>"),
    );
    add("XML, deep", post(XML, "<a>".repeat(20_000)));
    add(
        "XML, many attributes",
        post(XML, format!("<a {}/>", (0..5_000).map(|n| format!("b{n}='<>' ")).collect::<String>())),
    );
    add("XML, many texts", post(XML, format!("<a>{}</a>", "<b>'</b>".repeat(14_000))));
    add("XML, references", post(XML, format!("<a>{}</a>", "&#x27;".repeat(20_000))));

    add("multipart, 999 fields", parts(999, |n| format!("name=\"f{n}\"")));
    add("multipart, 5,000 fields", parts(5_000, |n| format!("name=\"f{n}\"")));
    add("multipart, 900 files", parts(900, |n| format!("name=\"f{n}\"; filename=\"f{n}.jpg\"")));
    add("multipart, 5,000 files", parts(5_000, |n| format!("name=\"f{n}\"; filename=\"f{n}.jpg\"")));
    add("multipart, quotes", parts(300, |n| format!("name=\"{}{n}\"", "\\\"".repeat(100))));
    let head = format!("--b\r\n{}\r\nx\r\n--b--\r\n", "X: <y>'\r\n".repeat(12_000));
    add("multipart, 12,000 fields in one part", post("multipart/form-data; boundary=b", head));
    add("multipart, 120 KiB of dashes", post("multipart/form-data; boundary=-", "-".repeat(120 * KIB)));
    add("multipart, 120 KiB of line ends", post("multipart/form-data; boundary=b", "\r\n".repeat(60 * KIB)));
    let file = |boundary: &str, data: Vec<u8>| {
        let mut body =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n")
                .into_bytes();
        body.extend(data);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        post(&format!("multipart/form-data; boundary={boundary}"), body)
    };
    add("multipart, a file of 12 MiB", file("b", noise(12 << 20)));
    let long = "b".repeat(70);
    for (what, boundary, piece) in [
        ("half boundaries", "b", "\r\n--"),
        ("boundaries but for a byte", &long, &format!("\n--{}", &long[1..])),
        ("boundaries of others", "b", "\n--bb"),
        ("boundaries within lines", "b", "a--b"),
        ("single dashes", "b", "\n-"),
        ("dashes", "-", "-"),
    ] {
        let data = piece.repeat((12 << 20) / piece.len()).into_bytes();
        add(&format!("multipart, a file of 12 MiB of {what}"), file(boundary, data));
    }
    for piece in ["\n", "--\n", "a\n", "--b\n", "\0"] {
        let body = piece.repeat((12 << 20) / piece.len());
        add(&format!("multipart, 12 MiB of {piece:?}"), post("multipart/form-data; boundary=b", &body));
        let body = format!("--b\r\nContent-Disposition: form-data; name=a; filename=b\r\nA: b{body}");
        add(
            &format!("multipart, 12 MiB of {piece:?} in a head"),
            post("multipart/form-data; boundary=b", body),
        );
    }
    add("12 MiB without a type", request("/", &[], Some(("application/octet-stream", &noise(12 << 20)))));
    requests
}

#[test]
fn every_hostile_request_ends_in_a_verdict() {
    let Some(crs) = crs() else { return };
    let mut failures = Vec::new();
    for level in [1, 4] {
        let rules = operators_rules(crs, level);
        let wasmi = backends().iter().find(|backend| backend.name() == "wasmi").expect("wasmi is built in");
        let mut sandbox = sandbox(&**wasmi, &rules);
        let mut costs = Vec::new();
        for (name, exchange) in requests() {
            let begun = Instant::now();
            match sandbox.request(&Prepared::new(&exchange)) {
                Ok((refused, fuel)) => {
                    costs.push((fuel, begun.elapsed(), refused, name.clone()));
                    if fuel > bearable(level) {
                        failures.push(format!("level {level}: {name}: {} million fuel", fuel / 1_000_000));
                    }
                }
                Err(error) => failures
                    .push(format!("level {level}: {name}: {error} after {} ms", begun.elapsed().as_millis())),
            }
        }
        costs.sort_by_key(|&(fuel, ..)| std::cmp::Reverse(fuel));
        println!("level {level}: the dearest of {} requests", costs.len());
        for (fuel, time, refused, name) in costs.iter().take(12) {
            let verdict = if *refused { "refused" } else { "allowed" };
            println!("{:>8} million fuel {:>6} ms  {verdict}  {name}", fuel / 1_000_000, time.as_millis());
        }
    }
    assert!(failures.is_empty(), "{} fail\n{}", failures.len(), failures.join("\n"));
}
