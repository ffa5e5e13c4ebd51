//! Transformations: what turns a value into what an application would see, done before an operator
//! looks at it. The set and the semantics are ModSecurity v3's.
//!
//! Each is a total function from bytes to bytes, linear, never failing. Each states what must occur
//! in a value for it to have any effect ([`Trigger`]), so that a glance at a clean value's bytes
//! tells that there is nothing to do.

use alloc::vec::Vec;

/// One step of a pipeline. `none` is no transformation: the compiler deals with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Transformation {
    /// Base64 to bytes, up to the first byte that is none of its alphabet.
    Base64Decode = 0,
    /// Base64 to bytes; what is none of its alphabet is skipped.
    Base64DecodeExt = 1,
    /// Bytes to Base64.
    Base64Encode = 2,
    /// What a shell makes of a command: quotes, carets and backslashes go, `,` and `;` and runs of blanks
    /// become one blank, lower case.
    CmdLine = 3,
    /// Runs of white space to one blank each.
    CompressWhitespace = 4,
    /// CSS escapes: `\` and up to six hexadecimal digits, or a byte.
    CssDecode = 5,
    /// ANSI C escapes: `\n`, `\xHH`, `\OOO` …
    EscapeSeqDecode = 6,
    /// Pairs of hexadecimal digits to bytes.
    HexDecode = 7,
    /// Bytes to pairs of hexadecimal digits.
    HexEncode = 8,
    /// HTML character references: numeric ones and `quot`, `amp`, `lt`, `gt`, `nbsp`.
    HtmlEntityDecode = 9,
    /// JavaScript escapes: `\uHHHH`, `\xHH`, `\OOO`, or a byte.
    JsDecode = 10,
    /// The number of bytes, in decimal.
    Length = 11,
    /// ASCII letters to lower case.
    Lowercase = 12,
    /// The MD5 digest, 16 bytes.
    Md5 = 13,
    /// `//`, `/./` and `/x/../` collapsed.
    NormalizePath = 14,
    /// Backslashes to slashes, then as [`NormalizePath`](Self::NormalizePath).
    NormalizePathWin = 15,
    /// The top bit set so that each byte has an even number of ones.
    ParityEven7bit = 16,
    /// The top bit set so that each byte has an odd number of ones.
    ParityOdd7bit = 17,
    /// The top bit cleared.
    ParityZero7bit = 18,
    /// Comments (`/* */`, `<!-- -->`, `--`, `#`) with their contents removed.
    RemoveComments = 19,
    /// The marks of comments removed, their contents kept.
    RemoveCommentsChar = 20,
    /// NUL bytes removed.
    RemoveNulls = 21,
    /// White space removed.
    RemoveWhitespace = 22,
    /// Each `/* */` comment to one blank.
    ReplaceComments = 23,
    /// NUL bytes to blanks.
    ReplaceNulls = 24,
    /// The SHA-1 digest, 20 bytes.
    Sha1 = 25,
    /// SQL's `0xHH…` to the bytes that it stands for.
    SqlHexDecode = 26,
    /// White space removed at both ends.
    Trim = 27,
    /// White space removed at the start.
    TrimLeft = 28,
    /// White space removed at the end.
    TrimRight = 29,
    /// ASCII letters to upper case.
    Uppercase = 30,
    /// `%HH` and `+`.
    UrlDecode = 31,
    /// `%HH`, `%uHHHH` and `+`.
    UrlDecodeUni = 32,
    /// Everything but letters, digits and `*` to `%hh`, blanks to `+`.
    UrlEncode = 33,
    /// Each character of UTF-8 beyond ASCII to `%uhhhh`.
    Utf8ToUnicode = 34,
}

/// What a value must hold for a transformation to change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Nothing: any value may change.
    Always,
    /// At least one byte of this set of 256 (byte `b` is bit `b % 64` of word `b / 64`): a value
    /// without any of them comes out unchanged.
    Bytes([u64; 4]),
}

