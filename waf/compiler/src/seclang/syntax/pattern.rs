//! Patterns as regexes over bytes.

use regex_automata::{meta, util::syntax};

use super::ast::Matching;

/// Largest compiled form of a pattern over tags and messages, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// A [`Matching`], ready to compare.
#[derive(Debug, Clone)]
pub struct TextMatcher {
    equal: Vec<u8>,
    regex: Option<meta::Regex>,
}

impl Matching {
    /// Makes it ready.
    ///
    /// # Errors
    /// Says what is wrong with the pattern.
    pub fn matcher(&self) -> Result<TextMatcher, String> {
        let pattern = match self {
            Matching::Equal(text) => return Ok(TextMatcher { equal: text.clone(), regex: None }),
            Matching::Pattern(pattern) => pattern,
        };
        let regex = meta::Regex::builder()
            .configure(meta::Config::new().utf8_empty(false).nfa_size_limit(Some(MAX_PATTERN)))
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .build(pattern)
            .map_err(|error| match error.syntax_error() {
                Some(error) => error.to_string(),
                None => error.to_string(),
            })?;
        Ok(TextMatcher { equal: pattern.as_bytes().to_vec(), regex: Some(regex) })
    }
}

impl TextMatcher {
    /// Whether a tag or message is meant.
    pub fn is_match(&self, text: &[u8]) -> bool {
        text == self.equal || self.regex.as_ref().is_some_and(|regex| regex.is_match(text))
    }
}

/// A pattern as ASCII text: bytes beyond ASCII become `\xHH`, so that each stands for itself as it does
/// in ModSecurity, whatever the file's encoding is.
pub(super) fn ascii_pattern(pattern: &[u8]) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut escaped = false;
    for &byte in pattern {
        if byte.is_ascii() {
            text.push(char::from(byte));
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        if escaped {
            // `\` before such a byte means the byte.
            text.pop();
            escaped = false;
        }
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        text.push_str("\\x");
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_equal_or_fit() {
        let fits = |matching: Matching, text: &str| matching.matcher().unwrap().is_match(text.as_bytes());
        assert!(fits(Matching::Equal(b"a/b".to_vec()), "a/b"));
        assert!(!fits(Matching::Equal(b"a/b".to_vec()), "a/b/c"));
        assert!(fits(Matching::Pattern("^a.*".into()), "a/b"));
        assert!(!fits(Matching::Pattern("^b".into()), "a/b"));
        assert!(fits(Matching::Pattern("a (b)?".into()), "a (b)?"), "a message is its own pattern");
        assert!(Matching::Pattern("(".into()).matcher().is_err());
    }

    #[test]
    fn bytes_beyond_ascii_stand_for_themselves() {
        assert_eq!(ascii_pattern(b"a\\d"), "a\\d");
        assert_eq!(ascii_pattern("[\u{e9}]+".as_bytes()), r"[\xc3\xa9]+");
        assert_eq!(ascii_pattern(b"\\\xff\\\\\xff"), r"\xff\\\xff");
    }
}
