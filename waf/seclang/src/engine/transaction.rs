//! A transaction: its state, and the order of its phases.

use alloc::boxed::Box;
use alloc::vec::Vec;

use picket_regex::Cache;

use super::evaluate::MatchedVar;
use super::report::{Interruption, Matched};
use super::screen::Screen;
use super::services::Services;
use super::store::{Span, Store, Value, clear};
use crate::Variable;
use crate::body::{MultipartFlags, Processor, Scratch};
use crate::format::*;
use crate::ruleset::RuleSet;
use crate::scan::Scanner;

/// Most bytes of a body that are kept, whatever the ruleset allows.
pub const MAX_BODY: usize = 16 << 20;

/// What whoever runs the engine decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Most matches that are kept to be reported. All count.
    pub max_matches: usize,
    /// Whether matches carry the value before its transformations, and their names.
    pub explain: bool,
    /// Longest excerpt of a value in a match, in bytes.
    pub max_excerpt: usize,
    /// Whether nothing is refused, whatever the ruleset says.
    pub detection_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { max_matches: 256, explain: false, max_excerpt: 512, detection_only: false }
    }
}

/// Which phases still run rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowed {
    Nothing,
    /// `allow`: all but phase 5 is over.
    All,
    /// `allow:request`: the request's phases are.
    Request,
}

/// One request and its response.
///
/// Its phases are to be called in order, those that there are; each runs once. What follows an
/// interruption is ignored, but for [`log`](Transaction::log).
pub struct Transaction<'r> {
    pub(super) rules: RuleSet<'r>,
    pub(super) meta: Meta,
    pub(super) settings: Settings,
    pub(super) services: Box<dyn Services + 'r>,
    pub(super) store: Store<'r>,
    pub(super) scanners: Scanners<'r>,
    pub(super) screen: Screen<'r>,
    pub(super) cache: Cache,
    /// An [`engine`] value.
    pub(super) engine: u8,
    pub(super) allowed: Allowed,
    /// The phase that runs, or ran last.
    pub(super) phase: u8,
    pub(super) interruption: Option<Interruption>,
    pub(super) matches: Vec<Matched>,
    /// Matches that are not kept.
    pub(super) unreported: u32,
    pub(super) audit: bool,
    pub(super) audit_engine: u32,
    pub(super) audit_parts: u32,

    /// Rules that `ctl` has removed: sets of the ruleset, joined.
    pub(super) removed: Vec<u32>,
    /// Targets that `ctl` has removed: sets of rules, and the target.
    pub(super) removed_targets: Vec<(u32, Target)>,
    /// The variables of these targets, one bit each.
    pub(super) removed_variables: [u32; 8],
    pub(super) matched: MatchedVar<'r>,
    pub(super) matched_vars: Vec<MatchedVar<'r>>,
    /// Whether the rule that runs has a chain.
    pub(super) chained: bool,
    /// The rule that runs, for RULE.
    pub(super) current: usize,
    /// Rules that were passed over since the last capture, each with the number of targets removed by
    /// then: see [`flag::LEAVES`].
    pub(super) passed: Vec<(usize, usize)>,
    /// What the rule that runs has added to scores.
    pub(super) scored: i64,
    pub(super) highest_severity: u8,

    pub(super) started: u64,
    pub(super) unique_id: Span,
    pub(super) collection_keys: [Option<Span>; 5],
    pub(super) collections_changed: u8,

    pub(super) content_type: Span,
    pub(super) processor: Option<Processor>,
    pub(super) request_body_access: bool,
    pub(super) response_body_access: bool,
    pub(super) force_body: bool,
    pub(super) body: Vec<u8>,
    pub(super) inbound_error: bool,
    pub(super) outbound_error: bool,
    pub(super) body_error: Option<Span>,
    pub(super) body_length: u64,
    pub(super) urlencoded_error: bool,
    pub(super) multipart: MultipartFlags,
    pub(super) scratch: Scratch,
    pub(super) arguments: usize,
    pub(super) args_size: u64,
    pub(super) files_size: u64,
    pub(super) head_length: u64,
    pub(super) server_port: u16,
    pub(super) client_port: u16,
    pub(super) response_status: u16,
    pub(super) response_inspected: bool,
    pub(super) response_length: u64,

    /// The argument of an operator, with its macros replaced.
    pub(super) argument: Vec<u8>,
    /// The name of a variable that an action sets.
    pub(super) name: Vec<u8>,
    /// Values on their way through a pipeline.
    pub(super) work: [Vec<u8>; 2],
}

