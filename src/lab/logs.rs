//! What the components of a lab wrote.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::error::LabError;
use super::process;
use super::state::{StateDirectory, known_labs};
use crate::names::LabName;

const ASK_EVERY: Duration = Duration::from_millis(200);

/// Which logs to show, and how.
#[derive(Clone, Debug)]
pub struct LogsOptions {
    /// The lab.
    pub name: LabName,
    /// Where all labs keep their state.
    pub state_root: Utf8PathBuf,
    /// The component; all when `None`.
    pub component: Option<String>,
    /// How many lines of each log's end.
    pub lines: usize,
    /// Whether to go on showing what is written, until the future is dropped.
    pub follow: bool,
}

/// One log that is shown.
struct Shown {
    component: String,
    path: Utf8PathBuf,
    position: u64,
    /// What was read of a line that is not complete yet.
    rest: Vec<u8>,
}

/// Writes the ends of logs to `output`; with several logs, each line begins with its component's name.
pub async fn logs(options: &LogsOptions, output: &mut (dyn Write + Send)) -> Result<(), LabError> {
    let name = &options.name;
    let state = |source| LabError::State {
        name: name.clone(),
        source,
    };
    let fault = |source| LabError::Logs {
        name: name.clone(),
        source,
    };
    let directory = StateDirectory::locate(&options.state_root, name).map_err(state)?;
    if !directory.exists() {
        return Err(LabError::Unknown {
            name: name.clone(),
            known: known_labs(&options.state_root),
        });
    }
    let mut shown = choose(options, &directory)?;
    let is_labelled = options.component.is_none();
    for log in &mut shown {
        log.position = length(&log.path);
        for line in process::last_lines(&log.path, 0, options.lines) {
            write_line(
                output,
                is_labelled.then_some(log.component.as_str()),
                line.as_bytes(),
            )
            .map_err(fault)?;
        }
    }
    while options.follow && directory.exists() {
        for log in &mut shown {
            log.write_new(is_labelled, output).map_err(fault)?;
        }
        output.flush().map_err(fault)?;
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(())
}

fn choose(options: &LogsOptions, directory: &StateDirectory) -> Result<Vec<Shown>, LabError> {
    let logs = directory.logs();
    let mut found = Vec::new();
    collect(&logs, &logs, &mut found).map_err(|source| LabError::Logs {
        name: options.name.clone(),
        source,
    })?;
    found.sort_by(|one, other| one.component.cmp(&other.component));
    let Some(component) = &options.component else {
        return Ok(found);
    };
    let known: Vec<String> = found.iter().map(|log| log.component.clone()).collect();
    found.retain(|log| log.component == *component);
    if found.is_empty() {
        return Err(LabError::UnknownLog {
            name: options.name.clone(),
            component: component.clone(),
            known,
        });
    }
    Ok(found)
}

/// Every log below `directory`, named by its path below `root`.
fn collect(root: &Utf8Path, directory: &Utf8Path, found: &mut Vec<Shown>) -> io::Result<()> {
    let entries = match directory.read_dir_utf8() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let path = entry?.path().to_owned();
        if path.is_dir() {
            collect(root, &path, found)?;
        } else if path.extension() == Some("log") {
            let component = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .with_extension("")
                .into_string();
            found.push(Shown {
                component,
                path,
                position: 0,
                rest: Vec::new(),
            });
        }
    }
    Ok(())
}

impl Shown {
    /// Writes the lines that were completed since.
    fn write_new(&mut self, is_labelled: bool, output: &mut (dyn Write + Send)) -> io::Result<()> {
        let end = length(&self.path);
        if end < self.position {
            // It was put aside, and a new one begun.
            self.position = 0;
        }
        if end == self.position {
            return Ok(());
        }
        let mut file = fs_err::File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.position))?;
        self.position += file.take(end - self.position).read_to_end(&mut self.rest)? as u64;
        while let Some(length) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=length).collect();
            let label = is_labelled.then_some(self.component.as_str());
            write_line(output, label, line.trim_ascii_end())?;
        }
        Ok(())
    }
}

fn length(path: &Utf8Path) -> u64 {
    fs_err::metadata(path).map_or(0, |metadata| metadata.len())
}

fn write_line(output: &mut (dyn Write + Send), label: Option<&str>, line: &[u8]) -> io::Result<()> {
    if let Some(label) = label {
        write!(output, "{label}  ")?;
    }
    output.write_all(line)?;
    output.write_all(b"\n")
}
