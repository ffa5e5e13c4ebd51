//! Text with macros.

use alloc::vec::Vec;

use super::evaluate::MatchedVar;
use super::store::{Digits, Value};
use super::transaction::Transaction;
use crate::Variable;
use crate::format::*;

/// Longest text that a macro stands for, in bytes; more is cut off in messages.
const MAX_MACRO: usize = 512;
/// Longest message.
const MAX_LINE: usize = 2048;

impl<'r> Transaction<'r> {
    /// Appends a template's text to `out`.
    pub(super) fn expand(&mut self, template: Template, out: &mut Vec<u8>) {
        self.expand_within(template, out, usize::MAX);
    }

    /// The text of a message, within bounds.
    pub(super) fn expand_message(&mut self, template: Template) -> Vec<u8> {
        let mut out = Vec::new();
        self.expand_within(template, &mut out, MAX_MACRO);
        out.truncate(MAX_LINE);
        out
    }

    fn expand_within(&mut self, template: Template, out: &mut Vec<u8>, most: usize) {
        for part in self.rules.parts(template) {
            let start = out.len();
            match part.kind {
                part::LITERAL => {
                    out.extend_from_slice(self.rules.text(part.text));
                    continue;
                }
                part::TX => {
                    let value = self.store.tx.get(usize::from(part.slot)).copied().unwrap_or_default();
                    self.write(value, out);
                }
                _ => {
                    if let Some(variable) = Variable::from_u8(part.variable) {
                        let key = self.rules.text(part.text);
                        if variable == Variable::MatchedVarName {
                            self.write_name(&self.matched, out);
                        } else {
                            let value = self.lookup(variable, key);
                            self.write(value, out);
                        }
                    }
                }
            }
            out.truncate(start.saturating_add(most));
        }
    }

    /// The value of a template: a number, or text without a copy, where it is one piece.
    pub(super) fn value_of(&mut self, template: Template) -> Value<'r> {
        if template.parts == 0 {
            return Value::Fixed(b"");
        }
        if template.parts == 1 {
            let part: Part = self.rules.record(Section::Parts, template.first as usize);
            match part.kind {
                part::LITERAL => return Value::Fixed(self.rules.text(part.text)),
                part::TX => {
                    let value = self.store.tx.get(usize::from(part.slot)).copied().unwrap_or_default();
                    return if value == Value::None { Value::Fixed(b"") } else { value };
                }
                _ => {}
            }
        }
        let mut text = core::mem::take(&mut self.argument);
        text.clear();
        self.expand(template, &mut text);
        let span = self.store.keep(&text);
        self.argument = text;
        Value::Stored(span)
    }

    pub(super) fn write(&self, value: Value<'r>, out: &mut Vec<u8>) {
        let mut digits = Digits::default();
        out.extend_from_slice(self.store.text(value, &mut digits));
    }

    /// Appends the name of a value that matched: `ARGS:id`, `&ARGS`, `REQUEST_URI`.
    pub(super) fn write_name(&self, matched: &MatchedVar<'r>, out: &mut Vec<u8>) {
        let Some(variable) = Variable::from_u8(matched.variable).filter(|_| matched.value != Value::None)
        else {
            return;
        };
        if matched.count {
            out.push(b'&');
        }
        out.extend_from_slice(variable.name().as_bytes());
        let mut digits = Digits::default();
        let key = self.store.text(matched.key, &mut digits);
        if variable.is_collection() && !(matched.count && key.is_empty()) {
            out.push(b':');
            out.extend_from_slice(key);
        }
    }

    /// The same as a value.
    pub(super) fn keep_name(&mut self, matched: &MatchedVar<'r>) -> Value<'r> {
        let mut name = Vec::new();
        self.write_name(matched, &mut name);
        Value::Stored(self.store.keep(&name))
    }
}
