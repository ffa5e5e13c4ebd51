//! Operators, put to a value.

use alloc::vec::Vec;
use core::ops::Range;

use picket_regex::{Cache, Regex};

use super::evaluate::{Context, Subject};
use super::store::{Digits, Value, number};
use super::transaction::Transaction;
use crate::format::*;
use crate::operator as ops;
use crate::operator::Fingerprint;
use crate::scan::PhraseSet;

/// Groups that `capture` sets: TX.0 to TX.9.
pub(crate) const GROUPS: usize = 10;

/// What an operator found, for `capture`.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Whether there is anything.
    pub any: bool,
    pub groups: [Option<Range<usize>>; GROUPS],
    /// In the place of group 0.
    pub fingerprint: Option<Fingerprint>,
}

impl Found {
    fn whole(&mut self, range: Range<usize>) {
        self.any = true;
        self.groups[0] = Some(range);
    }
}

/// An operator's argument.
#[derive(Clone, Copy)]
enum Argument<'r> {
    Value(Value<'r>),
    /// In [`Transaction::argument`].
    Expanded,
}

impl<'r> Transaction<'r> {
    /// Whether the rule's operator, without its negation, matches a value.
    pub(super) fn ask(&mut self, context: &Context, subject: Subject<'r>, found: Option<&mut Found>) -> bool {
        let argument = self.argument(context.argument);
        let mut digits = Digits::default();
        if let operator::EQ..=operator::LT = context.operator {
            let value = match subject {
                Subject::Value(value) => self.number_of(value),
                Subject::Work(from) => number(self.work.get(from).map_or(&[][..], |work| work)),
            };
            let other = match argument {
                _ if context.argument.parts == 0 => context.number,
                Argument::Value(value) => self.number_of(value),
                Argument::Expanded => number(&self.argument),
            };
            return match context.operator {
                operator::EQ => value == other,
                operator::GE => value >= other,
                operator::GT => value > other,
                operator::LE => value <= other,
                _ => value < other,
            };
        }
        let mut other_digits = Digits::default();
        let value = match subject {
            Subject::Value(value) => self.store.text(value, &mut digits),
            Subject::Work(from) => self.work.get(from).map_or(&[][..], |work| work),
        };
        let argument = match argument {
            Argument::Value(value) => self.store.text(value, &mut other_digits),
            Argument::Expanded => &self.argument,
        };
        let data = self.rules.data(context.data);
        judge(&mut self.cache, context.operator, data, value, argument, found)
    }

    /// The argument's text, which is not copied where it is one piece.
    fn argument(&mut self, template: Template) -> Argument<'r> {
        if template.parts == 0 {
            return Argument::Value(Value::None);
        }
        if template.parts == 1 {
            let part: Part = self.rules.record(Section::Parts, template.first as usize);
            match part.kind {
                part::LITERAL => return Argument::Value(Value::Fixed(self.rules.text(part.text))),
                part::TX => {
                    let value = self.store.tx.get(usize::from(part.slot)).copied().unwrap_or_default();
                    return Argument::Value(value);
                }
                _ => {}
            }
        }
        let mut text = core::mem::take(&mut self.argument);
        text.clear();
        self.expand(template, &mut text);
        self.argument = text;
        Argument::Expanded
    }
}

