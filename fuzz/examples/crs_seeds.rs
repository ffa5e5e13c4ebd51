//! Writes the requests of the Core Rule Set's tests (`CRS_DIR`, by default `../shared/crs` beside the workspace)
//! into the corpora of `engine` and `differential`, which the repository ignores.

use std::fs;
use std::path::Path;

use picket_ftw::{Suite, crs_dir, exchange};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = crs_dir(&here.join("../../shared/crs")).ok_or("no CRS_DIR")?;
    let suite = Suite::load(&folder.join("tests"))?;
    let mut written = 0;
    for test in &suite.tests {
        for (number, stage) in test.stages.iter().enumerate() {
            let exchange = exchange(&stage.input)?;
            let mut text = exchange.request.line();
            for (name, value) in &exchange.request.headers {
                text.extend([b"\n", &name[..], b": ", value].concat());
            }
            text.extend([b"\n\n", &exchange.request.body[..]].concat());
            if exchange.response.body.len() > 2 {
                text.extend(format!("\n--response--\nHTTP/1.1 {}", exchange.response.status).bytes());
                for (name, value) in &exchange.response.headers {
                    text.extend([b"\n", &name[..], b": ", value].concat());
                }
                text.extend([b"\n\n", &exchange.response.body[..]].concat());
            }
            if text.len() > 4096 {
                continue;
            }
            for target in ["engine", "differential"] {
                let corpus = here.join("corpus").join(target);
                fs::create_dir_all(&corpus)?;
                fs::write(corpus.join(format!("crs-{}-{number}", test.id())), &text)?;
            }
            written += 1;
        }
    }
    println!("{written} requests of {} tests", suite.tests.len());
    Ok(())
}
