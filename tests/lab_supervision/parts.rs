//! The supervisor, which launches what the test wrote down, and the component.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use lotse::lab::component::Sources;
use lotse::lab::process::{ProcessSpec, http_ready, tcp_ready};
use lotse::lab::{self, LabContext, LaunchFault, SuperviseOptions, Surroundings};
use lotse::names::LabName;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::house::{ourselves, runtime};

/// One process that the supervisor is to launch.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Planned {
    name: String,
    /// Shell text; `$PORT` is the port called as the process, `$SELF` this binary.
    script: String,
    ready: Readiness,
    within_seconds: u64,
}

/// How it says that it is ready.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Readiness {
    Tcp,
    Http,
    AtOnce,
    Never,
    /// Never, and the one who asks panics.
    Panic,
    /// When there is a file `ready` in its directory.
    File,
}

impl Planned {
    pub(crate) fn new(name: &str, script: &str, ready: Readiness) -> Self {
        Self {
            name: name.to_owned(),
            script: script.to_owned(),
            ready,
            within_seconds: 30,
        }
    }

    /// A component that answers HTTP on its port.
    pub(crate) fn server(name: &str) -> Self {
        Self::new(name, "exec \"$SELF\" component $PORT", Readiness::Http)
    }

    /// A component that does nothing for long.
    pub(crate) fn sleeper(name: &str) -> Self {
        Self::new(name, "exec sleep 1000", Readiness::AtOnce)
    }

    pub(crate) fn within_seconds(self, within_seconds: u64) -> Self {
        Self {
            within_seconds,
            ..self
        }
    }

    fn spec(&self, context: &LabContext, port: u16) -> Result<ProcessSpec, LaunchFault> {
        let environment = [("PORT", port.to_string()), ("SELF", ourselves().into_string())];
        let directory = context.state.data(&self.name)?;
        Ok(ProcessSpec {
            name: self.name.clone(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), self.script.clone()],
            environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
            ready: self.ready.check(
                SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                directory.join("ready"),
            ),
            directory,
            ready_within: Duration::from_secs(self.within_seconds),
        })
    }
}

impl Readiness {
    fn check(self, address: SocketAddr, file: Utf8PathBuf) -> lab::process::ReadinessCheck {
        match self {
            Self::Tcp => tcp_ready(address),
            Self::Http => http_ready(format!("http://{address}/"), None),
            Self::AtOnce => Arc::new(|| Box::pin(async { Ok(()) })),
            Self::Never => Arc::new(|| Box::pin(async { Err("still thinking".to_owned()) })),
            Self::Panic => panic!("on purpose"),
            Self::File => Arc::new(move || {
                let answer = if file.exists() {
                    Ok(())
                } else {
                    Err(format!("{file} is not there"))
                };
                Box::pin(async { answer })
            }),
        }
    }
}

/// Runs as `lab supervise NAME --state DIR --cache DIR`.
pub(crate) fn supervise(arguments: &[String]) -> ExitCode {
    let option = |wanted: &str| {
        let at = arguments.iter().position(|argument| argument == wanted).unwrap();
        Utf8PathBuf::from(&arguments[at + 1])
    };
    let state_root = option("--state");
    let options = SuperviseOptions {
        name: LabName::new(arguments[3].as_str()).unwrap(),
        sources: Sources {
            assets: None,
            kubebuilder_assets: None,
            cache: option("--cache"),
        },
        surroundings: Surroundings {
            name_server: None,
            extras: std::collections::BTreeSet::new(),
            path: "/usr/bin:/bin".to_owned(),
            home: state_root.to_string(),
            has_compiler: false,
        },
        state_root,
    };
    let plan = fs_err::read(options.state_root.join(format!("{}.plan", options.name))).unwrap();
    let plan: Vec<Planned> = serde_json::from_slice(&plan).unwrap();
    let launching = async |context: &LabContext| launch(context, plan).await;
    match runtime().block_on(lab::supervise(&options, launching)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => panic!("{error:?}"),
    }
}

async fn launch(context: &LabContext, plan: Vec<Planned>) -> Result<Value, LaunchFault> {
    let mut ports = serde_json::Map::new();
    for planned in plan {
        let port = context.ports.get(&planned.name)?;
        ports.insert(planned.name.clone(), port.into());
        context.supervisor.start(planned.spec(context, port)?).await?;
    }
    context.secrets.get_or_create("admin")?;
    Ok(json!({ "ports": ports }))
}

/// Runs as `component PORT`.
pub(crate) fn answer_http(port: &str) -> ExitCode {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).unwrap();
    println!("listening on {port}");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut request = [0; 1024];
        if stream.read(&mut request).is_ok_and(|length| length > 0) {
            // A client that went away is no fault of this server.
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
        }
    }
    ExitCode::SUCCESS
}
