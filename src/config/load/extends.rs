//! Environments that state only what differs from another one.
//!
//! What an environment does not state is taken from the one that it extends: mappings key by key, everything else as a
//! whole; `null` leaves a key out. The name and `git.path` are never taken over.

use camino::{Utf8Path, Utf8PathBuf};

use super::folder_of;
use crate::config::file::Files;
use crate::config::tree::{self, Node, Value};
use crate::diag::{Code, Diagnostic, Span, did_you_mean};
use crate::names::EnvironmentName;

const FILE: &str = "environment.yaml";
const KEY: &str = "extends";
/// Longer chains are read by nobody.
const LONGEST: usize = 5;
const NOWHERE: Span = Span { start: 0, end: 0 };

/// An environment with what it takes from others.
pub(super) struct Extended {
    /// All that is declared.
    pub(super) node: Node,
    /// The folders of the environments that it extends, the nearest first.
    pub(super) folders: Vec<Utf8PathBuf>,
    /// Where `extends` stands, and with it all that is taken over.
    span: Option<Span>,
}

/// Follows `extends` from `node`, the environment `name`.
pub(super) fn extended(files: Files<'_>, node: &Node, name: &EnvironmentName) -> Result<Extended, Problem> {
    let mut extended = Extended {
        node: node.clone(),
        folders: Vec::new(),
        span: None,
    };
    let mut seen = vec![name.clone()];
    let Some((span, mut next)) = extends(node) else {
        return Ok(extended);
    };
    extended.span = Some(span);
    loop {
        let base = base(files, &next, &seen).map_err(|problem| Problem { span, ..problem })?;
        let further = extends(&base.node);
        extended.node = merged(base.node, extended.node, span, &[]);
        extended.folders.push(base.folder);
        seen.push(base.name);
        match further {
            Some((_, name)) => next = name,
            None => return Ok(extended),
        }
    }
}

/// The folder of the environment `name`, and those of the environments that it extends, the nearest first; `None` where
/// it extends one that can't be extended, which [`extended`] tells.
pub(super) fn folders(files: Files<'_>, name: &EnvironmentName) -> Option<Vec<Utf8PathBuf>> {
    let own = folder_of(name);
    let text = files.read(&own.join(FILE)).ok().filter(|text| text.contains(KEY));
    let Some(node) = text.and_then(|text| tree::parse(&text).ok()) else {
        return Some(vec![own]);
    };
    let further = extended(files, &node, name).ok()?.folders;
    Some(std::iter::once(own).chain(further).collect())
}

/// What was found about something that was taken over can't be mended where it was taken over.
pub(super) fn leave_fixes_to_the_base(diagnostics: &mut [Diagnostic], extended: &Extended) {
    let (Some(span), Some(folder)) = (extended.span, extended.folders.first()) else {
        return;
    };
    let is_taken_over =
        |diagnostic: &&mut Diagnostic| diagnostic.labels.iter().any(|label| label.span == span);
    for diagnostic in diagnostics.iter_mut().filter(is_taken_over) {
        diagnostic.fix = None;
        let place = format!("it is taken over from {folder}/{FILE}");
        diagnostic.help = Some(match diagnostic.help.take() {
            Some(help) => format!("{place}: {help}"),
            None => place,
        });
    }
}

