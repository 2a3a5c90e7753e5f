//! What others changed, or a bring-up that came to nothing: a system differs from what is desired, although that is
//! what was published last.

use camino::Utf8PathBuf;

use super::Bootstrap;
use super::preflight::Systems;
use crate::plan::{Action, Change};
use crate::report::Task;

/// Whether the repository has `file` of the rendered tree as it is desired now. The stages before publishing were done
/// with it then, so whatever they find different was changed since.
pub(super) fn is_published(bootstrap: &Bootstrap<'_>, systems: &Systems, file: &str) -> bool {
    let path: Utf8PathBuf = bootstrap.environment.git.path.join(file);
    let desired = bootstrap.files.get(&path);
    desired.is_some_and(|desired| systems.published.has(&path, desired))
}

/// Tells what is put back, where anything is.
pub(super) fn tell<'changes>(task: &Task<'_>, changes: impl Iterator<Item = &'changes Change>) {
    let changes: Vec<String> = changes.map(in_words).collect();
    if !changes.is_empty() {
        task.note(format!("put back as published: {}", changes.join(", ")));
    }
}

/// `client grafana (redirectUris)`
fn in_words(change: &Change) -> String {
    let what = match change.action {
        Action::Create => "was removed".to_owned(),
        Action::Delete => "was added".to_owned(),
        Action::Update | Action::Adopt => {
            let fields: Vec<&str> = change.fields.iter().map(|field| field.path.as_str()).collect();
            fields.join(", ")
        }
    };
    let by = change.by.as_ref().map(|by| format!("; last changed by {by}"));
    format!("{} ({what}{})", change.object, by.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::plan::FieldChange;
    use crate::report::{Event, Reporter};

    #[derive(Default)]
    struct Heard(Mutex<Vec<Event>>);

    impl Reporter for Heard {
        fn report(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    fn change(action: Action, object: &str, fields: &[&str]) -> Change {
        let field = |path: &&str| FieldChange {
            path: (*path).to_owned(),
            before: None,
            after: None,
        };
        Change {
            action,
            object: object.to_owned(),
            fields: fields.iter().map(field).collect(),
            conflicts: Vec::new(),
            by: None,
        }
    }

    #[test]
    fn test_what_is_put_back_is_named_with_its_fields() {
        let heard = Heard::default();
        let task = Task::start(&heard, "logins", "the realm");
        tell(&task, [].iter());
        let changes = [
            change(Action::Update, "client grafana", &["redirectUris", "enabled"]),
            change(Action::Create, "group a", &[]),
        ];
        tell(&task, changes.iter());
        let told = heard.0.lock().unwrap();
        let notes: Vec<&str> = told
            .iter()
            .filter_map(|event| match event {
                Event::Noted { message, .. } => Some(message.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(
            notes,
            ["put back as published: client grafana (redirectUris, enabled), group a (was removed)"]
        );
    }
}
