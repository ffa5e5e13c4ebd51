//! Rules and tables to the blob.

use std::collections::{BTreeMap, HashMap};

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
const MAX_FLAGS: usize = 31;
/// Most byte sets that one pattern asks for.
const NEEDS_OF_A_PATTERN: usize = 3;

pub(crate) fn emit(mut source: Source, dense_rows: usize) -> Result<Compiled, Error> {
    let mut emitter = Emitter { dense_rows, ..Emitter::default() };
    emitter.node(0, None)?;
    // Structural checks come first, so that the engine finds them without a search.
    for structural in [true, false] {
        for (index, rule) in source.rules.iter_mut().enumerate() {
            for check in std::mem::take(&mut rule.checks) {
                if is_structural(&check) == structural {
                    emitter.check(index, rule.id, &check)?;
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
    for name in &source.ignored_headers {
        let name = emitter.text(name)?;
        emitter.ignored_headers.extend(name);
    }
    emitter.finish(source.rules.len())
}

/// See [`Section::Meta`].
fn is_structural(check: &Check) -> bool {
    let looks_at = |variable| check.targets.iter().any(|target| target.variable == variable);
    let unconditional = || {
        check.operator == Operator::NotRx
            || check.patterns.iter().any(|pattern| !matches!(literals::required(pattern), Ok(Some(_))))
    };
    check.operator == Operator::Absent
        || looks_at(Variable::HeaderCount)
        || looks_at(Variable::RequestHeaders) && unconditional()
}

/// The headers, if a check looks at all of them.
fn whole_headers(check: &Check) -> Option<Variable> {
    check.targets.iter().any(Target::is_all_headers).then_some(Variable::RequestHeaders)
}

/// A pattern, as the sets need it.
struct Pattern {
    rule: u32,
    automaton: usize,
    check: u16,
    needs: Vec<ByteSet>,
    variables: u32,
    nodes: Vec<usize>,
    always: bool,
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
    literals: BTreeMap<Vec<u8>, Vec<u16>>,
    ignored_headers: Vec<u8>,
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

    fn check(&mut self, rule: usize, id: u32, check: &Check) -> Result<(), Error> {
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
                    if !target.exclude {
                        selected |= target.variable.bit();
                    }
                    list.extend([target.variable as u8, u8::from(target.exclude)]);
                    list.extend(self.text(name)?);
                }
            }
        }
        let selectors: u16 = fit("selectors", list.len() / format::SELECTOR_LEN, usize::from(u16::MAX))?;
        let first_selector = self.selector_list(list)?;
        let first_pattern: u16 = fit("patterns", self.patterns.len(), usize::from(format::OUTPUT_FLAG) - 1)?;
        // A structural check is put to its headers by name; it waits for no literal in them.
        let named = if is_structural(check) { Variable::RequestHeaders.bit() } else { 0 };
        if named != 0 && selected & named != 0 && nodes != [0] {
            let problem =
                "a pattern that runs on a named header without a literal sees it as it came: no pipeline";
            return Err(Error::rule(id, "pipeline", problem));
        }
        let swept = (variables | selected) & !named;
        let number: u16 = fit("checks", self.check_count, usize::from(u16::MAX))?;
        for pattern in &check.patterns {
            self.pattern(id, number, &nodes, swept, check, pattern)?;
        }
        self.checks.extend(fit::<u16>("rules", rule, usize::from(u16::MAX))?.to_le_bytes());
        self.checks.push(0);
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

    fn pattern(
        &mut self,
        id: u32,
        number: u16,
        nodes: &[usize],
        variables: u32,
        check: &Check,
        pattern: &str,
    ) -> Result<(), Error> {
        if pattern.bytes().any(|byte| byte.is_ascii_uppercase()) && !pattern.contains('\\') {
            return Err(Error::rule(id, pattern, "write patterns in lower case: they ignore case"));
        }
        let index = self.patterns.len() as u16;
        let literals = match check.operator {
            Operator::Rx if !check.literals.is_empty() => {
                Some(check.literals.iter().map(|literal| literal.to_ascii_lowercase().into_bytes()).collect())
            }
            Operator::Rx => {
                literals::required(pattern).map_err(|problem| Error::rule(id, pattern, problem))?
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
        let clean_hits = prefilter::CLEAN
            .lines()
            .map(|line| line.to_ascii_lowercase().into_bytes())
            .filter(|line| {
                let has = |set: &ByteSet| line.iter().any(|byte| set >> byte & 1 != 0);
                let holds = |literal: &Vec<u8>| line.windows(literal.len()).any(|part| part == literal);
                needs.iter().all(has) && literals.iter().flatten().any(holds)
            })
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
            automaton,
            check: number,
            needs,
            variables,
            nodes: nodes.to_vec(),
            always,
        });
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
        let words = self.patterns.len().div_ceil(32);
        let mut variables = Vec::new();
        let mut variable_patterns = vec![0u32; Variable::COUNT * words];
        let mut always = vec![0u32; Variable::COUNT * words];
        let mut node_patterns = vec![0u32; self.nodes.len() * words];
        for variable in Variable::ALL {
            let (mut wanted, mut any_always) = (0u32, 0u32);
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
                    any_always = 1;
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

        let needs: Vec<Vec<ByteSet>> = self.patterns.iter().map(|pattern| pattern.needs.clone()).collect();
        let needs = needs::choose(&needs, format::NEEDS);
        let byte_sets = (0..=255u8).flat_map(|byte| {
            let special = if matches!(byte, b'=' | b'&' | b'%' | b'+') { format::SPECIAL_BYTE } else { 0 };
            let sets = needs.iter().enumerate().filter(|(_, set)| byte < 128 && *set >> byte & 1 != 0);
            sets.fold(special, |mask, (bit, _)| mask | 1 << bit).to_le_bytes()
        });
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
            let bit =
                |set: &ByteSet| needs.iter().position(|known| known == set).map_or(0, |bit| 1u32 << bit);
            let mask = pattern.needs.iter().fold(0, |mask, set| mask | bit(set));
            pattern_records.extend(mask.to_le_bytes());
        }

        let prefilter = prefilter::build(&self.literals, self.dense_rows)?;
        let structural: u16 = fit("structural checks", self.structural, usize::from(u16::MAX))?;
        let meta = [prefilter.classes, prefilter.hot, prefilter.dense_len, structural, prefilter.loud]
            .into_iter()
            .flat_map(u16::to_le_bytes)
            .collect();
        let words_to_bytes =
            |words: Vec<u32>| words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
        self.summary.prefilter_bytes = prefilter.map.len()
            + prefilter.dense.len()
            + prefilter.sparse_index.len()
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
            (Section::PrefilterSparseIndex, prefilter.sparse_index),
            (Section::PrefilterSparse, prefilter.sparse),
            (Section::PrefilterOutputIndex, prefilter.output_index),
            (Section::PrefilterOutputs, prefilter.outputs),
            (Section::Automata, automata),
            (Section::JointClasses, joint.of),
            (Section::IgnoredHeaders, self.ignored_headers),
            (Section::Needs, byte_sets.collect()),
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
