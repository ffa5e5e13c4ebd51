//! Operators by name, and what their arguments say.

use super::ast::Operator;
use super::pattern::ascii_pattern;
use super::template::Template;

macro_rules! operators {
    ($($kind:ident $name:literal $argument:ident;)*) => {
        /// The tests of ModSecurity 3 that are there.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "named as in rules; docs/seclang.md says what each does")]
        #[non_exhaustive]
        pub enum OperatorKind {
            $($kind,)*
        }

        impl OperatorKind {
            /// All operators.
            pub const ALL: &'static [OperatorKind] = &[$(OperatorKind::$kind),*];

            /// The name in rules, without `@`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(OperatorKind::$kind => $name,)*
                }
            }

            const fn argument(self) -> Argument {
                match self {
                    $(OperatorKind::$kind => Argument::$argument,)*
                }
            }
        }
    };
}

/// What an operator takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Argument {
    None,
    Text,
    /// A whole number.
    Number,
    /// Names of files.
    Files,
}

operators! {
    Rx "rx" Text;
    RxGlobal "rxGlobal" Text;
    Pm "pm" Text;
    PmFromFile "pmFromFile" Files;
    Contains "contains" Text;
    ContainsWord "containsWord" Text;
    BeginsWith "beginsWith" Text;
    EndsWith "endsWith" Text;
    StrEq "streq" Text;
    StrMatch "strmatch" Text;
    Within "within" Text;
    Eq "eq" Number;
    Ge "ge" Number;
    Gt "gt" Number;
    Le "le" Number;
    Lt "lt" Number;
    IpMatch "ipMatch" Text;
    IpMatchFromFile "ipMatchFromFile" Files;
    DetectSqli "detectSQLi" None;
    DetectXss "detectXSS" None;
    ValidateByteRange "validateByteRange" Text;
    ValidateUrlEncoding "validateUrlEncoding" None;
    ValidateUtf8Encoding "validateUtf8Encoding" None;
    VerifyCc "verifyCC" Text;
    VerifyCpf "verifyCPF" Text;
    VerifySsn "verifySSN" Text;
    NoMatch "noMatch" None;
    UnconditionalMatch "unconditionalMatch" None;
}

/// Operators of ModSecurity 3 that are not there, and why.
const ABSENT: &[(&str, &str)] = &[
    ("rbl", "a rule cannot ask the network"),
    ("geoLookup", "there is no geographic database"),
    ("gsbLookup", "a rule cannot ask the network"),
    ("inspectFile", "a rule cannot run a program"),
    ("fuzzyHash", "it needs libfuzzy"),
    ("validateDTD", "XML is read without validation"),
    ("validateSchema", "XML is read without validation"),
    ("validateHash", "responses are not signed"),
    ("verifySVNR", "it is not done yet"),
    ("rsub", "a rule cannot change a body"),
];

impl OperatorKind {
    /// The operator of this name, without `@`, in any case; ModSecurity's second names too.
    pub fn from_name(name: &str) -> Option<OperatorKind> {
        let name = match name {
            _ if name.eq_ignore_ascii_case("pmf") => "pmFromFile",
            _ if name.eq_ignore_ascii_case("ipMatchF") => "ipMatchFromFile",
            _ => name,
        };
        Self::ALL.iter().copied().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Whether its argument names files.
    pub fn takes_files(self) -> bool {
        self.argument() == Argument::Files
    }
}

impl Operator {
    /// The pattern of `@rx` as ASCII text: bytes beyond ASCII are `\xHH`.
    pub fn pattern(&self) -> String {
        ascii_pattern(&self.raw)
    }

    /// The phrases of `@pm` and `@pmFromFile`, as written, without empty ones.
    ///
    /// In `@pm` they are separated by white space and stand for themselves: as in libmodsecurity 3.0,
    /// and unlike in ModSecurity 2, `|41|` is no byte in hexadecimal. In a file each line is one, without
    /// blanks around it; lines that start with `#` are comments.
    pub fn phrases(&self) -> Vec<Vec<u8>> {
        if self.kind == OperatorKind::PmFromFile {
            return self.entries();
        }
        let words = self.raw.split(u8::is_ascii_whitespace);
        words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect()
    }

