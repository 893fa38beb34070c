"""What a run writes down for itself."""

from dataclasses import replace

from .part import Part


class Store(Part):
    def persist(self, records, values):
        """Write, and in the runner also commit: whoever looks sees it at once."""
        self.job._persist(records, values)

    def restart(self, reason):
        """Begin again, but for the preparation; the first step notes why."""
        self.job.step_ids.filtered(lambda step: step.kind != "initialize")._reset()
        again = self.job.run_state.begun_again().to_json()
        self.job._persist(self.job, {"archive_name": False, "data": again})
        self.job.step_ids[:1]._note(reason)

    def update_state(self, **values):
        """Keep something for later steps, which may be done by another process."""
        self.job._persist(
            self.job, {"data": replace(self.job.run_state, **values).to_json()}
        )

    def record_archive(self, name, size, sha256, content):
        self.job._persist(
            self.job,
            {
                "archive_name": name,
                "archive_size": size,
                "archive_sha256": sha256,
                "data": replace(
                    self.job.run_state, manifest=content.to_json()
                ).to_json(),
            },
        )
