//! libinjection's judgement: whether a value looks like SQL that is slipped into a query, or like
//! script that is slipped into a page.
//!
//! SQL: the value is cut to tokens as several dialects see it (`token`), neighbours that do not
//! matter are folded until five tokens are left (`fold`), and the letters of these, the
//! fingerprint, are looked up among those of attacks (`fingerprints`); a few shapes that prose has
//! as well are then let go (`sqli`). This is done for the value as it is and for one that starts
//! within a quoted string.
//!
//! HTML: the value is read as a browser would (`html`), in five contexts, and dangerous elements,
//! attributes and URLs are told from the others (`xss`).
//!
//! The algorithm and its tables (words, fingerprints, names) are those of libinjection 3.10
//! (<https://github.com/libinjection/libinjection>, BSD-3-Clause, see `COPYING` in this folder); the
//! code is written anew for slices, without copies of the value, and takes time linear in its length.

mod fingerprints;
mod fold;
mod html;
mod names;
mod sqli;
mod token;
mod words;
mod xss;

pub use sqli::detect as detect_sqli;
pub use xss::detect as detect_xss;

/// The steps, for tests.
#[doc(hidden)]
pub mod steps {
    use alloc::vec::Vec;

    pub use super::html::{Context, Kind, Parser};
    use super::{
        fold::Folder,
        token::{Dialect, Token, Tokens},
    };

    /// A token: its kind, opening quote, closing quote, text.
    pub type Parts<'a> = (u8, u8, u8, &'a [u8]);

    fn parts<'a>(token: &Token<'a>) -> Parts<'a> {
        (token.kind, token.open, token.close, token.text)
    }

    /// All tokens of the value, read as ANSI SQL.
    pub fn tokens(value: &[u8]) -> Vec<Parts<'_>> {
        let mut tokens = Tokens::new(value, Dialect { mysql: false, quote: 0 });
        core::iter::from_fn(|| tokens.next().as_ref().map(parts)).collect()
    }

    /// The tokens that are left after folding.
    pub fn folded(value: &[u8]) -> Vec<Parts<'_>> {
        let mut tokens = Tokens::new(value, Dialect { mysql: false, quote: 0 });
        let (slots, len) = Folder::fold(&mut tokens, false);
        slots.iter().take(len).map(parts).collect()
    }

    /// The verdict on SQL without a hasty end.
    pub fn detect_sqli_slowly(value: &[u8]) -> Option<([u8; 5], u8)> {
        super::sqli::judge_all(value, false)
    }

    /// The verdicts without their screens.
    pub use super::{detect_sqli, detect_xss};
}

/// The kinds of tokens: letters, because a fingerprint is made of them.
mod kind {
    pub const NONE: u8 = 0;
    pub const KEYWORD: u8 = b'k';
    pub const UNION: u8 = b'U';
    pub const GROUP: u8 = b'B';
    pub const EXPRESSION: u8 = b'E';
    pub const SQL_TYPE: u8 = b't';
    pub const FUNCTION: u8 = b'f';
    pub const BAREWORD: u8 = b'n';
    pub const NUMBER: u8 = b'1';
    pub const VARIABLE: u8 = b'v';
    pub const STRING: u8 = b's';
    pub const OPERATOR: u8 = b'o';
    pub const LOGIC: u8 = b'&';
    pub const COMMENT: u8 = b'c';
    pub const COLLATE: u8 = b'A';
    pub const LEFT_PARENTHESIS: u8 = b'(';
    pub const RIGHT_PARENTHESIS: u8 = b')';
    pub const LEFT_BRACE: u8 = b'{';
    pub const RIGHT_BRACE: u8 = b'}';
    pub const DOT: u8 = b'.';
    pub const COMMA: u8 = b',';
    pub const COLON: u8 = b':';
    pub const SEMICOLON: u8 = b';';
    pub const TSQL: u8 = b'T';
    pub const UNKNOWN: u8 = b'?';
    /// What no dialect can be trusted to read alike: an attack in itself.
    pub const EVIL: u8 = b'X';
    pub const BACKSLASH: u8 = b'\\';
}
