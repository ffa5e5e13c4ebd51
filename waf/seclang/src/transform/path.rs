//! Paths.

use alloc::vec::Vec;

/// Collapses `//`, `/./` and `/x/../`. A relative path keeps the `..` that lead out of it, an
/// absolute one does not; one that did not end in a slash does not afterwards. With `win`,
/// backslashes are slashes.
///
/// Works byte by byte, as ModSecurity does, not segment by segment: whatever ends in `..` counts as
/// a way back, so that `ab..` at the end takes `ab` with it.
pub(super) fn normalize(input: &[u8], win: bool, out: &mut Vec<u8>) {
    let slashed = |at: usize| match input.get(at) {
        Some(b'\\') if win => Some(b'/'),
        other => other.copied(),
    };
    let Some(end) = input.len().checked_sub(1) else { return };
    let relative = slashed(0) != Some(b'/');
    let trailing = slashed(end) == Some(b'/');
    // A way back met the start of a relative path: no more can be undone.
    let mut stuck = false;
    let mut at = 0;
    while let Some(byte) = slashed(at) {
        let last = at == end;
        // A segment ends here?
        if last || slashed(at + 1) == Some(b'/') {
            if byte == b'/' && !last {
                // An empty segment; the copying below takes the last slash of the run.
            } else if byte == b'.' {
                match out.last() {
                    Some(b'.') => {
                        if relative && (stuck || out.len() <= 2) {
                            stuck = true;
                        } else {
                            let len = parent(out);
                            out.truncate(len);
                            if len == 0 {
                                stuck = true;
                                if !relative && last {
                                    out.push(b'/');
                                }
                            }
                            if last {
                                break;
                            }
                            at += 1;
                        }
                    }
                    None => {
                        if last {
                            break;
                        }
                        at += 1;
                    }
                    Some(b'/') => {
                        if last {
                            break;
                        }
                        out.pop();
                        at += 1;
                    }
                    Some(_) => {}
                }
            } else if !out.is_empty() {
                stuck = false;
            }
        }
        // A segment has been undone up to a slash, which is copied instead of it.
        let Some(byte) = slashed(at) else { break };
        if byte == b'/' {
            while at < end && slashed(at + 1) == Some(b'/') {
                at += 1;
            }
            if relative && out.is_empty() {
                at += 1;
                continue;
            }
        }
        out.push(byte);
        at += 1;
    }
    if !trailing && out.last() == Some(&b'/') {
        out.pop();
    }
}

/// The length of the path without its last segment, which ends in `.`, and the one before it.
fn parent(out: &[u8]) -> usize {
    let from = out.len().saturating_sub(3);
    // The byte at the new end is a slash, or the end is the start.
    (1..=from).rev().find(|at| out.get(*at) == Some(&b'/')).unwrap_or(0)
}
