//! Multipart bodies: bounds, and that buffers used before make no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
use picket_fuzz::{Report, Told, contains, limits};
use picket_seclang::body::{MultipartFlags, Scratch, multipart};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    // The first line is the content type.
    let end = data.iter().position(|&byte| byte == b'\n').unwrap_or(data.len());
    let (content_type, body) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let limits = limits(choice);
    let mut scratch = Scratch::new();
    let mut first = None;
    for _ in 0..2 {
        let (mut flags, mut report) = (MultipartFlags::default(), Report::default());
        let result = multipart(content_type, body, &limits, &mut scratch, &mut flags, &mut report);
        report.check(&limits, body.len().max(content_type.len()).max(1024), result.err().as_ref());
        assert_eq!(flags.error, result.is_err());
        assert!(!flags.error || flags.strict_error());
        for told in &report.0 {
            match told {
                // Contents and header lines are the body's own bytes.
                Told::File(_, _, content) => assert!(contains(body, content)),
                Told::Arg(..) | Told::Part(..) | Told::PartHeader(..) => {}
                Told::Text(_) | Told::Attribute(_) => panic!("{told:?} of a multipart body"),
            }
        }
        let found = (flags, report, result);
        match &first {
            None => first = Some(found),
            Some(first) => assert_eq!(*first, found, "buffers used before make a difference"),
        }
    }
});
