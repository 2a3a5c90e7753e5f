//! What people see: logins in a real Chromium, page by page, and an application of somebody else that leaves its
//! logins to the realm.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use lotse::lab::component::{Acquired, Component};
use lotse::secret::Secret;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thirtyfour::prelude::*;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use url::Url;

use crate::access::may;
use crate::kit::{Kubectl, Lab, acquired, block_on, eventually, run};
use crate::systems::{Checkout, authority, bootstrap, keycloak, secret};

/// How long a page may take to show what it should.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);
/// How long a program of a test may take to answer.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// The ports on which kubelogin waits for the browser: the second where the first is taken.
const KUBELOGIN_PORTS: [u16; 2] = [8000, 18000];

/// Keycloak's button for logins by the forge.
const BY_THE_FORGE: &str = "a#social-github";
/// What the forge shows somebody who has not yet agreed that Keycloak may know them.
const CONSENT: &str = "button#authorize-app";
/// What kubelogin's page is known by.
const ARRIVED: &str = "#arrived";

/// Members of teams log in and may what their teams may; somebody unknown logs in as well, as the operators' page
/// says of `pilot`, and may nothing.
pub(crate) fn a_person_logs_in_with_a_browser(lab: &Lab) {
    let ada = kubectl_by_browser(lab, "ada");
    let teams = ["cloud-and-heat", "hardware-landscape", "monitoring"];
    let groups = teams.map(|team| format!("oidc:SovereignCloudStack:{team}"));
    assert_eq!(
        who_am_i(&ada),
        (
            "oidc:ada".to_owned(),
            [&groups[..], &[EVERYBODY.to_owned()]].concat()
        )
    );
    assert!(may(
        &ada,
        "create",
        "rolebindings.rbac.authorization.k8s.io",
        "monitoring"
    ));
    assert!(!may(&ada, "get", "pods", "website"));
    assert!(!may(&ada, "get", "secrets", "kube-system"));

    let pilot = kubectl_by_browser(lab, "pilot");
    assert_eq!(
        who_am_i(&pilot),
        ("oidc:pilot".to_owned(), vec![EVERYBODY.to_owned()])
    );
    for namespace in ["monitoring", "website", "default", "kube-system"] {
        for (verb, resource) in [("get", "pods"), ("get", "secrets"), ("create", "pods")] {
            assert!(
                !may(&pilot, verb, resource, namespace),
                "may {verb} {resource} in {namespace}"
            );
        }
    }
    forget(lab, "pilot");
}

/// The group of everybody whom the API server knows.
const EVERYBODY: &str = "system:authenticated";

/// Name and groups, sorted, as the API server has them.
fn who_am_i(kubectl: &Kubectl) -> (String, Vec<String>) {
    let told = kubectl.run(&["auth", "whoami", "-o", "json"]).success();
    let told: Value = serde_json::from_str(&told).unwrap();
    let user = &told["status"]["userInfo"];
    let mut groups: Vec<String> = serde_json::from_value(user["groups"].clone()).unwrap();
    groups.sort();
    (user["username"].as_str().unwrap().to_owned(), groups)
}

/// Removes the account that a login made in the realm for somebody who is not declared.
fn forget(lab: &Lab, person: &str) {
    block_on(async {
        let admin = keycloak(lab);
        let query = [("username", person), ("exact", "true")];
        let found = admin.get(&["scs", "users"], &query).await.unwrap();
        let id = found[0]["id"].as_str().unwrap();
        admin.delete(&["scs", "users", id], None).await.unwrap();
    });
}

/// kubectl as a person who logged in as kubelogin lets them, with what the kubeconfig tells it.
fn kubectl_by_browser(lab: &Lab, person: &str) -> Kubectl {
    let kubelogin = Kubelogin::of(lab);
    let token = browse(lab, async |window| {
        let login = kubelogin.start().await;
        window.open(&login.address).await;
        log_in_by_the_forge(window, lab, person).await;
        agree_until(window, ARRIVED).await;
        kubelogin.token(login).await
    });
    lab.prod.as_bearer(token.expose(), lab.world.path())
}