fn base(files: Files<'_>, written: &str, seen: &[EnvironmentName]) -> Result<Base, Problem> {
    let there = super::environments_in(files).unwrap_or_default();
    let near = did_you_mean(written, there.iter().map(EnvironmentName::as_str));
    let help = near.map_or_else(
        || "`extends` names another folder under environments/".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    let unknown = |message: String| Problem {
        code: Code::NoSuchEnvironment,
        span: NOWHERE,
        message,
        help: help.clone(),
    };
    let name = EnvironmentName::new(written)
        .map_err(|error| unknown(format!("`{written}` can't be extended: {error}")))?;
    if seen.contains(&name) || seen.len() > LONGEST {
        let way: Vec<&str> = seen.iter().map(EnvironmentName::as_str).collect();
        let way = way.join(" extends ");
        return Err(unknown(format!(
            "{way} extends {name}: that does not come to an end"
        )));
    }
    let folder = folder_of(&name);
    if !files.is_folder(&folder) {
        return Err(unknown(format!(
            "environment `{name}` has no folder under environments/"
        )));
    }
    let path = folder.join(FILE);
    let faulty = |message: String| Problem {
        code: Code::Malformed,
        span: NOWHERE,
        message: format!("{path} can't be extended: {message}"),
        help: format!("`lotse check {name}` says more"),
    };
    let text = files
        .read(&path)
        .map_err(|unread| faulty(unread.diagnostic.message.clone()))?;
    let node = tree::parse(&text).map_err(|error| faulty(error.message))?;
    Ok(Base { name, folder, node })
}

struct Base {
    name: EnvironmentName,
    folder: Utf8PathBuf,
    node: Node,
}

/// Why an environment can't be extended.
pub(super) struct Problem {
    pub(super) code: Code,
    /// Where `extends` says so.
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) help: String,
}

/// The folder of the first of `folders` that overrides `app`; the first where none does.
pub(super) fn overriding<'folder>(
    folders: &'folder [Utf8PathBuf],
    app: &str,
    is_folder: impl Fn(&Utf8Path) -> bool,
) -> &'folder Utf8Path {
    folders
        .iter()
        .find(|folder| is_folder(&folder.join("apps").join(app)))
        .unwrap_or(&folders[0])
}

/// Where and what `extends` is.
fn extends(node: &Node) -> Option<(Span, String)> {
    let Value::Map(fields) = &node.value else {
        return None;
    };
    let (_, value) = fields.iter().find(|(key, _)| key.name == KEY)?;
    match &value.value {
        Value::Text(text) => Some((value.span, text.clone())),
        _ => Some((value.span, String::new())),
    }
}

/// `base` with `over` in its place; what is taken from `base` stands at `span`. `path` are the keys above.
fn merged(base: Node, mut over: Node, span: Span, path: &[&str]) -> Node {
    let (Value::Map(base_fields), Value::Map(over_fields)) = (base.value, &mut over.value) else {
        return over;
    };
    let over_fields = std::mem::take(over_fields);
    let mut fields = Vec::new();
    let mut rest = base_fields;
    for (key, value) in over_fields {
        let inherited = rest.iter().position(|(other, _)| other.name == key.name);
        let inherited = inherited.map(|at| rest.remove(at).1);
        match (inherited, &value.value) {
            (Some(_), Value::Null) => {}
            (Some(base), Value::Map(_)) => {
                let below = [path, &[key.name.as_str()]].concat();
                let value = merged(base, value, span, &below);
                fields.push((key, value));
            }
            _ => fields.push((key, value)),
        }
    }
    let is_own = |name: &str| match path {
        [] => matches!(name, "name" | "apiVersion" | "kind" | KEY),
        ["git"] => name == "path",
        _ => false,
    };
    rest.retain(|(key, _)| !is_own(&key.name));
    fields.extend(rest.into_iter().map(|(mut key, value)| {
        key.span = span;
        (key, value.moved(span))
    }));
    over.value = Value::Map(fields);
    over
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        tree::parse(text).unwrap()
    }

    #[test]
    fn test_what_is_not_stated_is_taken_from_the_base() {
        let base = node(
            "name: base\ngit: {url: a, path: clusters/base}\napps: [web, db]\ndns: {zone: z, designate: {cloud: c}}\nlab: x\n",
        );
        let over = node(
            "name: own\nextends: base\ngit: {path: clusters/own}\napps: [web]\ndns: {designate: null, rfc2136: {}}\nlab: null\n",
        );
        let (span, name) = extends(&over).unwrap();
        assert_eq!(name, "base");
        let found = merged(base, over, span, &[]);
        assert_eq!(
            found.to_json(),
            serde_json::json!({
                "name": "own", "extends": "base", "git": {"path": "clusters/own", "url": "a"}, "apps": ["web"],
                "dns": {"rfc2136": {}, "zone": "z"},
            })
        );
    }
}
