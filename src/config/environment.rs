//! The declaration of one cluster: `environments/<name>/environment.yaml`.
//!
//! `Text` and `Key` are what settings and secrets are at each stage: as declared ([`Setting`],
//! [`SecretSetting`]), resolved (`String`, [`Secret`]), or with placeholders (`String`, `()`), so that the type
//! says where a secret can't be.

use std::collections::BTreeMap;
use std::net::IpAddr;

use camino::Utf8PathBuf;
use serde::Serialize;
use serde_json::{Map, Value};

use super::setting::{Convert, MissingSettings, Placeholders, SecretSetting, Setting, Values};
use crate::age::Recipient;
use crate::names::{
    AppName, ClusterName, DomainName, EnvironmentName, LabName, Login, NamespaceName, TeamName,
};
use crate::secret::Secret;

/// One cluster and everything it stands on.
#[derive(Clone, Debug, PartialEq)]
pub struct Environment<Text = Setting, Key = SecretSetting> {
    /// Its folder under `environments/` and `clusters/`.
    pub name: EnvironmentName,
    /// The embedded lab that gives the systems of this environment and its run-time settings.
    pub lab: Option<LabName>,
    /// Hosts of applications are labels under this domain; `*.<domain>` points to the gateway.
    pub domain: DomainName,
    /// The Cluster API management cluster.
    pub management: Management<Text>,
    /// The workload cluster.
    pub cluster: Cluster<Key>,
    /// The platform's repository as Flux reads it.
    pub git: Git<Text, Key>,
    /// Flux.
    pub flux: Flux,
    /// Keycloak and the forge behind it.
    pub identity: Identity<Text, Key>,
    /// The zone that holds the domain.
    pub dns: Dns<Text, Key>,
    /// Names of cluster roles that grants may use besides `view`, `edit` and `admin`.
    pub roles: Vec<String>,
    /// The gateway that all hosts lead to; `None` where hosts get no routes and the platform only has a load
    /// balancer.
    pub gateway: Option<Gateway>,
    /// Encrypted files in the repository.
    pub encryption: Option<Encryption<Key>>,
    /// Applications that may create cluster-scoped objects.
    pub cluster_wide: Vec<AppName>,
    /// Applications of this cluster, in the order of the file.
    pub apps: Vec<AppName>,
}

/// An environment in which every setting has its value.
pub type ResolvedEnvironment = Environment<String, Secret>;

/// An environment with `${NAME}` where a value is known only at run time, and without secrets.
pub type EnvironmentOutline = Environment<String, ()>;

/// The gateway (Gateway API) that all hosts lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// `GatewayClass` that serves it.
    pub class: String,
    /// Who signs its certificate.
    pub signer: Signer,
}

/// Who signs the certificate of the gateway, by cert-manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// A `ClusterIssuer` that is there by somebody else.
    ClusterIssuer(String),
    /// An authority that speaks ACME (RFC 8555), with an `Issuer` that is rendered.
    Acme(Acme),
}

/// An ACME authority and how it is shown that the domain is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// Address of its directory.
    pub server: String,
    /// Where it writes to.
    pub email: Option<String>,
    /// What it looks at.
    pub challenge: Challenge,
}

/// How an ACME authority is shown that a name is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// By a record that cert-manager writes with the environment's own key (RFC 2136).
    Dns01,
    /// By a record that a webhook of cert-manager writes, for providers that cert-manager does not know.
    Webhook {
        /// The webhook's API group.
        group_name: String,
        /// The webhook's name for itself.
        solver_name: String,
    },
    /// By an answer at each host, through the gateway. Not for wildcards: the certificate lists the hosts.
    Http01,
}

/// SOPS encryption of files in the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption<Key = SecretSetting> {
    /// The cluster's own recipient: Flux opens what is encrypted to it.
    pub recipient: Recipient,
    /// The identity that belongs to it. Where it is not given, the management cluster keeps it.
    pub identity: Option<Key>,
    /// Teams whose members can decrypt as well, those of them that have a recipient in `people.yaml`.
    pub teams: Vec<TeamName>,
}

