//! What a command line comes to once a shell has read it.

use alloc::vec::Vec;

use crate::format::holds;

/// Quotes, carets and backslashes vanish; runs of blanks, `,` and `;` become one blank, none before
/// `/` and `(`; letters become lower case.
pub(super) fn line(input: &[u8], out: &mut Vec<u8>) {
    out.resize(input.len(), 0);
    let places = out.as_mut_slice();
    let mut blank = false;
    // Never ahead of the input, so that there is always a place.
    let mut at = 0;
    for &byte in input {
        let kind = KINDS[usize::from(byte)];
        // By far most bytes come first.
        if kind != 0 {
            if kind == GONE || blank && kind == BLANK {
                continue;
            }
            if blank && kind == CLOSE {
                at -= 1;
            }
            blank = kind == BLANK;
        } else {
            blank = false;
        }
        if let Some(place) = places.get_mut(at) {
            *place = LOWER[usize::from(byte)];
        }
        at += 1;
    }
    out.truncate(at);
}

const GONE: u8 = 1;
const BLANK: u8 = 2;
/// Takes the blank before it away.
const CLOSE: u8 = 3;

/// What becomes of each byte; 0: its lower case.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0usize;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'"' | b'\'' | b'\\' | b'^' => GONE,
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => BLANK,
            b'/' | b'(' => CLOSE,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

/// What is written for a byte that stays.
const LOWER: [u8; 256] = {
    let mut lower = [0; 256];
    let mut byte = 0usize;
    while byte < 256 {
        lower[byte] = if KINDS[byte] == BLANK { b' ' } else { (byte as u8).to_ascii_lowercase() };
        byte += 1;
    }
    lower
};

/// See [`Transformation::adds_no_literal`](super::Transformation::adds_no_literal).
pub(super) fn adds_no_literal(input: &[u8], holds: u8) -> bool {
    let (blanks, slashes, parentheses) =
        (holds & holds::BLANK != 0, holds & holds::SLASH != 0, holds & holds::PARENTHESIS != 0);
    let mut last = 0;
    input.iter().all(|&byte| {
        let kind = KINDS[usize::from(byte)];
        let before = core::mem::replace(&mut last, kind);
        match kind {
            0 => true,
            // What was apart stands side by side.
            GONE => false,
            BLANK => !blanks || byte == b' ' && before != BLANK,
            _ => before != BLANK || !(if byte == b'/' { slashes } else { parentheses }),
        }
    })
}
