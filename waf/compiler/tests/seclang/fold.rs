//! Folding: what it must do, and that nothing else changes.

use picket_seclang::RuleSet;
use picket_seclang::format::flag;

use super::run::run;
use crate::{Options, build, observe};

/// The rules left, those without a condition with a `!`.
fn left(text: &str) -> Vec<String> {
    let compiled = build(text, &Options::default());
    let rules = RuleSet::load(&compiled.blob).unwrap();
    (0..rules.rule_count())
        .map(|at| rules.rule(at))
        .filter(|rule| rule.flags & flag::LINK == 0)
        .map(|rule| format!("{}{}", rule.id, if rule.flags & flag::UNCONDITIONAL != 0 { "!" } else { "" }))
        .collect()
}

const DEFAULTS: &str = r#"
SecRule &TX:level "@eq 0" "id:1,phase:1,nolog,pass,setvar:tx.level=1"
SecRule &TX:high "@eq 0" "id:2,phase:1,nolog,pass,setvar:tx.high=5"
SecAction "id:3,phase:1,nolog,pass,setvar:tx.score=0"
"#;

#[test]
fn settings_gates_and_macros_go() {
    let text = format!(
        r#"SecAction "id:9,phase:1,nolog,pass,setvar:tx.level=2"
{DEFAULTS}
SecRule TX:LEVEL "@lt 1" "id:10,phase:2,nolog,pass,skipAfter:END"
SecRule ARGS "@contains one" "id:11,phase:2,pass,log,msg:'level %{{tx.level}}',setvar:tx.score=+%{{tx.high}}"
SecRule TX:LEVEL "@lt 2" "id:12,phase:2,nolog,pass,skipAfter:END"
SecRule ARGS "@contains two" "id:13,phase:2,pass,log,setvar:tx.score=+%{{tx.high}}"
SecRule TX:LEVEL "@lt 3" "id:14,phase:2,nolog,pass,skipAfter:END"
SecRule ARGS "@contains three" "id:15,phase:2,pass,log"
SecMarker END
SecRule TX:score "@ge 10" "id:16,phase:2,deny,log,msg:'score %{{tx.score}}'"
"#
    );
    assert_eq!(left(&text), ["11", "13", "16"]);
    let seen = observe(&text, "/?a=one&b=two+three");
    assert_eq!(seen.logged(), [11, 13, 16]);
    assert_eq!((seen.matches[0].1.as_str(), seen.matches[2].1.as_str()), ("level 2", "score 10"));
    assert_eq!(observe(&text, "/?a=one").logged(), [11]);
}

#[test]
fn what_a_request_decides_stays() {
    // The first rule may set the level.
    let text = format!(
        r#"SecRule ARGS:p "@streq 1" "id:9,phase:1,nolog,pass,setvar:tx.level=%{{ARGS.q}}"
{DEFAULTS}
SecRule TX:level "@lt 2" "id:10,phase:1,nolog,pass,skipAfter:END"
SecRule ARGS "@contains one" "id:11,phase:1,pass,log,msg:'%{{tx.level}}'"
SecMarker END
"#
    );
    assert_eq!(left(&text), ["9", "1", "10", "11"]);
    assert_eq!(observe(&text, "/?a=one&p=1&q=3").logged(), [11]);
    assert_eq!(observe(&text, "/?a=one").logged(), []);
}

#[test]
fn a_value_that_is_read_before_it_is_set_is_not_there_before() {
    let text = r#"
SecRule &TX:a "@eq 0" "id:1,phase:1,pass,log,msg:'not yet'"
SecRule TX:/^a/ "@rx ." "id:2,phase:1,pass,log,msg:'too early'"
SecAction "id:3,phase:1,nolog,pass,setvar:tx.a=1"
SecAction "id:4,phase:1,nolog,pass,setvar:tx.ab=2"
SecRule TX:/^a/ "@rx ." "id:5,phase:1,pass,log,msg:'now'"
"#;
    assert_eq!(left(text), ["1", "3!", "5"]);
    assert_eq!(observe(text, "/").logged(), [1, 5]);
}

