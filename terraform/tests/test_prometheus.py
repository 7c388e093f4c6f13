"""What documentation promises about Prometheus on AWS: who pushes, which rules run, where alerts go, who queries; and which alarms are in CloudWatch too."""

import json
import re
import unittest

import configuration
import test_promises
from configuration import BLOCK, block_list, expanded, module, text_of, unquoted
from test_promises import REPOSITORY, SERVICES, call, library_blocks, platform, truth

# Alarms of CloudWatch on the services' own metrics that wake nobody, each with its reason.
TICKETS_IN_CLOUDWATCH = {
    "backup-failing": "the documentation of backups promises alarms that do not depend on Prometheus",
    "backup-overdue": "as above",
}


def collector_configuration():
    return text_of(module("modules/task").locals["collector_configuration"])


class Metrics(unittest.TestCase):
    def test_every_service_pushes_all_metrics_to_prometheus(self):
        for name in [*SERVICES, "worker_canary"]:
            self.assertIn("local.collectors[", text_of(call(name)["collector"]), name)
        written = collector_configuration()
        pipelines = dict(re.findall(r'"(metrics/\w+)" = \{(.*?)\}', written, re.DOTALL))
        self.assertEqual(set(pipelines), {"metrics/cloudwatch", "metrics/prometheus"})
        self.assertIn('exporters = ["prometheusremotewrite"]', re.sub(r" +", " ", pipelines["metrics/prometheus"]))
        self.assertNotIn('"filter"', pipelines["metrics/prometheus"])
        self.assertIn('"filter"', pipelines["metrics/cloudwatch"], "CloudWatch charges for each metric")
        self.assertIn("endpoint = var.collector.remote_write_url", written)
        self.assertIn('authenticator = "sigv4auth"', written)
        # Names as in /metrics.
        self.assertIn("add_metric_suffixes = false", written)
        # The task goes on without its collector.
        self.assertTrue(truth(module("modules/task").locals["restart_policy"]["enabled"]))
        self.assertEqual(module("modules/task").locals["collector_container"]["restartPolicy"], "${local.restart_policy}")

    def test_labels_are_those_that_rules_and_canary_need(self):
        collectors = text_of(platform().locals["collectors"])
        self.assertIn('job = "arrakis-${service}"', collectors)
        self.assertEqual(set(SERVICES.values()), {unquoted(name) for name in platform().locals["metric_names"]} - {BLOCK})
        self.assertIn("local.collectors[\"worker\"]", text_of(call("worker_canary")["collector"]), "canary workers are workers")
        written = collector_configuration()
        self.assertIn("job_name = var.collector.job", written)
        # Tasks scrape the same address.
        self.assertRegex(written, r'key = "service\.instance\.id", from_attribute = "aws\.ecs\.task\.arn"')
        self.assertRegex(written, r'"metrics/prometheus" = \{[^}]*"resourcedetection", "resource"')

    def test_a_task_may_only_push(self):
        used = {}
        for found in configuration.library():
            for block in found.of("data", "aws_iam_policy_document"):
                for statement in block_list(block.body, "statement"):
                    if "aps:" in text_of(statement["actions"]):
                        used[(found.name, block.labels[1])] = (statement["actions"], text_of(statement["resources"]))
        workspace = "${aws_prometheus_workspace.this.arn}"
        self.assertEqual(used, {
            ("modules/task", "collector"): (["aps:RemoteWrite"], "${var.collector.workspace_arn}"),
            ("modules/prometheus", "query"): (["aps:QueryMetrics"], workspace),
            ("modules/prometheus", "dashboards"): (["aps:GetLabels", "aps:GetMetricMetadata", "aps:GetSeries", "aps:QueryMetrics"], workspace),
        })
        self.assertIn("aps-workspaces", module("modules/network").locals["interface_endpoints"], "the ingestor has no route to the internet")

    def test_operator_alone_queries_by_a_proxy_on_loopback(self):
        holders = {block.labels[0] for block in platform().of("module") if "signing_proxy" in block.body or "query_policy_json" in text_of(block.body)}
        self.assertEqual(holders, {"operator"})
        proxy = call("operator")["signing_proxy"]
        self.assertEqual((proxy["service"], proxy["host"]), ("aps", "${module.prometheus.host}"))
        self.assertNotIn("ingress", call("operator"))
        container = module("modules/task").locals["signing_proxy_container"]
        self.assertIn("--port=127.0.0.1:${var.signing_proxy.port}", text_of(container["command"]))
        # The task ends with the program.
        self.assertFalse(truth(container["essential"]))
        self.assertTrue(truth(container["readonlyRootFilesystem"]))
        self.assertNotEqual(container["user"], "0")
        url = platform().one("output", "prometheus_operator_url")["value"]
        self.assertEqual(url, "http://127.0.0.1:${local.signing_proxy_port}/workspaces/${module.prometheus.workspace_id}")
        script = (REPOSITORY / "deploy/aws/canary.sh").read_text()
        self.assertIn("output -raw prometheus_operator_url", script)
        for environment in ("staging", "production"):
            module(f"environments/{environment}").one("output", "prometheus_operator_url")


