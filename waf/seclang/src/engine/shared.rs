//! Texts that were scanned, for texts that have them inside: a request's line, its target and its query are
//! one text three times, as they came and decoded.

use alloc::vec::Vec;

use super::store::clear;
use crate::scan::Scanner;
use crate::scan::layout::KEY;

/// Length from which on a text is kept, and looked for in what is kept, in bytes.
const LEAST: usize = 32;
/// Greatest length of a text that is kept.
const MOST: usize = 4096;
/// Most texts that are kept.
const TEXTS: usize = 3;
/// How far a text is looked for from the begin of one that has it inside: the method of a request's line.
const AHEAD: usize = 8;

/// What the long texts of a request's line came to.
#[derive(Debug, Default)]
pub(super) struct Shared {
    texts: [Text; TEXTS],
    len: usize,
    /// Whether texts come of which one may be inside another.
    pub on: bool,
}

#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    hits: Vec<u32>,
    any: bool,
}

impl Shared {
    pub fn clear(&mut self) {
        self.len = 0;
        self.texts.iter_mut().for_each(|text| clear(&mut text.bytes));
    }

    /// [`Scanner::scan`]: what that finds in `value` is found here.
    #[inline(never)]
    pub fn scan(&mut self, scanner: &Scanner<'_>, value: &[u8], hits: &mut [u32]) -> bool {
        if !self.on || value.len() < LEAST {
            return scanner.scan(value, hits);
        }
        for text in self.texts.iter().take(self.len) {
            let Some(ahead) = value.len().checked_sub(text.bytes.len()) else {
                // What the longer one has not, its end has not.
                if !text.any && text.bytes.last_chunk::<8>() == value.last_chunk() && text.ends_with(value) {
                    return false;
                }
                continue;
            };
            let Some(at) = (0..=ahead.min(AHEAD)).find(|&at| text.begins_at(value, at)) else { continue };
            let end = at + text.bytes.len();
            if !value.get(at..end).is_some_and(|part| is_same(part, &text.bytes)) {
                continue;
            }
            // A literal that is not inside the text has a byte before or behind it.
            hits.copy_from_slice(&text.hits);
            let mut any = text.any;
            if at != 0 {
                any |= scanner.scan(value.get(..at + KEY - 1).unwrap_or(value), hits);
            }
            if end != value.len() {
                any |= scanner.scan(value.get(end - (KEY - 1)..).unwrap_or(value), hits);
            }
            return any;
        }
        let any = scanner.scan(value, hits);
        if value.len() <= MOST
            && let Some(text) = self.texts.get_mut(self.len)
        {
            text.bytes.clear();
            text.bytes.extend_from_slice(value);
            text.hits.clear();
            text.hits.extend_from_slice(hits);
            text.any = any;
            self.len += 1;
        }
        any
    }
}

impl Text {
    /// Whether its first bytes stand in a value at a place.
    #[inline]
    fn begins_at(&self, value: &[u8], at: usize) -> bool {
        let here = value.get(at..).and_then(|rest| rest.first_chunk::<8>());
        here.is_some_and(|here| self.bytes.first_chunk() == Some(here))
    }

    fn ends_with(&self, value: &[u8]) -> bool {
        let at = self.bytes.len() - value.len();
        self.bytes.get(at..).is_some_and(|end| is_same(end, value))
    }
}

/// Eight bytes a time: the interpreter has no faster way to compare.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let ((ones, one_rest), (others, other_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    one.len() == other.len()
        && ones.iter().zip(others).all(|(one, other)| u64::from_le_bytes(*one) == u64::from_le_bytes(*other))
        && one_rest == other_rest
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn what_is_shared_is_what_a_scan_finds() {
        let literals: Vec<(Vec<u8>, Vec<u16>)> =
            [&b"get /"[..], b"select", b"arch http", b"/?q", b"ab", b"1.1", b"http/1.1", b"end", b"d http"]
                .iter()
                .zip(0..)
                .map(|(literal, number)| (literal.to_vec(), vec![number]))
                .collect();
        let tables = picket_waf_compiler::seclang::scan::build(&literals, &[], &[]).expect("they fit");
        let scanner = Scanner::new(&tables.bytes).expect("just built");
        let pad = "x".repeat(40);
        for target in [
            std::format!("/search?q={pad}"),
            std::format!("/?q=1+union+select+{pad}end"),
            std::format!("/{pad}/search"),
        ] {
            let mut shared = Shared { on: true, ..Shared::default() };
            let query = target.split_once('?').map_or("", |parts| parts.1);
            for value in [
                target.clone(),
                query.into(),
                std::format!("GET {target} HTTP/1.1"),
                target.clone(),
                std::format!("{target}nd"),
                std::format!("/ab{target}"),
                std::format!("OPTIONS  {target}"),
                query[query.len().saturating_sub(35)..].into(),
            ] {
                let (mut own, mut theirs) = ([0; 1], [0; 1]);
                let found = shared.scan(&scanner, value.as_bytes(), &mut own);
                assert_eq!(found, scanner.scan(value.as_bytes(), &mut theirs), "{value}");
                assert_eq!(own, theirs, "{value}");
            }
        }
    }
}