/// The scan's tables: of what rules look for in requests, and in responses.
pub(super) struct Scanners<'r> {
    request: Option<Scanner<'r>>,
    response: Option<Scanner<'r>>,
}

/// What one transaction leaves to the next over the same ruleset: room, and what was worked out about the
/// ruleset. Nothing of a message.
pub(super) struct Memory<'r> {
    store: Store<'r>,
    scanners: Scanners<'r>,
    screen: Screen<'r>,
    cache: Cache,
    matched_vars: Vec<MatchedVar<'r>>,
    scratch: Scratch,
    argument: Vec<u8>,
    name: Vec<u8>,
    work: [Vec<u8>; 2],
}

impl<'r> Memory<'r> {
    fn new(rules: &RuleSet<'r>, meta: &Meta) -> Self {
        Memory {
            store: Store::new(rules.count::<TextRecord>(Section::TxNames)),
            scanners: Scanners { request: rules.scanner(), response: rules.scanner_for_responses() },
            screen: Screen::new(rules, meta),
            cache: Cache::default(),
            matched_vars: Vec::new(),
            scratch: Scratch::new(),
            argument: Vec::new(),
            name: Vec::new(),
            work: [Vec::new(), Vec::new()],
        }
    }
}

impl<'r> Transaction<'r> {
    /// Begins a transaction.
    pub fn begin(rules: RuleSet<'r>, settings: Settings, services: Box<dyn Services + 'r>) -> Self {
        let memory = Memory::new(&rules, &rules.meta());
        Self::begin_with(rules, settings, services, memory)
    }

    /// Begins a transaction with the memory of one before it over the same ruleset.
    pub(super) fn begin_with(
        rules: RuleSet<'r>,
        settings: Settings,
        services: Box<dyn Services + 'r>,
        memory: Memory<'r>,
    ) -> Self {
        let meta = rules.meta();
        let mut transaction = Transaction {
            settings,
            services,
            store: memory.store,
            scanners: memory.scanners,
            screen: memory.screen,
            cache: memory.cache,
            engine: meta.engine,
            allowed: Allowed::Nothing,
            phase: 0,
            interruption: None,
            matches: Vec::new(),
            unreported: 0,
            audit: false,
            audit_engine: meta.switches & (switch::AUDIT_ALL | switch::AUDIT_RELEVANT),
            audit_parts: meta.audit_parts,
            removed: Vec::new(),
            removed_targets: Vec::new(),
            removed_variables: [0; 8],
            matched: MatchedVar::default(),
            matched_vars: memory.matched_vars,
            chained: false,
            current: 0,
            passed: Vec::new(),
            scored: 0,
            highest_severity: 255,
            started: 0,
            unique_id: Span::default(),
            collection_keys: [None; 5],
            collections_changed: 0,
            content_type: Span::default(),
            processor: None,
            request_body_access: meta.switches & switch::REQUEST_BODY != 0,
            response_body_access: meta.switches & switch::RESPONSE_BODY != 0,
            force_body: false,
            body: Vec::new(),
            inbound_error: false,
            outbound_error: false,
            body_error: None,
            body_length: 0,
            urlencoded_error: false,
            multipart: MultipartFlags::default(),
            scratch: memory.scratch,
            arguments: 0,
            args_size: 0,
            files_size: 0,
            head_length: 0,
            server_port: 0,
            client_port: 0,
            response_status: 0,
            response_inspected: false,
            response_length: 0,
            argument: memory.argument,
            name: memory.name,
            work: memory.work,
            rules,
            meta,
        };
        transaction.set_engine(meta.engine);
        for at in 0..rules.count::<TxInit>(Section::TxInit) {
            let init: TxInit = rules.record(Section::TxInit, at);
            if let Some(value) = transaction.store.tx.get_mut(usize::from(init.slot)) {
                *value = match init.numeric {
                    0 => Value::Fixed(rules.text(init.text)),
                    _ => Value::Int(init.number),
                };
            }
        }
        transaction
    }

