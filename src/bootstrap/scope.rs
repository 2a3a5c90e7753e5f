//! A part of an environment that is brought up alone: some systems, or some applications.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::plan::{Ownership, Surface};
use super::preflight::Systems;
use super::{Bootstrap, StageError, repository};
use crate::config::Subject;
use crate::desired::group_of;
use crate::names::AppName;
use crate::surface::git::{DesiredFile, DesiredFiles};
use crate::surface::keycloak::Part;

/// A file that lists others of its folder; what is not in it is not delivered.
pub(super) const LISTING: &str = "kustomization.yaml";

/// What is brought up; everything where both are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// These systems as a whole.
    pub surfaces: BTreeSet<Surface>,
    /// What belongs to these applications, in every system.
    pub apps: BTreeSet<AppName>,
}

impl Scope {
    /// Whether nothing is left out.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.surfaces.is_empty() && self.apps.is_empty()
    }

    /// Whether a system is brought up as a whole.
    pub(super) fn has(&self, surface: Surface) -> bool {
        self.is_everything() || self.surfaces.contains(&surface)
    }

    /// Whether something of a system is.
    pub(super) fn touches(&self, surface: Surface) -> bool {
        self.has(surface) || !self.apps.is_empty() && surface != Surface::Dns
    }

    /// Whether the realm is asked for something: the workload cluster has secrets of its clients.
    pub(super) fn needs_keycloak(&self) -> bool {
        self.touches(Surface::Keycloak) || self.touches(Surface::Workload)
    }

    /// Whether something of an application is.
    pub(super) fn has_app(&self, app: &str) -> bool {
        self.apps.iter().any(|name| name.as_str() == app)
    }

    /// What of the realm is brought up; `None` for all of it. What teams have is not among it: a team is of no application.
    pub(super) fn part(&self, bootstrap: &Bootstrap<'_>) -> Option<Part> {
        if self.has(Surface::Keycloak) {
            return None;
        }
        let realm = &bootstrap.desired.realm;
        let clients = realm.clients.iter();
        let ours = clients.filter(|client| client.kind.namespace().is_some_and(|app| self.has_app(app)));
        let organisation = &bootstrap.environment.identity.github.organisation;
        let apps = bootstrap.declarations.apps.iter();
        let grants = apps
            .filter(|app| self.has_app(app.name.as_str()))
            .flat_map(|app| &app.access);
        let groups: BTreeSet<String> = grants
            .filter(|grant| matches!(grant.subject, Subject::Person(_)))
            .map(|grant| group_of(organisation, &grant.subject))
            .collect();
        let members = realm.members.iter();
        let holders = members.filter(|member| member.groups.iter().any(|group| groups.contains(group)));
        Some(Part {
            clients: ours.map(|client| client.client_id.clone()).collect(),
            users: holders.map(|member| member.login.to_lowercase()).collect(),
            groups,
        })
    }
}

/// Files that should be on the branch, and the paths under which nothing else should be.
pub(super) struct Publication {
    pub(super) files: DesiredFiles,
    owned: BTreeSet<String>,
}

impl Publication {
    /// What `scope` puts on the branch. Without a system as a whole, the files of its applications, and the lists that
    /// these are in, with no other entries than the branch has files for.
    pub(super) async fn of(
        bootstrap: &Bootstrap<'_>,
        systems: &Systems,
        scope: &Scope,
    ) -> Result<Self, StageError> {
        let all = repository::files(bootstrap)?;
        if scope.has(Surface::Git) {
            let owned = bootstrap.owned.iter().cloned().collect();
            return Ok(Self { files: all, owned });
        }
        let ownership = Ownership::of(bootstrap);
        let is_ours = |path: &Utf8Path| ownership.of_path(path).is_some_and(|app| scope.has_app(&app));
        let is_owned = |path: &Utf8Path| bootstrap.owned.iter().any(|prefix| path.starts_with(prefix));
        let published = systems.published.paths();
        let ours = published.filter(|path| is_ours(path) && is_owned(path));
        let mut owned: BTreeSet<String> = ours.map(ToString::to_string).collect();
        let (mut files, others): (DesiredFiles, DesiredFiles) =
            all.into_iter().partition(|(path, _)| is_ours(path));
        let is_gone = |path: &Utf8Path| owned.contains(path.as_str()) && !files.contains_key(path);
        let mut there: BTreeSet<Utf8PathBuf> = systems
            .published
            .paths()
            .filter(|path| !is_gone(path))
            .cloned()
            .collect();
        there.extend(files.keys().cloned());
        let lists = others
            .into_iter()
            .filter(|(path, file)| path.ends_with(LISTING) && !file.only_if_absent);
        let lists: DesiredFiles = lists.collect();
        let before = systems
            .branch
            .texts(&systems.published, |path| lists.contains_key(path))
            .await?;
        for (path, file) in lists {
            let desired = std::str::from_utf8(file.content.bytes()).unwrap_or_default();
            let folder = path.parent().unwrap_or_else(|| Utf8Path::new(""));
            let is_there = |entry: &str| there.iter().any(|path| path.starts_with(folder.join(entry)));
            let published = before.get(&path).map(String::as_str).unwrap_or_default();
            let text = list(desired, published, is_there);
            files.insert(path, DesiredFile::text(text));
        }
        owned.extend(files.keys().map(ToString::to_string));
        Ok(Self { files, owned })
    }

    /// The paths under which nothing else should be.
    pub(super) fn owned(&self) -> Vec<&str> {
        self.owned.iter().map(String::as_str).collect()
    }
}

/// The text of a list with every entry of either text that is there.
fn list(desired: &str, published: &str, is_there: impl Fn(&str) -> bool) -> String {
    let entries = |text: &str| -> BTreeSet<String> {
        let entries = text.lines().filter_map(|line| line.strip_prefix("- "));
        entries.map(str::to_owned).collect()
    };
    let mut wanted = entries(desired);
    wanted.extend(entries(published));
    wanted.retain(|entry| is_there(entry));
    for text in [desired, published] {
        if entries(text) == wanted {
            return text.to_owned();
        }
    }
    let head = desired.lines().filter(|line| !line.starts_with("- "));
    let lines = head
        .map(str::to_owned)
        .chain(wanted.iter().map(|entry| format!("- {entry}")));
    lines.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "kind: Kustomization\nresources:\n";

    #[test]
    fn test_a_list_has_what_is_there_of_either_side() {
        let text = |entries: &[&str]| -> String {
            let lines = entries.iter().map(|entry| format!("- {entry}\n"));
            HEAD.to_owned() + &lines.collect::<String>()
        };
        let published = text(&["flux-system", "apps/old.yaml", "apps/web.yaml"]);
        let desired = text(&["flux-system", "apps/later.yaml", "apps/new.yaml", "apps/web.yaml"]);
        let there = |names: &'static [&'static str]| move |entry: &str| names.contains(&entry);
        assert_eq!(
            list(
                &desired,
                &published,
                there(&["flux-system", "apps/old.yaml", "apps/new.yaml", "apps/web.yaml"])
            ),
            text(&["apps/new.yaml", "apps/old.yaml", "apps/web.yaml", "flux-system"])
        );
        let kept = there(&["flux-system", "apps/old.yaml", "apps/web.yaml"]);
        assert_eq!(list(&desired, &published, kept), published);
        let all = there(&["flux-system", "apps/later.yaml", "apps/new.yaml", "apps/web.yaml"]);
        assert_eq!(list(&desired, &published, all), desired);
    }
}
