//! Builds components with Go from their pinned modules.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::report::{Task, Unit};

use super::catalogue::{Edit, GoRecipe};
use super::claim::Scaffold;
use super::share::Files;
use super::tool::{Call, Toolbox};
use super::{Component, ComponentError};

/// Where a changed copy of a module is, below the working directory.
const SOURCE: &str = "source";
const GO_REMEDY: &str = "install Go from https://go.dev/dl, or `apt-get install golang-go`";

/// The build of one component.
pub(super) struct Build<'build> {
    pub(super) component: Component,
    pub(super) recipe: &'static GoRecipe,
    pub(super) tools: &'build Toolbox,
    pub(super) scaffold: &'build Scaffold<'build>,
    pub(super) task: &'build Task<'build>,
}

impl Build<'_> {
    /// Builds the program, then makes the files beside it; `kubectl` renders kustomizations.
    pub(super) async fn run(&self, kubectl: Option<&Utf8Path>) -> Result<(), ComponentError> {
        self.write_module_files()?;
        self.check_go().await?;
        self.edit_source().await?;
        if let Some(package) = self.recipe.package {
            if self.recipe.cgo_tags.is_some() {
                self.check_compiler().await?;
            }
            self.task.waiting("downloads of its modules");
            let packages = self.count_packages(package).await?;
            self.compile(package, packages).await?;
        }
        self.take_files(kubectl).await
    }

    fn write_module_files(&self) -> Result<(), ComponentError> {
        let work = self.scaffold.work();
        fs_err::write(work.join("go.mod"), self.recipe.go_mod)
            .and_then(|()| fs_err::write(work.join("go.sum"), self.recipe.go_sum))
            .map_err(|error| self.scaffold.failed(error))
    }

    /// Has Go build a changed copy of the module where the recipe asks for that.
    async fn edit_source(&self) -> Result<(), ComponentError> {
        if self.recipe.edits.is_empty() {
            return Ok(());
        }
        let module = self.module_directory().await?;
        let source = self.source();
        self.files(&module, &source, None).copy(&module, &source)?;
        self.recipe
            .edits
            .iter()
            .try_for_each(|edit| edit.apply(&source))
            .and_then(|()| {
                let go_mod = format!(
                    "{}\nreplace {} => ./{SOURCE}\n",
                    self.recipe.go_mod, self.recipe.module
                );
                fs_err::write(self.scaffold.work().join("go.mod"), go_mod)
            })
            .map_err(|error| self.scaffold.failed(error))
    }

    /// Where a changed copy of the module is.
    fn source(&self) -> Utf8PathBuf {
        self.scaffold.work().join(SOURCE)
    }

    fn files<'files>(
        &'files self,
        module: &'files Utf8Path,
        share: &'files Utf8Path,
        kubectl: Option<&'files Utf8Path>,
    ) -> Files<'files> {
        Files {
            component: self.component,
            module,
            share,
            tools: self.tools,
            kubectl,
        }
    }

    /// Go refuses a go.mod that asks for a newer one, but only after a while and in its own words.
    async fn check_go(&self) -> Result<(), ComponentError> {
        let answer = self
            .go(vec!["env".to_owned(), "GOVERSION".to_owned()], |_| ())
            .await?;
        let found = answer.trim().trim_start_matches("go");
        let needed = needed_go(self.recipe.go_mod);
        if version(found) < version(needed) {
            return Err(ComponentError::GoTooOld {
                component: self.component,
                needed: needed.to_owned(),
                found: found.to_owned(),
            });
        }
        Ok(())
    }

    async fn check_compiler(&self) -> Result<(), ComponentError> {
        let answer = self.go(vec!["env".to_owned(), "CC".to_owned()], |_| ()).await?;
        let compiler = answer.split_whitespace().next().unwrap_or("gcc");
        let directory = self.scaffold.work();
        let call = Call {
            component: self.component,
            program: compiler,
            remedy: "`apt-get install gcc libc6-dev`",
            arguments: vec!["--version".to_owned()],
            environment: Vec::new(),
            directory: &directory,
        };
        match self.tools.run(&call, |_| true).await {
            Err(ComponentError::ToolMissing { component, .. }) => {
                Err(ComponentError::CompilerMissing { component })
            }
            other => other.map(drop),
        }
    }

    /// How many packages are to be compiled; downloads the modules on the way.
    async fn count_packages(&self, package: &str) -> Result<u64, ComponentError> {
        let mut arguments = vec!["list".to_owned(), "-deps".to_owned()];
        arguments.extend(self.recipe.flags());
        arguments.extend(["-f", "{{if .Stale}}{{.ImportPath}}{{end}}", package].map(str::to_owned));
        let listed = self.go(arguments, |line| self.show_download(line)).await?;
        let stale = listed.lines().filter(|line| !line.is_empty()).count();
        Ok(u64::try_from(stale).unwrap_or(u64::MAX))
    }

    async fn compile(&self, package: &str, packages: u64) -> Result<(), ComponentError> {
        let program = self.scaffold.home().join("bin").join(self.component.name());
        let mut arguments = vec!["build".to_owned(), "-v".to_owned()];
        arguments.extend(self.recipe.flags());
        arguments.extend(["-o".to_owned(), program.into_string(), package.to_owned()]);
        let mut compiled = 0;
        self.task.progress(compiled, Some(packages), Unit::Packages);
        self.go(arguments, |line| {
            if is_package(line) && compiled < packages {
                compiled += 1;
                self.task.progress(compiled, Some(packages), Unit::Packages);
            }
        })
        .await
        .map(drop)
    }

    async fn take_files(&self, kubectl: Option<&Utf8Path>) -> Result<(), ComponentError> {
        if self.recipe.share.is_empty() {
            return Ok(());
        }
        let module = self.module_directory().await?;
        let share = self.scaffold.home().join("share");
        fs_err::create_dir_all(&share).map_err(|error| self.scaffold.failed(error))?;
        let files = self.files(&module, &share, kubectl);
        for file in self.recipe.share {
            files.make(file).await?;
        }
        Ok(())
    }

    /// Where Go has the module unpacked; downloads it where no build did.
    async fn module_directory(&self) -> Result<Utf8PathBuf, ComponentError> {
        if self.source().is_dir() {
            return Ok(self.source());
        }
        let module = self.recipe.module.to_owned();
        let download = ["mod", "download", "--"].map(str::to_owned).into_iter();
        self.go(download.chain([module.clone()]).collect(), |line| {
            self.show_download(line);
        })
        .await?;
        let list = ["list", "-m", "-mod=readonly", "-f", "{{.Dir}}"]
            .map(str::to_owned)
            .into_iter();
        let answer = self.go(list.chain([module]).collect(), |_| ()).await?;
        Ok(Utf8PathBuf::from(answer.trim()))
    }

    fn show_download(&self, line: &str) {
        if let Some(module) = line.strip_prefix("go: downloading ") {
            self.task.waiting(format!("the download of {module}"));
        }
    }

    async fn go(
        &self,
        arguments: Vec<String>,
        mut observe: impl FnMut(&str) + Send,
    ) -> Result<String, ComponentError> {
        let directory = self.scaffold.work();
        let call = Call {
            component: self.component,
            program: "go",
            remedy: GO_REMEDY,
            arguments,
            environment: self.environment(),
            directory: &directory,
        };
        let tells_why = |line: &str| {
            observe(line);
            !is_package(line)
        };
        self.tools.succeed(&call, tells_why, explain).await
    }

    /// What would make the build another one is set aside; where modules come from stays as the user has it.
    fn environment(&self) -> Vec<(&'static str, String)> {
        let temporary = self.scaffold.temporary().into_string();
        let cgo = if self.recipe.cgo_tags.is_some() { "1" } else { "0" };
        let mut environment = vec![("GOTMPDIR", temporary.clone()), ("TMPDIR", temporary)];
        let fixed = [
            ("CGO_ENABLED", cgo),
            ("GOTOOLCHAIN", "local"),
            ("GO111MODULE", "on"),
            ("GOWORK", "off"),
            ("GOFLAGS", ""),
            ("GOOS", ""),
            ("GOARCH", ""),
            ("LC_ALL", "C"),
        ];
        environment.extend(fixed.map(|(name, value)| (name, value.to_owned())));
        environment
    }
}

