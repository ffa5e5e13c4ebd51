//! The `Content-Disposition` header of a multipart part, as strictly as ModSecurity reads it.

use alloc::vec::Vec;

/// Where to put what is found.
pub(crate) struct Disposition<'a> {
    /// The field's name.
    pub(crate) name: &'a mut Vec<u8>,
    /// The file's name; empty if the part is not a file.
    pub(crate) filename: &'a mut Vec<u8>,
    /// Set for single quotes.
    pub(crate) invalid_quoting: &'a mut bool,
}

fn blank(text: &[u8]) -> &[u8] {
    let skip = text.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(text.len());
    text.get(skip..).unwrap_or_default()
}

fn split(text: &[u8], end: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|b| end(*b)).unwrap_or(text.len()))
}

/// Reads the value of the header (unfolded). Whatever was found before a fault stays in `into`.
pub(crate) fn parse(value: &[u8], into: &mut Disposition<'_>) -> Result<(), &'static str> {
    let mut rest =
        blank(value.strip_prefix(b"form-data").ok_or("Invalid Content-Disposition header (not form-data)")?);
    let mut encoded = false;
    let mut bare = false;
    if !rest.is_empty() {
        rest = rest.strip_prefix(b";").ok_or("Invalid Content-Disposition header (no semicolon)")?;
    }
    while !rest.is_empty() {
        rest = blank(rest);
        let (name, after) = split(rest, |b| matches!(b, b'=' | b'\t' | b' '));
        let value = blank(after);
        let Some(value) = value.strip_prefix(b"=") else {
            return Err("Invalid Content-Disposition header (parameter without a value)");
        };
        let value = blank(value);
        if value.is_empty() {
            return Err("Invalid Content-Disposition header (parameter without a value)");
        }
        rest = match name {
            b"name" => {
                if !into.name.is_empty() {
                    return Err("Invalid Content-Disposition header (name twice)");
                }
                parameter(value, into.name, into.invalid_quoting)?
            }
            b"filename" => {
                if !into.filename.is_empty() {
                    return Err("Invalid Content-Disposition header (filename twice)");
                }
                bare |= after.first() == Some(&b'=');
                parameter(value, into.filename, into.invalid_quoting)?
            }
            b"filename*" => {
                if core::mem::replace(&mut encoded, true) {
                    return Err("Invalid Content-Disposition header (filename* twice)");
                }
                extended(value)?
            }
            _ => return Err("Invalid Content-Disposition header (unknown parameter)"),
        };
        rest = blank(rest);
        if !rest.is_empty() {
            let Some(next) = rest.strip_prefix(b";") else {
                // What was read ends in a quote.
                let read = value.len() - rest.len();
                *into.invalid_quoting |= matches!(value.get(read.wrapping_sub(1)), Some(b'\'' | b'"'));
                return Err("Invalid Content-Disposition header (no semicolon)");
            };
            rest = next;
            if rest.is_empty() {
                break;
            }
            if blank(rest).is_empty() {
                return Err("Invalid Content-Disposition header (parameter without a value)");
            }
        }
    }
    if into.name.is_empty() {
        return Err("Content-Disposition header missing name field");
    }
    if encoded && into.filename.is_empty() {
        return Err("Invalid Content-Disposition header (filename* without filename)");
    }
    if !into.filename.is_empty() && !bare {
        // Simpler readers would not see `filename =`.
        return Err("Invalid Content-Disposition header (filename)");
    }
    Ok(())
}

/// Reads a token or a quoted string into `out`; what follows it.
fn parameter<'v>(value: &'v [u8], out: &mut Vec<u8>, invalid: &mut bool) -> Result<&'v [u8], &'static str> {
    let Some((quote @ (b'"' | b'\''), mut rest)) = value.split_first() else {
        let (token, rest) = split(value, |b| {
            !b.is_ascii_graphic()
                || matches!(b, b'(' | b')' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'\\' | b'"' | b'/')
                || matches!(b, b'[' | b']' | b'?' | b'=')
        });
        *invalid |= token.contains(&b'\'');
        out.extend_from_slice(token);
        return Ok(rest);
    };
    *invalid |= *quote == b'\'';
    if rest.is_empty() {
        return Err("Invalid Content-Disposition header (quote not closed)");
    }
    loop {
        let (plain, after) = split(rest, |b| b == *quote || b == b'\\');
        out.extend_from_slice(plain);
        rest = match after {
            // Only a quote and a backslash can be escaped; browsers that leave paths as they are rely on it.
            [b'\\', escaped, rest @ ..] if escaped == quote || *escaped == b'\\' => {
                out.push(*escaped);
                rest
            }
            [b'\\'] => return Err("Invalid Content-Disposition header (escape)"),
            [b'\\', rest @ ..] => {
                out.push(b'\\');
                rest
            }
            [_, rest @ ..] => return Ok(rest),
            [] => return Err("Invalid Content-Disposition header (quote not closed)"),
        };
    }
}

/// Goes past an extended value (RFC 8187): `charset'language'text` with `%XX`.
fn extended(value: &[u8]) -> Result<&[u8], &'static str> {
    let (charset, rest) = split(value, |b| !(b.is_ascii_alphanumeric() || b"!#$%&+-^_`{}~".contains(&b)));
    let rest = rest.strip_prefix(b"'").filter(|_| !charset.is_empty());
    let rest = rest.ok_or("Invalid Content-Disposition header (filename* without a charset)")?;
    let (_, rest) = split(rest, |b| b == b'\'');
    let rest =
        rest.strip_prefix(b"'").ok_or("Invalid Content-Disposition header (filename* without a language)")?;
    let (mut name, rest) = split(rest, |b| b == b';');
    while let [byte, next @ ..] = name {
        name = match (byte, next) {
            (b'%', [high, low, next @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => next,
            (byte, next) if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`~".contains(byte) => next,
            _ => return Err("Invalid Content-Disposition header (filename* has invalid characters)"),
        };
    }
    Ok(rest)
}
