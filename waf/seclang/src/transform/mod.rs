//! Transformations: what turns a value into what an application would see, done before an operator
//! looks at it. The set and the semantics are ModSecurity v3's.
//!
//! Each is a total function from bytes to bytes, linear, never failing. Each states what must occur
//! in a value for it to have any effect ([`Trigger`]), so that a glance at a clean value's bytes
//! tells that there is nothing to do.

use alloc::vec::Vec;

mod base64;
mod command;
mod comments;
mod digest;
mod escape;
mod hex;
mod html;
mod idle;
mod parity;
mod path;
mod space;
mod unicode;
mod url;

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
        Trigger::Bytes(match self {
            Self::Base64Decode
            | Self::Base64DecodeExt
            | Self::Base64Encode
            | Self::HexDecode
            | Self::HexEncode
            | Self::Length
            | Self::Md5
            | Self::Sha1 => return Trigger::Always,
            Self::CmdLine => union(set(b"\"'\\^ ,;\t\r\n"), range(b'A', b'Z')),
            Self::CompressWhitespace | Self::Trim | Self::TrimLeft | Self::TrimRight => WHITE,
            Self::CssDecode | Self::EscapeSeqDecode | Self::JsDecode => set(b"\\"),
            Self::HtmlEntityDecode => set(b"&"),
            Self::Lowercase => range(b'A', b'Z'),
            Self::Uppercase => range(b'a', b'z'),
            // A path without a slash still loses a lone dot.
            Self::NormalizePath => set(b"./"),
            Self::NormalizePathWin => set(b"./\\"),
            Self::ParityEven7bit => parity::EVEN,
            Self::ParityOdd7bit => parity::ODD,
            Self::ParityZero7bit => range(0x80, 0xff),
            // The rarer byte of each mark.
            Self::RemoveComments | Self::RemoveCommentsChar => set(b"*-#"),
            Self::ReplaceComments => set(b"*"),
            Self::RemoveNulls | Self::ReplaceNulls => set(b"\0"),
            Self::RemoveWhitespace => union(WHITE, set(space::NO_BREAK)),
            Self::SqlHexDecode => set(b"xX"),
            Self::UrlDecode | Self::UrlDecodeUni => set(b"%+"),
            Self::UrlEncode => url::ENCODED,
            Self::Utf8ToUnicode => union(range(0xc0, 0xf7), set(b"\0")),
        })
    }

    /// Writes the transformed value to `out`, which is cleared first. Returns false, with `out`
    /// unspecified, when nothing changed.
    // Inlined, its locals would be set up for every value that the caller looks at.
    #[inline(never)]
    pub fn apply(self, input: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        if self.is_idle(input) {
            return false;
        }
        // The start that cannot change is copied in one go, and most often that is all there is.
        let start = match self.trigger() {
            Trigger::Always => 0,
            Trigger::Bytes(bytes) => match input.iter().position(|b| has(&bytes, *b)) {
                Some(at) => at,
                None => return false,
            },
        };
        match self {
            Self::Base64Decode => return base64::decode(input, out) && *out != input,
            Self::Base64DecodeExt => base64::decode_forgiving(input, out),
            Self::Base64Encode => base64::encode(input, out),
            Self::CmdLine => command::line(input, out),
            Self::CompressWhitespace => space::compress(input, start, out),
            Self::CssDecode => escape::css(input, start, out),
            Self::EscapeSeqDecode => escape::ansi_c(input, start, out),
            Self::HexDecode => hex::decode(input, out),
            Self::HexEncode => hex::encode(input, out),
            Self::HtmlEntityDecode => html::decode(input, start, out),
            Self::JsDecode => escape::javascript(input, start, out),
            Self::Length => length(input, out),
            Self::Lowercase => {
                out.extend_from_slice(input);
                out.make_ascii_lowercase();
            }
            Self::Uppercase => out.extend(input.iter().map(u8::to_ascii_uppercase)),
            Self::Md5 => digest::md5(input, out),
            Self::NormalizePath => path::normalize(input, false, out),
            Self::NormalizePathWin => path::normalize(input, true, out),
            Self::ParityEven7bit => out.extend(input.iter().map(|b| parity::even(*b))),
            Self::ParityOdd7bit => out.extend(input.iter().map(|b| parity::odd(*b))),
            Self::ParityZero7bit => out.extend(input.iter().map(|b| b & 0x7f)),
            Self::RemoveComments => comments::remove(input, out),
            Self::RemoveCommentsChar => comments::remove_marks(input, out),
            Self::ReplaceComments => comments::replace(input, out),
            Self::RemoveNulls => out.extend(input.iter().copied().filter(|b| *b != 0)),
            Self::ReplaceNulls => out.extend(input.iter().map(|b| if *b == 0 { b' ' } else { *b })),
            Self::RemoveWhitespace => space::remove(input, out),
            Self::Sha1 => digest::sha1(input, out),
            Self::SqlHexDecode => hex::decode_sql(input, out),
            Self::Trim => out.extend_from_slice(space::trim(input, true, true)),
            Self::TrimLeft => out.extend_from_slice(space::trim(input, true, false)),
            Self::TrimRight => out.extend_from_slice(space::trim(input, false, true)),
            Self::UrlDecode => url::decode(input, start, false, out),
            Self::UrlDecodeUni => url::decode(input, start, true, out),
            Self::UrlEncode => url::encode(input, out),
            Self::Utf8ToUnicode => unicode::escape(input, start, out),
        }
        *out != input
    }
}