impl Edit {
    /// Changes the file below `source`.
    fn apply(&self, source: &Utf8Path) -> io::Result<()> {
        let path = source.join(self.file);
        let text = fs_err::read_to_string(&path)?;
        if text.matches(self.from).count() != 1 {
            let message = format!("{path} does not have `{}` exactly once", self.from);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        fs_err::write(&path, text.replace(self.from, self.to))
    }
}

/// The Go version that a go.mod asks for.
fn needed_go(go_mod: &str) -> &str {
    go_mod
        .lines()
        .find_map(|line| line.strip_prefix("go "))
        .unwrap_or("1")
        .trim()
}

/// Numbers of a version, compared one by one; `1.26rc1` counts as 1.26.
fn version(text: &str) -> Vec<u32> {
    text.split('.')
        .map(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or_default()
        })
        .collect()
}

/// Whether a line of `go build -v` names a package that is compiled.
fn is_package(line: &str) -> bool {
    !line.is_empty() && !line.starts_with(['#', '\t']) && !line.contains([' ', ':'])
}

/// What Go's last words mean for the user, where it is one of the things that happen.
fn explain(component: Component, last: &str) -> Option<ComponentError> {
    let message = telling_line(last);
    let says = |words: &[&str]| words.iter().any(|word| last.contains(word));
    if says(&["no space left on device", "disk quota exceeded"]) {
        let path = Utf8PathBuf::from("the directory of the cache or of Go's own caches");
        return Some(ComponentError::DiskFull { component, path });
    }
    if says(&["checksum mismatch", "SECURITY ERROR"]) {
        return Some(ComponentError::ChecksumMismatch { component, message });
    }
    if let Some((needed, found)) = too_old(last) {
        return Some(ComponentError::GoTooOld {
            component,
            needed,
            found,
        });
    }
    if says(&["C compiler", "cgo: cannot find"]) {
        return Some(ComponentError::CompilerMissing { component });
    }
    if says(&[
        "403 Forbidden",
        "404 Not Found",
        "410 Gone",
        "451 ",
        "module lookup disabled",
    ]) {
        return Some(ComponentError::ModuleRefused { component, message });
    }
    let network = [
        "dial tcp",
        "no such host",
        "i/o timeout",
        "connection re",
        "TLS handshake",
        "proxyconnect",
    ];
    let unreachable = says(&network) || says(&["502 Bad", "503 Service", "504 Gateway", "unexpected EOF"]);
    unreachable.then_some(ComponentError::Network { component, message })
}