class Alerts(unittest.TestCase):
    def test_every_rule_of_the_repository_runs(self):
        folder = platform().locals["prometheus_folder"].replace("${path.module}", str(configuration.ROOT / "modules/platform"))
        self.assertEqual((REPOSITORY / "deploy/prometheus").resolve(), type(REPOSITORY)(folder).resolve())
        self.assertIn('fileset(local.prometheus_folder, "rules/*.yaml")', text_of(call("prometheus")["rules"]))
        self.assertIn("alertmanager.yaml", text_of(call("prometheus")["inhibit_rules"]))
        namespace = module("modules/prometheus").one("resource", "aws_prometheus_rule_group_namespace", "this")
        self.assertEqual((namespace["for_each"], namespace["data"]), ("${var.rules}", "${each.value}"))

    def test_every_alert_goes_to_the_topic(self):
        alertmanager = module("modules/prometheus").locals["alertmanager"]
        route = alertmanager["route"]
        self.assertEqual({entry["receiver"] for entry in [route, *route["routes"]]}, {"topic"})
        self.assertIn("topic_arn = var.topic_arn", text_of(alertmanager["receivers"]))
        self.assertIn("send_resolved = true", text_of(alertmanager["receivers"]))
        self.assertEqual(call("prometheus")["topic_arn"], "${module.alarms.topic_arn}")
        self.assertEqual(call("prometheus")["enabled"], "${var.start_services}", "the first deployment has no metric")
        statements = block_list(module("modules/alarms").one("data", "aws_iam_policy_document", "topic"), "statement")
        [statement] = [entry for entry in statements if "aps.amazonaws.com" in text_of(entry)]
        self.assertIn("${var.prometheus_workspace_arn}", text_of(statement["condition"]))
        [key] = [entry for entry in block_list(module("modules/encryption").one("data", "aws_iam_policy_document", "key"), "statement") if "aps.amazonaws.com" in text_of(entry)]
        self.assertEqual(key["actions"], ["kms:Decrypt", "kms:GenerateDataKey"], "the topic is encrypted")

    def test_notifications_have_the_fields_of_an_alarm_and_are_json(self):
        source = module("modules/prometheus").source
        written = re.search(r"message = jsonencode\(\{\n(.*?)\n  \}\)", source, re.DOTALL).group(1)
        fields = dict(re.findall(r'^ +(\w+) += "(.*)"$', written, re.MULTILINE))
        subscription = module("modules/alarms").one("resource", "aws_sns_topic_subscription", "discord")
        self.assertEqual(set(fields), set(re.findall(r"\b([A-Z]\w+) =", text_of(subscription["filter_policy"]))))
        for name, value in fields.items():
            # jsonencode would escape it, and the template of Alertmanager would not be one any more.
            self.assertNotRegex(value, r'["\\<>&]', name)
        self.assertIn("{{ .GroupLabels.alertname }}", fields["AlarmName"])
        # What Alertmanager puts in: summaries, and labels with other characters replaced.
        rules = "\n".join(path.read_text() for path in sorted((REPOSITORY / "deploy/prometheus/rules").glob("*.yaml")))
        summaries = re.findall(r"^ +summary: (.*)$", rules, re.MULTILINE)
        self.assertGreater(len(summaries), 50)
        for summary in summaries:
            self.assertNotRegex(json.loads(summary), r'["\\]')

    def own(self):
        """Alarms of CloudWatch on the services' own metrics."""
        found, name = set(), None
        for line in module("modules/alarms").source.split("\n"):
            opened = re.match(r'^ +(?:for .* : )?"?([a-z][a-z-]*?)?-?(?:\$\{.*\})?"? =>? \{$', line)
            if opened:
                name = opened.group(1) or name
            elif "namespace = local.namespace" in re.sub(r" +", " ", line) and name in test_promises.Alarms().alarms():
                found.add(name)
        return found

    def test_own_metrics_have_an_alarm_in_cloudwatch_where_it_wakes_somebody(self):
        self.assertGreater(len(self.own()), 10)
        alerts = test_promises.Alarms().prometheus()
        tickets = {name for name in set(test_promises.Alarms().alarms()) & set(alerts) if alerts[name] != "page" and (name in self.own() or "-burn-" in name)}
        self.assertEqual(tickets, set(TICKETS_IN_CLOUDWATCH), "the others are alerts of Prometheus only, and would notify twice")

    def test_failed_notifications_have_an_alarm(self):
        [found] = [block for _, block in library_blocks("resource", "aws_prometheus_workspace")]
        self.assertIn("logging_configuration", found.body)
        written = text_of(module("modules/alarms").locals["prometheus_alarms"])
        self.assertIn("AlertManagerNotificationsFailed", written)
        self.assertIn("Workspace\n${var.prometheus_workspace_id}", written)
        self.assertEqual(expanded(platform(), call("alarms")["prometheus_workspace_id"]).split("(")[0], "${module.prometheus.workspace_id")