/// From Keycloak's own login page to the forge's, where name and password are sent.
async fn log_in_by_the_forge(window: &Window, lab: &Lab, person: &str) {
    let button = window.shows("Keycloak's login page", BY_THE_FORGE).await;
    window.is_at(lab.endpoint("keycloak")).await;
    window.click(button).await;
    let name = window.shows("the forge's login page", "input#user_name").await;
    window.is_at(lab.endpoint("forge")).await;
    window.type_into(&name, person).await;
    let password = window.shows("the forge's login page", "input#password").await;
    let known = secret(lab, &format!("forge-password-{person}"));
    window.type_into(&password, &known).await;
    let log_in = "form[action^='/user/login'] button";
    let log_in = window.shows("the forge's login page", log_in).await;
    window.click(log_in).await;
}

/// Agrees where the forge asks, which it does once for each person, until the page shows `end`. Any other page on the
/// way, such as one of Keycloak's that wants to know more, is no `end`.
async fn agree_until(window: &Window, end: &str) -> WebElement {
    let what = "the end of the login";
    let (shown, element) = window.shows_one_of(what, &[end, CONSENT]).await;
    if shown == end {
        return element;
    }
    window.click(element).await;
    window.shows(what, end).await
}

/// What kubelogin does between kubectl and the browser.
struct Kubelogin {
    issuer: String,
    client: String,
    scopes: String,
    http: reqwest::Client,
}

/// One login of kubelogin's.
struct Login {
    /// Where the browser begins: kubelogin's own page, which sends it to Keycloak.
    address: String,
    state: String,
    nonce: String,
    verifier: String,
    token_endpoint: String,
    arrived: mpsc::UnboundedReceiver<BTreeMap<String, String>>,
}

impl Kubelogin {
    /// As the kubeconfig for people has it.
    fn of(lab: &Lab) -> Self {
        let file = lab.world.path().join("kubelogin.kubeconfig");
        let out = file.to_str().unwrap();
        let written = lab.world.lotse(&["kubeconfig", "lab", "--out", out]);
        assert_eq!(written.code, Some(0), "{}", written.stderr);
        let show = ["config", "view", "-o", "json"];
        let kubeconfig = Kubectl::with(&file).run(&show).success();
        std::fs::remove_file(&file).unwrap();
        let kubeconfig: Value = serde_json::from_str(&kubeconfig).unwrap();
        let arguments = &kubeconfig["users"][0]["user"]["exec"]["args"];
        let arguments: Vec<String> = serde_json::from_value(arguments.clone()).unwrap();
        let values = |flag: &str| -> Vec<&str> {
            let values = arguments
                .iter()
                .filter_map(|argument| argument.strip_prefix(flag));
            values.collect()
        };
        assert_eq!(values("--oidc-pkce-method="), ["S256"]);
        let known = reqwest::Certificate::from_pem(authority(lab).as_bytes()).unwrap();
        // kubelogin needs the authority from the kubeconfig, so that has to be there.
        let told = STANDARD
            .decode(values("--certificate-authority-data=")[0])
            .unwrap();
        assert_eq!(String::from_utf8(told).unwrap(), authority(lab));
        drop(rustls::crypto::ring::default_provider().install_default());
        Self {
            issuer: values("--oidc-issuer-url=")[0].to_owned(),
            client: values("--oidc-client-id=")[0].to_owned(),
            scopes: [&["openid"], &values("--oidc-extra-scope=")[..]]
                .concat()
                .join(" "),
            http: reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([known])
                .build()
                .unwrap(),
        }
    }

