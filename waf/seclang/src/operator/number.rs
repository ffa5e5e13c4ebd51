//! Comparisons of numbers.

/// The number that a value spells, as C's `stoi` reads it: white space, a sign, digits, the rest
/// ignored. 0 without digits, or beyond 32 bits.
pub fn parse_number(value: &[u8]) -> i32 {
    let _ = value;
    0
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
