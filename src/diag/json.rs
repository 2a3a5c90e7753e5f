//! Diagnostics as JSON for programs.

use serde_json::{Value, json};

use super::position::Region;
use super::{Diagnostic, Edit, Fix, Label, Severity, Sources, Span};

/// The diagnostics as one object of kind `Diagnostics`. Lines and columns count from 1, columns in characters; the end
/// is one past the last character; `span` counts bytes of the UTF-8 text.
#[must_use]
pub fn to_json(diagnostics: &[Diagnostic], sources: &Sources) -> Value {
    let number = |severity| {
        diagnostics
            .iter()
            .filter(|each| each.severity() == severity)
            .count()
    };
    json!({
        "apiVersion": "lotse/v1",
        "kind": "Diagnostics",
        "errors": number(Severity::Error),
        "warnings": number(Severity::Warning),
        "diagnostics": diagnostics.iter().map(|each| diagnostic(each, sources)).collect::<Vec<_>>(),
    })
}

fn diagnostic(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    json!({
        "code": diagnostic.code.id(),
        "severity": diagnostic.severity().to_string(),
        "message": diagnostic.message,
        "help": diagnostic.help,
        "labels": diagnostic.labels.iter().map(|each| label(each, sources)).collect::<Vec<_>>(),
        "fix": diagnostic.fix.as_ref().map(|each| fix(each, sources)),
    })
}

fn label(label: &Label, sources: &Sources) -> Value {
    let region = Region::of_label(label, sources);
    let mut value = json!({"path": label.path});
    place(&mut value, region, label.span);
    value["text"] = label.text.clone().into();
    value
}

fn fix(fix: &Fix, sources: &Sources) -> Value {
    json!({
        "title": fix.title,
        "safe": fix.is_safe(),
        "edits": fix.edits.iter().map(|each| edit(each, sources)).collect::<Vec<_>>(),
    })
}

fn edit(edit: &Edit, sources: &Sources) -> Value {
    let text = sources.get(&edit.path).map_or("", String::as_str);
    let mut value = json!({"path": edit.path});
    place(&mut value, Region::of(text, edit.span), edit.span);
    value["replacement"] = edit.replacement.clone().into();
    value
}

fn place(value: &mut Value, region: Region, span: Span) {
    value["line"] = region.start.line.into();
    value["column"] = region.start.column.into();
    value["endLine"] = region.end.line.into();
    value["endColumn"] = region.end.column.into();
    value["span"] = json!([span.start, span.end]);
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn test_every_field_of_a_diagnostic() {
        let (diagnostics, sources) = samples::unknown_team();
        insta::assert_snapshot!(format!("{:#}", to_json(&diagnostics, &sources)), @r#"
        {
          "apiVersion": "lotse/v1",
          "kind": "Diagnostics",
          "errors": 1,
          "warnings": 0,
          "diagnostics": [
            {
              "code": "E0204",
              "severity": "error",
              "message": "team `monitorng` is not in people.yaml",
              "help": "did you mean `monitoring`?",
              "labels": [
                {
                  "path": "apps/monitoring/app.yaml",
                  "line": 2,
                  "column": 10,
                  "endLine": 2,
                  "endColumn": 19,
                  "span": [
                    14,
                    23
                  ],
                  "text": "unknown team"
                }
              ],
              "fix": {
                "title": "write `monitoring`",
                "safe": false,
                "edits": [
                  {
                    "path": "apps/monitoring/app.yaml",
                    "line": 2,
                    "column": 10,
                    "endLine": 2,
                    "endColumn": 19,
                    "span": [
                      14,
                      23
                    ],
                    "replacement": "monitoring"
                  }
                ]
              }
            }
          ]
        }
        "#);
    }

    #[test]
    fn test_no_problems_are_an_empty_list() {
        let json = to_json(&[], &Sources::new());
        assert_eq!((&json["errors"], &json["diagnostics"]), (&json!(0), &json!([])));
    }
}
