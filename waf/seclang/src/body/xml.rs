//! XML.
use super::*;
/// Reads XML.
///
/// # Errors
/// When it is not well-formed, or a limit is exceeded.
pub fn xml(
    _body: &[u8],
    _limits: &Limits,
    _scratch: &mut Scratch,
    _sink: &mut dyn Sink,
) -> Result<(), Fault> {
    Ok(())
}
