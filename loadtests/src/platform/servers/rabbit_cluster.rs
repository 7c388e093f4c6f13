//! Three brokers, each in a network namespace of its own, with one network for clients and one between the nodes that can be
//! disconnected.
//!
//! Needs root for the network namespaces. Each node has two interfaces: one to the host (10.124.n.2), one to a bridge that
//! connects the nodes (10.123.0.n). Disconnecting the second leaves a node alone with its clients.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::rabbitmq::{ClusterNode, RabbitOptions, RabbitServer};

/// Nodes of the cluster.
const NODES: usize = 3;

/// A cluster. Its networks are removed when it is dropped.
#[derive(Debug)]
pub struct RabbitCluster {
    /// The nodes, from 0.
    pub nodes: Vec<RabbitServer>,
    // After the nodes: fields are dropped in this order.
    wires: ClusterNetworks,
}

impl RabbitCluster {
    /// Starts a cluster and waits until its nodes are connected.
    ///
    /// # Errors
    /// When a network cannot be created or a node does not start.
    pub async fn start() -> anyhow::Result<Self> {
        let wires = ClusterNetworks::create()?;
        let cookie = uuid::Uuid::new_v4().simple().to_string();
        let mut conf = String::from("cluster_formation.peer_discovery_backend = classic_config\n");
        let mut hosts = String::from("{host, {127,0,0,1}, [\"localhost\"]}.");
        for n in 1..=NODES {
            let _ = writeln!(conf, "cluster_formation.classic_config.nodes.{n} = rabbit@chaos{n}");
            let _ = write!(hosts, " {{host, {{10,123,0,{n}}}, [\"chaos{n}\"]}}.");
        }
        let mut nodes = Vec::new();
        for n in 1..=NODES {
            nodes.push(RabbitServer::spawn(RabbitOptions {
                conf: conf.clone(),
                within: ["ip", "netns", "exec", &wires.space(n)].map(str::to_owned).to_vec(),
                address: Some(format!("10.124.{n}.2")),
                cluster: Some(ClusterNode {
                    node: format!("rabbit@chaos{n}"),
                    cookie: cookie.clone(),
                    hosts: hosts.clone(),
                    address: format!("10.123.0.{n}"),
                }),
                ..RabbitOptions::default()
            })?);
        }
        for node in &mut nodes {
            node.up().await?;
        }
        for node in &nodes {
            node.wait_for_nodes(NODES).await?;
        }
        Ok(Self { nodes, wires })
    }

    /// Disconnects one node from the others (`cut`), or connects it again.
    ///
    /// # Errors
    /// When the interface cannot be changed.
    pub fn cut(&self, node: usize, cut: bool) -> anyhow::Result<()> {
        let wire = self.wires.meeting(node + 1);
        ip(&["link", "set", &wire, if cut { "down" } else { "up" }])
    }
}

/// The networks. Names contain this process's id, so that concurrent runs do not collide; the addresses are the same.
#[derive(Debug)]
struct ClusterNetworks {
    mark: u32,
}

impl ClusterNetworks {
    fn create() -> anyhow::Result<Self> {
        let wires = Self {
            mark: std::process::id() % 100_000,
        };
        let bridge = wires.bridge();
        ip(&["link", "add", &bridge, "type", "bridge"])?;
        ip(&["link", "set", &bridge, "up"])?;
        for n in 1..=NODES {
            wires.connect_node(n, &bridge)?;
        }
        Ok(wires)
    }

    fn connect_node(&self, n: usize, bridge: &str) -> anyhow::Result<()> {
        let (space, client, meeting) = (self.space(n), self.client(n), self.meeting(n));
        let within = |arguments: &[&str]| ip(&[&["-n", space.as_str()], arguments].concat());
        ip(&["netns", "add", &space])?;
        ip(&[
            "link", "add", &client, "type", "veth", "peer", "name", "client", "netns", &space,
        ])?;
        ip(&[
            "link", "add", &meeting, "type", "veth", "peer", "name", "meeting", "netns", &space,
        ])?;
        ip(&["addr", "add", &format!("10.124.{n}.1/30"), "dev", &client])?;
        ip(&["link", "set", &client, "up"])?;
        ip(&["link", "set", &meeting, "master", bridge])?;
        ip(&["link", "set", &meeting, "up"])?;
        within(&["link", "set", "lo", "up"])?;
        within(&["addr", "add", &format!("10.124.{n}.2/30"), "dev", "client"])?;
        within(&["link", "set", "client", "up"])?;
        within(&["addr", "add", &format!("10.123.0.{n}/24"), "dev", "meeting"])?;
        within(&["link", "set", "meeting", "up"])
    }

    fn bridge(&self) -> String {
        format!("arb{}", self.mark)
    }

    fn space(&self, n: usize) -> String {
        format!("arrakis-{}-{n}", self.mark)
    }

    fn client(&self, n: usize) -> String {
        format!("arc{}x{n}", self.mark)
    }

    fn meeting(&self, n: usize) -> String {
        format!("arm{}x{n}", self.mark)
    }
}

impl Drop for ClusterNetworks {
    fn drop(&mut self) {
        // An interface is removed with its peer, the peer with its namespace. Networks that were not created cannot be removed.
        for n in 1..=NODES {
            let _ = ip(&["link", "del", &self.client(n)]);
            let _ = ip(&["link", "del", &self.meeting(n)]);
            let _ = ip(&["netns", "del", &self.space(n)]);
        }
        let _ = ip(&["link", "del", &self.bridge()]);
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let done = Command::new("ip")
        .args(arguments)
        .output()
        .context("ip (package iproute2)")?;
    ensure!(
        done.status.success(),
        "`ip {}` failed; network namespaces need root: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}
