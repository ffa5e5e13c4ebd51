//! Numbers with check digits. The caller finds candidates with the rule's pattern; these tell
//! whether a candidate is a number of the kind. They look at its ASCII digits only.

fn digits(candidate: &[u8]) -> impl DoubleEndedIterator<Item = u32> + '_ {
    candidate.iter().filter(|b| b.is_ascii_digit()).map(|b| u32::from(b - b'0'))
}

/// `@verifyCC`: the candidate's digits, at least one, pass Luhn's check (ISO/IEC 7812-1, annex B).
pub fn verify_cc(candidate: &[u8]) -> bool {
    let mut sum = 0;
    let mut count = 0usize;
    for digit in digits(candidate).rev() {
        sum += match digit {
            9 => 9,
            digit if count % 2 == 1 => digit * 2 % 9,
            digit => digit,
        };
        // Kept small: a candidate may be of any length.
        sum %= 10;
        count += 1;
    }
    count > 0 && sum == 0
}

/// `@verifySSN`: the candidate has the nine digits of a United States social security number that
/// may have been given out: no part all zeros, an area below 740 other than 666, and neither one
/// digit nine times nor nine in a row.
pub fn verify_ssn(candidate: &[u8]) -> bool {
    let Some(number) = exactly::<9>(candidate) else { return false };
    let steps = |step: u32| number.windows(2).all(|w| matches!(w, [a, b] if a + step == *b));
    let value = |from: usize, to: usize| {
        number.get(from..to).unwrap_or_default().iter().fold(0, |n, digit| n * 10 + digit)
    };
    let area = value(0, 3);
    !steps(0) && !steps(1) && !matches!(area, 0 | 666 | 740..) && value(3, 5) != 0 && value(5, 9) != 0
}

/// `@verifyCPF`: the candidate starts with the eleven digits of a Brazilian taxpayer's number whose
/// two check digits are right; one digit eleven times is none.
pub fn verify_cpf(candidate: &[u8]) -> bool {
    let mut number = [0; 11];
    let mut count = 0;
    for (to, digit) in number.iter_mut().zip(digits(candidate)) {
        *to = digit;
        count += 1;
    }
    let check = |len: usize| {
        let weights = (2..=len as u32 + 1).rev();
        let sum: u32 = number.iter().zip(weights).map(|(digit, weight)| digit * weight).sum();
        match sum % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        }
    };
    let [first, .., a, b] = number;
    count == 11 && number.iter().any(|digit| *digit != first) && check(9) == a && check(10) == b
}

/// The candidate's digits, if there are `N`.
fn exactly<const N: usize>(candidate: &[u8]) -> Option<[u32; N]> {
    let mut number = [0; N];
    let mut digits = digits(candidate);
    for to in &mut number {
        *to = digits.next()?;
    }
    digits.next().is_none().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_cards() {
        assert!(verify_cc(b"4111 1111 1111 1111") && verify_cc(b"378282246310005") && verify_cc(b"0"));
        assert!(!verify_cc(b"4111111111111112") && !verify_cc(b"") && !verify_cc(b"x"));
    }

    #[test]
    fn social_security_numbers() {
        assert!(verify_ssn(b"123-45-6788") && verify_ssn(b"739-01-0001"));
        for bad in [
            "012345678",
            "111111111",
            "000-12-3456",
            "666-12-3456",
            "740-12-3456",
            "123-00-4567",
            "123-45-0000",
        ] {
            assert!(!verify_ssn(bad.as_bytes()), "{bad}");
        }
        assert!(!verify_ssn(b"12345678") && !verify_ssn(b"1234567890"));
    }

    #[test]
    fn taxpayer_numbers() {
        assert!(verify_cpf(b"529.982.247-25") && verify_cpf(b"52998224725"));
        assert!(
            !verify_cpf(b"529.982.247-26") && !verify_cpf(b"111.111.111-11") && !verify_cpf(b"5299822472")
        );
    }
}