/// How to reach the management cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Management<Text = Setting> {
    /// Path of a kubeconfig; kubectl's own rules (`KUBECONFIG`, `~/.kube/config`) when absent.
    pub kubeconfig: Option<Text>,
    /// Context in it.
    pub context: String,
    /// Namespace of the `Cluster` and its `ClusterStack`.
    pub namespace: NamespaceName,
}

/// The workload cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster<Key = SecretSetting> {
    /// Name of the `Cluster`.
    pub name: ClusterName,
    /// The cluster stack that gives its `ClusterClass`.
    pub stack: Stack,
    /// Kubernetes version (`v1.36.3`).
    pub version: String,
    /// Control-plane machines.
    pub control_plane: ControlPlane,
    /// Groups of worker machines.
    pub workers: Vec<WorkerGroup>,
    /// Additional names in the API server's certificate.
    pub cert_sans: Vec<String>,
    /// Variables of the cluster class, as they are.
    pub variables: Map<String, Value>,
    /// Secrets beside the `Cluster`, by which its provider gets at the infrastructure (the `clouds.yaml` of OpenStack):
    /// what is in each, by its name.
    pub secrets: BTreeMap<String, BTreeMap<String, Key>>,
    /// Secrets in `kube-system` of the workload cluster that are needed before its nodes can be ready, such as that of
    /// the cloud controller manager: what is in each, by its name.
    pub workload_secrets: BTreeMap<String, BTreeMap<String, Key>>,
}

/// A release of a cluster stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Infrastructure (`openstack`, `lab`).
    pub provider: String,
    /// Name of the stack (`scs2`).
    pub name: String,
    /// Kubernetes minor version (`1.36`).
    pub kubernetes: String,
    /// Release (`v1`).
    pub release: String,
    /// Whether CSO also needs a release of the infrastructure provider (node images); seldom.
    pub provider_release: bool,
}

impl Stack {
    /// Name of the `ClusterClass` that CSO makes of the release (`openstack-scs2-1-34-v3`).
    #[must_use]
    pub fn class_name(&self) -> String {
        let kubernetes = self.kubernetes.replace('.', "-");
        format!("{}-{}-{kubernetes}-{}", self.provider, self.name, self.release)
    }
}

/// Machines of the control plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlPlane {
    /// How many; `None` leaves the number to the provider.
    pub replicas: Option<u32>,
    /// Kind of machine (a flavor of Nova); `None` leaves it to the cluster class.
    pub flavor: Option<String>,
}

/// Worker machines of one kind: a `MachineDeployment` of the topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerGroup {
    /// Name of the group.
    pub name: String,
    /// Class in the `ClusterClass`.
    pub class: String,
    /// How many.
    pub replicas: u32,
    /// Kind of machine (a flavor of Nova); `None` leaves it to the cluster class.
    pub flavor: Option<String>,
}

/// The platform's repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Git<Text = Setting, Key = SecretSetting> {
    /// Address, https in production.
    pub url: Text,
    /// Branch that Flux follows.
    pub branch: String,
    /// Folder of the rendered tree (`clusters/<environment>`).
    pub path: Utf8PathBuf,
    /// How changes get onto the branch.
    pub mode: GitMode,
    /// User name for https.
    pub username: Option<Text>,
    /// Password or token for https.
    pub password: Option<Key>,
    /// Credentials by which Flux reads it, where those above are not for that.
    pub reader: Option<GitReader<Text, Key>>,
}

/// Credentials that may only read the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GitReader<Text = Setting, Key = SecretSetting> {
    /// Those of a user.
    Password {
        /// User name for https.
        username: Text,
        /// Password or token for https.
        password: Key,
    },
    /// A key that is made for the cluster and registered at the forge, for this repository and for reading only.
    DeployKey {
        /// Address for SSH, where it does not follow from that for https.
        url: Option<Text>,
        /// How the forge proves that it is the forge: lines as in `known_hosts`.
        known_hosts: Vec<Text>,
    },
}

