-- /// detection
-- title = "A built-in role was widened by aggregation"
-- severity = "high"
-- status = "stable"
-- attack = ["T1098.006"]
-- section = [1]
-- key = ["cluster", "username", "name"]
-- suppress = "1d"
-- summary = "{username} wrote ({verb}) cluster role {name} of {cluster} that adds rights on {resources} to built-in roles ({labels}), from {client_ip}"
--
-- description = """
-- A ClusterRole labelled aggregate-to-view, -edit or -admin is merged into that role for everybody who holds it, in
-- every namespace; no binding changes. Operators do so for their own kinds, so only rules on the core group, apps,
-- batch, RBAC or everything count. Creates, updates and patches count, dry runs do not. Where the log has only the
-- request of a patch (level Request), its rules are not known, and the rule fires on a patch that sets the label.
-- Without a body (level Metadata, or cut before the labels) it stays silent; role-created and role-modified record the
-- role. Take the label off, then look at what the holders of the built-in role read.
-- """
-- false_positives = [
--   "Charts that aggregate rights on core objects on purpose; GitOps and operators: add the identity to lists/rbac_managers.csv",
-- ]
-- follow_up = ["object-history", "identity-timeline", "cluster-admins-by-bindings"]
-- ///

SELECT
    cluster,
    username,
    verb,
    name,
    object -> 'metadata' ->> 'labels' AS labels,
    array_to_string(role_verbs(object), ', ') AS verbs,
    array_to_string(role_resources(object), ', ') AS resources,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code BETWEEN 200 AND 299
    AND verb IN ('create', 'update', 'patch')
    AND resource = 'clusterroles'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
    AND NOT listed('rbac_managers', username)
    AND regexp_like(
        object -> 'metadata' ->> 'labels',
        '"rbac\.authorization\.k8s\.io/aggregate-to-[^"]+"\s*:\s*"true"'
    )
    AND (
        array_has_any(role_api_groups(object), ARRAY['', 'apps', 'batch', 'rbac.authorization.k8s.io', '*'])
        OR (verb = 'patch' AND response_object IS NULL AND role_api_groups(object) IS NULL)
    )
    AND coalesce(query_param(request_uri, 'dryRun'), '') <> 'All'
