//! The files taken from a module when its component is made, so that Go's module cache is not needed afterwards.

use camino::{Utf8Path, Utf8PathBuf};

use super::catalogue::ShareFile;
use super::tool::{Call, Toolbox};
use super::{Component, ComponentError};

/// Makes files below one `share/` directory.
pub(super) struct Files<'files> {
    pub(super) component: Component,
    /// The unpacked module.
    pub(super) module: &'files Utf8Path,
    /// The `share/` directory.
    pub(super) share: &'files Utf8Path,
    pub(super) tools: &'files Toolbox,
    /// Renders kustomizations.
    pub(super) kubectl: Option<&'files Utf8Path>,
}

impl Files<'_> {
    /// Makes one file or directory.
    pub(super) async fn make(&self, file: &ShareFile) -> Result<(), ComponentError> {
        match file {
            ShareFile::Kustomized { to, directory } => {
                let rendered = self.render(&self.module.join(directory)).await?;
                self.write(&self.share.join(to), &rendered)
            }
            ShareFile::Copied { to, from } => self.copy(&self.module.join(from), &self.share.join(to)),
            ShareFile::Joined { to, directories } => {
                let joined = self.join(directories)?;
                self.write(&self.share.join(to), &joined)
            }
        }
    }

    async fn render(&self, directory: &Utf8Path) -> Result<String, ComponentError> {
        let program = self.kubectl.unwrap_or_else(|| Utf8Path::new("kubectl"));
        let call = Call {
            component: self.component,
            program: program.as_str(),
            remedy: "it comes with the lab's components",
            arguments: vec!["kustomize".to_owned(), directory.to_string()],
            environment: Vec::new(),
            directory: self.share,
        };
        self.tools.succeed(&call, |_| true, |_, _| None).await
    }

    fn join(&self, directories: &[&str]) -> Result<String, ComponentError> {
        let mut joined = String::new();
        for directory in directories {
            for file in self.stages(&self.module.join(directory))? {
                let text = fs_err::read_to_string(&file).map_err(|error| self.failed(&file, error))?;
                joined.push_str("---\n");
                joined.push_str(text.trim_end());
                joined.push('\n');
            }
        }
        Ok(joined)
    }

    /// The YAML files of `directory` in order of their names, without its kustomization.
    fn stages(&self, directory: &Utf8Path) -> Result<Vec<Utf8PathBuf>, ComponentError> {
        let mut files = self.entries(directory)?;
        files.retain(|file| {
            file.extension() == Some("yaml")
                && file.file_name() != Some("kustomization.yaml")
                && file.is_file()
        });
        Ok(files)
    }

    /// Copies a file or a whole directory.
    pub(super) fn copy(&self, from: &Utf8Path, to: &Utf8Path) -> Result<(), ComponentError> {
        if from.is_dir() {
            fs_err::create_dir_all(to).map_err(|error| self.failed(to, error))?;
            return self
                .entries(from)?
                .iter()
                .try_for_each(|entry| self.copy(entry, &to.join(entry.file_name().unwrap_or_default())));
        }
        let text = fs_err::read(from).map_err(|error| self.failed(from, error))?;
        self.write(to, text)
    }

    /// What is in `directory`, in order of the names.
    fn entries(&self, directory: &Utf8Path) -> Result<Vec<Utf8PathBuf>, ComponentError> {
        let mut entries = directory
            .read_dir_utf8()
            .and_then(|entries| {
                entries
                    .map(|entry| entry.map(|entry| entry.path().to_owned()))
                    .collect::<Result<Vec<_>, _>>()
            })
            .map_err(|error| self.failed(directory, error))?;
        entries.sort();
        Ok(entries)
    }

    fn write(&self, path: &Utf8Path, text: impl AsRef<[u8]>) -> Result<(), ComponentError> {
        let directory = path.parent().unwrap_or(self.share);
        fs_err::create_dir_all(directory)
            .and_then(|()| fs_err::write(path, text))
            .map_err(|error| self.failed(path, error))
    }

    fn failed(&self, path: &Utf8Path, error: std::io::Error) -> ComponentError {
        ComponentError::from_io(self.component, path, error)
    }
}
