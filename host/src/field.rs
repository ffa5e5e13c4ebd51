//! Header fields that a guest wrote, checked before anybody sends them.

use alloc::vec::Vec;

use picket_abi::{Header, HeaderOp, Seq, SeqBuf};

use crate::error::GuestFault;

/// Fields that frame a message or belong to one hop ([RFC 9110, 7.6.1]): the host writes them, and a
/// filter that could would smuggle requests.
///
/// [RFC 9110, 7.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
const RESERVED: [&str; 7] = [
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "trailer",
];

/// Whether a header field of that name is the host's own, so that no filter may write it.
pub fn is_reserved(name: &[u8]) -> bool {
    RESERVED.into_iter().any(|reserved| name.eq_ignore_ascii_case(reserved.as_bytes()))
}

/// A field name must be a token ([RFC 9110, 5.6.2]) and not the host's own.
///
/// [RFC 9110, 5.6.2]: https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
fn check_name(name: &[u8]) -> Result<(), GuestFault> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() {
        return Err(GuestFault::InvalidHeader { part: "name", offset: 0, byte: None });
    }
    if let Some(offset) = name.iter().position(|&byte| !token(byte)) {
        return Err(GuestFault::InvalidHeader { part: "name", offset, byte: Some(name[offset]) });
    }
    match RESERVED.into_iter().find(|reserved| name.eq_ignore_ascii_case(reserved.as_bytes())) {
        Some(name) => Err(GuestFault::ReservedHeader { name }),
        None => Ok(()),
    }
}

/// A field value has no control bytes but the tab ([RFC 9110, 5.5]).
///
/// [RFC 9110, 5.5]: https://www.rfc-editor.org/rfc/rfc9110#section-5.5
fn check_value(part: &'static str, value: &[u8]) -> Result<(), GuestFault> {
    let control = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    match value.iter().position(|&byte| control(byte)) {
        Some(offset) => Err(GuestFault::InvalidHeader { part, offset, byte: Some(value[offset]) }),
        None => Ok(()),
    }
}

fn check_field(field: &Header<'_>) -> Result<(), GuestFault> {
    check_name(&field.name)?;
    check_value("value", &field.value)
}

/// The fields of a reply.
pub(crate) fn checked_fields(fields: Seq<'_, Header<'_>>) -> Result<SeqBuf<Header<'static>>, GuestFault> {
    fields.iter().try_for_each(|field| check_field(&field))?;
    let mut checked = SeqBuf::new();
    checked.extend_from_seq(fields);
    Ok(checked)
}

/// The fields of a redirection.
pub(crate) fn location_fields(location: &[u8]) -> Result<SeqBuf<Header<'static>>, GuestFault> {
    if location.is_empty() {
        return Err(GuestFault::InvalidHeader { part: "location", offset: 0, byte: None });
    }
    check_value("location", location)?;
    let mut fields = SeqBuf::new();
    fields.push(Header { name: "Location".into(), value: location.into() });
    Ok(fields)
}

/// `fields` after the operations, in their order.
pub(crate) fn apply(
    fields: Seq<'_, Header<'_>>,
    operations: Seq<'_, HeaderOp<'_>>,
) -> Result<SeqBuf<Header<'static>>, GuestFault> {
    let mut changed: Vec<Header<'_>> = fields.iter().collect();
    for operation in operations {
        match operation {
            HeaderOp::Set(field) => {
                check_field(&field)?;
                changed.retain(|other| !other.name.eq_ignore_ascii_case(&field.name));
                changed.push(field);
            }
            HeaderOp::Append(field) => {
                check_field(&field)?;
                changed.push(field);
            }
            HeaderOp::Remove(name) => {
                check_name(&name)?;
                changed.retain(|other| !other.name.eq_ignore_ascii_case(&name));
            }
        }
    }
    let mut list = SeqBuf::new();
    list.extend(changed);
    Ok(list)
}

/// `fields` without those that give the length of a body that has been replaced.
pub(crate) fn without_length(fields: Seq<'_, Header<'_>>) -> SeqBuf<Header<'static>> {
    let mut list = SeqBuf::new();
    list.extend(fields.iter().filter(|field| {
        !field.name.eq_ignore_ascii_case(b"content-length")
            && !field.name.eq_ignore_ascii_case(b"transfer-encoding")
    }));
    list
}
