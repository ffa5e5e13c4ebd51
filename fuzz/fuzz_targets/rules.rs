//! Rule sets made up on the spot, judged value by value: transformations one after the other, the operator
//! told the slow way. What the compiler leaves out, shares and announces by literals must not show.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use picket_fuzz::{Exchange, Memory, blob, contains, drive, fold};
use picket_seclang::RuleSet;
use picket_seclang::transform::Transformation;

#[derive(Clone, Debug)]
enum Operator {
    Contains(String),
    BeginsWith(String),
    EndsWith(String),
    Streq(String),
    Within(String),
    Pm(Vec<String>),
    Rx(Vec<String>, &'static str, bool),
    Eq(u8),
}

#[derive(Clone, Debug)]
struct Rule {
    negated: bool,
    transformations: Vec<Transformation>,
    multi: bool,
    /// Argument names too.
    names: bool,
    /// Only this argument, or all but it.
    key: Option<(bool, &'static str)>,
    operator: Operator,
}

#[derive(Debug)]
struct Input {
    rules: Vec<Rule>,
    arguments: Vec<(Vec<u8>, Vec<u8>)>,
}

const WORDS: [&str; 26] = [
    "a",
    "b",
    "ab",
    "ba",
    "abc",
    "select",
    "union",
    "sel",
    "lect",
    "on",
    "script",
    "<script",
    "/etc",
    "../",
    "x1",
    "1",
    "10",
    "%41",
    "=",
    "A",
    "SELECT",
    "1=1",
    "--",
    "aaaaaaaaab",
    "abababab",
    "javascript:",
];
const KEYS: [&str; 4] = ["a", "b", "id", "Key"];

fn word(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    Ok(match u.int_in_range(0..=5u8)? {
        0 => format!("{}{}", u.choose(&WORDS)?, u.choose(&WORDS)?),
        1 => u.choose(&WORDS)?.to_uppercase(),
        _ => (*u.choose(&WORDS)?).to_string(),
    })
}

fn words(u: &mut Unstructured<'_>, most: u8) -> arbitrary::Result<Vec<String>> {
    (0..u.int_in_range(1..=most)?).map(|_| word(u)).collect()
}

impl<'a> Arbitrary<'a> for Rule {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let operator = match u.int_in_range(0..=10u8)? {
            0 => Operator::Contains(word(u)?),
            1 => Operator::BeginsWith(word(u)?),
            2 => Operator::EndsWith(word(u)?),
            3 => Operator::Streq(word(u)?),
            4 => Operator::Within(words(u, 3)?.join(",")),
            5 | 6 => Operator::Pm(words(u, 6)?),
            7 => Operator::Eq(u.int_in_range(0..=12)?),
            _ => Operator::Rx(
                words(u, 4)?,
                u.choose(&["", r"\s*", ".", r"[a-c]?", r"\b", "^", "$"])?,
                u.arbitrary()?,
            ),
        };
        let transformations = (0..u.int_in_range(0..=4u8)?)
            .map(|_| u.choose(Transformation::ALL).copied())
            .collect::<arbitrary::Result<_>>()?;
        let key = if u.ratio(1, 3u8)? { Some((u.arbitrary()?, *u.choose(&KEYS)?)) } else { None };
        Ok(Rule {
            negated: u.ratio(1, 5u8)?,
            transformations,
            multi: u.ratio(1, 4u8)?,
            names: u.ratio(1, 4u8)?,
            key,
            operator,
        })
    }
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let rules =
            (0..u.int_in_range(1..=12u8)?).map(|_| u.arbitrary()).collect::<arbitrary::Result<_>>()?;
        let mut arguments = Vec::new();
        for _ in 0..u.int_in_range(1..=10u8)? {
            let mut value = Vec::new();
            for _ in 0..u.int_in_range(0..=4u8)? {
                match u.int_in_range(0..=7u8)? {
                    0 => value.push(u.arbitrary()?),
                    1 => value.extend_from_slice(u.choose(&[
                        &b"%41%42"[..],
                        b"+",
                        b"\\x61",
                        b"&lt;",
                        b"/*x*/",
                        b"\0",
                        b"  ",
                        b"\\u0061",
                        b"c2VsZWN0",
                        b"61",
                        b"\xc3\xa9",
                        b"\xe9",
                        b"0x61",
                        b"./",
                        b"\"",
                        b"^",
                    ])?),
                    _ => value.extend_from_slice(word(u)?.as_bytes()),
                }
            }
            let name = if u.ratio(1, 3u8)? { word(u)? } else { (*u.choose(&KEYS)?).to_string() };
            arguments.push((name.into_bytes(), value));
        }
        Ok(Input { rules, arguments })
    }
}

