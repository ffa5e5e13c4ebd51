//! Comparisons of numbers.

/// The number that a value spells, as C's `atoll` reads it: white space, a sign, digits; the rest is
/// ignored. 0 without digits; what is beyond 64 bits is cut to their range.
pub fn parse_number(value: &[u8]) -> i64 {
    let white = value.iter().take_while(|b| matches!(b, b' ' | b'\t'..=b'\r')).count();
    let (negative, digits) = match value.get(white..) {
        Some([b'-', rest @ ..]) => (true, rest),
        Some([b'+', rest @ ..]) => (false, rest),
        rest => (false, rest.unwrap_or_default()),
    };
    let mut number = 0i64;
    for digit in digits.iter().take_while(|b| b.is_ascii_digit()) {
        let digit = i64::from(digit - b'0');
        // Summed with its sign: the range is wider below.
        number = number.saturating_mul(10).saturating_add(if negative { -digit } else { digit });
    }
    number
}

/// `@eq`: the numbers are the same.
pub fn eq(value: &[u8], parameter: &[u8]) -> bool {
    parse_number(value) == parse_number(parameter)
}

/// `@ge`: the value's number is the parameter's or above.
pub fn ge(value: &[u8], parameter: &[u8]) -> bool {
    parse_number(value) >= parse_number(parameter)
}

/// `@gt`: the value's number is above the parameter's.
pub fn gt(value: &[u8], parameter: &[u8]) -> bool {
    parse_number(value) > parse_number(parameter)
}

/// `@le`: the value's number is the parameter's or below.
pub fn le(value: &[u8], parameter: &[u8]) -> bool {
    parse_number(value) <= parse_number(parameter)
}

/// `@lt`: the value's number is below the parameter's.
pub fn lt(value: &[u8], parameter: &[u8]) -> bool {
    parse_number(value) < parse_number(parameter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_far_as_they_go() {
        let cases: &[(&[u8], i64)] = &[
            (b"", 0),
            (b"abc", 0),
            (b"12abc", 12),
            (b" \t+7", 7),
            (b"-3", -3),
            (b"--3", 0),
            (b"0x10", 0),
            (b"99999999999999999999999", i64::MAX),
            (b"-9223372036854775808", i64::MIN),
            (b"-99999999999999999999999", i64::MIN),
        ];
        for (value, number) in cases {
            assert_eq!(parse_number(value), *number, "{}", value.escape_ascii());
        }
        assert!(gt(b"4294967297", b"1") && ge(b"2", b"2") && le(b"2", b"2") && lt(b"-1", b"0"));
        assert!(eq(b"007", b"7") && !eq(b"4294967296", b"0"));
    }
}
