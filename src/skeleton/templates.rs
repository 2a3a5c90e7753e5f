//! Templates to texts.

use camino::Utf8PathBuf;
use handlebars::Handlebars;
use serde_json::Value;

use crate::diag::Sources;

/// A template can't be filled in: a fault of lotse.
#[derive(Debug, thiserror::Error)]
#[error("filling in the template of {path}")]
pub struct SkeletonError {
    path: Utf8PathBuf,
    #[source]
    source: Box<handlebars::RenderError>,
}

/// Texts made from the same values.
pub(super) struct Filling {
    handlebars: Handlebars<'static>,
    values: Value,
    files: Sources,
}

impl Filling {
    pub(super) fn new(values: Value) -> Self {
        let mut handlebars = Handlebars::new();
        handlebars.set_strict_mode(true);
        handlebars.register_escape_fn(handlebars::no_escape);
        Self {
            handlebars,
            values,
            files: Sources::new(),
        }
    }

    /// Adds the file `path` that `template` makes.
    pub(super) fn add(&mut self, path: impl Into<Utf8PathBuf>, template: &str) -> Result<(), SkeletonError> {
        let path = path.into();
        let text = self
            .handlebars
            .render_template(template, &self.values)
            .map_err(|source| SkeletonError {
                path: path.clone(),
                source: Box::new(source),
            })?;
        // A block at the end of a template takes the last line break with it.
        self.files.insert(path, format!("{}\n", text.trim_end()));
        Ok(())
    }

    pub(super) fn into_files(self) -> Sources {
        self.files
    }
}