#[test]
fn a_way_around_a_setting_is_respected() {
    let text = r#"
SecRule ARGS:p "@streq 1" "id:1,phase:1,pass,log,allow"
SecAction "id:2,phase:1,nolog,pass,setvar:tx.a=1"
SecRule TX:a "@rx ^1$" "id:3,phase:2,pass,log"
SecRule TX:a "@rx ^1$" "id:4,phase:5,pass,log"
"#;
    assert_eq!(left(text), ["1", "2!", "3", "4"]);
    assert_eq!(observe(text, "/").logged(), [3, 4]);
    assert_eq!(observe(text, "/?p=1").logged(), [1]);
    // No phase that is left reads it: it may be there from the start.
    let text = text.replace("phase:5", "phase:3");
    assert_eq!(left(&text), ["1", "3", "4"]);
    observe(&text, "/?p=1");
}

#[test]
fn gates_go_only_with_what_they_pass_over() {
    let rules = |gate: &str, rule: &str| {
        format!(
            r#"SecAction "id:1,phase:1,nolog,pass,setvar:tx.level=1"
SecRule ARGS:p "@streq 1" "id:2,phase:1,nolog,pass,ctl:ruleRemoveByTag=x"
SecRule TX:level "@lt 2" "id:3,phase:1,nolog,pass,tag:{gate},skipAfter:END"
SecRule ARGS "@contains one" "id:4,phase:1,pass,log,tag:{rule}"
SecMarker END
"#
        )
    };
    assert_eq!(left(&rules("x", "x")), ["2"]);
    assert_eq!(left(&rules("y", "x")), ["2"]);
    // Without its gate, the rule runs.
    assert_eq!(left(&rules("x", "y")), ["2", "3!", "4"]);
    for (gate, rule) in [("x", "x"), ("y", "x"), ("x", "y")] {
        let seen = observe(&rules(gate, rule), "/?p=1&a=one").logged();
        assert_eq!(seen, if (gate, rule) == ("x", "y") { vec![4] } else { vec![] });
        assert_eq!(observe(&rules(gate, rule), "/?a=one").logged(), []);
        let later =
            rules(gate, rule).replace("id:3,phase:1", "id:3,phase:2").replace("id:4,phase:1", "id:4,phase:2");
        observe(&later, "/?p=1&a=one");
        observe(&later, "/?a=one");
    }
}

#[test]
fn a_setting_that_jumps_to_where_others_pass_it_over() {
    let text = r#"
SecRule ARGS:p "@streq 1" "id:1,phase:1,nolog,pass,skipAfter:END"
SecAction "id:2,phase:1,nolog,pass,setvar:tx.a=1,skipAfter:END"
SecMarker END
SecAction "id:3,phase:2,pass,log,msg:'a is %{tx.a}'"
"#;
    assert_eq!(observe(text, "/?p=1").matches[0].1, "a is ");
    assert_eq!(observe(text, "/").matches[0].1, "a is 1");
}

/// A small generator of numbers.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }
}

