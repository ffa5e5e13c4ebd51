//! The test files of the Core Rule Set, if they are there: every one is read, every request is built.

use std::path::Path;

use picket_ftw::{Outcome, Runner, Suite, build, crs_dir, exchange, judge};

fn suite() -> Option<Suite> {
    let fallback = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs");
    let Some(folder) = crs_dir(&fallback) else {
        println!("skipped: no CRS_DIR and nothing at {}", fallback.display());
        return None;
    };
    Some(Suite::load(&folder.join("tests")).expect("the files are test files"))
}

#[test]
fn all_tests_are_read_and_all_requests_built() {
    let Some(suite) = suite() else { return };
    assert_eq!((suite.files, suite.tests.len()), (323, 5003));
    assert_eq!(suite.tests.iter().filter(|test| test.stages.len() > 1).count(), 2);
    let mut reflected = 0;
    for test in &suite.tests {
        for stage in &test.stages {
            let exchange = exchange(&stage.input).unwrap_or_else(|e| panic!("{}: {e}", test.id()));
            // One of the 87 sends what is no JSON.
            reflected += u32::from(exchange.request.target == b"/reflect" && exchange.response.status == 200);
            assert!(!exchange.request.target.is_empty(), "{}", test.id());
        }
    }
    assert_eq!(reflected, 86);
}

#[test]
fn a_wrong_number_in_a_file_is_set_right() {
    let Some(suite) = suite() else { return };
    assert!(suite.tests.iter().all(|test| test.rule_id <= 999_999 && test.family().len() == 3));
    assert!(suite.tests.iter().any(|test| test.id() == "933200-1"));
}

#[test]
fn what_only_a_server_can_answer_is_not_judged() {
    let Some(suite) = suite() else { return };
    let runner = Runner::new(&suite, Default::default());
    let unjudged = runner.tests().filter(|test| {
        let outcome = |stage: &picket_ftw::Stage| judge(&stage.output, &Default::default());
        test.stages.iter().any(|stage| matches!(outcome(stage), Outcome::NotJudged(_)))
    });
    assert_eq!(unjudged.count(), 21);
}

#[test]
fn templates_make_large_files() {
    let Some(suite) = suite() else { return };
    let test = suite.tests.iter().find(|test| test.id() == "920400-1").expect("it is in the files");
    let request = build(&test.stages[0].input).unwrap();
    // Its own Content-Length cuts the form off within the file.
    assert_eq!(request.header("content-length"), Some(&b"64200"[..]));
    assert_eq!(request.body.len(), 64_200);
    assert!(request.body.ends_with(b"1111"));
}
