//! Text to validated declarations: the one room that knows the YAML crate.
//!
//! [`load()`] reads everything one environment is declared by and reports all problems of all files at once.

pub mod yaml;

mod app;
mod environment;
pub mod file;
pub mod identities;
mod load;
mod manifests;
mod mask;
mod mend;
mod network;
mod people;
mod quantity;
mod read;
pub mod roster;
mod schema;
mod sealed;
mod setting;
mod slip;
mod source;
mod trap;
mod tree;

pub use app::{
    App, ContainerDefaults, Delivery, Destination, Grant, Host, LoginClient, PodSecurity, Quota, Resources,
    RoleHolders, Subject,
};
pub use environment::{
    Acme, Admin, Administrator, Challenge, Cluster, ControlPlane, Dns, DnsProvider, Encryption, Environment,
    EnvironmentOutline, Flux, FluxCredentials, FluxInstall, Gateway, Git, GitHub, GitMode, GitReader,
    Identity, LoginPlace, Management, OtherIssuer, ResolvedEnvironment, Rfc2136, Sessions, Signer, Stack,
    TsigAlgorithm, TsigKey, WorkerGroup,
};
pub use load::{
    Declarations, Loaded, Problems, app_folders, environment_folders, environments, load, load_declared,
    load_environment, load_files, load_people, misnamed_environments, rivals,
};
pub use manifests::{ManifestOutline, manifest_outlines};
pub use mend::{lists_app, scalar, with_app};
pub use network::{Network, NetworkPeer, NetworkRule};
pub use people::{People, Person, Team};
pub use schema::DeclarationKind;
pub use sealed::{Reader, Sealed, damage, readers, sealed, sealed_annotation, without_key};
pub use setting::{EnvName, MissingSettings, SecretSetting, Setting};
pub use source::{
    Chart, ChartValues, GitFolder, GitReference, Helm, OciFolder, OciReference, Source, Upstream,
};
