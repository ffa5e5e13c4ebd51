//! Operators by name, and what their arguments say.

/// The tests of ModSecurity 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named as in rules; docs/seclang.md says what each does")]
#[non_exhaustive]
pub enum OperatorKind {
    Rx,
    RxGlobal,
    Pm,
    PmFromFile,
    Contains,
    ContainsWord,
    BeginsWith,
    EndsWith,
    StrEq,
    StrMatch,
    Within,
    Eq,
    Ge,
    Gt,
    Le,
    Lt,
    IpMatch,
    IpMatchFromFile,
    DetectSqli,
    DetectXss,
    ValidateByteRange,
    ValidateUrlEncoding,
    ValidateUtf8Encoding,
    VerifyCc,
    VerifyCpf,
    VerifySsn,
    VerifySvnr,
    NoMatch,
    UnconditionalMatch,
}