    /// The lines of the operator's data files, without comments and blanks around them.
    pub fn entries(&self) -> Vec<Vec<u8>> {
        let lines = self.data.iter().flat_map(|file| file.bytes.split(|byte| *byte == b'\n'));
        lines
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
            .map(<[u8]>::to_vec)
            .collect()
    }
}

/// An operator as written, before its files are read.
#[derive(Debug)]
pub(super) struct ParsedOperator {
    pub operator: Operator,
    pub warnings: Vec<String>,
}

/// Reads `!@name argument`; without a name it is a regex.
pub(super) fn parse_operator(text: &[u8]) -> Result<ParsedOperator, String> {
    let trimmed = text.trim_ascii_start();
    let (negated, body) = match trimmed.strip_prefix(b"!") {
        Some(rest) => (true, rest),
        None => (false, trimmed),
    };
    let named = body.trim_ascii_start().strip_prefix(b"@");
    let (kind, argument) = match named {
        Some(named) => {
            let end = named.iter().position(u8::is_ascii_whitespace).unwrap_or(named.len());
            let (name, argument) = named.split_at(end);
            (kind(&String::from_utf8_lossy(name))?, argument.trim_ascii_start())
        }
        // Without a name blanks before the pattern are part of it.
        None => (OperatorKind::Rx, if negated { body } else { text }),
    };
    let mut warnings = Vec::new();
    let (template, unknown) = Template::parse(argument);
    warnings.extend(unknown.into_iter().map(|name| format!("unknown macro %{{{name}}} stays text")));
    match kind.argument() {
        Argument::Number => {
            let number = template.as_literal().map(<[u8]>::trim_ascii);
            let number = number.and_then(|text| core::str::from_utf8(text).ok());
            if template.as_literal().is_some() && number.is_none_or(|text| text.parse::<i64>().is_err()) {
                warnings.push(format!(
                    "@{} compares with {:?}, which is no number and counts as what its first digits say",
                    kind.name(),
                    String::from_utf8_lossy(argument)
                ));
            }
        }
        Argument::Files | Argument::Text if argument.is_empty() && kind != OperatorKind::Rx => {
            if kind.takes_files() || matches!(kind, OperatorKind::Pm | OperatorKind::IpMatch) {
                return Err(format!("@{} has no argument", kind.name()));
            }
        }
        Argument::None | Argument::Text | Argument::Files => {}
    }
    let raw = argument.to_vec();
    Ok(ParsedOperator {
        operator: Operator { kind, negated, argument: template, raw, data: Vec::new() },
        warnings,
    })
}

fn kind(name: &str) -> Result<OperatorKind, String> {
    if let Some(kind) = OperatorKind::from_name(name) {
        return Ok(kind);
    }
    match ABSENT.iter().find(|(absent, _)| absent.eq_ignore_ascii_case(name)) {
        Some((absent, why)) => Err(format!("the operator @{absent} is not there: {why}")),
        None => Err(format!("unknown operator @{name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (OperatorKind, bool, String) {
        let parsed = parse_operator(text.as_bytes()).unwrap();
        assert_eq!(parsed.warnings, Vec::<String>::new(), "{text}");
        let operator = parsed.operator;
        (operator.kind, operator.negated, String::from_utf8(operator.raw).unwrap())
    }

    #[test]
    fn names_negation_and_arguments() {
        assert_eq!(parse("@rx ^a b "), (OperatorKind::Rx, false, "^a b ".into()));
        assert_eq!(parse("!@EQ 3"), (OperatorKind::Eq, true, "3".into()));
        assert_eq!(parse("@detectSQLi"), (OperatorKind::DetectSqli, false, String::new()));
        assert_eq!(parse("@pmf a.data"), (OperatorKind::PmFromFile, false, "a.data".into()));
        assert_eq!(parse("@ipMatchF a"), (OperatorKind::IpMatchFromFile, false, "a".into()));
        assert_eq!(parse("@eq %{tx.a}"), (OperatorKind::Eq, false, "%{tx.a}".into()));
        for kind in OperatorKind::ALL {
            assert_eq!(OperatorKind::from_name(&kind.name().to_uppercase()), Some(*kind));
        }
    }

    #[test]
    fn without_a_name_it_is_a_regex() {
        assert_eq!(parse(" a@b"), (OperatorKind::Rx, false, " a@b".into()));
        assert_eq!(parse("!^a$"), (OperatorKind::Rx, true, "^a$".into()));
        assert_eq!(parse(""), (OperatorKind::Rx, false, String::new()));
    }

    #[test]
    fn what_is_not_there_is_said() {
        let error = |text: &str| parse_operator(text.as_bytes()).unwrap_err();
        assert_eq!(error("@nothing x"), "unknown operator @nothing");
        assert!(error("@rbl a.example").contains("@rbl is not there: a rule cannot ask"));
        assert_eq!(error("@pm "), "@pm has no argument");
        assert_eq!(parse_operator(b"@lt x").unwrap().warnings.len(), 1);
        assert_eq!(
            parse_operator(b"@within %{nix.y}").unwrap().warnings,
            ["unknown macro %{nix.y} stays text"]
        );
    }

    #[test]
    fn phrases_are_words_or_lines() {
        let phrases = |text: &str| {
            let operator = parse_operator(text.as_bytes()).unwrap().operator;
            operator.phrases().into_iter().map(|it| String::from_utf8(it).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(phrases("@pm a  b\tc"), ["a", "b", "c"]);
        assert_eq!(phrases(r"@pm x|41|y \b"), ["x|41|y", r"\b"]);
        let mut operator = parse_operator(b"@pmFromFile x").unwrap().operator;
        let bytes: &[u8] = b"# no\n one two \r\n\n #neither\nb";
        operator.data.push(super::super::ast::DataFile { path: "x".into(), bytes: bytes.into() });
        assert_eq!(operator.phrases(), [b"one two".to_vec(), b"b".to_vec()]);
    }
}