/// By what Flux reads the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FluxCredentials<'git, Text, Key> {
    /// User name and password.
    Password(&'git Text, &'git Key),
    /// A deploy key, and the lines of `known_hosts` for the forge.
    DeployKey(&'git [Text]),
}

impl<Text, Key> Git<Text, Key> {
    /// By what Flux reads the repository; `None` where everybody may.
    pub fn for_flux(&self) -> Option<FluxCredentials<'_, Text, Key>> {
        match &self.reader {
            Some(GitReader::Password { username, password }) => {
                Some(FluxCredentials::Password(username, password))
            }
            Some(GitReader::DeployKey { known_hosts, .. }) => Some(FluxCredentials::DeployKey(known_hosts)),
            None => Some(FluxCredentials::Password(
                self.username.as_ref()?,
                self.password.as_ref()?,
            )),
        }
    }
}

impl<Key> Git<String, Key> {
    /// Address at which Flux reads the repository: `ssh://git@HOST/OWNER/NAME.git` with a deploy key.
    #[must_use]
    pub fn url_for_flux(&self) -> String {
        match &self.reader {
            Some(GitReader::DeployKey { url: Some(url), .. }) => url.clone(),
            Some(GitReader::DeployKey { url: None, .. }) => over_ssh(&self.url),
            Some(GitReader::Password { .. }) | None => self.url.clone(),
        }
    }
}

/// The address for SSH beside one for https, as GitHub, Gitea and Forgejo have it. A text that is not known yet is
/// left as it is.
fn over_ssh(url: &str) -> String {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let Some((host, path)) = rest.and_then(|rest| rest.split_once('/')) else {
        return url.to_owned();
    };
    let host = host.rsplit('@').next().unwrap_or(host);
    let host = host.split(':').next().unwrap_or(host);
    format!("ssh://git@{host}/{path}")
}

/// How changes get onto the branch that Flux follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitMode {
    /// Pushed to it.
    Push,
    /// Proposed, and merged by a person.
    PullRequest,
}

/// Which Flux.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flux {
    /// Release (`2.9.4`).
    pub version: String,
    /// Install manifests from somewhere else than the release.
    pub install: Option<FluxInstall>,
}

/// Where Flux's install manifests come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FluxInstall {
    /// A file of the repository.
    Path(Utf8PathBuf),
    /// A download whose digest is known.
    Url {
        /// Its address.
        url: String,
        /// SHA-256 of its content, hexadecimal.
        sha256: String,
    },
}

/// Keycloak and the forge behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity<Text = Setting, Key = SecretSetting> {
    /// Address of Keycloak.
    pub url: Text,
    /// Realm.
    pub realm: String,
    /// Path of a PEM file with the authority of its certificate, when it is not a public one.
    pub certificate_authority: Option<Text>,
    /// Who may administer it.
    pub admin: Admin<Text, Key>,
    /// The forge that people log in at.
    pub github: GitHub<Text, Key>,
    /// How long logins and tokens hold; what is not declared is left to Keycloak.
    pub sessions: Sessions,
    /// How long the old secret of a client holds beside the new one, in seconds; without it, not at all.
    pub client_secret_grace: Option<u32>,
    /// What people have to do at their first login, by Keycloak's aliases; without it, that is left to Keycloak.
    pub required_actions: Option<Vec<String>>,
    /// Issuers beside the realm whose tokens the cluster accepts as well, while people move over.
    pub other_issuers: Vec<OtherIssuer<Text>>,
}

/// How long logins and tokens of the realm hold, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sessions {
    /// A token: so long somebody keeps rights that were taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<u32>,
    /// A login that is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<u32>,
    /// A login at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest: Option<u32>,
}

