//! What can be told of a transformation without running it.

use super::{Transformation, base64, command, url};
use crate::body::{find, find_control, find_two};
use crate::format::holds;

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
        matches!(self, Self::UrlDecode | Self::UrlDecodeUni) && !url::has_escape(input)
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

    /// Whether the transformation changes letters' case and nothing else.
    pub(crate) fn folds_case(self) -> bool {
        matches!(self, Self::Lowercase | Self::Uppercase)
    }

    /// Whether each literal that the output has, in any case, is in `input` too, if what it may hold is
    /// none but `holds`: [`holds`](crate::format::holds) bits. `false` says nothing.
    pub(crate) fn adds_no_literal(self, input: &[u8], holds: u8) -> bool {
        match self {
            Self::Lowercase | Self::Uppercase => true,
            Self::CmdLine => command::adds_no_literal(input, holds),
            // A blank is all that is written where there is but a plus.
            Self::UrlDecode | Self::UrlDecodeUni => holds & holds::BLANK == 0 && !url::has_escape(input),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// What the compiler notes of a literal.
    fn held(literal: &[u8]) -> u8 {
        let later = &literal[1..];
        let bit = |bit: u8, held: bool| if held { bit } else { 0 };
        bit(holds::BLANK, literal.contains(&b' '))
            | bit(holds::SLASH, later.contains(&b'/'))
            | bit(holds::PARENTHESIS, later.contains(&b'('))
    }

    #[test]
    fn literals_of_the_output_are_in_the_input_where_that_is_said() {
        let alphabet = b"aaBb  ,;/(\t'\"+%x1.\xa0\xff\xff\xff";
        let mut state = 7u32;
        let mut below = |limit: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % limit
        };
        let (mut said, mut changed) = (0, 0);
        let mut output = Vec::new();
        for _ in 0..40_000 {
            let input: Vec<u8> = (0..below(12)).map(|_| alphabet[below(alphabet.len())]).collect();
            for &transformation in Transformation::ALL {
                if !transformation.apply(&input, &mut output) {
                    continue;
                }
                let folded = input.to_ascii_lowercase();
                for len in 1..=6 {
                    for literal in output.to_ascii_lowercase().windows(len) {
                        if transformation.adds_no_literal(&input, held(literal)) {
                            assert!(
                                folded.windows(len).any(|part| part == literal),
                                "{transformation:?} of {:?}: {:?}",
                                input.escape_ascii(),
                                literal.escape_ascii()
                            );
                            said += 1;
                            changed += usize::from(!output.eq_ignore_ascii_case(&input));
                        }
                    }
                }
            }
        }
        assert!(said > changed && changed > 1000, "{said} {changed}");
    }
}
