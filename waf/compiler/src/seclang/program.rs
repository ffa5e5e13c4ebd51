//! The rules as the compiler works on them: one list, in the order in which they run, with jumps by
//! position.

use std::ops::RangeInclusive;

use picket_seclang::Variable;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::syntax::{
    Action, Configuration, Control, Disruption, Item, Link, Piece, Rule, Selector, SetOperation, Target,
    Template, TextMatcher,
};

/// A rule in its place.
pub(super) struct Step {
    /// Where it stands among the items of the files: jumps compare it.
    pub position: usize,
    /// After a match the phase goes on at the first rule of this position or behind it.
    pub jump: Option<usize>,
    pub rule: Rule,
}

impl Step {
    pub fn phase(&self) -> usize {
        usize::from(self.rule.phase.number())
    }
}

/// Rules in the order in which they run.
pub(super) struct Program {
    pub steps: Vec<Step>,
    /// Rules whose `skipAfter` names no marker behind them: they pass over the rest of the phase.
    pub without_marker: Vec<usize>,
}

impl Program {
    pub fn new(configuration: &mut Configuration) -> Self {
        let items = std::mem::take(&mut configuration.items);
        let end = items.len();
        let mut by_phase: Vec<Vec<Step>> = (0..6).map(|_| Vec::new()).collect();
        let mut markers: Vec<(usize, Vec<u8>)> = Vec::new();
        for (position, item) in items.into_iter().enumerate() {
            match item {
                Item::Marker(marker) => markers.push((position, marker.name)),
                Item::Rule(rule) => {
                    by_phase[usize::from(rule.phase.number())].push(Step { position, jump: None, rule });
                }
            }
        }
        for steps in &mut by_phase {
            let positions: Vec<usize> = steps.iter().map(|step| step.position).collect();
            for (at, step) in steps.iter_mut().enumerate() {
                if let Some(name) = &step.rule.skip_after {
                    let marker =
                        markers.iter().find(|(place, other)| *place > step.position && other == name);
                    step.jump = Some(marker.map_or(usize::MAX, |(place, _)| *place));
                } else if step.rule.skip > 0 {
                    let next = at + 1 + step.rule.skip as usize;
                    step.jump = Some(positions.get(next).copied().unwrap_or(end));
                }
            }
        }
        let steps: Vec<Step> = by_phase.into_iter().flatten().collect();
        let without_marker = (0..steps.len()).filter(|&at| steps[at].jump == Some(usize::MAX)).collect();
        Program { steps, without_marker }
    }

    /// Where each phase begins among the steps, from index 1; index 6 is the end.
    pub fn phases(&self) -> [usize; 7] {
        std::array::from_fn(|phase| self.steps.partition_point(|step| step.phase() < phase))
    }
}

/// Whether the rule's match keeps others from running, or is seen outside.
pub(super) fn disrupts(rule: &Rule) -> bool {
    rule.disruption != Disruption::Pass
}

/// The text of a template without macros.
pub(super) fn fixed(template: &Template) -> Option<Vec<u8>> {
    match template.pieces.as_slice() {
        [] => Some(Vec::new()),
        [Piece::Literal(text)] => Some(text.clone()),
        _ => None,
    }
}

/// A template of nothing but text.
pub(super) fn literal(text: Vec<u8>) -> Template {
    Template { pieces: if text.is_empty() { Vec::new() } else { vec![Piece::Literal(text)] } }
}

/// The template as rules write it.
pub(super) fn written(template: &Template) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in &template.pieces {
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text),
            Piece::Macro { variable, key } => {
                out.extend_from_slice(b"%{");
                out.extend_from_slice(variable.name().to_ascii_lowercase().as_bytes());
                if let Some(key) = key {
                    out.push(b'.');
                    out.extend_from_slice(key);
                }
                out.push(b'}');
            }
        }
    }
    out
}

