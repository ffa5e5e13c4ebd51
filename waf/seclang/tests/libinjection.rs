//! libinjection's own test cases, read from where they lie: `LIBINJECTION_DIR`, or
//! `../shared/libinjection` beside the workspace. Without them the test says so and passes.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use picket_seclang::operator::{
    detect_sqli, detect_xss,
    libinjection::steps::{self, Context, Kind, Parser, Parts},
};

fn directory() -> Option<PathBuf> {
    let dir = match std::env::var_os("LIBINJECTION_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/libinjection"),
    };
    let tests = dir.join("tests");
    if !tests.is_dir() {
        println!("skipped: no {}", tests.display());
        return None;
    }
    Some(tests)
}

/// A case's input and what is expected of it.
fn sections(text: &[u8]) -> Option<(Vec<u8>, String)> {
    let find = |mark: &[u8]| text.windows(mark.len()).position(|w| w == mark).map(|at| (at, at + mark.len()));
    let (_, input) = find(b"--INPUT--\n")?;
    let (end, expected) = find(b"--EXPECTED--\n").or_else(|| find(b"--EXPECTED--"))?;
    let trimmed = |bytes: &[u8]| bytes.trim_ascii_end().to_vec();
    let expected = String::from_utf8_lossy(text.get(expected..).unwrap_or_default()).into_owned();
    Some((trimmed(text.get(input..end)?), expected.trim().to_string()))
}

fn sql_token((kind, open, close, text): &Parts<'_>) -> String {
    let text = String::from_utf8_lossy(text);
    let mut out = format!("{} ", char::from(*kind));
    let quote = |out: &mut String, quote: u8| {
        if quote != 0 {
            out.push(char::from(quote));
        }
    };
    // Names in backquotes are listed without them, as are variables, but not strings.
    let strings = *kind == b's' || *kind == b'v';
    if strings {
        quote(&mut out, *open);
    }
    out.push_str(&text);
    if strings {
        quote(&mut out, *close);
    }
    out
}

fn lines(parts: &[Parts<'_>]) -> String {
    parts.iter().map(sql_token).collect::<Vec<_>>().join("\n").trim().to_string()
}

/// The engine keeps neither the signs of a variable nor the case of words that it has joined.
fn normal(lines: &str) -> Vec<String> {
    let line = |line: &str| match line.split_once(' ') {
        Some(("v", name)) => format!("v {}", name.trim_start_matches('@').to_lowercase()),
        Some((kind, text)) => format!("{kind} {}", text.to_lowercase()),
        None => line.to_string(),
    };
    lines.lines().map(|text| line(text).trim_end().to_string()).collect()
}

fn html(value: &[u8]) -> String {
    let mut parser = Parser::new(value, Context::Data);
    let mut out = String::new();
    while let Some((kind, text)) = parser.next_token() {
        let name = match kind {
            Kind::Data => "DATA_TEXT",
            Kind::TagName => "TAG_NAME_OPEN",
            Kind::TagNameClose => "TAG_NAME_CLOSE",
            Kind::TagNameSelfClose => "TAG_NAME_SELFCLOSE",
            Kind::TagClose => "TAG_CLOSE",
            Kind::AttributeName => "ATTR_NAME",
            Kind::AttributeValue => "ATTR_VALUE",
            Kind::Comment => "TAG_COMMENT",
            Kind::Doctype => "DOCTYPE",
        };
        writeln!(out, "{name},{},{}", text.len(), String::from_utf8_lossy(text)).unwrap();
    }
    out.trim().to_string()
}

#[test]
fn cases() {
    let Some(dir) = directory() else { return };
    let mut failures = Vec::new();
    let mut count = 0;
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some((input, expected)) = sections(&fs::read(&path).unwrap()) else { continue };
        let got = if name.starts_with("test-tokens") {
            lines(&steps::tokens(&input))
        } else if name.starts_with("test-folding") {
            lines(&steps::folded(&input))
        } else if name.starts_with("test-sqli") {
            detect_sqli(&input).map_or(String::new(), |f| String::from_utf8_lossy(f.as_bytes()).into_owned())
        } else if name.starts_with("test-html5") {
            html(&input)
        } else {
            continue;
        };
        count += 1;
        let (got, expected) = (normal(&got), normal(&expected));
        if got != expected {
            failures.push(format!("{name}: {}\n{got:?}\n  instead of\n{expected:?}\n", input.escape_ascii()));
        }
    }
    println!("{} of {count} cases as expected", count - failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Values that neither verdict may miss for its screen.
#[test]
fn screens_let_attacks_pass() {
    const PARTS: &[&str] = &[
        "'",
        "\"",
        "`",
        "1",
        "0x1f",
        "1e",
        ".",
        " ",
        "--",
        "#",
        "/*",
        "*/",
        "(",
        ")",
        ",",
        ";",
        "=",
        "||",
        "+",
        "@a",
        "$$",
        "\\",
        "[",
        "{",
        "}",
        "union",
        "select",
        "or",
        "and",
        "not",
        "from",
        "foo",
        "Bar ",
        "user",
        "group by",
        "at time zone",
        "current ",
        "into outfile",
        "exec",
        "sleep(",
        "<",
        ">",
        "/",
        "!",
        "a",
        "svg",
        "script",
        " onclick",
        "style",
        " href",
        "javascript:",
        "é",
        "\0",
        "\u{a0}",
    ];
    let mut state = 1u64;
    let mut below = |n: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let (mut sqli, mut xss) = (0, 0);
    for _ in 0..200_000 {
        let value: String = (0..=below(8)).map(|_| PARTS[below(PARTS.len())]).collect();
        let value = value.as_bytes();
        let found = steps::detect_sqli_slowly(value);
        let found = found.as_ref().map(|(letters, len)| &letters[..usize::from(*len)]);
        assert_eq!(detect_sqli(value).as_ref().map(|f| f.as_bytes()), found, "{}", value.escape_ascii());
        assert_eq!(detect_xss(value), steps::detect_xss(value), "{}", value.escape_ascii());
        sqli += usize::from(found.is_some());
        xss += usize::from(detect_xss(value));
    }
    assert!(sqli > 2_000 && xss > 500, "{sqli} and {xss}");
}
