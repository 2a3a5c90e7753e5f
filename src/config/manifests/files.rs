//! The files below the repository: read once each, without following a link out of it, and only what Flux sees.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use super::node::shift;
use crate::config::file;
use crate::config::tree::{self, Node, SyntaxError, Value};
use crate::diag::{Sources, Span};

/// Largest manifest in bytes. All CRDs of a large operator in one file have some 4 MiB.
const SIZE_LIMIT: u64 = 16 * 1024 * 1024;

/// What the default rules of Flux's source-controller leave out of what it fetches
/// (`github.com/fluxcd/pkg/sourceignore`): names of files, endings, names of folders.
const LEFT_OUT_NAMES: [&str; 13] = [
    ".gitignore",
    ".gitmodules",
    ".gitattributes",
    ".travis.yml",
    ".gitlab-ci.yml",
    "appveyor.yml",
    ".drone.yml",
    "cloudbuild.yaml",
    "codeship-services.yml",
    "codeship-steps.yml",
    ".goreleaser.yml",
    ".sops.yaml",
    ".flux.yaml",
];
const LEFT_OUT_ENDINGS: [&str; 8] = [".jpg", ".jpeg", ".gif", ".png", ".wmv", ".flv", ".tar.gz", ".zip"];
const LEFT_OUT_FOLDERS: [&str; 3] = [".git", ".github", ".circleci"];

/// Whether Flux leaves a file out of what it fetches from Git.
pub(super) fn is_left_out(path: &Utf8Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    LEFT_OUT_NAMES.contains(&name)
        || LEFT_OUT_ENDINGS.iter().any(|ending| name.ends_with(ending))
        || path
            .components()
            .any(|part| LEFT_OUT_FOLDERS.contains(&part.as_str()))
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entry {
    File,
    Folder,
    /// A symbolic link; only told of by [`Files::list`].
    Link,
}

/// Why a path can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing is there.
    Missing,
    /// A symbolic link is there or on the way.
    Link(Utf8PathBuf),
    /// Neither a file nor a folder, not readable, too large, not UTF-8.
    Unreadable(String),
    /// Flux leaves it out.
    LeftOut,
}

/// The documents of one file, with places that are unique among all files.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    pub(super) nodes: Vec<Rc<Node>>,
    /// The place of the file's first byte.
    pub(super) start: Span,
    pub(super) fault: Option<SyntaxError>,
}

struct File {
    path: Utf8PathBuf,
    /// Place of its first byte among all files.
    base: usize,
    text: String,
    documents: Option<Documents>,
}

/// All files that were read. The places of all of them lie one after the other, so that a part of one file may be
/// patched with a part of another and both still know where they stand.
pub(super) struct Files<'root> {
    repository: file::Files<'root>,
    read: Vec<File>,
    by_path: BTreeMap<Utf8PathBuf, usize>,
    plain_folders: BTreeSet<Utf8PathBuf>,
}

impl<'root> Files<'root> {
    pub(super) fn new(repository: file::Files<'root>) -> Self {
        Self {
            repository,
            read: Vec::new(),
            by_path: BTreeMap::new(),
            plain_folders: BTreeSet::from([Utf8PathBuf::new()]),
        }
    }

    /// What is at `path`, no link being on the way.
    pub(super) fn look(&mut self, path: &Utf8Path) -> Result<Entry, Fault> {
        if let Some(parent) = path.parent()
            && !self.plain_folders.contains(parent)
        {
            match self.look(parent)? {
                Entry::Folder => {}
                Entry::File | Entry::Link => return Err(Fault::Missing),
            }
        }
        if self.repository.changed(path).is_some() {
            return if is_left_out(path) {
                Err(Fault::LeftOut)
            } else {
                Ok(Entry::File)
            };
        }
        if self.repository.added(path).next().is_some() {
            self.plain_folders.insert(path.to_owned());
            return Ok(Entry::Folder);
        }
        let metadata =
            fs_err::symlink_metadata(self.repository.root().join(path)).map_err(|error| fault(&error))?;
        if metadata.is_symlink() {
            return Err(Fault::Link(path.to_owned()));
        }
        if metadata.is_dir() {
            self.plain_folders.insert(path.to_owned());
            return Ok(Entry::Folder);
        }
        if !metadata.is_file() {
            return Err(Fault::Unreadable("is not a plain file".into()));
        }
        if metadata.len() > SIZE_LIMIT {
            let limit = SIZE_LIMIT / 1024 / 1024;
            return Err(Fault::Unreadable(format!("is larger than {limit} MiB")));
        }
        if is_left_out(path) {
            return Err(Fault::LeftOut);
        }
        Ok(Entry::File)
    }

