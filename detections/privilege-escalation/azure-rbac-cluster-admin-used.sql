-- /// detection
-- title = "Azure's cluster admin role was used"
-- severity = "high"
-- status = "stable"
-- attack = ["T1078.004", "T1098.003"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} was allowed on {cluster} by the Azure role {role} (assignment {assignment}), from {client_ip}: first {verb} {request_uri}"
--
-- description = """
-- Azure Kubernetes Service RBAC Cluster Admin and RBAC Admin are cluster-admin and admin without a binding in the
-- cluster: the assignment is in Azure, and this annotation is the only trace of it here. One alert a day for each
-- identity; those who administer every day belong into lists/platform_admins.csv. Guard names the role only where its
-- answer is not from its cache, and a cut record loses annotations: without the role id the rule stays silent. No body
-- is needed. Ask whether the assignment is still wanted; prefer one that is activated for a time.
-- """
-- false_positives = [
--   "The platform team at work: add its people to lists/platform_admins.csv",
-- ]
-- follow_up = ["identity-timeline", "cluster-admins-by-bindings"]
-- ///

SELECT
    cluster,
    username,
    CASE
        WHEN replace(lower(decision_reason), '-', '') LIKE '%of role b1ff04bb8a4e4dc48eb58693973ce19b%' THEN 'RBAC Cluster Admin'
        ELSE 'RBAC Admin'
    END AS role,
    regexp_match(decision_reason, 'Role Assignment (\S+) of Role')[1] AS assignment,
    verb,
    request_uri,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND starts_with(decision_reason, 'Access allowed by Azure RBAC Role Assignment ')
    AND regexp_like(
        replace(lower(decision_reason), '-', ''),
        ' of role (b1ff04bb8a4e4dc48eb58693973ce19b|3498e952d568435e9b2c8d77e338d7f7) '
    )
    AND NOT listed('platform_admins', username)