/// The one line of `last` that tells most: the first that is not about a download.
fn telling_line(last: &str) -> String {
    last.lines()
        .map(str::trim)
        .find(|line| line.contains(": ") && !line.starts_with("go: downloading"))
        .unwrap_or_else(|| last.lines().last().unwrap_or_default())
        .trim_start_matches("go: ")
        .to_owned()
}

/// `requires go >= 1.26.0 (running go 1.24.1; GOTOOLCHAIN=local)`
fn too_old(last: &str) -> Option<(String, String)> {
    let (_, rest) = last.split_once("requires go >= ")?;
    let (needed, rest) = rest.split_once(" (running go ")?;
    let found = rest.split([';', ')']).next()?;
    Some((needed.to_owned(), found.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_versions_compare_by_number() {
        assert!(version("1.9.9") < version("1.26.0"));
        assert!(version("1.26.8") > version("1.26.0"));
        assert!(version("1.26rc1") <= version("1.26.0"));
        assert_eq!(needed_go("module x\n\ngo 1.26.3\n"), "1.26.3");
    }

    #[test]
    fn test_package_lines_are_told_from_the_rest() {
        assert!(is_package("k8s.io/api/core/v1"));
        assert!(is_package("fmt"));
        for line in ["", "go: downloading x v1", "# runtime/cgo", "\tfoo.go:1:1"] {
            assert!(!is_package(line), "{line}");
        }
    }

    #[test]
    fn test_what_go_says_is_explained() {
        let explained = |text: &str| explain(Component::Kwok, text).map(|error| error.to_string());
        let cases = [
            (
                "verifying example.org/x@v1: checksum mismatch\n\tdownloaded: h1:a",
                "not what is pinned",
            ),
            (
                "go: go.mod requires go >= 1.26.0 (running go 1.19.8; GOTOOLCHAIN=local)",
                "`go` on PATH is 1.19.8",
            ),
            (
                "cgo: C compiler \"gcc\" not found: exec: \"gcc\"",
                "apt-get install gcc",
            ),
            (
                "go: example.org/x@v1: reading https://p/x: 403 Forbidden",
                "proxy refused",
            ),
            (
                "go: example.org/x@v1: Get \"https://p\": dial tcp: lookup p: no such host",
                "network",
            ),
            ("write /x: no space left on device", "no space left"),
        ];
        for (text, wanted) in cases {
            let said = explained(text).unwrap_or_default();
            assert!(said.contains(wanted), "{text} gave {said}");
        }
        assert_eq!(explained("x.go:1:2: undefined: y"), None);
    }
}
