//! What can be told of a transformation without running it.

use super::{Transformation, base64, command};
use crate::body::{find, find_control, find_two};

fn has(input: &[u8], byte: u8) -> bool {
    find(input, 0, byte).is_some()
}

fn has_two(input: &[u8], two: &[u8; 2]) -> bool {
    find_two(input, 0, *two).is_some()
}

impl Transformation {
    /// Whether a look at eight bytes a time shows that nothing would change. `false` says nothing.
    pub(crate) fn is_idle(self, input: &[u8]) -> bool {
        match self {
            Self::CompressWhitespace => find_control(input, 0).is_none() && !has_two(input, b"  "),
            Self::RemoveCommentsChar | Self::RemoveComments => {
                !has_two(input, b"--")
                    && !has(input, b'#')
                    && (!has(input, b'*') || !has_two(input, b"/*") && !has_two(input, b"*/"))
            }
            Self::ReplaceComments => !has_two(input, b"/*"),
            Self::HtmlEntityDecode => !has_reference(input),
            // Only what ends in a dot is no segment of its own name.
            Self::NormalizePath => keeps_path(input),
            Self::NormalizePathWin => !has(input, b'\\') && keeps_path(input),
            _ => false,
        }
    }

    /// Whether blanks are all that the transformation writes into `input`. `false` says nothing.
    pub(crate) fn writes_blanks(self, input: &[u8]) -> bool {
        matches!(self, Self::UrlDecode | Self::UrlDecodeUni) && !has(input, b'%')
    }

    /// Whether `input` is surely changed, to something without four bytes of ASCII in a row: see
    /// [`Node::text`](crate::format::Node::text). `false` says nothing.
    pub(crate) fn spoils_text(self, input: &[u8]) -> bool {
        self == Self::Base64Decode && !input.is_empty() && !base64::may_be_text(input)
    }

    /// Whether the output has always as many bytes as the input.
    pub(crate) fn keeps_length(self) -> bool {
        matches!(self, Self::Lowercase | Self::Uppercase | Self::ReplaceNulls)
    }

    /// Whether the transformation changes letters' case in `input` and nothing else. `false` says
    /// nothing.
    pub(crate) fn folds_case(self, input: &[u8]) -> bool {
        match self {
            Self::Lowercase | Self::Uppercase => true,
            Self::CmdLine => command::only_folds(input),
            _ => false,
        }
    }
}

/// Whether something stands in `input` that begins like a character reference.
fn has_reference(input: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = find(input, at, b'&') {
        at = found + 1;
        if let Some(b'#' | b'q' | b'a' | b'l' | b'g' | b'n' | b'Q' | b'A' | b'L' | b'G' | b'N') =
            input.get(at)
        {
            return true;
        }
    }
    false
}

fn keeps_path(input: &[u8]) -> bool {
    input.last() != Some(&b'.') && (!has(input, b'/') || !has_two(input, b"//") && !has_two(input, b"./"))
}
