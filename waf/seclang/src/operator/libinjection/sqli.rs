//! The verdict on a fingerprint.

use super::{
    fingerprints,
    fold::{Folder, MOST},
    kind::{BAREWORD, COMMENT, EVIL, KEYWORD, NUMBER, UNION},
    token::{Dialect, KEPT, Token, Tokens},
    words,
};

/// A value's shape as one dialect sees it.
pub struct Shape<'a> {
    tokens: [Token<'a>; 8],
    letters: [u8; MOST],
    len: usize,
    /// How many tokens there were before folding, as far as they were read.
    count: usize,
    ambiguous: bool,
}

impl<'a> Shape<'a> {
    fn new(value: &'a [u8], dialect: Dialect, hasty: bool) -> Self {
        let mut tokens = Tokens::new(value, dialect);
        let (mut folded, mut len) = Folder::fold(&mut tokens, hasty);
        // PHP takes an open backquote at the end for a comment.
        if len > 2
            && let Some(last) = folded.get_mut(len - 1)
            && last.kind == BAREWORD
            && last.open == b'`'
            && last.text.is_empty()
            && last.close == 0
        {
            last.kind = COMMENT;
        }
        let mut letters = [0; MOST];
        for (letter, token) in letters.iter_mut().zip(folded.iter().take(len)) {
            *letter = token.kind;
        }
        // It may be beyond the fifth.
        if folded.iter().take(len).any(|token| token.kind == EVIL) {
            letters = [EVIL, 0, 0, 0, 0];
            len = 1;
        }
        Self { tokens: folded, letters, len, count: tokens.count, ambiguous: tokens.ambiguous }
    }

    fn letters(&self) -> &[u8] {
        self.letters.get(..self.len).unwrap_or_default()
    }

    fn is_attack(&self, value: &[u8]) -> bool {
        fingerprints::contains(self.letters()) && !self.is_ordinary(value)
    }

    /// Whether a fingerprint of attacks comes from what ordinary values have as well.
    fn is_ordinary(&self, value: &[u8]) -> bool {
        let letters = self.letters();
        // Microsoft's audit log is said to leave out what mentions this.
        if letters.len() > 1
            && letters.last() == Some(&COMMENT)
            && value.windows(11).any(|window| window == b"sp_password")
        {
            return false;
        }
        let [a, b, c, ..] = &self.tokens;
        match letters {
            // Two tokens that were two before folding: `1 union`.
            [_, UNION] => self.count == 2,
            [first, second] => {
                if b.first() == b'#' {
                    return true;
                }
                match (*first, *second) {
                    (BAREWORD, COMMENT) if b.first() != b'/' => true,
                    (NUMBER, COMMENT) if b.first() == b'/' => false,
                    (NUMBER, COMMENT) => {
                        // `1234-ABC--` is somebody's token, `1234--` is not.
                        let next = value.get(a.text.len()..).unwrap_or_default();
                        let white = next.first().is_none_or(|b| *b <= b' ' || *b >= 0x80);
                        self.count <= 2 && !white && !next.starts_with(b"/*") && !next.starts_with(b"--")
                    }
                    // Prose has dashes, but seldom at its end.
                    _ => b.text.len() > 2 && b.first() == b'-',
                }
            }
            // `…foo' + 'bar…`: both ends are open.
            b"sos" | b"s&s" => !(a.open == 0 && c.close == 0 && a.close == c.open),
            b"s&n" | b"n&1" | b"1&1" | b"1&v" | b"1&s" => self.count == 3,
            [_, _, _] if b.kind == KEYWORD => {
                // Only `INTO OUTFILE` and `INTO DUMPFILE` count.
                b.text.len() < 5 || !b.text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"into"))
            }
            _ => false,
        }
    }
}

/// The fingerprint, if the value looks like an SQL injection: its letters, and how many there are.
pub fn detect(value: &[u8]) -> Option<([u8; MOST], u8)> {
    // Folding a longer one costs less than looking.
    if value.len() > 512 {
        return judge_all(value, false);
    }
    let seen = value.iter().fold(0, |seen, byte| seen | SIGNS[usize::from(*byte)]);
    if seen == 0 && begins_as_prose(value) {
        return None;
    }
    judge_all(value, seen & EVIL_SIGN == 0)
}

/// For each byte whether a start of [`EVIL`] has it, or a quote.
const SIGNS: [u8; 256] = {
    let mut signs = [0; 256];
    signs[b'/' as usize] = EVIL_SIGN;
    signs[b'{' as usize] = EVIL_SIGN;
    signs[b'\'' as usize] = QUOTE_SIGN;
    signs[b'"' as usize] = QUOTE_SIGN;
    signs
};
const EVIL_SIGN: u8 = 1;
const QUOTE_SIGN: u8 = 2;

/// Whether a value without quotes begins with two words that mean nothing in SQL: with the two names
/// that they are, folding ends ([`Folder::fold`]), and what it takes to see that is told here in less.
fn begins_as_prose(value: &[u8]) -> bool {
    let mut rest = value;
    for last in [false, true] {
        let len = rest.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(len).unwrap_or_default();
        let [b' ', behind @ ..] = behind else {
            return last && behind.is_empty() && is_name(word);
        };
        if !is_name(word) {
            return false;
        }
        rest = behind;
    }
    true
}

fn is_name(word: &[u8]) -> bool {
    (1..=KEPT).contains(&word.len()) && words::lookup(word).is_none()
}

/// [`detect`], `hasty` ([`Folder::fold`]) or not.
#[inline(never)]
pub(super) fn judge_all(value: &[u8], hasty: bool) -> Option<([u8; MOST], u8)> {
    let judge = |quote: u8, mysql: bool| {
        let shape = Shape::new(value, Dialect { mysql, quote }, hasty);
        let attack = shape.is_attack(value);
        (attack.then_some((shape.letters, shape.len as u8)), shape.ambiguous)
    };
    let both = |quote: u8| {
        let (found, ambiguous) = judge(quote, false);
        if found.is_none() && ambiguous { judge(quote, true).0 } else { found }
    };
    if value.is_empty() {
        return None;
    }
    let mut found = both(0);
    if found.is_none() && value.contains(&b'\'') {
        found = both(b'\'');
    }
    if found.is_none() && value.contains(&b'"') {
        found = judge(b'"', true).0;
    }
    found
}
