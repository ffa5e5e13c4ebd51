//! Operators with their arguments: each distinct one is compiled once, on all cores.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use picket_seclang::format::operator as number;
use picket_seclang::operator as op;

use super::super::program::written;
use super::super::syntax::{Link, Operator, OperatorKind, Template};
use super::super::{Options, phrases, scan};
use crate::regex::{self, ByteSet, Representation};

impl Matcher {
    /// Whether it can be possible for a value that has none of its literals.
    pub fn is_silent(&self) -> bool {
        self.literals.is_none() || !self.signs.is_empty()
    }
}

/// What makes two operators the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Regex(u8, String),
    Phrases(Vec<Vec<u8>>),
    Networks(String),
    Bytes(String),
    Other(u8, Template),
}

/// An operator, compiled.
#[derive(Clone, Debug, Default)]
pub(super) struct Matcher {
    pub operator: u8,
    pub min_len: usize,
    /// Length of the longest value that matches, if there is one.
    pub max_len: Option<usize>,
    /// Byte sets of which each has a byte in a value that matches.
    pub needs: Vec<ByteSet>,
    /// Literals of which one is in a value that matches.
    pub literals: Option<Vec<Vec<u8>>>,
    /// Bytes that a value that matches may have instead of a literal.
    pub signs: ByteSet,
    /// A byte set that each literal has a byte of, the rarest in ordinary values.
    pub literal_need: Option<ByteSet>,
    pub data: Vec<u8>,
    pub argument: Template,
    pub number: i64,
    /// The argument as written.
    pub source: Vec<u8>,
    /// Of a regex.
    pub representation: Option<Representation>,
    /// Whether an absent literal or byte says enough to leave a rule out.
    pub scans: bool,
}

/// Matchers, and where each link's is.
#[derive(Default)]
pub(super) struct Matchers {
    pub list: Vec<Matcher>,
    known: HashMap<Key, usize>,
    /// Regexes of keys in targets.
    keys: BTreeMap<String, Vec<u8>>,
}

/// What is wrong with a link.
pub(super) type Problem = String;

/// A piece of work: the regex or the set behind a matcher.
struct Job {
    key: Key,
    captures: bool,
    source: Vec<u8>,
}

impl Matchers {
    /// Compiles the operators of all links. What cannot be compiled is told by [`Matchers::of`].
    pub fn compile<'a>(
        links: impl Iterator<Item = &'a Link> + Clone,
        options: &Options<'_>,
    ) -> (Self, HashMap<String, Problem>) {
        let mut jobs: Vec<Job> = Vec::new();
        let mut known: HashMap<Key, usize> = HashMap::new();
        for link in links {
            let Some(operator) = &link.operator else { continue };
            let Ok(key) = key(operator) else { continue };
            let next = known.len();
            let at = *known.entry(key.clone()).or_insert(next);
            if at == next {
                jobs.push(Job { key, captures: link.capture, source: source(operator) });
            } else {
                jobs[at].captures |= link.capture;
            }
        }
        let done = run(&jobs, options);
        let mut matchers = Matchers::default();
        let mut problems = HashMap::new();
        for (job, result) in jobs.into_iter().zip(done) {
            match result {
                Ok(matcher) => {
                    matchers.known.insert(job.key, matchers.list.len());
                    matchers.list.push(matcher);
                }
                Err(problem) => {
                    problems.insert(format!("{:?}", job.key), problem);
                }
            }
        }
        (matchers, problems)
    }

    /// The matcher of a link that has an operator.
    pub fn of(&self, operator: &Operator, problems: &HashMap<String, Problem>) -> Result<usize, Problem> {
        let key = key(operator)?;
        match self.known.get(&key) {
            Some(&at) => Ok(at),
            None => Err(problems.get(&format!("{key:?}")).cloned().unwrap_or_default()),
        }
    }

    /// The regex of a target's key, compiled.
    pub fn key_regex(&mut self, pattern: &str, options: &Options<'_>) -> Result<Vec<u8>, Problem> {
        if let Some(known) = self.keys.get(pattern) {
            return Ok(known.clone());
        }
        let compiled = regex::compile(pattern, &regex_options(options, true, false))
            .map_err(|error| format!("the key's regex: {error}"))?;
        self.keys.insert(pattern.to_owned(), compiled.bytes.clone());
        Ok(compiled.bytes)
    }
}

fn regex_options<'o>(options: &Options<'_>, case_insensitive: bool, captures: bool) -> regex::Options<'o> {
    regex::Options {
        case_insensitive,
        captures,
        table_limit: options.table_limit,
        ..regex::Options::default()
    }
}

