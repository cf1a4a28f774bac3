"""The record of what serves, in the bucket, where Terraform looks for it (see infra.model)."""

from __future__ import annotations

from scripts.releases.request import ReleaseRequest
from serving.storage import Folder, open_folder


class ReleaseRecord:
    """One empty object named ``<epoch>-<deployed model>`` in the endpoint's folder of the bucket.

    Terraform lists the folder and compares its name with the deployments on the endpoint.

    Args:
        request: names bucket and endpoint, and may hold Terraform's epoch.
    """

    def __init__(self, request: ReleaseRequest) -> None:
        self._bucket_name, self._endpoint_id = request.bucket_name, request.endpoint_id
        self._epoch = request.epoch

    def _folder(self) -> Folder:
        return open_folder(f"gs://{self._bucket_name}/serving/{self._endpoint_id}")

    def write(self, deployed_model_id: str) -> None:
        """Record what serves.

        Terraform alone raises the epoch; a release by hand keeps the recorded one, so that the
        next plan is empty.
        """
        folder = self._folder()
        earlier = [file.name for file in folder.files()]
        recorded_epoch = earlier[0].partition("-")[0] if earlier else "0"
        name = f"{self._epoch or recorded_epoch}-{deployed_model_id}"
        if name not in earlier:
            folder.write_bytes(name, b"{}\n", "application/json")
        for other in earlier:
            if other != name:
                folder.delete(other)

    def clear(self) -> None:
        """Delete the record: nothing serves, and Terraform expects nothing."""
        folder = self._folder()
        for file in list(folder.files()):
            folder.delete(file.name)