    /// Names in a folder with what they are, sorted. Special files and what Flux leaves out are not among them.
    pub(super) fn list(&self, folder: &Utf8Path) -> Vec<(String, Entry)> {
        let mut names = BTreeMap::new();
        for entry in fs_err::read_dir(self.repository.root().join(folder))
            .into_iter()
            .flatten()
        {
            let Ok(entry) = entry else { continue };
            let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
                continue;
            };
            if kind.is_dir() {
                names.insert(name, Entry::Folder);
            } else if kind.is_file() {
                names.insert(name, Entry::File);
            } else if kind.is_symlink() {
                names.insert(name, Entry::Link);
            }
        }
        for (name, is_folder) in self.repository.added(folder) {
            let kind = if is_folder { Entry::Folder } else { Entry::File };
            names.insert(name.to_owned(), kind);
        }
        names.retain(|name, _| !is_left_out(Utf8Path::new(name)));
        names.into_iter().collect()
    }

    /// The text of a file that [`Files::look`] approved of.
    pub(super) fn text(&mut self, path: &Utf8Path) -> Result<&str, Fault> {
        let index = self.load(path)?;
        Ok(&self.read[index].text)
    }

    /// The documents of a file that [`Files::look`] approved of.
    pub(super) fn documents(&mut self, path: &Utf8Path) -> Result<Documents, Fault> {
        let index = self.load(path)?;
        let file = &mut self.read[index];
        let documents = file.documents.get_or_insert_with(|| parse(&file.text, file.base));
        Ok(documents.clone())
    }

    fn load(&mut self, path: &Utf8Path) -> Result<usize, Fault> {
        if let Some(index) = self.by_path.get(path) {
            return Ok(*index);
        }
        let text = match self.repository.changed(path) {
            Some(text) => text.clone(),
            None => read(&self.repository.root().join(path))?,
        };
        let base = self.read.last().map_or(0, |last| last.base + last.text.len() + 1);
        self.by_path.insert(path.to_owned(), self.read.len());
        self.read.push(File {
            path: path.to_owned(),
            base,
            text,
            documents: None,
        });
        Ok(self.read.len() - 1)
    }

    /// The file of a place, and the place in it.
    pub(super) fn locate(&self, span: Span) -> Option<(&Utf8Path, Span)> {
        let after = self.read.partition_point(|file| file.base <= span.start);
        let file = self.read.get(after.checked_sub(1)?)?;
        let within = |place: usize| (place - file.base).min(file.text.len());
        let span = Span {
            start: within(span.start),
            end: within(span.end.max(span.start)),
        };
        Some((&file.path, span))
    }

    /// Path and text of every file that was read.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&Utf8Path, &str)> {
        self.read
            .iter()
            .map(|file| (file.path.as_path(), file.text.as_str()))
    }

    /// The texts of those files that are `wanted`, given their path and first byte.
    pub(super) fn into_sources(
        self,
        mut wanted: impl FnMut(&Utf8Path, usize, String) -> Option<String>,
    ) -> Sources {
        self.read
            .into_iter()
            .filter_map(|file| {
                let text = wanted(&file.path, file.base, file.text)?;
                Some((file.path, text))
            })
            .collect()
    }
}

fn read(path: &Utf8Path) -> Result<String, Fault> {
    let bytes = fs_err::read(path).map_err(|error| fault(&error))?;
    String::from_utf8(bytes).map_err(|_| Fault::Unreadable("is not UTF-8".into()))
}

fn fault(error: &std::io::Error) -> Fault {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Fault::Missing,
        kind => Fault::Unreadable(format!("can't be read: {kind}")),
    }
}