    async fn start(&self) -> Login {
        let discovery = format!("{}/.well-known/openid-configuration", self.issuer);
        let endpoints: Value = self
            .http
            .get(discovery)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(endpoints["issuer"], self.issuer.as_str());
        let endpoint = |name: &str| endpoints[name].as_str().unwrap().to_owned();
        let (listener, address) = listen().await;
        let [state, nonce, verifier] = [(); 3].map(|()| random_text());
        let mut authorization = Url::parse(&endpoint("authorization_endpoint")).unwrap();
        authorization.query_pairs_mut().extend_pairs([
            ("access_type", "offline"),
            ("client_id", &self.client),
            (
                "code_challenge",
                &URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier)),
            ),
            ("code_challenge_method", "S256"),
            ("nonce", &nonce),
            ("redirect_uri", &address),
            ("response_type", "code"),
            ("scope", &self.scopes),
            ("state", &state),
        ]);
        let (tell, arrived) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, authorization, tell));
        Login {
            address,
            state,
            nonce,
            verifier,
            token_endpoint: endpoint("token_endpoint"),
            arrived,
        }
    }

    /// Exchanges the code that the browser brought.
    async fn token(&self, mut login: Login) -> Secret {
        let carried = login.arrived.recv().await.unwrap();
        let get = |name: &str| carried.get(name).map(String::as_str);
        assert_eq!(get("error"), None, "{:?}", get("error_description"));
        assert_eq!(get("state"), Some(login.state.as_str()));
        assert_eq!(get("iss"), Some(self.issuer.as_str()));
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &self.client),
            ("redirect_uri", &login.address),
            ("code", get("code").unwrap()),
            ("code_verifier", &login.verifier),
        ];
        let answer = self
            .http
            .post(&login.token_endpoint)
            .form(&form)
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        assert!(
            status.is_success(),
            "{status}: {} {}",
            answer["error"],
            answer["error_description"]
        );
        let token = answer["id_token"].as_str().unwrap();
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(claims["nonce"], login.nonce.as_str());
        assert_eq!(claims["iss"], self.issuer.as_str());
        assert_eq!(claims["aud"], self.client.as_str());
        Secret::new(token)
    }
}

/// 256 random bits as text.
fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// Listens where kubelogin does; the address that is declared for it.
async fn listen() -> (TcpListener, String) {
    for port in KUBELOGIN_PORTS {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return (listener, format!("http://localhost:{port}"));
        }
    }
    panic!("kubelogin's ports {KUBELOGIN_PORTS:?} are taken");
}

/// Sends the browser to `start` and tells what it brings back. Browsers open connections before they need them, so none
/// holds up another.
async fn serve(
    listener: TcpListener,
    start: Url,
    arrived: mpsc::UnboundedSender<BTreeMap<String, String>>,
) -> std::io::Result<()> {
    loop {
        let (connection, _) = listener.accept().await?;
        tokio::spawn(answer(connection, start.clone(), arrived.clone()));
    }
}

