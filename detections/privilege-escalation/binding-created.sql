-- /// detection
-- title = "A role binding was created by someone not expected"
-- severity = "informational"
-- status = "stable"
-- attack = ["T1098.006"]
-- section = [1]
-- key = ["cluster", "username", "namespace"]
-- suppress = "1d"
-- summary = "{username}, who is not in lists/allowed_users.csv, created role bindings in {where} of {cluster}, the first of the day {resource} {name} ({role} for {subjects}), from {client_ip}"
--
-- description = """
-- A record of who hands out rights beside those who are expected to: people and pipelines of lists/allowed_users.csv,
-- GitOps and controllers of lists/rbac_managers.csv are left out. The dangerous bindings fire rules of their own
-- whoever writes them (cluster-admin-binding, binding-privileged-builtin, binding-broad-group). One alert for each
-- identity, namespace and day. No body is needed: role and subjects are empty at level Metadata. Dry runs do not count.
-- """
-- false_positives = [
--   "Charts installed by a new colleague or pipeline: add them to lists/allowed_users.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    coalesce('namespace ' || namespace, 'the whole') AS "where",
    role_ref_name(object) AS role,
    array_to_string(subject_names(object), ', ') AS subjects,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb = 'create'
    AND resource IN ('clusterrolebindings', 'rolebindings')
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('allowed_users', username)
    AND NOT listed('rbac_managers', username)
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