/// Every template of a rule.
pub(super) fn templates(rule: &mut Rule) -> Vec<&mut Template> {
    let mut all: Vec<&mut Template> = Vec::new();
    if let Disruption::Redirect(to) = &mut rule.disruption {
        all.push(to);
    }
    all.extend(rule.links.iter_mut().flat_map(link_templates));
    all
}

/// Every template of a link.
pub(super) fn link_templates(link: &mut Link) -> Vec<&mut Template> {
    let Link { targets, operator, message, log_data, tags, actions, .. } = link;
    let mut all: Vec<&mut Template> = Vec::new();
    for target in targets {
        if let Selector::Macro(key) = &mut target.selector {
            all.push(key);
        }
    }
    all.extend(operator.iter_mut().map(|operator| &mut operator.argument));
    all.extend(message.iter_mut().chain(log_data).chain(tags));
    for action in actions {
        match action {
            Action::SetVar { name, operation, .. } => {
                all.push(name);
                match operation {
                    SetOperation::Set(value) | SetOperation::Add(value) | SetOperation::Subtract(value) => {
                        all.push(value);
                    }
                    SetOperation::Remove => {}
                }
            }
            Action::ExpireVar { name, seconds, .. } => all.extend([name, seconds]),
            Action::OpenCollection { key, .. } => all.push(key),
            Action::SetEnv { name, value } => all.extend([name, value]),
            Action::Control(_) => {}
        }
    }
    all
}

/// A control that concerns rules, ready to tell which.
pub(super) struct Concern<'a> {
    /// What rules do not look at any more; `None`: they do not run any more.
    pub target: Option<&'a Target>,
    ids: &'a [RangeInclusive<u32>],
    tag: Option<TextMatcher>,
    message: Option<TextMatcher>,
}

impl<'a> Concern<'a> {
    /// `None` for a control that concerns no rules, or whose pattern is none.
    pub fn new(control: &'a Control) -> Option<Self> {
        let mut concern = Concern { target: None, ids: &[], tag: None, message: None };
        match control {
            Control::RemoveById(ids) => concern.ids = ids,
            Control::RemoveByTag(tag) => concern.tag = Some(tag.matcher().ok()?),
            Control::RemoveByMessage(message) => concern.message = Some(message.matcher().ok()?),
            Control::RemoveTargetById(ids, target) => (concern.ids, concern.target) = (ids, Some(target)),
            Control::RemoveTargetByTag(tag, target) => {
                (concern.tag, concern.target) = (Some(tag.matcher().ok()?), Some(target));
            }
            Control::RemoveTargetByMessage(message, target) => {
                (concern.message, concern.target) = (Some(message.matcher().ok()?), Some(target));
            }
            _ => return None,
        }
        Some(concern)
    }

    /// Which links of a rule are meant, the head first. A rule is out if its head is meant.
    pub fn links<'r>(&self, rule: &'r Rule) -> impl Iterator<Item = bool> + use<'r, '_, 'a> {
        rule.links.iter().enumerate().map(|(at, link)| {
            (at == 0 && self.ids.iter().any(|range| range.contains(&rule.id)))
                || self
                    .tag
                    .as_ref()
                    .is_some_and(|tag| link.tags.iter().any(|own| tag.is_match(&written(own))))
                || self.message.as_ref().is_some_and(|message| {
                    link.message.as_ref().is_some_and(|own| message.is_match(&written(own)))
                })
        })
    }

    /// Whether the head of a rule is meant.
    pub fn means(&self, rule: &Rule) -> bool {
        self.links(rule).next().unwrap_or(false)
    }
}

/// The regex of a key: case does not count. `None` if it is none.
pub(super) fn regex(pattern: &str) -> Option<Regex> {
    let syntax = syntax::Config::new().unicode(false).utf8(false).case_insensitive(true);
    Regex::builder().syntax(syntax).build(pattern).ok()
}

/// The name of a variable in TX that an action sets.
pub(super) fn tx_name(collection: Variable, name: &Template) -> Option<Vec<u8>> {
    if collection != Variable::Tx {
        return None;
    }
    fixed(name).map(|name| name.to_ascii_lowercase())
}
