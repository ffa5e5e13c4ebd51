//! From a value to its matches: the sweep, the transformations it calls for, the candidates.

use alloc::vec::Vec;

use picket_abi::{Match, Octets, VerdictBuf};

use crate::automata::Automata;
use crate::blob::{Check, Interest, RuleSet, format};
use crate::body::Sink;
use crate::config::Config;
use crate::prefilter::{ANY_LITERAL, ESCAPED, Prefilter};
use crate::present::ByteSets;
use crate::urlencoded;
use crate::variable::Variable;

/// Longest excerpt of a value or a match in a report, in bytes.
const EXCERPT: usize = 256;
/// Most matches that are reported in one transaction. All count for the score.
const MAX_REPORTED: u32 = 100;

/// What a node of the transformation pipelines makes of the value at hand.
#[derive(Clone, Default)]
struct Step {
    /// The value, where this node changed it.
    value: Vec<u8>,
    /// The nearest node above, or this one, that changed the value; 0: it is as it came.
    owner: u8,
    flags: u32,
}

/// Inspects the values of a transaction and keeps its score.
pub(crate) struct Inspector {
    rules: RuleSet<'static>,
    prefilter: Prefilter<'static>,
    byte_sets: ByteSets<'static>,
    interests: [Interest; Variable::COUNT],
    config: Config,
    steps: Vec<Step>,
    automata: Automata,
    /// A pattern set for each node.
    hits: Vec<u32>,
    /// One bit a rule: it has counted in this transaction.
    counted: Vec<u32>,
    /// Rules that matched in the value at hand.
    matched: Vec<usize>,
    decoded: [Vec<u8>; 2],
    path: Vec<u8>,
    score: u32,
    reported: u32,
    verdict: VerdictBuf,
}