impl Sessions {
    /// Whether all of it is left to Keycloak.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// An issuer of tokens that is not ours, such as the Dex of an earlier cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherIssuer<Text = Setting> {
    /// Its address, https.
    pub url: Text,
    /// Path of a PEM file with the authority of its certificate, when it is not a public one.
    pub certificate_authority: Option<Text>,
    /// The client whose tokens are accepted.
    pub client_id: Text,
    /// Claim that becomes the user name.
    pub username_claim: String,
    /// Claim that becomes the groups.
    pub groups_claim: String,
    /// Put before user names and groups; that of the realm without it.
    pub prefix: Option<String>,
}

impl<Key> Identity<String, Key> {
    /// Issuer of the realm's tokens.
    #[must_use]
    pub fn issuer(&self) -> String {
        issuer(&self.url, &self.realm)
    }
}

fn issuer(url: &str, realm: &str) -> String {
    format!("{}/realms/{realm}", url.trim_end_matches('/'))
}

/// Where people log in, as a program on their machine has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginPlace {
    /// Issuer of the realm's tokens.
    pub issuer: String,
    /// Path of a PEM file with the authority of its certificate, when it is not a public one.
    pub certificate_authority: Option<String>,
}

/// Who administers Keycloak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin<Text = Setting, Key = SecretSetting> {
    /// A user of the realm master.
    User(Administrator<Text, Key>),
    /// A service account of the realm master, which may administer one realm.
    Account {
        /// Its client id.
        client_id: Text,
        /// Its secret.
        client_secret: Key,
        /// Who makes it; `None` also where its settings aren't set, which they need not be once it is there.
        bootstrap: Option<Administrator<Text, Key>>,
    },
}

/// A user of the realm master with all rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator<Text = Setting, Key = SecretSetting> {
    /// User name.
    pub username: Text,
    /// Password.
    pub password: Key,
}

/// GitHub, or a forge in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHub<Text = Setting, Key = SecretSetting> {
    /// Organisation whose teams are in `people.yaml`.
    pub organisation: Login,
    /// Client id of the OAuth application.
    pub client_id: Text,
    /// Client secret of the OAuth application.
    pub client_secret: Key,
    /// Address when it is not github.com.
    pub url: Option<Text>,
    /// Address of its API when it is not api.github.com.
    pub api_url: Option<Text>,
}

/// The zone that holds the environment's domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns<Text = Setting, Key = SecretSetting> {
    /// Zone.
    pub zone: DomainName,
    /// Time to live of the records, seconds.
    pub ttl: u32,
    /// Addresses that are reserved for the gateway; what its load balancer has where there are none.
    pub addresses: Vec<IpAddr>,
    /// The name of the API server in the zone; it is good for its certificate too.
    pub api_server: Option<DomainName>,
    /// Who may issue certificates for the domain (CAA, RFC 8659): their domain names. Anybody where there are none.
    pub certificate_authorities: Vec<DomainName>,
    /// Name servers that must have the records (`host:port` or `host`); those that the zone names where there are none.
    pub name_servers: Vec<Text>,
    /// How it is changed.
    pub provider: DnsProvider<Text, Key>,
}

/// How records get into a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsProvider<Text = Setting, Key = SecretSetting> {
    /// Dynamic updates.
    Rfc2136(Rfc2136<Text, Key>),
    /// The DNS service Designate.
    Designate {
        /// The cloud in `clouds.yaml`.
        cloud: String,
    },
}

/// Dynamic updates (RFC 2136) signed with a shared key (RFC 8945).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rfc2136<Text = Setting, Key = SecretSetting> {
    /// The primary server, `host:port` or `host`.
    pub server: Text,
    /// The shared key.
    pub key: TsigKey<Text, Key>,
}

/// A key for signing DNS messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsigKey<Text = Setting, Key = SecretSetting> {
    /// Its name at the server.
    pub name: Text,
    /// How it signs.
    pub algorithm: TsigAlgorithm,
    /// The key, base64.
    pub secret: Key,
}

