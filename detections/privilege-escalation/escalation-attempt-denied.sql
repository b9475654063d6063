-- /// detection
-- title = "Someone tried to give more rights than they have"
-- severity = "high"
-- status = "stable"
-- attack = ["T1548", "T1098.006"]
-- section = [1]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} was refused {verb} of {resource} {name} on {cluster} for giving more rights than it holds, from {client_ip}: {message}"
--
-- description = """
-- The API server refuses a role or binding that holds more than its author does: an escalation that failed, of a
-- person, a pipeline or a stolen token. message names the rights that were wanted. No body is needed; the reason is in
-- the status. See what the identity tried next, and whether a later write succeeded.
-- """
-- false_positives = [
--   "A chart installed by a deployer without enough rights: give it the rights, or install as the platform team",
-- ]
-- follow_up = ["denied-by-identity", "identity-timeline", "cluster-admins-by-bindings"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    substr(status_message, 1, 500) AS message,
    client_ip,
    user_agent
FROM audit
WHERE
    stage = 'ResponseComplete'
    AND status_code = 403
    AND resource IN ('roles', 'clusterroles', 'rolebindings', 'clusterrolebindings')
    AND status_message LIKE '%attempting to grant RBAC permissions not currently held%'
    AND coalesce(principal_class, 'other') NOT IN ('aks', 'system')
