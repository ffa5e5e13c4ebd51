//! JSON.
use super::*;
/// Reads JSON.
///
/// # Errors
/// When it is not JSON, or a limit is exceeded.
pub fn json(
    _body: &[u8],
    _limits: &Limits,
    _scratch: &mut Scratch,
    _sink: &mut dyn Sink,
) -> Result<(), Fault> {
    Ok(())
}