/// A rule set of settings, gates, jumps, removals and disruptions.
fn random_rules(random: &mut Random) -> String {
    let mut text = String::new();
    let names = ["a", "b", "c", "ab", "cb"];
    let count = 6 + random.below(16);
    for id in 1..=count {
        if random.below(6) == 0 {
            text += &format!("SecMarker {}\n", random.pick(&["M", "N"]));
        }
        let phase = random.pick(&["1", "1", "1", "2", "2", "3", "5"]);
        let condition = |random: &mut Random| {
            let name = random.pick(&names);
            let value = match random.below(4) {
                0 => format!("%{{tx.{}}}", random.pick(&names)),
                _ => random.below(3).to_string(),
            };
            let operator = random.pick(&["@eq", "@ge", "@lt", "!@eq", "@streq", "@within", "!@rx"]);
            let value = if operator == "!@rx" { "^[12]$".to_owned() } else { value };
            match random.below(9) {
                0 => format!("ARGS:{} \"@streq 1\"", random.pick(&["p", "q"])),
                1 => format!("ARGS:{} \"@streq 1\"", random.pick(&["p", "q"])),
                2 | 3 => format!("&TX:{name} \"@eq {}\"", random.below(2)),
                4 => format!("TX:{name}|TX:a \"{operator} {value}\""),
                5 => "TX:/^a/ \"@eq 1\"".to_owned(),
                _ => format!("TX:{name} \"{operator} {value}\""),
            }
        };
        let set = |random: &mut Random| {
            let name = random.pick(&names);
            match random.below(7) {
                0 => format!("setvar:!tx.{name}"),
                1 | 2 => format!("setvar:tx.{name}=+{}", random.below(3)),
                3 => format!("setvar:tx.{name}=%{{tx.{}}}", random.pick(&names)),
                // Not of names that a rule's own target may be walking over.
                4 if random.below(2) == 0 => "setvar:tx.c%{ARGS.q}=1".to_owned(),
                _ => format!("setvar:tx.{name}={}", random.below(3)),
            }
        };
        let mut actions = format!("id:{id},phase:{phase},t:none,tag:{}", random.pick(&["x", "y"]));
        if random.below(3) == 0 {
            actions += ",log,msg:'%{tx.a}-%{tx.b}-%{tx.c}-%{tx.ab}'";
        } else {
            actions += ",nolog";
        }
        actions += match random.below(12) {
            0 => ",deny",
            1 => ",allow",
            2 => ",allow:phase",
            3 => ",allow:request",
            _ => ",pass",
        };
        for _ in 0..random.below(3) {
            actions += ",";
            actions += &set(random);
        }
        match random.below(9) {
            0 | 1 => actions += &format!(",skipAfter:{}", random.pick(&["M", "N"])),
            2 => actions += ",skip:2",
            3 => actions += &format!(",ctl:ruleRemoveById={}-{}", id + 1, id + 1 + random.below(5)),
            4 => actions += ",ctl:ruleRemoveByTag=x",
            5 if random.below(3) == 0 => actions += ",ctl:ruleEngine=DetectionOnly",
            6 if random.below(3) == 0 => actions += ",ctl:ruleRemoveTargetByTag=y;TX:a",
            _ => {}
        }
        if random.below(4) == 0 {
            text += &format!("SecAction \"{actions}\"\n");
            continue;
        }
        let chained = random.below(4) == 0;
        text +=
            &format!("SecRule {} \"{actions}{}\"\n", condition(random), if chained { ",chain" } else { "" });
        if chained {
            text += &format!("SecRule {} \"t:none,{}\"\n", condition(random), set(random));
        }
    }
    text += "SecMarker M\nSecMarker N\n";
    for (id, phase) in [(900, 2), (901, 4), (902, 5)] {
        text += &format!(
            "SecAction \"id:{id},phase:{phase},pass,log,msg:'%{{tx.a}}-%{{tx.b}}-%{{tx.c}}-%{{tx.ab}}'\"\n"
        );
    }
    text
}

#[test]
fn no_request_can_tell() {
    let mut random = Random(2024);
    let (mut before, mut after) = (0, 0);
    for round in 0..std::env::var("FOLD_ROUNDS").map_or(300, |rounds| rounds.parse().unwrap()) {
        let text = random_rules(&mut random);
        let configuration = crate::syntax::parse_str("random.conf", &text).unwrap();
        let plain =
            crate::compile(configuration.clone(), &Options { fold: false, ..Options::default() }).unwrap();
        let folded = crate::compile(configuration, &Options::default()).unwrap();
        before += plain.summary.rules;
        after += folded.summary.rules;
        for target in ["/", "/?p=1", "/?q=1", "/?p=1&q=1", "/?q=b"] {
            assert_eq!(
                run(&folded.blob, target),
                run(&plain.blob, target),
                "round {round}, {target}\n{text}"
            );
        }
    }
    // Not a test of folding's strength, but that there was something to tell.
    assert!(after * 5 < before * 4, "{before} rules, {after} after folding: too few to mean anything");
}
