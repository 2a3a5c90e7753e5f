//! Desired state as files: the tree under `clusters/<environment>/` that reviewers read and Flux syncs.
//!
//! Objects are written by the YAML writer, which quotes what readers of different versions misread; the frame
//! around them is a template. The same desired state always gives the same bytes.

mod error;
mod loss;
mod stamp;
mod tree;
mod write;

pub use error::RenderError;
pub use loss::{Loss, losses};
pub use stamp::{Place, Stamp};
pub use tree::{HEADER, Tree, tree};
pub use write::{Difference, Kind, compare, write};
