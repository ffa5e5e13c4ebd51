//! What a match does.

use alloc::vec::Vec;

use super::evaluate::{MatchedVar, note};
use super::report::{Interruption, Matched, Verb};
use super::store::{Digits, Value};
use super::transaction::Transaction;
use crate::Variable;
use crate::body::Processor;
use crate::format::*;
use crate::ruleset::Hot;
use crate::transform::Transformation;

/// Most targets that `ctl` removes in a transaction.
const MAX_REMOVED_TARGETS: usize = 256;
/// Names in TX whose increases are a rule's score.
const SCORES: [&[u8]; 2] = [b"inbound_anomaly_score_pl", b"outbound_anomaly_score_pl"];

impl<'r> Transaction<'r> {
    /// `setvar`: for each value that matches, whether the rest of the chain does or not.
    pub(super) fn set_variables(&mut self, rule: &Hot) {
        for at in 0..usize::from(rule.action_count) {
            let action: Action = self.rules.record(Section::Actions, rule.actions as usize + at);
            if action.kind <= action::UNSET {
                self.set_variable(&action);
            }
        }
    }

    #[inline(never)]
    fn set_variable(&mut self, action: &Action) {
        let Some(collection) = Variable::from_u8(action.collection) else { return };
        let in_slot = collection == Variable::Tx && action.slot < MADE_UP16;
        let mut name = core::mem::take(&mut self.name);
        name.clear();
        if !in_slot {
            self.expand(action.name, &mut name);
        }
        self.set_named(action, collection, in_slot, &name);
        self.name = name;
    }

    fn set_named(&mut self, action: &Action, collection: Variable, in_slot: bool, name: &[u8]) {
        let value = match action.kind {
            action::UNSET => Value::None,
            action::SET => self.value_of(action.value),
            _ => {
                let by = match action.value.parts {
                    0 => action.number,
                    _ => {
                        let value = self.value_of(action.value);
                        self.number_of(value)
                    }
                };
                let by = if action.kind == action::SUBTRACT { by.saturating_neg() } else { by };
                if in_slot {
                    self.count_score(action.slot, by);
                }
                let now = if in_slot {
                    self.store.tx.get(usize::from(action.slot)).copied().unwrap_or_default()
                } else {
                    self.variable(collection, action.slot, name)
                };
                Value::Int(self.number_of(now).saturating_add(by))
            }
        };
        if in_slot {
            self.set_tx(usize::from(action.slot), value);
            return;
        }
        if collection == Variable::Tx
            && action.slot != MADE_UP16
            && let Some(slot) = self.tx_slot(name)
        {
            self.set_tx(slot, value);
            return;
        }
        if collection.is_persistent() && !self.touch_collection(collection) {
            return;
        }
        self.store.set_named(collection, name, value);
    }

    /// Sets a variable in TX by its number, and wakes the rules that wait for that.
    fn set_tx(&mut self, slot: usize, value: Value<'r>) {
        if let Some(place) = self.store.tx.get_mut(slot) {
            *place = value;
        }
        let TxUse { first, count } = self.rules.record(Section::TxUses, slot);
        if count != 0 {
            self.screen.wake(&self.rules, first, count);
        }
    }

