//! Removals and updates.

use super::*;

const RULES: &str = "SecRule ARGS a \"id:1,deny,tag:'x/1',tag:'y',msg:'One (1)'\"\n\
    SecRule ARGS a \"id:2,pass,tag:'x/2',msg:'Two',chain\"\nSecRule TX:q b setvar:tx.z=1\n\
    SecAction \"id:3,pass,tag:'z'\"\n";

fn with(update: &str) -> Configuration {
    let (before, after) = (parse(&format!("{update}\n{RULES}")), parse(&format!("{RULES}{update}\n")));
    // They mean all rules, wherever they stand.
    assert_eq!(ids(&before), ids(&after));
    for (a, b) in before.rules().zip(after.rules()) {
        assert_eq!((&a.head().targets, &a.disruption), (&b.head().targets, &b.disruption));
    }
    after
}

#[test]
fn rules_are_removed() {
    for (update, left) in [
        ("SecRuleRemoveById 1", &[2, 3][..]),
        ("SecRuleRemoveById 1 \"2-9\"", &[]),
        ("SecRuleRemoveById 1,3", &[2]),
        ("SecRuleRemoveByTag x/1", &[2, 3]),
        ("SecRuleRemoveByTag x", &[1, 2, 3]),
        ("SecRuleRemoveByTag \"^x/\"", &[3]),
        ("SecRuleRemoveByMsg \"One (1)\"", &[2, 3]),
        ("SecRuleRemoveByMsg \"^T.o$\"", &[1, 3]),
    ] {
        assert_eq!(ids(&with(update)), left, "{update}");
    }
}

#[test]
fn targets_are_added_left_out_and_replaced() {
    let targets = |configuration: &Configuration, id| {
        let targets = &rule(configuration, id).head().targets;
        targets.iter().map(|target| (target.mode, target.variable)).collect::<Vec<_>>()
    };
    use TargetMode::{Exclude, Inspect};
    let configuration = with("SecRuleUpdateTargetById 1-2 \"!ARGS:/^p/,REQUEST_BODY\"");
    for id in [1, 2] {
        let expected =
            [(Inspect, Variable::Args), (Exclude, Variable::Args), (Inspect, Variable::RequestBody)];
        assert_eq!(targets(&configuration, id), expected);
    }
    assert_eq!(rule(&configuration, 2).links[1].targets.len(), 1, "links are not updated");
    assert_eq!(targets(&with("SecRuleUpdateTargetByTag y \"!ARGS:a\""), 1).len(), 2);
    assert_eq!(targets(&with("SecRuleUpdateTargetByTag y \"!ARGS:a\""), 2).len(), 1);
    assert_eq!(targets(&with("SecRuleUpdateTargetByMsg Two !ARGS:a"), 2).len(), 2);
    let replaced = with("SecRuleUpdateTargetById 1 REQUEST_URI ARGS");
    assert_eq!(targets(&replaced, 1), [(Inspect, Variable::RequestUri)]);
}

#[test]
fn actions_are_updated() {
    let configuration =
        with("SecRuleUpdateActionById 1 \"pass,nolog,t:lowercase,tag:'new',msg:'M',setvar:tx.a=1\"");
    let one = rule(&configuration, 1);
    assert_eq!((&one.disruption, one.log), (&Disruption::Pass, false));
    assert_eq!((one.head().tags.len(), one.head().actions.len()), (3, 1));
    assert_eq!(one.head().transformations, ["lowercase"]);
    assert_eq!(one.message(), Some(&Template::literal(b"M")));

    let configuration = with("SecRuleUpdateActionById 2:1 setvar:tx.y=2");
    assert_eq!(rule(&configuration, 2).links[1].actions.len(), 2);
    assert_eq!(said(&configuration), Vec::<String>::new());
}

#[test]
fn what_cannot_be_updated_is_said() {
    let last = |update: &str| with(update).diagnostics.pop().map(|it| (it.level, it.text)).unwrap();
    assert_eq!(last("SecRuleRemoveById 99").0, Level::Note);
    assert_eq!(last("SecRuleUpdateTargetById 3 ARGS").0, Level::Warning);
    assert_eq!(last("SecRuleUpdateTargetById 1 REQUEST_URI TX").0, Level::Warning);
    assert_eq!(last("SecRuleUpdateActionById 1 id:7").0, Level::Warning);
    assert_eq!(last("SecRuleUpdateActionById 2:1 deny").0, Level::Warning);
    assert_eq!(last("SecRuleUpdateActionById 2:2 nolog").1, "rule 2 has 2 rules, none of number 2");
    for wrong in [
        "SecRuleRemoveById x",
        "SecRuleRemoveById",
        "SecRuleRemoveByTag (",
        "SecRuleUpdateTargetById 1",
        "SecRuleUpdateTargetById 1 NIX",
        "SecRuleUpdateActionById 1:x deny",
        "SecRuleUpdateActionById 1 nix",
    ] {
        assert_eq!(last(wrong).0, Level::Error, "{wrong}");
    }
}

#[test]
fn updates_of_rules_that_were_left_out_are_no_mistakes() {
    let configuration = parse("SecRule NIX a id:9\nSecRuleRemoveById 9");
    assert!(configuration.diagnostics.iter().all(|it| it.level == Level::Error));
}