/// Signature of DNS messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// `hmac-sha256`
    HmacSha256,
    /// `hmac-sha384`
    HmacSha384,
    /// `hmac-sha512`
    HmacSha512,
}

impl Environment {
    /// Gives every setting its value from `values` (the process environment, and what a lab adds to it).
    ///
    /// # Errors
    /// Names every variable that is not set or empty.
    pub fn resolve(&self, values: &BTreeMap<String, String>) -> Result<ResolvedEnvironment, MissingSettings> {
        let mut values = Values::new(values);
        let resolved = self.convert(&mut values);
        values.finish(resolved)
    }

    /// The management cluster alone, with all its settings.
    ///
    /// # Errors
    /// Names every variable that is not set or empty.
    pub fn resolve_management(
        &self,
        values: &BTreeMap<String, String>,
    ) -> Result<Management<String>, MissingSettings> {
        let mut values = Values::new(values);
        let resolved = self.management.convert(&mut values);
        values.finish(resolved)
    }

    /// Where people log in, with the settings of that alone.
    ///
    /// # Errors
    /// Names every variable that is not set or empty.
    pub fn resolve_login(&self, values: &BTreeMap<String, String>) -> Result<LoginPlace, MissingSettings> {
        let mut values = Values::new(values);
        let mut text = |setting| Convert::<String, Secret>::text(&mut values, setting);
        let (url, authority) = (&self.identity.url, &self.identity.certificate_authority);
        let place = LoginPlace {
            issuer: issuer(&text(url), &self.identity.realm),
            certificate_authority: authority.as_ref().map(text),
        };
        values.finish(place)
    }

    /// Where the API is of the forge that people log in at, where that is declared.
    ///
    /// # Errors
    /// Names the variable that is not set or empty.
    pub fn resolve_forge_api(
        &self,
        values: &BTreeMap<String, String>,
    ) -> Result<Option<String>, MissingSettings> {
        let mut values = Values::new(values);
        let mut text = |setting| Convert::<String, Secret>::text(&mut values, setting);
        let address = self.identity.github.api_url.as_ref().map(&mut text);
        values.finish(address)
    }

    /// The environment with `${NAME}` where a value is known only at run time.
    #[must_use]
    pub fn outline(&self) -> EnvironmentOutline {
        self.convert(&mut Placeholders)
    }

    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> Environment<Text, Key> {
        Environment {
            name: self.name.clone(),
            lab: self.lab.clone(),
            domain: self.domain.clone(),
            management: self.management.convert(to),
            cluster: self.cluster.convert(to),
            git: self.git.convert(to),
            flux: self.flux.clone(),
            identity: self.identity.convert(to),
            dns: self.dns.convert(to),
            roles: self.roles.clone(),
            gateway: self.gateway.clone(),
            encryption: self.encryption.as_ref().map(|encryption| encryption.convert(to)),
            cluster_wide: self.cluster_wide.clone(),
            apps: self.apps.clone(),
        }
    }
}

