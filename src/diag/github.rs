//! Diagnostics as workflow commands, which GitHub's runner turns into annotations of the changed files.

use super::position::Region;
use super::{Diagnostic, Severity, Sources};

/// One line for each diagnostic, each ending with a line break.
///
/// <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>
#[must_use]
pub fn to_github(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    diagnostics.iter().map(|each| command(each, sources)).collect()
}

fn command(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let name = match diagnostic.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let properties: Vec<String> = properties(diagnostic, sources)
        .into_iter()
        .map(|(key, value)| format!("{key}={}", property(&value)))
        .collect();
    let help = diagnostic.help.iter().map(|help| format!("\nhelp: {help}"));
    let message: String = std::iter::once(diagnostic.message.clone()).chain(help).collect();
    format!("::{name} {}::{}\n", properties.join(","), data(&message))
}

/// Where and what. Columns are only for a place within one line: the runner refuses them otherwise.
fn properties(diagnostic: &Diagnostic, sources: &Sources) -> Vec<(&'static str, String)> {
    let mut properties = Vec::new();
    if let Some(label) = diagnostic.labels.first() {
        let region = Region::of_label(label, sources);
        properties.push(("file", label.path.to_string()));
        properties.push(("line", region.start.line.to_string()));
        properties.push(("endLine", region.end.line.to_string()));
        if region.start.line == region.end.line {
            properties.push(("col", region.start.column.to_string()));
            properties.push(("endColumn", region.end.column.to_string()));
        }
    }
    let title = format!("{}: {}", diagnostic.code, diagnostic.code.title());
    properties.push(("title", title.trim_end_matches('.').to_owned()));
    properties
}

/// Escapes the text after `::`, as the runner undoes it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property, as the runner undoes it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::super::{Code, Span, samples};
    use super::*;

    #[test]
    fn test_a_problem_is_one_line() {
        let (diagnostics, sources) = samples::unknown_team();
        insta::assert_snapshot!(to_github(&diagnostics, &sources), @"::error file=apps/monitoring/app.yaml,line=2,endLine=2,col=10,endColumn=19,title=E0204%3A A team is not in people.yaml::team `monitorng` is not in people.yaml%0Ahelp: did you mean `monitoring`?");
    }

    #[test]
    fn test_what_the_runner_reads_as_syntax_is_escaped() {
        let path = Utf8Path::new("apps/a,b:c/app.yaml");
        let diagnostic = Diagnostic::new(Code::Syntax, "100 %\r\n::set-output name=x::y").at(
            path,
            Span { start: 0, end: 3 },
            "",
        );
        let sources = Sources::from([(path.to_owned(), "a\nb\n".to_owned())]);
        assert_eq!(
            to_github(&[diagnostic], &sources),
            "::error file=apps/a%2Cb%3Ac/app.yaml,line=1,endLine=2,title=E0102%3A A file is not YAML::100 %25%0D%0A::set-output name=x::y\n"
        );
    }

    #[test]
    fn test_a_problem_of_no_file_has_no_place() {
        let diagnostic = Diagnostic::new(Code::NoSuchEnvironment, "x");
        assert!(to_github(&[diagnostic], &Sources::new()).starts_with("::error title=E0201%3A "));
    }
}
