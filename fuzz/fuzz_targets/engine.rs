//! Any exchange through rules of every kind (or those that `FUZZ_RULES` names): the same outcome whatever chunks bodies come in, whether the
//! compiler folds constants or not, and whatever instance did before.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use picket_fuzz::{Exchange, Memory, Random, chosen, drive};
use picket_seclang::RuleSet;

static FOLDED: LazyLock<Vec<u8>> = LazyLock::new(|| chosen(true));
static PLAIN: LazyLock<Vec<u8>> = LazyLock::new(|| chosen(false));

fuzz_target!(init: (LazyLock::force(&FOLDED), LazyLock::force(&PLAIN)), |data: &[u8]| {
    let exchange = Exchange::of(data);
    let folded = RuleSet::from_trusted(&FOLDED).expect("compiled here");
    let plain = RuleSet::from_trusted(&PLAIN).expect("compiled here");
    let store = Memory::default();
    let seen = drive(folded, &exchange, None, &store);
    assert_eq!(seen, drive(plain, &exchange, None, &Memory::default()), "folding makes a difference");
    let mut random = Random::of(data);
    for _ in 0..2 {
        let chunked = drive(folded, &exchange, Some(&mut random), &Memory::default());
        assert_eq!(seen, chunked, "chunks make a difference");
    }
    // Once more, with what the first left in the store.
    let _ = drive(folded, &exchange, None, &store);
});
