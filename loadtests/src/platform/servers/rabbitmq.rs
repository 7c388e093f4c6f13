//! A private RabbitMQ, started as in `deploy/dev/rabbitmq.sh`, with the operations that operators perform on brokers.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use arrakis_test_support::Process;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::Instant;

use crate::platform::free_port;

/// A start takes about five seconds, and several times that on a busy machine.
const START: Duration = Duration::from_secs(60);
const USER: &str = "arrakis";

/// Options of a broker.
#[derive(Debug, Clone, Default)]
pub struct RabbitOptions {
    /// Further lines of `rabbitmq.conf`.
    pub conf: String,
    /// Folder of its data, instead of beside its configuration.
    pub data: Option<PathBuf>,
    /// Prefix of the command, such as `ip netns exec NAME`.
    pub within: Vec<String>,
    /// Address for clients; loopback by default.
    pub address: Option<String>,
    /// Node name, cookie and addresses within a cluster; a single node by default.
    pub cluster: Option<ClusterNode>,
}

/// Options that a node of a cluster shares with the others.
#[derive(Debug, Clone)]
pub struct ClusterNode {
    /// Name of the node, such as `rabbit@node1`.
    pub node: String,
    /// Erlang cookie of the cluster.
    pub cookie: String,
    /// Lines of Erlang's `inetrc` with the hosts' addresses.
    pub hosts: String,
    /// Address of the node for the others.
    pub address: String,
}

/// A broker. Killed when dropped.
#[derive(Debug)]
pub struct RabbitServer {
    folder: TempDir,
    options: RabbitOptions,
    address: String,
    meeting: String,
    node: String,
    cookie: String,
    password: String,
    amqp: u16,
    management: u16,
    distribution: u16,
    epmd_port: u16,
    epmd: Process,
    server: Process,
}

