//! Rules and tables to the blob.

use std::collections::HashMap;

use picket_waf::format::{self, Section};
use picket_waf::{Transformation, Variable};

use crate::automaton::{Automaton, JointClasses, Layout};
use crate::error::{Error, fit};
use crate::needs::{self, ByteSet};
use crate::prefilter;
use crate::source::{Check, Operator, Source, Target};
use crate::summary::{PatternSummary, Summary};
use crate::{Compiled, automaton, literals};

/// Flags that a sweep can set: one a set of triggers.
const MAX_FLAGS: usize = 30;
/// Most byte sets that one pattern asks for.
const NEEDS_OF_A_PATTERN: usize = 3;

pub(crate) fn emit(mut source: Source, dense_rows: usize) -> Result<Compiled, Error> {
    let mut emitter = Emitter { dense_rows, ..Emitter::default() };
    emitter.node(0, None)?;
    // Structural checks come first, so that the engine finds them without a search.
    for structural in [true, false] {
        for (index, rule) in source.rules.iter_mut().enumerate() {
            for check in std::mem::take(&mut rule.checks) {
                if is_structural(&check, &source.ignored_headers) == structural {
                    emitter.check(index, rule.id, &check, structural)?;
                    emitter.structural += usize::from(structural);
                } else {
                    rule.checks.push(check);
                }
            }
        }
    }
    for rule in &source.rules {
        emitter.rule(rule)?;
    }
    emitter.header_names(&source.ignored_headers)?;
    emitter.calm_values();
    emitter.finish(source.rules.len())
}

