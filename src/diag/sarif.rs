//! Diagnostics as SARIF 2.1.0, which code-scanning services read.
//!
//! GitHub wants more than the format itself: texts for every rule, a place with all four corners and a fingerprint for
//! every result.

use std::collections::BTreeMap;

use camino::Utf8Path;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::position::Region;
use super::{Code, Diagnostic, Edit, Fix, Label, Severity, Sources, Span};
use crate::causes::one_line;

/// What a problem that is in no file is shown at, since every result needs a place.
const NO_FILE: &str = "environments";
/// What stays as it is in the path of a relative reference.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_');

/// The diagnostics as one run. Columns count characters, ends are one past the last one.
#[must_use]
pub fn to_sarif(diagnostics: &[Diagnostic], sources: &Sources) -> Value {
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "lotse",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": Code::ALL.iter().map(|code| rule(*code)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results(diagnostics, sources),
        }],
    })
}

fn rule(code: Code) -> Value {
    json!({
        "id": code.id(),
        "shortDescription": {"text": code.title()},
        "fullDescription": {"text": one_line(code.explanation())},
        "help": {"text": one_line(code.explanation())},
        "defaultConfiguration": {"level": level(code.severity())},
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn results(diagnostics: &[Diagnostic], sources: &Sources) -> Vec<Value> {
    let mut seen = BTreeMap::new();
    diagnostics
        .iter()
        .map(|diagnostic| {
            let print = fingerprint(diagnostic);
            let times: &mut usize = seen.entry(print.clone()).or_default();
            *times += 1;
            result(diagnostic, sources, &format!("{print}:{times}"))
        })
        .collect()
}

fn result(diagnostic: &Diagnostic, sources: &Sources, fingerprint: &str) -> Value {
    let help = diagnostic.help.iter().map(|help| format!("\nhelp: {help}"));
    let message: String = std::iter::once(diagnostic.message.clone()).chain(help).collect();
    let mut labels = diagnostic.labels.iter();
    let place = labels.next().map_or_else(
        || json!({"physicalLocation": physical(Utf8Path::new(NO_FILE), Region::of("", Span { start: 0, end: 0 }))}),
        |label| location(label, sources),
    );
    let mut result = json!({
        "ruleId": diagnostic.code.id(),
        "ruleIndex": Code::ALL.iter().position(|code| *code == diagnostic.code),
        "level": level(diagnostic.severity()),
        "message": {"text": message},
        "locations": [place],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint},
    });
    let related: Vec<Value> = labels
        .enumerate()
        .map(|(index, label)| related(index, label, sources))
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    if let Some(fix) = &diagnostic.fix {
        result["fixes"] = json!([change(fix, sources)]);
    }
    result
}

/// What stays the same when lines move: code, file and message.
fn fingerprint(diagnostic: &Diagnostic) -> String {
    let path = diagnostic.labels.first().map_or("", |label| label.path.as_str());
    let digest = Sha256::digest(format!("{}\n{path}\n{}", diagnostic.code, diagnostic.message));
    let first = digest.as_slice().first_chunk().copied().unwrap_or_default();
    format!("{:016x}", u64::from_be_bytes(first))
}

fn location(label: &Label, sources: &Sources) -> Value {
    json!({"physicalLocation": physical(&label.path, Region::of_label(label, sources))})
}

fn related(index: usize, label: &Label, sources: &Sources) -> Value {
    let mut value = location(label, sources);
    value["id"] = (index + 1).into();
    value["message"] = json!({"text": label.text});
    value
}

fn physical(path: &Utf8Path, place: Region) -> Value {
    json!({"artifactLocation": artifact(path), "region": region(place)})
}

fn artifact(path: &Utf8Path) -> Value {
    json!({"uri": utf8_percent_encode(path.as_str(), PATH).to_string(), "uriBaseId": "%SRCROOT%"})
}

fn region(place: Region) -> Value {
    json!({
        "startLine": place.start.line,
        "startColumn": place.start.column,
        "endLine": place.end.line,
        "endColumn": place.end.column,
    })
}

fn change(fix: &Fix, sources: &Sources) -> Value {
    let mut files: BTreeMap<&Utf8Path, Vec<Value>> = BTreeMap::new();
    for edit in &fix.edits {
        files
            .entry(&edit.path)
            .or_default()
            .push(replacement(edit, sources));
    }
    let changes: Vec<Value> = files
        .into_iter()
        .map(|(path, replacements)| json!({"artifactLocation": artifact(path), "replacements": replacements}))
        .collect();
    json!({"description": {"text": fix.title}, "artifactChanges": changes})
}

fn replacement(edit: &Edit, sources: &Sources) -> Value {
    let text = sources.get(&edit.path).map_or("", String::as_str);
    json!({
        "deletedRegion": region(Region::of(text, edit.span)),
        "insertedContent": {"text": edit.replacement},
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn test_a_result_points_at_rule_place_and_fix() {
        let (diagnostics, sources) = samples::unknown_team();
        let sarif = to_sarif(&diagnostics, &sources);
        let run = &sarif["runs"][0];
        let result = &run["results"][0];
        let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], "E0204");
        let region = json!({"startLine": 2, "startColumn": 10, "endLine": 2, "endColumn": 19});
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["region"], region);
        assert_eq!(
            place["artifactLocation"],
            json!({"uri": "apps/monitoring/app.yaml", "uriBaseId": "%SRCROOT%"})
        );
        let change = &result["fixes"][0]["artifactChanges"][0]["replacements"][0];
        assert_eq!(
            *change,
            json!({"deletedRegion": region, "insertedContent": {"text": "monitoring"}})
        );
    }

    #[test]
    fn test_fingerprints_differ_and_survive_moved_lines() {
        let (mut diagnostics, sources) = samples::unknown_team();
        let prints = |diagnostics: &[Diagnostic], sources: &Sources| {
            let sarif = to_sarif(diagnostics, sources);
            let results = sarif["runs"][0]["results"].as_array().unwrap().clone();
            results
                .into_iter()
                .map(|result| result["partialFingerprints"]["primaryLocationLineHash"].to_string())
                .collect::<Vec<_>>()
        };
        let before = prints(&diagnostics, &sources);
        diagnostics.extend_from_within(..);
        diagnostics[0].labels[0].span = Span { start: 0, end: 1 };
        let after = prints(&diagnostics, &sources);
        assert_eq!(before[0], after[0]);
        assert_ne!(after[0], after[1]);
    }

    #[test]
    fn test_paths_are_references() {
        assert_eq!(
            artifact(Utf8Path::new("apps/ä b/app.yaml"))["uri"],
            "apps/%C3%A4%20b/app.yaml"
        );
    }

    #[test]
    fn test_a_problem_of_no_file_has_a_place_too() {
        let sarif = to_sarif(&[Diagnostic::new(Code::NoSuchEnvironment, "x")], &Sources::new());
        let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(
            *place,
            json!({"artifactLocation": {"uri": "environments", "uriBaseId": "%SRCROOT%"},
                   "region": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1}})
        );
    }
}
