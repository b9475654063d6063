-- /// detection
-- title = "Very many pods were created in a namespace"
-- severity = "low"
-- status = "stable"
-- attack = ["T1496", "T1499"]
-- section = [5, 6]
-- window = "10m"
-- key = ["cluster", "namespace"]
-- suppress = "6h"
-- summary = "{pods} pods were created in namespace {namespace} of {cluster} within 10 minutes, by {usernames}"
--
-- description = """
-- A hundred pods in ten minutes in one namespace is a large roll-out, a loop of crashing jobs, or somebody who uses the
-- cluster's machines for himself. The rule has no memory of what is usual, therefore low. System namespaces, whose daemons
-- start with each new node, are left out. No body is needed; dry runs do not count. Look at the workload the pods belong
-- to.
-- """
-- false_positives = [
--   "Batch work, autoscaling, upgrades of node pools",
-- ]
-- follow_up = ["new-images", "object-history"]
-- ///

SELECT
    cluster,
    namespace,
    count(DISTINCT audit_id) AS pods,
    substr(string_agg(DISTINCT username, ', ' ORDER BY username), 1, 500) AS usernames,
    min(time) AS first_seen,
    max(time) AS last_seen
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource = 'pods'
    AND subresource IS NULL
    AND NOT listed('system_namespaces', namespace)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
GROUP BY cluster, namespace
HAVING count(DISTINCT audit_id) >= 100