/// Does the jobs on all cores, the results in their order.
fn run(jobs: &[Job], options: &Options<'_>) -> Vec<Result<Matcher, Problem>> {
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<Matcher, Problem>>>> =
        jobs.iter().map(|_| Mutex::new(None)).collect();
    let (table_limit, threads) =
        (options.table_limit, std::thread::available_parallelism().map_or(1, usize::from));
    // The longest first, so that no core has to wait for one that came last.
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(jobs[at].source.len()));
    let work = |report: &dyn Fn(usize)| {
        // Each thread has options of its own: what reports progress need not be shared.
        let options = Options { table_limit, ..Options::default() };
        loop {
            let Some(&at) = order.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let result = build(&jobs[at], &options);
            if let Ok(mut slot) = results[at].lock() {
                *slot = Some(result);
            }
            report(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(jobs.len()) {
            scope.spawn(|| work(&|_| ()));
        }
        work(&|count| {
            if let Some(progress) = options.progress {
                progress(count, jobs.len());
            }
        });
    });
    let unfinished = || Err("its compilation was cut short".to_owned());
    results.into_iter().map(|slot| slot.into_inner().ok().flatten().unwrap_or_else(unfinished)).collect()
}

/// The argument as it is shown: what folding has made of it.
fn source(operator: &Operator) -> Vec<u8> {
    if operator.kind.takes_files() { operator.raw.clone() } else { written(&operator.argument) }
}

fn number_of(kind: OperatorKind) -> Option<u8> {
    Some(match kind {
        OperatorKind::UnconditionalMatch => number::ALWAYS,
        OperatorKind::NoMatch => number::NEVER,
        OperatorKind::Rx => number::RX,
        OperatorKind::RxGlobal => number::RX_GLOBAL,
        OperatorKind::Pm | OperatorKind::PmFromFile => number::PM,
        OperatorKind::Eq => number::EQ,
        OperatorKind::Ge => number::GE,
        OperatorKind::Gt => number::GT,
        OperatorKind::Le => number::LE,
        OperatorKind::Lt => number::LT,
        OperatorKind::StrEq => number::STREQ,
        OperatorKind::Contains => number::CONTAINS,
        OperatorKind::ContainsWord => number::CONTAINS_WORD,
        OperatorKind::BeginsWith => number::BEGINS_WITH,
        OperatorKind::EndsWith => number::ENDS_WITH,
        OperatorKind::Within => number::WITHIN,
        OperatorKind::StrMatch => number::STR_MATCH,
        OperatorKind::ValidateByteRange => number::BYTE_RANGE,
        OperatorKind::ValidateUrlEncoding => number::URL_ENCODING,
        OperatorKind::ValidateUtf8Encoding => number::UTF8_ENCODING,
        OperatorKind::IpMatch | OperatorKind::IpMatchFromFile => number::IP_MATCH,
        OperatorKind::DetectSqli => number::DETECT_SQLI,
        OperatorKind::DetectXss => number::DETECT_XSS,
        OperatorKind::VerifyCc => number::VERIFY_CC,
        OperatorKind::VerifySsn => number::VERIFY_SSN,
        OperatorKind::VerifyCpf => number::VERIFY_CPF,
    })
}

fn key(operator: &Operator) -> Result<Key, Problem> {
    use OperatorKind::{
        DetectSqli, DetectXss, IpMatch, IpMatchFromFile, NoMatch, Pm, PmFromFile, Rx, RxGlobal,
        UnconditionalMatch, ValidateByteRange, ValidateUrlEncoding, ValidateUtf8Encoding, VerifyCc,
        VerifyCpf, VerifySsn,
    };
    let kind = operator.kind;
    let Some(number) = number_of(kind) else {
        return Err(format!("the engine does not know @{}", kind.name()));
    };
    // Macros whose value folding has found are part of the text by now.
    let fixed = operator.argument.as_literal().map(<[u8]>::to_vec);
    let text = || {
        fixed
            .clone()
            .ok_or_else(|| format!("@{} takes no macros but those whose value is known ahead", kind.name()))
    };
    Ok(match kind {
        Rx | RxGlobal | VerifyCc | VerifySsn | VerifyCpf => {
            Key::Regex(number, Operator { raw: text()?, ..operator.clone() }.pattern())
        }
        Pm => Key::Phrases(phrases::parse_argument(&text()?)),
        PmFromFile => {
            Key::Phrases(operator.data.iter().flat_map(|file| phrases::parse_file(&file.bytes)).collect())
        }
        IpMatch => Key::Networks(String::from_utf8_lossy(&text()?).into_owned()),
        IpMatchFromFile => {
            Key::Networks(String::from_utf8_lossy(&operator.entries().join(&b',')).into_owned())
        }
        ValidateByteRange => Key::Bytes(String::from_utf8_lossy(&text()?).into_owned()),
        UnconditionalMatch | NoMatch | ValidateUrlEncoding | ValidateUtf8Encoding | DetectSqli
        | DetectXss => Key::Other(number, Template::default()),
        _ => Key::Other(number, operator.argument.clone()),
    })
}

