//! What is right, told the slow way.

/// ASCII letters in lower case.
#[must_use]
pub fn fold(value: &[u8]) -> Vec<u8> {
    value.to_ascii_lowercase()
}

/// Whether `part` occurs in `value`.
#[must_use]
pub fn contains(value: &[u8], part: &[u8]) -> bool {
    part.is_empty() || value.windows(part.len()).any(|window| window == part)
}
