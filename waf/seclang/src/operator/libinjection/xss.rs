//! The verdict on what HTML a value brings.

use super::{
    html::{Context, Kind, Parser},
    names::{ATTRIBUTES, Attribute, ELEMENTS, SCHEMES, is_event},
};

/// Whether the value brings script in any context.
#[inline(never)]
pub fn detect(value: &[u8]) -> bool {
    // Without a tag in it, text is text; without a tag or an attribute's value all else is harmless
    // too; and a quoted value without its quote is one value.
    let tag = value.contains(&b'<');
    if !tag && !value.contains(&b'=') {
        return false;
    }
    (tag && detect_in(value, Context::Data))
        || detect_in(value, Context::Unquoted)
        || [b'\'', b'"', b'`']
            .into_iter()
            .any(|quote| value.contains(&quote) && detect_in(value, Context::Quoted(quote)))
}

fn detect_in(value: &[u8], context: Context) -> bool {
    let mut parser = Parser::new(value, context);
    let mut attribute = Attribute::Harmless;
    while let Some((kind, text)) = parser.next_token() {
        let before = core::mem::replace(&mut attribute, Attribute::Harmless);
        let found = match kind {
            Kind::Doctype => true,
            Kind::TagName => is_black_element(text),
            Kind::AttributeName => {
                attribute = classify(text);
                false
            }
            Kind::AttributeValue => match before {
                Attribute::Harmless => false,
                Attribute::Black | Attribute::Style => true,
                Attribute::Url => is_black_url(text),
                Attribute::Indirect => classify(text) != Attribute::Harmless,
            },
            Kind::Comment => is_black_comment(text),
            Kind::Data | Kind::TagNameClose | Kind::TagNameSelfClose | Kind::TagClose => false,
        };
        if found {
            return true;
        }
    }
    false
}

fn is_black_element(name: &[u8]) -> bool {
    name.len() >= 3
        && (starts_with(name, b"svg") || starts_with(name, b"xsl") || ELEMENTS.iter().any(|e| is(name, e)))
}

fn classify(name: &[u8]) -> Attribute {
    if name.len() < 2 {
        return Attribute::Harmless;
    }
    if name.len() >= 5
        && (matches!(name, [b'o' | b'O', b'n' | b'N', event @ ..] if is_event(event))
            // These can make any other name mean something.
            || starts_with(name, b"xmlns")
            || starts_with(name, b"xlink"))
    {
        return Attribute::Black;
    }
    ATTRIBUTES.iter().find(|(known, _)| is(name, known)).map_or(Attribute::Harmless, |(_, class)| *class)
}

fn is_black_comment(text: &[u8]) -> bool {
    // To old browsers a backquote ends a comment, and some comments are conditions or declarations.
    text.contains(&b'`')
        || text.len() > 3 && (starts_with(text, b"[if") || starts_with(text, b"xml"))
        || text.len() > 5 && (starts_with(text, b"import") || starts_with(text, b"entity"))
}

fn is_black_url(url: &[u8]) -> bool {
    let start = url.iter().position(|b| matches!(b, 33..127)).unwrap_or(url.len());
    let url = url.get(start..).unwrap_or_default();
    SCHEMES.iter().any(|scheme| starts_with_decoded(url, scheme))
}

fn starts_with(text: &[u8], start: &[u8]) -> bool {
    text.get(..start.len()).is_some_and(|text| text.eq_ignore_ascii_case(start))
}

/// Whether the name, without its NUL bytes, is that one.
fn is(name: &[u8], known: &[u8]) -> bool {
    let mut known = known.iter();
    name.iter().filter(|b| **b != 0).all(|b| known.next() == Some(&b.to_ascii_lowercase()))
        && known.next().is_none()
}

/// Whether the URL, its numeric character references decoded, starts so. Control characters and
/// blanks are skipped at the start, NUL and line feeds everywhere.
fn starts_with_decoded(mut url: &[u8], scheme: &[u8]) -> bool {
    let mut scheme = scheme.iter();
    let mut first = true;
    let Some(mut expected) = scheme.next() else { return true };
    while !url.is_empty() {
        let (code, len) = character(url);
        url = url.get(len..).unwrap_or_default();
        if first && code <= 32 {
            continue;
        }
        first = false;
        if matches!(code, 0 | 10) {
            continue;
        }
        // Only the low byte is compared.
        let code = if matches!(code, 0x61..=0x7a) { code - 0x20 } else { code };
        if code as u8 != *expected {
            return false;
        }
        match scheme.next() {
            Some(next) => expected = next,
            None => return true,
        }
    }
    false
}

/// The first character, decoded if it is a numeric reference, and how many bytes it takes.
fn character(text: &[u8]) -> (u32, usize) {
    let plain = (text.first().copied().map_or(0, u32::from), 1);
    let (radix, start) = match text {
        [b'&', b'#', b'x' | b'X', ..] => (16, 3),
        [b'&', b'#', ..] => (10, 2),
        _ => return plain,
    };
    let mut code = 0;
    let mut at = start;
    while let Some(digit) = text.get(at).and_then(|b| char::from(*b).to_digit(radix)) {
        code = code * radix + digit;
        // Beyond Unicode.
        if code > 0x10_00ff {
            return plain;
        }
        at += 1;
    }
    if at == start {
        return plain;
    }
    (code, at + usize::from(text.get(at) == Some(&b';')))
}
