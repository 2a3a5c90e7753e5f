//! What can go wrong while the tree is rendered, compared and written.

use camino::Utf8PathBuf;

/// Rendering failed.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// An object can't be written as YAML.
    #[error("writing {path} as YAML: {reason}")]
    Yaml {
        /// File of the tree.
        path: Utf8PathBuf,
        /// What the writer said.
        reason: String,
    },
    /// The frame of a file can't be filled in.
    #[error("filling in the template of {path}")]
    Template {
        /// File of the tree.
        path: Utf8PathBuf,
        /// Where and why.
        #[source]
        source: Box<handlebars::RenderError>,
    },
    /// A file or folder of the tree can't be read or written.
    #[error("{action}")]
    Files {
        /// What was being done.
        action: &'static str,
        /// Which file, and why.
        #[source]
        source: std::io::Error,
    },
}
