//! The topology in the form that RabbitMQ loads at boot (`load_definitions`) or through its management plugin.

use serde_json::{Map, Value as Json, json};

use super::{Argument, ArgumentValue, Topology};

impl Topology {
    /// RabbitMQ's definitions of one virtual host, without users and permissions.
    pub fn definitions(&self, vhost: &str) -> Json {
        let exchanges: Vec<Json> = self
            .exchanges
            .iter()
            .map(|exchange| {
                json!({
                    "name": exchange.name, "vhost": vhost, "type": exchange.kind.name(),
                    "durable": true, "auto_delete": false, "internal": false,
                    "arguments": arguments(&exchange.arguments),
                })
            })
            .collect();
        let queues: Vec<Json> = self
            .queues
            .iter()
            .map(|queue| {
                let mut arguments = arguments(&queue.arguments);
                arguments.insert("x-queue-type".to_owned(), json!(queue.kind.name()));
                json!({ "name": queue.name, "vhost": vhost, "durable": true, "auto_delete": false, "arguments": arguments })
            })
            .collect();
        let bindings: Vec<Json> = self
            .bindings
            .iter()
            .map(|binding| {
                json!({
                    "source": binding.exchange, "vhost": vhost, "destination": binding.queue,
                    "destination_type": "queue", "routing_key": binding.key, "arguments": {},
                })
            })
            .collect();
        json!({ "vhosts": [{ "name": vhost }], "exchanges": exchanges, "queues": queues, "bindings": bindings })
    }
}

fn arguments(list: &[Argument]) -> Map<String, Json> {
    list.iter()
        .map(|argument| {
            let value = match argument.value {
                ArgumentValue::Integer(number) => json!(number),
                ArgumentValue::Text(text) => json!(text),
                ArgumentValue::Flag(flag) => json!(flag),
            };
            (argument.name.to_owned(), value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Priorities;

    /// The committed files equal the topology in code. `UPDATE_DEFINITIONS=1` rewrites them.
    #[test]
    fn committed_definitions_equal_the_code() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rabbitmq");
        for (priorities, file) in [
            (Priorities::Classic, "definitions.json"),
            (Priorities::Classes, "definitions.classes.json"),
        ] {
            let path = folder.join(file);
            let wanted = serde_json::to_string_pretty(&Topology::new(priorities).definitions("/")).unwrap() + "\n";
            if std::env::var_os("UPDATE_DEFINITIONS").is_some() {
                std::fs::write(&path, &wanted).unwrap();
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == wanted,
                "{file} differs from the code; UPDATE_DEFINITIONS=1 cargo nextest run -p arrakis-broker definitions"
            );
        }
    }

    /// The operators' page names every object and argument.
    #[test]
    fn readme_names_every_object_and_argument() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rabbitmq/README.md");
        let page = std::fs::read_to_string(page).unwrap();
        for priorities in [Priorities::Classic, Priorities::Classes] {
            let topology = Topology::new(priorities);
            let exchanges = topology.exchanges.iter().map(|e| (&e.name, &e.arguments));
            for (name, arguments) in exchanges.chain(topology.queues.iter().map(|q| (&q.name, &q.arguments))) {
                assert!(page.contains(&format!("`{name}`")), "README.md does not name {name}");
                for argument in arguments {
                    assert!(
                        page.contains(argument.name),
                        "README.md does not explain {}",
                        argument.name
                    );
                }
            }
        }
    }
}
