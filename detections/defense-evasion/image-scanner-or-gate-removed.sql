-- /// detection
-- title = "A scanner or gate for images was removed"
-- severity = "high"
-- status = "stable"
-- attack = ["T1562.001"]
-- section = [3, 7, 8]
-- key = ["cluster", "username", "resource", "name"]
-- suppress = "1d"
-- summary = "{username} removed or stopped ({verb}) {resource} {name} of {cluster}, from {client_ip}"
--
-- description = """
-- Ratify, Notation and Trivy decide or tell which images may run, Defender's sensor watches them run, ImageCleaner
-- takes vulnerable ones away. Deleting their workloads or the objects that configure them, or scaling them to zero,
-- opens the door for the next image. AKS, which removes add-ons that are turned off, lists/image_gate_operators.csv,
-- lists/workload_deployers.csv, lists/cleanup_controllers.csv and dry runs do not count. A delete needs no body; a
-- scale without one (level Metadata, or cut) stays silent. Restore it, and look at images used since.
-- """
-- false_positives = [
--   "A tool that is replaced by hand",
-- ]
-- follow_up = ["new-images", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    concat(resource, coalesce('/' || subresource, '')) AS resource,
    namespace,
    coalesce(name, 'all that were selected') AS name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('delete', 'deletecollection', 'update', 'patch')
    AND coalesce(subresource, 'scale') = 'scale'
    AND (
        (
            resource IN ('deployments', 'daemonsets', 'statefulsets', 'cronjobs')
            AND regexp_like(name, '(^|-)(ratify|eraser|image-?cleaner|trivy|notation|microsoft-defender)(-|$)')
        )
        OR (api_group IN ('config.ratify.deislabs.io', 'config.ratify.dev', 'eraser.sh') AND resource <> 'imagejobs')
    )
    AND (verb IN ('delete', 'deletecollection') OR (object -> 'spec' ->> 'replicas') = '0')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('image_gate_operators', username)
    AND NOT listed('workload_deployers', username)
    AND NOT listed('cleanup_controllers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
