//! Comments of SQL, C, HTML and shells.

use alloc::vec::Vec;

/// Comments to nothing. `--` and `#` end the value; a comment without an end leaves a blank.
pub(super) fn remove(input: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    let mut inside = false;
    while let Some(rest @ [first, ..]) = input.get(at..) {
        if !inside {
            if rest.starts_with(b"/*") {
                inside = true;
                at += 2;
            } else if rest.starts_with(b"<!--") {
                inside = true;
                at += 4;
            } else if rest.starts_with(b"--") || *first == b'#' {
                break;
            } else {
                out.push(*first);
                at += 1;
            }
            continue;
        }
        let close = if rest.starts_with(b"*/") {
            2
        } else if rest.starts_with(b"-->") {
            3
        } else {
            at += 1;
            continue;
        };
        // ModSecurity takes the byte after a comment as it is, even if it starts the next one; at
        // the end that is the terminator of its string.
        out.push(rest.get(close).copied().unwrap_or(0));
        at += close + 1;
        inside = false;
    }
    if inside {
        out.push(b' ');
    }
}

/// The marks of comments to nothing.
pub(super) fn remove_marks(input: &[u8], out: &mut Vec<u8>) {
    const MARKS: &[&[u8]] = &[b"/*", b"*/", b"<!--", b"-->", b"--", b"#"];
    let mut at = 0;
    while let Some(rest @ [first, ..]) = input.get(at..) {
        let mark = match first {
            b'/' | b'*' | b'<' | b'-' | b'#' => MARKS.iter().find(|mark| rest.starts_with(mark)),
            _ => None,
        };
        match mark {
            Some(mark) => at += mark.len(),
            None => {
                out.push(*first);
                at += 1;
            }
        }
    }
}

/// Each `/* */`, even one without an end, to one blank.
pub(super) fn replace(input: &[u8], out: &mut Vec<u8>) {
    let mut rest = input;
    while let Some(start) = find(rest, b"/*") {
        out.extend_from_slice(rest.get(..start).unwrap_or_default());
        out.push(b' ');
        let body = rest.get(start + 2..).unwrap_or_default();
        rest = find(body, b"*/").and_then(|end| body.get(end + 2..)).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

fn find(haystack: &[u8], mark: &[u8; 2]) -> Option<usize> {
    haystack.windows(2).position(|w| w == mark)
}
