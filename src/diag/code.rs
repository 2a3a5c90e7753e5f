//! The codes of diagnostics: stable, never used again for something else.

use std::fmt;
use std::str::FromStr;

use super::Severity;

macro_rules! codes {
    ($($(#[doc = $title:literal])+ $variant:ident = $id:literal, $explanation:literal;)+) => {
        /// What kind of problem a diagnostic reports.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $title])+ $variant,)+
        }

        impl Code {
            /// All codes, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The stable id (`E0204`).
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)+
                }
            }

            /// A few words.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($title),+).trim(),)+
                }
            }

            /// What it means and what to do about it, in a few sentences.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self {
                    $(Self::$variant => $explanation,)+
                }
            }
        }
    };
}

codes! {
    /// A file can't be read.
    Unreadable = "E0101",
    "A declaration is missing or can't be read. Every environment has `environment.yaml` and `people.yaml` in
`environments/<name>/`, every application has `app.yaml` in `apps/<name>/`.";
    /// A file is not YAML.
    Syntax = "E0102",
    "The text can't be parsed, so nothing else in this file was checked. Frequent causes: a tab in the indentation, a
`:` inside an unquoted text, a bracket that is not closed.";
    /// A key is written twice.
    DuplicateKey = "E0103",
    "YAML readers disagree on which of two equal keys counts, so none may be written twice. Remove one of them.";
    /// A key is not known here.
    UnknownKey = "E0104",
    "Keys that lotse does not know are refused, because a misspelled key would otherwise be ignored in silence.
`docs/applications.md` and `docs/operators.md` list the keys.";
    /// A key is missing.
    MissingKey = "E0105",
    "The key is required here. There is no default, because no value would be right for everybody.";
    /// A value has the wrong type.
    WrongType = "E0106",
    r#"For example a list where a text is wanted. Beware of texts that look like numbers: `1.36` is a number,
`"1.36"` is a text."#;
    /// A file has another apiVersion or kind than its place asks for.
    WrongKind = "E0107",
    "`apps/<name>/app.yaml` is `kind: App`, `environments/<name>/environment.yaml` is `kind: Environment`,
`environments/<name>/people.yaml` is `kind: People`; all have `apiVersion: lotse/v1`.";
    /// The name in a file is not the name of its folder.
    WrongFolder = "E0108",
    "The folder's name is what other files and Flux refer to, so `name` must be the same.";
    /// A value is none of those allowed here.
    UnknownValue = "E0109",
    "The key takes one of a few words; the message names them.";
    /// A value does not have the form that is needed here.
    Malformed = "E0110",
    "For example a name with a character that Kubernetes refuses, a date that does not exist, a version without its
patch number, an address without `https://`.";
    /// A secret is written in a file.
    SecretInFile = "E0111",
    "Whatever is in Git stays in its history. Write `{env: NAME}` and give the value in the environment variable
`NAME`. Change a secret that was committed already.";
    /// A list is empty where at least one entry is needed.
    EmptyList = "E0112",
    "For example an application without owners: nobody would answer for it.";
    /// A file leads out of the repository.
    OutsideRepository = "E0113",
    "A symbolic link on the way to the file points to a place outside of the repository. Others who check it out have
something else there, or nothing, and a pull request could read files of the computer that checks it. Put the file
itself in its place; links within the repository are fine.";
    /// A file is not UTF-8.
    NotUtf8 = "E0114",
    "All files are read as UTF-8. Other encodings look alike until the first letter outside of ASCII. Save the file as
UTF-8 in your editor, or convert it: `iconv -f latin1 -t utf8 FILE > NEW`.";
    /// A file is too large.
    TooLarge = "E0115",
    "A declaration is a page or two. A file of more than a megabyte is something else in the wrong place, and is not
read any further.";
    /// A file is too complex.
    TooComplex = "E0116",
    "Aliases (`*name`) can make a few lines stand for millions of values, and brackets can be nested so deeply that
readers crash. Both are given up on early. Write the values out, or split the file.";
    /// Readers of YAML disagree about a text.
    AmbiguousText = "E0117",
    "YAML 1.1 takes `no`, `on`, `0755` and `1:30` without quotes for a boolean or a number, YAML 1.2 does not, and
programs follow one, the other or a mix. With quotes it is a text for everybody. `lotse check --fix` adds them.";
    /// There is no such environment.
    NoSuchEnvironment = "E0201",
    "An environment is a folder under `environments/` with `environment.yaml` and `people.yaml`. Run lotse in
the repository, or name it with `-C`.";
    /// An application is not there.
    UnknownApp = "E0202",
    "Applications are folders under `apps/` with an `app.yaml`. An application can only depend on one that runs in the
same environment.";
    /// A person is not in people.yaml.
    UnknownPerson = "E0203",
    "Access and membership are given to persons of `members` in `environments/<name>/people.yaml`, since the numeric
id that stands there ties the login to one account at the forge.";
    /// A team is not in people.yaml.
    UnknownTeam = "E0204",
    "Owners, grants and login roles name teams of `teams` in `environments/<name>/people.yaml`.";
    /// A role is not known.
    UnknownRole = "E0205",
    "Grants use `view`, `edit`, `admin` (Kubernetes' own roles for people), or a cluster role named under `roles` in
`environment.yaml`.";
    /// Something is listed twice.
    Repeated = "E0206",
    "The second entry has no effect or contradicts the first. Remove one of them.";
    /// The id of a member at the forge is not known.
    UnknownId = "E0207",
    "A login can change hands, the numeric id can't, so accounts are prepared by the id. Until it is known, `id: unknown`
stands in its place; the person gets no account and no access. A second person should look at the id before it is merged.";
    /// Fewer than two people answer for an application.
    TooFewOwners = "E0301",
    "An application that only one person knows stands still when that person is away. The teams under `owners` must
together have at least two different members.";
    /// Two applications claim one host.
    HostTaken = "E0302",
    "A host name leads to one application. `hosts` of all applications of an environment must differ.";
    /// An OIDC client id is taken.
    ClientTaken = "E0303",
    "Client ids are unique in a realm. `kubectl` is the client that people log in to the cluster with, and Keycloak has
some of its own (`account`, `admin-cli`, `broker`, ...).";
    /// A name is reserved.
    ReservedName = "E0304",
    "Something of that name belongs to Kubernetes, Flux or the platform: a namespace or service account for the name of
an application, a variable that lotse sets itself (`certSANs` from `cluster.apiServer`, `oidcConfig` from `identity`).
Choose another name, or use the key that lotse sets it from.";
    /// The domain is not in the zone.
    DomainOutsideZone = "E0305",
    "lotse writes `*.<domain>` into `dns.zone`, so `domain` must be the zone itself or a name below it.";
    /// Applications depend on each other in a circle.
    DependencyCycle = "E0306",
    "Flux delivers an application after those it depends on are ready; in a circle none would ever begin.";
    /// A template can't be filled in.
    BadTemplate = "E0307",
    "Redirect addresses may contain `{{domain}}`, the domain of the environment. Nothing else is known there. Values of a chart may
contain `{{domain}}`, `{{environment}}` and `{{issuer}}`, written so; other braces are left to the chart.";
    /// The folder of manifests has no manifest.
    NoManifests = "E0308",
    "`source.manifests` names a folder beside `app.yaml` with at least one `.yaml` file.";
    /// The folder of the rendered tree has another name.
    WrongGitPath = "E0309",
    "`lotse render` writes into `clusters/<environment>`, so `git.path` must be that.";
    /// Two OIDC clients of an application share one Secret.
    SecretTaken = "E0310",
    "Each client's id and secret go into a Secret of its own, so that a client can be replaced without touching the
other.";
    /// A grant has ended.
    GrantEnded = "E0311",
    "The day in `until` has passed. The grant has no effect any more and is left out of what is rendered. Remove the
line (`lotse check --fix` does), or set a new day and say why.";
    /// The Kubernetes version is not of the cluster stack's minor version.
    VersionOutsideStack = "E0312",
    "A release of a cluster stack is made for one minor version of Kubernetes: `cluster.version` must be a patch release
of `cluster.stack.kubernetes`.";
    /// A host is not one label under the domain.
    HostOutsideDomain = "E0313",
    "`hosts` are labels that the environment's `domain` completes: `www` becomes `www.<domain>`. The wildcard record
`*.<domain>` and its certificate cover exactly one label, so neither `a.b` nor a name of another domain works.";
    /// A login returns to a host that is not the application's.
    RedirectElsewhere = "E0314",
    "Whoever serves the redirect address receives the login's code, so it must be one of the application's own `hosts`
(or localhost, for programs on people's machines). An environment that replaces `hosts` of an application replaces its `login`
too.";
    /// An application has no runbook.
    NoRunbook = "E0315",
    "Somebody who did not build the application must be able to operate it. Write at least one file
`runbooks/<application>/<task>.md`.";
    /// A grant ends soon.
    GrantEndsSoon = "E0316",
    "Access ends after the day in `until`. Talk to the person or team now: set a new day and say why, or let it end.";
    /// Only one side of a connection allows it.
    OneSidedNetwork = "E0317",
    "Traffic is denied unless both sides allow it: the application that connects names the other one in
`network.allowTo`, and that one names it in `network.allowFrom`. One of the two is missing, so nothing gets through.";
    /// A name is too long for what is made of it.
    NameTooLong = "E0318",
    "Helm takes release names of at most 53 characters, and a release is named after its application.";
    /// A Helm chart or its values are not there.
    NoChart = "E0319",
    "`source.helm.chart` without a `repository` names a folder beside the file with a `Chart.yaml`; `values` names a file
beside it.";
    /// An application has several sources.
    AmbiguousSource = "E0320",
    "An application is made of manifests of its own, of one thing from somewhere else (`helm`, `git` or `oci`), or of both.
A second chart belongs to an application of its own, with its own namespace and owners.";
    /// Hosts have no gateway.
    NoGateway = "E0321",
    "Hosts are routes of the environment's gateway. Without `gateway: {class: ..., issuer: ...}` in environment.yaml no route is
made and no certificate is asked for: the name leads to the load balancer, and nobody answers there.";
    /// Two environments claim the same.
    SharedByEnvironments = "E0322",
    "Each environment has a cluster and a domain of its own. Two that declare the same would change each other's: the second
bring-up takes over what the first made.";
    /// cert-manager can't answer the challenge there.
    UnfitChallenge = "E0323",
    "For a wildcard certificate an authority asks for a record in the zone. cert-manager writes it by itself at servers that take
dynamic updates signed with hmac-sha256 or hmac-sha512; at OpenStack Designate it needs a webhook, which `acme.webhook` names. With
`challenge: http-01` no record is needed, and the certificate lists the hosts.";
    /// An object is meant for another namespace.
    OtherNamespace = "E0401",
    "Flux puts everything that an application delivers into the application's own namespace, whatever its manifests
say. Remove `namespace` from the manifest or the kustomization.";
    /// An object needs a permission that the application does not have.
    NotPermitted = "E0402",
    "Flux delivers an application with the rights of the role `edit` in its namespace: not with those to write
cluster-scoped objects, roles, quotas or Services that open a way past the gateway. Use `access`, `quota`,
`containerDefaults` or `hosts` of `app.yaml`, or have the application listed under `clusterWide` in `environment.yaml`.";
    /// The Kubernetes of this environment does not serve an API version any more.
    VersionGone = "E0403",
    "The API server of `cluster.version` refuses the object. The message names the apiVersion to write instead; the
deprecated API migration guide of Kubernetes tells how its fields differ.";
    /// The Flux of this environment does not serve an API version any more.
    FluxVersionGone = "E0404",
    "Flux 2.8 removed the beta versions of its APIs (`source.toolkit.fluxcd.io/v1beta2`,
`kustomize.toolkit.fluxcd.io/v1beta2`, `helm.toolkit.fluxcd.io/v2beta2`). The message names the version to write.";
    /// A kustomization fetches something from somewhere else.
    RemoteBase = "E0405",
    "What Flux applies is what is in the repository: a base that is fetched from elsewhere each time can change, or be
gone, without anybody here having decided so. Copy what is needed into the repository, or declare it under `source`,
where a version is pinned. Flux does not run Helm within a kustomization.";
    /// An image is not named by a release.
    MovingImage = "E0406",
    "An image without tag or digest, or with `latest`, means another one tomorrow: a restart becomes an upgrade that
nobody reviewed, and there is no way back. Name a release; a digest is better still.";
    /// A kustomization can't be built.
    BadKustomization = "E0407",
    "For example a file that is not there or that Flux leaves out of what it fetches, a folder without kustomization, a
patch for an object that does not exist. Try it with `kubectl kustomize FOLDER`.";
    /// A host leads to a Service that is not there.
    NoSuchService = "E0408",
    "Each host of an application leads to a Service in its namespace: the one named in `service`, else one named like
the application, at `port`, else port 80. The manifests have no such Service, or it has no such port.";
    /// A Secret is written in plain text.
    PlainSecret = "E0409",
    "Whatever is in Git stays in its history. Encrypt the Secret (`lotse secrets set` and `lotse secrets edit` write such
files), make it by hand in the cluster, or let an operator make it. Change a secret that was committed already.";
    /// A manifest is not a Kubernetes object.
    NotAnObject = "E0410",
    "Every object has `apiVersion`, `kind` and `metadata.name`, of a kind that there is. A file that is for something