impl RabbitServer {
    /// Starts a broker and waits until it responds.
    ///
    /// # Errors
    /// When RabbitMQ is not installed or does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(RabbitOptions::default()).await
    }

    /// Starts a broker with options.
    ///
    /// # Errors
    /// As [`RabbitServer::start`].
    pub async fn start_with(options: RabbitOptions) -> anyhow::Result<Self> {
        let mut rabbit = Self::spawn(options)?;
        rabbit.up().await?;
        Ok(rabbit)
    }

    /// Starts a broker without waiting.
    ///
    /// # Errors
    /// When RabbitMQ is not installed or a file cannot be written.
    pub fn spawn(options: RabbitOptions) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("arrakis-broker-")
            .tempdir()
            .context("creating the broker's folder")?;
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let address = options.address.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
        let cluster = options.cluster.clone();
        let node = cluster.as_ref().map_or_else(
            || format!("chaos-{}@localhost", &unique[..12]),
            |cluster| cluster.node.clone(),
        );
        let cookie = cluster
            .as_ref()
            .map_or_else(|| unique.clone(), |cluster| cluster.cookie.clone());
        let (amqp, management, distribution, epmd_port) = (
            free_port()?,
            free_port()?,
            free_port()?,
            cluster.as_ref().map_or_else(free_port, |_| Ok(4369))?,
        );
        // The first node of a cluster creates the user, with this password.
        let password = options
            .cluster
            .as_ref()
            .map_or_else(|| unique.clone(), |cluster| cluster.cookie.clone());
        let conf = format!(
            "listeners.tcp.1 = {address}:{amqp}\nmanagement.tcp.ip = {address}\nmanagement.tcp.port = {management}\n\
             default_user = {USER}\ndefault_pass = {password}\ndisk_free_limit.absolute = 50MB\nlog.console = true\n\
             log.console.level = info\nlog.console.use_colors = off\nlog.file = false\n{}\n",
            options.conf
        );
        let hosts = cluster.map_or_else(
            || "{host, {127,0,0,1}, [\"localhost\"]}.".to_owned(),
            |cluster| cluster.hosts,
        );
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).with_context(|| name.to_owned());
        write("rabbitmq.conf", &conf)?;
        write("enabled_plugins", "[rabbitmq_management].\n")?;
        // Host names come from this file only: no resolver, no /etc/hosts.
        write("inetrc", &format!("{hosts} {{lookup, [file]}}.\n"))?;
        write(".erlang.cookie", &cookie)?;
        let only_mine = std::fs::Permissions::from_mode(0o400);
        std::fs::set_permissions(folder.path().join(".erlang.cookie"), only_mine)?;
        let home = folder.path().to_string_lossy().into_owned();
        let port = epmd_port.to_string();
        let meeting = options
            .cluster
            .as_ref()
            .map_or_else(|| address.clone(), |cluster| cluster.address.clone());
        // epmd is started explicitly: started by Erlang, it would be a daemon that outlives the run.
        let arguments = ["-address", meeting.as_str(), "-port", port.as_str()];
        let epmd = run_within(&options.within, Path::new("epmd"), &arguments, &[("HOME", home)])?;
        let server = launch(&options, folder.path(), &node, &meeting, distribution, epmd_port)?;
        Ok(Self {
            folder,
            options,
            address,
            meeting,
            node,
            cookie,
            password,
            amqp,
            management,
            distribution,
            epmd_port,
            epmd,
            server,
        })
    }

    /// The broker's AMQP URL, as in `AMQP_URL`.
    pub fn amqp_url(&self) -> String {
        format!("amqp://{USER}:{}@{}:{}/%2f", self.password, self.address, self.amqp)
    }

    /// The management API's URL, as in `RABBITMQ_MANAGEMENT_URL`.
    pub fn management_url(&self) -> String {
        format!("http://{USER}:{}@{}:{}", self.password, self.address, self.management)
    }

    /// Name of the node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Sends SIGKILL.
    pub async fn kill(&mut self) {
        self.server.kill().await;
    }

    /// Sends SIGSTOP: connections stay open and get no response.
    pub fn suspend(&self) {
        self.server.suspend();
    }

    /// Sends SIGCONT.
    pub fn resume(&self) {
        self.server.resume();
    }

    /// Output of the process.
    pub fn log(&self) -> Vec<String> {
        self.server.lines()
    }

    /// Starts the broker again after [`RabbitServer::kill`] and waits until it responds.
    ///
    /// # Errors
    /// When the broker does not start.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.server = launch(
            &self.options,
            self.folder.path(),
            &self.node,
            &self.meeting,
            self.distribution,
            self.epmd_port,
        )?;
        self.up().await
    }

    /// Waits until AMQP and management both respond.
    ///
    /// # Errors
    /// When they do not within a minute, or the process ended.
    pub async fn up(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        while !(self.answers_amqp().await && self.answers_management().await) {
            if let Some(status) = self.server.has_ended() {
                bail!("the broker ended ({status}): {}", tail(&self.log()));
            }
            ensure!(
                Instant::now() < deadline,
                "the broker did not start: {}",
                tail(&self.log())
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Whether the broker answers an AMQP protocol header.
    pub async fn answers_amqp(&self) -> bool {
        let greeting = async {
            let mut socket = self.connect(self.amqp).await?;
            socket.write_all(b"AMQP\x00\x00\x09\x01").await?;
            let mut first = [0];
            socket.read_exact(&mut first).await?;
            // Frame type 1 (method) is the first byte of Connection.Start.
            std::io::Result::Ok(first == [1])
        };
        matches!(
            tokio::time::timeout(Duration::from_secs(2), greeting).await,
            Ok(Ok(true))
        )
    }

    /// Waits until this many nodes of the cluster are running: a node that is joining delays changes at the others.
    ///
    /// # Errors
    /// When they do not within the time limit.
    pub async fn wait_for_nodes(&self, nodes: usize) -> anyhow::Result<()> {
        let deadline = Instant::now() + START;
        let mut met = 0;
        while met < nodes {
            ensure!(Instant::now() < deadline, "{met} of {nodes} nodes are connected");
            tokio::time::sleep(Duration::from_millis(100)).await;
            met = self.running_nodes().await.unwrap_or(0);
        }
        Ok(())
    }

    async fn running_nodes(&self) -> anyhow::Result<usize> {
        let url = format!("{}/api/nodes", self.management_url().trim_end_matches('/'));
        let response = reqwest::Client::new().get(url).timeout(Duration::from_secs(2)).send();
        let nodes: serde_json::Value = response.await?.json().await?;
        let nodes = nodes.as_array().into_iter().flatten();
        Ok(nodes.filter(|node| node["running"] == true).count())
    }

    async fn answers_management(&self) -> bool {
        let url = format!("http://{}:{}/api/overview", self.address, self.management);
        let response = reqwest::Client::new()
            .get(url)
            .timeout(Duration::from_secs(2))
            .send()
            .await;
        response.is_ok_and(|answer| answer.status() == reqwest::StatusCode::UNAUTHORIZED)
    }

    async fn connect(&self, port: u16) -> std::io::Result<TcpStream> {
        TcpStream::connect((self.address.as_str(), port)).await
    }

    /// Stops the broker application within its Erlang VM: connections are closed, data stay.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn stop_app(&self) -> anyhow::Result<()> {
        self.eval("rabbit:stop(), ok.").await.map(drop)
    }

    /// Starts the broker application after [`RabbitServer::stop_app`] and waits until it responds.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn start_app(&mut self) -> anyhow::Result<()> {
        self.eval("rabbit:start(), ok.").await?;
        self.up().await
    }

    /// Closes every client's connection, as `rabbitmqctl close_all_connections` does.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn close_connections(&self) -> anyhow::Result<()> {
        self.eval("[rabbit_networking:close_connection(P, \"closed by an operator\") || P <- rabbit_networking:connections()], ok.")
            .await
            .map(drop)
    }

    /// Sets the memory watermark, as a part of the machine's memory: near 0 blocks publishers, 0.4 unblocks them.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn memory_watermark(&self, part: f64) -> anyhow::Result<()> {
        self.eval(&format!("vm_memory_monitor:set_vm_memory_high_watermark({part}), ok."))
            .await
            .map(drop)
    }

    /// Sets the free disk space in bytes below which publishers are blocked.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn disk_limit(&self, bytes: u64) -> anyhow::Result<()> {
        self.eval(&format!("rabbit_disk_monitor:set_disk_free_limit({bytes}), ok."))
            .await
            .map(drop)
    }

    /// Sets `consumer_timeout` for channels that are opened from now on.
    ///
    /// # Errors
    /// When the broker refuses.
    pub async fn consumer_timeout(&self, ms: u64) -> anyhow::Result<()> {
        self.eval(&format!("application:set_env(rabbit, consumer_timeout, {ms}), ok."))
            .await
            .map(drop)
    }

    /// Evaluates Erlang expressions on the node. Returns the value in Erlang's notation.
    ///
    /// # Errors
    /// When the node does not respond within half a minute or raises an exception.
    pub async fn eval(&self, expressions: &str) -> anyhow::Result<String> {
        let address = format!("{}:{}", self.meeting, self.distribution);
        let mut command = Command::new(erl_call()?);
        command
            .args(["-address", &address, "-c", &self.cookie, "-R", "-e"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().context("erl_call")?;
        let mut stdin = child.stdin.take().context("erl_call has no stdin")?;
        // erl_call reads until a full stop at the end of a line.
        stdin.write_all(format!("{expressions}\n").as_bytes()).await?;
        drop(stdin);
        let output = tokio::time::timeout(Duration::from_secs(30), child.wait_with_output()).await;
        let output = output.with_context(|| format!("the broker did not complete `{expressions}`"))??;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let value = printed.strip_prefix("{ok, ").and_then(|rest| rest.strip_suffix('}'));
        value
            .map(str::to_owned)
            .with_context(|| format!("`{expressions}`: {printed}{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Whether the process runs and responds, so that another scenario can use it.
    pub async fn is_healthy(&mut self) -> bool {
        self.server.has_ended().is_none()
            && self.epmd.has_ended().is_none()
            && self.answers_amqp().await
            && self.answers_management().await
    }
}

fn data(options: &RabbitOptions, folder: &Path) -> PathBuf {
    options.data.clone().unwrap_or_else(|| folder.join("data"))
}

fn launch(
    options: &RabbitOptions,
    folder: &Path,
    node: &str,
    address: &str,
    distribution: u16,
    epmd: u16,
) -> anyhow::Result<Process> {
    let server = server_folder()?.join("rabbitmq-server");
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let listen = format!("{{{}}}", address.replace('.', ","));
    let variables = [
        ("HOME", folder.to_string_lossy().into_owned()),
        ("RABBITMQ_NODENAME", node.to_owned()),
        ("RABBITMQ_CONF_ENV_FILE", "/dev/null".to_owned()),
        ("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", path("none")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins")),
        (
            "RABBITMQ_MNESIA_BASE",
            data(options, folder).to_string_lossy().into_owned(),
        ),
        ("RABBITMQ_LOG_BASE", path("logs")),
        ("RABBITMQ_PID_FILE", path("pid")),
        ("RABBITMQ_DIST_PORT", distribution.to_string()),
        // The script replaces itself with Erlang instead of waiting for it, so that the process is the broker.
        ("RABBITMQ_ALLOW_INPUT", "1".to_owned()),
        ("RABBITMQ_SERVER_START_ARGS", "-noinput +B i".to_owned()),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            format!("-kernel inet_dist_use_interface {listen} -shutdown_time 2000"),
        ),
        ("ERL_EPMD_ADDRESS", address.to_owned()),
        ("ERL_EPMD_PORT", epmd.to_string()),
        ("ERL_INETRC", path("inetrc")),
        ("RABBITMQ_LOG", "-color".to_owned()),
        ("ERL_CRASH_DUMP_SECONDS", "0".to_owned()),
    ];
    run_within(&options.within, &server, &[], &variables)
}

/// Starts a program, with a command prefix where one is given.
fn run_within(
    within: &[String],
    program: &Path,
    arguments: &[&str],
    variables: &[(&str, String)],
) -> anyhow::Result<Process> {
    let program = program.to_string_lossy().into_owned();
    let mut command_line: Vec<&str> = within.iter().map(String::as_str).collect();
    command_line.push(&program);
    command_line.extend(arguments);
    let (first, rest) = command_line.split_first().context("nothing to run")?;
    Ok(Process::start_at(
        Path::new(first),
        rest,
        variables.iter().map(|(name, value)| (*name, value.as_str())),
    ))
}

/// Folder of the real script: the one in PATH requires the user rabbitmq.
fn server_folder() -> anyhow::Result<PathBuf> {
    let folders = ["/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin"].map(PathBuf::from);
    let found = folders
        .into_iter()
        .find(|folder| folder.join("rabbitmq-server").is_file());
    found.context("RabbitMQ is not installed: apt-get install rabbitmq-server")
}

/// Erlang's own tool for calls to a node: it takes some ten milliseconds, `rabbitmqctl` two seconds.
fn erl_call() -> anyhow::Result<PathBuf> {
    let path = PathBuf::from("/usr/lib/erlang/bin/erl_call");
    ensure!(
        path.is_file(),
        "{} is missing: apt-get install erlang-base",
        path.display()
    );
    Ok(path)
}

fn tail(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines.iter().rev().take(8).rev() {
        let _ = write!(text, "\n  {line}");
    }
    text
}
