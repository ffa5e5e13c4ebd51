//! Programs in TX, made up on the spot: what the compiler works out ahead must not show in any request.
#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use picket_fuzz::{Exchange, Memory, blob, drive};
use picket_seclang::RuleSet;

const NAMES: [&str; 5] = ["a", "b", "c", "score", "B"];
const OPERATORS: [&str; 10] =
    ["@eq", "!@eq", "@lt", "@gt", "@ge", "@le", "@streq", "@contains", "@rx", "@within"];
const MARKERS: [&str; 2] = ["ONE", "TWO"];

#[derive(Debug)]
struct Program(String);

fn name(u: &mut Unstructured<'_>) -> arbitrary::Result<&'static str> {
    u.choose(&NAMES).copied()
}

fn value(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    Ok(match u.int_in_range(0..=9u8)? {
        0..=4 => u.int_in_range(0..=3u8)?.to_string(),
        5 => format!("%{{tx.{}}}", name(u)?),
        6 => "%{ARGS_GET.k0}".into(),
        7 => format!("x%{{tx.{}}}y", name(u)?),
        8 => "%{MATCHED_VAR}".into(),
        _ => "-2".into(),
    })
}

/// An operator and its argument. A pattern has no macros: those that folding does not know are refused.
fn condition(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let operator = *u.choose(&OPERATORS)?;
    let value =
        if operator == "@rx" { (*u.choose(&["0", "1", "^$", "[2x]"])?).to_string() } else { value(u)? };
    Ok(format!("{operator} {value}"))
}

fn target(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    Ok(match u.int_in_range(0..=11u8)? {
        0..=5 => format!("TX:{}", name(u)?),
        6 => format!("&TX:{}", name(u)?),
        // Of several, which one matches last is nobody's business: so they are only counted.
        7 => format!("&TX:/^{}/", name(u)?),
        8 => format!("&TX|!TX:{}", name(u)?),
        9 => "MATCHED_VAR".into(),
        _ => format!("ARGS_GET:k{}", u.int_in_range(0..=2u8)?),
    })
}

fn sets(u: &mut Unstructured<'_>, most: u8, out: &mut String) -> arbitrary::Result<()> {
    for _ in 0..u.int_in_range(0..=most)? {
        let name = match u.int_in_range(0..=9u8)? {
            0 => format!("{}%{{tx.{}}}", name(u)?, name(u)?),
            _ => name(u)?.to_string(),
        };
        match u.int_in_range(0..=5u8)? {
            0 => write!(out, ",setvar:'!tx.{name}'"),
            1 => write!(out, ",setvar:'tx.{name}'"),
            2 => write!(out, ",setvar:'tx.{name}=+{}'", value(u)?),
            3 => write!(out, ",setvar:'tx.{name}=-{}'", value(u)?),
            _ => write!(out, ",setvar:'tx.{name}={}'", value(u)?),
        }
        .expect("a string takes all");
    }
    Ok(())
}

fn control(u: &mut Unstructured<'_>, rules: u8) -> arbitrary::Result<String> {
    let id = u.int_in_range(1..=rules)?;
    Ok(match u.int_in_range(0..=7u8)? {
        0 => format!(",ctl:ruleRemoveById={id}"),
        1 => format!(",ctl:ruleRemoveById={id}-{}", id.saturating_add(2)),
        2 => ",ctl:ruleRemoveByTag=t1".into(),
        3 => format!(",ctl:ruleRemoveTargetById={id};TX:{}", name(u)?),
        4 => format!(",ctl:ruleRemoveTargetByTag=t1;TX:{}", name(u)?),
        5 => format!(",ctl:ruleRemoveTargetById={id};ARGS_GET:k0"),
        6 => ",ctl:ruleEngine=DetectionOnly".into(),
        _ => ",ctl:ruleEngine=Off".into(),
    })
}

impl<'a> Arbitrary<'a> for Program {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let mut text = String::new();
        let count = u.int_in_range(1..=14u8)?;
        for id in 1..=count {
            if u.ratio(1, 6u8)? {
                let _ = writeln!(text, "SecMarker {}", u.choose(&MARKERS)?);
            }
            let phase = u.choose(&[1, 1, 1, 1, 2, 2, 3, 5])?;
            let mut actions = format!("id:{id},phase:{phase}");
            actions.push_str(u.choose(&[
                ",pass",
                ",pass",
                ",pass",
                ",pass",
                ",pass",
                ",deny",
                ",allow",
                ",allow:phase",
                ",allow:request",
                ",block",
            ])?);
            actions.push_str(u.choose(&[
                ",nolog",
                ",nolog",
                ",log",
                ",log,msg:'%{tx.a} %{tx.score} %{MATCHED_VAR}',logdata:'%{MATCHED_VAR_NAME}'",
            ])?);
            if u.ratio(1, 4u8)? {
                actions.push_str(",tag:t1");
            }
            match u.int_in_range(0..=9u8)? {
                0 | 1 => actions.push_str(&format!(",skipAfter:{}", u.choose(&MARKERS)?)),
                2 => actions.push_str(&format!(",skip:{}", u.int_in_range(1..=2u8)?)),
                3 => actions.push_str(&control(u, count)?),
                4 => actions.push_str(",capture"),
                5 => actions.push_str(u.choose(&[
                    ",t:lowercase",
                    ",t:length",
                    ",multiMatch,t:trim,t:hexEncode",
                ])?),
                _ => {}
            }
            sets(u, 3, &mut actions)?;
            if u.ratio(2, 5u8)? {
                let _ = writeln!(text, "SecAction \"{actions}\"");
                continue;
            }
            let chained = u.ratio(1, 4u8)?;
            let _ = writeln!(
                text,
                "SecRule {} \"{}\" \"{actions}{}\"",
                target(u)?,
                condition(u)?,
                if chained { ",chain" } else { "" }
            );
            if chained {
                let mut actions = "t:none".to_string();
                sets(u, 2, &mut actions)?;
                let _ = writeln!(text, "SecRule {} \"{}\" \"{actions}\"", target(u)?, condition(u)?);
            }
        }
        for marker in MARKERS {
            let _ = writeln!(text, "SecMarker {marker}");
        }
        // All that is left in TX.
        for (number, target) in ["TX:a", "TX:b", "TX:c", "TX:score", "&TX"].into_iter().enumerate() {
            let actions = format!("id:{},phase:5,pass,log,logdata:'%{{MATCHED_VAR}}'", 100 + number);
            let _ = writeln!(text, "SecRule {target} \"@unconditionalMatch\" \"{actions}\"");
        }
        Ok(Program(text))
    }

    /// Rules as text are taken as they are: so a finding can be cut down by hand.
    fn arbitrary_take_rest(mut u: Unstructured<'a>) -> arbitrary::Result<Self> {
        match u.peek_bytes(3) {
            Some(b"Sec") => Ok(Program(String::from_utf8_lossy(u.take_rest()).into_owned())),
            _ => Program::arbitrary(&mut u),
        }
    }
}

fuzz_target!(|program: Program| {
    let text = format!("SecRuleEngine On\nSecRequestBodyAccess On\n{}", program.0);
    let (folded, plain) = (blob(&text, true, false), blob(&text, false, false));
    let folded = RuleSet::load(&folded).expect("compiled above");
    let plain = RuleSet::load(&plain).expect("compiled above");
    for request in [
        "GET / HTTP/1.1\n\n",
        "GET /?k0=1 HTTP/1.1\n\n\n--response--\nHTTP/1.1 200 OK\n\nbody",
        "GET /?k0=2&k1=1&k2=0 HTTP/1.1\n\n",
        "POST /?k0=&k0=3&k2=x2y HTTP/1.1\nContent-Type: application/x-www-form-urlencoded\n\na=1\n--response--\nHTTP/1.1 200 OK\n\nbody",
    ] {
        let exchange = Exchange::of(request.as_bytes());
        let with = drive(folded, &exchange, None, &Memory::default());
        let without = drive(plain, &exchange, None, &Memory::default());
        assert_eq!(with, without, "folding shows (left: with it) in {request:?} of\n{text}");
    }
});