else belongs into another folder, or into a ConfigMap by `configMapGenerator` of a kustomization.yaml that does not list
it under `resources`.";
    /// A path leads out of the application's folder.
    Escapes = "E0411",
    "What an application delivers is in its own folders, `apps/<name>` and `environments/<environment>/apps/<name>`, so
that those who own it decide on it. Flux leaves symbolic links out of what it fetches.";
    /// A binding gives the rights of cluster-admin.
    ClusterAdmin = "E0412",
    "Whoever may do everything in the cluster can read every Secret and take over every application. Write a role with
just the rights that are needed.";
    /// The next Kubernetes does not serve an API version any more.
    VersionEnds = "E0413",
    "The object works now and is refused after the next upgrade. The message names the apiVersion to write instead.";
    /// A schedule can't be read.
    BadSchedule = "E0414",
    "A CronJob has the five fields of cron (minute, hour, day of the month, month, day of the week), a ScheduledBackup of
CloudNativePG begins with seconds. A wrong one of a CronJob is refused when Flux delivers it; a wrong ScheduledBackup is
taken, and never runs.";
    /// The API server refuses a field.
    BadField = "E0415",
    "A field of an object is misspelt, of another type than the API has, or missing. The fields of built-in kinds are those of
`kubectl explain KIND`; what extensions bring (cert-manager, CloudNativePG, ...) is only looked at by the API server, when
Flux delivers it.";
    /// Pods are refused in the application's namespace.
    PodRefused = "E0416",
    "The namespace enforces the Pod Security Standard of `podSecurity` in app.yaml (`restricted` without it). A Deployment of
