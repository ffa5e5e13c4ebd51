//! Any text is read as SecLang: nothing panics, and every rule that is left has what a rule must have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use picket_waf_compiler::seclang::syntax::parse_str;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let Ok(configuration) = parse_str("fuzz.conf", &text) else { return };
    let lines = text.split('\n').count();
    let mut ids: Vec<_> = configuration.rules().map(|rule| rule.id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id that is there twice");
    assert!(count <= lines, "more rules than lines");
    for diagnostic in &configuration.diagnostics {
        assert!(diagnostic.place.line as usize <= lines, "{diagnostic:?} of {lines} lines");
        assert!(!diagnostic.text.is_empty());
        let _ = diagnostic.to_string();
    }
    // Equal input, equal outcome.
    let again = parse_str("fuzz.conf", &text).expect("parsed above");
    assert_eq!(format!("{configuration:?}"), format!("{again:?}"));
});