async fn answer(
    connection: TcpStream,
    start: Url,
    arrived: mpsc::UnboundedSender<BTreeMap<String, String>>,
) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if connection.read_line(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let target = request.split_whitespace().nth(1).unwrap_or_default();
    let Ok(url) = Url::parse("http://localhost").and_then(|here| here.join(target)) else {
        return Ok(());
    };
    let carried: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let (status, head, body) = match url.path() {
        "/" if carried.is_empty() => ("302 Found", format!("Location: {start}\r\n"), ""),
        "/" => ("200 OK", String::new(), "<p id=arrived>Back to the terminal.</p>"),
        _ => ("404 Not Found", String::new(), ""),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\n{head}Content-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    if status == "200 OK" {
        drop(arrived.send(carried));
    }
    connection.write_all(answer.as_bytes()).await
}

/// Gitea as an application that somebody else wrote. It is not the lab's forge but another one beside it, of the same
/// program: so it has people of its own and trusts the lab's authority, the forge stays as it is, and everybody goes
/// all the way from it to Keycloak, to the forge and back. Cookies don't mix: the forge is at 127.0.0.1, this at
/// localhost.
struct RelyingParty {
    gitea: Acquired,
    directory: tempfile::TempDir,
    authority: String,
    port: u16,
}

/// What the application calls the realm, on its login page and in its callback.
const REALM: &str = "scs";
/// Who administers the application from the beginning, and has never logged in.
const KEEPER: &str = "keeper";
/// Part of a page for somebody who is logged in: their own name.
const OWN_NAME: &str = "input#username";
/// The page by which the application refuses somebody.
const REFUSAL: &str = ".page-content.user.activate";

/// The client that lotse makes for an application and the Secret that it puts beside it are all that the application
/// needs. Members of teams with a role at the client are taken in with it; somebody without any is refused by the
/// application: Keycloak lets them in, and tells it that they have no role. It wants an address for mail, which comes from
/// the forge.
pub(crate) fn a_real_relying_party_accepts_the_client(lab: &Lab) {
    let party = RelyingParty::new(lab);
    let checkout = Checkout::copy(lab);
    let declared = r#""https://monitoring.{{domain}}/login/generic_oauth""#;
    let callback = format!("{}/user/oauth2/{REALM}/callback", party.address());
    let both = format!(r#"{declared}, "{callback}""#);
    checkout.replace("environments/lab/apps/monitoring/app.yaml", declared, &both);
    checkout.bootstrap(lab, &[]).success();
    assert!(may_return_to(lab, &callback));
    let running = party.start(lab);

    // The roles of the client are `admin` for the team monitoring, and `viewer` for every team.
    for person in ["ada", "mira"] {
        // It gets its account in the application without another page, and has it again afterwards.
        for _ in 0..2 {
            browse(lab, async |window| {
                let name = party.log_in(window, lab, person, OWN_NAME).await;
                assert_eq!(name.value().await.unwrap().as_deref(), Some(person));
            });
        }
    }
    browse(lab, async |window| {
        party.log_in(window, lab, "pilot", REFUSAL).await;
        let told = window.described().await;
        assert!(told.contains("Sign-In Prohibited"), "{told}");
    });
    let accounts = [(KEEPER, true), ("ada", true), ("mira", false)];
    assert_eq!(party.accounts(), accounts.map(|(name, is)| (name.to_owned(), is)));

    drop(running);
    bootstrap(lab).success();
    forget(lab, "pilot");
    assert!(!may_return_to(lab, &callback), "{callback} is still declared");
}

/// Whether the client of the application lets logins return to `address`.
fn may_return_to(lab: &Lab, address: &str) -> bool {
    let query = [("clientId", "grafana")];
    let found = block_on(async { keycloak(lab).get(&["scs", "clients"], &query).await.unwrap() });
    let addresses = found[0]["redirectUris"].as_array().unwrap();
    addresses.iter().any(|declared| declared == address)
}

impl RelyingParty {
    fn new(lab: &Lab) -> Self {
        let party = Self {
            gitea: acquired(Component::Gitea),
            directory: tempfile::tempdir_in(lab.world.path()).unwrap(),
            authority: lab.endpoint("ca_file").to_owned(),
            port: free_port(),
        };
        let directory = party.directory.path().display();
        let settings = format!(
            "RUN_MODE = prod\n\
             WORK_PATH = {directory}\n\
             I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true\n\
             [server]\n\
             HTTP_ADDR = 127.0.0.1\n\
             HTTP_PORT = {port}\n\
             ROOT_URL = {address}/\n\
             STATIC_ROOT_PATH = {share}\n\
             DISABLE_SSH = true\n\
             OFFLINE_MODE = true\n\
             [database]\n\
             DB_TYPE = sqlite3\n\
             [security]\n\
             INSTALL_LOCK = true\n\
             [service]\n\
             ALLOW_ONLY_EXTERNAL_REGISTRATION = true\n\
             [openid]\n\
             ENABLE_OPENID_SIGNIN = false\n\
             [oauth2_client]\n\
             ENABLE_AUTO_REGISTRATION = true\n\
             USERNAME = preferred_username\n\
             OPENID_CONNECT_SCOPES = profile email\n\
             [log]\n\
             MODE = console\n\
             LEVEL = warn\n",
            port = party.port,
            address = party.address(),
            share = party.gitea.share("static"),
        );
        std::fs::write(party.settings(), settings).unwrap();
        party
    }

    fn address(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    fn settings(&self) -> PathBuf {
        self.directory.path().join("app.ini")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut gitea = Command::new(self.gitea.program());
        gitea
            .arg("--config")
            .arg(self.settings())
            .args(arguments)
            .current_dir(self.directory.path())
            .env("HOME", self.directory.path())
            .env("GITEA_WORK_DIR", self.directory.path())
            .env("SSL_CERT_FILE", &self.authority);
        gitea
    }

    /// Tells it of the realm what is in the Secret of the application, as a person would, and starts it.
    fn start(&self, lab: &Lab) -> Started {
        let kept = lab.prod.get(&["secret", "grafana-oidc", "-n", "monitoring"]);
        let field = |name: &str| {
            let value = STANDARD.decode(kept["data"][name].as_str().unwrap()).unwrap();
            String::from_utf8(value).unwrap()
        };
        let discovery = format!("{}/.well-known/openid-configuration", field("issuer"));
        run(&mut self.command(&["migrate"])).success();
        // Whoever comes first would administer it, whatever their roles are.
        let keeper = ["admin", "user", "create", "--admin", "--random-password"];
        let (name, mail) = (
            format!("--username={KEEPER}"),
            format!("--email={KEEPER}@lab.test"),
        );
        run(self.command(&keeper).args([name, mail])).success();
        let output = self
            .command(&["admin", "auth", "add-oauth", "--provider=openidConnect"])
            .arg(format!("--name={REALM}"))
            .arg(format!("--key={}", field("clientId")))
            .arg(format!("--secret={}", field("clientSecret")))
            .arg(format!("--auto-discover-url={discovery}"))
            .args([
                "--required-claim-name=roles",
                "--group-claim-name=roles",
                "--admin-group=admin",
            ])
            .output()
            .unwrap();
        // The arguments are not shown, which `Ran` would do.
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let log = std::fs::File::create(self.directory.path().join("log")).unwrap();
        let mut web = self.command(&["web"]);
        Started::new(web.stdout(log.try_clone().unwrap()).stderr(log), self.port)
    }

    /// From its own login page by the button with the realm's name.
    async fn log_in(&self, window: &Window, lab: &Lab, person: &str, end: &str) -> WebElement {
        window.open(&format!("{}/user/settings", self.address())).await;
        let button = format!("a[href*='/user/oauth2/{REALM}']");
        let button = window.shows("the application's login page", &button).await;
        window.click(button).await;
        log_in_by_the_forge(window, lab, person).await;
        agree_until(window, end).await
    }

    /// Who has an account, and whether as its administrator.
    fn accounts(&self) -> Vec<(String, bool)> {
        let told = run(&mut self.command(&["admin", "user", "list"])).success();
        let rows = told.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        // Rows begin with a number; the head of the table does not, nor do the warnings that may stand around it.
        let rows = rows.filter(|row| row.first().is_some_and(|id| id.parse::<u64>().is_ok()));
        rows.map(|row| (row[1].to_owned(), row[4] == "true")).collect()
    }
}

/// A program that is stopped with all it started when this is dropped, also by a test that fails.
struct Started(Child);

impl Started {
    fn new(command: &mut Command, port: u16) -> Self {
        let started = Self(command.stdin(Stdio::null()).process_group(0).spawn().unwrap());
        eventually(&format!("an answer on port {port}"), STARTED_WITHIN, || {
            let connection = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            connection.map(drop).map_err(|error| error.to_string())
        });
        started
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let group = rustix::process::Pid::from_child(&self.0);
        // What has ended already needs no end.
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap_or_default();
        drop(self.0.wait());
    }
}

/// A port that was free just now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Where `program` is. A test that can't look says what it takes.
fn installed(program: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("{program} is missing: install it (on Debian: apt-get install {package})"))
}

/// Lets `visit` use a browser that nobody has used before, and ends it.
fn browse<T>(lab: &Lab, visit: impl AsyncFnOnce(&Window) -> T) -> T {
    let chromium = installed("chromium", "chromium");
    let driver = installed("chromedriver", "chromium-driver");
    let home = tempfile::tempdir_in(lab.world.path()).unwrap();
    trust(home.path(), lab.endpoint("ca_file"));
    let port = free_port();
    let _driver = Started::new(
        Command::new(driver)
            .arg(format!("--port={port}"))
            .env("HOME", home.path())
            .env_remove("XDG_DATA_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME")
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
        port,
    );
    block_on(async {
        let window = Window::new(port, &chromium, &home.path().join("profile")).await;
        let outcome = visit(&window).await;
        window.driver.quit().await.unwrap();
        outcome
    })
}

/// Makes the lab's authority known to the browser of `home`, and nothing else: certificates are checked as ever.
fn trust(home: &Path, authority: &str) {
    let certutil = installed("certutil", "libnss3-tools");
    let directory = home.join(".pki/nssdb");
    std::fs::create_dir_all(&directory).unwrap();
    let database = format!("sql:{}", directory.display());
    run(Command::new(&certutil).args(["-d", &database, "-N", "--empty-password"])).success();
    run(Command::new(&certutil).args(["-d", &database, "-A", "-n", "lab", "-t", "C,,", "-i", authority]))
        .success();
}

/// A window of the browser.
struct Window {
    driver: WebDriver,
}

impl Window {
    async fn new(driver: u16, chromium: &Path, profile: &Path) -> Self {
        let mut wanted = DesiredCapabilities::chrome();
        wanted.set_binary(chromium.to_str().unwrap()).unwrap();
        let profile = format!("--user-data-dir={}", profile.display());
        for argument in [
            &profile,
            "--headless",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            // Root, as on a build server, has no sandbox; a container's /dev/shm is too small.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            // Everything is on this machine, whatever proxy leads out of it.
            "--no-proxy-server",
            "--lang=en",
        ] {
            wanted.add_arg(argument).unwrap();
        }
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let driver = WebDriver::builder(format!("http://127.0.0.1:{driver}"), wanted)
            .client(http)
            .await;
        Self {
            driver: driver.unwrap_or_else(|error| panic!("Chromium could not be started: {error}")),
        }
    }

    async fn open(&self, address: &str) {
        if let Err(error) = self.driver.goto(address).await {
            panic!(
                "{address} could not be opened: {error}\n{}",
                self.described().await
            );
        }
    }

    /// Waits until an element is seen.
    async fn shows(&self, what: &str, wanted: &str) -> WebElement {
        self.shows_one_of(what, &[wanted]).await.1
    }

    /// Waits until one of `wanted` is seen, and says which.
    async fn shows_one_of<'wanted>(&self, what: &str, wanted: &[&'wanted str]) -> (&'wanted str, WebElement) {
        let deadline = Instant::now() + SHOWN_WITHIN;
        loop {
            for selector in wanted {
                if let Ok(element) = self.driver.find(By::Css(*selector)).await
                    && element.is_displayed().await.unwrap_or(false)
                {
                    return (selector, element);
                }
            }
            assert!(
                Instant::now() < deadline,
                "waited for {what} with {wanted:?}\n{}",
                self.described().await
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Makes sure that the page is one of the server at `address`.
    async fn is_at(&self, address: &str) {
        let here = self.driver.current_url().await.unwrap();
        let wanted = Url::parse(address).unwrap();
        assert_eq!(here.origin(), wanted.origin(), "{}", self.described().await);
    }

    async fn click(&self, element: WebElement) {
        if let Err(error) = element.click().await {
            panic!("a click did not work: {error}\n{}", self.described().await);
        }
    }

    async fn type_into(&self, field: &WebElement, text: &str) {
        // The error is not shown: it might repeat the text, which may be a password.
        let typed = field.send_keys(text).await.is_ok();
        assert!(
            typed,
            "a field could not be filled in\n{}",
            self.described().await
        );
    }

    /// What a person would see. The query of the address is left out: it holds codes and names of sessions.
    async fn described(&self) -> String {
        let mut told = String::new();
        if let Ok(url) = self.driver.current_url().await {
            let _infallible = writeln!(
                told,
                "address: {}{}",
                url.origin().ascii_serialization(),
                url.path()
            );
        }
        if let Ok(title) = self.driver.title().await {
            let _infallible = writeln!(told, "title: {title}");
        }
        if let Ok(body) = self.driver.find(By::Tag("body")).await
            && let Ok(text) = body.text().await
        {
            let _infallible = writeln!(told, "text: {text}");
        }
        told
    }
}
