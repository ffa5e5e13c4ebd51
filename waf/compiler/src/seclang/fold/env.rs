//! What is known about TX at a point of the program.

use std::collections::{BTreeMap, BTreeSet};

use super::super::program::regex;
use super::super::syntax::{Piece, Template, Variable};

/// What is known about one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// It is not there.
    Absent,
    /// It is there and is this text.
    Known(Vec<u8>),
    /// It may be there and may be anything.
    Unknown,
}

/// What is known about all names. A name that nothing is said about is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Env {
    names: BTreeMap<Vec<u8>, Value>,
    /// Names that begin so, and are not in `names`, are unknown.
    prefixes: BTreeSet<Vec<u8>>,
}

impl Env {
    /// What is known about a name, in lower case.
    pub fn value(&self, name: &[u8]) -> &Value {
        static UNKNOWN: Value = Value::Unknown;
        static ABSENT: Value = Value::Absent;
        if is_engines(name) {
            return &UNKNOWN;
        }
        match self.names.get(name) {
            Some(value) => value,
            None if self.prefixes.iter().any(|prefix| name.starts_with(prefix)) => &UNKNOWN,
            None => &ABSENT,
        }
    }

    pub fn set(&mut self, name: Vec<u8>, value: Value) {
        self.names.insert(name, value);
    }

    /// Forgets every name that begins so.
    pub fn forget_prefix(&mut self, prefix: Vec<u8>) {
        for (name, value) in &mut self.names {
            if name.starts_with(&prefix) {
                *value = Value::Unknown;
            }
        }
        self.prefixes.insert(prefix);
    }

    /// Keeps what is true in both.
    pub fn join(&mut self, other: &Env) {
        let names: BTreeSet<Vec<u8>> = self.names.keys().chain(other.names.keys()).cloned().collect();
        for name in names {
            if self.value(&name) != other.value(&name) {
                self.names.insert(name, Value::Unknown);
            } else {
                // A prefix that only the other has must not hide what both know.
                let value = self.value(&name).clone();
                self.names.insert(name, value);
            }
        }
        self.prefixes.extend(other.prefixes.iter().cloned());
    }

    /// Whether it is certain that no name that is there fits a key's regex.
    pub fn has_none_like(&self, pattern: &str) -> bool {
        let Some(regex) = regex(pattern) else { return false };
        let captures = (b'0'..=b'9').any(|digit| regex.is_match([digit].as_slice()));
        let names =
            self.names.iter().any(|(name, value)| *value != Value::Absent && regex.is_match(name.as_slice()));
        // Only for `^text` is it easy to say that no name with a prefix fits.
        let text = pattern.strip_prefix('^').filter(|text| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        let prefixes = self.prefixes.iter().any(|prefix| {
            text.is_none_or(|text| {
                let common = prefix.len().min(text.len());
                prefix[..common].eq_ignore_ascii_case(&text.as_bytes()[..common])
            })
        });
        !captures && !names && !prefixes
    }

    /// The text that a template gives, if all of its macros are known. What is absent gives nothing.
    pub fn expand(&self, template: &Template) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for piece in &template.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Macro { variable: Variable::Tx, key: Some(key) } => {
                    match self.value(&key.to_ascii_lowercase()) {
                        Value::Known(text) => out.extend_from_slice(text),
                        Value::Absent => {}
                        Value::Unknown => return None,
                    }
                }
                Piece::Macro { .. } => return None,
            }
        }
        Some(out)
    }

    /// Puts what is known in place of macros, names that `keep` says left as they are. Tells how many
    /// macros went.
    pub fn substitute(&self, template: &mut Template, keep: &dyn Fn(&[u8]) -> bool) -> usize {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut gone = 0;
        for piece in template.pieces.drain(..) {
            let piece = match piece {
                Piece::Macro { variable: Variable::Tx, key: Some(key) } => {
                    let name = key.to_ascii_lowercase();
                    match self.value(&name) {
                        Value::Unknown => Piece::Macro { variable: Variable::Tx, key: Some(key) },
                        _ if keep(&name) => Piece::Macro { variable: Variable::Tx, key: Some(key) },
                        Value::Absent => {
                            gone += 1;
                            continue;
                        }
                        Value::Known(text) => {
                            gone += 1;
                            if text.is_empty() {
                                continue;
                            }
                            Piece::Literal(text.clone())
                        }
                    }
                }
                other => other,
            };
            match (pieces.last_mut(), piece) {
                (Some(Piece::Literal(text)), Piece::Literal(more)) => text.extend(more),
                (_, piece) => pieces.push(piece),
            }
        }
        template.pieces = pieces;
        gone
    }
}

/// Names that the engine itself writes: captures.
fn is_engines(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(text: &str) -> Value {
        Value::Known(text.into())
    }

    #[test]
    fn joins_keep_what_both_know() {
        let mut left = Env::default();
        left.set(b"a".into(), known("1"));
        left.set(b"b".into(), known("1"));
        left.set(b"pre_x".into(), known("x"));
        let mut right = Env::default();
        right.forget_prefix(b"pre_".into());
        right.set(b"a".into(), known("1"));
        right.set(b"pre_x".into(), known("x"));
        left.join(&right);
        assert_eq!(left.value(b"a"), &known("1"));
        assert_eq!(left.value(b"b"), &Value::Unknown);
        assert_eq!(left.value(b"c"), &Value::Absent);
        assert_eq!(left.value(b"pre_x"), &known("x"));
        assert_eq!(left.value(b"pre_y"), &Value::Unknown);
        assert_eq!(left.value(b"0"), &Value::Unknown);
    }

    #[test]
    fn a_prefix_forgets_what_was_known() {
        let mut env = Env::default();
        env.set(b"pre_x".into(), known("x"));
        env.forget_prefix(b"pre_".into());
        assert_eq!(env.value(b"pre_x"), &Value::Unknown);
        env.set(b"pre_x".into(), known("y"));
        assert_eq!(env.value(b"pre_x"), &known("y"));
    }
}
