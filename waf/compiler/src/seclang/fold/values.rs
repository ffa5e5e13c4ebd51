//! Where the values go that rules of phase 1 certainly set.

use std::collections::{BTreeMap, BTreeSet};

use regex_automata::meta::Regex;

use super::super::program::{literal, regex, templates, tx_name};
use super::super::syntax::{Action, Piece, Rule, Selector, SetOperation, Variable};
use super::{Fate, Folder, Setter, Writes, bare};

/// What the engine reports of a transaction reads these.
const REPORTED: [&[u8]; 2] = [b"blocking_inbound_anomaly_score", b"blocking_outbound_anomaly_score"];

impl Folder<'_> {
    /// Takes the setting rules out where nobody can tell, and makes the others cheap. Gives what TX holds
    /// at the start.
    pub(super) fn place_values(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let setters = std::mem::take(&mut self.setters);
        for setter in &setters {
            self.fates[setter.step] = Fate::Done;
        }
        let mut init: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut late: BTreeSet<Vec<u8>> = BTreeSet::new();
        let readers = Readers::new(self);
        let mut block: Option<usize> = None;
        for Setter { step, sets, around } in setters {
            let mut rest: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            for (name, text) in sets {
                let read = readers.of(&name);
                let reported = REPORTED.contains(&name.as_slice());
                if read.is_empty() && !reported {
                    continue;
                }
                let seen_before = self
                    .left(0..step)
                    .any(|at| read.contains(&at) || Writes::of(&self.steps[at].rule).sets(&name));
                let bypassed = read.iter().any(|&at| self.steps[at].phase() >= around);
                if seen_before || bypassed || late.contains(&name) {
                    late.insert(name.clone());
                    rest.push((name, text));
                } else {
                    init.insert(name, text);
                }
            }
            if rest.is_empty() {
                continue;
            }
            let actions = rest.into_iter().map(|(name, text)| Action::SetVar {
                collection: Variable::Tx,
                name: literal(name),
                operation: SetOperation::Set(literal(text)),
            });
            let rule = &mut self.steps[step].rule;
            rule.links.truncate(1);
            rule.links[0].actions = actions.collect();
            self.fates[step] = Fate::Left;
            self.always[step] = true;
            block = match block {
                Some(first) if self.are_neighbours(first, step) => {
                    let actions = std::mem::take(&mut self.steps[step].rule.links[0].actions);
                    self.steps[first].rule.links[0].actions.extend(actions);
                    self.fates[step] = Fate::Done;
                    Some(first)
                }
                _ => Some(step),
            };
        }
        for at in 0..self.steps.len() {
            if self.fates[at] == Fate::Left && self.always[at] {
                self.drop_condition(at);
            }
        }
        init.into_iter().collect()
    }

    /// Whether the two always run together: nothing is left between them, and no jump ends there.
    fn are_neighbours(&self, first: usize, second: usize) -> bool {
        let end = self.phases[2];
        self.left(first + 1..second).next().is_none()
            && self.steps[second].jump.is_none()
            && self.steps[first].jump.is_none()
            && !self.left(0..first).any(|from| {
                self.landing(from, end).is_some_and(|landing| first < landing && landing <= second)
            })
    }

    /// Makes a rule that is known to match one that does not ask.
    fn drop_condition(&mut self, at: usize) {
        let rule = &mut self.steps[at].rule;
        let mut links = std::mem::take(&mut rule.links).into_iter();
        let Some(mut head) = links.next() else { return };
        head.actions.extend(links.flat_map(|link| link.actions));
        bare(&mut head);
        rule.links = vec![head];
    }
}

/// What the steps left read of TX.
struct Readers {
    /// Steps that read a name.
    names: BTreeMap<Vec<u8>, BTreeSet<usize>>,
    /// Steps that read what a regex finds; `None`: all.
    patterns: Vec<(Option<Regex>, usize)>,
    /// Steps that read names that begin so.
    prefixes: Vec<(Vec<u8>, usize)>,
}

impl Readers {
    fn new(folder: &Folder<'_>) -> Self {
        let mut readers = Readers { names: BTreeMap::new(), patterns: Vec::new(), prefixes: Vec::new() };
        for at in folder.left(0..folder.steps.len()) {
            let mut rule = folder.steps[at].rule.clone();
            if folder.always[at] {
                // Its condition will go.
                rule.links.iter_mut().for_each(bare);
            }
            readers.add(&mut rule, at);
        }
        readers
    }

    fn add(&mut self, rule: &mut Rule, at: usize) {
        for target in rule.links.iter().flat_map(|link| &link.targets) {
            if target.variable != Variable::Tx {
                continue;
            }
            match &target.selector {
                Selector::Key(key) => self.name(key, at),
                Selector::Pattern(pattern) => self.patterns.push((regex(pattern), at)),
                Selector::All | Selector::Macro(_) => self.patterns.push((None, at)),
            }
        }
        for action in rule.links.iter().flat_map(|link| &link.actions) {
            // Adding reads what was there.
            if let Action::SetVar { collection: Variable::Tx, name, operation } = action
                && matches!(operation, SetOperation::Add(_) | SetOperation::Subtract(_))
            {
                match tx_name(Variable::Tx, name) {
                    Some(name) => self.name(&name, at),
                    None => {
                        let prefix = match name.pieces.first() {
                            Some(Piece::Literal(text)) => text.to_ascii_lowercase(),
                            _ => Vec::new(),
                        };
                        self.prefixes.push((prefix, at));
                    }
                }
            }
        }
        let mut macros = Vec::new();
        for template in templates(rule) {
            for piece in &template.pieces {
                if let Piece::Macro { variable: Variable::Tx, key } = piece {
                    macros.push(key.clone());
                }
            }
        }
        for key in macros {
            match key {
                Some(key) => self.name(&key, at),
                None => self.patterns.push((None, at)),
            }
        }
    }

    fn name(&mut self, name: &[u8], at: usize) {
        self.names.entry(name.to_ascii_lowercase()).or_default().insert(at);
    }

    fn of(&self, name: &[u8]) -> BTreeSet<usize> {
        let mut steps = self.names.get(name).cloned().unwrap_or_default();
        for (regex, at) in &self.patterns {
            if regex.as_ref().is_none_or(|regex| regex.is_match(name)) {
                steps.insert(*at);
            }
        }
        let begins = |(prefix, _): &&(Vec<u8>, usize)| name.starts_with(prefix);
        steps.extend(self.prefixes.iter().filter(begins).map(|(_, at)| at));
        steps
    }
}
