//! A project that is logged in.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Map, Value, json};

use super::clouds::{Cloud, Domain, Login, Named, User};
use super::error::OpenStackError;
use crate::causes;
use crate::report;
use crate::secret::Secret;

/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// At most this much of what a service says gets into an error.
const SAID_LIMIT: usize = 300;
const KEYSTONE: &str = "Keystone";

/// A project that is logged in, and where the cloud's services are.
#[derive(Debug)]
pub struct Session {
    http: reqwest::Client,
    token: Secret,
    catalog: Vec<Value>,
    region: Option<String>,
    interface: String,
}

/// A service: what it is called, its types in a catalog, and the version that ends its address here.
#[derive(Debug)]
pub struct Service {
    pub(super) name: &'static str,
    types: &'static [&'static str],
    /// What an address of the catalog may end with, which paths begin with.
    versions: &'static [&'static str],
}

pub(super) const NOVA: Service = Service {
    name: "Nova",
    types: &["compute"],
    versions: &[],
};
pub(super) const GLANCE: Service = Service {
    name: "Glance",
    types: &["image"],
    versions: &["/v2"],
};
pub(super) const NEUTRON: Service = Service {
    name: "Neutron",
    types: &["network"],
    versions: &["/v2.0"],
};
/// The DNS service.
pub const DESIGNATE: Service = Service {
    name: "Designate",
    types: &["dns"],
    versions: &["/v2"],
};
pub(super) const OCTAVIA: Service = Service {
    name: "Octavia",
    types: &["load-balancer"],
    versions: &["/v2.0", "/v2"],
};

impl Session {
    /// Logs in.
    ///
    /// # Errors
    /// Keystone's refusal, or why it can't be reached.
    pub async fn log_in(cloud: &Cloud) -> Result<Self, OpenStackError> {
        let http = client(cloud)?;
        let address = cloud.auth_url.trim_end_matches('/').trim_end_matches("/v3");
        let url = format!("{address}/v3/auth/tokens");
        let request = http.post(&url).json(&json!({ "auth": auth(&cloud.login) }));
        let answer = send(KEYSTONE, (&Method::POST, &url), request).await?;
        let unreadable = || OpenStackError::Answer {
            service: KEYSTONE,
            request: format!("POST {url}"),
        };
        let token = answer
            .headers()
            .get("x-subject-token")
            .and_then(|token| token.to_str().ok());
        let token = Secret::new(token.ok_or_else(unreadable)?);
        let mut body: Value = answer.json().await.map_err(|_| unreadable())?;
        let catalog = match body.pointer_mut("/token/catalog").map(Value::take) {
            Some(Value::Array(catalog)) => catalog,
            _ => Vec::new(),
        };
        Ok(Self {
            http,
            token,
            catalog,
            region: cloud.region.clone(),
            interface: cloud.interface.trim_end_matches("URL").to_owned(),
        })
    }

    /// Whether the catalog has `service`.
    pub(super) fn has(&self, service: &Service) -> bool {
        self.address(service).is_some()
    }