impl Inspector {
    pub(crate) fn new(rules: RuleSet<'static>, config: Config) -> Self {
        let nodes = rules.node_count().min(format::MAX_NODES);
        Inspector {
            rules,
            prefilter: rules.prefilter(),
            byte_sets: rules.byte_sets(),
            interests: Variable::ALL.map(|variable| rules.interest(variable)),
            config,
            automata: Automata::default(),
            steps: alloc::vec![Step::default(); nodes],
            hits: alloc::vec![0; nodes * rules.words()],
            counted: alloc::vec![0; rules.rule_count().div_ceil(32)],
            matched: Vec::new(),
            decoded: [Vec::new(), Vec::new()],
            path: Vec::new(),
            score: 0,
            reported: 0,
            verdict: VerdictBuf::default(),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn rules(&self) -> &RuleSet<'static> {
        &self.rules
    }

    pub(crate) fn limit_unpacked(&mut self, bytes: usize) {
        self.automata.limit(bytes);
    }

    /// Begins a transaction.
    pub(crate) fn begin(&mut self, path: &[u8]) {
        self.score = 0;
        self.reported = 0;
        self.counted.fill(0);
        self.verdict = VerdictBuf::default();
        self.path.clear();
        if !self.config.allow.is_empty() {
            self.path.extend_from_slice(path);
        }
    }

    pub(crate) fn score(&self) -> u32 {
        self.score
    }

    /// The matches since it was last called, and the score of the whole transaction.
    pub(crate) fn take_verdict(&mut self) -> VerdictBuf {
        let mut verdict = core::mem::take(&mut self.verdict);
        verdict.score = self.score;
        verdict
    }

    fn words(&self) -> usize {
        self.rules.words()
    }

    /// Sweeps `value` for node `node` into its pattern set.
    fn sweep(&mut self, node: usize, value: &[u8]) -> u32 {
        let words = self.words();
        let Some(hits) = self.hits.get_mut(node * words..(node + 1) * words) else { return 0 };
        hits.fill(0);
        let mut flags = self.prefilter.sweep(value, hits);
        if flags & ANY_LITERAL != 0 && !refine(&self.rules, hits, self.byte_sets.in_value(value)) {
            flags &= !ANY_LITERAL;
        }
        flags
    }

    /// Whether the sweep of the root node calls for more, for a value of `variable`.
    fn is_suspicious(&self, variable: Variable, flags: u32) -> bool {
        let triggers = self.interests[variable as usize].triggers;
        if flags & (triggers | ANY_LITERAL) == 0 {
            return false;
        }
        if flags & triggers != 0 {
            return true;
        }
        let hits = self.hits.get(..self.words()).unwrap_or(&[]);
        hits.iter()
            .enumerate()
            .any(|(word, &hits)| hits != 0 && hits & self.rules.variable_patterns(variable, word) != 0)
    }

    /// Runs the pipelines of `variable` over a value whose root sweep is done, and their candidates.
    #[inline(never)]
    fn evaluate(&mut self, variable: Variable, name: &[u8], value: &[u8], flags: u32) {
        self.matched.clear();
        let interest = self.interests[variable as usize];
        if flags & interest.triggers == 0 {
            // No node changes the value: every pipeline ends in the value as it came.
            self.candidates(None, 0, variable, name, value);
            return;
        }
        for node in 0..self.steps.len() {
            if interest.nodes & 1 << node == 0 {
                continue;
            }
            if node == 0 {
                self.steps[0].owner = 0;
                self.steps[0].flags = flags;
            } else {
                self.transform(node, value);
            }
            let owner = usize::from(self.steps[node].owner);
            self.candidates(Some(node), owner, variable, name, value);
        }
    }

    /// Gives node `node` its value: a new one with a sweep of its own, or that of the node above.
    fn transform(&mut self, node: usize, value: &[u8]) {
        let step = self.rules.node(node);
        let parent = usize::from(step.parent);
        let Some(&Step { owner, flags, .. }) = self.steps.get(parent) else { return };
        self.steps[node].owner = owner;
        self.steps[node].flags = flags;
        let Some(transformation) = step.transformation.filter(|_| flags & step.triggers != 0) else { return };
        let mut output = core::mem::take(&mut self.steps[node].value);
        let input = if owner == 0 { value } else { &self.steps[usize::from(owner)].value };
        if transformation.apply(input, &mut output) {
            self.steps[node].flags = self.sweep(node, &output);
            self.steps[node].owner = node as u8;
        }
        self.steps[node].value = output;
    }

    /// Runs what could match on the value of `owner`: the patterns of a node, or those of all nodes.
    fn candidates(
        &mut self,
        node: Option<usize>,
        owner: usize,
        variable: Variable,
        name: &[u8],
        value: &[u8],
    ) {
        let always = self.interests[variable as usize].always != 0;
        for word in 0..self.words() {
            let Some(hits) = self.hits.get_mut(owner * self.rules.words() + word) else { continue };
            let mut candidates = 0;
            if *hits != 0 {
                candidates = *hits & self.rules.variable_patterns(variable, word);
            }
            if always {
                candidates |= self.rules.always(variable, word);
            }
            if candidates == 0 {
                continue;
            }
            if let Some(node) = node {
                candidates &= self.rules.node_patterns(node, word);
            }
            // Another node may want the same pattern on the same value: once is enough.
            *hits &= !candidates;
            while candidates != 0 {
                let pattern = word * 32 + candidates.trailing_zeros() as usize;
                candidates &= candidates - 1;
                self.candidate(pattern, owner, variable, name, value);
            }
        }
    }

    #[inline(never)]
    fn candidate(&mut self, pattern: usize, owner: usize, variable: Variable, name: &[u8], value: &[u8]) {
        let check = self.rules.check(self.rules.pattern(pattern).0);
        if self.matched.contains(&check.rule) || !self.rules.applies(&check, variable, name) {
            return;
        }
        let subject = if owner == 0 { value } else { &self.steps[owner].value };
        let found = match check.operator {
            format::OP_RX => self.automata.find(&self.rules, pattern, subject),
            // The whole check stands and falls with its first pattern.
            format::OP_NOT_RX if pattern == check.first_pattern => self.whole(&check, subject),
            _ => None,
        };
        if let Some(found) = found {
            let excerpt = subject[found].to_vec();
            self.record(&check, owner, variable, name, value, &excerpt);
        }
    }

    /// Whether a check has nothing against a value that has none of the bytes it is calm without.
    pub(crate) fn is_calm(&self, check: &Check, value: &[u8]) -> bool {
        let set = match check.calm {
            0 | format::CALM_COUNTS => return false,
            number => 1u32 << ((number - 1) & 31),
        };
        !value.is_empty() && self.byte_sets.in_value(value) & set == 0
    }

    /// Puts one check to a value as it is.
    #[inline(never)]
    pub(crate) fn ask(&mut self, check: &Check, variable: Variable, name: &[u8], value: &[u8]) {
        self.matched.clear();
        let found = match check.operator {
            format::OP_RX => (check.first_pattern..check.first_pattern + check.patterns)
                .find_map(|pattern| self.rules.pattern(pattern).1.find(value)),
            _ => self.whole(check, value),
        };
        if let Some(found) = found {
            self.record(check, 0, variable, name, value, &value[found]);
        }
    }

    /// The whole subject, if no pattern of a check matches in it.
    fn whole(&self, check: &Check, subject: &[u8]) -> Option<core::ops::Range<usize>> {
        let matches = (check.first_pattern..check.first_pattern + check.patterns)
            .any(|pattern| self.rules.pattern(pattern).1.find(subject).is_some());
        (!matches).then_some(0..subject.len())
    }

    /// Reports a match, unless it is allowed, and counts its rule once.
    #[inline(never)]
    fn record(
        &mut self,
        check: &Check,
        owner: usize,
        variable: Variable,
        name: &[u8],
        value: &[u8],
        matched: &[u8],
    ) {
        let rule = self.rules.rule(check.rule);
        self.matched.push(check.rule);
        if self.config.allow.iter().any(|allow| allow.fits(rule.id, &self.path, name)) {
            return;
        }
        let mut score = 0;
        if let Some(word) = self.counted.get_mut(check.rule / 32) {
            let bit = 1 << (check.rule % 32);
            if *word & bit == 0 {
                *word |= bit;
                score = rule.severity.score();
                self.score = self.score.saturating_add(score);
            }
        }
        if self.reported == MAX_REPORTED {
            return;
        }
        self.reported += 1;
        let mut location = variable.name().as_bytes().to_vec();
        if !name.is_empty() {
            location.push(b':');
            location.extend_from_slice(excerpt(name));
        }
        let mut tags = picket_abi::SeqBuf::<Octets<'_>>::new();
        for tag in self.rules.tags(&rule) {
            tags.push(Octets(tag));
        }
        let explain = self.config.explain;
        let transformations = if explain { self.transformations(owner) } else { Vec::new() };
        self.verdict.matches.push(Match {
            rule_id: rule.id,
            severity: rule.severity,
            score,
            category: Octets(rule.category),
            message: Octets(rule.message),
            location: Octets(&location),
            matched: Octets(excerpt(matched)),
            value: Octets(if explain { excerpt(value) } else { &[] }),
            transformations: Octets(&transformations),
            tags: tags.as_seq(),
        });
    }

    /// The names of the transformations that changed the value on the way to node `owner`.
    fn transformations(&self, owner: usize) -> Vec<u8> {
        let mut names = Vec::new();
        let mut node = owner;
        while node != 0 {
            let step = self.rules.node(node);
            if let (true, Some(transformation)) =
                (usize::from(self.steps[node].owner) == node, step.transformation)
            {
                names.push(transformation.name());
            }
            node = usize::from(step.parent);
        }
        names.reverse();
        names.join(",").into_bytes()
    }

    /// Inspects the names and values of a raw urlencoded string, each decoded once.
    fn pairs(&mut self, raw: &[u8]) {
        let [mut name_buffer, mut value_buffer] = core::mem::take(&mut self.decoded);
        for (name, value) in urlencoded::pairs(raw) {
            let name = urlencoded::decode(name, &mut name_buffer);
            let value = urlencoded::decode(value, &mut value_buffer);
            self.value(Variable::ArgsNames, name, name);
            self.value(Variable::Args, name, value);
        }
        self.decoded = [name_buffer, value_buffer];
    }
}

/// Drops the patterns that need a byte of a set which has none there. Returns whether any is left.
fn refine(rules: &RuleSet<'_>, hits: &mut [u32], present: u32) -> bool {
    let mut any = false;
    for (word, hits) in hits.iter_mut().enumerate().filter(|(_, hits)| **hits != 0) {
        let mut bits = *hits;
        while bits != 0 {
            let bit = bits & bits.wrapping_neg();
            bits ^= bit;
            if !rules.is_possible(word * 32 + bit.trailing_zeros() as usize, present) {
                *hits ^= bit;
            }
        }
        any |= *hits != 0;
    }
    any
}

fn excerpt(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(EXCERPT)]
}

