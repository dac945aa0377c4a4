"""METRICS_FILE, as node_exporter reads it."""

from prometheus_client.parser import text_string_to_metric_families

LABELS = {"spider": "miso_rtload", "environment": "staging"}
OUTCOMES = {"stored", "duplicate", "skipped", "uncovered", "invalid", "failed"}
SUCCESS = "miso_last_success_timestamp_seconds"


class Metrics:
    """METRICS_FILE, as node_exporter reads it."""

    def __init__(self, path):
        self.path = path
        self.settings = {"METRICS_FILE": str(path), "ENVIRONMENT": "staging"}

    def read(self):
        """Return {name: value}, and the candidates as {outcome: value}; all labels as expected."""
        values = {"candidates": {}}
        for family in text_string_to_metric_families(self.path.read_text()):
            assert family.type == "gauge"
            assert family.documentation
            for sample in family.samples:
                labels = dict(sample.labels)
                if family.name == "miso_candidates":
                    values["candidates"][labels.pop("outcome")] = sample.value
                else:
                    values[family.name] = sample.value
                assert labels == LABELS
        return values
