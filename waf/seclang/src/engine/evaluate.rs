//! A rule and its chain: which values its targets have, and what happens where one matches.

use super::confirm::Found;
use super::screen::State;
use super::store::{Digits, Value, covers, halves, parts};
use super::transaction::Transaction;
use crate::Variable;
use crate::body::is_same_text;
use crate::format::*;
use crate::ruleset::Hot;
use crate::transform::Transformation;

/// Most values in MATCHED_VARS.
const MAX_MATCHED: usize = 1024;

/// A value that an operator matched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MatchedVar<'r> {
    /// The rule's target.
    pub variable: u8,
    /// Whether the target was a count.
    pub count: bool,
    pub key: Value<'r>,
    /// Behind the transformations.
    pub value: Value<'r>,
    /// Before them.
    pub raw: Value<'r>,
    /// The part that the operator found.
    pub found: Value<'r>,
}

/// Where a value is that an operator is to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'r> {
    Value(Value<'r>),
    /// A buffer of [`Transaction::work`].
    Work(usize),
}

/// The rule at hand.
pub(crate) struct Context {
    /// Its record, and that of its chain's first rule.
    pub index: usize,
    pub head: usize,
    pub rule: Hot,
    /// Its operator.
    pub operator: u8,
    pub data: Text,
    pub argument: Template,
    pub number: i64,
    /// Whether any of its values may be left out.
    pub excludes: bool,
    /// The variables of which its own exclusions take values, one bit each.
    pub excluded: [u32; 8],
}

/// Adds a variable, with those that its values are stored under, to a set of variables.
pub(super) fn note(set: &mut [u32; 8], variable: u8) {
    let (one, other) = halves(variable);
    for variable in [variable, one, other] {
        set[usize::from(variable / 32)] |= 1 << (variable % 32);
    }
}

impl<'r> Transaction<'r> {
    /// Runs a rule with its chain. True if all of it matched; then all of its actions are done.
    pub(super) fn evaluate_chain(&mut self, head: usize) -> bool {
        let rule = self.rules.hot(head);
        if rule.flags & (flag::LEAVES | flag::OBSERVES) != 0 && !self.settle(head, rule.flags) {
            return false;
        }
        let Some(first) = self.match_chain(head, rule) else { return false };
        // The innermost link's actions come first.
        for record in (head..=head + usize::from(rule.links)).rev() {
            self.after_match(record);
        }
        self.report(head, &first);
        true
    }