impl Inspector {
    /// Inspects the value of a header, but for the checks that name it and need no literal.
    pub(crate) fn header(&mut self, name: &[u8], value: &[u8]) {
        self.inspect(Variable::RequestHeaders, name, value, false);
    }

    /// Inspects a query: as it came, and the pairs in it.
    pub(crate) fn query(&mut self, raw: &[u8]) {
        let Some(mut flags) = self.sweep_urlencoded(raw) else { return };
        // Without an escape, what the sweep has seen is all that there is in the query as it came, and
        // blanks for `+` besides.
        let alike = flags & ESCAPED == 0 && self.interests[Variable::QueryString as usize].always == 0;
        let calm = alike && !self.is_suspicious(Variable::QueryString, flags);
        self.refine_urlencoded(raw, &mut flags);
        let pairs = self.has_suspicious_pairs(flags);
        if !calm {
            self.value(Variable::QueryString, b"", raw);
        }
        if pairs {
            self.pairs(raw);
        }
    }

    /// Whether one look at a whole `Cookie` header tells that there is nothing in any of its cookies:
    /// what occurs in one occurs in the header.
    pub(crate) fn are_calm_cookies(&mut self, header: &[u8]) -> bool {
        let parts = [Variable::RequestCookies, Variable::RequestCookiesNames];
        if parts.iter().any(|&part| self.interests[part as usize].always != 0) {
            return false;
        }
        let flags = self.sweep(0, header);
        !parts.iter().any(|&part| self.is_suspicious(part, flags))
    }