other pods is taken and stands there without pods. Mend the pod, or ask for a wider standard in app.yaml, which a reviewer
will see.";
    /// A reference leads nowhere.
    LeadsNowhere = "E0417",
    "A pod that names a ConfigMap, Secret, volume claim or service account that is not there never starts, and a Service
without pods behind it answers nobody. Secrets are often made by hand, so that a name is only told of when it is nearly one
that is known: of the manifests, or of `login` in app.yaml.";
    /// A manifest is not delivered.
    NotDelivered = "E0418",
    "The folder has a kustomization.yaml, and Flux delivers only what that refers to. A manifest beside it that is not under
`resources`, nor used by a patch or a generator, stays where it is.";
    /// Flux can't open an encrypted file.
    NotForTheCluster = "E0419",
    "Flux opens what is encrypted with sops to the cluster's own age recipient, `secrets.recipient` of environment.yaml. A file
that is not encrypted to it holds up the whole application; without `secrets`, what stands in the file is delivered as it is:
`ENC[...]`. `secrets rekey` brings files in line.";
    /// An encrypted file can be opened by others than is declared.
    ForOthers = "E0420",
    "The file is encrypted to an age recipient that is neither the cluster's nor that of a member of a team in `secrets.teams`:
somebody who has left, perhaps. `secrets rekey` takes the recipient out; what the person has seen stays
known, so the values have to be changed.";
    /// The secret of a client is to be in Git, and is not there.
    NotSealed = "E0421",
    "A client with `delivery: git` has its Secret in the manifests of its application, encrypted. `identity seal` writes it once
