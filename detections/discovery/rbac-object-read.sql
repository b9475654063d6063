-- /// detection
-- title = "Roles and bindings were read"
-- severity = "informational"
-- status = "shadow"
-- attack = ["T1069.003"]
-- section = [1]
-- categories = ["kube-audit"]
-- key = ["cluster", "username"]
-- suppress = "1d"
-- summary = "{username} read ({verb}) {resource} of {cluster}, from {client_ip} with {user_agent}"
--
-- description = """
-- Who may do what is what an intruder asks first, and what the portal, k9s, Lens and every pipeline with charts ask all
-- day. Counted only (shadow), one for each identity and day: evidence in an investigation, no reason to look. People,
-- applications and the local admin count, service accounts and the system do not. No body is needed.
-- """
-- false_positives = [
--   "The Azure portal, k9s, Lens, helm",
-- ]
-- follow_up = ["identity-timeline"]
-- ///

SELECT
    cluster,
    username,
    verb,
    resource,
    namespace,
    name,
    client_ip,
    user_agent
FROM audit
WHERE
    stage IN ('ResponseComplete', 'ResponseStarted')
    AND (status_code BETWEEN 200 AND 299 OR status_code = 101)
    AND verb IN ('get', 'list', 'watch')
    AND resource IN ('roles', 'clusterroles', 'rolebindings', 'clusterrolebindings')
    AND coalesce(principal_class, 'other') IN ('entra-user', 'entra-app', 'local-admin', 'other')
