use super::sample::Sample;
use regex_syntax::hir::Hir;
pub(super) fn required(_hir: &Hir, _sample: &Sample<'_>) -> Option<Vec<Vec<u8>>> {
    None
}
