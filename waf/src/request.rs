//! The request head as variables.

use alloc::vec::Vec;

use picket_abi::{Octets, RequestHead};

use crate::blob::{Check, RuleSet, format};
use crate::body::Sink;
use crate::inspect::Inspector;
use crate::variable::Variable;

/// The headers that some check names, counted as they pass by, and the checks that ask for the
/// counts.
pub(crate) struct HeaderCounts {
    names: Vec<(&'static [u8], u32)>,
    /// Checks of counts and of absence.
    asked: Vec<Asked>,
    /// Checks of values.
    valued: Vec<Asked>,
}

/// A check and the name (by its position) whose count it asks for.
struct Asked {
    check: Check,
    name: usize,
}

impl HeaderCounts {
    pub(crate) fn new(rules: &RuleSet<'static>) -> Self {
        // Room for all at once: a fresh instance pays for every growth.
        let room = 2 * rules.structural_checks();
        let mut counts = HeaderCounts {
            names: Vec::with_capacity(room),
            asked: Vec::with_capacity(room),
            valued: Vec::with_capacity(room),
        };
        for index in 0..rules.structural_checks() {
            let check = rules.check(index);
            for (variable, exclude, name) in rules.selectors(&check) {
                let name = counts.position(name).unwrap_or_else(|| {
                    counts.names.push((name, 0));
                    counts.names.len() - 1
                });
                let absent = check.operator == format::OP_ABSENT;
                match variable {
                    _ if exclude => {}
                    Variable::RequestHeaders if !absent => counts.valued.push(Asked { check, name }),
                    Variable::RequestHeaders | Variable::HeaderCount => {
                        counts.asked.push(Asked { check, name });
                    }
                    _ => {}
                }
            }
        }
        counts
    }

    fn clear(&mut self) {
        for (_, count) in &mut self.names {
            *count = 0;
        }
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.names.iter().position(|(known, _)| known.len() == name.len() && known.eq_ignore_ascii_case(name))
    }

    /// Counts a header and puts the checks to it that name it.
    fn pass(&mut self, inspector: &mut Inspector, name: &[u8], value: &[u8]) {
        let Some(position) = self.position(name) else { return };
        self.names[position].1 += 1;
        for asked in self.valued.iter().filter(|asked| asked.name == position) {
            inspector.ask(&asked.check, Variable::RequestHeaders, name, value);
        }
    }
}

/// What the head says of the body.
#[derive(Default)]
pub(crate) struct BodyHeaders<'a> {
    /// `Content-Type`.
    pub content_type: Option<Octets<'a>>,
    /// Whether there is a `Content-Encoding` other than `identity`.
    pub encoded: bool,
}

/// Inspects everything of a request before its body.
pub(crate) fn inspect_head<'a>(
    inspector: &mut Inspector,
    counts: &mut HeaderCounts,
    head: &RequestHead<'a>,
) -> BodyHeaders<'a> {
    inspector.value(Variable::RequestMethod, b"", &head.method);
    inspector.value(Variable::RequestProtocol, b"", head.version.as_str().as_bytes());
    inspector.value(Variable::RequestTarget, b"", &head.target);
    inspector.value(Variable::RequestPath, b"", head.path());
    if let Some(query) = head.query() {
        inspector.value(Variable::QueryString, b"", query);
        inspector.urlencoded(query);
    }
    counts.clear();
    let mut body = BodyHeaders::default();
    for header in head.headers {
        counts.pass(inspector, &header.name, &header.value);
        match header.name.len() {
            6 if header.name.eq_ignore_ascii_case(b"cookie") => {
                cookies(inspector, &header.value);
                continue;
            }
            12 if body.content_type.is_none() && header.name.eq_ignore_ascii_case(b"content-type") => {
                body.content_type = Some(header.value);
            }
            16 if header.name.eq_ignore_ascii_case(b"content-encoding") => {
                body.encoded |= !header.value.eq_ignore_ascii_case(b"identity");
            }
            _ => {}
        }
        inspector.value(Variable::RequestHeadersNames, &header.name, &header.name);
        inspector.header(&header.name, &header.value);
    }
    // HTTP/2 has no `Host`: the authority stands for it.
    if !head.authority.is_empty()
        && let Some((_, count)) = counts.position(b"host").and_then(|host| counts.names.get_mut(host))
    {
        *count = (*count).max(1);
    }
    structural(inspector, counts);
    body
}

/// `name=value; name=value` (RFC 6265, section 5.4).
fn cookies(inspector: &mut Inspector, header: &[u8]) {
    for cookie in header.split(|&byte| byte == b';') {
        let cookie = cookie.trim_ascii();
        let at = cookie.iter().position(|&byte| byte == b'=').unwrap_or(cookie.len());
        let (name, value) = cookie.split_at(at);
        inspector.value(Variable::RequestCookiesNames, name, name);
        inspector.value(Variable::RequestCookies, name, value.get(1..).unwrap_or(&[]));
    }
}

/// The checks that ask for headers which are not there, and for how many there are.
fn structural(inspector: &mut Inspector, counts: &HeaderCounts) {
    let mut decimal = Vec::new();
    for asked in &counts.asked {
        let (name, count) = counts.names[asked.name];
        if asked.check.operator != format::OP_ABSENT {
            decimal.clear();
            push_decimal(&mut decimal, count);
            inspector.ask(&asked.check, Variable::HeaderCount, name, &decimal);
        } else if count == 0 {
            inspector.ask(&asked.check, Variable::RequestHeaders, name, b"");
        }
    }
}

/// Appends `number` in decimal.
pub(crate) fn push_decimal(text: &mut Vec<u8>, number: u32) {
    let mut digits = [0; 10];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    text.extend_from_slice(&digits[at..]);
}
