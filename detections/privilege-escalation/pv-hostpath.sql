-- /// detection
-- title = "A volume was made of a node's own folder"
-- severity = "high"
-- status = "stable"
-- attack = ["T1611"]
-- section = [5]
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) PersistentVolume {name} of {cluster} over {path} of the node, from {client_ip}"
--
-- description = """
-- A PersistentVolume of kind hostPath or local gives the node's folder to whoever claims it, and pod security, which
-- refuses hostPath in pods, does not look into claims. AKS clusters keep data on Azure disks and files. Creates,
-- updates and patches count, dry runs do not; AKS, system accounts and lists/volume_provisioners.csv are left out.
-- Without a body (level Metadata, or cut before the source) the rule stays silent. See which claim is bound to it and
-- which pods use that.
-- """
-- false_positives = [
--   "Provisioners of local disks: add them to lists/volume_provisioners.csv",
-- ]
-- follow_up = ["object-history", "host-path-mounts", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    name,
    coalesce(object -> 'spec' -> 'hostPath' ->> 'path', object -> 'spec' -> 'local' ->> 'path') AS path,
    object -> 'spec' -> 'claimRef' ->> 'namespace' AS claimed_in,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'persistentvolumes'
    AND subresource IS NULL
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('volume_provisioners', username)
    AND coalesce(object -> 'spec' ->> 'hostPath', object -> 'spec' ->> 'local') IS NOT NULL
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
