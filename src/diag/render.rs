//! Diagnostics as text for people.

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use camino::Utf8Path;

use super::position::boundary;
use super::{Diagnostic, Label, Severity, Sources};

/// How a text is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Without colour.
    Plain,
    /// With ANSI escape codes.
    Coloured,
}

/// Draws `diagnostics` one after the other, each ending with a line break.
#[must_use]
pub fn to_text(diagnostics: &[Diagnostic], sources: &Sources, look: Look) -> String {
    let renderer = match look {
        Look::Plain => Renderer::plain(),
        Look::Coloured => Renderer::styled(),
    };
    diagnostics
        .iter()
        .map(|diagnostic| one(diagnostic, sources, &renderer))
        .collect()
}

fn one(diagnostic: &Diagnostic, sources: &Sources, renderer: &Renderer) -> String {
    let groups = groups(diagnostic, sources);
    if diagnostic
        .labels
        .iter()
        .any(|label| sources.contains_key(&label.path))
    {
        return renderer.render(&groups) + "\n";
    }
    // Without lines to show, a frame between message and help would be empty.
    let lines = groups.chunks(1).map(|group| renderer.render(group) + "\n");
    lines.collect()
}

fn groups<'text>(diagnostic: &'text Diagnostic, sources: &'text Sources) -> Vec<Group<'text>> {
    let level = match diagnostic.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&diagnostic.message).id(diagnostic.code.id());
    let mut groups = vec![Group::with_title(title).elements(snippets(&diagnostic.labels, sources))];
    if let Some(help) = &diagnostic.help {
        groups.push(Group::with_title(Level::HELP.secondary_title(help)));
    }
    groups
}

/// One snippet per file that has a text, files in the order of the labels. What concerns a file as a whole names it in
/// its message.
fn snippets<'text>(
    labels: &'text [Label],
    sources: &'text Sources,
) -> Vec<Snippet<'text, Annotation<'text>>> {
    let mut paths: Vec<&Utf8Path> = Vec::new();
    for label in labels {
        if !paths.contains(&label.path.as_path()) {
            paths.push(&label.path);
        }
    }
    paths
        .into_iter()
        .filter_map(|path| {
            let text = sources.get(path)?;
            let annotations = labels
                .iter()
                .enumerate()
                .filter(|(_, label)| label.path == path)
                .map(|(index, label)| annotation(label, text, index == 0));
            Some(
                Snippet::source(text.as_str())
                    .path(path.as_str())
                    .annotations(annotations),
            )
        })
        .collect()
}

/// The label within `text`, whatever the text is: a file may have changed since it was read.
fn annotation<'text>(label: &'text Label, text: &str, is_primary: bool) -> Annotation<'text> {
    let end = boundary(text, label.span.end);
    let start = boundary(text, label.span.start).min(end);
    let kind = if is_primary {
        AnnotationKind::Primary
    } else {
        AnnotationKind::Context
    };
    let annotation = kind.span(start..end);
    if label.text.is_empty() {
        annotation
    } else {
        annotation.label(&label.text)
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn test_text_points_at_the_span() {
        let (diagnostics, sources) = samples::unknown_team();
        insta::assert_snapshot!(to_text(&diagnostics, &sources, Look::Plain), @r"
        error[E0204]: team `monitorng` is not in people.yaml
         --> apps/monitoring/app.yaml:2:10
          |
        2 | owners: [monitorng]
          |          ^^^^^^^^^ unknown team
          |
        help: did you mean `monitoring`?
        ");
    }

    #[test]
    fn test_without_a_text_there_is_no_frame() {
        let (diagnostics, _) = samples::unknown_team();
        assert_eq!(
            to_text(&diagnostics, &Sources::new(), Look::Plain),
            "error[E0204]: team `monitorng` is not in people.yaml\nhelp: did you mean `monitoring`?\n"
        );
    }

    #[test]
    fn test_spans_beyond_the_text_are_survived() {
        let (diagnostics, _) = samples::unknown_team();
        let sources = Sources::from([("apps/monitoring/app.yaml".into(), "ä".to_owned())]);
        assert!(to_text(&diagnostics, &sources, Look::Plain).contains("E0204"));
    }
}