/// The number of bytes, in decimal.
fn length(input: &[u8], out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    let mut rest = input.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        first = at;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(first..).unwrap_or_default());
}

/// What C's `isspace` takes for white space.
const WHITE: [u64; 4] = set(b" \t\n\x0b\x0c\r");

const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

const fn has(set: &[u64; 4], byte: u8) -> bool {
    set[(byte >> 6) as usize] >> (byte & 63) & 1 != 0
}

/// The set of these bytes.
const fn set(bytes: &[u8]) -> [u64; 4] {
    let mut set = [0; 4];
    let mut i = 0;
    while i < bytes.len() {
        set[(bytes[i] >> 6) as usize] |= 1 << (bytes[i] & 63);
        i += 1;
    }
    set
}

/// The set of the bytes from `first` to `last`.
const fn range(first: u8, last: u8) -> [u64; 4] {
    let mut set = [0; 4];
    let mut b = first as usize;
    while b <= last as usize {
        set[b >> 6] |= 1 << (b & 63);
        b += 1;
    }
    set
}

const fn union(a: [u64; 4], b: [u64; 4]) -> [u64; 4] {
    [a[0] | b[0], a[1] | b[1], a[2] | b[2], a[3] | b[3]]
}

/// The value of a hexadecimal digit.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The byte that two hexadecimal digits spell.
fn pair(high: u8, low: u8) -> Option<u8> {
    Some(digit(high)? << 4 | digit(low)?)
}

/// The low byte of what four hexadecimal digits spell, a fullwidth form (`ff01` to `ff5e`) as the
/// ASCII character that it stands for.
fn quad(digits: [u8; 4]) -> Option<u8> {
    let high = pair(digits[0], digits[1])?;
    let low = pair(digits[2], digits[3])?;
    Some(if high == 0xff && matches!(low, 1..=0x5e) { low + 0x20 } else { low })
}

/// Copies `input` from `from` up to the next `mark`, in one go; returns where that is.
fn copy_until(input: &[u8], from: usize, mark: u8, out: &mut Vec<u8>) -> usize {
    let rest = input.get(from..).unwrap_or_default();
    let len = rest.iter().position(|b| *b == mark).unwrap_or(rest.len());
    out.extend_from_slice(rest.get(..len).unwrap_or_default());
    from + len
}
