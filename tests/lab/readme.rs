//! The README shows a real bring-up: the same lines as this one, but for times, commits, ports and addresses.

use std::collections::BTreeSet;

use lotse::lab::component::Component;

use crate::kit::Lab;

const README: &str = include_str!("../../README.md");

/// A line without what differs between two runs.
fn shape(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let is_commit = word.len() == 7 && word.chars().all(|c| c.is_ascii_hexdigit());
        if is_commit {
            "COMMIT".to_owned()
        } else {
            without_numbers(word)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Durations and addresses become `0`; what stands beside the digits stays.
fn without_numbers(word: &str) -> String {
    let mut shaped = String::new();
    for c in word.chars() {
        match c {
            '0'..='9' => {
                if !shaped.ends_with('0') {
                    shaped.push('0');
                }
            }
            '.' | ':' | 'm' if shaped.ends_with('0') => {}
            _ => shaped.push(c),
        }
    }
    shaped
}

/// Lines about waiting end with how long it took so far, in parentheses: they come and go with the machine.
fn is_about_waiting(line: &str) -> bool {
    let more = line.trim_start();
    let is_more = line.starts_with(' ') && (more.starts_with("runbook: ") || more.starts_with("event: "));
    is_more || line.ends_with("s)") && line.contains(" (")
}

/// On a machine that has not built them yet, the components come first: the README says so in words.
fn is_about_building(line: &str) -> bool {
    let task = line.split_whitespace().next().unwrap_or_default();
    Component::ALL.iter().any(|component| component.name() == task)
        || line.contains(" builds its components once")
}

fn shapes(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.is_empty() && !is_about_waiting(line) && !is_about_building(line))
        .map(shape)
        .collect()
}

pub(crate) fn readme_shows_what_happens(lab: &Lab) {
    let (_, rest) = README
        .split_once("<!-- transcript:bootstrap -->")
        .expect("README marks its transcript");
    let (block, _) = rest.split_once("<!-- end -->").expect("the transcript ends");
    let shown: Vec<&str> = block
        .lines()
        .filter(|line| !line.starts_with("```") && !line.starts_with('$'))
        .collect();
    let shown = shapes(&shown.join("\n"));
    assert!(shown.len() > 10, "the README shows only {shown:?}");
    let happened = shapes(&format!("{}\n{}", lab.first.stderr, lab.first.stdout));
    let missing: Vec<&String> = shown.difference(&happened).collect();
    assert!(
        missing.is_empty(),
        "the README shows {missing:#?}, what happened is {happened:#?}"
    );
    let unsaid: Vec<&String> = happened.difference(&shown).collect();
    assert!(unsaid.is_empty(), "the README does not show {unsaid:#?}");
}
