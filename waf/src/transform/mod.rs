//! Transformations: what an application would do to a value before it becomes dangerous, done
//! first, so that the patterns see what the application will see.
//!
//! Each is a total function from bytes to bytes: linear, never failing, its output no longer than
//! its input. Each states what must occur in a value for it to have any effect, so that the sweep
//! over clean values finds out for free that there is nothing to do.
//!
//! Names are ModSecurity's only where the behaviour is ModSecurity's as well.

use alloc::vec::Vec;

mod html;
mod javascript;
mod path;
mod shell;
mod sql;
mod strip;
mod url;
mod utf8;

#[cfg(test)]
mod tests;

/// One step of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Transformation {
    /// Percent escapes and `%uXXXX`, again and again until nothing changes, four times at most.
    /// `+` is kept (the parsers of query and form have dealt with it), broken escapes are kept.
    UrlDecodeDeep = 0,
    /// Overlong UTF-8, fullwidth forms and look-alikes of quotes, angle brackets, slashes and
    /// blanks to the ASCII characters that lenient decoders take them for.
    Utf8Fold = 1,
    /// Removes NUL bytes.
    RemoveNulls = 2,
    /// HTML character references, with or without `;`, twice.
    HtmlEntityDecode = 3,
    /// JavaScript string escapes: `\xHH`, `\uHHHH`, `\u{H…}`, octal, and the backslash alone.
    JsDecode = 4,
    /// SQL comments and runs of white space to one blank each, MySQL's conditional comments to
    /// their contents.
    SqlFold = 5,
    /// SQL block comments to nothing, MySQL's conditional comments to their contents.
    SqlCommentsRemove = 6,
    /// Removes tab, line feed, carriage return: what a browser removes from a URL.
    RemoveLineBreaks = 7,
    /// What a shell removes or expands before it looks for a command: quotes, backslashes, carets,
    /// empty expansions, `$IFS`, and the commas of a brace expansion.
    ShellFold = 8,
    /// Backslashes to slashes; `//`, `/./` and `/x/../` collapsed. `://` is kept.
    NormalizePathWin = 9,
}

impl Transformation {
    /// All, in the order of their numbers.
    pub const ALL: &[Self] = &[
        Self::UrlDecodeDeep,
        Self::Utf8Fold,
        Self::RemoveNulls,
        Self::HtmlEntityDecode,
        Self::JsDecode,
        Self::SqlFold,
        Self::SqlCommentsRemove,
        Self::RemoveLineBreaks,
        Self::ShellFold,
        Self::NormalizePathWin,
    ];

    /// The name that rule files use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UrlDecodeDeep => "urlDecodeDeep",
            Self::Utf8Fold => "utf8Fold",
            Self::RemoveNulls => "removeNulls",
            Self::HtmlEntityDecode => "htmlEntityDecode",
            Self::JsDecode => "jsDecode",
            Self::SqlFold => "sqlFold",
            Self::SqlCommentsRemove => "sqlCommentsRemove",
            Self::RemoveLineBreaks => "removeLineBreaks",
            Self::ShellFold => "shellFold",
            Self::NormalizePathWin => "normalizePathWin",
        }
    }

    /// The transformation of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|t| t.name() == name)
    }

    /// The transformation of that number, as blobs hold it.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Bytes of which at least one occurs in every value that the transformation changes. Empty if
    /// [`trigger_literals`](Self::trigger_literals) says it better.
    pub const fn triggers(self) -> &'static [u8] {
        match self {
            Self::UrlDecodeDeep => b"%",
            Self::Utf8Fold => utf8::LEADS,
            Self::RemoveNulls => b"\0",
            Self::JsDecode => b"\\",
            Self::RemoveLineBreaks => b"\t\n\r",
            Self::ShellFold => shell::TRIGGERS,
            Self::HtmlEntityDecode | Self::SqlFold | Self::SqlCommentsRemove | Self::NormalizePathWin => b"",
        }
    }

    /// Lower-case strings of which at least one occurs, in any case, in every value that the
    /// transformation changes; used instead of [`triggers`](Self::triggers) where not empty.
    pub const fn trigger_literals(self) -> &'static [&'static [u8]] {
        match self {
            Self::HtmlEntityDecode => html::TRIGGERS,
            Self::SqlFold => sql::TRIGGERS,
            Self::SqlCommentsRemove => &[b"/*"],
            Self::NormalizePathWin => &[b"\\", b"//", b"/./", b"/../"],
            _ => &[],
        }
    }

    /// Lower-case strings that hold a [trigger literal](Self::trigger_literals), which at the end of
    /// one of these, in any case, changes nothing.
    pub const fn harmless_literals(self) -> &'static [&'static [u8]] {
        match self {
            // Every `Referer` has one.
            Self::NormalizePathWin => &[b"tp://", b"ps://"],
            _ => &[],
        }
    }

    /// Writes the transformed value to `out`, which is cleared first. Returns false, with `out`
    /// unspecified, when nothing changed.
    // Inlined, its locals would be set up for every value that the caller looks at.
    #[inline(never)]
    pub fn apply(self, input: &[u8], out: &mut Vec<u8>) -> bool {
        out.clear();
        match self {
            Self::UrlDecodeDeep => url::decode_deep(input, out),
            Self::Utf8Fold => utf8::fold(input, out),
            Self::RemoveNulls => strip::remove(input, out, |b| b == 0),
            Self::HtmlEntityDecode => html::decode(input, out),
            Self::JsDecode => javascript::decode(input, out),
            Self::SqlFold => sql::fold(input, out),
            Self::SqlCommentsRemove => sql::remove_comments(input, out),
            Self::RemoveLineBreaks => strip::remove(input, out, |b| matches!(b, b'\t' | b'\n' | b'\r')),
            Self::ShellFold => shell::fold(input, out),
            Self::NormalizePathWin => path::normalize_win(input, out),
        }
    }
}

/// The value of a hexadecimal digit.
pub(crate) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The number that exactly `digits` hexadecimal digits at the start of `input` spell.
fn hex_number(input: &[u8], digits: usize) -> Option<u32> {
    input.get(..digits)?.iter().try_fold(0, |n: u32, &d| Some(n << 4 | u32::from(hex(d)?)))
}

/// Writes a code point: fullwidth forms as the ASCII that they stand for, what is no character as
/// nothing. Returns how many bytes it took.
fn encode(code: u32, to: &mut [u8; 4]) -> usize {
    let code = if (0xff01..=0xff5e).contains(&code) { code - 0xfee0 } else { code };
    char::from_u32(code).map_or(0, |c| c.encode_utf8(to).len())
}