impl Operator {
    fn text(&self) -> String {
        match self {
            Operator::Contains(word) => format!("@contains {word}"),
            Operator::BeginsWith(word) => format!("@beginsWith {word}"),
            Operator::EndsWith(word) => format!("@endsWith {word}"),
            Operator::Streq(word) => format!("@streq {word}"),
            Operator::Within(words) => format!("@within {words}"),
            Operator::Pm(words) => format!("@pm {}", words.join(" ")),
            Operator::Rx(words, between, fold) => {
                format!("@rx {}{}", if *fold { "(?i)" } else { "" }, self.pattern(words, between))
            }
            Operator::Eq(number) => format!("@eq {number}"),
        }
    }

    fn pattern(&self, words: &[String], between: &str) -> String {
        let escaped: Vec<String> = words.iter().map(|word| word.replace('.', "[.]")).collect();
        match between {
            "^" => format!("^(?:{})", escaped.join("|")),
            "$" => format!("(?:{})$", escaped.join("|")),
            _ => escaped.join(between),
        }
    }

    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Operator::Contains(word) => contains(value, word.as_bytes()),
            Operator::BeginsWith(word) => value.starts_with(word.as_bytes()),
            Operator::EndsWith(word) => value.ends_with(word.as_bytes()),
            Operator::Streq(word) => value == word.as_bytes(),
            Operator::Within(words) => contains(words.as_bytes(), value),
            Operator::Pm(words) => words.iter().any(|word| contains(&fold(value), &fold(word.as_bytes()))),
            Operator::Rx(words, between, fold) => regex(&self.pattern(words, between), *fold).is_match(value),
            Operator::Eq(number) => atoi(value) == i64::from(*number),
        }
    }
}

fn regex(pattern: &str, fold: bool) -> regex_automata::meta::Regex {
    let config = regex_automata::util::syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .case_insensitive(fold);
    regex_automata::meta::Regex::builder().syntax(config).build(pattern).expect("made of words")
}

/// C's `atoi`, as far as it matters here.
fn atoi(value: &[u8]) -> i64 {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = value.iter().position(|byte| !space(byte)).unwrap_or(value.len());
    let (sign, digits) = match &value[start..] {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    sign * digits
        .fold(0i64, |number, digit| number.saturating_mul(10).saturating_add(i64::from(digit - b'0')))
}

impl Rule {
    fn text(&self, id: usize) -> String {
        let mut targets = match self.key {
            Some((true, key)) => format!("ARGS_GET:{key}"),
            Some((false, key)) => format!("ARGS_GET|!ARGS_GET:{key}"),
            None => "ARGS_GET".into(),
        };
        if self.names {
            targets.push_str("|ARGS_GET_NAMES");
        }
        let transformations: String =
            self.transformations.iter().map(|it| format!(",t:{}", it.name())).collect();
        let multi = if self.multi { ",multiMatch" } else { "" };
        let not = if self.negated { "!" } else { "" };
        let operator = self.operator.text();
        format!(
            "SecRule {targets} \"{not}{operator}\" \"id:{id},phase:2,log,pass,t:none{transformations}{multi}\"\n"
        )
    }

    fn matches(&self, arguments: &[(Vec<u8>, Vec<u8>)]) -> bool {
        let values = arguments.iter().filter(|(name, _)| match self.key {
            Some((only, key)) => name.eq_ignore_ascii_case(key.as_bytes()) == only,
            None => true,
        });
        let names = arguments.iter().filter(|_| self.names).map(|(name, _)| name);
        values.map(|(_, value)| value).chain(names).any(|value| self.judge(value))
    }

    fn judge(&self, value: &[u8]) -> bool {
        let says = |value: &[u8]| self.operator.matches(value) != self.negated;
        let (mut value, mut out) = (value.to_vec(), Vec::new());
        let mut any = self.multi && says(&value);
        for transformation in &self.transformations {
            if transformation.apply(&value, &mut out) {
                std::mem::swap(&mut value, &mut out);
                any |= self.multi && says(&value);
            }
        }
        any || says(&value)
    }
}

fn encode(text: &[u8]) -> String {
    text.iter().map(|byte| format!("%{byte:02x}")).collect()
}

fuzz_target!(|input: Input| {
    let text: String = input.rules.iter().enumerate().map(|(number, rule)| rule.text(number + 1)).collect();
    let blob = blob(&format!("SecRuleEngine On\n{text}"), true, true);
    let rules = RuleSet::load(&blob).expect("compiled above");
    // All arguments in one request, and each in one of its own.
    let alone = input.arguments.iter().map(std::slice::from_ref);
    for arguments in std::iter::once(&input.arguments[..]).chain(alone) {
        let query: Vec<String> =
            arguments.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let exchange = Exchange::of(format!("GET /?{} HTTP/1.1\n\n", query.join("&")).as_bytes());
        let seen = drive(rules, &exchange, None, &Memory::default());
        assert_eq!(seen.dropped, 0);
        let found: BTreeSet<usize> = seen.matches.iter().map(|matched| matched.id as usize).collect();
        let expected: BTreeSet<usize> = input
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.matches(arguments))
            .map(|(number, _)| number + 1)
            .collect();
        assert_eq!(found, expected, "\n{text}{}\n{arguments:?}", query.join("&"));
    }
});
