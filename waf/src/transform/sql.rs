//! SQL comments.
//!
//! What looks like a comment may lie inside a string literal of the statement that the value ends
//! up in, where it hides nothing; so rules look at the value with its comments, too.

use alloc::vec::Vec;

pub(super) const TRIGGERS: &[&[u8]] = &[b"/*", b"--", b"#", b"  ", b"\t", b"\n", b"\r", b"\x0b", b"\x0c"];

pub(super) fn fold(input: &[u8], out: &mut Vec<u8>) -> bool {
    rewrite(input, out, true)
}

pub(super) fn remove_comments(input: &[u8], out: &mut Vec<u8>) -> bool {
    rewrite(input, out, false)
}

/// Removes block comments. With `blanks`, each leaves a blank, and so does a line comment that a
/// line feed ends, and any run of white space. An unclosed block comment loses its opening only; a
/// line comment that runs to the end of the value stays, for it is itself a sign.
fn rewrite(input: &[u8], out: &mut Vec<u8>, blanks: bool) -> bool {
    let mut changed = false;
    // Whether a conditional comment is open, whose `*/` goes when it comes.
    let mut conditional = false;
    // Searching for the end of a comment is worth it once only if there is none.
    let (mut block_end, mut line_end) = (true, true);
    let mut at = 0;
    while at < input.len() {
        let rest = &input[at..];
        let taken = match rest {
            [b'/', b'*', body @ ..] => {
                if let [b'!', body @ ..] | [b'M' | b'm', b'!', body @ ..] = body {
                    conditional = true;
                    let version = body.iter().take(6).take_while(|b| b.is_ascii_digit()).count();
                    rest.len() - body.len() + version
                } else if block_end && let Some(end) = body.windows(2).position(|w| w == b"*/") {
                    2 + end + 2
                } else {
                    block_end = false;
                    2
                }
            }
            [b'*', b'/', ..] if conditional => {
                conditional = false;
                2
            }
            [b'-', b'-', body @ ..] | [b'#', body @ ..] if blanks && line_end => {
                if let Some(end) = body.iter().position(|&b| b == b'\n') {
                    rest.len() - body.len() + end + 1
                } else {
                    line_end = false;
                    0
                }
            }
            [b'\t' | b'\n' | b'\r' | 0x0b | 0x0c, ..] if blanks => 1,
            [b' ', ..] if blanks && out.last() == Some(&b' ') => 1,
            _ => 0,
        };
        if taken == 0 {
            out.push(input[at]);
            at += 1;
        } else {
            if blanks && out.last() != Some(&b' ') {
                out.push(b' ');
            }
            changed = true;
            at += taken;
        }
    }
    changed
}