impl Transformation {
    /// All, in the order of their numbers.
    pub const ALL: &[Self] = &[
        Self::Base64Decode,
        Self::Base64DecodeExt,
        Self::Base64Encode,
        Self::CmdLine,
        Self::CompressWhitespace,
        Self::CssDecode,
        Self::EscapeSeqDecode,
        Self::HexDecode,
        Self::HexEncode,
        Self::HtmlEntityDecode,
        Self::JsDecode,
        Self::Length,
        Self::Lowercase,
        Self::Md5,
        Self::NormalizePath,
        Self::NormalizePathWin,
        Self::ParityEven7bit,
        Self::ParityOdd7bit,
        Self::ParityZero7bit,
        Self::RemoveComments,
        Self::RemoveCommentsChar,
        Self::RemoveNulls,
        Self::RemoveWhitespace,
        Self::ReplaceComments,
        Self::ReplaceNulls,
        Self::Sha1,
        Self::SqlHexDecode,
        Self::Trim,
        Self::TrimLeft,
        Self::TrimRight,
        Self::Uppercase,
        Self::UrlDecode,
        Self::UrlDecodeUni,
        Self::UrlEncode,
        Self::Utf8ToUnicode,
    ];

    /// The name that rule files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Base64Decode => "base64Decode",
            Self::Base64DecodeExt => "base64DecodeExt",
            Self::Base64Encode => "base64Encode",
            Self::CmdLine => "cmdLine",
            Self::CompressWhitespace => "compressWhitespace",
            Self::CssDecode => "cssDecode",
            Self::EscapeSeqDecode => "escapeSeqDecode",
            Self::HexDecode => "hexDecode",
            Self::HexEncode => "hexEncode",
            Self::HtmlEntityDecode => "htmlEntityDecode",
            Self::JsDecode => "jsDecode",
            Self::Length => "length",
            Self::Lowercase => "lowercase",
            Self::Md5 => "md5",
            Self::NormalizePath => "normalizePath",
            Self::NormalizePathWin => "normalizePathWin",
            Self::ParityEven7bit => "parityEven7bit",
            Self::ParityOdd7bit => "parityOdd7bit",
            Self::ParityZero7bit => "parityZero7bit",
            Self::RemoveComments => "removeComments",
            Self::RemoveCommentsChar => "removeCommentsChar",
            Self::RemoveNulls => "removeNulls",
            Self::RemoveWhitespace => "removeWhitespace",
            Self::ReplaceComments => "replaceComments",
            Self::ReplaceNulls => "replaceNulls",
            Self::Sha1 => "sha1",
            Self::SqlHexDecode => "sqlHexDecode",
            Self::Trim => "trim",
            Self::TrimLeft => "trimLeft",
            Self::TrimRight => "trimRight",
            Self::Uppercase => "uppercase",
            Self::UrlDecode => "urlDecode",
            Self::UrlDecodeUni => "urlDecodeUni",
            Self::UrlEncode => "urlEncode",
            Self::Utf8ToUnicode => "utf8toUnicode",
        }
    }

    /// The transformation of that name, in any case, ModSecurity's second spellings included.
    pub fn from_name(name: &str) -> Option<Self> {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        if is("normalisePath") {
            return Some(Self::NormalizePath);
        }
        if is("normalisePathWin") {
            return Some(Self::NormalizePathWin);
        }
        Self::ALL.iter().copied().find(|t| is(t.name()))
    }

    /// The transformation of that number, as blobs hold it.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// What a value must hold to be changed.
    pub const fn trigger(self) -> Trigger {
        Trigger::Always
    }

    /// Writes the transformed value to `out`, which is cleared first. Returns false, with `out`
    /// unspecified, when nothing changed.
    // Inlined, its locals would be set up for every value that the caller looks at.
    #[inline(never)]
    pub fn apply(self, input: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        let _ = input;
        false
    }
}
