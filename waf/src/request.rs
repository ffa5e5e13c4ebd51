//! The request head as variables.

use alloc::vec::Vec;

use picket_abi::{Octets, RequestHead};

use crate::blob::{Check, HeaderName, RuleSet, format};
use crate::body::Sink;
use crate::inspect::Inspector;
use crate::variable::Variable;

/// The headers that some check names, counted as they pass by, and the checks that ask for the
/// counts.
pub(crate) struct HeaderCounts {
    counts: Vec<u32>,
    /// The place of `Host` among them.
    host: Option<u8>,
    /// Checks of counts and of absence.
    asked: Vec<Asked>,
    /// Checks of values.
    valued: Vec<Asked>,
}

/// A check and the name whose count it asks for.
struct Asked {
    check: Check,
    name: &'static [u8],
    count: u8,
}

impl HeaderCounts {
    pub(crate) fn new(rules: &RuleSet<'static>) -> Self {
        // Room for all at once: a fresh instance pays for every growth.
        let room = 2 * rules.structural_checks();
        let mut counts = HeaderCounts {
            counts: alloc::vec![0; rules.header_counts()],
            host: rules.header_name(b"host").map(|host| host.count),
            asked: Vec::with_capacity(room),
            valued: Vec::with_capacity(room),
        };
        for index in 0..rules.structural_checks() {
            let check = rules.check(index);
            for (variable, count, name) in rules.picked(&check) {
                let Some(count) = count else { continue };
                let absent = check.operator == format::OP_ABSENT;
                match variable {
                    Variable::RequestHeaders if !absent => counts.valued.push(Asked { check, name, count }),
                    Variable::RequestHeaders | Variable::HeaderCount => {
                        counts.asked.push(Asked { check, name, count });
                    }
                    _ => {}
                }
            }
        }
        counts
    }

    fn count(&mut self, count: u8) -> Option<&mut u32> {
        self.counts.get_mut(usize::from(count))
    }

    /// Counts a header and puts the checks to it that name it and need no literal.
    fn pass(&mut self, inspector: &mut Inspector, known: HeaderName, name: &[u8], value: &[u8]) {
        if let Some(count) = self.count(known.count) {
            *count += 1;
        }
        if known.flags & format::NAME_VALUED == 0 {
            return;
        }
        for asked in self.valued.iter().filter(|asked| asked.count == known.count) {
            if !inspector.is_calm(&asked.check, value) {
                inspector.ask(&asked.check, Variable::RequestHeaders, name, value);
            }
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
    path: &[u8],
) -> BodyHeaders<'a> {
    for (variable, value) in [
        (Variable::RequestMethod, head.method.bytes()),
        (Variable::RequestProtocol, head.version.as_str().as_bytes()),
    ] {
        if !inspector.rules().is_calm(variable, value) {
            inspector.value(variable, b"", value);
        }
    }
    inspector.value(Variable::RequestTarget, b"", &head.target);
    inspector.value(Variable::RequestPath, b"", path);
    if let Some(query) = head.query_behind(path) {
        inspector.query(query);
    }
    counts.counts.fill(0);
    let mut body = BodyHeaders::default();
    for header in head.headers {
        let known = inspector.rules().header_name(&header.name);
        if let Some(known) = known {
            counts.pass(inspector, known, &header.name, &header.value);
        }
        match header.name.len() {
            6 if header.name.eq_ignore_ascii_case(b"cookie") => {
                if !inspector.are_calm_cookies(&header.value) {
                    cookies(inspector, &header.value);
                }
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
        let flags = known.map_or(0, |known| known.flags);
        if flags & format::NAME_CALM == 0 {
            inspector.value(Variable::RequestHeadersNames, &header.name, &header.name);
        }
        if flags & format::NAME_IGNORED == 0 {
            inspector.header(&header.name, &header.value);
        }
    }
    // HTTP/2 has no `Host`: the authority stands for it.
    if !head.authority.is_empty()
        && let Some(count) = counts.host.and_then(|host| counts.count(host))
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
    for Asked { check, name, count } in &counts.asked {
        let count = counts.counts.get(usize::from(*count)).copied().unwrap_or(0);
        if check.operator == format::OP_ABSENT {
            if count == 0 {
                inspector.ask(check, Variable::RequestHeaders, name, b"");
            }
        } else if count > 1 || check.calm != format::CALM_COUNTS {
            let mut decimal = Vec::new();
            push_decimal(&mut decimal, count);
            inspector.ask(check, Variable::HeaderCount, name, &decimal);
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