fn parse(text: &str, base: usize) -> Documents {
    let start = Span {
        start: base,
        end: base,
    };
    match tree::parse_all(text) {
        Ok(nodes) => {
            // kustomize drops empty documents, `{}` among them.
            let there = nodes.into_iter().filter(|node| !is_empty(node));
            let placed = there.map(|mut node| {
                shift(&mut node, base);
                Rc::new(node)
            });
            Documents {
                nodes: placed.collect(),
                start,
                fault: None,
            }
        }
        Err(mut fault) => {
            if let Some(span) = &mut fault.span {
                span.start += base;
                span.end += base;
            }
            Documents {
                nodes: Vec::new(),
                start,
                fault: Some(fault),
            }
        }
    }
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Map(map) => map.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Text(_) => false,
    }
}

/// The path that `reference` in `folder` means, both relative to the repository; `None` when it leaves it.
pub(super) fn resolve(folder: &Utf8Path, reference: &str) -> Option<Utf8PathBuf> {
    let mut path = folder.to_owned();
    for part in Utf8Path::new(reference).components() {
        match part {
            Utf8Component::CurDir => {}
            Utf8Component::Normal(name) => path.push(name),
            Utf8Component::ParentDir => {
                if !path.pop() {
                    return None;
                }
            }
            Utf8Component::RootDir | Utf8Component::Prefix(_) => return None,
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_references_stay_in_the_repository_or_are_refused() {
        let folder = Utf8Path::new("apps/web/manifests");
        assert_eq!(
            resolve(folder, "./a.yaml"),
            Some("apps/web/manifests/a.yaml".into())
        );
        assert_eq!(resolve(folder, "../../db/x/"), Some("apps/db/x".into()));
        assert_eq!(resolve(folder, "../../.."), Some("".into()));
        assert_eq!(resolve(folder, "../../../../etc"), None);
        assert_eq!(resolve(folder, "/etc/passwd"), None);
    }

    #[test]
    fn test_places_of_several_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        fs_err::write(root.join("a.yaml"), "a: 1\n").unwrap();
        fs_err::write(root.join("b.yaml"), "---\nb: ö\n---\n---\nc: 2\n").unwrap();
        let mut files = Files::new(file::Files::below(root));
        for (path, documents) in [("a.yaml", 1), ("b.yaml", 2), ("a.yaml", 1)] {
            assert_eq!(files.documents(path.into()).unwrap().nodes.len(), documents);
        }
        let second = files.documents("b.yaml".into()).unwrap().nodes[1].clone();
        let (path, span) = files.locate(second.span).unwrap();
        assert_eq!((path.as_str(), span.start), ("b.yaml", 18));
    }

    #[test]
    fn test_links_and_what_flux_leaves_out_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        fs_err::create_dir_all(root.join("real/inner")).unwrap();
        fs_err::write(root.join("real/inner/a.yaml"), "").unwrap();
        fs_err::write(root.join("real/logo.png"), "").unwrap();
        fs_err::os::unix::fs::symlink("real", root.join("link")).unwrap();
        let mut files = Files::new(file::Files::below(root));
        assert_eq!(files.look("real/inner/a.yaml".into()), Ok(Entry::File));
        assert_eq!(
            files.look("link/inner/a.yaml".into()),
            Err(Fault::Link("link".into()))
        );
        assert_eq!(files.look("real/logo.png".into()), Err(Fault::LeftOut));
        assert_eq!(files.look("real/b.yaml".into()), Err(Fault::Missing));
        assert_eq!(files.look("real/inner/a.yaml/b".into()), Err(Fault::Missing));
    }

    #[test]
    fn test_changed_files_are_read_like_those_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        fs_err::create_dir(root.join("web")).unwrap();
        fs_err::write(root.join("web/a.yaml"), "a: 1\n").unwrap();
        let text = |text: &str| text.to_owned();
        let changed = Sources::from([
            ("web/a.yaml".into(), text("a: 2\n---\nb: 1\n")),
            ("web/base/b.yaml".into(), text("b: 1\n")),
            ("web/logo.png".into(), text("")),
        ]);
        let mut files = Files::new(file::Files::below(root).with_changed(&changed));
        assert_eq!(
            files.list("web".into()),
            [("a.yaml".into(), Entry::File), ("base".into(), Entry::Folder)]
        );
        assert_eq!(files.look("web/base/b.yaml".into()), Ok(Entry::File));
        assert_eq!(files.look("web/base".into()), Ok(Entry::Folder));
        assert_eq!(files.look("web/logo.png".into()), Err(Fault::LeftOut));
        assert_eq!(files.documents("web/a.yaml".into()).unwrap().nodes.len(), 2);
    }
}
