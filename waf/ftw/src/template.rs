//! The templates that a test's `data` may hold.
//!
//! The reference runner expands Go templates with the sprig functions. Two tests use them, both to
//! repeat a character; that function is implemented and every other is an error that names it:
//!
//! ```text
//! {{ "1" | repeat 64200 }}      {{ repeat 64200 "1" }}
//! ```

use crate::Error;

/// A template makes at most this many bytes, so that a typing error costs no gigabytes.
const MOST: usize = 16 << 20;

/// `data` with its templates expanded.
pub(crate) fn expand(data: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(data.len());
    let mut rest = data;
    while let Some(start) = rest.find("{{") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        let fail = |problem| Error::Template { template: excerpt(after), problem };
        let Some(end) = after.find("}}") else { return Err(fail("no closing braces")) };
        let (inner, tail) = (&after[..end], &after[end + 2..]);
        // `{{-` and `-}}` take the white space beside them along.
        let (inner, before) = match inner.strip_prefix("- ") {
            Some(inner) => (inner, before.trim_end()),
            None => (inner, before),
        };
        let (inner, tail) = match inner.strip_suffix(" -") {
            Some(inner) => (inner, tail.trim_start()),
            None => (inner, tail),
        };
        out.push_str(before);
        evaluate(inner.trim(), &mut out).map_err(fail)?;
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn evaluate(expression: &str, out: &mut String) -> Result<(), &'static str> {
    const SHAPE: &str = "only `repeat COUNT TEXT`, plain or with the text piped in, is implemented";
    let (count, text) = if expression.starts_with(['"', '`']) {
        let (text, rest) = literal(expression)?;
        let call = rest.trim_start().strip_prefix('|').ok_or(SHAPE)?;
        (call.trim().strip_prefix("repeat ").ok_or(SHAPE)?.trim(), text)
    } else {
        let call = expression.strip_prefix("repeat ").ok_or(SHAPE)?.trim_start();
        let (count, text) = call.split_once(' ').ok_or(SHAPE)?;
        let (text, rest) = literal(text.trim_start())?;
        if !rest.trim().is_empty() {
            return Err(SHAPE);
        }
        (count, text)
    };
    let count: usize = count.parse().map_err(|_| "the count is no number")?;
    if count.saturating_mul(text.len()) > MOST {
        return Err("makes more than 16 MiB");
    }
    out.push_str(&text.repeat(count));
    Ok(())
}

/// A Go string literal at the start of `text`, and what follows it.
fn literal(text: &str) -> Result<(String, &str), &'static str> {
    if let Some(raw) = text.strip_prefix('`') {
        let (value, rest) = raw.split_once('`').ok_or("no closing quote")?;
        return Ok((value.to_owned(), rest));
    }
    let quoted = text.strip_prefix('"').ok_or("the text is no string literal")?;
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => value.push(match chars.next().map(|(_, escaped)| escaped) {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(same @ ('"' | '\\' | '\'')) => same,
                _ => return Err("an escape other than \\n \\r \\t \\\" \\' \\\\"),
            }),
            c => value.push(c),
        }
    }
    Err("no closing quote")
}

fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_in_either_form() {
        assert_eq!(expand(r#"<{{ "ab" | repeat 3 }}>"#).unwrap(), "<ababab>");
        assert_eq!(expand(r#"<{{ repeat 2 "\n\"" }}>"#).unwrap(), "<\n\"\n\">");
        assert_eq!(expand("a {{- `x` | repeat 1 -}} b").unwrap(), "axb");
        assert_eq!(expand("no { braces } { { here").unwrap(), "no { braces } { { here");
    }

    #[test]
    fn says_what_it_cannot_do() {
        for template in
            ["{{ upper \"a\" }}", "{{ \"a\" | upper }}", "{{ open", "{{ repeat 99999999 \"abc\" }}"]
        {
            assert!(matches!(expand(template), Err(Error::Template { .. })), "{template}");
        }
    }
}