Keycloak has made the client, which a bring-up does; until it is committed the application waits for it. Only manifests of
the environment itself can have it: a chart can't, and a folder of several environments would give all of them one secret.";
}

impl Code {
    /// How much problems of this kind matter.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::UnknownId
            | Self::GrantEnded
            | Self::GrantEndsSoon
            | Self::OneSidedNetwork
            | Self::VersionEnds
            | Self::LeadsNowhere
            | Self::NotDelivered
            | Self::ForOthers
            | Self::NotSealed
            | Self::NoGateway => Severity::Warning,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.id())
    }
}

/// A text is not the id of a code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no code `{text}`; {}", advice(*.near))]
pub struct UnknownCode {
    /// The text.
    pub text: String,
    /// The code that is probably meant.
    pub near: Option<Code>,
}

fn advice(near: Option<Code>) -> String {
    match near {
        Some(near) => format!("did you mean {near} ({})?", near.title().trim_end_matches('.')),
        None => "`lotse explain` lists all".to_owned(),
    }
}

impl FromStr for Code {
    type Err = UnknownCode;

    /// Takes an id in either case, or only its number.
    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let wanted = text.trim().to_ascii_uppercase();
        let number = number(&wanted);
        let is_it =
            |code: &Self| code.id() == wanted || number.is_some() && number == self::number(code.id());
        let found = Self::ALL.iter().copied().find(is_it);
        found.ok_or_else(|| UnknownCode {
            text: text.to_owned(),
            near: nearest(&wanted),
        })
    }
}

