//! What a compiled ruleset consists of.

use std::fmt;

use serde::Serialize;

use super::emit::MatcherParts;
use crate::regex::Representation;

/// How many of the largest operators a summary names.
const LARGEST: usize = 10;

/// What a compiled ruleset consists of.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Rules.
    pub rules: usize,
    /// Links chained to them.
    pub links: usize,
    /// Targets of rules and links.
    pub targets: usize,
    /// Rules that run in every transaction.
    pub always: usize,
    /// Rules that run only where the scan has found something.
    pub scanned: usize,
    /// Rules that run only where a request has something that most have not: a header, a body.
    pub waiting: usize,
    /// Rules by phase.
    pub phases: [usize; 5],
    /// Rules whose work the compiler has done.
    pub folded: usize,
    /// Rules that can never match, or are never reached.
    pub dead: usize,
    /// Variables in TX that hold a value from the start.
    pub constants: usize,
    /// Macros that were replaced by their value.
    pub macros: usize,
    /// Distinct operators.
    pub matchers: usize,
    /// Those of scanned rules.
    pub scanned_matchers: usize,
    /// Of these, those that no literal announces: they run on every value that has the bytes they need.
    pub silent_matchers: usize,
    /// Distinct lists of transformations.
    pub pipelines: usize,
    /// Those of scanned rules.
    pub scanned_pipelines: usize,
    /// Nodes of the tree of transformations.
    pub nodes: usize,
    /// Sets of bytes that are looked for in each value.
    pub byte_sets: usize,
    /// Distinct literals that are looked for.
    pub literals: usize,
    /// Regexes by their representation.
    pub regexes: Regexes,
    /// Bytes by section.
    pub sections: Vec<(String, usize)>,
    /// Bytes of the blob.
    pub blob_bytes: usize,
    /// The operators that take most bytes.
    pub largest: Vec<MatcherSummary>,
}

/// Regexes by their representation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Regexes {
    /// The table decides every value.
    pub exact: usize,
    /// The table decides most values.
    pub frozen: usize,
    /// There is no table.
    pub nfa_only: usize,
}

/// An operator with its argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MatcherSummary {
    /// Its number.
    pub number: usize,
    /// The first rule that has it.
    pub rule: u32,
    /// Its name, without `@`.
    pub operator: String,
    /// The beginning of its argument.
    pub argument: String,
    /// Of a regex.
    pub representation: Option<String>,
    /// Bytes of its data.
    pub bytes: usize,
    /// Literals of which one announces it; 0: none does.
    pub literals: usize,
    /// In how many values of the sample of ordinary traffic it is announced.
    pub usual_hits: usize,
}

impl MatcherSummary {
    pub(super) fn new(number: usize, matcher: &MatcherParts<'_>, rule: u32, usual_hits: usize) -> Self {
        let argument = String::from_utf8_lossy(matcher.source);
        MatcherSummary {
            number,
            rule,
            operator: operator_name(matcher.operator).to_owned(),
            argument: argument.chars().take(60).collect(),
            representation: matcher.representation.map(|representation| name(representation).to_owned()),
            bytes: matcher.bytes,
            literals: matcher.literals,
            usual_hits,
        }
    }
}

fn name(representation: Representation) -> &'static str {
    match representation {
        Representation::Exact { .. } => "exact",
        Representation::Frozen { .. } => "frozen",
        Representation::NfaOnly => "nfa",
    }
}

/// The name of an operator in blobs, without `@`.
pub(super) fn operator_name(number: u8) -> &'static str {
    const NAMES: [&str; 26] = [
        "unconditionalMatch",
        "noMatch",
        "rx",
        "pm",
        "eq",
        "ge",
        "gt",
        "le",
        "lt",
        "streq",
        "contains",
        "containsWord",
        "beginsWith",
        "endsWith",
        "within",
        "strmatch",
        "validateByteRange",
        "validateUrlEncoding",
        "validateUtf8Encoding",
        "ipMatch",
        "detectSQLi",
        "detectXSS",
        "verifyCC",
        "verifySSN",
        "verifyCPF",
        "rxGlobal",
    ];
    NAMES.get(usize::from(number)).copied().unwrap_or("?")
}

impl Summary {
    pub(super) fn with_matchers(mut self, mut matchers: Vec<MatcherSummary>) -> Self {
        for matcher in &matchers {
            match matcher.representation.as_deref() {
                Some("exact") => self.regexes.exact += 1,
                Some("frozen") => self.regexes.frozen += 1,
                Some(_) => self.regexes.nfa_only += 1,
                None => {}
            }
        }
        matchers.sort_by_key(|matcher| (std::cmp::Reverse(matcher.bytes), matcher.number));
        matchers.truncate(LARGEST);
        self.largest = matchers;
        self
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} rules ({} a scan announces, {} wait for something else, {} always run), {} links, {} targets",
            self.rules, self.scanned, self.waiting, self.always, self.links, self.targets
        )?;
        let [one, two, three, four, five] = self.phases;
        writeln!(f, "phases 1 to 5: {one}, {two}, {three}, {four}, {five}")?;
        writeln!(
            f,
            "folded: {} rules done, {} rules dead, {} macros, {} variables from the start",
            self.folded, self.dead, self.macros, self.constants
        )?;
        writeln!(
            f,
            "{} operators ({} scanned, {} of them without literals), {} literals, {} byte sets",
            self.matchers, self.scanned_matchers, self.silent_matchers, self.literals, self.byte_sets
        )?;
        writeln!(
            f,
            "{} pipelines ({} scanned), {} nodes",
            self.pipelines, self.scanned_pipelines, self.nodes
        )?;
        let Regexes { exact, frozen, nfa_only } = self.regexes;
        writeln!(f, "regexes: {exact} exact, {frozen} frozen, {nfa_only} without a table")?;
        writeln!(f, "blob: {} bytes", self.blob_bytes)?;
        let mut sections: Vec<_> = self.sections.iter().filter(|(_, bytes)| *bytes > 0).collect();
        sections.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        for (section, bytes) in sections {
            writeln!(f, "  {bytes:>9}  {section}")?;
        }
        writeln!(f, "largest operators:")?;
        writeln!(
            f,
            "  {:>9} {:>7} {:>6} {:>8} {:>5}  operator",
            "bytes", "rule", "kind", "literals", "usual"
        )?;
        for matcher in &self.largest {
            writeln!(
                f,
                "  {:>9} {:>7} {:>6} {:>8} {:>5}  @{} {}",
                matcher.bytes,
                matcher.rule,
                matcher.representation.as_deref().unwrap_or("-"),
                matcher.literals,
                matcher.usual_hits,
                matcher.operator,
                matcher.argument
            )?;
        }
        Ok(())
    }
}
