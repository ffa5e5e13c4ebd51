//! XML: bounds, and that buffers used before make no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use picket_fuzz::{Report, Told, limits};
use picket_seclang::body::{Limits, Scratch, xml};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, body)) = data.split_first() else { return };
    let mut scratch = Scratch::new();
    let limits = limits(choice);
    let mut report = Report::default();
    let result = xml(body, &limits, &mut scratch, &mut report);
    report.check(&limits, body.len(), result.err().as_ref());
    let mut again = Report::default();
    assert_eq!(xml(body, &limits, &mut scratch, &mut again), result);
    assert_eq!(again, report, "buffers used before make a difference");

    let wide = Limits::default();
    let mut whole = Report::default();
    let result_whole = xml(body, &wide, &mut scratch, &mut whole);
    whole.check(&wide, body.len(), result_whole.err().as_ref());
    let attributes = |report: &Report| -> Vec<Told> {
        report.0.iter().filter(|told| matches!(told, Told::Attribute(_))).cloned().collect()
    };
    assert!(attributes(&whole).starts_with(&attributes(&report)), "limits change what is told before them");
    if result.is_ok() {
        assert_eq!(whole, report, "limits that were not met change what is told");
    }
    // A document that is taken is UTF-8 when its text is told, whatever it was encoded in.
    if result_whole.is_ok() {
        for told in &whole.0 {
            if let Told::Text(text) | Told::Attribute(text) = told {
                assert!(std::str::from_utf8(text).is_ok(), "{told:?}");
            }
        }
    }
});