    /// Asks a rule and the links of its chain, as far as they match. What the head matched last, if all did.
    fn match_chain(&mut self, head: usize, rule: Hot) -> Option<MatchedVar<'r>> {
        self.matched_vars.clear();
        self.chained = rule.links != 0;
        self.current = head;
        self.scored = 0;
        if !self.evaluate(head, head, rule) {
            return None;
        }
        // A rule without a condition has looked at nothing: what the last match left is not its own.
        let unconditional = rule.flags & flag::UNCONDITIONAL != 0;
        let first = if unconditional { MatchedVar::default() } else { self.matched };
        for link in head + 1..=head + usize::from(rule.links) {
            if !self.evaluate(head, link, self.rules.hot(link)) {
                return None;
            }
        }
        Some(first)
    }

    /// Settles what rules leave behind that cannot match as a whole: they are noted, and asked when a rule
    /// comes that could see it. False for a rule that need not run.
    #[inline(never)]
    fn settle(&mut self, head: usize, flags: u32) -> bool {
        if flags & flag::OBSERVES != 0 {
            let removed = self.removed_targets.len();
            for (rule, then) in core::mem::take(&mut self.passed) {
                // What was removed since was not removed for it.
                let since = self.removed_targets.split_off(then.min(removed));
                let _cannot_match = self.match_chain(rule, self.rules.hot(rule));
                self.removed_targets.extend(since);
            }
        }
        let waits = flags & flag::LEAVES != 0 && !self.screen.is_awake(head);
        if waits {
            self.passed.push((head, self.removed_targets.len()));
        }
        !waits
    }

    /// Runs one rule of a chain. Its variables are set for each value that matches.
    fn evaluate(&mut self, head: usize, index: usize, rule: Hot) -> bool {
        if rule.flags & flag::UNCONDITIONAL != 0 {
            self.set_variables(&rule);
            return true;
        }
        let matcher = self.rules.matcher(usize::from(rule.matcher));
        let mut context = Context {
            index,
            head,
            rule,
            operator: matcher.operator,
            data: matcher.data,
            argument: matcher.argument,
            number: matcher.number,
            excludes: rule.flags & flag::EXCLUDES != 0 || !self.removed_targets.is_empty(),
            excluded: [0; 8],
        };
        if rule.flags & flag::EXCLUDES != 0 {
            self.note_exclusions(&mut context);
        }
        let context = context;
        let scanned = rule.flags & (flag::SCANNED | flag::LINK) == flag::SCANNED;
        let mut any = false;
        for at in 0..usize::from(rule.target_count) {
            let target = self.rules.target(rule.targets as usize + at);
            if target.flags & target::EXCLUDE != 0 {
                continue;
            }
            any |= if scanned {
                self.evaluate_candidates(&context, &target)
            } else {
                self.evaluate_target(&context, &target)
            };
        }
        any
    }

    #[inline(never)]
    fn note_exclusions(&self, context: &mut Context) {
        for at in 0..usize::from(context.rule.target_count) {
            let target = self.rules.target(context.rule.targets as usize + at);
            if target.flags & target::EXCLUDE != 0 {
                note(&mut context.excluded, target.variable);
            }
        }
    }

    /// A target of a scanned rule: its candidates.
    fn evaluate_candidates(&mut self, context: &Context, target: &Target) -> bool {
        let rule = &context.rule;
        let multi = rule.flags & flag::MULTI_MATCH != 0;
        let bit = 1u64 << (rule.pipeline % 64);
        let captures = rule.flags & flag::CAPTURE != 0;
        let (one, other) = halves(target.variable);
        if self.store.is_absent(one) && self.store.is_absent(other) {
            return false;
        }
        let mut any = false;
        let mut at = self.screen.first(rule.matcher);
        let mut last_entry = NONE;
        while let Some(candidate) = self.screen.candidate(at) {
            let number = core::mem::replace(&mut at, candidate.next);
            // Any variant may be one that a rule with multiMatch comes by.
            if candidate.state == State::NoMatch
                || !multi && candidate.pipelines & bit == 0
                || multi && candidate.entry == last_entry
            {
                continue;
            }
            let entry = self.store.entry(candidate.entry);
            if entry.variable != one && entry.variable != other
                || !self.has_key(target, Value::Stored(entry.key))
                || self.is_excluded(context, entry.variable, Value::Stored(entry.key))
            {
                continue;
            }
            let (key, raw) = (Value::Stored(entry.key), Value::Stored(entry.value));
            let subject = Subject::Value(Value::Stored(candidate.variant));
            let known = candidate.state == State::Match && (multi || !captures);
            let matches = known || self.ask(context, subject, None);
            if candidate.state == State::Possible {
                self.screen.judge(number, matches);
            }
            if matches != (rule.flags & flag::NEGATED == 0) {
                continue;
            }
            if multi {
                // Which of its steps match, and in which order, the pipeline itself tells.
                last_entry = candidate.entry;
                any |= self.check(context, target.variable, key, raw);
            } else {
                any = true;
                self.matches_at(context, target.variable, false, key, raw, subject);
            }
        }
        any
    }

    /// Whether a value belongs to a target, and no exclusion takes it away.
    fn fits(&mut self, context: &Context, target: &Target, variable: u8, key: Value<'r>) -> bool {
        covers(target.variable, variable)
            && self.has_key(target, key)
            && !self.is_excluded(context, variable, key)
    }

    /// Whether a key is the one that a target asks for, if it asks for one.
    #[inline]
    fn has_key(&mut self, target: &Target, key: Value<'r>) -> bool {
        if target.flags & (target::KEY | target::REGEX) == 0 {
            return true;
        }
        // Most are told by the length.
        let other = matches!(key, Value::Stored(key) if key.len != target.key.len);
        !(other && target.flags & target::KEY != 0) && self.is_key(target, key)
    }

    #[inline(never)]
    fn is_key(&mut self, target: &Target, key: Value<'r>) -> bool {
        let mut digits = Digits::default();
        let key = self.store.text(key, &mut digits);
        if target.flags & target::KEY != 0 {
            // The length first: a rule may leave out many.
            return target.key.len as usize == key.len() && is_same_text(self.rules.text(target.key), key);
        }
        // Most keys differ from the pattern at its first letters.
        let beginning = self.rules.text(target.key);
        key.get(..beginning.len())
            .is_some_and(|start| start == beginning || start.eq_ignore_ascii_case(beginning))
            && (target.flags & target::BEGINS != 0
                || picket_regex::Regex::new(self.rules.data(target.regex)).is_match(&mut self.cache, key))
    }

    /// Whether the rule itself, or a `ctl` before it, leaves a value out.
    #[inline]
    fn is_excluded(&mut self, context: &Context, variable: u8, key: Value<'r>) -> bool {
        let word = usize::from(variable / 32);
        context.excludes
            && (context.excluded[word] | self.removed_variables[word]) >> (variable % 32) & 1 != 0
            && self.is_left_out(context, variable, key)
    }

    #[inline(never)]
    fn is_left_out(&mut self, context: &Context, variable: u8, key: Value<'r>) -> bool {
        let rule = &context.rule;
        for at in 0..usize::from(rule.target_count) {
            let target = self.rules.target(rule.targets as usize + at);
            if target.flags & target::EXCLUDE != 0
                && covers(target.variable, variable)
                && self.has_key(&target, key)
            {
                return true;
            }
        }
        let words = self.meta.rule_words as usize;
        for at in 0..self.removed_targets.len() {
            let Some(&(set, target)) = self.removed_targets.get(at) else { break };
            let set = set as usize;
            if covers(target.variable, variable)
                && (self.rules.rule_in_set(set, words, context.head)
                    || self.rules.rule_in_set(set, words, context.index))
                && self.has_key(&target, key)
            {
                return true;
            }
        }
        false
    }

    /// A target of any other rule: each of its values.
    #[inline(never)]
    fn evaluate_target(&mut self, context: &Context, target: &Target) -> bool {
        let Some(variable) = Variable::from_u8(target.variable) else { return false };
        let counts = target.flags & target::COUNT != 0;
        if variable == Variable::Tx && target.flags & target::KEY != 0 && target.slot != NONE16 {
            // What most rules that a scan cannot announce look at.
            let value = self.store.tx.get(usize::from(target.slot)).copied().unwrap_or_default();
            let key = Value::Fixed(self.rules.text(target.key));
            let there = value != Value::None && !self.is_excluded(context, target.variable, key);
            if counts {
                return self.check_as(context, target.variable, true, key, Value::Int(i64::from(there)));
            }
            return there && self.check(context, target.variable, key, value);
        }
        if counts
            && !context.excludes
            && target.flags & (target::KEY | target::REGEX) == 0
            && variable.is_collection()
            && is_stored(variable)
        {
            let count = Value::Int(i64::from(self.store.count(variable)));
            let key = Value::Fixed(self.rules.text(target.key));
            return self.check_as(context, target.variable, true, key, count);
        }
        if counts {
            let mut count = 0;
            self.each(context, target, variable, &mut |_, _, _| {
                count += 1;
                false
            });
            let key = Value::Fixed(self.rules.text(target.key));
            return self.check_as(context, target.variable, true, key, Value::Int(count));
        }
        self.each(context, target, variable, &mut |transaction, key, value| {
            transaction.check(context, target.variable, key, value)
        })
    }

    /// Calls `visit` with each value of a target that is not excluded; true if it ever says so.
    fn each(
        &mut self,
        context: &Context,
        target: &Target,
        variable: Variable,
        visit: &mut dyn FnMut(&mut Self, Value<'r>, Value<'r>) -> bool,
    ) -> bool {
        let mut any = false;
        match variable {
            Variable::Tx => any |= self.each_tx(context, target, visit),
            Variable::MatchedVars | Variable::MatchedVarsNames => {
                // A match adds to the list; what it adds is not asked.
                for at in 0..self.matched_vars.len() {
                    let Some(&matched) = self.matched_vars.get(at) else { break };
                    let name = self.keep_name(&matched);
                    let value = if variable == Variable::MatchedVars { matched.value } else { name };
                    if self.fits(context, target, target.variable, name) {
                        any |= visit(self, name, value);
                    }
                }
            }
            _ if variable == Variable::Env || variable.is_persistent() => {
                any |= self.each_named(context, target, visit);
            }
            Variable::Rule => {
                let key = Value::Fixed(self.rules.text(target.key));
                let value = self.rule_value(self.rules.text(target.key));
                if value != Value::None {
                    any |= visit(self, key, value);
                }
            }
            _ if variable.is_collection() || matches!(variable, Variable::Xml | Variable::XmlAttributes) => {
                for part in parts(variable) {
                    let mut at = self.store.first(*part);
                    while let Some((next, entry)) = self.store.step(at) {
                        at = next;
                        let key = Value::Stored(entry.key);
                        if self.fits(context, target, entry.variable, key) {
                            any |= visit(self, key, Value::Stored(entry.value));
                        }
                    }
                }
            }
            _ => {
                if !self.is_excluded(context, target.variable, Value::None) {
                    let value = self.scalar(variable);
                    any |= visit(self, Value::None, value);
                }
            }
        }
        any
    }

    fn each_tx(
        &mut self,
        context: &Context,
        target: &Target,
        visit: &mut dyn FnMut(&mut Self, Value<'r>, Value<'r>) -> bool,
    ) -> bool {
        let mut any = false;
        if target.flags & target::MADE_UP != 0 {
            return self.each_named(context, target, visit);
        }
        for slot in 0..self.store.tx.len() {
            let Some(&value) = self.store.tx.get(slot) else { break };
            if value == Value::None {
                continue;
            }
            let name = self.rules.text(self.rules.record(Section::TxNames, slot));
            if self.fits(context, target, target.variable, Value::Fixed(name)) {
                any |= visit(self, Value::Fixed(name), value);
            }
        }
        any | self.each_named(context, target, visit)
    }

    fn each_named(
        &mut self,
        context: &Context,
        target: &Target,
        visit: &mut dyn FnMut(&mut Self, Value<'r>, Value<'r>) -> bool,
    ) -> bool {
        let mut any = false;
        for at in 0..self.store.named.len() {
            let Some(&named) = self.store.named.get(at) else { break };
            let key = Value::Stored(named.name);
            if named.value != Value::None && self.fits(context, target, named.variable, key) {
                any |= visit(self, key, named.value);
            }
        }
        any
    }

    fn check(&mut self, context: &Context, variable: u8, key: Value<'r>, raw: Value<'r>) -> bool {
        self.check_as(context, variable, false, key, raw)
    }

    /// Puts a value through the rule's pipeline and asks the operator.
    fn check_as(
        &mut self,
        context: &Context,
        variable: u8,
        count: bool,
        key: Value<'r>,
        raw: Value<'r>,
    ) -> bool {
        let multi = context.rule.flags & flag::MULTI_MATCH != 0;
        let pipeline: Pipeline = self.rules.record(Section::Pipelines, usize::from(context.rule.pipeline));
        let transformations = self.rules.data(pipeline.transformations);
        let mut subject = Subject::Value(raw);
        let mut any = false;
        let mut asked = false;
        if multi || transformations.is_empty() {
            any |= self.try_subject(context, variable, count, key, raw, subject);
            asked = true;
        }
        for &number in transformations {
            let Some(transformation) = Transformation::from_u8(number) else { continue };
            let into = match subject {
                Subject::Work(0) => 1,
                _ => 0,
            };
            let mut output = core::mem::take(&mut self.work[into]);
            let mut digits = Digits::default();
            let input = match subject {
                Subject::Value(value) => self.store.text(value, &mut digits),
                Subject::Work(from) => self.work.get(from).map_or(&[][..], |work| work),
            };
            let changed = transformation.apply(input, &mut output);
            self.work[into] = output;
            if changed {
                subject = Subject::Work(into);
                asked = false;
                if multi {
                    any |= self.try_subject(context, variable, count, key, raw, subject);
                    asked = true;
                }
            }
        }
        if !asked {
            any |= self.try_subject(context, variable, count, key, raw, subject);
        }
        any
    }

    fn try_subject(
        &mut self,
        context: &Context,
        variable: u8,
        count: bool,
        key: Value<'r>,
        raw: Value<'r>,
        subject: Subject<'r>,
    ) -> bool {
        if self.ask(context, subject, None) != (context.rule.flags & flag::NEGATED == 0) {
            return false;
        }
        self.matches_at(context, variable, count, key, raw, subject);
        true
    }

    /// A value matches: what the operator found in it is asked for only now.
    #[inline(never)]
    fn matches_at(
        &mut self,
        context: &Context,
        variable: u8,
        count: bool,
        key: Value<'r>,
        raw: Value<'r>,
        subject: Subject<'r>,
    ) {
        let mut found = Found::default();
        if context.rule.flags & (flag::CAPTURE | flag::NEGATED) == flag::CAPTURE {
            self.ask(context, subject, Some(&mut found));
        }
        self.on_match(context, variable, count, key, raw, subject, &found);
    }

    /// What happens at each value that matches: captures, MATCHED_VAR and its like, `setvar`.
    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "all of it describes one match")]
    fn on_match(
        &mut self,
        context: &Context,
        variable: u8,
        count: bool,
        key: Value<'r>,
        raw: Value<'r>,
        subject: Subject<'r>,
        found: &Found,
    ) {
        let value = match subject {
            Subject::Value(value) => value,
            Subject::Work(number) => {
                let bytes = self.work.get(number).map_or(&[][..], |work| work);
                Value::Stored(self.store.keep(bytes))
            }
        };
        let negated = context.rule.flags & flag::NEGATED != 0;
        let mut matched = MatchedVar { variable, count, key, value, raw, found: value };
        if !negated && context.rule.flags & flag::CAPTURE != 0 && found.any {
            matched.found = self.capture(value, found);
        }
        self.matched = matched;
        // Only the links of a chain can ask for them.
        if self.chained && self.matched_vars.len() < MAX_MATCHED {
            self.matched_vars.push(matched);
        }
        self.set_variables(&context.rule);
    }
}
