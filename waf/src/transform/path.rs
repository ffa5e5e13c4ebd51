//! Path normalisation.

use alloc::vec::Vec;

pub(super) fn normalize_win(input: &[u8], out: &mut Vec<u8>) -> bool {
    let slash = |b: u8| matches!(b, b'/' | b'\\');
    let mut changed = false;
    let mut at = 0;
    while at < input.len() {
        let byte = input[at];
        if !slash(byte) {
            out.push(byte);
            at += 1;
            continue;
        }
        changed |= byte == b'\\';
        // `://` of a URL is not a path's, and most values with two slashes are URLs.
        let after_slash = out.last() == Some(&b'/');
        let scheme = out.ends_with(b":/") && out.len() > 3 && out[out.len() - 3].is_ascii_alphabetic();
        if after_slash && !scheme {
            changed = true;
            at += 1;
            continue;
        }
        match &input[at + 1..] {
            [b'.', next, ..] if slash(*next) => {
                // The slash that follows is the next round's.
                changed = true;
                at += 2;
                continue;
            }
            [b'.', b'.', next, ..] if slash(*next) => {
                if let Some(parent) = parent(out) {
                    out.truncate(parent);
                    changed = true;
                    at += 3;
                    continue;
                }
            }
            _ => {}
        }
        out.push(b'/');
        at += 1;
    }
    changed
}

/// Where the segment at the end of `out` starts, with its slash, if it is one that `/..` can
/// remove.
fn parent(out: &[u8]) -> Option<usize> {
    let start = out.iter().rposition(|&b| b == b'/')?;
    let segment = &out[start + 1..];
    (!segment.is_empty() && segment != b"..").then_some(start)
}