    fn variable(&self, collection: Variable, slot: u16, name: &[u8]) -> Value<'r> {
        let may_have_number = collection == Variable::Tx && slot != MADE_UP16;
        match may_have_number.then(|| self.tx_slot(name)).flatten() {
            Some(slot) => self.store.tx.get(slot).copied().unwrap_or_default(),
            None => self.store.named(collection, name),
        }
    }

    /// The number of a name in TX, if it has one.
    fn tx_slot(&self, name: &[u8]) -> Option<usize> {
        (0..self.store.tx.len()).find(|&slot| {
            let text: TextRecord = self.rules.record(Section::TxNames, slot);
            text.len as usize == name.len() && self.rules.text(text).eq_ignore_ascii_case(name)
        })
    }

    fn count_score(&mut self, slot: u16, by: i64) {
        let name = self.tx_name(usize::from(slot));
        if SCORES.iter().any(|prefix| name.starts_with(prefix)) {
            self.scored = self.scored.saturating_add(by);
        }
    }

    /// Everything but `setvar` and what is disruptive: once, when the rest of the chain matched too.
    pub(super) fn after_match(&mut self, record: usize) {
        let rule = self.rules.rule(record);
        for at in 0..usize::from(rule.action_count) {
            let action: Action = self.rules.record(Section::Actions, rule.actions as usize + at);
            if action.kind > action::UNSET {
                self.act(&action);
            }
        }
        self.highest_severity = self.highest_severity.min(rule.severity);
    }

    #[inline(never)]
    fn act(&mut self, action: &Action) {
        let on = action.number != 0;
        match action.kind {
            action::EXPIRE => self.expire(action),
            action::INIT_COLLECTION | action::SET_KEY => self.init_collection(action),
            action::SET_ENV => {
                let mut name = Vec::new();
                self.expand(action.name, &mut name);
                let value = self.value_of(action.value);
                self.store.set_named(Variable::Env, &name, value);
            }
            action::CTL_ENGINE => self.set_engine(action.number as u8),
            action::CTL_REMOVE_RULES => {
                let words = self.meta.rule_words as usize;
                let set = self.rules.rule_set(action.index as usize, words);
                if self.removed.len() < set.len() {
                    self.removed.resize(set.len(), 0);
                }
                for (word, more) in self.removed.iter_mut().zip(set) {
                    *word |= u32::from_le_bytes(*more);
                }
            }
            action::CTL_REMOVE_TARGET if self.removed_targets.len() < MAX_REMOVED_TARGETS => {
                let target = self.rules.target(action.number as usize);
                self.removed_targets.push((action.index, target));
                note(&mut self.removed_variables, target.variable);
            }
            action::CTL_REMOVE_TARGET => self.store.dropped += 1,
            action::CTL_PROCESSOR => {
                self.processor = match action.number {
                    processor::URLENCODED => Some(Processor::UrlEncoded),
                    processor::MULTIPART => Some(Processor::Multipart),
                    processor::XML => Some(Processor::Xml),
                    processor::JSON => Some(Processor::Json),
                    _ => None,
                };
                self.wake_for_body();
            }
            action::CTL_REQUEST_BODY => self.request_body_access = on,
            action::CTL_RESPONSE_BODY => self.response_body_access = on,
            action::CTL_FORCE_BODY => self.force_body = on,
            action::CTL_AUDIT_ENGINE => {
                self.audit_engine = match action.number {
                    0 => 0,
                    1 => switch::AUDIT_ALL,
                    _ => switch::AUDIT_RELEVANT,
                }
            }
            action::CTL_AUDIT_PARTS => self.change_audit_parts(action),
            _ => {}
        }
    }

    /// `+E`, `-C` or `ABCZ`.
    fn change_audit_parts(&mut self, action: &Action) {
        let mut text = Vec::new();
        self.expand(action.name, &mut text);
        let (sign, letters) = match &*text {
            [sign @ (b'+' | b'-'), letters @ ..] => (*sign, letters),
            letters => (b'=', letters),
        };
        let upper = letters.iter().map(u8::to_ascii_uppercase).filter(u8::is_ascii_uppercase);
        let bits = upper.fold(0, |bits, letter| bits | 1 << (letter - b'A'));
        self.audit_parts = match sign {
            b'+' => self.audit_parts | bits,
            b'-' => self.audit_parts & !bits,
            _ => bits,
        };
    }

    /// Reports a match of a whole chain and does what is disruptive.
    #[inline(never)]
    pub(super) fn report(&mut self, head: usize, first: &MatchedVar<'r>) {
        let rule = &self.rules.rule(head);
        if rule.flags & flag::AUDIT_LOG != 0 {
            self.audit = true;
        }
        if rule.flags & flag::LOG != 0 {
            if self.matches.len() < self.settings.max_matches {
                let matched = self.describe(head, rule, first);
                self.matches.push(matched);
            } else {
                self.unreported += 1;
            }
        }
        self.disrupt(rule);
    }

    fn describe(&mut self, head: usize, rule: &Rule, matched: &MatchedVar<'r>) -> Matched {
        let mut location = Vec::new();
        self.write_name(matched, &mut location);
        location.truncate(self.settings.max_excerpt);
        let explain = self.settings.explain;
        Matched {
            rule: head,
            id: rule.id,
            phase: self.phase,
            severity: rule.severity,
            message: self.expand_message(rule.message),
            data: self.expand_message(rule.logdata),
            location,
            matched: self.excerpt(matched.found),
            value: if explain { self.excerpt(matched.raw) } else { Vec::new() },
            transformations: if explain { self.transformations(rule.pipeline) } else { Vec::new() },
            score: u32::try_from(self.scored.max(0)).unwrap_or(u32::MAX),
            audit: rule.flags & flag::AUDIT_LOG != 0,
        }
    }

    fn excerpt(&self, value: Value<'r>) -> Vec<u8> {
        let mut digits = Digits::default();
        let text = self.store.text(value, &mut digits);
        text.get(..self.settings.max_excerpt).unwrap_or(text).to_vec()
    }

    fn transformations(&self, pipeline: u16) -> Vec<u8> {
        let pipeline: Pipeline = self.rules.record(Section::Pipelines, usize::from(pipeline));
        let mut names = Vec::new();
        for &number in self.rules.data(pipeline.transformations) {
            if let Some(transformation) = Transformation::from_u8(number) {
                if !names.is_empty() {
                    names.push(b',');
                }
                names.extend_from_slice(transformation.name().as_bytes());
            }
        }
        names
    }

    /// `deny`, `drop`, `redirect`: only an engine that is on acts. After phase 4 it is too late.
    fn disrupt(&mut self, rule: &Rule) {
        let (verb, default) = match rule.disruptive {
            disruptive::DENY => (Verb::Deny, 403),
            disruptive::DROP => (Verb::Drop, 403),
            disruptive::REDIRECT => (Verb::Redirect, 302),
            _ => return,
        };
        if self.engine != engine::ON || self.phase > 4 || self.interruption.is_some() {
            return;
        }
        let mut location = Vec::new();
        if verb == Verb::Redirect {
            self.expand(rule.redirect, &mut location);
        }
        let status = if rule.status == 0 { default } else { rule.status };
        self.interruption =
            Some(Interruption { verb, status, location, rule_id: rule.id, phase: self.phase });
    }
}
