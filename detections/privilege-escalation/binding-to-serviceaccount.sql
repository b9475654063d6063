-- /// detection
-- title = "A service account got a cluster role for the whole cluster"
-- severity = "low"
-- status = "stable"
-- attack = ["T1098.006"]
-- section = [1]
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} bound {subjects} to {role} in the whole of {cluster} through {name}, from {client_ip}"
--
-- description = """
-- Whoever gets into one pod of that service account has the role in every namespace. Operators are installed that way, so
-- this is context: one alert for each binding and day. Reading roles for discovery and authentication
-- (system:auth-delegator, system:discovery and the like) are left out, and so are bindings to cluster-admin and inside one
-- namespace, which have rules of their own. Without a body (level Metadata) the subjects are not known and the rule stays
-- silent. Check what the role allows, and whether the pods need it in all namespaces.
-- """
-- false_positives = [
--   "Operators and charts at installation: add the installer to lists/rbac_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "cluster-admins-by-bindings"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    role_ref_name(object) AS role,
    array_to_string(subject_names(object), ', ') AS subjects,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'clusterrolebindings'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', username)
    AND role_ref_kind(object) = 'ClusterRole'
    AND array_to_string(subject_names(object), ',') LIKE '%system:serviceaccount:%'
    AND role_ref_name(object) NOT IN (
        'cluster-admin', 'system:auth-delegator', 'system:basic-user', 'system:discovery',
        'system:public-info-viewer', 'system:service-account-issuer-discovery'
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