impl Management {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> Management<Text> {
        Management {
            kubeconfig: self.kubeconfig.as_ref().map(|path| to.text(path)),
            context: self.context.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

impl Cluster {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> Cluster<Key> {
        let mut convert = |secrets: &BTreeMap<String, BTreeMap<String, SecretSetting>>| {
            let mut converted = BTreeMap::new();
            for (name, data) in secrets {
                let data = data.iter().map(|(key, setting)| (key.clone(), to.key(setting)));
                converted.insert(name.clone(), data.collect());
            }
            converted
        };
        Cluster {
            name: self.name.clone(),
            stack: self.stack.clone(),
            version: self.version.clone(),
            control_plane: self.control_plane.clone(),
            workers: self.workers.clone(),
            cert_sans: self.cert_sans.clone(),
            variables: self.variables.clone(),
            secrets: convert(&self.secrets),
            workload_secrets: convert(&self.workload_secrets),
        }
    }
}

impl Encryption {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> Encryption<Key> {
        Encryption {
            recipient: self.recipient.clone(),
            identity: self.identity.as_ref().map(|identity| to.key(identity)),
            teams: self.teams.clone(),
        }
    }
}

impl Git {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> Git<Text, Key> {
        Git {
            url: to.text(&self.url),
            branch: self.branch.clone(),
            path: self.path.clone(),
            mode: self.mode,
            username: self.username.as_ref().map(|username| to.text(username)),
            password: self.password.as_ref().map(|password| to.key(password)),
            reader: self.reader.as_ref().map(|reader| reader.convert(to)),
        }
    }
}

impl GitReader {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> GitReader<Text, Key> {
        match self {
            Self::Password { username, password } => GitReader::Password {
                username: to.text(username),
                password: to.key(password),
            },
            Self::DeployKey { url, known_hosts } => GitReader::DeployKey {
                url: url.as_ref().map(|url| to.text(url)),
                known_hosts: known_hosts.iter().map(|line| to.text(line)).collect(),
            },
        }
    }
}

impl Identity {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> Identity<Text, Key> {
        Identity {
            url: to.text(&self.url),
            realm: self.realm.clone(),
            certificate_authority: self.certificate_authority.as_ref().map(|path| to.text(path)),
            admin: self.admin.convert(to),
            github: self.github.convert(to),
            sessions: self.sessions,
            client_secret_grace: self.client_secret_grace,
            required_actions: self.required_actions.clone(),
            other_issuers: self
                .other_issuers
                .iter()
                .map(|issuer| issuer.convert(to))
                .collect(),
        }
    }
}

impl Admin {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> Admin<Text, Key> {
        match self {
            Self::User(user) => Admin::User(user.convert(to)),
            Self::Account {
                client_id,
                client_secret,
                bootstrap,
            } => Admin::Account {
                client_id: to.text(client_id),
                client_secret: to.key(client_secret),
                bootstrap: bootstrap
                    .as_ref()
                    .and_then(|user| to.attempt(|to| user.convert(to))),
            },
        }
    }
}

impl Administrator {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> Administrator<Text, Key> {
        Administrator {
            username: to.text(&self.username),
            password: to.key(&self.password),
        }
    }
}

impl OtherIssuer {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> OtherIssuer<Text> {
        OtherIssuer {
            url: to.text(&self.url),
            certificate_authority: self.certificate_authority.as_ref().map(|path| to.text(path)),
            client_id: to.text(&self.client_id),
            username_claim: self.username_claim.clone(),
            groups_claim: self.groups_claim.clone(),
            prefix: self.prefix.clone(),
        }
    }
}

impl GitHub {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> GitHub<Text, Key> {
        GitHub {
            organisation: self.organisation.clone(),
            client_id: to.text(&self.client_id),
            client_secret: to.key(&self.client_secret),
            url: self.url.as_ref().map(|url| to.text(url)),
            api_url: self.api_url.as_ref().map(|url| to.text(url)),
        }
    }
}

impl Dns {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> Dns<Text, Key> {
        let provider = match &self.provider {
            DnsProvider::Rfc2136(rfc2136) => DnsProvider::Rfc2136(rfc2136.convert(to)),
            DnsProvider::Designate { cloud } => DnsProvider::Designate { cloud: cloud.clone() },
        };
        Dns {
            zone: self.zone.clone(),
            ttl: self.ttl,
            addresses: self.addresses.clone(),
            api_server: self.api_server.clone(),
            certificate_authorities: self.certificate_authorities.clone(),
            name_servers: self.name_servers.iter().map(|server| to.text(server)).collect(),
            provider,
        }
    }
}

impl Rfc2136 {
    fn convert<Text, Key>(&self, to: &mut impl Convert<Text, Key>) -> Rfc2136<Text, Key> {
        Rfc2136 {
            server: to.text(&self.server),
            key: TsigKey {
                name: to.text(&self.key.name),
                algorithm: self.key.algorithm,
                secret: to.key(&self.key.secret),
            },
        }
    }
}
