//! What shells do to a line before they look for the command in it.

use alloc::vec::Vec;

pub(super) const TRIGGERS: &[u8] = b"\"'\\^${";

/// Where none of these is, no shell is reached: prose with apostrophes stays as it is.
const OPENINGS: &[u8] = b";|&`$<>\n/(\\^";

pub(super) fn fold(input: &[u8], out: &mut Vec<u8>) -> bool {
    if !input.iter().any(|b| OPENINGS.contains(b)) {
        return false;
    }
    let quoted = |quote| input.iter().filter(|b| **b == quote).count() > 1;
    // One quote alone is an apostrophe or ends a string of the program's own.
    let (single, double) = (quoted(b'\''), quoted(b'"'));
    let mut changed = false;
    let mut rest = input;
    while let [byte, after @ ..] = rest {
        let (len, with) = match *byte {
            b'\'' if single => (1, None),
            b'"' if double => (1, None),
            b'^' => (1, None),
            b'\\' if after.starts_with(b"\r\n") => (3, None),
            b'\\' if after.first() == Some(&b'\n') => (2, None),
            b'\\' => (1, None),
            b'$' => match expansion(after) {
                Some((len, with)) => (1 + len, with),
                None => (0, None),
            },
            b'{' => match brace(after) {
                Some(len) => {
                    out.push(b'{');
                    out.extend(after[..len].iter().map(|&b| if b == b',' { b' ' } else { b }));
                    changed = true;
                    rest = &after[len..];
                    continue;
                }
                None => (0, None),
            },
            _ => (0, None),
        };
        if len == 0 {
            out.push(*byte);
            rest = after;
        } else {
            out.extend(with);
            changed = true;
            rest = &rest[len..];
        }
    }
    changed
}

/// The expansion after a `$`: how many bytes, and what it stands for. `$@`, `$*` and the
/// positional parameters are empty in a shell that a program starts; `$'` and `$"` only quote.
fn expansion(after: &[u8]) -> Option<(usize, Option<u8>)> {
    match after {
        [b'@' | b'*' | b'!' | b'1'..=b'9', ..] => Some((1, None)),
        [b'{', b'@' | b'*' | b'1'..=b'9', b'}', ..] => Some((3, None)),
        _ if starts_with(after, b"IFS") => Some((3, Some(b' '))),
        _ if starts_with(after, b"{IFS") => {
            let end = after.iter().take(16).position(|&b| b == b'}')?;
            Some((end + 1, Some(b' ')))
        }
        _ => None,
    }
}

fn starts_with(after: &[u8], name: &[u8]) -> bool {
    after.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// The words of a brace expansion after its `{`, such as `cat,/etc/passwd`: at least one comma,
/// and neither blanks nor what JSON and style sheets have in braces.
fn brace(after: &[u8]) -> Option<usize> {
    let mut comma = false;
    for (len, byte) in after.iter().enumerate() {
        match byte {
            b'}' => return comma.then_some(len),
            b',' => comma = true,
            b' ' | b'\t' | b'\n' | b':' | b'{' => return None,
            _ => {}
        }
    }
    None
}
