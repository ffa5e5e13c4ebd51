//! Comparisons of byte strings. All are case-sensitive, as ModSecurity's are.

/// `@contains`: the parameter occurs in the value. An empty parameter always does.
pub fn contains(value: &[u8], parameter: &[u8]) -> bool {
    find(value, parameter, 0).is_some()
}

/// `@strmatch`: as [`contains`].
pub fn str_match(value: &[u8], parameter: &[u8]) -> bool {
    contains(value, parameter)
}

/// `@within`: the value occurs in the parameter. An empty value always does.
pub fn within(value: &[u8], parameter: &[u8]) -> bool {
    contains(parameter, value)
}

/// `@containsWord`: the parameter occurs in the value without an ASCII letter right before or after
/// it. An empty parameter always does.
pub fn contains_word(value: &[u8], parameter: &[u8]) -> bool {
    if parameter.is_empty() {
        return true;
    }
    let letter = |at: usize| value.get(at).is_some_and(u8::is_ascii_alphabetic);
    let mut from = 0;
    while let Some(at) = find(value, parameter, from) {
        let joined = at > 0 && letter(at - 1) || letter(at + parameter.len());
        if !joined {
            return true;
        }
        from = at + 1;
    }
    false
}

/// `@streq`: the two are the same.
pub fn streq(value: &[u8], parameter: &[u8]) -> bool {
    value == parameter
}

/// `@beginsWith`: the value starts with the parameter.
pub fn begins_with(value: &[u8], parameter: &[u8]) -> bool {
    value.starts_with(parameter)
}

/// `@endsWith`: the value ends with the parameter.
pub fn ends_with(value: &[u8], parameter: &[u8]) -> bool {
    value.ends_with(parameter)
}

/// Where `needle` occurs at or after `from`.
fn find(haystack: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = haystack.get(from..)?;
    let Some(&first) = needle.first() else { return Some(from) };
    let last = rest.len().checked_sub(needle.len())?;
    if needle.len() > 2 && last > needle.len() {
        return find_by_pairs(rest, needle).map(|at| from + at);
    }
    rest.get(..=last)?
        .iter()
        .enumerate()
        .position(|(at, &b)| b == first && rest.get(at..).is_some_and(|r| r.starts_with(needle)))
        .map(|at| from + at)
}

/// The same for a needle of some length: where the last two bytes of a place stand nowhere in the
/// needle, it is not there, nor anywhere else that has both.
fn find_by_pairs(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let bit = |a: u8, b: u8| 1u64 << (a.wrapping_add(b.wrapping_mul(7)) & 63);
    let mut pairs = 0;
    for pair in needle.windows(2) {
        if let [a, b] = pair {
            pairs |= bit(*a, *b);
        }
    }
    let mut at = 0;
    while let Some(place) = haystack.get(at..at + needle.len()) {
        match place {
            [.., a, b] if pairs & bit(*a, *b) == 0 => at += needle.len() - 1,
            _ if place == needle => return Some(at),
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substrings() {
        assert!(contains(b"abcabd", b"abd") && contains(b"", b"") && contains(b"a", b""));
        assert!(!contains(b"ab", b"abc") && !contains(b"abcabc", b"abd"));
        let text = b"/accept/ /content-encoding/ /proxy/ /lock-token/ /content-range/ /if/";
        for from in 0..text.len() {
            for to in from..=text.len() {
                let part = &text[from..to];
                assert!(contains(text, part));
                let other: std::vec::Vec<u8> = part.iter().rev().copied().collect();
                let plain = other.is_empty() || text.windows(other.len()).any(|window| window == other);
                assert_eq!(contains(text, &other), plain, "{}", other.escape_ascii());
            }
        }
        assert!(within(b"GET", b"HEAD GET POST") && within(b"", b"x") && !within(b"PUT", b"GET"));
        assert!(begins_with(b"/a/b", b"/a") && ends_with(b"x.php", b".php") && !streq(b"a", b"A"));
    }

    #[test]
    fn words() {
        for yes in ["x", "x y", "y x", "1x1", "_x_", "xyx-x", ""] {
            let word = if yes.is_empty() { "" } else { "x" };
            assert!(contains_word(yes.as_bytes(), word.as_bytes()), "{yes}");
        }
        for no in ["", "ax", "xa", "axa", "xx"] {
            assert!(!contains_word(no.as_bytes(), b"x"), "{no}");
        }
    }
}
