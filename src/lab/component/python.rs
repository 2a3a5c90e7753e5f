//! Makes a component of Python packages: all of them, pinned, in one folder below `share/`.
//!
//! It is no virtual environment: that one has links out of its folder, which an entry of the cache can't have.

use super::claim::Scaffold;
use super::tool::{Call, Toolbox};
use super::{Component, ComponentError};
use crate::report::Task;

/// Where the packages are, below `share/`.
pub(super) const PACKAGES: &str = "packages";

/// How Python packages become a component.
pub(super) struct PythonRecipe {
    /// Packages with their versions, as pip reads them.
    pub(super) requirements: &'static str,
}

/// Installs the packages of `recipe` in `scaffold`.
pub(super) async fn make(
    tools: &Toolbox,
    (component, recipe): (Component, &PythonRecipe),
    scaffold: &Scaffold<'_>,
    task: &Task<'_>,
) -> Result<(), ComponentError> {
    let work = scaffold.work();
    let requirements = work.join("requirements.txt");
    fs_err::write(&requirements, recipe.requirements)
        .map_err(|error| ComponentError::from_io(component, &requirements, error))?;
    let target = scaffold.home().join("share").join(PACKAGES);
    task.waiting("its Python packages");
    let arguments = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
        "--target",
        target.as_str(),
        "--requirement",
        requirements.as_str(),
    ];
    let call = Call {
        component,
        program: "python3",
        remedy: "`apt-get install python3 python3-pip`",
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: Vec::new(),
        directory: &work,
    };
    tools.succeed(&call, |_| true, |_, _| None).await.map(drop)
}