/// The number in an id.
fn number(id: &str) -> Option<u32> {
    id.strip_prefix('E').unwrap_or(id).parse().ok()
}

/// The code whose id is at most two slips away; of several, the next in number.
fn nearest(wanted: &str) -> Option<Code> {
    let place = |id: &str| number(id).unwrap_or_default();
    let distance = |code: &Code| {
        let slips = strsim::damerau_levenshtein(wanted, code.id());
        (slips, place(wanted).abs_diff(place(code.id())))
    };
    let near = Code::ALL.iter().copied().min_by_key(distance)?;
    (distance(&near).0 <= 2).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_ids_ascend_and_are_read_back() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].id() < pair[1].id()));
        for code in Code::ALL {
            assert_eq!(code.id().to_lowercase().parse(), Ok(*code));
            assert!(!code.explanation().is_empty() && !code.title().is_empty());
        }
        assert_eq!("204".parse(), Ok(Code::UnknownTeam));
    }

    #[test]
    fn test_unknown_codes_lead_to_a_near_one_or_to_the_list() {
        let said = |text: &str| text.parse::<Code>().unwrap_err().to_string();
        assert_eq!(
            said("E0219"),
            "there is no code `E0219`; did you mean E0319 (A Helm chart or its values are not there)?"
        );
        assert_eq!(said("web"), "there is no code `web`; `lotse explain` lists all");
    }
}