/// Whether any match of a pattern is surely the whole value: then there is nothing to capture but it.
pub(super) fn matches_whole(pattern: &str) -> bool {
    let Some(inner) = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')) else { return false };
    // Without groups and alternatives both anchors hold; a backslash could take the last one away.
    !inner.contains(['(', ')', '|', '\\'])
}

fn build(job: &Job, options: &Options<'_>) -> Result<Matcher, Problem> {
    let mut matcher = Matcher { source: job.source.clone(), ..Matcher::default() };
    match &job.key {
        Key::Regex(number, pattern) => {
            let options = regex_options(options, false, job.captures && !matches_whole(pattern));
            let compiled = regex::compile(pattern, &options).map_err(|error| error.to_string())?;
            let requirements = regex::requirements(pattern, &options).map_err(|error| error.to_string())?;
            matcher.operator = *number;
            matcher.min_len = requirements.min_len;
            matcher.max_len = requirements.max_len;
            matcher.needs = requirements.needs;
            matcher.literals = requirements.literals;
            matcher.signs = requirements.signs;
            matcher.data = compiled.bytes;
            matcher.representation = Some(compiled.representation);
            matcher.scans = true;
        }
        Key::Phrases(list) => {
            let reduced = phrases::reduce(list);
            matcher.operator = number::PM;
            matcher.min_len = reduced.iter().map(Vec::len).min().unwrap_or(1);
            let each =
                |set: &ByteSet| list.iter().all(|phrase| phrase.iter().any(|&byte| set.contains(byte)));
            matcher.needs = vec![ByteSet(phrases::bytes(list))];
            matcher.needs.extend(regex::beyond().into_iter().find(each));
            matcher.literals = phrases::literals(list);
            matcher.data = phrases::build(list);
            matcher.scans = true;
        }
        Key::Networks(list) => {
            matcher.operator = number::IP_MATCH;
            matcher.data = op::parse_ip_list(list).map_err(|error| error.to_string())?;
        }
        Key::Bytes(ranges) => {
            let allowed = op::parse_byte_range(ranges).map_err(|error| error.to_string())?;
            let refused = (0..=255u8).filter(|&byte| allowed[usize::from(byte / 8)] >> (byte % 8) & 1 == 0);
            matcher.operator = number::BYTE_RANGE;
            matcher.min_len = 1;
            matcher.needs = vec![refused.collect()];
            matcher.data = allowed.to_vec();
            matcher.scans = true;
        }
        Key::Other(number, argument) => other(&mut matcher, *number, argument),
    }
    Ok(matcher)
}

fn other(matcher: &mut Matcher, operator: u8, argument: &Template) {
    matcher.operator = operator;
    match operator {
        number::EQ | number::GE | number::GT | number::LE | number::LT => {
            if let Some(text) = argument.as_literal() {
                matcher.number = op::parse_number(text);
                return;
            }
        }
        number::STREQ
        | number::CONTAINS
        | number::CONTAINS_WORD
        | number::BEGINS_WITH
        | number::ENDS_WITH
        | number::STR_MATCH => {
            if let Some(text) = argument.as_literal() {
                matcher.scans = !text.is_empty();
                matcher.min_len = text.len();
                matcher.needs = text.iter().map(|&byte| [byte].into_iter().collect()).collect();
                matcher.needs.sort();
                matcher.needs.dedup();
                if text.len() >= scan::SHORTEST {
                    matcher.literals = Some(vec![text.to_ascii_lowercase()]);
                }
            }
        }
        number::URL_ENCODING => {
            matcher.min_len = 1;
            matcher.needs = vec![[b'%'].into_iter().collect()];
            matcher.scans = true;
        }
        number::UTF8_ENCODING => {
            matcher.min_len = 1;
            matcher.needs = vec![(0x80..=0xff).collect()];
            matcher.scans = true;
        }
        number::DETECT_SQLI | number::DETECT_XSS => {
            let needs = if operator == number::DETECT_SQLI { op::SQLI_NEEDS } else { op::XSS_NEEDS };
            matcher.min_len = 1;
            matcher.needs = needs.iter().map(|&set| ByteSet(set)).collect();
            matcher.scans = true;
        }
        _ => {}
    }
    matcher.argument = argument.clone();
}
