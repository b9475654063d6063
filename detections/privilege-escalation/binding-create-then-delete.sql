-- /// detection
-- title = "A role binding was made and soon removed"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098.006", "T1070"]
-- section = [6, 1]
-- window = "1h"
-- key = ["cluster", "username", "namespace", "name"]
-- suppress = "1d"
-- summary = "{username} made {resource} {name} (role {role} for {subjects}) in {cluster} and removed it within the hour, from {client_ip}"
--
-- description = """
-- Rights taken for a short time and given back leave nothing for anyone who looks at the cluster later. The same identity
-- created and deleted the same binding within an hour. No body is needed; role and subjects are empty at level Metadata.
-- Look at what the subjects did between first_seen and last_seen.
-- """
-- false_positives = [
--   "Just-in-time access tools, test suites: add the identity to lists/rbac_managers.csv",
-- ]
-- follow_up = ["identity-timeline", "object-history"]
-- ///

SELECT
    made.cluster,
    made.username,
    made.resource,
    made.namespace,
    made.name,
    max(role_ref_name(made.object)) AS role,
    max(array_to_string(subject_names(made.object), ', ')) AS subjects,
    min(made.client_ip) AS client_ip,
    min(made.time) AS first_seen,
    max(gone.time) AS last_seen
FROM audit AS made
JOIN audit AS gone
    ON coalesce(gone.cluster, '') = coalesce(made.cluster, '')
    AND gone.username = made.username
    AND gone.resource = made.resource
    AND coalesce(gone.namespace, '') = coalesce(made.namespace, '')
    AND gone.name = made.name
    AND gone.time > made.time
WHERE
    made.stage = 'ResponseComplete'
    AND made.status_code BETWEEN 200 AND 299
    AND made.verb = 'create'
    AND made.resource IN ('clusterrolebindings', 'rolebindings')
    AND coalesce(made.principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', made.username)
    AND coalesce(query_param(made.request_uri, 'dryRun'), '') <> 'All'
    AND gone.stage = 'ResponseComplete'
    AND gone.status_code BETWEEN 200 AND 299
    AND gone.verb = 'delete'
    AND gone.resource IN ('clusterrolebindings', 'rolebindings')
    AND coalesce(query_param(gone.request_uri, 'dryRun'), '') <> 'All'
GROUP BY made.cluster, made.username, made.resource, made.namespace, made.name