/// Values that most requests have. Where no rule has anything against one, it is not looked at.
const USUAL: [(Variable, &[&str]); 2] = [
    (Variable::RequestProtocol, &["HTTP/1.1", "HTTP/2.0", "HTTP/1.0", "HTTP/3.0"]),
    (Variable::RequestMethod, &["GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "PATCH"]),
];

/// Names of headers that most requests have.
const USUAL_NAMES: [&str; 12] = [
    "Host",
    "User-Agent",
    "Referer",
    "Content-Type",
    "Content-Length",
    "Origin",
    "Authorization",
    "X-Forwarded-For",
    "X-Requested-With",
    "X-Request-Id",
    "Range",
    "Via",
];

/// See [`Section::Meta`].
fn is_structural(check: &Check, ignored: &[String]) -> bool {
    let looks_at = |variable| check.targets.iter().any(|target| target.variable == variable);
    // The values of those are never swept.
    let is_ignored = |target: &Target| {
        let name = target.name.as_deref().filter(|_| !target.exclude);
        name.is_some_and(|name| ignored.iter().any(|ignored| ignored.eq_ignore_ascii_case(name)))
    };
    let swept = || !check.targets.iter().any(is_ignored);
    let unconditional = || {
        check.operator == Operator::NotRx
            || check.patterns.iter().any(|pattern| {
                let literal = matches!(literals::required(pattern), Ok(Some(_)));
                let rare = swept() && needs::rare(pattern).is_some();
                !literal && !rare
            })
    };
    check.operator == Operator::Absent
        || looks_at(Variable::HeaderCount)
        || looks_at(Variable::RequestHeaders) && unconditional()
}

/// The headers, if a check looks at all of them.
fn whole_headers(check: &Check) -> Option<Variable> {
    check.targets.iter().any(Target::is_all_headers).then_some(Variable::RequestHeaders)
}

/// Where a pattern stands: its rule's id, its check and that one's number, the pipelines' ends, and the
/// variables whose values are swept for it.
struct Place<'a> {
    id: u32,
    number: u16,
    check: &'a Check,
    nodes: &'a [usize],
    variables: u32,
    structural: bool,
}

/// A pattern, as the sets need it.
struct Pattern {
    rule: u32,
    negated: bool,
    automaton: usize,
    check: u16,
    needs: Vec<ByteSet>,
    variables: u32,
    nodes: Vec<usize>,
    always: bool,
    structural: bool,
    /// Lines of clean text with one of its literals.
    clean_hits: usize,
}

impl Pattern {
    /// A set of which a value must have a byte before the pattern, which waits for no literal, runs on
    /// it; `None` for any other pattern, or if it sees more than the value as it came.
    fn screen(&self) -> Option<ByteSet> {
        if self.always && !self.structural && self.nodes == [0] { self.needs.first().copied() } else { None }
    }
}

#[derive(Default)]
struct Emitter {
    dense_rows: usize,
    strings: Vec<u8>,
    interned: HashMap<String, (u32, u16)>,
    rules: Vec<u8>,
    tags: Vec<u8>,
    tag_count: usize,
    checks: Vec<u8>,
    check_count: usize,
    structural: usize,
    selectors: Vec<u8>,
    selector_lists: HashMap<Vec<u8>, usize>,
    patterns: Vec<Pattern>,
    automata: Vec<(Automaton, Layout)>,
    automaton_ids: HashMap<(String, Layout), usize>,
    nodes: Vec<(usize, Option<Transformation>)>,
    node_ids: HashMap<(usize, Option<Transformation>), usize>,
    literals: prefilter::Outputs,
    /// Literals at whose ends some flags are not set.
    harmless: prefilter::Outputs,
    header_names: Vec<u8>,
    header_slots: Vec<u8>,
    /// Names that structural checks pick, as they were first written; whether they ask for a value.
    counted: Vec<(String, bool)>,
    calm_values: Vec<u8>,
    /// Sets of bytes without which a value is calm.
    calm_sets: Vec<[bool; 256]>,
    /// What each flag stands for.
    flags: Vec<Vec<Vec<u8>>>,
    summary: Summary,
}

impl Emitter {
    fn text(&mut self, text: &str) -> Result<[u8; format::TEXT_LEN], Error> {
        let (offset, len) = match self.interned.get(text) {
            Some(&known) => known,
            None => {
                let offset: u32 = fit("bytes of text", self.strings.len(), u32::MAX as usize)?;
                let len: u16 = fit("bytes in one text", text.len(), usize::from(u16::MAX))?;
                self.strings.extend(text.as_bytes());
                self.interned.insert(text.to_owned(), (offset, len));
                (offset, len)
            }
        };
        let mut reference = [0; format::TEXT_LEN];
        reference[..4].copy_from_slice(&offset.to_le_bytes());
        reference[4..].copy_from_slice(&len.to_le_bytes());
        Ok(reference)
    }

    fn node(&mut self, parent: usize, transformation: Option<Transformation>) -> Result<usize, Error> {
        if let Some(&known) = self.node_ids.get(&(parent, transformation)) {
            return Ok(known);
        }
        let id = self.nodes.len();
        fit::<u8>("pipeline steps", id + 1, format::MAX_NODES)?;
        self.nodes.push((parent, transformation));
        self.node_ids.insert((parent, transformation), id);
        Ok(id)
    }

    fn rule(&mut self, rule: &crate::source::Rule) -> Result<(), Error> {
        let first_tag: u16 = fit("tags", self.tag_count, usize::from(u16::MAX))?;
        for tag in &rule.tags {
            let tag = self.text(tag)?;
            self.tags.extend(tag);
            self.tag_count += 1;
        }
        let (message, category) = (self.text(&rule.message)?, self.text(&rule.category)?);
        self.rules.extend(rule.id.to_le_bytes());
        self.rules.extend(message);
        self.rules.extend(category);
        self.rules.push(rule.severity.into());
        self.rules.push(fit("tags of one rule", rule.tags.len(), 255)?);
        self.rules.extend(first_tag.to_le_bytes());
        Ok(())
    }

    fn check(&mut self, rule: usize, id: u32, check: &Check, structural: bool) -> Result<(), Error> {
        let mut nodes = Vec::new();
        for pipeline in &check.pipelines {
            let mut node = 0;
            for &transformation in pipeline {
                node = self.node(node, Some(transformation))?;
            }
            nodes.push(node);
        }
        let mut variables = 0;
        let mut selected = 0;
        let mut list = Vec::new();
        for target in &check.targets {
            match &target.name {
                None => variables |= target.variable.bit(),
                Some(name) => {
                    let mut kind = format::EXCLUDE;
                    if !target.exclude {
                        selected |= target.variable.bit();
                        kind = 0;
                        if structural {
                            let valued = target.variable == Variable::RequestHeaders
                                && check.operator != Operator::Absent;
                            kind = fit::<u8>("headers that are counted", self.count(name, valued) + 1, 127)?
                                << 1;
                        }
                    }
                    list.extend([target.variable as u8, kind]);
                    list.extend(self.text(name)?);
                }
            }
        }
        let selectors: u16 = fit("selectors", list.len() / format::SELECTOR_LEN, usize::from(u16::MAX))?;
        let first_selector = self.selector_list(list)?;
        let first_pattern: u16 = fit("patterns", self.patterns.len(), usize::from(format::OUTPUT_FLAG) - 1)?;
        // A structural check is put to its headers by name; it waits for no literal in them.
        let named = if structural { Variable::RequestHeaders.bit() } else { 0 };
        if named != 0 && selected & named != 0 && nodes != [0] {
            let problem =
                "a pattern that runs on a named header without a literal sees it as it came: no pipeline";
            return Err(Error::rule(id, "pipeline", problem));
        }
        let swept = (variables | selected) & !named;
        let number: u16 = fit("checks", self.check_count, usize::from(u16::MAX))?;
        let place = Place { id, number, check, nodes: &nodes, variables: swept, structural };
        for pattern in &check.patterns {
            self.pattern(&place, pattern)?;
        }
        let calm = self.calm(check, first_pattern.into());
        self.checks.extend(fit::<u16>("rules", rule, usize::from(u16::MAX))?.to_le_bytes());
        self.checks.push(calm);
        self.checks.push(match check.operator {
            Operator::Rx => format::OP_RX,
            Operator::NotRx => format::OP_NOT_RX,
            Operator::Absent => format::OP_ABSENT,
        });
        self.checks.extend(variables.to_le_bytes());
        for number in [first_selector, selectors, first_pattern] {
            self.checks.extend(number.to_le_bytes());
        }
        self.checks.extend((check.patterns.len() as u16).to_le_bytes());
        self.check_count += 1;
        Ok(())
    }

    /// The place of a header's name among those that are counted.
    fn count(&mut self, name: &str, valued: bool) -> usize {
        let place = self.counted.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
        match place.and_then(|place| self.counted.get_mut(place)) {
            Some(known) => known.1 |= valued,
            None => self.counted.push((name.to_owned(), valued)),
        }
        place.unwrap_or(self.counted.len() - 1)
    }

    fn pattern(&mut self, place: &Place<'_>, pattern: &str) -> Result<(), Error> {
        let &Place { id, number, check, nodes, variables, structural } = place;
        if pattern.bytes().any(|byte| byte.is_ascii_uppercase()) && !pattern.contains('\\') {
            return Err(Error::rule(id, pattern, "write patterns in lower case: they ignore case"));
        }
        let index = self.patterns.len() as u16;
        let literals = match check.operator {
            Operator::Rx if !check.literals.is_empty() => {
                Some(check.literals.iter().map(|literal| literal.to_ascii_lowercase().into_bytes()).collect())
            }
            Operator::Rx => {
                let required =
                    literals::required(pattern).map_err(|problem| Error::rule(id, pattern, problem))?;
                // A structural check waits for nothing.
                required.or_else(|| if structural { None } else { needs::rare(pattern) })
            }
            _ => None,
        };
        let layout = if literals.is_none() { Layout::Ready } else { Layout::Compact };
        let key = (pattern.to_owned(), layout);
        let automaton = match self.automaton_ids.get(&key) {
            Some(&known) => known,
            None => {
                let automaton =
                    automaton::compile(pattern).map_err(|problem| Error::rule(id, pattern, problem))?;
                self.automata.push((automaton, layout));
                self.automaton_ids.insert(key, self.automata.len() - 1);
                self.automata.len() - 1
            }
        };
        let always = literals.is_none();
        if always
            && let Some(bulk) = Variable::ALL
                .into_iter()
                .find(|variable| variable.is_bulk() && variables & variable.bit() != 0)
                .or_else(|| whole_headers(check))
        {
            let problem =
                format!("no literal must occur in it, so that it would run on all of {}", bulk.name());
            return Err(Error::rule(id, pattern, problem));
        }
        for literal in literals.iter().flatten() {
            self.literals.entry(literal.clone()).or_default().push(index);
        }
        // A pattern that is negated must run, whatever bytes there are.
        let needs = match check.operator {
            Operator::Rx => needs::required(pattern, NEEDS_OF_A_PATTERN),
            _ => Vec::new(),
        };
        let holds = |line: &Vec<u8>| {
            let holds = |literal: &Vec<u8>| line.windows(literal.len()).any(|part| part == literal);
            literals.iter().flatten().any(holds)
        };
        let lines = prefilter::CLEAN.lines().map(|line| line.to_ascii_lowercase().into_bytes());
        let hits: Vec<_> = lines.filter(holds).collect();
        let clean_hits = hits
            .iter()
            .filter(|line| needs.iter().all(|set| line.iter().any(|byte| set >> byte & 1 != 0)))
            .count();
        self.summary.patterns.push(PatternSummary {
            clean_hits,
            rule: id,
            pattern: pattern.to_owned(),
            states: 0,
            classes: 0,
            bytes: 0,
            literals: literals.iter().flatten().map(|literal| literal.escape_ascii().to_string()).collect(),
        });
        self.patterns.push(Pattern {
            rule: id,
            negated: check.operator == Operator::NotRx,
            automaton,
            check: number,
            needs,
            variables,
            nodes: nodes.to_vec(),
            always,
            structural,
            clean_hits: hits.len(),
        });
        Ok(())
    }

    /// What of its values a check has nothing against; see [`format::CHECK_LEN`].
    fn calm(&mut self, check: &Check, first_pattern: usize) -> u8 {
        let automata: Vec<&Automaton> = self.patterns[first_pattern..]
            .iter()
            .map(|pattern| &self.automata[pattern.automaton].0)
            .collect();
        match (check.operator, &automata[..]) {
            (Operator::Rx, automata)
                if check.targets.iter().all(|target| target.variable == Variable::HeaderCount)
                    && !automata
                        .iter()
                        .any(|automaton| automaton.matches(b"0") || automaton.matches(b"1")) =>
            {
                format::CALM_COUNTS
            }
            (Operator::NotRx, [automaton]) => {
                let set = automaton.calm_bytes().map(|calm| !calm);
                if !set.contains(&false) {
                    return 0;
                }
                let number = self.calm_sets.iter().position(|known| *known == set).unwrap_or_else(|| {
                    self.calm_sets.push(set);
                    self.calm_sets.len() - 1
                });
                // Half of the sets, so that patterns have some, too.
                if number < format::NEEDS / 2 { number as u8 + 1 } else { 0 }
            }
            _ => 0,
        }
    }

    /// Whether no rule has anything against a value of `variable`, as it is.
    fn is_calm(&self, variable: Variable, value: &str) -> bool {
        let lower = value.to_ascii_lowercase();
        let changes = |&node: &usize| {
            let mut node = node;
            while let (parent, Some(transformation)) = self.nodes[node] {
                let bytes = transformation.triggers().iter().any(|byte| value.as_bytes().contains(byte));
                let occurs =
                    |literal: &&[u8]| lower.as_bytes().windows(literal.len()).any(|part| part == *literal);
                if bytes || transformation.trigger_literals().iter().any(occurs) {
                    return true;
                }
                node = parent;
            }
            false
        };
        self.patterns.iter().filter(|pattern| pattern.variables & variable.bit() != 0).all(|pattern| {
            let matches = self.automata[pattern.automaton].0.matches(value.as_bytes());
            // Of a negated check one pattern has to match; that all do is more.
            matches == pattern.negated && !pattern.nodes.iter().any(changes)
        })
    }

    fn calm_values(&mut self) {
        for (variable, values) in USUAL {
            for value in values.iter().filter(|value| self.is_calm(variable, value)).collect::<Vec<_>>() {
                self.calm_values.extend([variable as u8, value.len() as u8]);
                self.calm_values.extend(value.as_bytes());
            }
        }
    }

    /// What is known of the names of headers, and where they are found.
    fn header_names(&mut self, ignored: &[String]) -> Result<(), Error> {
        let counted = std::mem::take(&mut self.counted);
        let mut names: Vec<&str> = Vec::new();
        let all = counted.iter().map(|(name, _)| name.as_str());
        for name in all.chain(ignored.iter().map(String::as_str)).chain(USUAL_NAMES) {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name);
            }
        }
        fit::<u8>("names of headers", names.len(), usize::from(format::NOT_COUNTED) - 1)?;
        let mut slots = vec![0u8; (2 * names.len()).next_power_of_two()];
        for (number, name) in names.iter().enumerate() {
            let mut slot = format::name_hash(name.as_bytes());
            while slots[slot % slots.len()] != 0 {
                slot += 1;
            }
            let len = slots.len();
            slots[slot % len] = number as u8 + 1;
            let is_ignored = ignored.iter().any(|ignored| ignored.eq_ignore_ascii_case(name));
            let mut flags = if is_ignored { format::NAME_IGNORED } else { 0 };
            if self.is_calm(Variable::RequestHeadersNames, name) {
                flags |= format::NAME_CALM;
            }
            // They come first.
            let mut count = format::NOT_COUNTED;
            if let Some(&(_, valued)) = counted.get(number) {
                count = number as u8;
                flags |= if valued { format::NAME_VALUED } else { 0 };
            }
            let name = self.text(name)?;
            self.header_names.extend(name);
            self.header_names.extend([flags, count]);
        }
        self.header_slots = slots;
        self.counted = counted;
        Ok(())
    }

    /// Lays down a list of selectors, unless it is there already, and returns where.
    fn selector_list(&mut self, list: Vec<u8>) -> Result<u16, Error> {
        let position = match self.selector_lists.get(&list) {
            Some(&known) => known,
            None => {
                let position = self.selectors.len() / format::SELECTOR_LEN;
                self.selectors.extend(&list);
                self.selector_lists.insert(list, position);
                position
            }
        };
        fit("selectors", position, usize::from(u16::MAX))
    }

    /// The flag that says whether a transformation could change a value: what sets it are literals
    /// like any other.
    fn triggers(&mut self, transformation: Transformation) -> Result<u32, Error> {
        let mut triggers: Vec<Vec<u8>> =
            transformation.trigger_literals().iter().map(|literal| literal.to_vec()).collect();
        if triggers.is_empty() {
            triggers = transformation.triggers().iter().map(|&byte| vec![byte]).collect();
        }
        let flag = match self.flags.iter().position(|known| *known == triggers) {
            Some(flag) => flag,
            None => {
                let flag = self.flags.len();
                fit::<u32>("distinct sets of triggers", flag + 1, MAX_FLAGS)?;
                for trigger in &triggers {
                    let output = format::OUTPUT_FLAG | flag as u16;
                    self.literals.entry(trigger.clone()).or_default().push(output);
                }
                for harmless in transformation.harmless_literals() {
                    let output = format::OUTPUT_FLAG | flag as u16;
                    self.harmless.entry(harmless.to_vec()).or_default().push(output);
                }
                self.flags.push(triggers);
                flag
            }
        };
        Ok(1 << flag)
    }

    fn finish(mut self, rules: usize) -> Result<Compiled, Error> {
        let mut triggers = Vec::new();
        for (_, transformation) in self.nodes.clone() {
            triggers.push(match transformation {
                None => 0,
                Some(transformation) => self.triggers(transformation)?,
            });
        }
        let mut nodes = Vec::new();
        for (&(parent, transformation), trigger) in self.nodes.iter().zip(&triggers) {
            nodes.extend([
                parent as u8,
                transformation.map_or(0xff, |transformation| transformation as u8),
                0,
                0,
            ]);
            nodes.extend(trigger.to_le_bytes());
        }
        let calm_sets = &self.calm_sets[..self.calm_sets.len().min(format::NEEDS / 2)];
        let bit_of = |number: usize| 1u32 << (number + calm_sets.len());
        let needs: Vec<Vec<ByteSet>> = self.patterns.iter().map(|pattern| pattern.needs.clone()).collect();
        let first: Vec<ByteSet> = self.patterns.iter().filter_map(Pattern::screen).collect();
        let hits: Vec<usize> = self.patterns.iter().map(|pattern| 1 + pattern.clean_hits).collect();
        let needs = needs::choose(&needs, &hits, &first, format::NEEDS - calm_sets.len());
        let byte_sets = (0..=255u8).flat_map(|byte| {
            let special = if matches!(byte, b'=' | b'&' | b'%' | b'+') { format::SPECIAL_BYTE } else { 0 };
            let calm = calm_sets.iter().enumerate().filter(|(_, set)| set[usize::from(byte)]);
            let sets = needs.iter().enumerate().filter(|(_, set)| byte < 128 && *set >> byte & 1 != 0);
            let bits = calm.map(|(bit, _)| 1 << bit).chain(sets.map(|(number, _)| bit_of(number)));
            bits.fold(special, |mask: u32, bit| mask | bit).to_le_bytes()
        });
        let byte_sets: Vec<u8> = byte_sets.collect();
        let words = self.patterns.len().div_ceil(32);
        let mut variables = Vec::new();
        let mut variable_patterns = vec![0u32; Variable::COUNT * words];
        let mut always = vec![0u32; Variable::COUNT * words];
        let mut node_patterns = vec![0u32; self.nodes.len() * words];
        for variable in Variable::ALL {
            let (mut wanted, mut any_always) = (0u32, 0u32);
            let screen = |pattern: &Pattern| match pattern.screen() {
                Some(set) => needs.iter().position(|known| *known == set).map_or(format::EVERY_VALUE, bit_of),
                None => format::EVERY_VALUE,
            };
            for (index, pattern) in self.patterns.iter().enumerate() {
                let (word, bit) = (index / 32, 1u32 << (index % 32));
                for node in &pattern.nodes {
                    node_patterns[node * words + word] |= bit;
                }
                if pattern.variables & variable.bit() == 0 {
                    continue;
                }
                variable_patterns[variable as usize * words + word] |= bit;
                if pattern.always {
                    always[variable as usize * words + word] |= bit;
                    any_always |= screen(pattern);
                }
                for &node in &pattern.nodes {
                    let mut node = node;
                    wanted |= 1 << node;
                    while node != 0 {
                        node = self.nodes[node].0;
                        wanted |= 1 << node;
                    }
                }
            }
            let trigger = (0..self.nodes.len())
                .filter(|node| wanted & 1 << node != 0)
                .fold(0, |flags, node| flags | triggers[node]);
            for number in [wanted, trigger, any_always] {
                variables.extend(number.to_le_bytes());
            }
        }

        let joint = JointClasses::of(self.automata.iter().map(|(automaton, _)| automaton))
            .ok_or(Error::TooLarge { what: "joint byte classes", found: 256, limit: 255 })?;
        let mut automata: Vec<u8> = Vec::new();
        let mut offsets: Vec<Option<u32>> = vec![None; self.automata.len()];
        let mut pattern_records = Vec::new();
        for (pattern, summary) in self.patterns.iter().zip(&mut self.summary.patterns) {
            let (automaton, layout) = &self.automata[pattern.automaton];
            let table = automaton
                .table(*layout, &joint)
                .map_err(|problem| Error::rule(pattern.rule, &summary.pattern, problem))?;
            (summary.states, summary.classes) = (table.states, table.classes);
            let at = match offsets[pattern.automaton] {
                Some(at) => at,
                None => {
                    let at = fit("bytes of automata", automata.len(), u32::MAX as usize)?;
                    offsets[pattern.automaton] = Some(at);
                    summary.bytes = table.bytes.len();
                    automata.extend(&table.bytes);
                    at
                }
            };
            pattern_records.extend(at.to_le_bytes());
            pattern_records.extend(pattern.check.to_le_bytes());
            let bit = |set: &ByteSet| needs.iter().position(|known| known == set).map_or(0, bit_of);
            let mask = pattern.needs.iter().fold(0, |mask, set| mask | bit(set));
            pattern_records.extend(mask.to_le_bytes());
        }

        let prefilter = prefilter::build(&self.literals, &self.harmless, self.dense_rows)?;
        let structural: u16 = fit("structural checks", self.structural, usize::from(u16::MAX))?;
        let counted = self.counted.len() as u16;
        let meta =
            [prefilter.classes, prefilter.hot, prefilter.dense_len, structural, prefilter.loud, counted]
                .into_iter()
                .flat_map(u16::to_le_bytes)
                .collect();
        let words_to_bytes =
            |words: Vec<u32>| words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
        self.summary.prefilter_bytes = prefilter.map.len()
            + prefilter.dense.len()
            + prefilter.sparse.len()
            + prefilter.output_index.len()
            + prefilter.outputs.len();
        self.summary.automata_bytes = automata.len();
        self.summary.literals = prefilter.literals;
        self.summary.prefilter_states = prefilter.states;
        self.summary.prefilter_classes = usize::from(prefilter.classes);
        self.summary.rules = rules;
        self.summary.checks = self.check_count;
        self.summary.nodes = self.nodes.len();

        let mut sections: [Vec<u8>; format::SECTIONS] = Default::default();
        for (section, bytes) in [
            (Section::Strings, self.strings),
            (Section::Rules, self.rules),
            (Section::Tags, self.tags),
            (Section::Checks, self.checks),
            (Section::Selectors, self.selectors),
            (Section::Patterns, pattern_records),
            (Section::Nodes, nodes),
            (Section::Variables, variables),
            (Section::VariablePatterns, words_to_bytes(variable_patterns)),
            (Section::NodePatterns, words_to_bytes(node_patterns)),
            (Section::Always, words_to_bytes(always)),
            (Section::Meta, meta),
            (Section::PrefilterMap, prefilter.map),
            (Section::PrefilterDense, prefilter.dense),
            (Section::Calm, self.calm_values),
            (Section::PrefilterSparse, prefilter.sparse),
            (Section::PrefilterOutputIndex, prefilter.output_index),
            (Section::PrefilterOutputs, prefilter.outputs),
            (Section::Automata, automata),
            (Section::JointClasses, joint.of),
            (Section::HeaderNames, self.header_names),
            (Section::HeaderSlots, self.header_slots),
            (Section::Needs, byte_sets),
        ] {
            sections[section as usize] = bytes;
        }
        let blob = assemble(&sections)?;
        self.summary.blob_bytes = blob.len();
        Ok(Compiled { blob, summary: self.summary })
    }
}

fn assemble(sections: &[Vec<u8>; format::SECTIONS]) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    let mut table = Vec::new();
    let start = format::HEADER_LEN + format::SECTIONS * 8;
    for section in sections {
        // Aligned, so that a table never straddles more cache lines than it must.
        while !(start + body.len()).is_multiple_of(4) {
            body.push(0);
        }
        let offset: u32 = fit("bytes of ruleset", start + body.len(), u32::MAX as usize)?;
        table.extend(offset.to_le_bytes());
        table.extend((section.len() as u32).to_le_bytes());
        body.extend(section);
    }
    let mut blob = Vec::new();
    blob.extend(format::MAGIC);
    blob.extend(format::VERSION.to_le_bytes());
    blob.extend((format::SECTIONS as u16).to_le_bytes());
    blob.extend(fit::<u32>("bytes of ruleset", start + body.len(), u32::MAX as usize)?.to_le_bytes());
    let content = [table, body].concat();
    blob.extend(picket_waf::crc32(&content).to_le_bytes());
    blob.extend(content);
    Ok(blob)
}