/// The operators that look at text.
fn judge(
    cache: &mut Cache,
    kind: u8,
    data: &[u8],
    value: &[u8],
    argument: &[u8],
    found: Option<&mut Found>,
) -> bool {
    match kind {
        operator::RX | operator::RX_GLOBAL => {
            let regex = Regex::new(data);
            match found {
                Some(found) if regex.groups() != 0 => {
                    found.any = regex.captures(cache, value, &mut found.groups);
                    if found.any && kind == operator::RX_GLOBAL {
                        all_matches(cache, &regex, value, found);
                    }
                    found.any
                }
                found => {
                    let matches = regex.is_match(cache, value);
                    if let (true, Some(found)) = (matches, found) {
                        found.whole(0..value.len());
                    }
                    matches
                }
            }
        }
        operator::PM => match PhraseSet::new(data).find(value) {
            Some(range) => {
                if let Some(found) = found {
                    found.whole(range);
                }
                true
            }
            None => false,
        },
        operator::ALWAYS => true,
        operator::STREQ => ops::streq(value, argument),
        operator::CONTAINS => ops::contains(value, argument),
        operator::CONTAINS_WORD => ops::contains_word(value, argument),
        operator::BEGINS_WITH => ops::begins_with(value, argument),
        operator::ENDS_WITH => ops::ends_with(value, argument),
        operator::WITHIN => ops::within(value, argument),
        operator::STR_MATCH => ops::str_match(value, argument),
        operator::BYTE_RANGE => {
            data.first_chunk().is_some_and(|allowed| ops::validate_byte_range(value, allowed))
        }
        operator::URL_ENCODING => ops::validate_url_encoding(value),
        operator::UTF8_ENCODING => ops::validate_utf8_encoding(value),
        operator::IP_MATCH => ops::ip_match(value, data),
        operator::DETECT_SQLI => match ops::detect_sqli(value) {
            Some(fingerprint) => {
                if let Some(found) = found {
                    found.any = true;
                    found.fingerprint = Some(fingerprint);
                }
                true
            }
            None => false,
        },
        operator::DETECT_XSS => {
            let matches = ops::xss_possible(value) && ops::detect_xss(value);
            if let (true, Some(found)) = (matches, found) {
                found.whole(0..value.len());
            }
            matches
        }
        operator::VERIFY_CC => verified(cache, data, value, found, ops::verify_cc),
        operator::VERIFY_SSN => verified(cache, data, value, found, ops::verify_ssn),
        operator::VERIFY_CPF => verified(cache, data, value, found, ops::verify_cpf),
        // NEVER, and what a damaged blob says.
        _ => false,
    }
}

/// The first match of a pattern whose digits are in order.
fn verified(
    cache: &mut Cache,
    data: &[u8],
    value: &[u8],
    found: Option<&mut Found>,
    check: fn(&[u8]) -> bool,
) -> bool {
    let regex = Regex::new(data);
    let mut from = 0;
    while let Some(rest) = value.get(from..) {
        let mut groups = [None];
        if !regex.captures(cache, rest, &mut groups) {
            return false;
        }
        let [Some(range)] = groups else { return false };
        if rest.get(range.clone()).is_some_and(check) {
            if let Some(found) = found {
                found.whole(from + range.start..from + range.end);
            }
            return true;
        }
        // Matches that overlap are not looked for: that would take time with the square of the value.
        from += range.end.max(range.start + 1);
    }
    false
}

/// The whole of every further match, behind the groups of the first: what `@rxGlobal` captures.
fn all_matches(cache: &mut Cache, regex: &Regex<'_>, value: &[u8], found: &mut Found) {
    let mut next = regex.groups();
    let mut from = match &found.groups[0] {
        Some(range) => range.end.max(range.start + 1),
        None => return,
    };
    while let (Some(rest), Some(slot)) = (value.get(from..), found.groups.get_mut(next)) {
        let mut groups = [None];
        if !regex.captures(cache, rest, &mut groups) {
            break;
        }
        let [Some(range)] = groups else { break };
        *slot = Some(from + range.start..from + range.end);
        from += range.end.max(range.start + 1);
        next += 1;
    }
}

impl<'r> Transaction<'r> {
    /// Sets TX.0 to TX.9 to what an operator found in `value`, and returns TX.0.
    #[inline(never)]
    pub(super) fn capture(&mut self, value: Value<'r>, found: &Found) -> Value<'r> {
        let mut captured = [Value::None; GROUPS];
        for (captured, group) in captured.iter_mut().zip(&found.groups) {
            if let Some(range) = group {
                *captured = self.part(value, range.clone());
            }
        }
        if let Some(fingerprint) = &found.fingerprint {
            captured[0] = Value::Stored(self.store.keep(fingerprint.as_bytes()));
        }
        self.passed.clear();
        // The first ten numbers in TX are theirs.
        if let Some(places) = self.store.tx.first_chunk_mut() {
            *places = captured;
        }
        captured[0]
    }

    /// A part of a value, as a value of its own.
    fn part(&mut self, value: Value<'r>, range: Range<usize>) -> Value<'r> {
        match value {
            Value::Stored(mut span) => {
                let len = span.len as usize;
                let (start, end) = (range.start.min(len), range.end.min(len));
                span.at += start as u32;
                span.len = end.saturating_sub(start) as u32;
                Value::Stored(span)
            }
            Value::Fixed(text) => Value::Fixed(text.get(range).unwrap_or(&[])),
            _ => {
                let mut digits = Digits::default();
                let text: Vec<u8> = self.store.text(value, &mut digits).get(range).unwrap_or(&[]).to_vec();
                Value::Stored(self.store.keep(&text))
            }
        }
    }
}