    /// Reads `path` of `service`.
    ///
    /// # Errors
    /// A refusal, or why there is no answer.
    pub async fn get(
        &self,
        service: &Service,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Value, OpenStackError> {
        let (url, request) = self.request(service, &Method::GET, path)?;
        let answer = send(service.name, (&Method::GET, &url), request.query(query)).await?;
        answer.json().await.map_err(|_| OpenStackError::Answer {
            service: service.name,
            request: format!("GET {url}"),
        })
    }

    /// Changes what is at `path` of `service`; gives what it answers, where it says something. Sent once: whoever wants it
    /// again looks first.
    ///
    /// # Errors
    /// A refusal, or why there is no answer.
    pub async fn change(
        &self,
        service: &Service,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, OpenStackError> {
        let (url, request) = self.request(service, &method, path)?;
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        report::sends(format_args!("{method} {url}"));
        let answer = send(service.name, (&method, &url), request).await?;
        Ok(answer.json().await.unwrap_or_default())
    }

    fn request(
        &self,
        service: &Service,
        method: &Method,
        path: &str,
    ) -> Result<(String, RequestBuilder), OpenStackError> {
        let address = self.address(service).ok_or(OpenStackError::NoService {
            service: service.name,
        })?;
        let url = format!("{address}{path}");
        let request = self.http.request(method.clone(), &url);
        Ok((url, request.header("x-auth-token", self.token.expose())))
    }

    fn address(&self, service: &Service) -> Option<String> {
        let found = self.catalog.iter().find(|entry| {
            entry["type"]
                .as_str()
                .is_some_and(|kind| service.types.contains(&kind))
        })?;
        let is_here = |endpoint: &&Value| {
            let region = self.region.as_deref();
            endpoint["interface"] == self.interface.as_str()
                && region.is_none_or(|region| endpoint["region"] == region || endpoint["region_id"] == region)
        };
        let address = found["endpoints"].as_array()?.iter().find(is_here)?["url"].as_str()?;
        let address = address.trim_end_matches('/');
        let version = service
            .versions
            .iter()
            .find_map(|version| address.strip_suffix(version));
        Some(version.unwrap_or(address).to_owned())
    }
}

fn client(cloud: &Cloud) -> Result<reqwest::Client, OpenStackError> {
    let mut builder = crate::proxy::client()
        .user_agent(concat!("lotse/", env!("CARGO_PKG_VERSION")))
        .timeout(REQUEST_LIMIT);
    if let Some(path) = &cloud.authority {
        let text = fs_err::read(path).map_err(OpenStackError::Authority)?;
        let certificates =
            reqwest::Certificate::from_pem_bundle(&text).map_err(OpenStackError::Connection)?;
        for certificate in certificates {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder.build().map_err(OpenStackError::Connection)
}

async fn send(
    service: &'static str,
    (method, url): (&Method, &str),
    request: RequestBuilder,
) -> Result<Response, OpenStackError> {
    let described = format!("{method} {url}");
    let answer = request
        .send()
        .await
        .map_err(|error| OpenStackError::Unreachable {
            service,
            request: described.clone(),
            reason: causes::of_connection(&error),
        })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body: Value = answer.json().await.unwrap_or_default();
    Err(OpenStackError::Refused {
        service,
        request: described,
        status: status.as_u16(),
        message: message(&body),
    })
}

/// Services wrap what they say in an object of their own name: `{"error": {"message": ...}}`, `{"itemNotFound": {...}}`;
/// Designate does not.
fn message(body: &Value) -> String {
    if let Some(message) = body["message"].as_str() {
        return message.chars().take(SAID_LIMIT).collect();
    }
    let inner = body.as_object().and_then(|fields| fields.values().next());
    let found = inner.and_then(|inner| inner.get("message").or(Some(inner))?.as_str());
    found.unwrap_or_default().chars().take(SAID_LIMIT).collect()
}

fn auth(login: &Login) -> Value {
    match login {
        Login::ApplicationCredential {
            id,
            name,
            user,
            secret,
        } => {
            let mut credential = fields([("id", id), ("name", name)]);
            credential.insert("secret".to_owned(), secret.expose().into());
            if id.is_none() {
                credential.insert("user".to_owned(), of_user(user).into());
            }
            json!({"identity": {"methods": ["application_credential"], "application_credential": credential}})
        }
        Login::Password {
            user,
            password,
            project,
        } => {
            let mut user = of_user(user);
            user.insert("password".to_owned(), password.expose().into());
            json!({
                "identity": {"methods": ["password"], "password": {"user": user}},
                "scope": {"project": of_project(project)},
            })
        }
    }
}

fn of_user(user: &User) -> Map<String, Value> {
    let mut found = fields([("id", &user.id), ("name", &user.name)]);
    if user.id.is_none() {
        found.insert("domain".to_owned(), of_domain(&user.domain));
    }
    found
}

fn of_project(project: &Named) -> Value {
    let mut found = fields([("id", &project.id), ("name", &project.name)]);
    if project.id.is_none() {
        found.insert("domain".to_owned(), of_domain(&project.domain));
    }
    found.into()
}

/// `Default` is where OpenStack's own tools look when no domain is named.
fn of_domain(domain: &Domain) -> Value {
    let found = fields([("id", &domain.id), ("name", &domain.name)]);
    if found.is_empty() {
        json!({"id": "default"})
    } else {
        found.into()
    }
}

fn fields<const N: usize>(fields: [(&str, &Option<String>); N]) -> Map<String, Value> {
    fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value.clone()?.into())))
        .collect()
}
