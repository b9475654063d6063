-- /// detection
-- title = "An identity used a right it never used before"
-- severity = "low"
-- status = "shadow"
-- attack = ["T1078"]
-- section = [1]
-- categories = ["kube-audit"]
-- baseline = "14d"
-- learn = "7d"
-- key = ["cluster", "username", "reason"]
-- summary = "{username} was for the first time in 14 days allowed by: {reason}, on {cluster} from {client_ip}: {verb} {request_uri}"
--
-- description = """
-- The API server writes which binding, or which Azure role assignment, allowed a request. A first use of another one is
-- how a new grant, a break-glass binding or a stolen membership comes to light. New workloads and people raise it too,
-- therefore shadow: counted, not sent. Only rights over the whole cluster and Azure role assignments count, discovery does
-- not. The reason is an annotation, lost when a record is cut; without it the rule stays silent. Says nothing for a
-- cluster until seven days of its log were seen.
-- """
-- false_positives = [
--   "New workloads and colleagues; bindings that are renamed",
-- ]
-- follow_up = ["identity-timeline", "cluster-admins-by-bindings"]
-- ///

SELECT
    cluster,
    username,
    decision_reason AS reason,
    verb,
    request_uri,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system', 'node', 'anonymous')
    AND coalesce(decision_reason, '') <> ''
    AND NOT starts_with(decision_reason, 'RBAC: allowed by RoleBinding')
    AND NOT regexp_like(decision_reason, 'ClusterRole "system:(basic-user|discovery|public-info-viewer|service-account-issuer-discovery)"')
