//! The engine, driven with an exchange.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use picket_abi::{RequestHead, SeqBuf};
use picket_seclang::{Interruption, Matched, RuleSet, Services, Settings, Transaction};
use picket_waf_compiler::seclang::{Options, compile, syntax};

use crate::{Exchange, Random, chunks};

/// Rules of every kind.
pub const RICH: &str = include_str!("../rules/rich.conf");

/// A store that remembers, a clock that stands, no chance.
#[derive(Clone, Debug, Default)]
pub struct Memory(Rc<RefCell<BTreeMap<Vec<u8>, Vec<u8>>>>);

impl Services for Memory {
    fn kv_get(&mut self, key: &[u8], value: &mut Vec<u8>) -> bool {
        match self.0.borrow().get(key) {
            Some(found) => {
                value.extend_from_slice(found);
                true
            }
            None => false,
        }
    }

    fn kv_set(&mut self, key: &[u8], value: &[u8], _: i64) {
        if value.is_empty() {
            self.0.borrow_mut().remove(key);
        } else {
            self.0.borrow_mut().insert(key.into(), value.into());
        }
    }

    fn now_us(&mut self) -> u64 {
        1_700_000_000_000_000
    }

    fn random(&mut self, out: &mut [u8]) {
        out.fill(7);
    }
}

/// Everything that a user sees of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Matches; the number of the record is zero, since folding moves records.
    pub matches: Vec<Matched>,
    /// What stopped it.
    pub interruption: Option<Interruption>,
    /// Scores of request and response.
    pub scores: [u32; 2],
    /// Whether it is for the audit log, and with which parts.
    pub audit: (bool, u32),
    /// Values that found no room.
    pub dropped: u32,
}

impl Seen {
    /// What a transaction tells.
    #[must_use]
    pub fn of(transaction: &Transaction<'_>) -> Seen {
        let matches =
            transaction.matches().iter().map(|matched| Matched { rule: 0, ..matched.clone() }).collect();
        Seen {
            matches,
            interruption: transaction.interruption().cloned(),
            scores: [transaction.inbound_score(), transaction.outbound_score()],
            audit: (transaction.is_audited(), transaction.audit_parts()),
            dropped: transaction.dropped(),
        }
    }
}

/// Compiles rules; all of them are understood if `whole`.
///
/// # Panics
/// If they are not.
#[must_use]
pub fn blob(rules: &str, fold: bool, whole: bool) -> Vec<u8> {
    let configuration = syntax::parse_str("fuzz.conf", rules).expect("within the limits");
    let compiled =
        compile(configuration, &Options { fold, ..Options::default() }).expect("within the limits");
    let left_out: Vec<_> =
        compiled.diagnostics.iter().filter(|it| it.level >= syntax::Level::Error).collect();
    assert!(!whole || left_out.is_empty(), "{left_out:#?}");
    compiled.blob
}

/// The ruleset of a target: [`RICH`], or the files that `FUZZ_RULES` names, separated by colons.
///
/// # Panics
/// If they cannot be compiled.
#[must_use]
pub fn chosen(fold: bool) -> Vec<u8> {
    let Some(files) = std::env::var_os("FUZZ_RULES") else { return blob(RICH, fold, true) };
    let files: Vec<_> = std::env::split_paths(&files).collect();
    let configuration = syntax::parse_files(&files, &syntax::FileSystem).expect("FUZZ_RULES can be read");
    compile(configuration, &Options { fold, ..Options::default() }).expect("FUZZ_RULES compile").blob
}

/// Runs an exchange through rules; bodies come in chunks if `random` says where they end.
#[must_use]
pub fn drive(
    rules: RuleSet<'_>,
    exchange: &Exchange,
    mut random: Option<&mut Random>,
    store: &Memory,
) -> Seen {
    let settings = Settings { explain: true, ..Settings::default() };
    let mut transaction = Transaction::begin(rules, settings, Box::new(store.clone()));
    let mut cut = random.as_deref().copied();
    let mut split = |body| match &mut cut {
        Some(random) => chunks(body, random),
        None => vec![body],
    };
    let mut headers = SeqBuf::new();
    let end = exchange.body.is_empty();
    let head: RequestHead<'_> = exchange.head(&mut headers, end);
    transaction.request_head(&head);
    if !end {
        let chunks = split(&exchange.body);
        for (at, chunk) in chunks.iter().enumerate() {
            transaction.request_body(chunk, at + 1 == chunks.len());
        }
    }
    let mut headers = SeqBuf::new();
    if let (Some(head), Some((_, _, body))) = (exchange.response_head(&mut headers), &exchange.response) {
        transaction.response_head(&head);
        let chunks = split(body);
        for (at, chunk) in chunks.iter().enumerate() {
            transaction.response_body(chunk, at + 1 == chunks.len());
        }
    }
    transaction.log();
    if let (Some(random), Some(cut)) = (random.take(), cut) {
        *random = cut;
    }
    Seen::of(&transaction)
}
