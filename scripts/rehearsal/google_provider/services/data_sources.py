"""What data sources answer: a project, its storage agent, objects of a bucket, pushed images."""

from __future__ import annotations

from typing import Any

from scripts.rehearsal.google_provider.services.identity import Values, project_number
from scripts.rehearsal.google_provider.services.refusals import PLACEHOLDER, ServiceError
from scripts.rehearsal.google_provider.services.service import Service


def read_data(service: Service, type_name: str, config: Values, project: str) -> Values:
    """The values of a data source.

    Raises:
        ServiceError: what it looks into does not exist.
    """
    number = project_number(project)
    if type_name == "google_project":
        return {
            "id": f"projects/{project}",
            "project_id": project,
            "number": number,
            "name": project,
        }
    if type_name == "google_storage_bucket_objects":
        return _objects(service, str(config["bucket"]), str(config.get("prefix") or ""))
    if type_name == "google_artifact_registry_docker_images":
        return _images(service, config, project)
    email = f"service-{number}@gs-project-accounts.iam.gserviceaccount.com"
    if email not in service.world.read().get("agents", [email]):
        with service.world.open() as contents:  # who reads it makes it
            contents["agents"].append(email)
    return {
        "id": email,
        "project": project,
        "email_address": email,
        "member": f"serviceAccount:{email}",
    }


def _objects(service: Service, bucket: str, prefix: str) -> Values:
    if service.objects is None or not service.objects.has_bucket(bucket):
        raise ServiceError(
            "Error retrieving storage bucket objects: googleapi: Error 404: The specified bucket "
            "does not exist., notFound"
        )
    objects = [
        {
            "name": item["name"],
            "content_type": item.get("contentType", ""),
            "media_link": item.get("mediaLink", ""),
            "self_link": item.get("selfLink", ""),
            "storage_class": item.get("storageClass", "STANDARD"),
        }
        for item in service.objects.listed(bucket, prefix)
        if not item["name"].endswith(PLACEHOLDER)  # stands for a managed folder, no object
    ]
    return {"id": bucket, "bucket_objects": sorted(objects, key=lambda item: str(item["name"]))}


def _images(service: Service, config: Values, project: str) -> Values:
    world: dict[str, Any] = service.world.read()
    location, repository = config["location"], config["repository_id"]
    id_ = f"projects/{project}/locations/{location}/repositories/{repository}"
    if id_ not in world["resources"].get("google_artifact_registry_repository", {}):
        raise ServiceError(f"Error 404: Requested entity was not found: {id_}")
    start = f"{location}-docker.pkg.dev/{project}/{repository}/"
    docker_images = [
        {
            "name": f"{id_}/dockerImages/{name.removeprefix(start)}@{image['digest']}",
            "image_name": name.removeprefix(start),
            "self_link": f"{name}@{image['digest']}",
            "tags": image["tags"],
            "image_size_bytes": "0",
            "media_type": "application/vnd.docker.distribution.manifest.v2+json",
            "build_time": "",
            "update_time": "",
            "upload_time": "",
        }
        for name, images in sorted(world.get("images", {}).items())
        if name.startswith(start)
        for image in images
    ]
    return {"id": id_, "docker_images": docker_images}
