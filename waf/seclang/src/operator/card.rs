//! Numbers with check digits. The caller finds candidates with the rule's pattern; these tell
//! whether a candidate is a number of the kind. They look at the digits only.

/// `@verifyCC`: the digits of the candidate pass Luhn's check.
pub fn verify_cc(candidate: &[u8]) -> bool {
    let _ = candidate;
    false
}

/// `@verifySSN`: the candidate is a social security number that may have been given out.
pub fn verify_ssn(candidate: &[u8]) -> bool {
    let _ = candidate;
    false
}

/// `@verifyCPF`: the candidate's two check digits are right.
pub fn verify_cpf(candidate: &[u8]) -> bool {
    let _ = candidate;
    false
}