    /// Ends the transaction and leaves its memory, emptied.
    pub(super) fn into_memory(mut self) -> Memory<'r> {
        self.store.clear();
        self.screen.clear();
        clear(&mut self.matched_vars);
        clear(&mut self.argument);
        clear(&mut self.name);
        self.work.iter_mut().for_each(clear);
        let Scratch { name, value, other, stack } = &mut self.scratch;
        [name, value, other].into_iter().for_each(clear);
        clear(stack);
        Memory {
            store: self.store,
            scanners: self.scanners,
            screen: self.screen,
            cache: self.cache,
            matched_vars: self.matched_vars,
            scratch: self.scratch,
            argument: self.argument,
            name: self.name,
            work: self.work,
        }
    }

    /// Sets an [`engine`] value, as far as the settings admit it.
    pub(super) fn set_engine(&mut self, wanted: u8) {
        let detects_only = self.settings.detection_only && wanted == engine::ON;
        self.engine = if detects_only { engine::DETECTION_ONLY } else { wanted };
    }

    /// Whether rules run at all.
    pub(super) fn is_on(&self) -> bool {
        self.engine != engine::OFF
    }

    /// Stores a value and looks it through, if any rule asks for the variable.
    pub(super) fn add(&mut self, variable: Variable, key: Span, value: Span) {
        let info: VariableInfo = self.rules.record(Section::Variables, variable as usize);
        if info.used == 0 {
            return;
        }
        let Some(number) = self.store.add(variable, key, value) else { return };
        let slot = if info.keyed_count == 0 { info.slot } else { self.slot(&info, key) };
        if slot != NONE16 {
            let slots: &[[u8; Slot::LEN]] = self.rules.section(Section::Slots).as_chunks().0;
            let Some(record) = slots.get(usize::from(slot)) else { return };
            // Only what is used of the record is read.
            let slot = || Slot::read(record);
            if slot().waiting_count != 0 {
                self.screen.wake(&self.rules, slot().waiting, slot().waiting_count);
            }
            if slot().pipelines == 0 {
                return;
            }
            let scanner = match slot().scans {
                scans::RESPONSE => &self.scanners.response,
                _ => &self.scanners.request,
            };
            let Some(scanner) = scanner else { return };
            self.screen.look(&self.rules, scanner, record, &mut self.store, number, value);
        }
    }

    /// The slot of a key, or that of the variable.
    fn slot(&self, info: &VariableInfo, key: Span) -> u16 {
        let key = self.store.bytes(key);
        let (mut low, mut high) = (info.keyed, info.keyed.saturating_add(info.keyed_count));
        while low < high {
            let middle = low + (high - low) / 2;
            let slot: Slot = self.rules.record(Section::Slots, usize::from(middle));
            // Most are told by the length.
            let order = (slot.key.len as usize).cmp(&key.len()).then_with(|| {
                let lower = key.iter().map(u8::to_ascii_lowercase);
                self.rules.text(slot.key).iter().copied().cmp(lower)
            });
            match order {
                core::cmp::Ordering::Equal => return middle,
                core::cmp::Ordering::Less => low = middle + 1,
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        info.slot
    }

    /// The same for text that is not in the arena; nothing is copied for a variable that no rule
    /// asks for.
    pub(super) fn add_text(&mut self, variable: Variable, text: &[u8]) {
        if self.is_used(variable) {
            let value = self.store.keep(text);
            self.add(variable, Span::default(), value);
        }
    }

    pub(super) fn is_used(&self, variable: Variable) -> bool {
        self.rules.record::<VariableInfo>(Section::Variables, variable as usize).used != 0
    }

    /// Runs the rules of a phase, 1 to 5.
    pub(super) fn run(&mut self, phase: u8) {
        self.phase = phase;
        if !self.is_on() || phase < 5 && self.interruption.is_some() {
            return;
        }
        match self.allowed {
            Allowed::All if phase < 5 => return,
            Allowed::Request if phase < 3 => return,
            _ => {}
        }
        if phase > 1 && self.has_body() {
            self.wake_for_body();
        }
        let meta = &self.meta;
        let (start, end) = match phase {
            1 => (meta.phase1, meta.phase2),
            2 => (meta.phase2, meta.phase3),
            3 => (meta.phase3, meta.phase4),
            4 => (meta.phase4, meta.phase5),
            _ => (meta.phase5, meta.rules),
        };
        let words = meta.rule_words as usize;
        let always = self.rules.rule_set(0, words);
        // Where a damaged ruleset says more than it has, the search below would go on for long.
        let end = self.rules.rule_count().min(end as usize);
        let mut at = start as usize;
        while let Some(rule) = self.next_rule(always, at, end) {
            at = rule + 1;
            if self.evaluate_chain(rule) {
                let record = self.rules.rule(rule);
                if phase < 5 && self.interruption.is_some() || !self.is_on() {
                    break;
                }
                if record.disruptive >= disruptive::ALLOW && self.engine == engine::ON {
                    self.allowed = match record.disruptive {
                        disruptive::ALLOW => Allowed::All,
                        disruptive::ALLOW_REQUEST => Allowed::Request,
                        _ => Allowed::Nothing,
                    };
                    if record.disruptive != disruptive::ALLOW_REQUEST || phase < 3 {
                        break;
                    }
                }
                if record.skip_to != NONE {
                    // Only ever forwards, so that the loop ends.
                    at = at.max(record.skip_to as usize);
                }
            }
        }
    }

    /// Whether any variable of the request's body can have a value.
    fn has_body(&self) -> bool {
        self.processor.is_some() || self.body_length != 0 || self.body_error.is_some()
    }

    /// Wakes the rules that wait for a body.
    pub(super) fn wake_for_body(&mut self) {
        let words = self.meta.rule_words as usize;
        for (word, more) in
            self.screen.todo.iter_mut().zip(self.rules.rule_set(self.meta.body_rules as usize, words))
        {
            *word |= u32::from_le_bytes(*more);
        }
    }

    /// The next rule record from `at` on that is to run.
    fn next_rule(&self, always: &[[u8; 4]], at: usize, end: usize) -> Option<usize> {
        let mut mask = u32::MAX << (at % 32);
        let mut word = at / 32;
        while word * 32 < end {
            let bits = self.screen.todo.get(word).copied().unwrap_or(0)
                | always.get(word).map_or(0, |word| u32::from_le_bytes(*word));
            let bits = bits & mask & !self.removed.get(word).copied().unwrap_or(0);
            if bits != 0 {
                let rule = word * 32 + bits.trailing_zeros() as usize;
                return (rule < end).then_some(rule);
            }
            word += 1;
            mask = u32::MAX;
        }
        None
    }

    /// What stopped the transaction, if anything did.
    pub fn interruption(&self) -> Option<&Interruption> {
        self.interruption.as_ref()
    }

    /// The rules that matched and go to the log, in the order in which they did.
    pub fn matches(&self) -> &[Matched] {
        &self.matches
    }

    /// Matches beyond [`Settings::max_matches`].
    pub fn unreported(&self) -> u32 {
        self.unreported
    }

    /// Values and candidates that found no room.
    pub fn dropped(&self) -> u32 {
        self.store.dropped.saturating_add(self.screen.dropped)
    }

    /// Whether the transaction belongs in the audit log: every one does, or this one does by a rule's
    /// word.
    pub fn is_audited(&self) -> bool {
        match self.audit_engine {
            switch::AUDIT_ALL => true,
            switch::AUDIT_RELEVANT => self.audit,
            _ => false,
        }
    }

    /// Parts of the audit log that rules ask for, one bit a letter from `A`.
    pub fn audit_parts(&self) -> u32 {
        self.audit_parts
    }

    /// The score of the request, as the ruleset's own rules sum it up.
    pub fn inbound_score(&self) -> u32 {
        self.score(self.meta.tx_inbound)
    }

    /// The score of the response.
    pub fn outbound_score(&self) -> u32 {
        self.score(self.meta.tx_outbound)
    }

    fn score(&self, slot: u16) -> u32 {
        let value = self.store.tx.get(usize::from(slot)).copied().unwrap_or_default();
        u32::try_from(self.number_of(value).max(0)).unwrap_or(u32::MAX)
    }

    /// Phase 5: what is kept is written back. Nothing can be refused any more.
    pub fn log(&mut self) {
        if self.phase >= 5 {
            return;
        }
        self.run(5);
        self.save_collections();
    }
}

impl core::fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Transaction")
            .field("rules", &self.rules)
            .field("phase", &self.phase)
            .field("interruption", &self.interruption)
            .field("matches", &self.matches)
            .finish_non_exhaustive()
    }
}