    #[inline(never)]
    fn inspect(&mut self, variable: Variable, name: &[u8], value: &[u8], always: bool) {
        if self.interests[variable as usize].nodes == 0 || value.is_empty() && !always {
            return;
        }
        let flags = self.sweep(0, value);
        if always || self.is_suspicious(variable, flags) {
            self.evaluate(variable, name, value, flags);
        }
    }

    /// Sweeps a raw urlencoded string into the root's pattern set.
    fn sweep_urlencoded(&mut self, raw: &[u8]) -> Option<u32> {
        let words = self.words();
        let hits = self.hits.get_mut(..words)?;
        hits.fill(0);
        Some(self.prefilter.sweep_urlencoded(raw, hits))
    }

    /// Drops what is not possible in any pair of a string that was swept.
    fn refine_urlencoded(&mut self, raw: &[u8], flags: &mut u32) {
        let words = self.words();
        let Some(hits) = self.hits.get_mut(..words) else { return };
        if *flags & ANY_LITERAL != 0 && !refine(&self.rules, hits, self.byte_sets.in_urlencoded(raw)) {
            *flags &= !ANY_LITERAL;
        }
    }

    fn has_suspicious_pairs(&self, flags: u32) -> bool {
        self.is_suspicious(Variable::Args, flags) || self.is_suspicious(Variable::ArgsNames, flags)
    }
}

impl Sink for Inspector {
    fn value(&mut self, variable: Variable, name: &[u8], value: &[u8]) {
        let always = match self.interests[variable as usize].always {
            0 => false,
            format::EVERY_VALUE.. => true,
            sets => self.byte_sets.in_value(value) & sets != 0,
        };
        self.inspect(variable, name, value, always);
    }

    fn urlencoded(&mut self, raw: &[u8]) {
        let Some(mut flags) = self.sweep_urlencoded(raw) else { return };
        self.refine_urlencoded(raw, &mut flags);
        if self.has_suspicious_pairs(flags) {
            self.pairs(raw);
        }
    }
}
